/* What a write of a config entry is checked for before it is made (fsm.md 5.7): the discovery
 * chains that it may change must compile, and the listeners of ingress gateways must have the
 * protocols of the services behind them. Every server comes to the same answer.
 */
#include "base/map.h"
#include "store/config_entry_tables.h"

struct graph {
    struct store_read *read;
    const struct config_change *change;
    struct list chains;    /* of struct checked_chain, each name once */
    struct list ingresses; /* of const struct ingress_gateway * */
    uint32_t chain_cap, ingress_cap;
    struct map known; /* name: its number in chains + 1 */
    bool strict;      /* a gateway itself is written: protocols must be the same */
    struct error *error;
};

struct checked_chain {
    struct str service;
    struct chain_facts chain;
};

static void add_chain(struct graph *g, struct str service) {
    if (map_get(&g->known, service) != NULL)
        return;
    struct checked_chain *chain =
        list_push(&g->chains, &g->chain_cap, sizeof *chain, g->read->arena);
    chain->service = service;
    map_put(&g->known, service, (void *)(uintptr_t)g->chains.len);
}

static void add_chains(struct graph *g, struct list names) {
    for (uint32_t i = 0; i < names.len; i++)
        add_chain(g, LIST_AT(names, struct str, i));
}

static void add_ingress(struct graph *g, const struct config_entry *entry) {
    if (entry != NULL) {
        *(const struct config_entry **)list_push(&g->ingresses, &g->ingress_cap, sizeof entry,
                                                 g->read->arena) = entry;
    }
}

static void add_ingresses(struct graph *g, struct list names) {
    for (uint32_t i = 0; i < names.len; i++)
        add_ingress(g, config_entry_fetch(g->read, STR(CONFIG_INGRESS_GATEWAY),
                                          LIST_AT(names, struct str, i)));
}

/* Which chains and gateways the change may affect. */
static void collect(struct graph *g) {
    static const char *const kinds[] = {CONFIG_SERVICE_ROUTER, CONFIG_SERVICE_SPLITTER,
                                        CONFIG_SERVICE_RESOLVER};
    const struct config_change *change = g->change;
    if (str_is(change->kind, CONFIG_INGRESS_GATEWAY)) {
        g->strict = true;
        add_ingress(g, change->entry);
        return;
    }
    bool all = str_is(change->kind, CONFIG_PROXY_DEFAULTS);
    if (!all)
        add_chain(g, change->name);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct str kind = str_from(kinds[i]);
        add_chains(g, all ? config_entry_names(g->read, kind)
                          : config_entry_linking(g->read, kind, change->name));
    }
    struct str ingress = STR(CONFIG_INGRESS_GATEWAY);
    add_ingresses(g, all ? config_entry_names(g->read, ingress)
                         : config_entry_linking(g->read, ingress, change->name));
}

/* Calls fn for each listener and explicit service of the gateways. */
typedef bool listener_fn(struct graph *g, const struct ingress_listener *listener,
                         struct str service);
static bool each_service(struct graph *g, listener_fn *fn) {
    for (uint32_t i = 0; i < g->ingresses.len; i++) {
        const struct list *listeners =
            &LIST_AT(g->ingresses, const struct ingress_gateway *, i)->listeners;
        for (uint32_t k = 0; k < listeners->len; k++) {
            const struct ingress_listener *listener =
                &LIST_AT(*listeners, struct ingress_listener, k);
            for (uint32_t m = 0; m < listener->services.len; m++) {
                struct str name = LIST_AT(listener->services, struct ingress_service, m).name;
                if (!str_is(name, WILDCARD_SERVICE) && !fn(g, listener, name))
                    return false;
            }
        }
    }
    return true;
}

static bool add_listened(struct graph *g, const struct ingress_listener *listener,
                         struct str service) {
    (void)listener;
    add_chain(g, service);
    return true;
}

static bool check_listener(struct graph *g, const struct ingress_listener *listener,
                           struct str service) {
    uintptr_t number = (uintptr_t)map_get(&g->known, service);
    ASSERT(number > 0);
    const struct chain_facts *chain = &LIST_AT(g->chains, struct checked_chain, number - 1).chain;
    if (str_eq(chain->protocol, listener->protocol))
        return true;
    if (!g->strict && str_is(listener->protocol, "tcp") && chain->starts_with_resolver)
        return true;
    struct arena *a = g->read->arena;
    struct str name = str_quote(a, service), has = str_quote(a, chain->protocol);
    struct str wanted = str_quote(a, listener->protocol);
    return error_set(g->error, ERROR_INTERNAL,
                     "service %.*s has protocol %.*s, which does not match defined listener "
                     "protocol %.*s",
                     STR_ARG(name), STR_ARG(has), STR_ARG(wanted));
}

static bool check_chains(struct graph *g) {
    collect(g);
    each_service(g, add_listened);
    for (uint32_t i = 0; i < g->chains.len; i++) {
        struct checked_chain *c = &LIST_AT(g->chains, struct checked_chain, i);
        if (!chain_check(g->read, g->change, c->service, &c->chain, g->error))
            return false;
    }
    return each_service(g, check_listener);
}

/* Only one of the two kinds of gateway may have a name. */
static bool check_gateway_name(struct store_read *r, const struct config_change *change,
                               const char *other, struct error *e) {
    if (config_entry_fetch(r, str_from(other), change->name) == NULL)
        return true;
    struct str kind = str_quote(r->arena, change->kind), name = str_quote(r->arena, change->name);
    return error_set(e, ERROR_INTERNAL,
                     "cannot create a %.*s config entry with name %.*s, a \"%s\" config entry with "
                     "that name already exists",
                     STR_ARG(kind), STR_ARG(name), other);
}

bool config_graph_check(struct store_read *r, const struct config_change *change, struct error *e) {
    bool ingress = str_is(change->kind, CONFIG_INGRESS_GATEWAY);
    bool terminating = str_is(change->kind, CONFIG_TERMINATING_GATEWAY);
    if (str_is(change->kind, CONFIG_PROXY_DEFAULTS) && !str_is(change->name, "global"))
        return true;
    if (ingress && change->entry == NULL)
        return true;
    if (ingress && !check_gateway_name(r, change, CONFIG_TERMINATING_GATEWAY, e))
        return false;
    if (terminating && !check_gateway_name(r, change, CONFIG_INGRESS_GATEWAY, e))
        return false;
    struct graph g = {.read = r,
                      .change = change,
                      .chains = LIST_EMPTY,
                      .ingresses = LIST_EMPTY,
                      .known = MAP_INIT,
                      .error = e};
    bool ok = check_chains(&g);
    map_free(&g.known);
    return ok;
}
