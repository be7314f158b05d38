/* Runs a gossip core (gossip/gossip.h) for one pool of an agent: its UDP and TCP port, the streams
 * to others, real time, the snapshot and keyring files, and the names of what is to be joined. Not
 * the place for what membership means to a server or an agent (membership.h).
 *
 * Threads: everything is for the core loop's thread, except where it says otherwise. Callbacks run
 * there, never inside the call that asked for them.
 */
#ifndef PRAETOR_SERVER_GOSSIP_DRIVER_H
#define PRAETOR_SERVER_GOSSIP_DRIVER_H

#include "gossip/gossip.h"
#include "net/loop.h"

struct gateways;
struct gossip_driver;
struct peer_address;
struct rpc_lease;
struct stream_detached;

/* All strings are copied. */
struct gossip_driver_options {
    const char *pool;    /* "lan", "wan": for the log */
    bool server;         /* for the log: agent.server.… or agent.client.… */
    struct str bind;     /* IP literal; the core's address.port is the port, 0: any */
    struct str snapshot; /* path of the snapshot file; absent: none */
    struct str keyring;  /* path of the keyring file; absent: none */
    struct str encrypt;  /* base64, for the keyring when there is no file; empty: none */
    /* Members of other datacenters are reached through them; NULL: as all others. Not copied. */
    struct gateways *gateways;
    struct str datacenter;      /* the own one; only with gateways */
    struct gossip_options core; /* name, timing...; meta, keyring, snapshot are filled in here */

    void *owner;
    void (*on_member)(void *owner, enum gossip_member_event event, const struct gossip_member *m);
    void (*on_user_event)(void *owner, uint64_t ltime, struct str name, struct str payload);
};

/* Binds, and reads the files. False with the texts of config.md 4.3 and gossip.md 11.2. Any thread,
 * before the core loop runs or from another. */
struct gossip_driver *gossip_driver_open(const struct gossip_driver_options *options,
                                         struct error *e);
/* Begins to take part; meta: the tags, which may tell ports. False when name or tags are unusable,
 * or a thread cannot be had. */
bool gossip_driver_start(struct gossip_driver *d, struct loop *core, struct str meta,
                         struct error *e);
/* Any thread but the core's, while that runs: no more connections are accepted. Before _stop. */
void gossip_driver_close_listener(struct gossip_driver *d);
/* Leaves without a word: streams and sockets close, commands under way are answered with "shutdown"
 * errors, the snapshot file is completed. */
void gossip_driver_stop(struct gossip_driver *d);
/* After loop_free of the core loop, or without a start. */
void gossip_driver_free(struct gossip_driver *d);

/* Any thread. A connection for this pool came in on the server port, through a gateway: packets, or
 * one stream. Takes it and the lease over. */
void gossip_driver_accept(struct gossip_driver *d, struct stream_detached *connection,
                          const struct peer_address *from, struct rpc_lease *lease, bool packets);

/* For look-ups (gossip_member_next, gossip_get_stats, ...): never step it. */
const struct gossip *gossip_driver_core(const struct gossip_driver *d);
uint16_t gossip_driver_port(const struct gossip_driver *d); /* where it is bound */
bool gossip_driver_encrypted(const struct gossip_driver *d);

/* ---- commands ---- */

/* addresses: "[name/]host[:port]" (gossip.md 12.7); names are resolved off this thread. joined:
 * how many addresses worked; error is empty when there is at least one, otherwise
 * "2 errors occurred:\n\t* Failed to join ...". */
typedef void gossip_join_done(void *owner, size_t joined, struct str error);
void gossip_driver_join(struct gossip_driver *d, const struct str *addresses, size_t count,
                        gossip_join_done *done, void *owner);
/* error: empty, or the peer's text. */
typedef void gossip_done(void *owner, struct str error);
void gossip_driver_leave(struct gossip_driver *d, gossip_done *done, void *owner);
void gossip_driver_force_leave(struct gossip_driver *d, struct str name, bool prune,
                               gossip_done *done, void *owner);
void gossip_driver_set_tags(struct gossip_driver *d, struct str meta, gossip_done *done,
                            void *owner);
/* At once: "user event exceeds configured limit of 512 bytes before encoding", ... */
bool gossip_driver_fire(struct gossip_driver *d, struct str name, struct str payload,
                        struct error *e);
/* result: valid during the call. */
typedef void gossip_key_done(void *owner, const struct gossip_key_result *result, struct str error);
void gossip_driver_key(struct gossip_driver *d, enum gossip_key_operation operation,
                       struct str raw_key, uint8_t relay, gossip_key_done *done, void *owner);

#endif
