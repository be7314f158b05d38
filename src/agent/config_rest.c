/* The last of the build phase (config.md 2.2, B19): durations, and with them the templates of join
 * lists, networks and ciphers. The order shows: a bad duration discards every error before it, and
 * the others add to what there is.
 */
#include "agent/config_table.h"
#include "base/mem.h"

static void check_duration(struct config_builder *b, const char *path, const char *told_as) {
    const struct value *v = config_get(&b->tree, path);
    struct error e = ERROR_IN(b->arena);
    int64_t ignored;
    if (v == NULL || duration_parse(v->string, &ignored, &e))
        return;
    b->errors.len = 0;
    texts_addf(&b->errors, "%s: invalid duration: " STR_FMT ": " STR_FMT, told_as,
               STR_ARG(str_quote(b->arena, v->string)), STR_ARG(e.text));
}

/* An entry with an action becomes its words; one without stays as it is. */
static void expand_entry(struct config_builder *b, const char *key, struct str text,
                         struct texts *out) {
    struct error e = ERROR_IN(b->arena);
    struct str expanded;
    if (!address_expand(text, &expanded, b->arena, &e)) {
        texts_addf(&b->errors, "%s: error parsing " STR_FMT ": " STR_FMT, key,
                   STR_ARG(str_quote(b->arena, text)), STR_ARG(e.text));
        return;
    }
    if (str_eq(expanded, text)) {
        texts_add(out, text);
        return;
    }
    while (expanded.len > 0) {
        size_t end = 0;
        while (end < expanded.len && strchr(" \t\r\n", expanded.data[end]) == NULL)
            end++;
        if (end > 0)
            texts_add(out, str_sub(expanded, 0, end));
        expanded = str_sub(expanded, end + (end < expanded.len), SIZE_MAX);
    }
}

static void expand_entries(struct config_builder *b, const char *key, struct list *list) {
    struct texts out = {.arena = b->arena};
    for (uint32_t i = 0; i < list->len; i++)
        expand_entry(b, key, LIST_AT(*list, struct str, i), &out);
    *list = (struct list){out.items, (uint32_t)out.len, true};
}

static void check_write_from(struct config_builder *b) {
    struct list list = b->c->http.allow_write_http_from;
    for (uint32_t i = 0; i < list.len; i++) {
        struct str *text = &LIST_AT(list, struct str, i);
        if (!cidr_parse(str_trim(*text)))
            texts_addf(&b->errors, "allow_write_http_from: invalid cidr: " STR_FMT, STR_ARG(*text));
        *text = str_trim(*text);
    }
}

static const struct {
    const char *name;
    unsigned number;
} ciphers[] = {
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xC009},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xC023},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xC02B},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", 0xC00A},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xC02C},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xC013},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xC027},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC02F},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 0xC014},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xC030},
};

unsigned config_cipher_number(struct str name) {
    for (size_t i = 0; i < COUNT_OF(ciphers); i++)
        if (str_is(name, ciphers[i].name))
            return ciphers[i].number;
    return 0;
}

static void build_ciphers(struct config_builder *b) {
    struct str text = config_get_str(&b->tree, "tls_cipher_suites"), rest = text;
    struct texts out = {.arena = b->arena};
    if (text.len == 0)
        return;
    do {
        struct str name = str_cut(&rest, ',');
        if (config_cipher_number(name) == 0) {
            texts_addf(&b->errors,
                       "tls_cipher_suites: invalid tls cipher suites: unsupported cipher " STR_FMT,
                       STR_ARG(str_quote(b->arena, name)));
            return;
        }
        texts_add(&out, name);
    } while (rest.data != NULL);
    b->c->tls.cipher_suites = (struct list){out.items, (uint32_t)out.len, true};
}

static void check_durations(struct config_builder *b, const char *const *paths) {
    for (; *paths != NULL; paths++) {
        const char *told_as = *paths;
        if (strcmp(told_as, "dns_config.recursor_timeout") == 0)
            told_as = "recursor_timeout";
        if (strcmp(told_as, "telemetry.prometheus_retention_time") == 0)
            told_as = "prometheus_retention_time";
        if (strncmp(told_as, "gossip_", 7) == 0) /* the peer has a dot too many there */
            told_as = str_format(b->arena, "%.10s.%s", told_as, told_as + 10).data;
        check_duration(b, *paths, told_as);
    }
}

void config_build_rest(struct config_builder *b) {
    struct config *c = b->c;
    static const char *const first[] = {
        "auto_config.authorization.static.expiration_leeway",
        "auto_config.authorization.static.not_before_leeway",
        "auto_config.authorization.static.clock_skew_leeway",
        "gossip_lan.gossip_interval",
        "gossip_lan.probe_interval",
        "gossip_lan.probe_timeout",
        "gossip_wan.gossip_interval",
        "gossip_wan.probe_interval",
        "gossip_wan.probe_timeout",
        "acl_ttl",
        "acl.token_ttl",
        "acl.policy_ttl",
        "acl.role_ttl",
        "autopilot.last_contact_threshold",
        "autopilot.server_stabilization_time",
        "dns_config.max_stale",
        "dns_config.node_ttl",
        "dns_config.recursor_timeout",
        "dns_config.cache_max_age",
        "telemetry.prometheus_retention_time",
        NULL,
    };
    static const char *const second[] = {
        "check_update_interval",
        "default_query_time",
        "discovery_max_stale",
        "limits.https_handshake_timeout",
        "performance.leave_drain_time",
        "log_rotate_duration",
        "max_query_time",
        NULL,
    };
    static const char *const third[] = {
        "primary_gateways_interval",
        "limits.rpc_handshake_timeout",
        "performance.rpc_hold_timeout",
        "raft_snapshot_interval",
        "reconnect_timeout",
        "reconnect_timeout_wan",
        "retry_interval",
        "retry_interval_wan",
        NULL,
    };
    expand_entries(b, "auto_config.server_addresses", &c->auto_config.server_addresses);
    check_durations(b, first);
    check_write_from(b);
    check_durations(b, second);
    expand_entries(b, "primary_gateways", &c->primary_gateways);
    check_durations(b, third);
    expand_entries(b, "retry_join", &c->retry_join_lan);
    expand_entries(b, "retry_join_wan", &c->retry_join_wan);
    check_duration(b, "session_ttl_min", "session_ttl_min");
    expand_entries(b, "start_join", &c->start_join_addrs_lan);
    expand_entries(b, "start_join_wan", &c->start_join_addrs_wan);
    build_ciphers(b);
}
