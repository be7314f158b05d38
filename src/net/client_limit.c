/* A count for each client address under one lock: taken twice in a connection's life. */
#include "net/client_limit.h"

#include <pthread.h>

#include "base/map.h"
#include "base/mem.h"

struct client_limit {
    pthread_mutex_t mutex;
    int64_t most;
    struct map counts; /* value: the count itself, never 0 */
};

struct client_limit *client_limit_new(int64_t most) {
    struct client_limit *l = MEM_NEW(struct client_limit);
    pthread_mutex_init(&l->mutex, NULL);
    l->most = most;
    return l;
}

void client_limit_free(struct client_limit *l) {
    map_free(&l->counts);
    pthread_mutex_destroy(&l->mutex);
    mem_free(l);
}

void client_limit_set(struct client_limit *l, int64_t most) {
    pthread_mutex_lock(&l->mutex);
    l->most = most;
    pthread_mutex_unlock(&l->mutex);
}

bool client_limit_enter(struct client_limit *l, struct str key) {
    pthread_mutex_lock(&l->mutex);
    uintptr_t count = (uintptr_t)map_get(&l->counts, key);
    bool fits = l->most <= 0 || (int64_t)count < l->most;
    if (fits)
        map_put(&l->counts, key, (void *)(count + 1));
    pthread_mutex_unlock(&l->mutex);
    return fits;
}

void client_limit_leave(struct client_limit *l, struct str key) {
    pthread_mutex_lock(&l->mutex);
    uintptr_t count = (uintptr_t)map_get(&l->counts, key);
    ASSERT(count > 0);
    if (count == 1)
        map_remove(&l->counts, key);
    else
        map_put(&l->counts, key, (void *)(count - 1));
    pthread_mutex_unlock(&l->mutex);
}
