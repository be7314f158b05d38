/* Snapshots of proxies on a real server in memory: what comes into the catalog, the configuration
 * entries and the authority comes into them (connect.md 6.3).
 */
#include "proxy_world.h"

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

int main(void) {
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sidecar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
