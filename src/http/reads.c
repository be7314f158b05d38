/* Requests that several resources read alike: see reads.h. */
#include "http/reads.h"

struct service_request *http_read_instances(struct http_request *r) {
    struct service_request *q = ARENA_NEW(&r->arena, struct service_request);
    if (!http_check_namespace(r))
        return NULL;
    q->datacenter = http_datacenter(r);
    http_read_source(r, &q->source);
    http_read_node_meta(r, &q->node_meta_filters);
    if (!http_read_options(r, &q->options))
        return NULL;
    q->service_tags = http_param_list(r, "tag");
    q->tag_filter = q->service_tags.present;
    q->service_name = r->argument;
    return http_need_argument(r, "Missing service name") ? q : NULL;
}

struct service_request *http_read_gateway(struct http_request *r) {
    struct service_request *q = ARENA_NEW(&r->arena, struct service_request);
    if (!http_check_namespace(r))
        return NULL;
    q->datacenter = http_datacenter(r);
    q->service_name = r->argument;
    if (!http_read_options(r, &q->options) || !http_need_argument(r, "Missing gateway name"))
        return NULL;
    q->options.filter = STR("");
    return q;
}

struct node_request *http_read_node(struct http_request *r) {
    struct node_request *q = ARENA_NEW(&r->arena, struct node_request);
    if (!http_check_namespace(r))
        return NULL;
    q->datacenter = http_datacenter(r);
    q->node = r->argument;
    bool ok = http_read_options(r, &q->options) && http_need_argument(r, "Missing node name");
    return ok ? q : NULL;
}

struct node_request *http_read_node_unfiltered(struct http_request *r) {
    struct node_request *q = ARENA_NEW(&r->arena, struct node_request);
    q->datacenter = http_datacenter(r);
    q->node = r->argument;
    if (!http_read_options(r, &q->options) || !http_check_namespace(r) ||
        !http_need_argument(r, "Missing node name"))
        return NULL;
    q->options.filter = STR("");
    return q;
}
