/* The records of http-core.md 10 as lists in answers. The shared reply is never changed: where a
 * list that is nil must show as empty, a shallow copy of the record is written.
 */
#ifndef PRAETOR_HTTP_RECORDS_H
#define PRAETOR_HTTP_RECORDS_H

#include "codec/json.h"
#include "schema/catalog.h"

/* A list of pointers to structs of the shape; nil: []. */
void http_write_pointers(struct json_writer *w, const struct list *list, const struct shape *shape);
void http_write_strings(struct json_writer *w, const struct list *list);
/* With tags that are never null. */
void http_write_check(struct json_writer *w, const struct health_check *check);
void http_write_checks(struct json_writer *w, const struct list *checks);
void http_write_node_service(struct json_writer *w, const struct node_service *service);
void http_write_service_node(struct json_writer *w, const struct service_node *service);
void http_write_check_service_node(struct json_writer *w, const struct check_service_node *n);

#endif
