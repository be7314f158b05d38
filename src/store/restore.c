/* Reading state.bin (fsm.md 7.3) into an environment of its own, and swapping it in. Writing it is
 * snapshot.c's.
 */
#include "codec/msgpack.h"
#include "store/apply.h"
#include "store/env.h"
#include "store/snapshot.h"

#define MAX_RECORD ((size_t)256 << 20)
#define COMMIT_EVERY                                                                               \
    ((size_t)16 << 20) /* bytes of records; bounds the dirty pages that LMDB holds */

struct store_restore {
    struct store *store;
    struct store_env *env;
    struct store_batch batch;
    bool batch_open;
    struct buf pending; /* bytes of a record that is not complete yet */
    size_t done;        /* of pending: already taken */
    size_t retry_at;    /* parse again when pending has this many bytes */
    bool header_read, failed;
    uint64_t last_index; /* of the header */
    size_t uncommitted;  /* bytes of records since the last commit */
};

/* One row a type. The record is decoded by `shape` for `restore`; types with bodies of their own
 * read them in restore_raw. Both return false with an error for what cannot be kept. */
struct record_row {
    const struct shape *shape;
    bool (*restore)(struct store_batch *b, void *record, struct error *e);
    bool (*restore_raw)(struct store_batch *b, struct msgpack_reader *in, struct error *e);
};

/* ---- records ---- */

static bool restore_register(struct store_batch *b, void *record, struct error *e) {
    struct register_request *r = record;
    if (r->create_index == 0)
        r->create_index = b->index;
    if (r->modify_index == 0)
        r->modify_index = b->index;
    r->skip_node_update = false;
    if (!catalog_register(b, r, e))
        return false;
    index_raise(b, STR("nodes"), b->index); /* for now: records of type 16 have the last word */
    if (r->check != NULL || r->checks.len > 0)
        index_raise(b, STR("checks"), b->index);
    return true;
}

static bool restore_kv(struct store_batch *b, void *record, struct error *e) {
    struct dir_entry *entry = record, old;
    bool exists = kv_fetch(&b->read, entry->key, &old);
    (void)e;
    kv_store(b, entry, exists ? &old : NULL);
    index_raise(b, STR("kvs"), entry->modify_index);
    return true;
}

static bool restore_tombstone(struct store_batch *b, void *record, struct error *e) {
    const struct dir_entry *entry = record;
    char bytes[8];
    (void)e;
    be64_put(bytes, entry->modify_index);
    table_put(b, TABLE_TOMBSTONES, entry->key, str_of(bytes, 8));
    index_raise(b, STR("tombstones"), entry->modify_index);
    return true;
}

static bool restore_session(struct store_batch *b, void *record, struct error *e) {
    struct session *session = record;
    struct str key;
    if (!uuid_key(b->read.arena, session->id, &key, e)) {
        return error_prefix(e, "failed inserting session: ");
    }
    session_store(b, key, session);
    index_raise(b, STR("sessions"), session->modify_index);
    return true;
}

static bool restore_coordinates(struct store_batch *b, struct msgpack_reader *in, struct error *e) {
    struct list updates;
    if (!schema_decode_type(in, &coordinate_batch_type, &updates, b->read.arena, e))
        return false;
    coordinate_update(b, &updates);
    index_raise(b, STR("coordinates"), b->index);
    return true;
}

static bool restore_autopilot(struct store_batch *b, void *record, struct error *e) {
    (void)e;
    autopilot_store(b, record);
    return true;
}

static bool restore_index(struct store_batch *b, void *record, struct error *e) {
    const struct index_entry *entry = record;
    (void)e;
    index_set(b, entry->key, entry->value);
    return true;
}

/* One operation's array of pieces: nil where one is missing. */
static bool restore_pieces(struct store_batch *b, struct msgpack_reader *in, struct error *e) {
    struct msgpack_token token;
    if (!msgpack_next(in, &token, e))
        return false;
    if (token.type == MSGPACK_NIL)
        return true;
    if (token.type != MSGPACK_ARRAY)
        return error_set(e, ERROR_INTERNAL, "bad chunk list");
    for (uint32_t n = token.len; n > 0; n--) {
        struct chunk_info info;
        if (in->at < in->end && *in->at == 0xc0) {
            in->at++;
            continue;
        }
        if (!schema_decode(in, &chunk_info_shape, &info, b->read.arena, e))
            return false;
        if (info.num_chunks == 0 || info.num_chunks > CHUNKS_MAX ||
            info.sequence_num >= info.num_chunks) {
            return error_set(e, ERROR_INTERNAL, "bad chunk in snapshot");
        }
        char key[12];
        be64_put(key, info.op_num);
        be32_put(key + 8, (uint32_t)info.sequence_num);
        record_put(b, TABLE_CHUNKS, str_of(key, sizeof key), &chunk_info_shape, &info);
    }
    return true;
}

/* {ChunkMap: {op_num int: [ChunkInfo or nil]}} */
static bool restore_chunks(struct store_batch *b, struct msgpack_reader *in, struct error *e) {
    struct msgpack_token token;
    if (!msgpack_next(in, &token, e))
        return false;
    uint32_t fields = token.type == MSGPACK_MAP ? token.len : 0;
    for (; fields > 0; fields--) {
        if (!msgpack_next(in, &token, e))
            return false;
        if (token.type != MSGPACK_RAW || !str_is(token.str, "ChunkMap")) {
            if (!msgpack_skip(in, e))
                return false;
            continue;
        }
        if (!msgpack_next(in, &token, e))
            return false;
        uint32_t operations = token.type == MSGPACK_MAP ? token.len : 0;
        for (; operations > 0; operations--) {
            if (!msgpack_skip(in, e) || !restore_pieces(b, in, e))
                return false;
        }
    }
    return true;
}

static const struct record_row record_rows[ENTRY_TYPE_MASK + 1] = {
    [ENTRY_REGISTER] = {.shape = &register_request_shape, .restore = restore_register},
    [ENTRY_KVS] = {.shape = &dir_entry_shape, .restore = restore_kv},
    [ENTRY_SESSION] = {.shape = &session_shape, .restore = restore_session},
    [ENTRY_TOMBSTONE] = {.shape = &dir_entry_shape, .restore = restore_tombstone},
    [ENTRY_COORDINATE_BATCH] = {.restore_raw = restore_coordinates},
    [ENTRY_AUTOPILOT] = {.shape = &autopilot_config_shape, .restore = restore_autopilot},
    [ENTRY_INDEX] = {.shape = &index_entry_shape, .restore = restore_index},
    [ENTRY_CHUNKING_STATE] = {.restore_raw = restore_chunks},
    [ENTRY_PREPARED_QUERY] = {.shape = &prepared_query_shape, .restore = query_restore},
    [ENTRY_FEDERATION_STATE] = {.shape = &federation_state_request_shape,
                                .restore = federation_restore},
    [ENTRY_LEGACY_ACL] = {.shape = &legacy_acl_shape, .restore = acl_legacy_restore},
    [ENTRY_ACL_BOOTSTRAP] = {.shape = &acl_bootstrap_record_shape,
                             .restore = acl_bootstrap_restore},
    [ENTRY_ACL_TOKEN_SET] = {.shape = &acl_token_shape, .restore = acl_token_restore},
    [ENTRY_ACL_POLICY_SET] = {.shape = &acl_policy_shape, .restore = acl_policy_restore},
    [ENTRY_ACL_ROLE_SET] = {.shape = &acl_role_shape, .restore = acl_role_restore},
    [ENTRY_ACL_BINDING_RULE_SET] = {.shape = &acl_binding_rule_shape,
                                    .restore = acl_binding_rule_restore},
    [ENTRY_ACL_AUTH_METHOD_SET] = {.shape = &acl_auth_method_shape,
                                   .restore = acl_auth_method_restore},
    [ENTRY_INTENTION] = {.shape = &intention_shape, .restore = intention_restore},
    [ENTRY_CONNECT_CA] = {.shape = &ca_root_shape, .restore = ca_root_restore},
    [ENTRY_CA_PROVIDER_STATE] = {.shape = &ca_consul_provider_state_shape,
                                 .restore = ca_provider_state_restore},
    [ENTRY_CA_CONFIG] = {.shape = &ca_configuration_shape, .restore = ca_config_restore},
    [ENTRY_CONFIG_ENTRY] = {.restore_raw = config_entry_restore},
};

/* ---- the stream ---- */

/* A batch of the second environment; the index is the snapshot's LastIndex throughout. None stays
 * open between calls: LMDB wants a transaction to end on the thread that began it. */
static bool open_batch(struct store_restore *r, struct error *e) {
    if (r->batch_open)
        return true;
    if (!batch_start(&r->batch, r->store, r->env, e))
        return false;
    r->batch.restoring = true;
    r->batch.no_undo = true;
    r->batch.index = r->last_index;
    r->batch_open = true;
    return true;
}

static bool close_batch(struct store_restore *r, bool commit, struct error *e) {
    if (!r->batch_open)
        return true;
    r->batch_open = false;
    bool ok = !r->batch.failed;
    int rc = 0;
    if (ok && commit)
        rc = mdb_txn_commit(r->batch.txn);
    else
        mdb_txn_abort(r->batch.txn);
    if (!ok)
        error_copy(e, &r->batch.failure);
    else if (rc != 0)
        ok = error_set_lmdb(e, rc, "commit restore");
    batch_stop(&r->batch);
    return ok;
}

struct store_restore *store_restore_begin(struct store *s, struct error *e) {
    if (s->restoring) {
        error_set(e, ERROR_INTERNAL, "a restore is under way already");
        return NULL;
    }
    struct store_restore *r = MEM_NEW(struct store_restore);
    r->store = s;
    r->env = env_open(s, s->directory == NULL ? 0 : s->next_number++, e);
    if (r->env == NULL) {
        mem_free(r);
        return NULL;
    }
    s->restoring = true;
    return r;
}

static bool restore_record(struct store_restore *r, uint8_t type, struct msgpack_reader *in,
                           struct error *e) {
    const struct record_row *row = &record_rows[type & ENTRY_TYPE_MASK];
    struct store_batch *b = &r->batch;
    bool ok = open_batch(r, e);
    if (!ok)
        return false;
    if (type > ENTRY_TYPE_MASK || (row->restore == NULL && row->restore_raw == NULL)) {
        return error_set(e, ERROR_INTERNAL, "Unrecognized msg type %d", type);
    }
    if (row->restore_raw != NULL) {
        ok = row->restore_raw(b, in, e);
    } else {
        void *record = arena_zalloc(b->read.arena, 1, row->shape->size);
        ok = schema_decode(in, row->shape, record, b->read.arena, e) && row->restore(b, record, e);
    }
    arena_reset(&b->scratch, (size_t)64 << 10);
    if (ok && r->uncommitted >= COMMIT_EVERY) {
        r->uncommitted = 0;
        ok = close_batch(r, true, e);
    }
    return ok;
}

static bool take_header(struct store_restore *r, struct msgpack_reader *in, struct error *e) {
    struct snapshot_header header;
    struct arena arena = ARENA_INIT;
    bool ok = schema_decode(in, &snapshot_header_shape, &header, &arena, e);
    if (ok) {
        r->header_read = true;
        r->last_index = header.last_index;
    }
    arena_free(&arena);
    return ok;
}

/* Takes the next complete object or record of what is pending; *took tells whether there was one.
 */
static bool take_one(struct store_restore *r, bool *took, struct error *e) {
    struct str left = str_sub(buf_str(&r->pending), r->done, r->pending.len);
    size_t head = r->header_read ? 1 : 0;
    struct arena arena = ARENA_INIT;
    struct error incomplete = ERROR_IN(&arena);
    *took = false;
    if (left.len <= head)
        return true;
    struct msgpack_reader in = msgpack_read(str_sub(left, head, left.len)), skip = in;
    bool whole = msgpack_skip(&skip, &incomplete);
    arena_free(&arena);
    if (!whole)
        return true; /* or damaged: store_restore_finish will know */
    *took = true;
    in.end = skip.at;
    r->done += head + (size_t)(skip.at - in.at);
    r->uncommitted += (size_t)(skip.at - in.at);
    if (r->header_read)
        return restore_record(r, (uint8_t)left.data[0], &in, e);
    return take_header(r, &in, e);
}

static bool take_all(struct store_restore *r, struct error *e) {
    bool took = true;
    while (took) {
        if (!take_one(r, &took, e))
            return false;
    }
    size_t left = r->pending.len - r->done;
    if (left > 0 && r->done > 0)
        memmove(r->pending.data, r->pending.data + r->done, left);
    r->pending.len = left;
    r->done = 0;
    /* What is incomplete is only looked at again when it has doubled: large records come in many
     * pieces, and each look walks all of it. */
    r->retry_at = left * 2;
    if (left <= MAX_RECORD)
        return true;
    return error_set(e, ERROR_TOO_LARGE, "record of a snapshot is too large or damaged");
}

bool store_restore_feed(struct store_restore *r, struct str bytes, struct error *e) {
    if (r->failed)
        return error_set(e, ERROR_INTERNAL, "the restore has failed already");
    buf_add_str(&r->pending, bytes);
    if (r->pending.len >= r->retry_at) {
        bool taken = take_all(r, e);
        r->failed = !close_batch(r, taken, e) || !taken;
    }
    return !r->failed;
}

bool store_restore_finish(struct store_restore *r, struct error *e) {
    if (r->failed)
        return error_set(e, ERROR_INTERNAL, "the restore has failed already");
    bool taken = take_all(r, e);
    if (!close_batch(r, taken, e) || !taken) {
        r->failed = true;
        return false;
    }
    if (r->header_read && r->pending.len == 0)
        return true;
    r->failed = true;
    /* Say what is wrong with the bytes that are left. */
    size_t head = r->header_read ? 1 : 0;
    struct msgpack_reader in = msgpack_read(str_sub(buf_str(&r->pending), head, r->pending.len));
    if (msgpack_skip(&in, e))
        error_set(e, ERROR_INTERNAL, "unexpected EOF");
    return false;
}

static void restore_free(struct store_restore *r) {
    r->store->restoring = false;
    buf_free(&r->pending);
    arena_free(&r->batch.results);
    mem_free(r);
}

void store_restore_abort(struct store_restore *r) {
    if (r == NULL)
        return;
    env_remove_files(r->store, r->env->number);
    env_close(r->env);
    restore_free(r);
}

/* Makes the new environment the current one. */
static void swap(struct store_restore *r, uint64_t index, uint64_t term) {
    struct store *s = r->store;
    MDB_envinfo info;
    mdb_env_info(r->env->mdb, &info);
    r->env->version_base = atomic_load(&s->version);
    struct store_env *old = atomic_exchange(&s->env, r->env);
    atomic_store(&s->applied_term, term);
    atomic_store(&s->applied_index, index);
    atomic_store(&s->version, r->env->version_base + info.me_last_txnid);
    env_retire(s, old);
}

bool store_restore_commit(struct store_restore *r, uint64_t index, uint64_t term,
                          struct watch_touched **touched, struct error *e) {
    struct store *s = r->store;
    ASSERT(!s->batch_open);
    if (touched != NULL)
        *touched = NULL;
    bool ok = store_restore_finish(r, e) && open_batch(r, e);
    if (ok) {
        r->batch.index = index;
        r->batch.term = term;
        meta_put_applied(&r->batch);
        ok = close_batch(r, true, e);
    }
    if (ok && s->directory != NULL)
        ok = mark_write(s, r->env->number, false, e);
    if (!ok) {
        store_restore_abort(r);
        return false;
    }
    swap(r, index, term);
    if (touched != NULL) {
        *touched = watch_touched_new();
        watch_touched_add(*touched, WATCH_ALL, STR(""));
        watch_touched_set_version(*touched, store_version(s));
    }
    restore_free(r);
    return true;
}
