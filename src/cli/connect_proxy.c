/* `connect proxy` (cli.md 2.7, connect.md 7.1): flags, what is shown at the start, and the proxy's
 * life until a signal ends it. The proxy itself: proxy.h.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/commands.h"
#include "cli/envoy_bootstrap.h"
#include "cli/proxy.h"
#include "cli/proxy_lookup.h"
#include "cli/proxy_register.h"

struct upstreams {
    struct proxy_upstream *items;
    size_t len;
};

struct options {
    struct flag_set_string proxy_id, sidecar_for; /* else of the environment */
    struct str log_level, pprof_address, service, service_address, listen, register_id;
    bool log_json, register_service;
    struct upstreams upstreams;
};

struct run {
    struct cli *cli;
    const struct options *options;
    struct client *client;
    struct str proxy_id, sidecar_for;
    struct proxy_config fixed; /* of the flags, without a proxy's ID */
    struct loop loop;
    struct proxy proxy;
    struct agent_watch *service_watch;
    struct proxy_registration *registration;
    uv_signal_t signals[3];
    bool ending;
};

static bool upstream_read(void *at, struct str value, const void *context, struct arena *arena,
                          struct error *e) {
    struct upstreams *list = at;
    struct proxy_upstream one;
    (void)context;
    if (!proxy_upstream_parse(value, &one, arena, e))
        return false;
    size_t i = 0; /* a later one of the same name replaces */
    while (i < list->len && str_compare(list->items[i].name, one.name) < 0)
        i++;
    bool same = i < list->len && str_eq(list->items[i].name, one.name);
    struct proxy_upstream *items =
        ARENA_ARRAY(arena, struct proxy_upstream, list->len + (same ? 0 : 1));
    for (size_t j = 0; j < list->len; j++)
        items[j < i || same ? j : j + 1] = list->items[j];
    items[i] = one;
    *list = (struct upstreams){items, list->len + (same ? 0 : 1)};
    return true;
}

static struct str or_env(const struct flag_set_string *flag, const char *name) {
    return flag->set ? flag->value : str_from(getenv(name));
}

/* ---- what is shown, and found out, before it starts ---- */

static bool read_agent_mode(struct run *r, struct error *e) {
    struct cli *cli = r->cli;
    bool by_sidecar = r->proxy_id.len == 0;
    if (by_sidecar && !proxy_find_sidecar(r->client, r->sidecar_for, &r->proxy_id, cli->arena, e))
        return false;
    cli_out(cli, "    Configuration mode: Agent API");
    if (by_sidecar)
        cli_out(cli, "        Sidecar for ID: " STR_FMT, STR_ARG(r->sidecar_for));
    cli_out(cli, "              Proxy ID: " STR_FMT, STR_ARG(r->proxy_id));
    return true;
}

static bool read_listen(struct run *r, struct error *e) {
    const struct options *o = r->options;
    struct str host, port;
    struct error why = ERROR_IN(r->cli->arena);
    if (o->listen.len == 0) {
        cli_out(r->cli, "       Public listener: Disabled");
        return true;
    }
    if (!envoy_split_address(o->listen, &host, &port, e) ||
        !proxy_port_parse(port, &r->fixed.bind_port, r->cli->arena, e))
        return false;
    if (o->service_address.len == 0)
        return error_set(e, ERROR_BAD_REQUEST,
                         "-service-addr must be specified with -listen so the proxy knows the "
                         "backend service address.");
    r->fixed.listens = true;
    r->fixed.bind_address = host.len > 0 ? host : STR("0.0.0.0");
    r->fixed.local_host = o->service_address; /* without a port nothing can be dialled */
    if (envoy_split_address(o->service_address, &host, &port, &why)) {
        r->fixed.local_host = host;
        proxy_port_parse(port, &r->fixed.local_port, r->cli->arena, &why);
    }
    cli_out(r->cli, "       Public listener: " STR_FMT " => " STR_FMT, STR_ARG(o->listen),
            STR_ARG(o->service_address));
    return true;
}

static bool read_flag_mode(struct run *r, struct error *e) {
    const struct options *o = r->options;
    if (o->service.len == 0)
        return error_set(e, ERROR_BAD_REQUEST,
                         "-service or -proxy-id must be specified so that proxy can configure "
                         "itself.");
    cli_out(r->cli, "    Configuration mode: Flags");
    cli_out(r->cli, "               Service: " STR_FMT, STR_ARG(o->service));
    r->fixed = (struct proxy_config){.service = o->service,
                                     .bind_address = STR(""),
                                     .local_host = STR(""),
                                     .local_connect_timeout = PROXY_LOCAL_CONNECT_TIMEOUT,
                                     .handshake_timeout = PROXY_HANDSHAKE_TIMEOUT,
                                     .upstreams = o->upstreams.items,
                                     .upstream_count = o->upstreams.len};
    for (size_t i = 0; i < o->upstreams.len; i++) {
        const struct proxy_upstream *u = &o->upstreams.items[i];
        struct str at = proxy_address(u->bind_address, u->bind_port, r->cli->arena);
        cli_out(r->cli, "              Upstream: " STR_FMT " => " STR_FMT, STR_ARG(u->name),
                STR_ARG(str_is(u->bind_address, "127.0.0.1") && !u->bind_given
                            ? str_sub(at, 9, at.len)
                            : at));
    }
    return read_listen(r, e);
}

static bool prepare(struct run *r, struct error *e) {
    r->proxy_id = or_env(&r->options->proxy_id, "CONNECT_PROXY_ID");
    r->sidecar_for = or_env(&r->options->sidecar_for, "CONNECT_SIDECAR_FOR");
    bool by_agent = r->proxy_id.len > 0 || r->sidecar_for.len > 0;
    if (!(by_agent ? read_agent_mode : read_flag_mode)(r, e))
        return error_prefix(e, "Error preparing configuration: ");
    if (r->options->register_service && (by_agent || !r->fixed.listens))
        return error_set(e, ERROR_BAD_REQUEST,
                         "Failed initializing registration: -register may only be specified with "
                         "-service and -listen");
    return true;
}

/* ---- its life ---- */

/* By the first registration that is one. */
static void measure(struct run *r, const struct value *registration) {
    const struct value *proxy = value_get(registration, "Proxy");
    const struct value *settings = value_get(value_get(proxy, "Config"), "telemetry");
    const struct cli_telemetry *telemetry = r->cli->hooks->telemetry;
    if (settings != NULL && telemetry != NULL)
        proxy_metrics_start(&r->proxy, telemetry, settings, r->proxy_id);
}

static bool service_changed(void *owner, const struct value *now, struct arena *arena,
                            struct error *e) {
    struct run *r = owner;
    struct proxy_config config;
    log_at(LOG_DEBUG, "proxy", "got new config");
    bool ok = proxy_config_read(now, &config, arena, e);
    if (ok && r->proxy.config == NULL)
        measure(r, now);
    if (ok)
        proxy_configure(&r->proxy, &config);
    else /* until it is registered anew */
        log_write(LOG_ERROR, "proxy", str_terminated(arena, e->text),
                  (const struct log_field[]){LOG_S("service_id", r->proxy_id), {.key = NULL}});
    return true;
}

static void on_deregistered(void *owner) {
    struct run *r = owner;
    for (size_t i = 0; i < COUNT_OF(r->signals); i++)
        uv_close((uv_handle_t *)&r->signals[i], NULL);
    loop_stop(&r->loop);
}

/* A second one does not wait for the agent. */
static void on_signal(uv_signal_t *handle, int number) {
    struct run *r = handle->data;
    if (number == SIGUSR1) {
        proxy_metrics_dump(&r->proxy);
        return;
    }
    if (r->ending) {
        fflush(stdout);
        _exit(CLI_FAILED);
    }
    r->ending = true;
    cli_out(r->cli, "==> Consul Connect proxy shutdown");
    fflush(r->cli->out);
    agent_watch_stop(r->service_watch);
    proxy_stop(&r->proxy);
    proxy_registration_end(r->registration, on_deregistered, r);
}

static void catch_signals(struct run *r) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    for (size_t i = 0; i < COUNT_OF(r->signals); i++) {
        uv_signal_init(&r->loop.uv, &r->signals[i]);
        r->signals[i].data = r;
        uv_signal_start(&r->signals[i], on_signal, numbers[i]);
    }
}

static void start(struct run *r) {
    const struct options *o = r->options;
    if (r->proxy_id.len == 0) {
        log_at(LOG_DEBUG, "proxy", "got new config");
        proxy_configure(&r->proxy, &r->fixed);
    } else {
        struct agent_watch_plan plan = {
            .kind = "agent_service",
            .log = "proxy.watch",
            .whose = "service_id",
            .service = r->proxy_id,
            .path = str_format(r->cli->arena, "/v1/agent/service/" STR_FMT, STR_ARG(r->proxy_id)),
            .by_hash = true,
            .changed = service_changed,
            .owner = r};
        r->service_watch = agent_watch_start(r->proxy.agent, &plan);
    }
    if (o->register_service) {
        struct proxy_registration_plan plan = {
            .service = o->service, .suffix = o->register_id, .port = r->fixed.bind_port};
        struct error e = ERROR_IN(r->cli->arena);
        struct str port;
        envoy_split_address(o->listen, &plan.host, &port, &e);
        r->registration = proxy_registration_start(r->proxy.agent, &plan);
    }
}

/* Each connection takes two descriptors. */
static void raise_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static bool serve(struct run *r, struct error *e) {
    if (!loop_init(&r->loop, "proxy", 256, e))
        return false;
    r->proxy.loop = &r->loop;
    r->proxy.agent = proxy_agent_new(&r->loop, client_settings(r->client), e);
    if (r->proxy.agent == NULL) {
        loop_free(&r->loop);
        return false;
    }
    raise_files();
    catch_signals(r);
    start(r);
    loop_run_here(&r->loop);
    proxy_agent_free(r->proxy.agent);
    loop_free(&r->loop);
    proxy_free(&r->proxy);
    return true;
}

static bool run_proxy(struct run *r, struct error *e) {
    cli_out(r->cli, "==> Consul Connect proxy starting...");
    if (!prepare(r, e))
        return false;
    cli_out(r->cli, "\n==> Log data will now stream in as it occurs:\n");
    fflush(r->cli->out);
    if (r->options->pprof_address.len > 0)
        log_at(LOG_WARN, "proxy", "profiling over HTTP is not part of this proxy",
               LOG_S("pprof_addr", r->options->pprof_address));
    return serve(r, e);
}

static int run(struct cli *cli, const void *given) {
    struct run *r = arena_zalloc(cli->arena, 1, sizeof *r);
    struct error e = ERROR_IN(cli->arena);
    enum log_level level;
    r->cli = cli;
    r->options = given;
    if (cli->arg_count > 0)
        return cli_fail(cli, "==> Should have no non-flag arguments.");
    if (!log_level_parse(r->options->log_level, &level))
        return cli_fail(cli,
                        "==> Invalid log level: " STR_FMT
                        ". Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]",
                        STR_ARG(r->options->log_level));
    log_set_level(level);
    log_set_json(r->options->log_json);
    r->client = client_new(cli, &e);
    if (r->client == NULL)
        return cli_fail(cli, "==> Error connecting to Consul agent: " STR_FMT, STR_ARG(e.text));
    bool ok = run_proxy(r, &e);
    client_free(r->client);
    return ok ? CLI_OK : cli_fail(cli, "==> " STR_FMT, STR_ARG(e.text));
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"listen", FLAG_STRING, AT(listen), NULL,
     "Where connections to the service come in, \"host:port\". Needs -service and -service-addr."},
    {"log-json", FLAG_BOOL, AT(log_json), NULL, "Write the log as JSON."},
    {"log-level", FLAG_STRING, AT(log_level), NULL,
     "What is logged: trace, debug, info, warn or err."},
    {"pprof-addr", FLAG_STRING, AT(pprof_address), NULL,
     "Accepted for the sake of scripts; there is no profiling over HTTP."},
    {"proxy-id", FLAG_SET_STRING, AT(proxy_id), "string",
     "The proxy's ID on the local agent. Also CONNECT_PROXY_ID."},
    {"register", FLAG_BOOL, AT(register_service), NULL,
     "Register the proxy with the agent while it runs. Needs -service and -listen."},
    {"register-id", FLAG_STRING, AT(register_id), NULL,
     "With -register: what is appended to the proxy's ID."},
    {"service", FLAG_STRING, AT(service), NULL, "Name of the service that it stands for."},
    {"service-addr", FLAG_STRING, AT(service_address), NULL,
     "With -listen: where the service itself listens, \"host:port\"."},
    {"sidecar-for", FLAG_SET_STRING, AT(sidecar_for), "string",
     "ID of a service on the local agent: its sidecar is meant. Also CONNECT_SIDECAR_FOR."},
    {"upstream", FLAG_OWN, AT(upstreams), NULL,
     "A service that it leads to, \"name:[host:]port\"; \"name.query\" is a prepared query. May be "
     "given several times.",
     upstream_read},
};
#undef AT

static const struct options defaults = {.log_level = STR_INIT("INFO")};

const struct command command_connect_proxy = {
    .name = "connect proxy",
    .synopsis = "Runs the built-in proxy",
    .usage = "connect proxy [options]",
    .about =
        "  Runs a proxy for a service until it is interrupted: connections to the service come\n"
        "  in encrypted and are authorised, its own connections to others go out encrypted.\n"
        "  The token needs service:write for the service.\n\n"
        "      $ consul connect proxy -sidecar-for web\n"
        "      $ consul connect proxy -service web -upstream db:8181\n"
        "      $ consul connect proxy -service web -service-addr 127.0.0.1:8080 \\\n"
        "            -listen ':8443'\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .run = run,
};
