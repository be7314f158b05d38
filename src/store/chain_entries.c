/* Which configuration entries a discovery chain needs, as they will be after the change that is
 * checked, and what they say of a service.
 *
 * First the entries that the chain may need are collected, by the names that lead to them: the
 * changed one is found by its exact name, stored ones in any letter case. Only what was collected
 * under exactly the name that is asked for then counts. All this matters only where one service is
 * spelled in several ways, but there it decides what is accepted.
 */
#include "codec/json.h"
#include "store/chain_room.h"

static const char absent; /* what a map holds for a name without an entry */

static const void *fetch(struct compile *c, const char *kind, struct str name) {
    const struct config_change *change = c->change;
    if (change != NULL && str_is(change->kind, kind) && str_eq(change->name, name))
        return change->entry;
    return config_entry_fetch(c->read, str_from(kind), name);
}

const void *chain_entry(const struct kind_of_entry *k, struct str name) {
    const void *entry = map_get(&k->known, name);
    return entry != &absent ? entry : NULL;
}

static void want(struct compile *c, struct kind_of_entry *k, struct str name) {
    if (name.len == 0 || map_get(&k->known, name) != NULL)
        return;
    const void *entry = fetch(c, k->kind, name);
    map_put(&k->known, name, entry != NULL ? (void *)(uintptr_t)entry : (void *)(uintptr_t)&absent);
    *(struct str *)list_push(&k->names, &k->cap, sizeof name, c->arena) = name;
}

static void want_links(struct compile *c, struct kind_of_entry *to, struct str kind,
                       const struct config_entry *entry) {
    struct list links = config_entry_links(c->read, kind, entry);
    for (uint32_t i = 0; i < links.len; i++)
        want(c, to, LIST_AT(links, struct str, i));
}

static void want_all_splitters(struct compile *c) {
    c->router = fetch(c, CONFIG_SERVICE_ROUTER, c->question->service);
    if (c->router != NULL)
        want_links(c, &c->splitter_entries, STR(CONFIG_SERVICE_ROUTER), &c->router->head);
    else
        want(c, &c->splitter_entries, c->question->service);
    if (c->router != NULL && c->plain) {
        c->router = NULL;
        c->by_protocol = true;
    }
}

void chain_collect(struct compile *c) {
    want_all_splitters(c);
    for (uint32_t i = 0; i < c->splitter_entries.names.len; i++) { /* grows meanwhile, as below */
        struct str name = LIST_AT(c->splitter_entries.names, struct str, i);
        const struct config_entry *splitter = chain_entry(&c->splitter_entries, name);
        want(c, &c->resolver_entries, name);
        if (splitter != NULL)
            want_links(c, &c->splitter_entries, STR(CONFIG_SERVICE_SPLITTER), splitter);
    }
    for (uint32_t i = 0; i < c->resolver_entries.names.len; i++) {
        struct str name = LIST_AT(c->resolver_entries.names, struct str, i);
        const struct config_entry *resolver = chain_entry(&c->resolver_entries, name);
        want(c, &c->defaults_entries, name);
        if (resolver != NULL)
            want_links(c, &c->resolver_entries, STR(CONFIG_SERVICE_RESOLVER), resolver);
    }
    want(c, &c->defaults_entries, c->question->service);
    c->proxy_defaults = fetch(c, CONFIG_PROXY_DEFAULTS, STR("global"));
}

/* The value of the key in any letter case; the exact spelling wins, then the first in order (the
 * peer takes any). */
static const struct value *find_fold(const struct value *map, struct str key) {
    const struct value_pair *found = NULL;
    for (size_t i = 0; map != NULL && map->kind == VALUE_MAP && i < map->map.len; i++) {
        const struct value_pair *pair = &map->map.pairs[i];
        if (str_eq(pair->key, key))
            return &pair->value;
        if (str_eq_fold(pair->key, key) &&
            (found == NULL || str_compare(pair->key, found->key) < 0))
            found = pair;
    }
    return found != NULL ? &found->value : NULL;
}

/* What free-form content means where a text is wanted; absent for what has no such meaning. */
static struct str weak_text(struct arena *arena, const struct value *v) {
    if (v == NULL || v->kind == VALUE_NULL || v->kind == VALUE_LIST || v->kind == VALUE_MAP)
        return STR_NONE;
    if (v->kind == VALUE_STRING)
        return v->string;
    if (v->kind == VALUE_BOOL)
        return v->boolean ? STR("1") : STR("0");
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    if (v->kind == VALUE_INT)
        buf_add_i64(&text, v->integer);
    else if (v->kind == VALUE_UINT)
        buf_add_u64(&text, v->uinteger);
    else
        json_f64(&w, v->number);
    struct str copy = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

/* Both may be NULL. */
static struct str protocol_by(struct arena *arena, const struct service_defaults *defaults,
                              const struct proxy_defaults *proxy) {
    struct str protocol = STR_NONE;
    if (defaults != NULL)
        protocol = defaults->protocol;
    else if (proxy != NULL)
        protocol = weak_text(arena, find_fold(proxy->config, STR("protocol")));
    return protocol.len == 0 ? STR("tcp") : name_lower(arena, protocol);
}

struct str chain_protocol_of(struct compile *c, struct str service) {
    return protocol_by(c->arena, chain_entry(&c->defaults_entries, service), c->proxy_defaults);
}

struct str service_protocol(struct store_read *r, struct str service) {
    const struct config_entry *defaults =
        config_entry_fetch(r, STR(CONFIG_SERVICE_DEFAULTS), service);
    const void *proxy = config_entry_fetch(r, STR(CONFIG_PROXY_DEFAULTS), STR("global"));
    bool same = defaults != NULL && str_eq(defaults->name, service);
    return protocol_by(r->arena, same ? (const void *)defaults : NULL, proxy);
}

struct str chain_gateway_of(const struct compile *c, struct str service) {
    const struct service_defaults *defaults = chain_entry(&c->defaults_entries, service);
    if (defaults != NULL && defaults->mesh_gateway.mode.len > 0)
        return defaults->mesh_gateway.mode;
    return c->proxy_defaults != NULL ? c->proxy_defaults->mesh_gateway.mode : STR("");
}
