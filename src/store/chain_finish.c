/* The last steps of compiling a discovery chain (connect.md 5.2): splitters that lead to splitters
 * become one, what is not reached any more goes, and what overrides made of it gets a name.
 */
#include "schema/config_entry_rules.h"
#include "store/chain_room.h"

/* Splitters of splitters multiply: few entries could make a chain that fills the memory. */
#define SPLITS_MOST 100000

/* ---- splitters of splitters ---- */

static struct chain_node *next_splitter(const struct compile *c, const struct chain_split *split) {
    struct chain_node *node = map_get(&c->nodes, split->next_node);
    return str_is(node->type, CHAIN_SPLITTER) ? node : NULL;
}

/* Replaces the legs of one splitter that lead to splitters by what those lead to, one step. Whether
 * there were any. */
static bool flatten_step(struct compile *c, struct chain_node *node) {
    struct list flat = LIST_EMPTY;
    uint32_t cap = 0;
    bool any = false;
    for (uint32_t i = 0; i < node->splits.len; i++) {
        struct chain_split *split = LIST_AT(node->splits, struct chain_split *, i);
        const struct chain_node *inner = next_splitter(c, split);
        any = any || inner != NULL;
        for (uint32_t k = 0; inner != NULL && k < inner->splits.len; k++) {
            const struct chain_split *leg = LIST_AT(inner->splits, struct chain_split *, k);
            struct chain_split *both = ARENA_NEW(c->arena, struct chain_split);
            both->next_node = leg->next_node;
            both->weight = service_split_weight(split->weight * leg->weight / 100);
            *(struct chain_split **)list_push(&flat, &cap, sizeof both, c->arena) = both;
        }
        if (inner == NULL)
            *(struct chain_split **)list_push(&flat, &cap, sizeof split, c->arena) = split;
        if (flat.len > SPLITS_MOST)
            break;
    }
    node->splits = flat;
    return any;
}

/* Those that no router nor the start leads to are dropped anyway: they are not worth it. */
static bool flatten(struct compile *c, struct str name) {
    struct chain_node *node = map_get(&c->nodes, name);
    while (node->splits.len <= SPLITS_MOST && flatten_step(c, node))
        ;
    if (node->splits.len <= SPLITS_MOST)
        return true;
    struct str service = str_quote(c->arena, c->question->service);
    return error_set(c->error, ERROR_INTERNAL, "discovery chain %.*s has too many splits",
                     STR_ARG(service));
}

/* ---- what is reached ---- */

static void reach(struct compile *c, struct map *reached, struct list *queue, uint32_t *cap,
                  struct str name) {
    struct chain_node *node = map_get(&c->nodes, name);
    if (map_put(reached, name, node) == NULL)
        *(struct chain_node **)list_push(queue, cap, sizeof node, c->arena) = node;
}

static void reach_targets(struct compile *c, struct map *targets,
                          const struct chain_resolver *resolver) {
    map_put(targets, resolver->target, map_get(&c->targets, resolver->target));
    for (uint32_t i = 0; resolver->failover != NULL && i < resolver->failover->targets.len; i++) {
        struct str id = LIST_AT(resolver->failover->targets, struct str, i);
        map_put(targets, id, map_get(&c->targets, id));
    }
}

static void drop_unreached(struct compile *c) {
    struct map nodes = MAP_INIT, targets = MAP_INIT;
    struct list queue = LIST_EMPTY;
    uint32_t cap = 0;
    reach(c, &nodes, &queue, &cap, c->start);
    for (uint32_t i = 0; i < queue.len; i++) { /* grows meanwhile */
        const struct chain_node *node = LIST_AT(queue, struct chain_node *, i);
        for (uint32_t k = 0; k < node->routes.len; k++)
            reach(c, &nodes, &queue, &cap,
                  LIST_AT(node->routes, struct chain_route *, k)->next_node);
        for (uint32_t k = 0; k < node->splits.len; k++)
            reach(c, &nodes, &queue, &cap,
                  LIST_AT(node->splits, struct chain_split *, k)->next_node);
        if (node->resolver != NULL)
            reach_targets(c, &targets, node->resolver);
    }
    map_free(&c->nodes);
    map_free(&c->targets);
    c->nodes = nodes;
    c->targets = targets;
}

bool chain_flatten(struct compile *c) {
    const struct chain_node *start = map_get(&c->nodes, c->start);
    if (!flatten(c, c->start))
        return false;
    for (uint32_t i = 0; i < start->routes.len; i++) {
        if (!flatten(c, LIST_AT(start->routes, struct chain_route *, i)->next_node))
            return false;
    }
    drop_unreached(c);
    return true;
}

/* ---- the customization hash ---- */

#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static uint64_t fnv_add(uint64_t hash, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        hash = hash * FNV_PRIME ^ ((const unsigned char *)bytes)[i];
    return hash;
}

static uint64_t hash_str(struct str s) {
    return fnv_add(FNV_OFFSET, s.data, s.len);
}

static uint64_t add_u64(uint64_t hash, uint64_t n) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(n >> (8 * i));
    return fnv_add(hash, bytes, sizeof bytes);
}

static uint64_t hash_pair(struct str name, uint64_t value) {
    return add_u64(add_u64(FNV_OFFSET, hash_str(name)), value);
}

struct str chain_customization(const struct compile *c) {
    const struct chain_question *q = c->question;
    if (!c->by_protocol && !c->by_timeout && !c->by_gateway)
        return STR("");
    struct str mode = c->by_gateway ? q->override_mesh_gateway : STR("");
    struct str protocol = c->by_protocol ? q->override_protocol : STR("");
    uint64_t timeout = c->by_timeout ? (uint64_t)q->override_connect_timeout : 0;
    uint64_t gateway = hash_str(STR("MeshGatewayConfig")) ^ hash_pair(STR("Mode"), hash_str(mode));
    uint64_t hash = hash_str(STR("")) ^ hash_pair(STR("OverrideMeshGateway"), gateway) ^
                    hash_pair(STR("OverrideProtocol"), hash_str(protocol)) ^
                    hash_pair(STR("OverrideConnectTimeout"), add_u64(FNV_OFFSET, timeout));
    struct str text = str_format(c->arena, "%llx", (unsigned long long)hash);
    return str_sub(text, 0, 8);
}

/* ---- the maps ---- */

static struct list pairs_of(const struct compile *c, const struct map *from) {
    struct list pairs = LIST_NEW(c->arena, struct ptr_pair, from->count);
    struct str key;
    void *value;
    uint32_t n = 0;
    for (size_t i = 0; map_next(from, &i, &key, &value);)
        LIST_AT(pairs, struct ptr_pair, n++) = (struct ptr_pair){str_copy(c->arena, key), value};
    map_sort(&pairs, sizeof(struct ptr_pair), c->arena);
    return pairs;
}

struct list chain_nodes(const struct compile *c) {
    return pairs_of(c, &c->nodes);
}

struct list chain_targets(const struct compile *c) {
    return pairs_of(c, &c->targets);
}
