/* A connection of the HTTP interface with bytes of anybody in pieces of any size: heads, pipelined
 * requests, bodies that are read, refused or ignored, answers at once and later, streams. No server
 * behind it; handlers of its own. The first two bytes choose the pieces and whether the client
 * hangs up.
 */
#include "fuzz/http_routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct peer_address peer = {.ip = {127, 0, 0, 1}, .ip_len = 4};
    int fds[2];
    if (http == NULL)
        start();
    if (size < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
        return 0;
    http_connection_open(&http->loops[0], fds[0], &peer, false);
    size_t step = data[0] + 1u;
    bool hard = (data[1] & 1) != 0;
    for (size_t at = 2; at < size; at += step) {
        size_t len = step < size - at ? step : size - at;
        if (send(fds[1], data + at, len, MSG_NOSIGNAL) < 0)
            break;
        turn(fds[1]);
    }
    if (!hard) {
        shutdown(fds[1], SHUT_WR);
        for (int i = 0; i < 4; i++)
            turn(fds[1]);
    }
    close(fds[1]);
    expect_nothing_left();
    return 0;
}
