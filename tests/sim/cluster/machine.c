/* The model of the keys and, beside it, the store. */
#include "sim/cluster/machine.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "schema/entries.h"
#include "schema/requests.h"
#include "store/kv.h"
#include "store/snapshot.h"
#include "store/store.h"

#define GROUPS 8

struct machine {
    bool real;
    struct store *store;
    uint64_t applied, term, hash, version;
    struct machine_value keys[MACHINE_KEYS];
    uint64_t removed[MACHINE_KEYS];
};

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t x = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    return x * UINT64_C(0xbf58476d1ce4e5b9) + 1;
}

static uint64_t cell_hash(uint32_t key, const struct machine_value *v) {
    return v->value == 0 ? 0 : mix(mix(mix(key + 1, v->value), v->modify), v->create);
}

/* ---- names and values ---- */

static size_t key_name(uint32_t key, char out[24]) {
    return (size_t)snprintf(out, 24, "g%u/k%03u", key % GROUPS, key);
}

static size_t prefix_name(uint32_t key, char out[24]) {
    return (size_t)snprintf(out, 24, "g%u/", key % GROUPS);
}

static bool key_parse(struct str name, uint32_t *key) {
    ptrdiff_t k = str_find_char(name, 'k');
    uint64_t n;
    if (k < 0 || !str_to_u64(str_sub(name, (size_t)k + 1, SIZE_MAX), &n) || n >= MACHINE_KEYS)
        return false;
    *key = (uint32_t)n;
    return true;
}

static uint64_t value_parse(struct str text) {
    uint64_t n = 0;
    struct str rest = str_sub(text, 1, SIZE_MAX);
    ASSERT(str_to_u64(str_cut(&rest, '.'), &n) && n > 0);
    return n;
}

struct raft_entry *machine_command(const char *op, uint32_t key, uint64_t value, size_t size,
                                   uint64_t index) {
    char name[24], number[24];
    size_t name_len = key_name(key, name);
    struct buf text = BUF_INIT, data = BUF_INIT;
    buf_add(&text, number, (size_t)snprintf(number, sizeof number, "v%" PRIu64 ".", value));
    while (text.len < size)
        buf_add_char(&text, (char)('a' + text.len % 26));
    struct kvs_request r = {
        .datacenter = STR("dc1"),
        .op = str_from(op),
        .dir_ent = {.key = str_of(name, name_len), .value = buf_str(&text), .modify_index = index}};
    buf_add_char(&data, (char)ENTRY_KVS);
    schema_encode(&data, &kvs_request_shape, &r);
    struct raft_entry *e = raft_entry_new(RAFT_COMMAND, buf_str(&data), STR_NONE);
    buf_free(&text);
    buf_free(&data);
    return e;
}

/* ---- snapshots as values ---- */

struct machine_snapshot *machine_snapshot_hold(struct machine_snapshot *s) {
    s->references++;
    return s;
}

void machine_snapshot_release(struct machine_snapshot *s) {
    if (s == NULL || --s->references > 0)
        return;
    buf_free(&s->state);
    mem_free(s);
}

/* ---- life ---- */

static void store_make(struct machine *m) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_options options = {.memory_only = true, .reader_threads = 1, .map_size = 1 << 28};
    m->store = store_open(&options, &e);
    if (m->store == NULL)
        fprintf(stderr, "store: " STR_FMT "\n", STR_ARG(e.text));
    ASSERT(m->store != NULL);
    arena_free(&arena);
}

struct machine *machine_new(bool real) {
    struct machine *m = MEM_NEW(struct machine);
    m->real = real;
    if (real)
        store_make(m);
    return m;
}

void machine_free(struct machine *m) {
    if (m == NULL)
        return;
    store_close(m->store);
    mem_free(m);
}

void machine_clear(struct machine *m) {
    struct machine empty = {.real = m->real};
    store_close(m->store);
    *m = empty;
    if (m->real)
        store_make(m);
}

uint64_t machine_applied(const struct machine *m, uint64_t *term) {
    if (term != NULL)
        *term = m->term;
    return m->applied;
}

uint64_t machine_hash(const struct machine *m) {
    return m->hash;
}

/* ---- the model ---- */

static void cell_set(struct machine *m, uint32_t key, struct machine_value v, uint64_t index) {
    m->hash ^= cell_hash(key, &m->keys[key]);
    m->keys[key] = v;
    m->hash ^= cell_hash(key, &v);
    if (v.value == 0)
        m->removed[key] = index;
}

/* Whether the command did what it says. */
static bool model_apply(struct machine *m, const struct raft_entry *e,
                        struct watch_touched *touched) {
    struct arena arena = ARENA_INIT;
    struct error error = ERROR_IN(&arena);
    struct kvs_request r;
    uint32_t key;
    ASSERT(e->data.len > 1 && e->data.data[0] == ENTRY_KVS);
    ASSERT(
        schema_decode_bytes(str_sub(e->data, 1, SIZE_MAX), &kvs_request_shape, &r, &arena, &error));
    ASSERT(key_parse(r.dir_ent.key, &key));
    struct machine_value old = m->keys[key];
    bool done = !str_is(r.op, "cas") || old.modify == r.dir_ent.modify_index;
    bool removes = str_is(r.op, "delete");
    if (done && !(removes && old.value == 0)) {
        struct machine_value v = {0};
        if (!removes)
            v = (struct machine_value){.value = value_parse(r.dir_ent.value),
                                       .modify = e->index,
                                       .create = old.value != 0 ? old.create : e->index};
        cell_set(m, key, v, e->index);
        watch_touched_add(touched, WATCH_KEY, r.dir_ent.key);
    }
    arena_free(&arena);
    return done;
}

/* ---- the store ---- */

static bool real_apply_one(struct store_batch *b, const struct raft_entry *e, bool yes,
                           char why[200], struct error *error) {
    struct store_result result;
    if (e->type != RAFT_COMMAND) {
        store_advance(b, e->index, e->term);
        return true;
    }
    if (!store_apply(b, e->index, e->term, e->data, e->extensions, &result, error)) {
        snprintf(why, 200, "the store refuses entry %" PRIu64 ": " STR_FMT, e->index,
                 STR_ARG(error->text));
        return false;
    }
    bool done =
        result.kind == STORE_RESULT_NIL || (result.kind == STORE_RESULT_BOOL && result.boolean);
    if (done != yes)
        snprintf(why, 200, "entry %" PRIu64 ": the store says %d, the model %d", e->index, done,
                 yes);
    return done == yes;
}

static bool real_apply(struct machine *m, struct raft_entry *const *entries, size_t count,
                       const bool *yes, struct watch_touched **touched, char why[200]) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_batch *b = store_batch_begin(m->store, &e);
    bool ok = b != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = real_apply_one(b, entries[i], yes[i], why, &e);
    if (ok)
        ok = store_batch_commit(b, touched, &e);
    else if (b != NULL)
        store_batch_abort(b);
    if (!ok && why[0] == '\0')
        snprintf(why, 200, "the store fails: " STR_FMT, STR_ARG(e.text));
    arena_free(&arena);
    return ok;
}

bool machine_apply(struct machine *m, struct raft_entry *const *entries, size_t count, bool *yes,
                   uint64_t *hashes, struct watch_touched **touched, char why[200]) {
    struct watch_touched *of_model = watch_touched_new();
    why[0] = '\0';
    *touched = NULL;
    for (size_t i = 0; i < count; i++) {
        ASSERT(entries[i]->index == m->applied + 1);
        yes[i] = entries[i]->type != RAFT_COMMAND || model_apply(m, entries[i], of_model);
        m->applied = entries[i]->index;
        m->term = entries[i]->term;
        hashes[i] = m->hash;
    }
    m->version++;
    watch_touched_set_version(of_model, m->version);
    bool ok = !m->real || real_apply(m, entries, count, yes, touched, why);
    if (m->real || watch_touched_count(of_model) == 0)
        watch_touched_release(of_model);
    else
        *touched = of_model;
    return ok;
}

/* ---- reads ---- */

static struct machine_value real_get(struct store_read *r, uint32_t key, uint64_t *index) {
    char name[24];
    struct dir_entry *entry = NULL;
    uint64_t i = kv_get(r, str_of(name, key_name(key, name)), &entry);
    if (index != NULL)
        *index = i;
    if (entry == NULL)
        return (struct machine_value){0};
    return (struct machine_value){value_parse(entry->value), entry->modify_index,
                                  entry->create_index};
}

struct machine_value machine_get(struct machine *m, uint32_t key) {
    if (!m->real)
        return m->keys[key];
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    ASSERT(store_read_begin(m->store, &r, &arena, NULL, &e));
    struct machine_value v = real_get(&r, key, NULL);
    store_read_end(&r);
    arena_free(&arena);
    ASSERT(memcmp(&v, &m->keys[key], sizeof v) == 0);
    return v;
}

static uint64_t model_watch(struct machine *m, uint32_t key, bool prefix, struct watch_set *watch,
                            bool *exact) {
    char name[24];
    uint64_t index = 1;
    *exact = false;
    if (prefix)
        watch_set_add_prefix(watch, str_of(name, prefix_name(key, name)));
    else
        watch_set_add(watch, WATCH_KEY, str_of(name, key_name(key, name)));
    for (uint32_t k = prefix ? key % GROUPS : key; k < MACHINE_KEYS; k += GROUPS) {
        *exact = *exact || m->keys[k].value != 0;
        if (m->keys[k].value != 0 && m->keys[k].modify > index)
            index = m->keys[k].modify;
        if (m->removed[k] > index)
            index = m->removed[k];
        if (!prefix)
            break;
    }
    return index;
}

uint64_t machine_watch(struct machine *m, uint32_t key, bool prefix, struct watch_set *watch,
                       bool *exact) {
    if (!m->real)
        return model_watch(m, key, prefix, watch, exact);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    uint64_t index = 0;
    char name[24];
    struct list list = LIST_NIL;
    ASSERT(store_read_begin(m->store, &r, &arena, watch, &e));
    if (prefix)
        index = kv_list(&r, str_of(name, prefix_name(key, name)), &list);
    *exact = prefix ? list.len > 0 : real_get(&r, key, &index).value != 0;
    store_read_end(&r);
    arena_free(&arena);
    return index > 0 ? index : 1;
}

/* ---- snapshots ---- */

static bool sink(void *owner, struct str bytes, struct error *e) {
    (void)e;
    buf_add_str(owner, bytes);
    return true;
}

static void real_write(struct machine *m, struct buf *out) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    ASSERT(store_read_begin(m->store, &r, &arena, NULL, &e));
    ASSERT(store_snapshot_write(&r, sink, out, &e));
    store_read_end(&r);
    arena_free(&arena);
}

struct machine_snapshot *machine_snapshot_take(struct machine *m) {
    struct machine_snapshot *s = MEM_NEW(struct machine_snapshot);
    s->references = 1;
    s->index = m->applied;
    s->term = m->term;
    s->hash = m->hash;
    memcpy(s->keys, m->keys, sizeof s->keys);
    memcpy(s->removed, m->removed, sizeof s->removed);
    if (m->real) {
        real_write(m, &s->state);
        return s;
    }
    for (uint32_t k = 0; k < MACHINE_KEYS; k++) {
        if (m->keys[k].value == 0 && m->removed[k] == 0)
            continue;
        buf_add_be32(&s->state, k);
        buf_add_be64(&s->state, m->keys[k].value);
        buf_add_be64(&s->state, m->keys[k].modify);
        buf_add_be64(&s->state, m->keys[k].create);
        buf_add_be64(&s->state, m->removed[k]);
    }
    return s;
}

static void model_restore(struct machine *m, struct str state) {
    ASSERT(state.len % 36 == 0);
    for (size_t at = 0; at < state.len; at += 36) {
        const char *p = state.data + at;
        uint32_t k = be32_get(p);
        ASSERT(k < MACHINE_KEYS);
        cell_set(m, k, (struct machine_value){be64_get(p + 4), be64_get(p + 12), be64_get(p + 20)},
                 0);
        m->removed[k] = be64_get(p + 28);
    }
}

/* The model of what the store holds now. */
static void model_read(struct machine *m) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    struct list list;
    ASSERT(store_read_begin(m->store, &r, &arena, NULL, &e));
    kv_list(&r, STR("g"), &list);
    for (uint32_t i = 0; i < list.len; i++) {
        const struct dir_entry *d = LIST_AT(list, struct dir_entry *, i);
        uint32_t key;
        ASSERT(key_parse(d->key, &key));
        cell_set(m, key,
                 (struct machine_value){value_parse(d->value), d->modify_index, d->create_index},
                 0);
    }
    store_read_end(&r);
    arena_free(&arena);
}

static bool real_restore(struct machine *m, struct str state, uint64_t index, uint64_t term,
                         struct watch_touched **touched, char why[200]) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_restore *restore = store_restore_begin(m->store, &e);
    bool ok = restore != NULL && store_restore_feed(restore, state, &e);
    if (restore != NULL && !ok)
        store_restore_abort(restore);
    ok = ok && store_restore_commit(restore, index, term, touched, &e);
    if (!ok)
        snprintf(why, 200, "the store does not take the snapshot: " STR_FMT, STR_ARG(e.text));
    arena_free(&arena);
    return ok;
}

bool machine_restore(struct machine *m, struct str state, uint64_t index, uint64_t term,
                     struct watch_touched **touched, char why[200]) {
    *touched = NULL;
    if (m->real && !real_restore(m, state, index, term, touched, why))
        return false;
    memset(m->keys, 0, sizeof m->keys);
    memset(m->removed, 0, sizeof m->removed);
    m->hash = 0;
    m->applied = index;
    m->term = term;
    m->version++;
    if (m->real) {
        model_read(m);
        return true;
    }
    model_restore(m, state);
    *touched = watch_touched_new();
    watch_touched_add(*touched, WATCH_ALL, STR(""));
    watch_touched_set_version(*touched, m->version);
    return true;
}
