/* See filter_acl.h. */
#include "server/filter_acl.h"

#include "server/permit.h"
#include "store/query_template.h"

#define TOKEN_HIDDEN STR("<hidden>")

static bool sees_node(const struct call_context *c, struct str name) {
    return may(c, ACL_NODE, ACL_READ, name);
}

static bool sees_service(const struct call_context *c, struct str name) {
    return may(c, ACL_SERVICE, ACL_READ, name);
}

/* ---- nodes ---- */

void filter_nodes(const struct call_context *c, struct list *nodes) {
    FILTER_LIST(c, *nodes, const struct node *, sees_node(c, item->node));
}

void filter_coordinates(const struct call_context *c, struct list *coordinates) {
    FILTER_LIST(c, *coordinates, const struct coordinate *, sees_node(c, item->node));
}

/* ---- services ---- */

void filter_services(const struct call_context *c, struct list *services) {
    FILTER_LIST(c, *services, struct list_pair, sees_service(c, item.key));
}

void filter_service_names(const struct call_context *c, struct list *names) {
    FILTER_LIST(c, *names, struct service_name, sees_service(c, item.name));
}

void filter_gateway_services(const struct call_context *c, struct list *services) {
    FILTER_LIST(c, *services, const struct gateway_service *, sees_service(c, item->service.name));
    services->present =
        services->present || c->may != NULL; /* [] where all is filtered, not null */
}

/* ---- instances and checks ---- */

void filter_service_nodes(const struct call_context *c, struct list *nodes) {
    FILTER_LIST(c, *nodes, const struct service_node *,
                sees_node(c, item->node) && sees_service(c, item->service_name));
}

void filter_instances(const struct call_context *c, struct list *nodes) {
    FILTER_LIST(c, *nodes, struct check_service_node,
                item.node != NULL && item.service != NULL && sees_node(c, item.node->node) &&
                    sees_service(c, item.service->service));
}

static bool sees_check_service(const struct call_context *c, const struct health_check *check) {
    return check->service_name.len == 0 || sees_service(c, check->service_name);
}

void filter_checks(const struct call_context *c, struct list *checks) {
    FILTER_LIST(c, *checks, const struct health_check *,
                sees_node(c, item->node) && sees_check_service(c, item));
}

static bool sees_dumped(const struct call_context *c, const struct service_info *info) {
    return (info->node == NULL || sees_node(c, info->node->node)) &&
           sees_service(c, info->gateway_service->service.name);
}

void filter_gateway_dump(const struct call_context *c, struct list *dump) {
    FILTER_LIST(c, *dump, const struct service_info *,
                item->gateway_service != NULL && sees_dumped(c, item));
}

/* ---- nodes with what is on them ---- */

void filter_node_services(const struct call_context *c, struct node_services **node) {
    if (*node == NULL)
        return;
    if (!sees_node(c, (*node)->node->node)) {
        *node = NULL;
        return;
    }
    FILTER_LIST(c, (*node)->services, struct ptr_pair,
                sees_service(c, ((const struct node_service *)item.value)->service));
}

static void filter_node_service_items(const struct call_context *c, struct list *services) {
    FILTER_LIST(c, *services, const struct node_service *, sees_service(c, item->service));
}

void filter_node_service_list(const struct call_context *c, struct node_service_list *node) {
    if (node->node == NULL)
        return;
    if (!sees_node(c, node->node->node)) {
        *node = (struct node_service_list){.node = NULL};
        return;
    }
    filter_node_service_items(c, &node->services);
}

void filter_node_dump(const struct call_context *c, struct list *dump) {
    FILTER_LIST(c, *dump, const struct node_info *, sees_node(c, item->node));
    for (uint32_t i = 0; i < dump->len; i++) {
        struct node_info *node = LIST_AT(*dump, struct node_info *, i);
        filter_node_service_items(c, &node->services);
        FILTER_LIST(c, node->checks, const struct health_check *, sees_check_service(c, item));
    }
}

/* ---- sessions ---- */

void filter_sessions(const struct call_context *c, struct list *sessions) {
    FILTER_LIST(c, *sessions, const struct session *, may(c, ACL_SESSION, ACL_READ, item->node));
}

/* ---- prepared queries ---- */

bool query_is_named(const struct prepared_query *q) {
    return q->name.len > 0 || query_is_template(q);
}

void redact_query(const struct call_context *c, struct prepared_query *q) {
    if (q->token.len > 0 && !authorizer_may_acl(c->may, ACL_WRITE))
        q->token = TOKEN_HIDDEN;
}

void filter_queries(const struct call_context *c, struct list *queries) {
    if (authorizer_may_acl(c->may, ACL_WRITE))
        return;
    FILTER_LIST(c, *queries, const struct prepared_query *,
                query_is_named(item) && may(c, ACL_QUERY, ACL_READ, item->name));
    for (uint32_t i = 0; i < queries->len; i++)
        redact_query(c, LIST_AT(*queries, struct prepared_query *, i));
}

/* ---- transactions ---- */

static bool sees_result(const struct call_context *c, const struct txn_result *r) {
    if (r->kv != NULL)
        return may(c, ACL_KEY, ACL_READ, r->kv->key);
    if (r->node != NULL)
        return sees_node(c, r->node->node);
    if (r->service != NULL)
        return sees_service(c, r->service->service);
    if (r->check != NULL)
        return r->check->service_name.len > 0 ? sees_service(c, r->check->service_name)
                                              : sees_node(c, r->check->node);
    return true;
}

void filter_txn_results(const struct call_context *c, struct list *results) {
    FILTER_LIST(c, *results, const struct txn_result *, sees_result(c, item));
}
