/* /v1/config: settings that the servers keep for services and proxies (connect.md 1.9). */
#include "http/records.h"
#include "http/room.h"
#include "schema/config_entry_read.h"

/* ---- writes ---- */

static void applied(struct http_request *r, struct answer *a) {
    http_answer_bool(r, *(const bool *)a->reply);
}

/* Whatever ?dc= says: entries are the primary datacenter's. */
static struct config_entry_request *change(struct http_request *r, const char *op,
                                           struct config_entry *entry) {
    struct config_entry_request *q = ARENA_NEW(&r->arena, struct config_entry_request);
    q->kind = entry->kind;
    q->entry = entry;
    q->op = str_from(op);
    q->token = http_token(r);
    return q;
}

static void apply_body(struct http_request *r) {
    struct error e = ERROR_IN(&r->arena);
    struct config_entry *entry = config_entry_read_json(r->body, &r->arena, &e);
    if (entry == NULL) {
        error_prefix(&e, "Bad request: Request decoding failed: ");
        http_answer_error(r, &e);
        return;
    }
    if (!http_check_namespace(r))
        return;
    bool cas = http_param(r, "cas").len > 0;
    if (cas && !http_read_u64(r, "cas", &entry->modify_index, &e)) {
        http_answer_error(r, &e);
        return;
    }
    http_call(r, &endpoint_config_entry_apply, change(r, cas ? "upsert-cas" : "upsert", entry),
              applied);
}

static void apply(struct http_request *r) {
    http_read_body(r, 0, apply_body);
}

static void deleted(struct http_request *r, struct answer *a) {
    http_answer_json(r, 200, &empty_struct_shape, a->reply);
}

/* The path behind the pattern; false: it names a kind only. */
static bool read_path(struct http_request *r, struct str *kind, struct str *name) {
    *name = r->argument;
    *kind = str_cut(name, '/');
    return name->data != NULL;
}

static void delete (struct http_request *r) {
    struct str kind, name;
    if (!read_path(r, &kind, &name)) {
        http_answer_text(r, 404, STR("Must provide both a kind and name to delete"));
        return;
    }
    const struct shape *shape = config_entry_shape(kind);
    if (shape == NULL) {
        http_answer_format(r, 400, "invalid config entry kind: " STR_FMT, STR_ARG(kind));
        return;
    }
    if (!http_check_namespace(r))
        return;
    struct config_entry *entry = arena_zalloc(&r->arena, 1, shape->size);
    entry->kind = kind;
    entry->name = name;
    http_call(r, &endpoint_config_entry_delete, change(r, "", entry), deleted);
}

/* ---- reads ---- */

static void write_entry(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    config_entry_write_json(w, ((const struct config_entry_response *)reply)->entry);
}

static void got(struct http_request *r, struct answer *a) {
    const struct config_entry_query *q = r->call.request;
    http_set_meta(r, &a->meta);
    if (((const struct config_entry_response *)a->reply)->entry != NULL) {
        http_answer_shared(r, a, 200, write_entry);
        return;
    }
    http_answer_fault(r, 404,
                      str_format(&r->arena, "Config entry not found for " STR_FMT " / " STR_FMT,
                                 STR_ARG(str_quote(&r->arena, q->kind)),
                                 STR_ARG(str_quote(&r->arena, q->name))));
}

static void write_entries(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *entries = &((const struct indexed_config_entries *)reply)->entries;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < entries->len; i++)
        config_entry_write_json(w, LIST_AT(*entries, struct config_entry *, i));
    json_close_array(w);
}

static void get(struct http_request *r) {
    struct config_entry_query *q = ARENA_NEW(&r->arena, struct config_entry_query);
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options) || !http_check_namespace(r))
        return;
    q->options.filter = STR(""); /* looked at by nobody */
    if (read_path(r, &q->kind, &q->name))
        http_call(r, &endpoint_config_entry_get, q, got);
    else
        http_call_json(r, &endpoint_config_entry_list, q, 0, write_entries);
}

/* ---- routes ---- */

static void specific(struct http_request *r) {
    if (http_method_is(r, "DELETE"))
        delete (r);
    else
        get(r);
}

const struct http_route http_routes_config_entry[] = {
    {"/v1/config", "PUT", apply, 0, NULL},
    {"/v1/config/", "GET,DELETE", specific, 0, NULL},
    {NULL, NULL, NULL, 0, NULL},
};
