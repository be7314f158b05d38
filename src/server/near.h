/* Sorting by distance (`near`, http-core.md 13) and the tests that reads of several endpoints
 * share: node metadata and filter expressions. For server/endpoint_*.c.
 */
#ifndef PRAETOR_SERVER_NEAR_H
#define PRAETOR_SERVER_NEAR_H

#include "schema/coordinate.h"
#include "server/call.h"

/* Estimated round trip in seconds. Different dimensions: infinite. */
double near_distance(const struct coord *a, const struct coord *b);

/* Which node an element is on. */
typedef struct str near_node_of(const void *element);

/* Sorts a list of pointers (or of structs of `size`, when it is not 0) by distance from
 * source.node, if it is set, lies in this datacenter and has a coordinate; stable; nodes without a
 * coordinate last. */
void near_sort(struct call_context *c, const struct query_source *source, struct list *list,
               size_t size, near_node_of *node_of);

/* Keeps the elements that the expression selects. text "": all, as they are. size as above; `shape`
 * is of the element. False: "Failed to create boolean expression evaluator: ...". */
bool filter_list(struct call_context *c, struct str text, const struct shape *shape,
                 struct list *list, size_t size, struct error *e);
/* The same for the values of a map whose pairs have pointers to such structs. */
bool filter_ptr_map(struct call_context *c, struct str text, const struct shape *shape,
                    struct list *map, struct error *e);
/* Only whether it is an expression; "" is one. */
bool filter_check(struct str text, const struct shape *shape, struct error *e);

/* Counts a query for a service (observe.c). family: "catalog", "health"; found: how many instances.
 */
void observe_service_query(const char *family, const struct service_request *r, uint32_t found);

/* Keeps those whose node has the metadata. meta_of: the node's metadata of an element. */
typedef const struct list *near_meta_of(const void *element);
void meta_filter(const struct list *filters, struct list *list, size_t size, near_meta_of *meta_of);

#endif
