/* What checks are aimed at: sink ADDRESS accepts connections and counts them. A request is answered with a short 200
 * and the end of the connection, "GET /count" with how many connections there were before it; a connection that
 * only comes and goes is a TCP check.
 */
#include "common.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, REQUEST = 4096 };

static unsigned long long count;

static void answer(int fd)
{
    char request[REQUEST + 1], text[256];
    ssize_t n = read(fd, request, REQUEST); /* what checks send comes in one piece */
    if (n > 0) {
        char body[32] = "fine\n";
        request[n] = '\0';
        if (!strncmp(request, "GET /count", 10))
            snprintf(body, sizeof body, "%llu\n", count - 1);
        int size = snprintf(text, sizeof text,
                            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                            strlen(body), body);
        if (write(fd, text, (size_t)size) != size)
            count--; /* nobody there any more */
    }
    close(fd);
}

int run_sink(int argc, char **argv)
{
    if (argc != 1)
        die("usage: sink ADDRESS");
    struct sockaddr_in address = parse_address(argv[0]);
    int listener = listen_tcp(&address), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event want = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &want);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                answer(events[i].data.fd);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                struct epoll_event readable = {.events = EPOLLIN, .data.fd = fd};
                count++;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &readable);
            }
        }
    }
}
