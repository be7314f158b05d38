/* Reading and deleting tokens (acl.md 10.1, rpc.md 6.11): ACL.TokenRead, TokenList, TokenBatchRead,
 * TokenDelete. Writing them is endpoint_acl_token_set.c's.
 */
#include "server/endpoint_acl.h"

#include "codec/uuid.h"

/* ---- what is shown ---- */

struct acl_token *acl_token_redacted(struct arena *arena, const struct acl_token *token) {
    struct acl_token *copy = ARENA_NEW(arena, struct acl_token);
    *copy = *token;
    copy->secret_id = STR(ACL_HIDDEN);
    return copy;
}

/* One that is dead, though still stored, is not there (7.5). */
static struct acl_token *if_alive(struct acl_token *token) {
    return token != NULL && !authorize_expired(token, time_now_wall()) ? token : NULL;
}

/* ---- TokenRead ---- */

/* The bearer of a secret may see what it stands for; whether there is such a token is the answer.
 */
static bool read_tokenless(const void *request) {
    const struct acl_token_get_request *r = request;
    return !str_is(r->token_id_type, "accessor");
}

static bool read_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_token_get_request *r = request;
    struct acl_token_response *out = reply;
    struct acl_token *token = NULL;
    if (read_tokenless(request)) {
        c->meta->index = acl_token_by_secret(c->store, r->token_id, &token);
    } else if (!permit_acl(c, ACL_READ, e) ||
               !acl_token_by_accessor(c->store, r->token_id, &token, &c->meta->index, e)) {
        return false;
    }
    out->token = if_alive(token);
    if (out->token != NULL && !read_tokenless(request) && !authorizer_may_acl(c->may, ACL_WRITE)) {
        out->token = acl_token_redacted(c->arena, out->token);
        out->redacted = true;
    }
    out->source_datacenter = r->datacenter;
    return true;
}

/* ---- TokenList ---- */

static struct acl_token_list_stub *stub_of(struct arena *arena, const struct acl_token *t) {
    struct acl_token_list_stub *s = ARENA_NEW(arena, struct acl_token_list_stub);
    *s = (struct acl_token_list_stub){.accessor_id = t->accessor_id,
                                      .auth_method = t->auth_method,
                                      .create_index = t->create_index,
                                      .create_time = t->create_time,
                                      .description = t->description,
                                      .expiration_time = t->expiration_time,
                                      .hash = t->hash,
                                      .legacy = t->rules.len > 0,
                                      .local = t->local,
                                      .modify_index = t->modify_index,
                                      .node_identities = t->node_identities,
                                      .policies = t->policies,
                                      .roles = t->roles,
                                      .service_identities = t->service_identities};
    return s;
}

/* Where there are no local tokens only global ones are asked for. */
static bool list_place(const struct call *c, struct str *datacenter, struct error *e) {
    struct acl_token_list_request *r = c->request;
    if (!acl_has_local_tokens(c->server)) {
        r->include_local = false;
        r->include_global = true;
    }
    return acl_place_tokens(c, datacenter, e);
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_token_list_request *r = request;
    struct acl_token_list_response *out = reply;
    struct acl_token_filter filter = {.local = r->include_local,
                                      .global = r->include_global,
                                      .policy = r->policy,
                                      .role = r->role,
                                      .auth_method = r->auth_method};
    struct list tokens = LIST_NIL;
    if (!permit_acl(c, ACL_READ, e))
        return false;
    if ((r->policy.len > 0) + (r->role.len > 0) + (r->auth_method.len > 0) > 1)
        return error_set(e, ERROR_INTERNAL,
                         "can only filter by one of policy, role, or methodName at a time");
    c->meta->index = acl_token_list(c->store, &filter, &tokens);
    out->tokens = LIST_NEW(c->arena, struct acl_token_list_stub *, tokens.len);
    out->tokens.len = 0;
    for (uint32_t i = 0; i < tokens.len; i++) {
        const struct acl_token *token = if_alive(LIST_AT(tokens, struct acl_token *, i));
        if (token != NULL)
            LIST_AT(out->tokens, struct acl_token_list_stub *, out->tokens.len++) =
                stub_of(c->arena, token);
    }
    return true;
}

/* ---- TokenBatchRead ---- */

static bool batch_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_token_batch_get_request *r = request;
    struct acl_token_batch_response *out = reply;
    bool shown = authorizer_may_acl(c->may, ACL_WRITE);
    bool readable = authorizer_may_acl(c->may, ACL_READ);
    out->tokens = LIST_NEW(c->arena, struct acl_token *, r->accessor_ids.len);
    out->tokens.len = 0;
    for (uint32_t i = 0; i < r->accessor_ids.len; i++) {
        struct acl_token *token;
        if (!acl_token_by_accessor(c->store, LIST_AT(r->accessor_ids, struct str, i), &token,
                                   &c->meta->index, e))
            return false;
        token = if_alive(token);
        if (token == NULL)
            continue;
        if (!readable) {
            out->removed = true;
            continue;
        }
        if (!shown) {
            token = acl_token_redacted(c->arena, token);
            out->redacted = true;
        }
        LIST_AT(out->tokens, struct acl_token *, out->tokens.len++) = token;
    }
    return true;
}

/* ---- TokenDelete ---- */

static bool delete_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    const struct acl_token_delete_request *r = request;
    struct acl_token *token;
    uint64_t index;
    if (!permit_acl(c, ACL_WRITE, e))
        return false;
    if (!uuid_valid(r->token_id))
        return error_set(e, ERROR_INTERNAL, "Accessor ID is missing or an invalid UUID");
    if (str_is(r->token_id, ACL_TOKEN_ANONYMOUS))
        return error_set(e, ERROR_INTERNAL,
                         "Delete operation not permitted on the anonymous token");
    if (!acl_token_by_accessor(c->store, r->token_id, &token, &index, e))
        return false;
    if (acl_goes_to_primary(c, token))
        return true;
    if (token != NULL && c->token != NULL && str_eq(token->secret_id, c->token->secret_id))
        return error_set(e, ERROR_INTERNAL,
                         "Deletion of the request's authorization token is not permitted");
    *(struct str *)c->reply = token != NULL ? token->accessor_id : STR("");
    struct acl_token_batch_delete_request batch = {.token_ids =
                                                       acl_one_name(c->arena, r->token_id)};
    endpoint_entry(entry, ENTRY_ACL_TOKEN_DELETE, &acl_token_batch_delete_request_shape, &batch);
    return true;
}

const struct endpoint endpoint_acl_token_read = {
    ENDPOINT_READS("ACL.TokenRead", ENDPOINT_BLOCKING, acl_token_get_request, acl_token_response),
    .tokenless = read_tokenless,
    .place = acl_place_tokens,
    .read = read_read,
};

const struct endpoint endpoint_acl_token_list = {
    ENDPOINT_READS("ACL.TokenList", ENDPOINT_BLOCKING, acl_token_list_request,
                   acl_token_list_response),
    .place = list_place,
    .read = list_read,
};

const struct endpoint endpoint_acl_token_batch_read = {
    ENDPOINT_READS("ACL.TokenBatchRead", ENDPOINT_BLOCKING, acl_token_batch_get_request,
                   acl_token_batch_response),
    .place = acl_place_tokens,
    .read = batch_read,
};

const struct endpoint endpoint_acl_token_delete = {
    ENDPOINT_WRITES("ACL.TokenDelete", acl_token_delete_request),
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .place = acl_place_tokens,
    .prepare = delete_prepare,
    .prepare_reads = true,
    .admit = acl_admit_named,
};
