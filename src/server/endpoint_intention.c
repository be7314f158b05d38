/* Intention (rpc.md 6.14, connect.md 2): which service may open connections to which other. Where
 * the mesh is on, a secondary datacenter has the primary's: what is to change goes there.
 */
#include "schema/hash.h"
#include "schema/intention_rules.h"
#include "server/endpoint.h"
#include "server/intention_replication.h"
#include "server/near.h"
#include "server/permit.h"
#include "store/connect.h"

#define NOT_FOUND "Intention not found"

/* ---- Apply ---- */

/* Where there is access control nobody may write what has no destination. */
static bool write_permit(const struct call_context *c, const struct intention *x, struct error *e) {
    bool ok = c->may == NULL || (x->destination_name.len > 0 &&
                                 authorizer_may_intention(c->may, ACL_WRITE, x->destination_name));
    return ok || permit_deny(e);
}

/* What is to be changed, which the caller may do. NULL: error. what: "modify", "delete". */
static struct intention *stored(struct call_context *c, struct str id, const char *what,
                                struct error *e) {
    struct intention *found;
    uint64_t index;
    if (!intention_get(c->store, id, &found, &index, e)) {
        error_prefix(e, "Intention lookup failed: ");
        return NULL;
    }
    if (found == NULL) {
        error_set(e, ERROR_INTERNAL, "Cannot %s non-existent intention: '" STR_FMT "'", what,
                  STR_ARG(id));
        return NULL;
    }
    return write_permit(c, found, e) ? found : NULL;
}

static struct str new_id(struct call_context *c, struct error *e) {
    char id[37];
    struct intention *taken;
    uint64_t index;
    do {
        uuid_random(id);
    } while (intention_get(c->store, str_from(id), &taken, &index, e) && taken != NULL);
    return str_copy(c->arena, str_from(id));
}

/* What the leader says of it, whatever the caller did. */
static bool complete(struct call_context *c, struct intention *x, struct error *e) {
    intention_set_defaults(x);
    if (!intention_validate(x, c->arena, e))
        return false;
    if (!x->meta.present)
        x->meta = LIST_EMPTY;
    x->updated_at = timestamp_from_unix_ns(c->now_wall);
    x->hash = intention_hash(x, c->arena);
    return true;
}

static bool create_prepare(struct call_context *c, struct intention *x, struct error *e) {
    if (!write_permit(c, x, e))
        return false;
    if (x->id.len > 0)
        return error_set(e, ERROR_INTERNAL, "ID must be empty when creating a new intention");
    x->id = new_id(c, e);
    x->created_at = timestamp_from_unix_ns(c->now_wall);
    return complete(c, x, e);
}

static bool update_prepare(struct call_context *c, struct intention *x, struct error *e) {
    if (!write_permit(c, x, e))
        return false;
    const struct intention *old = stored(c, x->id, "modify", e);
    if (old == NULL)
        return false;
    x->created_at = old->created_at;
    return complete(c, x, e);
}

static bool apply_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    /* Copies: a call whose leader went away is prepared anew. */
    struct intention_request r = *(const struct intention_request *)request;
    struct intention x = r.intention != NULL ? *r.intention : (struct intention){0};
    bool ok;
    r.intention = &x;
    if (str_is(r.op, "create"))
        ok = create_prepare(c, &x, e);
    else if (str_is(r.op, "update"))
        ok = update_prepare(c, &x, e);
    else if (str_is(r.op, "delete"))
        ok = stored(c, x.id, "delete", e) != NULL;
    else
        ok = error_set(e, ERROR_INTERNAL, "Invalid Intention operation: " STR_FMT, STR_ARG(r.op));
    if (!ok)
        return false;
    *(struct str *)c->reply = str_copy(c->arena, x.id);
    endpoint_entry(entry, ENTRY_INTENTION, &intention_request_shape, &r);
    return true;
}

/* Whatever datacenter the caller named. */
static bool apply_place(const struct call *c, struct str *datacenter, struct error *e) {
    (void)e;
    if (intentions_are_replicated(c->server))
        *datacenter = server_options(c->server)->acl.primary_datacenter;
    return true;
}

/* ---- Get, List ---- */

static bool may_read(const struct call_context *c, const struct intention *x) {
    return authorizer_may_intention(c->may, ACL_READ, x->source_name) ||
           authorizer_may_intention(c->may, ACL_READ, x->destination_name);
}

static bool get_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct intention_query_request *r = request;
    struct indexed_intentions *out = reply;
    struct intention *found;
    if (!intention_get(c->store, r->intention_id, &found, &c->meta->index, e))
        return false;
    if (found == NULL)
        return error_set(e, ERROR_NOT_FOUND, NOT_FOUND);
    if (!may_read(c, found))
        return permit_deny(e);
    out->intentions = LIST_NEW(c->arena, struct intention *, 1);
    LIST_AT(out->intentions, struct intention *, 0) = found;
    return true;
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct dc_request *r = request;
    struct indexed_intentions *out = reply;
    c->meta->index = intention_list(c->store, &out->intentions);
    c->exact = true; /* the whole table is watched */
    out->intentions.present = true;
    FILTER_LIST(c, out->intentions, struct intention *, may_read(c, item));
    return filter_list(c, r->options.filter, &intention_shape, &out->intentions, 0, e);
}

/* ---- Match ---- */

static bool match_permit(const struct call_context *c, const struct intention_query_match *match,
                         struct error *e) {
    for (uint32_t i = 0; i < match->entries.len; i++) {
        struct str name = LIST_AT(match->entries, struct intention_match_entry, i).name;
        if (name.len > 0 && !authorizer_may_intention(c->may, ACL_READ, name))
            return permit_deny(e);
    }
    return true;
}

static bool match_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct intention_query_request *r = request;
    struct indexed_intention_matches *out = reply;
    if (r->match == NULL)
        return error_set(e, ERROR_INTERNAL, "Match must be specified on args");
    if (!match_permit(c, r->match, e))
        return false;
    bool by_source = str_is(r->match->type, "source");
    if (!by_source && !str_is(r->match->type, "destination") && r->match->entries.len > 0)
        return error_set(e, ERROR_INTERNAL, "failed intention lookup: invalid index '" STR_FMT "'",
                         STR_ARG(r->match->type));
    c->meta->index = intention_index(c->store);
    c->exact = true; /* the whole table is watched */
    out->matches = LIST_NEW(c->arena, struct list, r->match->entries.len);
    for (uint32_t i = 0; i < r->match->entries.len; i++) {
        const struct intention_match_entry *entry =
            &LIST_AT(r->match->entries, struct intention_match_entry, i);
        intention_match(c->store, by_source, entry->name_space, entry->name,
                        &LIST_AT(out->matches, struct list, i));
    }
    return true;
}

/* ---- Check ---- */

static bool source_type_is_known(const struct intention_query_check *check) {
    return str_is(check->source_type, INTENTION_SOURCE_TYPE);
}

/* Nothing is asked of the token where there is nothing to answer. */
static bool check_tokenless(const void *request) {
    const struct intention_query_check *check =
        ((const struct intention_query_request *)request)->check;
    return check == NULL || !source_type_is_known(check);
}

/* What holds between the two: the first intention that speaks of the source, else the default. */
static bool is_allowed(struct call_context *c, const struct intention_query_check *check) {
    const struct acl_options *acl = &server_options(c->server)->acl;
    struct list matches;
    intention_match(c->store, false, check->destination_ns, check->destination_name, &matches);
    const struct intention *x = intention_deciding(&matches, check->source_ns, check->source_name);
    return x != NULL ? intention_allows(x) : !acl->enabled || acl->default_allow;
}

static bool check_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct intention_query_check *check =
        ((const struct intention_query_request *)request)->check;
    if (check == NULL)
        return error_set(e, ERROR_INTERNAL, "Check must be specified on args");
    if (!source_type_is_known(check))
        return error_set(e, ERROR_INTERNAL, "unsupported SourceType: " STR_FMT,
                         STR_ARG(str_quote(c->arena, check->source_type)));
    if (check->destination_name.len > 0 &&
        !permit(c, ACL_SERVICE, ACL_READ, check->destination_name, e))
        return false;
    ((struct intention_query_check_response *)reply)->allowed = is_allowed(c, check);
    return true;
}

const struct endpoint endpoint_intention_apply = {
    ENDPOINT_WRITES("Intention.Apply", intention_request),
    .metric = "intention.apply",
    .metric_too = "consul.intention.apply",
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .prepare = apply_prepare,
    .prepare_reads = true,
    .place = apply_place,
};

const struct endpoint endpoint_intention_get = {
    ENDPOINT_READS("Intention.Get", ENDPOINT_BLOCKING, intention_query_request, indexed_intentions),
    .token_last = true,
    .read = get_read,
};

const struct endpoint endpoint_intention_list = {
    ENDPOINT_READS("Intention.List", ENDPOINT_BLOCKING, dc_request, indexed_intentions),
    .filtered = &intention_shape,
    .read = list_read,
};

const struct endpoint endpoint_intention_match = {
    ENDPOINT_READS("Intention.Match", ENDPOINT_BLOCKING, intention_query_request,
                   indexed_intention_matches),
    .read = match_read,
};

const struct endpoint endpoint_intention_check = {
    .name = "Intention.Check",
    .kind = ENDPOINT_READ,
    .request = &intention_query_request_shape,
    ENDPOINT_REPLY(intention_query_check_response),
    .datacenter = offsetof(struct intention_query_request, datacenter),
    .options = offsetof(struct intention_query_request, options),
    .meta = -1,
    .token = offsetof(struct intention_query_request, options.token),
    .tokenless = check_tokenless,
    .read = check_read,
};
