/* What the two files of the gRPC server share: connections and calls (grpc.c), listeners, loops and
 * the end (grpc_server.c).
 */
#ifndef PRAETOR_XDS_GRPC_ROOM_H
#define PRAETOR_XDS_GRPC_ROOM_H

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
    uv_sem_t loops_done;
};

/* grpc.c */
extern const struct stream_handlers grpc_stream_handlers;
void grpc_connection_open(struct grpc_loop *home, int fd, const struct peer_address *peer,
                          bool secure);

#endif
