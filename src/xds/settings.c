/* See settings.h. */
#include "xds/settings.h"

#include "base/error.h"
#include "base/time.h"
#include "codec/number.h"

const struct value *setting_get(const struct settings *s, const char *key) {
    const struct value *v = value_get(s->config, key);
    if (s->config == NULL || s->config->kind != VALUE_MAP)
        return NULL;
    for (size_t i = 0; v == NULL && i < s->config->map.len; i++)
        if (str_eq_fold(s->config->map.pairs[i].key, str_from(key)))
            v = &s->config->map.pairs[i].value;
    return v != NULL && v->kind != VALUE_NULL ? v : NULL;
}

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
    s->unreadable = true;
    return otherwise;
}

int64_t setting_i64(struct settings *s, const char *key, int64_t otherwise) {
    const struct value *v = setting_get(s, key);
    int64_t n;
    if (v == NULL)
        return otherwise;
    if (as_i64(v, &n))
        return n;
    s->unreadable = true;
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
    s->unreadable = true;
    return false;
}

int64_t setting_duration(struct settings *s, const char *key, int64_t otherwise) {
    const struct value *v = setting_get(s, key);
    struct error ignored = ERROR_IN(s->arena);
    int64_t ns;
    if (v == NULL)
        return otherwise;
    if (v->kind == VALUE_STRING ? duration_parse(v->string, &ns, &ignored) : as_i64(v, &ns))
        return ns;
    s->unreadable = true;
    return otherwise;
}

int64_t setting_ms(struct settings *s, const char *key, int64_t otherwise) {
    int64_t ms = setting_i64(s, key, 0);
    return ms >= 1 && ms <= INT64_MAX / MILLISECOND ? ms * MILLISECOND : otherwise;
}

struct str setting_protocol(struct settings *s) {
    return str_lower(s->arena, setting_str(s, "protocol", STR("")));
}
