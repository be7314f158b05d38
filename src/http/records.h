/* The records of http-core.md 10 as lists in answers. The shared reply is never changed: where a
 * list that is nil must show as empty, a shallow copy of the record is written.
 */
#ifndef PRAETOR_HTTP_RECORDS_H
#define PRAETOR_HTTP_RECORDS_H

#include "codec/json.h"
#include "http/http.h"
#include "schema/catalog.h"

/* Whether the addresses of an answer from that datacenter are rewritten (http-core.md 8), and of
 * the one that the request under way names. Those `remote` below. */
bool http_translates(const struct http_request *r, struct str datacenter);
bool http_request_translates(const struct http_request *r);

/* A list of pointers to structs of the shape; nil: []. */
void http_write_pointers(struct json_writer *w, const struct list *list, const struct shape *shape);
void http_write_strings(struct json_writer *w, const struct list *list);
/* With tags that are never null. */
void http_write_check(struct json_writer *w, const struct health_check *check);
void http_write_checks(struct json_writer *w, const struct list *checks);
void http_write_node(struct json_writer *w, const struct node *node, bool remote); /* or NULL */
void http_write_node_service(struct json_writer *w, const struct node_service *service,
                             bool remote);
void http_write_service_node(struct json_writer *w, const struct service_node *service,
                             bool remote);
void http_write_check_service_node(struct json_writer *w, const struct check_service_node *n,
                                   bool remote);
/* The same with nil lists as they are, for prepared queries. */
void http_write_plain_instance(struct json_writer *w, const struct check_service_node *n,
                               bool remote);

#endif
