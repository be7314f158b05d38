/* See settings.h. */
#include "xds/settings.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/time.h"
#include "codec/number.h"

const struct value *setting_get(const struct settings *s, const char *key) {
    const struct value *v = value_get(s->config, key);
    if (s->config == NULL || s->config->kind != VALUE_MAP)
        return NULL;
    for (size_t i = 0; v == NULL && i < s->config->map.len; i++)
        if (str_eq_fold(s->config->map.pairs[i].key, str_from(key)))
            v = &s->config->map.pairs[i].value;
    if (v != NULL && v->kind == VALUE_LIST && v->list.len == 1)
        v = &v->list.items[0];
    return v != NULL && v->kind != VALUE_NULL ? v : NULL;
}

/* ---- problems ---- */

static void problem(struct settings *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void problem(struct settings *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    trees_add(&s->problems, tree_text(str_vformat(s->arena, format, args)), s->arena);
    va_end(args);
}

/* As the peer's language names the kinds of JSON. */
static void wrong_kind(struct settings *s, const char *key, const char *wanted,
                       const struct value *v) {
    static const char *const kinds[] = {
        [VALUE_BOOL] = "bool",
        [VALUE_INT] = "float64",
        [VALUE_UINT] = "float64",
        [VALUE_FLOAT] = "float64",
        [VALUE_STRING] = "string",
        [VALUE_LIST] = "[]interface {}",
        [VALUE_MAP] = "map[string]interface {}",
    };
    problem(s, "'%s' expected type '%s', got unconvertible type '%s'", key, wanted, kinds[v->kind]);
}

static void unparsable(struct settings *s, const char *key, const char *wanted,
                       const char *function, const struct value *v, const char *why) {
    problem(s, "cannot parse '%s' as %s: strconv.%s: parsing " STR_FMT ": %s", key, wanted,
            function, STR_ARG(str_quote(s->arena, v->string)), why);
}

static int by_text(const void *a, const void *b) {
    return str_compare(((const struct value *)a)->string, ((const struct value *)b)->string);
}

bool settings_are_fine(const struct settings *s, struct error *e) {
    struct buf text = BUF_INIT;
    if (s->problems.len == 0)
        return true;
    qsort(s->problems.items, s->problems.len, sizeof(struct value), by_text);
    buf_add_format(&text, "%zu error(s) decoding:\n", s->problems.len);
    for (size_t i = 0; i < s->problems.len; i++)
        buf_add_format(&text, "\n* " STR_FMT, STR_ARG(s->problems.items[i].string));
    error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}

struct settings settings_enter(struct settings *s, const char *key) {
    const struct value *v = setting_get(s, key);
    if (v != NULL && v->kind != VALUE_MAP)
        problem(s, "'%s' expected a map, got '%s'", key,
                v->kind == VALUE_STRING ? "string"
                : v->kind == VALUE_LIST ? "slice"
                                        : "float64");
    return (struct settings){.config = v, .arena = s->arena};
}

void settings_leave(struct settings *s, const struct settings *inner) {
    for (size_t i = 0; i < inner->problems.len; i++)
        trees_add(&s->problems, inner->problems.items[i], s->arena);
}

/* ---- values ---- */

static bool as_i64(const struct value *v, int64_t *out) {
    switch (v->kind) {
    case VALUE_INT:
        *out = v->integer;
        return true;
    case VALUE_UINT:
        *out = (int64_t)v->uinteger;
        return v->uinteger <= INT64_MAX;
    case VALUE_FLOAT:
        *out = number_i64_of(v->number);
        return true;
    case VALUE_BOOL:
        *out = v->boolean;
        return true;
    case VALUE_STRING:
        return number_parse_i64(v->string, out) == NULL;
    default:
        return false;
    }
}

struct str setting_str(struct settings *s, const char *key, struct str otherwise) {
    const struct value *v = setting_get(s, key);
    int64_t n;
    if (v == NULL)
        return otherwise;
    if (v->kind == VALUE_STRING)
        return v->string;
    if (v->kind == VALUE_FLOAT)
        return number_f64_text(s->arena, v->number);
    if (as_i64(v, &n))
        return str_format(s->arena, "%lld", (long long)n);
    wrong_kind(s, key, "string", v);
    return otherwise;
}

int64_t setting_i64(struct settings *s, const char *key, int64_t otherwise) {
    const struct value *v = setting_get(s, key);
    int64_t n;
    if (v == NULL)
        return otherwise;
    if (as_i64(v, &n))
        return n;
    if (v->kind == VALUE_STRING)
        unparsable(s, key, "int", "ParseInt", v, number_parse_i64(v->string, &n));
    else
        wrong_kind(s, key, "int", v);
    return otherwise;
}

bool setting_bool(struct settings *s, const char *key) {
    const struct value *v = setting_get(s, key);
    bool b = false;
    int64_t n = 0;
    if (v == NULL)
        return false;
    if (v->kind == VALUE_STRING && (v->string.len == 0 || str_to_bool(v->string, &b)))
        return b;
    if (v->kind != VALUE_STRING && as_i64(v, &n))
        return n != 0;
    if (v->kind == VALUE_STRING)
        unparsable(s, key, "bool", "ParseBool", v, "invalid syntax");
    else
        wrong_kind(s, key, "bool", v);
    return false;
}

int64_t setting_duration(struct settings *s, const char *key, int64_t otherwise) {
    const struct value *v = setting_get(s, key);
    struct error e = ERROR_IN(s->arena);
    int64_t ns;
    if (v == NULL)
        return otherwise;
    if (v->kind == VALUE_STRING ? duration_parse(v->string, &ns, &e) : as_i64(v, &ns))
        return ns;
    if (v->kind == VALUE_STRING)
        problem(s, "error decoding '%s': " STR_FMT, key, STR_ARG(e.text));
    else
        wrong_kind(s, key, "time.Duration", v);
    return otherwise;
}

int64_t setting_ms(struct settings *s, const char *key, int64_t otherwise) {
    int64_t ms = setting_i64(s, key, 0);
    return ms >= 1 && ms <= INT64_MAX / MILLISECOND ? ms * MILLISECOND : otherwise;
}

struct str setting_protocol(struct settings *s) {
    return str_lower(s->arena, setting_str(s, "protocol", STR("")));
}
