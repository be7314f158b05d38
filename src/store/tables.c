/* Bytes in LMDB: tables as first byte of one tree, keys of any length, undo, scans, records,
 * secondary lookups and index entries. Nothing here knows what a table means.
 *
 * Long keys. LMDB's keys end at 511 bytes. A key of at most SEGMENT bytes lies in its table's space
 * as it is. Of a longer one the first SEGMENT bytes and a mark byte are a continuation record,
 * whose value is the number of a space of its own, <TABLE_SEGMENT><number>, where the rest of the
 * key lies by the same rule. A continuation sorts right behind the key that is just its SEGMENT
 * bytes, and before all keys that are greater: so walking into spaces as they are met gives
 * bytewise order. Spaces that become empty are removed with their continuation.
 */
#include "store/tables.h"

#include "codec/msgpack.h"
#include "codec/uuid.h"
#include "store/env.h"

#define SEGMENT 480
#define CONTINUATION_MARK 1
#define PHYSICAL_ROOM 512

struct undo {
    struct undo *older;
    enum store_table table;
    struct str key;
    struct str value;
    bool was_there;
};

struct physical {
    uint8_t bytes[PHYSICAL_ROOM];
    size_t len;
};

struct scan_level {
    uint8_t space[9];
    uint8_t space_len;
    size_t path_len; /* of the logical key before this level */
};

#define ROOT_DBI ((MDB_dbi)1) /* the unnamed tree; env.c opens it and LMDB numbers it so */

/* ---- keys ---- */

/* Escapes, or NUL: length of a part's byte in a key. */
static size_t part_byte(char c, bool lower, char *out) {
    if (c == 0 || c == 1) {
        out[0] = 1;
        out[1] = (char)(c + 1);
        return 2;
    }
    out[0] = lower && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    return 1;
}

struct str key_make(struct arena *arena, const struct key_part *parts, size_t count) {
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        bool folds = parts[i].how == KEY_LOWER && !name_is_ascii(parts[i].text);
        size_t longest = parts[i].how == KEY_BARE ? 1 : folds ? 3 : 2;
        room += parts[i].text.len * longest + 1;
    }
    char *bytes = arena_alloc(arena, room), *p = bytes;
    for (size_t i = 0; i < count; i++) {
        struct str text = parts[i].text;
        bool lower = parts[i].how == KEY_LOWER;
        if (parts[i].how == KEY_BARE) {
            if (text.len > 0)
                memcpy(p, text.data, text.len);
            p += text.len;
            continue;
        }
        if (lower && !name_is_ascii(text))
            text = name_lower(arena, text);
        for (size_t k = 0; k < text.len; k++)
            p += part_byte(text.data[k], lower, p);
        *p++ = '\0';
    }
    return str_of(bytes, (size_t)(p - bytes));
}

bool uuid_key(struct arena *arena, struct str text, struct str *key, struct error *e) {
    uint8_t bytes[18];
    size_t len;
    if (!uuid_parse_index(text, bytes, &len, e))
        return false;
    *key = str_copy(arena, str_of(bytes, len));
    return true;
}

static void physical_table(struct physical *p, enum store_table table) {
    p->bytes[0] = (uint8_t)table;
    p->len = 1;
}

static void physical_space(struct physical *p, uint64_t number) {
    p->bytes[0] = TABLE_SEGMENT;
    be64_put(p->bytes + 1, number);
    p->len = 9;
}

static void physical_add(struct physical *p, const void *data, size_t len) {
    ASSERT(p->len + len <= PHYSICAL_ROOM - 1);
    if (len > 0)
        memcpy(p->bytes + p->len, data, len);
    p->len += len;
}

static MDB_val val_of(const struct physical *p) {
    return (MDB_val){.mv_size = p->len, .mv_data = (void *)p->bytes};
}

static struct str str_of_val(const MDB_val *v) {
    return str_of(v->mv_data, v->mv_size);
}

/* ---- LMDB, failures noted ---- */

static void batch_fail(struct store_batch *b, int rc, const char *what) {
    if (b->failed)
        return;
    b->failed = true;
    error_set_lmdb(&b->failure, rc, what);
}

static bool lmdb_get(struct store_read *r, const struct physical *p, struct str *value) {
    if (r->batch != NULL && r->batch->failed)
        return false;
    MDB_val key = val_of(p), data;
    int rc = mdb_get(r->txn, ROOT_DBI, &key, &data);
    if (rc == MDB_NOTFOUND)
        return false;
    ASSERT(rc == 0); /* anything else is a damaged file */
    *value = str_of_val(&data);
    if (value->len == 0)
        value->data = "";
    return true;
}

static void lmdb_put(struct store_batch *b, const struct physical *p, struct str value) {
    if (b->failed)
        return;
    MDB_val key = val_of(p), data = {.mv_size = value.len, .mv_data = (void *)value.data};
    int rc = mdb_put(b->txn, ROOT_DBI, &key, &data, 0);
    if (rc != 0)
        batch_fail(b, rc, "put");
}

static bool lmdb_delete(struct store_batch *b, const struct physical *p) {
    if (b->failed)
        return false;
    MDB_val key = val_of(p);
    int rc = mdb_del(b->txn, ROOT_DBI, &key, NULL);
    if (rc != 0 && rc != MDB_NOTFOUND)
        batch_fail(b, rc, "delete");
    return rc == 0;
}

/* ---- finding a key's place ---- */

static void continuation_of(struct physical *p, struct str rest) {
    static const uint8_t mark = CONTINUATION_MARK;
    physical_add(p, rest.data, SEGMENT);
    physical_add(p, &mark, 1);
}

/* The number of a new space. Numbers are never reused; they are nobody's business but this file's.
 */
static uint64_t space_new(struct store_batch *b) {
    struct physical p;
    struct str value;
    char bytes[8];
    uint64_t number = 1;
    physical_table(&p, TABLE_META);
    physical_add(&p, "segment", 7);
    if (lmdb_get(&b->read, &p, &value) && value.len == 8)
        number = be64_get(value.data) + 1;
    be64_put(bytes, number);
    lmdb_put(b, &p, str_of(bytes, 8));
    return number;
}

/* How many full segments lie before a key's last part. */
static size_t segments_of(struct str key) {
    return key.len > SEGMENT ? (key.len - 1) / SEGMENT : 0;
}

/* Where `key` lies. make: creates the spaces that are missing. False: a space is missing. */
static bool locate(struct store_read *r, struct store_batch *make, enum store_table table,
                   struct str key, struct physical *p) {
    physical_table(p, table);
    for (size_t n = segments_of(key); n > 0; n--) {
        struct str value;
        uint64_t number;
        continuation_of(p, key);
        if (lmdb_get(r, p, &value)) {
            number = be64_get(value.data);
        } else {
            if (make == NULL || make->failed)
                return false;
            char bytes[8];
            number = space_new(make);
            be64_put(bytes, number);
            lmdb_put(make, p, str_of(bytes, 8));
        }
        physical_space(p, number);
        key = str_sub(key, SEGMENT, key.len);
    }
    physical_add(p, key.data, key.len);
    return true;
}

static bool space_empty(struct store_batch *b, const struct physical *space) {
    MDB_cursor *cursor;
    MDB_val key = val_of(space), data;
    int rc = mdb_cursor_open(b->txn, ROOT_DBI, &cursor);
    if (rc != 0) {
        batch_fail(b, rc, "cursor");
        return false;
    }
    rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    bool empty =
        rc == MDB_NOTFOUND || (rc == 0 && !(key.mv_size >= space->len &&
                                            memcmp(key.mv_data, space->bytes, space->len) == 0));
    mdb_cursor_close(cursor);
    return empty;
}

/* Removes the spaces on the way to a deleted long key that are empty now, from the last one up. */
static void spaces_trim(struct store_batch *b, enum store_table table, struct str key) {
    size_t depth = segments_of(key);
    struct physical *way = mem_zalloc(depth + 1, sizeof *way); /* of each continuation */
    struct physical p;
    struct str value;
    bool found = true;
    physical_table(&p, table);
    for (size_t i = 0; i < depth && found; i++) {
        continuation_of(&p, str_sub(key, i * SEGMENT, SEGMENT));
        way[i] = p;
        found = lmdb_get(&b->read, &p, &value);
        if (found)
            physical_space(&p, be64_get(value.data));
    }
    while (found && depth > 0 && space_empty(b, &p)) {
        depth--;
        lmdb_delete(b, &way[depth]);
        p = way[depth];
        p.len -= SEGMENT + 1; /* the space that the continuation was in */
        if (depth == 0)
            break;
    }
    mem_free(way);
}

/* ---- tables ---- */

bool table_get(struct store_read *r, enum store_table table, struct str key, struct str *value) {
    struct physical p;
    return locate(r, NULL, table, key, &p) && lmdb_get(r, &p, value);
}

bool table_has(struct store_read *r, enum store_table table, struct str key) {
    struct str value;
    return table_get(r, table, key, &value);
}

static void undo_note(struct store_batch *b, enum store_table table, struct str key) {
    if (b->no_undo || b->restoring)
        return;
    struct undo *u = arena_alloc(&b->undo_arena, sizeof *u);
    struct str value = STR_NONE;
    *u = (struct undo){.older = b->undo, .table = table};
    u->was_there = table_get(&b->read, table, key, &value);
    u->key = str_copy(&b->undo_arena, key);
    u->value = str_copy(&b->undo_arena, value);
    b->undo = u;
}

void table_put(struct store_batch *b, enum store_table table, struct str key, struct str value) {
    struct physical p;
    undo_note(b, table, key);
    if (locate(&b->read, b, table, key, &p))
        lmdb_put(b, &p, value);
}

bool table_delete(struct store_batch *b, enum store_table table, struct str key) {
    struct physical p;
    if (!locate(&b->read, NULL, table, key, &p))
        return false;
    struct str value;
    if (!lmdb_get(&b->read, &p, &value))
        return false;
    undo_note(b, table, key);
    if (!lmdb_delete(b, &p))
        return false;
    if (key.len > SEGMENT)
        spaces_trim(b, table, key);
    return true;
}

uint64_t table_delete_prefix(struct store_batch *b, enum store_table table, struct str prefix) {
    enum { AT_ONCE = 256 };
    uint64_t count = 0;
    struct arena arena = ARENA_INIT;
    for (size_t n = AT_ONCE; n == AT_ONCE && !b->failed; count += n) {
        struct str keys[AT_ONCE], key;
        struct table_scan s;
        n = 0;
        arena_reset(&arena, (size_t)64 << 10);
        table_scan_begin(&s, &b->read, table, prefix);
        while (n < AT_ONCE && table_scan_next(&s, &key, NULL))
            keys[n++] = str_copy(&arena, key);
        table_scan_end(&s);
        for (size_t i = 0; i < n; i++)
            table_delete(b, table, keys[i]);
    }
    arena_free(&arena);
    return count;
}

/* ---- undo ---- */

struct batch_mark batch_mark(struct store_batch *b) {
    return (struct batch_mark){.undo = b->undo,
                               .delays = b->delays,
                               .touched = b->touched == NULL ? 0 : watch_touched_count(b->touched)};
}

void batch_rollback(struct store_batch *b, struct batch_mark mark) {
    bool saved = b->no_undo;
    b->no_undo = true;
    for (struct undo *u = b->undo; u != mark.undo; u = u->older) {
        if (u->was_there)
            table_put(b, u->table, u->key, u->value);
        else
            table_delete(b, u->table, u->key);
    }
    b->undo = mark.undo;
    b->delays = mark.delays;
    if (b->touched != NULL)
        watch_touched_truncate(b->touched, mark.touched);
    b->no_undo = saved;
}

void batch_note_delay(struct store_batch *b, struct str key, int64_t delay_ns) {
    if (b->restoring || delay_ns <= 0)
        return;
    struct lock_delay *d = arena_alloc(&b->delay_arena, sizeof *d);
    *d = (struct lock_delay){
        .next = b->delays, .key = str_copy(&b->delay_arena, key), .nanoseconds = delay_ns};
    b->delays = d;
}

/* ---- scans ---- */

static struct scan_level *level_push(struct table_scan *s) {
    if (s->level_count == s->level_cap) {
        s->level_cap = s->level_cap == 0 ? 2 : s->level_cap * 2;
        s->levels = mem_resize(s->levels, s->level_cap, sizeof *s->levels);
    }
    struct scan_level *level = &s->levels[s->level_count++];
    level->path_len = s->path.len;
    return level;
}

static void level_space(struct scan_level *level, const struct physical *p) {
    ASSERT(p->len <= sizeof level->space);
    memcpy(level->space, p->bytes, p->len);
    level->space_len = (uint8_t)p->len;
}

void table_scan_begin(struct table_scan *s, struct store_read *r, enum store_table table,
                      struct str prefix) {
    *s = (struct table_scan){.read = r, .table = (uint8_t)table, .rest = prefix};
    struct physical p;
    physical_table(&p, table);
    while (s->rest.len > SEGMENT && !s->done) {
        struct str value;
        continuation_of(&p, s->rest);
        if (!lmdb_get(r, &p, &value)) {
            s->done = true;
            break;
        }
        physical_space(&p, be64_get(value.data));
        buf_add(&s->path, s->rest.data, SEGMENT);
        s->rest = str_sub(s->rest, SEGMENT, s->rest.len);
    }
    if (!s->done && r->batch != NULL && r->batch->failed)
        s->done = true;
    if (s->done)
        return;
    level_space(level_push(s), &p);
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(r->txn, ROOT_DBI, &cursor);
    ASSERT(rc == 0); /* out of memory ends the process elsewhere too */
    s->cursor = cursor;
}

static bool scan_move(struct table_scan *s, const struct physical *from, MDB_cursor_op op,
                      struct str *key, struct str *value) {
    MDB_val k = {0}, v;
    if (from != NULL)
        k = val_of(from);
    int rc = mdb_cursor_get(s->cursor, &k, &v, op);
    if (rc == MDB_NOTFOUND)
        return false;
    ASSERT(rc == 0);
    *key = str_of_val(&k);
    *value = str_of_val(&v);
    return true;
}

/* Where the current level starts: for the first one, where its part of the prefix does. */
static bool scan_enter(struct table_scan *s, struct str *key, struct str *value) {
    struct physical p = {.len = 0};
    const struct scan_level *level = &s->levels[s->level_count - 1];
    physical_add(&p, level->space, level->space_len);
    if (s->level_count == 1)
        physical_add(&p, s->rest.data, s->rest.len);
    return scan_move(s, &p, MDB_SET_RANGE, key, value);
}

/* Behind the continuation through which the current level was entered. */
static bool scan_leave(struct table_scan *s, struct str *key, struct str *value) {
    struct physical p = {.len = 0};
    s->level_count--;
    const struct scan_level *level = &s->levels[s->level_count - 1];
    physical_add(&p, level->space, level->space_len);
    continuation_of(&p, str_of(s->path.data + level->path_len, SEGMENT));
    s->path.len = level->path_len;
    return scan_move(s, &p, MDB_SET_RANGE, key, value) && scan_move(s, NULL, MDB_NEXT, key, value);
}

static bool in_level(const struct table_scan *s, struct str key) {
    const struct scan_level *level = &s->levels[s->level_count - 1];
    if (!str_has_prefix(key, str_of(level->space, level->space_len)))
        return false;
    return s->level_count > 1 || str_has_prefix(str_sub(key, level->space_len, key.len), s->rest);
}

bool table_scan_next(struct table_scan *s, struct str *key, struct str *value) {
    if (s->done)
        return false;
    struct str k = STR_NONE, v = STR_NONE;
    bool found = s->started ? scan_move(s, NULL, MDB_NEXT, &k, &v) : scan_enter(s, &k, &v);
    s->started = true;
    for (;;) {
        if (!found || !in_level(s, k)) {
            if (s->level_count == 1) {
                s->done = true;
                return false;
            }
            found = scan_leave(s, &k, &v);
            continue;
        }
        size_t space_len = s->levels[s->level_count - 1].space_len;
        struct str tail = str_sub(k, space_len, k.len);
        if (tail.len <= SEGMENT) {
            if (value != NULL)
                *value = v.len == 0 ? STR("") : v;
            if (key == NULL)
                return true;
            if (s->path.len == 0) {
                *key = tail.len == 0 ? STR("") : tail;
                return true;
            }
            char *behind = buf_reserve(&s->path, tail.len + 1);
            if (tail.len > 0)
                memcpy(behind, tail.data, tail.len);
            *key = str_of(s->path.data, s->path.len + tail.len);
            return true;
        }
        struct physical p;
        physical_space(&p, be64_get(v.data));
        buf_add(&s->path, tail.data, SEGMENT);
        level_space(level_push(s), &p);
        found = scan_enter(s, &k, &v);
    }
}

void table_scan_end(struct table_scan *s) {
    if (s->cursor != NULL)
        mdb_cursor_close(s->cursor);
    s->cursor = NULL;
    mem_free(s->levels);
    s->levels = NULL;
    buf_free(&s->path);
    s->done = true;
}

/* ---- records ---- */

void record_decode(struct store_read *r, struct str value, const struct shape *shape,
                   void *object) {
    struct error e = ERROR_IN(r->arena);
    struct str copy = str_copy(r->arena, value);
    bool ok = schema_decode_bytes(copy, shape, object, r->arena, &e);
    ASSERT(ok); /* we wrote it */
}

bool record_get(struct store_read *r, enum store_table table, struct str key,
                const struct shape *shape, void *object) {
    struct str value;
    if (!table_get(r, table, key, &value))
        return false;
    record_decode(r, value, shape, object);
    return true;
}

void record_put(struct store_batch *b, enum store_table table, struct str key,
                const struct shape *shape, const void *object) {
    buf_clear(&b->encoded);
    schema_encode(&b->encoded, shape, object);
    table_put(b, table, key, buf_str(&b->encoded));
}

void record_list(struct store_read *r, enum store_table table, struct str prefix,
                 const struct shape *shape, struct list *records) {
    *records = LIST_NIL;
    uint32_t cap = 0;
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, r, table, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        void *record = arena_zalloc(r->arena, 1, shape->size);
        record_decode(r, value, shape, record);
        *(void **)list_push(records, &cap, sizeof record, r->arena) = record;
    }
    table_scan_end(&s);
}

void lookup_put(struct store_batch *b, enum store_table table, struct str key, struct str primary) {
    table_put(b, table, key, primary);
}

void lookup_delete(struct store_batch *b, enum store_table table, struct str key) {
    table_delete(b, table, key);
}

struct list lookup_keys(struct store_read *r, enum store_table table, struct str prefix) {
    struct list keys = LIST_EMPTY;
    uint32_t cap = 0;
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, r, table, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        *(struct str *)list_push(&keys, &cap, sizeof value, r->arena) = str_copy(r->arena, value);
    }
    table_scan_end(&s);
    return keys;
}

void *list_push(struct list *list, uint32_t *cap, size_t item_size, struct arena *arena) {
    if (list->len == *cap) {
        uint32_t more = *cap == 0 ? 4 : *cap * 2;
        ASSERT(more > *cap);
        char *items = arena_zalloc(arena, more, item_size);
        if (list->len > 0)
            memcpy(items, list->items, list->len * item_size);
        list->items = items;
        *cap = more;
    }
    list->present = true;
    return (char *)list->items + item_size * list->len++;
}

/* ---- index entries ---- */

static void index_touch(struct store_batch *b, struct str lower) {
    static const struct str service = STR_INIT("service.");
    if (str_has_prefix(lower, service)) {
        touch(b, WATCH_SERVICE, str_sub(lower, service.len, lower.len));
    } else if (str_is(lower, "service_last_extinction")) {
        touch(b, WATCH_EXTINCTION, STR(""));
    } else {
        touch(b, WATCH_TABLE, lower);
    }
}

uint64_t store_index(struct store_read *r, struct str name) {
    struct str value;
    char room[256];
    struct str lower;
    if (name.len <= sizeof room && name_is_ascii(name)) { /* most: no allocation */
        for (size_t i = 0; i < name.len; i++) {
            char c = name.data[i];
            room[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
        }
        lower = str_of(room, name.len);
    } else {
        lower = name_lower(r->arena, name);
    }
    if (!table_get(r, TABLE_INDEX, lower, &value) || value.len < 8)
        return 0;
    return be64_get(value.data);
}

void index_set(struct store_batch *b, struct str name, uint64_t value) {
    struct str lower = name_lower(b->read.arena, name);
    char *bytes = arena_alloc(b->read.arena, 8 + name.len);
    be64_put(bytes, value);
    if (name.len > 0)
        memcpy(bytes + 8, name.data, name.len);
    table_put(b, TABLE_INDEX, lower, str_of(bytes, 8 + name.len));
    index_touch(b, lower);
}

void index_bump(struct store_batch *b, struct str name) {
    index_set(b, name, b->index);
}

void index_raise(struct store_batch *b, struct str name, uint64_t value) {
    if (store_index(&b->read, name) < value)
        index_set(b, name, value);
}

void index_remove(struct store_batch *b, struct str name) {
    struct str lower = name_lower(b->read.arena, name);
    table_delete(b, TABLE_INDEX, lower);
    index_touch(b, lower);
}

uint64_t index_max(struct store_read *r, const char *const *names, size_t count) {
    uint64_t max = 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t index = store_index(r, str_from(names[i]));
        if (index > max)
            max = index;
    }
    return max;
}

/* ---- touched and watched ---- */

static bool name_is_lowered(enum watch_table table) {
    return table == WATCH_NODE || table == WATCH_SERVICE || table == WATCH_CONNECT ||
           table == WATCH_NODE_CHECKS || table == WATCH_SERVICE_CHECKS ||
           table == WATCH_NODE_SESSIONS || table == WATCH_TABLE;
}

void touch(struct store_batch *b, enum watch_table table, struct str name) {
    if (b->touched == NULL)
        return;
    if (name_is_lowered(table))
        name = name_lower(b->read.arena, name);
    watch_touched_add(b->touched, table, name);
}

void touch_prefix(struct store_batch *b, struct str prefix) {
    if (b->touched != NULL)
        watch_touched_add_prefix(b->touched, prefix);
}

void touch_record(struct store_batch *b, const char *table, struct str key) {
    if (b->touched == NULL)
        return;
    watch_touched_add(b->touched, WATCH_RECORD,
                      KEY(b->read.arena, K_EXACT(str_from(table)), K_BARE(key)));
}

void watch_name(struct store_read *r, enum watch_table table, struct str name) {
    if (r->watch == NULL)
        return;
    if (name_is_lowered(table))
        name = name_lower(r->arena, name);
    watch_set_add(r->watch, table, name);
}
