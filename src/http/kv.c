/* /v1/kv: http-core.md 11.4. */
#include "http/records.h"
#include "http/room.h"

/* ---- numbers ---- */

bool http_read_u64(struct http_request *r, const char *name, uint64_t *out, struct error *e) {
    struct str text = http_param(r, name);
    bool digits = text.len > 0;
    for (size_t i = 0; i < text.len; i++)
        digits = digits && text.data[i] >= '0' && text.data[i] <= '9';
    if (digits && str_to_u64(text, out))
        return true;
    return error_set(e, ERROR_INTERNAL, "strconv.ParseUint: parsing " STR_FMT ": %s",
                     STR_ARG(str_quote(&r->arena, text)),
                     digits ? "value out of range" : "invalid syntax");
}

/* ---- reading ---- */

static void write_entries(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_pointers(w, &((const struct indexed_dir_entries *)reply)->entries, &dir_entry_shape);
}

static void write_keys(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_strings(w, &((const struct indexed_keys *)reply)->keys);
}

static void answer_raw(struct http_request *r, const struct dir_entry *entry) {
    http_set_header(r, "Content-Security-Policy", STR("sandbox"));
    http_set_header(r, "X-Content-Type-Options", STR("nosniff"));
    http_answer_bytes(r, 200, "text/plain", entry->value, true);
}

static void got_entries(struct http_request *r, struct answer *a) {
    const struct indexed_dir_entries *reply = a->reply;
    http_set_meta(r, &a->meta);
    if (reply->entries.len == 0)
        http_answer_empty(r, 404);
    else if (r->call.endpoint == &endpoint_kvs_get && r->param_count > 0 &&
             http_has_param(r, "raw"))
        answer_raw(r, LIST_AT(reply->entries, struct dir_entry *, 0));
    else
        http_answer_shared(r, a, 200, write_entries);
}

static void got_keys(struct http_request *r, struct answer *a) {
    const struct indexed_keys *reply = a->reply;
    const struct key_list_request *q = r->call.request;
    http_set_meta(r, &a->meta);
    if (reply->keys.len == 0 && q->prefix.len > 0)
        http_answer_empty(r, 404);
    else
        http_answer_shared(r, a, 200, write_keys);
}

static void list_keys(struct http_request *r, const struct query_options *options) {
    struct key_list_request *q = ARENA_NEW(&r->arena, struct key_list_request);
    q->datacenter = http_datacenter(r);
    q->prefix = r->argument;
    q->options = *options;
    q->seperator = http_param(r, "separator");
    if (q->seperator.len == 0)
        q->seperator = http_param(r, "seperator");
    http_call(r, &endpoint_kvs_list_keys, q, got_keys);
}

static void kv_get(struct http_request *r, const struct query_options *options) {
    bool keys = false, recurse = false;
    if (r->param_count > 0) {
        keys = http_has_param(r, "keys");
        recurse = http_has_param(r, "recurse");
    }
    if (!keys && !recurse && !http_need_argument(r, "Missing key name"))
        return;
    if (!http_check_namespace(r))
        return;
    if (keys) {
        list_keys(r, options);
        return;
    }
    struct key_request *q = ARENA_NEW(&r->arena, struct key_request);
    q->datacenter = http_datacenter(r);
    q->key = r->argument;
    q->options = *options;
    http_call(r, recurse ? &endpoint_kvs_list : &endpoint_kvs_get, q, got_entries);
}

/* ---- writing ---- */

static void wrote(struct http_request *r, struct answer *a) {
    const struct kvs_request *q = r->call.request;
    bool plain = str_is(q->op, "set") || str_is(q->op, "delete") || str_is(q->op, "delete-tree");
    http_answer_bool(r, plain || *(const bool *)a->reply);
}

/* False: answered. At most one of the named parameters may be there. */
static bool check_conflicts(struct http_request *r, const char *const *names) {
    unsigned found = 0;
    for (; *names != NULL; names++)
        found += http_has_param(r, *names);
    if (found < 2)
        return true;
    struct str all = url_encode_query(&r->arena, r->params, r->param_count);
    http_answer_format(r, 400, "Conflicting flags: " STR_FMT, STR_ARG(all));
    return false;
}

static void put_body(struct http_request *r) {
    struct kvs_request *q = r->state;
    q->dir_ent.value = r->body.len > 0 ? r->body : STR_NONE;
    http_call(r, &endpoint_kvs_apply, q, wrote);
}

/* The operation and its parameters. False: answered. */
static bool read_put(struct http_request *r, struct kvs_request *q) {
    struct error e = ERROR_IN(&r->arena);
    q->op = STR("set");
    if (r->param_count == 0)
        return true;
    if (http_has_param(r, "flags") && !http_read_u64(r, "flags", &q->dir_ent.flags, &e))
        goto failed;
    if (http_has_param(r, "cas")) {
        if (!http_read_u64(r, "cas", &q->dir_ent.modify_index, &e))
            goto failed;
        q->op = STR("cas");
    }
    if (http_has_param(r, "acquire")) {
        q->dir_ent.session = http_param(r, "acquire");
        q->op = STR("lock");
    }
    if (http_has_param(r, "release")) {
        q->dir_ent.session = http_param(r, "release");
        q->op = STR("unlock");
    }
    return true;
failed:
    http_answer_error(r, &e);
    return false;
}

static struct kvs_request *new_write(struct http_request *r, const struct query_options *options) {
    struct kvs_request *q = ARENA_NEW(&r->arena, struct kvs_request);
    q->datacenter = http_datacenter(r);
    q->write.token = options->token;
    q->dir_ent.key = r->argument;
    return q;
}

static void kv_put(struct http_request *r, const struct query_options *options) {
    static const char *const exclusive[] = {"cas", "acquire", "release", NULL};
    if (!http_need_argument(r, "Missing key name") || !check_conflicts(r, exclusive))
        return;
    struct kvs_request *q = new_write(r, options);
    if (!read_put(r, q))
        return;
    uint64_t most = r->config->limits.kv_max_value_size;
    if (r->content_length > 0 && (uint64_t)r->content_length > most) {
        http_answer_format(r, 413,
                           "Request body(%lld bytes) too large, max size: %llu bytes. See "
                           "https://www.consul.io/docs/agent/options.html#kv_max_value_size.",
                           (long long)r->content_length, (unsigned long long)most);
        return;
    }
    r->state = q;
    http_read_body(r, 0, put_body);
}

static void kv_delete(struct http_request *r, const struct query_options *options) {
    static const char *const exclusive[] = {"recurse", "cas", NULL};
    struct error e = ERROR_IN(&r->arena);
    if (!check_conflicts(r, exclusive))
        return;
    struct kvs_request *q = new_write(r, options);
    q->op = STR("delete");
    if (http_has_param(r, "recurse"))
        q->op = STR("delete-tree");
    else if (!http_need_argument(r, "Missing key name"))
        return;
    if (http_has_param(r, "cas")) {
        if (!http_read_u64(r, "cas", &q->dir_ent.modify_index, &e)) {
            http_answer_error(r, &e);
            return;
        }
        q->op = STR("delete-cas");
    }
    http_call(r, &endpoint_kvs_apply, q, wrote);
}

static void kv(struct http_request *r) {
    struct query_options options = {0};
    if (!http_read_options(r, &options))
        return;
    if (http_method_is(r, "GET"))
        kv_get(r, &options);
    else if (!http_check_namespace(r))
        return;
    else if (http_method_is(r, "PUT"))
        kv_put(r, &options);
    else
        kv_delete(r, &options);
}

const struct http_route http_routes_kv[] = {
    {"/v1/kv/", "GET,PUT,DELETE", kv, 0},
    {NULL, NULL, NULL, 0},
};
