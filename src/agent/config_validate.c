/* The validate phase (config.md 2.3), in the peer's order and with its texts.
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/agent_files.h"
#include "agent/config_table.h"
#include "agent/local.h"
#include "base/mem.h"
#include "codec/base64.h"

#define DIGITS_HELP "Must be greater than or equal to zero"

static bool fail(struct config_builder *b, const char *text) {
    return error_set(b->e, ERROR_INTERNAL, "%s", text);
}

static bool valid_datacenter(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return s.len > 0;
}

static bool validate_datacenter(struct config_builder *b) {
    struct str dc = b->c->datacenter;
    if (dc.len == 0)
        return fail(b, "datacenter cannot be empty");
    if (!valid_datacenter(dc))
        return error_set(b->e, ERROR_INTERNAL,
                         "datacenter cannot be " STR_FMT ". Please use only [a-z0-9-_]",
                         STR_ARG(str_quote(b->arena, dc)));
    return true;
}

static bool validate_content_path(struct config_builder *b) {
    struct str path = b->c->ui_content_path;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '/'))
            return error_set(
                b->e, ERROR_INTERNAL,
                "ui-content-path can only contain alphanumeric, -, _, or /. received: " STR_FMT,
                STR_ARG(path));
    }
    if (path.len >= 4 && path.data[1] == 'v') {
        size_t i = 2;
        while (i < path.len && path.data[i] >= '0' && path.data[i] <= '9')
            i++;
        if (i > 2 && i == path.len - 1)
            return error_set(b->e, ERROR_INTERNAL,
                             "ui-content-path cannot have 'v[0-9]'. received: " STR_FMT,
                             STR_ARG(path));
    }
    return true;
}

static bool validate_data_dir(struct config_builder *b) {
    struct config *c = b->c;
    if (c->dev_mode)
        return true;
    if (c->data_dir.len == 0)
        return fail(b, "data_dir cannot be empty");
    if (!validate_content_path(b))
        return false;
    struct stat info;
    if (stat(str_terminated(b->arena, c->data_dir), &info) != 0) {
        if (errno == ENOENT)
            return true;
        return error_set(b->e, ERROR_INTERNAL,
                         "Error getting info on data_dir: stat " STR_FMT ": %s",
                         STR_ARG(c->data_dir), agent_os_error(errno));
    }
    if (!S_ISDIR(info.st_mode))
        return error_set(b->e, ERROR_INTERNAL, "data_dir " STR_FMT " is not a directory",
                         STR_ARG(str_quote(b->arena, c->data_dir)));
    return true;
}

static bool validate_node_name(struct config_builder *b) {
    struct str name = b->c->node_name;
    if (name.len == 0)
        return fail(b, "node_name cannot be empty");
    if (!dns_label_valid(name))
        texts_addf(&b->warnings,
                   "Node name " STR_FMT
                   " will not be discoverable via DNS due to invalid characters. "
                   "Valid characters include all alpha-numerics and dashes.",
                   STR_ARG(str_quote(b->arena, name)));
    else if (name.len > 63)
        texts_addf(&b->warnings,
                   "Node name " STR_FMT
                   " will not be discoverable via DNS due to it being too long. "
                   "Valid lengths are between 1 and 63 bytes.",
                   STR_ARG(str_quote(b->arena, name)));
    return true;
}

static bool validate_addresses(struct config_builder *b) {
    struct config *c = b->c;
    if (address_is_any(c->advertise_addr_lan))
        return fail(b, "Advertise address cannot be 0.0.0.0, :: or [::]");
    if (address_is_any(c->advertise_addr_wan))
        return fail(b, "Advertise WAN address cannot be 0.0.0.0, :: or [::]");
    const struct value *segments = config_get(&b->tree, "segments");
    if (c->segment_name.len > 0 || (segments != NULL && segments->list.len > 0))
        return fail(b, "Network segments are not supported in this version of Consul");
    for (uint32_t i = 0; i < c->dns_addrs.len; i++)
        if (LIST_AT(c->dns_addrs, struct listen_address, i).network == LISTEN_UNIX)
            return fail(b, "DNS address cannot be a unix socket");
    for (uint32_t i = 0; i < c->dns.recursors_given.len; i++)
        if (address_is_any(LIST_AT(c->dns.recursors_given, struct str, i)))
            return fail(b, "DNS recursor address cannot be 0.0.0.0, :: or [::]");
    /* The peer crashes on these two. */
    if (c->server_mode && c->server_port < 0)
        return fail(b, "ports.server cannot be disabled on a server");
    if (c->serf_port_lan < 0)
        return fail(b, "ports.serf_lan cannot be disabled");
    struct str alt = c->dns.alt_domain_given;
    static const char *const reserved[] = {"service.", "connect.", "node.", "query.", "addr."};
    bool taken = str_has_prefix(alt, str_format(b->arena, STR_FMT ".", STR_ARG(c->datacenter)));
    for (size_t i = 0; i < COUNT_OF(reserved); i++)
        taken = taken || str_has_prefix(alt, str_from(reserved[i]));
    if (taken)
        return error_set(b->e, ERROR_INTERNAL,
                         "alt_domain cannot start with {service,connect,node,query,addr," STR_FMT
                         "}",
                         STR_ARG(c->datacenter));
    return true;
}

static bool validate_bootstrap(struct config_builder *b) {
    struct config *c = b->c;
    bool given = config_get_int(&b->tree, "bootstrap_expect") > 1;
    if (c->bootstrap && !c->server_mode)
        return fail(b, "'bootstrap = true' requires 'server = true'");
    if (c->bootstrap_expect < 0)
        return error_set(b->e, ERROR_INTERNAL, "bootstrap_expect cannot be %lld. " DIGITS_HELP,
                         (long long)c->bootstrap_expect);
    if (given && !c->server_mode)
        return fail(b, "'bootstrap_expect > 0' requires 'server = true'");
    if (given && c->dev_mode)
        return fail(b, "'bootstrap_expect > 0' not allowed in dev mode");
    if (given && c->bootstrap)
        return fail(b, "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive");
    return true;
}

static bool not_negative(struct config_builder *b, const char *key, int64_t n) {
    return n >= 0 ||
           error_set(b->e, ERROR_INTERNAL, "%s cannot be %lld. " DIGITS_HELP, key, (long long)n);
}

static bool validate_limits(struct config_builder *b) {
    struct config *c = b->c;
    if (c->check_output_max_size < 1)
        return fail(b, "check_output_max_size must be positive, to discard check output use the "
                       "discard_check_output flag");
    if (!not_negative(b, "autopilot.max_trailing_logs", c->autopilot.max_trailing_logs))
        return false;
    if (!valid_datacenter(c->primary_datacenter))
        return error_set(b->e, ERROR_INTERNAL,
                         "acl_datacenter cannot be " STR_FMT ". Please use only [a-z0-9-_]",
                         STR_ARG(str_quote(b->arena, c->primary_datacenter)));
    if (!c->dev_mode && c->enable_ui && c->ui_dir.len > 0)
        return fail(b, "Both the ui and ui-dir flags were specified, please provide only one.\n"
                       "If trying to use your own web UI resources, use the ui-dir flag.\n"
                       "The web UI is included in the binary so use ui to enable it");
    return not_negative(b, "dns_config.udp_answer_limit", c->dns.udp_answer_limit) &&
           not_negative(b, "dns_config.a_record_limit", c->dns.a_record_limit);
}

static bool validate_node_meta(struct config_builder *b) {
    struct config *c = b->c;
    if (!service_meta_validate(&c->node_meta, false, b->e))
        return error_prefix(b->e, "node_meta invalid: ");
    struct str key;
    return c->encrypt_key.len == 0 || base64_decode(c->encrypt_key, &key, b->arena, b->e) ||
           error_prefix(b->e, "encrypt has invalid key: ");
}

#define FEDERATION "'connect.enable_mesh_gateway_wan_federation = true'"
#define FEDERATION_KEY "'connect.enable_mesh_gateway_wan_federation'"

static bool validate_federation(struct config_builder *b) {
    struct config *c = b->c;
    if (c->connect_mesh_gateway_wan_federation) {
        if (!c->server_mode)
            return fail(b, FEDERATION " requires 'server = true'");
        if (str_find_char(c->node_name, '/') >= 0)
            return fail(b, FEDERATION " requires that 'node_name' not contain '/' characters");
        if (c->start_join_addrs_wan.len > 0)
            return fail(b, "'start_join_wan' is incompatible with " FEDERATION);
        if (c->retry_join_wan.len > 0)
            return fail(b, "'retry_join_wan' is incompatible with " FEDERATION);
    }
    if (c->primary_gateways.len > 0 && !c->server_mode)
        return fail(b, "'primary_gateways' requires 'server = true'");
    if (c->primary_gateways.len > 0 && str_eq(c->primary_datacenter, c->datacenter))
        return fail(b, "'primary_gateways' should only be configured in a secondary datacenter");
    return true;
}

static bool validate_data_folder(struct config_builder *b) {
    struct config *c = b->c;
    if (!c->server_mode || c->data_dir.len == 0)
        return true;
    struct str old = str_format(b->arena, STR_FMT "/mdb", STR_ARG(c->data_dir));
    struct stat info;
    if (stat(str_terminated(b->arena, old), &info) != 0)
        return true;
    return error_set(b->e, ERROR_INTERNAL,
                     "CRITICAL: Deprecated data folder found at " STR_FMT "!\n"
                     "Consul will refuse to boot with this directory present.\n"
                     "See https://www.consul.io/docs/upgrade-specific.html for more information.",
                     STR_ARG(str_quote(b->arena, old)));
}

/* ---- addresses used once ---- */

struct used {
    struct arena *arena;
    struct str *addresses;
    const char **names;
    size_t len, cap;
};

static bool use_address(struct config_builder *b, struct used *u, const char *name,
                        struct str address) {
    for (size_t i = 0; i < u->len; i++)
        if (str_eq(u->addresses[i], address)) {
            ptrdiff_t scheme = str_find(address, STR("://"), 0);
            struct str shown =
                scheme < 0 ? address : str_sub(address, (size_t)scheme + 3, SIZE_MAX);
            return error_set(b->e, ERROR_INTERNAL,
                             "%s address " STR_FMT " already configured for %s", name,
                             STR_ARG(shown), u->names[i]);
        }
    if (u->len < u->cap) {
        u->addresses[u->len] = address;
        u->names[u->len++] = name;
    }
    return true;
}

static bool use_list(struct config_builder *b, struct used *u, const char *name, struct list list,
                     const char *network) {
    for (uint32_t i = 0; i < list.len; i++) {
        struct str text =
            listen_address_format(b->arena, &LIST_AT(list, struct listen_address, i), network);
        if (!use_address(b, u, name, text))
            return false;
    }
    return true;
}

static bool use_port(struct config_builder *b, struct used *u, const char *name, struct str ip,
                     int port) {
    struct listen_address a = {LISTEN_TCP, ip, port};
    return port < 0 || use_address(b, u, name, listen_address_format(b->arena, &a, "tcp"));
}

static bool validate_unique(struct config_builder *b) {
    struct config *c = b->c;
    size_t cap = 2u * c->dns_addrs.len + c->http_addrs.len + c->https_addrs.len + 3u;
    struct used u = {b->arena, ARENA_ARRAY(b->arena, struct str, cap),
                     ARENA_ARRAY(b->arena, const char *, cap), 0, cap};
    return use_list(b, &u, "DNS", c->dns_addrs, "tcp") &&
           use_list(b, &u, "DNS", c->dns_addrs, "udp") &&
           use_list(b, &u, "HTTP", c->http_addrs, "tcp") &&
           use_list(b, &u, "HTTPS", c->https_addrs, "tcp") &&
           use_port(b, &u, "RPC Advertise", c->advertise_addr_lan, c->server_port) &&
           use_port(b, &u, "Serf Advertise LAN", c->advertise_addr_lan, c->serf_port_lan) &&
           use_port(b, &u, "Serf Advertise WAN", c->advertise_addr_wan, c->serf_port_wan);
}

/* ---- services ---- */

static bool validate_services(struct config_builder *b) {
    for (uint32_t i = 0; i < b->c->services.len; i++) {
        const struct service_definition *s = &LIST_AT(b->c->services, struct service_definition, i);
        if (!service_definition_validate(s, b->e))
            return error_prefix(b->e, "service " STR_FMT ": ",
                                STR_ARG(str_quote(b->arena, s->name)));
    }
    return true;
}

static bool validate_connect(struct config_builder *b) {
    struct config *c = b->c;
    if (!config_validate_ca(b))
        return false;
    if (c->server_mode && c->auto_encrypt_tls)
        return fail(b, "auto_encrypt.tls can only be used on a client.");
    if (!c->server_mode && c->auto_encrypt_allow_tls)
        return fail(b, "auto_encrypt.allow_tls can only be used on a server.");
    return true;
}

#define DEPLOYMENT_TABLE "See https://www.consul.io/docs/internals/consensus.html#deployment-table"

static void server_warnings(struct config_builder *b) {
    struct config *c = b->c;
    if (!c->server_mode)
        return;
    if (c->bootstrap_expect == 2 && !c->dev_mode)
        texts_add(&b->warnings, STR("bootstrap_expect = 2: A cluster with 2 servers will provide "
                                    "no failure tolerance. " DEPLOYMENT_TABLE));
    if (c->bootstrap_expect > 2 && c->bootstrap_expect % 2 == 0)
        texts_add(&b->warnings, STR("bootstrap_expect is even number: A cluster with an even "
                                    "number of servers does not "
                                    "achieve optimum fault tolerance. " DEPLOYMENT_TABLE));
    if (c->bootstrap)
        texts_add(&b->warnings, STR("bootstrap = true: do not enable unless necessary"));
    if (c->bootstrap_expect > 1 && !c->dev_mode)
        texts_addf(&b->warnings, "bootstrap_expect > 0: expecting %lld servers",
                   (long long)c->bootstrap_expect);
    if (c->auto_encrypt_allow_tls && !c->tls.verify_incoming && !c->tls.verify_incoming_rpc)
        texts_add(&b->warnings, STR("if auto_encrypt.allow_tls is turned on, either "
                                    "verify_incoming or verify_incoming_rpc "
                                    "should be enabled. It is necessary to turn it off during a "
                                    "migration to TLS, but it "
                                    "should definitely be turned on afterwards."));
}

static bool validate_descriptors(struct config_builder *b) {
    int64_t wanted = b->c->limits.http_max_conns_per_client;
    struct rlimit limit;
    if (wanted <= 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    if (limit.rlim_cur >= (rlim_t)wanted + 20)
        return true;
    return error_set(
        b->e, ERROR_INTERNAL,
        "system allows a max of %llu file descriptors, but limits.http_max_conns_per_client: "
        "%lld needs at least %lld",
        (unsigned long long)limit.rlim_cur, (long long)wanted, (long long)wanted + 20);
}

bool config_validate(struct config_builder *b) {
    struct config *c = b->c;
    if (!validate_datacenter(b) || !validate_data_dir(b) ||
        (c->dev_mode && !validate_content_path(b)) || !validate_node_name(b) ||
        !validate_addresses(b) || !validate_bootstrap(b) || !validate_limits(b) ||
        !validate_node_meta(b) || !validate_federation(b) || !validate_data_folder(b) ||
        !validate_unique(b))
        return false;
    if (b->errors.len > 0) {
        struct str text = texts_multi(&b->errors, b->arena);
        return error_set(b->e, ERROR_INTERNAL, STR_FMT, STR_ARG(text));
    }
    if (!validate_services(b) || !validate_connect(b))
        return false;
    server_warnings(b);
    if (!validate_descriptors(b) || !config_validate_auto(b))
        return false;
    if (c->enable_remote_script_checks && !c->acl.enabled && c->http.allow_write_http_from.len == 0)
        texts_add(&b->warnings,
                  STR("using enable-script-checks without ACLs and without allow_write_http_from "
                      "is DANGEROUS, "
                      "use enable-local-script-checks instead, see https://www.hashicorp.com/blog/"
                      "protecting-consul-from-rce-risk-in-specific-configurations/"));
    return true;
}
