/* The known servers: two pools as the core last gave them, and for each datacenter the list whose
 * first server takes the calls. Lists are short (a few servers), so everything is found by looking
 * through them.
 */
#include "server/peers.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"

/* Servers of one pool; more are ignored. */
#define PEERS_MAX 4096

/* ---- one server ---- */

struct peer_memory {
    _Atomic unsigned references;
    struct arena arena;
    struct peer peer;
};

const struct peer *peer_hold(const struct peer *p) {
    atomic_fetch_add_explicit(&p->memory->references, 1, memory_order_relaxed);
    return p;
}

void peer_release(const struct peer *p) {
    if (p == NULL ||
        atomic_fetch_sub_explicit(&p->memory->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    struct peer_memory *memory = p->memory;
    arena_free(&memory->arena);
    mem_free(memory);
}

static struct list tags_copy(struct arena *arena, const struct list *from) {
    struct list to = LIST_NEW(arena, struct str_pair, from->len);
    for (uint32_t i = 0; i < from->len; i++) {
        const struct str_pair *pair = &LIST_AT(*from, struct str_pair, i);
        LIST_AT(to, struct str_pair, i) =
            (struct str_pair){str_copy(arena, pair->key), str_copy(arena, pair->value)};
    }
    return to;
}

static struct peer *peer_copy(const struct peer *from, enum peer_pool pool) {
    struct peer_memory *memory = MEM_NEW(struct peer_memory);
    struct arena *arena = &memory->arena;
    struct peer *p = &memory->peer;
    atomic_init(&memory->references, 1);
    *p = *from;
    p->name = str_copy(arena, from->name);
    p->id = str_copy(arena, from->id);
    p->datacenter = str_copy(arena, from->datacenter);
    p->segment = str_copy(arena, from->segment);
    p->address = str_copy(arena, from->address);
    p->build = str_copy(arena, from->build);
    p->tags = tags_copy(arena, &from->tags);
    p->pool = pool;
    p->memory = memory;
    return p;
}

static bool peer_same(const struct peer *a, const struct peer *b) {
    return str_eq(a->name, b->name) && str_eq(a->datacenter, b->datacenter);
}

/* ---- lists of held servers ---- */

struct roster {
    const struct peer **at;
    size_t len, cap;
};

static void roster_add(struct roster *r, const struct peer *p) {
    if (r->len == r->cap) {
        r->cap = r->cap == 0 ? 8 : r->cap * 2;
        r->at = mem_resize(r->at, r->cap, sizeof(*r->at));
    }
    r->at[r->len++] = peer_hold(p);
}

static void roster_free(struct roster *r) {
    peers_list_release(r->at, r->len);
    mem_free(r->at);
    *r = (struct roster){NULL, 0, 0};
}

static const struct peer *roster_find(const struct roster *r, const struct peer *like) {
    for (size_t i = 0; i < r->len; i++) {
        if (peer_same(r->at[i], like)) {
            return r->at[i];
        }
    }
    return NULL;
}

void peers_list_release(const struct peer **list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        peer_release(list[i]);
    }
}

static size_t roster_copy(const struct roster *r, struct arena *arena, const struct peer ***out) {
    *out = ARENA_ARRAY(arena, const struct peer *, r->len);
    for (size_t i = 0; i < r->len; i++) {
        (*out)[i] = peer_hold(r->at[i]);
    }
    return r->len;
}

/* ---- whose turn it is, in one datacenter ---- */

struct turn {
    struct turn *next;
    char *datacenter;
    struct roster servers; /* the first takes the calls */
    bool offline;          /* the last rebalance found none that answers */
    double distance;
};

struct peers {
    pthread_mutex_t mutex;
    char *datacenter;
    bool client;
    struct roster pools[PEER_POOLS];
    struct turn *turns;
    size_t members;
};

struct peers *peers_new(struct str datacenter, bool client) {
    struct peers *p = MEM_NEW(struct peers);
    struct arena arena = ARENA_INIT;
    pthread_mutex_init(&p->mutex, NULL);
    p->datacenter = mem_strdup(str_terminated(&arena, datacenter));
    p->client = client;
    arena_free(&arena);
    return p;
}

static void turn_free(struct turn *t) {
    roster_free(&t->servers);
    mem_free(t->datacenter);
    mem_free(t);
}

void peers_free(struct peers *p) {
    if (p == NULL) {
        return;
    }
    while (p->turns != NULL) {
        struct turn *next = p->turns->next;
        turn_free(p->turns);
        p->turns = next;
    }
    for (int i = 0; i < PEER_POOLS; i++) {
        roster_free(&p->pools[i]);
    }
    pthread_mutex_destroy(&p->mutex);
    mem_free(p->datacenter);
    mem_free(p);
}

static struct turn *turn_find(const struct peers *p, struct str datacenter) {
    struct turn *t = p->turns;
    while (t != NULL && !str_is(datacenter, t->datacenter)) {
        t = t->next;
    }
    return t;
}

static struct turn *turn_get(struct peers *p, struct str datacenter) {
    struct turn *t = turn_find(p, datacenter);
    if (t == NULL) {
        struct arena arena = ARENA_INIT;
        t = MEM_NEW(struct turn);
        t->datacenter = mem_strdup(str_terminated(&arena, datacenter));
        t->distance = str_is(datacenter, p->datacenter) ? 0 : INFINITY;
        t->next = p->turns;
        p->turns = t;
        arena_free(&arena);
    }
    return t;
}

/* ---- the core's news ---- */

/* The LAN pool fills the own datacenter's list, the WAN pool all others. */
static bool turn_is_of(const struct peers *p, const struct turn *t, enum peer_pool pool) {
    return (strcmp(t->datacenter, p->datacenter) == 0) == (pool == PEER_POOL_LAN);
}

static bool takes_calls(const struct peer *s) {
    return s->status == PEER_ALIVE || s->status == PEER_LEAVING ||
           (s->status == PEER_FAILED && s->pool == PEER_POOL_WAN);
}

/* The list in its old order, without those who are gone; who has just failed goes to the end. */
static void turn_refresh(struct turn *t, const struct roster *now) {
    struct roster old = t->servers;
    struct roster failed = {NULL, 0, 0};
    t->servers = (struct roster){NULL, 0, 0};
    for (size_t i = 0; i < old.len; i++) {
        const struct peer *s = roster_find(now, old.at[i]);
        if (s == NULL || !takes_calls(s)) {
            continue;
        }
        bool news = s->status == PEER_FAILED && old.at[i]->status != PEER_FAILED;
        roster_add(news ? &failed : &t->servers, s);
    }
    for (size_t i = 0; i < failed.len; i++) {
        roster_add(&t->servers, failed.at[i]);
    }
    roster_free(&failed);
    roster_free(&old);
}

static void turns_add(struct peers *p, enum peer_pool pool, const struct roster *now) {
    for (size_t i = 0; i < now->len; i++) {
        const struct peer *s = now->at[i];
        bool own = str_is(s->datacenter, p->datacenter);
        if (own != (pool == PEER_POOL_LAN) || !takes_calls(s)) {
            continue;
        }
        struct turn *t = turn_get(p, s->datacenter);
        if (roster_find(&t->servers, s) == NULL) {
            roster_add(&t->servers, s);
            t->offline = false;
        }
    }
}

/* A datacenter whose last server is gone disappears. */
static void turns_drop_empty(struct peers *p) {
    struct turn **link = &p->turns;
    while (*link != NULL) {
        struct turn *t = *link;
        if (t->servers.len > 0) {
            link = &t->next;
            continue;
        }
        *link = t->next;
        turn_free(t);
    }
}

void peers_update(struct peers *p, enum peer_pool pool, const struct peer *all, size_t count) {
    struct roster now = {NULL, 0, 0};
    for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
        struct peer *copy = peer_copy(&all[i], pool);
        roster_add(&now, copy);
        peer_release(copy);
    }
    pthread_mutex_lock(&p->mutex);
    for (struct turn *t = p->turns; t != NULL; t = t->next) {
        if (turn_is_of(p, t, pool)) {
            turn_refresh(t, &now);
        }
    }
    turns_add(p, pool, &now);
    turns_drop_empty(p);
    struct roster old = p->pools[pool];
    p->pools[pool] = now;
    pthread_mutex_unlock(&p->mutex);
    roster_free(&old);
}

/* ---- look-ups ---- */

static bool is_up(const struct peer *s) {
    return (s->status == PEER_ALIVE || s->status == PEER_LEAVING) && s->segment.len == 0;
}

static const struct peer *lookup(struct peers *p, struct str wanted, size_t member) {
    const struct peer *found = NULL;
    const struct roster *lan = &p->pools[PEER_POOL_LAN];
    pthread_mutex_lock(&p->mutex);
    for (size_t i = 0; i < lan->len && found == NULL; i++) {
        const struct str *is = (const struct str *)((const char *)lan->at[i] + member);
        if (is_up(lan->at[i]) && str_eq(*is, wanted)) {
            found = peer_hold(lan->at[i]);
        }
    }
    pthread_mutex_unlock(&p->mutex);
    return found;
}

const struct peer *peers_by_address(struct peers *p, struct str address) {
    return address.len > 0 ? lookup(p, address, offsetof(struct peer, address)) : NULL;
}

const struct peer *peers_by_id(struct peers *p, struct str id) {
    return id.len > 0 ? lookup(p, id, offsetof(struct peer, id)) : NULL;
}

size_t peers_list(struct peers *p, enum peer_pool pool, struct arena *arena,
                  const struct peer ***out) {
    pthread_mutex_lock(&p->mutex);
    size_t n = roster_copy(&p->pools[pool], arena, out);
    pthread_mutex_unlock(&p->mutex);
    return n;
}

/* ---- choosing ---- */

const struct peer *peers_choose(struct peers *p, struct str datacenter, struct error *e) {
    const struct peer *chosen = NULL;
    pthread_mutex_lock(&p->mutex);
    struct turn *t = turn_find(p, p->client ? str_from(p->datacenter) : datacenter);
    bool known = t != NULL;
    if (known && (p->client || !t->offline)) {
        chosen = peer_hold(t->servers.at[0]);
    }
    pthread_mutex_unlock(&p->mutex);
    if (chosen == NULL) {
        error_set(e, ERROR_INTERNAL, "%s",
                  p->client ? "No known Consul servers"
                  : known   ? "Remote DC has no server currently reachable"
                            : "No path to datacenter");
    }
    return chosen;
}

bool peers_have(struct peers *p, struct str datacenter) {
    pthread_mutex_lock(&p->mutex);
    struct turn *t = turn_find(p, p->client ? str_from(p->datacenter) : datacenter);
    bool have = t != NULL && (p->client || !t->offline);
    pthread_mutex_unlock(&p->mutex);
    return have;
}

void peers_rotate(struct peers *p, const struct peer *failed) {
    pthread_mutex_lock(&p->mutex);
    struct turn *t = turn_find(p, failed->datacenter);
    if (t != NULL && t->servers.len > 1 && peer_same(t->servers.at[0], failed)) {
        const struct peer **at = t->servers.at;
        const struct peer *first = at[0];
        memmove(at, at + 1, (t->servers.len - 1) * sizeof(*at));
        at[t->servers.len - 1] = first;
    }
    pthread_mutex_unlock(&p->mutex);
}

size_t peers_order(struct peers *p, struct str datacenter, struct arena *arena,
                   const struct peer ***out) {
    size_t n = 0;
    *out = NULL;
    pthread_mutex_lock(&p->mutex);
    struct turn *t = turn_find(p, datacenter);
    if (t != NULL) {
        n = roster_copy(&t->servers, arena, out);
    }
    pthread_mutex_unlock(&p->mutex);
    return n;
}

/* The wanted order without those who are gone, then those who came meanwhile. Empty when the first
 * one is gone: then the old order stays. */
static struct roster merged(const struct roster *present, const struct peer *const *wanted,
                            size_t count) {
    struct roster order = {NULL, 0, 0};
    if (count == 0 || roster_find(present, wanted[0]) == NULL) {
        return order;
    }
    for (size_t i = 0; i < count; i++) {
        const struct peer *s = roster_find(present, wanted[i]);
        if (s != NULL) {
            roster_add(&order, s);
        }
    }
    for (size_t i = 0; i < present->len; i++) {
        if (roster_find(&order, present->at[i]) == NULL) {
            roster_add(&order, present->at[i]);
        }
    }
    return order;
}

void peers_reorder(struct peers *p, struct str datacenter, const struct peer *const *wanted,
                   size_t count, bool healthy) {
    pthread_mutex_lock(&p->mutex);
    struct turn *t = turn_find(p, datacenter);
    if (t != NULL) {
        t->offline = !healthy;
        struct roster order = {NULL, 0, 0};
        if (healthy) {
            order = merged(&t->servers, wanted, count);
        }
        if (order.len > 0) {
            roster_free(&t->servers);
            t->servers = order;
        }
    }
    pthread_mutex_unlock(&p->mutex);
}

/* ---- datacenters ---- */

static int nearer(const void *a, const void *b) {
    const struct peer_datacenter *x = a, *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    return str_compare(x->name, y->name);
}

size_t peers_datacenters(struct peers *p, struct arena *arena, struct peer_datacenter **out) {
    pthread_mutex_lock(&p->mutex);
    size_t most = 1, n = 0;
    for (struct turn *t = p->turns; t != NULL; t = t->next) {
        most++;
    }
    *out = ARENA_ARRAY(arena, struct peer_datacenter, most);
    (*out)[n++] = (struct peer_datacenter){str_copy(arena, str_from(p->datacenter)), 0};
    for (struct turn *t = p->turns; t != NULL; t = t->next) {
        if (strcmp(t->datacenter, p->datacenter) != 0) {
            (*out)[n++] =
                (struct peer_datacenter){str_copy(arena, str_from(t->datacenter)), t->distance};
        }
    }
    pthread_mutex_unlock(&p->mutex);
    qsort(*out, n, sizeof(**out), nearer);
    return n;
}

void peers_set_distance(struct peers *p, struct str datacenter, double distance) {
    pthread_mutex_lock(&p->mutex);
    struct turn *t = turn_find(p, datacenter);
    if (t != NULL && strcmp(t->datacenter, p->datacenter) != 0) {
        t->distance = distance;
    }
    pthread_mutex_unlock(&p->mutex);
}

void peers_set_members(struct peers *p, size_t members) {
    pthread_mutex_lock(&p->mutex);
    p->members = members;
    pthread_mutex_unlock(&p->mutex);
}

size_t peers_members(struct peers *p) {
    pthread_mutex_lock(&p->mutex);
    size_t members = p->members;
    pthread_mutex_unlock(&p->mutex);
    return members;
}
