/* The agent: what `praetor agent` runs. It reads the configuration, starts the server, the local
 * state and the interfaces (HTTP, DNS), answers signals, reloads, leaves and stops (config.md 4,
 * agent.md 8).
 *
 * Threads: the main thread handles signals and start and stop; the core thread (server.h) owns the
 * local state. agent_* getters may be called from any thread once the agent runs.
 */
#ifndef PRAETOR_AGENT_AGENT_H
#define PRAETOR_AGENT_AGENT_H

#include "agent/cluster.h"
#include "agent/config.h"
#include "agent/events.h"
#include "agent/local.h"
#include "agent/proxy_watch.h"
#include "server/agent_tokens.h"
#include "server/server.h"

struct agent;

/* What http/ and dns/ are to the agent, which may not include them: main.c passes a list of these.
 * All three run on the main thread. */
struct agent_interface {
    const char *name; /* "DNS", "HTTP" */
    /* Opens the listeners of the configuration and logs them ("Started DNS server: …"). What it
     * returns is passed to the others; NULL: error. */
    void *(*start)(struct agent *agent, struct error *e);
    /* A new configuration is in force. The interface holds it as long as it needs it. */
    bool (*reload)(void *self, const struct config *config, struct error *e);
    /* Logs "Stopping server: …" for each listener, drains at most a second, frees. */
    void (*stop)(void *self);
};

/* `praetor agent ARGS`: argv[0] is "agent". Returns the exit code. interfaces ends with NULL. */
int agent_main(int argc, char **argv, const struct agent_interface *const *interfaces);

struct server *agent_server(struct agent *agent);
struct local *agent_local(struct agent *agent);
/* Core thread only. */
struct events *agent_events(struct agent *agent);
struct cluster *agent_cluster(struct agent *agent);
/* The configuration with which the agent started; lives as long as the agent. */
const struct config *agent_config(struct agent *agent);
/* Core thread only: the same with what reloads have changed since. */
const struct config *agent_current_config(struct agent *agent);
/* NULL: without a gRPC port, proxies are not followed. */
struct proxies *agent_proxies(struct agent *agent);
struct str agent_node_id(struct agent *agent);

/* Runs fn on the core thread, then done on the calling loop's thread; see server_run_on_core. */
bool agent_run_on_core(struct agent *agent, void (*fn)(void *arg), void (*done)(void *arg),
                       void *arg);

/* For PUT /v1/agent/leave and /v1/agent/reload, from any I/O thread. done runs on the calling loop
 * with the same arg when it is through; for a reload with its error in *e (of the caller's arena).
 * After the leave's done the process ends on its own: nobody new is served, the answer goes out. */
bool agent_leave(struct agent *agent, void (*done)(void *arg), void *arg);
bool agent_reload(struct agent *agent, struct error *e, void (*done)(void *arg), void *arg);

/* PUT /v1/agent/token (acl.md 3.3), as agent_reload: the token is kept, if that is configured, and
 * a changed one of the agent's own starts a full sync. The secret must stay until done. */
bool agent_set_token(struct agent *agent, enum agent_token_kind kind, struct str secret,
                     struct error *e, void (*done)(void *arg), void *arg);

#endif
