/* What the files of the gRPC server share: connections (grpc.c), calls (grpc_call.c), listeners,
 * loops and the end (grpc_server.c).
 */
#ifndef PRAETOR_XDS_GRPC_ROOM_H
#define PRAETOR_XDS_GRPC_ROOM_H

#include "http/http2_session.h"
#include "net/client_limit.h"
#include "net/listener.h"
#include "net/stream.h"
#include "server/secure.h"
#include "xds/grpc.h"

struct grpc_loop { /* what one loop has of it */
    struct grpc *grpc;
    struct loop *loop;
    unsigned connections;
    size_t input; /* bytes of messages that are not whole yet, of all connections */
    bool stopping;
    struct message message;
    struct loop_timer stop_timer;
};

struct grpc {
    struct grpc_options o;
    struct grpc_loop *loops;
    struct grpc_listener *listeners;
    unsigned listener_count;
    struct client_limit *clients;
    uv_sem_t loops_done;
};

#define GRPC_BACKLOG_MAX ((size_t)16 << 20) /* messages of ours that wait on a connection */

struct grpc_connection {
    struct stream stream;
    struct grpc_loop *home;
    struct peer_address peer;
    struct nghttp2_session *session; /* NULL until the handshake is over */
    struct grpc_call *first;
    struct grpc_call *touched, *touched_last;
    size_t backlog; /* of `out` of all calls */
    size_t held;
    struct http2_guard guard;
    bool secure, working, greeted, head_open;
};

/* grpc_call.c */
/* What can be done for it now: its method is told of all that has come, and when it may send. */
void grpc_call_serve(struct grpc_call *c);
/* So many bytes at the front of what has come are done with. */
void grpc_call_set_input(struct grpc_call *c, size_t taken);

/* grpc.c */
/* Something is to be done for the call: it is, now or when the work under way is through. */
void grpc_call_poke(struct grpc_call *c);
/* Ends it without a status. code: HTTP/2's. */
void grpc_call_reset(struct grpc_call *c, uint32_t code);
extern const struct stream_handlers grpc_stream_handlers;
void grpc_connection_open(struct grpc_loop *home, int fd, const struct peer_address *peer,
                          bool secure);

#endif
