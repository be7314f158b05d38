/* The life of an agent: flags and configuration, signals, and main (config.md 4, agent.md 8). Start
 * and stop are agent_start.c's, reload and leave agent_change.c's.
 */
#include "agent/agent_room.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/agent_files.h"
#include "agent/auto_agent.h"
#include "agent/coordinates.h"
#include "agent/crash.h"
#include "agent/remote_exec.h"
#include "agent/telemetry.h"
#include "agent/tls_load.h"
#include "agent/token_store.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"

#define INBOX 1024

static const int handled_signals[AGENT_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGQUIT};

/* ---- what other rooms ask ---- */

struct server *agent_server(struct agent *agent) {
    return agent->server;
}
struct local *agent_local(struct agent *agent) {
    return agent->local;
}
struct proxies *agent_proxies(struct agent *agent) {
    return agent->proxies;
}
struct events *agent_events(struct agent *agent) {
    return agent->events;
}
struct cluster *agent_cluster(struct agent *agent) {
    return agent->cluster;
}
const struct config *agent_config(struct agent *agent) {
    return agent->config;
}
const struct config *agent_current_config(struct agent *agent) {
    return agent->current;
}
struct str agent_node_id(struct agent *agent) {
    return str_from(agent->node_id);
}

bool agent_run_on_core(struct agent *agent, void (*fn)(void *arg), void (*done)(void *arg),
                       void *arg) {
    return server_run_on_core(agent->server, fn, done, arg);
}

/* ---- before it runs ---- */

static void print_banner(const struct agent *agent) {
    const struct config *c = agent->config;
    struct buf client = BUF_INIT;
    for (uint32_t i = 0; i < c->client_addrs.len; i++)
        buf_add_format(&client, "%s" STR_FMT, i ? " " : "",
                       STR_ARG(LIST_AT(c->client_addrs, struct listen_address, i).text));
    bool tls_out = c->tls.verify_outgoing || c->tls.verify_server_hostname;
    bool auto_encrypt = c->auto_encrypt_tls || c->auto_encrypt_allow_tls;
    printf(
        "==> Starting Consul agent...\n"
        "           Version: '%s'\n"
        "           Node ID: '%s'\n"
        "         Node name: '" STR_FMT "'\n"
        "        Datacenter: '" STR_FMT "' (Segment: '%s')\n"
        "            Server: %s (Bootstrap: %s)\n"
        "       Client Addr: [" STR_FMT "] (HTTP: %d, HTTPS: %d, gRPC: %d, DNS: %d)\n"
        "      Cluster Addr: " STR_FMT " (LAN: %d, WAN: %d)\n"
        "           Encrypt: Gossip: %s, TLS-Outgoing: %s, TLS-Incoming: %s, Auto-Encrypt-TLS: %s\n"
        "\n"
        "==> Log data will now stream in as it occurs:\n"
        "\n",
        CONFIG_VERSION, agent->node_id, STR_ARG(c->node_name), STR_ARG(c->datacenter),
        c->server_mode ? "<all>" : "", c->server_mode ? "true" : "false",
        c->bootstrap ? "true" : "false", STR_ARG(buf_str(&client)), c->http_port, c->https_port,
        c->grpc_port, c->dns_port, STR_ARG(c->advertise_addr_lan), c->serf_port_lan,
        c->serf_port_wan, c->encrypt_key.len > 0 ? "true" : "false", tls_out ? "true" : "false",
        c->tls.verify_incoming ? "true" : "false", auto_encrypt ? "true" : "false");
    fflush(stdout);
    buf_free(&client);
}

/* A failure before the banner: standard error, nothing else. */
static bool refuse(struct str text) {
    fprintf(stderr, "==> " STR_FMT "\n", STR_ARG(text));
    return false;
}

static bool parse_arguments(struct agent *agent, int argc, char **argv, struct error *e) {
    bool help;
    int rest;
    if (!config_parse_flags(&agent->inputs, argc, argv, &help, &rest, e)) {
        fprintf(stderr, STR_FMT "\n", STR_ARG(e->text));
        config_print_flags(stderr);
        error_prefix(e, "error parsing flags: ");
        return refuse(e->text);
    }
    if (help) {
        config_print_help(stdout);
        agent->exit_code = 0;
        return false;
    }
    if (rest > 0) {
        struct buf text = BUF_INIT;
        for (int i = argc - rest; i < argc; i++)
            buf_add_format(&text, "%s%s", i > argc - rest ? " " : "", argv[i]);
        fprintf(stderr, "==> Unexpected extra arguments: [" STR_FMT "]\n", STR_ARG(buf_str(&text)));
        buf_free(&text);
        return false;
    }
    return true;
}

static bool prepare(struct agent *agent, struct list *warnings, struct arena *arena,
                    struct error *e) {
    agent->config = config_load(&agent->inputs, warnings, arena, e);
    if (agent->config == NULL)
        return false;
    agent->current = config_hold(agent->config);
    const struct config *c = agent->config;
    enum log_level level;
    if (!log_level_parse(c->logging.level, &level))
        return error_set(e, ERROR_INTERNAL,
                         "Invalid log level: " STR_FMT
                         ". Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]",
                         STR_ARG(c->logging.level));
    log_set_level(level);
    log_set_json(c->logging.json);
    if (!agent_open_syslog(c, SYSLOG_PATH, level, e) || !agent_open_log_file(c, level, e))
        return false;
    crash_catch(c->dev_mode ? STR_NONE : c->data_dir);
    if (!agent_find_node_id(c, agent->node_id, e))
        return false;
    if (!telemetry_start(c, e))
        return error_prefix(e, "failed to initialize telemetry: ");
    return tls_load(c, &agent->secure, e);
}

void agent_log_warnings(const struct list *warnings, bool first) {
    /* The peer reads its configuration twice at start, and tells twice. */
    for (uint32_t i = 0; first && i < warnings->len; i++)
        log_at(LOG_WARN, LOGGER, LIST_AT(*warnings, struct str, i).data);
    for (uint32_t i = 0; i < warnings->len; i++)
        log_at(LOG_WARN, "agent.auto_config", LIST_AT(*warnings, struct str, i).data);
}

void agent_log_ineffective(const struct config *c) {
    if (c->ineffective.len == 0)
        return;
    struct buf keys = BUF_INIT;
    for (uint32_t i = 0; i < c->ineffective.len; i++)
        buf_add_format(&keys, "%s" STR_FMT, i ? ", " : "",
                       STR_ARG(LIST_AT(c->ineffective, struct str, i)));
    log_at(LOG_WARN, LOGGER,
           "settings of features that this version of Praetor does not have yet are accepted "
           "without effect",
           LOG_S("keys", buf_str(&keys)));
    buf_free(&keys);
}

/* ---- signals ---- */

static const char *signal_name(int number) {
    return number == SIGINT ? "interrupt" : number == SIGTERM ? "terminated" : "hangup";
}

static void end_by_signal(struct agent *agent, int number) {
    const struct config *c = agent->config;
    bool graceful = number == SIGINT ? !c->skip_leave_on_int : c->leave_on_term;
    if (agent->left) {
        log_at(
            LOG_INFO, LOGGER, "Caught second signal, Exiting",
            LOG_C("signal", agent->leaving_signal ? agent->leaving_signal : signal_name(number)));
        agent->exit_code = 1;
    } else if (!graceful) {
        log_at(LOG_INFO, LOGGER, "Graceful shutdown disabled. Exiting");
        agent->exit_code = 1;
    } else {
        agent->leaving_signal = signal_name(number);
        log_at(LOG_INFO, LOGGER, "Gracefully shutting down agent...");
        agent_begin_leave(agent);
        return;
    }
    loop_stop(&agent->main);
}

static void reload_by_signal(struct agent *agent) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (!agent_reload_here(agent, &e))
        log_at(LOG_ERROR, LOGGER, "Reload config failed", LOG_S("error", e.text));
    arena_free(&arena);
}

static void signal_caught(uv_signal_t *handle, int number) {
    struct agent *agent = handle->data;
    if (number == SIGUSR1) {
        telemetry_dump(stderr, agent->config);
        return;
    }
    if (number == SIGQUIT) { /* as a crash: no clean stop */
        fflush(NULL);
        _exit(2);
    }
    log_at(LOG_INFO, LOGGER, "Caught", LOG_C("signal", signal_name(number)));
    if (number == SIGHUP)
        reload_by_signal(agent);
    else
        end_by_signal(agent, number);
}

/* From the start on, the signals wait until the agent can do something about them. */
static void block_signals(int how) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < AGENT_SIGNALS; i++)
        sigaddset(&set, handled_signals[i]);
    pthread_sigmask(how, &set, NULL);
}

/* Gauges are read at the end of each interval, and whenever somebody looks. */
static void metrics_due(struct loop_timer *t) {
    struct agent *agent = t->owner;
    int64_t period = telemetry_period();
    telemetry_sample_runtime();
    server_sample_metrics(agent->server);
    metrics_rotate(time_now_wall());
    loop_timer_set(t, period - time_now_wall() % period + MILLISECOND);
}

/* Until a signal or a leave ends it. */
static void run(struct agent *agent) {
    loop_timer_init(&agent->main, &agent->metrics_timer, metrics_due, agent);
    loop_timer_init(&agent->main, &agent->leave_timer, agent_leave_over, agent);
    metrics_due(&agent->metrics_timer);
    for (size_t i = 0; i < AGENT_SIGNALS; i++) {
        uv_signal_init(&agent->main.uv, &agent->signals[i]);
        agent->signals[i].data = agent;
        uv_signal_start(&agent->signals[i], signal_caught, handled_signals[i]);
    }
    block_signals(SIG_UNBLOCK);
    malloc_trim(0);
    loop_run_here(&agent->main);
    block_signals(SIG_BLOCK);
    for (size_t i = 0; i < AGENT_SIGNALS; i++) {
        uv_signal_stop(&agent->signals[i]);
        uv_close((uv_handle_t *)&agent->signals[i], NULL);
    }
    loop_timer_stop(&agent->metrics_timer);
    loop_timer_close(&agent->metrics_timer, NULL);
    loop_timer_stop(&agent->leave_timer);
    loop_timer_close(&agent->leave_timer, NULL);
}

/* ---- main ---- */

/* Between the banner and the end. */
static void serve(struct agent *agent, const struct agent_interface *const *interfaces,
                  struct error *e) {
    if (agent_start(agent, interfaces, e)) {
        if (!agent->config->logging.json) {
            printf("==> Consul agent running!\n");
            fflush(stdout);
        }
        agent_tell_ready();
        run(agent);
        agent_stop(agent);
    } else {
        if (!agent->error_told)
            log_at(LOG_ERROR, LOGGER, "Error starting agent", LOG_S("error", e->text));
        agent->exit_code = 1;
        enum log_level level = log_get_level();
        if (!agent->error_told) /* what was begun ends without further words */
            log_set_level(LOG_OFF);
        agent_stop(agent);
        log_set_level(level);
    }
    log_at(LOG_INFO, LOGGER, "Exit code", LOG_I("code", agent->exit_code));
}

static void run_agent(struct agent *agent, const struct agent_interface *const *interfaces,
                      struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct list warnings;
    log_set_stdout(false);
    if (!prepare(agent, &warnings, arena, &e)) {
        refuse(e.text);
        return;
    }
    if (!agent->config->logging.json)
        print_banner(agent);
    log_set_stdout(true);
    agent_log_warnings(&warnings, true);
    agent_log_ineffective(agent->config);
    if (!loop_init(&agent->main, "main", INBOX, &e)) {
        refuse(e.text);
        return;
    }
    serve(agent, interfaces, &e);
    loop_free(&agent->main);
}

static void free_agent(struct agent *agent) {
    token_store_free(agent->tokens);
    server_free(agent->server);
    arena_free(&agent->arena);
    auto_agent_free(agent->auto_agent); /* after the calls that it has under way */
    cluster_free(agent->cluster);
    coordinates_free(agent->coordinates);
    remote_exec_free(agent->remote_exec);
    telemetry_stop();
    events_free(agent->events);
    proxies_free(agent->proxies);
    local_free(agent->local);
    config_release(agent->current);
    config_release(agent->config);
    config_inputs_free(&agent->inputs);
}

int agent_main(int argc, char **argv, const struct agent_interface *const *interfaces) {
    struct agent *agent = MEM_NEW(struct agent);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    uint64_t key[2];
    /* Few malloc arenas: threads share memory rather than each keeping its own. */
    mallopt(M_ARENA_MAX, 2);
    random_bytes(key, sizeof(key));
    map_set_hash_key(key[0], key[1]);
    signal(SIGPIPE, SIG_IGN);
    block_signals(SIG_BLOCK);
    agent->exit_code = 1;
    config_inputs_init(&agent->inputs);
    if (parse_arguments(agent, argc, argv, &e))
        run_agent(agent, interfaces, &arena);
    int code = agent->exit_code;
    free_agent(agent);
    arena_free(&arena);
    mem_free(agent);
    return code;
}
