/* Reads of nodes and service instances (store/catalog.h). Checks and health are in health.c, writes
 * in catalog_write.c.
 */
#include "store/catalog.h"

#include <stdlib.h>

#include "codec/msgpack.h"
#include "store/apply.h"
#include "store/gateway.h"

/* ---- records ---- */

bool node_fetch(struct store_read *r, struct str name, struct node *node) {
    return record_get(r, TABLE_NODES, KEY(r->arena, K_LOWER(name)), &node_shape, node);
}

void service_decode(struct store_read *r, struct str value, struct str *node_name,
                    struct node_service *service) {
    struct error e = ERROR_IN(r->arena);
    struct msgpack_reader in = msgpack_read(str_copy(r->arena, value));
    struct msgpack_token name;
    bool ok = msgpack_next(&in, &name, &e) && name.type == MSGPACK_RAW &&
              schema_decode(&in, &node_service_shape, service, r->arena, &e);
    ASSERT(ok); /* we wrote it */
    if (node_name != NULL)
        *node_name = name.str;
}

bool service_fetch(struct store_read *r, struct str node, struct str service_id,
                   struct str *node_name, struct node_service *service) {
    struct str value;
    if (!table_get(r, TABLE_SERVICES, KEY(r->arena, K_LOWER(node), K_LOWER(service_id)), &value)) {
        return false;
    }
    service_decode(r, value, node_name, service);
    return true;
}

struct str service_connect_name(const struct node_service *service) {
    struct str name = STR_NONE;
    if (str_is(service->kind, "connect-proxy"))
        name = service->proxy.destination_service_name;
    else if (service->connect.native)
        name = service->service;
    return name.len > 0 ? name : STR_NONE; /* stored, an absent name comes back as an empty one */
}

struct node *catalog_node(struct store_read *r, struct str name) {
    struct node *node = ARENA_NEW(r->arena, struct node);
    watch_name(r, WATCH_NODE, name);
    return node_fetch(r, name, node) ? node : NULL;
}

struct node *catalog_node_by_id(struct store_read *r, struct str id) {
    struct str key, primary;
    struct error e = ERROR_IN(r->arena);
    watch_name(r, WATCH_TABLE, STR("nodes"));
    if (!uuid_key(r->arena, id, &key, &e) || !table_get(r, TABLE_NODES_ID, key, &primary)) {
        return NULL;
    }
    struct node *node = ARENA_NEW(r->arena, struct node);
    return record_get(r, TABLE_NODES, primary, &node_shape, node) ? node : NULL;
}

struct node_service *catalog_service(struct store_read *r, struct str node, struct str service_id) {
    struct node_service *service = ARENA_NEW(r->arena, struct node_service);
    watch_name(r, WATCH_NODE, node);
    return service_fetch(r, node, service_id, NULL, service) ? service : NULL;
}

/* ---- filters ---- */

bool catalog_meta_matches(const struct list *meta, const struct list *filters) {
    for (uint32_t i = 0; filters != NULL && i < filters->len; i++) {
        const struct str_pair *pair = &LIST_AT(*filters, struct str_pair, i);
        const struct str *value = str_map_get(meta, pair->key);
        if (value == NULL || !str_eq(*value, pair->value))
            return false;
    }
    return true;
}

bool catalog_tags_match(const struct list *tags, const struct list *wanted) {
    for (uint32_t i = 0; wanted != NULL && i < wanted->len; i++) {
        bool found = false;
        for (uint32_t k = 0; k < tags->len && !found; k++) {
            found = str_eq_fold(LIST_AT(*tags, struct str, k), LIST_AT(*wanted, struct str, i));
        }
        if (!found)
            return false;
    }
    return true;
}

/* ---- nodes ---- */

static void nodes_all(struct store_read *r, struct list *nodes, uint32_t *cap) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, r, TABLE_NODES, STR(""));
    while (table_scan_next(&s, NULL, &value)) {
        struct node *node = ARENA_NEW(r->arena, struct node);
        record_decode(r, value, &node_shape, node);
        *(struct node **)list_push(nodes, cap, sizeof node, r->arena) = node;
    }
    table_scan_end(&s);
}

/* By the first pair's lookup; the others are compared. */
static void nodes_of_meta(struct store_read *r, const struct list *meta, struct list *nodes,
                          uint32_t *cap) {
    const struct str_pair *first = &LIST_AT(*meta, struct str_pair, 0);
    struct table_scan s;
    struct str key;
    table_scan_begin(&s, r, TABLE_NODES_META,
                     KEY(r->arena, K_EXACT(first->key), K_EXACT(first->value)));
    while (table_scan_next(&s, NULL, &key)) {
        struct node *node = ARENA_NEW(r->arena, struct node);
        if (!record_get(r, TABLE_NODES, key, &node_shape, node))
            continue;
        if (!catalog_meta_matches(&node->meta, meta))
            continue;
        *(struct node **)list_push(nodes, cap, sizeof node, r->arena) = node;
    }
    table_scan_end(&s);
}

uint64_t catalog_nodes(struct store_read *r, const struct list *node_meta, struct list *nodes) {
    *nodes = LIST_NIL;
    uint32_t cap = 0;
    watch_name(r, WATCH_TABLE, STR("nodes"));
    if (node_meta != NULL && node_meta->len > 0)
        nodes_of_meta(r, node_meta, nodes, &cap);
    else
        nodes_all(r, nodes, &cap);
    return INDEX_MAX(r, "nodes");
}

/* ---- names and tags of services ---- */

struct service_tags { /* struct list_pair while it is collected */
    struct str name;
    struct list tags;
    uint32_t cap;
};

struct names {
    struct store_read *read;
    struct map by_name; /* to struct service_tags */
    struct map seen;    /* name NUL tag */
};

static void names_add(struct names *n, const struct node_service *service, bool with_tags) {
    struct service_tags *entry = map_get(&n->by_name, service->service);
    if (entry == NULL) {
        entry = ARENA_NEW(n->read->arena, struct service_tags);
        entry->name = service->service;
        entry->tags = LIST_EMPTY;
        map_put(&n->by_name, service->service, entry);
    }
    for (uint32_t i = 0; with_tags && i < service->tags.len; i++) {
        struct str tag = LIST_AT(service->tags, struct str, i);
        struct str both = KEY(n->read->arena, K_EXACT(service->service), K_BARE(tag));
        if (map_get(&n->seen, both) != NULL)
            continue;
        map_put(&n->seen, both, entry);
        *(struct str *)list_push(&entry->tags, &entry->cap, sizeof tag, n->read->arena) = tag;
    }
}

static void names_of_prefix(struct names *n, struct str prefix, bool with_tags) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, n->read, TABLE_SERVICES, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct node_service service;
        service_decode(n->read, value, NULL, &service);
        names_add(n, &service, with_tags);
    }
    table_scan_end(&s);
}

static int compare_pairs(const void *a, const void *b) {
    return str_compare(((const struct list_pair *)a)->key, ((const struct list_pair *)b)->key);
}

/* A map from name to tags, and the end of `n`. */
static struct list names_finish(struct names *n) {
    struct list out = LIST_NEW(n->read->arena, struct list_pair, n->by_name.count);
    size_t cursor = 0, i = 0;
    void *value;
    while (map_next(&n->by_name, &cursor, NULL, &value)) {
        const struct service_tags *entry = value;
        LIST_AT(out, struct list_pair, i++) =
            (struct list_pair){.key = entry->name, .value = entry->tags};
    }
    if (out.len > 1)
        qsort(out.items, out.len, sizeof(struct list_pair), compare_pairs);
    map_free(&n->by_name);
    map_free(&n->seen);
    return out;
}

uint64_t catalog_services(struct store_read *r, const struct list *node_meta,
                          struct list *services) {
    struct names n = {.read = r};
    watch_name(r, WATCH_TABLE, STR("services"));
    if (node_meta == NULL || node_meta->len == 0) {
        names_of_prefix(&n, STR(""), true);
        *services = names_finish(&n);
        return INDEX_MAX(r, "services");
    }
    struct list nodes;
    catalog_nodes(r, node_meta, &nodes);
    for (uint32_t i = 0; i < nodes.len; i++) {
        struct str name = LIST_AT(nodes, struct node *, i)->node;
        names_of_prefix(&n, KEY(r->arena, K_LOWER(name)), true);
    }
    *services = names_finish(&n);
    return INDEX_MAX(r, "services", "nodes");
}

uint64_t catalog_service_names(struct store_read *r, struct list *names) {
    struct names n = {.read = r};
    watch_name(r, WATCH_TABLE, STR("services"));
    names_of_prefix(&n, STR(""), false);
    struct list pairs = names_finish(&n);
    *names = LIST_NIL;
    if (pairs.len > 0)
        *names = LIST_NEW(r->arena, struct service_name, pairs.len);
    for (uint32_t i = 0; i < pairs.len; i++) {
        LIST_AT(*names, struct service_name, i).name = LIST_AT(pairs, struct list_pair, i).key;
    }
    return INDEX_MAX(r, "services");
}

/* ---- instances of a service ---- */

uint64_t service_read_index(struct store_read *r, struct str name, bool exists, bool checks) {
    uint64_t own = store_index(r, str_format(r->arena, "service.%.*s", STR_ARG(name)));
    watch_name(r, WATCH_SERVICE, name);
    if (!exists) {
        uint64_t extinction = store_index(r, STR("service_last_extinction"));
        if (extinction != 0)
            return extinction;
    }
    if (own != 0)
        return own;
    return checks ? INDEX_MAX(r, "nodes", "services", "checks") : INDEX_MAX(r, "nodes", "services");
}

static struct service_node *service_node_of(struct store_read *r, struct str node_name,
                                            const struct node *node, const struct node_service *s) {
    struct service_node *out = ARENA_NEW(r->arena, struct service_node);
    *out = (struct service_node){
        .address = node->address,
        .create_index = s->create_index,
        .datacenter = node->datacenter,
        .id = node->id,
        .modify_index = s->modify_index,
        .node = node_name,
        .node_meta = node->meta,
        .service_address = s->address,
        .service_connect = s->connect,
        .service_enable_tag_override = s->enable_tag_override,
        .service_id = s->id,
        .service_kind = s->kind,
        .service_meta = s->meta,
        .service_name = s->service,
        .service_port = s->port,
        .service_proxy = s->proxy,
        .service_tagged_addresses = s->tagged_addresses,
        .service_tags = s->tags,
        .service_weights = s->weights != NULL ? *s->weights : (struct weights){1, 1},
        .tagged_addresses = node->tagged_addresses,
    };
    out->service_tags.present = true; /* rpc.md 5.1 */
    out->service_meta.present = true;
    if (s->tagged_addresses.len == 0)
        out->service_tagged_addresses = LIST_NIL;
    return out;
}

/* Appends the instance whose record this is; an instance whose node is gone is left out. */
static void service_node_push(struct store_read *r, struct str value, const struct list *tags,
                              struct list *nodes, uint32_t *cap) {
    struct node_service s;
    struct str name;
    struct node node;
    service_decode(r, value, &name, &s);
    if (!catalog_tags_match(&s.tags, tags) || !node_fetch(r, name, &node))
        return;
    *(struct service_node **)list_push(nodes, cap, sizeof(struct service_node *), r->arena) =
        service_node_of(r, name, &node, &s);
}

/* All that a lookup finds under a name. Returns whether there was any, of whatever tags. */
static bool push_found(struct store_read *r, enum store_table lookup, struct str name,
                       const struct list *tags, struct list *nodes, uint32_t *cap) {
    struct table_scan s;
    struct str key, value;
    bool any = false;
    table_scan_begin(&s, r, lookup, KEY(r->arena, K_LOWER(name)));
    while (table_scan_next(&s, NULL, &key)) {
        if (!table_get(r, TABLE_SERVICES, key, &value))
            continue;
        any = true;
        service_node_push(r, value, tags, nodes, cap);
    }
    table_scan_end(&s);
    return any;
}

uint64_t catalog_service_nodes(struct store_read *r, struct str service, const struct list *tags,
                               struct list *nodes) {
    *nodes = LIST_NIL;
    uint32_t cap = 0;
    bool any = push_found(r, TABLE_SERVICES_NAME, service, tags, nodes, &cap);
    if (any)
        nodes->present = true;
    return service_read_index(r, service, any, false);
}

uint64_t catalog_connect_nodes(struct store_read *r, struct str service, struct list *nodes) {
    *nodes = LIST_NIL;
    uint32_t cap = 0;
    struct list gateways;
    watch_name(r, WATCH_CONNECT, service);
    push_found(r, TABLE_SERVICES_CONNECT, service, NULL, nodes, &cap);
    for (uint32_t i = 0; i < nodes->len; i++) {
        watch_name(r, WATCH_SERVICE, LIST_AT(*nodes, struct service_node *, i)->service_name);
    }
    uint64_t index = gateway_of_service(r, service, "terminating-gateway", &gateways);
    for (uint32_t i = 0; i < gateways.len; i++) {
        struct str name = LIST_AT(gateways, struct gateway_service *, i)->gateway.name;
        bool any = push_found(r, TABLE_SERVICES_NAME, name, NULL, nodes, &cap);
        uint64_t own = service_read_index(r, name, any, false);
        if (own > index)
            index = own;
    }
    uint64_t asked = service_read_index(r, service, nodes->len > 0, false);
    return asked > index ? asked : index_floor(index);
}

uint64_t catalog_address_nodes(struct store_read *r, struct str address, struct list *nodes) {
    *nodes = LIST_NIL;
    uint32_t cap = 0;
    struct table_scan s;
    struct str value;
    watch_name(r, WATCH_TABLE, STR("services"));
    watch_name(r, WATCH_TABLE, STR("nodes"));
    table_scan_begin(&s, r, TABLE_SERVICES, STR(""));
    while (table_scan_next(&s, NULL, &value)) {
        struct node_service service;
        struct str name;
        struct node node;
        service_decode(r, value, &name, &service);
        if (!node_fetch(r, name, &node))
            continue;
        struct str own = service.address.len > 0 ? service.address : node.address;
        if (!str_eq(own, address))
            continue;
        *(struct service_node **)list_push(nodes, &cap, sizeof(struct service_node *), r->arena) =
            service_node_of(r, name, &node, &service);
    }
    table_scan_end(&s);
    return 1;
}

/* ---- services of a node ---- */

/* "-" left out, of an even length; false when it is no such prefix (rpc.md 6.2). */
static bool id_prefix(struct str text, uint8_t out[18], size_t *len) {
    size_t digits = 0;
    if (text.len % 2 != 0)
        text = str_sub(text, 0, text.len - 1);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '-')
            continue;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0 || digits == 36)
            return false;
        out[digits / 2] = (uint8_t)(digits % 2 == 0 ? digit << 4 : out[digits / 2] | digit);
        digits++;
    }
    *len = digits / 2;
    return digits > 0 && digits % 2 == 0;
}

static struct node *node_by_id_prefix(struct store_read *r, struct str text) {
    uint8_t bytes[18];
    size_t len;
    struct table_scan s;
    struct str key, another;
    watch_name(r, WATCH_TABLE, STR("nodes"));
    if (!id_prefix(text, bytes, &len))
        return NULL;
    table_scan_begin(&s, r, TABLE_NODES_ID, str_of(bytes, len));
    bool one = table_scan_next(&s, NULL, &key) && !table_scan_next(&s, NULL, &another);
    table_scan_end(&s);
    struct node *node = ARENA_NEW(r->arena, struct node);
    if (!one || !record_get(r, TABLE_NODES, key, &node_shape, node))
        return NULL;
    watch_name(r, WATCH_NODE, node->node);
    return node;
}

static void push_services_of(struct store_read *r, struct str node, struct list *services) {
    *services = LIST_NIL;
    uint32_t cap = 0;
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, r, TABLE_SERVICES, KEY(r->arena, K_LOWER(node)));
    while (table_scan_next(&s, NULL, &value)) {
        struct node_service *service = ARENA_NEW(r->arena, struct node_service);
        service_decode(r, value, NULL, service);
        *(struct node_service **)list_push(services, &cap, sizeof service, r->arena) = service;
    }
    table_scan_end(&s);
}

uint64_t catalog_node_services(struct store_read *r, struct str name_or_id, struct node **node,
                               struct list *services) {
    *services = LIST_NIL;
    *node = catalog_node(r, name_or_id);
    if (*node == NULL && name_or_id.len >= 2)
        *node = node_by_id_prefix(r, name_or_id);
    if (*node == NULL)
        return 1;
    push_services_of(r, (*node)->node, services);
    return INDEX_MAX(r, "nodes", "services");
}

struct service_pair { /* of {?NodeService} */
    struct str key;
    struct node_service *value;
};

static int compare_services(const void *a, const void *b) {
    return str_compare(((const struct service_pair *)a)->key,
                       ((const struct service_pair *)b)->key);
}

uint64_t catalog_node_services_map(struct store_read *r, struct str name_or_id,
                                   struct node_services **services) {
    struct node *node;
    struct list list;
    uint64_t index = catalog_node_services(r, name_or_id, &node, &list);
    *services = NULL;
    if (node == NULL)
        return index;
    *services = ARENA_NEW(r->arena, struct node_services);
    (*services)->node = node;
    (*services)->services = LIST_NEW(r->arena, struct service_pair, list.len);
    for (uint32_t i = 0; i < list.len; i++) {
        struct node_service *service = LIST_AT(list, struct node_service *, i);
        LIST_AT((*services)->services, struct service_pair, i) =
            (struct service_pair){.key = service->id, .value = service};
    }
    if (list.len > 1) { /* keys sort by their lower case, maps by the bytes */
        qsort((*services)->services.items, list.len, sizeof(struct service_pair), compare_services);
    }
    return index;
}

/* ---- node dumps ---- */

static void dump_push(struct store_read *r, const struct node *node, struct list *dump,
                      uint32_t *cap) {
    struct node_info *info = ARENA_NEW(r->arena, struct node_info);
    *info = (struct node_info){.address = node->address,
                               .id = node->id,
                               .meta = node->meta,
                               .node = node->node,
                               .tagged_addresses = node->tagged_addresses};
    push_services_of(r, node->node, &info->services);
    catalog_node_checks(r, node->node, &info->checks);
    *(struct node_info **)list_push(dump, cap, sizeof info, r->arena) = info;
}

uint64_t catalog_node_info(struct store_read *r, struct str name, struct list *dump) {
    *dump = LIST_NIL;
    uint32_t cap = 0;
    struct node *node = catalog_node(r, name);
    if (node != NULL)
        dump_push(r, node, dump, &cap);
    return INDEX_MAX(r, "nodes", "services", "checks");
}

uint64_t catalog_node_dump(struct store_read *r, struct list *dump) {
    *dump = LIST_NIL;
    uint32_t cap = 0;
    struct list nodes;
    struct watch_set *watch = r->watch;
    catalog_nodes(r, NULL, &nodes);
    watch_name(r, WATCH_TABLE, STR("services"));
    watch_name(r, WATCH_TABLE, STR("checks"));
    r->watch = NULL; /* the tables are enough */
    for (uint32_t i = 0; i < nodes.len; i++) {
        dump_push(r, LIST_AT(nodes, struct node *, i), dump, &cap);
    }
    r->watch = watch;
    return INDEX_MAX(r, "nodes", "services", "checks");
}
