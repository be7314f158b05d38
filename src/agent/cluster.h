/* The agent's place in its cluster: what the configuration says of the gossip pools, and how the
 * agent comes into them: at once (start_join), for as long as it takes (retry_join, also with
 * addresses from a cloud's API) or when it is told to (agent.md 8.5); and into the WAN pool through
 * the primary datacenter's mesh gateways (connect.md 7.3).
 *
 * The core's thread, except where it says otherwise; callbacks run there.
 */
#ifndef PRAETOR_AGENT_CLUSTER_H
#define PRAETOR_AGENT_CLUSTER_H

#include "agent/config.h"
#include "server/membership.h"

/* Any thread. The strings are the configuration's or in the arena. False: the peer's text. */
bool cluster_membership_options(const struct config *c, struct membership_options *out,
                                struct arena *arena, struct error *e);

struct cluster;
struct cluster_options {
    struct membership *membership;
    struct gateways *gateways; /* gateways.h; NULL: no federation through mesh gateways */
    struct loop *core;
    const struct config *config; /* must live as long */
    void *owner;
    /* The first join of the LAN pool that worked. */
    void (*joined)(void *owner);
    /* A retry_join was given up: the agent is to end with this error. */
    void (*given_up)(void *owner, struct str error);
};
/* Any thread. */
struct cluster *cluster_new(const struct cluster_options *options);
/* Whether joining the WAN pool is refused, since mesh gateways do it. Any thread. */
bool cluster_wan_is_federated(const struct cluster *c);
#define CLUSTER_WAN_FEDERATED                                                                      \
    "WAN join is disabled when wan federation via mesh gateways is enabled"
/* Begins the retry joins. */
void cluster_start(struct cluster *c);
void cluster_stop(struct cluster *c);
void cluster_free(struct cluster *c); /* after the core has ended */

/* One round with all addresses, with its log lines. error: of the last resort, when joined is 0. */
void cluster_join(struct cluster *c, enum membership_pool pool, const struct str *addresses,
                  size_t count, gossip_join_done *done, void *owner);

#endif
