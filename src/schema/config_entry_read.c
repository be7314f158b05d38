/* See config_entry_read.h. Driven by the shapes of the entries: each field takes what can be made
 * into its type; all that cannot is told at once.
 */
#include "schema/config_entry_read.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/hcl.h"
#include "codec/json.h"
#include "schema/config_entry_values.h"
#include "schema/plan.h"
#include "schema/problems.h"
#include "schema/table.h"

/* A list of one is the one. */
static const struct value *opened(const struct value *v) {
    return v->kind == VALUE_LIST && v->list.len == 1 ? &v->list.items[0] : v;
}

/* ---- content without a table ---- */

/* What was the one item of a list: so it goes on below, also into the blocks of HCL, which are such
 * lists. A list that is this item stays one, of items opened likewise. */
static struct value open_content(struct reader *r, const struct value *v) {
    struct value out = *v;
    if (v->kind == VALUE_MAP) {
        out.map.pairs = ARENA_ARRAY(r->arena, struct value_pair, v->map.len);
        for (size_t i = 0; i < v->map.len; i++)
            out.map.pairs[i] = (struct value_pair){v->map.pairs[i].key,
                                                   open_content(r, opened(&v->map.pairs[i].value))};
        return out;
    }
    if (v->kind == VALUE_LIST) {
        out.list.items = ARENA_ARRAY(r->arena, struct value, v->list.len);
        for (size_t i = 0; i < v->list.len; i++)
            out.list.items[i] = open_content(r, &v->list.items[i]);
        return out;
    }
    return *value_copy(v, r->arena);
}

/* ---- maps ---- */

/* What is done with each map that makes up a field: alone, or as an item of a list (of lists …). */
typedef void map_reader(struct reader *r, const struct path *path, const struct value *map,
                        void *to);

static void read_maps(struct reader *r, const struct path *path, const struct value *v,
                      map_reader *read, void *to) {
    if (v->kind == VALUE_NULL)
        return;
    if (v->kind == VALUE_MAP) {
        read(r, path, v, to);
    } else if (v->kind == VALUE_LIST) {
        size_t wrong = r->wrong.len; /* the peer reads no further */
        for (size_t i = 0; i < v->list.len && r->wrong.len == wrong; i++) {
            struct path item = {path, PATH_INDEX, STR_NONE, i};
            read_maps(r, &item, &v->list.items[i], read, to);
        }
    } else {
        tell_no_map(r, path, v);
    }
}

struct content {
    struct value map;
    size_t cap;
};

static void read_content(struct reader *r, const struct path *path, const struct value *map,
                         void *to) {
    struct content *c = to;
    size_t len = c->map.map.len, needed = len + map->map.len;
    (void)path;
    if (needed > c->cap) {
        c->cap = needed > 2 * c->cap ? needed : 2 * c->cap;
        struct value_pair *pairs = ARENA_ARRAY(r->arena, struct value_pair, c->cap);
        if (len > 0)
            memcpy(pairs, c->map.map.pairs, len * sizeof(*pairs));
        c->map.map.pairs = pairs;
    }
    for (size_t i = 0; i < map->map.len; i++) {
        const struct value *v = &map->map.pairs[i].value;
        const struct value *one = opened(v);
        c->map.map.pairs[len + i] = (struct value_pair){
            map->map.pairs[i].key, one != v ? open_content(r, one) : *value_copy(v, r->arena)};
    }
    c->map.map.len = needed;
}

/* Each key once. */
static void read_free(struct reader *r, const struct path *path, const struct value *v,
                      struct value **out) {
    struct content c = {.map = value_map()};
    const struct value_pair **sorted = NULL;
    read_maps(r, path, v, read_content, &c);
    *out = ARENA_NEW(r->arena, struct value);
    **out = value_map();
    if (c.map.map.len == 0)
        return;
    size_t count = value_sorted_pairs(&c.map, &sorted);
    struct value_pair *pairs = ARENA_ARRAY(r->arena, struct value_pair, count);
    for (size_t i = 0; i < count; i++)
        pairs[i] = *sorted[i];
    mem_free(sorted);
    (*out)->map.pairs = pairs;
    (*out)->map.len = count;
}

static void read_value(struct reader *r, const struct path *path, const struct value *v,
                       const struct type *type, const char *go, void *out);

struct pairs {
    const struct type *type; /* of the values */
    struct list list;
    size_t cap;
};

static void read_pairs(struct reader *r, const struct path *path, const struct value *map,
                       void *to) {
    struct pairs *pairs = to;
    size_t size = schema_pair_size(pairs->type), needed = pairs->list.len + map->map.len;
    if (needed > pairs->cap) {
        pairs->cap = needed > 2 * pairs->cap ? needed : 2 * pairs->cap;
        void *items = arena_zalloc(r->arena, pairs->cap, size);
        if (pairs->list.len > 0)
            memcpy(items, pairs->list.items, pairs->list.len * size);
        pairs->list.items = items;
    }
    for (size_t i = 0; i < map->map.len; i++) {
        struct str key = map->map.pairs[i].key;
        struct path item = {path, PATH_KEY, key, 0};
        char *pair = list_item(&pairs->list, size, pairs->list.len++);
        *(struct str *)pair = key;
        read_value(r, &item, &map->map.pairs[i].value, pairs->type, NULL, pair + MAP_VALUE_OFFSET);
    }
}

static void read_map(struct reader *r, const struct path *path, const struct value *v,
                     const struct type *type, struct list *out) {
    struct pairs pairs = {.type = type->elem, .list = LIST_EMPTY};
    read_maps(r, path, v, read_pairs, &pairs);
    map_sort(&pairs.list, schema_pair_size(type->elem), r->arena);
    *out = pairs.list;
}

/* ---- lists ---- */

/* One thing is a list of it; nothing but an empty map. */
static void read_list(struct reader *r, const struct path *path, const struct value *v,
                      const struct type *type, struct list *out) {
    bool many = v->kind == VALUE_LIST;
    const struct value *items = many ? v->list.items : v;
    size_t size = schema_type_size(type->elem);
    size_t count = many ? v->list.len : v->kind == VALUE_MAP && v->map.len == 0 ? 0 : 1;
    *out = (struct list){NULL, (uint32_t)count, true};
    if (count > 0)
        out->items = arena_zalloc(r->arena, count, size);
    for (size_t i = 0; i < count; i++) {
        struct path item = {path, PATH_INDEX, STR_NONE, i};
        read_value(r, &item, &items[i], type->elem, NULL, list_item(out, size, (uint32_t)i));
    }
}

/* ---- structures ---- */

static const struct {
    const char *alias, *field;
} aliases[] = {
    {"ca_file", "CAFile"},
    {"cert_file", "CertFile"},
    {"connect_timeout", "ConnectTimeout"},
    {"default_subset", "DefaultSubset"},
    {"external_sni", "ExternalSNI"},
    {"key_file", "KeyFile"},
    {"listener_port", "ListenerPort"},
    {"local_path_port", "LocalPathPort"},
    {"mesh_gateway", "MeshGateway"},
    {"num_retries", "NumRetries"},
    {"only_passing", "OnlyPassing"},
    {"override_connect_timeout", "OverrideConnectTimeout"},
    {"override_mesh_gateway", "OverrideMeshGateway"},
    {"override_protocol", "OverrideProtocol"},
    {"path_exact", "PathExact"},
    {"path_prefix", "PathPrefix"},
    {"path_regex", "PathRegex"},
    {"prefix_rewrite", "PrefixRewrite"},
    {"query_param", "QueryParam"},
    {"request_timeout", "RequestTimeout"},
    {"retry_on_connect_failure", "RetryOnConnectFailure"},
    {"retry_on_status_codes", "RetryOnStatusCodes"},
    {"service_subset", "ServiceSubset"},
};

static bool is_alias_of(struct str key, const char *field) {
    for (size_t i = 0; i < COUNT_OF(aliases); i++) {
        if (strcmp(aliases[i].field, field) == 0)
            return str_eq_fold(key, str_from(aliases[i].alias));
    }
    return false;
}

/* The pair that gives a field its value: the last under its exact name, else the first in another
 * case, else the last under its alias. */
static const struct value_pair *pair_for(const struct value *map, const char *field) {
    const struct value_pair *folded = NULL, *alias = NULL;
    for (size_t i = map->map.len; i-- > 0;) {
        const struct value_pair *pair = &map->map.pairs[i];
        if (str_is(pair->key, field))
            return pair;
        if (str_eq_fold(pair->key, str_from(field)))
            folded = pair;
        else if (alias == NULL && is_alias_of(pair->key, field))
            alias = pair;
    }
    return folded != NULL ? folded : alias;
}

static void tell_unknown(struct reader *r, const struct path *outer, struct str key) {
    struct path path = {outer, PATH_FIELD, key, 0};
    texts_keep(r, &r->unknown, path_text(r, &path));
}

/* Marks the pairs that a field accounts for: the one that it takes, the same key again, and of
 * aliases those that were only another way to say it. */
static void mark_used(struct reader *r, const struct path *outer, const struct value *map,
                      const char *field, const struct value_pair *taken, bool *used) {
    struct str lower = str_lower(r->arena, str_from(field));
    bool by_name = str_eq_fold(taken->key, lower) && !str_eq(taken->key, lower);
    bool told = false;
    for (size_t i = 0; i < map->map.len; i++) {
        struct str key = map->map.pairs[i].key;
        if (str_eq(key, taken->key)) {
            used[i] = true;
        } else if (is_alias_of(key, field)) {
            used[i] = true;
            if (by_name && !told)
                tell_unknown(r, outer, lower);
            told = true;
        }
    }
}

/* The indexes of an entry, as one block: looked at, and dropped. */
struct raft_index {
    uint64_t create_index, modify_index;
};
#define OF struct raft_index
static const struct field raft_index_fields[] = {
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
static struct shape_cache raft_index_cache;
static const struct shape raft_index_shape = {.name = "RaftIndex",
                                              .size = sizeof(struct raft_index),
                                              .fields = raft_index_fields,
                                              .field_count = COUNT_OF(raft_index_fields),
                                              .cache = &raft_index_cache};

static bool is_index(const char *name) {
    return strcmp(name, "CreateIndex") == 0 || strcmp(name, "ModifyIndex") == 0;
}

static void read_field(struct reader *r, const struct path *outer, const struct value *map,
                       const char *name, const struct type *type, const char *go, void *out,
                       bool *used) {
    const struct value_pair *pair = pair_for(map, name);
    if (pair == NULL)
        return;
    struct path path = {outer, PATH_FIELD, str_from(name), 0};
    mark_used(r, outer, map, name, pair, used);
    read_value(r, &path, &pair->value, type, go, out);
}

/* top: a whole entry, which may come with its indexes. */
static void read_fields(struct reader *r, const struct path *path, const struct value *map,
                        const struct shape *shape, bool top, void *out) {
    bool *used = ARENA_ARRAY(r->arena, bool, map->map.len + 1);
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        if (!top || !is_index(f->name))
            read_field(r, path, map, f->name, &f->type, f->go, member_mut(out, f->offset), used);
    }
    if (top) {
        struct raft_index dropped;
        struct type type = {KIND_STRUCT, &raft_index_shape, NULL};
        read_field(r, path, map, "RaftIndex", &type, NULL, &dropped, used);
    }
    for (size_t i = 0; i < map->map.len; i++) {
        struct str key = map->map.pairs[i].key;
        if (!used[i] && !(top && (str_is(key, "CreateIndex") || str_is(key, "ModifyIndex"))))
            tell_unknown(r, path, key);
    }
}

static void read_struct(struct reader *r, const struct path *path, const struct value *v,
                        const struct shape *shape, void *out) {
    if (v->kind != VALUE_MAP)
        tell_no_map(r, path, v);
    else
        read_fields(r, path, v, shape, false, out);
}

/* out: zeroed, and left so where there is nothing. go: what a text's type is called, or NULL. */
static void read_value(struct reader *r, const struct path *path, const struct value *v,
                       const struct type *type, const char *go, void *out) {
    v = type->kind == KIND_LIST ? v : opened(v);
    if (v->kind == VALUE_NULL)
        return;
    switch (type->kind) {
    case KIND_STR:
        read_str(r, path, v, go != NULL ? go : "string", out);
        break;
    case KIND_BOOL:
        read_bool(r, path, v, out);
        break;
    case KIND_INT:
        read_int(r, path, v, "int", out);
        break;
    case KIND_UINT:
        read_uint(r, path, v, out);
        break;
    case KIND_DUR:
        read_duration(r, path, v, out);
        break;
    case KIND_F32:
        read_f32(r, path, v, out);
        break;
    case KIND_ANY:
        read_free(r, path, v, out);
        break;
    case KIND_STRUCT:
        read_struct(r, path, v, type->shape, out);
        break;
    case KIND_PTR:
        *(void **)out = arena_zalloc(r->arena, 1, type->shape->size);
        read_struct(r, path, v, type->shape, *(void **)out);
        break;
    case KIND_LIST:
        read_list(r, path, v, type, out);
        break;
    case KIND_MAP:
        read_map(r, path, v, type, out);
        break;
    default:
        ASSERT(false); /* no entry has such a field */
    }
}

/* ---- an entry ---- */

static int by_text(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool report_wrong(struct reader *r, struct error *e) {
    struct buf text = BUF_INIT;
    qsort(r->wrong.items, r->wrong.len, sizeof(struct str), by_text);
    buf_add_format(&text, "%zu error(s) decoding:\n", r->wrong.len);
    for (size_t i = 0; i < r->wrong.len; i++) {
        buf_add_text(&text, "\n* ");
        buf_add_str(&text, r->wrong.items[i]);
    }
    error_set(e, ERROR_BAD_REQUEST, STR_FMT, STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}

static bool report_unknown(struct reader *r, struct error *e) {
    struct problems p = {.arena = r->arena};
    for (size_t i = 0; i < r->unknown.len; i++) {
        struct str path = r->unknown.items[i];
        struct str end = str_sub(path, path.len > 9 ? path.len - 9 : 0, path.len);
        problem(&p, "invalid config key " STR_FMT "%s", STR_ARG(str_quote(r->arena, path)),
                str_eq_fold(end, STR("namespace")) ? ", namespaces are a consul enterprise feature"
                                                   : "");
    }
    problems_end(&p, e);
    e->kind = ERROR_BAD_REQUEST;
    return false;
}

static const struct shape *shape_for(const struct value *value, struct str *kind, struct error *e) {
    const struct value *v = value_get(value, "Kind");
    v = v != NULL ? v : value_get(value, "kind");
    if (v == NULL) {
        error_set(e, ERROR_BAD_REQUEST,
                  "Payload does not contain a kind/Kind key at the top level");
        return NULL;
    }
    if (v->kind != VALUE_STRING) {
        error_set(e, ERROR_BAD_REQUEST, "Kind value in payload is not a string");
        return NULL;
    }
    *kind = v->string;
    const struct shape *shape = config_entry_shape(*kind);
    if (shape == NULL)
        error_set(e, ERROR_BAD_REQUEST, "invalid config entry kind: " STR_FMT, STR_ARG(*kind));
    return shape;
}

struct config_entry *config_entry_read(const struct value *value, struct arena *arena,
                                       struct error *e) {
    struct reader r = {.arena = arena};
    struct str kind;
    if (value->kind != VALUE_MAP && value->kind != VALUE_NULL) {
        error_set(e, ERROR_BAD_REQUEST, "'' expected a map, got '%s'",
                  value->kind == VALUE_LIST ? "slice" : hcl_type_name(value));
        return NULL;
    }
    const struct shape *shape = shape_for(value, &kind, e);
    if (shape == NULL)
        return NULL;
    struct config_entry *entry = arena_zalloc(arena, 1, shape->size);
    read_fields(&r, NULL, value, shape, true, entry);
    if (r.wrong.len > 0)
        report_wrong(&r, e);
    else if (r.unknown.len > 0)
        report_unknown(&r, e);
    entry->kind = kind;
    return error_is_set(e) ? NULL : entry;
}

/* ---- texts ---- */

/* The first value of a JSON text. NULL: an error, also for what is not of the type (map: of maps).
 */
static const struct value *parse_text(struct str text, bool map, struct arena *arena,
                                      struct error *e) {
    static const struct type any = {KIND_ANY, NULL, NULL}, maps = {KIND_MAP, NULL, &any};
    static const struct value nothing = {.kind = VALUE_NULL};
    struct json_options options = {.go_type = map ? "map[string]interface {}" : "interface {}"};
    struct value json, *value = NULL;
    struct list ignored;
    if (!json_parse(text, &json, NULL, arena, e))
        return NULL;
    if (map && json.kind != VALUE_MAP &&
        !schema_from_json_type(&json, &maps, &ignored, &options, arena, e))
        return NULL;
    if (!schema_from_json_type(&json, &any, &value, &options, arena, e))
        return NULL;
    return value != NULL ? value : &nothing;
}

struct config_entry *config_entry_read_json(struct str text, struct arena *arena, struct error *e) {
    const struct value *value = parse_text(text, false, arena, e);
    return value != NULL ? config_entry_read(value, arena, e) : NULL;
}

bool config_read_weakly(struct str text, const struct shape *shape, void *out, struct arena *arena,
                        struct error *e) {
    struct reader r = {.arena = arena};
    const struct value *value = parse_text(text, true, arena, e);
    if (value == NULL)
        return false;
    if (value->kind == VALUE_MAP)
        read_fields(&r, NULL, value, shape, false, out);
    return r.wrong.len == 0 || report_wrong(&r, e);
}
