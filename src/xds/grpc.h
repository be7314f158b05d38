/* A server for gRPC: what a method sees of a call. HTTP/2, frames of messages, statuses and limits
 * are here; methods are given to grpc_start as a table. Everything of a call happens on the loop of
 * its connection.
 */
#ifndef PRAETOR_XDS_GRPC_H
#define PRAETOR_XDS_GRPC_H

#include "agent/config.h"
#include "base/buf.h"
#include "net/loop.h"
#include "xds/status.h"

#define GRPC_MESSAGE_MAX ((size_t)4 << 20) /* of a client's, as the peer's */

struct grpc_call;
struct grpc_method {
    const char *service, *name; /* "envoy.service.auth.v2.Authorization", "Check" */
    /* begin sets c->state, if it has any; closed lets go of it. Inside of each the call may be
     * answered and ended; `closed` always comes, last, and not from within these or grpc_*. */
    void (*begin)(struct grpc_call *c);
    void (*message)(struct grpc_call *c, struct str bytes); /* whole; a view */
    void (*half_closed)(struct grpc_call *c);               /* no more messages come */
    void (*writable)(struct grpc_call *c);                  /* what was sent is on its way */
    void (*closed)(struct grpc_call *c);
};

struct grpc_connection;
struct grpc_call {
    const struct grpc_method *method;
    void *state; /* the method's */
    void *owner; /* of grpc_start */
    struct loop *loop;
    struct buf token; /* metadata x-consul-token, the first one */

    /* grpc.c's. */
    struct grpc_connection *connection;
    struct grpc_call *next, *previous, *next_touched;
    struct buf path, content_type, encoding;
    struct buf in; /* of messages, not delivered yet */
    struct buf out;
    size_t sent; /* of out */
    enum grpc_status status;
    struct buf status_text;
    int32_t id;
    bool has_token, touched, head_whole, begun, refused;
    bool client_ended, told_half_closed;
    bool answering; /* our head is on its way */
    bool ended;     /* by us */
    bool held;      /* wants to send, and too much waits on the connection */
    bool was_sent;  /* writable is to be told */
    bool closed;
};

/* Whether a message may be sent now; if not, `writable` tells when. */
bool grpc_may_send(struct grpc_call *c);
/* After grpc_may_send. Takes the bytes over. */
void grpc_send(struct grpc_call *c, struct buf *message);
/* After what was sent. The first word counts. */
void grpc_end(struct grpc_call *c, enum grpc_status status, struct str text);

struct grpc;
struct grpc_options {
    const struct list *addresses; /* of struct listen_address */
    const struct config *config;  /* of unix sockets */
    struct secure *secure;        /* NULL: in clear */
    struct loop **loops;
    unsigned loop_count;
    const struct grpc_method *const *methods; /* NULL-ended */
    void *owner;
};
/* Listens at once, and logs it. loops: copied. */
struct grpc *grpc_start(const struct grpc_options *options, struct error *e);
/* From a thread that runs none of the loops, while they run. Connections end at once. */
void grpc_stop(struct grpc *g);

#endif
