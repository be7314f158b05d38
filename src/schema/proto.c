/* See proto.h. */
#include "schema/proto.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/protobuf.h"

#define LIST_MOST 4096 /* items of a repeated field */

static bool fail(struct error *e, const char *text) {
    return error_set(e, ERROR_INTERNAL, "proto: %s", text);
}

static const void *at(const void *object, const struct proto_field *f) {
    return (const char *)object + f->offset;
}

/* ---- bytes out ---- */

/* What is zero is left out. */
static void add_number(struct buf *out, unsigned number, uint64_t n) {
    if (n != 0) {
        pb_add_number(out, number, n);
    }
}

/* Timestamp and Duration are alike. */
static void add_seconds(struct buf *out, unsigned number, int64_t seconds, int64_t nanoseconds) {
    size_t opened = pb_open(out, number);
    add_number(out, 1, (uint64_t)seconds);
    add_number(out, 2, (uint64_t)nanoseconds);
    pb_close(out, opened);
}

static void add_message(struct buf *out, unsigned number, const struct proto_message *m,
                        const void *object) {
    size_t opened = pb_open(out, number);
    proto_encode(out, m, object);
    pb_close(out, opened);
}

static void add_list(struct buf *out, const struct proto_field *f, const struct list *list) {
    for (uint32_t i = 0; i < list->len; i++) {
        if (f->kind == PROTO_STRS) {
            pb_add_bytes(out, f->number, LIST_AT(*list, struct str, i));
        } else if (LIST_AT(*list, void *, i) != NULL) {
            add_message(out, f->number, f->message, LIST_AT(*list, void *, i));
        }
    }
}

static void add_field(struct buf *out, const struct proto_field *f, const void *object) {
    const void *p = at(object, f);
    switch (f->kind) {
    case PROTO_STR:
        if (((const struct str *)p)->len > 0) {
            pb_add_bytes(out, f->number, *(const struct str *)p);
        }
        return;
    case PROTO_BOOL:
        add_number(out, f->number, *(const bool *)p);
        return;
    case PROTO_U64:
    case PROTO_I32:
        add_number(out, f->number, *(const uint64_t *)p);
        return;
    case PROTO_TIME: {
        const struct timestamp *t = p;
        add_seconds(out, f->number, t->seconds - TIMESTAMP_UNIX_EPOCH, t->nanoseconds);
        return;
    }
    case PROTO_DUR:
        add_seconds(out, f->number, *(const int64_t *)p / SECOND, *(const int64_t *)p % SECOND);
        return;
    case PROTO_STRS:
    case PROTO_PTRS:
        add_list(out, f, p);
        return;
    case PROTO_PTR:
        if (*(void *const *)p != NULL) {
            add_message(out, f->number, f->message, *(void *const *)p);
        }
        return;
    case PROTO_INLINE:
        add_message(out, f->number, f->message, p);
        return;
    }
}

void proto_encode(struct buf *out, const struct proto_message *m, const void *object) {
    for (size_t i = 0; i < m->count; i++) {
        add_field(out, &m->fields[i], object);
    }
}

/* ---- bytes in ---- */

struct reader {
    struct pb_reader in;
    struct arena *arena;
    struct error *e;
    unsigned depth;
};

/* What the bytes are no message for. */
static bool broken(const struct reader *r) {
    return fail(r->e, r->in.problem);
}

/* An item more; lists are short. */
static void *grow(struct reader *r, struct list *list, size_t size) {
    if (list->len == 0 || (list->len >= 8 && (list->len & (list->len - 1)) == 0)) {
        void *items = arena_zalloc(r->arena, list->len == 0 ? 8 : (size_t)list->len * 2, size);
        if (list->len > 0) {
            memcpy(items, list->items, list->len * size);
        }
        list->items = items;
    }
    list->present = true;
    return (char *)list->items + size * list->len++;
}

static bool decode(struct reader *r, const struct proto_message *m, void *object);

static bool decode_inner(struct reader *r, struct str bytes, const struct proto_message *m,
                         void *object) {
    struct reader inner = {{bytes, NULL}, r->arena, r->e, r->depth + 1};
    return inner.depth <= PROTO_DEPTH_MAX ? decode(&inner, m, object)
                                          : fail(r->e, "messages are nested too deep");
}

static bool decode_seconds(struct reader *r, struct str bytes, int64_t *seconds,
                           int64_t *nanoseconds) {
    struct pb_reader in = {bytes, NULL};
    uint64_t number, n;
    unsigned wire;
    *seconds = *nanoseconds = 0;
    while (in.rest.len > 0) {
        if (!pb_take_key(&in, &number, &wire)) {
            return fail(r->e, in.problem);
        }
        if (wire != PB_VARINT) {
            if (!pb_skip(&in, wire)) {
                return fail(r->e, in.problem);
            }
        } else if (!pb_take_varint(&in, &n)) {
            return fail(r->e, in.problem);
        } else {
            *(number == 1 ? seconds : nanoseconds) = (int64_t)n;
        }
    }
    return (*seconds >= -TIMESTAMP_UNIX_EPOCH && *seconds < 253402300800 &&
            *nanoseconds > -SECOND && *nanoseconds < SECOND) ||
           fail(r->e, "time out of range");
}

static void *zero_message(struct reader *r, const struct proto_message *m);

static bool decode_bytes(struct reader *r, const struct proto_field *f, struct str bytes, void *p) {
    int64_t seconds, nanoseconds;
    switch (f->kind) {
    case PROTO_STR:
        *(struct str *)p = bytes;
        return true;
    case PROTO_TIME:
    case PROTO_DUR:
        if (!decode_seconds(r, bytes, &seconds, &nanoseconds)) {
            return false;
        }
        if (f->kind == PROTO_TIME) {
            *(struct timestamp *)p =
                (struct timestamp){seconds + TIMESTAMP_UNIX_EPOCH,
                                   (int32_t)(nanoseconds < 0 ? 0 : nanoseconds), -1, true};
        } else if (llabs(seconds) > INT64_MAX / SECOND - 1) {
            return fail(r->e, "time out of range");
        } else {
            *(int64_t *)p = seconds * SECOND + nanoseconds;
        }
        return true;
    case PROTO_STRS:
    case PROTO_PTRS:
        if (((struct list *)p)->len >= LIST_MOST) {
            return fail(r->e, "too many items");
        }
        if (f->kind == PROTO_STRS) {
            *(struct str *)grow(r, p, sizeof(struct str)) = bytes;
            return true;
        }
        p = grow(r, p, sizeof(void *));
        *(void **)p = zero_message(r, f->message);
        return decode_inner(r, bytes, f->message, *(void **)p);
    case PROTO_PTR:
        if (*(void **)p == NULL) {
            *(void **)p = zero_message(r, f->message);
        }
        return decode_inner(r, bytes, f->message, *(void **)p);
    case PROTO_INLINE:
        return decode_inner(r, bytes, f->message, p);
    default:
        return fail(r->e, "wrong wire type");
    }
}

static bool decode_field(struct reader *r, const struct proto_field *f, unsigned wire, void *p) {
    struct str bytes;
    uint64_t n;
    if (wire == PB_BYTES) {
        return pb_take_bytes(&r->in, &bytes) ? decode_bytes(r, f, bytes, p) : broken(r);
    }
    if (wire != PB_VARINT ||
        (f->kind != PROTO_BOOL && f->kind != PROTO_U64 && f->kind != PROTO_I32)) {
        return fail(r->e, "wrong wire type");
    }
    if (!pb_take_varint(&r->in, &n)) {
        return broken(r);
    }
    if (f->kind == PROTO_BOOL) {
        *(bool *)p = n != 0;
    } else if (f->kind == PROTO_I32) {
        *(int64_t *)p = (int32_t)n;
    } else {
        *(uint64_t *)p = n;
    }
    return true;
}

static const struct proto_field *by_number(const struct proto_message *m, uint64_t number) {
    for (size_t i = 0; i < m->count; i++) {
        if (m->fields[i].number == number) {
            return &m->fields[i];
        }
    }
    return NULL;
}

static bool decode(struct reader *r, const struct proto_message *m, void *object) {
    uint64_t number;
    unsigned wire;
    while (r->in.rest.len > 0) {
        if (!pb_take_key(&r->in, &number, &wire)) {
            return broken(r);
        }
        const struct proto_field *f = by_number(m, number);
        if (f == NULL && !pb_skip(&r->in, wire)) {
            return broken(r);
        }
        if (f != NULL && !decode_field(r, f, wire, (char *)object + f->offset)) {
            return false;
        }
    }
    return true;
}

/* Texts that are not there are empty, times are the zero time. */
static void set_zero(const struct proto_message *m, void *object) {
    for (size_t i = 0; i < m->count; i++) {
        void *p = (char *)object + m->fields[i].offset;
        if (m->fields[i].kind == PROTO_STR) {
            *(struct str *)p = STR("");
        } else if (m->fields[i].kind == PROTO_TIME) {
            *(struct timestamp *)p = (struct timestamp){.offset = -1, .present = true};
        } else if (m->fields[i].kind == PROTO_INLINE) {
            set_zero(m->fields[i].message, p);
        }
    }
}

static void *zero_message(struct reader *r, const struct proto_message *m) {
    void *object = arena_zalloc(r->arena, 1, m->size);
    set_zero(m, object);
    return object;
}

bool proto_decode(struct str bytes, const struct proto_message *m, void *object,
                  struct arena *arena, struct error *e) {
    struct reader r = {{bytes, NULL}, arena, e, 0};
    memset(object, 0, m->size);
    set_zero(m, object);
    return decode(&r, m, object);
}

/* ---- JSON out ---- */

static void write_u64_text(struct json_writer *w, uint64_t n) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    json_str(w, str_from(text));
}

/* The peer writes them as the number that they are for it: nanoseconds. */
static void write_duration(struct json_writer *w, int64_t ns) {
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)ns);
    json_str(w, str_from(text));
}

static void write_list(struct json_writer *w, const struct proto_field *f,
                       const struct list *list) {
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++) {
        if (f->kind == PROTO_STRS) {
            json_str(w, LIST_AT(*list, struct str, i));
        } else if (LIST_AT(*list, void *, i) != NULL) {
            proto_write_json(w, f->message, LIST_AT(*list, void *, i));
        }
    }
    json_close_array(w);
}

static void write_field(struct json_writer *w, const struct proto_field *f, const void *p) {
    switch (f->kind) {
    case PROTO_STR:
        json_str(w, *(const struct str *)p);
        return;
    case PROTO_BOOL:
        json_bool(w, *(const bool *)p);
        return;
    case PROTO_U64:
        write_u64_text(w, *(const uint64_t *)p);
        return;
    case PROTO_I32:
        json_i64(w, *(const int64_t *)p);
        return;
    case PROTO_TIME:
        json_time(w, *(const struct timestamp *)p);
        return;
    case PROTO_DUR:
        write_duration(w, *(const int64_t *)p);
        return;
    case PROTO_STRS:
    case PROTO_PTRS:
        write_list(w, f, p);
        return;
    case PROTO_PTR:
        if (*(void *const *)p == NULL) {
            json_null(w);
        } else {
            proto_write_json(w, f->message, *(void *const *)p);
        }
        return;
    case PROTO_INLINE:
        proto_write_json(w, f->message, p);
        return;
    }
}

void proto_write_json(struct json_writer *w, const struct proto_message *m, const void *object) {
    json_open_object(w);
    for (size_t i = 0; i < m->count; i++) {
        json_key(w, str_from(m->fields[i].name));
        write_field(w, &m->fields[i], at(object, &m->fields[i]));
    }
    json_close_object(w);
}

/* ---- JSON in ---- */

static bool wrong(const struct proto_field *f, struct error *e) {
    return error_set(e, ERROR_INTERNAL, "proto: field %s is not of its kind", f->name);
}

static bool from_json(struct reader *r, const struct value *json, const struct proto_message *m,
                      void *object);

static bool read_message(struct reader *r, const struct value *v, const struct proto_field *f,
                         void *object) {
    struct reader inner = {{STR_NONE, NULL}, r->arena, r->e, r->depth + 1};
    if (inner.depth > PROTO_DEPTH_MAX) {
        return fail(r->e, "messages are nested too deep");
    }
    return v->kind == VALUE_MAP ? from_json(&inner, v, f->message, object) : wrong(f, r->e);
}

static bool read_list(struct reader *r, const struct value *v, const struct proto_field *f,
                      struct list *out) {
    if (v->kind != VALUE_LIST) {
        return wrong(f, r->e);
    }
    if (v->list.len > LIST_MOST) {
        return fail(r->e, "too many items");
    }
    for (size_t i = 0; i < v->list.len; i++) {
        const struct value *item = &v->list.items[i];
        if (f->kind == PROTO_STRS) {
            if (item->kind != VALUE_STRING) {
                return wrong(f, r->e);
            }
            *(struct str *)grow(r, out, sizeof(struct str)) = item->string;
        } else {
            void **p = grow(r, out, sizeof(void *));
            *p = zero_message(r, f->message);
            if (!read_message(r, item, f, *p)) {
                return false;
            }
        }
    }
    return true;
}

/* 64-bit numbers are texts; numbers are taken too. */
static bool read_number(const struct value *v, const struct proto_field *f, uint64_t *out,
                        struct error *e) {
    if (v->kind == VALUE_STRING) {
        return str_to_u64(v->string, out) || wrong(f, e);
    }
    if (v->kind != VALUE_FLOAT || !(v->number >= -2147483648.0 && v->number < 9e15) ||
        floor(v->number) != v->number) {
        return wrong(f, e);
    }
    *out = (uint64_t)(int64_t)v->number;
    return true;
}

static bool read_field(struct reader *r, const struct value *v, const struct proto_field *f,
                       void *p) {
    struct error ignored = ERROR_IN(r->arena);
    switch (f->kind) {
    case PROTO_STR:
        *(struct str *)p = v->kind == VALUE_STRING ? v->string : STR("");
        return v->kind == VALUE_STRING || wrong(f, r->e);
    case PROTO_BOOL:
        *(bool *)p = v->kind == VALUE_BOOL && v->boolean;
        return v->kind == VALUE_BOOL || wrong(f, r->e);
    case PROTO_U64:
    case PROTO_I32:
        return read_number(v, f, p, r->e);
    case PROTO_TIME:
        return (v->kind == VALUE_STRING && timestamp_parse(v->string, p, &ignored)) ||
               wrong(f, r->e);
    case PROTO_DUR:
        return (v->kind == VALUE_STRING && str_to_i64(v->string, p)) || wrong(f, r->e);
    case PROTO_STRS:
    case PROTO_PTRS:
        return read_list(r, v, f, p);
    case PROTO_PTR:
        *(void **)p = zero_message(r, f->message);
        return read_message(r, v, f, *(void **)p);
    case PROTO_INLINE:
        return read_message(r, v, f, p);
    }
    return true;
}

static bool from_json(struct reader *r, const struct value *json, const struct proto_message *m,
                      void *object) {
    for (size_t i = 0; i < m->count; i++) {
        const struct value *v = value_get(json, m->fields[i].name);
        if (v != NULL && v->kind != VALUE_NULL &&
            !read_field(r, v, &m->fields[i], (char *)object + m->fields[i].offset)) {
            return false;
        }
    }
    return true;
}

bool proto_from_json(const struct value *json, const struct proto_message *m, void *object,
                     struct arena *arena, struct error *e) {
    struct reader r = {{STR_NONE, NULL}, arena, e, 0};
    memset(object, 0, m->size);
    set_zero(m, object);
    return json->kind == VALUE_MAP ? from_json(&r, json, m, object) : fail(e, "not an object");
}
