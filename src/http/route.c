/* From a path to a handler: http-core.md 2.1, step by step. */
#include "base/map.h"
#include "base/mem.h"
#include "http/room.h"

#define PREFIX_SLASHES 8 /* no pattern has more */
#define PATTERN_MAX 256

static const struct http_route *const all_tables[] = {
    http_routes_acl,          http_routes_acl_legacy,
    http_routes_acl_methods,  http_routes_acl_policies,
    http_routes_acl_tokens,   http_routes_acl_translate,
    http_routes_agent,        http_routes_catalog,
    http_routes_config_entry, http_routes_connect,
    http_routes_coordinate,   http_routes_discovery_chain,
    http_routes_event,        http_routes_federation_state,
    http_routes_health,       http_routes_intention,
    http_routes_internal,     http_routes_keyring,
    http_routes_kv,           http_routes_operator,
    http_routes_profile,      http_routes_query,
    http_routes_session,      http_routes_snapshot,
    http_routes_status,       http_routes_txn,
    http_routes_ui,           NULL,
};

/* "/v1/kv/" -> ".v1.kv._" (agent.md 6). */
static void name_metric(char out[64], struct str pattern) {
    size_t len = 0;
    for (size_t i = 0; i < pattern.len && len < 61; i++)
        out[len++] = pattern.data[i] == '/' ? '.' : pattern.data[i];
    if (len > 0 && out[len - 1] == '.')
        out[len++] = '_';
    out[len] = '\0';
}

void http_routes_add(struct http *http, struct str pattern, const struct http_route *route) {
    struct http_pattern *p = MEM_NEW(struct http_pattern);
    p->route = route;
    name_metric(p->metric, pattern);
    void *earlier = map_put(&http->routes, pattern, p);
    ASSERT(earlier == NULL);
    ASSERT(pattern.len < PATTERN_MAX);
    if (pattern.len > http->longest)
        http->longest = pattern.len;
}

void http_routes_build(struct http *http, const struct http_route *const *tables) {
    for (const struct http_route *const *t = tables != NULL ? tables : all_tables; *t != NULL; t++)
        for (const struct http_route *route = *t; route->pattern != NULL; route++)
            http_routes_add(http, str_from(route->pattern), route);
    http_ui_add_routes(http, http->o.config);
}

void http_routes_free(struct http *http) {
    void *value;
    for (size_t i = 0; map_next(&http->routes, &i, NULL, &value);)
        mem_free(value);
    map_free(&http->routes);
}

const struct http_pattern *http_route_find(const struct http *http, struct str path,
                                           struct str *argument) {
    const struct http_pattern *found = NULL;
    size_t slashes[PREFIX_SLASHES];
    unsigned count = 0;
    *argument = STR("");
    if (path.len <= http->longest && (found = map_get(&http->routes, path)) != NULL)
        return found;
    for (size_t i = 1; i < path.len && i < http->longest && count < PREFIX_SLASHES; i++)
        if (path.data[i] == '/')
            slashes[count++] = i;
    while (count > 0 && found == NULL) {
        size_t len = slashes[--count] + 1;
        found = map_get(&http->routes, str_sub(path, 0, len));
        if (found != NULL)
            *argument = str_sub(path, len, path.len);
    }
    return found;
}

/* ---- before the match ---- */

static bool is_printable(struct str path) {
    size_t i = 0;
    while (i < path.len && path.data[i] >= 0x20 && path.data[i] < 0x7f)
        i++;
    while (i < path.len) {
        uint32_t rune;
        size_t len = utf8_decode(path.data + i, path.len - i, &rune);
        if (len > 0 && !utf8_is_print(rune))
            return false;
        i += len > 0 ? len : 1; /* what is no UTF-8 counts as U+FFFD, which is printable */
    }
    return true;
}

static void add_html_escaped(struct buf *out, struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        switch (s.data[i]) {
        case '&':
            buf_add_text(out, "&amp;");
            break;
        case '<':
            buf_add_text(out, "&lt;");
            break;
        case '>':
            buf_add_text(out, "&gt;");
            break;
        case '"':
            buf_add_text(out, "&#34;");
            break;
        case '\'':
            buf_add_text(out, "&#39;");
            break;
        default:
            buf_add_char(out, s.data[i]);
        }
    }
}

void http_redirect(struct http_request *r, struct str path) {
    struct buf location = BUF_INIT;
    url_escape_path(&location, path);
    if (r->raw_query.data != NULL) {
        buf_add_char(&location, '?');
        buf_add_str(&location, r->raw_query);
    }
    http_set_header(r, "Location", buf_str(&location));
    if (http_is_head(r)) {
        http_answer_bytes(r, 301, "text/html; charset=utf-8", STR(""), false);
    } else if (http_method_is(r, "GET")) {
        json_begin(&r->writer, &r->out, false);
        buf_add_text(&r->out, "<a href=\"");
        add_html_escaped(&r->out, buf_str(&location));
        buf_add_text(&r->out, "\">Moved Permanently</a>.\n\n");
        http_answer_bytes(r, 301, "text/html; charset=utf-8", buf_str(&r->out), false);
    } else {
        http_answer_empty(r, 301);
    }
    buf_free(&location);
}

/* Whether the path lacks only its slash to be a pattern of a subtree. */
static bool is_subtree(const struct http *http, struct str path) {
    char with[PATTERN_MAX];
    if (path.len == 0 || path.len >= http->longest || path.data[path.len - 1] == '/')
        return false;
    memcpy(with, path.data, path.len);
    with[path.len] = '/';
    return map_get(&http->routes, str_of(with, path.len + 1)) != NULL;
}

/* Steps 1 to 3. False: answered. */
static bool find_route(struct http_request *r) {
    if (!r->config->disable_http_unprintable_char_filter && !is_printable(r->path)) {
        http_answer_empty(r, 400);
        return false;
    }
    if (str_is(r->path, "*")) { /* OPTIONS * */
        r->close_after |= !http_method_is(r, "OPTIONS");
        http_answer_empty(r, http_method_is(r, "OPTIONS") ? 200 : 400);
        return false;
    }
    struct str clean = url_clean_path(r->path, &r->arena);
    const struct http_pattern *found = http_route_find(r->http, clean, &r->argument);
    if ((found == NULL || r->argument.len > 0) && is_subtree(r->http, clean)) {
        http_redirect(r, str_format(&r->arena, STR_FMT "/", STR_ARG(clean)));
        return false;
    }
    if (clean.data != r->path.data) {
        http_redirect(r, clean);
        return false;
    }
    if (found == NULL) {
        http_answer_empty(r, 404);
        return false;
    }
    r->pattern = found;
    r->route = found->route;
    return true;
}

/* ---- behind it ---- */

/* Whether a comma-separated list without blanks has the word. */
static bool list_has(const char *list, struct str word) {
    struct str rest = str_from(list);
    while (rest.data != NULL)
        if (str_eq(str_cut(&rest, ','), word))
            return true;
    return false;
}

static bool is_blocked(const struct http_request *r) {
    const struct list *blocked = &r->config->http.block_endpoints;
    for (uint32_t i = 0; i < blocked->len; i++)
        if (str_has_prefix(r->path, LIST_AT(*blocked, struct str, i)))
            return true;
    return false;
}

static bool check_method(struct http_request *r) {
    bool options = http_method_is(r, "OPTIONS");
    if ((r->route->flags & ROUTE_ANY_METHOD) != 0)
        return true;
    if (!options && list_has(r->route->methods, r->method))
        return true;
    http_set_header(r, "Allow", str_format(&r->arena, "OPTIONS,%s", r->route->methods));
    if (options)
        http_answer_empty(r, 200);
    else
        http_answer_method(r);
    return false;
}

static bool check_writer(struct http_request *r) {
    if (r->config->http.allow_write_http_from.len == 0 || http_method_is(r, "GET") ||
        http_is_head(r) || http_method_is(r, "OPTIONS"))
        return true;
    if (r->unix_socket) {
        http_answer_text(r, 500,
                         STR("unable to parse remote addr: address @: missing port in address"));
        return false;
    }
    if (http_settings_may_write(r->settings, &r->peer))
        return true;
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, ERROR_DENIED, "Access is restricted");
    http_answer_error(r, &e);
    return false;
}

void http_dispatch(struct http_request *r) {
    if (!find_route(r))
        return;
    if ((r->route->flags & ROUTE_PLAIN) != 0) {
        r->route->handler(r);
        return;
    }
    if (!url_parse_query(r->raw_query, &r->arena, &r->params, &r->param_count)) {
        http_answer_empty(r, 500);
        return;
    }
    r->pretty = r->config->dev_mode || (r->param_count > 0 && http_has_param(r, "pretty"));
    bool bare = (r->route->flags & ROUTE_BARE) != 0;
    if (!bare && is_blocked(r)) {
        http_answer_text(r, 403, STR("Endpoint is blocked by agent configuration"));
        return;
    }
    if (bare || (check_method(r) && check_writer(r))) {
        http_count(r, "client.api.", r->route->counter);
        r->route->handler(r);
    }
}
