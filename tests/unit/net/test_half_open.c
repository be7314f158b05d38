/* stream.c, listener.c: the ends of connections on one thread: what came before a hang-up is read
 * even when both sides have ended; a listener that opens and closes on its loop's own thread.
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
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/listener.h"
#include "net/stream.h"

#define ADDRESS "127.45.9.1"

static struct loop loop;
static struct stream stream;
static struct loop_timer timer;
static size_t got, sent;
static bool ended, closed;
static int other; /* the other side's descriptor */
static int waits;

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    got += len;
    return len;
}
/* Told also to who is busy: then what came before waits for him. */
static void on_ended(struct stream *s) {
    ended = true;
    if (!s->busy)
        stream_close(s);
}
static void on_expired(struct stream *s) {
    stream_close(s);
}
static void on_closed(struct stream *s) {
    closed = true;
    loop_stop(&loop);
}
static const struct stream_handlers handlers = {
    .data = on_data, .ended = on_ended, .expired = on_expired, .closed = on_closed};

static int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, ADDRESS, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A TCP connection: *mine is the stream's. */
static void connect_pair(int *mine, int *theirs) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, ADDRESS, &at.sin_addr);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&at, &len);
    *theirs = dial(ntohs(at.sin_port));
    *mine = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(*mine >= 0 && *theirs >= 0);
    close(listener);
}

/* Lets the loop see the hang-up a few times before it wants the bytes. */
static void on_wait(struct loop_timer *t) {
    assert_false(stream.closing);
    if (++waits < 5) {
        loop_timer_set(t, 5 * MILLISECOND);
        return;
    }
    stream_set_busy(&stream, false);
    if (ended && !stream.closing)
        stream_close(&stream);
    loop_timer_close(t, NULL);
}

/* Both sides end while the owner is busy; what came before is his when he wants it. */
static void hang_up(size_t most) {
    struct error e = {0};
    char block[4096] = "";
    int mine;
    got = sent = 0;
    ended = closed = false;
    waits = 0;
    assert_true(loop_init(&loop, "test", 16, &e));
    connect_pair(&mine, &other);
    stream_open(&stream, &loop, mine, &handlers);
    stream_set_busy(&stream, true);
    stream_end_output(&stream);
    fcntl(other, F_SETFL, O_NONBLOCK);
    while (sent < most) {
        size_t size = most - sent < sizeof block ? most - sent : sizeof block;
        ssize_t n = send(other, block, size, 0);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    shutdown(other, SHUT_WR);
    loop_timer_init(&loop, &timer, on_wait, NULL);
    loop_timer_set(&timer, 5 * MILLISECOND);
    loop_run_here(&loop);
    assert_true(ended && closed);
    assert_int_equal(got, sent);
    close(other);
    loop_free(&loop);
}

/* Some of it is not read yet. */
static void test_hang_up(void **state) {
    assert_true(100000 > STREAM_INPUT_LIMIT);
    hang_up(100000);
}

/* All of it is, the end too. */
static void test_hang_up_after_little(void **state) {
    hang_up(53);
}

/* ---- listeners on one thread ---- */

static struct listener *listener;
static int accepted, refused_after;

static void on_accept(void *owner, struct loop *l, int fd, const struct peer_address *peer) {
    assert_ptr_equal(owner, &accepted);
    assert_ptr_equal(l, &loop);
    close(fd);
    if (++accepted < 2)
        return;
    int port = listener_port(listener);
    listener_close_here(listener);
    refused_after = dial(port); /* at once */
    loop_stop(&loop);
}

static void test_one_thread(void **state) {
    struct error e = {0};
    assert_true(loop_init(&loop, "test", 16, &e));
    listener = listener_open_tcp(STR(ADDRESS), 0, &e);
    assert_non_null(listener);
    listener_start_here(listener, &loop, on_accept, &accepted);
    int a = dial(listener_port(listener)), b = dial(listener_port(listener));
    assert_true(a >= 0 && b >= 0);
    loop_run_here(&loop);
    assert_int_equal(accepted, 2);
    assert_int_equal(refused_after, -1);
    close(a);
    close(b);
    loop_free(&loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hang_up),
        cmocka_unit_test(test_hang_up_after_little),
        cmocka_unit_test(test_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
