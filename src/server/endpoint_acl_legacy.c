/* The old system's endpoints over the one table of tokens (acl.md 11): ACL.Apply, ACL.Get,
 * ACL.List. ACL.Bootstrap is endpoint_acl_bootstrap.c's, ACL.GetPolicy endpoint_acl_get_policy.c's.
 *
 * They only see tokens whose Type is set. The anonymous token of a cluster that began in the new
 * system has none, and the peer then refuses to give it rules here. Who sets a server up by the old
 * keys (acl_datacenter) follows guides that write the rights of those without a token that way, so
 * there Praetor lets it: the token gets its Type and rules by an entry of the new system, which
 * servers of both kinds apply alike, and is one of the old kind from then on.
 */
#include "acl/rules.h"
#include "base/time.h"
#include "server/endpoint_acl.h"

#define ANONYMOUS "anonymous"
#define NOT_LEGACY "Cannot use legacy endpoint to modify a non-legacy token"

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

static bool enabled(const struct call_context *c, struct error *e) {
    return c->server->options.acl.enabled || REFUSE(e, ACL_DISABLED);
}

/* ---- Apply ---- */

static bool is_root(struct str secret) {
    return str_is(secret, "allow") || str_is(secret, "deny") || str_is(secret, "manage");
}

static bool is_plain(const struct acl_token *t) {
    return t->policies.len == 0 && t->roles.len == 0 && t->service_identities.len == 0 &&
           t->node_identities.len == 0 && !acl_token_expires(t) && t->auth_method.len == 0;
}

/* Nobody has given it anything yet, in the new system or the old. */
static bool is_fresh_anonymous(const struct acl_token *t) {
    return str_is(t->secret_id, ANONYMOUS) && str_is(t->accessor_id, ACL_TOKEN_ANONYMOUS) &&
           t->type.len == 0 && is_plain(t);
}

static bool rules_check(struct call_context *c, struct str text, struct error *e) {
    struct acl_rules rules;
    return acl_rules_parse(text, ACL_SYNTAX_LEGACY, &rules, c->arena, e) ||
           error_prefix(e, "ACL rule compilation failed: ");
}

static bool set_check(struct call_context *c, const struct legacy_acl *acl,
                      const struct acl_token *stored, bool adopts, struct error *e) {
    if (!str_is(acl->type, "client") && !str_is(acl->type, "management"))
        return REFUSE(e, "Invalid ACL Type");
    if (stored != NULL && !adopts && (!is_plain(stored) || stored->type.len == 0))
        return REFUSE(e, NOT_LEGACY);
    if (is_root(acl->id))
        return error_set(e, ERROR_DENIED, "Permission denied: Cannot modify root ACL");
    return rules_check(c, acl->rules, e);
}

/* The fresh anonymous token becomes one of the old kind. */
static void adopt(struct call_context *c, const struct legacy_acl *acl,
                  const struct acl_token *stored, struct buf *entry) {
    struct acl_token *t = ARENA_NEW(c->arena, struct acl_token);
    *t = *stored;
    t->description = acl->name;
    t->type = acl->type;
    t->rules = acl->rules;
    acl_token_entry(c, t, false, entry);
}

static bool set_prepare(struct call_context *c, const struct legacy_acl_request *r,
                        struct buf *entry, struct error *e) {
    struct legacy_acl_request set = *r;
    struct acl_token *stored = NULL;
    if (set.acl.id.len == 0)
        set.acl.id = acl_new_id(c, acl_token_id_taken);
    else
        acl_token_by_secret(c->store, set.acl.id, &stored);
    bool adopts = stored != NULL && c->server->options.acl.old_keys && is_fresh_anonymous(stored) &&
                  str_is(set.acl.type, "client");
    if (!set_check(c, &set.acl, stored, adopts, e))
        return false;
    if (adopts)
        adopt(c, &set.acl, stored, entry);
    else
        endpoint_entry(entry, ENTRY_LEGACY_ACL, &legacy_acl_request_shape, &set);
    *(struct str *)c->reply = str_copy(c->arena, set.acl.id);
    return true;
}

static bool delete_prepare(const struct legacy_acl_request *r, struct buf *entry, struct error *e) {
    if (r->acl.id.len == 0)
        return REFUSE(e, "Missing ACL ID");
    if (str_is(r->acl.id, ANONYMOUS))
        return error_set(e, ERROR_DENIED, "Permission denied: Cannot delete anonymous token");
    endpoint_entry(entry, ENTRY_LEGACY_ACL, &legacy_acl_request_shape, r);
    return true;
}

static bool apply_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    const struct legacy_acl_request *r = request;
    if (!enabled(c, e))
        return false;
    if (!acl_is_primary(c->server))
        return REFUSE(e, ACL_DISABLED);
    if (!permit_acl(c, ACL_WRITE, e))
        return false;
    if (str_is(r->op, "set"))
        return set_prepare(c, r, entry, e);
    if (str_is(r->op, "delete"))
        return delete_prepare(r, entry, e);
    return REFUSE(e, "Invalid ACL Operation");
}

/* ---- Get, List ---- */

/* NULL: not one of the old kind, or dead. */
static struct legacy_acl *legacy_of(struct arena *arena, const struct acl_token *t) {
    if (t == NULL || t->type.len == 0 || authorize_expired(t, time_now_wall()))
        return NULL;
    struct legacy_acl *acl = ARENA_NEW(arena, struct legacy_acl);
    *acl = (struct legacy_acl){.id = t->secret_id,
                               .name = t->description,
                               .type = t->type,
                               .rules = t->rules,
                               .create_index = t->create_index,
                               .modify_index = t->modify_index};
    return acl;
}

static bool get_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_specific_request *r = request;
    struct indexed_acls *out = reply;
    struct acl_token *token;
    if (!enabled(c, e))
        return false;
    c->meta->index = acl_token_by_secret(c->store, r->acl, &token);
    struct legacy_acl *acl = legacy_of(c->arena, token);
    if (acl != NULL)
        out->acls = acl_one(c->arena, acl);
    return true;
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)request;
    struct indexed_acls *out = reply;
    struct acl_token_filter all = {.local = true, .global = true};
    struct list tokens;
    if (!enabled(c, e) || !permit_acl(c, ACL_WRITE, e)) /* secrets are shown */
        return false;
    c->meta->index = acl_token_list(c->store, &all, &tokens);
    out->acls = LIST_NEW(c->arena, struct legacy_acl *, tokens.len);
    out->acls.len = 0;
    for (uint32_t i = 0; i < tokens.len; i++) {
        struct legacy_acl *acl = legacy_of(c->arena, LIST_AT(tokens, struct acl_token *, i));
        if (acl != NULL)
            LIST_AT(out->acls, struct legacy_acl *, out->acls.len++) = acl;
    }
    out->acls.present = out->acls.len > 0;
    return true;
}

const struct endpoint endpoint_acl_apply = {
    ENDPOINT_WRITES("ACL.Apply", legacy_acl_request),
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .prepare = apply_prepare,
    .prepare_reads = true,
};

const struct endpoint endpoint_acl_get = {
    .name = "ACL.Get",
    .kind = ENDPOINT_BLOCKING,
    .request = &acl_specific_request_shape,
    ENDPOINT_REPLY(indexed_acls),
    .datacenter = offsetof(struct acl_specific_request, datacenter),
    .options = offsetof(struct acl_specific_request, options),
    .meta = offsetof(struct indexed_acls, meta),
    .token = -1, /* who knows the secret may see it */
    .read = get_read,
};

const struct endpoint endpoint_acl_list = {
    ENDPOINT_READS("ACL.List", ENDPOINT_BLOCKING, dc_request, indexed_acls),
    .read = list_read,
};
