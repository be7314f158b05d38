/* What the records of a service's instances are, worked out once for each answer of the endpoint
 * and kept with it: which address is picked, target names, weights, metadata as text. A query then
 * only shuffles, filters and points at what it needs.
 */
#include "base/map.h"
#include "base/mem.h"
#include "codec/ip.h"
#include "dns/query.h"

/* Built in three pieces that are joined at the end. */
struct builder {
    const struct dns_site *site;
    const struct list *nodes; /* of struct check_service_node */
    struct str datacenter;
    enum dns_pick pick;
    bool remote;
    struct dns_instance *items;
    struct buf names;
    struct arena scratch;
};

/* The weight of an instance and whether its checks let it through. */
static void judge(const struct check_service_node *csn, struct dns_instance *out) {
    bool warning = false, unknown = false;
    out->passing = true;
    for (uint32_t i = 0; i < csn->checks.len; i++) {
        const struct health_check *check = LIST_AT(csn->checks, struct health_check *, i);
        bool passing = str_is(check->status, "passing");
        bool critical = str_is(check->status, "critical");
        out->critical |= critical;
        out->passing &= passing;
        if (check->service_name.len == 0 || str_eq(check->service_name, csn->service->service)) {
            warning |= str_is(check->status, "warning");
            unknown |= !passing && !critical && !str_is(check->status, "warning");
        }
    }
    const struct weights *w = csn->service->weights;
    if (unknown || w == NULL) {
        out->weight = 1;
    } else {
        out->weight = (uint16_t)(warning ? w->warning : w->passing);
    }
}

/* Names are at most 255 bytes and carry their own end. */
static uint32_t keep_name(struct builder *b, struct str name) {
    if (name.data == NULL) {
        return DNS_NO_NAME;
    }
    uint32_t offset = (uint32_t)b->names.len;
    buf_add_str(&b->names, name);
    return offset;
}

static uint32_t keep_node_target(struct builder *b, const struct node *node) {
    return keep_name(b, dns_node_target(b->site, node->node, b->datacenter, &b->scratch));
}

/* The cases of dns.md 6, "Per instance". */
static void locate(struct builder *b, const struct check_service_node *csn,
                   struct dns_instance *out) {
    struct str sa = dns_pick_service(csn->service, b->pick, b->remote);
    struct str na = dns_pick_node(csn->node, b->pick, b->remote);
    struct str host = sa;
    if (sa.len == 0 && na.len == 0) {
        return;
    }
    if (sa.len > 0) {
        out->family = (uint8_t)ip_parse(sa, out->ip);
        if (out->family == 0) { /* a name, which may be the question's own */
            out->node_family = (uint8_t)ip_parse(na, out->node_ip);
        }
    } else {
        out->family = (uint8_t)ip_parse(na, out->ip);
        host = na;
    }
    if (out->family == 0) {
        out->target = keep_name(b, dns_name_from_text(host, &b->scratch));
        out->kind = out->target != DNS_NO_NAME ? INSTANCE_NAME : INSTANCE_SKIP;
        return;
    }
    out->kind = INSTANCE_IP;
    if (b->pick != DNS_PICK_ANY) {
        return; /* only SRV records have targets */
    }
    if (sa.len == 0 && str_eq(na, csn->node->address)) {
        out->target = out->node_target = keep_node_target(b, csn->node);
    } else {
        out->target = keep_name(
            b, dns_address_target(b->site, out->family, out->ip, b->datacenter, &b->scratch));
    }
}

static void keep_meta(struct builder *b, const struct node *node, struct dns_instance *out) {
    out->meta = (uint32_t)b->names.len;
    for (uint32_t i = 0; i < node->meta.len && out->meta_count < UINT16_MAX; i++) {
        const struct str_pair *pair = &LIST_AT(node->meta, struct str_pair, i);
        struct str data = dns_meta_text(pair->key, pair->value, &b->scratch);
        if (data.len <= UINT16_MAX) {
            buf_add_be16(&b->names, (uint16_t)data.len);
            buf_add_str(&b->names, data);
            out->meta_count++;
        }
    }
}

static void describe(struct builder *b, uint32_t i) {
    const struct check_service_node *csn = &LIST_AT(*b->nodes, struct check_service_node, i);
    struct dns_instance *out = &b->items[i];
    *out = (struct dns_instance){.kind = INSTANCE_SKIP,
                                 .target = DNS_NO_NAME,
                                 .node_target = DNS_NO_NAME,
                                 .same_address = i,
                                 .same_endpoint = i};
    if (csn->node == NULL || csn->service == NULL) {
        out->critical = true;
        return;
    }
    judge(csn, out);
    out->port = dns_pick_port(csn->service, b->remote);
    locate(b, csn, out);
    if (b->pick == DNS_PICK_ANY && out->kind != INSTANCE_SKIP) {
        if (out->node_target == DNS_NO_NAME && (out->node_family != 0 || csn->node->meta.len > 0)) {
            out->node_target = keep_node_target(b, csn->node);
        }
        keep_meta(b, csn->node, out);
    }
}

/* Finds the first instance with the same key: one table of names to instances, used for one kind of
 * key after the other. Values are index + 1. */
static uint32_t first_with(struct map *table, struct str key, uint32_t i) {
    void *found = map_get(table, key);
    if (found != NULL) {
        return (uint32_t)((uintptr_t)found - 1);
    }
    map_put(table, key, (void *)((uintptr_t)i + 1));
    return i;
}

static void find_repeats(struct builder *b) {
    struct map addresses = MAP_INIT, endpoints = MAP_INIT;
    for (uint32_t i = 0; i < b->nodes->len && b->nodes->len > 1; i++) {
        struct dns_instance *out = &b->items[i];
        if (out->kind == INSTANCE_SKIP) {
            continue;
        }
        if (out->kind == INSTANCE_IP) {
            char key[17];
            key[0] = (char)out->family;
            memcpy(key + 1, out->ip, 16);
            out->same_address = first_with(&addresses, str_of(key, sizeof(key)), i);
        }
        if (b->pick == DNS_PICK_ANY) {
            const struct check_service_node *csn =
                &LIST_AT(*b->nodes, struct check_service_node, i);
            struct str sa = dns_pick_service(csn->service, b->pick, b->remote);
            struct str key = str_format(&b->scratch, STR_FMT "%c" STR_FMT "%c%u",
                                        STR_ARG(csn->node->node), 0, STR_ARG(sa), 0, out->port);
            out->same_endpoint = first_with(&endpoints, key, i);
        }
    }
    map_free(&addresses);
    map_free(&endpoints);
}

const struct dns_instances *dns_instances_of(struct answer *answer, const struct list *nodes,
                                             const struct dns_site *site, enum dns_pick pick,
                                             struct str datacenter) {
    if (answer->encoded[pick] != NULL) {
        return (const struct dns_instances *)(const void *)answer->encoded[pick]->data;
    }
    struct builder b = {.site = site,
                        .nodes = nodes,
                        .datacenter = datacenter,
                        .pick = pick,
                        .remote = dns_is_remote(site, datacenter)};
    size_t items = nodes->len * sizeof(struct dns_instance);
    b.items = mem_alloc(items + 1);
    for (uint32_t i = 0; i < nodes->len; i++) {
        describe(&b, i);
    }
    find_repeats(&b);

    struct buf *out = MEM_NEW(struct buf);
    struct dns_instances head = {nodes->len, (uint32_t)(sizeof(head) + items)};
    buf_add(out, &head, sizeof(head));
    buf_add(out, b.items, items);
    buf_add_str(out, buf_str(&b.names));
    answer->encoded[pick] = out;
    mem_free(b.items);
    buf_free(&b.names);
    arena_free(&b.scratch);
    return (const struct dns_instances *)(const void *)out->data;
}

struct str dns_instances_name(const struct dns_instances *list, uint32_t offset) {
    const char *name = (const char *)list + list->names + offset;
    size_t n = 0;
    while (name[n] != 0) {
        n += 1 + (size_t)(uint8_t)name[n];
    }
    return (struct str){name, n + 1};
}
