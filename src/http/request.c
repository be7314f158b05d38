/* What handlers read of a request: parameters, headers, and the common parameters of
 * http-core.md 6. */
#include <stdlib.h>

#include "base/time.h"
#include "http/room.h"
#include "server/agent_tokens.h"

struct str http_param_at(const struct http_request *r, const char *name, unsigned i) {
    struct str wanted = str_from(name);
    for (uint32_t n = 0; n < r->param_count; n++)
        if (str_eq(r->params[n].name, wanted) && i-- == 0)
            return r->params[n].value;
    return STR_NONE;
}

struct str http_param(const struct http_request *r, const char *name) {
    return http_param_at(r, name, 0);
}

bool http_has_param(const struct http_request *r, const char *name) {
    return http_param_at(r, name, 0).data != NULL;
}

struct str http_header(const struct http_request *r, const char *name) {
    struct str wanted = str_from(name);
    for (uint32_t i = 0; i < r->header_count; i++)
        if (str_eq_fold(r->headers[i].name, wanted))
            return r->headers[i].value;
    return STR_NONE;
}

bool http_method_is(const struct http_request *r, const char *method) {
    return str_is(r->method, method);
}

struct str http_remote(struct http_request *r) {
    char text[56];
    peer_address_format(&r->peer, text);
    return str_copy(&r->arena, str_from(text));
}

struct str http_remote_ip(struct http_request *r) {
    struct str text = http_remote(r);
    if (r->unix_socket)
        return STR("");
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    text = str_sub(text, 0, colon - 1);
    if (text.data[0] == '[')
        text = str_sub(text, 1, text.len - 2);
    return text;
}

struct str http_token(struct http_request *r) {
    struct str token = http_param(r, "token");
    if (token.len > 0)
        return token;
    token = http_header(r, "X-Consul-Token");
    if (token.len > 0)
        return token;
    struct str rest = str_trim(http_header(r, "Authorization"));
    struct str scheme = str_cut(&rest, ' ');
    if (rest.data != NULL && str_eq_fold(scheme, STR("Bearer"))) {
        rest = str_trim(rest);
        token = str_cut(&rest, ' ');
        if (token.len > 0)
            return token;
    }
    return r->server != NULL ? agent_token(server_tokens(r->server), AGENT_TOKEN_DEFAULT, &r->arena)
                             : STR("");
}

struct str http_datacenter(const struct http_request *r) {
    struct str dc = http_param(r, "dc");
    return dc.data != NULL ? dc : STR("");
}

bool http_check_namespace(struct http_request *r) {
    const char *what;
    if (http_header(r, "X-Consul-Namespace").len > 0)
        what = "header: \"X-Consul-Namespace\"";
    else if (http_param(r, "ns").len > 0)
        what = "query parameter: \"ns\"";
    else
        return true;
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, ERROR_BAD_REQUEST,
              "Bad request: Invalid %s - Namespaces are a Consul Enterprise feature", what);
    http_answer_error(r, &e);
    return false;
}

bool http_need_argument(struct http_request *r, const char *text) {
    if (r->argument.len > 0)
        return true;
    http_answer_text(r, 400, str_from(text));
    return false;
}

/* ---- options ---- */

/* "max-age=5, must-revalidate": http-core.md 6.5. */
static bool cache_control_valid(const struct http_request *r, struct query_options *out) {
    struct str rest = http_header(r, "Cache-Control");
    while (rest.data != NULL) {
        struct str value = str_trim(str_cut(&rest, ','));
        struct str name = str_cut(&value, '=');
        int64_t seconds;
        bool age = str_eq_fold(name, STR("max-age"));
        bool stale = str_eq_fold(name, STR("stale-if-error"));
        if (str_eq_fold(name, STR("must-revalidate")))
            out->must_revalidate = true;
        if (value.data == NULL || (!age && !stale))
            continue;
        if (!str_to_i64(value, &seconds))
            return false;
        int64_t time = seconds > INT64_MAX / SECOND   ? INT64_MAX
                       : seconds < INT64_MIN / SECOND ? INT64_MIN
                                                      : seconds * SECOND;
        if (age)
            out->max_age = time;
        else
            out->stale_if_error = time;
        if (age && seconds == 0)
            out->must_revalidate = true;
    }
    return true;
}

static bool may_be_stale_by_default(const struct http_request *r) {
    return r->config->discovery_max_stale > 0 && (str_has_prefix(r->path, STR("/v1/catalog")) ||
                                                  str_has_prefix(r->path, STR("/v1/health")));
}

/* Absent: all is well; otherwise the text of a 400. */
static struct str consistency_problem(struct http_request *r, struct query_options *out) {
    bool chosen = http_has_param(r, "leader");
    bool cached = http_has_param(r, "cached");
    struct str max_stale = http_param(r, "max_stale");
    struct error e = ERROR_IN(&r->arena);
    out->allow_stale = http_has_param(r, "stale");
    out->require_consistent = http_has_param(r, "consistent");
    out->use_cache = cached && r->config->http.use_cache;
    chosen |= out->allow_stale || out->require_consistent || cached;
    if (max_stale.len > 0) {
        if (!duration_parse(max_stale, &out->max_stale_duration, &e))
            return str_format(&r->arena, "Invalid max_stale value " STR_FMT,
                              STR_ARG(str_quote(&r->arena, max_stale)));
        if (out->max_stale_duration > 0)
            out->allow_stale = chosen = true;
    }
    if (!chosen && may_be_stale_by_default(r)) {
        out->max_stale_duration = r->config->discovery_max_stale;
        out->allow_stale = true;
    }
    if (out->allow_stale && out->require_consistent)
        return STR("Cannot specify ?stale with ?consistent, conflicting semantics.");
    if (cached && out->require_consistent)
        return STR("Cannot specify ?cached with ?consistent, conflicting semantics.");
    r->effective_stale = out->allow_stale;
    r->effective_consistent = out->require_consistent;
    return STR_NONE;
}

/* The same. */
static struct str blocking_problem(struct http_request *r, struct query_options *out) {
    struct str wait = http_param(r, "wait");
    struct str index = http_param(r, "index");
    struct error e = ERROR_IN(&r->arena);
    if (wait.len > 0 && !duration_parse(wait, &out->max_query_time, &e))
        return STR("Invalid wait time");
    if (index.len > 0 && !str_to_u64(index, &out->min_query_index))
        return STR("Invalid index");
    return STR_NONE;
}

#define BAD_CACHE_CONTROL "Invalid Cache-Control header."

struct str http_cache_problem(struct http_request *r, struct query_options *out) {
    out->token = http_token(r);
    struct str problem = consistency_problem(r, out);
    if (cache_control_valid(r, out))
        return problem;
    return str_format(&r->arena, STR_FMT BAD_CACHE_CONTROL, STR_ARG(problem));
}

bool http_read_blocking(struct http_request *r, struct query_options *out) {
    struct str problem = blocking_problem(r, out);
    if (problem.data == NULL)
        return true;
    http_answer_text(r, 400, problem);
    return false;
}

bool http_read_options(struct http_request *r, struct query_options *out) {
    struct str problem = STR_NONE;
    bool bare = r->param_count == 0; /* as most requests are */
    out->token = http_token(r);
    out->filter = STR("");
    if (!bare) {
        struct str filter = http_param(r, "filter");
        if (filter.data != NULL)
            out->filter = filter;
    }
    if (!bare || may_be_stale_by_default(r))
        problem = consistency_problem(r, out);
    if (problem.data == NULL && !cache_control_valid(r, out))
        problem = STR(BAD_CACHE_CONTROL);
    if (problem.data == NULL && !bare)
        problem = blocking_problem(r, out);
    if (problem.data == NULL)
        return true;
    http_answer_text(r, 400, problem);
    return false;
}

void http_read_source(struct http_request *r, struct query_source *out) {
    struct str near = http_param(r, "near");
    struct str dc = http_datacenter(r);
    if (near.len == 0)
        return;
    out->datacenter = dc.len > 0 ? dc : r->config->datacenter;
    out->node = str_is(near, "_agent") ? r->config->node_name : near;
}

struct list http_param_list(struct http_request *r, const char *name) {
    struct str wanted = str_from(name);
    uint32_t len = 0;
    for (uint32_t i = 0; i < r->param_count; i++)
        len += str_eq(r->params[i].name, wanted);
    if (len == 0)
        return LIST_NIL;
    struct list out = LIST_NEW(&r->arena, struct str, len);
    len = 0;
    for (uint32_t i = 0; i < r->param_count; i++)
        if (str_eq(r->params[i].name, wanted))
            LIST_AT(out, struct str, len++) = r->params[i].value;
    return out;
}

struct meta_filter {
    struct str_pair pair;
    uint32_t place;
};

static int compare_filters(const void *a, const void *b) {
    const struct meta_filter *x = a, *y = b;
    int order = str_compare(x->pair.key, y->pair.key);
    return order != 0 ? order : x->place < y->place ? -1 : 1;
}

void http_read_node_meta(struct http_request *r, struct list *out) {
    struct list values = http_param_list(r, "node-meta");
    if (!values.present)
        return;
    struct meta_filter *filters = ARENA_ARRAY(&r->arena, struct meta_filter, values.len);
    for (uint32_t i = 0; i < values.len; i++) {
        struct str value = LIST_AT(values, struct str, i);
        filters[i].pair.key = str_cut(&value, ':');
        filters[i].pair.value = value.data != NULL ? value : STR("");
        filters[i].place = i;
    }
    qsort(filters, values.len, sizeof *filters, compare_filters);
    *out = LIST_NEW(&r->arena, struct str_pair, values.len);
    uint32_t len = 0;
    for (uint32_t i = 0; i < values.len; i++) { /* of the same key, the last */
        if (i + 1 < values.len && str_eq(filters[i].pair.key, filters[i + 1].pair.key))
            continue;
        LIST_AT(*out, struct str_pair, len++) = filters[i].pair;
    }
    out->len = len;
}

bool http_body_from_json(struct http_request *r, const struct shape *shape, void *object,
                         const struct json_options *options, struct error *e) {
    struct value tree;
    if (!json_parse(r->body, &tree, NULL, &r->arena, e) ||
        !schema_from_json(&tree, shape, object, options, &r->arena, e)) {
        e->kind = ERROR_BAD_REQUEST;
        return false;
    }
    return true;
}
