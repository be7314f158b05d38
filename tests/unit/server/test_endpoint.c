/* Endpoints: what is refused and how, what is filled in, sessions' timers, lock delay,
 * transactions, distance. On a fake driver with a real store. Texts are the peer's. */
#include "fake_driver.h"
#include "harness.h"

#include "server/near.h"
#include "server/server_room.h"

static int begin(void **state) {
    struct server_options o = harness_options();
    o.coordinate_update_period = 20 * MILLISECOND;
    server_begin(&o);
    server_settle();
    return 0;
}

static int end(void **state) {
    server_end();
    return 0;
}

static void pause_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, (ms % 1000) * 1000000L}, NULL);
}

/* ---- registration ---- */

static void test_register_refusals(void **state) {
    struct register_request r = {.address = STR("1.2.3.4"), .id = STR("zzz")};
    ask_error(0, &endpoint_catalog_register, &r, "Must provide node");
    r.node = STR("x");
    ask_error(0, &endpoint_catalog_register, &r, "Bad node ID: uuid string is wrong length");
    r.id = STR("aaaaaaaa+1234-1234-1234-123456789012");
    ask_error(0, &endpoint_catalog_register, &r, "Bad node ID: uuid is improperly formatted");
    r.id = STR("");
    r.address = STR("");
    ask_error(0, &endpoint_catalog_register, &r,
              "Must provide address if SkipNodeUpdate is not set");
    r.address = STR("1.2.3.4");
    struct node_service s = {.id = STR("p"), .address = STR("::")};
    r.service = &s;
    ask_error(0, &endpoint_catalog_register, &r, "Must provide service name with ID");
    s = (struct node_service){.service = STR("p"), .address = STR("[::]")};
    ask_error(0, &endpoint_catalog_register, &r, "Invalid service address");
    s = (struct node_service){.service = STR("")};
    ask_error(0, &endpoint_catalog_register, &r,
              "failed inserting service: failed inserting service: object missing primary index");
    r.service = NULL;
    struct health_check c = {.node = STR("X"), .name = STR("a")};
    r.check = &c;
    ask_error(0, &endpoint_catalog_register, &r, "check node \"X\" does not match node \"x\"");
    struct deregister_request d = {.service_id = STR("x")};
    ask_error(0, &endpoint_catalog_deregister, &d, "Must provide node");
}

static void test_register_proxy_rules(void **state) {
    struct register_request r = {.node = STR("x"), .address = STR("1.2.3.4")};
    struct upstream upstreams[] = {
        {.destination_type = STR("x")},
        {.destination_name = STR("a"), .local_bind_port = 5},
        {.destination_name = STR("a"), .local_bind_port = 5},
        {.destination_name = STR("*"), .local_bind_port = 7},
        {.destination_name = STR("b"), .local_bind_port = -1},
    };
    struct expose_path paths[] = {
        {.protocol = STR("x")},
        {.path = STR("/a"), .listener_port = 1, .protocol = STR("x")},
        {.path = STR("/a"), .listener_port = 1, .local_path_port = 3},
    };
    struct node_service s = {.service = STR("p"), .kind = STR("connect-proxy")};
    s.connect.native = true;
    s.proxy.upstreams = (struct list){upstreams, 5, true};
    s.proxy.expose.paths = (struct list){paths, 3, true};
    r.service = &s;
    ask_error(0, &endpoint_catalog_register, &r,
              "11 errors occurred:\n"
              "\t* Proxy.DestinationServiceName must be non-empty for Connect proxy services\n"
              "\t* Port must be set for a Connect proxy\n"
              "\t* A Proxy cannot also be Connect Native, only typical services\n"
              "\t* unknown upstream destination type: \"x\"\n"
              "\t* upstreams cannot contain duplicates of [type=\"\", name=\"a\", namespace=\"\", "
              "datacenter=\"\"]\n"
              "\t* expose.paths: empty path exposed\n"
              "\t* expose.paths: invalid listener port: 0\n"
              "\t* protocol 'x' not supported for path: , must be in: [http http2]\n"
              "\t* protocol 'x' not supported for path: /a, must be in: [http http2]\n"
              "\t* expose.paths: duplicate paths exposed\n"
              "\t* expose.paths: duplicate listener ports exposed\n\n");
    struct upstream twice[] = {
        {.destination_name = STR("a"), .local_bind_port = 3},
        {.destination_name = STR("q"),
         .local_bind_port = 3,
         .local_bind_address = STR("127.0.0.1")},
    };
    s = (struct node_service){.service = STR("p"), .kind = STR("connect-proxy"), .port = 1};
    s.proxy.destination_service_name = STR("d");
    s.proxy.upstreams = (struct list){twice, 2, true};
    ask_error(
        0, &endpoint_catalog_register, &r,
        "1 error occurred:\n\t* upstreams cannot contain duplicates by local bind address and "
        "port; \"127.0.0.1:3\" is specified twice\n\n");
    struct service_definition sidecar = {.id = STR("x")};
    s = (struct node_service){.service = STR("p"), .kind = STR("terminating-gateway")};
    s.connect.sidecar_service = &sidecar;
    s.proxy.local_service_port = 4;
    ask_error(0, &endpoint_catalog_register, &r,
              "4 errors occurred:\n\t* Port must be non-zero for a terminating-gateway\n"
              "\t* A terminating-gateway cannot have a sidecar service defined\n"
              "\t* The Proxy.LocalServicePort configuration is invalid for a "
              "terminating-gateway\n"
              "\t* A SidecarService cannot specify an ID as this is managed by the agent\n\n");
    s.kind = STR("");
    s.port = 0;
    ask_error(0, &endpoint_catalog_register, &r,
              "1 error occurred:\n\t* A SidecarService cannot specify an ID as this is managed by "
              "the agent\n\n");
}

static void test_register_fills_in(void **state) {
    struct health_check first = {.name = STR("one")};
    first.definition.http = STR("http://x");
    first.definition.interval = SECOND;
    struct health_check *list[] = {&first};
    struct health_check last = {.name = STR("two"), .status = STR("passing")};
    struct node_service s = {.service = STR("web")};
    struct register_request r = {.node = STR("filled"),
                                 .address = STR("1.2.3.4"),
                                 .check = &last,
                                 .checks = {list, 1, true},
                                 .service = &s};
    struct ask a;
    ask(&a, 0, &endpoint_catalog_register, &r);
    ask_end(&a);
    struct node_request n = {.node = STR("filled")};
    struct answer *answer = ask(&a, 1, &endpoint_health_node_checks, &n);
    struct indexed_health_checks *checks = answer->reply;
    assert_int_equal(checks->health_checks.len, 2);
    struct health_check *c = LIST_AT(checks->health_checks, struct health_check *, 0);
    assert_true(str_is(c->check_id, "one") && str_is(c->type, "http"));
    assert_true(str_is(c->status, "critical"));
    ask_end(&a);
    answer = ask(&a, 1, &endpoint_catalog_node_service_list, &n);
    struct indexed_node_service_list *services = answer->reply;
    assert_int_equal(services->node_services.services.len, 1);
    assert_true(
        str_is(LIST_AT(services->node_services.services, struct node_service *, 0)->id, "web"));
    ask_end(&a);
}

/* The leader's own registration (agent.md 4.8). */
static void test_own_member(void **state) {
    struct node_request n = {.node = STR("n1")};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_catalog_node_service_list, &n);
    struct indexed_node_service_list *reply = answer->reply;
    assert_true(str_is(reply->node_services.node->address, "127.46.0.9"));
    struct node_service *s = LIST_AT(reply->node_services.services, struct node_service *, 0);
    assert_true(str_is(s->id, "consul") && s->port == 8300);
    assert_true(str_is(*str_map_get(&s->meta, STR("version")), "1.8.7"));
    ask_end(&a);
    struct dc_request d = {.datacenter = STR("")};
    answer = ask(&a, 0, &endpoint_operator_autopilot_get, &d);
    struct autopilot_config *config = answer->reply;
    assert_true(config->cleanup_dead_servers && config->max_trailing_logs == 250);
    assert_int_equal(config->last_contact_threshold, 200 * MILLISECOND);
    ask_end(&a);
}

/* ---- reads ---- */

static void test_reads_that_are_refused(void **state) {
    struct service_request s = {.service_name = STR("")};
    ask_error(0, &endpoint_catalog_service_nodes, &s, "Must provide service name");
    ask_error(0, &endpoint_health_service_nodes, &s, "Must provide service name");
    s.tag_filter = true;
    ask_error(0, &endpoint_health_service_checks, &s, "Tag filtering is not supported");
    struct node_request n = {.node = STR("")};
    ask_error(0, &endpoint_catalog_node_services, &n, "Must provide node");
    ask_error(0, &endpoint_catalog_node_service_list, &n, "Must provide node");
    struct session_specific_request g = {.session = STR("foo")};
    ask_error(0, &endpoint_session_get, &g,
              "failed session lookup: index error: UUID must be 36 characters");
}

static void test_status_and_operator(void **state) {
    struct dc_request d = {.datacenter = STR("")};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_status_leader, &d);
    assert_true(str_is(*(struct str *)answer->reply, "127.46.0.9:8300"));
    ask_end(&a);
    answer = ask(&a, 1, &endpoint_status_peers, &d);
    struct list *peers = answer->reply;
    assert_int_equal(peers->len, 1);
    assert_true(str_is(LIST_AT(*peers, struct str, 0), "127.46.0.9:8300"));
    ask_end(&a);
    answer = ask(&a, 1, &endpoint_operator_raft_configuration, &d);
    struct raft_configuration_response *c = answer->reply;
    struct raft_server *s = LIST_AT(c->servers, struct raft_server *, 0);
    assert_true(s->leader && s->voter && str_is(s->node, "n1") && str_is(s->protocol_version, "3"));
    ask_end(&a);
    assert_ptr_equal(endpoint_find(STR("KVS.Get")), &endpoint_kvs_get);
    assert_null(endpoint_find(STR("KVS.get")));
}

/* ---- KV ---- */

static void test_kv_results(void **state) {
    struct kvs_request r = {.op = STR("set")};
    ask_error(0, &endpoint_kvs_apply, &r, "Must provide key");
    r.dir_ent.key = STR("k");
    r.op = STR("zap");
    ask_error(0, &endpoint_kvs_apply, &r, "Invalid KVS operation 'zap'");
    assert_false(kv_put(0, "k", "1", "set"));
    assert_false(kv_put(0, "k", "1", "cas")); /* index 0: only when absent */
    assert_true(kv_put(0, "k2", "1", "cas"));
    assert_false(kv_put(0, "k", "", "delete"));
    r.op = STR("lock");
    ask_error(0, &endpoint_kvs_apply, &r, "missing session");
}

/* ---- sessions ---- */

static void session_make(struct session *session, char id[40]) {
    struct session_request r = {.op = STR("create"), .session = *session};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_session_apply, &r);
    snprintf(id, 40, "%.*s", STR_ARG(*(struct str *)answer->reply));
    ask_end(&a);
    assert_int_equal(strlen(id), 36);
}

static bool session_lives(const char *id) {
    struct session_specific_request r = {.session = str_from(id)};
    struct ask a;
    struct answer *answer = ask(&a, 1, &endpoint_session_get, &r);
    struct indexed_sessions *reply = answer->reply;
    bool lives = reply->sessions.len == 1;
    ask_end(&a);
    return lives;
}

static void session_renew(const char *id) {
    struct session_specific_request r = {.session = str_from(id)};
    struct ask a;
    struct answer *answer = ask(&a, 1, &endpoint_session_renew, &r);
    struct indexed_sessions *reply = answer->reply;
    assert_int_equal(reply->sessions.len, 1);
    assert_true(answer->meta.index > 0);
    assert_false(answer->meta.known_leader); /* rpc.md 6.5 */
    ask_end(&a);
}

static void test_session_refusals(void **state) {
    struct session_request r = {.op = STR("create")};
    ask_error(0, &endpoint_session_apply, &r, "Must provide Node");
    r.session.node = STR("n1");
    r.session.behavior = STR("foo");
    ask_error(0, &endpoint_session_apply, &r, "Invalid Behavior setting 'foo'");
    r.session.behavior = STR("");
    r.session.ttl = STR("abc");
    ask_error(0, &endpoint_session_apply, &r,
              "Session TTL 'abc' invalid: time: invalid duration \"abc\"");
    r.session.ttl = STR("1ms");
    ask_error(0, &endpoint_session_apply, &r,
              "Invalid Session TTL '1000000', must be between [10ms=24h0m0s]");
    r.session.ttl = STR("25h");
    ask_error(0, &endpoint_session_apply, &r,
              "Invalid Session TTL '90000000000000', must be between [10ms=24h0m0s]");
    r.session.ttl = STR("");
    r.session.node = STR("unknown");
    ask_error(0, &endpoint_session_apply, &r, "Missing node registration");
    struct str checks[] = {STR("nope")};
    r.session.node = STR("n1");
    r.session.node_checks = (struct list){checks, 1, true};
    ask_error(0, &endpoint_session_apply, &r, "Missing check 'nope' registration");
    struct session_request d = {.op = STR("destroy")};
    ask_error(0, &endpoint_session_apply, &d, "Must provide ID");
    struct session_request x = {.op = STR("x")};
    ask_error(0, &endpoint_session_apply, &x, "Invalid Session operation 'x'");
}

static void test_session_ends_after_twice_its_ttl(void **state) {
    struct session s = {.node = STR("n1"), .ttl = STR("500ms")};
    struct session forever = {.node = STR("n1")};
    char id[40], other[40];
    session_make(&s, id);
    session_make(&forever, other);
    int64_t created = time_now_monotonic();
    /* Renewed for longer than twice its time, it lives; then it ends a second later. */
    for (int i = 0; i < 6; i++) {
        pause_ms(200);
        session_renew(id);
    }
    int64_t renewed = time_now_monotonic();
    assert_true(renewed - created > 1100 * MILLISECOND);
    assert_true(session_lives(id));
    for (int i = 0; i < 500 && session_lives(id); i++)
        pause_ms(5);
    int64_t lived = time_now_monotonic() - renewed;
    assert_false(session_lives(id));
    assert_true(lived >= 900 * MILLISECOND);
    assert_true(session_lives(other));
}

static void test_new_leader_restarts_timers(void **state) {
    struct session s = {.node = STR("n1"), .ttl = STR("900ms")};
    char id[40];
    session_make(&s, id);
    pause_ms(1000);
    fake_set_leader(false);
    fake_set_leader(true);
    pause_ms(900); /* 1900 ms after the beginning, 900 ms after the election */
    assert_true(session_lives(id));
    for (int i = 0; i < 500 && session_lives(id); i++)
        pause_ms(5);
    assert_false(session_lives(id));
}

static void test_lock_delay(void **state) {
    struct session s = {.node = STR("n1"), .lock_delay = 300 * MILLISECOND};
    char one[40], two[40];
    session_make(&s, one);
    session_make(&s, two);
    struct kvs_request r = {.dir_ent = {.key = STR("locked"), .session = str_from(one)},
                            .op = STR("lock")};
    struct ask a;
    assert_true(*(bool *)ask(&a, 0, &endpoint_kvs_apply, &r)->reply);
    ask_end(&a);
    r.dir_ent.session = str_from(two);
    assert_false(*(bool *)ask(&a, 0, &endpoint_kvs_apply, &r)->reply);
    ask_end(&a);
    struct session_request d = {.op = STR("destroy"), .session = {.id = str_from(one)}};
    ask(&a, 0, &endpoint_session_apply, &d);
    ask_end(&a);
    /* Nobody holds it, but the delay runs; also in a transaction. */
    assert_false(*(bool *)ask(&a, 0, &endpoint_kvs_apply, &r)->reply);
    ask_end(&a);
    struct txn_op_kv kv = {.dir_ent = r.dir_ent, .verb = STR("lock")};
    struct txn_op_kv nokey = {.verb = STR("set")};
    struct txn_op ops[] = {{.kv = &kv}, {.kv = &nokey}};
    struct txn_op *list[] = {&ops[0], &ops[1]};
    struct txn_request t = {.ops = {list, 2, true}};
    struct answer *answer = ask(&a, 0, &endpoint_txn_apply, &t);
    struct txn_response *reply = answer->reply;
    assert_int_equal(reply->errors.len, 2);
    assert_false(reply->results.present);
    struct txn_error *e = LIST_AT(reply->errors, struct txn_error *, 0);
    assert_int_equal(e->op_index, 0);
    assert_true(str_is(e->what, "failed to lock key \"locked\" due to lock delay"));
    e = LIST_AT(reply->errors, struct txn_error *, 1);
    assert_true(str_is(e->what, "Must provide key"));
    ask_end(&a);
    bool locked = false;
    for (int i = 0; i < 200 && !locked; i++) {
        pause_ms(5);
        locked = *(bool *)ask(&a, 0, &endpoint_kvs_apply, &r)->reply;
        ask_end(&a);
    }
    assert_true(locked);
}

/* ---- transactions ---- */

static void txn_expect(struct txn_op *op, const char *what) {
    struct txn_op *list[] = {op};
    struct txn_request t = {.ops = {list, 1, true}};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_txn_apply, &t);
    struct txn_response *reply = answer->reply;
    assert_int_equal(reply->errors.len, 1);
    char got[256];
    snprintf(got, sizeof got, "%.*s", STR_ARG(LIST_AT(reply->errors, struct txn_error *, 0)->what));
    ask_end(&a);
    assert_string_equal(got, what);
}

static void test_txn_refusals(void **state) {
    struct txn_op_node node = {.verb = STR("set")};
    txn_expect(&(struct txn_op){.node = &node}, "Must provide node");
    node.node.node = STR("a");
    node.node.id = STR("x");
    txn_expect(&(struct txn_op){.node = &node}, "Bad node ID: uuid string is wrong length");
    struct txn_op_service service = {
        .verb = STR("delete"), .node = STR("x"), .service = {.id = STR("q")}};
    txn_expect(&(struct txn_op){.service = &service}, "Must provide service name with ID");
    struct txn_op_session session = {.verb = STR("delete")};
    txn_expect(&(struct txn_op){.session = &session}, "Permission denied");
    struct txn_op *none[] = {NULL};
    struct txn_request t = {.ops = {none, 1, true}};
    ask_error(0, &endpoint_txn_apply, &t, "Bad request: operation 0 is null");
}

static void test_txn_runs(void **state) {
    struct txn_op_kv set = {.dir_ent = {.key = STR("t1"), .value = STR("hi"), .flags = 3},
                            .verb = STR("set")};
    struct txn_op_kv get = {.dir_ent = {.key = STR("t1")}, .verb = STR("get")};
    struct txn_op_check check = {.verb = STR("set"),
                                 .check = {.node = STR("n1"), .name = STR("by name")}};
    struct txn_op ops[] = {{.kv = &set}, {.kv = &get}, {.check = &check}};
    struct txn_op *list[] = {&ops[0], &ops[1], &ops[2]};
    struct txn_request t = {.ops = {list, 3, true}};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_txn_apply, &t);
    struct txn_response *reply = answer->reply;
    assert_false(reply->errors.present);
    assert_int_equal(reply->results.len, 3);
    assert_true(str_is(LIST_AT(reply->results, struct txn_result *, 1)->kv->value, "hi"));
    assert_true(
        str_is(LIST_AT(reply->results, struct txn_result *, 2)->check->check_id, "by name"));
    ask_end(&a);
    struct txn_op *one[] = {&ops[1]};
    struct txn_read_request r = {.ops = {one, 1, true}};
    answer = ask(&a, 0, &endpoint_txn_read, &r);
    struct txn_read_response *read = answer->reply;
    assert_int_equal(read->results.len, 1);
    assert_int_equal(read->meta.index, 0);
    assert_true(read->meta.known_leader);
    ask_end(&a);
}

/* ---- coordinates and distance ---- */

static struct coord coord_of(double x, double *vec) {
    memset(vec, 0, 8 * sizeof(double));
    vec[0] = x;
    return (struct coord){.error = 1.5, .height = 1e-5, .vec = {vec, 8, true}};
}

static void coordinate_put(const char *node, double x) {
    double vec[8];
    struct coord c = coord_of(x, vec);
    struct coordinate_update_request r = {.node = str_from(node), .coord = &c};
    struct ask a;
    ask(&a, 0, &endpoint_coordinate_update, &r);
    ask_end(&a);
}

static void test_distance(void **state) {
    double v1[8], v2[8];
    struct coord a = coord_of(0.001, v1), b = coord_of(0.004, v2);
    assert_true(near_distance(&a, &b) == 0.003020);
    a.adjustment = -1; /* not positive: not counted */
    assert_true(near_distance(&a, &b) == 0.003020);
    a.adjustment = 0.001;
    assert_true(near_distance(&a, &b) == 0.004020);
    b.vec.len = 7;
    assert_true(near_distance(&a, &b) > 1e100);
    assert_true(near_distance(NULL, &a) > 1e100);
}

static void test_near(void **state) {
    static const char *const nodes[] = {"near-a", "near-b", "near-c", "near-d"};
    for (int i = 0; i < 4; i++) {
        struct node_service s = {.service = STR("near")};
        struct register_request r = {
            .node = str_from(nodes[i]), .address = STR("1.1.1.1"), .service = &s};
        struct ask a;
        ask(&a, 0, &endpoint_catalog_register, &r);
        ask_end(&a);
    }
    coordinate_put("near-a", 0.010); /* near-b has none */
    coordinate_put("near-c", 0.002);
    coordinate_put("near-d", 0.001);
    struct service_request r = {.service_name = STR("near"),
                                .source = {.node = STR("near-d"), .datacenter = STR("dc1")}};
    char order[64] = "";
    for (int i = 0; i < 200 && strcmp(order, "dcab") != 0; i++) { /* written in batches */
        struct ask a;
        struct answer *answer = ask(&a, i % 2, &endpoint_health_service_nodes, &r);
        struct indexed_check_service_nodes *reply = answer->reply;
        assert_int_equal(reply->nodes.len, 4);
        for (uint32_t k = 0; k < 4; k++) {
            order[k] = LIST_AT(reply->nodes, struct check_service_node, k).node->node.data[5];
        }
        ask_end(&a);
        pause_ms(5);
    }
    assert_string_equal(order, "dcab");
    r.source.datacenter = STR("dc2");
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_catalog_service_nodes, &r);
    struct indexed_service_nodes *reply = answer->reply;
    assert_true(str_is(LIST_AT(reply->service_nodes, struct service_node *, 0)->node, "near-a"));
    ask_end(&a);
    /* The name is given back as it was asked. */
    struct node_request n = {.node = STR("NEAR-D")};
    answer = ask(&a, 0, &endpoint_coordinate_node, &n);
    struct indexed_coordinates *c = answer->reply;
    assert_true(str_is(LIST_AT(c->coordinates, struct coordinate *, 0)->node, "NEAR-D"));
    ask_end(&a);
}

static void test_coordinates_refused(void **state) {
    struct coordinate_update_request r = {.node = STR("n1")};
    ask_error(0, &endpoint_coordinate_update, &r, "Bad request: Must provide Coord");
    double vec[8];
    struct coord c = coord_of(0, vec);
    c.vec.len = 3;
    r.coord = &c;
    ask_error(0, &endpoint_coordinate_update, &r, "incompatible coordinate");
    vec[0] = 0.0 / 0.0;
    ask_error(0, &endpoint_coordinate_update, &r, "invalid coordinate");
}

static void test_tombstone_bins(void **state) {
    assert_int_equal(tombstone_gc_expiry(0), 15 * MINUTE + 30 * SECOND);
    assert_int_equal(tombstone_gc_expiry(1), 15 * MINUTE + 30 * SECOND);
    assert_int_equal(tombstone_gc_expiry(30 * SECOND - 1), 15 * MINUTE + 30 * SECOND);
    assert_int_equal(tombstone_gc_expiry(30 * SECOND), 16 * MINUTE);
}

static void snapshot_expect(bool restore, bool stale, const char *datacenter, const char *text) {
    struct snap s;
    snap(&s, restore,
         (struct snapshot_call){
             .archive = -1, .allow_stale = stale, .datacenter = str_from(datacenter)},
         text);
}

static void test_snapshot_errors(void **state) {
    snapshot_expect(false, false, "", "Raft error when taking snapshot: nothing new to snapshot");
    snapshot_expect(false, true, "", "Raft error when taking snapshot: nothing new to snapshot");
    snapshot_expect(false, true, "dc7", "No path to datacenter");
    snapshot_expect(true, true, "", "stale not allowed for restore");
    snapshot_expect(true, false, "", "failed to decompress snapshot: EOF");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_register_refusals),
        cmocka_unit_test(test_register_proxy_rules),
        cmocka_unit_test(test_register_fills_in),
        cmocka_unit_test(test_own_member),
        cmocka_unit_test(test_reads_that_are_refused),
        cmocka_unit_test(test_status_and_operator),
        cmocka_unit_test(test_kv_results),
        cmocka_unit_test(test_session_refusals),
        cmocka_unit_test(test_session_ends_after_twice_its_ttl),
        cmocka_unit_test(test_new_leader_restarts_timers),
        cmocka_unit_test(test_lock_delay),
        cmocka_unit_test(test_txn_refusals),
        cmocka_unit_test(test_txn_runs),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_near),
        cmocka_unit_test(test_coordinates_refused),
        cmocka_unit_test(test_tombstone_bins),
        cmocka_unit_test(test_snapshot_errors),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
