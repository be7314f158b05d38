/* The transmit-limited queue: one sorted array for each number of transmissions. */
#include "gossip/broadcasts.h"

#include "base/arena.h"
#include "base/mem.h"

struct broadcast {
    uint64_t order;
    uint32_t transmits, waiter, len;
    uint32_t key_len; /* 0: no key */
    char data[];      /* the message, then the key */
};

static struct str key_of(const struct broadcast *b) {
    return str_of(b->data + b->len, b->key_len);
}

void broadcasts_init(struct broadcasts *q, broadcast_finished_fn *finished, void *owner) {
    *q = (struct broadcasts){.keys = MAP_INIT, .finished = finished, .owner = owner};
}

void broadcasts_free(struct broadcasts *q) {
    for (size_t t = 0; t < q->tier_count; t++) {
        for (size_t i = 0; i < q->tiers[t].len; i++)
            mem_free(q->tiers[t].items[i]);
        mem_free(q->tiers[t].items);
    }
    mem_free(q->tiers);
    map_free(&q->keys);
    *q = (struct broadcasts){.keys = MAP_INIT};
}

/* How many of the tier come before a message of this length and age. */
static size_t tier_find(const struct broadcast_tier *tier, size_t len, uint64_t order) {
    size_t low = 0, high = tier->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct broadcast *b = tier->items[middle];
        if (b->len < len || (b->len == len && b->order < order))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void tier_remove(struct broadcasts *q, struct broadcast_tier *tier, size_t at) {
    tier->len--;
    memmove(&tier->items[at], &tier->items[at + 1], (tier->len - at) * sizeof(struct broadcast *));
    q->len--;
}

static void tier_insert(struct broadcasts *q, struct broadcast *b) {
    while (q->tier_count <= b->transmits) {
        q->tiers = mem_resize(q->tiers, q->tier_count + 1, sizeof *q->tiers);
        q->tiers[q->tier_count++] = (struct broadcast_tier){NULL, 0, 0};
    }
    struct broadcast_tier *tier = &q->tiers[b->transmits];
    if (tier->len == tier->cap) {
        tier->cap = tier->cap > 0 ? 2 * tier->cap : 4;
        tier->items = mem_resize(tier->items, tier->cap, sizeof(struct broadcast *));
    }
    size_t at = tier_find(tier, b->len, b->order);
    memmove(&tier->items[at + 1], &tier->items[at], (tier->len - at) * sizeof(struct broadcast *));
    tier->items[at] = b;
    tier->len++;
    q->len++;
}

/* It is in no tier any more. */
static void finish(struct broadcasts *q, struct broadcast *b) {
    if (b->key_len > 0 && map_get(&q->keys, key_of(b)) == b)
        map_remove(&q->keys, key_of(b));
    uint32_t waiter = b->waiter;
    mem_free(b);
    if (waiter != 0)
        q->finished(q->owner, waiter);
}

void broadcasts_add(struct broadcasts *q, struct str key, struct str bytes, uint32_t waiter) {
    struct broadcast *b = mem_alloc(sizeof *b + bytes.len + key.len);
    *b = (struct broadcast){.order = q->next_order++,
                            .waiter = waiter,
                            .len = (uint32_t)bytes.len,
                            .key_len = (uint32_t)key.len};
    memcpy(b->data, bytes.data, bytes.len);
    if (key.len > 0) {
        memcpy(b->data + bytes.len, key.data, key.len);
        struct broadcast *old = map_put(&q->keys, key, b);
        if (old != NULL) {
            struct broadcast_tier *tier = &q->tiers[old->transmits];
            tier_remove(q, tier, tier_find(tier, old->len, old->order));
            finish(q, old);
        }
    }
    tier_insert(q, b);
}

size_t broadcasts_take(struct broadcasts *q, unsigned limit, size_t overhead, size_t space,
                       size_t max, struct str prefix, struct arena *arena, struct str *out,
                       size_t *used) {
    struct broadcast *taken[128];
    size_t count = 0;
    max = max < COUNT_OF(taken) ? max : COUNT_OF(taken);
    for (size_t t = 0; q->len > 0 && t < q->tier_count; t++) {
        struct broadcast_tier *tier = &q->tiers[t];
        while (count < max && tier->len > 0 && *used + overhead < space) {
            size_t at = tier_find(tier, space - *used - overhead + 1, 0);
            if (at == 0)
                break;
            struct broadcast *b = tier->items[at - 1];
            tier_remove(q, tier, at - 1);
            char *copy = arena_alloc(arena, prefix.len + b->len);
            memcpy(copy, prefix.data, prefix.len);
            memcpy(copy + prefix.len, b->data, b->len);
            out[count] = str_of(copy, prefix.len + b->len);
            taken[count++] = b;
            *used += b->len + overhead;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (++taken[i]->transmits >= limit)
            finish(q, taken[i]);
        else
            tier_insert(q, taken[i]);
    }
    return count;
}

void broadcasts_prune(struct broadcasts *q, size_t len) {
    for (size_t t = q->tier_count; t > 0 && q->len > len; t--) {
        struct broadcast_tier *tier = &q->tiers[t - 1];
        while (tier->len > 0 && q->len > len) {
            struct broadcast *b = tier->items[0];
            tier_remove(q, tier, 0); /* the smallest, oldest */
            finish(q, b);
        }
    }
}
