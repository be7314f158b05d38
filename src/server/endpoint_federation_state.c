/* FederationState (rpc.md 6.16): which mesh gateways each datacenter has. The records are the
 * primary's: what is to change goes there, the others have copies.
 */
#include "schema/requests_federation.h"
#include "server/endpoint.h"
#include "server/federation.h"
#include "server/filter_acl.h"
#include "server/permit.h"
#include "store/federation.h"

/* Refused here, or by whom it is for: before anybody's rights are looked at. */
static bool check_enabled(const struct call *c, struct str datacenter, struct error *e) {
    bool own = str_eq(datacenter, server_options(c->server)->datacenter) ||
               (datacenter.len == 0 && !c->remote);
    return !own || federation_is_enabled(c->server) ||
           error_set(e, ERROR_INTERNAL, "%s", FEDERATION_DISABLED);
}

static bool read_place(const struct call *c, struct str *datacenter, struct error *e) {
    return check_enabled(c, *datacenter, e);
}

/* ---- Apply ---- */

static bool write_place(const struct call *c, struct str *datacenter, struct error *e) {
    const struct server_options *o = server_options(c->server);
    *datacenter = o->acl.primary_datacenter.len > 0 ? o->acl.primary_datacenter : o->datacenter;
    return check_enabled(c, *datacenter, e);
}

static bool apply_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    struct federation_state_request r = *(const struct federation_state_request *)request;
    struct federation_state state;
    if (!permit_operator(c, ACL_WRITE, e))
        return false;
    if (r.state == NULL || r.state->datacenter.len == 0)
        return error_set(e, ERROR_INTERNAL, "invalid request: missing federation state datacenter");
    if (!str_is(r.op, "upsert") && !str_is(r.op, "delete"))
        return error_set(e, ERROR_INTERNAL, "Invalid federation state operation: " STR_FMT,
                         STR_ARG(r.op));
    state = *r.state;
    r.state = &state;
    if (str_is(r.op, "upsert") && !state.updated_at.present)
        state.updated_at = timestamp_from_unix_ns(c->now_wall);
    endpoint_entry(entry, ENTRY_FEDERATION_STATE, &federation_state_request_shape, &r);
    return true;
}

static bool apply_finish(struct call_context *c, const void *request,
                         const struct store_result *result, void *reply, struct error *e) {
    (void)c, (void)request, (void)e;
    *(bool *)reply = result->kind == STORE_RESULT_BOOL && result->boolean;
    return true;
}

/* ---- Get, List ---- */

static bool get_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct federation_state_query *r = request;
    struct federation_state_response *out = reply;
    if (!permit_operator(c, ACL_READ, e))
        return false;
    c->meta->index = federation_state_get(c->store, r->datacenter, &out->state);
    return true;
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    struct indexed_federation_states *out = reply;
    (void)request;
    if (!permit_operator(c, ACL_READ, e))
        return false;
    c->meta->index = federation_state_list(c->store, &out->states);
    if (!out->states.present)
        out->states = LIST_EMPTY;
    c->exact = true; /* the whole table is watched */
    return true;
}

/* ---- ListMeshGateways ---- */

static bool gateways_read(struct call_context *c, const void *request, void *reply,
                          struct error *e) {
    struct datacenter_gateways *out = reply;
    struct list states;
    (void)request, (void)e;
    c->meta->index = federation_state_list(c->store, &states);
    c->exact = true; /* the whole table is watched */
    out->nodes = LIST_NEW(c->arena, struct list_pair, states.len);
    out->nodes.len = 0;
    for (uint32_t i = 0; i < states.len; i++) {
        struct federation_state *state = LIST_AT(states, struct federation_state *, i);
        filter_instances(c, &state->mesh_gateways);
        if (state->mesh_gateways.len > 0)
            LIST_AT(out->nodes, struct list_pair, out->nodes.len++) =
                (struct list_pair){state->datacenter, state->mesh_gateways};
    }
    map_sort(&out->nodes, sizeof(struct list_pair), c->arena);
    return true;
}

/* ---- the table ---- */

const struct endpoint endpoint_federation_state_apply = {
    ENDPOINT_WRITES("FederationState.Apply", federation_state_request),
    .metric = "federation_state.apply",
    ENDPOINT_REPLY_TYPE(bool_reply_type, bool),
    .place = write_place,
    .prepare = apply_prepare,
    .finish = apply_finish,
};

/* Routed by another field than all others. */
const struct endpoint endpoint_federation_state_get = {
    .name = "FederationState.Get",
    .kind = ENDPOINT_BLOCKING,
    .request = &federation_state_query_shape,
    ENDPOINT_REPLY(federation_state_response),
    .metric = "federation_state.get",
    .datacenter = offsetof(struct federation_state_query, target_datacenter),
    .options = offsetof(struct federation_state_query, options),
    .meta = offsetof(struct federation_state_response, meta),
    .token = offsetof(struct federation_state_query, options.token),
    .place = read_place,
    .read = get_read,
};

const struct endpoint endpoint_federation_state_list = {
    ENDPOINT_READS("FederationState.List", ENDPOINT_BLOCKING, dc_request,
                   indexed_federation_states),
    .metric = "federation_state.list",
    .place = read_place,
    .read = list_read,
};

const struct endpoint endpoint_federation_state_list_mesh_gateways = {
    ENDPOINT_READS("FederationState.ListMeshGateways", ENDPOINT_BLOCKING, dc_request,
                   datacenter_gateways),
    .metric = "federation_state.list_mesh_gateways",
    .place = read_place,
    .read = gateways_read,
};
