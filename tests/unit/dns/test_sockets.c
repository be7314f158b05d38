/* The interface with its sockets on a loop of its own: UDP, TCP streams of the vectors, recursors
 * that answer, lie or keep silent, a port that is taken, reload, and stopping in the middle.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "unit/dns/world.h"

#define ADDRESS "127.48.0.9"
#define PORT 24853

/* ---- the part of server/ that dns.c asks for ---- */

static struct loop the_loop;
unsigned server_io_count(const struct server *s) {
    return 1;
}
struct loop *server_io(struct server *s, unsigned i) {
    return &the_loop;
}
struct server *agent_server(struct agent *agent) {
    return NULL;
}
const struct config *agent_config(struct agent *agent) {
    return NULL;
}

static struct dns *dns;
static struct arena asking; /* the client's: the world's is the loop's from the start on */
static struct listen_address address = {LISTEN_TCP, STR_INIT(ADDRESS), PORT};

static int setup(void **state) {
    struct world *w = world_open();
    struct error e = ERROR_IN(&w->arena);
    world_load_catalog(w);
    assert_true(loop_init(&the_loop, "io-0", 64, &e));
    assert_true(loop_start(&the_loop, &e));
    w->options.addresses = &address;
    w->options.address_count = 1;
    *state = w;
    return 0;
}

static void start(struct world *w) {
    struct error e = ERROR_IN(&w->arena);
    dns = dns_start(&w->options, NULL, &e);
    if (dns == NULL) {
        fail_msg("%.*s", STR_ARG(e.text));
    }
}

static int teardown(void **state) {
    if (dns != NULL) {
        dns_stop(dns);
        dns = NULL;
    }
    loop_stop(&the_loop);
    loop_join(&the_loop);
    loop_free(&the_loop);
    arena_free(&asking);
    world_close(*state);
    return 0;
}

/* ---- clients ---- */

static struct sockaddr_in sockaddr_of(const char *ip, uint16_t port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}

static int client(int type, const char *ip) {
    struct sockaddr_in a = sockaddr_of(ip, PORT);
    struct timeval timeout = {5, 0};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static struct str question(struct arena *a, uint16_t id, const char *name, uint16_t type) {
    struct buf b = BUF_INIT;
    struct dns_writer w;
    struct dns_question q = {dns_name_from_text(str_from(name), a), type, 1};
    dns_writer_init(&w, &b, NULL, id, DNS_RD);
    dns_write_question(&w, &q);
    dns_writer_end(&w);
    struct str s = str_copy(a, buf_str(&b));
    buf_free(&b);
    return s;
}

static struct dns_message ask_udp(struct arena *a, int fd, const char *name, uint16_t type) {
    static char buffer[65536];
    struct str q = question(a, 7, name, type);
    struct dns_message m = {0};
    assert_int_equal(send(fd, q.data, q.len, 0), q.len);
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    assert_true(n > 0);
    assert_true(dns_message_parse(str_copy(a, str_of(buffer, (size_t)n)), &m, a));
    return m;
}

/* All that the server sends until it closes, or until `len` bytes came. */
static size_t read_until(int fd, char *out, size_t size, size_t len) {
    size_t have = 0;
    while (have < len) {
        ssize_t n = recv(fd, out + have, size - have, 0);
        if (n <= 0) {
            break;
        }
        have += (size_t)n;
    }
    return have;
}

/* ---- tests ---- */

static void test_udp(void **state) {
    struct world *w = *state;
    start(w);
    int fd = client(SOCK_DGRAM, ADDRESS);
    struct dns_message m = ask_udp(&asking, fd, "solo.node.consul", DNS_TYPE_A);
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    /* Many at once: all are answered, whatever the batches. */
    struct str q = question(&asking, 9, "web.service.consul", DNS_TYPE_SRV);
    static char buffer[65536];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(send(fd, q.data, q.len, 0), q.len);
        assert_int_equal(send(fd, "short", 5, 0), 5);
    }
    for (int i = 0; i < 100; i++) {
        assert_true(recv(fd, buffer, sizeof(buffer), 0) > 12);
    }
    close(fd);
}

/* An answer too large for a datagram is lost; the next one is not. */
static void test_udp_too_large(void **state) {
    struct world *w = *state;
    w->config.disable_compression = true;
    for (unsigned i = 0; i < 2000; i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"Node\": \"huge%u\", \"Address\": \"10.99.%u.%u\", \"Service\": {\"Service\": "
                 "\"huge\"}}",
                 i, i / 256, i % 256);
        world_register_json(w, text);
    }
    start(w);
    int fd = client(SOCK_DGRAM, ADDRESS);
    struct buf b = BUF_INIT;
    struct str q = question(&asking, 3, "huge.service.consul", DNS_TYPE_A);
    buf_add_str(&b, q);
    b.data[11] = 1;
    buf_add(&b, "\0\0\51\377\377\0\0\0\0\0\0", 11);
    assert_int_equal(send(fd, b.data, b.len, 0), b.len);
    buf_free(&b);
    struct dns_message m = ask_udp(&asking, fd, "solo.node.consul", DNS_TYPE_A);
    assert_int_equal(m.header.id, 7);
    close(fd);
}

static void test_tcp_vectors(void **state) {
    struct world *w = *state;
    start(w);
    const struct value *cases = value_get(vectors_json(&asking, "dns/tcp.json"), "cases");
    for (size_t i = 0; i < cases->list.len; i++) {
        const struct value *c = &cases->list.items[i];
        struct str in = value_hex(c, "client_hex", &asking);
        struct str want = value_hex(c, "server_hex", &asking);
        const struct value *after = value_get(c, "closed_by_server_after_s");
        if (in.data == NULL || str_has_prefix(value_text(c, "name"), STR("unanswerable"))) {
            continue; /* we can answer that one */
        }
        char got[4096];
        int fd = client(SOCK_STREAM, ADDRESS);
        assert_int_equal(send(fd, in.data, in.len, 0), in.len);
        bool half = str_has_prefix(value_text(c, "name"), STR("half close"));
        if (half) {
            shutdown(fd, SHUT_WR);
        }
        int64_t begin = time_now_monotonic();
        bool to_the_end = after->number < 3;
        size_t n = read_until(fd, got, sizeof(got), to_the_end ? sizeof(got) : want.len);
        double took = (double)(time_now_monotonic() - begin) / SECOND;
        assert_int_equal(n, want.len);
        assert_memory_equal(got, want.data, n);
        if (to_the_end) {
            assert_true(took > after->number - 0.2 && took < after->number + 1);
        }
        close(fd);
    }
}

/* One byte at a time, and 128 messages on a connection. */
static void test_tcp_messages(void **state) {
    struct world *w = *state;
    start(w);
    struct str q = question(&asking, 1, "solo.node.consul", DNS_TYPE_A);
    int fd = client(SOCK_STREAM, ADDRESS);
    char prefix[2] = {0, (char)q.len}, answer[256];
    for (size_t i = 0; i < 2 + q.len; i++) {
        assert_int_equal(send(fd, i < 2 ? prefix + i : q.data + i - 2, 1, 0), 1);
    }
    assert_int_equal(read_until(fd, answer, sizeof(answer), 52), 52);
    for (int i = 1; i < 128; i++) {
        assert_int_equal(send(fd, prefix, 2, 0), 2);
        assert_int_equal(send(fd, q.data, q.len, 0), q.len);
        assert_int_equal(read_until(fd, answer, sizeof(answer), 52), 52);
    }
    assert_int_equal(recv(fd, answer, 1, 0), 0);
    close(fd);

    /* Pipelined, without reading: all 128 are answered, then the connection ends. */
    fd = client(SOCK_STREAM, ADDRESS);
    q = question(&asking, 1, "big.service.consul", DNS_TYPE_SRV);
    prefix[1] = (char)q.len;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 128; i++) {
        buf_add(&b, prefix, 2);
        buf_add_str(&b, q);
    }
    assert_int_equal(send(fd, b.data, b.len, 0), b.len);
    size_t want = 128 * (2 + 17136);
    char *all = mem_alloc(want + 1);
    assert_int_equal(read_until(fd, all, want + 1, want + 1), want);
    mem_free(all);
    buf_free(&b);
    close(fd);
}

static void test_connection_limit(void **state) {
    struct world *w = *state;
    w->options.connection_limit = 3;
    start(w);
    int fds[4];
    char c;
    for (int i = 0; i < 4; i++) {
        fds[i] = client(SOCK_STREAM, ADDRESS);
        struct str q = question(&asking, 1, "solo.node.consul", DNS_TYPE_A);
        char prefix[2] = {0, (char)q.len};
        send(fds[i], prefix, 2, MSG_NOSIGNAL);
        send(fds[i], q.data, q.len, MSG_NOSIGNAL);
        ssize_t n = recv(fds[i], &c, 1, 0);
        assert_int_equal(n == 1, i < 3);
    }
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

/* One address does not get what is left for others. */
static void test_client_limit(void **state) {
    struct world *w = *state;
    w->options.client_limit = 2;
    start(w);
    int fds[4];
    char c;
    for (int i = 0; i < 4; i++) {
        if (i == 3) {
            close(fds[0]); /* makes room, soon */
            recv(fds[2], &c, 1, 0);
        }
        for (int tries = 0; tries < 500; tries++) {
            fds[i] = client(SOCK_STREAM, ADDRESS);
            struct str q = question(&asking, 1, "solo.node.consul", DNS_TYPE_A);
            char prefix[2] = {0, (char)q.len};
            send(fds[i], prefix, 2, MSG_NOSIGNAL);
            send(fds[i], q.data, q.len, MSG_NOSIGNAL);
            ssize_t n = recv(fds[i], &c, 1, 0);
            if (n == 1 || i == 2) {
                assert_int_equal(n == 1, i != 2);
                break;
            }
            close(fds[i]);
            assert_true(i == 3 && tries < 499);
            usleep(10000);
        }
    }
    for (int i = 1; i < 4; i++) {
        close(fds[i]);
    }
}

static void test_taken(void **state) {
    struct world *w = *state;
    struct error e = ERROR_IN(&w->arena);
    start(w);
    /* We would share with ourselves, but must not. */
    assert_null(dns_start(&w->options, NULL, &e));
    assert_true(str_is(e.text,
                       "2 errors occurred:\n"
                       "\t* listen udp " ADDRESS ":24853: bind: address already in use\n"
                       "\t* listen tcp " ADDRESS ":24853: bind: address already in use\n\n"));
    dns_stop(dns);
    dns = NULL;
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in a = sockaddr_of(ADDRESS, PORT);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1), 0);
    error_clear(&e);
    assert_null(dns_start(&w->options, NULL, &e));
    assert_true(str_is(e.text,
                       "1 error occurred:\n"
                       "\t* listen tcp " ADDRESS ":24853: bind: address already in use\n\n"));
    close(fd);
    start(w); /* nothing was left open */
}

/* The answer comes from the address that was asked. */
static void test_wildcard(void **state) {
    struct world *w = *state;
    static struct listen_address any = {LISTEN_TCP, STR_INIT("0.0.0.0"), PORT};
    w->options.addresses = &any;
    start(w);
    int fd = client(SOCK_DGRAM, "127.48.0.77"); /* connected: would not see another sender's */
    struct dns_message m = ask_udp(&asking, fd, "solo.node.consul", DNS_TYPE_A);
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    close(fd);
    fd = client(SOCK_STREAM, "127.48.0.78");
    close(fd);
}

/* ---- recursors ---- */

struct recursor {
    pthread_t thread;
    int udp, tcp;
    bool silent;
};

/* Answers each query with an address, after a wrong ID and another question. */
static void recursor_reply(struct str query, struct arena *a, unsigned what, struct buf *out) {
    struct dns_message m;
    struct dns_writer w;
    assert_true(dns_message_parse(query, &m, a));
    uint16_t id = what == 0 ? (uint16_t)(m.header.id + 1) : m.header.id;
    if (what == 1) {
        m.question.name = STR("\5other\3com\0");
    }
    struct dns_record r = {m.question.name, STR("\1\2\3\4"), 9, DNS_TYPE_A, 1};
    dns_writer_init(&w, out, NULL, id, DNS_QR | DNS_RA);
    dns_write_question(&w, &m.question);
    dns_write_record(&w, DNS_ANSWER, &r);
    dns_writer_end(&w);
}

static void *recursor_run(void *arg) {
    struct recursor *r = arg;
    struct arena arena = ARENA_INIT;
    char buffer[65536];
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(r->udp, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &len);
        if (n <= 1) {
            break;
        }
        for (unsigned what = 0; what < 3 && !r->silent; what++) {
            struct buf out = BUF_INIT;
            recursor_reply(str_of(buffer, (size_t)n), &arena, what, &out);
            sendto(r->udp, out.data, out.len, 0, (struct sockaddr *)&from, len);
            buf_free(&out);
        }
    }
    arena_free(&arena);
    return NULL;
}

static void *recursor_run_tcp(void *arg) {
    struct recursor *r = arg;
    struct arena arena = ARENA_INIT;
    int fd = accept(r->tcp, NULL, NULL);
    char buffer[4096];
    size_t n = read_until(fd, buffer, sizeof(buffer), 2);
    n += read_until(fd, buffer + n, sizeof(buffer) - n, be16_get(buffer) + 2 - n);
    struct buf out = BUF_INIT;
    buf_add_be16(&out, 0);
    recursor_reply(str_of(buffer + 2, n - 2), &arena, 2, &out);
    be16_put(out.data, (uint16_t)(out.len - 2));
    send(fd, out.data, 3, 0); /* in two pieces */
    send(fd, out.data + 3, out.len - 3, 0);
    buf_free(&out);
    close(fd);
    arena_free(&arena);
    return NULL;
}

static void recursor_start(struct recursor *r, const char *ip, bool silent) {
    struct sockaddr_in a = sockaddr_of(ip, PORT);
    int on = 1;
    r->silent = silent;
    r->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    r->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(r->tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(r->udp, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(bind(r->tcp, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(r->tcp, 4), 0);
    assert_int_equal(pthread_create(&r->thread, NULL, recursor_run, r), 0);
}

static void recursor_stop(struct recursor *r, const char *ip) {
    struct sockaddr_in a = sockaddr_of(ip, PORT);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a));
    pthread_join(r->thread, NULL);
    close(fd);
    close(r->udp);
    close(r->tcp);
}

static void set_recursors(struct world *w, const char *one, const char *two) {
    w->config.recursors = LIST_NEW(&w->arena, struct str, two == NULL ? 1 : 2);
    LIST_AT(w->config.recursors, struct str, 0) = str_format(&w->arena, "%s:%d", one, PORT);
    if (two != NULL) {
        LIST_AT(w->config.recursors, struct str, 1) = str_format(&w->arena, "%s:%d", two, PORT);
    }
    w->config.recursor_timeout = 150 * MILLISECOND;
}

static void test_recursors(void **state) {
    struct world *w = *state;
    struct recursor silent, good;
    recursor_start(&silent, "127.48.0.10", true);
    recursor_start(&good, "127.48.0.11", false);
    set_recursors(w, "127.48.0.10", "127.48.0.11");
    start(w);
    int fd = client(SOCK_DGRAM, ADDRESS);
    /* The first keeps silent; of the second only the reply to our question counts. */
    int64_t begin = time_now_monotonic();
    struct dns_message m = ask_udp(&asking, fd, "www.example.org", DNS_TYPE_A);
    assert_true(time_now_monotonic() - begin >= 150 * MILLISECOND);
    assert_int_equal(m.header.id, 7);
    assert_int_equal(rcode_of(&m), DNS_NOERROR);
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    assert_true(str_eq(m.sections[DNS_ANSWER].items[0].data, STR("\1\2\3\4")));
    assert_true(dns_name_equal(m.question.name, m.sections[DNS_ANSWER].items[0].name));
    /* A name as an address. */
    m = ask_udp(&asking, fd, "extsvc.service.consul", DNS_TYPE_A);
    assert_int_equal(m.sections[DNS_ANSWER].len, 2);
    close(fd);
    recursor_stop(&silent, "127.48.0.10");
    recursor_stop(&good, "127.48.0.11");
}

static void test_recursor_tcp(void **state) {
    struct world *w = *state;
    struct recursor good;
    pthread_t tcp;
    recursor_start(&good, "127.48.0.11", false);
    pthread_create(&tcp, NULL, recursor_run_tcp, &good);
    set_recursors(w, "127.48.0.12", "127.48.0.11"); /* nobody listens at the first */
    start(w);
    int fd = client(SOCK_STREAM, ADDRESS);
    struct str q = question(&asking, 0x77, "www.example.org", DNS_TYPE_A);
    char prefix[2] = {0, (char)q.len}, answer[512];
    send(fd, prefix, 2, 0);
    send(fd, q.data, q.len, 0);
    size_t n = read_until(fd, answer, sizeof(answer), 2);
    assert_true(n >= 2);
    n += read_until(fd, answer + n, sizeof(answer) - n, be16_get(answer) + 2 - n);
    struct dns_message m;
    assert_true(dns_message_parse(str_of(answer + 2, n - 2), &m, &w->arena));
    assert_int_equal(m.header.id, 0x77);
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    pthread_join(tcp, NULL);
    close(fd);
    recursor_stop(&good, "127.48.0.11");
}

/* Nobody answers; and stopping while a query waits. */
static void test_recursors_dead(void **state) {
    struct world *w = *state;
    struct recursor silent;
    recursor_start(&silent, "127.48.0.10", true);
    set_recursors(w, "127.48.0.10", NULL);
    start(w);
    int fd = client(SOCK_DGRAM, ADDRESS);
    struct dns_message m = ask_udp(&asking, fd, "www.example.org", DNS_TYPE_A);
    assert_int_equal(rcode_of(&m), DNS_SERVFAIL);
    assert_int_equal(m.header.flags & (DNS_RA | DNS_AA), DNS_RA);
    struct error e = ERROR_IN(&w->arena);
    w->config.recursor_timeout = 60 * SECOND;
    assert_true(dns_reload(dns, &w->config, &e));
    m = ask_udp(&asking, fd, "solo.node.consul", DNS_TYPE_A);
    struct str q = question(&asking, 1, "www.example.org", DNS_TYPE_A);
    send(fd, q.data, q.len, 0);
    int tcp = client(SOCK_STREAM, ADDRESS);
    char prefix[2] = {0, (char)q.len};
    send(tcp, prefix, 2, 0);
    send(tcp, q.data, q.len, 0);
    m = ask_udp(&asking, fd, "solo.node.consul", DNS_TYPE_A); /* after the first in any case */
    assert_int_equal(m.header.id, 7);
    dns_stop(dns);
    dns = NULL;
    char c;
    assert_true(recv(tcp, &c, 1, 0) <= 0);
    close(tcp);
    close(fd);
    recursor_stop(&silent, "127.48.0.10");
}

static void test_reload(void **state) {
    struct world *w = *state;
    struct error e = ERROR_IN(&w->arena);
    start(w);
    int fd = client(SOCK_DGRAM, ADDRESS);
    struct dns_message m = ask_udp(&asking, fd, "solo.node.consul", DNS_TYPE_A);
    assert_int_equal(m.sections[DNS_ANSWER].items[0].ttl, 0);
    w->config.node_ttl = 17 * SECOND;
    assert_true(dns_reload(dns, &w->config, &e));
    m = ask_udp(&asking, fd, "solo.node.consul", DNS_TYPE_A);
    assert_int_equal(m.sections[DNS_ANSWER].items[0].ttl, 17);
    w->config.recursors = LIST_NEW(&w->arena, struct str, 1);
    LIST_AT(w->config.recursors, struct str, 0) = STR("nonsense");
    assert_false(dns_reload(dns, &w->config, &e));
    assert_true(
        str_is(e.text, "Invalid recursor address: address nonsense: missing port in address"));
    m = ask_udp(&asking, fd, "solo.node.consul", DNS_TYPE_A);
    assert_int_equal(m.sections[DNS_ANSWER].items[0].ttl, 17);
    close(fd);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(udp),          TEST(udp_too_large),    TEST(tcp_vectors),
        TEST(tcp_messages), TEST(connection_limit), TEST(client_limit),
        TEST(taken),        TEST(wildcard),         TEST(recursors),
        TEST(recursor_tcp), TEST(recursors_dead),   TEST(reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
