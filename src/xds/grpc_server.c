/* The gRPC server as a whole: listeners on all loops, and the end. */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "xds/grpc_room.h"

struct grpc_listener {
    struct grpc *grpc;
    struct listener *listener;
    const char *network; /* "tcp", "unix": for the log */
};

const char *grpc_status_name(enum grpc_status status) {
    switch (status) {
    case GRPC_OK:
        return "OK";
    case GRPC_CANCELLED:
        return "Canceled";
    case GRPC_INVALID_ARGUMENT:
        return "InvalidArgument";
    case GRPC_PERMISSION_DENIED:
        return "PermissionDenied";
    case GRPC_RESOURCE_EXHAUSTED:
        return "ResourceExhausted";
    case GRPC_UNIMPLEMENTED:
        return "Unimplemented";
    case GRPC_INTERNAL:
        return "Internal";
    case GRPC_UNAVAILABLE:
        return "Unavailable";
    case GRPC_UNAUTHENTICATED:
        return "Unauthenticated";
    default:
        return "Unknown";
    }
}

/* Connections of one address; an Envoy has one or two. */
#define CONNECTIONS_MAX 1024

/* ---- start ---- */

static void on_accept(void *owner, struct loop *loop, int fd, const struct peer_address *peer) {
    struct grpc *g = ((const struct grpc_listener *)owner)->grpc;
    for (unsigned i = 0; i < g->o.loop_count; i++)
        if (g->loops[i].loop == loop) {
            grpc_connection_open(&g->loops[i], fd, peer, g->o.secure != NULL);
            return;
        }
    ASSERT(false);
}

static bool open_listener(struct grpc *g, const struct listen_address *a, struct error *e) {
    const struct config *c = g->o.config;
    struct grpc_listener *l = &g->listeners[g->listener_count];
    bool is_unix = a->network == LISTEN_UNIX;
    l->grpc = g;
    l->network = is_unix ? "unix" : "tcp";
    l->listener = is_unix ? listener_open_unix(a->text, c->unix_socket_user, c->unix_socket_group,
                                               c->unix_socket_mode, e)
                          : listener_open_tcp(a->text, a->port, e);
    g->listener_count += l->listener != NULL;
    return l->listener != NULL;
}

static void free_grpc(struct grpc *g) {
    for (unsigned i = 0; i < g->listener_count; i++)
        listener_close(g->listeners[i].listener);
    client_limit_free(g->clients);
    uv_sem_destroy(&g->loops_done);
    mem_free(g->o.loops);
    mem_free(g->loops);
    mem_free(g->listeners);
    mem_free(g);
}

struct grpc *grpc_start(const struct grpc_options *options, struct error *e) {
    struct grpc *g = MEM_NEW(struct grpc);
    unsigned count = options->loop_count;
    g->o = *options;
    g->o.loops = mem_zalloc(count, sizeof *g->o.loops);
    g->loops = mem_zalloc(count, sizeof *g->loops);
    g->listeners = mem_zalloc(options->addresses->len + 1, sizeof *g->listeners);
    g->clients = client_limit_new(CONNECTIONS_MAX);
    uv_sem_init(&g->loops_done, 0);
    for (unsigned i = 0; i < count; i++) {
        g->o.loops[i] = options->loops[i];
        g->loops[i] = (struct grpc_loop){.grpc = g, .loop = options->loops[i]};
    }
    for (uint32_t i = 0; i < options->addresses->len; i++)
        if (!open_listener(g, &LIST_AT(*options->addresses, struct listen_address, i), e)) {
            free_grpc(g);
            return NULL;
        }
    for (unsigned i = 0; i < g->listener_count; i++) {
        struct grpc_listener *l = &g->listeners[i];
        listener_start(l->listener, g->o.loops, count, on_accept, l);
        log_at(LOG_INFO, "agent", "Started gRPC server",
               LOG_C("address", listener_name(l->listener)), LOG_C("network", l->network));
    }
    return g;
}

/* ---- stop ---- */

static void on_loop_closed(struct loop_timer *t) {
    struct grpc_loop *home = t->owner;
    uv_sem_post(&home->grpc->loops_done);
}

/* Looks every few milliseconds whether the connections are gone: they say so when they are. */
static void on_stop_timer(struct loop_timer *t) {
    struct grpc_loop *home = t->owner;
    if (home->connections == 0)
        loop_timer_close(t, on_loop_closed);
    else
        loop_timer_set(t, 5 * MILLISECOND);
}

static void stop_loop(struct message *m) {
    struct grpc_loop *home = CONTAINER_OF(m, struct grpc_loop, message);
    home->stopping = true;
    stream_for_each(home->loop, &grpc_stream_handlers, stream_close);
    loop_timer_init(home->loop, &home->stop_timer, on_stop_timer, home);
    on_stop_timer(&home->stop_timer);
}

void grpc_stop(struct grpc *g) {
    for (unsigned i = 0; i < g->listener_count; i++)
        listener_close(g->listeners[i].listener);
    g->listener_count = 0;
    for (unsigned i = 0; i < g->o.loop_count; i++) {
        g->loops[i].message.run = stop_loop;
        loop_post_reply(g->loops[i].loop, &g->loops[i].message);
    }
    for (unsigned i = 0; i < g->o.loop_count; i++)
        uv_sem_wait(&g->loops_done);
    free_grpc(g);
}
