/* A server for one test: answers each path as it was told, one connection after the other, and
 * counts. A path that was told nothing is 404; a path that ends in "/silent" is never answered.
 */
#ifndef TESTS_UNIT_SERVER_FAKE_HTTP_H
#define TESTS_UNIT_SERVER_FAKE_HTTP_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_PATHS 16

struct fake_http {
    int listener;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t mutex;
    int silent[64]; /* connections that wait for ever */
    int silent_count;
    struct {
        char path[128];
        int status;
        char headers[256];
        char *body;
        int count;
    } paths[FAKE_PATHS];
    char request[8192]; /* the last one */
};

static inline void fake_http_answer(struct fake_http *f, const char *path, int status,
                                    const char *headers, const char *body) {
    pthread_mutex_lock(&f->mutex);
    int i = 0;
    while (i < FAKE_PATHS - 1 && f->paths[i].path[0] != '\0' && strcmp(f->paths[i].path, path) != 0)
        i++;
    snprintf(f->paths[i].path, sizeof(f->paths[i].path), "%s", path);
    snprintf(f->paths[i].headers, sizeof(f->paths[i].headers), "%s", headers);
    f->paths[i].status = status;
    free(f->paths[i].body);
    f->paths[i].body = strdup(body);
    pthread_mutex_unlock(&f->mutex);
}

static inline int fake_http_count(struct fake_http *f, const char *path) {
    int count = 0;
    pthread_mutex_lock(&f->mutex);
    for (int i = 0; i < FAKE_PATHS; i++)
        if (strcmp(f->paths[i].path, path) == 0)
            count = f->paths[i].count;
    pthread_mutex_unlock(&f->mutex);
    return count;
}

/* Whether the last request held the text. */
static inline int fake_http_got(struct fake_http *f, const char *text) {
    pthread_mutex_lock(&f->mutex);
    int got = strstr(f->request, text) != NULL;
    pthread_mutex_unlock(&f->mutex);
    return got;
}

/* Head and body; 0 when the other side is gone. */
static inline int fake_http_read(int link, char *text, size_t size) {
    size_t len = 0, body = 0;
    char *end = NULL;
    while (len < size - 1 && (end == NULL || len < (size_t)(end - text) + 4 + body)) {
        ssize_t got = recv(link, text + len, size - 1 - len, 0);
        if (got <= 0)
            return 0;
        len += (size_t)got;
        text[len] = '\0';
        if (end == NULL && (end = strstr(text, "\r\n\r\n")) != NULL) {
            char *length = strcasestr(text, "content-length:");
            body = length != NULL && length < end ? strtoul(length + 15, NULL, 10) : 0;
        }
    }
    return 1;
}

static inline void fake_http_serve(struct fake_http *f, int link) {
    char path[128] = "", text[8192];
    if (!fake_http_read(link, text, sizeof(text)) || sscanf(text, "%*s %127s", path) != 1) {
        close(link);
        return;
    }
    pthread_mutex_lock(&f->mutex);
    memcpy(f->request, text, sizeof(text));
    size_t len = strlen(path);
    if (len >= 7 && strcmp(path + len - 7, "/silent") == 0 && f->silent_count < 64) {
        f->silent[f->silent_count++] = link;
        pthread_mutex_unlock(&f->mutex);
        return;
    }
    int status = 404;
    const char *body = "404 page not found\n", *headers = "";
    for (int i = 0; i < FAKE_PATHS; i++) {
        if (strcmp(f->paths[i].path, path) == 0) {
            f->paths[i].count++;
            status = f->paths[i].status;
            body = f->paths[i].body;
            headers = f->paths[i].headers;
        }
    }
    dprintf(link, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s", status,
            status == 200   ? "OK"
            : status == 404 ? "Not Found"
                            : "Other",
            strlen(body), headers, body);
    pthread_mutex_unlock(&f->mutex);
    close(link);
}

static inline void *fake_http_main(void *owner) {
    struct fake_http *f = owner;
    int link;
    while ((link = accept(f->listener, NULL, NULL)) >= 0)
        fake_http_serve(f, link);
    return NULL;
}

static inline void fake_http_start(struct fake_http *f) {
    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->mutex, NULL);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bind(f->listener, (struct sockaddr *)&a, sizeof(a));
    listen(f->listener, 64);
    getsockname(f->listener, (struct sockaddr *)&a, &len);
    f->port = ntohs(a.sin_port);
    pthread_create(&f->thread, NULL, fake_http_main, f);
}

static inline void fake_http_stop(struct fake_http *f) {
    shutdown(f->listener, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->listener);
    for (int i = 0; i < f->silent_count; i++)
        close(f->silent[i]);
    for (int i = 0; i < FAKE_PATHS; i++)
        free(f->paths[i].body);
    pthread_mutex_destroy(&f->mutex);
}

#endif
