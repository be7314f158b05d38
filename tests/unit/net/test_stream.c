/* stream.c, listener.c, client_limit.c: an echo server on two loops, driven over real sockets:
 * partial reads, backpressure both ways, half-closed clients, shared output, the goodbye, taken
 * ports.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/client_limit.h"
#include "net/listener.h"
#include "net/stream.h"

#define ADDRESS "127.45.7.1"

/* Takes lines: "echo…" comes back, "hurry" sets a deadline, "big" gives a megabyte, "bye" is
 * answered and ends, "wait" makes the stream busy until the timer fires, and is then answered by
 * "waited". */
struct conn {
    struct stream stream;
    struct loop *loop;
    struct loop_timer timer;
    bool timed, gone, timer_closed;
};

static atomic_uint opened, closed, released;
static char big[1 << 20];

static void conn_free(struct conn *c) {
    if (c->gone && (!c->timed || c->timer_closed))
        mem_free(c);
}

static void on_timer_closed(struct loop_timer *t) {
    struct conn *c = t->owner;
    c->timer_closed = true;
    conn_free(c);
}

static void on_timer(struct loop_timer *t) {
    struct conn *c = t->owner;
    if (!c->gone) {
        buf_add_text(stream_out(&c->stream), "waited\n");
        stream_set_busy(&c->stream, false);
        stream_flush(&c->stream);
        if (c->stream.read_ended && c->stream.in.len == 0)
            stream_finish(&c->stream);
    }
    loop_timer_close(t, on_timer_closed);
}

static void on_release(void *owner) {
    atomic_fetch_add(&released, 1);
}

static void take_line(struct conn *c, struct str line) {
    struct stream *s = &c->stream;
    if (str_has_prefix(line, STR("echo"))) {
        buf_add_str(stream_out(s), line);
        buf_add_char(stream_out(s), '\n');
    } else if (str_is(line, "big")) {
        stream_out_shared(s, str_of(big, sizeof big), on_release, NULL);
        buf_add_char(stream_out(s), '\n');
    } else if (str_is(line, "bye")) {
        buf_add_text(stream_out(s), "bye\n");
        stream_finish(s);
    } else if (str_is(line, "wait")) {
        c->timed = true;
        loop_timer_init(c->loop, &c->timer, on_timer, c);
        loop_timer_set(&c->timer, 50 * MILLISECOND);
        stream_set_busy(s, true);
    } else if (str_is(line, "hurry")) {
        stream_set_deadline(s, MILLISECOND);
    } else {
        stream_close(s);
    }
}

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct conn *c = (struct conn *)s;
    size_t at = 0;
    const char *newline;
    while (!s->closing && !s->finishing && !s->busy &&
           (newline = memchr(bytes + at, '\n', len - at)) != NULL) {
        struct str line = str_of(bytes + at, (size_t)(newline - bytes) - at);
        at += line.len + 1;
        take_line(c, line);
        if (!s->closing && stream_backlog(s) >= (4 << 20)) {
            stream_push(s);
            if (!s->closing && stream_backlog(s) >= (4 << 20))
                stream_set_busy(s, true);
        }
    }
    return at;
}

static void on_ended(struct stream *s) {
    if (!s->busy)
        stream_finish(s);
}

static void on_drained(struct stream *s) {
    struct conn *c = (struct conn *)s;
    if (!c->timed)
        stream_set_busy(s, false);
}

static void on_closed(struct stream *s) {
    struct conn *c = (struct conn *)s;
    c->gone = true;
    atomic_fetch_add(&closed, 1);
    conn_free(c);
}

static const struct stream_handlers handlers = {.data = on_data,
                                                .ended = on_ended,
                                                .drained = on_drained,
                                                .expired = stream_close,
                                                .closed = on_closed};

static void on_accept(void *owner, struct loop *loop, int fd, const struct peer_address *peer) {
    struct conn *c = MEM_NEW(struct conn);
    assert_true(peer->ip_len == 4 || peer->ip_len == 0);
    c->loop = loop;
    atomic_fetch_add(&opened, 1);
    stream_open(&c->stream, loop, fd, &handlers);
}

static struct loop loops[2];
static struct loop *loop_list[] = {&loops[0], &loops[1]};
static struct listener *tcp, *local;
static char socket_path[64];

static int setup(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    memset(big, 'b', sizeof big);
    for (int i = 0; i < 2; i++)
        if (!loop_init(&loops[i], "io", 1000, &e) || !loop_start(&loops[i], &e))
            return -1;
    tcp = listener_open_tcp(STR(ADDRESS), 0, &e);
    snprintf(socket_path, sizeof socket_path, "/tmp/praetor-test-%d.sock", getpid());
    local = listener_open_unix(str_from(socket_path), STR_NONE, STR_NONE, STR("0640"), &e);
    if (tcp == NULL || local == NULL)
        return -1;
    listener_start(tcp, loop_list, 2, on_accept, NULL);
    listener_start(local, loop_list, 2, on_accept, NULL);
    arena_free(&arena);
    return 0;
}

static int teardown(void **state) {
    listener_close(tcp);
    listener_close(local);
    assert_int_not_equal(access(socket_path, F_OK), 0);
    for (int i = 0; i < 2; i++)
        loop_stop(&loops[i]);
    for (int i = 0; i < 2; i++)
        loop_join(&loops[i]);
    for (int i = 0; i < 2; i++)
        loop_free(&loops[i]); /* closes what is left */
    assert_int_equal(atomic_load(&opened), atomic_load(&closed));
    return 0;
}

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)listener_port(tcp))};
    inet_pton(AF_INET, ADDRESS, &to.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void put(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads exactly that text, waiting at most five seconds for each part. */
static void expect(int fd, const char *text) {
    size_t len = strlen(text), have = 0;
    char *got = mem_alloc(len + 1);
    while (have < len) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
        ssize_t n = recv(fd, got + have, len - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
    }
    got[len] = '\0';
    assert_string_equal(got, text);
    mem_free(got);
}

static void expect_end(int fd) {
    char c;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(recv(fd, &c, 1, 0), 0);
    close(fd);
}

static void test_pieces(void **state) {
    int fd = dial();
    put(fd, "echo one\necho two\nec");
    expect(fd, "echo one\necho two\n");
    put(fd, "ho three");
    put(fd, "\n");
    expect(fd, "echo three\n");
    shutdown(fd, SHUT_WR);
    expect_end(fd);
}

static void test_goodbye_is_heard(void **state) {
    int fd = dial();
    /* It is told to go while it is still sending: what was answered must arrive all the same. */
    put(fd, "echo x\nbye\nnobody reads this\n");
    for (int i = 0; i < 50; i++)
        send(fd, big, 1000, MSG_NOSIGNAL | MSG_DONTWAIT);
    expect(fd, "echo x\nbye\n");
    expect_end(fd);
}

static void test_busy_keeps_what_comes(void **state) {
    int fd = dial();
    put(fd, "wait\necho later\n");
    put(fd, "echo last\n");
    expect(fd, "waited\necho later\necho last\n");
    close(fd);
}

static void test_half_closed_client_is_answered(void **state) {
    int fd = dial();
    put(fd, "wait\n");
    shutdown(fd, SHUT_WR);
    expect(fd, "waited\n");
    expect_end(fd);
}

static void test_slow_reader(void **state) {
    int fd = dial();
    enum { TIMES = 20 };
    unsigned before = atomic_load(&released);
    for (int i = 0; i < TIMES; i++)
        put(fd, "big\n");
    put(fd, "echo done\n");
    char *got = mem_alloc(sizeof big + 1);
    for (int i = 0; i < TIMES; i++) {
        size_t have = 0;
        while (have < sizeof big + 1) {
            struct pollfd p = {.fd = fd, .events = POLLIN};
            assert_int_equal(poll(&p, 1, 5000), 1);
            ssize_t n = recv(fd, got + have, sizeof big + 1 - have, 0);
            assert_true(n > 0);
            have += (size_t)n;
        }
        assert_memory_equal(got, big, sizeof big);
        assert_int_equal(got[sizeof big], '\n');
    }
    mem_free(got);
    expect(fd, "echo done\n");
    assert_int_equal(atomic_load(&released) - before, TIMES);
    close(fd);
}

/* A client that goes away with output waiting: everything is released. */
static void test_client_dies(void **state) {
    while (atomic_load(&opened) != atomic_load(&closed))
        usleep(1000); /* those of the tests before */
    unsigned before = atomic_load(&released), ended = atomic_load(&closed);
    int fd = dial();
    put(fd, "big\nbig\nbig\n");
    expect(fd, "bbb");
    struct linger hard = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    for (int i = 0; i < 500 && atomic_load(&closed) == ended; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&closed), ended + 1);
    assert_true(atomic_load(&released) > before);
}

static void test_deadline(void **state) {
    int fd = dial(), other = dial();
    put(other, "hurry\n");
    put(fd, "hurry\n");
    expect_end(fd);
    expect_end(other);
}

static void test_unix_socket(void **state) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct stat s;
    strcpy(to.sun_path, socket_path);
    assert_int_equal(stat(socket_path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0640);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    put(fd, "echo hello\n");
    expect(fd, "echo hello\n");
    close(fd);
}

static void test_connections_are_spread(void **state) {
    int fds[40];
    for (int i = 0; i < 40; i++) {
        fds[i] = dial();
        put(fds[i], "echo here\n");
        expect(fds[i], "echo here\n");
    }
    assert_in_range(stream_count(&loops[0]), 15, 40);
    assert_in_range(stream_count(&loops[1]), 15, 40);
    for (int i = 0; i < 40; i++)
        close(fds[i]);
}

static void test_taken_port(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    assert_null(listener_open_tcp(STR(ADDRESS), listener_port(tcp), &e));
    struct str text = str_format(&arena, "listen tcp " ADDRESS ":%d: bind: address already in use",
                                 listener_port(tcp));
    assert_true(str_eq(e.text, text));
    error_clear(&e);
    assert_null(listener_open_tcp(STR("nowhere"), 1, &e));
    assert_null(listener_open_unix(STR("/nonexistent/x.sock"), STR_NONE, STR_NONE, STR_NONE, &e));
    error_clear(&e);
    /* A file that is no socket is not removed. */
    char path[] = "/tmp/praetor-test-XXXXXX";
    close(mkstemp(path));
    assert_null(listener_open_unix(str_from(path), STR_NONE, STR_NONE, STR_NONE, &e));
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    arena_free(&arena);
}

static void test_client_limit(void **state) {
    struct client_limit *l = client_limit_new(2);
    struct str a = STR("\x7f\0\0\1"), b = STR("\x7f\0\0\2");
    assert_true(client_limit_enter(l, a) && client_limit_enter(l, a));
    assert_false(client_limit_enter(l, a));
    assert_true(client_limit_enter(l, b));
    client_limit_leave(l, a);
    assert_true(client_limit_enter(l, a));
    client_limit_set(l, 0);
    assert_true(client_limit_enter(l, a));
    client_limit_set(l, 1);
    assert_false(client_limit_enter(l, b));
    for (int i = 0; i < 3; i++)
        client_limit_leave(l, a);
    client_limit_leave(l, b);
    assert_true(client_limit_enter(l, a));
    client_limit_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_goodbye_is_heard),
        cmocka_unit_test(test_busy_keeps_what_comes),
        cmocka_unit_test(test_half_closed_client_is_answered),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_client_dies),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_connections_are_spread),
        cmocka_unit_test(test_taken_port),
        cmocka_unit_test(test_client_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
