/* What the parts of the gossip driver share (gossip_driver.h); nobody else includes it. */
#ifndef PRAETOR_SERVER_GOSSIP_DRIVER_ROOM_H
#define PRAETOR_SERVER_GOSSIP_DRIVER_ROOM_H

#include "net/listener.h"
#include "net/stream.h"
#include "server/gossip_driver.h"

struct gossip_stream {
    struct gossip_stream *next, *previous;
    struct gossip_driver *driver;
    uint64_t id;       /* 0: the core is not to hear of it any more */
    struct dial *dial; /* while it is being made; or: */
    struct wan_dial *wan_dial;
    struct rpc_lease *lease; /* it came in on the server port; or NULL */
    bool open;               /* stream is in use */
    struct stream stream;
    struct buf waiting; /* written before it was connected */
};

struct gossip_join; /* a join whose names are being resolved */

/* What a command's token points to. */
struct gossip_command {
    union {
        gossip_done *done;
        gossip_join_done *join;
        gossip_key_done *key;
    };
    void *owner;
    struct gossip_command *next, *previous;
    enum gossip_action_kind ends_with;
};

struct gossip_driver {
    struct gossip_driver_options options;
    struct arena arena;
    char log_serf[40], log_memberlist[40];
    struct keyring keyring;
    struct str snapshot_text; /* until the start */

    struct loop *core;
    struct udp *udp;
    struct listener *listener;
    struct gossip_files *files;
    struct gossip *gossip;
    struct gossip_actions actions;
    struct wan_packets *packets; /* through gateways */
    struct loop_timer timer, queues_timer;
    bool started, stopping, stepping;
    struct gossip_stream *streams;
    struct gossip_command *commands;
    struct gossip_join *joins;
};

/* An event into the core, its actions out; not from within an action. */
void gossip_driver_step(struct gossip_driver *d, struct gossip_event *event);

/* ---- commands ---- */

/* One that is under way; ends: with which action the core says that it is over. The caller sets who
 * is told. */
struct gossip_command *gossip_command_new(struct gossip_driver *d, enum gossip_action_kind ends,
                                          void *owner);
/* Gives the core a command; one that it refuses ends at once. */
void gossip_command_run(struct gossip_driver *d, struct gossip_command *c,
                        struct gossip_event *event);

/* ---- gossip_driver_join.c ---- */

/* Their commands are still to be answered. */
void gossip_joins_cancel(struct gossip_driver *d);

/* ---- gossip_driver_stream.c ---- */

/* Whether the member of this name ("node.dc") is reached through a gateway. */
bool gossip_is_behind_gateway(const struct gossip_driver *d, struct str name);
void gossip_stream_dial(struct gossip_driver *d, const struct gossip_action *a);
void gossip_stream_write(struct gossip_driver *d, const struct gossip_action *a);
/* By the core: nothing more is said of it. */
void gossip_stream_end(struct gossip_driver *d, const struct gossip_action *a);
/* As listener.h wants it; owner: the driver. */
void gossip_stream_came(void *owner, struct loop *loop, int fd, const struct peer_address *peer);
void gossip_streams_close(struct gossip_driver *d);

#endif
