/* Which questions there are for a proxy, by its registration and by what is known, and the
 * snapshots that come of it: pure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/proxy_parts.h"
#include "base/mem.h"
#include "server/endpoints.h"

static struct arena arena;

/* ---- what is known ---- */

struct knowledge {
    enum proxy_part part;
    const char *of, *key;
    const void *reply;
};
struct world {
    struct proxy_view view;
    struct proxy_registration registered;
    struct config config;
    struct knowledge known[8];
    size_t len;
};

static const void *known(const struct proxy_view *v, enum proxy_part part, struct str of,
                         struct str key) {
    const struct world *w = v->owner;
    for (size_t i = 0; i < w->len; i++) {
        const struct knowledge *k = &w->known[i];
        if (k->part == part && str_is(of, k->of) && str_is(key, k->key))
            return k->reply;
    }
    return NULL;
}

static struct world *world(const char *kind) {
    struct world *w = ARENA_NEW(&arena, struct world);
    w->registered.token = STR("secret");
    w->registered.service = (struct node_service){
        .id = STR("p"), .service = STR("proxy"), .kind = str_from(kind), .port = 1};
    w->config.datacenter = STR("dc1");
    w->config.node_name = STR("n1");
    w->config.dns.domain = STR("consul.");
    w->config.dns.alt_domain = STR("alt.example.");
    w->view = (struct proxy_view){&w->registered, &w->config, known, w};
    return w;
}

static void knows(struct world *w, enum proxy_part part, const char *key, const void *reply) {
    assert_true(w->len < COUNT_OF(w->known));
    w->known[w->len++] = (struct knowledge){part, "", key, reply};
}

/* ---- as text ---- */

static void add_request(struct buf *out, const struct proxy_need *need) {
    const struct fact_question *q = &need->question;
    if (q->endpoint == &endpoint_discovery_chain_get) {
        const struct discovery_chain_request *r = q->request;
        buf_add_format(
            out, " " STR_FMT " in " STR_FMT " at " STR_FMT " [" STR_FMT " %lld " STR_FMT "]",
            STR_ARG(r->name), STR_ARG(r->evaluate_in_datacenter), STR_ARG(r->datacenter),
            STR_ARG(r->override_protocol), (long long)(r->override_connect_timeout / MILLISECOND),
            STR_ARG(r->override_mesh_gateway.mode));
    } else if (q->endpoint == &endpoint_health_service_nodes ||
               q->endpoint == &endpoint_catalog_gateway_services) {
        const struct service_request *r = q->request;
        buf_add_format(out, " " STR_FMT " at " STR_FMT "%s " STR_FMT, STR_ARG(r->service_name),
                       STR_ARG(r->datacenter), r->connect ? " connect" : "",
                       STR_ARG(r->options.filter));
    } else if (q->endpoint == &endpoint_internal_service_dump) {
        const struct service_dump_request *r = q->request;
        buf_add_format(out, " " STR_FMT " at " STR_FMT, STR_ARG(r->service_kind),
                       STR_ARG(r->datacenter));
    } else if (q->endpoint == &endpoint_prepared_query_execute) {
        const struct prepared_query_execute_request *r = q->request;
        buf_add_format(out, " " STR_FMT " at " STR_FMT " near " STR_FMT "%s",
                       STR_ARG(r->query_id_or_name), STR_ARG(r->datacenter),
                       STR_ARG(r->source.node), r->connect ? " connect" : "");
    }
}

static struct query_options *options_of(const struct fact_question *q) {
    return (struct query_options *)((char *)q->request + q->endpoint->options);
}

static struct str text_of(struct world *w) {
    struct proxy_needs needs = {.arena = &arena};
    struct buf out = BUF_INIT;
    proxy_needs_collect(&w->view, &needs);
    for (size_t i = 0; i < needs.len; i++) {
        const struct proxy_need *need = &needs.items[i];
        const struct fact_question *q = &need->question;
        if (q->endpoint == NULL) {
            buf_add_format(&out, "leaf " STR_FMT, STR_ARG(q->leaf->service));
            for (uint32_t n = 0; n < q->leaf->dns.len; n++)
                buf_add_format(&out, " " STR_FMT, STR_ARG(LIST_AT(q->leaf->dns, struct str, n)));
            assert_true(str_is(q->leaf->token, "secret"));
        } else {
            buf_add_format(&out, "%s", q->endpoint->name);
            if (need->of.len + need->key.len > 0)
                buf_add_format(&out, " (" STR_FMT "," STR_FMT ")", STR_ARG(need->of),
                               STR_ARG(need->key));
            add_request(&out, need);
            assert_true(str_is(options_of(q)->token, "secret"));
            assert_true(options_of(q)->allow_stale != (q->endpoint == &endpoint_connect_ca_roots));
            if (q->period > 0)
                buf_add_format(&out, " every %d s", (int)(q->period / SECOND));
        }
        buf_add_char(&out, '\n');
    }
    struct str text = str_copy(&arena, buf_str(&out));
    buf_free(&out);
    return text;
}

static void check(struct world *w, const char *wanted) {
    assert_string_equal(str_terminated(&arena, text_of(w)), wanted);
}

/* ---- chains ---- */

static void add_target(struct compiled_chain *chain, const char *id, const char *service,
                       const char *datacenter, const char *filter, const char *mode) {
    struct chain_target *t = ARENA_NEW(&arena, struct chain_target);
    t->id = str_from(id);
    t->service = str_from(service);
    t->datacenter = str_from(datacenter);
    t->subset.filter = str_from(filter);
    t->mesh_gateway.mode = str_from(mode);
    if (chain->targets.items == NULL) {
        chain->targets = LIST_NEW(&arena, struct ptr_pair, 8);
        chain->targets.len = 0;
    }
    LIST_AT(chain->targets, struct ptr_pair, chain->targets.len++) = (struct ptr_pair){t->id, t};
}

static struct value *settings(const char *protocol, struct value timeout) {
    struct value *v = ARENA_NEW(&arena, struct value);
    *v = value_map();
    value_put(v, STR("Protocol"), value_from_str(str_from(protocol)), &arena);
    value_put(v, STR("connect_timeout_ms"), timeout, &arena);
    return v;
}

static void test_sidecar(void **state) {
    struct world *w = world("connect-proxy");
    struct connect_proxy_config *proxy = &w->registered.service.proxy;
    check(w, ""); /* no sidecar */
    proxy->destination_service_id = STR("web1");
    proxy->destination_service_name = STR("web");
    check(w, "ConnectCA.Roots\nleaf web\n");
    struct upstream upstreams[] = {
        {.destination_name = STR("db"), .datacenter = STR("dc2")},
        {.destination_name = STR("db"),
         .config = settings("grpc", value_from_str(STR("250"))),
         .mesh_gateway.mode = STR("remote")},
        {.destination_name = STR("x"),
         .destination_type = STR("service"),
         .config = settings("", (struct value){.kind = VALUE_LIST, .list = {NULL, 0}})},
        {.destination_name = STR("q"),
         .destination_type = STR("prepared_query"),
         .datacenter = STR("dc3")},
        {.destination_name = STR("db"), .local_bind_port = 9}, /* the same once more */
    };
    proxy->upstreams = (struct list){upstreams, COUNT_OF(upstreams), true};
    proxy->mesh_gateway.mode = STR("local");
    check(w, "ConnectCA.Roots\nleaf web\n"
             "DiscoveryChain.Get (,db?dc=dc2) db in dc2 at dc1 [ 0 local]\n"
             "DiscoveryChain.Get (,db) db in dc1 at dc1 [grpc 250 remote]\n"
             "DiscoveryChain.Get (,x) x in dc1 at dc1 [ 0 local]\n"
             "PreparedQuery.Execute (,prepared_query:q?dc=dc3) q at dc3 near n1 connect every 30 "
             "s\n");

    proxy->upstreams.len = 2;
    struct compiled_chain far = {0}, near = {0};
    add_target(&far, "db.default.dc2", "db", "dc2", "", "local");
    add_target(&far, "db.default.dc3", "db", "dc3", "", "remote");
    add_target(&near, "v1.db.default.dc1", "db", "dc1", "a == b", "");
    add_target(&near, "other.default.dc3", "other", "dc3", "", "remote");
    add_target(&near, "none.default.dc4", "none", "dc4", "", "none");
    struct discovery_chain_response far_answer = {.chain = &far}, near_answer = {.chain = &near};
    knows(w, PART_CHAIN, "db?dc=dc2", &far_answer);
    knows(w, PART_CHAIN, "db", &near_answer);
    check(w, "ConnectCA.Roots\nleaf web\n"
             "DiscoveryChain.Get (,db?dc=dc2) db in dc2 at dc1 [ 0 local]\n"
             "Health.ServiceNodes (db?dc=dc2,db.default.dc2) db at dc2 connect \n"
             "Internal.ServiceDump (,dc1) mesh-gateway at dc1\n"
             "Health.ServiceNodes (db?dc=dc2,db.default.dc3) db at dc3 connect \n"
             "Internal.ServiceDump (,dc3) mesh-gateway at dc3\n"
             "DiscoveryChain.Get (,db) db in dc1 at dc1 [grpc 250 remote]\n"
             "Health.ServiceNodes (db,v1.db.default.dc1) db at dc1 connect a == b\n"
             "Health.ServiceNodes (db,other.default.dc3) other at dc3 connect \n"
             "Health.ServiceNodes (db,none.default.dc4) none at dc4 connect \n");
}

static void test_upstream_ids(void **state) {
    static const struct {
        const char *type, *ns, *name, *datacenter, *wanted;
    } cases[] = {
        {"", "", "db", "", "db"},
        {"service", "default", "db", "dc2", "db?dc=dc2"},
        {"service", "team", "db", "dc2", "team/db?dc=dc2"},
        {"prepared_query", "", "q", "", "prepared_query:q"},
        {"prepared_query", "team", "q", "dc1", "prepared_query:team/q?dc=dc1"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct upstream u = {.destination_type = str_from(cases[i].type),
                             .destination_namespace = str_from(cases[i].ns),
                             .destination_name = str_from(cases[i].name),
                             .datacenter = str_from(cases[i].datacenter)};
        assert_string_equal(proxy_upstream_id(&u, &arena).data, cases[i].wanted);
    }
}

/* ---- gateways ---- */

static void test_mesh(void **state) {
    struct world *w = world("mesh-gateway");
    check(w, "ConnectCA.Roots\nCatalog.ServiceList\nCatalog.ListDatacenters every 30 s\n"
             "ConfigEntry.List\n");
    struct service_name names[] = {{STR("web")}, {STR("db")}};
    struct indexed_service_list services = {.services = {names, 2, true}};
    struct str dcs[] = {STR("dc1"), STR("dc2")};
    struct list datacenters = {dcs, 2, true};
    knows(w, PART_SERVICES, "", &services);
    knows(w, PART_DATACENTERS, "", &datacenters);
    const char *all = "ConnectCA.Roots\nCatalog.ServiceList\nCatalog.ListDatacenters every 30 s\n"
                      "ConfigEntry.List\n"
                      "Health.ServiceNodes (,web) web at dc1 connect \n"
                      "Health.ServiceNodes (,db) db at dc1 connect \n"
                      "Internal.ServiceDump (,dc2) mesh-gateway at dc2\n";
    check(w, all);
    struct str_pair meta = {STR("consul-wan-federation"), STR("0")};
    w->registered.service.meta = (struct list){&meta, 1, true};
    check(w, all);
    meta.value = STR("1");
    struct str text = text_of(w);
    assert_true(str_has_prefix(text, str_from(all)));
    assert_true(str_has_suffix(text, STR("Health.ServiceNodes (,consul) consul at dc1 \n")));
}

static void test_terminating(void **state) {
    struct world *w = world("terminating-gateway");
    const char *bare = "ConnectCA.Roots\nCatalog.GatewayServices proxy at dc1 \nConfigEntry.List\n";
    check(w, bare);
    struct gateway_service a = {.service.name = STR("a")}, *all[] = {&a, NULL};
    struct indexed_gateway_services linked = {.services = {all, 2, true}};
    knows(w, PART_LINKED, "", &linked);
    check(w,
          str_terminated(
              &arena, str_format(&arena, "%sHealth.ServiceNodes (,a) a at dc1 \nleaf a\n", bare)));
}

static void test_ingress(void **state) {
    struct world *w = world("ingress-gateway");
    const char *bare = "ConnectCA.Roots\nConfigEntry.Get\nCatalog.GatewayServices proxy at dc1 \n";
    check(w, bare);
    struct str hosts[] = {STR("a.example"), STR("b.example")};
    struct gateway_service a = {
        .service.name = STR("a"), .port = 80, .protocol = STR("http"), .hosts = {hosts, 2, true}};
    struct gateway_service again = a;
    again.port = 81;
    struct gateway_service *all[] = {&a, &again};
    struct indexed_gateway_services linked = {.services = {all, 2, true}};
    struct ingress_gateway entry = {.head.kind = STR("ingress-gateway")};
    struct config_entry_response none = {0}, answer = {.entry = &entry.head};
    const char *chain = "DiscoveryChain.Get (,a) a in dc1 at dc1 [ 0 ]\n";
    knows(w, PART_LINKED, "", &linked);
    knows(w, PART_ENTRY, "", &none);
    check(w, str_format(&arena, "%s%s", bare, chain).data);
    w->known[1].reply = &answer;
    check(w, str_format(&arena, "%s%sleaf proxy\n", bare, chain).data);
    entry.tls.enabled = true;
    check(w, str_format(&arena,
                        "%s%sleaf proxy *.ingress.consul *.ingress.dc1.consul "
                        "*.ingress.alt.example *.ingress.dc1.alt.example a.example b.example\n",
                        bare, chain)
                 .data);
    struct list upstreams = proxy_upstreams(&w->view, &arena);
    assert_int_equal(upstreams.len, 2); /* each listener's */
}

/* ---- snapshots ---- */

static bool makes_one(struct world *w) {
    struct proxy_snapshot *s = proxy_snapshot_make(&w->view);
    proxy_snapshot_release(s);
    return s != NULL;
}

/* The first `needed` of what is known must be there, the rest not. */
static void check_needed(struct world *w, size_t needed) {
    assert_true(makes_one(w));
    for (size_t i = 0; i < w->len; i++) {
        const void *reply = w->known[i].reply;
        w->known[i].reply = NULL;
        if (makes_one(w) != (i >= needed))
            fail_msg("without %d: %d", (int)w->known[i].part, i >= needed);
        w->known[i].reply = reply;
    }
}

static void test_valid(void **state) {
    struct indexed_ca_roots roots = {.active_root_id = STR("r")}, none = {0};
    struct issued_cert leaf = {.service = STR("web")};
    struct indexed_service_list services = {0};
    struct indexed_check_service_nodes nodes = {0};
    struct list datacenters = LIST_EMPTY;
    struct indexed_config_entries resolvers = {0};
    struct indexed_gateway_services linked = {0};
    struct ingress_gateway gateway = {.head.kind = STR(CONFIG_INGRESS_GATEWAY)};
    struct config_entry_response entry = {.entry = &gateway.head}, no_entry = {0};

    struct world *w = world("connect-proxy");
    w->registered.service.proxy.destination_service_id = STR("web1");
    w->registered.service.proxy.destination_service_name = STR("web");
    knows(w, PART_ROOTS, "", &roots);
    knows(w, PART_LEAF, "web", &leaf);
    check_needed(w, 2);
    w->known[0].reply = &none; /* an authority that is not there yet */
    assert_false(makes_one(w));

    w = world("mesh-gateway");
    knows(w, PART_ROOTS, "", &roots);
    knows(w, PART_SERVICES, "", &services);
    knows(w, PART_SERVERS, "consul", &nodes);
    knows(w, PART_DATACENTERS, "", &datacenters);
    knows(w, PART_RESOLVERS, "", &resolvers);
    check_needed(w, 2);
    struct str_pair meta = {STR("consul-wan-federation"), STR("1")};
    w->registered.service.meta = (struct list){&meta, 1, true};
    check_needed(w, 3);

    w = world("terminating-gateway");
    knows(w, PART_ROOTS, "", &roots);
    knows(w, PART_LINKED, "", &linked);
    knows(w, PART_RESOLVERS, "", &resolvers);
    check_needed(w, 1);

    w = world("ingress-gateway");
    knows(w, PART_ROOTS, "", &roots);
    knows(w, PART_LEAF, "proxy", &leaf);
    knows(w, PART_ENTRY, "", &entry);
    knows(w, PART_LINKED, "", &linked);
    check_needed(w, 4);
    w->known[2].reply = &no_entry;
    assert_false(makes_one(w));
}

static void test_datacenters(void **state) {
    struct indexed_ca_roots roots = {.active_root_id = STR("r")};
    struct check_service_node instances[3] = {0};
    struct indexed_check_service_nodes of_dc3 = {.nodes = {instances, 2, true}};
    struct indexed_check_service_nodes servers = {.nodes = {instances, 3, true}};
    struct indexed_service_list services = {0};
    struct str names[] = {STR("dc3"), STR("dc1"), STR("dc2")};
    struct list datacenters = {names, 3, true};
    struct list_pair states[] = {{STR("dc1"), {instances, 1, true}}, {STR("dc3"), LIST_EMPTY}};
    struct list federation = {states, 2, true};
    struct str_pair meta = {STR("consul-wan-federation"), STR("1")};
    struct world *w = world("mesh-gateway");
    w->registered.service.meta = (struct list){&meta, 1, true};
    knows(w, PART_ROOTS, "", &roots);
    knows(w, PART_SERVICES, "", &services);
    knows(w, PART_DATACENTERS, "", &datacenters);
    knows(w, PART_GATEWAYS, "dc3", &of_dc3);
    knows(w, PART_SERVERS, "consul", &servers);
    knows(w, PART_FEDERATION, "", &federation);
    struct proxy_snapshot *s = proxy_snapshot_make(&w->view);
    assert_int_equal(s->datacenters.len, 2);
    assert_true(str_is(LIST_AT(s->datacenters, struct str, 0), "dc2"));
    assert_true(str_is(LIST_AT(s->datacenters, struct str, 1), "dc3"));
    assert_int_equal(s->gateways.len, 1);
    assert_int_equal(proxy_instances_get(&s->gateways, STR("dc3"))->nodes.len, 2);
    assert_int_equal(s->servers->nodes.len, 3);
    assert_int_equal(s->federation.len, 2);
    assert_int_equal(proxy_instances_get(&s->federation, STR("dc1"))->nodes.len, 1);
    assert_int_equal(proxy_instances_get(&s->federation, STR("dc3"))->nodes.len, 0);
    proxy_snapshot_release(s);
}

static int free_arena(void **state) {
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sidecar, free_arena),
        cmocka_unit_test_teardown(test_upstream_ids, free_arena),
        cmocka_unit_test_teardown(test_mesh, free_arena),
        cmocka_unit_test_teardown(test_terminating, free_arena),
        cmocka_unit_test_teardown(test_ingress, free_arena),
        cmocka_unit_test_teardown(test_valid, free_arena),
        cmocka_unit_test_teardown(test_datacenters, free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
