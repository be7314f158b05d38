/* Intentions: the table, its reads, and entry type 12 (fsm.md 5.3).
 */
#include <stdlib.h>

#include "schema/intention_rules.h"
#include "store/apply.h"
#include "store/connect.h"

#define INDEX_NAME "connect-intentions"

/* ---- keys ---- */

static bool id_key(struct store_read *r, struct str id, struct str *key, struct error *e) {
    if (uuid_key(r->arena, id, key, e))
        return true;
    return error_prefix(e, "failed intention lookup: index error: ");
}

static struct str names_key(struct store_read *r, const struct intention *x) {
    return KEY(r->arena, K_LOWER(x->source_ns), K_LOWER(x->source_name), K_LOWER(x->destination_ns),
               K_LOWER(x->destination_name));
}

static struct str source_key(struct store_read *r, const struct intention *x, struct str key) {
    return KEY(r->arena, K_LOWER(x->source_ns), K_LOWER(x->source_name), K_BARE(key));
}

static struct str destination_key(struct store_read *r, const struct intention *x, struct str key) {
    return KEY(r->arena, K_LOWER(x->destination_ns), K_LOWER(x->destination_name), K_BARE(key));
}

static bool fetch(struct store_read *r, struct str key, struct intention *x) {
    return record_get(r, TABLE_INTENTIONS, key, &intention_shape, x);
}

/* ---- reads ---- */

static int compare(const void *a, const void *b) {
    const struct intention *x = *(struct intention *const *)a, *y = *(struct intention *const *)b;
    if (x->precedence != y->precedence)
        return x->precedence > y->precedence ? -1 : 1;
    const struct str xs[] = {x->source_ns, x->source_name, x->destination_ns, x->destination_name};
    const struct str ys[] = {y->source_ns, y->source_name, y->destination_ns, y->destination_name};
    for (size_t i = 0; i < COUNT_OF(xs); i++) {
        int order = str_compare(xs[i], ys[i]);
        if (order != 0)
            return order;
    }
    return 0;
}

static void sort(struct list *intentions) {
    if (intentions->len > 1)
        qsort(intentions->items, intentions->len, sizeof(struct intention *), compare);
}

bool intention_get(struct store_read *r, struct str id, struct intention **intention,
                   uint64_t *index, struct error *e) {
    struct str key;
    *intention = NULL;
    *index = INDEX_MAX(r, INDEX_NAME);
    if (!id_key(r, id, &key, e))
        return false;
    watch_set_add_record(r->watch, INDEX_NAME, key);
    struct intention *found = ARENA_NEW(r->arena, struct intention);
    if (fetch(r, key, found))
        *intention = found;
    return true;
}

uint64_t intention_by_names(struct store_read *r, struct str source_ns, struct str source,
                            struct str destination_ns, struct str destination,
                            struct intention **intention) {
    struct intention names = {.source_ns = source_ns,
                              .source_name = source,
                              .destination_ns = destination_ns,
                              .destination_name = destination};
    struct intention *found = ARENA_NEW(r->arena, struct intention);
    struct str key;
    watch_name(r, WATCH_TABLE, STR(INDEX_NAME));
    bool known = table_get(r, TABLE_INTENTIONS_NAMES, names_key(r, &names), &key) &&
                 fetch(r, str_copy(r->arena, key), found);
    *intention = known ? found : NULL;
    return INDEX_MAX(r, INDEX_NAME);
}

uint64_t intention_index(struct store_read *r) {
    watch_name(r, WATCH_TABLE, STR(INDEX_NAME));
    return INDEX_MAX(r, INDEX_NAME);
}

uint64_t intention_list(struct store_read *r, struct list *intentions) {
    record_list(r, TABLE_INTENTIONS, STR(""), &intention_shape, intentions);
    sort(intentions);
    return intention_index(r);
}

uint64_t intention_match(struct store_read *r, bool by_source, struct str ns, struct str name,
                         struct list *intentions) {
    enum store_table table = by_source ? TABLE_INTENTIONS_SOURCE : TABLE_INTENTIONS_DESTINATION;
    const struct str namespaces[] = {STR(INTENTION_WILDCARD), ns, ns};
    const struct str names[] = {STR(INTENTION_WILDCARD), STR(INTENTION_WILDCARD), name};
    /* What covers a wildcard is only what is at least as wide. */
    size_t count = str_is(ns, INTENTION_WILDCARD) ? 1 : str_is(name, INTENTION_WILDCARD) ? 2 : 3;
    uint32_t cap = 0;
    *intentions = LIST_NIL;
    watch_name(r, WATCH_TABLE, STR(INDEX_NAME));
    for (size_t i = 0; i < count; i++) {
        struct list keys =
            lookup_keys(r, table, KEY(r->arena, K_LOWER(namespaces[i]), K_LOWER(names[i])));
        for (uint32_t k = 0; k < keys.len; k++) {
            struct intention *x = ARENA_NEW(r->arena, struct intention);
            if (fetch(r, LIST_AT(keys, struct str, k), x))
                *(struct intention **)list_push(intentions, &cap, sizeof x, r->arena) = x;
        }
    }
    sort(intentions);
    return INDEX_MAX(r, INDEX_NAME);
}

/* ---- the record and its lookups ---- */

static bool intention_remove(struct store_batch *b, struct str key) {
    struct intention old;
    if (!fetch(&b->read, key, &old))
        return false;
    lookup_delete(b, TABLE_INTENTIONS_NAMES, names_key(&b->read, &old));
    lookup_delete(b, TABLE_INTENTIONS_SOURCE, source_key(&b->read, &old, key));
    lookup_delete(b, TABLE_INTENTIONS_DESTINATION, destination_key(&b->read, &old, key));
    table_delete(b, TABLE_INTENTIONS, key);
    touch_record(b, INDEX_NAME, key);
    return true;
}

static void intention_store(struct store_batch *b, struct str key, const struct intention *x) {
    intention_remove(b, key);
    record_put(b, TABLE_INTENTIONS, key, &intention_shape, x);
    lookup_put(b, TABLE_INTENTIONS_NAMES, names_key(&b->read, x), key);
    lookup_put(b, TABLE_INTENTIONS_SOURCE, source_key(&b->read, x, key), key);
    lookup_put(b, TABLE_INTENTIONS_DESTINATION, destination_key(&b->read, x, key), key);
    touch_record(b, INDEX_NAME, key);
}

/* ---- entry type 12 ---- */

/* 0: exact, 1: any name of a namespace, 2: any namespace. */
static int64_t wildness(struct str ns, struct str name) {
    return str_is(ns, INTENTION_WILDCARD) ? 2 : str_is(name, INTENTION_WILDCARD) ? 1 : 0;
}

static int64_t precedence(const struct intention *x) {
    return 9 - 3 * wildness(x->destination_ns, x->destination_name) -
           wildness(x->source_ns, x->source_name);
}

static bool intention_upsert(struct store_batch *b, struct intention *x, struct error *e) {
    struct intention old, same;
    struct str key, other;
    if (x->id.len == 0)
        return error_set(e, ERROR_INTERNAL, "Missing Intention ID");
    if (!id_key(&b->read, x->id, &key, e))
        return false;
    x->precedence = precedence(x);
    if (table_get(&b->read, TABLE_INTENTIONS_NAMES, names_key(&b->read, x), &other) &&
        !str_eq(other, key) && fetch(&b->read, str_copy(b->read.arena, other), &same)) {
        struct str text = intention_describe(&same, b->read.arena);
        return error_set(e, ERROR_INTERNAL, "duplicate intention found: %.*s", STR_ARG(text));
    }
    x->create_index = x->modify_index = b->index;
    if (fetch(&b->read, key, &old)) {
        x->create_index = old.create_index;
        x->created_at = old.created_at;
    }
    if (!x->meta.present)
        x->meta = LIST_EMPTY;
    intention_store(b, key, x);
    index_bump(b, STR(INDEX_NAME));
    return true;
}

static bool intention_delete(struct store_batch *b, struct str id, struct error *e) {
    struct str key;
    if (!uuid_key(b->read.arena, id, &key, e))
        return error_prefix(e, "failed intention lookup: index error: ");
    if (intention_remove(b, key))
        index_bump(b, STR(INDEX_NAME));
    return true;
}

bool intention_apply(struct store_batch *b, const struct intention_request *request,
                     struct error *e) {
    struct intention x = {0}; /* what is stored then is changed; the request may be used again */
    if (request->intention != NULL)
        x = *request->intention;
    if (str_is(request->op, "create") || str_is(request->op, "update"))
        return intention_upsert(b, &x, e);
    if (str_is(request->op, "delete"))
        return intention_delete(b, x.id, e);
    return error_set(e, ERROR_INTERNAL, "Invalid Intention operation '%.*s'", STR_ARG(request->op));
}

void apply_intention(struct store_batch *b, void *request, struct store_result *result) {
    struct error e = ERROR_IN(b->read.arena);
    if (!intention_apply(b, request, &e))
        apply_fail(b, result, &e);
}

/* ---- snapshots ---- */

void intention_snapshot(struct snapshot_writer *w) {
    snapshot_copy_table(w, ENTRY_INTENTION, TABLE_INTENTIONS);
}

bool intention_restore(struct store_batch *b, void *record, struct error *e) {
    const struct intention *x = record;
    struct str key;
    if (!id_key(&b->read, x->id, &key, e))
        return false;
    intention_store(b, key, x);
    index_raise(b, STR(INDEX_NAME), x->modify_index);
    return true;
}
