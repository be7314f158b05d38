/* See wan_dial.h: a gateway is picked, its name looked up, its addresses are tried in their order
 * until one lets a connection be made.
 */
#include "server/wan_dial.h"

#include <arpa/inet.h>

#include "base/mem.h"
#include "net/resolve.h"
#include "server/secure.h"

struct wan_dial {
    struct gateways *gateways;
    struct loop *loop;
    struct wan_dial_options options; /* strings in the arena */
    connect_done *done;
    void *owner;
    struct arena arena;
    uint16_t port;
    struct resolved_address addresses[RESOLVE_ADDRESSES];
    size_t count, at;
    struct error error; /* the first */
    /* What is under way: one of */
    struct loop_timer later;
    struct resolve *resolve;
    struct connect *connect;
};

/* ---- the end ---- */

static void later_closed(struct loop_timer *t) {
    struct wan_dial *d = t->owner;
    struct arena arena = d->arena;
    arena_free(&arena);
    mem_free(d);
}

static void dispose(struct wan_dial *d) {
    loop_timer_close(&d->later, later_closed);
}

static void finish(struct wan_dial *d, struct stream_detached *connection, const struct error *e) {
    d->done(d->owner, connection, e);
    dispose(d);
}

/* ---- one address ---- */

static void try_next(struct wan_dial *d);

/* The gateway may have led to somebody who does not know what we want. */
static bool agreed(const struct wan_dial *d, const struct stream_detached *connection,
                   struct error *e) {
    return str_is(tls_protocol(connection->tls), d->options.protocol) ||
           error_set(e, ERROR_IO, "could not negotiate ALPN protocol \"%s\"", d->options.protocol);
}

static void on_connected(void *owner, struct stream_detached *connection, const struct error *e) {
    struct wan_dial *d = owner;
    d->connect = NULL;
    struct error wrong = ERROR_IN(&d->arena);
    if (connection != NULL && agreed(d, connection, &wrong)) {
        finish(d, connection, NULL);
        return;
    }
    if (connection != NULL)
        stream_detached_drop(connection);
    if (!error_is_set(&d->error))
        error_copy(&d->error, connection != NULL ? &wrong : e);
    try_next(d);
}

static void try_next(struct wan_dial *d) {
    if (d->at == d->count) {
        finish(d, NULL, &d->error);
        return;
    }
    char ip[46];
    const struct wan_dial_options *o = &d->options;
    struct connect_options options = {
        .target = {.ip = resolved_address_text(&d->addresses[d->at++], ip),
                   .port = d->port,
                   .source = o->source,
                   .timeout = o->timeout},
        .tls = secure_dial_native(gateways_secure(d->gateways), o->node, o->datacenter,
                                  str_from(o->protocol))};
    if (options.tls == NULL) {
        error_set(&d->error, ERROR_IO,
                  "wanfed: cannot dial via a mesh gateway when outgoing TLS is disabled");
        finish(d, NULL, &d->error);
        return;
    }
    d->connect = connect_start(d->loop, &options, on_connected, d);
}

/* ---- the gateway ---- */

static void on_resolved(void *owner, const struct resolved_address *addresses, size_t count,
                        const struct error *e) {
    struct wan_dial *d = owner;
    d->resolve = NULL;
    d->count = count;
    if (count > 0)
        memcpy(d->addresses, addresses, count * sizeof(*addresses));
    else
        error_set(&d->error, ERROR_IO, "dial tcp: " STR_FMT, STR_ARG(e->text));
    try_next(d);
}

/* An IP needs no look-up. */
static bool is_literal(struct wan_dial *d, struct str host) {
    struct resolved_address *first = &d->addresses[0];
    if (host.len == 0)
        host = STR("127.0.0.1");
    const char *text = str_terminated(&d->arena, host);
    if (!resolve_is_literal(host))
        return false;
    first->len = inet_pton(AF_INET, text, first->ip) == 1 ? 4 : 16;
    if (first->len == 16)
        inet_pton(AF_INET6, text, first->ip);
    d->count = 1;
    return true;
}

static bool know_server(struct wan_dial *d) {
    struct wan_dial_options *o = &d->options;
    return o->datacenter.data != NULL ||
           gateway_member_split(o->node, &o->node, &o->datacenter, &d->error);
}

static void on_later(struct loop_timer *t) {
    struct wan_dial *d = t->owner;
    struct str address, host;
    if (!know_server(d) ||
        !gateways_pick(d->gateways, d->options.datacenter, &address, &d->arena, &d->error) ||
        !gateway_split(address, &host, &d->port, &d->error) || is_literal(d, host))
        try_next(d); /* none to try: the error */
    else
        d->resolve = resolve_start(d->loop, host, on_resolved, d);
}

struct wan_dial *wan_dial_start(struct gateways *g, struct loop *l,
                                const struct wan_dial_options *options, connect_done *done,
                                void *owner) {
    struct wan_dial *d = MEM_NEW(struct wan_dial);
    d->arena = ARENA_INIT;
    d->gateways = g;
    d->loop = l;
    d->options = *options;
    d->options.datacenter = str_copy(&d->arena, options->datacenter);
    d->options.node = str_copy(&d->arena, options->node);
    d->options.source = str_copy(&d->arena, options->source);
    d->done = done;
    d->owner = owner;
    d->error = ERROR_IN(&d->arena);
    loop_timer_init(l, &d->later, on_later, d);
    loop_timer_set(&d->later, 0);
    return d;
}

void wan_dial_cancel(struct wan_dial *d) {
    loop_timer_stop(&d->later);
    if (d->resolve != NULL)
        resolve_cancel(d->resolve);
    if (d->connect != NULL)
        connect_cancel(d->connect);
    dispose(d);
}
