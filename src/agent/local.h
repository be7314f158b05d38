/* The agent's own services and checks, their status, and anti-entropy: what keeps the catalog equal to
 * them (agent.md 2 and 4). Everything here runs on the core thread only (agent_run_on_core), except
 * where said otherwise.
 */
#ifndef PRAETOR_AGENT_LOCAL_H
#define PRAETOR_AGENT_LOCAL_H

#include "agent/config.h"
#include "base/map.h"
#include "server/server.h"

struct local;

struct local_service {
    struct arena arena;
    struct node_service service;
    struct str token;
    bool in_sync, deleted;
    bool from_api;   /* persisted, source "remote" */
    bool is_sidecar; /* goes away with its parent */
    bool syncing;    /* a registration of its present form is under way */
    uint64_t generation;
};

struct local_check {
    struct arena arena; /* of all but status and output */
    struct health_check check;
    struct check_type type;
    bool has_type; /* false: a maintenance check */
    struct str token;
    bool in_sync, deleted;
    enum { CHECK_FROM_CONFIG, CHECK_FROM_API, CHECK_FROM_LOCAL } source;
    uint64_t generation;
    struct check_runner *runner; /* what runs it, or NULL */
    struct check_deferral *deferral;
    char *output_text; /* check.output points here */
};

struct local_options {
    const struct config *config;
    struct server *server;
    struct str node_id;
};
struct local *local_new(const struct local_options *options);
/* Starts syncing; core thread. */
void local_start(struct local *l);
/* Stops timers and calls; `stopped` runs on the core when none is left. */
void local_stop(struct local *l, void (*stopped)(void *arg), void *arg);
void local_free(struct local *l);

/* What comes from files and from the data directory. Clears nothing. */
bool local_load(struct local *l, const struct config *config, struct error *e);
/* The same on a reload: unloads everything, loads anew, keeps status and output by check ID. */
bool local_reload(struct local *l, const struct config *config, struct error *e);

/* Iterate with map_next: values are struct local_service * / struct local_check *; skip the deleted. */
const struct map *local_services(const struct local *l);
const struct map *local_checks(const struct local *l);
/* Not the deleted ones; NULL when unknown. */
struct local_service *local_service_find(const struct local *l, struct str id);
struct local_check *local_check_find(const struct local *l, struct str id);
size_t local_service_count(const struct local *l);
size_t local_check_count(const struct local *l);
size_t local_ttl_count(const struct local *l);
uint64_t local_service_hash(const struct local_service *s);

/* A validated service with its checks (agent.md 1.12): `d` is complete (ID, defaults), check IDs follow
 * agent.md 2.4. */
bool local_register_service(struct local *l, struct service_definition *d, struct list checks,
                            struct str token, bool from_api, bool replace_checks, struct error *e);
bool local_deregister_service(struct local *l, struct str id, struct error *e);
bool local_register_check(struct local *l, const struct config_check *c, struct str id,
                          struct str token, bool from_api, struct error *e);
bool local_deregister_check(struct local *l, struct str id, struct error *e);
/* A TTL check's beat. */
bool local_update_ttl(struct local *l, struct str check_id, struct str status, struct str output,
                      struct error *e);
void local_maintenance_service(struct local *l, struct local_service *s, bool enable,
                               struct str reason, struct str token);
void local_maintenance_node(struct local *l, bool enable, struct str reason, struct str token);

/* One pass of pushing changes; done when it is over, whatever came of it (agent.md 4.2: every
 * changing endpoint runs one before it answers). */
void local_sync_changes(struct local *l, void (*done)(void *arg), void *arg);
void local_full_sync_soon(struct local *l);

/* Definitions: what the HTTP API and the files share. Errors have the bare text. */
bool check_type_validate(const struct check_type *t, struct error *e);
bool check_type_empty(const struct check_type *t);
struct str check_type_shown(const struct check_type *t); /* "ttl", "http", …: agent.md 1.9 */
bool service_meta_validate(const struct list *meta, bool mesh_gateway, struct error *e);
bool weights_validate(const struct weights *w, struct error *e);
/* Kind, proxy and sidecar rules (agent.md 2.2), a multi-error. */
bool service_definition_validate(const struct service_definition *d, struct error *e);

#endif
