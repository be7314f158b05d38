/* Which servers are known, and which of them a call goes to (rpc.md 9). The core feeds it from the
 * gossip pools (until there are any: from the Raft configuration); all threads ask it. Not: how one
 * calls them (rpc_pool.h), nor when (call.c).
 *
 * Threads: a `struct peer` never changes and is counted; whoever got one holds it until
 * peer_release, on any thread. What changes (the lists, whose turn it is) is behind one mutex that
 * is held for a few pointers only. Functions are for any thread unless they say "core".
 */
#ifndef PRAETOR_SERVER_PEERS_H
#define PRAETOR_SERVER_PEERS_H

#include "base/arena.h"
#include "base/error.h"
#include "schema/schema.h"

enum peer_status { PEER_ALIVE, PEER_LEAVING, PEER_LEFT, PEER_FAILED };
enum peer_pool { PEER_POOL_LAN, PEER_POOL_WAN, PEER_POOLS };

/* A server, as its tags say (9.1). */
struct peer {
    struct str name;       /* of the node, without ".<dc>" in the WAN pool too */
    struct str id;         /* node ID; may be empty */
    struct str datacenter; /* tag dc */
    struct str segment;    /* "" but for network segments */
    struct str address;    /* RPC address "ip:port", "[ip]:port" */
    struct str build;      /* tag build: "1.8.7" or "1.8.7:1e03567d" */
    enum peer_status status;
    bool bootstrap, nonvoter, use_tls;
    int32_t expect;        /* 0: none */
    int32_t version;       /* tag vsn */
    int32_t raft_version;  /* tag raft_vsn; 0: none */
    int32_t wan_join_port; /* 0: none */
    int32_t acls;          /* tag acls: 0 off, 1 on, 2 legacy; -1: unknown */
    struct list tags;      /* map: str to str; all of them (ft_..., sl_...) */

    /* Own. */
    enum peer_pool pool;
    struct peer_memory *memory;
};
const struct peer *peer_hold(const struct peer *p);
void peer_release(const struct peer *p); /* NULL: nothing */

struct peers;
/* client: of a client agent; its own datacenter's servers answer all its calls. */
struct peers *peers_new(struct str datacenter, bool client);
void peers_free(struct peers *p);

/* Core. The whole pool as it is now, in the order in which its members came; copied (name to tags).
 * Members that are gone are left out or PEER_LEFT; those that are no servers are left out. The
 * lists of 9.2 and 9.3 follow: alive ones are added at the end, left ones removed; failed ones are
 * removed from the LAN lists and put to the end of those of the WAN pool. */
void peers_update(struct peers *p, enum peer_pool pool, const struct peer *all, size_t count);

/* ---- look-ups in the LAN pool (9.4); NULL: not known or not alive ---- */

/* address: "ip:port", as Raft knows its leader. */
const struct peer *peers_by_address(struct peers *p, struct str address);
const struct peer *peers_by_id(struct peers *p, struct str id);
/* All of a pool, of any status, in the order of the last update, each held: *out is in the arena.
 */
size_t peers_list(struct peers *p, enum peer_pool pool, struct arena *arena,
                  const struct peer ***out);
/* Each release of what peers_list or peers_order gave. */
void peers_list_release(const struct peer **list, size_t count);

/* ---- whose turn it is ---- */

/* The server that a call for a datacenter goes to: the first of its list. A client agent asks for
 * its own, whatever the request says. NULL with the peer's text: "No known Consul servers" (client
 * agents), "No path to datacenter", "Remote DC has no server currently reachable". */
const struct peer *peers_choose(struct peers *p, struct str datacenter, struct error *e);
/* Whether peers_choose would find one. */
bool peers_have(struct peers *p, struct str datacenter);
/* A call to it failed: it goes to the end of the list if it is still the first of several. */
void peers_rotate(struct peers *p, const struct peer *failed);

/* The list of a datacenter in its present order, each held. */
size_t peers_order(struct peers *p, struct str datacenter, struct arena *arena,
                   const struct peer ***out);
/* Core, the end of a rebalance: the wanted order is merged with what has changed meanwhile (9.2).
 * When none answered (healthy: false) the list stays as it is and, for servers, the datacenter
 * counts as unreachable until a server joins or a later rebalance finds one; a client agent goes
 * on with the list that it has. */
void peers_reorder(struct peers *p, struct str datacenter, const struct peer *const *wanted,
                   size_t count, bool healthy);

/* Datacenters with a list, by distance, then by name; the own one is always among them. In the
 * arena; names are copied. */
struct peer_datacenter {
    struct str name;
    double distance; /* seconds; INFINITY: not known; the own one 0 */
};
size_t peers_datacenters(struct peers *p, struct arena *arena, struct peer_datacenter **out);
/* Members of the LAN pool, clients too: they decide how often one rebalances. Core sets it. */
void peers_set_members(struct peers *p, size_t members);
size_t peers_members(struct peers *p);
/* Core: what coordinates say of a datacenter (9.3: the median of its servers). */
void peers_set_distance(struct peers *p, struct str datacenter, double distance);

#endif
