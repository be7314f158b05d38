/* Lists of records in answers, with [] where the protocol has nil. */
#include "http/records.h"

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

void http_write_node_service(struct json_writer *w, const struct node_service *service) {
    struct node_service copy = *service;
    if (!copy.tags.present)
        copy.tags = LIST_EMPTY;
    schema_write_json(w, &node_service_shape, &copy);
}

void http_write_service_node(struct json_writer *w, const struct service_node *service) {
    struct service_node copy = *service;
    if (!copy.service_tags.present)
        copy.service_tags = LIST_EMPTY;
    if (!copy.service_meta.present)
        copy.service_meta = LIST_EMPTY;
    schema_write_json(w, &service_node_shape, &copy);
}

void http_write_check_service_node(struct json_writer *w, const struct check_service_node *n) {
    json_open_object(w);
    json_key(w, STR("Node"));
    if (n->node != NULL)
        schema_write_json(w, &node_shape, n->node);
    else
        json_null(w);
    json_key(w, STR("Service"));
    if (n->service != NULL)
        http_write_node_service(w, n->service);
    else
        json_null(w);
    json_key(w, STR("Checks"));
    http_write_checks(w, &n->checks);
    json_close_object(w);
}
