/* Autopilot (raft.md 5.5): a leader's watch over its servers. It asks each how far it is, promotes
 * those that have been healthy for a while, and removes dead ones when a quorum is left without
 * them. State is in memory and begins anew with each leader.
 *
 * The core's thread.
 */
#ifndef PRAETOR_SERVER_AUTOPILOT_H
#define PRAETOR_SERVER_AUTOPILOT_H

#include "schema/schema.h"

struct server;
struct autopilot;

/* Operator.ServerHealth (rpc.md 6.8). */
struct server_health {
    struct str address;
    bool healthy;
    struct str id;
    int64_t last_contact; /* ns; -1: not known */
    uint64_t last_index;
    uint64_t last_term;
    bool leader;
    struct str name;
    int64_t serf_status; /* enum gossip_status */
    struct timestamp stable_since;
    struct str version;
    bool voter;
};
struct operator_health_reply {
    int64_t failure_tolerance;
    bool healthy;
    struct list servers; /* of struct server_health; nil: nothing is known yet */
};
extern const struct shape server_health_shape, operator_health_reply_shape;

struct autopilot *autopilot_new(struct server *s);
void autopilot_close(struct autopilot *a); /* its timers */
void autopilot_free(struct autopilot *a);  /* after the thread's calls have ended */
void autopilot_enable(struct autopilot *a, bool on);
/* A server joined: dead ones may go now. */
void autopilot_kick(struct autopilot *a);
/* False: "all servers must have raft_protocol set to 3 or higher to use this endpoint". */
bool autopilot_health(struct autopilot *a, struct arena *arena, struct operator_health_reply *out,
                      struct error *e);

#endif
