/* Raft's messages between servers (raft.md 1): connections to the others and from them, frames in
 * and out, answers matched to requests. What the messages mean is the core's (raft/raft.h), what
 * becomes of them the driver's.
 *
 * Out: up to three kept connections a server, made when there is something to send: heartbeats,
 * appends (one at a time or up to 128 under way: the core decides), votes and TimeoutNow. Each
 * InstallSnapshot has its own. In: any number that the RPC port hands over; on each, frames are
 * taken as they come and answered in that order, so that the disk may sync several at once and a
 * heartbeat connection waits for nothing but the core's round.
 *
 * Threads: everything is the core loop's, except raft_transport_accept. Callbacks are never called
 * inside a function of this file.
 */
#ifndef PRAETOR_SERVER_RAFT_TRANSPORT_H
#define PRAETOR_SERVER_RAFT_TRANSPORT_H

#include "base/time.h"
#include "net/stream.h"
#include "raft/raft.h"

#define RAFT_TRANSPORT_IN_FLIGHT 128
/* A frame larger than this is no frame. */
#define RAFT_TRANSPORT_MAX_FRAME ((size_t)256 << 20)
/* Of all incoming connections together, bytes of frames that have not come completely: whoever
 * would go beyond is closed. */
#define RAFT_TRANSPORT_MAX_PARTIAL ((size_t)512 << 20)
/* A snapshot of which nothing came for so long is given up. */
#define RAFT_TRANSPORT_INSTALL_IDLE (60 * SECOND)

struct raft_transport;

/* Where the bytes of an InstallSnapshot go: the driver's. */
struct raft_install_sink;

struct secure;
struct raft_transport_options {
    struct str source; /* IP that connections come from (bind_addr); absent or 0.0.0.0, ::: any */
    struct secure *secure; /* NULL: in clear (tests) */
    struct str datacenter; /* all of them are in it */
    struct str local;      /* own "ip:port", for logs */
    unsigned protocol;     /* own version: 1 to 3 */
    int64_t rpc_timeout;   /* ns: dialling, and each answer; 10 s */
    void *owner;
    /* The address of a server by its ID, as gossip knows it: false when it does not; the address in
     * the configuration is used then. NULL, or own protocol below 3: never asked. */
    bool (*server_address)(void *owner, struct str id, char out[64]);

    /* A request (with reply set: exactly one raft_transport_answer or _drop must follow, whenever)
     * or a result. Strings and entries live until it returns; of an INSTALL until it is answered.
     */
    void (*receive)(void *owner, struct raft_message *m);
    /* A request will not be answered: only kind, tag, peer_id and peer_address are set. */
    void (*failed)(void *owner, struct raft_message *m, struct str why);

    /* An InstallSnapshot begins; m lives until it is answered or its connection broke. NULL: its
     * bytes are not wanted; they are read and dropped, and then it is received like any other. */
    struct raft_install_sink *(*install_begin)(void *owner, struct raft_message *m);
    /* Bytes; false: no more for now, until raft_transport_install_ready. */
    bool (*install_add)(struct raft_install_sink *sink, struct str bytes);
    /* The last byte was added: the driver says raft_transport_install_complete when all are where
     * they belong (or lost: it remembers); then the message is received. */
    void (*install_end)(struct raft_install_sink *sink);
    /* The connection broke before it was received, or the transport ends; the message is gone. */
    void (*install_abort)(struct raft_install_sink *sink);
};

struct raft_transport *raft_transport_new(struct loop *core,
                                          const struct raft_transport_options *options);
/* Closes all connections; nothing is called back any more, what is received from now on is closed.
 */
void raft_transport_stop(struct raft_transport *t);
/* After loop_free of the core loop. */
void raft_transport_free(struct raft_transport *t);

/* A request: APPEND (entries must be there), VOTE, TIMEOUT_NOW. Ends in `receive` of its result or
 * in `failed`. Nothing of m is kept. */
void raft_transport_send(struct raft_transport *t, const struct raft_message *m);
/* An INSTALL whose meta is filled in; fd: state.bin, at least m->install.size bytes. Takes fd over.
 */
void raft_transport_send_snapshot(struct raft_transport *t, const struct raft_message *m, int fd);
/* As if it had been sent and had failed. */
void raft_transport_fail(struct raft_transport *t, const struct raft_message *m, struct str why);
/* The result of a request received; error: mostly empty. */
void raft_transport_answer(struct raft_transport *t, const struct raft_message *result,
                           struct str error);
/* There will be no result: its connection is closed. */
void raft_transport_drop(struct raft_transport *t, void *reply);
/* What was sent and answered goes out. At the end of each step, so that a step is one system call
 * for each connection. */
void raft_transport_flush(struct raft_transport *t);

/* The sink of this message has room again. */
void raft_transport_install_ready(struct raft_transport *t, const struct raft_message *m);
/* See install_end. */
void raft_transport_install_complete(struct raft_transport *t, const struct raft_message *m);

/* A connection that chose Raft (0x01), with what the RPC port has read behind that byte; taken over
 * (a copy of the struct), whatever happens. from: "ip:port" for logs. closed(owner) (may be NULL)
 * runs once, on the core loop, when the connection is gone. Any thread, from new to free. */
void raft_transport_accept(struct raft_transport *t, struct stream_detached *connection,
                           const char *from, void (*closed)(void *owner), void *owner);

/* For tests and statistics: connections to and from others. */
void raft_transport_count(const struct raft_transport *t, unsigned *out, unsigned *in);

#endif
