/* Internal: what the web page reads (rpc.md 6.7). */
#include "server/endpoint.h"
#include "server/filter_acl.h"
#include "server/near.h"
#include "server/permit.h"
#include "store/catalog.h"

static struct str instance_node(const void *element) {
    const struct check_service_node *instance = element;
    return instance->node != NULL ? instance->node->node : STR("");
}

static bool node_info(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)e;
    const struct node_request *r = request;
    struct indexed_node_dump *out = reply;
    c->meta->index = catalog_node_info(c->store, r->node, &out->dump);
    filter_node_dump(c, &out->dump);
    return true;
}

static bool node_dump(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct dc_request *r = request;
    struct indexed_node_dump *out = reply;
    c->meta->index = catalog_node_dump(c->store, &out->dump);
    c->exact = true;
    filter_node_dump(c, &out->dump);
    return filter_list(c, r->options.filter, &node_info_shape, &out->dump, 0, e);
}

static bool service_dump(struct call_context *c, const void *request, void *reply,
                         struct error *e) {
    const struct service_dump_request *r = request;
    struct indexed_check_service_nodes *out = reply;
    const size_t size = sizeof(struct check_service_node);
    c->meta->index =
        catalog_service_dump(c->store, r->use_service_kind, r->service_kind, &out->nodes);
    c->exact = !r->use_service_kind;
    filter_instances(c, &out->nodes);
    if (!filter_list(c, r->options.filter, &check_service_node_shape, &out->nodes, size, e)) {
        return false;
    }
    near_sort(c, &r->source, &out->nodes, size, instance_node);
    return true;
}

static bool gateway_service_dump(struct call_context *c, const void *request, void *reply,
                                 struct error *e) {
    const struct service_request *r = request;
    struct indexed_service_dump *out = reply;
    if (r->service_name.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide gateway name");
    }
    if (!permit(c, ACL_SERVICE, ACL_READ, r->service_name, e)) {
        return false;
    }
    c->meta->index = catalog_gateway_dump(c->store, r->service_name, &out->dump);
    filter_gateway_dump(c, &out->dump);
    return true;
}

const struct endpoint endpoint_internal_gateway_service_dump = {
    ENDPOINT_READS("Internal.GatewayServiceDump", ENDPOINT_BLOCKING, service_request,
                   indexed_service_dump),
    .read = gateway_service_dump,
};

const struct endpoint endpoint_internal_node_info = {
    ENDPOINT_READS("Internal.NodeInfo", ENDPOINT_BLOCKING, node_request, indexed_node_dump),
    .read = node_info,
};

const struct endpoint endpoint_internal_node_dump = {
    ENDPOINT_READS("Internal.NodeDump", ENDPOINT_BLOCKING, dc_request, indexed_node_dump),
    .read = node_dump,
};

const struct endpoint endpoint_internal_service_dump = {
    ENDPOINT_READS("Internal.ServiceDump", ENDPOINT_BLOCKING, service_dump_request,
                   indexed_check_service_nodes),
    .read = service_dump,
};
