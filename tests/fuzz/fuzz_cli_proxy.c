/* What the commands for proxies are told, of any bytes: the first byte chooses. Registrations,
 * instances and upstreams as the built-in proxy reads them, names in certificates, Proxy.Config as
 * `connect envoy` makes a bootstrap of it. No crash, no leak; a refusal has a text, and what is
 * made is JSON.
 */
#include <stdint.h>

#include "base/mem.h"
#include "cli/envoy_bootstrap.h"
#include "cli/proxy_config.h"
#include "codec/json.h"

static void read_registration(struct str text, struct arena *arena, struct error *e) {
    struct value v;
    struct proxy_config c;
    if (!json_parse_whole(text, &v, arena, e))
        return;
    if (!proxy_config_read(&v, &c, arena, e)) {
        ASSERT(e->text.len > 0);
        return;
    }
    const struct proxy_config *copy = proxy_config_copy(&c, arena);
    ASSERT(copy->upstream_count <= PROXY_UPSTREAMS_MAX && copy->service.len > 0);
    for (size_t i = 0; i < copy->upstream_count; i++) {
        ASSERT(proxy_upstream_same(&copy->upstreams[i], &c.upstreams[i]));
        ASSERT(copy->upstreams[i].connect_timeout > 0);
        proxy_upstream_label(&copy->upstreams[i], arena);
    }
}

static void read_instances(struct str text, struct arena *arena, struct error *e) {
    struct value v;
    size_t count;
    if (!json_parse_whole(text, &v, arena, e))
        return;
    struct proxy_instance *all = proxy_instances_read(&v, &count, arena);
    for (size_t i = 0; i < count; i++)
        ASSERT(all[i].port > 0 && all[i].port <= 65535 && all[i].service.len > 0);
}

static void match(struct str text, struct arena *arena) {
    struct str uri = text;
    struct proxy_instance x = {.name_space = str_cut(&uri, '\n'),
                               .datacenter = str_cut(&uri, '\n'),
                               .service = str_cut(&uri, '\n')};
    if (uri.data != NULL && proxy_identity_matches(uri, &x, arena))
        ASSERT(str_eq_fold(str_sub(uri, 0, 9), STR("spiffe://")) && x.service.len > 0);
}

static void make_bootstrap(struct str text, struct arena *arena, struct error *e) {
    static const struct cli_hooks hooks; /* templates have a target of their own */
    struct envoy_config config;
    struct value v, again;
    struct buf out = BUF_INIT;
    struct envoy_args args = {.proxy_cluster = STR("web"),
                              .proxy_id = STR("web-proxy"),
                              .agent_address = STR("127.0.0.1"),
                              .agent_port = STR("8502"),
                              .agent_socket = STR(""),
                              .agent_ca_pem = STR(""),
                              .admin_access_log_path = STR("/dev/null"),
                              .admin_bind_address = STR("127.0.0.1"),
                              .admin_bind_port = STR("19000"),
                              .local_agent_cluster_name = STR("local_agent"),
                              .token = STR(""),
                              .name_space = STR(""),
                              .envoy_version = STR("1.14.5")};
    if (!json_parse_whole(text, &v, arena, e))
        return;
    if (envoy_config_read(&v, &config, arena, e) &&
        envoy_bootstrap(&config, &args, &hooks, &out, arena, e)) {
        ASSERT(json_parse_whole(buf_str(&out), &again, arena, e));
    } else {
        ASSERT(e->text.len > 0);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str text = str_copy(&arena, str_of(data + 1, size - 1)), host, port;
    struct proxy_upstream upstream;
    switch (data[0] % 5) {
    case 0:
        read_registration(text, &arena, &e);
        break;
    case 1:
        read_instances(text, &arena, &e);
        break;
    case 2:
        match(text, &arena);
        break;
    case 3:
        make_bootstrap(text, &arena, &e);
        break;
    default:
        if (!proxy_upstream_parse(text, &upstream, &arena, &e) ||
            !envoy_split_address(text, &host, &port, &e))
            ASSERT(e.text.len > 0);
    }
    arena_free(&arena);
    return 0;
}
