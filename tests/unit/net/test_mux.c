/* mux.c and dial.c on real sockets and two loops: both sides send all they can on many streams and
 * nobody waits for ever; ends of all kinds; connections that come about, are refused, time out, are
 * called off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/mux.h"

#define IP "127.63.4.1"

static struct loop server_loop, client_loop;
static struct listener *listener;
static uint16_t port;
static sem_t event;

static void wait_event(void) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 30;
    while (sem_timedwait(&event, &at) != 0)
        if (errno != EINTR)
            fail_msg("nothing happens");
}

/* Runs fn on a loop and waits until it has run. */
struct job {
    struct message message;
    void (*fn)(void);
    sem_t done;
};

static void job_run(struct message *m) {
    struct job *j = CONTAINER_OF(m, struct job, message);
    j->fn();
    sem_post(&j->done);
}

static void on_loop(struct loop *l, void (*fn)(void)) {
    struct job j = {.message = {.run = job_run}, .fn = fn};
    sem_init(&j.done, 0, 0);
    loop_post_reply(l, &j.message);
    sem_wait(&j.done);
    sem_destroy(&j.done);
}

/* ---- the server: echoes, takes what it can send ---- */

struct echo {
    struct mux mux;
};

static atomic_uint echoes;

static size_t echo_data(struct yamux_stream *s, const char *bytes, size_t len) {
    size_t n = yamux_write(s, bytes, len);
    mux_flush(mux_of(s));
    if (n < len)
        yamux_set_busy(s, true);
    return n;
}

static void echo_writable(struct yamux_stream *s) {
    yamux_set_busy(s, false);
}

static void echo_ended(struct yamux_stream *s) {
    yamux_close(s);
}

static void echo_gone(struct yamux_stream *s, enum yamux_why why) {}

static const struct yamux_stream_handlers echo_handlers = {echo_data, echo_ended, echo_writable,
                                                           echo_gone};

static void echo_incoming(struct mux *m) {
    struct yamux_stream *s;
    while ((s = yamux_accept(m->yamux, &echo_handlers, m)) != NULL)
        yamux_set_busy(s, false);
}

static void echo_over(struct mux *m, const char *why) {}

static void echo_closed(struct mux *m) {
    atomic_fetch_sub(&echoes, 1);
    mem_free(CONTAINER_OF(m, struct echo, mux));
}

static const struct mux_handlers echo_mux = {echo_incoming, NULL, echo_over, echo_closed};
static struct echo *last_echo;

static void on_accept(void *owner, struct loop *loop, int fd, const struct peer_address *peer) {
    struct echo *e = MEM_NEW(struct echo);
    struct stream_detached connection = {.fd = fd};
    atomic_fetch_add(&echoes, 1);
    last_echo = e;
    mux_init(&e->mux, loop, &connection, YAMUX_SERVER, &echo_mux, e);
    mux_start(&e->mux);
}

/* ---- the client ---- */

#define TALKS 20
#define TALK_BYTES ((uint64_t)1 << 20)

struct talk {
    struct yamux_stream *stream;
    uint64_t sent, got;
    bool gone;
};

static struct mux client;
static struct talk talks[TALKS];
static unsigned talks_over;
static char over_why[64];
static bool client_up;

static char pattern(const struct talk *t, uint64_t at) {
    return (char)((uint64_t)(t - talks) * 13 + at * 7 + (at >> 9));
}

static void talk_write(struct talk *t) {
    char bytes[5000];
    while (t->sent < TALK_BYTES) {
        size_t len =
            TALK_BYTES - t->sent < sizeof bytes ? (size_t)(TALK_BYTES - t->sent) : sizeof bytes;
        for (size_t i = 0; i < len; i++)
            bytes[i] = pattern(t, t->sent + i);
        size_t n = yamux_write(t->stream, bytes, len);
        t->sent += n;
        if (n < len)
            break;
    }
    mux_flush(&client);
}

static size_t talk_data(struct yamux_stream *s, const char *bytes, size_t len) {
    struct talk *t = yamux_stream_owner(s);
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != pattern(t, t->got + i))
            abort();
    t->got += len;
    if (t->got == TALK_BYTES) {
        yamux_close(s);
        t->stream = NULL;
        if (++talks_over == TALKS)
            sem_post(&event);
    }
    return len;
}

static void talk_ended(struct yamux_stream *s) {}

static void talk_writable(struct yamux_stream *s) {
    talk_write(yamux_stream_owner(s));
}

static void talk_gone(struct yamux_stream *s, enum yamux_why why) {
    struct talk *t = yamux_stream_owner(s);
    t->gone = true;
    t->stream = NULL;
}

static const struct yamux_stream_handlers talk_handlers = {talk_data, talk_ended, talk_writable,
                                                           talk_gone};

static void client_over(struct mux *m, const char *why) {
    snprintf(over_why, sizeof over_why, "%s", why);
}

static void client_closed(struct mux *m) {
    client_up = false;
    sem_post(&event);
}

static const struct mux_handlers client_mux = {NULL, NULL, client_over, client_closed};

static void client_dialled(void *owner, int fd, const struct error *e) {
    if (fd < 0)
        abort();
    struct stream_detached connection = {.fd = fd};
    mux_init(&client, &client_loop, &connection, YAMUX_CLIENT, &client_mux, NULL);
    mux_start(&client);
    client_up = true;
    sem_post(&event);
}

static void client_dial(void) {
    struct dial_target target = {.ip = STR(IP), .port = port};
    dial_start(&client_loop, &target, client_dialled, NULL);
}

static void talks_begin(void) {
    bool wait;
    talks_over = 0;
    for (int i = 0; i < TALKS; i++) {
        talks[i] = (struct talk){0};
        talks[i].stream = yamux_open(client.yamux, &talk_handlers, &talks[i], &wait);
        talk_write(&talks[i]);
    }
}

static void client_close(void) {
    mux_close(&client);
    mux_close(&client);
}

static void server_close(void) {
    mux_close(&last_echo->mux);
}

static void connect_client(void) {
    on_loop(&client_loop, client_dial);
    wait_event();
    for (int i = 0; i < 1000 && atomic_load(&echoes) == 0; i++)
        usleep(10000);
}

static void wait_echoes_gone(void) {
    for (int i = 0; i < 1000 && atomic_load(&echoes) > 0; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&echoes), 0);
}

static void test_both_send_all(void **state) {
    connect_client();
    on_loop(&client_loop, talks_begin);
    wait_event();
    for (int i = 0; i < TALKS; i++)
        assert_int_equal(talks[i].got, TALK_BYTES);
    on_loop(&client_loop, client_close);
    wait_event();
    assert_string_equal(over_why, "session shutdown");
    wait_echoes_gone();
}

/* While everything is full of bytes. */
static void test_ends(void **state) {
    for (int round = 0; round < 10; round++) {
        connect_client();
        on_loop(&client_loop, talks_begin);
        usleep((useconds_t)(round * 1000));
        if (round % 2 == 0)
            on_loop(&server_loop, server_close);
        else
            on_loop(&client_loop, client_close);
        do {
            wait_event(); /* perhaps the talks were over first */
        } while (client_up);
        assert_string_equal(over_why, round % 2 == 0 ? "EOF" : "session shutdown");
        for (int i = 0; i < TALKS; i++)
            assert_null(talks[i].stream);
        wait_echoes_gone();
    }
}

/* ---- dialling ---- */

static struct dial_target target;
static struct dial *dialling;
static int dialled_fd;
static char dial_error[256];

static void dialled(void *owner, int fd, const struct error *e) {
    dialled_fd = fd;
    snprintf(dial_error, sizeof dial_error, "%.*s", e != NULL ? (int)e->text.len : 0,
             e != NULL ? e->text.data : "");
    sem_post(&event);
}

static void dial_begin(void) {
    dialling = dial_start(&client_loop, &target, dialled, NULL);
}

static void dial_end(void) {
    dial_cancel(dialling);
}

static void expect_error(struct dial_target t, const char *text) {
    target = t;
    on_loop(&client_loop, dial_begin);
    wait_event();
    assert_int_equal(dialled_fd, -1);
    assert_string_equal(dial_error, text);
}

static void test_dial_errors(void **state) {
    char text[128];
    expect_error((struct dial_target){.ip = STR("127.63.4.9"), .port = 9},
                 "dial tcp 127.63.4.9:9: connect: connection refused");
    expect_error((struct dial_target){.ip = STR("127.63.4.9"), .port = 9, .source = STR(IP)},
                 "dial tcp " IP ":0->127.63.4.9:9: connect: connection refused");
    expect_error((struct dial_target){.ip = STR("127.63.4.9"), .port = 9, .source = STR("0.0.0.0")},
                 "dial tcp 127.63.4.9:9: connect: connection refused");
    expect_error((struct dial_target){.ip = STR("::1"), .port = 9},
                 "dial tcp [::1]:9: connect: connection refused");
    expect_error((struct dial_target){.ip = STR("127.63.4.9"), .port = 9, .source = STR("8.8.8.8")},
                 "dial tcp 8.8.8.8:0->127.63.4.9:9: bind: cannot assign requested address");
    expect_error((struct dial_target){.ip = STR("nowhere"), .port = 9},
                 "dial tcp nowhere:9: address: not an IP address");
    /* A backlog that is full: nobody answers. */
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting[8];
    struct sockaddr_in where = {.sin_family = AF_INET};
    inet_pton(AF_INET, "127.63.4.8", &where.sin_addr);
    socklen_t len = sizeof where;
    assert_int_equal(bind(full, (struct sockaddr *)&where, len), 0);
    assert_int_equal(listen(full, 0), 0);
    assert_int_equal(getsockname(full, (struct sockaddr *)&where, &len), 0);
    for (int i = 0; i < 8; i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(waiting[i], (struct sockaddr *)&where, len);
    }
    snprintf(text, sizeof text, "dial tcp 127.63.4.8:%u: i/o timeout", ntohs(where.sin_port));
    expect_error((struct dial_target){.ip = STR("127.63.4.8"),
                                      .port = ntohs(where.sin_port),
                                      .timeout = 100 * MILLISECOND},
                 text);
    /* Called off: nothing comes. */
    target = (struct dial_target){.ip = STR("127.63.4.8"), .port = ntohs(where.sin_port)};
    on_loop(&client_loop, dial_begin);
    on_loop(&client_loop, dial_end);
    target = (struct dial_target){.ip = STR("nowhere")};
    on_loop(&client_loop, dial_begin);
    int value;
    usleep(20000);
    sem_getvalue(&event, &value);
    if (value == 0)
        on_loop(&client_loop, dial_end);
    else
        wait_event();
    for (int i = 0; i < 8; i++)
        close(waiting[i]);
    close(full);
}

static void test_dial_source(void **state) {
    target = (struct dial_target){.ip = STR(IP), .port = port, .source = STR("127.63.4.2")};
    on_loop(&client_loop, dial_begin);
    wait_event();
    assert_true(dialled_fd >= 0);
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    char text[64];
    getsockname(dialled_fd, (struct sockaddr *)&own, &len);
    assert_string_equal(inet_ntop(AF_INET, &own.sin_addr, text, sizeof text), "127.63.4.2");
    close(dialled_fd);
    wait_echoes_gone();
}

static void test_split(void **state) {
    struct str ip;
    uint16_t number;
    assert_true(dial_split(STR("10.0.0.1:8300"), &ip, &number));
    assert_true(str_is(ip, "10.0.0.1") && number == 8300);
    assert_true(dial_split(STR("[fe80::1]:1"), &ip, &number));
    assert_true(str_is(ip, "fe80::1") && number == 1);
    static const char *const bad[] = {"",          ":1",     "10.0.0.1",    "10.0.0.1:",
                                      "::1:8300",  "[]:1",   "10.0.0.1:x",  "10.0.0.1:65536",
                                      "host:8300", "[::1:1", "10.0.0.1:-1", "[::1]1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(dial_split(str_from(bad[i]), &ip, &number));
}

static int begin(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    sem_init(&event, 0, 0);
    assert_true(loop_init(&server_loop, "server", 1000, &e));
    assert_true(loop_init(&client_loop, "client", 1000, &e));
    listener = listener_open_tcp(STR(IP), 0, &e);
    assert_non_null(listener);
    port = (uint16_t)listener_port(listener);
    assert_true(loop_start(&server_loop, &e) && loop_start(&client_loop, &e));
    struct loop *loops[] = {&server_loop};
    listener_start(listener, loops, 1, on_accept, NULL);
    arena_free(&arena);
    return 0;
}

static int end(void **state) {
    listener_close(listener);
    struct loop *loops[] = {&server_loop, &client_loop};
    for (int i = 0; i < 2; i++) {
        loop_stop(loops[i]);
        loop_join(loops[i]);
        loop_free(loops[i]);
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_send_all), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_dial_errors),   cmocka_unit_test(test_dial_source),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
