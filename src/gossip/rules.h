/* What Consul makes of members' tags (gossip.md 12.2 and 12.3): who is a server and where it can be
 * reached, and who may be a member of a pool at all. Functions of values only.
 */
#ifndef PRAETOR_GOSSIP_RULES_H
#define PRAETOR_GOSSIP_RULES_H

#include "gossip/gossip.h"

/* A member that is recognised as a server. Strings are views into the member's. */
struct gossip_server {
    struct str name;       /* of the member */
    struct str short_name; /* without ".<dc>" */
    struct str id, datacenter, segment;
    struct gossip_address address; /* of its RPC port */
    int version;                   /* vsn */
    int raft_version;              /* 0: none given */
    int wan_join_port;             /* 0: none */
    int expect;
    bool bootstrap, non_voter, use_tls;
    int acls;              /* 0..2, 3: unknown */
    int build[3];          /* 1.8.7 */
    struct str build_text; /* "1.8.7" */
    enum gossip_status status;
};
bool gossip_server_of(const struct gossip_member *m, struct gossip_server *out);
/* A client: tag role = node. Its datacenter in *datacenter. */
bool gossip_client_of(const struct gossip_member *m, struct str *datacenter);

/* The merge rules as gossip_merge_fn wants them, without `owner`. */
struct gossip_rules {
    struct str name, id, datacenter, segment;
};
bool gossip_merge_lan(const struct gossip_rules *r, const struct gossip_member *members, size_t len,
                      struct error *e);
bool gossip_merge_wan(const struct gossip_rules *r, const struct gossip_member *members, size_t len,
                      struct error *e);

#endif
