/* How replication of policies, roles, tokens and tokens of the old kind differ: what is asked, what
 * is compared, which entries are made, what is logged. For acl_replication.c only.
 */
#ifndef PRAETOR_SERVER_ACL_REPLICATION_KIND_H
#define PRAETOR_SERVER_ACL_REPLICATION_KIND_H

#include "server/acl_ask.h"
#include "server/acl_replication_diff.h"

struct store_read;

enum { REPLICA_POLICIES, REPLICA_ROLES, REPLICA_TOKENS, REPLICA_LEGACY, REPLICA_KINDS };

struct replica_asked {
    struct str datacenter;
    struct query_options options;
    struct list ids; /* str; when what changed is fetched */
};
struct replica_request {
    union {
        struct acl_policy_list_request policies;
        struct acl_role_list_request roles;
        struct acl_token_list_request tokens;
        struct dc_request legacy;
        struct acl_policy_batch_get_request policy_batch;
        struct acl_token_batch_get_request token_batch;
    };
};

struct replica_kind {
    const char *logger, *routine, *started, *started_by;
    const char *failed, *completed, *list_failed, *fetch_failed, *delete_failed, *update_failed;
    const char *metric_fetch, *metric_apply;
    bool one_by_one;                     /* an entry for each change */
    bool skips;                          /* those of the old kind, which have no ID yet */
    const struct endpoint *list, *fetch; /* fetch NULL: the list has all of it */

    void (*ask_list)(struct replica_request *request, const struct replica_asked *a);
    void (*ask_fetch)(struct replica_request *request, const struct replica_asked *a);
    /* Lists of struct replica. */
    void (*list_local)(struct store_read *r, struct list *out);
    void (*list_remote)(const void *reply, struct list *out, struct arena *arena);
    /* The objects (const void *) of what was fetched; false: not all may be seen. */
    bool (*take_fetched)(const void *reply, struct list *out, struct arena *arena, struct error *e);
    size_t (*size_of)(const void *object);
    void (*encode_deletions)(struct buf *out, const struct list *ids);
    void (*encode_updates)(struct buf *out, const struct list *objects);
    void (*set_index)(struct acl_replication_status *status, uint64_t index);
};
extern const struct replica_kind replica_kinds[REPLICA_KINDS];

#endif
