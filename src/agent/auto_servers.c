/* See auto_servers.h. */
#include "agent/auto_servers.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "agent/discover.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "net/resolve.h"
#include "server/rpc_insecure.h"

#define PAUSE_MOST (600 * SECOND)
#define ADDRESSES_MOST 4096 /* of one round */

struct auto_servers {
    struct auto_servers_options o;
    struct prng random;
    struct loop_timer pause;
    unsigned rounds; /* that nobody answered in */

    /* A round: entries are expanded to names, names to addresses. */
    struct arena arena;
    struct str *names; /* "host" or "host:port" */
    size_t name_count, entry, name;
    struct discover *discover;
    struct resolve *resolve;
    struct resolved_address addresses[RESOLVE_ADDRESSES];
    size_t address_count, address;
    uint16_t port;
    bool asked; /* somebody */
    char text[64];
    struct rpc_insecure *call;
};

static void next_entry(struct auto_servers *a);
static void next_address(struct auto_servers *a);

struct str auto_servers_split(struct str text, uint16_t *port) {
    bool bracket = text.len > 0 && text.data[0] == '[';
    ptrdiff_t end = bracket ? str_find_char(text, ']') : str_find_char(text, ':');
    uint64_t number;
    struct str rest;
    if (bracket && end > 0) {
        rest = str_sub(text, (size_t)end + 1, text.len);
        text = str_sub(text, 1, (size_t)end - 1);
    } else if (!bracket && end >= 0 &&
               str_find_char(str_sub(text, (size_t)end + 1, text.len), ':') < 0) {
        rest = str_sub(text, (size_t)end, text.len);
        text = str_sub(text, 0, (size_t)end);
    } else {
        return text; /* no port: a name, or an address of version 6 */
    }
    if (rest.len > 1 && rest.data[0] == ':' && str_to_u64(str_sub(rest, 1, rest.len), &number) &&
        number > 0 && number < 65536)
        *port = (uint16_t)number;
    return text;
}

/* ---- rounds ---- */

static void round_begin(struct auto_servers *a) {
    arena_free(&a->arena);
    a->names = ARENA_ARRAY(&a->arena, struct str, ADDRESSES_MOST);
    a->name_count = a->entry = a->name = 0;
    a->address_count = a->address = 0;
    a->asked = false;
    next_entry(a);
}

static void paused(struct loop_timer *t) {
    round_begin(t->owner);
}

/* 1, 2, 4, … s, and up to a quarter more. */
static void round_over(struct auto_servers *a) {
    log_at(LOG_ERROR, AUTO_LOGGER, a->asked ? a->o.failed : a->o.none);
    int64_t pause = a->rounds < 10 ? SECOND << a->rounds : PAUSE_MOST;
    pause = pause < PAUSE_MOST ? pause : PAUSE_MOST;
    a->rounds += a->rounds < 10 ? 1 : 0;
    pause += (int64_t)prng_below(&a->random, (uint64_t)pause / 4 + 1);
    loop_timer_set(&a->pause, pause);
}

/* ---- one server ---- */

static void log_failure(struct auto_servers *a, struct str why) {
    char text[64];
    snprintf(text, sizeof(text), "%s RPC failed", a->o.method);
    log_at(LOG_ERROR, AUTO_LOGGER, text, LOG_C("addr", a->text), LOG_S("error", why));
}

static void answered(void *owner, struct str reply, const struct error *e) {
    struct auto_servers *a = owner;
    struct arena arena = ARENA_INIT;
    struct error why = ERROR_IN(&arena);
    a->call = NULL;
    if (reply.data == NULL) {
        log_failure(a, e->text);
    } else if (a->o.take(a->o.owner, reply, &why)) {
        arena_free(&arena);
        a->o.done(a->o.owner);
        return;
    } else {
        log_failure(a, why.text);
    }
    arena_free(&arena);
    next_address(a);
}

static void ask(struct auto_servers *a, const struct resolved_address *to) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf body = BUF_INIT;
    char ip[INET6_ADDRSTRLEN], text[64];
    inet_ntop(to->len == 4 ? AF_INET : AF_INET6, to->ip, ip, sizeof(ip));
    snprintf(a->text, sizeof(a->text), to->len == 4 ? "%s:%u" : "[%s]:%u", ip, a->port);
    a->asked = true;
    if (!a->o.body(a->o.owner, &body, &e)) {
        log_at(LOG_ERROR, AUTO_LOGGER, "cannot ask", LOG_S("error", e.text));
        a->name = a->name_count; /* nor anybody else */
        a->address = a->address_count;
        a->entry = a->o.hosts[0].len + a->o.hosts[1].len;
        buf_free(&body);
        arena_free(&arena);
        next_address(a);
        return;
    }
    snprintf(text, sizeof(text), "making %s RPC", a->o.method);
    log_at(LOG_DEBUG, AUTO_LOGGER, text, LOG_C("addr", a->text));
    struct rpc_insecure_options options = {.address = str_from(a->text),
                                           .source = a->o.source,
                                           .tls =
                                               secure_dial_insecure(a->o.secure, a->o.datacenter),
                                           .method = str_from(a->o.method),
                                           .body = buf_str(&body)};
    a->call = rpc_insecure_start(a->o.loop, &options, answered, a);
    buf_free(&body);
    arena_free(&arena);
}

/* ---- addresses ---- */

static void resolved(void *owner, const struct resolved_address *addresses, size_t count,
                     const struct error *e) {
    struct auto_servers *a = owner;
    a->resolve = NULL;
    a->address = 0;
    a->address_count = count < RESOLVE_ADDRESSES ? count : RESOLVE_ADDRESSES;
    if (count == 0)
        log_at(LOG_ERROR, AUTO_LOGGER, "error looking up an address", LOG_S("error", e->text));
    else
        memcpy(a->addresses, addresses, a->address_count * sizeof(*addresses));
    next_address(a);
}

/* An address needs no looking up. */
static bool read_address(struct str text, struct resolved_address *out) {
    char terminated[INET6_ADDRSTRLEN];
    if (text.len >= sizeof(terminated))
        return false;
    memcpy(terminated, text.data, text.len);
    terminated[text.len] = '\0';
    out->len = 4;
    if (inet_pton(AF_INET, terminated, out->ip) == 1)
        return true;
    out->len = 16;
    return inet_pton(AF_INET6, terminated, out->ip) == 1;
}

static void next_name(struct auto_servers *a) {
    if (a->name == a->name_count) {
        next_entry(a);
        return;
    }
    a->port = a->o.port;
    struct str host = auto_servers_split(a->names[a->name++], &a->port);
    a->port = a->o.ports ? a->port : a->o.port;
    a->address = a->address_count = 0;
    if (read_address(host, &a->addresses[0])) {
        a->address_count = 1;
        next_address(a);
    } else {
        a->resolve = resolve_start(a->o.loop, host, resolved, a);
    }
}

static void next_address(struct auto_servers *a) {
    if (a->address < a->address_count)
        ask(a, &a->addresses[a->address++]);
    else
        next_name(a);
}

static void add_name(struct auto_servers *a, struct str name) {
    if (a->name_count < ADDRESSES_MOST)
        a->names[a->name_count++] = str_copy(&a->arena, name);
}

static void discovered(void *owner, const struct str *addresses, size_t count, struct str error) {
    struct auto_servers *a = owner;
    a->discover = NULL;
    if (count == 0 && error.len > 0)
        log_at(LOG_ERROR, AUTO_LOGGER, "error discovering addresses", LOG_S("error", error));
    for (size_t i = 0; i < count; i++)
        add_name(a, addresses[i]);
    next_name(a);
}

/* The next of both lists. */
static void next_entry(struct auto_servers *a) {
    const struct list *first = &a->o.hosts[0], *second = &a->o.hosts[1];
    if (a->entry >= first->len + second->len) {
        round_over(a);
        return;
    }
    struct str entry = a->entry < first->len ? LIST_AT(*first, struct str, a->entry)
                                             : LIST_AT(*second, struct str, a->entry - first->len);
    a->entry++;
    if (discover_wanted(entry)) {
        a->discover = discover_start(a->o.loop, entry, discovered, a);
    } else {
        add_name(a, entry);
        next_name(a);
    }
}

/* ---- life ---- */

struct auto_servers *auto_servers_start(const struct auto_servers_options *options) {
    struct auto_servers *a = MEM_NEW(struct auto_servers);
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    prng_seed(&a->random, seed);
    a->o = *options;
    loop_timer_init(options->loop, &a->pause, paused, a);
    loop_timer_set(&a->pause, 0);
    return a;
}

static void pause_closed(struct loop_timer *t) {
    struct auto_servers *a = t->owner;
    arena_free(&a->arena);
    mem_free(a);
}

void auto_servers_end(struct auto_servers *a) {
    if (a->discover != NULL)
        discover_cancel(a->discover);
    if (a->resolve != NULL)
        resolve_cancel(a->resolve);
    if (a->call != NULL)
        rpc_insecure_cancel(a->call);
    loop_timer_stop(&a->pause);
    loop_timer_close(&a->pause, pause_closed);
}
