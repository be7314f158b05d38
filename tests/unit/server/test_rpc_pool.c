/* The pool of connections to servers, against a server of this test's own that can do what a real
 * one does not: break in the middle, answer in pieces, refuse streams.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/msgpack.h"
#include "net/yamux.h"
#include "server/rpc_pool.h"
#include "server/rpc_wire.h"

#define FAKE_IP "127.64.2.1"

/* ---- the server: one thread, one connection at a time after another, many streams ---- */

enum how {
    HOW_OK,          /* the reply is the body of the request */
    HOW_ERROR,       /* an error */
    HOW_BYTES,       /* the reply comes byte by byte, in many frames */
    HOW_FIN,         /* the stream ends without an answer */
    HOW_FIN_HALFWAY, /* after the header and a part of the body */
    HOW_RESET,
    HOW_HANG_UP, /* the connection closes */
    HOW_GARBAGE, /* no msgpack */
    HOW_EXTRA,   /* more behind the reply */
    HOW_SILENT,  /* never an answer */
    HOW_REFUSE,  /* says go away before it answers */
};

static struct {
    pthread_t thread;
    int listener, stop;
    char address[64];
    _Atomic enum how how;
    atomic_uint connections, streams, requests, ended;
    atomic_bool accepts; /* false: streams wait for consent */
    atomic_bool deaf;    /* nothing is read */
} fake;

struct fake_stream {
    struct buf in;
    bool spoke; /* a byte came */
};

struct session {
    struct yamux *yamux;
    struct buf out;
    bool hang_up;
};

static size_t objects_end(const struct buf *in) {
    struct rpc_scan header = {.max_bytes = 1 << 30, .max_tokens = 1 << 20}, body = header;
    if (in->len == 0 || rpc_scan(&header, in->data, in->len) != RPC_SCAN_DONE ||
        in->len == header.at ||
        rpc_scan(&body, in->data + header.at, in->len - header.at) != RPC_SCAN_DONE) {
        return 0;
    }
    return header.at;
}

static void put(struct yamux_stream *s, struct str bytes) {
    ASSERT(yamux_write(s, bytes.data, bytes.len) == bytes.len); /* not cmocka's thread */
}

static void answer(struct yamux_stream *s, struct fake_stream *f, size_t body_at) {
    struct session *session = yamux_owner(yamux_session(s));
    enum how how = fake.how;
    struct buf out = BUF_INIT;
    struct str body = str_of(f->in.data + body_at, f->in.len - body_at);
    rpc_write_response(&out, 1, STR("A.B"),
                       how == HOW_ERROR ? STR("Permission denied: no") : STR_NONE);
    if (how == HOW_ERROR) {
        body = STR("\x80");
    }
    fake.requests++;
    if (how == HOW_FIN || how == HOW_RESET || how == HOW_HANG_UP || how == HOW_SILENT ||
        how == HOW_REFUSE) {
        buf_clear(&out);
        body = STR_NONE;
    }
    if (how == HOW_FIN_HALFWAY) {
        body = str_sub(body, 0, body.len / 2);
    }
    if (how == HOW_GARBAGE) {
        buf_clear(&out);
        body = STR("\x93\xff\xff\xff\x80");
    }
    buf_add_str(&out, body);
    if (how == HOW_EXTRA) {
        buf_add_text(&out, "xyz");
    }
    for (size_t at = 0; at < out.len;) {
        size_t n = how == HOW_BYTES ? 1 : out.len - at;
        put(s, str_of(out.data + at, n));
        at += n;
    }
    buf_free(&out);
    buf_clear(&f->in);
    if (how == HOW_FIN || how == HOW_FIN_HALFWAY || how == HOW_GARBAGE) {
        buf_free(&f->in);
        mem_free(f);
        yamux_close(s);
    } else if (how == HOW_RESET) {
        buf_free(&f->in);
        mem_free(f);
        yamux_reset(s);
    } else if (how == HOW_HANG_UP) {
        session->hang_up = true;
    } else if (how == HOW_REFUSE) {
        /* Go away, code 0. */
        buf_add(&session->out, "\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 12);
    }
}

static size_t on_data(struct yamux_stream *s, const char *bytes, size_t len) {
    struct fake_stream *f = yamux_stream_owner(s);
    f->spoke = true;
    buf_add(&f->in, bytes, len);
    size_t body_at = objects_end(&f->in);
    if (body_at > 0) {
        answer(s, f, body_at);
    }
    return len;
}

static void on_ended(struct yamux_stream *s) {
    struct fake_stream *f = yamux_stream_owner(s);
    struct session *session = yamux_owner(yamux_session(s));
    session->hang_up |= !f->spoke; /* as a server does: rpc.md 2 */
    buf_free(&f->in);
    mem_free(f);
    yamux_close(s);
    fake.ended++;
}

static void on_gone(struct yamux_stream *s, enum yamux_why why) {
    (void)why;
    struct fake_stream *f = yamux_stream_owner(s);
    buf_free(&f->in);
    mem_free(f);
}

static const struct yamux_stream_handlers stream_handlers = {
    .data = on_data, .ended = on_ended, .gone = on_gone};

static void accept_all(struct yamux *y) {
    while (fake.accepts) {
        struct fake_stream *f = MEM_NEW(struct fake_stream);
        struct yamux_stream *s = yamux_accept(y, &stream_handlers, f);
        if (s == NULL) {
            mem_free(f);
            return;
        }
        fake.streams++;
        yamux_set_busy(s, false);
    }
}

static struct buf *session_out(struct yamux *y) {
    return &((struct session *)yamux_owner(y))->out;
}
static size_t session_backlog(struct yamux *y) {
    return session_out(y)->len;
}
static const struct yamux_handlers session_handlers = {
    .out = session_out, .backlog = session_backlog, .incoming = accept_all};

static bool send_all(int fd, struct buf *out) {
    for (size_t at = 0; at < out->len;) {
        ssize_t n = send(fd, out->data + at, out->len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        at += (size_t)n;
    }
    buf_clear(out);
    return true;
}

/* One connection's turn; false: it is over. */
static bool session_round(struct session *session, int fd) {
    char bytes[65536];
    struct pollfd polls[] = {{fd, fake.deaf ? 0 : POLLIN, 0}, {fake.stop, POLLIN, 0}};
    poll(polls, 2, 10);
    if (polls[1].revents != 0) {
        return false;
    }
    if (polls[0].revents != 0) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0 || !yamux_input(session->yamux, bytes, (size_t)n, time_now_monotonic())) {
            return false;
        }
    }
    accept_all(session->yamux);
    yamux_drained(session->yamux);
    return send_all(fd, &session->out) && !session->hang_up;
}

static void serve(int fd) {
    struct session session = {0};
    char type;
    fake.connections++;
    if (recv(fd, &type, 1, 0) == 1 && type == 4) {
        session.yamux = yamux_new(YAMUX_SERVER, time_now_monotonic(), &session_handlers, &session);
        while (session_round(&session, fd))
            continue;
        yamux_free(session.yamux);
    }
    buf_free(&session.out);
    close(fd);
}

static void *serve_thread(void *arg) {
    (void)arg;
    for (;;) {
        struct pollfd polls[] = {{fake.listener, POLLIN, 0}, {fake.stop, POLLIN, 0}};
        poll(polls, 2, -1);
        if (polls[1].revents != 0) {
            return NULL;
        }
        int fd = accept(fake.listener, NULL, NULL);
        if (fd >= 0) {
            serve(fd);
        }
    }
}

/* ---- the pool's side ---- */

static struct loop loop;
static struct rpc_pool *pool;
static atomic_uint done_count;
static atomic_bool closed;

struct request {
    struct rpc_exchange x;
    struct message message, cancel;
    struct arena arena;
    struct buf reply;
    char error[256];
    sem_t done, cancelled;
    const char *address;
    struct str body;
    struct request *also; /* to be started in the same breath */
};

static void request_done(struct rpc_exchange *x) {
    struct request *r = x->owner;
    snprintf(r->error, sizeof r->error, "%.*s", STR_ARG(x->error.text));
    ASSERT(error_is_set(&x->error) == (r->error[0] != 0));
    buf_clear(&r->reply);
    buf_add_str(&r->reply, x->reply);
    done_count++;
    sem_post(&r->done);
}

static void request_run(struct message *m) {
    struct request *r = CONTAINER_OF(m, struct request, message);
    r->x.address = str_from(r->address);
    r->x.method = STR("A.B");
    r->x.body = r->body;
    r->x.done = request_done;
    r->x.owner = r;
    r->x.arena = &r->arena;
    unsigned before = done_count;
    rpc_start(pool, &r->x);
    ASSERT(closed || before == done_count); /* never inside */
    if (r->also != NULL)
        request_run(&r->also->message);
}

static void request_start(struct request *r, const char *to, struct str body) {
    sem_init(&r->done, 0, 0);
    r->address = to;
    r->body = body;
    r->message.run = request_run;
    loop_post_reply(&loop, &r->message);
}

static bool wait_ms(sem_t *sem, int ms) {
    for (int i = 0; i < ms; i++) {
        if (sem_trywait(sem) == 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

static void request_end(struct request *r) {
    buf_free(&r->reply);
    arena_free(&r->arena);
    sem_destroy(&r->done);
    memset(r, 0, sizeof *r);
}

static const char body_text[] = "\xa5hello";
#define BODY ((struct str){body_text, 6})

static void expect(enum how how, const char *error) {
    struct request r = {0};
    fake.how = how;
    request_start(&r, fake.address, BODY);
    assert_true(wait_ms(&r.done, 10000));
    assert_string_equal(r.error, error);
    if (error[0] == 0) {
        assert_true(str_eq(buf_str(&r.reply), BODY));
    }
    request_end(&r);
}

static void close_run(struct message *m) {
    rpc_pool_close(pool);
    closed = true;
    sem_post(&CONTAINER_OF(m, struct request, message)->done);
}

static void on_loop(void (*run)(struct message *m)) {
    struct request r = {0};
    sem_init(&r.done, 0, 0);
    r.message.run = run;
    loop_post_reply(&loop, &r.message);
    sem_wait(&r.done);
    sem_destroy(&r.done);
}

static int begin(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(FAKE_IP)};
    socklen_t len = sizeof at;
    closed = false;
    fake.how = HOW_OK;
    fake.accepts = true;
    fake.deaf = false;
    fake.connections = fake.streams = fake.requests = fake.ended = 0;
    fake.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fake.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fake.listener, 100), 0);
    getsockname(fake.listener, (struct sockaddr *)&at, &len);
    snprintf(fake.address, sizeof fake.address, FAKE_IP ":%u", ntohs(at.sin_port));
    fake.stop = eventfd(0, 0);
    pthread_create(&fake.thread, NULL, serve_thread, NULL);
    assert_true(loop_init(&loop, "pool", 100000, &e));
    struct rpc_pool_options options = {.source = STR("127.64.2.2"), .idle_time = 500 * MILLISECOND};
    pool = rpc_pool_new(&loop, &options);
    assert_true(loop_start(&loop, &e));
    return 0;
}

static int end(void **state) {
    on_loop(close_run);
    loop_stop(&loop);
    loop_join(&loop);
    loop_free(&loop);
    rpc_pool_free(pool);
    uint64_t one = 1;
    assert_int_equal(write(fake.stop, &one, 8), 8);
    pthread_join(fake.thread, NULL);
    close(fake.stop);
    close(fake.listener);
    return 0;
}

/* ---- tests ---- */

static void test_one_stream_again_and_again(void **state) {
    for (int i = 0; i < 10; i++) {
        expect(HOW_OK, "");
    }
    expect(HOW_BYTES, "");
    assert_int_equal(fake.connections, 1);
    assert_int_equal(fake.streams, 1);
}

static bool becomes(atomic_uint *n, unsigned want) {
    for (int i = 0; i < 5000 && *n != want; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return *n == want;
}

static void test_an_error_closes_the_stream(void **state) {
    expect(HOW_OK, "");
    expect(HOW_ERROR, "rpc error making call: Permission denied: no");
    assert_true(becomes(&fake.ended, 1));
    expect(HOW_OK, "");
    assert_int_equal(fake.streams, 2);
    assert_int_equal(fake.connections, 1);
    /* So does what stands behind a reply. */
    expect(HOW_EXTRA, "");
    assert_true(becomes(&fake.ended, 2));
    expect(HOW_OK, "");
    assert_int_equal(fake.streams, 3);
}

static void test_broken_streams(void **state) {
    expect(HOW_FIN, "rpc error making call: EOF");
    expect(HOW_OK, "");
    assert_int_equal(fake.connections, 2); /* after an EOF the connection is not used again */
    expect(HOW_FIN_HALFWAY, "rpc error making call: unexpected EOF");
    expect(HOW_RESET, "rpc error making call: connection reset");
    expect(HOW_OK, "");
    assert_int_equal(fake.connections, 2);
    expect(HOW_HANG_UP, "rpc error making call: EOF");
    expect(HOW_OK, "");
    assert_int_equal(fake.connections, 3);
    struct request r = {0};
    fake.how = HOW_GARBAGE;
    request_start(&r, fake.address, BODY);
    assert_true(wait_ms(&r.done, 10000));
    assert_memory_equal(r.error, "rpc error making call: ", 23);
    request_end(&r);
    expect(HOW_OK, "");
}

static void test_go_away(void **state) {
    struct request waiting = {0};
    fake.how = HOW_REFUSE;
    request_start(&waiting, fake.address, BODY);
    assert_true(becomes(&fake.requests, 1));
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    /* No stream can be opened there any more: the next one dials anew. The fake server takes one
     * connection after the other, so the first must go first. */
    struct request next = {0};
    fake.how = HOW_OK;
    request_start(&next, fake.address, BODY);
    assert_false(wait_ms(&next.done, 100));
    fake.how = HOW_HANG_UP;
    on_loop(close_run);
    assert_true(wait_ms(&waiting.done, 5000));
    assert_string_equal(waiting.error, "rpc error making call: EOF");
    assert_true(wait_ms(&next.done, 5000));
    assert_true(next.error[0] != 0);
    request_end(&waiting);
    request_end(&next);
}

static void test_many(void **state) {
    enum { MANY = 600 };
    struct request *all = mem_zalloc(MANY, sizeof *all);
    fake.how = HOW_OK;
    fake.accepts = false; /* at most 256 wait for consent */
    for (int i = 0; i < MANY; i++) {
        request_start(&all[i], fake.address, BODY);
    }
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    assert_int_equal(fake.streams, 0);
    fake.accepts = true;
    for (int i = 0; i < MANY; i++) {
        assert_true(wait_ms(&all[i].done, 10000));
        assert_string_equal(all[i].error, "");
        request_end(&all[i]);
    }
    assert_int_equal(fake.connections, 1);
    /* A client agent keeps 32. */
    assert_true(becomes(&fake.ended, fake.streams - 32));
    mem_free(all);
}

static void test_large(void **state) {
    struct buf body = BUF_INIT;
    static char zeros[5 << 20];
    msgpack_write_str(&body, str_of(zeros, sizeof zeros));
    struct request r = {0};
    fake.how = HOW_SILENT; /* its window lets it answer no more than that at once */
    request_start(&r, fake.address, buf_str(&body));
    assert_true(becomes(&fake.requests, 1));
    assert_false(wait_ms(&r.done, 20));
    on_loop(close_run);
    assert_true(wait_ms(&r.done, 5000));
    request_end(&r);
    buf_free(&body);
}

static void cancel_run(struct message *m) {
    struct request *r = CONTAINER_OF(m, struct request, cancel);
    rpc_cancel(&r->x);
    rpc_cancel(&r->x);
    sem_post(&r->cancelled);
}

static void cancel(struct request *r) {
    sem_init(&r->cancelled, 0, 0);
    r->cancel.run = cancel_run;
    loop_post_reply(&loop, &r->cancel);
    assert_true(wait_ms(&r->cancelled, 5000));
    assert_int_equal(sem_trywait(&r->done), -1);
    sem_destroy(&r->cancelled);
    request_end(r);
}

static void test_cancel(void **state) {
    struct request r = {0};
    unsigned done = done_count;
    /* While it waits for the answer. */
    fake.how = HOW_SILENT;
    request_start(&r, fake.address, BODY);
    assert_true(becomes(&fake.requests, 1));
    cancel(&r);
    assert_true(becomes(&fake.ended, 1));
    /* Before the connection stands: the others are served. */
    struct request a = {0}, b = {0};
    on_loop(close_run);
    end(state);
    begin(state);
    fake.how = HOW_OK;
    fake.accepts = false;
    request_start(&a, fake.address, BODY);
    request_start(&b, fake.address, BODY);
    cancel(&a);
    fake.accepts = true;
    assert_true(wait_ms(&b.done, 5000));
    assert_string_equal(b.error, "");
    request_end(&b);
    /* While hundreds wait for leave to open a stream. */
    enum { MANY = 400 };
    struct request *all = mem_zalloc(MANY, sizeof *all);
    fake.accepts = false;
    fake.how = HOW_SILENT; /* one stream is open already: the first takes it */
    for (int i = 0; i < MANY; i++) {
        request_start(&all[i], fake.address, BODY);
    }
    for (int i = 0; i < MANY; i += 2) {
        cancel(&all[i]);
    }
    fake.how = HOW_OK;
    fake.accepts = true;
    for (int i = 1; i < MANY; i += 2) {
        assert_true(wait_ms(&all[i].done, 10000));
        assert_string_equal(all[i].error, "");
        request_end(&all[i]);
    }
    mem_free(all);
    assert_int_equal(fake.connections, 1);
    assert_int_equal(done_count - done, 1 + MANY / 2);
}

/* A stream that could not send a byte yet must, before it is closed: else the server would close
 * the whole connection. */
static void test_cancel_before_the_first_byte(void **state) {
    enum { LARGE = 60 };
    static char zeros[250000];
    struct buf body = BUF_INIT;
    msgpack_write_str(&body, str_of(zeros, sizeof zeros));
    expect(HOW_OK, "");
    struct request *large = mem_zalloc(LARGE, sizeof *large), late = {0};
    fake.deaf = true;
    for (int i = 0; i < LARGE; i++) {
        request_start(&large[i], fake.address, buf_str(&body));
    }
    request_start(&late, fake.address, BODY);
    cancel(&late);
    fake.deaf = false;
    for (int i = 0; i < LARGE; i++) {
        assert_true(wait_ms(&large[i].done, 10000));
        assert_string_equal(large[i].error, "");
        assert_int_equal(large[i].reply.len, body.len);
        request_end(&large[i]);
    }
    expect(HOW_OK, "");
    assert_int_equal(fake.connections, 1);
    assert_int_equal(fake.streams, LARGE + 1); /* one was there already, and one was cancelled */
    mem_free(large);
    buf_free(&body);
}

static void connections_run(struct message *m) {
    struct request *r = CONTAINER_OF(m, struct request, message);
    snprintf(r->error, sizeof r->error, "%u", rpc_pool_connections(pool));
    sem_post(&r->done);
}

static bool pool_has(const char *connections) {
    struct request r = {0};
    sem_init(&r.done, 0, 0);
    r.message.run = connections_run;
    loop_post_reply(&loop, &r.message);
    sem_wait(&r.done);
    sem_destroy(&r.done);
    return strcmp(r.error, connections) == 0;
}

static void test_idle_connections_are_closed(void **state) {
    struct request waiting = {0};
    expect(HOW_OK, "");
    assert_true(pool_has("1"));
    int64_t began = time_now_monotonic();
    for (int i = 0; i < 5000 && !pool_has("0"); i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(pool_has("0"));
    assert_true(time_now_monotonic() - began >= 400 * MILLISECOND);
    /* Not while somebody waits on it. */
    fake.how = HOW_SILENT;
    request_start(&waiting, fake.address, BODY);
    assert_true(becomes(&fake.requests, 2));
    nanosleep(&(struct timespec){.tv_nsec = 700000000}, NULL);
    assert_true(pool_has("1"));
    cancel(&waiting);
    for (int i = 0; i < 5000 && !pool_has("0"); i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(pool_has("0"));
}

static void test_no_server(void **state) {
    struct request a = {0}, b = {0}, c = {0};
    char first[256];
    sem_init(&b.done, 0, 0);
    b.address = "127.64.2.9:8300";
    b.body = BODY;
    a.also = &b; /* one would otherwise be refused before the other comes */
    request_start(&a, b.address, BODY);
    assert_true(wait_ms(&a.done, 5000));
    assert_true(wait_ms(&b.done, 5000));
    snprintf(first, sizeof first,
             "rpc error getting client: failed to get conn: dial tcp "
             "127.64.2.2:0->127.64.2.9:8300: connect: connection refused");
    assert_string_equal(a.error, first);
    assert_string_equal(b.error, "rpc error getting client: failed to get conn: rpc error: lead "
                                 "thread didn't get connection");
    request_start(&c, "nonsense", BODY);
    assert_true(wait_ms(&c.done, 5000));
    assert_string_equal(c.error, "rpc error getting client: failed to get conn: invalid address");
    request_end(&a);
    request_end(&b);
    request_end(&c);
    assert_int_equal(rpc_pool_connections(pool), 0);
}

static void test_close_tells_all(void **state) {
    struct request running = {0}, dialling = {0}, late = {0};
    fake.how = HOW_SILENT;
    request_start(&running, fake.address, BODY);
    assert_true(becomes(&fake.requests, 1));
    request_start(&dialling, "192.0.2.1:8300", BODY);
    on_loop(close_run);
    assert_true(wait_ms(&running.done, 5000));
    assert_true(wait_ms(&dialling.done, 5000));
    assert_string_equal(running.error, "rpc error making call: EOF");
    assert_true(dialling.error[0] != 0);
    request_start(&late, fake.address, BODY);
    assert_true(wait_ms(&late.done, 5000));
    assert_string_equal(late.error,
                        "rpc error getting client: failed to get conn: rpc error: shutdown");
    request_end(&running);
    request_end(&dialling);
    request_end(&late);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_stream_again_and_again, begin, end),
        cmocka_unit_test_setup_teardown(test_an_error_closes_the_stream, begin, end),
        cmocka_unit_test_setup_teardown(test_broken_streams, begin, end),
        cmocka_unit_test_setup_teardown(test_go_away, begin, end),
        cmocka_unit_test_setup_teardown(test_many, begin, end),
        cmocka_unit_test_setup_teardown(test_large, begin, end),
        cmocka_unit_test_setup_teardown(test_cancel, begin, end),
        cmocka_unit_test_setup_teardown(test_cancel_before_the_first_byte, begin, end),
        cmocka_unit_test_setup_teardown(test_idle_connections_are_closed, begin, end),
        cmocka_unit_test_setup_teardown(test_no_server, begin, end),
        cmocka_unit_test_setup_teardown(test_close_tells_all, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
