/* A queue of broadcasts of which each is sent a limited number of times (gossip.md 7.1): those that
 * were sent least come first, of those the largest that still fits, then the newest.
 */
#ifndef PRAETOR_GOSSIP_BROADCASTS_H
#define PRAETOR_GOSSIP_BROADCASTS_H

#include "base/map.h"

/* Called when a message left the queue: it was sent often enough, replaced or cut off. waiter: what
 * broadcasts_add was given, not 0. */
typedef void broadcast_finished_fn(void *owner, uint32_t waiter);

struct broadcast;
struct broadcast_tier { /* those that were sent equally often, by length, then age: newest last */
    struct broadcast **items;
    size_t len, cap;
};
struct broadcasts {
    struct broadcast_tier *tiers;
    size_t tier_count;
    size_t len;
    uint64_t next_order;
    struct map keys; /* of those with a key: struct broadcast * */
    broadcast_finished_fn *finished;
    void *owner;
};

void broadcasts_init(struct broadcasts *q, broadcast_finished_fn *finished, void *owner);
void broadcasts_free(struct broadcasts *q); /* without calling `finished` */
/* key: replaces a message of the same key; absent: none. The bytes are copied. */
void broadcasts_add(struct broadcasts *q, struct str key, struct str bytes, uint32_t waiter);
/* Takes what fits into `space`, each costing its length and `overhead`, at most `max` messages:
 * they count as sent once more, and leave the queue when that makes `limit`. The bytes are copied
 * to the arena, behind `prefix` (absent: none). Returns how many; *used is increased by their cost.
 */
size_t broadcasts_take(struct broadcasts *q, unsigned limit, size_t overhead, size_t space,
                       size_t max, struct str prefix, struct arena *arena, struct str *out,
                       size_t *used);
/* Cuts it to `len` messages; those go first that were sent most. */
void broadcasts_prune(struct broadcasts *q, size_t len);

#endif
