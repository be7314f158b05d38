/* One yamux session (rpc.md 2): many streams over one connection. Bytes of the connection go in,
 * bytes for it come out by appending to the owner's buffer; time is an argument. No socket, no
 * clock, no thread: net/mux.h joins it to a connection of a loop.
 *
 * Streams belong to the session. A stream ends for its user in exactly one of three ways, after
 * which the pointer means nothing: the user calls yamux_close (the session remembers what is left
 * to do), the user calls yamux_reset, or `gone` is told (the other side reset it, or the session is
 * over).
 *
 * Handlers run inside yamux_input, yamux_tick, yamux_end and yamux_set_busy(false) only, never
 * inside other functions; they may call everything here but yamux_input, yamux_tick and yamux_free.
 *
 * Memory: an idle stream is about 200 bytes. What a stream's user does not take is kept, at most
 * YAMUX_WINDOW a stream and YAMUX_KEPT_MAX a session (then the session ends).
 */
#ifndef PRAETOR_NET_YAMUX_H
#define PRAETOR_NET_YAMUX_H

#include "base/buf.h"

#define YAMUX_WINDOW ((uint32_t)262144) /* bytes that may be under way, a stream and direction */
#define YAMUX_BACKLOG 256               /* streams not yet accepted; more are reset */
#define YAMUX_STREAMS_MAX 65536         /* a session; more are reset */
#define YAMUX_KEPT_MAX ((size_t)64 << 20)
/* The owner's buffer is filled up to here by yamux_write; control frames may go beyond. */
#define YAMUX_OUT_LIMIT ((size_t)512 << 10)

struct yamux;
struct yamux_stream;

enum yamux_why {
    YAMUX_RESET,   /* by the other side */
    YAMUX_SESSION, /* the session ended: yamux_error says why */
};

struct yamux_stream_handlers {
    /* bytes: everything that came and was not taken before. Returns how much is taken; that opens
     * the other side's window again. Not called while the stream is busy. */
    size_t (*data)(struct yamux_stream *s, const char *bytes, size_t len);
    /* The other side will send no more; what it sent has been delivered (unless busy: then it still
     * waits, and `data` comes later). Told once, also to a busy stream; it may still be written.
     * Close it when nothing is left to be said. */
    void (*ended)(struct yamux_stream *s);
    /* After a yamux_write that could not take all: there is room again. May be NULL. */
    void (*writable)(struct yamux_stream *s);
    void (*gone)(struct yamux_stream *s, enum yamux_why why);
};

struct yamux_handlers {
    /* Where frames are appended; asked each time. Its length says how much waits to be sent. */
    struct buf *(*out)(struct yamux *y);
    size_t (*backlog)(struct yamux *y); /* all bytes that wait to be sent on the connection */
    /* A stream waits for yamux_accept. NULL: nobody accepts, streams of the other side are reset.
     */
    void (*incoming)(struct yamux *y);
    /* After a yamux_open that failed because too many streams wait for the other side's consent. */
    void (*openable)(struct yamux *y);
};

enum yamux_role { YAMUX_CLIENT, YAMUX_SERVER }; /* clients open odd streams, servers even ones */

struct yamux *yamux_new(enum yamux_role role, int64_t now, const struct yamux_handlers *on,
                        void *owner);
void *yamux_owner(const struct yamux *y);
/* Ends it (all streams are told) and frees it. Not inside a handler. */
void yamux_free(struct yamux *y);

/* Takes all of the bytes. False: the session is over (also when it was before): close the
 * connection after sending what is in the output, and free it. */
bool yamux_input(struct yamux *y, const char *bytes, size_t len, int64_t now);
/* Keepalive; call at start, and when the time returned by yamux_next has come. False as above. */
bool yamux_tick(struct yamux *y, int64_t now);
int64_t yamux_next(const struct yamux *y); /* monotonic ns */
/* Output of the connection has gone out: streams that wait for room are told. */
void yamux_drained(struct yamux *y);
/* Ends the session, as when the connection breaks: tells all streams (called in a handler: when
 * that has returned). why: a literal. */
void yamux_end(struct yamux *y, const char *why);
bool yamux_is_over(const struct yamux *y);
/* And all streams have been told. */
bool yamux_is_told(const struct yamux *y);
/* Why it is over: "EOF", "keepalive failed", "invalid msg type".... NULL: it is not. */
const char *yamux_error(const struct yamux *y);
/* The other side said go away: no stream can be opened any more; those that are open live on. */
bool yamux_refuses(const struct yamux *y);
unsigned yamux_count(const struct yamux *y); /* streams, those included that wait for a FIN */

/* NULL: the session is over, refuses, has too many streams, or YAMUX_BACKLOG of them wait for the
 * other side's consent (*wait is then true; `openable` will come). The opener may write at once,
 * and should: rpc.md 2. */
struct yamux_stream *yamux_open(struct yamux *y, const struct yamux_stream_handlers *on,
                                void *owner, bool *wait);
/* The oldest stream that waits, with its consent on the way; NULL: none. It starts busy: call
 * yamux_set_busy(false) when its data may come. */
struct yamux_stream *yamux_accept(struct yamux *y, const struct yamux_stream_handlers *on,
                                  void *owner);

struct yamux *yamux_session(const struct yamux_stream *s);
void *yamux_stream_owner(const struct yamux_stream *s);
void yamux_stream_set_owner(struct yamux_stream *s, const struct yamux_stream_handlers *on,
                            void *owner);
uint32_t yamux_stream_id(const struct yamux_stream *s);

/* Returns how much was taken: 0 .. len, as window and output have room. Less than len: `writable`
 * follows. */
size_t yamux_write(struct yamux_stream *s, const char *bytes, size_t len);
/* What yamux_write would take now. */
size_t yamux_room(const struct yamux_stream *s);
/* true: `data` is not called, the window stays closed. false: delivers what came, before it returns
 * (inside `data` it does not: go on there with what there is). */
void yamux_set_busy(struct yamux_stream *s, bool busy);
/* What came and was not taken; valid until the next input. */
struct str yamux_kept(const struct yamux_stream *s);
/* FIN after what was written. The user has done with it. */
void yamux_close(struct yamux_stream *s);
/* The same, at once and for both directions. */
void yamux_reset(struct yamux_stream *s);

#endif
