/* What a round of replication has to do (acl.md 14.2): which of the own objects go, which of the
 * primary's are fetched, and how many of these one log entry takes. Pure.
 */
#ifndef PRAETOR_SERVER_ACL_REPLICATION_DIFF_H
#define PRAETOR_SERVER_ACL_REPLICATION_DIFF_H

#include "schema/acl.h"

/* A policy, role or token, seen from outside. */
struct replica {
    struct str id; /* tokens: the accessor; empty: left alone */
    struct str hash;
    uint64_t modify_index;
    const void *object;
};
struct replica_diff {
    struct list deletions; /* str */
    struct list updates;   /* struct replica: of the primary's */
    uint32_t skipped_local, skipped_remote;
};
/* Both lists (struct replica) are sorted in place. last_index: up to where the primary's state is
 * here already; 0: nothing is known. */
void replica_diff(struct list *local, struct list *remote, uint64_t last_index, struct arena *arena,
                  struct replica_diff *out);

/* Bytes that an object takes in a log entry, roughly. */
size_t replica_policy_size(const struct acl_policy *p);
size_t replica_role_size(const struct acl_role *r);
size_t replica_token_size(const struct acl_token *t);
/* How many of `objects` (pointers) from `from` on go into one entry: as many as fit into 256 KiB,
 * at least one. *size: of all of them. */
uint32_t replica_batch(const struct list *objects, uint32_t from,
                       size_t (*size_of)(const void *object), size_t *size);

#endif
