/* See acl_cache.h. */
#include "server/acl_cache.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/mem.h"

struct acl_value {
    atomic_uint references;
    struct arena arena;
    const void *object;
};

struct entry {
    struct entry *newer, *older; /* by use */
    struct acl_value *value;
    int64_t told;
    size_t key_len;
    char key[];
};

struct acl_cache {
    pthread_mutex_t mutex;
    struct map entries;
    struct entry *newest, *oldest;
    size_t most;
    int64_t ttl;
};

/* ---- values ---- */

struct acl_value *acl_value_new(const struct shape *shape, const void *object) {
    struct arena arena = ARENA_INIT;
    struct acl_value *v = ARENA_NEW(&arena, struct acl_value);
    atomic_init(&v->references, 1);
    if (object != NULL) {
        void *copy = arena_zalloc(&arena, 1, shape->size);
        schema_copy(shape, copy, object, &arena);
        v->object = copy;
    }
    v->arena = arena;
    return v;
}

struct acl_value *acl_value_hold(struct acl_value *v) {
    atomic_fetch_add_explicit(&v->references, 1, memory_order_relaxed);
    return v;
}

void acl_value_release(struct acl_value *v) {
    if (v != NULL && atomic_fetch_sub_explicit(&v->references, 1, memory_order_acq_rel) == 1) {
        struct arena arena = v->arena;
        arena_free(&arena);
    }
}

const void *acl_value_object(const struct acl_value *v) {
    return v->object;
}

/* ---- entries ---- */

static void entry_unlink(struct acl_cache *c, struct entry *e) {
    *(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void entry_link(struct acl_cache *c, struct entry *e) {
    e->older = c->newest;
    *(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void entry_forget(struct acl_cache *c, struct entry *e) {
    map_remove(&c->entries, str_of(e->key, e->key_len));
    entry_unlink(c, e);
    acl_value_release(e->value);
    mem_free(e);
}

static struct entry *entry_used(struct acl_cache *c, struct str key) {
    struct entry *e = map_get(&c->entries, key);
    if (e != NULL && c->newest != e) {
        entry_unlink(c, e);
        entry_link(c, e);
    }
    return e;
}

static struct entry *entry_add(struct acl_cache *c, struct str key) {
    struct entry *e = mem_zalloc(1, sizeof(*e) + key.len);
    e->key_len = key.len;
    memcpy(e->key, key.data, key.len);
    map_put(&c->entries, key, e);
    entry_link(c, e);
    if (c->entries.count > c->most) {
        entry_forget(c, c->oldest);
    }
    return e;
}

/* ---- the cache ---- */

struct acl_cache *acl_cache_new(size_t most, int64_t ttl) {
    ASSERT(most > 0);
    struct acl_cache *c = MEM_NEW(struct acl_cache);
    pthread_mutex_init(&c->mutex, NULL);
    c->entries = MAP_INIT;
    c->most = most;
    c->ttl = ttl;
    return c;
}

void acl_cache_clear(struct acl_cache *c) {
    pthread_mutex_lock(&c->mutex);
    while (c->oldest != NULL) {
        entry_forget(c, c->oldest);
    }
    pthread_mutex_unlock(&c->mutex);
}

void acl_cache_free(struct acl_cache *c) {
    if (c == NULL) {
        return;
    }
    acl_cache_clear(c);
    map_free(&c->entries);
    pthread_mutex_destroy(&c->mutex);
    mem_free(c);
}

enum acl_freshness acl_cache_get(struct acl_cache *c, struct str key, int64_t now,
                                 struct acl_value **value) {
    enum acl_freshness freshness = ACL_UNKNOWN;
    *value = NULL;
    pthread_mutex_lock(&c->mutex);
    struct entry *e = entry_used(c, key);
    if (e != NULL) {
        *value = acl_value_hold(e->value);
        freshness = now - e->told < c->ttl ? ACL_FRESH : ACL_STALE;
    }
    pthread_mutex_unlock(&c->mutex);
    return freshness;
}

void acl_cache_put(struct acl_cache *c, struct str key, struct acl_value *value, int64_t now) {
    pthread_mutex_lock(&c->mutex);
    struct entry *e = entry_used(c, key);
    if (e == NULL) {
        e = entry_add(c, key);
    }
    acl_value_hold(value);
    acl_value_release(e->value);
    e->value = value;
    e->told = now;
    pthread_mutex_unlock(&c->mutex);
}

bool acl_cache_extend(struct acl_cache *c, struct str key, int64_t now) {
    pthread_mutex_lock(&c->mutex);
    struct entry *e = entry_used(c, key);
    if (e != NULL) {
        e->told = now;
    }
    pthread_mutex_unlock(&c->mutex);
    return e != NULL;
}

void acl_cache_drop(struct acl_cache *c, struct str key) {
    pthread_mutex_lock(&c->mutex);
    struct entry *e = map_get(&c->entries, key);
    if (e != NULL) {
        entry_forget(c, e);
    }
    pthread_mutex_unlock(&c->mutex);
}
