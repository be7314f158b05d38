/* The agent's own services and checks, their status, and anti-entropy: what keeps the catalog equal
 * to them (agent.md 2 and 4). Everything here runs on the core thread only (agent_run_on_core),
 * except where said otherwise. How checks run is in
 * check_run.h; TTL and maintenance checks are here.
 */
#ifndef PRAETOR_AGENT_LOCAL_H
#define PRAETOR_AGENT_LOCAL_H

#include "agent/config.h"
#include "base/map.h"
#include "server/server.h"

struct local;
struct central;

/* Both structs are replaced as a whole by a new registration, and changed in place only where said.
 */
struct local_service {
    struct arena arena;
    struct node_service service;
    struct str token;
    bool in_sync, deleted; /* deleted: waits for the catalog to confirm; invisible to all reads */
    bool from_api;         /* persisted, source "remote" */
    bool is_sidecar;       /* goes away with its parent */
    uint64_t generation;   /* grows with every change */
    /* As it was registered, when central configuration is for it (central.h); else NULL. */
    struct node_service *own;
    struct central *central; /* what follows that */
};

enum check_source { CHECK_FROM_CONFIG, CHECK_FROM_API, CHECK_FROM_LOCAL };

struct local_check {
    struct arena arena;        /* of all but the output */
    struct health_check check; /* status is a literal or in the arena; output is owned */
    struct check_type type;
    bool has_type; /* false: a maintenance check */
    struct str token;
    bool in_sync, deleted;
    enum check_source source;
    uint64_t generation;
    int64_t critical_since;        /* monotonic; 0: no update since its registration said so */
    int64_t reap_after;            /* ns of that until the service goes; 0: never */
    char *output;                  /* check.output points here; NULL: empty */
    struct ttl_timer *ttl;         /* of a TTL check */
    struct check_monitor *monitor; /* of a check that runs by itself */
    struct alias_check *alias;     /* of an alias check */
    struct loop_timer *deferral;   /* a changed output waits to be synced */
    int64_t exposed_port;          /* through which it runs (local_expose.c); 0: as it is defined */
    char *exposed_at;              /* the same with the sidecar's address; NULL: as it is defined */
};

struct local_options {
    const struct config *config; /* held as long as it is in force */
    struct server *server;
    struct str node_id; /* copied */
};
struct local *local_new(const struct local_options *options);
/* Starts syncing. */
void local_start(struct local *l);
/* Stops timers and calls; `stopped` runs on the core when none is left. */
void local_stop(struct local *l, void (*stopped)(void *arg), void *arg);
/* After local_stop; any thread. */
void local_free(struct local *l);

/* What comes from files and from the data directory. Error texts as logged at start. */
bool local_load(struct local *l, const struct config *config, struct error *e);
/* The same on a reload: unloads everything, loads anew, keeps status and output by check ID. */
bool local_reload(struct local *l, const struct config *config, struct error *e);
/* What the last of these came to, or failed in: "services", "checks". */
const char *local_loading_part(const struct local *l);

/* Iterate with map_next: values are struct local_service * / struct local_check *; skip the
 * deleted. */
const struct map *local_services(const struct local *l);
const struct map *local_checks(const struct local *l);
/* Not the deleted ones; NULL when unknown. */
struct local_service *local_service_find(const struct local *l, struct str id);
struct local_check *local_check_find(const struct local *l, struct str id);
size_t local_service_count(const struct local *l);
size_t local_check_count(const struct local *l);
size_t local_ttl_count(const struct local *l);
size_t local_script_count(const struct local *l); /* that run */
/* Over all that GET /v1/agent/service/ID shows; opaque. */
uint64_t local_service_hash(const struct local_service *s);

/* A validated definition (agent.md 1.12) with its checks, whose IDs follow agent.md 2.4. Everything
 * is copied. Persisted when from_api. The definition's own token and sidecar are not looked at. */
struct local_registration {
    const struct service_definition *definition;
    struct str token;
    bool from_api;
    bool is_sidecar;     /* of local_sidecar_of: deregistered with its parent */
    bool replace_checks; /* checks of the service that are not in the list go */
    /* Central configuration that was asked for before (local_central_question); NULL: not, what was
     * known of a service of that ID is taken. */
    const struct service_config_response *central;
};
/* What the servers are to be asked before the definition is registered over the API; false: nothing
 * (agent/central.h). In the arena. */
struct service_config_request;
struct service_config_response;
bool local_central_question(const struct local *l, const struct service_definition *d,
                            struct service_config_request *request, struct arena *arena);
bool local_register_service(struct local *l, const struct local_registration *r, struct error *e);
bool local_deregister_service(struct local *l, struct str id, struct error *e);
/* The definition of the sidecar that goes with a definition (agent.md 2.2), to be registered after
 * it; *out is NULL when it has none. In the arena, and pointing into the parent. Core thread, since
 * a port may have to be chosen. Errors have the bare text. */
bool local_sidecar_of(const struct local *l, const struct service_definition *parent,
                      struct service_definition **out, struct arena *arena, struct error *e);
/* A node's check or one of a known service. id: type.check_id, or its name. Config files do not set
 * Type on node checks (agent.md 1.9). */
bool local_register_check(struct local *l, const struct config_check *c, enum check_source source,
                          struct error *e);
bool local_deregister_check(struct local *l, struct str id, struct error *e);
/* A TTL check's beat. status: "passing", "warning" or "critical". */
bool local_update_ttl(struct local *l, struct str check_id, struct str status, struct str output,
                      struct error *e);
/* reason "": the default text. Being in that state already changes nothing. */
void local_maintenance_service(struct local *l, struct local_service *s, bool enable,
                               struct str reason, struct str token);
void local_maintenance_node(struct local *l, bool enable, struct str reason, struct str token);

/* One pass of pushing changes; done (not NULL) runs when it is over, whatever came of it, and what
 * was to be written is written (agent.md 4.2: every changing endpoint runs one before it answers).
 */
void local_sync_changes(struct local *l, void (*done)(void *arg), void *arg);
/* A full sync for a reason that many agents have at once (a new leader, a server that joined, other
 * tokens): after a random part of three seconds, more in large clusters. Requests coalesce. */
void local_full_sync_trigger(struct local *l);

/* Waiting for a service to change or go (agent.md 1.8). `fn` runs once, after which the watch is no
 * longer in the list. */
struct local_watch {
    struct str service_id;
    void (*fn)(struct local_watch *w);
    struct local_watch *next, *previous;
    bool listed;
};
void local_watch_add(struct local *l, struct local_watch *w);
void local_watch_remove(struct local_watch *w);

/* A pair of the map service_definition.tagged_addresses. */
struct tagged_address {
    struct str key;
    struct service_address address;
};

/* One who is told of every service that was registered, changed or is gone; STR_NONE: any may have.
 * NULL: nobody. */
void local_listen(struct local *l, void (*changed)(void *owner, struct str service_id),
                  void *owner);

/* Of struct proxy_check_path: through which the sidecar's service is checked (connect.md 4.3). In
 * the arena, and pointing into the checks. */
struct list local_exposed_paths(const struct local *l, const struct node_service *sidecar,
                                struct arena *arena);

/* Definitions: what the HTTP API and the files share. Any thread. Errors have the bare text. */
bool check_type_validate(const struct check_type *t, struct error *e);
/* False when it may not or cannot run: scripts that the configuration does not allow, a Docker
 * engine whose address is none (ERROR_INTERNAL, the peer's texts). */
bool check_type_supported(const struct check_type *t, const struct config *c, bool from_api,
                          struct error *e);
bool check_type_empty(const struct check_type *t);
/* Of struct check_type *: `check`, unless it is empty, then `checks` (none of them NULL). */
struct list service_definition_checks(const struct service_definition *d, struct arena *arena);
struct str check_type_shown(const struct check_type *t); /* "ttl", "http", …: agent.md 1.9 */
bool service_meta_validate(const struct list *meta, bool mesh_gateway, struct error *e);
bool weights_validate(const struct weights *w, struct error *e);
/* Only characters that a DNS label may have (and, by a slip of the peer, backslashes). */
bool dns_label_valid(struct str s);
/* Kind, proxy and sidecar rules (agent.md 2.2), a multi-error. */
bool service_definition_validate(const struct service_definition *d, struct error *e);

#endif
