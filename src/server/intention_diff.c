/* What differs between two datacenters' intentions: see intention_replication.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "server/intention_replication.h"

#define BATCH_SIZE ((size_t)256 << 10)
#define RECORD_SIZE 60 /* what is not text */

static int by_id(const void *a, const void *b) {
    return str_compare((*(struct intention *const *)a)->id, (*(struct intention *const *)b)->id);
}

static struct list sorted(const struct list *all, struct arena *arena) {
    struct list out = LIST_NEW(arena, struct intention *, all->len);
    if (all->len > 0) {
        memcpy(out.items, all->items, all->len * sizeof(struct intention *));
        qsort(out.items, out.len, sizeof(struct intention *), by_id);
    }
    return out;
}

static bool has_same_names(const struct intention *a, const struct intention *b) {
    return str_eq_fold(a->source_ns, b->source_ns) && str_eq_fold(a->source_name, b->source_name) &&
           str_eq_fold(a->destination_ns, b->destination_ns) &&
           str_eq_fold(a->destination_name, b->destination_name);
}

static struct txn_op *operation(struct arena *arena, const char *op, struct intention *x) {
    struct txn_op *out = ARENA_NEW(arena, struct txn_op);
    out->intention = ARENA_NEW(arena, struct intention_request);
    out->intention->op = str_from(op);
    out->intention->intention = x;
    return out;
}

void intention_diff(const struct list *local, const struct list *remote, struct arena *arena,
                    struct list *ops) {
    struct list here = sorted(local, arena), there = sorted(remote, arena);
    struct list updates = LIST_NEW(arena, struct txn_op *, there.len);
    uint32_t i = 0;
    *ops = LIST_NEW(arena, struct txn_op *, here.len + there.len);
    ops->len = updates.len = 0;
    for (uint32_t j = 0; j <= there.len; j++) {
        struct intention *y = j < there.len ? LIST_AT(there, struct intention *, j) : NULL;
        struct intention *x = NULL; /* the same here */
        while (i < here.len && x == NULL) {
            struct intention *next = LIST_AT(here, struct intention *, i);
            int order = y != NULL ? str_compare(next->id, y->id) : -1;
            if (order > 0)
                break;
            i++;
            if (order == 0)
                x = next;
            else
                LIST_AT(*ops, struct txn_op *, ops->len++) = operation(arena, "delete", next);
        }
        if (y == NULL || (x != NULL && str_eq(x->hash, y->hash)))
            continue;
        if (x != NULL && !has_same_names(x, y))
            LIST_AT(*ops, struct txn_op *, ops->len++) = operation(arena, "delete", x);
        LIST_AT(updates, struct txn_op *, updates.len++) = operation(arena, "update", y);
    }
    for (uint32_t j = 0; j < updates.len; j++)
        LIST_AT(*ops, struct txn_op *, ops->len++) = LIST_AT(updates, struct txn_op *, j);
}

static size_t size_of(const struct intention *x) {
    const struct str texts[] = {x->id,          x->description,    x->source_ns,
                                x->source_name, x->destination_ns, x->destination_name,
                                x->source_type, x->action,         x->default_addr};
    size_t size = RECORD_SIZE;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        size += texts[i].len;
    for (uint32_t i = 0; i < x->meta.len; i++) {
        const struct str_pair *pair = &LIST_AT(x->meta, struct str_pair, i);
        size += pair->key.len + pair->value.len;
    }
    return size;
}

uint32_t intention_batch(const struct list *ops, uint32_t from) {
    size_t size = 0;
    uint32_t end = from;
    while (end < ops->len && size < BATCH_SIZE)
        size += size_of(LIST_AT(*ops, struct txn_op *, end++)->intention->intention);
    return end - from;
}
