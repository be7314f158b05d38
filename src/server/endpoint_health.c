/* Health: checks, and instances with their checks (rpc.md 6.3). */
#include "server/endpoint.h"
#include "server/filter_acl.h"
#include "server/near.h"
#include "server/permit.h"
#include "store/catalog.h"

static struct str check_node(const void *element) {
    return ((const struct health_check *)element)->node;
}

static struct str instance_node(const void *element) {
    const struct check_service_node *instance = element;
    return instance->node != NULL ? instance->node->node : STR("");
}

static const struct list *instance_meta(const void *element) {
    static const struct list none = {NULL, 0, false};
    const struct check_service_node *instance = element;
    return instance->node != NULL ? &instance->node->meta : &none;
}

static bool checks_end(struct call_context *c, const struct query_options *options,
                       const struct query_source *source, struct list *checks, struct error *e) {
    filter_checks(c, checks);
    if (!filter_list(c, options->filter, &health_check_shape, checks, 0, e)) {
        return false;
    }
    if (source != NULL) {
        near_sort(c, source, checks, 0, check_node);
    }
    return true;
}

static bool checks_in_state(struct call_context *c, const void *request, void *reply,
                            struct error *e) {
    const struct checks_in_state_request *r = request;
    struct indexed_health_checks *out = reply;
    c->meta->index =
        catalog_state_checks(c->store, r->state, &r->node_meta_filters, &out->health_checks);
    c->exact = str_is(r->state, "any"); /* the whole table is watched */
    return checks_end(c, &r->options, &r->source, &out->health_checks, e);
}

static bool node_checks(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct node_request *r = request;
    struct indexed_health_checks *out = reply;
    c->meta->index = catalog_node_checks(c->store, r->node, &out->health_checks);
    return checks_end(c, &r->options, NULL, &out->health_checks, e);
}

static bool service_checks_check(const void *request, struct error *e) {
    const struct service_request *r = request;
    if (r->tag_filter) {
        return error_set(e, ERROR_INTERNAL, "Tag filtering is not supported");
    }
    return true;
}

static bool service_checks(struct call_context *c, const void *request, void *reply,
                           struct error *e) {
    const struct service_request *r = request;
    struct indexed_health_checks *out = reply;
    c->meta->index = catalog_service_checks(c->store, r->service_name, &r->node_meta_filters,
                                            &out->health_checks);
    return checks_end(c, &r->options, &r->source, &out->health_checks, e);
}

static void service_nodes_find(struct call_context *c, const struct service_request *r,
                               struct list *nodes) {
    if (r->connect) {
        c->meta->index = catalog_check_connect_nodes(c->store, r->service_name, nodes);
        return;
    }
    if (r->tag_filter) {
        struct list tags = r->service_tags;
        struct str one = r->service_tag;
        if (one.len > 0) {
            tags = (struct list){&one, 1, true};
        }
        c->meta->index = catalog_check_service_nodes(c->store, r->service_name, &tags, nodes);
    } else if (r->ingress) {
        c->meta->index = catalog_check_ingress_nodes(c->store, r->service_name, nodes);
        return;
    } else {
        c->meta->index = catalog_check_service_nodes(c->store, r->service_name, NULL, nodes);
    }
    c->exact = nodes->len > 0; /* the index is then service.<name>, which is watched */
}

static bool service_nodes(struct call_context *c, const void *request, void *reply,
                          struct error *e) {
    const struct service_request *r = request;
    struct indexed_check_service_nodes *out = reply;
    const size_t size = sizeof(struct check_service_node);
    if (r->service_name.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide service name");
    }
    if ((r->connect || r->ingress) && !permit_look(c, r->service_name)) {
        return true;
    }
    service_nodes_find(c, r, &out->nodes);
    filter_instances(c, &out->nodes);
    meta_filter(&r->node_meta_filters, &out->nodes, size, instance_meta);
    if (!filter_list(c, r->options.filter, &check_service_node_shape, &out->nodes, size, e)) {
        return false;
    }
    near_sort(c, &r->source, &out->nodes, size, instance_node);
    return true;
}

static void service_nodes_observe(const void *request, const void *reply) {
    const struct indexed_check_service_nodes *out = reply;
    observe_service_query("health", request, out->nodes.len);
}

const struct endpoint endpoint_health_checks_in_state = {
    ENDPOINT_READS("Health.ChecksInState", ENDPOINT_BLOCKING, checks_in_state_request,
                   indexed_health_checks),
    .filtered = &health_check_shape,
    .read = checks_in_state,
};

const struct endpoint endpoint_health_node_checks = {
    ENDPOINT_READS("Health.NodeChecks", ENDPOINT_BLOCKING, node_request, indexed_health_checks),
    .filtered = &health_check_shape,
    .read = node_checks,
};

const struct endpoint endpoint_health_service_checks = {
    ENDPOINT_READS("Health.ServiceChecks", ENDPOINT_BLOCKING, service_request,
                   indexed_health_checks),
    .check = service_checks_check,
    .filtered = &health_check_shape,
    .read = service_checks,
};

const struct endpoint endpoint_health_service_nodes = {
    ENDPOINT_READS("Health.ServiceNodes", ENDPOINT_BLOCKING, service_request,
                   indexed_check_service_nodes),
    .read = service_nodes,
    .observe = service_nodes_observe,
};
