/* The pure parts of federation.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "server/federation.h"

/* ---- who supports it ---- */

static bool has_tag(const struct peer *p) {
    const struct str *value = str_map_get(&p->tags, STR("ft_fs"));
    return value != NULL && str_is(*value, "1");
}

bool federation_is_supported(const struct peer *const *servers, size_t count,
                             struct str datacenter) {
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        const struct peer *p = servers[i];
        bool counts = p->status == PEER_ALIVE || p->status == PEER_FAILED;
        if (!counts || !str_eq(p->datacenter, datacenter))
            continue;
        if (!has_tag(p))
            return false;
        found = true;
    }
    return found;
}

/* ---- what differs ---- */

static int compare(const struct federation_state *a, const struct federation_state *b) {
    return str_compare_fold(a->datacenter, b->datacenter);
}

static int by_datacenter(const void *a, const void *b) {
    return compare(*(struct federation_state *const *)a, *(struct federation_state *const *)b);
}

static struct list sorted(const struct list *all, struct arena *arena) {
    struct list out = LIST_NEW(arena, struct federation_state *, all->len);
    if (all->len > 0) {
        memcpy(out.items, all->items, all->len * sizeof(struct federation_state *));
        qsort(out.items, out.len, sizeof(struct federation_state *), by_datacenter);
    }
    return out;
}

bool federation_same_gateways(const struct federation_state *a, const struct federation_state *b) {
    static const char *const others[] = {"Datacenter",         "UpdatedAt",   "CreateIndex",
                                         "PrimaryModifyIndex", "ModifyIndex", NULL};
    return schema_equal_but(&federation_state_shape, a, b, others);
}

static bool is_copy(const struct federation_state *here, const struct federation_state *there) {
    static const char *const indexes[] = {"CreateIndex", "ModifyIndex", "PrimaryModifyIndex", NULL};
    return here->primary_modify_index == there->modify_index &&
           schema_equal_but(&federation_state_shape, here, there, indexes);
}

static void add(struct list *ops, const struct federation_state *state, bool delete) {
    LIST_AT(*ops, struct federation_op, ops->len++) = (struct federation_op){state, delete};
}

static void add_copy(struct list *ops, const struct federation_state *there, struct arena *arena) {
    struct federation_state *copy = ARENA_NEW(arena, struct federation_state);
    *copy = *there;
    copy->primary_modify_index = there->modify_index;
    add(ops, copy, false);
}

struct list federation_diff(const struct list *local, const struct list *remote,
                            uint64_t last_index, struct arena *arena) {
    struct list here = sorted(local, arena), there = sorted(remote, arena);
    struct list ops = LIST_NEW(arena, struct federation_op, here.len + there.len);
    uint32_t i = 0, j = 0;
    ops.len = 0;
    while (i < here.len || j < there.len) {
        const struct federation_state *x =
            i < here.len ? LIST_AT(here, struct federation_state *, i) : NULL;
        const struct federation_state *y =
            j < there.len ? LIST_AT(there, struct federation_state *, j) : NULL;
        int order = x == NULL ? 1 : y == NULL ? -1 : compare(x, y);
        if (order < 0)
            add(&ops, x, true);
        else if (order > 0 || (y->modify_index > last_index && !is_copy(x, y)))
            add_copy(&ops, y, arena);
        i += order <= 0;
        j += order >= 0;
    }
    return ops;
}

/* ---- what is lost ---- */

struct list federation_lost(const struct list *states, const struct peer_datacenter *known,
                            size_t count, struct arena *arena) {
    struct list ops = LIST_NEW(arena, struct federation_op, states->len);
    ops.len = 0;
    for (uint32_t i = 0; i < states->len; i++) {
        const struct federation_state *state = LIST_AT(*states, struct federation_state *, i);
        bool found = false;
        for (size_t k = 0; k < count && !found; k++)
            found = str_eq_fold(known[k].name, state->datacenter);
        if (!found)
            add(&ops, state, true);
    }
    return ops;
}
