/* stream.c, listener.c, client_limit.c: an echo server on two loops, driven over real sockets:
 * partial reads, backpressure both ways, half-closed clients, shared output, the goodbye, taken
 * ports. All that concerns connections is done in clear and, through a tunnel, with TLS.
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
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../certificates.h"
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

static atomic_uint opened, closed, released, tunnels, drained;
static struct conn *_Atomic filled; /* what "fill" was said to */
static char big[1 << 20];
static atomic_bool encrypted; /* the connections of the test that runs */
static struct tls_config *tls;
static struct loop loops[2];
static const struct stream_handlers handlers;

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

/* To another owner on the other loop, with what has come and was not taken. */
struct moving {
    struct message message;
    struct conn *c;
    struct stream_detached connection;
};

static void move_arrive(struct message *m) {
    struct moving *moving = CONTAINER_OF(m, struct moving, message);
    struct conn *c = moving->c;
    stream_attach(&c->stream, c->loop, &moving->connection, &handlers);
    buf_add_text(stream_out(&c->stream), "moved\n");
    stream_flush(&c->stream);
    stream_set_busy(&c->stream, false);
    mem_free(moving);
}

static void move(struct conn *c, struct str rest) {
    struct moving *moving = MEM_NEW(struct moving);
    moving->c = MEM_NEW(struct conn);
    moving->c->loop = c->loop == &loops[0] ? &loops[1] : &loops[0];
    moving->message.run = move_arrive;
    stream_push(&c->stream);
    stream_detach(&c->stream, &moving->connection);
    buf_add_str(&moving->connection.input, rest);
    atomic_fetch_add(&opened, 1);
    loop_post_reply(moving->c->loop, &moving->message);
}

static void take_line(struct conn *c, struct str line, struct str rest) {
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
    } else if (str_is(line, "fill")) {
        filled = c;
    } else if (str_is(line, "move")) {
        move(c, rest);
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
        take_line(c, line, str_of(bytes + at, len - at));
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
    atomic_fetch_add(&drained, 1);
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
    if (encrypted && peer->ip_len != 0)
        stream_start_tls(&c->stream, tls_session_new(tls, TLS_SERVER, STR_NONE), STR_NONE);
}

static struct loop *loop_list[] = {&loops[0], &loops[1]};
static struct listener *tcp, *local;
static char socket_path[64];

static int setup(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    memset(big, 'b', sizeof big);
    struct certificate own =
        certificate_make(&arena, &(struct certificate_wish){.name = "s", .names = "DNS:s"});
    struct tls_options options = {
        .certificate = own.pem, .key = own.key, .authorities = {&own.pem, 1}, .least = TLS_1_2};
    tls = tls_config_new(&options, &e);
    certificate_free(&own);
    if (tls == NULL)
        return -1;
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
    for (int i = 0; i < 1000 && atomic_load(&tunnels) > 0; i++)
        usleep(10000); /* what they hold is no leak */
    assert_int_equal(atomic_load(&tunnels), 0);
    tls_config_release(tls);
    return 0;
}

/* ---- the tunnel: in clear at one end, encrypted at the other; a thread each, until both ended
 * ----
 */

struct tunnel {
    int clear, encrypted;
    struct tls_session *session;
};

static bool tunnel_send(int fd, const char *bytes, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, bytes + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static bool tunnel_push(struct tunnel *t) {
    struct buf *out = tls_output(t->session);
    bool ok = tunnel_send(t->encrypted, out->data, out->len);
    buf_clear(out);
    return ok;
}

static bool tunnel_inwards(struct tunnel *t) {
    char bytes[20000], plain[20000];
    ssize_t n = recv(t->encrypted, bytes, sizeof bytes, 0);
    enum tls_result result = n > 0 ? TLS_OK : TLS_ENDED;
    if (n > 0)
        tls_feed(t->session, str_of(bytes, (size_t)n));
    while (result == TLS_OK) {
        size_t len;
        result = tls_read(t->session, plain, sizeof plain, &len);
        if (result == TLS_OK && !tunnel_send(t->clear, plain, len))
            return false;
    }
    return result == TLS_MORE && tunnel_push(t);
}

/* False: this side has nothing more to say. */
static bool tunnel_outwards(struct tunnel *t) {
    char bytes[20000];
    ssize_t n = recv(t->clear, bytes, sizeof bytes, 0);
    size_t taken;
    for (ssize_t at = 0; at < n; at += (ssize_t)taken)
        if (tls_write(t->session, bytes + at, (size_t)(n - at), &taken) != TLS_OK)
            return false;
    return n > 0 && tunnel_push(t);
}

static void *tunnel_run(void *arg) {
    struct tunnel *t = arg;
    char none[1];
    size_t len;
    tls_read(t->session, none, 1, &len);
    bool on = tunnel_push(t), listening = true;
    while (on) {
        bool ready = tls_is_established(t->session);
        struct pollfd fds[2] = {{.fd = t->encrypted, .events = POLLIN},
                                {.fd = t->clear, .events = listening && ready ? POLLIN : 0}};
        poll(fds, listening && ready ? 2 : 1, 10000);
        if (fds[0].revents != 0)
            on = tunnel_inwards(t);
        else if (listening && !(listening = tunnel_outwards(t))) {
            struct linger hard = {.l_onoff = 1};
            tls_end(t->session);
            on = tunnel_push(t);
            if ((fds[1].revents & POLLHUP) != 0) { /* the test has closed it altogether */
                setsockopt(t->encrypted, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
                on = false;
            }
        }
    }
    char unheard[4096];
    shutdown(t->clear, SHUT_WR); /* closed with something unread, it would be a reset */
    while (recv(t->clear, unheard, sizeof unheard, 0) > 0)
        continue;
    tls_session_free(t->session);
    close(t->encrypted);
    close(t->clear);
    mem_free(t);
    atomic_fetch_sub(&tunnels, 1);
    return NULL;
}

static int tunnel(int fd) {
    int pair[2];
    pthread_t thread;
    struct tunnel *t = MEM_NEW(struct tunnel);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    *t = (struct tunnel){pair[1], fd, tls_session_new(tls, TLS_CLIENT, STR("s"))};
    atomic_fetch_add(&tunnels, 1);
    assert_int_equal(pthread_create(&thread, NULL, tunnel_run, t), 0);
    pthread_detach(thread);
    return pair[0];
}

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)listener_port(tcp))};
    inet_pton(AF_INET, ADDRESS, &to.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return encrypted ? tunnel(fd) : fd;
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

static void test_moves(void **state) {
    int fd = dial();
    put(fd, "echo a\nmove\necho b\nmove\nmove\necho c\nec");
    expect(fd, "echo a\nmoved\necho b\nmoved\nmoved\necho c\n");
    put(fd, "ho d\nbig\n");
    expect(fd, "echo d\nbbb");
    close(fd);
}

struct push {
    struct message message;
    sem_t full, room, done;
    bool blocked, still;
};

/* Without a round of the loop in between: more than the system takes, then, when the client has
 * read it, what was left. */
static void push_run(struct message *m) {
    struct push *p = CONTAINER_OF(m, struct push, message);
    struct stream *s = &((struct conn *)filled)->stream;
    while (!s->blocked) {
        buf_add(stream_out(s), big, 65536);
        stream_push(s);
    }
    p->blocked = s->blocked;
    sem_post(&p->full);
    sem_wait(&p->room);
    stream_push(s);
    p->still = stream_backlog(s) > 0;
    sem_post(&p->done);
}

/* Whoever it was that sent the rest: who waits for that is told. */
static void test_drained_is_told(void **state) {
    struct push p = {.message = {.run = push_run}};
    sem_init(&p.full, 0, 0);
    sem_init(&p.room, 0, 0);
    sem_init(&p.done, 0, 0);
    filled = NULL;
    int fd = dial();
    put(fd, "fill\n");
    for (int i = 0; i < 5000 && filled == NULL; i++)
        usleep(1000);
    assert_true(filled != NULL);
    unsigned before = atomic_load(&drained);
    loop_post_reply(((struct conn *)filled)->loop, &p.message);
    sem_wait(&p.full);
    struct pollfd more = {.fd = fd, .events = POLLIN};
    char *bytes = mem_alloc(sizeof big);
    while (poll(&more, 1, 200) == 1)
        assert_true(recv(fd, bytes, sizeof big, 0) > 0);
    sem_post(&p.room);
    sem_wait(&p.done);
    assert_true(p.blocked);
    assert_false(p.still);
    for (int i = 0; i < 5000 && atomic_load(&drained) == before; i++)
        usleep(1000);
    assert_true(atomic_load(&drained) > before);
    mem_free(bytes);
    close(fd);
}

/* What is no handshake is closed without a word, as the peer does. */
static void test_no_handshake(void **state) {
    encrypted = false;
    int fd = dial();
    encrypted = true;
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)listener_port(tcp))};
    inet_pton(AF_INET, ADDRESS, &to.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    put(fd, "echo hello there, whoever you are\n");
    char alert[100];
    ssize_t len = 0, n;
    while ((n = recv(fd, alert + len, sizeof alert - (size_t)len, 0)) > 0)
        len += n;
    assert_int_equal(len, 0);
    close(fd);
}

static int clear_setup(void **state) {
    encrypted = false;
    return 0;
}

static int tls_setup(void **state) {
    encrypted = true;
    return 0;
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

#define BOTH(test)                                                                                 \
    {#test, test, clear_setup, NULL, NULL}, {                                                      \
#test " with TLS", test, tls_setup, NULL, NULL                                             \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(test_pieces),
        BOTH(test_goodbye_is_heard),
        BOTH(test_busy_keeps_what_comes),
        BOTH(test_half_closed_client_is_answered),
        BOTH(test_slow_reader),
        BOTH(test_client_dies),
        BOTH(test_deadline),
        BOTH(test_moves),
        BOTH(test_drained_is_told),
        BOTH(test_connections_are_spread),
        cmocka_unit_test_setup(test_no_handshake, tls_setup),
        cmocka_unit_test_setup(test_unix_socket, clear_setup),
        cmocka_unit_test(test_taken_port),
        cmocka_unit_test(test_client_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
