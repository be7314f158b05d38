/* Lists of records in answers, with [] where the protocol has nil. */
#include "http/records.h"

#include "base/mem.h"

/* ---- address translation ---- */

bool http_translates(const struct http_request *r, struct str datacenter) {
    return r->config->translate_wan_addrs && datacenter.len > 0 &&
           !str_eq(datacenter, r->config->datacenter);
}

bool http_request_translates(const struct http_request *r) {
    ptrdiff_t at = r->call.endpoint->datacenter;
    return at >= 0 && http_translates(r, *(const struct str *)((const char *)r->call.request + at));
}

struct service_address_pair {
    struct str key;
    struct service_address value;
};

/* The last of the tags that is there, even if it is empty; none: as it was. */
static struct str tagged_address(const struct list *tagged, bool service, struct str otherwise,
                                 const char *local, const char *wide) {
    const char *const tags[] = {local, wide};
    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        const struct service_address *of_service =
            tags[i] != NULL && service
                ? map_pair_value(tagged, sizeof(struct service_address_pair), str_from(tags[i]))
                : NULL;
        const struct str *of_node =
            tags[i] != NULL && !service ? str_map_get(tagged, str_from(tags[i])) : NULL;
        otherwise = of_service != NULL ? of_service->address
                    : of_node != NULL  ? *of_node
                                       : otherwise;
    }
    return otherwise;
}

static struct str translate(const struct list *tagged, bool service, struct str address) {
    if (tagged->len == 0)
        return address;
    struct str v6 = tagged_address(tagged, service, STR_NONE, "lan_ipv6", "wan_ipv6");
    struct str v4 = tagged_address(tagged, service, STR_NONE, "lan_ipv4", "wan_ipv4");
    return v6.len > 0   ? v6
           : v4.len > 0 ? v4
                        : tagged_address(tagged, service, address, NULL, "wan");
}

static int64_t translate_port(const struct list *tagged, int64_t port) {
    const struct service_address *wan =
        map_pair_value(tagged, sizeof(struct service_address_pair), STR("wan"));
    return wan != NULL && wan->port != 0 ? wan->port : port;
}

/* ---- records ---- */

void http_write_pointers(struct json_writer *w, const struct list *list,
                         const struct shape *shape) {
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++)
        schema_write_json(w, shape, LIST_AT(*list, void *, i));
    json_close_array(w);
}

void http_write_strings(struct json_writer *w, const struct list *list) {
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++)
        json_str(w, LIST_AT(*list, struct str, i));
    json_close_array(w);
}

void http_write_check(struct json_writer *w, const struct health_check *check) {
    struct health_check copy = *check;
    if (!copy.service_tags.present)
        copy.service_tags = LIST_EMPTY;
    schema_write_json(w, &health_check_shape, &copy);
}

void http_write_checks(struct json_writer *w, const struct list *checks) {
    json_open_array(w);
    for (uint32_t i = 0; i < checks->len; i++)
        http_write_check(w, LIST_AT(*checks, struct health_check *, i));
    json_close_array(w);
}

void http_write_node(struct json_writer *w, const struct node *node, bool remote) {
    if (node == NULL) {
        json_null(w);
        return;
    }
    struct node copy = *node;
    if (remote)
        copy.address = translate(&copy.tagged_addresses, false, copy.address);
    schema_write_json(w, &node_shape, &copy);
}

static struct node_service translated(const struct node_service *service, bool remote) {
    struct node_service copy = *service;
    if (remote) {
        copy.address = translate(&copy.tagged_addresses, true, copy.address);
        copy.port = translate_port(&copy.tagged_addresses, copy.port);
    }
    return copy;
}

void http_write_node_service(struct json_writer *w, const struct node_service *service,
                             bool remote) {
    struct node_service copy = translated(service, remote);
    if (!copy.tags.present)
        copy.tags = LIST_EMPTY;
    schema_write_json(w, &node_service_shape, &copy);
}

void http_write_service_node(struct json_writer *w, const struct service_node *service,
                             bool remote) {
    struct service_node copy = *service;
    if (remote) {
        copy.address = translate(&copy.tagged_addresses, false, copy.address);
        copy.service_address =
            translate(&copy.service_tagged_addresses, true, copy.service_address);
        copy.service_port = translate_port(&copy.service_tagged_addresses, copy.service_port);
    }
    if (!copy.service_tags.present)
        copy.service_tags = LIST_EMPTY;
    if (!copy.service_meta.present)
        copy.service_meta = LIST_EMPTY;
    schema_write_json(w, &service_node_shape, &copy);
}

void http_write_check_service_node(struct json_writer *w, const struct check_service_node *n,
                                   bool remote) {
    json_open_object(w);
    json_key(w, STR("Node"));
    http_write_node(w, n->node, remote);
    json_key(w, STR("Service"));
    if (n->service != NULL)
        http_write_node_service(w, n->service, remote);
    else
        json_null(w);
    json_key(w, STR("Checks"));
    http_write_checks(w, &n->checks);
    json_close_object(w);
}

void http_write_plain_instance(struct json_writer *w, const struct check_service_node *n,
                               bool remote) {
    struct check_service_node copy = *n;
    struct node node;
    struct node_service service;
    if (remote && n->node != NULL) {
        node = *n->node;
        node.address = translate(&node.tagged_addresses, false, node.address);
        copy.node = &node;
    }
    if (remote && n->service != NULL) {
        service = translated(n->service, true);
        copy.service = &service;
    }
    schema_write_json(w, &check_service_node_shape, &copy);
}
