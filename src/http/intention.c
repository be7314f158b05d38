/* /v1/connect/intentions: which service may open connections to which other (connect.md 2.2). */
#include "http/records.h"
#include "http/room.h"
#include "schema/intention_rules.h"

#include <stdarg.h>
#include <stdlib.h>

static void refuse(struct http_request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void refuse(struct http_request *r, const char *format, ...) {
    struct error e = ERROR_IN(&r->arena);
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(&r->arena, format, args);
    va_end(args);
    error_set(&e, ERROR_INTERNAL, STR_FMT, STR_ARG(text));
    http_answer_error(r, &e);
}

/* ---- writes ---- */

static void answer_id(struct http_request *r, struct answer *a) {
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    json_key(w, STR("ID"));
    json_str(w, *(const struct str *)a->reply);
    json_close_object(w);
    http_answer_json_written(r, 200);
}

static void deleted(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_bool(r, true);
}

static struct intention_request *change(struct http_request *r, const char *op) {
    struct intention_request *q = ARENA_NEW(&r->arena, struct intention_request);
    q->datacenter = http_datacenter(r);
    q->op = str_from(op);
    q->intention = ARENA_NEW(&r->arena, struct intention);
    q->write.token = http_token(r);
    return q;
}

/* The peer tells what is wrong with a body in two ways. */
static bool read_record(struct http_request *r, struct intention *x, enum error_kind kind,
                        const char *prefix) {
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = intention_shape.go};
    if (http_body_from_json(r, &intention_shape, x, &options, &e))
        return true;
    e.kind = kind;
    error_prefix(&e, "%s", prefix);
    http_answer_error(r, &e);
    return false;
}

static void create_body(struct http_request *r) {
    struct intention_request *q = change(r, "create");
    if (read_record(r, q->intention, ERROR_INTERNAL, "Failed to decode request body: "))
        http_call(r, &endpoint_intention_apply, q, answer_id);
}

static void update_body(struct http_request *r) {
    struct intention_request *q = change(r, "update");
    if (!read_record(r, q->intention, ERROR_BAD_REQUEST, "Bad request: Request decode failed: "))
        return;
    q->intention->id = r->argument;
    http_call(r, &endpoint_intention_apply, q, answer_id);
}

static void delete (struct http_request *r) {
    struct intention_request *q = change(r, "delete");
    q->intention->id = r->argument;
    http_call(r, &endpoint_intention_apply, q, deleted);
}

/* ---- records ---- */

static void write_intentions(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_pointers(w, &((const struct indexed_intentions *)reply)->intentions,
                        &intention_shape);
}

static void list(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->datacenter = http_datacenter(r);
    if (http_read_options(r, &q->options))
        http_call_json(r, &endpoint_intention_list, q, 0, write_intentions);
}

/* Filters are looked at by the list only. */
static struct intention_query_request *question(struct http_request *r) {
    struct intention_query_request *q = ARENA_NEW(&r->arena, struct intention_query_request);
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options))
        return NULL;
    q->options.filter = STR("");
    return q;
}

static void write_one(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *found = &((const struct indexed_intentions *)reply)->intentions;
    (void)r;
    schema_write_json(w, &intention_shape, LIST_AT(*found, struct intention *, 0));
}

/* Without headers of an index. */
static void got(struct http_request *r, struct answer *a) {
    if (((const struct indexed_intentions *)a->reply)->intentions.len == 1)
        http_answer_shared(r, a, 200, write_one);
    else
        http_answer_text(r, 404, STR("Intention not found"));
}

static void not_got(struct http_request *r, struct answer *a) {
    struct error e = ERROR_IN(&r->arena);
    error_copy(&e, &a->error);
    if (str_find(e.text, STR("UUID"), 0) >= 0) {
        e.kind = ERROR_BAD_REQUEST;
        error_prefix(&e, "Bad request: ");
    }
    http_answer_error(r, &e);
}

static void get(struct http_request *r) {
    struct intention_query_request *q = question(r);
    if (q == NULL)
        return;
    q->intention_id = r->argument;
    r->call_failed = not_got;
    http_call(r, &endpoint_intention_get, q, got);
}

/* ---- match and check ---- */

/* "name" or "namespace/name" */
static bool read_name(struct http_request *r, const char *what, struct str text,
                      struct str *name_space, struct str *name) {
    struct str rest = text;
    struct str first = str_cut(&rest, '/');
    bool plain = rest.data == NULL;
    *name_space = plain ? STR(INTENTION_NAMESPACE) : first;
    *name = plain ? first : rest;
    if (str_find_char(*name, '/') < 0)
        return true;
    refuse(r, "%s " STR_FMT " is invalid: input can contain at most one '/'", what,
           STR_ARG(str_quote(&r->arena, text)));
    return false;
}

/* A parameter that must be there once. */
static bool read_once(struct http_request *r, const char *name, struct str *value) {
    *value = http_param(r, name);
    if (value->data != NULL && http_param_at(r, name, 1).data == NULL)
        return true;
    refuse(r, "required query parameter '%s' not set", name);
    return false;
}

static int by_text(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* The names as they were given, sorted, each once. */
static void matched(struct http_request *r, struct answer *a) {
    const struct list *matches = &((const struct indexed_intention_matches *)a->reply)->matches;
    struct list given = http_param_list(r, "name");
    struct list keys = LIST_NEW(&r->arena, struct str, given.len);
    memcpy(keys.items, given.items, given.len * sizeof(struct str));
    qsort(keys.items, keys.len, sizeof(struct str), by_text);
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    for (uint32_t i = 0; i < keys.len; i++) {
        struct str key = LIST_AT(keys, struct str, i);
        if (i > 0 && str_eq(key, LIST_AT(keys, struct str, i - 1)))
            continue;
        uint32_t at = 0;
        while (!str_eq(LIST_AT(given, struct str, at), key))
            at++;
        const struct list *found = at < matches->len ? &LIST_AT(*matches, struct list, at) : NULL;
        json_key(w, key);
        if (found != NULL && found->len > 0)
            http_write_pointers(w, found, &intention_shape);
        else
            json_null(w);
    }
    json_close_object(w);
    http_answer_json_written(r, 200);
}

static bool read_entries(struct http_request *r, struct list *entries) {
    struct list names = http_param_list(r, "name");
    if (names.len == 0) {
        refuse(r, "required query parameter 'name' not set");
        return false;
    }
    *entries = LIST_NEW(&r->arena, struct intention_match_entry, names.len);
    for (uint32_t i = 0; i < names.len; i++) {
        struct intention_match_entry *entry = &LIST_AT(*entries, struct intention_match_entry, i);
        if (!read_name(r, "name", LIST_AT(names, struct str, i), &entry->name_space, &entry->name))
            return false;
    }
    return true;
}

static void match(struct http_request *r) {
    struct intention_query_request *q = question(r);
    struct intention_query_match *match = ARENA_NEW(&r->arena, struct intention_query_match);
    if (q == NULL || !read_once(r, "by", &match->type))
        return;
    if (!str_is(match->type, "source") && !str_is(match->type, "destination")) {
        refuse(r, "'by' parameter must be one of 'source' or 'destination'");
        return;
    }
    if (!read_entries(r, &match->entries))
        return;
    q->match = match;
    http_call(r, &endpoint_intention_match, q, matched);
}

static void checked(struct http_request *r, struct answer *a) {
    http_answer_json(r, 200, &intention_query_check_response_shape, a->reply);
}

static void check(struct http_request *r) {
    struct intention_query_request *q = question(r);
    struct intention_query_check *check = ARENA_NEW(&r->arena, struct intention_query_check);
    struct str source, destination;
    if (q == NULL || !read_once(r, "source", &source) ||
        !read_once(r, "destination", &destination) ||
        !read_name(r, "source", source, &check->source_ns, &check->source_name) ||
        !read_name(r, "destination", destination, &check->destination_ns, &check->destination_name))
        return;
    check->source_type = http_has_param(r, "source-type") ? http_param(r, "source-type")
                                                          : STR(INTENTION_SOURCE_TYPE);
    q->check = check;
    http_call(r, &endpoint_intention_check, q, checked);
}

/* ---- routes ---- */

static void collection(struct http_request *r) {
    if (http_method_is(r, "POST"))
        http_read_body(r, 0, create_body);
    else
        list(r);
}

static void specific(struct http_request *r) {
    if (http_method_is(r, "PUT"))
        http_read_body(r, 0, update_body);
    else if (http_method_is(r, "DELETE"))
        delete (r);
    else
        get(r);
}

const struct http_route http_routes_intention[] = {
    {"/v1/connect/intentions", "GET,POST", collection, ROUTE_META},
    {"/v1/connect/intentions/", "GET,PUT,DELETE", specific, 0},
    {"/v1/connect/intentions/check", "GET", check, 0},
    {"/v1/connect/intentions/match", "GET", match, 0},
    {NULL, NULL, NULL, 0},
};
