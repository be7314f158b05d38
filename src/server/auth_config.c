/* Weak decoding by a table: each value is converted or a problem is noted; the problems are sorted.
 * See auth_config.h. */
#include "server/auth_config.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/number.h"

#define PROBLEMS_MAX 64

struct decoder {
    struct arena *arena;
    struct str problems[PROBLEMS_MAX];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void problem(struct decoder *d, const char *format,
                                                          ...) {
    va_list args;
    va_start(args, format);
    if (d->count < PROBLEMS_MAX)
        d->problems[d->count++] = str_vformat(d->arena, format, args);
    va_end(args);
}

/* A type of the peer's language for what a value holds. */
static const char *type_name(const struct value *v) {
    switch (v->kind) {
    case VALUE_BOOL:
        return "bool";
    case VALUE_INT:
        return "int64";
    case VALUE_UINT:
        return "uint64";
    case VALUE_FLOAT:
        return "float64";
    case VALUE_STRING:
        return "string";
    case VALUE_LIST:
        return "[]interface {}";
    case VALUE_MAP:
        return "map[string]interface {}";
    default:
        return "nil";
    }
}

static struct str text_of(struct decoder *d, const struct value *v, struct str name) {
    switch (v->kind) {
    case VALUE_NULL:
        return STR("");
    case VALUE_STRING:
        return v->string.data != NULL ? v->string : STR("");
    case VALUE_BOOL:
        return v->boolean ? STR("1") : STR("0");
    case VALUE_INT:
        return str_format(d->arena, "%lld", (long long)v->integer);
    case VALUE_UINT:
        return str_format(d->arena, "%llu", (unsigned long long)v->uinteger);
    case VALUE_FLOAT:
        return number_f64_text(d->arena, v->number);
    default:
        problem(d, "'" STR_FMT "' expected type 'string', got unconvertible type '%s'",
                STR_ARG(name), type_name(v));
        return STR("");
    }
}

static void decode_list(struct decoder *d, const struct value *v, struct str name,
                        struct list *out) {
    const struct value *items = v;
    size_t count = 1;
    if (v->kind == VALUE_LIST) {
        items = v->list.items;
        count = v->list.len;
    } else if (v->kind == VALUE_MAP && v->map.len == 0) {
        count = 0;
    }
    *out = LIST_NEW(d->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        struct str item = str_format(d->arena, STR_FMT "[%zu]", STR_ARG(name), i);
        LIST_AT(*out, struct str, i) = text_of(d, &items[i], item);
    }
}

static void add_pairs(struct decoder *d, const struct value *v, struct str name,
                      struct list *pairs) {
    for (size_t i = 0; i < v->map.len; i++) {
        const struct value_pair *p = &v->map.pairs[i];
        struct str item =
            str_format(d->arena, STR_FMT "[" STR_FMT "]", STR_ARG(name), STR_ARG(p->key));
        LIST_AT(*pairs, struct str_pair, pairs->len) =
            (struct str_pair){p->key, text_of(d, &p->value, item)};
        pairs->len++;
    }
}

static const char *kind_name(const struct value *v) {
    return v->kind == VALUE_LIST ? "slice" : type_name(v);
}

/* A list of maps is all of them, the later ones winning. */
static void decode_map(struct decoder *d, const struct value *v, struct str name,
                       struct list *out) {
    if (v->kind != VALUE_MAP && v->kind != VALUE_LIST) {
        problem(d, "'" STR_FMT "' expected a map, got '%s'", STR_ARG(name), kind_name(v));
        return;
    }
    size_t total = v->kind == VALUE_MAP ? v->map.len : 0;
    for (size_t i = 0; v->kind == VALUE_LIST && i < v->list.len; i++)
        if (v->list.items[i].kind == VALUE_MAP)
            total += v->list.items[i].map.len;
    *out = LIST_NEW(d->arena, struct str_pair, total);
    out->len = 0;
    if (v->kind == VALUE_MAP)
        add_pairs(d, v, name, out);
    for (size_t i = 0; v->kind == VALUE_LIST && i < v->list.len; i++) {
        const struct value *item = &v->list.items[i];
        struct str item_name = str_format(d->arena, STR_FMT "[%zu]", STR_ARG(name), i);
        if (item->kind == VALUE_MAP)
            add_pairs(d, item, item_name, out);
        else if (item->kind != VALUE_NULL && !(item->kind == VALUE_LIST && item->list.len == 0))
            problem(d, "'" STR_FMT "' expected a map, got '%s'", STR_ARG(item_name),
                    kind_name(item));
    }
    map_sort(out, sizeof(struct str_pair), d->arena);
}

static void decode_time(struct decoder *d, const struct value *v, struct str name, int64_t *out) {
    const char *wrong = NULL;
    switch (v->kind) {
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
    case VALUE_STRING:
        wrong = number_parse_i64(v->string, out);
        if (wrong != NULL)
            problem(d,
                    "cannot parse '" STR_FMT "' as int: strconv.ParseInt: parsing " STR_FMT ": %s",
                    STR_ARG(name), STR_ARG(str_quote(d->arena, v->string)), wrong);
        break;
    default:
        problem(d, "'" STR_FMT "' expected type 'time.Duration', got unconvertible type '%s'",
                STR_ARG(name), type_name(v));
    }
}

static void decode_key(struct decoder *d, const struct auth_config_key *key, const struct value *v,
                       void *out) {
    void *place = (char *)out + key->offset;
    struct str name = str_from(key->name);
    if (v->kind == VALUE_NULL)
        return;
    switch (key->kind) {
    case AUTH_CONFIG_TEXT:
        *(struct str *)place = text_of(d, v, name);
        break;
    case AUTH_CONFIG_LIST:
        decode_list(d, v, name, place);
        break;
    case AUTH_CONFIG_MAP:
        decode_map(d, v, name, place);
        break;
    case AUTH_CONFIG_TIME:
        decode_time(d, v, name, place);
        break;
    }
}

/* The pair for a key: the exact name, else the first in another case. */
static ptrdiff_t find_pair(const struct value *config, const char *name) {
    ptrdiff_t other = -1;
    for (size_t i = config->map.len; i-- > 0;) {
        struct str key = config->map.pairs[i].key;
        if (str_is(key, name))
            return (ptrdiff_t)i;
        if (str_eq_fold(key, str_from(name)))
            other = (ptrdiff_t)i;
    }
    return other;
}

static int by_text(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void join(struct buf *out, struct str *items, size_t count, const char *before,
                 const char *between) {
    qsort(items, count, sizeof(items[0]), by_text);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_text(out, between);
        buf_add_text(out, before);
        buf_add_str(out, items[i]);
    }
}

static void check_unused(struct decoder *d, const struct value *config, const bool *used) {
    struct str *unused = ARENA_ARRAY(d->arena, struct str, config->map.len);
    size_t count = 0;
    for (size_t i = 0; i < config->map.len; i++)
        if (!used[i])
            unused[count++] = config->map.pairs[i].key;
    if (count == 0)
        return;
    struct buf names = BUF_INIT;
    join(&names, unused, count, "", ", ");
    problem(d, "'' has invalid keys: " STR_FMT, STR_ARG(buf_str(&names)));
    buf_free(&names);
}

bool auth_config_decode(const struct value *config, const struct auth_config_key *keys,
                        size_t count, void *out, struct arena *arena, struct error *e) {
    if (config == NULL || config->kind != VALUE_MAP)
        return true;
    struct decoder d = {.arena = arena};
    bool *used = ARENA_ARRAY(arena, bool, config->map.len);
    for (size_t i = 0; i < count; i++) {
        ptrdiff_t at = find_pair(config, keys[i].name);
        if (at < 0)
            continue;
        decode_key(&d, &keys[i], &config->map.pairs[at].value, out);
        for (size_t j = 0; j < config->map.len; j++) /* and the same key again */
            used[j] |= str_eq(config->map.pairs[j].key, config->map.pairs[at].key);
    }
    check_unused(&d, config, used);
    if (d.count == 0)
        return true;
    struct buf text = BUF_INIT;
    join(&text, d.problems, d.count, "* ", "\n");
    error_set(e, ERROR_INTERNAL, "error decoding config: %zu error(s) decoding:\n\n" STR_FMT,
              d.count, STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}
