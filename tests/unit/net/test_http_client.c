/* http_client.c: the limits of the parts of a connection: a server that does not take it, one that
 * is silent in the TLS handshake, one whose connection is there in time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/http_client.h"

#define ADDRESS "127.45.9.2"
#define LIMIT (50 * MILLISECOND)

static struct loop loop;
static struct arena arena;
static struct http_transfer transfer;
static int waiting[4];

static int listen_on(int backlog, int *port) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, ADDRESS, &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* So many connections wait that Linux answers no further one. */
static void fill(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, ADDRESS, &to.sin_addr);
    for (size_t i = 0; i < COUNT_OF(waiting); i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int done = connect(waiting[i], (struct sockaddr *)&to, sizeof(to));
        assert_true(done == 0 || errno == EINPROGRESS);
    }
}

static void on_done(struct http_transfer *t) {
    loop_stop(&loop);
}

/* What is wrong with a request that has all limits, "" when only its own time is up. */
static struct str ask(const char *scheme, int port, int64_t timeout) {
    struct error e = ERROR_IN(&arena);
    assert_true(loop_init(&loop, "client", 16, &e));
    struct http_client *client = http_client_new(&loop, &e);
    assert_non_null(client);
    transfer = (struct http_transfer){
        .curl = client,
        .arena = &arena,
        .url = str_format(&arena, "%s://" ADDRESS ":%d/x", scheme, port).data,
        .method = "GET",
        .timeout = timeout,
        .dial_limit = LIMIT,
        .handshake_limit = LIMIT,
        .done = on_done,
    };
    assert_true(http_transfer_start(&transfer, &e));
    loop_run_here(&loop);
    struct str why = transfer.code == CURLE_OPERATION_TIMEDOUT
                         ? STR("")
                         : http_transfer_fault(&transfer, STR(ADDRESS));
    http_transfer_free(&transfer);
    http_client_free(client);
    loop_free(&loop);
    return why;
}

static void test_nobody_takes_the_connection(void **state) {
    int port, fd = listen_on(0, &port);
    fill(port);
    struct str expected = str_format(&arena, "dial tcp " ADDRESS ":%d: i/o timeout", port);
    for (size_t i = 0; i < 2; i++) {
        struct str why = ask(i == 0 ? "http" : "https", port, 10 * SECOND);
        assert_string_equal(str_terminated(&arena, why), expected.data);
    }
    for (size_t i = 0; i < COUNT_OF(waiting); i++)
        close(waiting[i]);
    close(fd);
    arena_free(&arena);
}

static void test_silence_in_the_handshake(void **state) {
    int port, fd = listen_on(8, &port);
    struct str why = ask("https", port, 10 * SECOND);
    assert_string_equal(str_terminated(&arena, why), "net/http: TLS handshake timeout");
    close(fd);
    arena_free(&arena);
}

/* The limits are not those of the answer. */
static void test_silence_after_the_connection(void **state) {
    int port, fd = listen_on(8, &port);
    int64_t began = time_now_monotonic();
    assert_int_equal(ask("http", port, 4 * LIMIT).len, 0);
    assert_true(time_now_monotonic() - began >= 4 * LIMIT);
    close(fd);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_takes_the_connection),
        cmocka_unit_test(test_silence_in_the_handshake),
        cmocka_unit_test(test_silence_after_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
