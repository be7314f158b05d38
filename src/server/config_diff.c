/* What differs between two datacenters' configuration entries: see config_replication.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "server/config_replication.h"

/* In the order of writing. */
static const char *const kinds[] = {
    CONFIG_PROXY_DEFAULTS,      CONFIG_SERVICE_DEFAULTS, CONFIG_SERVICE_RESOLVER,
    CONFIG_SERVICE_SPLITTER,    CONFIG_SERVICE_ROUTER,   CONFIG_INGRESS_GATEWAY,
    CONFIG_TERMINATING_GATEWAY,
};

static int rank_of(struct str kind) {
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (str_is(kind, kinds[i]))
            return (int)i;
    }
    return COUNT_OF(kinds);
}

/* Names are found in any letter case: those that differ in it only are one entry. */
static int compare(const struct config_entry *a, const struct config_entry *b) {
    int order = rank_of(a->kind) - rank_of(b->kind);
    return order != 0 ? order : str_compare_fold(a->name, b->name);
}

static int by_kind_and_name(const void *a, const void *b) {
    return compare(*(struct config_entry *const *)a, *(struct config_entry *const *)b);
}

static struct list sorted(const struct list *all, struct arena *arena) {
    struct list out = LIST_NEW(arena, struct config_entry *, all->len);
    if (all->len > 0) {
        memcpy(out.items, all->items, all->len * sizeof(struct config_entry *));
        qsort(out.items, out.len, sizeof(struct config_entry *), by_kind_and_name);
    }
    return out;
}

static bool is_same(const struct config_entry *a, const struct config_entry *b) {
    static const char *const indexes[] = {"CreateIndex", "ModifyIndex", NULL};
    const struct shape *shape = config_entry_shape(a->kind);
    return shape != NULL && schema_equal_but(shape, a, b, indexes);
}

static void add(struct list *ops, const struct config_entry *entry, bool delete) {
    LIST_AT(*ops, struct config_op, ops->len++) =
        (struct config_op){.entry = entry, .delete = delete};
}

struct list config_diff(const struct list *local, const struct list *remote, uint64_t last_index,
                        struct arena *arena) {
    struct list here = sorted(local, arena), there = sorted(remote, arena);
    struct list updates = LIST_NEW(arena, struct config_op, there.len);
    struct list deletions = LIST_NEW(arena, struct config_op, here.len);
    struct list ops = LIST_NEW(arena, struct config_op, here.len + there.len);
    uint32_t i = 0, j = 0;
    updates.len = deletions.len = ops.len = 0;
    while (i < here.len || j < there.len) {
        const struct config_entry *x =
            i < here.len ? LIST_AT(here, struct config_entry *, i) : NULL;
        const struct config_entry *y =
            j < there.len ? LIST_AT(there, struct config_entry *, j) : NULL;
        int order = x == NULL ? 1 : y == NULL ? -1 : compare(x, y);
        if (order < 0)
            add(&deletions, x, true);
        else if (order > 0 || (y->modify_index > last_index && !is_same(x, y)))
            add(&updates, y, false);
        i += order <= 0;
        j += order >= 0;
    }
    for (uint32_t k = deletions.len; k-- > 0;)
        add(&ops, LIST_AT(deletions, struct config_op, k).entry, true);
    for (uint32_t k = 0; k < updates.len; k++)
        add(&ops, LIST_AT(updates, struct config_op, k).entry, false);
    return ops;
}
