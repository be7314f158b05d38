/* Writing state.bin (fsm.md 7.1, 7.2) from a read transaction. Reading it back is restore.c's.
 *
 * A new table: write it from its own function, called where fsm.md 7.2 has its type, in write_all's
 * list.
 */
#include "store/snapshot.h"

#include "codec/msgpack.h"
#include "store/apply.h"
#include "store/env.h"

#define FLUSH_AT ((size_t)64 << 10)

struct snapshot_writer {
    struct store_read *read;
    struct arena *arena; /* of one record, or of one node's records */
    struct buf out;
    store_snapshot_sink *sink;
    void *owner;
    struct error *error;
    bool stopped;
};

struct store_read *snapshot_read(struct snapshot_writer *w) {
    return w->read;
}
bool snapshot_stopped(const struct snapshot_writer *w) {
    return w->stopped;
}

static void flush(struct snapshot_writer *w) {
    if (!w->stopped && w->out.len > 0 && !w->sink(w->owner, buf_str(&w->out), w->error)) {
        w->stopped = true;
    }
    buf_clear(&w->out);
}

void snapshot_record(struct snapshot_writer *w, enum entry_type type, const struct shape *shape,
                     const void *object) {
    if (w->stopped)
        return;
    buf_add_char(&w->out, (char)type);
    schema_encode(&w->out, shape, object);
    if (w->out.len >= FLUSH_AT)
        flush(w);
}

void snapshot_bytes(struct snapshot_writer *w, enum entry_type type, struct str body) {
    if (w->stopped)
        return;
    buf_add_char(&w->out, (char)type);
    buf_add_str(&w->out, body);
    if (w->out.len >= FLUSH_AT)
        flush(w);
}

void snapshot_copy_table(struct snapshot_writer *w, enum entry_type type, enum store_table table) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, w->read, table, STR(""));
    while (!w->stopped && table_scan_next(&s, NULL, &value))
        snapshot_bytes(w, type, value);
    table_scan_end(&s);
}

/* ---- the catalog: a node, its services, its checks ---- */

static struct register_request register_of(const struct node *n) {
    return (struct register_request){.address = n->address,
                                     .checks = LIST_NIL,
                                     .create_index = n->create_index,
                                     .datacenter = n->datacenter,
                                     .id = n->id,
                                     .modify_index = n->modify_index,
                                     .node = n->node,
                                     .node_meta = n->meta,
                                     .tagged_addresses = n->tagged_addresses};
}

static void write_node(struct snapshot_writer *w, const struct node *n) {
    struct register_request record = register_of(n);
    struct str prefix = KEY(w->arena, K_LOWER(n->node)), value;
    struct table_scan s;
    snapshot_record(w, ENTRY_REGISTER, &register_request_shape, &record);
    table_scan_begin(&s, w->read, TABLE_SERVICES, prefix);
    while (!w->stopped && table_scan_next(&s, NULL, &value)) {
        struct node_service service;
        service_decode(w->read, value, NULL, &service);
        record.service = &service;
        snapshot_record(w, ENTRY_REGISTER, &register_request_shape, &record);
    }
    table_scan_end(&s);
    record.service = NULL;
    table_scan_begin(&s, w->read, TABLE_CHECKS, prefix);
    while (!w->stopped && table_scan_next(&s, NULL, &value)) {
        struct health_check check;
        record_decode(w->read, value, &health_check_shape, &check);
        /* The node may have been registered in another spelling since; the peer cannot restore a
         * check whose node is not spelled as the record's (fsm.md 9.17). */
        check.node = n->node;
        record.check = &check;
        snapshot_record(w, ENTRY_REGISTER, &register_request_shape, &record);
    }
    table_scan_end(&s);
}

static void write_catalog(struct snapshot_writer *w) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, w->read, TABLE_NODES, STR(""));
    while (!w->stopped && table_scan_next(&s, NULL, &value)) {
        struct node node;
        record_decode(w->read, value, &node_shape, &node);
        write_node(w, &node);
        arena_reset(w->arena, FLUSH_AT);
    }
    table_scan_end(&s);
}

/* ---- the other types ---- */

static void write_coordinates(struct snapshot_writer *w) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, w->read, TABLE_COORDINATES, STR(""));
    while (!w->stopped && table_scan_next(&s, NULL, &value)) {
        struct coordinate c, *pointer = &c;
        struct list one = {.items = &pointer, .len = 1, .present = true};
        record_decode(w->read, value, &coordinate_shape, &c);
        struct buf body = BUF_INIT;
        schema_encode_type(&body, &coordinate_batch_type, &one);
        snapshot_bytes(w, ENTRY_COORDINATE_BATCH, buf_str(&body));
        buf_free(&body);
        arena_reset(w->arena, FLUSH_AT);
    }
    table_scan_end(&s);
}

static void write_sessions(struct snapshot_writer *w) {
    snapshot_copy_table(w, ENTRY_SESSION, TABLE_SESSIONS);
}

static void write_kvs(struct snapshot_writer *w) {
    snapshot_copy_table(w, ENTRY_KVS, TABLE_KVS);
}

static void write_tombstones(struct snapshot_writer *w) {
    struct table_scan s;
    struct str key, value;
    table_scan_begin(&s, w->read, TABLE_TOMBSTONES, STR(""));
    while (!w->stopped && table_scan_next(&s, &key, &value)) {
        struct dir_entry entry = {.key = key, .modify_index = be64_get(value.data)};
        snapshot_record(w, ENTRY_TOMBSTONE, &dir_entry_shape, &entry);
    }
    table_scan_end(&s);
}

static void write_autopilot(struct snapshot_writer *w) {
    snapshot_copy_table(w, ENTRY_AUTOPILOT, TABLE_AUTOPILOT);
}

static void write_indexes(struct snapshot_writer *w) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, w->read, TABLE_INDEX, STR(""));
    while (!w->stopped && table_scan_next(&s, NULL, &value)) {
        struct index_entry entry = {.key = str_sub(value, 8, value.len),
                                    .value = be64_get(value.data)};
        snapshot_record(w, ENTRY_INDEX, &index_entry_shape, &entry);
    }
    table_scan_end(&s);
}

/* One operation's pieces: an array of num_chunks, nil where one is missing. */
static void write_operation(struct buf *body, const struct chunk_info *pieces, uint64_t count) {
    uint64_t total = pieces[0].num_chunks, next = 0;
    msgpack_write_u64(body, pieces[0].op_num);
    msgpack_write_array(body, (uint32_t)total);
    for (uint64_t i = 0; i < total; i++) {
        if (next < count && pieces[next].sequence_num == i) {
            schema_encode(body, &chunk_info_shape, &pieces[next++]);
        } else {
            msgpack_write_nil(body);
        }
    }
}

static void write_chunks(struct snapshot_writer *w) {
    struct list pieces = LIST_EMPTY;
    uint32_t cap = 0, operations = 0;
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, w->read, TABLE_CHUNKS, STR(""));
    while (table_scan_next(&s, NULL, &value)) {
        struct chunk_info *info = list_push(&pieces, &cap, sizeof *info, w->arena);
        record_decode(w->read, value, &chunk_info_shape, info);
        if (pieces.len < 2 || info[-1].op_num != info->op_num)
            operations++;
    }
    table_scan_end(&s);
    struct buf body = BUF_INIT;
    msgpack_write_map(&body, 1);
    msgpack_write_text(&body, "ChunkMap");
    msgpack_write_map(&body, operations);
    const struct chunk_info *first = pieces.items;
    for (uint32_t i = 0, n; i < pieces.len; i += n) {
        for (n = 1; i + n < pieces.len && first[i + n].op_num == first[i].op_num; n++)
            continue;
        write_operation(&body, &first[i], n);
    }
    snapshot_bytes(w, ENTRY_CHUNKING_STATE, buf_str(&body));
    buf_free(&body);
    arena_reset(w->arena, FLUSH_AT);
}

/* The order of fsm.md 7.2. */
static void (*const writers[])(struct snapshot_writer *w) = {
    write_catalog,         /* 0 */
    write_coordinates,     /* 6 */
    write_sessions,        /* 3 */
    acl_snapshot,          /* 17, 19, 23, 25, 27 */
    write_kvs,             /* 2 */
    write_tombstones,      /* 5 */
    query_snapshot,        /* 7 */
    write_autopilot,       /* 9 */
    intention_snapshot,    /* 12 */
    connect_ca_snapshot,   /* 13, 14, 15 */
    config_entry_snapshot, /* 22 */
    federation_snapshot,   /* 30 */
    write_indexes,         /* 16 */
    write_chunks,          /* 29 */
};

/* Index entries that count for LastIndex: those of whole tables (fsm.md 2). */
static const char *const table_names[] = {"nodes",
                                          "services",
                                          "checks",
                                          "kvs",
                                          "tombstones",
                                          "sessions",
                                          "session_checks",
                                          "coordinates",
                                          "prepared-queries",
                                          "connect-intentions",
                                          "connect-ca-roots",
                                          "connect-ca-builtin",
                                          "connect-ca-config",
                                          "autopilot-config",
                                          "config-entries",
                                          "gateway-services",
                                          "federation-states",
                                          "acl-tokens",
                                          "acl-policies",
                                          "acl-roles",
                                          "acl-binding-rules",
                                          "acl-auth-methods"};

static void write_header(struct snapshot_writer *w) {
    struct snapshot_header header = {0};
    for (size_t i = 0; i < COUNT_OF(table_names); i++) {
        uint64_t index = store_index(w->read, str_from(table_names[i]));
        if (index > header.last_index)
            header.last_index = index;
    }
    schema_encode(&w->out, &snapshot_header_shape, &header);
}

bool store_snapshot_write(struct store_read *r, store_snapshot_sink *sink, void *owner,
                          struct error *e) {
    struct arena arena = ARENA_INIT;
    struct store_read read = *r; /* the same snapshot, with an arena that is emptied as it goes */
    struct snapshot_writer w = {
        .read = &read, .arena = &arena, .sink = sink, .owner = owner, .error = e};
    read.arena = &arena;
    read.watch = NULL;
    write_header(&w);
    for (size_t i = 0; i < COUNT_OF(writers) && !w.stopped; i++)
        writers[i](&w);
    flush(&w);
    buf_free(&w.out);
    arena_free(&arena);
    return !w.stopped;
}

void store_snapshot_index(struct store_read *r, uint64_t *index, uint64_t *term) {
    *index = *term = 0;
    meta_get_applied(r, index, term);
}
