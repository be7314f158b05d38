/* Prepared queries: the table and its reads (store/query.h).
 */
#include "store/query.h"

#include "codec/uuid.h"
#include "store/apply.h"
#include "store/query_template.h"

bool query_get(struct store_read *r, struct str id, struct prepared_query **query, uint64_t *index,
               struct error *e) {
    struct str key;
    *query = NULL;
    *index = INDEX_MAX(r, "prepared-queries");
    if (!uuid_key(r->arena, id, &key, e)) {
        return error_prefix(e, "failed prepared query lookup: index error: ");
    }
    watch_set_add_record(r->watch, "prepared-queries", key);
    struct prepared_query *found = ARENA_NEW(r->arena, struct prepared_query);
    if (record_get(r, TABLE_QUERIES, key, &prepared_query_shape, found))
        *query = found;
    return true;
}

uint64_t query_list(struct store_read *r, struct list *queries) {
    watch_name(r, WATCH_TABLE, STR("prepared-queries"));
    record_list(r, TABLE_QUERIES, STR(""), &prepared_query_shape, queries);
    return INDEX_MAX(r, "prepared-queries");
}

/* By exact name, or template by the longest prefix of the name. */
static bool find_by_name(struct store_read *r, struct str name, struct prepared_query *query) {
    struct str lower = name_lower(r->arena, name), key;
    for (size_t len = lower.len + 1; len-- > 0;) {
        struct str lookup = KEY(r->arena, K_LOWER(str_sub(lower, 0, len)));
        if (!table_get(r, TABLE_QUERIES_NAME, lookup, &key) ||
            !record_get(r, TABLE_QUERIES, str_copy(r->arena, key), &prepared_query_shape, query))
            continue;
        if (len == lower.len || query_is_template(query))
            return true;
    }
    return false;
}

bool query_resolve(struct store_read *r, struct str id_or_name, struct str segment,
                   struct prepared_query **query, uint64_t *index, struct error *e) {
    struct prepared_query *found = ARENA_NEW(r->arena, struct prepared_query);
    struct error ignored = ERROR_IN(r->arena);
    struct str key;
    *query = NULL;
    *index = INDEX_MAX(r, "prepared-queries");
    watch_name(r, WATCH_TABLE, STR("prepared-queries"));
    if (uuid_valid(id_or_name) && uuid_key(r->arena, id_or_name, &key, &ignored) &&
        record_get(r, TABLE_QUERIES, key, &prepared_query_shape, found)) {
        if (query_is_template(found)) {
            return error_set(e, ERROR_INTERNAL,
                             "prepared query templates can only be resolved up "
                             "by name, not by ID");
        }
        *query = found;
        return true;
    }
    if (id_or_name.len > QUERY_MAX_NAME || !find_by_name(r, id_or_name, found))
        return true;
    *query = found;
    if (query_is_template(found))
        *query = query_template_render(found, id_or_name, segment, r->arena, e);
    return *query != NULL;
}

/* ---- the record and its lookups ---- */

static bool session_lookup(struct store_batch *b, const struct prepared_query *query,
                           struct str key, struct str *lookup) {
    struct error ignored = ERROR_IN(b->read.arena);
    struct str session;
    if (query->session.len == 0 || !uuid_key(b->read.arena, query->session, &session, &ignored)) {
        return false;
    }
    *lookup = KEY(b->read.arena, K_BARE(session), K_BARE(key));
    return true;
}

/* By which name a query is found; false when by none. */
static bool name_lookup(struct store_read *r, const struct prepared_query *query,
                        struct str *lookup) {
    *lookup = KEY(r->arena, K_LOWER(query->name));
    return query->name.len > 0 || query->template.type.len > 0;
}

bool query_remove(struct store_batch *b, struct str key) {
    struct prepared_query old;
    struct str lookup;
    if (!record_get(&b->read, TABLE_QUERIES, key, &prepared_query_shape, &old))
        return false;
    if (session_lookup(b, &old, key, &lookup))
        lookup_delete(b, TABLE_QUERIES_SESSION, lookup);
    if (name_lookup(&b->read, &old, &lookup))
        lookup_delete(b, TABLE_QUERIES_NAME, lookup);
    table_delete(b, TABLE_QUERIES, key);
    touch_record(b, "prepared-queries", key);
    return true;
}

bool query_store(struct store_batch *b, const struct prepared_query *query, struct error *e) {
    struct str key, lookup;
    if (!uuid_key(b->read.arena, query->id, &key, e)) {
        return error_prefix(e, "failed inserting prepared query: ");
    }
    query_remove(b, key);
    record_put(b, TABLE_QUERIES, key, &prepared_query_shape, query);
    if (session_lookup(b, query, key, &lookup))
        lookup_put(b, TABLE_QUERIES_SESSION, lookup, key);
    if (name_lookup(&b->read, query, &lookup))
        lookup_put(b, TABLE_QUERIES_NAME, lookup, key);
    touch_record(b, "prepared-queries", key);
    return true;
}

void query_session_ended(struct store_batch *b, struct str id) {
    struct list keys = lookup_keys(&b->read, TABLE_QUERIES_SESSION, id);
    bool any = false;
    for (uint32_t i = 0; i < keys.len; i++)
        any |= query_remove(b, LIST_AT(keys, struct str, i));
    if (any)
        index_bump(b, STR("prepared-queries"));
}

/* ---- entry type 7 ---- */

/* The key of the query that has the name already, if it is another one. */
static bool name_is_taken(struct store_read *r, const struct prepared_query *query,
                          struct str key) {
    struct str lookup, other;
    return name_lookup(r, query, &lookup) && table_get(r, TABLE_QUERIES_NAME, lookup, &other) &&
           !str_eq(other, key);
}

static bool query_check_name(struct store_read *r, const struct prepared_query *query,
                             struct str key, struct error *e) {
    struct error ignored = ERROR_IN(r->arena);
    struct str other;
    if (name_is_taken(r, query, key)) {
        if (query->name.len == 0) {
            return error_set(e, ERROR_INTERNAL,
                             "a query template with an empty name already exists");
        }
        return error_set(e, ERROR_INTERNAL, "name '%.*s' aliases an existing query name",
                         STR_ARG(query->name));
    }
    if (uuid_key(r->arena, query->name, &other, &ignored) && table_has(r, TABLE_QUERIES, other)) {
        return error_set(e, ERROR_INTERNAL, "name '%.*s' aliases an existing query ID",
                         STR_ARG(query->name));
    }
    return true;
}

static bool query_check_session(struct store_read *r, const struct prepared_query *query,
                                struct error *e) {
    struct str key;
    if (query->session.len == 0)
        return true;
    if (!uuid_key(r->arena, query->session, &key, e))
        return error_prefix(e, "invalid session: index error: ");
    if (table_has(r, TABLE_SESSIONS, key))
        return true;
    struct str quoted = str_quote(r->arena, query->session);
    return error_set(e, ERROR_INTERNAL, "invalid session %.*s", STR_ARG(quoted));
}

bool query_fits(struct store_read *r, const struct prepared_query *query, struct error *e) {
    struct str key;
    if (!uuid_key(r->arena, query->id, &key, e))
        return error_prefix(e, "failed prepared query lookup: index error: ");
    return query_check_name(r, query, key, e) && query_check_session(r, query, e);
}

static bool query_upsert(struct store_batch *b, struct prepared_query *query, struct error *e) {
    struct prepared_query old;
    struct str key;
    if (query->id.len == 0)
        return error_set(e, ERROR_INTERNAL, "Missing Query ID");
    if (!query_fits(&b->read, query, e) || !uuid_key(b->read.arena, query->id, &key, e))
        return false;
    if (query_is_template(query) && !query_template_check(query, b->read.arena, e))
        return error_prefix(e, "failed compiling template: ");
    bool exists = record_get(&b->read, TABLE_QUERIES, key, &prepared_query_shape, &old);
    query->create_index = exists ? old.create_index : b->index;
    query->modify_index = b->index;
    if (!query_store(b, query, e))
        return false;
    index_bump(b, STR("prepared-queries"));
    return true;
}

static bool query_delete(struct store_batch *b, struct str id, struct error *e) {
    struct str key;
    if (!uuid_key(b->read.arena, id, &key, e))
        return error_prefix(e, "failed prepared query delete: index error: ");
    if (query_remove(b, key))
        index_bump(b, STR("prepared-queries"));
    return true;
}

void apply_prepared_query(struct store_batch *b, void *request, struct store_result *result) {
    struct prepared_query_request *r = request;
    struct prepared_query none = {0};
    struct prepared_query *query = r->query != NULL ? r->query : &none;
    struct error e = ERROR_IN(b->read.arena);
    bool ok;
    if (str_is(r->op, "create") || str_is(r->op, "update")) {
        ok = query_upsert(b, query, &e);
    } else if (str_is(r->op, "delete")) {
        ok = query_delete(b, query->id, &e);
    } else {
        ok =
            error_set(&e, ERROR_INTERNAL, "Invalid PreparedQuery operation '%.*s'", STR_ARG(r->op));
    }
    if (!ok)
        apply_fail(b, result, &e);
}

/* ---- snapshots ---- */

void query_snapshot(struct snapshot_writer *w) {
    snapshot_copy_table(w, ENTRY_PREPARED_QUERY, TABLE_QUERIES);
}

bool query_restore(struct store_batch *b, void *record, struct error *e) {
    const struct prepared_query *query = record;
    if (!query_store(b, query, e))
        return false;
    index_raise(b, STR("prepared-queries"), query->modify_index);
    return true;
}
