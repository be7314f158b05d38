/* The build phase (config.md 2.2): from the merged tree to the struct that all rooms read.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/config_table.h"
#include "base/mem.h"
#include "codec/ip.h"
#include "schema/config_entry_read.h"
#include "schema/config_entry_rules.h"

static struct str get_str(struct config_builder *b, const char *path) {
    return config_get_str(&b->tree, path);
}

static bool fail(struct config_builder *b, const char *text) {
    return error_set(b->e, ERROR_INTERNAL, "%s", text);
}

/* ---- addresses ---- */

static bool is_unix(struct str s) {
    return str_has_prefix(s, STR("unix://"));
}

/* The pieces of an expanded template, as listen_address without ports. Errors are class A, under
 * `key`. NULL pieces: none. */
static struct list expand_list(struct config_builder *b, const char *key, struct str text) {
    struct error e = ERROR_IN(b->arena);
    struct str expanded;
    struct list out = LIST_NIL;
    if (!address_expand(text, &expanded, b->arena, &e)) {
        struct str quoted = str_quote(b->arena, text);
        texts_addf(&b->errors, "%s: error parsing " STR_FMT ": " STR_FMT, key, STR_ARG(quoted),
                   STR_ARG(e.text));
        return out;
    }
    struct listen_address pieces[256];
    size_t len = 0;
    while (expanded.len > 0 && len < COUNT_OF(pieces)) {
        size_t end = 0;
        while (end < expanded.len && strchr(" \t\r\n", expanded.data[end]) == NULL)
            end++;
        struct str piece = str_sub(expanded, 0, end);
        expanded = str_sub(expanded, end + (end < expanded.len), SIZE_MAX);
        bool v6;
        if (piece.len == 0)
            continue;
        if (str_is(piece, "[::]"))
            piece = STR("::");
        if (is_unix(piece)) {
            pieces[len++] = (struct listen_address){LISTEN_UNIX, str_sub(piece, 7, SIZE_MAX), 0};
        } else if (address_is_ip(piece, &v6)) {
            pieces[len++] = (struct listen_address){LISTEN_TCP, ip_text(piece, b->arena), 0};
        } else {
            texts_addf(&b->errors, "%s: invalid ip address: " STR_FMT, key, STR_ARG(piece));
            return out;
        }
    }
    out = LIST_NEW(b->arena, struct listen_address, len);
    if (len > 0)
        memcpy(out.items, pieces, len * sizeof(*pieces));
    return out;
}

/* One IP, or "" when the key is not set or wrong (class A, told under `key`). */
static struct str expand_as(struct config_builder *b, const char *from, const char *key) {
    struct str text = get_str(b, from);
    if (text.len == 0)
        return STR("");
    struct list list = expand_list(b, key, text);
    if (list.len > 1) {
        struct str all = STR("");
        for (uint32_t i = 0; i < list.len; i++)
            all = str_format(b->arena, STR_FMT "%s" STR_FMT, STR_ARG(all), i ? " " : "",
                             STR_ARG(LIST_AT(list, struct listen_address, i).text));
        texts_addf(&b->errors, "%s: multiple addresses found: " STR_FMT, key, STR_ARG(all));
        return STR("");
    }
    if (list.len == 0)
        return STR("");
    struct listen_address *a = &LIST_AT(list, struct listen_address, 0);
    if (a->network == LISTEN_UNIX) {
        texts_addf(&b->errors, "%s cannot be a unix socket", key);
        return STR("");
    }
    return a->text;
}

static struct str expand_one(struct config_builder *b, const char *key) {
    return expand_as(b, key, key);
}

static bool build_bind(struct config_builder *b) {
    size_t errors = b->errors.len;
    struct list list = expand_list(b, "bind_addr", get_str(b, "bind_addr"));
    b->errors.len = errors; /* the peer loses the real reason */
    if (list.len == 0)
        return fail(b, "bind_addr cannot be empty");
    if (list.len > 1)
        return fail(b, "bind_addr cannot contain multiple addresses. Use "
                       "'addresses.{dns,http,https}' instead.");
    struct listen_address *a = &LIST_AT(list, struct listen_address, 0);
    if (a->network == LISTEN_UNIX)
        return fail(b, "bind_addr cannot be a unix socket");
    if (address_is_any(get_str(b, "advertise_addr")))
        return fail(b, "Advertise address cannot be 0.0.0.0, :: or [::]");
    if (address_is_any(get_str(b, "advertise_addr_wan")))
        return fail(b, "Advertise WAN address cannot be 0.0.0.0, :: or [::]");
    b->c->bind_addr = a->text;
    return true;
}

static bool build_advertise(struct config_builder *b) {
    struct config *c = b->c;
    struct str lan = expand_one(b, "advertise_addr");
    if (lan.len == 0)
        lan = c->bind_addr;
    if (address_is_any(lan) && !address_detect(!str_is(lan, "0.0.0.0"), &lan, b->arena, b->e))
        return false;
    c->advertise_addr_lan = lan;
    c->serf_bind_addr_lan = expand_one(b, "serf_lan");
    if (c->serf_bind_addr_lan.len == 0)
        c->serf_bind_addr_lan = c->bind_addr;
    c->serf_bind_addr_wan = expand_one(b, "serf_wan");
    if (c->serf_bind_addr_wan.len == 0)
        c->serf_bind_addr_wan = c->bind_addr;
    return true;
}

struct tagged {
    struct str_pair pairs[64];
    size_t len;
};

static void tag_address(struct tagged *t, const char *name, struct str address) {
    if (address.len == 0 || t->len == COUNT_OF(t->pairs))
        return;
    for (size_t i = 0; i < t->len; i++)
        if (str_is(t->pairs[i].key, name)) {
            t->pairs[i].value = address;
            return;
        }
    t->pairs[t->len++] = (struct str_pair){str_from(name), address};
}

static int compare_pairs(const void *a, const void *b) {
    return str_compare(((const struct str_pair *)a)->key, ((const struct str_pair *)b)->key);
}

static bool build_tagged(struct config_builder *b) {
    struct config *c = b->c;
    expand_one(b, "advertise_addr"); /* looked at twice, and what is wrong is told twice */
    struct str lan4 = expand_one(b, "advertise_addr_ipv4");
    if (lan4.len > 0 && !address_is_ipv4(lan4))
        return fail(b, "advertise_addr_ipv4 must be an ipv4 address");
    struct str lan6 = expand_one(b, "advertise_addr_ipv6");
    if (lan6.len > 0 && !address_is_ipv6(lan6))
        return fail(b, "advertise_addr_ipv6 must be an ipv6 address");
    struct str wan = expand_one(b, "advertise_addr_wan");
    c->advertise_addr_wan = wan.len > 0 ? wan : c->advertise_addr_lan;
    struct str wan4 = expand_one(b, "advertise_addr_wan_ipv4");
    if (wan4.len > 0 && !address_is_ipv4(wan4))
        return fail(b, "advertise_addr_wan_ipv4 must be an ipv4 address");
    /* One key of the peer sets both: config.md 1.4. */
    struct str wan6 = expand_as(b, "advertise_addr_ipv6", "advertise_addr_wan_ipv6");
    struct tagged t = {.len = 0};
    for (uint32_t i = 0; i < c->tagged_addresses.len && t.len < COUNT_OF(t.pairs) - 6; i++)
        t.pairs[t.len++] = LIST_AT(c->tagged_addresses, struct str_pair, i);
    struct str lan = c->advertise_addr_lan;
    wan = c->advertise_addr_wan;
    tag_address(&t, "lan", lan);
    tag_address(&t, "wan", wan);
    tag_address(&t, "lan_ipv4", lan4.len > 0 ? lan4 : address_is_ipv4(lan) ? lan : STR(""));
    tag_address(&t, "lan_ipv6", lan6.len > 0 ? lan6 : address_is_ipv6(lan) ? lan : STR(""));
    tag_address(&t, "wan_ipv4", wan4.len > 0 ? wan4 : address_is_ipv4(wan) ? wan : STR(""));
    tag_address(&t, "wan_ipv6", wan6.len > 0 ? wan6 : address_is_ipv6(wan) ? wan : STR(""));
    qsort(t.pairs, t.len, sizeof(*t.pairs), compare_pairs);
    c->tagged_addresses = (struct list){arena_copy(b->arena, t.pairs, t.len * sizeof(*t.pairs)),
                                        (uint32_t)t.len, true};
    return true;
}

/* Where an interface listens: its own addresses or the client addresses, with its port. */
static struct list build_listeners(struct config_builder *b, const char *key, int port) {
    struct str own = get_str(b, key);
    struct list from = b->c->client_addrs;
    if (own.len > 0)
        from = expand_list(b, key, own);
    if (port <= 0)
        return LIST_EMPTY;
    struct list out = LIST_NEW(b->arena, struct listen_address, from.len);
    for (uint32_t i = 0; i < from.len; i++) {
        struct listen_address *a = &LIST_AT(out, struct listen_address, i);
        *a = LIST_AT(from, struct listen_address, i);
        a->port = a->network == LISTEN_TCP ? port : 0;
    }
    return out;
}

static void build_client_addresses(struct config_builder *b) {
    struct config *c = b->c;
    c->client_addrs = expand_list(b, "client_addr", get_str(b, "client_addr"));
    for (uint32_t i = 0; i < c->client_addrs.len; i++)
        if (LIST_AT(c->client_addrs, struct listen_address, i).network == LISTEN_UNIX) {
            texts_add(&b->errors, STR("client_addr cannot be a unix socket"));
            c->client_addrs = LIST_EMPTY;
        }
    c->dns_addrs = build_listeners(b, "addresses.dns", c->dns_port);
    c->http_addrs = build_listeners(b, "addresses.http", c->http_port);
    c->https_addrs = build_listeners(b, "addresses.https", c->https_port);
    c->grpc_addrs = build_listeners(b, "addresses.grpc", c->grpc_port);
}

static struct str recursor_with_port(struct config_builder *b, struct str text) {
    bool v6;
    if (address_is_ip(text, &v6))
        return str_format(b->arena, v6 ? "[" STR_FMT "]:53" : STR_FMT ":53", STR_ARG(text));
    if (text.len > 0 && text.data[text.len - 1] == ']')
        return str_format(b->arena, STR_FMT ":53", STR_ARG(text));
    return str_find_char(text, ':') < 0 ? str_format(b->arena, STR_FMT ":53", STR_ARG(text)) : text;
}

static bool build_recursors(struct config_builder *b) {
    struct config *c = b->c;
    const struct value *list = config_get(&b->tree, "recursors");
    struct texts out = {.arena = b->arena}, given = {.arena = b->arena};
    for (size_t i = 0; list != NULL && i < list->list.len; i++) {
        struct str text = list->list.items[i].string, expanded;
        if (!address_expand(text, &expanded, b->arena, b->e))
            return error_prefix(b->e, "Invalid DNS recursor template " STR_FMT ": ",
                                STR_ARG(str_quote(b->arena, text)));
        while (expanded.len > 0) {
            struct str piece = str_cut(&expanded, ' ');
            bool seen = piece.len == 0;
            if (is_unix(piece))
                return error_set(b->e, ERROR_INTERNAL,
                                 "DNS Recursors cannot be unix sockets: " STR_FMT, STR_ARG(piece));
            for (size_t j = 0; j < given.len && !seen; j++)
                seen = str_eq(given.items[j], piece);
            if (seen)
                continue;
            texts_add(&given, piece);
            texts_add(&out, recursor_with_port(b, piece));
        }
    }
    c->dns.recursors = (struct list){out.items, (uint32_t)out.len, true};
    c->dns.recursors_given = (struct list){given.items, (uint32_t)given.len, true};
    return true;
}

bool config_build_addresses(struct config_builder *b) {
    if (!build_bind(b) || !build_advertise(b) || !build_tagged(b))
        return false;
    build_client_addresses(b);
    return build_recursors(b);
}

/* ---- ports ---- */

static int build_port(struct config_builder *b, const char *key) {
    int64_t port = config_get_int(&b->tree, key);
    if (port > 65535)
        texts_addf(&b->errors, "%s: invalid port: %lld", key, (long long)port);
    return port <= 0 ? -1 : port > INT_MAX ? INT_MAX : (int)port;
}

static bool check_range(struct config_builder *b, int low, int high, const char *name) {
    if (high >= low)
        return true;
    return error_set(b->e, ERROR_INTERNAL,
                     "%s_min_port must be less than %s_max_port. To disable, set both to zero.",
                     name, name);
}

static bool build_ports(struct config_builder *b) {
    struct config *c = b->c;
    c->dns_port = build_port(b, "ports.dns");
    c->http_port = build_port(b, "ports.http");
    c->https_port = build_port(b, "ports.https");
    c->server_port = build_port(b, "ports.server");
    c->grpc_port = build_port(b, "ports.grpc");
    c->serf_port_lan = build_port(b, "ports.serf_lan");
    c->serf_port_wan = build_port(b, "ports.serf_wan");
    int proxy_min = build_port(b, "ports.proxy_min_port"),
        proxy_max = build_port(b, "ports.proxy_max_port");
    c->connect_sidecar_min_port = build_port(b, "ports.sidecar_min_port");
    c->connect_sidecar_max_port = build_port(b, "ports.sidecar_max_port");
    c->expose_min_port = build_port(b, "ports.expose_min_port");
    c->expose_max_port = build_port(b, "ports.expose_max_port");
    return check_range(b, proxy_min, proxy_max, "proxy") &&
           check_range(b, c->connect_sidecar_min_port, c->connect_sidecar_max_port, "sidecar") &&
           check_range(b, c->expose_min_port, c->expose_max_port, "expose");
}

/* ---- the rest ---- */

static void build_acl(struct config_builder *b) {
    struct config_acl *acl = &b->c->acl;
    struct str datacenter = get_str(b, "acl_datacenter");
    acl->enabled = config_get_bool(&b->tree, "acl.enabled", datacenter.len > 0);
    const struct {
        struct str *to;
        const char *key, *legacy;
    } strings[] = {
        {&acl->default_policy, "acl.default_policy", "acl_default_policy"},
        {&acl->down_policy, "acl.down_policy", "acl_down_policy"},
        {&acl->token_master, "acl.tokens.master", "acl_master_token"},
        {&acl->token_agent_master, "acl.tokens.agent_master", "acl_agent_master_token"},
        {&acl->token_agent, "acl.tokens.agent", "acl_agent_token"},
        {&acl->token_default, "acl.tokens.default", "acl_token"},
        {&acl->token_replication_secret, "acl.tokens.replication", "acl_replication_token"},
    };
    for (size_t i = 0; i < COUNT_OF(strings); i++)
        *strings[i].to =
            get_str(b, config_get(&b->tree, strings[i].key) ? strings[i].key : strings[i].legacy);
    if (config_get(&b->tree, "acl.token_ttl") == NULL) {
        struct error ignored = ERROR_IN(b->arena);
        duration_parse(get_str(b, "acl_ttl"), &acl->token_ttl, &ignored); /* told elsewhere */
    }
    acl->enable_key_list_policy =
        config_get_bool(&b->tree, "acl.enable_key_list_policy",
                        config_get_bool(&b->tree, "acl_enable_key_list_policy", false));
    acl->token_replication =
        config_get_bool(&b->tree, "acl.enable_token_replication",
                        config_get_bool(&b->tree, "enable_acl_replication",
                                        get_str(b, "acl_replication_token").len > 0));
    acl->old_keys = datacenter.len > 0;
    if (config_get(&b->tree, "acl_datacenter") != NULL)
        texts_add(&b->warnings, STR("The 'acl_datacenter' field is deprecated. Use the "
                                    "'primary_datacenter' field instead."));
}

static void build_filters(struct config_builder *b) {
    struct texts allowed = {.arena = b->arena}, blocked = {.arena = b->arena};
    const struct value *list = config_get(&b->tree, "telemetry.prefix_filter");
    for (size_t i = 0; list != NULL && i < list->list.len; i++) {
        struct str rule = list->list.items[i].string;
        if (rule.len == 0)
            texts_add(&b->warnings, STR("Cannot have empty filter rule in prefix_filter"));
        else if (rule.data[0] == '+')
            texts_add(&allowed, str_sub(rule, 1, SIZE_MAX));
        else if (rule.data[0] == '-')
            texts_add(&blocked, str_sub(rule, 1, SIZE_MAX));
        else
            texts_addf(&b->warnings, "Filter rule must begin with either '+' or '-': " STR_FMT,
                       STR_ARG(str_quote(b->arena, rule)));
    }
    b->c->telemetry.allowed_prefixes = (struct list){allowed.items, (uint32_t)allowed.len, true};
    b->c->telemetry.blocked_prefixes = (struct list){blocked.items, (uint32_t)blocked.len, true};
}

static struct str ensure_dot(struct config_builder *b, struct str domain) {
    struct str lower = str_lower(b->arena, domain);
    if (lower.len == 0 || lower.data[lower.len - 1] == '.')
        return lower;
    return str_format(b->arena, STR_FMT ".", STR_ARG(lower));
}

static void build_names(struct config_builder *b) {
    struct config *c = b->c;
    c->datacenter = str_lower(b->arena, c->datacenter);
    struct str primary = str_lower(b->arena, c->primary_datacenter);
    if (primary.len == 0)
        primary = str_lower(b->arena, get_str(b, "acl_datacenter"));
    c->primary_datacenter = primary.len > 0 ? primary : c->datacenter;
    c->node_id = str_lower(b->arena, c->node_id);
    if (c->node_name.len == 0) {
        char host[256] = "";
        if (gethostname(host, sizeof(host) - 1) != 0)
            texts_add(&b->errors, STR("node_name: cannot get the name of this host"));
        c->node_name = str_copy(b->arena, str_from(host));
    } else {
        c->node_name = str_trim(c->node_name);
    }
    c->dns.domain_given = c->dns.domain;
    c->dns.alt_domain_given = c->dns.alt_domain;
    c->dns.domain = ensure_dot(b, c->dns.domain);
    c->dns.alt_domain = ensure_dot(b, c->dns.alt_domain);
    struct str path = c->ui_content_path;
    while (path.len > 0 && path.data[0] == '/')
        path = str_sub(path, 1, SIZE_MAX);
    while (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    if (c->ui_content_path.len == 0)
        c->ui_content_path = STR("/ui/");
    else
        c->ui_content_path = str_format(b->arena, "/" STR_FMT "/", STR_ARG(path));
}

static void default_duration(int64_t *d, int64_t otherwise) {
    if (*d == 0)
        *d = otherwise;
}

static void build_numbers(struct config_builder *b) {
    struct config *c = b->c;
    if (c->cache_entry_fetch_rate >= DBL_MAX)
        c->cache_entry_fetch_rate = INFINITY;
    c->consul_raft_election_timeout *= c->raft_multiplier;
    c->consul_raft_heartbeat_timeout *= c->raft_multiplier;
    c->consul_raft_leader_lease_timeout *= c->raft_multiplier;
    bool has_own = config_get(&b->tree, "enable_local_script_checks") != NULL;
    if (!has_own)
        c->enable_local_script_checks = c->enable_remote_script_checks;
    if (config_get(&b->tree, "leave_on_terminate") == NULL)
        c->leave_on_term = !c->server_mode;
    if (config_get(&b->tree, "skip_leave_on_interrupt") == NULL)
        c->skip_leave_on_int = c->server_mode;
    default_duration(&c->raft_snapshot_threshold, 0);
    if (c->auto_encrypt_allow_tls || c->auto_config.enabled)
        c->connect_enabled = true;
}

/* A list that was not set is an empty one. */
static void present_lists(struct config *c) {
    struct list *lists[] = {&c->node_meta,
                            &c->start_join_addrs_lan,
                            &c->start_join_addrs_wan,
                            &c->retry_join_lan,
                            &c->retry_join_wan,
                            &c->primary_gateways,
                            &c->config_entry_bootstrap,
                            &c->http.block_endpoints,
                            &c->http.allow_write_http_from,
                            &c->http.response_headers,
                            &c->watches,
                            &c->auto_encrypt_dns_san,
                            &c->auto_encrypt_ip_san,
                            &c->telemetry.dogstatsd_tags,
                            &c->dns.service_ttl,
                            &c->auto_config.server_addresses,
                            &c->auto_config.dns_sans,
                            &c->auto_config.ip_sans,
                            &c->tls.cipher_suites,
                            &c->connect_ca_config};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        lists[i]->present = true;
}

static bool check_cidrs(struct config_builder *b, const char *key, struct list list) {
    struct texts bad = {.arena = b->arena};
    for (uint32_t i = 0; i < list.len; i++) {
        struct str text = LIST_AT(list, struct str, i);
        if (!cidr_parse(str_trim(text)))
            texts_addf(&bad, "invalid cidr: " STR_FMT, STR_ARG(text));
    }
    if (bad.len == 0)
        return true;
    struct str text = texts_multi(&bad, b->arena);
    return error_set(b->e, ERROR_INTERNAL, "%s: " STR_FMT, key, STR_ARG(text));
}

/* What was read as content without a table becomes entries. */
static bool build_config_entries(struct config_builder *b) {
    struct list given = b->c->config_entry_bootstrap;
    struct list entries = LIST_NEW(b->arena, struct config_entry *, given.len);
    for (uint32_t i = 0; i < given.len; i++) {
        struct config_entry *entry =
            config_entry_read(&LIST_AT(given, struct value, i), b->arena, b->e);
        if (entry != NULL)
            config_entry_normalize(entry, b->arena);
        if (entry == NULL || !config_entry_validate(entry, b->arena, b->e))
            return error_prefix(b->e, "config_entries.bootstrap[%u]: ", i);
        LIST_AT(entries, struct config_entry *, i) = entry;
    }
    b->c->config_entry_bootstrap = entries;
    return true;
}

static bool check_cache(struct config_builder *b) {
    struct config *c = b->c;
    if (c->cache_entry_fetch_max_burst <= 0)
        return error_set(b->e, ERROR_INTERNAL,
                         "cache.entry_fetch_max_burst must be strictly positive, was: %lld",
                         (long long)c->cache_entry_fetch_max_burst);
    if (c->cache_entry_fetch_rate <= 0)
        return error_set(b->e, ERROR_INTERNAL,
                         "cache.entry_fetch_rate must be strictly positive, was: %.15g",
                         c->cache_entry_fetch_rate);
    return true;
}

bool config_build(struct config_builder *b) {
    struct config *c = b->c;
    config_build_definitions(b);
    /* A source's block replaces that of the defaults, but what it leaves out is as there. */
    c->dns.soa = (struct config_dns_soa){.refresh = 3600, .retry = 600, .expire = 86400};
    struct texts later = {.arena = b->arena}; /* durations are told in an order of their own */
    config_fill(&config_root, &b->tree, c, STR(""), &later, b->arena);
    build_names(b);
    if (!build_ports(b) || !config_build_addresses(b))
        return false;
    const struct value *segments = config_get(&b->tree, "segments");
    for (size_t i = 0; segments != NULL && i < segments->list.len; i++)
        if (config_get_int(&segments->list.items[i], "port") <= 0) {
            struct str name = config_get_str(&segments->list.items[i], "name");
            return error_set(b->e, ERROR_INTERNAL, "Port for segment " STR_FMT " cannot be <= 0",
                             STR_ARG(str_quote(b->arena, name)));
        }
    build_filters(b);
    if (c->raft_multiplier < 1 || c->raft_multiplier > 10)
        return error_set(b->e, ERROR_INTERNAL,
                         "performance.raft_multiplier cannot be %lld. Must be between 1 and 10",
                         (long long)c->raft_multiplier);
    build_numbers(b);
    config_build_auto(b);
    if (c->connect_mesh_gateway_wan_federation && !c->connect_enabled)
        return fail(
            b, "'connect.enable_mesh_gateway_wan_federation=true' requires 'connect.enabled=true'");
    build_acl(b);
    if (!build_config_entries(b) ||
        !check_cidrs(b, "serf_lan_allowed_cidrs", c->serf_allowed_cidrs_lan) ||
        !check_cidrs(b, "serf_wan_allowed_cidrs", c->serf_allowed_cidrs_wan))
        return false;
    config_build_rest(b);
    if (!check_cache(b))
        return false;
    if (c->bootstrap_expect == 1) {
        c->bootstrap = true;
        c->bootstrap_expect = 0;
        texts_add(&b->warnings,
                  STR("BootstrapExpect is set to 1; this is the same as Bootstrap mode."));
    }
    present_lists(c);
    return true;
}
