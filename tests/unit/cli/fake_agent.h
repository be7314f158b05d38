/* An agent that answers what the test says, on a loopback address or a socket, one connection after
 * the other, and keeps what it was asked.
 */
#ifndef TESTS_UNIT_CLI_FAKE_AGENT_H
#define TESTS_UNIT_CLI_FAKE_AGENT_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FAKE_MAX 32

struct fake_agent {
    int fd;
    pthread_t thread;
    char address[64];              /* 127.49.0.20:PORT */
    const char *answers[FAKE_MAX]; /* raw; "" closes without one */
    size_t answer_count;
    char *requests[FAKE_MAX]; /* raw, as far as Content-Length or the last chunk goes */
    size_t request_count;
};

/* Reads a whole request; NULL when the connection ended before. */
static inline char *fake_read(int fd) {
    size_t len = 0, cap = 65536;
    char *text = calloc(1, cap);
    for (;;) {
        ssize_t n = read(fd, text + len, cap - len - 1);
        if (n <= 0) {
            free(text);
            return NULL;
        }
        len += (size_t)n;
        text[len] = '\0';
        if (text[0] == 0x16) { /* TLS: what an HTTP server says to that */
            static const char refusal[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
            if (write(fd, refusal, sizeof refusal - 1) < 0)
                perror("fake agent");
            free(text);
            return NULL;
        }
        char *body = strstr(text, "\r\n\r\n");
        if (body == NULL)
            continue;
        body += 4;
        char *length = strcasestr(text, "\r\nContent-Length:");
        bool chunked = strcasestr(text, "\r\nTransfer-Encoding: chunked") != NULL;
        if (chunked ? strstr(body, "0\r\n\r\n") != NULL
                    : length == NULL || strlen(body) >= strtoul(length + 17, NULL, 10))
            return text;
    }
}

static inline void *fake_serve(void *owner) {
    struct fake_agent *agent = owner;
    for (size_t i = 0; i < agent->answer_count;) {
        int fd = accept(agent->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        char *request = fake_read(fd);
        if (request != NULL) {
            agent->requests[agent->request_count++] = request;
            const char *answer = agent->answers[i++];
            if (write(fd, answer, strlen(answer)) < 0)
                perror("fake agent");
        } else {
            i++; /* a connection that says nothing readable takes an answer too */
        }
        close(fd);
    }
    return NULL;
}

/* The answers follow, ended by NULL. path: of a socket, or NULL. */
static inline void fake_start(struct fake_agent *agent, const char *path,
                              const char *const *answers) {
    memset(agent, 0, sizeof *agent);
    while (answers[agent->answer_count] != NULL) {
        agent->answers[agent->answer_count] = answers[agent->answer_count];
        agent->answer_count++;
    }
    if (path != NULL) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        strcpy(to.sun_path, path);
        agent->fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (bind(agent->fd, (struct sockaddr *)&to, sizeof to) != 0)
            abort();
        snprintf(agent->address, sizeof agent->address, "unix://%s", path);
    } else {
        struct sockaddr_in to = {.sin_family = AF_INET};
        socklen_t len = sizeof to;
        inet_pton(AF_INET, "127.49.0.20", &to.sin_addr);
        agent->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(agent->fd, (struct sockaddr *)&to, sizeof to) != 0)
            abort();
        getsockname(agent->fd, (struct sockaddr *)&to, &len);
        snprintf(agent->address, sizeof agent->address, "127.49.0.20:%d", ntohs(to.sin_port));
    }
    listen(agent->fd, 16);
    setenv("CONSUL_HTTP_ADDR", agent->address, 1);
    pthread_create(&agent->thread, NULL, fake_serve, agent);
}
#define FAKE_START(agent, ...) fake_start((agent), NULL, (const char *const[]){__VA_ARGS__, NULL})

/* Waits until all answers were given. */
static inline void fake_join(struct fake_agent *agent) {
    pthread_join(agent->thread, NULL);
    close(agent->fd);
}

static inline void fake_free(struct fake_agent *agent) {
    for (size_t i = 0; i < agent->request_count; i++)
        free(agent->requests[i]);
}

#endif
