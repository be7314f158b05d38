/* The built-in proxy's listeners, and taking configurations: what a new one has in common with the
 * old one stays open. See proxy.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/proxy.h"
#include "net/resolve.h"

#define RETRY_TIME (5 * SECOND) /* for an address that could not be bound */

struct proxy_listener {
    struct proxy_listener *next;
    struct proxy *proxy;
    struct arena arena;
    bool is_public;
    struct proxy_upstream upstream; /* unless it is public: then the address alone */
    struct str label;
    struct listener *open; /* NULL: not yet */
    struct resolve *resolve;
    struct loop_timer retry;
    bool wanted; /* while configurations are compared */
};

static void on_accept(void *owner, struct loop *loop, int fd, const struct peer_address *peer) {
    struct proxy_listener *l = owner;
    (void)loop;
    (void)peer;
    proxy_accept(l->proxy, fd, l->is_public ? NULL : &l->upstream);
}

static void fail(struct proxy_listener *l, struct str why) {
    log_at(LOG_ERROR, "proxy", "failed to bind listener", LOG_S("listener", l->label),
           LOG_S("error", why));
    loop_timer_set(&l->retry, RETRY_TIME);
}

static void open_at(struct proxy_listener *l, struct str ip) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    l->open = listener_open_tcp(ip, (int)l->upstream.bind_port, &e);
    if (l->open == NULL) {
        fail(l, e.text);
    } else {
        log_at(LOG_INFO, "proxy", "Starting listener", LOG_S("listener", l->label),
               LOG_S("bind_addr",
                     proxy_address(l->upstream.bind_address, l->upstream.bind_port, &scratch)));
        listener_start_here(l->open, l->proxy->loop, on_accept, l);
    }
    arena_free(&scratch);
}

static void on_resolved(void *owner, const struct resolved_address *addresses, size_t count,
                        const struct error *e) {
    struct proxy_listener *l = owner;
    char text[46];
    l->resolve = NULL;
    if (count == 0) {
        fail(l, e->text);
        return;
    }
    open_at(l, resolved_address_text(addresses, text));
}

static void open_listener(struct proxy_listener *l) {
    struct str host = l->upstream.bind_address;
    if (l->upstream.bind_port < 0 || l->upstream.bind_port > 65535) {
        struct arena scratch = ARENA_INIT;
        log_at(LOG_ERROR, "proxy", "failed to bind listener", LOG_S("listener", l->label),
               LOG_S("error", str_format(&scratch, "listen tcp: address %lld: invalid port",
                                         (long long)l->upstream.bind_port)));
        arena_free(&scratch);
        return;
    }
    if (host.len == 0 || resolve_is_literal(host))
        open_at(l, host.len > 0 ? host : STR("0.0.0.0"));
    else
        l->resolve = resolve_start(l->proxy->loop, host, on_resolved, l);
}

static void on_retry(struct loop_timer *t) {
    open_listener(t->owner);
}

static void on_retry_closed(struct loop_timer *t) {
    struct proxy_listener *l = t->owner;
    arena_free(&l->arena);
    mem_free(l);
}

/* Connections that it has accepted go on. */
static void close_listener(struct proxy_listener *l) {
    struct proxy_listener **at = &l->proxy->listeners;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (l->resolve != NULL)
        resolve_cancel(l->resolve);
    if (l->open != NULL) {
        log_at(LOG_INFO, "proxy", "Stopping listener", LOG_S("listener", l->label));
        listener_close_here(l->open);
    }
    loop_timer_close(&l->retry, on_retry_closed);
}

static void add_listener(struct proxy *p, const struct proxy_upstream *upstream, bool is_public) {
    struct proxy_listener *l = MEM_NEW(struct proxy_listener);
    struct proxy_config one = {.upstreams = (struct proxy_upstream *)(uintptr_t)upstream,
                               .upstream_count = 1};
    l->proxy = p;
    l->is_public = is_public;
    l->upstream = proxy_config_copy(&one, &l->arena)->upstreams[0];
    l->label = is_public ? STR("public listener") : proxy_upstream_label(&l->upstream, &l->arena);
    l->wanted = true;
    l->next = p->listeners;
    p->listeners = l;
    loop_timer_init(p->loop, &l->retry, on_retry, l);
    open_listener(l);
}

static void want(struct proxy *p, const struct proxy_upstream *upstream, bool is_public) {
    for (struct proxy_listener *l = p->listeners; l != NULL; l = l->next) {
        if (l->is_public == is_public && proxy_upstream_same(&l->upstream, upstream)) {
            l->wanted = true;
            return;
        }
    }
}

static bool is_open(const struct proxy *p, const struct proxy_upstream *upstream, bool is_public) {
    for (const struct proxy_listener *l = p->listeners; l != NULL; l = l->next)
        if (l->is_public == is_public && proxy_upstream_same(&l->upstream, upstream))
            return true;
    return false;
}

/* First goes what nobody wants: another may want its address. */
void proxy_listen(struct proxy *p) {
    const struct proxy_config *c = p->config;
    if (c == NULL || p->stopping)
        return;
    struct proxy_upstream public = {.name = STR(""),
                                    .name_space = STR(""),
                                    .datacenter = STR(""),
                                    .bind_address = c->bind_address,
                                    .bind_port = c->bind_port};
    bool listens = c->listens && p->tls != NULL;
    for (struct proxy_listener *l = p->listeners; l != NULL; l = l->next)
        l->wanted = false;
    if (listens)
        want(p, &public, true);
    for (size_t i = 0; i < c->upstream_count; i++)
        want(p, &c->upstreams[i], false);
    struct proxy_listener *next;
    for (struct proxy_listener *l = p->listeners; l != NULL; l = next) {
        next = l->next;
        if (!l->wanted)
            close_listener(l);
    }
    if (listens && !is_open(p, &public, true))
        add_listener(p, &public, true);
    for (size_t i = 0; i < c->upstream_count; i++)
        if (!is_open(p, &c->upstreams[i], false))
            add_listener(p, &c->upstreams[i], false);
}

void proxy_listen_stop(struct proxy *p) {
    while (p->listeners != NULL)
        close_listener(p->listeners);
}

/* ---- the proxy ---- */

void proxy_configure(struct proxy *p, const struct proxy_config *config) {
    bool other = p->config == NULL || !str_eq(p->config->service, config->service);
    struct arena old = p->config_arena;
    p->config_arena = ARENA_INIT;
    p->config = proxy_config_copy(config, &p->config_arena);
    arena_free(&old);
    if (other)
        proxy_identity_watch(p, p->config->service);
    proxy_listen(p);
}

void proxy_stop(struct proxy *p) {
    p->stopping = true;
    proxy_identity_stop(p);
    proxy_listen_stop(p);
    struct proxy_connection *next;
    for (struct proxy_connection *c = p->connections; c != NULL; c = next) {
        next = c->next;
        proxy_drop(c);
    }
    proxy_metrics_stop(p);
}

void proxy_free(struct proxy *p) {
    proxy_metrics_free(p);
    arena_free(&p->config_arena);
}
