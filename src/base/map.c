/* The hash map: open addressing with linear probing. A removed entry leaves a marker behind, so
 * that nothing moves while somebody iterates; markers go when the table is rebuilt.
 *
 * Keys come from outside (service ids, keys watched), so the hash must not let a client choose
 * collisions: it is SipHash-1-3 (Aumasson and Bernstein 2012) under a key that the process draws at
 * its start. Until it does, the key is fixed, and runs of the simulator repeat.
 */
#include "base/map.h"

#include <endian.h>

#include "base/mem.h"

struct map_slot {
    char *key; /* NULL: free; removed_key: was removed */
    size_t len;
    uint64_t hash;
    void *value;
};

enum { MAP_SMALLEST = 8 };

static char removed_key[1];
static uint64_t hash_key[2] = {0x70726165746f7231u, 0x636f6e73756c3837u};

void map_set_hash_key(uint64_t k0, uint64_t k1) {
    hash_key[0] = k0;
    hash_key[1] = k1;
}

static uint64_t rotate_left(uint64_t x, unsigned n) {
    return (x << n) | (x >> (64 - n));
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t map_hash(struct str key) {
    uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575u, hash_key[1] ^ 0x646f72616e646f6du,
                     hash_key[0] ^ 0x6c7967656e657261u, hash_key[1] ^ 0x7465646279746573u};
    uint64_t word;
    size_t at = 0;
    for (; key.len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, key.data + at, sizeof word);
        sip_word(v, le64toh(word));
    }
    word = 0;
    if (at < key.len) {
        memcpy(&word, key.data + at, key.len - at);
    }
    sip_word(v, le64toh(word) | (uint64_t)key.len << 56);
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static bool slot_is_live(const struct map_slot *slot) {
    return slot->key != NULL && slot->key != removed_key;
}

/* The slot that holds the key, or NULL. Ends, because a table is never full. */
static struct map_slot *slot_find(const struct map *m, struct str key, uint64_t hash) {
    if (m->cap == 0) {
        return NULL;
    }
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *slot = &m->slots[i];
        if (slot->key == NULL) {
            return NULL;
        }
        if (slot->key != removed_key && slot->hash == hash &&
            str_eq(str_of(slot->key, slot->len), key)) {
            return slot;
        }
    }
}

static struct map_slot *slot_find_free(struct map *m, uint64_t hash) {
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].key != NULL) {
        i = (i + 1) & (m->cap - 1);
    }
    return &m->slots[i];
}

/* A new table with room for one more: bigger, smaller or the same size without the markers. */
static void map_rebuild(struct map *m) {
    size_t cap = MAP_SMALLEST;
    while (cap / 2 < m->count + 1) {
        cap *= 2;
    }
    struct map fresh = {mem_zalloc(cap, sizeof(struct map_slot)), cap, m->count, m->count};
    for (size_t i = 0; i < m->cap; i++) {
        if (slot_is_live(&m->slots[i])) {
            *slot_find_free(&fresh, m->slots[i].hash) = m->slots[i];
        }
    }
    mem_free(m->slots);
    *m = fresh;
}

void map_free(struct map *m) {
    for (size_t i = 0; i < m->cap; i++) {
        if (slot_is_live(&m->slots[i])) {
            mem_free(m->slots[i].key);
        }
    }
    mem_free(m->slots);
    *m = MAP_INIT;
}

void *map_get(const struct map *m, struct str key) {
    const struct map_slot *slot = slot_find(m, key, map_hash(key));
    return slot == NULL ? NULL : slot->value;
}

void *map_put(struct map *m, struct str key, void *value) {
    ASSERT(value != NULL);
    uint64_t hash = map_hash(key);
    struct map_slot *slot = slot_find(m, key, hash);
    if (slot != NULL) {
        void *old = slot->value;
        slot->value = value;
        return old;
    }
    /* At most three quarters in use, markers included. */
    if (m->used + 1 > m->cap / 4 * 3) {
        map_rebuild(m);
    }
    slot = slot_find_free(m, hash);
    slot->key = mem_alloc(key.len);
    if (key.len > 0) {
        memcpy(slot->key, key.data, key.len);
    }
    slot->len = key.len;
    slot->hash = hash;
    slot->value = value;
    m->count++;
    m->used++;
    ASSERT(m->count <= m->used && m->used < m->cap);
    return NULL;
}

void *map_remove(struct map *m, struct str key) {
    struct map_slot *slot = slot_find(m, key, map_hash(key));
    if (slot == NULL) {
        return NULL;
    }
    void *old = slot->value;
    mem_free(slot->key);
    *slot = (struct map_slot){.key = removed_key};
    m->count--;
    return old;
}

bool map_next(const struct map *m, size_t *cursor, struct str *key, void **value) {
    for (; *cursor < m->cap; ++*cursor) {
        const struct map_slot *slot = &m->slots[*cursor];
        if (slot_is_live(slot)) {
            if (key != NULL) {
                *key = str_of(slot->key, slot->len);
            }
            if (value != NULL) {
                *value = slot->value;
            }
            ++*cursor;
            return true;
        }
    }
    return false;
}
