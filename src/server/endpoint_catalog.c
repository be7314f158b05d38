/* Catalog: reads of nodes and services (rpc.md 6.2). Register and Deregister are in register.c. */
#include "server/endpoint.h"
#include "server/filter_acl.h"
#include "server/near.h"
#include "server/permit.h"
#include "store/catalog.h"
#include "store/gateway.h"

/* ---- what elements are on ---- */

static struct str node_name(const void *element) {
    return ((const struct node *)element)->node;
}

static struct str service_node_name(const void *element) {
    return ((const struct service_node *)element)->node;
}

static const struct list *service_node_meta(const void *element) {
    return &((const struct service_node *)element)->node_meta;
}

/* ---- reads ---- */

static bool list_nodes(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct dc_request *r = request;
    struct indexed_nodes *out = reply;
    c->meta->index = catalog_nodes(c->store, &r->node_meta_filters, &out->nodes);
    c->exact = true; /* the table's index, and the table is watched */
    filter_nodes(c, &out->nodes);
    if (!filter_list(c, r->options.filter, &node_shape, &out->nodes, 0, e)) {
        return false;
    }
    near_sort(c, &r->source, &out->nodes, 0, node_name);
    return true;
}

static bool list_services(struct call_context *c, const void *request, void *reply,
                          struct error *e) {
    (void)e;
    const struct dc_request *r = request;
    struct indexed_services *out = reply;
    c->meta->index = catalog_services(c->store, &r->node_meta_filters, &out->services);
    c->exact = r->node_meta_filters.len == 0;
    filter_services(c, &out->services);
    return true;
}

static bool service_list(struct call_context *c, const void *request, void *reply,
                         struct error *e) {
    (void)request;
    (void)e;
    struct indexed_service_list *out = reply;
    c->meta->index = catalog_service_names(c->store, &out->services);
    c->exact = true;
    filter_service_names(c, &out->services);
    return true;
}

/* The tags that an instance must have (rpc.md 6.2). */
static struct list wanted_tags(struct call_context *c, const struct service_request *r) {
    if (r->service_tag.len == 0) {
        return r->service_tags;
    }
    struct list tags = LIST_NEW(c->arena, struct str, 1);
    LIST_AT(tags, struct str, 0) = r->service_tag;
    return tags;
}

static bool service_nodes(struct call_context *c, const void *request, void *reply,
                          struct error *e) {
    const struct service_request *r = request;
    struct indexed_service_nodes *out = reply;
    struct list *nodes = &out->service_nodes;
    if (r->service_name.len == 0 && r->service_address.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide service name");
    }
    if (r->connect && !permit_look(c, r->service_name)) {
        return true;
    }
    if (r->connect) {
        c->meta->index = catalog_connect_nodes(c->store, r->service_name, nodes);
    } else if (r->service_address.len > 0) {
        c->meta->index = catalog_address_nodes(c->store, r->service_address, nodes);
    } else if (r->tag_filter) {
        struct list tags = wanted_tags(c, r);
        c->meta->index = catalog_service_nodes(c->store, r->service_name, &tags, nodes);
        c->exact = nodes->len > 0;
    } else {
        c->meta->index = catalog_service_nodes(c->store, r->service_name, NULL, nodes);
        c->exact = nodes->len > 0;
    }
    filter_service_nodes(c, nodes);
    meta_filter(&r->node_meta_filters, nodes, 0, service_node_meta);
    if (!filter_list(c, r->options.filter, &service_node_shape, nodes, 0, e)) {
        return false;
    }
    near_sort(c, &r->source, nodes, 0, service_node_name);
    return true;
}

static bool node_services_read(struct call_context *c, const void *request, void *reply,
                               struct error *e) {
    const struct node_request *r = request;
    struct indexed_node_services *out = reply;
    if (r->node.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide node");
    }
    c->meta->index = catalog_node_services_map(c->store, r->node, &out->node_services);
    filter_node_services(c, &out->node_services);
    struct list none = LIST_NIL;
    return filter_ptr_map(c, r->options.filter, &node_service_shape,
                          out->node_services != NULL ? &out->node_services->services : &none, e);
}

static bool node_service_list_read(struct call_context *c, const void *request, void *reply,
                                   struct error *e) {
    const struct node_request *r = request;
    struct indexed_node_service_list *out = reply;
    if (r->node.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide node");
    }
    struct node_service_list *found = &out->node_services;
    c->meta->index = catalog_node_services(c->store, r->node, &found->node, &found->services);
    filter_node_service_list(c, found);
    struct list none = LIST_NIL;
    return filter_list(c, r->options.filter, &node_service_shape,
                       found->node != NULL ? &found->services : &none, 0, e);
}

static bool gateway_services_read(struct call_context *c, const void *request, void *reply,
                                  struct error *e) {
    const struct service_request *r = request;
    struct indexed_gateway_services *out = reply;
    if (r->service_name.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide gateway name");
    }
    if (!permit(c, ACL_SERVICE, ACL_READ, r->service_name, e)) {
        return false;
    }
    c->meta->index = gateway_services(c->store, r->service_name, &out->services);
    filter_gateway_services(c, &out->services);
    return true;
}

static bool list_datacenters(struct call_context *c, const void *request, void *reply,
                             struct error *e) {
    (void)request;
    (void)e;
    struct list *out = reply;
    struct peer_datacenter *known;
    size_t count = peers_datacenters(c->server->peers, c->arena, &known);
    *out = LIST_NEW(c->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        LIST_AT(*out, struct str, i) = known[i].name;
    }
    return true;
}

static void service_nodes_observe(const void *request, const void *reply) {
    const struct indexed_service_nodes *out = reply;
    observe_service_query("catalog", request, out->service_nodes.len);
}

const struct endpoint endpoint_catalog_list_datacenters = {
    .name = "Catalog.ListDatacenters",
    .kind = ENDPOINT_LOCAL,
    .request = &datacenters_request_shape,
    .datacenter = -1,
    .options = offsetof(struct datacenters_request, options),
    .meta = -1,
    .token = -1,
    ENDPOINT_REPLY_TYPE(str_list_reply_type, struct list),
    .read = list_datacenters,
};

const struct endpoint endpoint_catalog_list_nodes = {
    ENDPOINT_READS("Catalog.ListNodes", ENDPOINT_BLOCKING, dc_request, indexed_nodes),
    .filtered = &node_shape,
    .read = list_nodes,
};

const struct endpoint endpoint_catalog_list_services = {
    ENDPOINT_READS("Catalog.ListServices", ENDPOINT_BLOCKING, dc_request, indexed_services),
    .read = list_services,
};

const struct endpoint endpoint_catalog_service_list = {
    ENDPOINT_READS("Catalog.ServiceList", ENDPOINT_BLOCKING, dc_request, indexed_service_list),
    .read = service_list,
};

const struct endpoint endpoint_catalog_service_nodes = {
    ENDPOINT_READS("Catalog.ServiceNodes", ENDPOINT_BLOCKING, service_request,
                   indexed_service_nodes),
    .read = service_nodes,
    .observe = service_nodes_observe,
};

const struct endpoint endpoint_catalog_node_services = {
    ENDPOINT_READS("Catalog.NodeServices", ENDPOINT_BLOCKING, node_request, indexed_node_services),
    .filtered = &node_service_shape,
    .read = node_services_read,
};

const struct endpoint endpoint_catalog_node_service_list = {
    ENDPOINT_READS("Catalog.NodeServiceList", ENDPOINT_BLOCKING, node_request,
                   indexed_node_service_list),
    .filtered = &node_service_shape,
    .read = node_service_list_read,
};

const struct endpoint endpoint_catalog_gateway_services = {
    ENDPOINT_READS("Catalog.GatewayServices", ENDPOINT_BLOCKING, service_request,
                   indexed_gateway_services),
    .read = gateway_services_read,
};
