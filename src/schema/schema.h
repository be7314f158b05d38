/* One description for each structure of the protocol: a plain C struct and a table of its fields
 * (`struct shape`). The table drives msgpack both ways, JSON out in the peer's order, lenient JSON
 * in, deep copies and strict comparison. Nobody writes an encoder by hand; a new field is one line.
 * Filter expressions over the same tables are in schema/filter.h.
 *
 * Everything that decoding makes lives in the arena that is passed; strings may point into the
 * input (the caller keeps the input alive as long, or decodes from a copy in the arena).
 */
#ifndef PRAETOR_SCHEMA_SCHEMA_H
#define PRAETOR_SCHEMA_SCHEMA_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "base/time.h"
#include "codec/value.h"

struct json_writer;
struct msgpack_reader;

/* A sequence. For [T] items are T side by side (T = struct str, int64_t, double or a struct); for
 * [?T] they are pointers. For {T} they are map pairs: a struct whose first member is `struct str
 * key` and whose second, at MAP_VALUE_OFFSET, is T; sorted bytewise by key, keys unique. `present`
 * is the difference between nil and empty, which must survive (rpc.md 3.3). */
struct list {
    void *items;
    uint32_t len;
    bool present;
};

#define MAP_VALUE_OFFSET sizeof(struct str)
struct str_pair { /* of {str} */
    struct str key;
    struct str value;
};
struct list_pair { /* of {[T]} */
    struct str key;
    struct list value;
};
struct ptr_pair { /* of {?S} */
    struct str key;
    void *value;
};

/* LIST_AT(tags, struct str, i) is an lvalue. */
#define LIST_AT(list, type, i) (((type *)(list).items)[i])
#define LIST_EMPTY ((struct list){NULL, 0, true})
#define LIST_NIL ((struct list){NULL, 0, false})
/* An uninitialised, present list of n items of the type. */
#define LIST_NEW(arena, type, n)                                                                   \
    ((struct list){arena_zalloc((arena), (n), sizeof(type)), (uint32_t)(n), true})
/* The value of a key in a map, or NULL. */
void *map_pair_value(const struct list *map, size_t pair_size, struct str key);
struct str *str_map_get(const struct list *map, struct str key); /* of {str} */
bool str_map_equal(const struct list *a, const struct list *b);  /* of {str} */
bool str_list_has(const struct list *strings, struct str s);

/* Sorts the pairs of a map that was built by hand and drops all but the last of equal keys. */
void map_sort(struct list *map, size_t pair_size, struct arena *arena);

enum kind {
    KIND_STR,
    KIND_BYTES,
    KIND_BOOL,
    KIND_INT,  /* int64_t */
    KIND_UINT, /* uint64_t */
    KIND_DUR,  /* int64_t nanoseconds */
    KIND_TIME, /* struct timestamp */
    KIND_F64,
    KIND_F32,
    KIND_ANY,    /* struct value *, NULL = nil; free-form content */
    KIND_STRUCT, /* inline */
    KIND_PTR,    /* pointer to a struct, NULL = nil */
    KIND_LIST,   /* struct list */
    KIND_MAP,    /* struct list of pairs */
};

struct shape;
struct type {
    enum kind kind;
    const struct shape *shape; /* KIND_STRUCT, KIND_PTR */
    const struct type *elem;   /* KIND_LIST, KIND_MAP */
};

/* How a field behaves where the two encodings differ. */
enum field_flag {
    FIELD_OMIT_EMPTY = 1 << 0, /* left out of JSON when zero, empty or nil */
    FIELD_NO_JSON = 1 << 1,    /* on the wire only (QueryOptions, tokens) */
    FIELD_NO_WIRE = 1 << 2,    /* in JSON only */
    FIELD_DUR_TEXT = 1 << 3,   /* JSON out as "10s" */
    FIELD_DUR_NS = 1 << 4,     /* JSON out as an integer (the default of KIND_DUR) */
    FIELD_LENIENT = 1 << 5,    /* JSON in: unknown keys below are ignored */
    FIELD_NO_FILTER = 1 << 6,  /* not selectable in filter expressions */
    FIELD_FLAT = 1 << 7,       /* an embedded block: its fields belong to the owner's map */
    FIELD_NULLABLE = 1 << 8,   /* ?time */
    FIELD_DUR_ANY = 1 << 9,    /* JSON in: text or nanoseconds; other kinds are ignored silently */
    FIELD_DUR_READABLE = 1 << 11, /* JSON in: text or nanoseconds; other kinds are errors */
    FIELD_MAP_ONLY = 1 << 10,     /* KIND_ANY that must be a map or nil: {any} */
};

struct field {
    const char *name; /* on the wire and in JSON, unless json says otherwise */
    const char *json; /* NULL: as name */
    struct type type;
    size_t offset;
    unsigned flags;
    const char *go; /* the type in JSON error texts when it is not the plain one ("types.NodeID") */
};

enum shape_flag {
    SHAPE_OWN_JSON =
        1 << 0, /* the peer decodes it apart: errors inside name the field that holds it,
                 * end the decoding at once, and durations are read when all else is */
    SHAPE_LENIENT = 1 << 1, /* with SHAPE_OWN_JSON: unknown keys in it are ignored */
};

/* Another spelling of a field in JSON in (http-core.md 5.3); the field's own name wins when its
 * value is not empty. Only in shapes with SHAPE_OWN_JSON. */
struct json_alias {
    const char *alias;
    const char *field; /* NULL: a string that is looked at and dropped */
};

/* What is computed from the table at first use; defined by the SHAPE macro of schema/table.h. */
struct shape_plan;
struct shape_cache {
    _Atomic(struct shape_plan *) plan;
};

/* How a structure travels that is no map of its fields (rpc.md 3.5). decode: the object is clear.
 */
struct shape_wire {
    void (*encode)(struct buf *out, const void *object);
    bool (*decode)(struct msgpack_reader *in, void *object, struct arena *arena, struct error *e);
};

/* Written with the macros of schema/table.h only. */
struct shape {
    const char *name; /* as error texts spell it: "RegisterRequest" */
    size_t size;
    const struct field *fields; /* in the JSON order of http-core.md 10 */
    size_t field_count;
    struct shape_cache *cache;
    unsigned flags;                   /* enum shape_flag */
    const char *go;                   /* whole type in error texts; NULL: "structs." and the name */
    const struct json_alias *aliases; /* ended by {NULL, NULL}; or NULL */
    const struct shape_wire *wire;    /* NULL: a map of the fields */
};

/* msgpack out: a map of all fields in ascending byte order (rpc.md 3.2). */
void schema_encode(struct buf *out, const struct shape *shape, const void *object);
/* msgpack in: rpc.md 3.3. `object` is cleared first. Errors have the peer's text ("codec.decoder:
 * …" is prefixed by the RPC layer, not here). */
bool schema_decode(struct msgpack_reader *in, const struct shape *shape, void *object,
                   struct arena *arena, struct error *e);
/* Decodes the one object that `bytes` holds. */
bool schema_decode_bytes(struct str bytes, const struct shape *shape, void *object,
                         struct arena *arena, struct error *e);

/* The same for a value that is no struct: a list or map (coordinate batches, lists of names). */
void schema_encode_type(struct buf *out, const struct type *type, const void *object);
bool schema_decode_type(struct msgpack_reader *in, const struct type *type, void *object,
                        struct arena *arena, struct error *e);

/* JSON out, in the peer's order; the writer knows about pretty or compact. */
void schema_write_json(struct json_writer *out, const struct shape *shape, const void *object);
void schema_write_json_type(struct json_writer *out, const struct type *type, const void *object,
                            unsigned flags);

/* JSON in with the rules and error texts of http-core.md 5.3: case-insensitive keys, last duplicate
 * wins, null leaves the default, unknown keys are errors unless lenient. The object is NOT cleared
 * first, so that defaults can be set. `go_type` is the name in texts about the whole body
 * ("structs.RegisterRequest"); NULL: shape->name. */
struct json_options {
    bool ignore_unknown;
    const char *go_type;
};
bool schema_from_json(const struct value *json, const struct shape *shape, void *object,
                      const struct json_options *options, struct arena *arena, struct error *e);

/* The same for a body that is no object ("[]structs.ACLAuthorizationRequest"); go_type is needed.
 */
bool schema_from_json_type(const struct value *json, const struct type *type, void *object,
                           const struct json_options *options, struct arena *arena,
                           struct error *e);

/* Strict deep equality: nil and empty differ (fsm.md 9.1), except for bytes. */
bool schema_equal(const struct shape *shape, const void *a, const void *b);
/* The same without the named fields (NULL-ended), at the top level only. */
bool schema_equal_but(const struct shape *shape, const void *a, const void *b,
                      const char *const *skip);
/* A deep copy into `to`; nothing of `from` is shared. */
void schema_copy(const struct shape *shape, void *to, const void *from, struct arena *arena);
const struct field *schema_field(const struct shape *shape, struct str name);
/* Bytes that an item of the type takes in a list; and a pair of the type in a map. */
size_t schema_type_size(const struct type *type);
size_t schema_pair_size(const struct type *value_type);

#endif
