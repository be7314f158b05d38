/* See config_entry_values.h. */
#include "schema/config_entry_values.h"

#include "base/mem.h"
#include "base/time.h"
#include "codec/hcl.h"
#include "codec/number.h"

/* ---- what is told ---- */

#define TOLD_MOST 1000 /* of wrong values, and of unknown keys */

void texts_keep(struct reader *r, struct texts *t, struct str text) {
    if (t->len == TOLD_MOST)
        return;
    if (t->len == t->cap) {
        t->cap = t->cap > 0 ? 2 * t->cap : 8;
        struct str *items = ARENA_ARRAY(r->arena, struct str, t->cap);
        if (t->len > 0)
            memcpy(items, t->items, t->len * sizeof(*items));
        t->items = items;
    }
    t->items[t->len++] = text;
}

static void path_write(struct buf *out, const struct path *path) {
    if (path == NULL)
        return;
    path_write(out, path->outer);
    if (path->kind == PATH_INDEX)
        buf_add_format(out, "[%zu]", path->index);
    else if (path->kind == PATH_KEY)
        buf_add_format(out, "[" STR_FMT "]", STR_ARG(path->name));
    else
        buf_add_format(out, "%s" STR_FMT, path->outer != NULL ? "." : "", STR_ARG(path->name));
}

struct str path_text(struct reader *r, const struct path *path) {
    struct buf text = BUF_INIT;
    path_write(&text, path);
    struct str out = str_copy(r->arena, buf_str(&text));
    buf_free(&text);
    return out;
}

static void tell_unconvertible(struct reader *r, const struct path *path, const char *wanted,
                               const struct value *v) {
    texts_keep(r, &r->wrong,
               str_format(r->arena, "'" STR_FMT "' expected type '%s', got unconvertible type '%s'",
                          STR_ARG(path_text(r, path)), wanted, hcl_type_name(v)));
}

void tell_no_map(struct reader *r, const struct path *path, const struct value *v) {
    texts_keep(r, &r->wrong,
               str_format(r->arena, "'" STR_FMT "' expected a map, got '%s'",
                          STR_ARG(path_text(r, path)),
                          v->kind == VALUE_LIST ? "slice" : hcl_type_name(v)));
}

/* function: of the peer's library, "Int" for ParseInt. */
static void tell_unparsed(struct reader *r, const struct path *path, const char *type,
                          const char *function, struct str text, const char *why) {
    texts_keep(
        r, &r->wrong,
        str_format(
            r->arena, "cannot parse '" STR_FMT "' as %s: strconv.Parse%s: parsing " STR_FMT ": %s",
            STR_ARG(path_text(r, path)), type, function, STR_ARG(str_quote(r->arena, text)), why));
}

/* ---- scalars ---- */

/* As the processor does it. */
static uint64_t uint_of_float(double n) {
    if (n < 0x1p63)
        return (uint64_t)number_i64_of(n);
    return (uint64_t)number_i64_of(n - 0x1p63) ^ (uint64_t)INT64_MIN;
}

void read_str(struct reader *r, const struct path *path, const struct value *v, const char *type,
              struct str *out) {
    switch (v->kind) {
    case VALUE_STRING:
        *out = v->string;
        break;
    case VALUE_BOOL:
        *out = v->boolean ? STR("1") : STR("0");
        break;
    case VALUE_INT:
        *out = str_format(r->arena, "%lld", (long long)v->integer);
        break;
    case VALUE_UINT:
        *out = str_format(r->arena, "%llu", (unsigned long long)v->uinteger);
        break;
    case VALUE_FLOAT:
        *out = number_f64_text(r->arena, v->number);
        break;
    default:
        tell_unconvertible(r, path, type, v);
    }
}

void read_bool(struct reader *r, const struct path *path, const struct value *v, bool *out) {
    switch (v->kind) {
    case VALUE_STRING:
        if (v->string.len > 0 && !str_to_bool(v->string, out))
            tell_unparsed(r, path, "bool", "Bool", v->string, "invalid syntax");
        break;
    case VALUE_BOOL:
        *out = v->boolean;
        break;
    case VALUE_INT:
        *out = v->integer != 0;
        break;
    case VALUE_UINT:
        *out = v->uinteger != 0;
        break;
    case VALUE_FLOAT:
        *out = v->number != 0;
        break;
    default:
        tell_unconvertible(r, path, "bool", v);
    }
}

void read_int(struct reader *r, const struct path *path, const struct value *v, const char *type,
              int64_t *out) {
    const char *why;
    switch (v->kind) {
    case VALUE_STRING:
        why = number_parse_i64(v->string, out);
        if (why != NULL)
            tell_unparsed(r, path, "int", "Int", v->string, why);
        break;
    case VALUE_BOOL:
        *out = v->boolean;
        break;
    case VALUE_INT:
        *out = v->integer;
        break;
    case VALUE_UINT:
        *out = (int64_t)v->uinteger;
        break;
    case VALUE_FLOAT:
        *out = number_i64_of(v->number);
        break;
    default:
        tell_unconvertible(r, path, type, v);
    }
}

void read_uint(struct reader *r, const struct path *path, const struct value *v, uint64_t *out) {
    const char *why;
    switch (v->kind) {
    case VALUE_STRING:
        why = number_parse_u64(v->string, out);
        if (why == NULL && *out > UINT32_MAX)
            why = "value out of range";
        if (why != NULL)
            tell_unparsed(r, path, "uint", "Uint", v->string, why);
        break;
    case VALUE_BOOL:
        *out = v->boolean;
        break;
    case VALUE_INT:
        *out = (uint64_t)v->integer;
        break;
    case VALUE_UINT:
        *out = v->uinteger;
        break;
    case VALUE_FLOAT:
        *out = uint_of_float(v->number);
        break;
    default:
        tell_unconvertible(r, path, "uint32", v);
    }
    *out &= UINT32_MAX;
}

void read_f32(struct reader *r, const struct path *path, const struct value *v, float *out) {
    const char *why;
    switch (v->kind) {
    case VALUE_STRING:
        why = number_parse_f32(v->string, out);
        if (why != NULL)
            tell_unparsed(r, path, "float", "Float", v->string, why);
        break;
    case VALUE_BOOL:
        *out = v->boolean;
        break;
    case VALUE_INT:
        *out = (float)v->integer;
        break;
    case VALUE_UINT:
        *out = (float)v->uinteger;
        break;
    case VALUE_FLOAT:
        *out = (float)v->number;
        break;
    default:
        tell_unconvertible(r, path, "float32", v);
    }
}

void read_duration(struct reader *r, const struct path *path, const struct value *v, int64_t *out) {
    struct error why = ERROR_IN(r->arena);
    if (v->kind != VALUE_STRING) {
        read_int(r, path, v, "time.Duration", out);
    } else if (!duration_parse(v->string, out, &why)) {
        *out = 0;
        texts_keep(r, &r->wrong,
                   str_format(r->arena, "error decoding '" STR_FMT "': " STR_FMT,
                              STR_ARG(path_text(r, path)), STR_ARG(why.text)));
    }
}
