/* Connections (TCP and unix sockets) on a loop: bytes in, bytes out, backpressure, deadlines. What
 * the bytes mean is the owner's business. Made for many that mostly wait: an idle stream holds no
 * buffer. It is read into a buffer that all streams of the loop share; what the owner cannot use
 * yet is kept in one of the stream's own. Output is gathered while the owner works and goes out in
 * one system call.
 *
 * Everything here runs on the loop's thread. Embed `struct stream` in the connection.
 */
#ifndef PRAETOR_NET_STREAM_H
#define PRAETOR_NET_STREAM_H

#include "base/buf.h"
#include "net/loop.h"
#include "net/tls.h"

/* Input that is read while its owner is busy; then the socket's own buffers fill up. */
#define STREAM_INPUT_LIMIT ((size_t)65536)

struct stream;
struct stream_handlers {
    /* bytes: everything that has come and was not taken before. Returns how much is taken. Not
     * called while the owner is busy (stream_busy). May close the stream. */
    size_t (*data)(struct stream *s, const char *bytes, size_t len);
    /* The other side will send no more; what it sent has been delivered (unless busy: then it still
     * waits in the stream, and `data` comes first). It may still read. */
    void (*ended)(struct stream *s);
    /* The TLS handshake is over; nothing of what follows it has been delivered. May be NULL. */
    void (*secured)(struct stream *s);
    /* All output is with the system, after a flush that could not send all at once, whichever sent
     * the rest. May be NULL. */
    void (*drained)(struct stream *s);
    /* The deadline has passed. */
    void (*expired)(struct stream *s);
    /* The last of all: the memory may be freed. Comes after stream_close, and when the connection
     * breaks. Never inside one of this file's functions. */
    void (*closed)(struct stream *s);
};

/* Who carries a stream that has no descriptor: stream_open_carried. */
struct stream_carrier {
    /* Something has come into the output, or the end of it (stream_output_ended). Whatever of it is
     * taken now need not wait. May be called at any time, also inside the carrier's own calls. */
    void (*output)(struct stream *s);
    /* The owner has taken some of its input: stream_input_waiting says what is left. */
    void (*taken)(struct stream *s);
    /* Closed, by whomever: what is in the output is lost. The last call; never the carrier's again.
     */
    void (*dropped)(struct stream *s);
};

struct stream_piece;
struct stream {
    union {
        uv_poll_t poll;
        uv_timer_t closer; /* carried: for the call of `closed` */
    };
    const struct stream_handlers *on;
    const struct stream_carrier *carrier; /* NULL: a descriptor is read and written */
    void *carrier_owner;
    struct stream_loop *home;
    struct stream *next, *previous; /* all of the loop */
    struct stream_piece *out_first, *out_last;
    struct tls_session *tls; /* NULL: in clear */
    struct buf tls_input;    /* came before it was encrypted, and is */
    struct buf in;
    int64_t deadline; /* monotonic ns; 0: none */
    struct stream *deadline_next, *deadline_previous;
    size_t moved; /* while blocked: bytes sent since the deadline was set */
    int fd;
    uint8_t mask; /* what is polled for */
    bool busy, read_ended, end_told, closing, finishing, blocked, corked, delivering;
    bool output_ended; /* stream_end_output, in clear */
    bool drain_due;    /* a flush could not send all, and `drained` has not been told since */
    bool tls_failed;   /* what is left to say is an alert */
};

/* Takes the descriptor over; reading starts with the next round of the loop. */
void stream_open(struct stream *s, struct loop *l, int fd, const struct stream_handlers *on);
/* From here on the connection is encrypted; takes the session over. What is in the output goes out
 * in clear. Before anything was read, or inside `data`: what that was given counts as taken, and
 * what of it is encrypted already comes as `rest`. When the handshake or a later record fails, the
 * stream closes after the alert; stream_error says why. */
void stream_start_tls(struct stream *s, struct tls_session *tls, struct str rest);
/* Why TLS ended the connection, until `closed` has run; NULL: it did not. */
const char *stream_error(const struct stream *s);

/* A connection between two owners, perhaps of two loops: the descriptor, its encryption, and the
 * bytes that were read and not taken. */
struct stream_detached {
    int fd;
    struct buf input;
    struct tls_session *tls; /* NULL: in clear */
    struct buf encrypted;    /* and read, but not decrypted yet */
};
/* Takes the connection away from its stream, which then ends as after stream_close (`closed`
 * follows) but with the connection open. Output must have been sent. Inside `data`, what that was
 * given counts as taken: add the rest to out->input. */
void stream_detach(struct stream *s, struct stream_detached *out);
/* As stream_open. The stream starts busy: stream_set_busy(false) delivers what came along. `in` is
 * emptied. Any loop, on its thread. */
void stream_attach(struct stream *s, struct loop *l, struct stream_detached *in,
                   const struct stream_handlers *on);
/* For one that is not to be attached any more. */
void stream_detached_drop(struct stream_detached *d);
/* Drops everything at once; `closed` follows. May be called twice. */
void stream_close(struct stream *s);
/* Sends what is in the output, then says goodbye so that the other side can read it all, even when
 * it is still sending (its bytes are discarded for 2 s at most); then closes. */
void stream_finish(struct stream *s);

/* Nothing more will be sent; reading goes on. The output must have been sent. */
void stream_end_output(struct stream *s);

/* true: `data` is not called; input beyond the limit is left to the system. false: delivers what
 * has come meanwhile, perhaps before it returns. */
void stream_set_busy(struct stream *s, bool busy);

/* The open end of the output: append to it. Valid until the next call of this file. */
struct buf *stream_out(struct stream *s);
/* Output without a copy: release(owner) when it was sent or dropped. */
void stream_out_shared(struct stream *s, struct str bytes, void (*release)(void *owner),
                       void *owner);
/* Starts sending. Not needed inside `data`: that ends with one. */
void stream_flush(struct stream *s);
/* The same, also inside `data`. What is left then waits for `drained`. */
void stream_push(struct stream *s);
/* Bytes that wait to be sent. */
size_t stream_backlog(const struct stream *s);

/* From now; 0: none. Precision: a second. */
void stream_set_deadline(struct stream *s, int64_t ns);

/* From now on somebody else owns the connection (from inside `secured` or `data` of the old one).
 */
void stream_set_handlers(struct stream *s, const struct stream_handlers *on);

/* ---- streams without a descriptor ----
 *
 * One of many within a connection of another protocol (HTTP/2). To its owner it is a stream like
 * any other; its bytes come from a carrier and go to it. Not counted by stream_count. */
void stream_open_carried(struct stream *s, struct loop *l, const struct stream_handlers *on,
                         const struct stream_carrier *carrier, void *carrier_owner);
/* Bytes have come. Delivers them, or keeps them while the owner is busy: how many may wait is the
 * carrier's to limit. */
void stream_input(struct stream *s, struct str bytes);
size_t stream_input_waiting(const struct stream *s);
/* The first bytes of the output, as far as they lie together; empty: none waits. */
struct str stream_output(struct stream *s);
/* That many of them are on their way. */
void stream_output_taken(struct stream *s, size_t len);
/* To be called some time after all was taken, at a moment when the owner may be called: it may
 * wait for `drained`. */
void stream_output_settle(struct stream *s);
/* All was taken and no more will come (stream_finish). Who has told the other side closes it. */
bool stream_output_ended(const struct stream *s);

/* How many streams a loop has or was promised; from any thread. */
unsigned stream_count(const struct loop *l);
/* A connection is on its way to the loop (and counts already), or has arrived (and counts no more:
 * it is about to become a stream). */
void stream_promise(struct loop *l);
void stream_promise_kept(struct loop *l);
/* Calls fn for all streams of the current loop; fn may close the one it gets. */
void stream_for_each(struct loop *l, const struct stream_handlers *on,
                     void (*fn)(struct stream *s));

/* For loop.c. */
struct stream_loop *stream_loop_new(struct loop *l);
void stream_loop_close(struct stream_loop *home);
void stream_loop_free(struct stream_loop *home);

#endif
