/* What the gossip pools mean to an agent (gossip.md 12): its tags, who may be a member, which
 * members are servers (peers.h), servers of the LAN that are to be in the WAN too, joining and
 * leaving, system events. The pools themselves are gossip_driver.h's; what a leader makes of
 * members is reconcile.c's.
 *
 * Threads: the core's, except where it says otherwise. Callbacks run there, never inside the call
 * that asked for them.
 */
#ifndef PRAETOR_SERVER_MEMBERSHIP_H
#define PRAETOR_SERVER_MEMBERSHIP_H

#include "server/gossip_driver.h"
#include "server/peers.h"

struct server;
struct membership;

struct membership_pool_options {
    struct str bind; /* IP literals */
    struct str advertise;
    uint16_t port; /* 0: any (tests) */
    struct gossip_timing timing;
    const struct gossip_cidr *allowed;
    size_t allowed_len;
};

/* All strings are copied. */
struct membership_options {
    struct membership_pool_options lan, wan;
    bool has_wan;         /* servers only */
    struct str data_dir;  /* absent: no files */
    struct str encrypt;   /* base64; empty: none, unless a keyring file has one */
    bool no_keyring_file; /* the key is in memory only */
    bool verify_incoming, verify_outgoing;
    bool rejoin_after_leave;
    bool bootstrap, non_voter, use_tls;
    int64_t bootstrap_expect; /* 0: none */
    bool acls;                /* ACLs are on: the tag begins with legacy mode */
    unsigned protocol, raft_protocol;
    struct str build; /* "1.8.7:" */
};

/* What the agent wants to hear: the LAN has a new server, or a new leader made itself known
 * (compare with the catalog soon); a user event came ("consul:event:" is cut off; ltime is
 * gossip's). */
struct membership_listener {
    void *owner;
    void (*on_servers)(void *owner);
    void (*on_user_event)(void *owner, uint64_t ltime, struct str name, struct str payload);
};

/* Binds and reads files. Any thread. Errors without "Failed to start Consul server: ". */
struct membership *membership_open(struct server *s, const struct membership_options *options,
                                   struct error *e);
bool membership_start(struct membership *m, struct error *e);
/* NULL: nobody listens any more. */
void membership_listen(struct membership *m, const struct membership_listener *listener);
/* Not the core's thread, while that runs; before membership_stop. */
void membership_close_listeners(struct membership *m);
void membership_stop(struct membership *m);
void membership_free(struct membership *m); /* after loop_free of the core; NULL is allowed */

enum membership_pool { MEMBERSHIP_LAN, MEMBERSHIP_WAN };
/* NULL: no such pool. */
struct gossip_driver *membership_pool(struct membership *m, enum membership_pool pool);
const struct membership_options *membership_get_options(const struct membership *m);

/* Any thread. A connection for the WAN pool came in on the server port (gossip_driver.h). False:
 * there is no such pool. */
bool membership_accept(struct membership *m, struct stream_detached *connection,
                       const struct peer_address *from, struct rpc_lease *lease, bool packets);

/* Copies of all members of a pool, sorted by name, in the arena. */
size_t membership_members(struct membership *m, enum membership_pool pool, struct arena *arena,
                          struct gossip_member **out);

/* The LAN pool's, and on a server also the WAN pool's members of that name, as force-leave
 * (gossip.md 12.8). error: "agent: No node found with name 'x'". */
void membership_force_leave(struct membership *m, struct str name, bool prune, gossip_done *done,
                            void *owner);
/* WAN, then LAN (12.8). done when both are left, or could not be. */
void membership_leave(struct membership *m, gossip_done *done, void *owner);
/* A user event in the LAN pool: prefix and name are one text. */
bool membership_fire(struct membership *m, struct str name, struct str payload, struct error *e);
/* Changes the tag `acls` in all pools: '1' once ACLs are active everywhere. */
void membership_set_acl_tag(struct membership *m, char mode);

#endif
