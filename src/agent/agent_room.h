/* The one structure of a running agent, and what the files of its life call of each other: agent.c
 * (arguments, configuration, signals, main), agent_start.c (start and stop), agent_change.c (what
 * is asked of it while it runs: reload, tokens, leave). For these files only; others have agent.h.
 *
 * All of it is the main thread's, but for what is marked as the core's.
 */
#ifndef PRAETOR_AGENT_AGENT_ROOM_H
#define PRAETOR_AGENT_AGENT_ROOM_H

#include <uv.h>

#include "agent/agent.h"
#include "net/loop.h"
#include "server/secure.h"

#define LOGGER "agent"
#define AGENT_INTERFACES_MAX 8

enum { AGENT_SIGNALS = 5 };

struct main_request; /* agent_change.c */

struct running_interface {
    const struct agent_interface *interface;
    void *self;
};

struct agent {
    struct config_inputs inputs;
    const struct config *config;  /* of the start */
    const struct config *current; /* the core's: with what reloads changed */
    char node_id[37];
    struct arena arena;            /* of what the server keeps views of */
    struct secure_settings secure; /* until the server has them */
    struct server *server;
    struct token_store *tokens;
    struct auto_agent *auto_agent; /* NULL: certificates are the configuration's */
    struct local *local;
    struct proxies *proxies; /* NULL: no gRPC port */
    struct events *events;
    struct watches *watches;
    struct cluster *cluster;
    struct coordinates *coordinates;
    struct remote_exec *remote_exec;
    bool server_started, local_started, cluster_started;
    bool error_told; /* why it does not start is in the log already */
    struct running_interface interfaces[AGENT_INTERFACES_MAX];
    size_t interface_count;
    struct loop main;
    uv_signal_t signals[AGENT_SIGNALS];
    struct loop_timer metrics_timer, leave_timer;
    bool left;     /* a leave is done or under way: the next signal ends at once */
    bool has_left; /* it is done */
    struct main_request *leave_requests; /* to be answered then */
    const char *leaving_signal;          /* "interrupt", when a signal began the leave */
    int exit_code;
};

/* Runs fn on the core and waits until it has posted `over`. */
void agent_on_core(struct agent *agent, void (*fn)(struct agent *, void *, uv_sem_t *), void *arg);

/* The core's: the agent's services and checks out of a configuration. A reload takes the place of
 * what was loaded, and of `current`. */
struct agent_load {
    const struct config *config;
    struct error *e;
    bool ok;
};
void agent_core_load(struct agent *agent, void *load, uv_sem_t *over);

/* From the end of the banner to "Consul agent running!". On failure what was begun is undone by
 * agent_stop, which is called either way. */
bool agent_start(struct agent *agent, const struct agent_interface *const *interfaces,
                 struct error *e);
void agent_stop(struct agent *agent);
/* systemd hears that the agent is ready. */
void agent_tell_ready(void);

/* Of a configuration: warnings (at the start in the peer's two places), and keys without effect. */
void agent_log_warnings(const struct list *warnings, bool first);
void agent_log_ineffective(const struct config *c);

/* Reads the configuration anew and takes over what can change (config.md 4). */
bool agent_reload_here(struct agent *agent, struct error *e);
/* Begins the one leave; agent_leave_over ends the main loop when it is done or took too long. */
void agent_begin_leave(struct agent *agent);
void agent_leave_over(struct loop_timer *t);

#endif
