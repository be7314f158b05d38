/* Reads of checks, and of instances together with their nodes and checks (store/catalog.h).
 */
#include "store/apply.h"
#include "store/catalog.h"
#include "store/gateway.h"

/* ---- checks ---- */

bool check_fetch(struct store_read *r, struct str node, struct str check_id,
                 struct health_check *check) {
    return record_get(r, TABLE_CHECKS, KEY(r->arena, K_LOWER(node), K_LOWER(check_id)),
                      &health_check_shape, check);
}

struct health_check *catalog_check(struct store_read *r, struct str node, struct str check_id) {
    struct health_check *check = ARENA_NEW(r->arena, struct health_check);
    watch_name(r, WATCH_NODE_CHECKS, node);
    return check_fetch(r, node, check_id, check) ? check : NULL;
}

struct checks { /* a list while it grows */
    struct store_read *read;
    struct list *out;
    uint32_t cap;
    const struct list *node_meta;
};

static void checks_push(struct checks *c, struct str value) {
    struct store_read *r = c->read;
    struct health_check *check = ARENA_NEW(r->arena, struct health_check);
    record_decode(r, value, &health_check_shape, check);
    if (c->node_meta != NULL && c->node_meta->len > 0) {
        struct node node;
        if (!node_fetch(r, check->node, &node))
            return;
        if (!catalog_meta_matches(&node.meta, c->node_meta))
            return;
    }
    *(struct health_check **)list_push(c->out, &c->cap, sizeof check, r->arena) = check;
}

static void checks_of_table(struct checks *c, struct str prefix) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, c->read, TABLE_CHECKS, prefix);
    while (table_scan_next(&s, NULL, &value))
        checks_push(c, value);
    table_scan_end(&s);
}

static void checks_of_lookup(struct checks *c, enum store_table lookup, struct str prefix) {
    struct table_scan s;
    struct str key, value;
    table_scan_begin(&s, c->read, lookup, prefix);
    while (table_scan_next(&s, NULL, &key)) {
        if (table_get(c->read, TABLE_CHECKS, key, &value))
            checks_push(c, value);
    }
    table_scan_end(&s);
}

uint64_t catalog_node_checks(struct store_read *r, struct str node, struct list *checks) {
    struct checks c = {.read = r, .out = checks};
    *checks = LIST_NIL;
    watch_name(r, WATCH_NODE_CHECKS, node);
    checks_of_table(&c, KEY(r->arena, K_LOWER(node)));
    return INDEX_MAX(r, "checks");
}

uint64_t catalog_service_checks(struct store_read *r, struct str service,
                                const struct list *node_meta, struct list *checks) {
    struct checks c = {.read = r, .out = checks, .node_meta = node_meta};
    *checks = LIST_NIL;
    watch_name(r, WATCH_SERVICE_CHECKS, service);
    checks_of_lookup(&c, TABLE_CHECKS_NAME, KEY(r->arena, K_LOWER(service)));
    if (node_meta == NULL || node_meta->len == 0)
        return INDEX_MAX(r, "checks");
    watch_name(r, WATCH_TABLE, STR("nodes")); /* a check may name a service that its node has not */
    return service_read_index(r, service, true, true);
}

uint64_t catalog_state_checks(struct store_read *r, struct str state, const struct list *node_meta,
                              struct list *checks) {
    struct checks c = {.read = r, .out = checks, .node_meta = node_meta};
    *checks = LIST_NIL;
    if (node_meta != NULL && node_meta->len > 0)
        watch_name(r, WATCH_TABLE, STR("nodes"));
    if (str_is(state, "any")) {
        watch_name(r, WATCH_TABLE, STR("checks"));
        checks_of_table(&c, STR(""));
    } else {
        watch_name(r, WATCH_STATE_CHECKS, state);
        checks_of_lookup(&c, TABLE_CHECKS_STATUS, KEY(r->arena, K_EXACT(state)));
    }
    return INDEX_MAX(r, "checks");
}

/* ---- instances with nodes and checks ---- */

struct instances { /* a list while it grows, and the node that came last: neighbours share it */
    struct store_read *read;
    struct list *out;
    uint32_t cap;
    struct str node_name;
    struct node *node;
    struct list node_checks;
};

static bool instances_node(struct instances *in, struct str name) {
    if (in->node != NULL && str_eq(name, in->node_name))
        return true;
    struct node *node = ARENA_NEW(in->read->arena, struct node);
    in->node = NULL;
    if (!node_fetch(in->read, name, node))
        return false;
    in->node = node;
    in->node_name = name;
    in->node_checks = LIST_NIL;
    struct checks c = {.read = in->read, .out = &in->node_checks};
    checks_of_lookup(&c, TABLE_CHECKS_SERVICE,
                     KEY(in->read->arena, K_LOWER(name), K_LOWER(STR(""))));
    return true;
}

static void instances_push(struct instances *in, struct str value, const struct list *tags) {
    struct store_read *r = in->read;
    struct node_service *service = ARENA_NEW(r->arena, struct node_service);
    struct str name;
    service_decode(r, value, &name, service);
    if (!catalog_tags_match(&service->tags, tags) || !instances_node(in, name))
        return;
    struct check_service_node *item =
        list_push(in->out, &in->cap, sizeof(struct check_service_node), r->arena);
    struct list checks = LIST_NIL;
    struct checks c = {.read = r, .out = &checks};
    for (uint32_t i = 0; i < in->node_checks.len; i++) {
        *(struct health_check **)list_push(&checks, &c.cap, sizeof(struct health_check *),
                                           r->arena) =
            LIST_AT(in->node_checks, struct health_check *, i);
    }
    if (service->id.len > 0) {
        checks_of_lookup(&c, TABLE_CHECKS_SERVICE,
                         KEY(r->arena, K_LOWER(name), K_LOWER(service->id)));
    }
    *item = (struct check_service_node){.checks = checks, .node = in->node, .service = service};
}

static bool instances_found(struct instances *in, enum store_table lookup, struct str prefix,
                            const struct list *tags) {
    struct table_scan s;
    struct str key, value;
    bool any = false;
    table_scan_begin(&s, in->read, lookup, prefix);
    while (table_scan_next(&s, NULL, &key)) {
        if (!table_get(in->read, TABLE_SERVICES, key, &value))
            continue;
        any = true;
        instances_push(in, value, tags);
    }
    table_scan_end(&s);
    return any;
}

static bool instances_named(struct instances *in, struct str service, const struct list *tags) {
    return instances_found(in, TABLE_SERVICES_NAME, KEY(in->read->arena, K_LOWER(service)), tags);
}

uint64_t catalog_check_service_nodes(struct store_read *r, struct str service,
                                     const struct list *tags, struct list *nodes) {
    struct instances in = {.read = r, .out = nodes};
    *nodes = LIST_NIL;
    bool any = instances_named(&in, service, tags);
    if (any)
        nodes->present = true;
    return service_read_index(r, service, any, true);
}

/* Instances of the gateways of `mappings`, each gateway once; raises *index, without a look at the
 * checks as long as a gateway has no instance. */
static void push_gateways(struct instances *in, const struct list *mappings, uint64_t *index) {
    struct str last = STR_NONE;
    for (uint32_t i = 0; i < mappings->len; i++) {
        struct str name = LIST_AT(*mappings, struct gateway_service *, i)->gateway.name;
        if (last.data != NULL && str_eq(last, name))
            continue;
        last = name;
        bool any = instances_named(in, name, NULL);
        uint64_t own = service_read_index(in->read, name, any, false);
        if (own > *index)
            *index = own;
    }
}

uint64_t catalog_check_connect_nodes(struct store_read *r, struct str service, struct list *nodes) {
    struct instances in = {.read = r, .out = nodes};
    struct list gateways;
    *nodes = LIST_NIL;
    watch_name(r, WATCH_CONNECT, service);
    instances_found(&in, TABLE_SERVICES_CONNECT, KEY(r->arena, K_LOWER(service)), NULL);
    uint32_t direct = nodes->len;
    uint64_t index = gateway_of_service(r, service, "terminating-gateway", &gateways);
    push_gateways(&in, &gateways, &index);
    if (nodes->len == 0) {
        uint64_t none = service_read_index(r, service, false, true);
        return none > index ? none : index;
    }
    struct str last = STR_NONE;
    for (uint32_t i = 0; i < direct; i++) {
        struct str name = LIST_AT(*nodes, struct check_service_node, i).service->service;
        if (last.data != NULL && str_eq(last, name))
            continue; /* the set drops other repeats */
        last = name;
        uint64_t own = service_read_index(r, name, true, true);
        if (own > index)
            index = own;
    }
    return index_floor(index);
}

uint64_t catalog_check_ingress_nodes(struct store_read *r, struct str service, struct list *nodes) {
    struct instances in = {.read = r, .out = nodes};
    struct list gateways;
    *nodes = LIST_NIL;
    uint64_t index = gateway_of_service(r, service, "ingress-gateway", &gateways);
    push_gateways(&in, &gateways, &index);
    return index_floor(index);
}

/* ---- dumps ---- */

static uint64_t dump_of_kind(struct instances *in, struct str kind) {
    struct store_read *r = in->read;
    struct str name = kind.len == 0 ? STR("typical") : kind;
    struct str entry = str_format(r->arena, "service_kind.%.*s", STR_ARG(name));
    watch_name(r, WATCH_TABLE, entry);
    instances_found(in, TABLE_SERVICES_KIND, KEY(r->arena, K_EXACT(kind)), NULL);
    return index_floor(store_index(r, entry));
}

uint64_t catalog_service_dump(struct store_read *r, bool use_kind, struct str kind,
                              struct list *nodes) {
    struct instances in = {.read = r, .out = nodes};
    *nodes = LIST_NIL;
    if (use_kind)
        return dump_of_kind(&in, kind);
    struct table_scan s;
    struct str value;
    watch_name(r, WATCH_TABLE, STR("nodes"));
    watch_name(r, WATCH_TABLE, STR("services"));
    watch_name(r, WATCH_TABLE, STR("checks"));
    table_scan_begin(&s, r, TABLE_SERVICES, STR(""));
    while (table_scan_next(&s, NULL, &value))
        instances_push(&in, value, NULL);
    table_scan_end(&s);
    return INDEX_MAX(r, "nodes", "services", "checks");
}

static void gateway_push(struct store_read *r, struct gateway_service *mapping,
                         const struct check_service_node *instance, struct list *dump,
                         uint32_t *cap) {
    struct service_info *info = ARENA_NEW(r->arena, struct service_info);
    info->gateway_service = mapping;
    if (instance != NULL) {
        info->checks = instance->checks;
        info->node = instance->node;
        info->service = instance->service;
    }
    *(struct service_info **)list_push(dump, cap, sizeof info, r->arena) = info;
}

uint64_t catalog_gateway_dump(struct store_read *r, struct str gateway, struct list *dump) {
    struct list mappings;
    uint32_t cap = 0;
    *dump = LIST_NIL;
    uint64_t index = gateway_services(r, gateway, &mappings);
    for (uint32_t i = 0; i < mappings.len; i++) {
        struct gateway_service *mapping = LIST_AT(mappings, struct gateway_service *, i);
        struct list nodes;
        uint64_t own = catalog_check_service_nodes(r, mapping->service.name, NULL, &nodes);
        if (own > index)
            index = own;
        for (uint32_t k = 0; k < nodes.len; k++) {
            gateway_push(r, mapping, &LIST_AT(nodes, struct check_service_node, k), dump, &cap);
        }
        if (nodes.len == 0)
            gateway_push(r, mapping, NULL, dump, &cap);
    }
    return index_floor(index);
}
