/* A yamux session (net/yamux.h) on a connection of a loop: reads, writes, keepalive, backpressure.
 * For the RPC port (server side) and the pool of connections to servers (client side). The byte
 * that selects the protocol (0x04) is not its business: whoever makes it has read or written that.
 *
 * Everything runs on the loop's thread. After calls on streams from outside a handler (yamux_open,
 * yamux_write, yamux_close...) call mux_flush: what gathered is sent at the end of the loop's
 * round, in one system call.
 */
#ifndef PRAETOR_NET_MUX_H
#define PRAETOR_NET_MUX_H

#include "net/stream.h"
#include "net/yamux.h"

struct mux;
struct mux_handlers {
    /* As in yamux_handlers; NULL where the role has no use for it. */
    void (*incoming)(struct mux *m);
    void (*openable)(struct mux *m);
    /* The session is over: all streams have been told. why: "EOF" when the other side closed,
     * "keepalive failed", "invalid msg type", "session shutdown" after mux_close... Runs once,
     * perhaps inside mux_close. */
    void (*over)(struct mux *m, const char *why);
    /* The last of all: the memory may be freed. Never inside one of this file's functions. */
    void (*closed)(struct mux *m);
};

/* Embed it. */
struct mux {
    struct stream stream;
    struct loop_timer timer;
    uv_prepare_t prepare; /* runs while there is something to flush */
    struct yamux *yamux;  /* valid until `over` has run */
    const struct mux_handlers *on;
    void *owner;
    uint8_t handles; /* not closed yet */
    bool over, flushing, reading_stopped;
};

/* Takes the connection over (net/stream.h stream_detached); handlers may run from the next round of
 * the loop on; bytes that came with it are delivered by mux_start. */
void mux_init(struct mux *m, struct loop *l, struct stream_detached *connection,
              enum yamux_role role, const struct mux_handlers *on, void *owner);
/* Reading starts. */
void mux_start(struct mux *m);
void mux_flush(struct mux *m);
/* Ends the session and the connection; `over` (if it has not run) and later `closed` follow. */
void mux_close(struct mux *m);
struct mux *mux_of(const struct yamux_stream *s);

#endif
