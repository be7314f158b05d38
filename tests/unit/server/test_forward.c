/* Calls that other servers answer: a client agent's struct and a server's, in one process, through
 * the server's real RPC port; and connections that break in ways that a real one does not (a server
 * of this test's own).
 */
#include "harness.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "codec/msgpack.h"
#include "net/yamux.h"
#include "server/rpc_pool.h"
#include "server/rpc_port.h"
#include "server/rpc_wire.h"
#include "server/server_room.h"

#define SERVER_IP "127.64.1.1"
#define DEAD_IP "127.64.1.9"

static struct server *client; /* harness.h's `server` is set to whom a test asks */
static struct server *real;
static struct rpc_port *port;
static char address[64];

static struct server_options client_options(void) {
    struct server_options o = harness_options();
    o.client = true;
    o.bootstrap = false;
    o.node_name = STR("c1");
    o.node_id = STR("bdf4238a-882b-9ddc-4a9d-5b6758e4159e");
    o.advertise_address = STR("127.64.1.2");
    return o;
}

static struct server *start(const struct server_options *o) {
    server_begin(o);
    return server;
}

/* ---- peers, from the core ---- */

struct update {
    struct server *s;
    enum peer_pool pool;
    const struct peer *all;
    size_t count;
    sem_t done;
};

static void update_run(void *arg) {
    struct update *u = arg;
    server_update_peers(u->s, u->pool, u->all, u->count);
    sem_post(&u->done);
}

static void set_peers(struct server *s, enum peer_pool pool, const struct peer *all, size_t count) {
    struct update u = {.s = s, .pool = pool, .all = all, .count = count};
    sem_init(&u.done, 0, 0);
    assert_true(server_run_on_core(s, update_run, NULL, &u));
    sem_wait(&u.done);
    sem_destroy(&u.done);
}

static struct peer peer_of(const char *name, const char *at) {
    return (struct peer){.name = str_from(name), .datacenter = STR("dc1"), .address = str_from(at)};
}

static void only_real(void) {
    struct peer all[] = {peer_of("n1", address)};
    set_peers(client, PEER_POOL_LAN, all, 1);
}

/* ---- the world of the first tests ---- */

static int begin(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct server_options o = harness_options();
    o.advertise_address = STR(SERVER_IP);
    real = start(&o);
    struct rpc_port_options po = {.bind_address = STR(SERVER_IP)};
    port = rpc_port_open(real, &po, &e);
    assert_non_null(port);
    rpc_port_start(port);
    snprintf(address, sizeof address, "%s", rpc_port_name(port));
    server_settle();
    o = client_options();
    client = start(&o);
    only_real();
    arena_free(&arena);
    return 0;
}

static int end(void **state) {
    server_stop(client);
    server_free(client);
    if (port != NULL) {
        rpc_port_stop(port);
    }
    server_stop(real);
    rpc_port_free(port);
    server_free(real);
    client = real = server = NULL;
    return 0;
}

/* ---- what a client agent asks ---- */

static void test_reads_and_writes(void **state) {
    char value[64];
    server = client;
    assert_false(kv_put(0, "a/b", "one", "set")); /* "false on success": rpc.md 6.4 */
    assert_true(kv_put(1, "a/c", "two", "cas"));
    uint64_t index = kv_read(0, "a/b", value);
    assert_string_equal(value, "one");
    server = real;
    assert_int_equal(kv_read(0, "a/b", value), index);
    assert_string_equal(value, "one");

    server = client;
    struct key_request r = {.key = STR("a/b")};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_kvs_get, &r);
    assert_true(answer->remote && answer->meta.known_leader);
    assert_int_equal(answer->meta.last_contact, 0);
    ask_end(&a);

    struct dc_request leader = {.datacenter = STR("")};
    answer = ask(&a, 0, &endpoint_status_leader, &leader);
    char text[80];
    snprintf(text, sizeof text, "%.*s", STR_ARG(*(struct str *)answer->reply));
    assert_string_equal(text, SERVER_IP ":8300");
    ask_end(&a);
    assert_int_equal(server_leader_address(client, text), 0);
    assert_null(server_store(client));
    assert_null(server_driver(client));
    assert_true(server_can_call(client));
}

static void test_core_thread_calls(void **state) {
    char value[64];
    server = client;
    kv_put(99, "core", "x", "set");
    kv_read(99, "core", value);
    assert_string_equal(value, "x");
}

static void test_errors_have_a_prefix(void **state) {
    server = client;
    struct kvs_request r = {.op = STR("set")};
    ask_error(0, &endpoint_kvs_apply, &r, "rpc error making call: Must provide key");
    struct key_request other = {.datacenter = STR("dc9"), .key = STR("x")};
    ask_error(0, &endpoint_kvs_get, &other, "rpc error making call: No path to datacenter");
    server = real;
    ask_error(0, &endpoint_kvs_get, &other, "No path to datacenter");
    ask_error(0, &endpoint_kvs_apply, &r, "Must provide key");
}

/* Larger than a stream's window, both ways. */
static void test_large_values(void **state) {
    server = client;
    size_t size = 3 << 20;
    char *bytes = mem_alloc(size);
    memset(bytes, 'x', size);
    struct kvs_request put = {.op = STR("set"),
                              .dir_ent = {.key = STR("large"), .value = str_of(bytes, size)}};
    struct ask a;
    ask(&a, 0, &endpoint_kvs_apply, &put);
    ask_end(&a);
    struct key_request get = {.key = STR("large")};
    struct answer *answer = ask(&a, 1, &endpoint_kvs_get, &get);
    struct indexed_dir_entries *reply = answer->reply;
    assert_int_equal(reply->entries.len, 1);
    struct str value = LIST_AT(reply->entries, struct dir_entry *, 0)->value;
    assert_int_equal(value.len, size);
    assert_memory_equal(value.data, bytes, size);
    ask_end(&a);
    mem_free(bytes);
}

#define MANY 2000
static void test_many_at_once(void **state) {
    server = client;
    kv_put(0, "many", "v", "set");
    struct ask *asks = mem_zalloc(MANY, sizeof *asks);
    struct key_request r = {.datacenter = STR("dc1"), .key = STR("many")};
    for (int i = 0; i < MANY; i++) {
        ask_start(&asks[i], (unsigned)i % 2, &endpoint_kvs_get, &r);
    }
    for (int i = 0; i < MANY; i++) {
        struct answer *answer = ask_wait(&asks[i], 20000);
        assert_non_null(answer);
        assert_false(error_is_set(&answer->error));
        ask_end(&asks[i]);
    }
    mem_free(asks);
}

/* ---- waiting ---- */

static void wait_on(struct ask *a, struct key_request *r, const char *key, uint64_t index) {
    *r = (struct key_request){.datacenter = STR("dc1"),
                              .key = str_from(key),
                              .options = {.min_query_index = index, .max_query_time = MINUTE}};
    ask_start(a, 0, &endpoint_kvs_get, r);
}

static void test_blocking(void **state) {
    char value[64];
    server = client;
    kv_put(0, "block", "1", "set");
    uint64_t index = kv_read(0, "block", value);
    struct ask a;
    struct key_request r;
    wait_on(&a, &r, "block", index);
    assert_null(ask_wait(&a, 200));
    server = real;
    kv_put(0, "block", "2", "set");
    struct answer *answer = ask_wait(&a, 5000);
    assert_non_null(answer);
    assert_true(answer->meta.index > index);
    ask_end(&a);
}

/* How many questions the real server's threads keep. */
static void count_questions(void *arg) {
    size_t *n = arg;
    struct server_thread *t = thread_current();
    size_t cursor = 0;
    void *value;
    while (map_next(&t->questions, &cursor, NULL, &value)) {
        struct question *q = value;
        *n += q->calls.first != NULL;
    }
}

struct count {
    struct message message;
    size_t n;
    sem_t done;
};

static void count_run(struct message *m) {
    struct count *c = CONTAINER_OF(m, struct count, message);
    count_questions(&c->n);
    sem_post(&c->done);
}

static size_t waiting_questions(struct server *s) {
    struct count c = {.message = {.run = count_run}};
    sem_init(&c.done, 0, 0);
    for (unsigned i = 0; i < server_io_count(s); i++) {
        loop_post_reply(server_io(s, i), &c.message);
        sem_wait(&c.done);
    }
    sem_destroy(&c.done);
    return c.n;
}

static bool questions_become(struct server *s, size_t n) {
    for (int i = 0; i < 2500; i++) {
        if (waiting_questions(s) == n)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return false;
}

static void test_cancel_reaches_the_server(void **state) {
    char value[64];
    server = client;
    kv_put(0, "cancel", "1", "set");
    uint64_t index = kv_read(0, "cancel", value);
    size_t before = waiting_questions(real);
    struct ask a;
    struct key_request r;
    wait_on(&a, &r, "cancel", index);
    assert_true(questions_become(real, before + 1));
    ask_cancel(&a);
    assert_true(sem_wait_ms(&a.done, 5000));
    assert_true(a.cancelled);
    assert_true(questions_become(real, before));
    sem_destroy(&a.done);
    kv_read(0, "cancel", value); /* the connection is as good as before */
    assert_string_equal(value, "1");
}

/* ---- one server and no other ---- */

struct direct {
    struct ask ask;
    const char *at;
};

static void direct_run(struct message *m) {
    struct direct *d = CONTAINER_OF(m, struct direct, ask.message);
    call_start_at(d->ask.server, &d->ask.call, str_from(d->at));
}

static struct answer *direct(struct direct *d, const char *at, const struct endpoint *endpoint,
                             void *request) {
    d->at = at;
    d->ask.arena = ARENA_INIT;
    d->ask.call = (struct call){.endpoint = endpoint,
                                .arena = &d->ask.arena,
                                .request = request,
                                .done = ask_done,
                                .owner = &d->ask};
    d->ask.server = server;
    d->ask.loop = server_core(server);
    d->ask.message.run = direct_run;
    sem_init(&d->ask.done, 0, 0);
    loop_post_reply(d->ask.loop, &d->ask.message);
    struct answer *answer = ask_wait(&d->ask, 10000);
    assert_non_null(answer);
    return answer;
}

static void test_call_one_server(void **state) {
    struct empty_struct none = {0};
    struct direct d;
    server = real;
    struct answer *answer = direct(&d, address, &endpoint_status_raft_stats, &none);
    struct raft_stats *stats = answer->reply;
    assert_false(error_is_set(&answer->error));
    assert_true(str_is(stats->last_contact, "0"));
    assert_true(stats->last_index > 0);
    ask_end(&d.ask);
    answer = direct(&d, address, &endpoint_status_ping, &none);
    assert_false(error_is_set(&answer->error));
    ask_end(&d.ask);
    answer = direct(&d, DEAD_IP ":8300", &endpoint_status_ping, &none);
    char got[256];
    snprintf(got, sizeof got, "%.*s", STR_ARG(answer->error.text));
    ask_end(&d.ask);
    assert_string_equal(got, "rpc error getting client: failed to get conn: dial tcp " DEAD_IP
                             ":8300: connect: connection refused");
}

/* ---- whom a client asks ---- */

static void test_rotation(void **state) {
    char value[64];
    struct peer all[] = {peer_of("dead", DEAD_IP ":8300"), peer_of("n1", address)};
    server = client;
    set_peers(client, PEER_POOL_LAN, NULL, 0);
    struct key_request r = {.key = STR("x")};
    ask_error(0, &endpoint_kvs_get, &r, "No known Consul servers");
    assert_false(server_can_call(client));
    set_peers(client, PEER_POOL_LAN, all, 2);
    ask_error(0, &endpoint_kvs_get, &r,
              "rpc error getting client: failed to get conn: dial tcp " DEAD_IP
              ":8300: connect: connection refused");
    kv_read(0, "x", value); /* the other one's turn */
    kv_read(1, "x", value);
    kv_read(99, "x", value);
    /* An error of the endpoint, too, is the next one's turn. */
    struct kvs_request bad = {.op = STR("set")};
    ask_error(0, &endpoint_kvs_apply, &bad, "rpc error making call: Must provide key");
    ask_error(0, &endpoint_kvs_get, &r,
              "rpc error getting client: failed to get conn: dial tcp " DEAD_IP
              ":8300: connect: connection refused");
    only_real();
}

static void test_rate_limit(void **state) {
    char value[64];
    server = client;
    struct key_request r = {.key = STR("x")};
    server_set_rpc_rate(client, 0.001, 2);
    kv_read(0, "x", value);
    kv_read(1, "x", value);
    ask_error(0, &endpoint_kvs_get, &r, "RPC rate limit exceeded");
    server_set_rpc_rate(client, 0, 0);
    kv_read(0, "x", value);
    server = real; /* the same for a server's own, but not for what comes in */
    server_set_rpc_rate(real, 0.001, 0);
    ask_error(0, &endpoint_kvs_get, &r, "RPC rate limit exceeded");
    server = client;
    kv_read(0, "x", value);
    server_set_rpc_rate(real, 0, 0);
}

static void test_leaving(void **state) {
    server = real;
    struct key_request r = {.key = STR("x")};
    int64_t before = time_now_monotonic();
    server_set_leaving(real, true);
    ask_error(0, &endpoint_kvs_get, &r, "No cluster leader");
    assert_true(time_now_monotonic() - before < SECOND);
    /* The client tries again until its hold timeout is over. */
    server = client;
    before = time_now_monotonic();
    ask_error(0, &endpoint_kvs_get, &r, "rpc error making call: No cluster leader");
    int64_t took = time_now_monotonic() - before;
    assert_true(took >= 2 * SECOND && took < 4 * SECOND);
    server_set_leaving(real, false);
    char value[64];
    kv_read(0, "x", value);
}

/* ---- rebalancing ---- */

static void balance_run(void *arg) {
    balance_now(((struct server *)arg)->balance);
}

/* The first of a client's list becomes (or does not) the wanted one. */
static bool first_becomes(const char *name) {
    for (int i = 0; i < 1000; i++) {
        struct arena arena = ARENA_INIT;
        const struct peer **order;
        size_t n = peers_order(server_peers(client), STR("dc1"), &arena, &order);
        bool is = n > 0 && str_is(order[0]->name, name);
        peers_list_release(order, n);
        arena_free(&arena);
        if (is)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return false;
}

static void test_rebalance(void **state) {
    char value[64];
    struct peer mixed[] = {peer_of("dead1", DEAD_IP ":8300"), peer_of("dead2", DEAD_IP ":8301"),
                           peer_of("n1", address), peer_of("dead3", DEAD_IP ":8302")};
    server = client;
    for (int i = 0; i < 8; i++) { /* however they are shuffled */
        set_peers(client, PEER_POOL_LAN, NULL, 0);
        set_peers(client, PEER_POOL_LAN, mixed, 4);
        assert_true(server_run_on_core(client, balance_run, NULL, client));
        assert_true(first_becomes("n1"));
        kv_read(0, "x", value);
    }
    only_real();
}

/* ---- snapshots ---- */

static void save(struct snap *s, const char *datacenter, const char *error) {
    struct snapshot_call how = {.archive = -1, .datacenter = str_from(datacenter)};
    snap(s, false, how, error);
}

static void test_snapshots(void **state) {
    char value[64];
    struct snap s;
    server = client;
    kv_put(0, "snap", "before", "set");
    save(&s, "", "");
    assert_true(s.call.result >= 0 && s.call.size > 100);
    assert_true(s.call.meta.index > 0 && s.call.meta.known_leader);
    assert_int_equal(lseek(s.call.result, 0, SEEK_END), s.call.size);
    int archive = s.call.result;
    kv_put(0, "snap", "after", "set");
    snap(&s, true, (struct snapshot_call){.archive = archive, .datacenter = STR("dc1")}, "");
    kv_read(0, "snap", value);
    assert_string_equal(value, "before");
    assert_int_equal(ftruncate(archive, 60), 0);
    char text[512];
    snap_start(&s, true, (struct snapshot_call){.archive = archive});
    snap_result(&s, text);
    assert_string_not_equal(text, "");
    close(archive);
    save(&s, "dc9", "No path to datacenter");
    struct peer dead[] = {peer_of("dead", DEAD_IP ":8300")};
    set_peers(client, PEER_POOL_LAN, dead, 1);
    save(&s, "", "dial tcp " DEAD_IP ":8300: connect: connection refused");
    only_real();
}

/* ---- another datacenter: the same server, which says that it is not it ---- */

static void test_snapshots_and_the_rate(void **state) {
    struct snap s;
    struct server *both[] = {client, real};
    for (int i = 0; i < 2; i++) {
        server = both[i];
        server_set_rpc_rate(server, 0.001, 0);
        save(&s, "", "RPC rate limit exceeded");
        server_set_rpc_rate(server, 0, 0);
    }
    server = client;                  /* what comes in is not counted */
    kv_put(0, "snap", "more", "set"); /* else there is "nothing new to snapshot" */
    server_set_rpc_rate(real, 0.001, 0);
    save(&s, "", "");
    close(s.call.result);
    server_set_rpc_rate(real, 0, 0);
}

static void test_datacenters(void **state) {
    server = real;
    struct peer far[] = {peer_of("x1", address), peer_of("x2", address)};
    far[0].datacenter = far[1].datacenter = STR("dc2");
    set_peers(real, PEER_POOL_WAN, far, 1);
    /* Sent to itself as dc2's: it sends it on again, and so on, until its own limit ends it; so a
     * dead address it is. */
    far[0].address = STR(DEAD_IP ":8300");
    set_peers(real, PEER_POOL_WAN, far, 1);
    struct key_request r = {.datacenter = STR("dc2"), .key = STR("x")};
    ask_error(0, &endpoint_kvs_get, &r,
              "rpc error getting client: failed to get conn: dial tcp " DEAD_IP
              ":8300: connect: connection refused");
    set_peers(real, PEER_POOL_WAN, NULL, 0);
    ask_error(0, &endpoint_kvs_get, &r, "No path to datacenter");
    /* A request from outside without a datacenter. */
    struct peer self[] = {peer_of("n1", address)};
    set_peers(real, PEER_POOL_LAN, self, 1);
    struct direct d;
    struct key_request empty = {.key = STR("x")};
    server = client;
    struct answer *answer = direct(&d, address, &endpoint_kvs_get, &empty);
    char got[256];
    snprintf(got, sizeof got, "%.*s", STR_ARG(answer->error.text));
    ask_end(&d.ask);
    assert_string_equal(got, "rpc error making call: No path to datacenter");
}

/* ---- the end of a server ---- */

static void test_a_server_goes(void **state) {
    char value[64];
    server = client;
    kv_put(0, "gone", "1", "set");
    uint64_t index = kv_read(0, "gone", value);
    struct ask a;
    struct key_request r;
    wait_on(&a, &r, "gone", index);
    assert_true(questions_become(real, 1));
    rpc_port_stop(port);
    struct answer *answer = ask_wait(&a, 5000);
    assert_non_null(answer);
    char got[256];
    snprintf(got, sizeof got, "%.*s", STR_ARG(answer->error.text));
    ask_end(&a);
    assert_string_equal(got, "rpc error making call: EOF");
    rpc_port_free(port);
    port = NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_writes),
        cmocka_unit_test(test_core_thread_calls),
        cmocka_unit_test(test_errors_have_a_prefix),
        cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_blocking),
        cmocka_unit_test(test_cancel_reaches_the_server),
        cmocka_unit_test(test_call_one_server),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_rebalance),
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_snapshots_and_the_rate),
        cmocka_unit_test(test_datacenters),
        cmocka_unit_test(test_a_server_goes),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
