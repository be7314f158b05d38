/* msgpack: writing the old dialect, and a reader that checks every length against what is left. */
#include "codec/msgpack.h"

#include "base/mem.h"

/* ---- writing ---- */

void msgpack_write_nil(struct buf *out) {
    buf_add_char(out, (char)0xc0);
}

void msgpack_write_bool(struct buf *out, bool b) {
    buf_add_char(out, (char)(b ? 0xc3 : 0xc2));
}

static void write_tag(struct buf *out, uint8_t tag, uint64_t n, size_t bytes) {
    char *p = buf_reserve(out, 1 + bytes);
    p[0] = (char)tag;
    for (size_t i = 0; i < bytes; i++) {
        p[1 + i] = (char)(n >> (8 * (bytes - 1 - i)));
    }
    out->len += 1 + bytes;
}

void msgpack_write_u64(struct buf *out, uint64_t n) {
    if (n <= 0x7f) {
        buf_add_char(out, (char)n);
    } else if (n <= UINT8_MAX) {
        write_tag(out, 0xcc, n, 1);
    } else if (n <= UINT16_MAX) {
        write_tag(out, 0xcd, n, 2);
    } else if (n <= UINT32_MAX) {
        write_tag(out, 0xce, n, 4);
    } else {
        write_tag(out, 0xcf, n, 8);
    }
}

void msgpack_write_i64(struct buf *out, int64_t n) {
    if (n >= 0) {
        msgpack_write_u64(out, (uint64_t)n);
    } else if (n >= -32) {
        buf_add_char(out, (char)n);
    } else if (n >= INT8_MIN) {
        write_tag(out, 0xd0, (uint64_t)n, 1);
    } else if (n >= INT16_MIN) {
        write_tag(out, 0xd1, (uint64_t)n, 2);
    } else if (n >= INT32_MIN) {
        write_tag(out, 0xd2, (uint64_t)n, 4);
    } else {
        write_tag(out, 0xd3, (uint64_t)n, 8);
    }
}

void msgpack_write_f64(struct buf *out, double d) {
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    write_tag(out, 0xcb, bits, 8);
}

void msgpack_write_f32(struct buf *out, float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    write_tag(out, 0xca, bits, 4);
}

void msgpack_write_str(struct buf *out, struct str s) {
    ASSERT(s.len <= UINT32_MAX);
    if (s.len < 32) {
        char *p = buf_reserve(out, 1 + s.len);
        p[0] = (char)(0xa0 | s.len);
        if (s.len > 0) {
            memcpy(p + 1, s.data, s.len);
        }
        out->len += 1 + s.len;
        return;
    }
    if (s.len <= UINT16_MAX) {
        write_tag(out, 0xda, s.len, 2);
    } else {
        write_tag(out, 0xdb, s.len, 4);
    }
    buf_add(out, s.data, s.len);
}

void msgpack_write_text(struct buf *out, const char *terminated) {
    msgpack_write_str(out, str_from(terminated));
}

void msgpack_write_array(struct buf *out, uint32_t len) {
    if (len < 16) {
        buf_add_char(out, (char)(0x90 | len));
    } else if (len <= UINT16_MAX) {
        write_tag(out, 0xdc, len, 2);
    } else {
        write_tag(out, 0xdd, len, 4);
    }
}

void msgpack_write_map(struct buf *out, uint32_t len) {
    if (len < 16) {
        buf_add_char(out, (char)(0x80 | len));
    } else if (len <= UINT16_MAX) {
        write_tag(out, 0xde, len, 2);
    } else {
        write_tag(out, 0xdf, len, 4);
    }
}

void msgpack_write_time(struct buf *out, struct timestamp t) {
    if (!t.present) {
        t = (struct timestamp){.seconds = 0, .nanoseconds = 0, .offset = -1};
    }
    char *p = buf_reserve(out, 16);
    p[0] = (char)0xaf; /* raw of 15 bytes */
    p[1] = 1;
    be64_put(p + 2, (uint64_t)t.seconds);
    be32_put(p + 10, (uint32_t)t.nanoseconds);
    be16_put(p + 14, (uint16_t)t.offset);
    out->len += 16;
}

static void write_map_value(struct buf *out, const struct value *v) {
    const struct value_pair **sorted;
    size_t len = value_sorted_pairs(v, &sorted);
    msgpack_write_map(out, (uint32_t)len);
    for (size_t i = 0; i < len; i++) {
        msgpack_write_str(out, sorted[i]->key);
        msgpack_write_value(out, &sorted[i]->value);
    }
    mem_free(sorted);
}

void msgpack_write_value(struct buf *out, const struct value *v) {
    if (v == NULL) {
        msgpack_write_nil(out);
        return;
    }
    switch (v->kind) {
    case VALUE_NULL:
        msgpack_write_nil(out);
        break;
    case VALUE_BOOL:
        msgpack_write_bool(out, v->boolean);
        break;
    case VALUE_INT:
        msgpack_write_i64(out, v->integer);
        break;
    case VALUE_UINT:
        msgpack_write_u64(out, v->uinteger);
        break;
    case VALUE_FLOAT:
        msgpack_write_f64(out, v->number);
        break;
    case VALUE_STRING:
        msgpack_write_str(out, v->string);
        break;
    case VALUE_LIST:
        msgpack_write_array(out, (uint32_t)v->list.len);
        for (size_t i = 0; i < v->list.len; i++) {
            msgpack_write_value(out, &v->list.items[i]);
        }
        break;
    case VALUE_MAP:
        write_map_value(out, v);
        break;
    }
}

/* ---- reading ---- */

struct msgpack_reader msgpack_read(struct str bytes) {
    const uint8_t *at = (const uint8_t *)bytes.data;
    return (struct msgpack_reader){.at = at, .end = at == NULL ? NULL : at + bytes.len};
}

static bool short_input(struct error *e) {
    error_set(e, ERROR_INTERNAL, "unexpected EOF");
    return false;
}

static size_t left(const struct msgpack_reader *in) {
    return (size_t)(in->end - in->at);
}

/* Big-endian integer of 1, 2, 4 or 8 bytes. */
static bool take_uint(struct msgpack_reader *in, size_t bytes, uint64_t *n, struct error *e) {
    if (left(in) < bytes) {
        return short_input(e);
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | in->at[i];
    }
    in->at += bytes;
    *n = value;
    return true;
}

static bool take_bytes(struct msgpack_reader *in, uint64_t len, struct str *out, struct error *e) {
    if (len > left(in)) {
        return short_input(e);
    }
    *out = str_of(in->at, (size_t)len);
    in->at += len;
    return true;
}

static bool take_raw(struct msgpack_reader *in, size_t length_bytes, enum msgpack_type type,
                     struct msgpack_token *token, struct error *e) {
    uint64_t len;
    token->type = type;
    return take_uint(in, length_bytes, &len, e) && take_bytes(in, len, &token->str, e);
}

/* per: the least number of bytes that one item takes. */
static bool container(struct msgpack_reader *in, enum msgpack_type type, uint64_t len, size_t per,
                      struct msgpack_token *token, struct error *e) {
    if (len > left(in) / per) {
        return short_input(e);
    }
    token->type = type;
    token->len = (uint32_t)len;
    return true;
}

static bool take_container(struct msgpack_reader *in, size_t length_bytes, enum msgpack_type type,
                           struct msgpack_token *token, struct error *e) {
    uint64_t len;
    return take_uint(in, length_bytes, &len, e) &&
           container(in, type, len, type == MSGPACK_MAP ? 2 : 1, token, e);
}

static bool take_unsigned(struct msgpack_reader *in, size_t bytes, struct msgpack_token *token,
                          struct error *e) {
    token->type = MSGPACK_UINT;
    return take_uint(in, bytes, &token->u, e);
}

static bool take_signed(struct msgpack_reader *in, size_t bytes, struct msgpack_token *token,
                        struct error *e) {
    uint64_t n;
    if (!take_uint(in, bytes, &n, e)) {
        return false;
    }
    unsigned shift = (unsigned)(64 - 8 * bytes);
    token->type = MSGPACK_INT;
    token->i = (int64_t)(n << shift) >> shift;
    return true;
}

static bool take_float(struct msgpack_reader *in, struct msgpack_token *token, struct error *e) {
    uint64_t n;
    if (!take_uint(in, 4, &n, e)) {
        return false;
    }
    uint32_t bits = (uint32_t)n;
    token->type = MSGPACK_F32;
    memcpy(&token->f32, &bits, sizeof(bits));
    return true;
}

static bool take_double(struct msgpack_reader *in, struct msgpack_token *token, struct error *e) {
    uint64_t n;
    if (!take_uint(in, 8, &n, e)) {
        return false;
    }
    token->type = MSGPACK_F64;
    memcpy(&token->f64, &n, sizeof(n));
    return true;
}

/* fixext: a type byte, then 1 << power bytes; ext8..32: length, type byte, bytes. */
static bool take_ext(struct msgpack_reader *in, uint8_t tag, struct msgpack_token *token,
                     struct error *e) {
    uint64_t len = tag >= 0xd4 ? 1u << (tag - 0xd4) : 0;
    uint64_t type;
    if (tag < 0xd0 && !take_uint(in, (size_t)1 << (tag - 0xc7), &len, e)) {
        return false;
    }
    token->type = MSGPACK_EXT;
    return take_uint(in, 1, &type, e) && take_bytes(in, len, &token->str, e);
}

/* Tags from 0xc0 to 0xdf. */
static bool next_tagged(struct msgpack_reader *in, uint8_t tag, struct msgpack_token *token,
                        struct error *e) {
    switch (tag) {
    case 0xc0:
        token->type = MSGPACK_NIL;
        return true;
    case 0xc2:
    case 0xc3:
        token->type = MSGPACK_BOOL;
        token->b = tag == 0xc3;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return take_raw(in, (size_t)1 << (tag - 0xc4), MSGPACK_BIN, token, e);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return take_ext(in, tag, token, e);
    case 0xca:
        return take_float(in, token, e);
    case 0xcb:
        return take_double(in, token, e);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return take_unsigned(in, (size_t)1 << (tag - 0xcc), token, e);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return take_signed(in, (size_t)1 << (tag - 0xd0), token, e);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return take_ext(in, tag, token, e);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return take_raw(in, (size_t)1 << (tag - 0xd9), MSGPACK_RAW, token, e);
    case 0xdc:
    case 0xdd:
        return take_container(in, tag == 0xdc ? 2 : 4, MSGPACK_ARRAY, token, e);
    case 0xde:
    case 0xdf:
        return take_container(in, tag == 0xde ? 2 : 4, MSGPACK_MAP, token, e);
    default:
        return error_set(e, ERROR_INTERNAL, "Unrecognized descriptor byte: hex: %x, dec: %d", tag,
                         tag);
    }
}

bool msgpack_next(struct msgpack_reader *in, struct msgpack_token *token, struct error *e) {
    if (in->at == in->end) {
        return error_set(e, ERROR_INTERNAL, "EOF");
    }
    uint8_t tag = *in->at++;
    if (tag <= 0x7f || tag >= 0xe0) {
        token->type = MSGPACK_INT;
        token->i = (int8_t)tag;
        return true;
    }
    if (tag <= 0x8f) {
        return container(in, MSGPACK_MAP, tag & 15, 2, token, e);
    }
    if (tag <= 0x9f) {
        return container(in, MSGPACK_ARRAY, tag & 15, 1, token, e);
    }
    if (tag <= 0xbf) {
        token->type = MSGPACK_RAW;
        return take_bytes(in, tag & 31, &token->str, e);
    }
    return next_tagged(in, tag, token, e);
}

static bool inner_eof(struct error *e) {
    if (str_is(e->text, "EOF")) {
        error_clear(e);
        return short_input(e);
    }
    return false;
}

static bool too_deep(struct error *e) {
    return error_set(e, ERROR_INTERNAL, "nested deeper than %d", MSGPACK_MAX_DEPTH);
}

static bool skip_at(struct msgpack_reader *in, int depth, struct error *e) {
    if (depth > MSGPACK_MAX_DEPTH) {
        return too_deep(e);
    }
    struct msgpack_token token;
    if (!msgpack_next(in, &token, e)) {
        return false;
    }
    uint64_t items = 0;
    if (token.type == MSGPACK_ARRAY) {
        items = token.len;
    } else if (token.type == MSGPACK_MAP) {
        items = 2 * (uint64_t)token.len;
    }
    for (uint64_t i = 0; i < items; i++) {
        if (!skip_at(in, depth + 1, e)) {
            return inner_eof(e);
        }
    }
    return true;
}

bool msgpack_read_str(struct msgpack_reader *in, struct str *out, struct error *e) {
    struct msgpack_token token;
    unsigned tag = in->at < in->end ? *in->at : 0;
    if (!msgpack_next(in, &token, e)) {
        return false;
    }
    *out = STR_NONE;
    if (token.type == MSGPACK_RAW || token.type == MSGPACK_BIN) {
        *out = token.str;
    } else if (token.type != MSGPACK_NIL) {
        return error_set(e, ERROR_BAD_REQUEST,
                         "readContainerLen: Unrecognized descriptor byte: hex: %x, dec: %u", tag,
                         tag);
    }
    return true;
}

bool msgpack_read_raw(struct msgpack_reader *in, struct msgpack_reader *content, struct error *e) {
    struct str text;
    if (!msgpack_read_str(in, &text, e)) {
        return false;
    }
    *content = msgpack_read(text);
    return true;
}

bool msgpack_skip(struct msgpack_reader *in, struct error *e) {
    return skip_at(in, 1, e);
}

/* Reading trees. `owed` counts the items that the open containers have announced and that are still
 * to come: each takes a byte at least, so what is allocated stays in proportion to the input. */
struct tree {
    struct msgpack_reader *in;
    struct arena *arena;
    uint64_t owed;
    struct error *e;
};

static bool read_tree(struct tree *t, struct value *out, int depth);

static bool owe(struct tree *t, uint64_t items) {
    if (items > left(t->in) || t->owed > left(t->in) - items) {
        return short_input(t->e);
    }
    t->owed += items;
    return true;
}

static bool read_list(struct tree *t, uint32_t len, struct value *out, int depth) {
    if (!owe(t, len)) {
        return false;
    }
    out->kind = VALUE_LIST;
    out->list.len = len;
    out->list.items = ARENA_ARRAY(t->arena, struct value, len);
    for (uint32_t i = 0; i < len; i++) {
        t->owed--;
        if (!read_tree(t, &out->list.items[i], depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool read_map(struct tree *t, uint32_t len, struct value *out, int depth) {
    if (!owe(t, 2 * (uint64_t)len)) {
        return false;
    }
    out->kind = VALUE_MAP;
    out->map.len = len;
    out->map.pairs = ARENA_ARRAY(t->arena, struct value_pair, len);
    for (uint32_t i = 0; i < len; i++) {
        struct msgpack_token key;
        struct value_pair *pair = &out->map.pairs[i];
        t->owed -= 2;
        if (!msgpack_next(t->in, &key, t->e)) {
            return false;
        }
        if (key.type != MSGPACK_RAW && key.type != MSGPACK_BIN) {
            return error_set(t->e, ERROR_INTERNAL, "map key is not a string");
        }
        pair->key = str_copy(t->arena, key.str);
        if (!read_tree(t, &pair->value, depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool read_tree(struct tree *t, struct value *out, int depth) {
    struct msgpack_token token;
    if (depth > MSGPACK_MAX_DEPTH) {
        return too_deep(t->e);
    }
    if (!msgpack_next(t->in, &token, t->e)) {
        return depth == 1 ? false : inner_eof(t->e);
    }
    *out = (struct value){.kind = VALUE_NULL};
    switch (token.type) {
    case MSGPACK_NIL:
        return true;
    case MSGPACK_BOOL:
        out->kind = VALUE_BOOL;
        out->boolean = token.b;
        return true;
    case MSGPACK_INT:
        out->kind = VALUE_INT;
        out->integer = token.i;
        return true;
    case MSGPACK_UINT:
        out->kind = VALUE_UINT;
        out->uinteger = token.u;
        return true;
    case MSGPACK_F64:
    case MSGPACK_F32:
        out->kind = VALUE_FLOAT;
        out->number = token.type == MSGPACK_F64 ? token.f64 : (double)token.f32;
        return true;
    case MSGPACK_RAW:
    case MSGPACK_BIN:
    case MSGPACK_EXT:
        out->kind = VALUE_STRING;
        out->string = str_copy(t->arena, token.str);
        return true;
    case MSGPACK_ARRAY:
        return read_list(t, token.len, out, depth);
    case MSGPACK_MAP:
        return read_map(t, token.len, out, depth);
    }
    return false;
}

bool msgpack_read_value(struct msgpack_reader *in, struct value *out, struct arena *arena,
                        struct error *e) {
    struct tree t = {.in = in, .arena = arena, .owed = 0, .e = e};
    return read_tree(&t, out, 1);
}

bool msgpack_time_from_raw(struct str raw, struct timestamp *t) {
    if (raw.len != 15 || raw.data[0] != 1) {
        return false;
    }
    int32_t nanoseconds = (int32_t)be32_get(raw.data + 9);
    if (nanoseconds < 0 || nanoseconds > 999999999) {
        return false;
    }
    t->seconds = (int64_t)be64_get(raw.data + 1);
    t->nanoseconds = nanoseconds;
    t->offset = (int16_t)be16_get(raw.data + 13);
    t->present = true;
    return true;
}
