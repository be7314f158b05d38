/* Distance sorting and filtering of what reads found. See near.h. */
#include "server/near.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "schema/filter.h"
#include "server/server.h"
#include "store/catalog.h"
#include "store/coordinate.h"

double near_distance(const struct coord *a, const struct coord *b) {
    if (a == NULL || b == NULL || a->vec.len != b->vec.len) {
        return INFINITY;
    }
    double sum = 0;
    for (uint32_t i = 0; i < a->vec.len; i++) {
        double d = LIST_AT(a->vec, double, i) - LIST_AT(b->vec, double, i);
        sum += d * d;
    }
    double distance = sqrt(sum) + a->height + b->height;
    double adjusted = distance + a->adjustment + b->adjustment;
    if (adjusted > 0) {
        distance = adjusted;
    }
    return floor(distance * 1e9) / 1e9; /* whole nanoseconds */
}

/* The coordinate of a node for a segment; with one coordinate only, that one whatever its segment.
 */
static const struct coord *coord_in(const struct list *coordinates, struct str segment) {
    for (uint32_t i = 0; i < coordinates->len; i++) {
        const struct coordinate *c = LIST_AT(*coordinates, struct coordinate *, i);
        if (str_eq(c->segment, segment)) {
            return c->coord;
        }
    }
    return NULL;
}

struct ranked {
    double distance;
    uint32_t position;
};

static int ranked_compare(const void *a, const void *b) {
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    return x->position < y->position ? -1 : 1;
}

static const void *element_at(const struct list *list, size_t size, uint32_t i) {
    return size == 0 ? ((void *const *)list->items)[i] : (const char *)list->items + i * size;
}

void near_sort(struct call_context *c, const struct query_source *source, struct list *list,
               size_t size, near_node_of *node_of) {
    if (source->node.len == 0 || list->len == 0 ||
        !str_eq(source->datacenter, server_options(c->server)->datacenter)) {
        return;
    }
    struct list from;
    coordinate_node(c->store, source->node, &from);
    if (from.len == 0) {
        return;
    }
    struct str segment = source->segment;
    if (from.len == 1) {
        segment = LIST_AT(from, struct coordinate *, 0)->segment;
    }
    const struct coord *origin = coord_in(&from, segment);
    struct ranked *ranks = ARENA_ARRAY(c->arena, struct ranked, list->len);
    for (uint32_t i = 0; i < list->len; i++) {
        struct list to;
        coordinate_node(c->store, node_of(element_at(list, size, i)), &to);
        ranks[i] = (struct ranked){near_distance(origin, coord_in(&to, segment)), i};
    }
    qsort(ranks, list->len, sizeof(*ranks), ranked_compare);
    size_t width = size == 0 ? sizeof(void *) : size;
    char *sorted = arena_alloc(c->arena, list->len * width);
    for (uint32_t i = 0; i < list->len; i++) {
        memcpy(sorted + i * width, (char *)list->items + ranks[i].position * width, width);
    }
    list->items = sorted;
}

/* ---- filters ---- */

static struct filter *compile(struct arena *arena, struct str text, const struct shape *shape,
                              struct error *e) {
    struct filter *filter = filter_compile(text, shape, arena, e);
    if (filter == NULL) {
        error_prefix(e, "Failed to create boolean expression evaluator: ");
    }
    return filter;
}

bool filter_check(struct str text, const struct shape *shape, struct error *e) {
    if (text.len == 0) {
        return true;
    }
    struct arena arena = ARENA_INIT;
    struct filter *filter = compile(&arena, text, shape, e);
    if (filter != NULL) {
        filter_free(filter);
    }
    arena_free(&arena);
    return filter != NULL;
}

bool filter_list(struct call_context *c, struct str text, const struct shape *shape,
                 struct list *list, size_t size, struct error *e) {
    if (text.len == 0) {
        return true;
    }
    struct filter *filter = compile(c->arena, text, shape, e);
    if (filter == NULL) {
        return false;
    }
    size_t width = size == 0 ? sizeof(void *) : size;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->len; i++) {
        if (filter_match(filter, element_at(list, size, i))) {
            memmove((char *)list->items + kept * width, (char *)list->items + i * width, width);
            kept++;
        }
    }
    filter_free(filter);
    list->len = kept;
    list->present = true;
    return true;
}

bool filter_ptr_map(struct call_context *c, struct str text, const struct shape *shape,
                    struct list *map, struct error *e) {
    if (text.len == 0) {
        return true;
    }
    struct filter *filter = compile(c->arena, text, shape, e);
    if (filter == NULL) {
        return false;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map->len; i++) {
        struct ptr_pair *pair = &LIST_AT(*map, struct ptr_pair, i);
        if (filter_match(filter, pair->value)) {
            LIST_AT(*map, struct ptr_pair, kept++) = *pair;
        }
    }
    filter_free(filter);
    map->len = kept;
    map->present = true;
    return true;
}

void meta_filter(const struct list *filters, struct list *list, size_t size,
                 near_meta_of *meta_of) {
    if (filters->len == 0) {
        return;
    }
    size_t width = size == 0 ? sizeof(void *) : size;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->len; i++) {
        if (catalog_meta_matches(meta_of(element_at(list, size, i)), filters)) {
            memmove((char *)list->items + kept * width, (char *)list->items + i * width, width);
            kept++;
        }
    }
    list->len = kept;
}
