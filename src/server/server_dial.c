/* See server_dial.h. */
#include "server/server_dial.h"

#include "server/secure.h"

static struct str datacenter_of(const struct server_dial_options *o) {
    return o->datacenter.len > 0 ? o->datacenter : o->own_datacenter;
}

bool server_dial_is_behind(const struct server_dial_options *o) {
    return o->gateways != NULL && o->node.len > 0 && !str_eq(datacenter_of(o), o->own_datacenter);
}

static void start_behind(struct server_dial *d, struct loop *l, const struct server_dial_options *o,
                         connect_done *done, void *owner) {
    const struct wan_dial_options options = {
        .datacenter = o->datacenter, .node = o->node, .protocol = o->protocol, .source = o->source};
    d->native = true;
    d->behind = wan_dial_start(o->gateways, l, &options, done, owner);
}

bool server_dial_start(struct server_dial *d, struct loop *l, const struct server_dial_options *o,
                       connect_done *done, void *owner) {
    struct connect_options options = {.target = {.source = o->source}, .announce = SECURE_ANNOUNCE};
    if (server_dial_is_behind(o)) {
        start_behind(d, l, o, done, owner);
        return true;
    }
    if (!dial_split(o->address, &options.target.ip, &options.target.port))
        return false;
    if (o->secure != NULL)
        options.tls = secure_dial(o->secure, datacenter_of(o));
    d->direct = connect_start(l, &options, done, owner);
    return true;
}

void server_dial_over(struct server_dial *d) {
    d->direct = NULL;
    d->behind = NULL;
}

void server_dial_cancel(struct server_dial *d) {
    if (d->direct != NULL)
        connect_cancel(d->direct);
    if (d->behind != NULL)
        wan_dial_cancel(d->behind);
    server_dial_over(d);
}

bool server_dial_is_under_way(const struct server_dial *d) {
    return d->direct != NULL || d->behind != NULL;
}
