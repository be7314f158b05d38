/* Field tables of the requests and replies of configuration entries' endpoints, and the wire forms
 * of those that are no maps. */
#include "schema/requests_config.h"

#include "codec/msgpack.h"
#include "schema/table.h"

#define OF struct config_entry_query
static const struct field config_entry_query_fields[] = {
    F_STR("Kind", kind),
    F_STR("Name", name),
    F_STR("Datacenter", datacenter),
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(config_entry_query, "ConfigEntryQuery");

#define OF struct service_id
static const struct field service_id_fields[] = {F_STR("ID", id)};
#undef OF
SHAPE(service_id, "ServiceID");

#define OF struct service_config_request
static const struct field service_config_request_fields[] = {
    F_STR("Name", name),
    F_STR("Datacenter", datacenter),
    F_LIST("Upstreams", upstreams, OF_STR),
    F_LIST("UpstreamIDs", upstream_ids, OF_STRUCT(service_id)),
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(service_config_request, "ServiceConfigRequest");

#define OF struct upstream_config
static const struct field upstream_config_fields[] = {
    F_STRUCT("Upstream", upstream, service_id),
    F_ANY("Config", config, .flags = FIELD_MAP_ONLY),
};
#undef OF
SHAPE(upstream_config, "UpstreamConfig");

/* ---- raw strings ---- */

static void write_raw(struct buf *out, struct buf *content) {
    msgpack_write_str(out, buf_str(content));
    buf_free(content);
}

/* Shapes without a table: nobody looks into them but their wire form. */
#define SHAPE_RAW(tag, text)                                                                       \
    static const struct shape_wire tag##_wire = {tag##_encode, tag##_decode};                      \
    static struct shape_cache tag##_cache;                                                         \
    const struct shape tag##_shape = {                                                             \
        .name = (text), .size = sizeof(struct tag), .cache = &tag##_cache, .wire = &tag##_wire}

static void config_entry_request_write(struct buf *out, const void *object) {
    config_entry_request_encode(out, object);
}
static bool config_entry_request_read(struct msgpack_reader *in, void *object, struct arena *arena,
                                      struct error *e) {
    return config_entry_request_decode(in, object, arena, e);
}
static const struct shape_wire config_entry_request_wire = {config_entry_request_write,
                                                            config_entry_request_read};
static struct shape_cache config_entry_request_cache;
const struct shape config_entry_request_shape = {.name = "ConfigEntryRequest",
                                                 .size = sizeof(struct config_entry_request),
                                                 .cache = &config_entry_request_cache,
                                                 .wire = &config_entry_request_wire};

static void config_entry_response_encode(struct buf *out, const void *object) {
    const struct config_entry_response *r = object;
    struct buf content = BUF_INIT;
    msgpack_write_str(&content, r->entry != NULL ? r->entry->kind : STR(""));
    if (r->entry != NULL)
        config_entry_encode(&content, r->entry->kind, r->entry);
    schema_encode(&content, &query_meta_shape, &r->meta);
    write_raw(out, &content);
}

/* An entry behind its kind. */
static bool read_entry(struct msgpack_reader *in, struct str kind, struct config_entry **entry,
                       struct arena *arena, struct error *e) {
    *entry = config_entry_decode(in, kind, arena, e);
    if (*entry == NULL)
        return false;
    (*entry)->kind = kind;
    return true;
}

static bool config_entry_response_decode(struct msgpack_reader *in, void *object,
                                         struct arena *arena, struct error *e) {
    struct config_entry_response *r = object;
    struct msgpack_reader content;
    struct str kind;
    return msgpack_read_raw(in, &content, e) && msgpack_read_str(&content, &kind, e) &&
           (kind.len == 0 || read_entry(&content, kind, &r->entry, arena, e)) &&
           schema_decode(&content, &query_meta_shape, &r->meta, arena, e);
}
SHAPE_RAW(config_entry_response, "ConfigEntryResponse");

/* What an entry takes: all its fields are written, so that no list makes much of few bytes. */
#define ENTRY_BYTES_LEAST 32

/* ---- List ---- */

static void indexed_config_entries_encode(struct buf *out, const void *object) {
    const struct indexed_config_entries *r = object;
    struct buf content = BUF_INIT;
    msgpack_write_u64(&content, r->entries.len);
    msgpack_write_str(&content, r->kind);
    msgpack_write_map(&content, 6);
    msgpack_write_text(&content, "ConsistencyLevel");
    msgpack_write_str(&content, r->meta.consistency_level);
    msgpack_write_text(&content, "Entries");
    msgpack_write_array(&content, r->entries.len);
    for (uint32_t i = 0; i < r->entries.len; i++) {
        const struct config_entry *entry = LIST_AT(r->entries, struct config_entry *, i);
        config_entry_encode(&content, entry->kind, entry);
    }
    msgpack_write_text(&content, "Index");
    msgpack_write_u64(&content, r->meta.index);
    msgpack_write_text(&content, "Kind");
    msgpack_write_str(&content, r->kind);
    msgpack_write_text(&content, "KnownLeader");
    msgpack_write_bool(&content, r->meta.known_leader);
    msgpack_write_text(&content, "LastContact");
    msgpack_write_i64(&content, r->meta.last_contact);
    write_raw(out, &content);
}

/* Behind each kind when `kind` is absent. */
static bool read_entries(struct msgpack_reader *in, struct str kind, uint64_t count,
                         struct list *entries, struct arena *arena, struct error *e) {
    if (count > (size_t)(in->end - in->at) / ENTRY_BYTES_LEAST)
        return error_set(e, ERROR_BAD_REQUEST, "unexpected EOF");
    *entries = LIST_NEW(arena, struct config_entry *, count);
    for (uint32_t i = 0; i < count; i++) {
        struct str own = kind;
        if ((kind.data == NULL && !msgpack_read_str(in, &own, e)) ||
            !read_entry(in, own, &LIST_AT(*entries, struct config_entry *, i), arena, e))
            return false;
    }
    return true;
}

static bool read_list_members(struct msgpack_reader *in, struct indexed_config_entries *r,
                              struct arena *arena, struct error *e) {
    struct msgpack_token map, token;
    if (!msgpack_next(in, &map, e))
        return false;
    for (uint32_t i = 0; map.type == MSGPACK_MAP && i < map.len; i++) {
        struct str name;
        if (!msgpack_read_str(in, &name, e))
            return false;
        if (!str_is(name, "Entries")) {
            if (!msgpack_skip(in, e))
                return false;
            continue;
        }
        if (!msgpack_next(in, &token, e))
            return false;
        if (token.type == MSGPACK_ARRAY &&
            !read_entries(in, r->kind, token.len, &r->entries, arena, e))
            return false;
    }
    return true;
}

static bool indexed_config_entries_decode(struct msgpack_reader *in, void *object,
                                          struct arena *arena, struct error *e) {
    struct indexed_config_entries *r = object;
    struct msgpack_reader content;
    struct msgpack_token count;
    if (!msgpack_read_raw(in, &content, e) || !msgpack_next(&content, &count, e) ||
        !msgpack_read_str(&content, &r->kind, e))
        return false;
    if (r->kind.data == NULL)
        r->kind = STR("");
    struct msgpack_reader again = content;
    r->entries = LIST_EMPTY;
    return schema_decode(&content, &query_meta_shape, &r->meta, arena, e) &&
           read_list_members(&again, r, arena, e);
}
SHAPE_RAW(indexed_config_entries, "IndexedConfigEntries");

/* ---- ListAll ---- */

static void indexed_generic_config_entries_encode(struct buf *out, const void *object) {
    const struct indexed_generic_config_entries *r = object;
    struct buf content = BUF_INIT;
    msgpack_write_u64(&content, r->entries.len);
    for (uint32_t i = 0; i < r->entries.len; i++) {
        const struct config_entry *entry = LIST_AT(r->entries, struct config_entry *, i);
        msgpack_write_str(&content, entry->kind);
        config_entry_encode(&content, entry->kind, entry);
    }
    schema_encode(&content, &query_meta_shape, &r->meta);
    write_raw(out, &content);
}

static bool indexed_generic_config_entries_decode(struct msgpack_reader *in, void *object,
                                                  struct arena *arena, struct error *e) {
    struct indexed_generic_config_entries *r = object;
    struct msgpack_reader content;
    struct msgpack_token count;
    if (!msgpack_read_raw(in, &content, e) || !msgpack_next(&content, &count, e))
        return false;
    uint64_t n = count.type == MSGPACK_UINT                 ? count.u
                 : count.type == MSGPACK_INT && count.i > 0 ? (uint64_t)count.i
                                                            : 0;
    return read_entries(&content, STR_NONE, n, &r->entries, arena, e) &&
           schema_decode(&content, &query_meta_shape, &r->meta, arena, e);
}
SHAPE_RAW(indexed_generic_config_entries, "IndexedGenericConfigEntries");

/* ---- ResolveServiceConfig ---- */

#define OF struct service_config_response
static const struct field service_config_content_fields[] = {
    F_ANY("ProxyConfig", proxy_config, .flags = FIELD_MAP_ONLY),
    F_MAP("UpstreamConfigs", upstream_configs, OF_ANY),
    F_LIST("UpstreamIDConfigs", upstream_id_configs, OF_STRUCT(upstream_config)),
    F_STRUCT("MeshGateway", mesh_gateway, mesh_gateway_config),
    F_STRUCT("Expose", expose, expose_config),
    F_FLAT(meta, query_meta),
};
#undef OF
static struct shape_cache service_config_content_cache;
const struct shape service_config_content_shape = {.name = "ServiceConfigResponse",
                                                   .size = sizeof(struct service_config_response),
                                                   .fields = service_config_content_fields,
                                                   .field_count =
                                                       COUNT_OF(service_config_content_fields),
                                                   .cache = &service_config_content_cache};

static void service_config_response_encode(struct buf *out, const void *object) {
    struct buf content = BUF_INIT;
    schema_encode(&content, &service_config_content_shape, object);
    write_raw(out, &content);
}

static bool service_config_response_decode(struct msgpack_reader *in, void *object,
                                           struct arena *arena, struct error *e) {
    struct msgpack_reader content;
    return msgpack_read_raw(in, &content, e) &&
           schema_decode(&content, &service_config_content_shape, object, arena, e);
}
SHAPE_RAW(service_config_response, "ServiceConfigResponse");
