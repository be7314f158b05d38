/* Logging in with what an auth method accepts, and out again (acl.md 15): ACL.Login, ACL.Logout.
 * Whose a bearer token is, auth_method.h finds out before the entry is prepared; what that identity
 * gets, the binding rules say then.
 */
#include <stdlib.h>

#include "base/time.h"
#include "codec/json.h"
#include "server/auth_method.h"
#include "server/binding_rule.h"
#include "server/endpoint_acl.h"

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

/* ---- Login ---- */

static bool not_found(struct error *e) {
    return error_set(e, ERROR_DENIED, "ACL not found");
}

static void verified(struct auth_work *w) {
    struct call *c = w->owner;
    call_inquired(c, &w->error);
}

/* c->following: the work, which keeps the identity. */
static bool login_inquire(struct call *c, struct error *e) {
    const struct acl_login_request *r = c->request;
    if (r->auth == NULL)
        return REFUSE(e, "Invalid Login request: Missing auth parameters");
    if (r->write.token.len > 0)
        return REFUSE(e, "do not provide a token when logging in");
    struct arena arena = ARENA_INIT;
    struct store_read read;
    struct acl_auth_method *method = NULL;
    bool ok = store_read_begin(c->server->store, &read, &arena, NULL, e);
    if (ok) {
        acl_auth_method_by_name(&read, r->auth->auth_method, &method);
        store_read_end(&read);
        ok = method != NULL || not_found(e);
    }
    if (ok)
        c->following =
            auth_login_verify(c->server->auth, method, r->auth->bearer_token, verified, c);
    arena_free(&arena);
    return ok;
}

/* Adds what one rule gives to the token's lists, which have room. A role that is not there gives
 * nothing. */
static void bind_one(struct call_context *c, const struct binding *b, struct acl_token *t) {
    struct acl_role *role;
    switch (b->type) {
    case BIND_SERVICE: {
        struct service_identity *id = ARENA_NEW(c->arena, struct service_identity);
        id->service_name = b->name;
        LIST_AT(t->service_identities, struct service_identity *, t->service_identities.len++) = id;
        return;
    }
    case BIND_NODE: {
        struct node_identity *id = ARENA_NEW(c->arena, struct node_identity);
        id->node_name = b->name;
        id->datacenter = c->server->options.datacenter;
        LIST_AT(t->node_identities, struct node_identity *, t->node_identities.len++) = id;
        return;
    }
    case BIND_ROLE:
        acl_role_by_name(c->store, b->name, &role);
        if (role != NULL)
            LIST_AT(t->roles, struct acl_link, t->roles.len++) = (struct acl_link){.id = role->id};
        return;
    }
}

static bool bind_all(struct call_context *c, const struct auth_identity *identity,
                     struct str method, struct acl_token *t, struct error *e) {
    struct list rules;
    acl_binding_rule_list(c->store, method, &rules);
    t->service_identities = LIST_NEW(c->arena, struct service_identity *, rules.len);
    t->node_identities = LIST_NEW(c->arena, struct node_identity *, rules.len);
    t->roles = LIST_NEW(c->arena, struct acl_link, rules.len);
    t->service_identities.len = t->node_identities.len = t->roles.len = 0;
    for (uint32_t i = 0; i < rules.len; i++) {
        struct binding b;
        bool matches;
        if (!binding_rule_apply(identity, LIST_AT(rules, struct acl_binding_rule *, i), c->arena,
                                &matches, &b, e))
            return false;
        if (matches)
            bind_one(c, &b, t);
    }
    if (t->service_identities.len + t->node_identities.len + t->roles.len == 0)
        return permit_deny(e);
    return acl_links_resolve(c, ACL_LINKS_ROLES, &t->roles, false, &t->roles, e) &&
           acl_service_identities(c, &t->service_identities, "token", t->local,
                                  &t->service_identities, e) &&
           acl_node_identities(c, &t->node_identities, "token", &t->node_identities, e);
}

/* `token created via login: {"a":"1"}` */
static struct str describe(struct arena *arena, const struct list *meta) {
    struct str text = STR("token created via login");
    struct json_writer w;
    struct buf json = BUF_INIT;
    if (meta->len == 0)
        return text;
    json_begin(&w, &json, false);
    json_open_object(&w);
    for (uint32_t i = 0; i < meta->len; i++) { /* sorted, as all maps */
        json_key(&w, LIST_AT(*meta, struct str_pair, i).key);
        json_str(&w, LIST_AT(*meta, struct str_pair, i).value);
    }
    json_close_object(&w);
    json_finish(&w);
    text = str_format(arena, STR_FMT ": " STR_FMT, STR_ARG(text), STR_ARG(buf_str(&json)));
    buf_free(&json);
    return text;
}

static bool login_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    const struct acl_login_request *r = request;
    const struct auth_work *work = c->found;
    struct acl_token *t = c->reply;
    struct acl_auth_method *method;
    acl_auth_method_by_name(c->store, r->auth->auth_method, &method);
    if (method == NULL) /* no longer */
        return not_found(e);
    int64_t now = time_now_wall();
    t->local = !str_is(method->token_locality, "global");
    t->auth_method = method->name;
    t->create_time = timestamp_from_unix_ns(now);
    if (method->max_token_ttl > 0)
        t->expiration_time = timestamp_from_unix_ns(now + method->max_token_ttl);
    if (!bind_all(c, &work->identity, method->name, t, e))
        return false;
    t->description = describe(c->arena, &r->auth->meta);
    t->accessor_id = acl_new_id(c, acl_token_id_taken);
    t->secret_id = acl_new_id(c, acl_token_id_taken);
    acl_token_entry(c, t, true, entry);
    return true;
}

/* ---- Logout ---- */

static bool logout_place(const struct call *c, struct str *datacenter, struct error *e) {
    const struct acl_logout_request *r = c->request;
    if (!acl_place(c, datacenter, e))
        return false;
    if (r->write.token.len == 0) /* that nobody's token is not meant */
        return not_found(e);
    return acl_place_methods(c, datacenter, e);
}

static bool logout_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    (void)request;
    if (c->token == NULL)
        return not_found(e);
    if (c->token->auth_method.len == 0)
        return permit_deny(e);
    if (acl_goes_to_primary(c, c->token))
        return true;
    *(bool *)c->reply = true;
    struct acl_token_batch_delete_request batch = {
        .token_ids = acl_one_name(c->arena, c->token->accessor_id)};
    endpoint_entry(entry, ENTRY_ACL_TOKEN_DELETE, &acl_token_batch_delete_request_shape, &batch);
    return true;
}

const struct endpoint endpoint_acl_login = {
    .name = "ACL.Login",
    .kind = ENDPOINT_WRITE,
    .request = &acl_login_request_shape,
    .datacenter = offsetof(struct acl_login_request, datacenter),
    .options = -1,
    .meta = -1,
    .token = -1,
    ENDPOINT_REPLY(acl_token),
    .place = acl_place_methods,
    .inquire = login_inquire,
    .inquire_end = acl_inquire_end,
    .prepare = login_prepare,
    .prepare_reads = true,
    .finish = acl_token_finish,
};

const struct endpoint endpoint_acl_logout = {
    ENDPOINT_WRITES("ACL.Logout", acl_logout_request),
    ENDPOINT_REPLY_TYPE(bool_reply_type, bool),
    .place = logout_place,
    .prepare = logout_prepare,
};
