/* A hash map from byte strings to pointers: long-lived tables in memory (sessions' timers,
 * watchers, local services). Keys are copied in; values are the caller's. Iteration order is
 * unspecified, so nothing that must be equal on all servers may depend on it.
 */
#ifndef PRAETOR_BASE_MAP_H
#define PRAETOR_BASE_MAP_H

#include "base/str.h"

struct map_slot;
struct map {
    struct map_slot *slots;
    size_t cap;   /* power of two, or 0 */
    size_t count; /* live entries */
    size_t used;  /* live and deleted */
};
#define MAP_INIT ((struct map){NULL, 0, 0, 0})

void map_free(struct map *m); /* the keys and table; not the values */
void *map_get(const struct map *m, struct str key);
/* Sets or replaces; returns the value that was there or NULL. value must not be NULL. */
void *map_put(struct map *m, struct str key, void *value);
/* Returns the value that was there or NULL. */
void *map_remove(struct map *m, struct str key);
/* for (size_t i = 0; map_next(m, &i, &key, &value);) ...; removing the current key is allowed (the
 * view of it is then gone), putting a new one is not. key and value may be NULL. */
bool map_next(const struct map *m, size_t *cursor, struct str *key, void **value);

/* Sets the secret under which all maps hash, so that clients cannot choose colliding keys. Once,
 * before the first map is used: the program does it at its start with kernel randomness; tests and
 * simulations do not, and iterate in the same order on every run. */
void map_set_hash_key(uint64_t k0, uint64_t k1);
/* The hash that maps use: for tables of another shape whose keys come from outside as well. */
uint64_t map_hash(struct str key);

#endif
