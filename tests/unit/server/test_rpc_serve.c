/* rpc_port.c, rpc_serve.c, rpc_line.c, rpc_snapshot.c with real sockets: what tests/e2e's
 * comparison with the peer does not see. Many clients on all threads that come, ask, hang up in the
 * middle of everything; the port closed while they do; what is kept for them is given back.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "codec/msgpack.h"
#include "net/yamux.h"
#include "server/rpc_line.h"
#include "server/rpc_port.h"
#include "server/rpc_wire.h"

#define IP "127.63.3.1"

static struct rpc_port *port;
static int port_number;

static void port_begin(int64_t most, int64_t handshake) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct rpc_port_options o = {
        .bind_address = STR(IP), .handshake_timeout = handshake, .max_conns_per_client = most};
    port = rpc_port_open(server, &o, &e);
    if (port == NULL)
        fail_msg("port: %.*s", STR_ARG(e.text));
    port_number = rpc_port_number(port);
    rpc_port_start(port);
    arena_free(&arena);
}

static void port_end(void) {
    rpc_port_stop(port);
    rpc_port_free(port);
    port = NULL;
}

static int begin(void **state) {
    struct server_options o = harness_options();
    server_begin(&o);
    log_set_level(LOG_OFF);
    for (int i = 0; i < 1000 && !server_is_leader(server); i++)
        usleep(10000);
    assert_true(server_is_leader(server));
    return 0;
}

static int end(void **state) {
    server_end();
    return 0;
}

/* ---- a client ---- */

static int dial(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_number)};
    inet_pton(AF_INET, IP, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static bool say(int fd, const void *bytes, size_t len) {
    return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool say_buf(int fd, struct buf *b) {
    bool ok = say(fd, b->data, b->len);
    buf_free(b);
    return ok;
}

/* Reads until there are so many whole objects, or the end; returns how many there were. */
static int hear(int fd, struct buf *in, int objects, int ms) {
    for (;;) {
        size_t at = 0;
        int whole = 0;
        while (at < in->len) {
            struct rpc_scan scan = {.max_bytes = 1 << 24, .max_tokens = 1 << 20};
            if (rpc_scan(&scan, in->data + at, in->len - at) != RPC_SCAN_DONE)
                break;
            at += scan.at;
            whole++;
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (whole >= objects || poll(&p, 1, ms) <= 0)
            return whole;
        ssize_t n = recv(fd, buf_reserve(in, 65536), 65536, 0);
        if (n <= 0)
            return whole;
        in->len += (size_t)n;
    }
}

static bool is_closed(int fd, int ms) {
    char byte;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) > 0 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static void add_request(struct buf *b, uint64_t seq, const char *method) {
    rpc_write_request(b, seq, str_from(method));
}

static void add_pair(struct buf *b, const char *key, const char *value) {
    msgpack_write_text(b, key);
    msgpack_write_text(b, value);
}

static void add_ping(struct buf *b, uint64_t seq) {
    add_request(b, seq, "Status.Ping");
    msgpack_write_map(b, 0);
}

static void add_put(struct buf *b, uint64_t seq, const char *key, size_t size) {
    char *value = mem_zalloc(1, size + 1);
    add_request(b, seq, "KVS.Apply");
    msgpack_write_map(b, 3);
    add_pair(b, "Datacenter", "dc1");
    add_pair(b, "Op", "set");
    msgpack_write_text(b, "DirEnt");
    msgpack_write_map(b, 2);
    add_pair(b, "Key", key);
    msgpack_write_text(b, "Value");
    msgpack_write_str(b, str_of(value, size));
    mem_free(value);
}

static void add_get(struct buf *b, uint64_t seq, const char *key, uint64_t min_index) {
    add_request(b, seq, "KVS.Get");
    msgpack_write_map(b, 3);
    add_pair(b, "Datacenter", "dc1");
    add_pair(b, "Key", key);
    msgpack_write_text(b, "MinQueryIndex");
    msgpack_write_u64(b, min_index);
}

static void frame(struct buf *b, unsigned type, unsigned flags, uint32_t id, uint32_t length) {
    buf_add_char(b, 0);
    buf_add_char(b, (char)type);
    buf_add_be16(b, (uint16_t)flags);
    buf_add_be32(b, id);
    buf_add_be32(b, length);
}

static void frame_data(struct buf *b, uint32_t id, struct buf *payload) {
    frame(b, 0, 0, id, (uint32_t)payload->len);
    buf_add_str(b, buf_str(payload));
    buf_free(payload);
}

/* ---- requests ---- */

/* Sent ahead, in pieces, behind an error of the layer: answered in order up to that. */
static void test_pipeline(void **state) {
    port_begin(0, 0);
    int fd = dial();
    struct buf b = BUF_INIT, in = BUF_INIT;
    buf_add_char(&b, 0);
    for (uint64_t i = 1; i <= 50; i++)
        i % 3 == 0 ? add_put(&b, i, "pipeline", 3000) : add_ping(&b, i);
    add_request(&b, 51, "Status.Nope");
    msgpack_write_map(&b, 0);
    add_ping(&b, 52);
    for (size_t at = 0; at < b.len;) {
        size_t n = b.len - at < 777 ? b.len - at : 777;
        if (!say(fd, b.data + at, n))
            break;
        at += n;
    }
    assert_int_equal(hear(fd, &in, 200, 5000), 102);
    struct msgpack_reader reader = msgpack_read(buf_str(&in));
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    for (uint64_t i = 1; i <= 51; i++) {
        struct rpc_response_header h;
        assert_true(schema_decode(&reader, &rpc_response_header_shape, &h, &arena, &e));
        assert_true(msgpack_skip(&reader, &e));
        assert_int_equal(h.seq, i);
        assert_int_equal(h.error.len > 0, i == 51);
    }
    assert_true(is_closed(fd, 5000));
    close(fd);
    arena_free(&arena);
    buf_free(&b);
    buf_free(&in);
    port_end();
}

/* A client that says goodbye and then reads gets the answers of all that it asked; a wait that it
 * leaves is called off. */
static void test_half_closed(void **state) {
    port_begin(0, 0);
    struct buf b = BUF_INIT, in = BUF_INIT;
    int fd = dial();
    buf_add_char(&b, 0);
    add_put(&b, 1, "half", 10);
    add_ping(&b, 2);
    add_get(&b, 3, "half", 0);
    assert_true(say_buf(fd, &b));
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(fd, &in, 7, 5000), 6);
    close(fd);
    buf_clear(&in);
    fd = dial();
    buf_add_char(&b, 0);
    add_get(&b, 1, "half", 1000000);
    assert_true(say_buf(fd, &b));
    assert_false(is_closed(fd, 100));
    shutdown(fd, SHUT_WR);
    assert_true(is_closed(fd, 5000));
    close(fd);
    buf_free(&in);
    port_end();
}

/* Requests that are larger than what one stream may keep, and never end, cost what they sent. */
static void test_unfinished(void **state) {
    port_begin(0, 0);
    static char piece[1 << 16];
    int fd = dial();
    struct buf b = BUF_INIT;
    buf_add_char(&b, 0);
    add_request(&b, 1, "KVS.Get");
    buf_add(&b, "\xdb\x03\xff\xff\x00", 5); /* just below the limit */
    assert_true(say_buf(fd, &b));
    for (int i = 0; i < 128; i++)
        assert_true(say(fd, piece, sizeof piece));
    for (int i = 0; i < 500 && rpc_line_bytes() < (4 << 20); i++)
        usleep(10000);
    assert_true(rpc_line_bytes() >= (4 << 20) && rpc_line_bytes() <= (33 << 20));
    close(fd);
    for (int i = 0; i < 500 && rpc_line_bytes() > 0; i++)
        usleep(10000);
    assert_int_equal(rpc_line_bytes(), 0);
    fd = dial();
    buf_add_char(&b, 0);
    add_request(&b, 1, "KVS.Get");
    buf_add(&b, "\xdb\x04\x00\x00\x01", 5); /* just above */
    assert_true(say_buf(fd, &b));
    assert_true(is_closed(fd, 5000));
    close(fd);
    port_end();
}

/* ---- Raft's connections ---- */

static atomic_int handed;
static char handed_bytes[16];
static struct rpc_lease *handed_lease;
static int handed_fd;

static void take_raft(void *owner, struct stream_detached *connection,
                      const struct peer_address *from, struct rpc_lease *lease) {
    assert_ptr_equal(owner, &handed);
    snprintf(handed_bytes, sizeof handed_bytes, "%.*s", (int)connection->input.len,
             connection->input.data);
    handed_fd = connection->fd;
    connection->fd = -1;
    stream_detached_drop(connection);
    handed_lease = lease;
    atomic_fetch_add(&handed, 1);
}

static void test_raft_handoff(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct rpc_port_options o = {.bind_address = STR(IP), .max_conns_per_client = 1};
    port = rpc_port_open(server, &o, &e);
    assert_non_null(port);
    port_number = rpc_port_number(port);
    rpc_port_set_raft_handler(port, take_raft, &handed);
    rpc_port_start(port);
    int fd = dial(), other;
    assert_true(say(fd, "\x01hello", 6));
    for (int i = 0; i < 500 && atomic_load(&handed) == 0; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&handed), 1);
    assert_string_equal(handed_bytes, "hello");
    assert_true(say(handed_fd, "yes", 3));
    char got[4] = "";
    assert_int_equal(recv(fd, got, 3, 0), 3);
    /* It counts until the lease is back. */
    other = dial();
    assert_true(is_closed(other, 5000));
    close(other);
    rpc_lease_release(handed_lease);
    other = dial();
    assert_false(is_closed(other, 200));
    close(other);
    rpc_port_stop(port);
    assert_false(is_closed(fd, 100)); /* not the port's any more */
    rpc_port_free(port);
    port = NULL;
    close(handed_fd);
    close(fd);
    arena_free(&arena);
}

/* ---- everybody at once ---- */

struct crowd {
    pthread_t thread;
    uint64_t seed;
    uint64_t done;
};
static atomic_bool crowd_over;

static void use_single(struct prng *p, int fd) {
    struct buf b = BUF_INIT, in = BUF_INIT;
    buf_add_char(&b, 0);
    int wanted = 0;
    for (uint64_t i = 0; i < prng_below(p, 5); i++, wanted += 2)
        prng_below(p, 2) == 0 ? add_ping(&b, i) : add_put(&b, i, "crowd", 500);
    if (prng_below(p, 3) == 0)
        add_get(&b, 9, "crowd", prng_below(p, 2) == 0 ? 0 : 1u << 30);
    if (prng_below(p, 4) == 0)
        b.len -= prng_below(p, b.len);
    say_buf(fd, &b);
    if (prng_below(p, 2) == 0)
        hear(fd, &in, wanted, 20);
    buf_free(&in);
}

static void use_mux(struct prng *p, int fd) {
    char sink[65536];
    struct buf b = BUF_INIT;
    buf_add_char(&b, 4);
    uint32_t streams = 1 + (uint32_t)prng_below(p, 30);
    for (uint32_t i = 0; i < streams; i++) {
        struct buf request = BUF_INIT;
        frame(&b, 1, 1, 2 * i + 1, 0);
        switch (prng_below(p, 4)) {
        case 0:
            add_get(&request, i, "crowd", 1u << 30);
            break;
        case 1:
            add_put(&request, i, "crowd", 100);
            break;
        case 2:
            add_get(&request, i, "crowd", 0);
            break;
        default:
            add_ping(&request, i);
        }
        frame_data(&b, 2 * i + 1, &request);
        if (prng_below(p, 5) == 0)
            frame(&b, 1, prng_below(p, 2) == 0 ? 4 : 8, 2 * i + 1, 0); /* FIN, RST */
    }
    say_buf(fd, &b);
    struct pollfd in = {.fd = fd, .events = POLLIN};
    if (prng_below(p, 2) == 0 && poll(&in, 1, 20) > 0)
        recv(fd, sink, sizeof sink, 0);
}

static void use_snapshot(struct prng *p, int fd) {
    char sink[65536];
    struct buf b = BUF_INIT;
    buf_add_char(&b, 5);
    msgpack_write_map(&b, 2);
    add_pair(&b, "Datacenter", "dc1");
    msgpack_write_text(&b, "Op");
    msgpack_write_i64(&b, (int64_t)prng_below(p, 2));
    say_buf(fd, &b);
    if (prng_below(p, 2) == 0)
        shutdown(fd, SHUT_WR);
    struct pollfd in = {.fd = fd, .events = POLLIN};
    if (prng_below(p, 2) == 0 && poll(&in, 1, 50) > 0)
        recv(fd, sink, sizeof sink, 0);
}

static void *crowd_run(void *arg) {
    struct crowd *c = arg;
    struct prng p;
    prng_seed(&p, c->seed);
    while (!atomic_load(&crowd_over)) {
        int fd = dial();
        if (fd < 0)
            continue;
        switch (prng_below(&p, 8)) {
        case 0:
            break; /* says nothing */
        case 1:
            use_snapshot(&p, fd);
            break;
        case 2:
        case 3:
            use_single(&p, fd);
            break;
        default:
            use_mux(&p, fd);
        }
        if (prng_below(&p, 3) == 0) {
            struct linger hard = {1, 0}; /* RST */
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        close(fd);
        c->done++;
    }
    return NULL;
}

static void test_crowd(void **state) {
    for (int round = 0; round < 3; round++) {
        struct crowd crowd[4];
        port_begin(round == 1 ? 3 : 0, 0);
        atomic_store(&crowd_over, false);
        for (unsigned i = 0; i < 4; i++) {
            crowd[i] = (struct crowd){.seed = (uint64_t)round * 10 + i};
            assert_int_equal(pthread_create(&crowd[i].thread, NULL, crowd_run, &crowd[i]), 0);
        }
        usleep(700000);
        rpc_port_set_max_conns(port, 5);
        usleep(100000);
        if (round == 2) /* it closes under their hands */
            port_end();
        atomic_store(&crowd_over, true);
        for (unsigned i = 0; i < 4; i++)
            pthread_join(crowd[i].thread, NULL);
        if (round != 2)
            port_end();
        uint64_t done = 0;
        for (unsigned i = 0; i < 4; i++)
            done += crowd[i].done;
        print_message("  %llu connections\n", (unsigned long long)done);
        assert_true(done > 20);
        assert_int_equal(rpc_line_bytes(), 0);
    }
}

/* Stopping while calls of all kinds are under way. */
static void test_stop_under_way(void **state) {
    enum { COUNT = 20 };
    int fds[COUNT];
    port_begin(0, 0);
    for (int i = 0; i < COUNT; i++) {
        struct buf b = BUF_INIT;
        fds[i] = dial();
        buf_add_char(&b, i % 2 == 0 ? 0 : 4);
        struct buf request = BUF_INIT;
        i % 3 == 0 ? add_put(&request, 1, "stop", 5000) : add_get(&request, 1, "stop", 1u << 30);
        if (i % 2 == 0) {
            buf_add_str(&b, buf_str(&request));
            buf_free(&request);
        } else {
            frame(&b, 1, 1, 1, 0);
            frame_data(&b, 1, &request);
        }
        assert_true(say_buf(fds[i], &b));
    }
    usleep(20000);
    port_end();
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    assert_int_equal(rpc_line_bytes(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipeline),   cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_unfinished), cmocka_unit_test(test_raft_handoff),
        cmocka_unit_test(test_crowd),      cmocka_unit_test(test_stop_under_way),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
