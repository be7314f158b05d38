/* Snapshots of what is in another datacenter, whose server is another one in this process. */
#include "proxy_world.h"
#include "server/peers.h"

#define FAR_ADDRESS "127.47.12.20"

static struct server *far_server;

static void begin_far(void) {
    struct error e = ERROR_IN(&w.arena);
    struct server_options options = {.node_name = STR("far"),
                                     .node_id = STR("22222222-2222-3333-4444-555555555555"),
                                     .datacenter = STR("dc2"),
                                     .dev_mode = true,
                                     .bootstrap = true,
                                     .advertise_address = STR(FAR_ADDRESS),
                                     .bind_address = STR(FAR_ADDRESS),
                                     .server_port = 8300,
                                     .serve_rpc = true,
                                     .io_threads = 1,
                                     .raft_multiplier = 1};
    far_server = server_new(&options, &e);
    if (far_server == NULL || !server_start(far_server, &e))
        fail_msg(STR_FMT, STR_ARG(e.text));
}

static void do_introduce(struct job *job) {
    const struct peer all[] = {{.name = STR("n1"),
                                .id = STR(NODE_ID),
                                .datacenter = STR("dc1"),
                                .address = STR("127.47.12.9:8300"),
                                .version = 2,
                                .pool = PEER_POOL_WAN},
                               {.name = STR("far"),
                                .id = STR("22222222-2222-3333-4444-555555555555"),
                                .datacenter = STR("dc2"),
                                .address = STR(FAR_ADDRESS ":8300"),
                                .version = 2,
                                .pool = PEER_POOL_WAN}};
    server_update_peers(w.server, PEER_POOL_WAN, all, COUNT_OF(all));
}

static bool far_answers(void) {
    struct dc_request r = {.datacenter = STR("dc2")};
    struct job job;
    return try_call(&endpoint_catalog_list_nodes, &r, &job);
}

static void put_gateway(const char *node, int64_t port) {
    struct node_service s = {
        .id = STR("mesh"), .service = STR("mesh"), .kind = STR("mesh-gateway"), .port = port};
    struct register_request r = {
        .datacenter = str_from(catalog), .node = str_from(node), .address = STR("127.47.12.10")};
    r.service = &s;
    apply(&endpoint_catalog_register, &r);
}

static struct upstream far_db;

static void register_sidecar(const char *mode) {
    struct service_definition *d = ARENA_NEW(&w.arena, struct service_definition);
    far_db = (struct upstream){.destination_name = STR("db"),
                               .datacenter = STR("dc2"),
                               .mesh_gateway.mode = str_from(mode)};
    d->name = d->id = STR("web-sidecar");
    d->kind = STR("connect-proxy");
    d->port = 20000;
    d->proxy = ARENA_NEW(&w.arena, struct connect_proxy_config);
    d->proxy->destination_service_name = d->proxy->destination_service_id = STR("web");
    d->proxy->upstreams = (struct list){&far_db, 1, true};
    register_with(d, "");
}

static const struct proxy_instances *far_instances(const struct proxy_snapshot *s) {
    const struct proxy_upstream *up = &LIST_AT(s->upstreams, struct proxy_upstream, 0);
    return proxy_instances_get(&up->targets, STR("db.default.dc2"));
}

static bool is_direct(const struct proxy_snapshot *s) {
    return s->upstreams.len == 1 && far_instances(s) != NULL && far_instances(s)->nodes.len == 1 &&
           s->gateways.len == 0;
}
static bool is_through_theirs(const struct proxy_snapshot *s) {
    const struct proxy_instances *gateways = proxy_instances_get(&s->gateways, STR("dc2"));
    return is_direct(s) == false && gateways != NULL && gateways->nodes.len == 1 &&
           s->gateways.len == 1;
}
static bool is_through_ours(const struct proxy_snapshot *s) {
    const struct proxy_instances *gateways = proxy_instances_get(&s->gateways, STR("dc1"));
    return gateways != NULL && gateways->nodes.len == 2 && s->gateways.len == 1;
}
static bool has_two_there(const struct proxy_snapshot *s) {
    return far_instances(s) != NULL && far_instances(s)->nodes.len == 2;
}

static bool knows_dc2(const struct proxy_snapshot *s) {
    const struct proxy_instances *gateways = proxy_instances_get(&s->gateways, STR("dc2"));
    return s->datacenters.len == 1 && str_is(LIST_AT(s->datacenters, struct str, 0), "dc2") &&
           gateways != NULL && gateways->nodes.len == 1;
}

static void test_far(void **state) {
    struct viewer x, gateway;
    struct job job = {0};
    start_world("");
    begin_far();
    on_core(&job, do_introduce);
    UNTIL(far_answers());
    catalog = "dc2";
    put_sidecar("n2", "db", 5000, "1");
    put_gateway("n2", 8443);
    catalog = "dc1";
    put_gateway("n2", 8443);
    put_gateway("n3", 8443);

    watch(&x, "web-sidecar");
    register_sidecar("none");
    UNTIL(is_good(&x, is_direct));
    register_sidecar("remote");
    UNTIL(is_good(&x, is_through_theirs));
    register_sidecar("local");
    UNTIL(is_good(&x, is_through_ours));
    catalog = "dc2";
    put_sidecar("n3", "db", 5000, "1");
    UNTIL(is_good(&x, has_two_there));
    catalog = "dc1";
    unwatch(&x);

    struct service_definition mesh = {
        .name = STR("mesh"), .id = STR("mesh"), .kind = STR("mesh-gateway"), .port = 8443};
    watch(&gateway, "mesh");
    register_with(&mesh, "");
    UNTIL(is_good(&gateway, knows_dc2));
    unwatch(&gateway);
    end_world();
    server_stop(far_server);
    server_free(far_server);
}

int main(void) {
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
