/* /v1/query: prepared queries, http-core.md 11.8. */
#include "http/records.h"
#include "http/room.h"

#include <arpa/inet.h>

static bool check_method(struct http_request *r, const char *allow, bool found) {
    bool options = http_method_is(r, "OPTIONS");
    if (found && !options)
        return true;
    if (options) {
        http_set_header(r, "Allow", str_format(&r->arena, "OPTIONS,%s", allow));
        struct json_writer *w = http_json_begin(r);
        json_open_object(w);
        json_close_object(w);
        http_answer_json_written(r, 200);
        return false;
    }
    http_set_header(r, "Allow", str_from(allow));
    http_answer_method(r);
    return false;
}

/* ---- writes ---- */

static void created(struct http_request *r, struct answer *a) {
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    json_key(w, STR("ID"));
    json_str(w, *(const struct str *)a->reply);
    json_close_object(w);
    http_answer_json_written(r, 200);
}

static void changed(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_empty(r, 200);
}

static struct prepared_query_request *change(struct http_request *r, const char *op) {
    struct prepared_query_request *q = ARENA_NEW(&r->arena, struct prepared_query_request);
    q->datacenter = http_datacenter(r);
    q->op = str_from(op);
    q->query = ARENA_NEW(&r->arena, struct prepared_query);
    q->write.token = http_token(r);
    return q;
}

static bool read_record(struct http_request *r, struct prepared_query *query) {
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = "structs.PreparedQuery"};
    if (http_body_from_json(r, &prepared_query_shape, query, &options, &e))
        return true;
    http_answer_format(r, 400, "Request decode failed: " STR_FMT, STR_ARG(e.text));
    return false;
}

static void create_body(struct http_request *r) {
    struct prepared_query_request *q = change(r, "create");
    if (read_record(r, q->query))
        http_call(r, &endpoint_prepared_query_apply, q, created);
}

static void update_body(struct http_request *r) {
    struct prepared_query_request *q = change(r, "update");
    if (r->content_length > 0 && !read_record(r, q->query))
        return;
    q->query->id = r->argument;
    http_call(r, &endpoint_prepared_query_apply, q, changed);
}

static void delete (struct http_request *r) {
    struct prepared_query_request *q = change(r, "delete");
    q->query->id = r->argument;
    http_call(r, &endpoint_prepared_query_apply, q, changed);
}

/* ---- records ---- */

static void write_queries(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_pointers(w, &((const struct indexed_prepared_queries *)reply)->queries,
                        &prepared_query_shape);
}

static void list(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options))
        return;
    q->options.filter = STR("");
    http_call_json(r, &endpoint_prepared_query_list, q, 0, write_queries);
}

static void get(struct http_request *r) {
    struct prepared_query_specific_request *q =
        ARENA_NEW(&r->arena, struct prepared_query_specific_request);
    q->datacenter = http_datacenter(r);
    q->query_id = r->argument;
    if (!http_read_options(r, &q->options))
        return;
    q->options.filter = STR("");
    http_call_json(r, &endpoint_prepared_query_get, q, 0, write_queries);
}

/* ---- execute and explain ---- */

static struct str consistency_level(const struct query_options *options) {
    return options->allow_stale          ? STR("stale")
           : options->require_consistent ? STR("consistent")
                                         : STR("leader");
}

static void write_meta(struct json_writer *w, const struct query_meta *meta,
                       const struct query_options *options) {
    json_key(w, STR("Index"));
    json_u64(w, 0);
    json_key(w, STR("LastContact"));
    json_i64(w, meta->last_contact);
    json_key(w, STR("KnownLeader"));
    json_bool(w, meta->known_leader);
    json_key(w, STR("ConsistencyLevel"));
    json_str(w, consistency_level(options));
}

static void write_explained(struct http_request *r, const void *answer, struct json_writer *w) {
    const struct prepared_query_explain_response *reply = answer;
    const struct prepared_query_execute_request *q = r->call.request;
    json_open_object(w);
    json_key(w, STR("Query"));
    schema_write_json(w, &prepared_query_shape, &reply->query);
    write_meta(w, &reply->meta, &q->options);
    json_close_object(w);
}

static void write_executed(struct http_request *r, const void *answer, struct json_writer *w) {
    const struct prepared_query_execute_response *reply = answer;
    const struct prepared_query_execute_request *q = r->call.request;
    bool remote = http_translates(r, reply->datacenter);
    json_open_object(w);
    json_key(w, STR("Service"));
    json_str(w, reply->service);
    json_key(w, STR("Nodes"));
    json_open_array(w);
    for (uint32_t i = 0; i < reply->nodes.len; i++)
        http_write_plain_instance(w, &LIST_AT(reply->nodes, struct check_service_node, i), remote);
    json_close_array(w);
    json_key(w, STR("DNS"));
    schema_write_json(w, &prepared_query_dns_shape, &reply->dns);
    json_key(w, STR("Datacenter"));
    json_str(w, reply->datacenter);
    json_key(w, STR("Failovers"));
    json_i64(w, reply->failovers);
    write_meta(w, &reply->meta, &q->options);
    json_close_object(w);
}

/* The first address of X-Forwarded-For if it is one, otherwise the other side of the connection. */
static struct str client_ip(struct http_request *r) {
    struct str forwarded = http_header(r, "X-Forwarded-For");
    if (forwarded.data != NULL) {
        struct str first = str_trim(str_cut(&forwarded, ','));
        unsigned char ip[16];
        char *text = str_terminated(&r->arena, first);
        if (inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1)
            return first;
    }
    return http_remote_ip(r);
}

static bool is_number(struct str text) {
    size_t i = text.len > 1 && (text.data[0] == '-' || text.data[0] == '+');
    while (i < text.len && text.data[i] >= '0' && text.data[i] <= '9')
        i++;
    return i == text.len;
}

static bool read_limit(struct http_request *r, int64_t *limit) {
    struct str text = http_param(r, "limit");
    if (text.len == 0 || str_to_i64(text, limit))
        return true;
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, ERROR_INTERNAL, "Bad limit: strconv.Atoi: parsing " STR_FMT ": %s",
              STR_ARG(str_quote(&r->arena, text)),
              is_number(text) ? "value out of range" : "invalid syntax");
    http_answer_error(r, &e);
    return false;
}

static bool read_connect(struct http_request *r, bool *connect) {
    struct str text = http_param(r, "connect");
    if (text.len == 0 || str_to_bool(text, connect))
        return true;
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, ERROR_INTERNAL,
              "Error parsing 'connect' value: strconv.ParseBool: parsing " STR_FMT
              ": invalid syntax",
              STR_ARG(str_quote(&r->arena, text)));
    http_answer_error(r, &e);
    return false;
}

/* NULL: answered. */
static struct prepared_query_execute_request *question(struct http_request *r, struct str name) {
    struct prepared_query_execute_request *q =
        ARENA_NEW(&r->arena, struct prepared_query_execute_request);
    q->datacenter = http_datacenter(r);
    q->query_id_or_name = name;
    q->agent = (struct query_source){.datacenter = r->config->datacenter,
                                     .node = r->config->node_name,
                                     .segment = r->config->segment_name};
    http_read_source(r, &q->source);
    q->source.ip = client_ip(r);
    q->source.datacenter = r->config->datacenter;
    if (!http_read_options(r, &q->options) || !read_limit(r, &q->limit))
        return NULL;
    q->options.filter = STR("");
    return q;
}

static void execute(struct http_request *r, struct str name) {
    struct prepared_query_execute_request *q = question(r, name);
    if (q != NULL && read_connect(r, &q->connect))
        http_call_cached(r, &endpoint_prepared_query_execute, q, &q->options, HTTP_CACHE_PLAIN, 0,
                         write_executed);
}

static void explain(struct http_request *r, struct str name) {
    struct prepared_query_execute_request *q = question(r, name);
    if (q != NULL)
        http_call_json(r, &endpoint_prepared_query_explain, q, 0, write_explained);
}

/* ---- routes ---- */

static void collection(struct http_request *r) {
    if (http_method_is(r, "POST"))
        http_read_body(r, 0, create_body);
    else
        list(r);
}

/* The name before an action's word. Where there is nothing before it, the word is also the name. */
static bool is_action(struct http_request *r, const char *action, struct str *name) {
    struct str word = str_from(action);
    if (!str_has_suffix(r->path, word))
        return false;
    *name = r->argument;
    if (str_has_suffix(*name, word))
        name->len -= word.len;
    return true;
}

static void specific(struct http_request *r) {
    struct str name;
    bool executes = is_action(r, "/execute", &name);
    if (executes || is_action(r, "/explain", &name)) {
        if (!check_method(r, "GET", http_method_is(r, "GET")))
            return;
        if (executes)
            execute(r, name);
        else
            explain(r, name);
        return;
    }
    bool put = http_method_is(r, "PUT");
    bool removes = http_method_is(r, "DELETE");
    if (!check_method(r, "GET,PUT,DELETE", put || removes || http_method_is(r, "GET")))
        return;
    if (put && r->content_length > 0)
        http_read_body(r, 0, update_body);
    else if (put)
        update_body(r);
    else if (removes)
        delete (r);
    else
        get(r);
}

const struct http_route http_routes_query[] = {
    {"/v1/query", "GET,POST", collection, ROUTE_META | ROUTE_EFFECTIVE},
    {"/v1/query/", "GET,PUT,DELETE", specific, ROUTE_META | ROUTE_EFFECTIVE | ROUTE_ANY_METHOD},
    {NULL, NULL, NULL, 0},
};
