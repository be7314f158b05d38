/* See gateways.h. What is known is three short lists behind a mutex, each replaced as a whole. */
#include "server/gateways.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "schema/catalog.h"
#include "store/federation.h"

#define LOGGER "agent.server.gateway_locator"
#define FEDERATION_META "consul-wan-federation"
#define FAILURES_MOST 3 /* of the replication, until the own gateways are no way to the primary */

/* ---- what a state says ---- */

static struct str location(const struct check_service_node *gateway, bool wan,
                           struct arena *arena) {
    struct str address;
    int64_t port;
    catalog_instance_address(gateway, wan, &address, &port);
    const char *form = str_find_char(address, ':') >= 0 ? "[%.*s]:%lld" : "%.*s:%lld";
    return str_format(arena, form, STR_ARG(address), (long long)port);
}

static bool carries_servers(const struct check_service_node *gateway) {
    if (gateway->node == NULL || gateway->service == NULL)
        return false;
    const struct str *meta = str_map_get(&gateway->service->meta, STR(FEDERATION_META));
    if (meta == NULL || !str_is(*meta, "1"))
        return false;
    for (uint32_t i = 0; i < gateway->checks.len; i++) {
        const struct health_check *check = LIST_AT(gateway->checks, struct health_check *, i);
        if (check != NULL && str_is(check->status, "critical"))
            return false;
    }
    return true;
}

static int by_text(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

struct list gateways_of_state(const struct federation_state *state, bool wan, struct arena *arena) {
    size_t most = state != NULL ? state->mesh_gateways.len : 0;
    struct list out = LIST_NEW(arena, struct str, most);
    out.len = 0;
    for (size_t i = 0; i < most; i++) {
        const struct check_service_node *gateway =
            &LIST_AT(state->mesh_gateways, struct check_service_node, i);
        if (carries_servers(gateway))
            LIST_AT(out, struct str, out.len++) = location(gateway, wan, arena);
    }
    if (out.len > 0)
        qsort(out.items, out.len, sizeof(struct str), by_text);
    return out;
}

/* ---- which way ---- */

bool gateway_signal_tell(struct gateway_signal *s, bool ok) {
    bool worked = s->works;
    s->failures = ok ? 0 : s->failures + 1;
    s->works = ok || (worked && s->failures < FAILURES_MOST);
    return s->works != worked;
}

static struct list together(const struct list *a, const struct list *b, struct arena *arena) {
    struct list out = LIST_NEW(arena, struct str, a->len + b->len);
    for (uint32_t i = 0; i < out.len; i++)
        LIST_AT(out, struct str, i) =
            i < a->len ? LIST_AT(*a, struct str, i) : LIST_AT(*b, struct str, i - a->len);
    return out;
}

struct list gateways_for(const struct gateway_choice *c, bool to_primary, struct arena *arena) {
    if (c->in_primary || !to_primary || (c->signal.works && c->local.len > 0))
        return c->local;
    return together(&c->primary, &c->fallback, arena);
}

/* ---- addresses ---- */

/* Where the host of "host:port" ends: at its last colon. NULL, or what is wrong. */
static const char *find_host(struct str address, struct str *host, size_t *colon) {
    *colon = address.len;
    while (*colon > 0 && address.data[*colon - 1] != ':')
        --*colon;
    if (*colon == 0)
        return "missing port in address";
    *host = str_sub(address, 0, *colon - 1);
    if (address.data[0] != '[')
        return str_find_char(*host, ':') >= 0 ? "too many colons in address" : NULL;
    ptrdiff_t end = str_find_char(address, ']');
    if (end < 0)
        return "missing ']' in address";
    if ((size_t)end + 2 != *colon)
        return (size_t)end + 1 < address.len && address.data[end + 1] == ':'
                   ? "too many colons in address"
                   : "missing port in address";
    *host = str_sub(address, 1, (size_t)end - 1);
    return NULL;
}

bool gateway_split(struct str address, struct str *host, uint16_t *port, struct error *e) {
    size_t colon;
    uint64_t value;
    const char *wrong = find_host(address, host, &colon);
    struct str number = str_sub(address, colon, address.len);
    if (wrong == NULL && number.len == 0)
        wrong = "missing port in address";
    if (wrong != NULL)
        return error_set(e, ERROR_IO, "dial tcp: address " STR_FMT ": %s", STR_ARG(address), wrong);
    if (!str_to_u64(number, &value))
        return error_set(e, ERROR_IO, "dial tcp: address tcp/" STR_FMT ": unknown port",
                         STR_ARG(number));
    if (value > UINT16_MAX)
        return error_set(e, ERROR_IO, "dial tcp: address " STR_FMT ": invalid port",
                         STR_ARG(number));
    *port = (uint16_t)value;
    return true;
}

bool gateway_member_split(struct str name, struct str *node, struct str *datacenter,
                          struct error *e) {
    struct str rest = name;
    *node = str_cut(&rest, '.');
    *datacenter = rest;
    if (name.len == 0)
        return error_set(e, ERROR_IO,
                         "memberlist: node names are required by configuration but one was not "
                         "provided");
    if (node->len == 0 || rest.len == 0 || str_find_char(rest, '.') >= 0)
        return error_set(e, ERROR_IO, "node name does not encode a datacenter: " STR_FMT,
                         STR_ARG(name));
    return true;
}

bool gateway_member_is_remote(struct str name, struct str datacenter) {
    return !(name.len > datacenter.len && str_has_suffix(name, datacenter) &&
             name.data[name.len - datacenter.len - 1] == '.');
}

/* ---- on a server ---- */

struct gateways {
    struct arena arena;
    struct str datacenter, primary;
    struct secure *secure;
    pthread_mutex_t mutex;
    struct gateway_choice choice; /* lists in the arenas below */
    struct arena states, fallback;
    struct prng random;
};

static struct list copied(const struct list *from, struct arena *arena) {
    struct list to = LIST_NEW(arena, struct str, from->len);
    for (uint32_t i = 0; i < from->len; i++)
        LIST_AT(to, struct str, i) = str_copy(arena, LIST_AT(*from, struct str, i));
    return to;
}

static bool same(const struct list *a, const struct list *b) {
    bool is = a->len == b->len;
    for (uint32_t i = 0; is && i < a->len; i++)
        is = str_eq(LIST_AT(*a, struct str, i), LIST_AT(*b, struct str, i));
    return is;
}

static void log_signal(bool works) {
    log_at(LOG_INFO, LOGGER,
           works ? "will dial the primary datacenter using our local mesh gateways if possible"
                 : "will dial the primary datacenter through its mesh gateways");
}

struct gateways *gateways_new(const struct gateways_options *o) {
    struct gateways *g = MEM_NEW(struct gateways);
    uint64_t seed;
    g->arena = g->states = g->fallback = ARENA_INIT;
    g->datacenter = str_copy(&g->arena, o->datacenter);
    g->primary = o->primary.len > 0 ? str_copy(&g->arena, o->primary) : g->datacenter;
    g->secure = o->secure;
    g->choice.in_primary = str_eq(g->primary, g->datacenter);
    random_bytes(&seed, sizeof(seed));
    prng_seed(&g->random, seed);
    pthread_mutex_init(&g->mutex, NULL);
    if (!g->choice.in_primary)
        log_signal(false);
    return g;
}

void gateways_free(struct gateways *g) {
    if (g == NULL)
        return;
    pthread_mutex_destroy(&g->mutex);
    arena_free(&g->states);
    arena_free(&g->fallback);
    struct arena arena = g->arena;
    arena_free(&arena);
    mem_free(g);
}

struct secure *gateways_secure(struct gateways *g) {
    return g->secure;
}

struct str gateways_datacenter(const struct gateways *g) {
    return g->datacenter;
}

bool gateways_in_primary(const struct gateways *g) {
    return g->choice.in_primary;
}

static void set_states(struct gateways *g, const struct list *primary, const struct list *local) {
    struct arena arena = ARENA_INIT, old;
    struct list new_primary = copied(primary, &arena), new_local = copied(local, &arena);
    pthread_mutex_lock(&g->mutex);
    struct gateway_choice *c = &g->choice;
    bool changed = !same(&c->primary, primary) || !same(&c->local, local);
    old = g->states;
    c->primary = new_primary;
    c->local = new_local;
    g->states = arena;
    pthread_mutex_unlock(&g->mutex);
    arena_free(&old);
    if (changed)
        log_at(LOG_INFO, LOGGER, "new cached locations of mesh gateways",
               LOG_L("primary", primary->items, primary->len),
               LOG_L("local", local->items, local->len));
}

void gateways_read(struct gateways *g, struct store *store) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    if (store_read_begin(store, &read, &arena, NULL, &e)) {
        struct federation_state *own, *primary;
        federation_state_get(&read, g->datacenter, &own);
        federation_state_get(&read, g->primary, &primary);
        struct list to = gateways_of_state(primary, true, &arena);
        struct list from = gateways_of_state(own, false, &arena);
        set_states(g, &to, &from);
        store_read_end(&read);
    }
    arena_free(&arena);
}

void gateways_touched(struct gateways *g, struct store *store,
                      const struct watch_touched *touched) {
    struct watch_key key;
    for (size_t i = 0; watch_touched_at(touched, i, &key); i++) {
        if (key.table == WATCH_ALL ||
            (key.table == WATCH_TABLE && str_is(key.name, "federation-states"))) {
            gateways_read(g, store);
            return;
        }
    }
}

void gateways_set_fallback(struct gateways *g, const struct str *addresses, size_t count) {
    struct arena arena = ARENA_INIT, old;
    struct list list = LIST_NEW(&arena, struct str, count);
    for (size_t i = 0; i < count; i++)
        LIST_AT(list, struct str, i) = str_copy(&arena, addresses[i]);
    if (count > 0)
        qsort(list.items, list.len, sizeof(struct str), by_text);
    pthread_mutex_lock(&g->mutex);
    bool changed = !same(&g->choice.fallback, &list);
    old = g->fallback;
    g->fallback = arena;
    g->choice.fallback = list;
    pthread_mutex_unlock(&g->mutex);
    arena_free(&old);
    if (changed) /* set on the core alone: the list stays */
        log_at(LOG_INFO, LOGGER, "updated fallback list of primary mesh gateways",
               LOG_L("mesh_gateways", list.items, list.len));
}

void gateways_replicated(struct gateways *g, bool ok) {
    pthread_mutex_lock(&g->mutex);
    bool changed = gateway_signal_tell(&g->choice.signal, ok);
    bool works = g->choice.signal.works;
    pthread_mutex_unlock(&g->mutex);
    if (changed)
        log_signal(works);
}

bool gateways_pick(struct gateways *g, struct str datacenter, struct str *address,
                   struct arena *arena, struct error *e) {
    *address = STR("");
    pthread_mutex_lock(&g->mutex);
    struct list all = gateways_for(&g->choice, str_eq(datacenter, g->primary), arena);
    if (all.len > 0) {
        size_t chosen = (size_t)prng_below(&g->random, all.len);
        *address = str_copy(arena, LIST_AT(all, struct str, chosen));
    }
    pthread_mutex_unlock(&g->mutex);
    log_at(LOG_TRACE, LOGGER, "picking gateway for transit", LOG_S("gateway", *address),
           LOG_S("source_datacenter", g->datacenter), LOG_S("dest_datacenter", datacenter));
    return address->len > 0 || error_set(e, ERROR_IO, GATEWAYS_NONE);
}
