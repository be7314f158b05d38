/* From the registration's keys to the bootstrap, by the template or the registration's own. See
 * envoy_bootstrap.h.
 */
#include "cli/envoy_bootstrap.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "schema/config_entry_values.h"

/* ---- the registration's keys ---- */

static const struct {
    const char *key;
    size_t offset;
} config_keys[] = {
#define KEY(key, member)                                                                           \
    { key, offsetof(struct envoy_config, member) }
    KEY("envoy_statsd_url", statsd_url),
    KEY("envoy_dogstatsd_url", dogstatsd_url),
    KEY("envoy_prometheus_bind_addr", prometheus_bind_address),
    KEY("envoy_stats_bind_addr", stats_bind_address),
    KEY("envoy_stats_flush_interval", stats_flush_interval),
    KEY("envoy_tracing_json", tracing_json),
    KEY("envoy_stats_config_json", stats_config_json),
    KEY("envoy_extra_stats_sinks_json", extra_stats_sinks_json),
    KEY("envoy_extra_static_clusters_json", extra_static_clusters_json),
    KEY("envoy_extra_static_listeners_json", extra_static_listeners_json),
    KEY("envoy_bootstrap_json_tpl", bootstrap_template),
#undef KEY
};

/* In this very spelling, else in any case. */
static const struct value *find_key(const struct value *map, const char *key) {
    const struct value *found = value_get(map, key);
    for (size_t i = 0; found == NULL && i < map->map.len; i++)
        if (str_eq_fold(map->map.pairs[i].key, str_from(key)))
            found = &map->map.pairs[i].value;
    return found != NULL && found->kind != VALUE_NULL ? found : NULL;
}

static void read_tags(struct reader *r, const struct value *v, struct envoy_config *out) {
    const struct path outer = {.kind = PATH_FIELD, .name = STR("envoy_stats_tags")};
    const struct value *items = v;
    size_t count = 1; /* what is no list is one of one */
    if (v->kind == VALUE_LIST) {
        items = v->list.items;
        count = v->list.len;
    } else if (v->kind == VALUE_MAP && v->map.len == 0) {
        count = 0;
    }
    out->stats_tags = ARENA_ARRAY(r->arena, struct str, count + 1);
    out->stats_tag_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct path path = {.outer = &outer, .kind = PATH_INDEX, .index = i};
        out->stats_tags[i] = STR("");
        if (items[i].kind != VALUE_NULL)
            read_str(r, &path, &items[i], "string", &out->stats_tags[i]);
    }
}

static int compare_texts(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool decoding_error(struct texts *wrong, struct error *e) {
    struct buf text = BUF_INIT;
    qsort(wrong->items, wrong->len, sizeof *wrong->items, compare_texts);
    buf_add_format(&text, "%zu error(s) decoding:\n\n", wrong->len);
    for (size_t i = 0; i < wrong->len; i++)
        buf_add_format(&text, "%s* " STR_FMT, i > 0 ? "\n" : "", STR_ARG(wrong->items[i]));
    error_set(e, ERROR_BAD_REQUEST, "failed parsing Proxy.Config: " STR_FMT,
              STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}

bool envoy_config_read(const struct value *config, struct envoy_config *out, struct arena *arena,
                       struct error *e) {
    struct reader r = {.arena = arena};
    *out = (struct envoy_config){0};
    if (config == NULL || config->kind != VALUE_MAP)
        return true;
    for (size_t i = 0; i < COUNT_OF(config_keys); i++) {
        const struct path path = {.kind = PATH_FIELD, .name = str_from(config_keys[i].key)};
        const struct value *v = find_key(config, config_keys[i].key);
        struct str *to = (struct str *)(void *)((char *)out + config_keys[i].offset);
        if (v != NULL)
            read_str(&r, &path, v, "string", to);
    }
    const struct value *tags = find_key(config, "envoy_stats_tags");
    if (tags != NULL)
        read_tags(&r, tags, out);
    return r.wrong.len == 0 || decoding_error(&r.wrong, e);
}

/* ---- the text ---- */

static bool render_own(struct str text, const struct envoy_args *a, const struct cli_hooks *hooks,
                       struct str *out, struct arena *arena, struct error *e) {
    const struct cli_template_field fields[] = {
        {"ProxyCluster", .text = a->proxy_cluster},
        {"ProxyID", .text = a->proxy_id},
        {"AgentAddress", .text = a->agent_address},
        {"AgentPort", .text = a->agent_port},
        {"AgentSocket", .text = a->agent_socket},
        {"AgentTLS", .is_bool = true, .boolean = a->agent_tls},
        {"AgentCAPEM", .text = a->agent_ca_pem},
        {"AdminAccessLogPath", .text = a->admin_access_log_path},
        {"AdminBindAddress", .text = a->admin_bind_address},
        {"AdminBindPort", .text = a->admin_bind_port},
        {"LocalAgentClusterName", .text = a->local_agent_cluster_name},
        {"Token", .text = a->token},
        {"StaticClustersJSON", .text = a->static_clusters_json},
        {"StaticListenersJSON", .text = a->static_listeners_json},
        {"StatsSinksJSON", .text = a->stats_sinks_json},
        {"StatsConfigJSON", .text = a->stats_config_json},
        {"StatsFlushInterval", .text = a->stats_flush_interval},
        {"TracingConfigJSON", .text = a->tracing_config_json},
        {"Namespace", .text = a->name_space},
        {"EnvoyVersion", .text = a->envoy_version},
    };
    if (hooks->render_template == NULL)
        return error_set(e, ERROR_INTERNAL, "templates are not part of this build");
    return hooks->render_template(text, "bootstrap", "*envoy.BootstrapTplArgs", fields,
                                  COUNT_OF(fields), out, arena, e);
}

bool envoy_bootstrap(const struct envoy_config *config, struct envoy_args *args,
                     const struct cli_hooks *hooks, struct buf *out, struct arena *arena,
                     struct error *e) {
    struct buf made = BUF_INIT;
    struct str text = STR("");
    if (!envoy_add_stats(config, args, arena, e) || !envoy_add_listeners(config, args, arena, e))
        return false;
    if (config->bootstrap_template.len > 0) {
        if (!render_own(config->bootstrap_template, args, hooks, &text, arena, e))
            return false;
    } else {
        envoy_template_write(args, &made);
        text = buf_str(&made);
    }
    bool ok = json_layout(text, "  ", out, arena, e);
    buf_free(&made);
    return ok;
}
