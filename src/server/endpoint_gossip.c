/* What goes to all members through gossip: user events and the keyring (rpc.md 6.7). */
#include "base/log.h"
#include "codec/base64.h"
#include "schema/table.h"
#include "server/endpoint.h"
#include "server/keyring.h"
#include "server/membership.h"
#include "server/permit.h"

#define OF struct event_fire_request
static const struct field event_fire_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Name", name),
    F_BYTES("Payload", payload),
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(event_fire_request, "EventFireRequest");

#define OF struct event_fire_response
static const struct field event_fire_response_fields[] = {
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(event_fire_response, "EventFireResponse");

#define OF struct keyring_request
static const struct field keyring_request_fields[] = {
    F_STR("Operation", operation),      F_STR("Key", key),
    F_STR("Datacenter", datacenter),    F_BOOL("Forwarded", forwarded),
    F_INT("RelayFactor", relay_factor), F_BOOL("LocalOnly", local_only),
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(keyring_request, "KeyringRequest");

#define OF struct keyring_response
static const struct field keyring_response_fields[] = {
    F_BOOL("WAN", wan),           F_STR("Datacenter", datacenter),
    F_STR("Segment", segment),    F_MAP("Messages", messages, OF_STR, .flags = FIELD_OMIT_EMPTY),
    F_MAP("Keys", keys, OF_INT),  F_MAP("PrimaryKeys", primary_keys, OF_INT),
    F_INT("NumNodes", num_nodes), F_STR("Error", error, .flags = FIELD_OMIT_EMPTY),
};
#undef OF
SHAPE(keyring_response, "KeyringResponse");

#define OF struct keyring_responses
static const struct field keyring_responses_fields[] = {
    F_LIST("Responses", responses, OF_PTR(keyring_response)),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(keyring_responses, "KeyringResponses");

/* ---- user events ---- */

static bool event_fire(struct call_context *c, void *request, void *reply, struct error *e) {
    const struct event_fire_request *r = request;
    struct event_fire_response *out = reply;
    if (!permit(c, ACL_EVENT, ACL_WRITE, r->name, e)) {
        log_at(LOG_WARN, "agent.server.internal", "user event blocked by ACLs",
               LOG_S("event", r->name));
        return false;
    }
    out->meta.known_leader = server_known_leader(c->server);
    out->meta.last_contact = (int64_t)server_last_contact_ns(c->server);
    if (c->server->membership == NULL)
        return error_set(e, ERROR_INTERNAL, "this server has no gossip pool");
    struct str name = str_format(c->arena, "consul:event:" STR_FMT, STR_ARG(r->name));
    if (membership_fire(c->server->membership, name, r->payload, e))
        return true;
    struct str text = e->text;
    return error_set(e, ERROR_INTERNAL,
                     "1 error occurred:\n\t* error broadcasting event to segment \"\": " STR_FMT
                     "\n\n",
                     STR_ARG(text));
}

const struct endpoint endpoint_internal_event_fire = {
    ENDPOINT_READS("Internal.EventFire", ENDPOINT_CORE, event_fire_request, event_fire_response),
    .core = event_fire,
};

/* ---- the keyring ---- */

/* An operation goes through the WAN pool, the LAN pool, and then to the other datacenters, one
 * after the other; each adds its answers to the reply. */
struct keyring_work {
    struct call *call;
    struct arena *arena; /* of the answer */
    enum gossip_key_operation operation;
    struct str key;    /* raw */
    struct list found; /* of struct keyring_response * */
    struct peer_datacenter *datacenters;
    size_t len, next;
    struct call remote;
    struct arena remote_arena;
    struct keyring_request remote_request;
};

static void add_response(struct keyring_work *w, struct keyring_response *response) {
    struct list grown = LIST_NEW(w->arena, struct keyring_response *, w->found.len + 1);
    if (w->found.len > 0)
        memcpy(grown.items, w->found.items, w->found.len * sizeof(struct keyring_response *));
    LIST_AT(grown, struct keyring_response *, w->found.len) = response;
    w->found = grown;
}

static void work_end(struct keyring_work *w) {
    struct keyring_responses *reply = w->call->answer->reply;
    reply->responses = w->found;
    arena_free(&w->remote_arena);
    call_send_back(w->call);
}

static void datacenter_next(struct keyring_work *w);

static void remote_done(struct call *c) {
    struct keyring_work *w = c->owner;
    struct answer *a = c->answer;
    c->answer = NULL;
    if (error_is_set(&a->error)) {
        error_copy(&w->call->answer->error, &a->error);
        w->next = w->len;
    } else {
        const struct keyring_responses *reply = a->reply;
        for (uint32_t i = 0; i < reply->responses.len; i++) {
            struct keyring_response *copy = ARENA_NEW(w->arena, struct keyring_response);
            schema_copy(&keyring_response_shape, copy,
                        LIST_AT(reply->responses, struct keyring_response *, i), w->arena);
            add_response(w, copy);
        }
    }
    answer_release(a);
    datacenter_next(w);
}

static void datacenter_next(struct keyring_work *w) {
    struct server *s = w->call->server;
    while (w->next < w->len && str_eq(w->datacenters[w->next].name, s->options.datacenter))
        w->next++;
    if (w->next >= w->len) {
        work_end(w);
        return;
    }
    w->remote_request = *(const struct keyring_request *)w->call->request;
    w->remote_request.datacenter = w->datacenters[w->next++].name;
    w->remote_request.forwarded = true;
    arena_free(&w->remote_arena);
    w->remote_arena = ARENA_INIT;
    w->remote = (struct call){.endpoint = &endpoint_internal_keyring_operation,
                              .arena = &w->remote_arena,
                              .request = &w->remote_request,
                              .done = remote_done,
                              .owner = w};
    call_start(s, &w->remote);
}

static struct list counts(const struct gossip_key_count *from, size_t len, struct arena *arena) {
    struct list out = LIST_NEW(arena, struct int_pair, len);
    for (size_t i = 0; i < len; i++)
        LIST_AT(out, struct int_pair, i) =
            (struct int_pair){str_copy(arena, from[i].key), (int64_t)from[i].count};
    return out;
}

static void add_pool(struct keyring_work *w, bool wan, const struct gossip_key_result *result,
                     struct str error) {
    struct keyring_response *r = ARENA_NEW(w->arena, struct keyring_response);
    *r = (struct keyring_response){
        .datacenter = w->call->server->options.datacenter,
        .error = str_copy(w->arena, error),
        .keys = counts(result->keys, result->keys_len, w->arena),
        .messages = LIST_NEW(w->arena, struct str_pair, result->messages_len),
        .num_nodes = (int64_t)result->nodes,
        .primary_keys = counts(result->primary_keys, result->primary_keys_len, w->arena),
        .wan = wan};
    for (size_t i = 0; i < result->messages_len; i++)
        LIST_AT(r->messages, struct str_pair, i) =
            (struct str_pair){str_copy(w->arena, result->messages[i].node),
                              str_copy(w->arena, result->messages[i].text)};
    add_response(w, r);
}

static void lan_done(void *owner, const struct gossip_key_result *result, struct str error) {
    struct keyring_work *w = owner;
    const struct keyring_request *r = w->call->request;
    add_pool(w, false, result, error);
    if (r->forwarded || r->local_only ||
        membership_pool(w->call->server->membership, MEMBERSHIP_WAN) == NULL) {
        work_end(w);
        return;
    }
    w->len = peers_datacenters(w->call->server->peers, w->arena, &w->datacenters);
    datacenter_next(w);
}

static void ask_pool(struct keyring_work *w, enum membership_pool pool, gossip_key_done *done) {
    const struct keyring_request *r = w->call->request;
    gossip_driver_key(membership_pool(w->call->server->membership, pool), w->operation, w->key,
                      (uint8_t)r->relay_factor, done, w);
}

static void wan_done(void *owner, const struct gossip_key_result *result, struct str error) {
    struct keyring_work *w = owner;
    add_pool(w, true, result, error);
    ask_pool(w, MEMBERSHIP_LAN, lan_done);
}

static bool operation_of(struct str text, enum gossip_key_operation *out, struct error *e) {
    static const struct {
        const char *name;
        enum gossip_key_operation operation;
    } known[] = {{"list", GOSSIP_KEY_LIST},
                 {"install", GOSSIP_KEY_INSTALL},
                 {"use", GOSSIP_KEY_USE},
                 {"remove", GOSSIP_KEY_REMOVE}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (str_is(text, known[i].name)) {
            *out = known[i].operation;
            return true;
        }
    }
    return error_set(e, ERROR_INTERNAL, "unknown keyring operation " STR_FMT, STR_ARG(text));
}

static bool keyring_permit(const struct call *c, struct error *e) {
    const struct keyring_request *r = c->request;
    bool list = str_is(r->operation, "list");
    if (authorizer_may_keyring(authorization_may(c->who), list ? ACL_READ : ACL_WRITE))
        return true;
    return error_set(e, ERROR_INTERNAL, "%s",
                     list ? "Reading keyring denied by ACLs"
                          : "Modifying keyring denied due to ACLs");
}

static bool keyring_check(const struct call *c, enum gossip_key_operation *operation,
                          struct error *e) {
    const struct keyring_request *r = c->request;
    if (!keyring_permit(c, e))
        return false;
    if (c->server->membership == NULL)
        return error_set(e, ERROR_INTERNAL, "this server has no gossip pool");
    if (r->local_only && !str_is(r->operation, "list"))
        return error_set(e, ERROR_INTERNAL,
                         "argument error: LocalOnly can only be used for List operations");
    return operation_of(r->operation, operation, e);
}

static void keyring_begin(struct call *c) {
    const struct keyring_request *r = c->request;
    struct answer *a = c->answer;
    struct keyring_work *w = ARENA_NEW(&a->arena, struct keyring_work);
    struct error key_error = ERROR_IN(&a->arena);
    w->call = c;
    w->arena = &a->arena;
    w->remote_arena = ARENA_INIT;
    w->found = LIST_EMPTY;
    if (!keyring_check(c, &w->operation, &a->error)) {
        work_end(w);
        return;
    }
    bool wan = !r->forwarded && !r->local_only &&
               membership_pool(c->server->membership, MEMBERSHIP_WAN) != NULL;
    static const struct gossip_key_result nothing;
    if (base64_decode(r->key, &w->key, &a->arena, &key_error)) {
        ask_pool(w, wan ? MEMBERSHIP_WAN : MEMBERSHIP_LAN, wan ? wan_done : lan_done);
        return;
    }
    if (wan)
        add_pool(w, true, &nothing, key_error.text);
    lan_done(w, &nothing, key_error.text);
}

const struct endpoint endpoint_internal_keyring_operation = {
    ENDPOINT_READS("Internal.KeyringOperation", ENDPOINT_LOCAL, keyring_request, keyring_responses),
    .begin = keyring_begin,
};
