/* Snapshots of proxies on a real server in memory: what comes into the catalog, the configuration
 * entries and the authority comes into them (connect.md 6.3).
 */
#include "proxy_world.h"
#include "server/agent_tokens.h"
#include "server/ca_csr.h"

static struct upstream upstreams[3];

/* A sidecar of "web" with the first `count` upstreams. */
static struct service_definition *sidecar(uint32_t count) {
    struct service_definition *d = ARENA_NEW(&w.arena, struct service_definition);
    d->name = d->id = STR("web-sidecar");
    d->kind = STR("connect-proxy");
    d->port = 20000;
    d->proxy = ARENA_NEW(&w.arena, struct connect_proxy_config);
    d->proxy->destination_service_name = STR("web");
    d->proxy->destination_service_id = STR("web1");
    d->proxy->upstreams = (struct list){upstreams, count, true};
    return d;
}

static const struct proxy_upstream *upstream(const struct proxy_snapshot *s, uint32_t i) {
    assert_true(i < s->upstreams.len);
    return &LIST_AT(s->upstreams, struct proxy_upstream, i);
}

/* How many instances a target of the first upstream has, -1: unknown. */
static int instances(const struct proxy_snapshot *s, const char *target) {
    const struct proxy_instances *x =
        proxy_instances_get(&upstream(s, 0)->targets, str_from(target));
    return x != NULL ? (int)x->nodes.len : -1;
}

static bool has_chain(const struct proxy_snapshot *s) {
    return s->upstreams.len > 0 && upstream(s, 0)->chain != NULL;
}
static bool has_no_db(const struct proxy_snapshot *s) {
    return has_chain(s) && instances(s, "db.default.dc1") == 0;
}
static bool has_one_db(const struct proxy_snapshot *s) {
    return has_chain(s) && instances(s, "db.default.dc1") == 1;
}

static void test_sidecar(void **state) {
    struct viewer x;
    start_world("");
    upstreams[0] = (struct upstream){.destination_name = STR("db"), .local_bind_port = 9191};
    watch(&x, "web-sidecar");
    register_with(sidecar(1), "");
    UNTIL(is_good(&x, has_no_db));
    struct proxy_snapshot *s = newest(&x);
    assert_true(str_is(s->proxy_id, "web-sidecar"));
    assert_true(str_is(s->datacenter, "dc1") && str_is(s->domain, "consul."));
    assert_true(str_is(s->leaf->service, "web"));
    assert_true(s->leaf->private_key_pem.len > 0);
    assert_int_equal(s->roots->roots.len, 1);
    assert_true(str_is(upstream(s, 0)->id, "db"));
    assert_int_equal(upstream(s, 0)->upstream->local_bind_port, 9191);
    assert_true(chain_is_default(upstream(s, 0)->chain));
    proxy_snapshot_release(s);

    put_sidecar("n2", "db", 5000, "1");
    UNTIL(is_good(&x, has_one_db));
    s = newest(&x);
    const struct proxy_instances *db =
        proxy_instances_get(&upstream(s, 0)->targets, STR("db.default.dc1"));
    assert_int_equal(LIST_AT(db->nodes, struct check_service_node, 0).service->port, 5000);
    unwatch(&x);
    end_world();
    /* A snapshot outlives all that it was made from. */
    assert_true(str_is(s->leaf->service, "web") && str_is(upstream(s, 0)->chain->protocol, "tcp"));
    proxy_snapshot_release(s);
}

/* ---- what the chain says ---- */

static struct proxy_snapshot *await(struct viewer *x, good_fn *good) {
    UNTIL(is_good(x, good));
    return newest(x);
}

static bool is_redirected(const struct proxy_snapshot *s) {
    return has_chain(s) && instances(s, "v2.other.default.dc1") == 1 &&
           instances(s, "db.default.dc1") == -1;
}
static bool fails_over(const struct proxy_snapshot *s) {
    return has_chain(s) && instances(s, "db.default.dc1") == 0 &&
           instances(s, "v2.other.default.dc1") == 1;
}

static void test_resolvers(void **state) {
    struct viewer x;
    start_world("");
    upstreams[0] = (struct upstream){.destination_name = STR("db")};
    put_sidecar("n2", "other", 5001, "1");
    put_sidecar("n3", "other", 5002, "2");
    struct subset_pair {
        struct str key;
        struct service_resolver_subset subset;
    } v2 = {STR("v2"), {.filter = STR("Service.Meta.version == 2")}};
    struct service_resolver other = {
        .head = {.kind = STR(CONFIG_SERVICE_RESOLVER), .name = STR("other")},
        .subsets = {&v2, 1, true}};
    put_entry(&other.head);
    watch(&x, "web-sidecar");
    register_with(sidecar(1), "");
    UNTIL(is_good(&x, has_no_db));

    struct service_resolver_redirect redirect = {.service = STR("other"),
                                                 .service_subset = STR("v2")};
    struct service_resolver db = {.head = {.kind = STR(CONFIG_SERVICE_RESOLVER), .name = STR("db")},
                                  .redirect = &redirect};
    put_entry(&db.head);
    struct proxy_snapshot *s = await(&x, is_redirected);
    const struct proxy_instances *found =
        proxy_instances_get(&upstream(s, 0)->targets, STR("v2.other.default.dc1"));
    assert_int_equal(LIST_AT(found->nodes, struct check_service_node, 0).service->port, 5002);
    proxy_snapshot_release(s);

    struct failover_pair {
        struct str key;
        struct service_resolver_failover failover;
    } all = {STR("*"), {.service = STR("other"), .service_subset = STR("v2")}};
    db.redirect = NULL;
    db.failover = (struct list){&all, 1, true};
    put_entry(&db.head);
    UNTIL(is_good(&x, fails_over));
    unwatch(&x);
    end_world();
}

/* ---- prepared queries, other datacenters ---- */

static bool has_query(const struct proxy_snapshot *s) {
    return s->upstreams.len == 3 && upstream(s, 0)->query != NULL;
}

static bool has_far_chain(const struct proxy_snapshot *s) {
    return has_query(s) && upstream(s, 1)->chain != NULL && upstream(s, 2)->chain != NULL;
}

static void test_others(void **state) {
    struct viewer x;
    struct value_pair config[] = {
        {STR("protocol"), value_from_str(STR("http"))},
        {STR("connect_timeout_ms"), {.kind = VALUE_FLOAT, .number = 8000}}};
    struct value map = {.kind = VALUE_MAP, .map = {config, 2}};
    start_world("");
    put_sidecar("n2", "db", 5000, "1");
    struct prepared_query query = {.name = STR("q"), .service.service = STR("db")};
    struct prepared_query_request create = {.op = STR("create"), .query = &query};
    apply(&endpoint_prepared_query_apply, &create);
    upstreams[0] = (struct upstream){.destination_type = STR("prepared_query"),
                                     .destination_name = STR("q"),
                                     .local_bind_port = 1};
    upstreams[1] = (struct upstream){.destination_name = STR("db"),
                                     .datacenter = STR("dc2"),
                                     .mesh_gateway.mode = STR("local"),
                                     .local_bind_port = 2};
    upstreams[2] =
        (struct upstream){.destination_name = STR("db"), .config = &map, .local_bind_port = 3};
    register_with(sidecar(3), "");
    watch(&x, "web-sidecar");
    struct proxy_snapshot *s = await(&x, has_far_chain);
    assert_true(str_is(upstream(s, 0)->id, "prepared_query:q"));
    assert_int_equal(upstream(s, 0)->query->nodes.len, 1);
    assert_null(upstream(s, 0)->chain);
    assert_true(str_is(upstream(s, 1)->id, "db?dc=dc2"));
    assert_true(str_is(upstream(s, 1)->chain->datacenter, "dc2"));
    /* Nobody knows the way there; its gateways would be our own. */
    assert_int_equal(upstream(s, 1)->targets.len, 0);
    assert_true(str_is(upstream(s, 2)->chain->protocol, "http"));
    assert_true(upstream(s, 2)->chain->customization_hash.len > 0);
    const struct chain_node *start =
        chain_node_get(upstream(s, 2)->chain, upstream(s, 2)->chain->start_node);
    assert_true(start->resolver->connect_timeout == 8 * SECOND);
    proxy_snapshot_release(s);
    unwatch(&x);
    end_world();
}

/* ---- registrations ---- */

static bool has_token(const struct proxy_snapshot *s) {
    return str_is(s->token, "11111111-0000-0000-0000-000000000001");
}
static bool has_port(const struct proxy_snapshot *s) {
    return s->service->port == 20001 && s->upstreams.len == 2;
}

static void test_registrations(void **state) {
    struct viewer x, late;
    start_world("");
    upstreams[0] = (struct upstream){.destination_name = STR("db"), .local_bind_port = 1};
    upstreams[1] = (struct upstream){.destination_name = STR("other"), .local_bind_port = 2};
    watch(&x, "web-sidecar");
    register_with(sidecar(1), "");
    UNTIL(is_good(&x, has_no_db));
    register_with(sidecar(1), "11111111-0000-0000-0000-000000000001");
    UNTIL(is_good(&x, has_token));
    struct service_definition *changed = sidecar(2);
    changed->port = 20001;
    register_with(changed, "");
    UNTIL(is_good(&x, has_port));

    /* Without it nothing comes; what was got stays good. */
    deregister("web-sidecar");
    watch(&late, "web-sidecar");
    unsigned before = count_of(&x);
    register_with(changed, "");
    UNTIL(count_of(&x) > before && is_good(&late, has_port));
    unwatch(&late);
    /* Those that end while something is on its way. */
    for (int i = 0; i < 20; i++) {
        watch(&late, "web-sidecar");
        unwatch(&late);
    }
    deregister("web-sidecar");
    unwatch(&x);
    end_world();
}

/* ---- the agent's token, its configuration ---- */

static bool has_default_token(const struct proxy_snapshot *s) {
    return str_is(s->token, "of the agent");
}
static bool has_protocol(const struct proxy_snapshot *s) {
    const struct value *v = value_get(s->service->proxy.config, "protocol");
    return v != NULL && str_is(v->string, "http");
}
static bool has_no_protocol(const struct proxy_snapshot *s) {
    return value_get(s->service->proxy.config, "protocol") == NULL;
}

static const struct config *reloaded;

static void do_reload(struct job *job) {
    job->ok = local_reload(w.local, reloaded, &job->e);
}
static void do_change_all(struct job *job) {
    proxies_changed(w.proxies, STR_NONE);
}
static void reload(const char *hcl) {
    struct job job = {0};
    reloaded = read_config(hcl);
    on_core(&job, do_reload);
    assert_true(job.ok);
    config_release(reloaded);
}

#define WEB "services { name = \"web\" port = 80 connect { sidecar_service { port = 1 } } } "

static void test_configuration(void **state) {
    struct viewer x;
    start_world(WEB "enable_central_service_config = true");
    watch(&x, "web-sidecar-proxy");
    UNTIL(is_good(&x, has_no_protocol));

    /* What configuration entries say is in it. */
    struct service_defaults defaults = {
        .head = {.kind = STR(CONFIG_SERVICE_DEFAULTS), .name = STR("web")},
        .protocol = STR("http")};
    put_entry(&defaults.head);
    UNTIL(is_good(&x, has_protocol));

    /* A reload that changes nothing of it is not seen; the token is. */
    unsigned before = count_of(&x);
    reload(WEB "enable_central_service_config = true");
    assert_true(agent_token_set(server_tokens(w.server), AGENT_TOKEN_DEFAULT, STR("of the agent")));
    struct job job = {0};
    on_core(&job, do_change_all);
    UNTIL(is_good(&x, has_default_token));
    assert_int_equal(count_of(&x), before + 1);
    assert_true(is_good(&x, has_protocol));

    reload("");
    before = count_of(&x);
    reload(WEB);
    UNTIL(count_of(&x) > before && is_good(&x, has_no_protocol));
    unwatch(&x);
    end_world();
}

/* Many watch while much changes; the end comes in the middle of it. */
static void test_stop(void **state) {
    struct viewer all[8];
    start_world("");
    upstreams[0] = (struct upstream){.destination_name = STR("db"), .local_bind_port = 1};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        watch(&all[i], "web-sidecar");
    for (int i = 0; i < 10; i++) {
        struct service_definition *d = sidecar(1);
        d->port += i;
        register_with(d, "");
        usleep(30000);
    }
    UNTIL(is_good(&all[0], has_no_db));
    for (size_t i = 0; i < COUNT_OF(all); i++)
        unwatch(&all[i]);
    register_with(sidecar(1), "");
    end_world();
}

/* ---- the authority ---- */

static struct str first_leaf;

static bool has_leaf(const struct proxy_snapshot *s) {
    return s->leaf != NULL;
}
static bool has_other_leaf(const struct proxy_snapshot *s) {
    return s->roots->roots.len == 2 && !str_eq(s->leaf->cert_pem, first_leaf);
}

static void test_rotation(void **state) {
    struct viewer x;
    start_world("");
    ((struct config *)w.config)->connect_test_ca_leaf_root_change_spread = 100 * MILLISECOND;
    watch(&x, "web-sidecar");
    register_with(sidecar(0), "");
    struct proxy_snapshot *s = await(&x, has_leaf);
    first_leaf = s->leaf->cert_pem;
    struct error e = ERROR_IN(&w.arena);
    EVP_PKEY *key = ca_key_new(STR("ec"), 256, &e);
    struct value_pair settings[] = {
        {STR("PrivateKey"), value_from_str(ca_key_pem(key, &w.arena))},
    };
    EVP_PKEY_free(key);
    struct value config = {.kind = VALUE_MAP, .map = {settings, 1}};
    struct ca_configuration ca = {.provider = STR("consul"), .config = &config};
    struct ca_request r = {.config = &ca};
    apply(&endpoint_connect_ca_configuration_set, &r);
    UNTIL(is_good(&x, has_other_leaf));
    proxy_snapshot_release(s);
    unwatch(&x);
    end_world();
}

int main(void) {
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sidecar),       cmocka_unit_test(test_resolvers),
        cmocka_unit_test(test_others),        cmocka_unit_test(test_registrations),
        cmocka_unit_test(test_configuration), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_rotation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
