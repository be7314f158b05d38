/* Network coordinates (Vivaldi; gossip.md 10): where a node lies in the space in which distances
 * are round-trip times, and how a measured time moves it. Seconds, except for `error`.
 */
#ifndef PRAETOR_GOSSIP_COORDINATE_H
#define PRAETOR_GOSSIP_COORDINATE_H

#include "base/error.h"
#include "base/random.h"

#define COORDINATE_DIMENSIONS 8
#define COORDINATE_SAMPLES 20 /* of the adjustment */
#define COORDINATE_LATENCY_FILTER                                                                  \
    3 /* newest round-trip times of one node, of which the median counts */

struct gossip_coordinate {
    double vec[COORDINATE_DIMENSIONS];
    double error, adjustment, height;
};

/* The origin, as a node starts. */
struct gossip_coordinate coordinate_initial(void);
bool coordinate_is_valid(const struct gossip_coordinate *c);
/* Estimated round-trip time in ns. */
int64_t coordinate_distance(const struct gossip_coordinate *a, const struct gossip_coordinate *b);

/* The node's own: its coordinate and what it is computed from. */
struct coordinate_client {
    struct gossip_coordinate own;
    double samples[COORDINATE_SAMPLES];
    unsigned sample_at;
    uint64_t resets;
};
/* What is kept of another node. */
struct coordinate_filter {
    int64_t rtt[COORDINATE_LATENCY_FILTER];
    unsigned len;
};

void coordinate_client_init(struct coordinate_client *c);
/* False, with nothing changed, when the other's coordinate or the time is not acceptable. rng: only
 * used for two nodes at the same place. */
bool coordinate_move(struct coordinate_client *c, struct coordinate_filter *filter,
                     const struct gossip_coordinate *other, int64_t rtt, struct prng *rng,
                     struct error *e);

#endif
