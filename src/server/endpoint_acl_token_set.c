/* Writing tokens (acl.md 10.1): ACL.TokenSet and TokenClone. The order of the checks is the peer's,
 * since it decides which text a caller with several mistakes reads.
 */
#include "server/endpoint_acl.h"

#include "base/time.h"
#include "codec/uuid.h"
#include "schema/hash.h"

#define EXPIRATION_MIN (60 * SECOND)
#define EXPIRATION_MAX (24 * HOUR)

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

/* ---- entries ---- */

static bool secret_taken(struct store_read *r, struct str secret) {
    struct acl_token *token;
    acl_token_by_secret(r, secret, &token);
    return token != NULL;
}

bool acl_token_id_taken(struct store_read *r, struct str id) {
    struct acl_token *token;
    struct error ignored = ERROR_IN(r->arena);
    uint64_t index;
    return secret_taken(r, id) ||
           (acl_token_by_accessor(r, id, &token, &index, &ignored) && token != NULL);
}

void acl_token_entry(struct call_context *c, struct acl_token *token, bool from_login,
                     struct buf *entry) {
    token->hash = acl_token_hash(token, c->arena);
    struct acl_token_batch_set_request batch = {.tokens = acl_one(c->arena, token),
                                                .allow_missing_links = from_login,
                                                .prohibit_unprivileged = from_login};
    endpoint_entry(entry, ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &batch);
}

bool acl_token_finish(struct call_context *c, const void *request,
                      const struct store_result *result, void *reply, struct error *e) {
    (void)request;
    (void)result;
    struct acl_token *out = reply, *stored = NULL;
    struct store_read read;
    uint64_t index;
    if (!store_read_begin(c->server->store, &read, c->arena, NULL, e))
        return false;
    bool ok = acl_token_by_accessor(&read, out->accessor_id, &stored, &index, e);
    store_read_end(&read);
    if (ok && stored != NULL) /* otherwise it was deleted already: as it was written */
        *out = *stored;
    return ok;
}

/* ---- a new one ---- */

static bool create_accessor(struct call_context *c, struct acl_token *t, struct error *e) {
    struct acl_token *other;
    uint64_t index;
    if (t->accessor_id.len == 0) {
        t->accessor_id = acl_new_id(c, acl_token_id_taken);
        return true;
    }
    if (!acl_token_by_accessor(c->store, t->accessor_id, &other, &index, e))
        return error_prefix(e, "Failed acl token lookup by accessor: ");
    if (!uuid_valid(t->accessor_id))
        return REFUSE(e, "Invalid Token: AccessorID is not a valid UUID");
    if (other != NULL || secret_taken(c->store, t->accessor_id))
        return REFUSE(e, "Invalid Token: AccessorID is already in use");
    if (acl_id_reserved(t->accessor_id))
        return REFUSE(e, "Invalid Token: UUIDs with the prefix \"00000000-0000-0000-0000-"
                         "0000000000\" are reserved");
    return true;
}

static bool create_secret(struct call_context *c, struct acl_token *t, struct error *e) {
    if (t->secret_id.len == 0) {
        t->secret_id = acl_new_id(c, acl_token_id_taken);
        return true;
    }
    if (!uuid_valid(t->secret_id))
        return REFUSE(e, "Invalid Token: SecretID is not a valid UUID");
    if (acl_token_id_taken(c->store, t->secret_id))
        return REFUSE(e, "Invalid Token: SecretID is already in use");
    if (acl_id_reserved(t->secret_id))
        return REFUSE(e, "Invalid Token: UUIDs with the prefix \"00000000-0000-0000-0000-"
                         "0000000000\" are reserved");
    return true;
}

static bool create_expiration(struct call_context *c, struct acl_token *t, struct error *e) {
    if (t->expiration_ttl < 0)
        return REFUSE(e, "Token Expiration TTL '" STR_FMT "' should be > 0",
                      STR_ARG(duration_format(c->arena, t->expiration_ttl)));
    if (t->expiration_ttl == 0 && !acl_token_expires(t))
        return true;
    if (t->expiration_ttl != 0 && acl_token_expires(t))
        return REFUSE(e, "Token Expiration TTL and Expiration Time cannot both be set");
    int64_t created = timestamp_to_unix_ns(t->create_time);
    if (t->expiration_ttl != 0)
        t->expiration_time = timestamp_from_unix_ns(
            t->expiration_ttl > INT64_MAX - created ? INT64_MAX : created + t->expiration_ttl);
    t->expiration_ttl = 0;
    int64_t left = 0;
    if (__builtin_sub_overflow(timestamp_to_unix_ns(t->expiration_time), created, &left))
        left = t->expiration_time.seconds < t->create_time.seconds ? INT64_MIN : INT64_MAX;
    if (left < 0)
        return REFUSE(e, "ExpirationTime cannot be before CreateTime");
    struct str was = duration_format(c->arena, left);
    if (left < EXPIRATION_MIN)
        return REFUSE(e, "ExpirationTime cannot be less than 1m0s in the future (was " STR_FMT ")",
                      STR_ARG(was));
    if (left > EXPIRATION_MAX)
        return REFUSE(e,
                      "ExpirationTime cannot be more than 24h0m0s in the future (was " STR_FMT ")",
                      STR_ARG(was));
    return true;
}

static bool create(struct call_context *c, struct acl_token *t, struct error *e) {
    if (!create_accessor(c, t, e) || !create_secret(c, t, e))
        return false;
    t->create_time = timestamp_from_unix_ns(time_now_wall());
    if (t->auth_method.len > 0)
        return REFUSE(e, "AuthMethod field is disallowed outside of Login");
    return create_expiration(c, t, e);
}

/* ---- one that is there ---- */

static bool is_root(struct str secret) {
    return str_is(secret, "allow") || str_is(secret, "deny") || str_is(secret, "manage");
}

/* NULL: there is none, said in the error. */
static const struct acl_token *update_find(struct call_context *c, const struct acl_token *t,
                                           struct error *e) {
    struct acl_token *stored;
    uint64_t index;
    if (!acl_token_by_accessor(c->store, t->accessor_id, &stored, &index, e)) {
        error_prefix(e, "Failed acl token lookup by accessor: ");
        return NULL;
    }
    if (!uuid_valid(t->accessor_id)) {
        REFUSE(e, "AccessorID is not a valid UUID");
        return NULL;
    }
    if (stored == NULL || authorize_expired(stored, time_now_wall())) {
        REFUSE(e, "Cannot find token " STR_FMT, STR_ARG(str_quote(c->arena, t->accessor_id)));
        return NULL;
    }
    return stored;
}

static bool same_expiration(const struct acl_token *t, const struct acl_token *stored) {
    return t->expiration_ttl == 0 && acl_token_expires(stored) &&
           timestamp_to_unix_ns(t->expiration_time) ==
               timestamp_to_unix_ns(stored->expiration_time);
}

static bool update(struct call_context *c, struct acl_token *t, struct error *e) {
    const struct acl_token *stored = update_find(c, t, e);
    if (stored == NULL)
        return false;
    if (is_root(t->secret_id))
        return error_set(e, ERROR_DENIED, "Permission denied: Cannot modify root ACL");
    if (t->secret_id.len == 0)
        t->secret_id = stored->secret_id;
    else if (!str_eq(t->secret_id, stored->secret_id))
        return REFUSE(e, "Changing a tokens SecretID is not permitted");
    if (t->local != stored->local)
        return REFUSE(e, "cannot toggle local mode of " STR_FMT, STR_ARG(t->accessor_id));
    if (t->auth_method.len == 0)
        t->auth_method = stored->auth_method;
    else if (!str_eq(t->auth_method, stored->auth_method))
        return REFUSE(e, "Cannot change AuthMethod of " STR_FMT, STR_ARG(t->accessor_id));
    if (t->expiration_ttl == 0 && !acl_token_expires(t))
        t->expiration_time = stored->expiration_time;
    else if (!same_expiration(t, stored))
        return REFUSE(e, "Cannot change expiration time of " STR_FMT, STR_ARG(t->accessor_id));
    t->create_time = stored->create_time;
    return true;
}

/* ---- both ---- */

static bool links(struct call_context *c, struct acl_token *t, struct error *e) {
    return acl_links_resolve(c, ACL_LINKS_POLICIES, &t->policies, true, &t->policies, e) &&
           acl_links_resolve(c, ACL_LINKS_ROLES, &t->roles, true, &t->roles, e) &&
           acl_service_identities(c, &t->service_identities, "token", t->local,
                                  &t->service_identities, e) &&
           acl_node_identities(c, &t->node_identities, "token", &t->node_identities, e);
}

/* t: a copy that may be changed; it becomes the reply. */
static bool set(struct call_context *c, struct acl_token *t, bool is_new, struct buf *entry,
                struct error *e) {
    if (!(is_new ? create(c, t, e) : update(c, t, e)) || !links(c, t, e))
        return false;
    if (t->rules.len > 0)
        return REFUSE(e, "Rules cannot be specified for this token");
    if (t->type.len > 0)
        return REFUSE(e, "Type cannot be specified for this token");
    t->create_index = t->modify_index = 0;
    acl_token_entry(c, t, false, entry);
    return true;
}

/* Only local ones stay in a secondary datacenter. */
static bool set_place(const struct call *c, struct str *datacenter, struct error *e) {
    const struct acl_token_set_request *r = c->request;
    if (!acl_place(c, datacenter, e))
        return false;
    if (!r->acl_token.local)
        *datacenter = c->server->options.acl.primary_datacenter;
    else if (!acl_has_local_tokens(c->server))
        return REFUSE(e, "Local tokens are disabled");
    return true;
}

static bool set_prepare(struct call_context *c, void *request, struct buf *entry, struct error *e) {
    const struct acl_token_set_request *r = request;
    struct acl_token *t = c->reply;
    if (!permit_acl(c, ACL_WRITE, e))
        return false;
    *t = r->acl_token;
    return set(c, t, r->create || t->accessor_id.len == 0, entry, e);
}

/* ---- TokenClone ---- */

static bool clone_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    const struct acl_token_set_request *r = request;
    struct acl_token *source, *t = c->reply;
    uint64_t index;
    if (!permit_acl(c, ACL_WRITE, e) ||
        !acl_token_by_accessor(c->store, r->acl_token.accessor_id, &source, &index, e))
        return false;
    if (source != NULL && authorize_expired(source, time_now_wall()))
        source = NULL;
    if (source == NULL)
        return error_set(e, ERROR_DENIED, "ACL not found");
    if (acl_goes_to_primary(c, source))
        return true;
    if (source->auth_method.len > 0)
        return REFUSE(e, "Cannot clone a token created from an auth method");
    if (source->rules.len > 0)
        return REFUSE(e, "Cannot clone a legacy ACL with this endpoint");
    *t = (struct acl_token){.policies = source->policies,
                            .roles = source->roles,
                            .service_identities = source->service_identities,
                            .node_identities = source->node_identities,
                            .local = source->local,
                            .description = r->acl_token.description.len > 0
                                               ? r->acl_token.description
                                               : source->description,
                            .expiration_time = source->expiration_time};
    return set(c, t, true, entry, e);
}

const struct endpoint endpoint_acl_token_set = {
    ENDPOINT_WRITES("ACL.TokenSet", acl_token_set_request),
    ENDPOINT_REPLY(acl_token),
    .place = set_place,
    .prepare = set_prepare,
    .prepare_reads = true,
    .finish = acl_token_finish,
};

const struct endpoint endpoint_acl_token_clone = {
    ENDPOINT_WRITES("ACL.TokenClone", acl_token_set_request),
    ENDPOINT_REPLY(acl_token),
    .place = acl_place_tokens,
    .prepare = clone_prepare,
    .prepare_reads = true,
    .finish = acl_token_finish,
};
