/* Writing nodes, services and checks: entry types 0 and 1 (fsm.md 3), and the same steps for
 * transactions and restores. Reads are catalog.c's and health.c's.
 */
#include "codec/msgpack.h"
#include "schema/meta.h"
#include "store/apply.h"
#include "store/gateway.h"

#define MAX_WEIGHT 65535

static const char *const index_fields[] = {"CreateIndex", "ModifyIndex", NULL};

/* ---- index entries of services ---- */

static void bump_named(struct store_batch *b, const char *prefix, struct str name, uint64_t index) {
    struct str entry = str_format(b->read.arena, "%s%.*s", prefix, STR_ARG(name));
    if (b->restoring)
        index_raise(b, entry, index);
    else
        index_set(b, entry, index);
}

static void bump_table(struct store_batch *b, const char *table, uint64_t index) {
    if (b->restoring)
        index_raise(b, str_from(table), index);
    else
        index_set(b, str_from(table), index);
}

static void bump_service_entry(struct store_batch *b, struct str name, uint64_t index) {
    bump_named(b, "service.", name, index);
}

static struct str kind_entry(struct store_batch *b, struct str kind) {
    return str_format(b->read.arena, "service_kind.%.*s",
                      STR_ARG(kind.len == 0 ? STR("typical") : kind));
}

static void bump_kind_entry(struct store_batch *b, struct str kind, uint64_t index) {
    bump_named(b, "service_kind.", kind.len == 0 ? STR("typical") : kind, index);
}

/* service.<s> and service_kind.<k> of every service of the node. */
static void bump_services_of_node(struct store_batch *b, struct str node) {
    struct arena *arena = b->read.arena;
    struct str prefix = KEY(arena, K_LOWER(node)), value;
    struct list names = LIST_EMPTY, kinds = LIST_EMPTY;
    uint32_t name_cap = 0, kind_cap = 0;
    struct table_scan s;
    table_scan_begin(&s, &b->read, TABLE_SERVICES, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct node_service service;
        service_decode(&b->read, value, NULL, &service);
        *(struct str *)list_push(&names, &name_cap, sizeof(struct str), arena) = service.service;
        *(struct str *)list_push(&kinds, &kind_cap, sizeof(struct str), arena) = service.kind;
    }
    table_scan_end(&s);
    for (uint32_t i = 0; i < names.len; i++) {
        bump_service_entry(b, LIST_AT(names, struct str, i), b->index);
        bump_kind_entry(b, LIST_AT(kinds, struct str, i), b->index);
    }
}

/* ---- nodes ---- */

static void node_lookups(struct store_batch *b, const struct node *n, bool add) {
    struct arena *arena = b->read.arena;
    struct error e = ERROR_IN(arena);
    struct str key = KEY(arena, K_LOWER(n->node)), id;
    if (n->id.len > 0 && uuid_key(arena, n->id, &id, &e)) {
        if (add)
            lookup_put(b, TABLE_NODES_ID, id, key);
        else
            lookup_delete(b, TABLE_NODES_ID, id);
    }
    for (uint32_t i = 0; i < n->meta.len; i++) {
        const struct str_pair *pair = &LIST_AT(n->meta, struct str_pair, i);
        struct str meta = KEY(arena, K_EXACT(pair->key), K_EXACT(pair->value), K_BARE(key));
        if (add)
            lookup_put(b, TABLE_NODES_META, meta, key);
        else
            lookup_delete(b, TABLE_NODES_META, meta);
    }
}

static void node_store(struct store_batch *b, const struct node *n) {
    struct node old;
    if (node_fetch(&b->read, n->node, &old))
        node_lookups(b, &old, false);
    record_put(b, TABLE_NODES, KEY(b->read.arena, K_LOWER(n->node)), &node_shape, n);
    node_lookups(b, n, true);
    touch(b, WATCH_NODE, n->node);
}

/* Refuses a name that a live node of another ID holds. allow_no_id: unless that node has no ID. */
static bool node_name_free(struct store_batch *b, const struct node *n, bool allow_no_id,
                           struct error *e) {
    struct node m;
    struct health_check serf;
    if (!node_fetch(&b->read, n->node, &m) || str_eq(m.id, n->id))
        return true;
    if (allow_no_id && m.id.len == 0)
        return true;
    if (!check_fetch(&b->read, m.node, STR("serfHealth"), &serf))
        return true;
    if (str_is(serf.status, "critical"))
        return true;
    return error_set(e, ERROR_INTERNAL,
                     "Node name %.*s is reserved by node %.*s with name %.*s (%.*s)",
                     STR_ARG(n->node), STR_ARG(m.id), STR_ARG(m.node), STR_ARG(m.address));
}

static bool node_by_id(struct store_batch *b, struct str id, struct node *n, bool *found,
                       struct error *e) {
    struct str key, primary;
    *found = false;
    if (!uuid_key(b->read.arena, id, &key, e)) {
        return error_prefix(e, "node lookup by ID failed: index error: ");
    }
    if (!table_get(&b->read, TABLE_NODES_ID, key, &primary))
        return true;
    primary = str_copy(b->read.arena, primary);
    *found = record_get(&b->read, TABLE_NODES, primary, &node_shape, n);
    return true;
}

bool catalog_write_node(struct store_batch *b, struct node *node, struct error *e) {
    struct node n;
    bool exists = false;
    if (node->id.len > 0) {
        if (!node_by_id(b, node->id, &n, &exists, e))
            return false;
        if (exists && !str_eq(n.node, node->node)) { /* a rename */
            if (!node_name_free(b, node, false, e)) {
                return error_prefix(e, "Error while renaming Node ID: %.*s (%.*s): ",
                                    STR_ARG(str_quote(b->read.arena, node->id)),
                                    STR_ARG(node->address));
            }
            catalog_delete_node(b, n.node);
        } else if (!exists && !node_name_free(b, node, true, e)) {
            return error_prefix(e, "Error while renaming Node ID: %.*s: ",
                                STR_ARG(str_quote(b->read.arena, node->id)));
        }
    }
    if (!exists)
        exists = node_fetch(&b->read, node->node, &n);
    if (b->restoring) {
        node_store(b, node);
        bump_table(b, "nodes", node->modify_index);
        return true;
    }
    if (exists && schema_equal_but(&node_shape, &n, node, index_fields)) {
        *node = n;
        return true;
    }
    node->create_index = exists ? n.create_index : b->index;
    node->modify_index = b->index;
    node_store(b, node);
    bump_table(b, "nodes", b->index);
    bump_services_of_node(b, node->node);
    return true;
}

bool catalog_delete_node(struct store_batch *b, struct str name) {
    struct arena *arena = b->read.arena;
    struct node n;
    if (!node_fetch(&b->read, name, &n))
        return false;
    struct str prefix = KEY(arena, K_LOWER(name)), value;
    struct table_scan s;
    struct list services = LIST_EMPTY, checks = LIST_EMPTY;
    uint32_t service_cap = 0, check_cap = 0;
    bump_services_of_node(b, name);
    table_scan_begin(&s, &b->read, TABLE_SERVICES, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct node_service service;
        service_decode(&b->read, value, NULL, &service);
        *(struct str *)list_push(&services, &service_cap, sizeof(struct str), arena) = service.id;
    }
    table_scan_end(&s);
    for (uint32_t i = 0; i < services.len; i++) {
        catalog_delete_service(b, name, LIST_AT(services, struct str, i));
    }
    table_scan_begin(&s, &b->read, TABLE_CHECKS, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct health_check check;
        record_decode(&b->read, value, &health_check_shape, &check);
        *(struct str *)list_push(&checks, &check_cap, sizeof(struct str), arena) = check.check_id;
    }
    table_scan_end(&s);
    for (uint32_t i = 0; i < checks.len; i++) {
        catalog_delete_check(b, name, LIST_AT(checks, struct str, i));
    }
    coordinate_delete_node(b, name);
    node_lookups(b, &n, false);
    table_delete(b, TABLE_NODES, prefix);
    touch(b, WATCH_NODE, name);
    bump_table(b, "nodes", b->index);
    session_destroy_of_node(b, name);
    return true;
}

/* ---- services ---- */

static bool service_meta_valid(struct str node, const struct node_service *s, struct error *e) {
    enum meta_reserved reserved =
        str_is(s->kind, "mesh-gateway") ? META_RESERVED_MESH_GATEWAY : META_RESERVED_REFUSED;
    if (meta_validate(&s->meta, reserved, e))
        return true;
    return error_prefix(e, "Invalid Service Meta for node %.*s and serviceID %.*s: ", STR_ARG(node),
                        STR_ARG(s->id));
}

static void service_lookups(struct store_batch *b, struct str node, const struct node_service *s,
                            bool add) {
    struct arena *arena = b->read.arena;
    struct str primary = KEY(arena, K_LOWER(node), K_LOWER(s->id));
    struct str connect = service_connect_name(s);
    struct {
        enum store_table table;
        struct str key;
    } lookups[3] = {
        {TABLE_SERVICES_NAME, KEY(arena, K_LOWER(s->service), K_BARE(primary))},
        {TABLE_SERVICES_KIND, KEY(arena, K_EXACT(s->kind), K_BARE(primary))},
        {TABLE_SERVICES_CONNECT, KEY(arena, K_LOWER(connect), K_BARE(primary))},
    };
    for (size_t i = 0; i < (connect.data != NULL ? 3 : 2); i++) {
        if (add)
            lookup_put(b, lookups[i].table, lookups[i].key, primary);
        else
            lookup_delete(b, lookups[i].table, lookups[i].key);
    }
    /* Also the old name, kind and destination of one that changes them: their index stays, but what
     * their readers would see does not. */
    touch(b, WATCH_SERVICE, s->service);
    touch(b, WATCH_TABLE, kind_entry(b, s->kind));
    if (connect.data != NULL)
        touch(b, WATCH_CONNECT, connect);
}

static void service_store(struct store_batch *b, struct str node, const struct node_service *s,
                          const struct node_service *old) {
    if (old != NULL)
        service_lookups(b, node, old, false);
    service_lookups(b, node, s, true);
    buf_clear(&b->encoded);
    msgpack_write_str(&b->encoded, node);
    schema_encode(&b->encoded, &node_service_shape, s);
    table_put(b, TABLE_SERVICES, KEY(b->read.arena, K_LOWER(node), K_LOWER(s->id)),
              buf_str(&b->encoded));
    touch(b, WATCH_NODE, node);
}

static bool weights_valid(const struct weights *w) {
    return w != NULL && w->passing >= 1 && w->passing <= MAX_WEIGHT && w->warning >= 0 &&
           w->warning <= MAX_WEIGHT;
}

bool catalog_write_service(struct store_batch *b, struct str node, struct node_service *s,
                           struct error *e) {
    static const struct weights one = {1, 1};
    if (!service_meta_valid(node, s, e))
        return false;
    gateway_service_written(b, s);
    struct node n;
    if (!node_fetch(&b->read, node, &n)) {
        return error_set(e, ERROR_INTERNAL, "Missing node registration");
    }
    if (s->id.len == 0) {
        return error_set(e, ERROR_INTERNAL,
                         "failed inserting service: object missing primary index");
    }
    if (!weights_valid(s->weights)) {
        s->weights = arena_copy(b->read.arena, &one, sizeof one);
    }
    s->locally_registered_as_sidecar = false;
    struct node_service old;
    struct str old_node;
    bool exists = service_fetch(&b->read, node, s->id, &old_node, &old);
    if (!b->restoring) {
        if (exists && str_eq(old_node, node) &&
            schema_equal_but(&node_service_shape, &old, s, index_fields)) {
            s->create_index = old.create_index;
            s->modify_index = old.modify_index;
            return true;
        }
        s->create_index = exists ? old.create_index : b->index;
        s->modify_index = b->index;
    }
    service_store(b, node, s, exists ? &old : NULL);
    bump_table(b, "services", s->modify_index);
    bump_service_entry(b, s->service, s->modify_index);
    bump_kind_entry(b, s->kind, s->modify_index);
    return true;
}

static bool service_name_used(struct store_batch *b, struct str name) {
    struct table_scan s;
    table_scan_begin(&s, &b->read, TABLE_SERVICES_NAME, KEY(b->read.arena, K_LOWER(name)));
    bool used = table_scan_next(&s, NULL, NULL);
    table_scan_end(&s);
    return used;
}

static void delete_checks_of_service(struct store_batch *b, struct str node, struct str id) {
    struct str prefix = KEY(b->read.arena, K_LOWER(node), K_LOWER(id));
    struct list keys = lookup_keys(&b->read, TABLE_CHECKS_SERVICE, prefix);
    for (uint32_t i = 0; i < keys.len; i++) {
        struct health_check check;
        if (record_get(&b->read, TABLE_CHECKS, LIST_AT(keys, struct str, i), &health_check_shape,
                       &check)) {
            catalog_delete_check(b, node, check.check_id);
        }
    }
}

bool catalog_delete_service(struct store_batch *b, struct str node, struct str id) {
    struct node_service s;
    struct arena *arena = b->read.arena;
    if (!service_fetch(&b->read, node, id, NULL, &s))
        return false;
    delete_checks_of_service(b, node, id);
    bump_table(b, "checks", b->index);
    service_lookups(b, node, &s, false);
    table_delete(b, TABLE_SERVICES, KEY(arena, K_LOWER(node), K_LOWER(id)));
    touch(b, WATCH_NODE, node);
    bump_table(b, "services", b->index);
    bump_kind_entry(b, s.kind, b->index);
    if (service_name_used(b, s.service)) {
        bump_service_entry(b, s.service, b->index);
        return true;
    }
    index_remove(b, str_format(arena, "service.%.*s", STR_ARG(s.service)));
    index_bump(b, STR("service_last_extinction"));
    gateway_service_gone(b, s.service);
    return true;
}

/* ---- checks ---- */

static void check_lookups(struct store_batch *b, const struct health_check *c, bool add) {
    struct arena *arena = b->read.arena;
    struct str node = KEY(arena, K_LOWER(c->node)), id = KEY(arena, K_LOWER(c->check_id));
    struct str primary = KEY(arena, K_BARE(node), K_BARE(id));
    struct {
        enum store_table table;
        struct str key;
    } lookups[3] = {
        {TABLE_CHECKS_SERVICE, KEY(arena, K_BARE(node), K_LOWER(c->service_id), K_BARE(id))},
        {TABLE_CHECKS_NAME, KEY(arena, K_LOWER(c->service_name), K_BARE(primary))},
        {TABLE_CHECKS_STATUS, KEY(arena, K_EXACT(c->status), K_BARE(primary))},
    };
    for (size_t i = 0; i < COUNT_OF(lookups); i++) {
        if (add)
            lookup_put(b, lookups[i].table, lookups[i].key, primary);
        else
            lookup_delete(b, lookups[i].table, lookups[i].key);
    }
    touch(b, WATCH_NODE_CHECKS, c->node);
    touch(b, WATCH_SERVICE_CHECKS, c->service_name);
    touch(b, WATCH_STATE_CHECKS, c->status);
}

/* The instances that show the check, where no index entry tells of the change (fsm.md 3.1: the
 * check went to another service, its service was renamed, only its Type changed): who watches them
 * is told. */
static void touch_instances_of_check(struct store_batch *b, const struct health_check *c) {
    struct arena *arena = b->read.arena;
    struct str prefix = c->service_id.len > 0 ? KEY(arena, K_LOWER(c->node), K_LOWER(c->service_id))
                                              : KEY(arena, K_LOWER(c->node));
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, &b->read, TABLE_SERVICES, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct node_service service;
        service_decode(&b->read, value, NULL, &service);
        touch(b, WATCH_SERVICE, service.service);
        touch(b, WATCH_TABLE, kind_entry(b, service.kind));
    }
    table_scan_end(&s);
}

static void check_store(struct store_batch *b, const struct health_check *c,
                        const struct health_check *old) {
    if (old != NULL)
        check_lookups(b, old, false);
    if (old != NULL && (!str_eq(old->service_id, c->service_id) || !str_eq(old->type, c->type))) {
        touch_instances_of_check(b, old);
        touch_instances_of_check(b, c);
    }
    check_lookups(b, c, true);
    record_put(b, TABLE_CHECKS, KEY(b->read.arena, K_LOWER(c->node), K_LOWER(c->check_id)),
               &health_check_shape, c);
}

/* Fills in what a check takes from its service. service: valid when c->service_id is not "". */
static bool check_complete(struct store_batch *b, struct health_check *c,
                           struct node_service *service, struct error *e) {
    if (c->status.len == 0)
        c->status = STR("critical");
    if (!table_has(&b->read, TABLE_NODES, KEY(b->read.arena, K_LOWER(c->node)))) {
        return error_set(e, ERROR_INTERNAL, "Missing node registration");
    }
    if (c->service_id.len == 0)
        return true;
    if (!service_fetch(&b->read, c->node, c->service_id, NULL, service)) {
        return error_set(e, ERROR_INTERNAL, "Missing service registration");
    }
    c->service_name = service->service;
    c->service_tags = service->tags;
    return true;
}

bool catalog_write_check(struct store_batch *b, struct health_check *c, struct error *e) {
    static const char *const not_compared[] = {"CreateIndex", "ModifyIndex", "Type", NULL};
    struct node_service service;
    struct health_check old;
    if (!check_complete(b, c, &service, e))
        return false;
    if (c->check_id.len == 0) {
        return error_set(e, ERROR_INTERNAL, "failed inserting check: object missing primary index");
    }
    bool exists = check_fetch(&b->read, c->node, c->check_id, &old);
    bool modified = !exists || !schema_equal_but(&health_check_shape, &old, c, not_compared);
    if (!b->restoring) {
        c->create_index = exists ? old.create_index : b->index;
        c->modify_index = modified ? b->index : old.modify_index;
    }
    if (modified && !b->restoring) {
        if (c->service_id.len > 0) {
            bump_service_entry(b, c->service_name, b->index);
            bump_kind_entry(b, service.kind, b->index);
        } else {
            bump_services_of_node(b, c->node);
        }
    }
    if (str_is(c->status, "critical"))
        session_destroy_of_check(b, c->node, c->check_id);
    check_store(b, c, exists ? &old : NULL);
    bump_table(b, "checks", b->restoring ? c->modify_index : b->index);
    return true;
}

bool catalog_delete_check(struct store_batch *b, struct str node, struct str check_id) {
    struct health_check c;
    if (!check_fetch(&b->read, node, check_id, &c))
        return false;
    if (c.service_id.len > 0) {
        struct node_service service;
        bump_service_entry(b, c.service_name, b->index);
        if (service_fetch(&b->read, node, c.service_id, NULL, &service)) {
            bump_kind_entry(b, service.kind, b->index);
            touch(b, WATCH_SERVICE, service.service); /* it may have another name by now */
        }
    } else {
        bump_services_of_node(b, node);
        bump_table(b, "services", b->index);
    }
    check_lookups(b, &c, false);
    table_delete(b, TABLE_CHECKS, KEY(b->read.arena, K_LOWER(node), K_LOWER(check_id)));
    bump_table(b, "checks", b->index);
    session_destroy_of_check(b, node, check_id);
    return true;
}

/* ---- entry types ---- */

static struct node node_of(const struct register_request *r) {
    return (struct node){.address = r->address,
                         .datacenter = r->datacenter,
                         .id = r->id,
                         .meta = r->node_meta,
                         .node = r->node,
                         .tagged_addresses = r->tagged_addresses,
                         .create_index = r->create_index,
                         .modify_index = r->modify_index};
}

static bool register_node(struct store_batch *b, const struct register_request *r,
                          struct error *e) {
    struct node wanted = node_of(r), stored;
    bool exists = node_fetch(&b->read, r->node, &stored);
    bool same = exists && schema_equal_but(&node_shape, &stored, &wanted, index_fields);
    if (exists && (r->skip_node_update || same))
        return true;
    return catalog_write_node(b, &wanted, e) || error_prefix(e, "failed inserting node: ");
}

static bool register_service(struct store_batch *b, const struct register_request *r,
                             struct error *e) {
    static const char *const not_compared[] = {"CreateIndex", "ModifyIndex",
                                               "LocallyRegisteredAsSidecar", NULL};
    struct node_service stored;
    if (r->service == NULL)
        return true;
    if (!b->restoring && service_fetch(&b->read, r->node, r->service->id, NULL, &stored) &&
        schema_equal_but(&node_service_shape, &stored, r->service, not_compared)) {
        return true;
    }
    return catalog_write_service(b, r->node, r->service, e) ||
           error_prefix(e, "failed inserting service: ");
}

static bool register_check(struct store_batch *b, const struct register_request *r,
                           struct health_check *check, struct error *e) {
    if (check == NULL)
        return true;
    /* A snapshot may have them differ in case (fsm.md 9.17). */
    if (!str_eq(check->node, r->node) && !b->restoring) {
        return error_set(e, ERROR_INTERNAL, "check node %.*s does not match node %.*s",
                         STR_ARG(str_quote(b->read.arena, check->node)),
                         STR_ARG(str_quote(b->read.arena, r->node)));
    }
    if (catalog_write_check(b, check, e))
        return true;
    struct str why = e->text;
    return error_set(e, ERROR_INTERNAL, "failed inserting check: %.*s on node %.*s", STR_ARG(why),
                     STR_ARG(str_quote(b->read.arena, check->node)));
}

bool catalog_register(struct store_batch *b, const struct register_request *r, struct error *e) {
    if (!register_node(b, r, e) || !register_service(b, r, e))
        return false;
    if (!register_check(b, r, r->check, e))
        return false;
    for (uint32_t i = 0; i < r->checks.len; i++) {
        if (!register_check(b, r, LIST_AT(r->checks, struct health_check *, i), e))
            return false;
    }
    return true;
}

void apply_register(struct store_batch *b, void *request, struct store_result *result) {
    struct error e = ERROR_IN(b->read.arena);
    if (!catalog_register(b, request, &e))
        apply_fail(b, result, &e);
}

void apply_deregister(struct store_batch *b, void *request, struct store_result *result) {
    const struct deregister_request *r = request;
    (void)result; /* nil, also when there is nothing */
    if (r->service_id.len > 0)
        catalog_delete_service(b, r->node, r->service_id);
    else if (r->check_id.len > 0)
        catalog_delete_check(b, r->node, r->check_id);
    else
        catalog_delete_node(b, r->node);
}
