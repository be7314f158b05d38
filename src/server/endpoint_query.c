/* Prepared queries (rpc.md 6.9, http-core.md 11.8): storing them, and executing them in this
 * datacenter. What goes on in others when nothing is found here is query_failover.c's.
 */
#include "base/random.h"
#include "schema/meta.h"
#include "server/endpoint.h"
#include "server/filter_acl.h"
#include "server/near.h"
#include "server/permit.h"
#include "server/query_failover.h"
#include "store/catalog.h"
#include "store/query.h"
#include "store/query_template.h"

#define NOT_FOUND "Query not found"
#define TOKEN_HIDDEN "<hidden>"
#define NEAR_FIRST 10 /* a node among the first so many is put before all others */

/* ---- Apply ---- */

static bool dns_validate(const struct prepared_query_dns *dns, struct error *e) {
    int64_t ttl = 0;
    if (dns->ttl.len == 0)
        return true;
    if (!duration_parse(dns->ttl, &ttl, e))
        return error_prefix(e, "Bad DNS TTL '" STR_FMT "': ", STR_ARG(dns->ttl));
    if (ttl < 0)
        return error_set(e, ERROR_INTERNAL, "DNS TTL '%lld', must be >=0", (long long)ttl);
    return true;
}

static bool query_validate(const struct prepared_query *q, struct error *e) {
    if (q->name.len == 0 && !query_is_template(q) && q->session.len == 0)
        return error_set(e, ERROR_INTERNAL, "Must be bound to a session");
    if (str_is(q->token, TOKEN_HIDDEN))
        return error_set(e, ERROR_INTERNAL,
                         "Bad Token '" TOKEN_HIDDEN
                         "', it looks like a query definition with a redacted token was submitted");
    if (q->service.service.len == 0)
        return error_set(e, ERROR_INTERNAL, "Must provide a Service name to query");
    if (q->service.failover.nearest_n < 0)
        return error_set(e, ERROR_INTERNAL, "Bad NearestN '%lld', must be >= 0",
                         (long long)q->service.failover.nearest_n);
    return meta_validate(&q->service.node_meta, META_RESERVED_ALLOWED, e) &&
           dns_validate(&q->dns, e);
}

/* A template that cannot be rendered is refused here: some would end the peer's process when they
 * are applied. What would keep the entry from being applied before that is told first. */
static bool query_check(struct call_context *c, const struct prepared_query *q, struct error *e) {
    if (!query_validate(q, e))
        return error_prefix(e, "Invalid prepared query: ");
    struct error bad = ERROR_IN(c->arena);
    if (!query_is_template(q) || query_template_check(q, c->arena, &bad))
        return true;
    if (query_fits(c->store, q, e)) {
        error_copy(e, &bad);
        error_prefix(e, "failed compiling template: ");
    }
    return false;
}

static bool write_permit(const struct call_context *c, const struct prepared_query *q,
                         struct error *e) {
    return !query_is_named(q) || permit(c, ACL_QUERY, ACL_WRITE, q->name, e);
}

/* And the caller may change it. */
static bool must_exist(struct call_context *c, struct str id, struct error *e) {
    struct prepared_query *stored;
    uint64_t index;
    if (!query_get(c->store, id, &stored, &index, e))
        return error_prefix(e, "Prepared Query lookup failed: ");
    if (stored == NULL)
        return error_set(e, ERROR_INTERNAL,
                         "Cannot modify non-existent prepared query: '" STR_FMT "'", STR_ARG(id));
    return write_permit(c, stored, e);
}

static bool apply_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    /* On a copy: the request may come here again, or go elsewhere, if there is a new leader. */
    struct prepared_query_request *r = ARENA_NEW(c->arena, struct prepared_query_request);
    struct prepared_query *q = ARENA_NEW(c->arena, struct prepared_query);
    *r = *(const struct prepared_query_request *)request;
    if (r->query != NULL)
        *q = *r->query;
    r->query = q;
    if (str_is(r->op, "create")) {
        char id[37];
        if (q->id.len > 0)
            return error_set(e, ERROR_INTERNAL,
                             "ID must be empty when creating a new prepared query");
        uuid_random(id);
        q->id = str_copy(c->arena, str_from(id));
    }
    if (!write_permit(c, q, e) || (!str_is(r->op, "create") && !must_exist(c, q->id, e)))
        return false;
    if (str_is(r->op, "create") || str_is(r->op, "update")) {
        if (!query_check(c, q, e))
            return false;
    } else if (!str_is(r->op, "delete")) {
        return error_set(e, ERROR_INTERNAL, "Unknown prepared query operation: " STR_FMT,
                         STR_ARG(r->op));
    }
    *(struct str *)c->reply = str_copy(c->arena, q->id);
    endpoint_entry(entry, ENTRY_PREPARED_QUERY, &prepared_query_request_shape, r);
    return true;
}

/* ---- Get, List, Explain ---- */

static bool get_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct prepared_query_specific_request *r = request;
    struct indexed_prepared_queries *out = reply;
    struct prepared_query *q;
    if (!query_get(c->store, r->query_id, &q, &c->meta->index, e))
        return false;
    if (q == NULL)
        return error_set(e, ERROR_NOT_FOUND, NOT_FOUND);
    if (query_is_named(q) && !authorizer_may_acl(c->may, ACL_WRITE) &&
        !permit(c, ACL_QUERY, ACL_READ, q->name, e))
        return false;
    redact_query(c, q);
    out->queries = LIST_NEW(c->arena, struct prepared_query *, 1);
    LIST_AT(out->queries, struct prepared_query *, 0) = q;
    return true;
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)request;
    (void)e;
    struct indexed_prepared_queries *out = reply;
    c->meta->index = query_list(c->store, &out->queries);
    c->exact = true; /* the whole table is watched */
    filter_queries(c, &out->queries);
    return true;
}

static struct prepared_query *
resolve(struct call_context *c, const struct prepared_query_execute_request *r, struct error *e) {
    struct prepared_query *q;
    uint64_t index; /* these replies have none */
    if (!query_resolve(c->store, r->query_id_or_name, r->agent.segment, &q, &index, e))
        return NULL;
    if (q == NULL)
        error_set(e, ERROR_NOT_FOUND, NOT_FOUND);
    return q;
}

/* False: what the bearer of the secret may do is found out first, and the read begins anew. */
static bool has_rights_of(struct call_context *c, struct str secret) {
    struct str wanted = secret.len > 0 ? secret : STR("anonymous");
    if (!server_options(c->server)->acl.enabled || str_eq(c->secret, wanted))
        return true;
    c->as = wanted;
    return false;
}

static bool explain_read(struct call_context *c, const void *request, void *reply,
                         struct error *e) {
    const struct prepared_query_execute_request *r = request;
    struct prepared_query_explain_response *out = reply;
    struct prepared_query *q = resolve(c, r, e);
    if (q == NULL)
        return false;
    if (!has_rights_of(c, r->options.token))
        return true;
    struct list one = {&q, 1, true};
    filter_queries(c, &one);
    if (one.len == 0)
        return permit_deny(e);
    out->query = *q;
    return true;
}

/* ---- Execute: which instances ---- */

static bool list_has_fold(const struct list *list, struct str wanted) {
    for (uint32_t i = 0; i < list->len; i++) {
        if (str_eq_fold(LIST_AT(*list, struct str, i), wanted))
            return true;
    }
    return false;
}

static bool list_has(const struct list *list, struct str wanted) {
    for (uint32_t i = 0; i < list->len; i++) {
        if (str_eq(LIST_AT(*list, struct str, i), wanted))
            return true;
    }
    return false;
}

static bool is_healthy(const struct service_query *s, const struct check_service_node *instance) {
    for (uint32_t i = 0; i < instance->checks.len; i++) {
        const struct health_check *check = LIST_AT(instance->checks, struct health_check *, i);
        if (list_has(&s->ignore_check_ids, check->check_id))
            continue;
        if (str_is(check->status, "critical") ||
            (s->only_passing && !str_is(check->status, "passing")))
            return false;
    }
    return true;
}

/* Tags must be there; those behind a "!" must not. */
static bool tags_match(const struct list *wanted, const struct list *tags) {
    for (uint32_t i = 0; i < wanted->len; i++) {
        struct str tag = LIST_AT(*wanted, struct str, i);
        bool forbidden = str_has_prefix(tag, STR("!"));
        if (list_has_fold(tags, forbidden ? str_sub(tag, 1, tag.len) : tag) == forbidden)
            return false;
    }
    return true;
}

static bool instance_fits(const struct service_query *s,
                          const struct check_service_node *instance) {
    return is_healthy(s, instance) && catalog_meta_matches(&instance->node->meta, &s->node_meta) &&
           catalog_meta_matches(&instance->service->meta, &s->service_meta) &&
           tags_match(&s->tags, &instance->service->tags);
}

static void find_instances(struct call_context *c, const struct service_query *s, bool connect,
                           struct list *nodes) {
    if (connect || s->connect) {
        catalog_check_connect_nodes(c->store, s->service, nodes);
    } else {
        catalog_check_service_nodes(c->store, s->service, NULL, nodes);
    }
    struct check_service_node *items = nodes->items;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < nodes->len; i++) {
        if (instance_fits(s, &items[i]))
            items[kept++] = items[i];
    }
    nodes->len = kept;
    nodes->present = true;
}

/* ---- Execute: in which order ---- */

static void shuffle(struct list *nodes) {
    struct check_service_node *items = nodes->items;
    struct prng prng;
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    prng_seed(&prng, seed);
    for (uint32_t i = nodes->len; i > 1; i--) {
        uint32_t j = (uint32_t)prng_below(&prng, i);
        struct check_service_node moved = items[i - 1];
        items[i - 1] = items[j];
        items[j] = moved;
    }
}

static struct str node_of(const void *element) {
    return ((const struct check_service_node *)element)->node->node;
}

/* The node that has the client's address. */
static struct str node_by_address(struct call_context *c, struct str ip) {
    struct list nodes;
    catalog_nodes(c->store, NULL, &nodes);
    for (uint32_t i = 0; ip.len > 0 && i < nodes.len; i++) {
        const struct node *node = LIST_AT(nodes, struct node *, i);
        if (str_eq(node->address, ip))
            return node->node;
    }
    return STR("");
}

static struct query_source near_source(struct call_context *c,
                                       const struct prepared_query_execute_request *r,
                                       const struct prepared_query *q) {
    struct query_source source = r->source;
    if (source.node.len == 0)
        source.node = q->service.near;
    if (str_is(source.node, "_agent"))
        source = r->agent;
    else if (str_is(source.node, "_ip"))
        source.node = node_by_address(c, r->source.ip);
    if (source.datacenter.len == 0)
        source.datacenter = server_options(c->server)->datacenter;
    return source;
}

static void order(struct call_context *c, const struct query_source *source, struct list *nodes) {
    near_sort(c, source, nodes, sizeof(struct check_service_node), node_of);
    struct check_service_node *items = nodes->items;
    for (uint32_t i = 0; source->node.len > 0 && i < nodes->len && i < NEAR_FIRST; i++) {
        if (str_eq(items[i].node->node, source->node)) {
            struct check_service_node moved = items[0];
            items[0] = items[i];
            items[i] = moved;
            break;
        }
    }
}

static void limit(struct list *nodes, int64_t most) {
    if (most > 0 && nodes->len > most)
        nodes->len = (uint32_t)most;
}

/* A query shows what its own token may see, if it has one; only then whose request it is does not
 * matter. */
static bool has_rights(struct call_context *c, const struct prepared_query *q, struct str callers) {
    return has_rights_of(c, q->token.len > 0 ? q->token : callers);
}

static void execute(struct call_context *c, const struct prepared_query *q, bool connect,
                    struct prepared_query_execute_response *out) {
    find_instances(c, &q->service, connect, &out->nodes);
    filter_instances(c, &out->nodes);
    shuffle(&out->nodes);
    out->service = q->service.service;
    out->dns = q->dns;
    out->datacenter = server_options(c->server)->datacenter;
    out->query = q;
}

static bool execute_read(struct call_context *c, const void *request, void *reply,
                         struct error *e) {
    const struct prepared_query_execute_request *r = request;
    struct prepared_query_execute_response *out = reply;
    const struct prepared_query *q = resolve(c, r, e);
    if (q == NULL)
        return false;
    if (!has_rights(c, q, r->options.token))
        return true;
    execute(c, q, r->connect, out);
    struct query_source source = near_source(c, r, q);
    order(c, &source, &out->nodes);
    limit(&out->nodes, r->limit);
    return true;
}

static bool execute_remote_read(struct call_context *c, const void *request, void *reply,
                                struct error *e) {
    const struct prepared_query_execute_remote_request *r = request;
    struct prepared_query_execute_response *out = reply;
    (void)e;
    if (!has_rights(c, &r->query, r->options.token))
        return true;
    execute(c, &r->query, r->connect, out);
    limit(&out->nodes, r->limit);
    return true;
}

const struct endpoint endpoint_prepared_query_apply = {
    ENDPOINT_WRITES("PreparedQuery.Apply", prepared_query_request),
    .metric = "prepared-query.apply",
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .prepare = apply_prepare,
    .prepare_reads = true,
};

const struct endpoint endpoint_prepared_query_get = {
    ENDPOINT_READS("PreparedQuery.Get", ENDPOINT_BLOCKING, prepared_query_specific_request,
                   indexed_prepared_queries),
    .read = get_read,
};

const struct endpoint endpoint_prepared_query_list = {
    ENDPOINT_READS("PreparedQuery.List", ENDPOINT_BLOCKING, dc_request, indexed_prepared_queries),
    .read = list_read,
};

const struct endpoint endpoint_prepared_query_explain = {
    ENDPOINT_READS_AS("PreparedQuery.Explain", ENDPOINT_READ, prepared_query_execute_request,
                      prepared_query_explain_response),
    .metric = "prepared-query.explain",
    .read = explain_read,
};

const struct endpoint endpoint_prepared_query_execute = {
    ENDPOINT_READS_AS("PreparedQuery.Execute", ENDPOINT_READ, prepared_query_execute_request,
                      prepared_query_execute_response),
    .metric = "prepared-query.execute",
    .read = execute_read,
    .follow = query_failover_begin,
    .unfollow = query_failover_cancel,
};

const struct endpoint endpoint_prepared_query_execute_remote = {
    ENDPOINT_READS_AS("PreparedQuery.ExecuteRemote", ENDPOINT_READ,
                      prepared_query_execute_remote_request, prepared_query_execute_response),
    .metric = "prepared-query.execute_remote",
    .read = execute_remote_read,
};
