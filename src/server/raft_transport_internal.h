/* The transport's own state, for raft_transport*.c. raft_transport.c: what both directions share,
 * and the kept connections to others; raft_transport_install.c: a snapshot on its way to another
 * server; raft_transport_in.c: connections from others.
 */
#ifndef PRAETOR_SERVER_RAFT_TRANSPORT_INTERNAL_H
#define PRAETOR_SERVER_RAFT_TRANSPORT_INTERNAL_H

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/connect.h"
#include "raft/wire.h"
#include "server/raft_transport.h"

#define TRANSPORT_LOG "agent.server.raft"
#define TRANSPORT_BYTE 0x01 /* what a connection for Raft begins with (raft.md 1.1) */

/* ---- to others ---- */

enum link_kind { LINK_HEARTBEAT, LINK_APPEND, LINK_CONTROL, LINK_KINDS };

/* A request under way, in the order in which answers come. */
struct outstanding {
    enum raft_message_kind kind;
    struct raft_tag tag;
    int64_t sent_at;
    uint32_t entries; /* of an APPEND */
};

struct remote;
struct link {
    struct stream stream; /* open */
    struct raft_transport *transport;
    struct remote *remote; /* NULL: given up, only its memory is left */
    enum link_kind kind;
    struct connect *dial; /* being made */
    bool open, dirty;
    struct buf waiting; /* output until it is open */
    struct outstanding ring[RAFT_TRANSPORT_IN_FLIGHT];
    unsigned head, count;
    int64_t since; /* since when the oldest is waited for; count 0: since when it is idle */
    struct link *next_dirty;
};

/* A server, by its ID and the address that the configuration has for it. */
struct remote {
    struct remote *next;
    struct link *links[LINK_KINDS]; /* NULL: none */
    struct str id, address;
};

struct snapshot_send; /* raft_transport_install.c */

/* ---- from others ---- */

/* A request received, until its answer is written. */
struct request {
    struct inbound *in; /* NULL: the connection is gone */
    struct request *next;
    enum raft_message_kind kind;
    bool answered, refused;
    struct buf response; /* when others before it are not answered yet */
    /* INSTALL only: */
    struct raft_message message;
    struct arena arena;
    struct raft_install_sink *sink;
};

struct inbound {
    struct stream stream;
    struct raft_transport *transport;
    struct inbound *next, *previous;
    char from[64];
    void (*closed)(void *owner);
    void *owner;
    struct raft_wire_scan scan;
    size_t partial; /* bytes of a frame that is not complete, counted in the transport's */
    struct request *first, **end;
    unsigned pending;
    bool dirty;
    bool paused;    /* not read for now, for one of three reasons: */
    bool sink_full; /* the snapshot's bytes do not go away so fast */
    /* install_done, or too many requests or answers wait */
    bool resume; /* in the list of those to be looked at again */
    struct inbound *next_dirty, *resume_next, *resume_previous;
    /* the body of an INSTALL */
    struct request *install;
    uint64_t install_left;
    bool install_done;  /* its bytes have come: nothing more is read before it is answered */
    int64_t install_at; /* when the last of them came */
};

/* A connection on its way from an I/O loop. */
struct arrival {
    struct message message;
    struct raft_transport *transport;
    struct stream_detached connection;
    char from[64];
    void (*closed)(void *owner);
    void *owner;
};

/* ---- both ---- */

/* A request that failed, until its sender is told. */
struct failure {
    struct failure *next;
    struct raft_message message;
    struct str why;
    struct arena arena;
};

struct raft_transport {
    struct raft_transport_options options; /* source is in the arena */
    struct arena arena;
    struct loop *core;
    bool stopped;
    struct loop_timer timer;
    bool timing;

    struct remote *remotes;
    struct snapshot_send *sends;
    struct link *dirty;
    struct failure *failures, **failures_end;
    /* The last AppendEntries that was encoded: followers at the same place get the same bytes. */
    struct buf last;
    struct raft_append last_append; /* entries are not looked at */
    bool last_valid;

    struct inbound *inbounds;
    struct inbound *dirty_in, *resume_first, *resume_last;
    unsigned resume_count;
    size_t partial;

    struct message later; /* what may not happen inside a function that the driver called */
    bool later_posted;
    struct arena scratch;
    unsigned out_count, in_count;
};

/* raft_transport.c */
/* Runs what waits (failures, connections to be read again) in the next round. */
void transport_later(struct raft_transport *t);
/* The sender of the request will learn that it failed. */
void transport_fail(struct raft_transport *t, enum raft_message_kind kind,
                    const struct raft_tag *tag, struct str id, struct str address, struct str why);
/* Starts the timer that looks for what has waited too long. */
void transport_watch(struct raft_transport *t);
/* Dials the server where it is now; NULL with an error when there is no telling where that is. */
struct connect *transport_dial(struct raft_transport *t, struct str id, struct str address,
                               connect_done *done, void *owner, struct error *e);

/* raft_transport_install.c */
/* Gives up what is overdue. */
void snapshot_sends_check(struct raft_transport *t, int64_t now);
void snapshot_sends_stop(struct raft_transport *t);

/* raft_transport_in.c */
void inbound_flush(struct raft_transport *t);
void inbound_resume(struct raft_transport *t);
void inbound_check(struct raft_transport *t, int64_t now);
void inbound_stop(struct raft_transport *t);

#endif
