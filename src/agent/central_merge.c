/* What comes from the servers goes where a service says nothing itself: see central.h. */
#include "agent/central.h"
#include "agent/local_state.h"
#include "base/mem.h"
#include "server/agent_tokens.h"

/* The maps' depth is bounded where they are read. */
static struct value *merge_maps(const struct value *own, const struct value *under,
                                struct arena *arena) {
    if (under == NULL || under->kind != VALUE_MAP)
        return own != NULL ? value_copy(own, arena) : NULL;
    struct value empty = value_map();
    struct value *out = value_copy(own != NULL && own->kind == VALUE_MAP ? own : &empty, arena);
    for (size_t i = 0; i < under->map.len; i++) {
        const struct value_pair *pair = &under->map.pairs[i];
        struct value *mine = value_find(out, pair->key);
        if (pair->value.kind == VALUE_NULL)
            continue;
        if (mine == NULL)
            value_put(out, pair->key, *value_copy(&pair->value, arena), arena);
        else if (value_is_zero(mine))
            *mine = *value_copy(&pair->value, arena);
        else if (mine->kind == VALUE_MAP && pair->value.kind == VALUE_MAP)
            *mine = *merge_maps(mine, &pair->value, arena);
    }
    return out;
}

static bool is_service(const struct upstream *u) {
    return u->destination_type.len == 0 || str_is(u->destination_type, "service");
}

static const struct value *of_upstream(const struct service_config_response *answer,
                                       struct str name) {
    for (uint32_t i = 0; i < answer->upstream_id_configs.len; i++) {
        const struct upstream_config *c =
            &LIST_AT(answer->upstream_id_configs, struct upstream_config, i);
        if (str_eq(c->upstream.id, name))
            return c->config;
    }
    return NULL;
}

void central_merge(struct node_service *s, const struct service_config_response *answer,
                   struct arena *arena) {
    struct connect_proxy_config *proxy = &s->proxy;
    struct list upstreams = LIST_NEW(arena, struct upstream, proxy->upstreams.len);
    proxy->config = merge_maps(proxy->config, answer->proxy_config, arena);
    proxy->expose.checks = proxy->expose.checks || answer->expose.checks;
    if (proxy->expose.paths.len == 0 && answer->expose.paths.len > 0)
        proxy->expose.paths = answer->expose.paths;
    if (proxy->mesh_gateway.mode.len == 0)
        proxy->mesh_gateway = answer->mesh_gateway;
    for (uint32_t i = 0; i < proxy->upstreams.len; i++) {
        struct upstream *u = &LIST_AT(upstreams, struct upstream, i);
        *u = LIST_AT(proxy->upstreams, struct upstream, i);
        if (!is_service(u))
            continue;
        if (u->mesh_gateway.mode.len == 0)
            u->mesh_gateway = proxy->mesh_gateway;
        u->config = merge_maps(u->config, of_upstream(answer, u->destination_name), arena);
    }
    if (upstreams.len > 0)
        proxy->upstreams = upstreams;
}

/* ---- who has it ---- */

static bool is_gateway(const struct node_service *s) {
    return str_is(s->kind, "mesh-gateway") || str_is(s->kind, "terminating-gateway") ||
           str_is(s->kind, "ingress-gateway");
}

static bool is_sidecar(const struct node_service *s) {
    return str_is(s->kind, "connect-proxy") && s->proxy.destination_service_id.len > 0;
}

static struct list upstream_ids(const struct node_service *s, struct arena *arena) {
    struct list ids = LIST_NEW(arena, struct service_id, s->proxy.upstreams.len);
    ids.len = 0;
    for (uint32_t i = 0; i < s->proxy.upstreams.len; i++) {
        const struct upstream *u = &LIST_AT(s->proxy.upstreams, struct upstream, i);
        if (is_service(u))
            LIST_AT(ids, struct service_id, ids.len++).id = u->destination_name;
    }
    return ids;
}

bool central_question(const struct local *l, const struct node_service *s, struct str token,
                      struct service_config_request *request, struct arena *arena) {
    const struct config *c = l->config;
    if (!c->enable_central_service_config || !(is_sidecar(s) || is_gateway(s)))
        return false;
    *request = (struct service_config_request){
        .datacenter = c->datacenter,
        .name = is_gateway(s) ? s->service : s->proxy.destination_service_name,
        .upstream_ids = upstream_ids(s, arena),
        .options.token = token.len > 0 ? token : agent_token_own(server_tokens(l->server), arena)};
    return true;
}
