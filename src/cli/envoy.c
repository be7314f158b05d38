/* `connect envoy` (cli.md 2.8, connect.md 6.9, 8): finds out which proxy is meant, perhaps
 * registers a gateway, makes the bootstrap, and becomes Envoy. See envoy.h.
 */
#include "cli/envoy.h"

#include <netdb.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/envoy_bootstrap.h"
#include "cli/input.h"
#include "cli/proxy_lookup.h"
#include "cli/settings.h"
#include "net/fault.h"

#define ACCESS_LOG_PATH "/dev/null"
#define GRPC_PORT "8502" /* unless the agent says which */

struct envoy {
    struct cli *cli;
    const struct envoy_options *options;
    struct client *client;
    const char *kind; /* of the gateway: "mesh-gateway"; NULL: it is none */
    struct str gateway_name;
    struct str proxy_id, sidecar_for;
};

static struct str or_env(const struct flag_set_string *flag, const char *name) {
    return flag->set ? flag->value : str_from(getenv(name));
}

static bool fail(struct error *e, const char *text) {
    return error_set(e, ERROR_BAD_REQUEST, "%s", text);
}

/* ---- which proxy ---- */

static bool check_options(struct envoy *v, struct error *e) {
    static const struct {
        const char *name, *kind;
    } kinds[] = {
        {"mesh", "mesh-gateway"},
        {"terminating", "terminating-gateway"},
        {"ingress", "ingress-gateway"},
    };
    const struct envoy_options *o = v->options;
    struct str name = o->mesh_gateway ? STR("mesh") : o->gateway;
    if (o->mesh_gateway && o->gateway.len > 0)
        return fail(e, "The mesh-gateway flag is deprecated and cannot be used alongside the "
                       "gateway flag");
    if (o->expose_servers && !str_is(name, "mesh"))
        return fail(e, "'-expose-servers' can only be used for mesh gateways");
    if (o->expose_servers && !o->register_service)
        return fail(e, "'-expose-servers' requires '-register'");
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_is(name, kinds[i].name))
            v->kind = kinds[i].kind;
    if (name.len > 0 && v->kind == NULL)
        return fail(e, "Gateway must be one of: terminating, mesh, or ingress");
    v->gateway_name = o->service.len > 0 || v->kind == NULL ? o->service : str_from(v->kind);
    return true;
}

static bool choose_proxy(struct envoy *v, struct error *e) {
    struct arena *arena = v->cli->arena;
    v->proxy_id = or_env(&v->options->proxy_id, "CONNECT_PROXY_ID");
    v->sidecar_for = or_env(&v->options->sidecar_for, "CONNECT_SIDECAR_FOR");
    if (v->proxy_id.len > 0)
        return true;
    if (v->sidecar_for.len > 0)
        return proxy_find_sidecar(v->client, v->sidecar_for, &v->proxy_id, arena, e);
    if (v->kind != NULL && v->options->register_service) {
        v->proxy_id = v->gateway_name;
        return true;
    }
    if (v->kind != NULL)
        return proxy_find_gateway(v->client, v->kind, &v->proxy_id, &v->gateway_name, arena, e);
    return fail(e,
                "No proxy ID specified. One of -proxy-id, -sidecar-for, or -gateway is required");
}

static bool register_gateway(struct envoy *v, struct error *e) {
    if (!v->options->register_service)
        return true;
    if (v->kind == NULL)
        return fail(e, "Auto-Registration can only be used for gateways");
    if (!gateway_register(v->client, v->options, v->kind, v->proxy_id, v->gateway_name,
                          v->cli->arena, e))
        return false;
    cli_out(v->cli, "==> Registered service: " STR_FMT, STR_ARG(v->gateway_name));
    return true;
}

/* ---- what the bootstrap is made of ---- */

/* The first IPv4 address of a name, or any; what is an address already stays. */
static bool resolve(struct str host, struct str *ip, const char *what, struct arena *arena,
                    struct error *e) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
    char text[NI_MAXHOST] = "";
    *ip = host;
    if (host.len == 0)
        return true;
    int code = getaddrinfo(str_terminated(arena, host), NULL, &hints, &all);
    if (code == EAI_NONAME || code == EAI_NODATA)
        error_set(e, ERROR_NOT_FOUND, STR_FMT, STR_ARG(fault_unknown_host(arena, host)));
    else if (code != 0)
        error_set(e, ERROR_NOT_FOUND, "lookup " STR_FMT ": %s", STR_ARG(host), gai_strerror(code));
    if (code != 0)
        return error_prefix(e, "Failed to resolve %s: ", what);
    const struct addrinfo *chosen = all;
    for (const struct addrinfo *i = all; i != NULL; i = i->ai_next)
        if (i->ai_family == AF_INET && chosen->ai_family != AF_INET)
            chosen = i;
    getnameinfo(chosen->ai_addr, chosen->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(all);
    *ip = str_copy(arena, str_from(text));
    return true;
}

static bool split_and_resolve(struct str address, const char *what, struct str *host,
                              struct str *port, struct arena *arena, struct error *e) {
    struct str name;
    if (!envoy_split_address(address, &name, port, e))
        return error_prefix(e, "Invalid Consul HTTP address: ");
    return resolve(name, host, what, arena, e);
}

/* The port that the agent has, or is thought to have. */
static struct str agent_grpc_port(struct envoy *v) {
    struct error e = ERROR_IN(v->cli->arena);
    struct value self;
    const struct value *debug = NULL;
    if (!client_get(v->client, STR("/v1/agent/self"), &self, v->cli->arena, &e))
        cli_err(v->cli, "==> Error connecting to Consul agent: " STR_FMT, STR_ARG(e.text));
    else
        debug = value_get(&self, "DebugConfig");
    uint64_t port = debug != NULL ? value_u64(debug, "GRPCPort") : 0;
    if (port > 0)
        return str_format(v->cli->arena, "%llu", (unsigned long long)port);
    cli_out(v->cli, "    Defaulting to grpc port = " GRPC_PORT);
    return STR(GRPC_PORT);
}

static bool read_grpc_address(struct envoy *v, struct envoy_args *a, struct error *e) {
    struct arena *arena = v->cli->arena;
    struct str address = or_env(&v->options->grpc_address, "CONSUL_GRPC_ADDR");
    if (address.len == 0) {
        struct str port = agent_grpc_port(v);
        address = str_format(arena, "localhost:" STR_FMT, STR_ARG(port));
    }
    a->agent_address = a->agent_port = a->agent_socket = STR("");
    if (str_has_prefix(address, STR("unix://"))) {
        a->agent_socket = str_sub(address, 7, address.len);
        return true;
    }
    if (str_has_prefix(address, STR("https://"))) {
        a->agent_tls = true;
        address = str_sub(address, 8, address.len);
    } else if (str_has_prefix(address, STR("http://"))) {
        address = str_sub(address, 7, address.len);
    }
    return split_and_resolve(address, "agent address", &a->agent_address, &a->agent_port, arena, e);
}

/* Newlines as they stand in JSON. */
static struct str pem_text(struct str pem, struct arena *arena) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < pem.len; i++) {
        if (pem.data[i] == '\n')
            buf_add_text(&out, "\\n");
        else
            buf_add_char(&out, pem.data[i]);
    }
    struct str text = str_copy(arena, out.len > 0 ? buf_str(&out) : STR(""));
    buf_free(&out);
    return text;
}

static bool read_args(struct envoy *v, struct envoy_args *a, struct error *e) {
    struct cli *cli = v->cli;
    const struct settings *settings = client_settings(v->client);
    if (!read_grpc_address(v, a, e) ||
        !split_and_resolve(v->options->admin_bind, "admin bind address", &a->admin_bind_address,
                           &a->admin_bind_port, cli->arena, e))
        return false;
    a->agent_tls |= settings->https;
    a->agent_ca_pem = pem_text(settings->ca_text, cli->arena);
    struct str log = v->options->admin_access_log_path;
    a->admin_access_log_path = log.len > 0 ? log : STR(ACCESS_LOG_PATH);
    a->local_agent_cluster_name = STR("local_agent");
    a->token = settings->token.data != NULL ? settings->token : STR("");
    a->name_space = settings->name_space.data != NULL ? settings->name_space : STR("");
    a->envoy_version = v->options->envoy_version;
    a->proxy_id = v->proxy_id;
    a->proxy_cluster = v->sidecar_for.len > 0    ? v->sidecar_for
                       : v->gateway_name.len > 0 ? v->gateway_name
                                                 : v->proxy_id;
    return true;
}

/* What the registration says. */
static bool read_registration(struct envoy *v, struct envoy_args *a, struct envoy_config *config,
                              struct error *e) {
    struct arena *arena = v->cli->arena;
    struct value service;
    *config = (struct envoy_config){0};
    if (v->options->no_central_config)
        return true;
    struct str path = str_format(arena, "/v1/agent/service/" STR_FMT, STR_ARG(v->proxy_id));
    if (!client_get(v->client, path, &service, arena, e))
        return error_prefix(e, "failed fetch proxy config from local agent: ");
    const struct value *proxy = value_get(&service, "Proxy");
    if (proxy == NULL || proxy->kind != VALUE_MAP)
        return fail(e, "service is not a Connect proxy or gateway");
    struct str destination = value_str(proxy, "DestinationServiceName");
    if (destination.len > 0)
        a->proxy_cluster = destination;
    return envoy_config_read(value_get(proxy, "Config"), config, arena, e);
}

static bool make_bootstrap(struct envoy *v, struct buf *out, struct error *e) {
    struct arena *arena = v->cli->arena;
    struct envoy_args args = {0};
    struct envoy_config config;
    if (!read_args(v, &args, e) || !read_registration(v, &args, &config, e))
        return false;
    if (v->kind != NULL && strcmp(v->kind, "ingress-gateway") == 0)
        config.ready_bind_address = gateway_address_text(&v->options->lan, arena);
    return envoy_bootstrap(&config, &args, v->cli->hooks, out, arena, e);
}

/* ---- the command ---- */

static bool run_steps(struct envoy *v, struct error *e) {
    struct cli *cli = v->cli;
    struct buf text = BUF_INIT;
    struct str binary = v->options->envoy_binary;
    if (!check_options(v, e) || !choose_proxy(v, e) || !register_gateway(v, e))
        return false;
    bool ok = make_bootstrap(v, &text, e);
    if (ok && v->options->bootstrap)
        fwrite(text.data, 1, text.len, cli->out);
    else if (ok && binary.len == 0 && !envoy_find(&binary, cli->arena, e))
        ok = error_prefix(e, "Couldn't find envoy binary: ");
    if (ok && !v->options->bootstrap) {
        fflush(cli->out);
        client_free(v->client); /* Envoy inherits nothing of it */
        v->client = NULL;
        ok = envoy_exec(binary, cli->args, cli->arg_count, buf_str(&text), cli->arena, e);
    }
    buf_free(&text);
    return ok;
}

static int run(struct cli *cli, const void *given) {
    struct envoy v = {.cli = cli, .options = given};
    struct error e = ERROR_IN(cli->arena);
    v.client = client_new(cli, &e);
    if (v.client == NULL)
        return cli_fail(cli, "==> Error connecting to Consul agent: " STR_FMT, STR_ARG(e.text));
    bool ok = run_steps(&v, &e);
    client_free(v.client);
    return ok ? CLI_OK : cli_fail(cli, "==> " STR_FMT, STR_ARG(e.text));
}

#define AT(member) offsetof(struct envoy_options, member)
static const struct flag flags[] = {
    {"address", FLAG_OWN, AT(lan), NULL,
     "With -register: the gateway's address in the LAN, \"ip:port\", \"ip\" or \":port\". Actions "
     "in "
     "double braces are carried out. The port is 443 when there is none.",
     gateway_address_read},
    {"admin-access-log-path", FLAG_STRING, AT(admin_access_log_path), NULL,
     "Where Envoy's admin server writes its access log."},
    {"admin-bind", FLAG_STRING, AT(admin_bind), NULL,
     "Address and port of Envoy's admin server. Who can reach it has all of the proxy's secrets."},
    {"bind-address", FLAG_OWN, AT(bind), "<name>=<ip>:<port>",
     "With -register: an address at which the gateway listens, instead of those that are its "
     "default. May be given several times.",
     bind_address_read},
    {"bootstrap", FLAG_BOOL, AT(bootstrap), NULL,
     "Only print the bootstrap; Envoy is not started."},
    {"deregister-after-critical", FLAG_STRING, AT(deregister_after_critical), NULL,
     "With -register: how long the gateway's check may be critical before it is deregistered."},
    {"envoy-binary", FLAG_STRING, AT(envoy_binary), NULL,
     "Path of Envoy. Without it, \"envoy\" of $PATH."},
    {"envoy-version", FLAG_STRING, AT(envoy_version), NULL,
     "The version of Envoy that the bootstrap is for."},
    {"expose-servers", FLAG_BOOL, AT(expose_servers), NULL,
     "With -register: the mesh gateway leads to this datacenter's servers too."},
    {"gateway", FLAG_STRING, AT(gateway), NULL,
     "Envoy is to be a gateway: \"mesh\", \"terminating\" or \"ingress\"."},
    {"grpc-addr", FLAG_SET_STRING, AT(grpc_address), "string",
     "Where Envoy reaches the agent by gRPC: \"host:port\", \"http://…\", \"https://…\" or "
     "\"unix://…\". Also CONSUL_GRPC_ADDR. Without it, the agent says which port."},
    {"mesh-gateway", FLAG_BOOL, AT(mesh_gateway), NULL, "The same as -gateway mesh."},
    {"no-central-config", FLAG_BOOL, AT(no_central_config), NULL,
     "Do not ask the agent for the proxy's registration."},
    {"proxy-id", FLAG_SET_STRING, AT(proxy_id), "string",
     "The proxy's ID on the local agent. Also CONNECT_PROXY_ID."},
    {"register", FLAG_BOOL, AT(register_service), NULL,
     "Register the gateway with the agent first."},
    {"service", FLAG_STRING, AT(service), NULL,
     "With -register: the gateway's name; without it, its kind."},
    {"sidecar-for", FLAG_SET_STRING, AT(sidecar_for), "string",
     "ID of a service on the local agent: its sidecar is meant. Also CONNECT_SIDECAR_FOR."},
    {"wan-address", FLAG_OWN, AT(wan), NULL,
     "With -register: the gateway's address for other datacenters, of the form of -address.",
     gateway_address_read},
};
#undef AT

static const struct envoy_options defaults = {
    .envoy_version = STR_INIT("1.14.5"),
    .admin_access_log_path = STR_INIT(ACCESS_LOG_PATH),
    .admin_bind = STR_INIT("localhost:19000"),
    .deregister_after_critical = STR_INIT("6h"),
    .lan = {STR_INIT(""), GATEWAY_PORT},
    .wan = {STR_INIT(""), GATEWAY_PORT},
};

const struct command command_connect_envoy = {
    .name = "connect envoy",
    .synopsis = "Runs Envoy as a proxy, or writes its bootstrap",
    .usage = "connect envoy [options]",
    .about =
        "  Makes the bootstrap with which Envoy becomes a service's sidecar or a gateway, and\n"
        "  starts Envoy with it. What stands behind \"--\" goes to Envoy. The token needs\n"
        "  service:write for the service that the proxy stands for. Which program is run says\n"
        "  -envoy-binary.\n\n"
        "      $ consul connect envoy -sidecar-for web\n"
        "      $ consul connect envoy -gateway mesh -register -address 10.0.0.1:8443\n"
        "      $ consul connect envoy -sidecar-for web -bootstrap > bootstrap.json\n",
    .groups = GROUP_CLIENT | GROUP_NAMESPACE,
    COMMAND_FLAGS(flags, struct envoy_options, &defaults),
    .run = run,
};
