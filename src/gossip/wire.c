/* Reading and writing structures by their tables. */
#include "gossip/wire.h"

#include "base/mem.h"

/* ---- writing ---- */

static bool is_empty(const struct wire_field *f, const void *at) {
    switch (f->kind) {
    case WIRE_U16:
        return *(const uint16_t *)at == 0;
    case WIRE_STR:
    case WIRE_BYTES:
        return ((const struct str *)at)->len == 0;
    default:
        return false;
    }
}

static void write_bytes(struct buf *out, struct str bytes) {
    if (bytes.data == NULL)
        msgpack_write_nil(out);
    else
        msgpack_write_str(out, bytes);
}

static void write_list(struct buf *out, const struct wire_field *f, const struct wire_list *list) {
    if (!list->present) {
        msgpack_write_nil(out);
        return;
    }
    uint32_t len = (uint32_t)list->len;
    if (f->kind == WIRE_TAGS || f->kind == WIRE_LTIMES)
        msgpack_write_map(out, len);
    else
        msgpack_write_array(out, len);
    for (size_t i = 0; i < list->len; i++) {
        switch (f->kind) {
        case WIRE_STRS:
            msgpack_write_str(out, ((const struct str *)list->items)[i]);
            break;
        case WIRE_BYTESES:
            write_bytes(out, ((const struct str *)list->items)[i]);
            break;
        case WIRE_F64S:
            msgpack_write_f64(out, ((const double *)list->items)[i]);
            break;
        case WIRE_STRUCTS:
            wire_write_nullable(out, f->sub, ((void *const *)list->items)[i]);
            break;
        case WIRE_TAGS:
            msgpack_write_str(out, ((const struct wire_tag *)list->items)[i].name);
            msgpack_write_str(out, ((const struct wire_tag *)list->items)[i].value);
            break;
        default:
            ASSERT(f->kind == WIRE_LTIMES);
            msgpack_write_str(out, ((const struct wire_ltime *)list->items)[i].name);
            msgpack_write_u64(out, ((const struct wire_ltime *)list->items)[i].ltime);
        }
    }
}

static void write_field(struct buf *out, const struct wire_field *f, const void *at) {
    switch (f->kind) {
    case WIRE_U8:
        msgpack_write_u64(out, *(const uint8_t *)at);
        break;
    case WIRE_U16:
        msgpack_write_u64(out, *(const uint16_t *)at);
        break;
    case WIRE_U32:
        msgpack_write_u64(out, *(const uint32_t *)at);
        break;
    case WIRE_U64:
        msgpack_write_u64(out, *(const uint64_t *)at);
        break;
    case WIRE_I64:
        msgpack_write_i64(out, *(const int64_t *)at);
        break;
    case WIRE_BOOL:
        msgpack_write_bool(out, *(const bool *)at);
        break;
    case WIRE_F64:
        msgpack_write_f64(out, *(const double *)at);
        break;
    case WIRE_STR:
        msgpack_write_str(out, *(const struct str *)at);
        break;
    case WIRE_BYTES:
        write_bytes(out, *(const struct str *)at);
        break;
    case WIRE_STRUCT:
        wire_write(out, f->sub, at);
        break;
    default:
        write_list(out, f, at);
    }
}

void wire_write(struct buf *out, const struct wire_shape *shape, const void *from) {
    uint32_t omitted = 0;
    for (size_t i = 0; i < shape->len; i++) {
        const struct wire_field *f = &shape->fields[i];
        omitted += f->omit_empty && is_empty(f, (const char *)from + f->offset);
    }
    msgpack_write_map(out, shape->len - omitted);
    for (size_t i = 0; i < shape->len; i++) {
        const struct wire_field *f = &shape->fields[i];
        const void *at = (const char *)from + f->offset;
        if (f->omit_empty && is_empty(f, at))
            continue;
        msgpack_write_text(out, f->name);
        write_field(out, f, at);
    }
}

void wire_write_nullable(struct buf *out, const struct wire_shape *shape, const void *from) {
    if (from == NULL)
        msgpack_write_nil(out);
    else
        wire_write(out, shape, from);
}

/* ---- reading ---- */

struct reading {
    struct msgpack_reader *in;
    struct arena *arena;
    struct error *e;
};

static bool wrong_type(struct reading *r, const struct msgpack_reader *before) {
    uint8_t tag = before->at < before->end ? *before->at : 0;
    return error_set(r->e, ERROR_INTERNAL, "Unrecognized descriptor byte: hex: %x, dec: %d", tag,
                     tag);
}

/* An unsigned integer of up to `bits` bits from any integer that fits. */
static bool to_uint(struct reading *r, const struct msgpack_reader *before,
                    const struct msgpack_token *t, unsigned bits, uint64_t *out) {
    uint64_t n;
    switch (t->type) {
    case MSGPACK_NIL:
        n = 0;
        break;
    case MSGPACK_UINT:
        n = t->u;
        break;
    case MSGPACK_INT:
        if (t->i < 0)
            return error_set(r->e, ERROR_INTERNAL,
                             "Assigning negative signed value: %lld, to unsigned type",
                             (long long)t->i);
        n = (uint64_t)t->i;
        break;
    default:
        return wrong_type(r, before);
    }
    if (bits < 64 && n >> bits != 0)
        return error_set(r->e, ERROR_INTERNAL, "Overflow uint value: %llu", (unsigned long long)n);
    *out = n;
    return true;
}

static bool to_int(struct reading *r, const struct msgpack_reader *before,
                   const struct msgpack_token *t, int64_t *out) {
    switch (t->type) {
    case MSGPACK_NIL:
        *out = 0;
        return true;
    case MSGPACK_INT:
        *out = t->i;
        return true;
    case MSGPACK_UINT:
        if (t->u > INT64_MAX)
            return error_set(r->e, ERROR_INTERNAL, "Overflow int value: %llu",
                             (unsigned long long)t->u);
        *out = (int64_t)t->u;
        return true;
    default:
        return wrong_type(r, before);
    }
}

static bool to_double(struct reading *r, const struct msgpack_reader *before,
                      const struct msgpack_token *t, double *out) {
    switch (t->type) {
    case MSGPACK_NIL:
        *out = 0;
        return true;
    case MSGPACK_F64:
        *out = t->f64;
        return true;
    case MSGPACK_F32:
        *out = (double)t->f32;
        return true;
    case MSGPACK_INT:
        *out = (double)t->i;
        return true;
    case MSGPACK_UINT:
        *out = (double)t->u;
        return true;
    default:
        return wrong_type(r, before);
    }
}

static bool to_bool(struct reading *r, const struct msgpack_reader *before,
                    const struct msgpack_token *t, bool *out) {
    if (t->type == MSGPACK_NIL || (t->type == MSGPACK_INT && t->i == 0)) {
        *out = false;
    } else if (t->type == MSGPACK_INT && t->i == 1) {
        *out = true;
    } else if (t->type == MSGPACK_BOOL) {
        *out = t->b;
    } else {
        return wrong_type(r, before);
    }
    return true;
}

static bool to_str(struct reading *r, const struct msgpack_reader *before,
                   const struct msgpack_token *t, struct str *out) {
    if (t->type == MSGPACK_NIL)
        *out = STR("");
    else if (t->type == MSGPACK_RAW)
        *out = t->str;
    else
        return wrong_type(r, before);
    return true;
}

static bool read_byte_array(struct reading *r, uint32_t len, struct str *out) {
    char *bytes = arena_alloc(r->arena, len);
    for (uint32_t i = 0; i < len; i++) {
        struct msgpack_reader before = *r->in;
        struct msgpack_token t;
        uint64_t n;
        if (!msgpack_next(r->in, &t, r->e) || !to_uint(r, &before, &t, 8, &n))
            return false;
        bytes[i] = (char)n;
    }
    *out = len == 0 ? STR_NONE : str_of(bytes, len);
    return true;
}

static bool to_bytes(struct reading *r, const struct msgpack_reader *before,
                     const struct msgpack_token *t, struct str *out) {
    switch (t->type) {
    case MSGPACK_NIL:
        *out = STR_NONE;
        return true;
    case MSGPACK_RAW:
    case MSGPACK_BIN:
        *out = t->str.len == 0 ? STR_NONE : t->str;
        return true;
    case MSGPACK_ARRAY:
        return read_byte_array(r, t->len, out);
    default:
        return wrong_type(r, before);
    }
}

static bool read_struct(struct reading *r, const struct wire_shape *shape, void *to);

static size_t item_size(enum wire_kind kind) {
    switch (kind) {
    case WIRE_STRS:
    case WIRE_BYTESES:
        return sizeof(struct str);
    case WIRE_F64S:
        return sizeof(double);
    case WIRE_STRUCTS:
        return sizeof(void *);
    case WIRE_TAGS:
        return sizeof(struct wire_tag);
    default:
        return sizeof(struct wire_ltime);
    }
}

static bool read_nullable(struct reading *r, const struct wire_shape *shape, void **to) {
    if (r->in->at < r->in->end && *r->in->at == 0xc0) {
        r->in->at++;
        *to = NULL;
        return true;
    }
    *to = arena_alloc(r->arena, shape->size);
    return read_struct(r, shape, *to);
}

static bool read_item(struct reading *r, const struct wire_field *f, void *item) {
    struct msgpack_reader before = *r->in;
    struct msgpack_token t;
    if (f->kind == WIRE_STRUCTS)
        return read_nullable(r, f->sub, item);
    if (!msgpack_next(r->in, &t, r->e))
        return false;
    switch (f->kind) {
    case WIRE_STRS:
        return to_str(r, &before, &t, item);
    case WIRE_BYTESES:
        return to_bytes(r, &before, &t, item);
    case WIRE_F64S:
        return to_double(r, &before, &t, item);
    default:
        break;
    }
    /* A pair: the name, then its value. */
    struct str name;
    if (!to_str(r, &before, &t, &name))
        return false;
    before = *r->in;
    if (!msgpack_next(r->in, &t, r->e))
        return false;
    if (f->kind == WIRE_TAGS) {
        ((struct wire_tag *)item)->name = name;
        return to_str(r, &before, &t, &((struct wire_tag *)item)->value);
    }
    ((struct wire_ltime *)item)->name = name;
    return to_uint(r, &before, &t, 64, &((struct wire_ltime *)item)->ltime);
}

static bool read_list(struct reading *r, const struct msgpack_reader *before,
                      const struct msgpack_token *t, const struct wire_field *f,
                      struct wire_list *out) {
    bool map = f->kind == WIRE_TAGS || f->kind == WIRE_LTIMES;
    *out = (struct wire_list){NULL, 0, false};
    if (t->type == MSGPACK_NIL)
        return true;
    if (t->type != (map ? MSGPACK_MAP : MSGPACK_ARRAY))
        return wrong_type(r, before);
    if (t->len > (f->max > 0 ? f->max : WIRE_LIST_MAX))
        return error_set(r->e, ERROR_TOO_LARGE, "%s is longer than limit (%u)", f->name, t->len);
    size_t size = item_size(f->kind);
    char *items = arena_zalloc(r->arena, t->len, size);
    for (uint32_t i = 0; i < t->len; i++) {
        if (!read_item(r, f, items + i * size))
            return false;
    }
    *out = (struct wire_list){items, t->len, true};
    return true;
}

static bool read_number(struct reading *r, const struct msgpack_reader *before,
                        const struct msgpack_token *t, const struct wire_field *f, void *at) {
    uint64_t n;
    switch (f->kind) {
    case WIRE_U8:
        return to_uint(r, before, t, 8, &n) && (*(uint8_t *)at = (uint8_t)n, true);
    case WIRE_U16:
        return to_uint(r, before, t, 16, &n) && (*(uint16_t *)at = (uint16_t)n, true);
    case WIRE_U32:
        return to_uint(r, before, t, 32, &n) && (*(uint32_t *)at = (uint32_t)n, true);
    case WIRE_U64:
        return to_uint(r, before, t, 64, at);
    default:
        return to_int(r, before, t, at);
    }
}

static bool read_field(struct reading *r, const struct wire_field *f, void *at) {
    if (f->kind == WIRE_STRUCT)
        return read_struct(r, f->sub, at);
    struct msgpack_reader before = *r->in;
    struct msgpack_token t;
    if (!msgpack_next(r->in, &t, r->e))
        return false;
    switch (f->kind) {
    case WIRE_BOOL:
        return to_bool(r, &before, &t, at);
    case WIRE_F64:
        return to_double(r, &before, &t, at);
    case WIRE_STR:
        return to_str(r, &before, &t, at);
    case WIRE_BYTES:
        return to_bytes(r, &before, &t, at);
    case WIRE_STRS:
    case WIRE_BYTESES:
    case WIRE_F64S:
    case WIRE_STRUCTS:
    case WIRE_TAGS:
    case WIRE_LTIMES:
        return read_list(r, &before, &t, f, at);
    default:
        return read_number(r, &before, &t, f, at);
    }
}

/* `next` is where a sender that sorts its keys has the one that comes now. */
static const struct wire_field *find_field(const struct wire_shape *shape, struct str name,
                                           size_t *next) {
    for (size_t i = 0; i < shape->len; i++) {
        size_t at = *next + i < shape->len ? *next + i : *next + i - shape->len;
        if (str_is(name, shape->fields[at].name)) {
            *next = at + 1 < shape->len ? at + 1 : 0;
            return &shape->fields[at];
        }
    }
    return NULL;
}

static bool read_map(struct reading *r, const struct wire_shape *shape, uint32_t len, void *to) {
    size_t next = 0;
    for (uint32_t i = 0; i < len; i++) {
        struct msgpack_reader before = *r->in;
        struct msgpack_token key;
        if (!msgpack_next(r->in, &key, r->e))
            return false;
        if (key.type != MSGPACK_RAW)
            return wrong_type(r, &before);
        const struct wire_field *f = find_field(shape, key.str, &next);
        if (f == NULL ? !msgpack_skip(r->in, r->e) : !read_field(r, f, (char *)to + f->offset))
            return false;
    }
    return true;
}

static bool read_array(struct reading *r, const struct wire_shape *shape, uint32_t len, void *to) {
    for (uint32_t i = 0; i < len; i++) {
        const struct wire_field *f = NULL;
        for (size_t k = 0; k < shape->len && f == NULL; k++) {
            if (shape->fields[k].position == i)
                f = &shape->fields[k];
        }
        if (f == NULL ? !msgpack_skip(r->in, r->e) : !read_field(r, f, (char *)to + f->offset))
            return false;
    }
    return true;
}

/* The shapes contain each other only downwards, so the depth is bounded. */
static bool read_struct(struct reading *r, const struct wire_shape *shape, void *to) {
    memset(to, 0, shape->size);
    struct msgpack_reader before = *r->in;
    struct msgpack_token t;
    if (!msgpack_next(r->in, &t, r->e))
        return before.at < before.end && *before.at == 0xc1
                   ? error_prefix(r->e, "codec.decoder: currentEncodedType: "
                                        "Undeciphered descriptor: ")
                   : false;
    switch (t.type) {
    case MSGPACK_NIL:
        return true;
    case MSGPACK_MAP:
        return read_map(r, shape, t.len, to);
    case MSGPACK_ARRAY:
        return read_array(r, shape, t.len, to);
    default:
        return wrong_type(r, &before);
    }
}

bool wire_read(struct msgpack_reader *in, const struct wire_shape *shape, void *to,
               struct arena *arena, struct error *e) {
    struct reading r = {.in = in, .arena = arena, .e = e};
    return read_struct(&r, shape, to);
}

bool wire_read_all(struct str bytes, const struct wire_shape *shape, void *to, struct arena *arena,
                   struct error *e) {
    struct msgpack_reader in = msgpack_read(bytes);
    return wire_read(&in, shape, to, arena, e);
}

/* ---- finding the end ---- */

/* Reads the token at `at`: how many bytes it takes with its data, and how many values follow in it.
 * Only its head needs to be there. */
static enum wire_scan_result scan_token(const uint8_t *p, size_t left, uint64_t *size,
                                        uint64_t *inside) {
    static const uint8_t plain[] = {/* bytes behind the tag from 0xca to 0xd3 */
                                    4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    uint8_t tag = p[0];
    size_t head = 0; /* bytes of a length */
    *inside = 0;
    *size = 1;
    if (tag <= 0x7f || tag >= 0xe0 || tag == 0xc0 || tag == 0xc2 || tag == 0xc3)
        return WIRE_DONE;
    if (tag <= 0x9f) {
        *inside = tag <= 0x8f ? 2 * (tag & 15u) : tag & 15u;
        return WIRE_DONE;
    }
    if (tag <= 0xbf) {
        *size = 1 + (tag & 31u);
        return WIRE_DONE;
    }
    if (tag >= 0xca && tag <= 0xd3) {
        *size = 1 + (uint64_t)plain[tag - 0xca];
        return WIRE_DONE;
    }
    if (tag >= 0xd4 && tag <= 0xd8) { /* fixext */
        *size = 2 + (1u << (tag - 0xd4));
        return WIRE_DONE;
    }
    if (tag >= 0xc4 && tag <= 0xc9) /* bin, ext */
        head = (size_t)1 << (tag - 0xc4) % 3;
    else if (tag >= 0xd9 && tag <= 0xdb)
        head = (size_t)1 << (tag - 0xd9);
    else if (tag >= 0xdc)
        head = tag & 1 ? 4 : 2;
    else
        return WIRE_BAD;
    if (left < 1 + head)
        return WIRE_MORE;
    uint64_t len = 0;
    for (size_t i = 0; i < head; i++)
        len = len << 8 | p[1 + i];
    *size = 1 + head;
    if (tag >= 0xdc)
        *inside = tag >= 0xde ? 2 * len : len;
    else
        *size += len + (tag >= 0xc7 && tag <= 0xc9);
    return WIRE_DONE;
}

enum wire_scan_result wire_scan_value(struct wire_scan *s, struct str bytes) {
    if (s->owed == 0)
        s->owed = 1;
    while (s->owed > 0) {
        if (s->at >= bytes.len)
            return WIRE_MORE;
        uint64_t size, inside;
        size_t left = bytes.len - s->at;
        enum wire_scan_result result =
            scan_token((const uint8_t *)bytes.data + s->at, left, &size, &inside);
        if (result != WIRE_DONE)
            return result;
        if (size > left)
            return WIRE_MORE;
        s->at += (size_t)size;
        s->owed += inside - 1;
    }
    return WIRE_DONE;
}
