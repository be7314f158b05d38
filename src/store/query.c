/* Prepared queries: the table and its reads (store/query.h).
 */
#include "store/query.h"

#include "store/apply.h"

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
    *queries = LIST_NIL;
    uint32_t cap = 0;
    struct table_scan s;
    struct str value;
    watch_name(r, WATCH_TABLE, STR("prepared-queries"));
    table_scan_begin(&s, r, TABLE_QUERIES, STR(""));
    while (table_scan_next(&s, NULL, &value)) {
        struct prepared_query *query = ARENA_NEW(r->arena, struct prepared_query);
        record_decode(r, value, &prepared_query_shape, query);
        *(struct prepared_query **)list_push(queries, &cap, sizeof query, r->arena) = query;
    }
    table_scan_end(&s);
    return INDEX_MAX(r, "prepared-queries");
}

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

bool query_remove(struct store_batch *b, struct str key) {
    struct prepared_query old;
    struct str lookup;
    if (!record_get(&b->read, TABLE_QUERIES, key, &prepared_query_shape, &old))
        return false;
    if (session_lookup(b, &old, key, &lookup))
        lookup_delete(b, TABLE_QUERIES_SESSION, lookup);
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
