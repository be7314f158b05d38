/* Envoy's metrics: where they go, what they are tagged with, and the listeners from which others
 * fetch them. See envoy_bootstrap.h.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/envoy_bootstrap.h"
#include "codec/json.h"
#include "codec/url.h"
#include "codec/url_parts.h"

/* ---- sinks ---- */

static bool split_error(struct error *e, struct str address, const char *why) {
    if (address.len == 0)
        return error_set(e, ERROR_BAD_REQUEST, "%s", why);
    return error_set(e, ERROR_BAD_REQUEST, "address " STR_FMT ": %s", STR_ARG(address), why);
}

bool envoy_split_address(struct str address, struct str *host, struct str *port, struct error *e) {
    ptrdiff_t colon = -1, close = str_find_char(address, ']');
    for (size_t i = address.len; i > 0 && colon < 0; i--)
        if (address.data[i - 1] == ':')
            colon = (ptrdiff_t)i - 1;
    bool bracketed = str_has_prefix(address, STR("["));
    if (colon < 0)
        return split_error(e, address, "missing port in address");
    if (bracketed && close < 0)
        return split_error(e, address, "missing ']' in address");
    if (bracketed && (size_t)close + 1 == address.len)
        return split_error(e, address, "missing port in address");
    if (bracketed && close + 1 != colon)
        return split_error(e, address,
                           address.data[close + 1] == ':' ? "too many colons in address"
                                                          : "missing port in address");
    *host = bracketed ? str_sub(address, 1, (size_t)close - 1) : str_sub(address, 0, (size_t)colon);
    if (!bracketed && str_find_char(*host, ':') >= 0)
        return split_error(e, address, "too many colons in address");
    struct str rest = str_sub(address, bracketed ? 1 : 0, address.len);
    if (str_find_char(rest, '[') >= 0)
        return split_error(e, address, "unexpected '[' in address");
    rest = str_sub(address, bracketed ? (size_t)close + 1 : 0, address.len);
    if (str_find_char(rest, ']') >= 0)
        return split_error(e, address, "unexpected ']' in address");
    *port = str_sub(address, (size_t)colon + 1, address.len);
    return true;
}

/* "$NAME" is what the environment has under that name, of two letters at least. */
static struct str from_environment(struct str url, struct arena *arena) {
    if (!str_has_prefix(url, STR("$")) || url.len < 3)
        return url;
    return str_from(getenv(str_terminated(arena, str_sub(url, 1, url.len))));
}

static void add_comma(struct buf *out) {
    if (out->len > 0)
        buf_add_text(out, ",\n");
}

static bool add_sink(struct buf *out, const char *name, struct str url, struct arena *arena,
                     struct error *e) {
    struct error why = ERROR_IN(arena);
    struct str path, given = from_environment(url, arena);
    if (!url_normal(given, &url, arena, &why))
        return error_set(e, ERROR_BAD_REQUEST, "failed to parse %s sink address " STR_FMT, name,
                         STR_ARG(str_quote(arena, given)));
    struct str scheme = url_scheme(url);
    if (str_is(scheme, "udp")) {
        add_comma(out);
        buf_add_format(out,
                       "{\"name\": \"%s\", \"config\": {\"address\": {\"socket_address\": "
                       "{\"address\": \"" STR_FMT "\", \"port_value\": " STR_FMT "}}}}",
                       name, STR_ARG(url_host(url)), STR_ARG(url_port(url)));
        return true;
    }
    if (str_is(scheme, "unix") && url_decode(url_path(url), false, arena, &path)) {
        add_comma(out);
        buf_add_format(out,
                       "{\"name\": \"%s\", \"config\": {\"address\": {\"pipe\": {\"path\": "
                       "\"" STR_FMT "\"}}}}",
                       name, STR_ARG(path));
        return true;
    }
    return error_set(e, ERROR_BAD_REQUEST, "unsupported address protocol " STR_FMT " for %s sink",
                     STR_ARG(str_quote(arena, scheme)), name);
}

static bool add_sinks(const struct envoy_config *c, struct envoy_args *a, struct arena *arena,
                      struct error *e) {
    struct buf out = BUF_INIT;
    bool ok = (c->statsd_url.len == 0 || add_sink(&out, "envoy.statsd", c->statsd_url, arena, e)) &&
              (c->dogstatsd_url.len == 0 ||
               add_sink(&out, "envoy.dog_statsd", c->dogstatsd_url, arena, e));
    if (c->extra_stats_sinks_json.len > 0) {
        add_comma(&out);
        buf_add_str(&out, c->extra_stats_sinks_json);
    }
    a->stats_sinks_json = str_copy(arena, out.len > 0 ? buf_str(&out) : STR(""));
    buf_free(&out);
    return ok;
}

/* ---- tags ---- */

/* The parts of the names of Consul's clusters, "[hash~][subset.]service.namespace.dc.type.domain",
 * and which of them each tag is. */
static const struct {
    const char *tag, *regex;
} cluster_tags[] = {
#define PART "[^.]+\\\\."
#define HASH "(?:[^.]+~)?"
#define SUBSET "(?:[^.]+\\\\.)?"
#define THIS "([^.]+)\\\\."
#define START "^cluster\\\\.("
#define END "consul\\\\.)"
    {"custom_hash", START "(?:([^.]+)~)?" SUBSET PART PART PART PART PART END},
    {"service_subset", START HASH "(?:([^.]+)\\\\.)?" PART PART PART PART PART END},
    {"service", START HASH SUBSET THIS PART PART PART PART END},
    {"namespace", START HASH SUBSET PART THIS PART PART PART END},
    {"datacenter", START HASH SUBSET PART PART THIS PART PART END},
    {"routing_type", START HASH SUBSET PART PART PART THIS PART END},
    {"trust_domain", START HASH SUBSET PART PART PART PART THIS END},
    {"target", START "(" HASH SUBSET PART PART "[^.]+)\\\\." PART PART END},
    {"full_target", START "(" HASH SUBSET PART PART PART PART "[^.]+)\\\\." END},
};

static void add_fixed(struct buf *out, struct str name, struct str value) {
    add_comma(out);
    buf_add_format(out, "{\"tag_name\": \"" STR_FMT "\", \"fixed_value\": \"" STR_FMT "\"}",
                   STR_ARG(name), STR_ARG(value));
}

static void add_tags(const struct envoy_config *c, const struct envoy_args *a, struct buf *out,
                     struct arena *arena) {
    bool cluster = false;
    for (size_t i = 0; i < COUNT_OF(cluster_tags); i++) {
        add_comma(out);
        buf_add_format(out, "{\"regex\": \"%s\", \"tag_name\": \"consul.%s\"}",
                       cluster_tags[i].regex, cluster_tags[i].tag);
    }
    for (size_t i = 0; i < c->stats_tag_count; i++) {
        struct str value = c->stats_tags[i];
        struct str name = str_lower(arena, str_cut(&value, '='));
        add_fixed(out, name, value.data != NULL ? value : STR("1"));
        cluster |= str_is(name, "local_cluster");
    }
    if (!cluster)
        add_fixed(out, STR("local_cluster"), a->proxy_cluster);
}

static void add_stats_config(const struct envoy_config *c, struct envoy_args *a,
                             struct arena *arena) {
    struct buf tags = BUF_INIT;
    a->stats_config_json = c->stats_config_json;
    if (c->stats_config_json.len > 0)
        return;
    add_tags(c, a, &tags, arena);
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"stats_tags\": [");
    buf_add_str(&out, buf_str(&tags));
    buf_add_text(&out, "], \"use_all_default_tags\": true}");
    a->stats_config_json = str_copy(arena, buf_str(&out));
    buf_free(&out);
    buf_free(&tags);
}

bool envoy_add_stats(const struct envoy_config *config, struct envoy_args *args,
                     struct arena *arena, struct error *e) {
    args->stats_flush_interval = config->stats_flush_interval;
    args->tracing_config_json = config->tracing_json;
    if (!add_sinks(config, args, arena, e))
        return false;
    add_stats_config(config, args, arena);
    return true;
}

/* ---- listeners that lead to the admin port ---- */

struct door {
    const char *name;    /* "envoy_ready" */
    const char *match;   /* "path", "prefix" */
    const char *outside; /* what is matched */
    const char *inside;  /* what becomes of it */
};

static bool add_door(struct buf *out, const struct door *d, struct str address, struct error *e) {
    struct str host, port;
    if (!envoy_split_address(address, &host, &port, e))
        return error_prefix(e, "invalid %s bind address: ", d->name);
    add_comma(out);
    buf_add_format(out,
                   "{\"name\": \"%s_listener\", \"address\": {\"socket_address\": {\"address\": "
                   "\"" STR_FMT "\", \"port_value\": " STR_FMT
                   "}}, \"filter_chains\": [{\"filters\": [{"
                   "\"name\": \"envoy.http_connection_manager\", \"config\": {"
                   "\"stat_prefix\": \"%s\", \"codec_type\": \"HTTP1\", \"route_config\": {"
                   "\"name\": \"self_admin_route\", \"virtual_hosts\": [{"
                   "\"name\": \"self_admin\", \"domains\": [\"*\"], \"routes\": ["
                   "{\"match\": {\"%s\": \"%s\"}, \"route\": {\"cluster\": \"self_admin\", "
                   "\"prefix_rewrite\": \"%s\"}}, "
                   "{\"match\": {\"prefix\": \"/\"}, \"direct_response\": {\"status\": 404}}"
                   "]}]}, \"http_filters\": [{\"name\": \"envoy.router\"}]}}]}]}",
                   d->name, STR_ARG(host), STR_ARG(port), d->name, d->match, d->outside, d->inside);
    return true;
}

static const char *json_type(const struct value *v) {
    static const char *const names[] = {[VALUE_BOOL] = "bool",
                                        [VALUE_STRING] = "string",
                                        [VALUE_LIST] = "array",
                                        [VALUE_MAP] = "object"};
    return names[v->kind] != NULL ? names[v->kind] : "number";
}

/* Whether a list of clusters has one of that name. */
static bool find_cluster(const struct value *list, const char *wanted, bool *found,
                         struct error *e) {
    *found = false;
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *cluster = &list->list.items[i];
        if (cluster->kind == VALUE_NULL)
            continue;
        if (cluster->kind != VALUE_MAP)
            return error_set(
                e, ERROR_BAD_REQUEST,
                "json: cannot unmarshal %s into Go value of type struct { Name string }",
                json_type(cluster));
        for (size_t j = 0; j < cluster->map.len; j++) {
            const struct value_pair *pair = &cluster->map.pairs[j];
            if (!str_eq_fold(pair->key, STR("name")) || pair->value.kind == VALUE_NULL)
                continue;
            if (pair->value.kind != VALUE_STRING)
                return error_set(
                    e, ERROR_BAD_REQUEST,
                    "json: cannot unmarshal %s into Go struct field .Name of type string",
                    json_type(&pair->value));
            *found |= str_is(pair->value.string, wanted);
        }
    }
    return true;
}

/* The cluster of the admin port, unless the registration's own clusters have one of that name. */
static bool add_admin_cluster(struct envoy_args *a, struct arena *arena, struct error *e) {
    struct str own = a->static_clusters_json;
    struct value list;
    if (own.len > 0) {
        struct str text = str_format(arena, "[" STR_FMT "]", STR_ARG(own));
        bool found = false;
        if (!json_parse_whole(text, &list, arena, e) ||
            !find_cluster(&list, "self_admin", &found, e))
            return error_prefix(e, "failed to parse static clusters: ");
        if (found)
            return true;
    }
    a->static_clusters_json = str_format(
        arena,
        STR_FMT "%s{\"name\": \"self_admin\", \"connect_timeout\": \"5s\", \"type\": \"STATIC\", "
                "\"http_protocol_options\": {}, \"hosts\": [{\"socket_address\": {\"address\": "
                "\"127.0.0.1\", \"port_value\": " STR_FMT "}}]}",
        STR_ARG(own), own.len > 0 ? ",\n" : "", STR_ARG(a->admin_bind_port));
    return true;
}

bool envoy_add_listeners(const struct envoy_config *config, struct envoy_args *args,
                         struct arena *arena, struct error *e) {
    static const struct door prometheus = {"envoy_prometheus_metrics", "path", "/metrics",
                                           "/stats/prometheus"},
                             stats = {"envoy_metrics", "prefix", "/stats", "/stats"},
                             ready = {"envoy_ready", "path", "/ready", "/ready"};
    struct buf out = BUF_INIT;
    bool doors = config->prometheus_bind_address.len > 0 || config->stats_bind_address.len > 0 ||
                 config->ready_bind_address.len > 0;
    args->static_clusters_json = config->extra_static_clusters_json;
    buf_add_str(&out, config->extra_static_listeners_json);
    bool ok = (config->prometheus_bind_address.len == 0 ||
               add_door(&out, &prometheus, config->prometheus_bind_address, e)) &&
              (config->stats_bind_address.len == 0 ||
               add_door(&out, &stats, config->stats_bind_address, e)) &&
              (config->ready_bind_address.len == 0 ||
               add_door(&out, &ready, config->ready_bind_address, e)) &&
              (!doors || add_admin_cluster(args, arena, e));
    args->static_listeners_json = str_copy(arena, out.len > 0 ? buf_str(&out) : STR(""));
    buf_free(&out);
    return ok;
}
