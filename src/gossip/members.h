/* The table of nodes: one small record for each, found by name or number, in either layer or both.
 * The membership layer lists those that it probes and gossips with (`listed`); the layer above
 * remembers members (`status`) also when the membership layer has dropped them, and the other way
 * round. A record that is in neither is free.
 *
 * What does not change from packet to packet (name, address, tags, versions) is kept apart, in an
 * immutable identity with a count of references: a record stays small, and simulations of very many
 * cores share them.
 */
#ifndef PRAETOR_GOSSIP_MEMBERS_H
#define PRAETOR_GOSSIP_MEMBERS_H

#include "base/random.h"
#include "gossip/gossip.h"

struct identity {
    uint32_t refs;
    uint32_t name_hash;
    uint64_t content_hash; /* only with gossip_shared */
    struct gossip_address address;
    uint8_t versions[GOSSIP_VERSIONS];
    uint16_t name_len, meta_len;
    bool has_meta; /* false: nil on the wire */
    char data[];   /* name, meta */
};

/* With `shared` (may be NULL) an equal one that exists already. One reference. */
struct identity *identity_new(struct gossip_shared *shared, struct str name,
                              const struct gossip_address *address, struct str meta,
                              const uint8_t versions[GOSSIP_VERSIONS]);
void identity_release(struct gossip_shared *shared, struct identity *id);
static inline void identity_hold(struct identity *id) {
    id->refs++;
}
static inline struct str identity_name(const struct identity *id) {
    return str_of(id->data, id->name_len);
}
static inline struct str identity_meta(const struct identity *id) {
    return id->has_meta ? str_of(id->data + id->name_len, id->meta_len) : STR_NONE;
}

/* What is known of another node's coordinate: only of those that were probed. */
struct member_coordinate {
    struct coordinate_filter filter;
    struct gossip_coordinate heard;
    bool has_heard;
};

struct member {
    struct identity *id; /* NULL: the record is free */
    int64_t changed;     /* when `state` did */
    int64_t left_at;     /* when `status` became left or failed */
    uint64_t status_ltime;
    struct member_coordinate *coordinate; /* NULL: none */
    uint32_t incarnation;
    uint32_t suspicion; /* number of its suspicion + 1; 0: none */
    uint32_t slot;
    uint8_t state;  /* enum gossip_state; only when listed */
    uint8_t status; /* enum gossip_status */
    bool listed;
};

struct members {
    struct gossip_shared *shared;
    struct member **chunks;
    uint32_t slots, free; /* slots ever used; a free one + 1, linked by `suspicion` */
    uint32_t *index;      /* by hash of the name: slot + 1 and eight bits of the hash */
    uint32_t index_cap, count;
    uint32_t *order; /* slots of those listed: the probe list */
    uint32_t order_cap;
    uint32_t listed;
    uint32_t by_status[GOSSIP_STATUS_FAILED + 1];
    uint32_t with_status; /* members of the upper layer */
};

struct member *members_find(const struct members *m, struct str name);
/* A record that is in no layer yet. Takes over the reference. The name must not be there. */
struct member *members_add(struct members *m, struct identity *id);
/* Of the same name. Takes over the reference. */
void member_set_identity(struct members *m, struct member *member, struct identity *id);
/* Puts it into the membership layer at a random place of the probe list; state dead, incarnation 0.
 */
void members_list(struct members *m, struct member *member, struct prng *rng);
/* Takes the `at`-th of the probe list out of the membership layer (and frees the record when that
 * was the last). The last of the list comes in its place. */
void members_unlist(struct members *m, uint32_t at);
void members_shuffle(struct members *m, struct prng *rng);
/* Counts by status are kept here. NONE frees the record unless it is listed. */
void member_set_status(struct members *m, struct member *member, enum gossip_status status);
void member_forget_coordinate(struct member *member);
/* The record in a slot (below members.slots), or NULL when it is free. */
struct member *members_at(const struct members *m, uint32_t slot);
void members_free(struct members *m);

static inline struct member *members_in_order(const struct members *m, uint32_t at) {
    return members_at(m, m->order[at]);
}
static inline struct str member_name(const struct member *member) {
    return identity_name(member->id);
}

#endif
