/* JSON to structures, with the rules and the texts of the peer's decoder (http-core.md 5.3).
 *
 * Its ways that show: an object is decoded to its end even after an error, and the first error
 * counts; a structure that decodes itself (SHAPE_OWN_JSON) is decoded apart, with paths that begin
 * in it, and an error in it ends everything at once and is told with the path of the field that
 * holds it; null leaves plain fields alone and makes nil of pointers, lists and maps; a list given
 * twice is replaced, a map or structure given twice is merged.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/number.h"
#include "schema/plan.h"

#define PATH_MAX_DEPTH                                                                             \
    16 /* nested fields of one context: bounded by the tables, not by the input */
#define MAX_ALIASES 8

/* A structure takes far more room than the "{}" that asks for it, and a map that is given again and
 * again is merged each time; what real bodies hold takes a few times their size. */
#define MEMORY_FACTOR 64
#define MEMORY_ALLOWANCE ((size_t)1 << 20)

/* What went wrong first. A type error keeps its parts, since an outer context retells it. */
struct failure {
    bool set;
    bool fatal;       /* ends the decoding; wins over what was there before */
    const char *type; /* of a type error: what was wanted; NULL: text is the whole error */
    struct str value; /* what was there */
    struct str text;
    const char *record; /* innermost structure, or NULL outside of any field */
    struct str path;
};

struct context {
    struct arena *arena;
    size_t arena_limit;
    bool strict;
    const char *record;
    const char *path[PATH_MAX_DEPTH];
    int path_len;
    struct failure failure;
};

static void decode_value(struct context *c, const struct value *json, const struct type *type,
                         unsigned flags, const char *go, void *object);

/* ---- errors ---- */

static struct str joined_path(const struct context *c) {
    struct buf b = BUF_INIT;
    for (int i = 0; i < c->path_len; i++) {
        if (i > 0) {
            buf_add_char(&b, '.');
        }
        buf_add_text(&b, c->path[i]);
    }
    struct str path = str_copy(c->arena, buf_str(&b));
    buf_free(&b);
    return path;
}

static bool is_open(const struct context *c) {
    return !c->failure.set;
}

static void type_error(struct context *c, struct str value, const char *type) {
    if (is_open(c)) {
        c->failure = (struct failure){
            .set = true, .type = type, .value = value, .record = c->record, .path = joined_path(c)};
    }
}

static void text_error(struct context *c, struct str text, bool fatal) {
    if (is_open(c) || (fatal && !c->failure.fatal)) {
        c->failure = (struct failure){.set = true, .fatal = fatal, .text = text};
    }
}

/* Cleared memory, or NULL when the body has had enough: the decoding is then over. */
static void *take_memory(struct context *c, size_t n, size_t size) {
    size_t bytes = n * size; /* n is at most the body's length, sizes are small */
    if (bytes > c->arena_limit || c->arena->total > c->arena_limit - bytes) {
        text_error(c, STR("body needs too much memory"), true);
        return NULL;
    }
    return arena_zalloc(c->arena, n, size);
}

static bool is_over(const struct context *c) {
    return c->failure.fatal;
}

static struct str kind_name(const struct value *json) {
    switch (json->kind) {
    case VALUE_STRING:
        return STR("string");
    case VALUE_BOOL:
        return STR("bool");
    case VALUE_LIST:
        return STR("array");
    case VALUE_MAP:
        return STR("object");
    case VALUE_NULL:
        return STR("null");
    default:
        return STR("number");
    }
}

static bool report(const struct context *c, struct error *e) {
    const struct failure *f = &c->failure;
    if (!f->set) {
        return true;
    }
    if (f->type == NULL) {
        return error_set(e, ERROR_BAD_REQUEST, STR_FMT, STR_ARG(f->text));
    }
    if (f->record == NULL) {
        return error_set(e, ERROR_BAD_REQUEST,
                         "json: cannot unmarshal " STR_FMT " into Go value of type %s",
                         STR_ARG(f->value), f->type);
    }
    return error_set(e, ERROR_BAD_REQUEST,
                     "json: cannot unmarshal " STR_FMT " into Go struct field %s." STR_FMT
                     " of type %s",
                     STR_ARG(f->value), f->record, STR_ARG(f->path), f->type);
}

/* ---- names of types ---- */

static const char *format(struct context *c, const char *before, const char *name) {
    return str_format(c->arena, "%s%s", before, name).data;
}

/* go: the field's own name for the type, or NULL. */
static const char *type_name(struct context *c, const struct type *type, unsigned flags,
                             const char *go) {
    if (go != NULL) {
        return go;
    }
    switch (type->kind) {
    case KIND_STR:
        return "string";
    case KIND_BYTES:
        return "[]uint8";
    case KIND_BOOL:
        return "bool";
    case KIND_INT:
        return "int";
    case KIND_UINT:
        return "uint64";
    case KIND_DUR:
        return "time.Duration";
    case KIND_TIME:
        return "time.Time";
    case KIND_F64:
        return "float64";
    case KIND_F32:
        return "float32";
    case KIND_ANY:
        return flags & FIELD_MAP_ONLY ? "map[string]interface {}" : "interface {}";
    case KIND_STRUCT:
    case KIND_PTR:
        return type->shape->go != NULL ? type->shape->go : format(c, "structs.", type->shape->name);
    case KIND_LIST:
        return format(c, type->elem->kind == KIND_PTR ? "[]*" : "[]",
                      type_name(c, type->elem, 0, NULL));
    case KIND_MAP:
        return format(c, type->elem->kind == KIND_PTR ? "map[string]*" : "map[string]",
                      type_name(c, type->elem, 0, NULL));
    }
    return "?";
}

/* "[]types.CheckID" names its elements too; a named list ("structs.HealthChecks") does not. */
static const char *element_name(const char *go, const char *prefix) {
    size_t len = strlen(prefix);
    if (go == NULL || strncmp(go, prefix, len) != 0) {
        return NULL;
    }
    go += len;
    return *go == '*' ? go + 1 : go;
}

static void wrong_type(struct context *c, const struct value *json, const struct type *type,
                       unsigned flags, const char *go) {
    type_error(c, kind_name(json), type_name(c, type, flags, go));
}

static void bad_number(struct context *c, const struct value *json, const char *type) {
    struct str text = str_format(c->arena, "number " STR_FMT, STR_ARG(json->literal));
    type_error(c, text, type);
}

/* ---- numbers and texts ---- */

static void decode_int(struct context *c, const struct value *json, const struct type *type,
                       const char *go, int64_t *out) {
    int64_t n;
    if (json->kind != VALUE_FLOAT) {
        wrong_type(c, json, type, 0, go);
    } else if (!str_to_i64(json->literal, &n)) {
        bad_number(c, json, type_name(c, type, 0, go));
    } else {
        *out = n;
    }
}

static uint64_t most_of(const char *go) {
    if (go != NULL && strcmp(go, "uint8") == 0) {
        return UINT8_MAX;
    }
    if (go != NULL && strcmp(go, "uint32") == 0) {
        return UINT32_MAX;
    }
    return UINT64_MAX;
}

static void decode_uint(struct context *c, const struct value *json, const struct type *type,
                        const char *go, uint64_t *out) {
    uint64_t n;
    if (json->kind != VALUE_FLOAT) {
        wrong_type(c, json, type, 0, go);
    } else if (!str_to_u64(json->literal, &n) || n > most_of(go)) {
        bad_number(c, json, type_name(c, type, 0, go));
    } else {
        *out = n;
    }
}

static void decode_float(struct context *c, const struct value *json, const struct type *type,
                         void *out) {
    bool single = type->kind == KIND_F32;
    if (json->kind != VALUE_FLOAT) {
        wrong_type(c, json, type, 0, NULL);
    } else if (!isfinite(json->number) || (single && !isfinite((float)json->number))) {
        bad_number(c, json, single ? "float32" : "float64");
    } else if (single) {
        *(float *)out = (float)json->number;
    } else {
        *(double *)out = json->number;
    }
}

/* Bytes may also be a list of their numbers. */
static void decode_byte_list(struct context *c, const struct value *json, struct str *out) {
    uint8_t *bytes = arena_alloc(c->arena, json->list.len + 1);
    for (size_t i = 0; i < json->list.len; i++) {
        const struct value *item = &json->list.items[i];
        uint64_t n = 0;
        if (item->kind != VALUE_NULL) {
            decode_uint(c, item, NULL, "uint8", &n);
        }
        bytes[i] = (uint8_t)n;
    }
    *out = str_of(bytes, json->list.len);
}

static void decode_bytes(struct context *c, const struct value *json, struct str *out) {
    if (json->kind == VALUE_LIST) {
        decode_byte_list(c, json, out);
        return;
    }
    if (json->kind != VALUE_STRING) {
        type_error(c, kind_name(json), "[]uint8");
        return;
    }
    struct error e = ERROR_IN(c->arena);
    struct str bytes;
    if (base64_decode(json->string, &bytes, c->arena, &e)) {
        *out = bytes;
    } else {
        text_error(c, e.text, false);
    }
}

static bool parse_duration(struct context *c, struct str text, int64_t *out) {
    struct error e = ERROR_IN(c->arena);
    if (duration_parse(text, out, &e)) {
        return true;
    }
    text_error(c, e.text, true);
    return false;
}

/* FIELD_DUR_ANY: other kinds are passed over. */
static void decode_any_duration(struct context *c, const struct value *json, int64_t *out) {
    if (json->kind == VALUE_FLOAT) {
        *out = number_i64_of(json->number);
    } else if (json->kind == VALUE_STRING) {
        parse_duration(c, json->string, out);
    }
}

/* FIELD_DUR_READABLE: the peer looks at the text of the value, escapes and all. */
static void decode_readable_duration(struct context *c, const struct value *json, int64_t *out) {
    if (json->kind == VALUE_STRING) {
        parse_duration(c, str_sub(json->literal, 1, json->literal.len - 2), out);
        return;
    }
    if (json->kind == VALUE_FLOAT && isfinite(json->number)) {
        *out = number_i64_of(json->number);
        return;
    }
    text_error(c,
               str_format(c->arena, "strconv.ParseFloat: parsing " STR_FMT ": %s",
                          STR_ARG(str_quote(c->arena, json->literal)),
                          json->kind == VALUE_FLOAT ? "value out of range" : "invalid syntax"),
               true);
}

static void decode_duration(struct context *c, const struct value *json, const struct type *type,
                            unsigned flags, const char *go, int64_t *out) {
    if (flags & FIELD_DUR_READABLE) {
        decode_readable_duration(c, json, out);
    } else if (flags & FIELD_DUR_ANY) {
        decode_any_duration(c, json, out);
    } else {
        decode_int(c, json, type, go, out);
    }
}

/* The peer looks at the text of the value, quotes, escapes and all. */
static void decode_time(struct context *c, const struct value *json, struct timestamp *out) {
    struct error e = ERROR_IN(c->arena);
    if (json->kind != VALUE_STRING) {
        error_set(&e, ERROR_BAD_REQUEST,
                  "parsing time \"" STR_FMT
                  "\" as \"\"2006-01-02T15:04:05Z07:00\"\": cannot parse \"" STR_FMT "\" as \"\"\"",
                  STR_ARG(json->literal), STR_ARG(json->literal));
    } else if (timestamp_parse(json->literal, out, &e)) {
        return;
    }
    text_error(c, e.text, true);
}

/* ---- free-form content ---- */

/* As the peer holds it: numbers in range, keys of a map once. */
static void copy_free(struct context *c, const struct value *from, struct value *to) {
    *to = (struct value){.kind = from->kind};
    switch (from->kind) {
    case VALUE_FLOAT:
        to->number = from->number;
        if (!isfinite(from->number)) {
            bad_number(c, from, "float64");
        }
        break;
    case VALUE_STRING:
        to->string = str_copy(c->arena, from->string);
        break;
    case VALUE_LIST:
        to->list.len = from->list.len;
        to->list.items = ARENA_ARRAY(c->arena, struct value, from->list.len);
        for (size_t i = 0; i < from->list.len; i++) {
            copy_free(c, &from->list.items[i], &to->list.items[i]);
        }
        break;
    case VALUE_MAP: {
        const struct value_pair **sorted;
        to->map.len = value_sorted_pairs(from, &sorted);
        to->map.pairs = ARENA_ARRAY(c->arena, struct value_pair, to->map.len);
        for (size_t i = 0; i < to->map.len; i++) {
            to->map.pairs[i].key = str_copy(c->arena, sorted[i]->key);
            copy_free(c, &sorted[i]->value, &to->map.pairs[i].value);
        }
        mem_free(sorted);
        break;
    }
    case VALUE_BOOL:
        to->boolean = from->boolean;
        break;
    default:
        break;
    }
}

static void decode_free(struct context *c, const struct value *json, const struct type *type,
                        unsigned flags, const char *go, struct value **out) {
    if (flags & FIELD_MAP_ONLY && json->kind != VALUE_MAP) {
        wrong_type(c, json, type, flags, go);
        return;
    }
    *out = ARENA_NEW(c->arena, struct value);
    copy_free(c, json, *out);
}

/* ---- lists and maps ---- */

static void decode_list(struct context *c, const struct value *json, const struct type *type,
                        const char *go, struct list *out) {
    if (json->kind != VALUE_LIST) {
        wrong_type(c, json, type, 0, go);
        return;
    }
    size_t size = schema_type_size(type->elem);
    *out = (struct list){.len = (uint32_t)json->list.len, .present = true};
    if (json->list.len == 0) {
        return;
    }
    out->items = take_memory(c, json->list.len, size);
    if (out->items == NULL) {
        *out = LIST_NIL;
        return;
    }
    for (uint32_t i = 0; i < out->len && !is_over(c); i++) {
        decode_value(c, &json->list.items[i], type->elem, 0, element_name(go, "[]"),
                     list_item(out, size, i));
    }
}

static void decode_map(struct context *c, const struct value *json, const struct type *type,
                       const char *go, struct list *out) {
    if (json->kind != VALUE_MAP) {
        wrong_type(c, json, type, 0, go);
        return;
    }
    size_t size = schema_pair_size(type->elem);
    size_t before = out->present ? out->len : 0;
    struct list merged = {.len = (uint32_t)(before + json->map.len), .present = true};
    merged.items = merged.len > 0 ? take_memory(c, merged.len, size) : NULL;
    if (merged.len > 0 && merged.items == NULL) {
        return;
    }
    if (before > 0) {
        memcpy(merged.items, out->items, before * size);
    }
    for (size_t i = 0; i < json->map.len && !is_over(c); i++) {
        const struct value_pair *from = &json->map.pairs[i];
        void *pair = list_item(&merged, size, (uint32_t)(before + i));
        *(struct str *)pair = str_copy(c->arena, from->key);
        decode_value(c, &from->value, type->elem, 0, element_name(go, "map[string]"),
                     member_mut(pair, MAP_VALUE_OFFSET));
    }
    map_sort(&merged, size, c->arena);
    *out = merged;
}

/* ---- structures ---- */

/* What a key of an object stands for. */
struct target {
    const struct plan_field *field; /* NULL: unknown, or a string to drop */
    const struct json_alias *alias; /* NULL: the field's own name */
};

/* ASCII letters, and the two characters beyond that fold onto one (long s, Kelvin sign). */
static bool folds_to(struct str key, struct str name) {
    size_t at = 0;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char want = (unsigned char)name.data[i];
        if (at == key.len) {
            return false;
        }
        unsigned char have = (unsigned char)key.data[at];
        if (have == want) {
            at++;
            continue;
        }
        unsigned char lower = want >= 'A' && want <= 'Z' ? want | 0x20 : want;
        unsigned char have_lower = have >= 'A' && have <= 'Z' ? have | 0x20 : have;
        if (have_lower == lower) {
            at++;
        } else if (lower == 's' && str_has_prefix(str_sub(key, at, 2), STR("\xc5\xbf"))) {
            at += 2;
        } else if (lower == 'k' && str_has_prefix(str_sub(key, at, 3), STR("\xe2\x84\xaa"))) {
            at += 3;
        } else {
            return false;
        }
    }
    return at == key.len;
}

static const struct plan_field *named_field(const struct shape_plan *plan, const char *name) {
    for (uint32_t i = 0; i < plan->count; i++) {
        if (str_is(plan->fields[i].json, name)) {
            return &plan->fields[i];
        }
    }
    ASSERT(name == NULL); /* an alias of the table names no field */
    return NULL;
}

static bool find_alias(const struct shape *shape, const struct shape_plan *plan, struct str key,
                       bool fold, struct target *out) {
    for (const struct json_alias *a = shape->aliases; a != NULL && a->alias != NULL; a++) {
        struct str name = str_from(a->alias);
        if (fold ? folds_to(key, name) : str_eq(key, name)) {
            out->alias = a;
            out->field = a->field != NULL ? named_field(plan, a->field) : NULL;
            return true;
        }
    }
    return false;
}

static bool find_own(const struct shape_plan *plan, struct str key, bool fold, struct target *out) {
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_field *f = &plan->fields[i];
        if (f->flags & FIELD_NO_JSON) {
            continue;
        }
        if (fold ? folds_to(key, f->json) : str_eq(key, f->json)) {
            out->field = f;
            return true;
        }
    }
    return false;
}

static bool find_target(const struct shape *shape, const struct shape_plan *plan, struct str key,
                        struct target *out) {
    *out = (struct target){0};
    return find_alias(shape, plan, key, false, out) || find_own(plan, key, false, out) ||
           find_alias(shape, plan, key, true, out) || find_own(plan, key, true, out);
}

/* Values that wait for the object's end: of aliases, since a field's own name wins; and durations,
 * which the peer reads last. */
struct waiting {
    const struct value *aliases[MAX_ALIASES]; /* by position in the shape's table */
    void *values[MAX_ALIASES];                /* what they decoded to */
    const struct value **durations;           /* by position in the plan; NULL when none can be */
};

static void enter(struct context *c, const char *record, const char *name) {
    ASSERT(c->path_len < PATH_MAX_DEPTH);
    c->record = record;
    c->path[c->path_len++] = name;
}

static void decode_alias(struct context *c, const struct shape *shape, const struct target *t,
                         const struct value *json, struct waiting *w) {
    size_t at = (size_t)(t->alias - shape->aliases);
    ASSERT(at < MAX_ALIASES);
    w->aliases[at] = json;
    if (t->field == NULL) {
        struct str dropped;
        decode_value(c, json, &(const struct type){KIND_STR, NULL, NULL}, 0, NULL, &dropped);
        return;
    }
    if (t->field->flags & FIELD_DUR_ANY) {
        return;
    }
    if (w->values[at] == NULL) {
        w->values[at] = arena_zalloc(c->arena, 1, schema_type_size(t->field->type));
    }
    decode_value(c, json, t->field->type, t->field->flags, t->field->field->go, w->values[at]);
}

static void decode_member(struct context *c, const struct shape *shape,
                          const struct shape_plan *plan, const struct value_pair *pair,
                          void *object, struct waiting *w) {
    struct target t;
    if (!find_target(shape, plan, pair->key, &t)) {
        if (c->strict) {
            text_error(c,
                       str_format(c->arena, "json: unknown field " STR_FMT,
                                  STR_ARG(str_quote(c->arena, pair->key))),
                       false);
        }
        return;
    }
    const char *outer = c->record;
    const char *record = shape->flags & SHAPE_OWN_JSON ? "" : shape->name;
    enter(c, record, t.alias != NULL ? t.alias->alias : t.field->json.data);
    if (t.alias != NULL) {
        decode_alias(c, shape, &t, &pair->value, w);
    } else if (t.field->flags & FIELD_DUR_ANY && w->durations != NULL) {
        w->durations[t.field - plan->fields] = &pair->value;
    } else {
        bool strict = c->strict;
        c->strict = strict && !(t.field->flags & FIELD_LENIENT);
        decode_value(c, &pair->value, t.field->type, t.field->flags, t.field->field->go,
                     member_mut(object, t.field->offset));
        c->strict = strict;
    }
    c->path_len--;
    c->record = outer;
}

/* An alias's value goes where the field itself was left empty. */
static void settle_aliases(const struct shape *shape, const struct shape_plan *plan, void *object,
                           struct waiting *w) {
    for (size_t i = 0; shape->aliases != NULL && shape->aliases[i].alias != NULL; i++) {
        if (w->aliases[i] == NULL || shape->aliases[i].field == NULL) {
            continue;
        }
        const struct plan_field *f = named_field(plan, shape->aliases[i].field);
        void *at = member_mut(object, f->offset);
        if (f->flags & FIELD_DUR_ANY) {
            const struct value **own = &w->durations[f - plan->fields];
            if (*own == NULL || (*own)->kind == VALUE_NULL) {
                *own = w->aliases[i];
            }
        } else if (schema_is_empty(f->type, at, f->flags)) {
            memcpy(at, w->values[i], schema_type_size(f->type));
        }
    }
}

static void settle(struct context *c, const struct shape *shape, const struct shape_plan *plan,
                   void *object, struct waiting *w) {
    settle_aliases(shape, plan, object, w);
    for (uint32_t i = 0; w->durations != NULL && i < plan->count && !is_over(c); i++) {
        if (w->durations[i] != NULL) {
            decode_any_duration(c, w->durations[i], member_mut(object, plan->fields[i].offset));
        }
    }
}

static void decode_object(struct context *c, const struct value *json, const struct shape *shape,
                          const struct type *type, const char *go, void *object) {
    if (json->kind != VALUE_MAP) {
        wrong_type(c, json, type, 0, go);
        return;
    }
    const struct shape_plan *plan = shape_plan_of(shape);
    struct waiting w = {0};
    if (plan->has_delayed && shape->flags & SHAPE_OWN_JSON) {
        w.durations = ARENA_ARRAY(c->arena, const struct value *, plan->count);
    }
    for (size_t i = 0; i < json->map.len && !is_over(c); i++) {
        decode_member(c, shape, plan, &json->map.pairs[i], object, &w);
    }
    if (!c->failure.set) {
        settle(c, shape, plan, object, &w);
    }
}

/* A structure that decodes itself: in a context of its own. */
static void decode_apart(struct context *c, const struct value *json, const struct type *type,
                         void *object) {
    const struct shape *shape = type->shape;
    struct context *inner = take_memory(c, 1, sizeof(struct context));
    if (inner == NULL) {
        return;
    }
    inner->arena = c->arena;
    inner->arena_limit = c->arena_limit;
    inner->strict = !(shape->flags & SHAPE_LENIENT);
    decode_object(inner, json, shape, type, NULL, object);
    if (!inner->failure.set) {
        return;
    }
    c->failure = inner->failure;
    c->failure.fatal = true;
    c->failure.record = c->record;
    if (c->failure.type != NULL) {
        c->failure.path = joined_path(c);
    }
}

static void decode_struct(struct context *c, const struct value *json, const struct type *type,
                          const char *go, void *object) {
    if (type->shape->flags & SHAPE_OWN_JSON) {
        decode_apart(c, json, type, object);
    } else {
        decode_object(c, json, type->shape, type, go, object);
    }
}

static void decode_pointer(struct context *c, const struct value *json, const struct type *type,
                           const char *go, void **out) {
    if (*out == NULL) {
        *out = take_memory(c, 1, type->shape->size);
        if (*out == NULL) {
            return;
        }
    }
    decode_struct(c, json, type, go, *out);
}

/* null: nil for what can be nil; the rest stays. */
static void decode_null(struct context *c, const struct value *json, const struct type *type,
                        unsigned flags, void *object) {
    switch (type->kind) {
    case KIND_PTR:
    case KIND_ANY:
        *(void **)object = NULL;
        break;
    case KIND_LIST:
    case KIND_MAP:
        *(struct list *)object = LIST_NIL;
        break;
    case KIND_BYTES:
        *(struct str *)object = STR_NONE;
        break;
    case KIND_TIME:
        if (flags & FIELD_NULLABLE) {
            *(struct timestamp *)object = (struct timestamp){0};
        }
        break;
    case KIND_DUR:
        if (flags & FIELD_DUR_READABLE && !(flags & FIELD_NULLABLE)) {
            decode_readable_duration(c, json, object);
        }
        break;
    default:
        break;
    }
}

static void decode_value(struct context *c, const struct value *json, const struct type *type,
                         unsigned flags, const char *go, void *object) {
    if (json->kind == VALUE_NULL) {
        decode_null(c, json, type, flags, object);
        return;
    }
    switch (type->kind) {
    case KIND_STR:
        if (json->kind == VALUE_STRING) {
            *(struct str *)object = json->string;
        } else {
            wrong_type(c, json, type, flags, go);
        }
        break;
    case KIND_BYTES:
        decode_bytes(c, json, object);
        break;
    case KIND_BOOL:
        if (json->kind == VALUE_BOOL) {
            *(bool *)object = json->boolean;
        } else {
            wrong_type(c, json, type, flags, go);
        }
        break;
    case KIND_INT:
        decode_int(c, json, type, go, object);
        break;
    case KIND_UINT:
        decode_uint(c, json, type, go, object);
        break;
    case KIND_DUR:
        decode_duration(c, json, type, flags, go, object);
        break;
    case KIND_TIME:
        decode_time(c, json, object);
        break;
    case KIND_F64:
    case KIND_F32:
        decode_float(c, json, type, object);
        break;
    case KIND_ANY:
        decode_free(c, json, type, flags, go, object);
        break;
    case KIND_STRUCT:
        decode_struct(c, json, type, go, object);
        break;
    case KIND_PTR:
        decode_pointer(c, json, type, go, object);
        break;
    case KIND_LIST:
        decode_list(c, json, type, go, object);
        break;
    case KIND_MAP:
        decode_map(c, json, type, go, object);
        break;
    }
}

bool schema_from_json_type(const struct value *json, const struct type *type, void *object,
                           const struct json_options *options, struct arena *arena,
                           struct error *e) {
    static const struct json_options plain = {0};
    const struct json_options *o = options != NULL ? options : &plain;
    struct context c = {.arena = arena, .strict = !o->ignore_unknown};
    c.arena_limit = json->literal.data == NULL /* not from JSON text: a configuration file */
                        ? SIZE_MAX
                        : arena->total + MEMORY_ALLOWANCE + MEMORY_FACTOR * json->literal.len;
    bool apart = (type->kind == KIND_STRUCT || type->kind == KIND_PTR) &&
                 type->shape->flags & SHAPE_OWN_JSON;
    if (apart && type->kind == KIND_STRUCT && json->kind != VALUE_NULL) {
        /* The whole body: its paths are told as they are. */
        c.strict = c.strict && !(type->shape->flags & SHAPE_LENIENT);
        decode_object(&c, json, type->shape, type, o->go_type, object);
    } else {
        decode_value(&c, json, type, 0, o->go_type, object);
    }
    return report(&c, e);
}

bool schema_from_json(const struct value *json, const struct shape *shape, void *object,
                      const struct json_options *options, struct arena *arena, struct error *e) {
    struct type type = {KIND_STRUCT, shape, NULL};
    return schema_from_json_type(json, &type, object, options, arena, e);
}
