/* Auth methods (acl.md 10.5): ACL.AuthMethodRead, AuthMethodSet, AuthMethodDelete, AuthMethodList.
 * Whether a method's configuration is good, auth_method.h finds out: other machines may be asked
 * for it, so that happens before the entry is prepared.
 */
#include "server/auth_method.h"
#include "server/endpoint_acl.h"

#define TTL_MIN MINUTE
#define TTL_MAX (24 * HOUR)

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

/* ---- reads ---- */

static bool read_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_auth_method_get_request *r = request;
    struct acl_auth_method_response *out = reply;
    if (!permit_acl(c, ACL_READ, e))
        return false;
    c->meta->index = acl_auth_method_by_name(c->store, r->auth_method_name, &out->auth_method);
    return true;
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)request;
    struct acl_auth_method_list_response *out = reply;
    struct list methods;
    if (!permit_acl(c, ACL_READ, e))
        return false;
    c->meta->index = acl_auth_method_list(c->store, &methods);
    if (methods.len == 0)
        return true;
    out->auth_methods = LIST_NEW(c->arena, struct acl_auth_method_list_stub *, methods.len);
    for (uint32_t i = 0; i < methods.len; i++) {
        const struct acl_auth_method *m = LIST_AT(methods, struct acl_auth_method *, i);
        struct acl_auth_method_list_stub *s = ARENA_NEW(c->arena, struct acl_auth_method_list_stub);
        *s = (struct acl_auth_method_list_stub){.create_index = m->create_index,
                                                .description = m->description,
                                                .display_name = m->display_name,
                                                .modify_index = m->modify_index,
                                                .name = m->name,
                                                .type = m->type};
        LIST_AT(out->auth_methods, struct acl_auth_method_list_stub *, i) = s;
    }
    return true;
}

/* ---- Set ---- */

static bool locality_check(const struct server *s, struct str locality, struct error *e) {
    if (str_is(locality, "global") && !acl_is_primary(s))
        return REFUSE(e, "Invalid Auth Method: TokenLocality 'global' can only be used in the "
                         "primary datacenter");
    if (locality.len > 0 && !str_is(locality, "local") && !str_is(locality, "global"))
        return REFUSE(e, "Invalid Auth Method: TokenLocality should be one of 'local' or "
                         "'global'");
    return true;
}

/* All but the configuration. m: a copy that is filled in. */
static bool set_check(struct call_context *c, struct acl_auth_method *m, struct error *e) {
    struct acl_auth_method *stored;
    if (!permit_acl(c, ACL_WRITE, e))
        return false;
    if (m->name.len == 0)
        return REFUSE(e, "Invalid Auth Method: no Name is set");
    if (!acl_name_valid(m->name, ACL_METHOD_NAME_MAX))
        return REFUSE(e, "Invalid Auth Method: invalid Name. " ACL_NAME_RULE);
    acl_auth_method_by_name(c->store, m->name, &stored);
    if (stored != NULL && m->type.len == 0)
        m->type = stored->type;
    else if (stored != NULL && !str_eq(m->type, stored->type))
        return REFUSE(e, "the Type field of an Auth Method is immutable");
    if (!auth_method_type_known(m->type))
        return REFUSE(e, "Invalid Auth Method: Type should be one of: [jwt kubernetes]");
    struct str ttl = duration_format(c->arena, m->max_token_ttl);
    if (m->max_token_ttl != 0 && m->max_token_ttl < TTL_MIN)
        return REFUSE(e, "MaxTokenTTL " STR_FMT " cannot be less than 1m0s", STR_ARG(ttl));
    if (m->max_token_ttl > TTL_MAX)
        return REFUSE(e, "MaxTokenTTL " STR_FMT " cannot be more than 24h0m0s", STR_ARG(ttl));
    return locality_check(c->server, m->token_locality, e);
}

static void config_checked(struct auth_work *w) {
    struct call *c = w->owner;
    call_inquired(c, &w->error);
}

/* c->following: the work. */
static bool set_inquire(struct call *c, struct error *e) {
    const struct acl_auth_method_set_request *r = c->request;
    struct acl_auth_method m = r->auth_method;
    struct arena arena = ARENA_INIT;
    struct store_read read;
    struct call_context context = {
        .server = c->server, .store = &read, .arena = &arena, .may = authorization_may(c->who)};
    bool ok = store_read_begin(c->server->store, &read, &arena, NULL, e);
    if (ok) {
        ok = set_check(&context, &m, e);
        store_read_end(&read);
    }
    if (ok)
        c->following = auth_method_check(c->server->auth, &m, config_checked, c);
    arena_free(&arena);
    return ok;
}

static bool set_prepare(struct call_context *c, void *request, struct buf *entry, struct error *e) {
    const struct acl_auth_method_set_request *r = request;
    struct acl_auth_method *m = c->reply;
    *m = r->auth_method;
    if (!set_check(c, m, e))
        return false;
    m->create_index = m->modify_index = 0;
    struct acl_auth_method_batch_set_request batch = {.auth_methods = acl_one(c->arena, m)};
    endpoint_entry(entry, ENTRY_ACL_AUTH_METHOD_SET, &acl_auth_method_batch_set_request_shape,
                   &batch);
    return true;
}

static bool set_finish(struct call_context *c, const void *request,
                       const struct store_result *result, void *reply, struct error *e) {
    (void)request;
    (void)result;
    struct acl_auth_method *out = reply, *stored = NULL;
    struct store_read read;
    if (!store_read_begin(c->server->store, &read, c->arena, NULL, e))
        return false;
    acl_auth_method_by_name(&read, out->name, &stored);
    store_read_end(&read);
    if (stored != NULL)
        *out = *stored;
    return true;
}

/* ---- Delete ---- */

static bool delete_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    const struct acl_auth_method_delete_request *r = request;
    struct acl_auth_method *method;
    if (!permit_acl(c, ACL_WRITE, e))
        return false;
    acl_auth_method_by_name(c->store, r->auth_method_name, &method);
    *(bool *)c->reply = method != NULL;
    struct acl_auth_method_batch_delete_request batch = {
        .auth_method_names = acl_one_name(c->arena, r->auth_method_name)};
    endpoint_entry(entry, ENTRY_ACL_AUTH_METHOD_DELETE, &acl_auth_method_batch_delete_request_shape,
                   &batch);
    return true;
}

const struct endpoint endpoint_acl_auth_method_read = {
    ENDPOINT_READS("ACL.AuthMethodRead", ENDPOINT_BLOCKING, acl_auth_method_get_request,
                   acl_auth_method_response),
    .place = acl_place_methods,
    .read = read_read,
};

const struct endpoint endpoint_acl_auth_method_list = {
    ENDPOINT_READS("ACL.AuthMethodList", ENDPOINT_BLOCKING, acl_auth_method_list_request,
                   acl_auth_method_list_response),
    .place = acl_place_methods,
    .read = list_read,
};

const struct endpoint endpoint_acl_auth_method_set = {
    ENDPOINT_WRITES("ACL.AuthMethodSet", acl_auth_method_set_request),
    ENDPOINT_REPLY(acl_auth_method),
    .place = acl_place_methods,
    .inquire = set_inquire,
    .inquire_end = acl_inquire_end,
    .prepare = set_prepare,
    .prepare_reads = true,
    .finish = set_finish,
};

const struct endpoint endpoint_acl_auth_method_delete = {
    ENDPOINT_WRITES("ACL.AuthMethodDelete", acl_auth_method_delete_request),
    ENDPOINT_REPLY_TYPE(bool_reply_type, bool),
    .place = acl_place_methods,
    .prepare = delete_prepare,
    .prepare_reads = true,
    .admit = acl_admit_found,
};
