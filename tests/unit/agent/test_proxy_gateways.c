/* Snapshots of gateways on a real server in memory (connect.md 6.3, 6.6). */
#include "proxy_world.h"
#include "server/ca_certificate.h"

static struct service_definition *gateway(const char *kind, const char *name) {
    struct service_definition *d = ARENA_NEW(&w.arena, struct service_definition);
    d->name = d->id = str_from(name);
    d->kind = str_from(kind);
    d->port = 8443;
    return d;
}

static struct proxy_snapshot *await(struct viewer *x, good_fn *good) {
    UNTIL(is_good(x, good));
    return newest(x);
}

static void put_resolver(const char *name, int64_t timeout) {
    struct service_resolver r = {
        .head = {.kind = STR(CONFIG_SERVICE_RESOLVER), .name = str_from(name)},
        .connect_timeout = timeout};
    put_entry(&r.head);
}

/* ---- ingress ---- */

static void put_ingress(bool tls, const char *service) {
    struct str host = STR("www.example.com");
    struct ingress_service hosted = {.name = str_from(service), .hosts = {&host, 1, true}};
    struct ingress_listener listener = {
        .port = 8081, .protocol = STR("http"), .services = {&hosted, 1, true}};
    struct value_pair protocol = {STR("protocol"), value_from_str(STR("http"))};
    struct value config = {.kind = VALUE_MAP, .map = {&protocol, 1}};
    struct proxy_defaults defaults = {
        .head = {.kind = STR(CONFIG_PROXY_DEFAULTS), .name = STR("global")}, .config = &config};
    struct ingress_gateway entry = {
        .head = {.kind = STR(CONFIG_INGRESS_GATEWAY), .name = STR("gate")},
        .tls.enabled = tls,
        .listeners = {&listener, 1, true}};
    put_entry(&defaults.head);
    put_entry(&entry.head);
}

static bool is_ingress(const struct proxy_snapshot *s) {
    if (s->upstreams.len != 1)
        return false;
    const struct proxy_upstream *up = &LIST_AT(s->upstreams, struct proxy_upstream, 0);
    return up->chain != NULL && up->targets.len == 1 &&
           LIST_AT(up->targets, struct proxy_instances, 0).nodes.len == 1;
}
static bool has_names(const struct proxy_snapshot *s) {
    struct ca_certificate_info info;
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    bool has = s->ingress->tls.enabled &&
               ca_certificate_read(s->leaf->cert_pem, &info, &scratch, &e) &&
               info.names.dns.len == 3 && str_list_has(&info.names.dns, STR("*.ingress.consul")) &&
               str_list_has(&info.names.dns, STR("*.ingress.dc1.consul")) &&
               str_list_has(&info.names.dns, STR("www.example.com"));
    arena_free(&scratch);
    return has;
}
static bool is_empty(const struct proxy_snapshot *s) {
    return s->upstreams.len == 0 && s->ingress->listeners.len == 0;
}

static void test_ingress(void **state) {
    struct viewer x;
    start_world("");
    watch(&x, "gate");
    register_with(gateway("ingress-gateway", "gate"), "");
    put_sidecar("n2", "web", 5000, "1");
    put_ingress(false, "web");
    struct proxy_snapshot *s = await(&x, is_ingress);
    const struct proxy_upstream *up = &LIST_AT(s->upstreams, struct proxy_upstream, 0);
    assert_true(str_is(up->id, "web"));
    assert_int_equal(up->upstream->local_bind_port, 8081);
    assert_true(str_is(LIST_AT(up->upstream->ingress_hosts, struct str, 0), "www.example.com"));
    assert_true(str_is(value_get(up->upstream->config, "protocol")->string, "http"));
    assert_true(str_is(up->chain->protocol, "http") && up->chain->customization_hash.len == 0);
    assert_true(str_is(s->leaf->service, "gate"));
    assert_int_equal(s->ingress->listeners.len, 1);
    proxy_snapshot_release(s);

    put_ingress(true, "web");
    UNTIL(is_good(&x, has_names));

    struct ingress_gateway empty = {
        .head = {.kind = STR(CONFIG_INGRESS_GATEWAY), .name = STR("gate")}};
    put_entry(&empty.head);
    UNTIL(is_good(&x, is_empty));
    unwatch(&x);
    end_world();
}

/* ---- terminating ---- */

static const struct proxy_linked_service *linked(const struct proxy_snapshot *s, const char *name) {
    for (uint32_t i = 0; i < s->linked.len; i++) {
        const struct proxy_linked_service *one =
            &LIST_AT(s->linked, struct proxy_linked_service, i);
        if (str_is(one->service->service.name, name))
            return one;
    }
    return NULL;
}

static bool is_bare(const struct proxy_snapshot *s) {
    return s->linked.len == 0;
}
static bool is_terminating(const struct proxy_snapshot *s) {
    const struct proxy_linked_service *a = linked(s, "a"), *b = linked(s, "b");
    return a != NULL && b != NULL && a->leaf != NULL && b->leaf != NULL && a->instances != NULL &&
           a->instances->nodes.len == 1 && b->instances != NULL && a->resolver != NULL &&
           b->resolver != NULL;
}
static bool is_without_b(const struct proxy_snapshot *s) {
    return linked(s, "a") != NULL && linked(s, "b") == NULL;
}

static void test_terminating(void **state) {
    struct viewer x;
    start_world("");
    watch(&x, "gate");
    register_with(gateway("terminating-gateway", "gate"), "");
    UNTIL(is_good(&x, is_bare));
    put_instance("n2", "a", 5000);
    put_resolver("a", SECOND);
    put_resolver("b", 2 * SECOND); /* unlike the peer's, also when there are several */
    struct linked_service services[] = {
        {.name = STR("a"), .ca_file = STR("/ca.pem"), .sni = STR("a.example.com")},
        {.name = STR("b")}};
    struct terminating_gateway entry = {
        .head = {.kind = STR(CONFIG_TERMINATING_GATEWAY), .name = STR("gate")},
        .services = {services, 2, true}};
    put_entry(&entry.head);
    struct proxy_snapshot *s = await(&x, is_terminating);
    const struct proxy_linked_service *a = linked(s, "a"), *b = linked(s, "b");
    assert_true(str_is(a->service->ca_file, "/ca.pem") && str_is(a->service->sni, "a.example.com"));
    assert_true(str_is(a->leaf->service, "a") && str_is(b->leaf->service, "b"));
    assert_true(a->resolver->connect_timeout == SECOND);
    assert_true(b->resolver->connect_timeout == 2 * SECOND);
    assert_int_equal(b->instances->nodes.len, 0);
    assert_null(s->leaf);
    proxy_snapshot_release(s);
    entry.services.len = 1;
    put_entry(&entry.head);
    UNTIL(is_good(&x, is_without_b));
    unwatch(&x);
    end_world();
}

/* ---- mesh ---- */

static const struct proxy_meshed_service *meshed(const struct proxy_snapshot *s, const char *name) {
    for (uint32_t i = 0; i < s->meshed.len; i++) {
        const struct proxy_meshed_service *one =
            &LIST_AT(s->meshed, struct proxy_meshed_service, i);
        if (str_is(one->name, name))
            return one;
    }
    return NULL;
}

static bool is_mesh(const struct proxy_snapshot *s) {
    const struct proxy_meshed_service *web = meshed(s, "web");
    return web != NULL && web->instances != NULL && web->instances->nodes.len == 1 &&
           web->resolver != NULL && meshed(s, "plain") == NULL;
}
static bool federates(const struct proxy_snapshot *s) {
    return is_mesh(s) && s->servers != NULL && s->servers->nodes.len == 1;
}
static bool is_without_web(const struct proxy_snapshot *s) {
    return meshed(s, "web") == NULL;
}

static void test_mesh(void **state) {
    struct viewer x;
    start_world("");
    watch(&x, "mesh");
    put_instance("n2", "plain", 5000);
    put_instance("n2", "web", 5000);
    put_sidecar("n2", "web", 5001, "1");
    put_resolver("Web", SECOND); /* nobody looks at the case */
    struct service_definition *d = gateway("mesh-gateway", "mesh");
    register_with(d, "");
    struct proxy_snapshot *s = await(&x, is_mesh);
    assert_int_equal(s->datacenters.len, 0);
    assert_null(s->servers);
    assert_null(s->leaf);
    proxy_snapshot_release(s);

    /* The meta alone makes it one through which servers are reached. */
    struct str_pair meta = {STR("consul-wan-federation"), STR("1")};
    d->meta = (struct list){&meta, 1, true};
    register_with(d, "");
    UNTIL(is_good(&x, federates));

    struct deregister_request gone = {.node = STR("n2"), .service_id = STR("web-sidecar")};
    apply(&endpoint_catalog_deregister, &gone);
    UNTIL(is_good(&x, is_without_web));
    unwatch(&x);
    end_world();
}

int main(void) {
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ingress),
        cmocka_unit_test(test_terminating),
        cmocka_unit_test(test_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
