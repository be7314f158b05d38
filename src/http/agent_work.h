/* What the files of /v1/agent share: going to the core thread, where the agent's local state lives,
 * and back; and the agent's own forms of services and checks (agent.md 1.7, 1.9). Only for
 * http/agent*.c.
 */
#ifndef PRAETOR_HTTP_AGENT_WORK_H
#define PRAETOR_HTTP_AGENT_WORK_H

#include "agent/agent.h"
#include "agent/local.h"
#include "http/http.h"
#include "server/membership.h"

/* A piece of work on the core for one request; lives in the request's arena. While it is there, the
 * request is not touched by its own thread. */
struct agent_work {
    struct http_request *r;
    struct local *local;
    /* On the core. False: the error is answered. */
    bool (*run)(struct agent_work *w, struct error *e);
    /* On the request's thread, when run gave true. NULL: 200, empty. */
    void (*finish)(struct agent_work *w);
    bool sync;  /* push changes before finishing: agent.md 4.2 */
    void *data; /* the caller's */
    bool later; /* set by run: it ends with agent_work_end */

    /* agent_work.c's own */
    struct error error;
    bool ok;
    struct message message;
};

/* Starts it; answers on its own when the core's queue is full. */
void agent_work_start(struct http_request *r, bool (*run)(struct agent_work *w, struct error *e),
                      void (*finish)(struct agent_work *w), bool sync, void *data);
/* As http_answer_error, but what is not there is not told in the log. */
void agent_work_refuse(struct http_request *r, const struct error *e);
/* On the core, after a run that set `later`. ok: w->error is not set. */
void agent_work_end(struct agent_work *w, bool ok);
/* For run functions that write JSON into the request: finish = this. */
void agent_work_answer_json(struct agent_work *w);

/* agent_vet.c: whether the requester may; "Permission denied: Missing service:write on web". Those
 * for what must exist say so first ("Unknown service", "Unknown check"), but only with access
 * control on. */
bool agent_vet_register(const struct agent_work *w, const struct service_definition *d,
                        const struct authorizer *may, struct error *e);
bool agent_vet_service(const struct agent_work *w, struct str id, struct error *e);
bool agent_vet_check_register(const struct agent_work *w, struct str id, struct str service_id,
                              struct error *e);
bool agent_vet_check(const struct agent_work *w, struct str id, struct error *e);

void agent_write_service(struct json_writer *w, const struct node_service *s,
                         struct str content_hash);
void agent_write_check(struct json_writer *w, const struct health_check *c);

/* passing, warning or critical. */
bool agent_known_status(struct str status);

/* A key and its value. */
void agent_key_str(struct json_writer *w, const char *key, struct str value);
void agent_key_i64(struct json_writer *w, const char *key, int64_t value);
void agent_key_u64(struct json_writer *w, const char *key, uint64_t value);
void agent_key_bool(struct json_writer *w, const char *key, bool value);
void agent_key_strings(struct json_writer *w, const char *key, const struct list *list);
void agent_key_map(struct json_writer *w, const char *key, const struct list *map);
void agent_key_addresses(struct json_writer *w, const char *key, const struct list *map);

/* The handlers that are in other files than the table. */
void agent_self(struct http_request *r);
void agent_host(struct http_request *r);
void agent_members(struct http_request *r);
void agent_join(struct http_request *r);
void agent_force_leave(struct http_request *r);
void agent_monitor(struct http_request *r);
void agent_services(struct http_request *r);
void agent_service(struct http_request *r);
void agent_checks(struct http_request *r);
void agent_health_by_id(struct http_request *r);
void agent_health_by_name(struct http_request *r);
void agent_service_register(struct http_request *r);
void agent_service_deregister(struct http_request *r);
void agent_service_maintenance(struct http_request *r);
void agent_maintenance(struct http_request *r);
void agent_check_register(struct http_request *r);
void agent_check_deregister(struct http_request *r);
void agent_check_pass(struct http_request *r);
void agent_check_warn(struct http_request *r);
void agent_check_fail(struct http_request *r);
void agent_check_update(struct http_request *r);
void agent_token_set_by_api(struct http_request *r);

/* connect.c, on the core: what the peer's agent asks for as soon as a proxy is registered with it,
 * whether or not anybody watches it: roots, and for a sidecar its service's leaf and intentions. */
void agent_proxy_registered(struct http_request *r, const struct service_definition *d);

/* Of the gossip pools, on the core: the member that this agent is (agent.md 1.6), its coordinate,
 * and a pool's statistics (nothing when there is no such pool). */
void agent_write_self_member(struct json_writer *w, struct agent *agent);
void agent_write_coordinate(struct json_writer *w, struct agent *agent);
void agent_write_pool_stats(struct json_writer *w, struct agent *agent, enum membership_pool pool);
/* DebugConfig (agent.md 1.3). */
void agent_write_debug_config(struct json_writer *w, struct agent *agent);

#endif
