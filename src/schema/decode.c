/* msgpack to structures (rpc.md 3.3): tolerant of order, missing and unknown keys, strict about
 * types, and bounded: what is allocated stays in proportion to the input, and so does the
 * recursion. Strings are views into the input. The texts are those of the peer's decoder where they
 * are known (vectors/rpc/msgpack.json).
 */
#include "base/mem.h"
#include "codec/msgpack.h"
#include "schema/plan.h"

/* A structure takes more room than the least that can announce it (one byte); real messages need a
 * few times their size. */
#define MEMORY_FACTOR 64
#define MEMORY_ALLOWANCE ((size_t)1 << 20)

struct decoder {
    struct msgpack_reader *in;
    struct arena *arena;
    size_t arena_limit;
    struct error *e;
};

static bool decode_type(struct decoder *d, const struct type *type, unsigned flags, void *object,
                        int depth);

static bool fail_eof(struct decoder *d) {
    error_set(d->e, ERROR_BAD_REQUEST, "unexpected EOF");
    return false;
}

static bool next(struct decoder *d, struct msgpack_token *token) {
    if (d->in->at == d->in->end) {
        return fail_eof(d);
    }
    return msgpack_next(d->in, token, d->e);
}

/* The descriptor was no string, list or map where one belongs. */
static bool wrong_container(struct decoder *d, uint8_t tag) {
    error_set(d->e, ERROR_BAD_REQUEST,
              "readContainerLen: Unrecognized descriptor byte: hex: %x, dec: %d", tag, tag);
    return false;
}

static bool wrong_number(struct decoder *d, uint8_t tag) {
    error_set(d->e, ERROR_BAD_REQUEST,
              "Unhandled single-byte unsigned integer value: Unrecognized descriptor byte: %x",
              tag);
    return false;
}

static uint8_t peek(const struct decoder *d) {
    return d->in->at < d->in->end ? *d->in->at : 0xc0;
}

/* Short strings, the common case, without a call. */
static inline bool take_short(struct decoder *d, struct str *out) {
    const uint8_t *at = d->in->at;
    if (at < d->in->end && (*at & 0xe0) == 0xa0) {
        size_t len = *at & 31;
        if (len < (size_t)(d->in->end - at)) {
            *out = str_of(at + 1, len);
            d->in->at = at + 1 + len;
            return true;
        }
    }
    return false;
}

static bool decode_str(struct decoder *d, struct str *out) {
    struct msgpack_token token;
    if (take_short(d, out)) {
        return true;
    }
    uint8_t tag = peek(d);
    if (!next(d, &token)) {
        return false;
    }
    if (token.type == MSGPACK_RAW) {
        *out = token.str;
        return true;
    }
    *out = STR_NONE;
    return token.type == MSGPACK_NIL || wrong_container(d, tag);
}

static bool decode_bytes(struct decoder *d, struct str *out) {
    struct msgpack_token token;
    uint8_t tag = peek(d);
    if (!next(d, &token)) {
        return false;
    }
    *out = STR_NONE;
    if (token.type == MSGPACK_RAW || token.type == MSGPACK_BIN) {
        if (token.str.len > 0) { /* empty bytes become nil */
            *out = token.str;
        }
        return true;
    }
    return token.type == MSGPACK_NIL || wrong_container(d, tag);
}

static bool decode_bool(struct decoder *d, bool *out) {
    struct msgpack_token token;
    uint8_t tag = peek(d);
    if (tag == 0xc2 || tag == 0xc3) {
        d->in->at++;
        *out = tag == 0xc3;
        return true;
    }
    if (!next(d, &token)) {
        return false;
    }
    *out = tag == 0xc3 || tag == 1;
    if (token.type == MSGPACK_BOOL || token.type == MSGPACK_NIL || tag <= 1) {
        return true;
    }
    error_set(d->e, ERROR_BAD_REQUEST,
              "Invalid single-byte value for bool: Unrecognized descriptor byte: %x", tag);
    return false;
}

/* 0 to 127 are their own descriptors. */
static inline bool take_small(struct decoder *d, uint8_t *n) {
    if (d->in->at < d->in->end && *d->in->at <= 127) {
        *n = *d->in->at++;
        return true;
    }
    return false;
}

static bool decode_int(struct decoder *d, int64_t *out) {
    struct msgpack_token token;
    uint8_t small;
    if (take_small(d, &small)) {
        *out = small;
        return true;
    }
    uint8_t tag = peek(d);
    if (!next(d, &token)) {
        return false;
    }
    *out = 0;
    switch (token.type) {
    case MSGPACK_NIL:
        return true;
    case MSGPACK_INT:
        *out = token.i;
        return true;
    case MSGPACK_UINT:
        if (token.u > INT64_MAX) {
            error_set(d->e, ERROR_BAD_REQUEST, "Overflow int64 value: %llu",
                      (unsigned long long)token.u);
            return false;
        }
        *out = (int64_t)token.u;
        return true;
    default:
        return wrong_number(d, tag);
    }
}

static bool decode_uint(struct decoder *d, uint64_t *out) {
    struct msgpack_token token;
    uint8_t small;
    if (take_small(d, &small)) {
        *out = small;
        return true;
    }
    uint8_t tag = peek(d);
    if (!next(d, &token)) {
        return false;
    }
    *out = 0;
    switch (token.type) {
    case MSGPACK_NIL:
        return true;
    case MSGPACK_UINT:
        *out = token.u;
        return true;
    case MSGPACK_INT:
        if (token.i < 0) {
            error_set(d->e, ERROR_BAD_REQUEST,
                      "Assigning negative signed value: %lld, to unsigned type",
                      tag >= 0xe0 ? (long long)tag : (long long)token.i);
            return false;
        }
        *out = (uint64_t)token.i;
        return true;
    default:
        return wrong_number(d, tag);
    }
}

static bool decode_float(struct decoder *d, double *out) {
    struct msgpack_token token;
    uint8_t tag = peek(d);
    if (!next(d, &token)) {
        return false;
    }
    switch (token.type) {
    case MSGPACK_NIL:
        *out = 0;
        return true;
    case MSGPACK_F64:
        *out = token.f64;
        return true;
    case MSGPACK_F32:
        *out = (double)token.f32;
        return true;
    case MSGPACK_INT:
        *out = (double)token.i;
        return true;
    case MSGPACK_UINT:
        *out = (double)token.u;
        return true;
    default:
        return wrong_number(d, tag);
    }
}

static bool decode_time(struct decoder *d, unsigned flags, struct timestamp *out) {
    struct msgpack_token token;
    uint8_t tag = peek(d);
    if (!next(d, &token)) {
        return false;
    }
    *out = (struct timestamp){0};
    if (token.type == MSGPACK_NIL) {
        return true;
    }
    if (token.type != MSGPACK_RAW && token.type != MSGPACK_BIN) {
        return wrong_container(d, tag);
    }
    if (!msgpack_time_from_raw(token.str, out)) {
        error_set(d->e, ERROR_BAD_REQUEST, "Time.UnmarshalBinary: invalid length");
        return false;
    }
    bool zero = out->seconds == 0 && out->nanoseconds == 0 && out->offset == -1;
    if (zero && !(flags & FIELD_NULLABLE)) {
        *out = (struct timestamp){0}; /* one form for the zero time, however it came */
    }
    return true;
}

static bool decode_any(struct decoder *d, unsigned flags, struct value **out) {
    uint8_t tag = peek(d);
    *out = NULL;
    if (tag == 0xc0) {
        struct msgpack_token token;
        return next(d, &token);
    }
    bool is_map = (tag & 0xf0) == 0x80 || tag == 0xde || tag == 0xdf;
    if (flags & FIELD_MAP_ONLY && !is_map) {
        return wrong_container(d, tag);
    }
    struct value *v = ARENA_NEW(d->arena, struct value);
    if (!msgpack_read_value(d->in, v, d->arena, d->e)) {
        return false;
    }
    *out = v;
    return true;
}

/* Room for n objects, if the message may still have it. */
static void *take_memory(struct decoder *d, size_t n, size_t size) {
    size_t bytes = n * size; /* n is at most the input's length, sizes are small */
    if (bytes > d->arena_limit || d->arena->total > d->arena_limit - bytes) {
        error_set(d->e, ERROR_BAD_REQUEST, "message needs too much memory");
        return NULL;
    }
    return arena_zalloc(d->arena, n, size);
}

static bool decode_list(struct decoder *d, const struct type *elem, struct list *out, int depth) {
    struct msgpack_token token;
    uint8_t tag = peek(d);
    if (!next(d, &token)) {
        return false;
    }
    *out = LIST_NIL;
    if (token.type == MSGPACK_NIL) {
        return true;
    }
    if (token.type != MSGPACK_ARRAY && token.type != MSGPACK_MAP) {
        return wrong_container(d, tag);
    }
    uint32_t len = token.type == MSGPACK_MAP ? 2 * token.len : token.len;
    size_t size = schema_type_size(elem);
    *out = (struct list){.items = NULL, .len = len, .present = true};
    if (len == 0) {
        return true;
    }
    out->items = take_memory(d, len, size);
    if (out->items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < len; i++) {
        if (!decode_type(d, elem, 0, list_item(out, size, i), depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool decode_map(struct decoder *d, const struct type *elem, struct list *out, int depth) {
    struct msgpack_token token;
    uint8_t tag = peek(d);
    if (!next(d, &token)) {
        return false;
    }
    *out = LIST_NIL;
    if (token.type == MSGPACK_NIL) {
        return true;
    }
    if (token.type != MSGPACK_MAP) {
        return wrong_container(d, tag);
    }
    size_t size = schema_pair_size(elem);
    *out = (struct list){.items = NULL, .len = token.len, .present = true};
    if (token.len == 0) {
        return true;
    }
    out->items = take_memory(d, token.len, size);
    if (out->items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < token.len; i++) {
        void *pair = list_item(out, size, i);
        if (!decode_str(d, pair) ||
            !decode_type(d, elem, 0, member_mut(pair, MAP_VALUE_OFFSET), depth + 1)) {
            return false;
        }
    }
    map_sort(out, size, d->arena);
    return true;
}

/* The field whose turn it is when keys come in the peer's order: its very bytes. */
static inline const struct plan_field *
take_expected(struct decoder *d, const struct shape_plan *plan, uint32_t *expected) {
    if (*expected == plan->wire_count) {
        return NULL;
    }
    const struct plan_field *f = &plan->wire[*expected];
    if ((size_t)(d->in->end - d->in->at) < f->key_wire.len ||
        memcmp(d->in->at, f->key_wire.data, f->key_wire.len) != 0) {
        return NULL;
    }
    d->in->at += f->key_wire.len;
    ++*expected;
    return f;
}

/* The wire field of that name; *expected moves behind it. */
static const struct plan_field *find_field(const struct shape_plan *plan, struct str name,
                                           uint32_t *expected) {
    uint32_t low = 0, high = plan->wire_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int c = str_compare(plan->wire[middle].name, name);
        if (c == 0) {
            *expected = middle + 1;
            return &plan->wire[middle];
        }
        if (c < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static bool decode_fields(struct decoder *d, const struct shape_plan *plan, uint32_t len,
                          void *object, int depth) {
    uint32_t expected = 0;
    for (uint32_t i = 0; i < len; i++) {
        const struct plan_field *f = take_expected(d, plan, &expected);
        struct str name;
        if (f == NULL && !decode_str(d, &name)) {
            return false;
        }
        if (f == NULL) {
            f = find_field(plan, name, &expected);
        }
        bool ok = f == NULL
                      ? msgpack_skip(d->in, d->e)
                      : decode_type(d, f->type, f->flags, member_mut(object, f->offset), depth + 1);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* A structure as an array: the fields in the order of the table. */
static bool decode_positions(struct decoder *d, const struct shape_plan *plan, uint32_t len,
                             void *object, int depth) {
    uint32_t f = 0;
    for (uint32_t i = 0; i < len; i++) {
        while (f < plan->count && plan->fields[f].flags & FIELD_NO_WIRE) {
            f++;
        }
        bool ok;
        if (f == plan->count) {
            ok = msgpack_skip(d->in, d->e);
        } else {
            const struct plan_field *field = &plan->fields[f++];
            ok = decode_type(d, field->type, field->flags, member_mut(object, field->offset),
                             depth + 1);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* How the peer numbers the kinds of values in its texts. */
static int value_type_number(enum msgpack_type type) {
    switch (type) {
    case MSGPACK_INT:
        return 2;
    case MSGPACK_UINT:
        return 3;
    case MSGPACK_F64:
    case MSGPACK_F32:
        return 4;
    case MSGPACK_BOOL:
        return 5;
    case MSGPACK_RAW:
        return 6;
    case MSGPACK_BIN:
        return 8;
    default:
        return 12;
    }
}

/* The object is zero. */
static bool decode_struct(struct decoder *d, const struct shape *shape, void *object, int depth) {
    if (depth > MSGPACK_MAX_DEPTH) {
        error_set(d->e, ERROR_BAD_REQUEST, "nested deeper than %d", MSGPACK_MAX_DEPTH);
        return false;
    }
    if (shape->wire != NULL) {
        return shape->wire->decode(d->in, object, d->arena, d->e);
    }
    struct msgpack_token token;
    if (!next(d, &token)) {
        return false;
    }
    const struct shape_plan *plan = shape_plan_of(shape);
    switch (token.type) {
    case MSGPACK_MAP:
        return decode_fields(d, plan, token.len, object, depth);
    case MSGPACK_ARRAY:
        return decode_positions(d, plan, token.len, object, depth);
    case MSGPACK_NIL:
        return true;
    default:
        error_set(d->e, ERROR_BAD_REQUEST,
                  "Only encoded map or array can be decoded into a struct. (valueType: %d)",
                  value_type_number(token.type));
        return false;
    }
}

static bool decode_pointer(struct decoder *d, const struct shape *shape, void **out, int depth) {
    *out = NULL;
    if (peek(d) == 0xc0) {
        struct msgpack_token token;
        return next(d, &token);
    }
    *out = take_memory(d, 1, shape->size);
    return *out != NULL && decode_struct(d, shape, *out, depth);
}

static bool decode_type(struct decoder *d, const struct type *type, unsigned flags, void *object,
                        int depth) {
    double number;
    switch (type->kind) {
    case KIND_STR:
        return decode_str(d, object);
    case KIND_BYTES:
        return decode_bytes(d, object);
    case KIND_BOOL:
        return decode_bool(d, object);
    case KIND_INT:
    case KIND_DUR:
        return decode_int(d, object);
    case KIND_UINT:
        return decode_uint(d, object);
    case KIND_TIME:
        return decode_time(d, flags, object);
    case KIND_F64:
        return decode_float(d, object);
    case KIND_F32:
        if (!decode_float(d, &number)) {
            return false;
        }
        *(float *)object = (float)number;
        return true;
    case KIND_ANY:
        return decode_any(d, flags, object);
    case KIND_STRUCT:
        return decode_struct(d, type->shape, object, depth);
    case KIND_PTR:
        return decode_pointer(d, type->shape, object, depth);
    case KIND_LIST:
        return decode_list(d, type->elem, object, depth);
    case KIND_MAP:
        return decode_map(d, type->elem, object, depth);
    }
    return false;
}

static struct decoder decoder_for(struct msgpack_reader *in, struct arena *arena, struct error *e) {
    size_t input = (size_t)(in->end - in->at);
    return (struct decoder){.in = in,
                            .arena = arena,
                            .arena_limit = arena->total + MEMORY_ALLOWANCE + MEMORY_FACTOR * input,
                            .e = e};
}

bool schema_decode(struct msgpack_reader *in, const struct shape *shape, void *object,
                   struct arena *arena, struct error *e) {
    memset(object, 0, shape->size);
    if (in->at == in->end) {
        return error_set(e, ERROR_BAD_REQUEST, "EOF");
    }
    struct decoder d = decoder_for(in, arena, e);
    return decode_struct(&d, shape, object, 1);
}

bool schema_decode_type(struct msgpack_reader *in, const struct type *type, void *object,
                        struct arena *arena, struct error *e) {
    memset(object, 0, schema_type_size(type));
    if (in->at == in->end) {
        return error_set(e, ERROR_BAD_REQUEST, "EOF");
    }
    struct decoder d = decoder_for(in, arena, e);
    return decode_type(&d, type, 0, object, 1);
}

bool schema_decode_bytes(struct str bytes, const struct shape *shape, void *object,
                         struct arena *arena, struct error *e) {
    struct msgpack_reader in = msgpack_read(bytes);
    return schema_decode(&in, shape, object, arena, e);
}
