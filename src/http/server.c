/* The interface as a whole: listeners on all loops, settings that follow the configuration, and the
 * end.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "http/room.h"

#define STOP_TIME SECOND

/* ---- start ---- */

static void on_accept(void *owner, struct loop *loop, int fd, const struct peer_address *peer) {
    const struct http_listener *l = owner;
    struct http *http = l->http;
    for (unsigned i = 0; i < http->o.loop_count; i++)
        if (http->loops[i].loop == loop) {
            http_connection_open(&http->loops[i], fd, peer, l->secure);
            return;
        }
    ASSERT(false);
}

static bool open_listener(struct http *http, const struct listen_address *a, bool secure,
                          struct error *e) {
    const struct config *c = http->o.config;
    struct http_listener *l = &http->listeners[http->listener_count];
    if (a->network == LISTEN_UNIX)
        l->listener = listener_open_unix(a->text, c->unix_socket_user, c->unix_socket_group,
                                         c->unix_socket_mode, e);
    else
        l->listener = listener_open_tcp(a->text, a->port, e);
    l->http = http;
    l->network = a->network == LISTEN_UNIX ? "unix" : "tcp";
    l->protocol = secure ? "HTTPS" : "HTTP";
    l->secure = secure && a->network != LISTEN_UNIX;
    if (l->listener == NULL)
        return false;
    http->listener_count++;
    return true;
}

static bool open_listeners(struct http *http, const struct list *addresses, bool secure,
                           struct error *e) {
    for (uint32_t i = 0; i < addresses->len; i++) {
        if (!open_listener(http, &LIST_AT(*addresses, struct listen_address, i), secure, e))
            return false;
    }
    return true;
}

static void free_http(struct http *http) {
    for (unsigned i = 0; i < http->listener_count; i++)
        listener_close(http->listeners[i].listener);
    for (unsigned i = 0; i < http->o.loop_count; i++) {
        http_loop_free_spare(&http->loops[i]);
        http_settings_release(http->loops[i].settings);
    }
    client_limit_free(http->clients);
    http_routes_free(http);
    http_cached_forget();
    uv_sem_destroy(&http->loops_done);
    mem_free(http->listeners);
    mem_free(http->loops);
    mem_free(http);
}

struct http *http_start(const struct http_options *options, struct error *e) {
    struct http *http = MEM_NEW(struct http);
    const struct config *c = options->config;
    http->o = *options;
    http->clients = client_limit_new(c->limits.http_max_conns_per_client);
    uv_sem_init(&http->loops_done, 0);
    http_routes_build(http, options->tables);
    http->loops = mem_zalloc(options->loop_count, sizeof *http->loops);
    for (unsigned i = 0; i < options->loop_count; i++) {
        http->loops[i].http = http;
        http->loops[i].loop = options->loops[i];
        http->loops[i].settings = http_settings_new(c);
    }
    http->listeners =
        mem_zalloc(c->http_addrs.len + c->https_addrs.len + 1, sizeof *http->listeners);
    if (!open_listeners(http, &c->http_addrs, false, e) ||
        !open_listeners(http, &c->https_addrs, true, e)) {
        free_http(http);
        return NULL;
    }
    for (unsigned i = 0; i < http->listener_count; i++) {
        struct http_listener *l = &http->listeners[i];
        listener_start(l->listener, options->loops, options->loop_count, on_accept, l);
        log_at(LOG_INFO, "agent", l->secure ? "Started HTTPS server" : "Started HTTP server",
               LOG_C("address", listener_name(l->listener)), LOG_C("network", l->network));
    }
    return http;
}

/* ---- reload ---- */

struct new_settings { /* on its way to a loop */
    struct message message;
    struct http_loop *home;
    struct http_settings *settings;
};

static void take_settings(struct message *m) {
    struct new_settings *n = CONTAINER_OF(m, struct new_settings, message);
    http_settings_release(n->home->settings);
    n->home->settings = n->settings;
    mem_free(n);
}

void http_reload(struct http *http, const struct config *config) {
    client_limit_set(http->clients, config->limits.http_max_conns_per_client);
    for (unsigned i = 0; i < http->o.loop_count; i++) {
        struct new_settings *n = MEM_NEW(struct new_settings);
        n->message.run = take_settings;
        n->home = &http->loops[i];
        n->settings = http_settings_new(config);
        loop_post_reply(http->loops[i].loop, &n->message);
    }
}

/* ---- stop ---- */

static void close_idle(struct stream *s) {
    struct http_connection *c = (struct http_connection *)s;
    if (c->request == NULL && stream_backlog(s) == 0)
        stream_close(s);
    else if (c->request != NULL)
        c->request->close_after = true;
}

static void close_all(struct stream *s) {
    stream_close(s);
}

static void on_loop_closed(struct loop_timer *t) {
    struct http_loop *home = t->owner;
    uv_sem_post(&home->http->loops_done);
}

/* Looks every few milliseconds whether the connections are gone. */
static void on_stop_timer(struct loop_timer *t) {
    struct http_loop *home = t->owner;
    int64_t now = time_now_monotonic();
    if (home->requests > 0 && now < home->stop_at) {
        stream_for_each(home->loop, &http2_stream_handlers, http2_stop);
        stream_for_each(home->loop, &http_stream_handlers, close_idle);
    } else {
        stream_for_each(home->loop, &http2_stream_handlers, http2_close);
        stream_for_each(home->loop, &http_stream_handlers, close_all);
        /* Requests whose calls the core still has end by themselves; nothing can wait for ever. */
        if ((home->connections == 0 && home->requests == 0) || now > home->stop_at + STOP_TIME) {
            loop_timer_close(t, on_loop_closed);
            return;
        }
    }
    loop_timer_set(t, 5 * MILLISECOND);
}

static void stop_loop(struct message *m) {
    struct http_loop *home = CONTAINER_OF(m, struct http_loop, message);
    home->stopping = true;
    home->stop_at = time_now_monotonic() + STOP_TIME;
    loop_timer_init(home->loop, &home->stop_timer, on_stop_timer, home);
    on_stop_timer(&home->stop_timer);
}

void http_stop(struct http *http) {
    for (unsigned i = 0; i < http->listener_count; i++) {
        struct http_listener *l = &http->listeners[i];
        log_at(LOG_INFO, "agent", "Stopping server", LOG_C("protocol", l->protocol),
               LOG_C("address", listener_name(l->listener)), LOG_C("network", l->network));
        listener_close(l->listener);
    }
    http->listener_count = 0;
    for (unsigned i = 0; i < http->o.loop_count; i++) {
        http->loops[i].message.run = stop_loop;
        loop_post_reply(http->loops[i].loop, &http->loops[i].message);
    }
    unsigned left = 0;
    for (unsigned i = 0; i < http->o.loop_count; i++)
        uv_sem_wait(&http->loops_done);
    for (unsigned i = 0; i < http->o.loop_count; i++)
        left += http->loops[i].requests + http->loops[i].connections;
    if (left == 0)
        free_http(http);
    else /* somebody still has a request, and may answer it: the memory stays theirs */
        log_at(LOG_WARN, "agent.http", "Requests left at the end", LOG_I("count", left));
}

/* ---- what main.c gives to the agent ---- */

struct interface {
    struct http *http;
    struct loop **loops;
};

static void *interface_start(struct agent *agent, struct error *e) {
    struct server *server = agent_server(agent);
    struct interface *self = MEM_NEW(struct interface);
    unsigned count = server_io_count(server);
    self->loops = mem_zalloc(count, sizeof(struct loop *));
    for (unsigned i = 0; i < count; i++)
        self->loops[i] = server_io(server, i);
    struct http_options options = {.agent = agent,
                                   .server = server,
                                   .config = agent_config(agent),
                                   .loops = self->loops,
                                   .loop_count = count};
    self->http = http_start(&options, e);
    if (self->http == NULL) {
        mem_free(self->loops);
        mem_free(self);
        return NULL;
    }
    return self;
}

static bool interface_reload(void *owner, const struct config *config, struct error *e) {
    struct interface *self = owner;
    (void)e;
    http_reload(self->http, config);
    return true;
}

static void interface_stop(void *owner) {
    struct interface *self = owner;
    http_stop(self->http);
    mem_free(self->loops);
    mem_free(self);
}

const struct agent_interface http_interface = {
    .name = "HTTP",
    .start = interface_start,
    .reload = interface_reload,
    .stop = interface_stop,
};
