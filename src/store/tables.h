/* How this room is built; for src/store/ only. Everything lives in one LMDB tree: a key is one byte
 * that names the table, then the table's own key bytes. Reads take a `struct store_read`, also
 * inside apply, where `&b->read` sees what the batch has written so far. Writes take a `struct
 * store_batch`.
 *
 * To add a table: a line in enum store_table (before TABLE_COUNT), keys by the macros below,
 * records by record_put and record_get, secondary lookups by further tables whose value is the
 * primary key (lookup_put, lookup_delete, lookup_scan). Bump its index entry with index_bump, which
 * also touches WATCH_TABLE of that name, and touch what finer reads watch.
 *
 * To add an entry type: a function `void apply_x(b, request, result)`, declared in store/apply.h,
 * and a row in the table in apply.c. The request is decoded by the row's shape into b->read.arena,
 * which is reset after each entry. A refusal is `apply_refuse(b, result, "text")`: result kind
 * ERROR makes store_apply undo everything that the entry wrote (unless the row says keep_on_error),
 * so it is fine to find an error half way. What a result points to goes into b->results.
 *
 * To add a snapshot record: a row in each of the two tables in snapshot.c (writers are in the order
 * of fsm.md 7.2). A table whose stored value is the record's body is one call of
 * snapshot_copy_table.
 *
 * Write failures of LMDB stick to the batch (b->failed) and surface when store_apply returns;
 * callers need not look. Values that table_get and scans return point into LMDB's pages: valid
 * until the read ends, and in a batch only until the next write. record_get copies.
 */
#ifndef PRAETOR_STORE_TABLES_H
#define PRAETOR_STORE_TABLES_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "schema/entries.h"
#include "store/store.h"
#include "store/watch.h"

/* Written into LMDB; grows with each change of a key or value layout: older files are then dropped.
 */
#define STORE_FORMAT 3

/* Pieces of one chunked command (fsm.md 1.2): 32 GiB, so only nonsense is refused. */
#define CHUNKS_MAX 65536

/* First byte of a key. Key parts: l(x) lower-cased (name_lower) and NUL, e(x) exact and NUL, b(x)
 * bare bytes, u(x) uuid_key. "-> x": a secondary lookup, value = key of a record in table x. */
enum store_table {
    TABLE_META = 1,         /* bare names: "applied", "format", "segment" */
    TABLE_INDEX,            /* b(l(name)): u64 big endian, then the spelling of the last bump */
    TABLE_NODES,            /* l(node): Node */
    TABLE_NODES_ID,         /* u(id) -> nodes */
    TABLE_NODES_META,       /* e(key) e(value) l(node) -> nodes */
    TABLE_SERVICES,         /* l(node) l(id): node's name as spelled (msgpack), then NodeService */
    TABLE_SERVICES_NAME,    /* l(name) l(node) l(id) -> services */
    TABLE_SERVICES_CONNECT, /* l(destination) l(node) l(id) -> services */
    TABLE_SERVICES_KIND,    /* e(kind) l(node) l(id) -> services */
    TABLE_CHECKS,           /* l(node) l(check): HealthCheck */
    TABLE_CHECKS_SERVICE,   /* l(node) l(service id, "" for the node's) l(check) -> checks */
    TABLE_CHECKS_NAME,      /* l(service name) l(node) l(check) -> checks */
    TABLE_CHECKS_STATUS,    /* e(status) l(node) l(check) -> checks */
    TABLE_KVS,              /* b(key): DirEntry */
    TABLE_KVS_SESSION,      /* u(id) b(key) -> kvs */
    TABLE_TOMBSTONES,       /* b(key): u64 big endian */
    TABLE_SESSIONS,         /* u(id): Session */
    TABLE_SESSIONS_NODE,    /* l(node) u(id) -> sessions */
    TABLE_SESSION_CHECKS,   /* l(node) l(check) u(id) -> sessions */
    TABLE_COORDINATES,      /* l(node) l(segment): Coordinate */
    TABLE_AUTOPILOT,        /* empty: AutopilotConfig */
    TABLE_CHUNKS,           /* u64 op_num, u32 sequence_num big endian: ChunkInfo */
    TABLE_QUERIES,          /* u(id): PreparedQuery */
    TABLE_QUERIES_SESSION,  /* u(session) u(id) -> queries */
    TABLE_QUERIES_NAME,     /* l(name) of queries with a name and of templates -> queries */
    TABLE_FEDERATION,       /* l(datacenter): FederationState */
    TABLE_ACL_TOKENS,       /* e(secret): ACLToken */
    TABLE_ACL_TOKENS_ACCESSOR,    /* u(accessor) -> acl tokens */
    TABLE_ACL_TOKENS_POLICY,      /* l(policy id) e(secret) -> acl tokens */
    TABLE_ACL_TOKENS_ROLE,        /* l(role id) e(secret) -> acl tokens */
    TABLE_ACL_TOKENS_METHOD,      /* e(auth method) e(secret) -> acl tokens */
    TABLE_ACL_TOKENS_EXPIRY,      /* 1 if local else 0, ns since 1970 biased by 2^63 big endian,
                                     e(secret) -> acl tokens */
    TABLE_ACL_POLICIES,           /* u(id): ACLPolicy */
    TABLE_ACL_POLICIES_NAME,      /* l(name) -> acl policies */
    TABLE_ACL_ROLES,              /* u(id): ACLRole */
    TABLE_ACL_ROLES_NAME,         /* l(name) -> acl roles */
    TABLE_ACL_ROLES_POLICY,       /* l(policy id) u(id) -> acl roles */
    TABLE_ACL_RULES,              /* u(id): ACLBindingRule */
    TABLE_ACL_RULES_METHOD,       /* l(auth method) u(id) -> acl rules */
    TABLE_ACL_METHODS,            /* l(name): ACLAuthMethod */
    TABLE_INTENTIONS,             /* u(id): Intention */
    TABLE_INTENTIONS_NAMES,       /* l(source ns) l(source) l(destination ns) l(destination) ->
                                     intentions */
    TABLE_INTENTIONS_SOURCE,      /* l(source ns) l(source) u(id) -> intentions */
    TABLE_INTENTIONS_DESTINATION, /* l(destination ns) l(destination) u(id) -> intentions */
    TABLE_CA_ROOTS,               /* e(id): CARoot */
    TABLE_CA_STATES,              /* e(id): CAConsulProviderState */
    TABLE_CA_CONFIG,              /* empty: CAConfiguration */
    TABLE_CONFIG_ENTRIES,         /* l(kind) l(name): its snapshot record (config_entry.c) */
    TABLE_CONFIG_LINKS,           /* e(service) l(kind) l(name) -> config entries */
    TABLE_GATEWAYS,               /* l(gateway) l(service) port: GatewayService */
    TABLE_GATEWAYS_SERVICE,       /* l(service) l(gateway) port -> gateways */
    TABLE_LOCK_DELAYS,       /* b(key): until when, ns since 1970 big endian. This server's own:
                                neither in snapshots nor equal on all servers */
    TABLE_ACL_TOKENS_OLD,    /* e(secret) -> acl tokens without an accessor */
    TABLE_ACL_TOKENS_DIGEST, /* b(BLAKE2b of the secret) -> acl tokens: where callers' secrets are
                                looked up */
    TABLE_COUNT,
    TABLE_SEGMENT = 255, /* continuations of long keys, see tables.c */
};

/* ---- keys ---- */

struct key_part {
    enum { KEY_LOWER, KEY_EXACT, KEY_BARE } how;
    struct str text;
};
#define K_LOWER(s) ((struct key_part){KEY_LOWER, (s)})
#define K_EXACT(s) ((struct key_part){KEY_EXACT, (s)})
#define K_BARE(s) ((struct key_part){KEY_BARE, (s)})
/* KEY(arena, K_LOWER(node), K_LOWER(id)): any length. A NUL inside a part is written 01 01 and a 01
 * as 01 02, so that parts cannot run into each other; the order of names stays. */
#define KEY(arena, ...)                                                                            \
    key_make((arena), (const struct key_part[]){__VA_ARGS__},                                      \
             COUNT_OF(((const struct key_part[]){__VA_ARGS__})))
struct str key_make(struct arena *arena, const struct key_part *parts, size_t count);

/* Lower case as names are compared by (fold.c). May grow: at most three times as long. */
struct str name_lower(struct arena *arena, struct str s);
bool name_is_ascii(struct str s);
/* The bytes under which a UUID's text is found, whatever its letter case (codec/uuid.h:
 * uuid_parse_index, whose error text it gives). */
bool uuid_key(struct arena *arena, struct str text, struct str *key, struct error *e);

/* ---- bytes in tables ---- */

bool table_get(struct store_read *r, enum store_table table, struct str key, struct str *value);
bool table_has(struct store_read *r, enum store_table table, struct str key);
void table_put(struct store_batch *b, enum store_table table, struct str key, struct str value);
/* Whether it was there. */
bool table_delete(struct store_batch *b, enum store_table table, struct str key);
/* Deletes all keys with the prefix; returns how many. */
uint64_t table_delete_prefix(struct store_batch *b, enum store_table table, struct str prefix);

/* All keys that begin with a prefix (may be empty), in bytewise order:
 *   struct table_scan s;
 *   table_scan_begin(&s, r, TABLE_NODES, prefix);
 *   while (table_scan_next(&s, &key, &value)) ...
 *   table_scan_end(&s);
 * key (NULL allowed) is valid until the next call. In a batch nothing may be written while a scan
 * is open: collect first (or use lookup_keys). `prefix` must stay valid. */
struct table_scan {
    struct store_read *read;
    void *cursor;              /* MDB_cursor */
    struct scan_level *levels; /* of long keys; the last is the current one */
    uint32_t level_count, level_cap;
    bool started, done;
    uint8_t table;
    struct str rest; /* what is left of the prefix in the first level */
    struct buf path; /* of long keys: the key so far */
};
void table_scan_begin(struct table_scan *s, struct store_read *r, enum store_table table,
                      struct str prefix);
bool table_scan_next(struct table_scan *s, struct str *key, struct str *value);
void table_scan_end(struct table_scan *s);

/* ---- records: msgpack of a shape ---- */

/* Decodes into r->arena, with nothing left pointing into LMDB. False when there is none. */
bool record_get(struct store_read *r, enum store_table table, struct str key,
                const struct shape *shape, void *object);
/* From bytes of a scan, the same way. */
void record_decode(struct store_read *r, struct str value, const struct shape *shape, void *object);
void record_put(struct store_batch *b, enum store_table table, struct str key,
                const struct shape *shape, const void *object);
/* All records whose keys begin with the prefix, in order: a list of pointers, nil when none. */
void record_list(struct store_read *r, enum store_table table, struct str prefix,
                 const struct shape *shape, struct list *records);

/* ---- secondary lookups ---- */

/* The value is the primary key. */
void lookup_put(struct store_batch *b, enum store_table table, struct str key, struct str primary);
void lookup_delete(struct store_batch *b, enum store_table table, struct str key);
/* The primary keys (struct str in r->arena) of all with the prefix, in order. */
struct list lookup_keys(struct store_read *r, enum store_table table, struct str prefix);

/* ---- growing lists in an arena ---- */

/* Room for one more item of the size; the list stays present. Returns the new item, zeroed. */
void *list_push(struct list *list, uint32_t *cap, size_t item_size, struct arena *arena);

/* ---- index entries (fsm.md 2) ---- */

void index_bump(struct store_batch *b, struct str name); /* := b->index */
void index_set(struct store_batch *b, struct str name, uint64_t value);
void index_raise(struct store_batch *b, struct str name, uint64_t value); /* only if larger */
void index_remove(struct store_batch *b, struct str name);
uint64_t index_max(struct store_read *r, const char *const *names, size_t count); /* at least 1 */
#define INDEX_MAX(r, ...)                                                                          \
    index_max((r), (const char *const[]){__VA_ARGS__},                                             \
              COUNT_OF(((const char *const[]){__VA_ARGS__})))
static inline uint64_t index_floor(uint64_t index) {
    return index == 0 ? 1 : index;
}

/* ---- what a commit touched; index functions touch WATCH_TABLE (or WATCH_SERVICE for service.<x>,
 * WATCH_EXTINCTION) by themselves. Names of l(x) tables are lower-cased here. ---- */

void touch(struct store_batch *b, enum watch_table table, struct str name);
void touch_prefix(struct store_batch *b, struct str prefix);
void touch_record(struct store_batch *b, const char *table, struct str key);
/* For reads. */
void watch_name(struct store_read *r, enum watch_table table, struct str name);

/* ---- a batch ---- */

struct undo; /* what a key held before */
struct store_batch {
    struct store *store;
    void *txn;              /* MDB_txn */
    struct store_read read; /* arena: reset after each entry */
    struct arena scratch;   /* read.arena */
    struct arena results;   /* what results point to */
    struct buf encoded;     /* scratch of record_put */
    uint64_t index, term;   /* of the entry being applied */
    bool restoring;         /* into the second environment: nothing is touched or delayed */
    bool no_undo;           /* the current entry validates before it writes */
    struct arena undo_arena;
    struct undo *undo; /* newest first */
    struct watch_touched *touched;
    struct lock_delay *delays; /* of sessions that ended, to be noted at commit; newest first */
    struct arena delay_arena;
    bool failed;
    struct error failure; /* in results */
};

/* For entries that roll back by themselves (txn): everything after the mark is undone. */
struct batch_mark {
    struct undo *undo;
    struct lock_delay *delays;
    size_t touched;
};
struct batch_mark batch_mark(struct store_batch *b);
void batch_rollback(struct store_batch *b, struct batch_mark mark);
/* A session with a lock delay gave up a key (fsm.md 4.3). */
void batch_note_delay(struct store_batch *b, struct str key, int64_t delay_ns);

/* Sets an ERROR result with the text. */
void apply_refuse(struct store_batch *b, struct store_result *result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from an error. */
void apply_fail(struct store_batch *b, struct store_result *result, const struct error *e);

/* ---- snapshots ---- */

/* What a writer of records that decodes them into snapshot_read(w)->arena keeps of it when it
 * resets it after each record. */
#define SNAPSHOT_ARENA ((size_t)64 << 10)

struct snapshot_writer;
/* One record: type byte and the object, or type byte and bytes as they are. */
void snapshot_record(struct snapshot_writer *w, enum entry_type type, const struct shape *shape,
                     const void *object);
void snapshot_bytes(struct snapshot_writer *w, enum entry_type type, struct str body);
/* Every value of the table as a record, in key order. */
void snapshot_copy_table(struct snapshot_writer *w, enum entry_type type, enum store_table table);
struct store_read *snapshot_read(struct snapshot_writer *w);
/* Whether the sink gave up: then stop. */
bool snapshot_stopped(const struct snapshot_writer *w);

#endif
