/* See message.h. */
#include "xds/message.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/base64.h"
#include "codec/protobuf.h"

struct writer {
    struct buf *out;
    struct error *e;
    const struct envoy_message *message; /* for texts */
    const struct envoy_field *field;
    unsigned depth;
};

static bool encode(struct writer *w, const struct envoy_message *m, const struct value *tree);

static bool wrong(const struct writer *w, const char *what) {
    return error_set(w->e, ERROR_INTERNAL, "%s.%s: %s", w->message->name, w->field->name, what);
}

/* As the peer's language says that JSON is of another kind. */
static bool wrong_kind(const struct writer *w, const struct value *v, const char *wanted) {
    static const char *const kinds[] = {
        [VALUE_NULL] = "null",   [VALUE_BOOL] = "bool",    [VALUE_INT] = "number",
        [VALUE_UINT] = "number", [VALUE_FLOAT] = "number", [VALUE_STRING] = "string",
        [VALUE_LIST] = "array",  [VALUE_MAP] = "object",
    };
    return error_set(w->e, ERROR_INTERNAL, "json: cannot unmarshal %s into Go value of type %s",
                     kinds[v->kind], wanted);
}

#define GO_MAP "map[string]*json.RawMessage"

static bool wrong_enum(const struct writer *w, const struct envoy_field *f, const struct value *v) {
    if (v->kind != VALUE_STRING)
        return wrong_kind(w, v, "int32");
    return error_set(w->e, ERROR_INTERNAL, "unknown value \"" STR_FMT "\" for enum %s",
                     STR_ARG(v->string), f->names->name);
}

/* ---- names ---- */

/* "socket_address" is also "socketAddress". */
static bool name_is(const char *name, struct str key) {
    size_t at = 0;
    if (str_is(key, name))
        return true;
    for (const char *p = name; *p != '\0'; p++, at++) {
        char c = *p;
        if (c == '_' && p[1] != '\0') {
            p++;
            c = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        }
        if (at >= key.len || key.data[at] != c)
            return false;
    }
    return at == key.len;
}

struct value *message_get(const struct value *tree, const char *name) {
    if (tree == NULL || tree->kind != VALUE_MAP)
        return NULL;
    for (size_t i = tree->map.len; i > 0; i--) {
        struct value_pair *pair = &tree->map.pairs[i - 1];
        if (name_is(name, pair->key))
            return pair->value.kind == VALUE_NULL ? NULL : &pair->value;
    }
    return NULL;
}

void message_set(struct value *tree, const char *name, struct value v, struct arena *arena) {
    size_t kept = 0;
    for (size_t i = 0; i < tree->map.len; i++)
        if (!name_is(name, tree->map.pairs[i].key))
            tree->map.pairs[kept++] = tree->map.pairs[i];
    tree->map.len = kept;
    value_put(tree, str_from(name), v, arena);
}

/* ---- numbers ---- */

/* What a JSON number, or the text of one, is as a whole number. */
static bool whole(const struct value *v, int64_t *out) {
    switch (v->kind) {
    case VALUE_INT:
        *out = v->integer;
        return true;
    case VALUE_UINT:
        *out = (int64_t)v->uinteger;
        return v->uinteger <= INT64_MAX;
    case VALUE_FLOAT:
        if (!(v->number >= -9007199254740992.0 && v->number <= 9007199254740992.0) ||
            floor(v->number) != v->number)
            return false;
        *out = (int64_t)v->number;
        return true;
    case VALUE_STRING:
        return str_to_i64(v->string, out);
    default:
        return false;
    }
}

static bool real(const struct value *v, double *out) {
    char text[64], *end;
    switch (v->kind) {
    case VALUE_INT:
        *out = (double)v->integer;
        return true;
    case VALUE_UINT:
        *out = (double)v->uinteger;
        return true;
    case VALUE_FLOAT:
        *out = v->number;
        return true;
    case VALUE_STRING:
        if (v->string.len == 0 || v->string.len >= sizeof text)
            return false;
        memcpy(text, v->string.data, v->string.len);
        text[v->string.len] = '\0';
        *out = strtod(text, &end);
        return *end == '\0';
    default:
        return false;
    }
}

static bool enum_number(const struct envoy_field *f, const struct value *v, int64_t *out) {
    if (v->kind != VALUE_STRING)
        return whole(v, out);
    for (const struct envoy_enum_value *n = f->names->values; n->name != NULL; n++) {
        if (str_is(v->string, n->name)) {
            *out = n->number;
            return true;
        }
    }
    return false;
}

/* ---- scalars ---- */

static bool add_real(struct writer *w, const struct envoy_field *f, const struct value *v,
                     unsigned number, bool always) {
    double d;
    if (!real(v, &d))
        return wrong_kind(w, v, f->kind == MESSAGE_DOUBLE ? "float64" : "float32");
    if (d == 0 && !always)
        return true;
    if (f->kind == MESSAGE_DOUBLE)
        pb_add_f64(w->out, number, d);
    else
        pb_add_f32(w->out, number, (float)d);
    return true;
}

static bool add_text(struct writer *w, const struct envoy_field *f, const struct value *v,
                     unsigned number, bool always) {
    struct arena arena = ARENA_INIT;
    struct str bytes;
    if (v->kind != VALUE_STRING)
        return wrong_kind(w, v, "string");
    struct error e = ERROR_IN(&arena);
    bytes = v->string;
    bool ok = f->kind != MESSAGE_BYTES || base64_decode(v->string, &bytes, &arena, &e);
    if (ok && (bytes.len > 0 || always))
        pb_add_bytes(w->out, number, bytes);
    arena_free(&arena);
    return ok || wrong(w, "not base64");
}

/* A value that is no message, under that number. */
static bool add_scalar(struct writer *w, const struct envoy_field *f, const struct value *v,
                       unsigned number, bool always) {
    int64_t n;
    bool ok;
    switch (f->kind) {
    case MESSAGE_STRING:
    case MESSAGE_BYTES:
        return add_text(w, f, v, number, always);
    case MESSAGE_BOOL:
        if (v->kind != VALUE_BOOL)
            return wrong_kind(w, v, "bool");
        if (v->boolean || always)
            pb_add_number(w->out, number, v->boolean);
        return true;
    case MESSAGE_DOUBLE:
    case MESSAGE_FLOAT:
        return add_real(w, f, v, number, always);
    default:
        break;
    }
    ok = f->kind == MESSAGE_ENUM ? enum_number(f, v, &n) : whole(v, &n);
    if (!ok && f->kind == MESSAGE_ENUM)
        return wrong_enum(w, f, v);
    if (!ok || (f->kind == MESSAGE_UINT && n < 0))
        return wrong_kind(w, v, f->kind == MESSAGE_UINT ? "uint32" : "int32");
    if (n != 0 || always)
        pb_add_number(w->out, number, (uint64_t)n);
    return true;
}

/* ---- what is known everywhere ---- */

/* "1.5s": as the peer's language writes durations. */
static bool add_duration(struct writer *w, const struct value *v) {
    int64_t ns;
    if (v->kind != VALUE_STRING)
        return wrong_kind(w, v, "string");
    if (!duration_parse(v->string, &ns, w->e))
        return error_prefix(w->e, "bad Duration: ");
    if (ns / SECOND != 0)
        pb_add_number(w->out, 1, (uint64_t)(ns / SECOND));
    if (ns % SECOND != 0)
        pb_add_number(w->out, 2, (uint64_t)(ns % SECOND));
    return true;
}

static bool add_struct(struct writer *w, const struct value *v);

/* google.protobuf.Value: the kind is a oneof, so that also what is zero is sent. */
static bool add_value(struct writer *w, const struct value *v) {
    size_t opened;
    double d;
    if (++w->depth > MESSAGE_DEPTH_MAX)
        return wrong(w, "nested too deep");
    switch (v->kind) {
    case VALUE_NULL:
        pb_add_number(w->out, 1, 0);
        break;
    case VALUE_BOOL:
        pb_add_number(w->out, 4, v->boolean);
        break;
    case VALUE_STRING:
        pb_add_bytes(w->out, 3, v->string);
        break;
    case VALUE_MAP:
        opened = pb_open(w->out, 5);
        if (!add_struct(w, v))
            return false;
        pb_close(w->out, opened);
        break;
    case VALUE_LIST:
        opened = pb_open(w->out, 6);
        for (size_t i = 0; i < v->list.len; i++) {
            size_t item = pb_open(w->out, 1);
            if (!add_value(w, &v->list.items[i]))
                return false;
            pb_close(w->out, item);
        }
        pb_close(w->out, opened);
        break;
    default:
        real(v, &d);
        pb_add_f64(w->out, 2, d);
    }
    w->depth--;
    return true;
}

static bool add_struct(struct writer *w, const struct value *v) {
    if (v->kind != VALUE_MAP)
        return wrong_kind(w, v, GO_MAP);
    for (size_t i = 0; i < v->map.len; i++) {
        const struct value_pair *pair = &v->map.pairs[i];
        if (value_find(v, pair->key) != &pair->value)
            continue; /* a later one counts */
        size_t entry = pb_open(w->out, 1);
        pb_add_bytes(w->out, 1, pair->key);
        size_t value = pb_open(w->out, 2);
        if (!add_value(w, &pair->value))
            return false;
        pb_close(w->out, value);
        pb_close(w->out, entry);
    }
    return true;
}

static bool add_any(struct writer *w, const struct value *v) {
    const struct value *type = value_get(v, "@type");
    if (type == NULL || type->kind != VALUE_STRING)
        return wrong(w, "Any JSON doesn't have '@type'");
    struct str url = type->string, name = url;
    for (struct str rest = url; rest.data != NULL;)
        name = str_cut(&rest, '/');
    const struct envoy_message *m = message_named(name);
    if (m == NULL)
        return error_set(w->e, ERROR_INTERNAL, "unknown message type \"" STR_FMT "\"",
                         STR_ARG(name));
    pb_add_bytes(w->out, 1, url);
    size_t opened = pb_open(w->out, 2);
    if (!encode(w, m, v))
        return false;
    pb_close(w->out, opened);
    return true;
}

/* ---- fields ---- */

static bool is_message(const struct envoy_field *f) {
    return f->kind >= MESSAGE_OF || (f->flags & MESSAGE_WRAPPED) != 0;
}

static bool add_content(struct writer *w, const struct envoy_field *f, const struct value *v) {
    if (f->flags & MESSAGE_WRAPPED && f->kind < MESSAGE_OF)
        return add_scalar(w, f, v, 1, false);
    switch (f->kind) {
    case MESSAGE_DURATION:
        return add_duration(w, v);
    case MESSAGE_STRUCT:
        return add_struct(w, v);
    case MESSAGE_VALUE:
        return add_value(w, v);
    case MESSAGE_ANY:
        return add_any(w, v);
    default:
        return encode(w, f->message, v);
    }
}

/* One value of a field, under a number of the caller's. */
static bool add_numbered(struct writer *w, const struct envoy_field *f, const struct value *v,
                         unsigned number, bool always) {
    if (!is_message(f))
        return add_scalar(w, f, v, number, always);
    size_t opened = pb_open(w->out, number);
    if (!add_content(w, f, v))
        return false;
    pb_close(w->out, opened);
    return true;
}

/* Numbers side by side, without their keys. */
static bool add_packed(struct writer *w, const struct envoy_field *f, const struct value *v) {
    size_t opened = pb_open(w->out, f->number);
    for (size_t i = 0; i < v->list.len; i++) {
        int64_t n;
        const struct value *item = &v->list.items[i];
        if (f->kind == MESSAGE_ENUM ? !enum_number(f, item, &n) : !whole(item, &n))
            return f->kind == MESSAGE_ENUM ? wrong_enum(w, f, item) : wrong_kind(w, item, "uint32");
        pb_add_varint(w->out, (uint64_t)n);
    }
    pb_close(w->out, opened);
    return true;
}

static bool add_list(struct writer *w, const struct envoy_field *f, const struct value *v) {
    if (v->kind != VALUE_LIST)
        return wrong_kind(w, v, "[]json.RawMessage");
    if (v->list.len > 0 &&
        (f->kind == MESSAGE_UINT || f->kind == MESSAGE_INT || f->kind == MESSAGE_ENUM))
        return add_packed(w, f, v);
    for (size_t i = 0; i < v->list.len; i++)
        if (!add_numbered(w, f, &v->list.items[i], f->number, true))
            return false;
    return true;
}

static bool add_map(struct writer *w, const struct envoy_field *f, const struct value *v) {
    if (v->kind != VALUE_MAP)
        return wrong_kind(w, v, GO_MAP);
    for (size_t i = 0; i < v->map.len; i++) {
        size_t entry = pb_open(w->out, f->number);
        pb_add_bytes(w->out, 1, v->map.pairs[i].key);
        if (!add_numbered(w, f, &v->map.pairs[i].value, 2, true))
            return false;
        pb_close(w->out, entry);
    }
    return true;
}

/* "envoy_api_v2.Cluster_EdsClusterConfig": what the peer's language calls it. */
static struct str go_name(const struct envoy_message *m, char *out, size_t size) {
    bool in_package = true;
    size_t len = 0;
    for (const char *p = m->name; *p != '\0' && len < size; p++) {
        bool ends = *p == '.' && in_package && p[1] >= 'A' && p[1] <= 'Z';
        out[len++] = *p == '.' && !ends ? '_' : *p;
        in_package = in_package && !ends;
    }
    return str_of(out, len);
}

/* Nothing is in the tree that the table does not name. */
static bool all_known(struct writer *w, const struct envoy_message *m, const struct value *tree) {
    char name[128];
    for (size_t i = 0; i < tree->map.len; i++) {
        struct str key = tree->map.pairs[i].key;
        bool known = str_is(key, "@type");
        for (size_t j = 0; !known && j < m->count; j++)
            known = name_is(m->fields[j].name, key);
        if (!known)
            return error_set(w->e, ERROR_INTERNAL, "unknown field \"" STR_FMT "\" in " STR_FMT,
                             STR_ARG(key), STR_ARG(go_name(m, name, sizeof name)));
    }
    return true;
}

static bool encode(struct writer *w, const struct envoy_message *m, const struct value *tree) {
    struct writer outer = *w;
    if (tree->kind != VALUE_MAP)
        return wrong_kind(w, tree, GO_MAP);
    if (!all_known(w, m, tree))
        return false;
    w->message = m;
    for (size_t i = 0; i < m->count; i++) {
        const struct envoy_field *f = &m->fields[i];
        const struct value *v = message_get(tree, f->name);
        w->field = f;
        w->depth = outer.depth + 1;
        if (w->depth > MESSAGE_DEPTH_MAX)
            return wrong(w, "nested too deep");
        if (v == NULL)
            continue;
        bool ok = f->flags & MESSAGE_MANY ? add_list(w, f, v)
                  : f->flags & MESSAGE_MAP
                      ? add_map(w, f, v)
                      : add_numbered(w, f, v, f->number, (f->flags & MESSAGE_ONE_OF) != 0);
        if (!ok)
            return false;
        w->message = m;
    }
    *w = outer;
    return true;
}

bool message_encode(struct buf *out, const struct envoy_message *m, const struct value *tree,
                    struct error *e) {
    struct writer w = {.out = out, .e = e, .message = m};
    return encode(&w, m, tree);
}
