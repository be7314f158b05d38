/* The key/value table and its tombstones: reads, and entry types 2 and 5 (fsm.md 4.1, 4.2).
 */
#include "store/kv.h"

#include "store/apply.h"
#include "store/session.h"

#define TABLES "kvs", "tombstones"

/* ---- reads ---- */

/* A view: strings point into LMDB. */
static void entry_view(struct store_read *r, struct str value, struct dir_entry *entry) {
    struct error e = ERROR_IN(r->arena);
    bool ok = schema_decode_bytes(value, &dir_entry_shape, entry, r->arena, &e);
    ASSERT(ok); /* we wrote it */
}

bool kv_fetch(struct store_read *r, struct str key, struct dir_entry *entry) {
    return record_get(r, TABLE_KVS, key, &dir_entry_shape, entry);
}

uint64_t kv_get(struct store_read *r, struct str key, struct dir_entry **entry) {
    struct str value;
    watch_set_add(r->watch, WATCH_KEY, key);
    *entry = NULL;
    if (!table_get(r, TABLE_KVS, key, &value))
        return INDEX_MAX(r, TABLES);
    *entry = arena_alloc(r->arena, sizeof **entry);
    record_decode(r, value, &dir_entry_shape, *entry);
    return index_floor((*entry)->modify_index);
}

struct kv_scan {
    struct store_read *read;
    struct table_scan table;
    struct str prefix;
    uint64_t index;
};

struct kv_scan *kv_scan_begin(struct store_read *r, struct str prefix) {
    struct kv_scan *scan = ARENA_NEW(r->arena, struct kv_scan);
    watch_set_add_prefix(r->watch, prefix);
    scan->read = r;
    scan->prefix = str_copy(r->arena, prefix);
    table_scan_begin(&scan->table, r, TABLE_KVS, scan->prefix);
    return scan;
}

bool kv_scan_next(struct kv_scan *scan, struct dir_entry *entry) {
    struct str value;
    if (!table_scan_next(&scan->table, NULL, &value))
        return false;
    entry_view(scan->read, value, entry);
    if (entry->modify_index > scan->index)
        scan->index = entry->modify_index;
    return true;
}

static uint64_t tombstones_index(struct store_read *r, struct str prefix) {
    uint64_t index = 0;
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, r, TABLE_TOMBSTONES, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        uint64_t at = be64_get(value.data);
        if (at > index)
            index = at;
    }
    table_scan_end(&s);
    return index;
}

uint64_t kv_scan_end(struct kv_scan *scan) {
    struct dir_entry entry;
    struct store_read *r = scan->read;
    while (scan->prefix.len > 0 && kv_scan_next(scan, &entry))
        continue;
    table_scan_end(&scan->table);
    if (scan->prefix.len == 0)
        return INDEX_MAX(r, TABLES);
    uint64_t index = tombstones_index(r, scan->prefix);
    if (scan->index > index)
        index = scan->index;
    return index != 0 ? index : INDEX_MAX(r, TABLES);
}

uint64_t kv_list(struct store_read *r, struct str prefix, struct list *entries) {
    *entries = LIST_NIL;
    uint32_t cap = 0;
    struct kv_scan *scan = kv_scan_begin(r, prefix);
    struct dir_entry view;
    while (kv_scan_next(scan, &view)) {
        struct dir_entry *entry = arena_alloc(r->arena, sizeof *entry);
        *entry = view;
        entry->key = str_copy(r->arena, view.key);
        entry->session = str_copy(r->arena, view.session);
        entry->value = str_copy(r->arena, view.value);
        *(struct dir_entry **)list_push(entries, &cap, sizeof entry, r->arena) = entry;
    }
    return kv_scan_end(scan);
}

uint64_t kv_list_keys(struct store_read *r, struct str prefix, struct str separator, kv_keep *keep,
                      const void *owner, struct list *keys) {
    *keys = LIST_NIL;
    uint32_t cap = 0;
    struct str last = STR_NONE;
    struct kv_scan *scan = kv_scan_begin(r, prefix);
    struct dir_entry view;
    while (kv_scan_next(scan, &view)) {
        struct str key = view.key;
        keys->present = true;
        if (separator.len > 0) {
            ptrdiff_t at = str_find(key, separator, prefix.len);
            if (at >= 0)
                key = str_sub(key, 0, (size_t)at + separator.len);
            if (last.data != NULL && str_eq(key, last))
                continue;
        }
        if (keep != NULL && !keep(owner, view.key))
            continue;
        last = str_copy(r->arena, key);
        *(struct str *)list_push(keys, &cap, sizeof last, r->arena) = last;
    }
    return kv_scan_end(scan);
}

uint64_t kv_tombstone_count(struct store_read *r) {
    uint64_t count = 0;
    struct table_scan s;
    table_scan_begin(&s, r, TABLE_TOMBSTONES, STR(""));
    while (table_scan_next(&s, NULL, NULL))
        count++;
    table_scan_end(&s);
    return count;
}

/* ---- writing one entry ---- */

static bool session_lookup_key(struct store_batch *b, const struct dir_entry *entry,
                               struct str *key) {
    struct error e = ERROR_IN(b->read.arena);
    struct str id;
    if (entry->session.len == 0 || !uuid_key(b->read.arena, entry->session, &id, &e))
        return false;
    *key = KEY(b->read.arena, K_BARE(id), K_BARE(entry->key));
    return true;
}

void kv_store(struct store_batch *b, const struct dir_entry *entry, const struct dir_entry *old) {
    struct str lookup;
    bool same = old != NULL && str_eq(old->session, entry->session);
    if (old != NULL && !same && session_lookup_key(b, old, &lookup)) {
        lookup_delete(b, TABLE_KVS_SESSION, lookup);
    }
    if (!same && session_lookup_key(b, entry, &lookup)) {
        lookup_put(b, TABLE_KVS_SESSION, lookup, entry->key);
    }
    record_put(b, TABLE_KVS, entry->key, &dir_entry_shape, entry);
    touch(b, WATCH_KEY, entry->key);
}

void kv_put(struct store_batch *b, struct dir_entry *entry, bool new_session) {
    struct dir_entry old;
    struct str stored;
    bool exists = table_get(&b->read, TABLE_KVS, entry->key, &stored);
    if (exists)
        entry_view(&b->read, stored, &old); /* no copy: values may be large */
    if (entry->value.len == 0)
        entry->value = STR_NONE;
    entry->create_index = exists ? old.create_index : b->index;
    if (exists)
        old.session = str_copy(b->read.arena, old.session);
    if (!new_session)
        entry->session = exists ? old.session : STR("");
    if (exists && old.lock_index == entry->lock_index && old.flags == entry->flags &&
        str_eq(old.value, entry->value) && str_eq(old.session, entry->session)) {
        entry->modify_index = old.modify_index;
        return;
    }
    entry->modify_index = b->index;
    kv_store(b, entry, exists ? &old : NULL);
    index_bump(b, STR("kvs"));
}

static void tombstone_put(struct store_batch *b, struct str key) {
    char bytes[8];
    be64_put(bytes, b->index);
    table_put(b, TABLE_TOMBSTONES, key, str_of(bytes, 8));
    index_bump(b, STR("tombstones"));
}

/* Without tombstone and index. */
static void entry_remove(struct store_batch *b, const struct dir_entry *old) {
    struct str lookup;
    if (session_lookup_key(b, old, &lookup))
        lookup_delete(b, TABLE_KVS_SESSION, lookup);
    table_delete(b, TABLE_KVS, old->key);
}

bool kv_delete(struct store_batch *b, struct str key) {
    struct dir_entry old;
    if (!kv_fetch(&b->read, key, &old))
        return false;
    tombstone_put(b, key);
    entry_remove(b, &old);
    touch(b, WATCH_KEY, key);
    index_bump(b, STR("kvs"));
    return true;
}

void kv_delete_tree(struct store_batch *b, struct str prefix) {
    enum { AT_ONCE = 256 };
    bool any = false;
    struct arena arena = ARENA_INIT;
    for (size_t n = AT_ONCE; n == AT_ONCE && !b->failed;) {
        struct dir_entry entries[AT_ONCE];
        struct table_scan s;
        struct str value;
        n = 0;
        arena_reset(&arena, (size_t)64 << 10);
        table_scan_begin(&s, &b->read, TABLE_KVS, prefix);
        while (n < AT_ONCE && table_scan_next(&s, NULL, &value)) {
            entry_view(&b->read, value, &entries[n]);
            entries[n].key = str_copy(&arena, entries[n].key);
            entries[n].session = str_copy(&arena, entries[n].session);
            n++;
        }
        table_scan_end(&s);
        for (size_t i = 0; i < n; i++)
            entry_remove(b, &entries[i]);
        any |= n > 0;
    }
    arena_free(&arena);
    if (!any)
        return;
    if (prefix.len > 0)
        tombstone_put(b, prefix);
    touch_prefix(b, prefix);
    index_bump(b, STR("kvs"));
}

/* ---- the operations ---- */

bool kv_cas(struct store_batch *b, struct dir_entry *entry) {
    struct dir_entry old;
    bool exists = kv_fetch(&b->read, entry->key, &old);
    if (entry->modify_index == 0 ? exists : !exists || old.modify_index != entry->modify_index) {
        return false;
    }
    kv_put(b, entry, false);
    return true;
}

bool kv_delete_cas(struct store_batch *b, struct str key, uint64_t index) {
    struct dir_entry old;
    if (!kv_fetch(&b->read, key, &old))
        return true;
    if (old.modify_index != index)
        return false;
    kv_delete(b, key);
    return true;
}

bool kv_lock(struct store_batch *b, struct dir_entry *entry, bool *done, struct error *e) {
    *done = false;
    if (entry->session.len == 0)
        return error_set(e, ERROR_INTERNAL, "missing session");
    struct session session;
    bool malformed = false;
    if (!session_fetch(&b->read, entry->session, &session, &malformed, e)) {
        if (malformed)
            return false;
        return error_set(e, ERROR_INTERNAL, "invalid session %.*s",
                         STR_ARG(str_quote(b->read.arena, entry->session)));
    }
    struct dir_entry old;
    if (!kv_fetch(&b->read, entry->key, &old)) {
        entry->lock_index = 1;
    } else if (old.session.len == 0) {
        entry->lock_index = old.lock_index + 1;
    } else if (str_eq(old.session, entry->session)) {
        entry->lock_index = old.lock_index;
    } else {
        return true; /* held by another */
    }
    kv_put(b, entry, true);
    *done = true;
    return true;
}

bool kv_unlock(struct store_batch *b, struct dir_entry *entry, bool *done, struct error *e) {
    *done = false;
    if (entry->session.len == 0)
        return error_set(e, ERROR_INTERNAL, "missing session");
    struct dir_entry old;
    if (!kv_fetch(&b->read, entry->key, &old) || !str_eq(old.session, entry->session))
        return true;
    entry->session = STR("");
    entry->lock_index = old.lock_index;
    kv_put(b, entry, true);
    *done = true;
    return true;
}

void kv_session_ended(struct store_batch *b, struct str id, const struct session *session) {
    struct list keys = lookup_keys(&b->read, TABLE_KVS_SESSION, id);
    for (uint32_t i = 0; i < keys.len; i++) {
        struct str key = LIST_AT(keys, struct str, i);
        struct dir_entry entry;
        if (!kv_fetch(&b->read, key, &entry))
            continue;
        batch_note_delay(b, key, session->lock_delay);
        if (str_is(session->behavior, "delete")) {
            kv_delete(b, key);
        } else {
            entry.session = STR("");
            kv_put(b, &entry, true);
        }
    }
}

/* ---- entry types ---- */

static void result_bool(struct store_result *result, bool value) {
    *result = (struct store_result){.kind = STORE_RESULT_BOOL, .boolean = value};
}

void apply_kvs(struct store_batch *b, void *request, struct store_result *result) {
    struct kvs_request *kvs = request;
    struct dir_entry *entry = &kvs->dir_ent;
    struct error e = ERROR_IN(b->read.arena);
    bool done;
    if (str_is(kvs->op, "set")) {
        kv_put(b, entry, false);
    } else if (str_is(kvs->op, "delete")) {
        kv_delete(b, entry->key);
    } else if (str_is(kvs->op, "delete-cas")) {
        result_bool(result, kv_delete_cas(b, entry->key, entry->modify_index));
    } else if (str_is(kvs->op, "delete-tree")) {
        kv_delete_tree(b, entry->key);
    } else if (str_is(kvs->op, "cas")) {
        result_bool(result, kv_cas(b, entry));
    } else if (str_is(kvs->op, "lock")) {
        if (kv_lock(b, entry, &done, &e))
            result_bool(result, done);
        else
            apply_fail(b, result, &e);
    } else if (str_is(kvs->op, "unlock")) {
        if (kv_unlock(b, entry, &done, &e))
            result_bool(result, done);
        else
            apply_fail(b, result, &e);
    } else {
        apply_refuse(b, result, "Invalid KVS operation '%.*s'", STR_ARG(kvs->op));
    }
}

/* Reaping bumps no index, but that of a prefix may fall: who keeps an answer is told. */
static void tombstones_reap(struct store_batch *b, uint64_t up_to) {
    struct list keys = LIST_EMPTY;
    uint32_t cap = 0;
    struct table_scan s;
    struct str key, value;
    table_scan_begin(&s, &b->read, TABLE_TOMBSTONES, STR(""));
    while (table_scan_next(&s, &key, &value)) {
        if (be64_get(value.data) > up_to)
            continue;
        *(struct str *)list_push(&keys, &cap, sizeof key, b->read.arena) =
            str_copy(b->read.arena, key);
    }
    table_scan_end(&s);
    for (uint32_t i = 0; i < keys.len; i++) {
        key = LIST_AT(keys, struct str, i);
        table_delete(b, TABLE_TOMBSTONES, key);
        touch(b, WATCH_KEY, key);
    }
}

void apply_tombstone(struct store_batch *b, void *request, struct store_result *result) {
    const struct tombstone_request *tombstone = request;
    if (str_is(tombstone->op, "reap")) {
        tombstones_reap(b, tombstone->reap_index);
    } else {
        apply_refuse(b, result, "Invalid Tombstone operation '%.*s'", STR_ARG(tombstone->op));
    }
}
