/* A connection that speaks HTTP/2, with frames of anybody behind a good preface, in pieces of any
 * size. The first byte chooses the pieces; the second whether the client hangs up, whether it
 * reads, and whether the end comes while the interface stops taking requests.
 */
#include "fuzz/http_routes.h"

static void speak_http2(struct stream *s) {
    struct http_connection *c = (struct http_connection *)s;
    if (c->h2 == NULL && s->carrier == NULL)
        http2_begin(c);
}

static bool put(int fd, const void *bytes, size_t len, bool reads) {
    bool fine = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
    turn(reads ? fd : -1);
    return fine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct peer_address peer = {.ip = {127, 0, 0, 1}, .ip_len = 4};
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    int fds[2];
    if (http == NULL)
        start();
    if (size < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
        return 0;
    http_connection_open(&http->loops[0], fds[0], &peer, false);
    stream_for_each(&loop, &http_stream_handlers, speak_http2);
    size_t step = data[0] + 1u;
    bool hard = (data[1] & 1) != 0, reads = (data[1] & 2) == 0, stops = (data[1] & 4) != 0;
    put(fds[1], preface, sizeof preface, reads);
    for (size_t at = 2; at < size; at += step)
        if (!put(fds[1], data + at, step < size - at ? step : size - at, reads))
            break;
    if (stops)
        stream_for_each(&loop, &http2_stream_handlers, http2_stop);
    for (int i = 0; i < 4 && !hard; i++)
        turn(fds[1]);
    close(fds[1]);
    expect_nothing_left();
    return 0;
}
