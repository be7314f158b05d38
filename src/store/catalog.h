/* The catalog's tables: nodes, service instances, health checks, and the reads over them that
 * endpoints answer with (rpc.md 6.2, 6.3, 6.7). Names are found whatever their letter case. No
 * access control, no distance sorting, no filter expressions here.
 *
 * Each read returns the index that its answer reports (fsm.md 6.1, at least 1), notes in r->watch
 * what it depends on, and decodes into r->arena. Lists are in the order of http-core.md 13, and nil
 * (LIST_NIL) when nothing was found (rpc.md 6.2).
 */
#ifndef PRAETOR_STORE_CATALOG_H
#define PRAETOR_STORE_CATALOG_H

#include "schema/requests.h"
#include "store/store.h"

/* Whether a node's meta has all the pairs of `filters` (NodeMetaFilters; nil and empty match all).
 */
bool catalog_meta_matches(const struct list *meta, const struct list *filters);
/* Whether an instance has all the tags, in any letter case; a wanted "" must be there as an empty
 * tag. */
bool catalog_tags_match(const struct list *tags, const struct list *wanted);

/* ---- single records: NULL when there is none. They watch the node or the node's checks. ---- */

struct node *catalog_node(struct store_read *r, struct str name);
/* NULL also when id is no UUID. */
struct node *catalog_node_by_id(struct store_read *r, struct str id);
struct node_service *catalog_service(struct store_read *r, struct str node, struct str service_id);
struct health_check *catalog_check(struct store_read *r, struct str node, struct str check_id);

/* ---- Catalog ---- */

/* struct node *. node_meta: pairs that all must be there; NULL: all nodes. */
uint64_t catalog_nodes(struct store_read *r, const struct list *node_meta, struct list *nodes);
/* A map from service name to its distinct tags (list of str; never nil). Empty map when there is
 * none. node_meta: only services on such nodes; NULL or empty: all. */
uint64_t catalog_services(struct store_read *r, const struct list *node_meta,
                          struct list *services);
/* struct service_name, distinct. */
uint64_t catalog_service_names(struct store_read *r, struct list *names);
/* struct service_node *: instances of a service. tags (of str): all must match
 * (catalog_tags_match); NULL: not asked. */
uint64_t catalog_service_nodes(struct store_read *r, struct str service, const struct list *tags,
                               struct list *nodes);
/* struct service_node *: proxies and natives of a service, then its terminating gateways. */
uint64_t catalog_connect_nodes(struct store_read *r, struct str service, struct list *nodes);
/* struct service_node *: instances whose address (else their node's) is this. */
uint64_t catalog_address_nodes(struct store_read *r, struct str address, struct list *nodes);
/* One node by name, else by a unique prefix of node IDs (rpc.md 6.2), with its services in order
 * (struct node_service *). Unknown: *node NULL. */
uint64_t catalog_node_services(struct store_read *r, struct str name_or_id, struct node **node,
                               struct list *services);
/* The same as Catalog.NodeServices replies: by service ID; NULL when unknown. */
uint64_t catalog_node_services_map(struct store_read *r, struct str name_or_id,
                                   struct node_services **services);

/* ---- Health: struct health_check * ---- */

uint64_t catalog_node_checks(struct store_read *r, struct str node, struct list *checks);
/* node_meta: as above. */
uint64_t catalog_service_checks(struct store_read *r, struct str service,
                                const struct list *node_meta, struct list *checks);
/* state: `any` = all, otherwise exact. */
uint64_t catalog_state_checks(struct store_read *r, struct str state, const struct list *node_meta,
                              struct list *checks);

/* struct check_service_node (side by side): instances with their nodes and checks, node checks
 * first. */
uint64_t catalog_check_service_nodes(struct store_read *r, struct str service,
                                     const struct list *tags, struct list *nodes);
uint64_t catalog_check_connect_nodes(struct store_read *r, struct str service, struct list *nodes);
/* Instances of the ingress gateways through which the service can be reached. */
uint64_t catalog_check_ingress_nodes(struct store_read *r, struct str service, struct list *nodes);

/* ---- Internal ---- */

/* struct node_info *; a list of none or one. */
uint64_t catalog_node_info(struct store_read *r, struct str node, struct list *dump);
uint64_t catalog_node_dump(struct store_read *r, struct list *dump);
/* struct check_service_node (side by side): all instances, or those of one kind (exact; "" =
 * typical). */
uint64_t catalog_service_dump(struct store_read *r, bool use_kind, struct str kind,
                              struct list *nodes);
/* struct service_info *: services of a gateway with their instances (connect.md; rpc.md 6.7). */
uint64_t catalog_gateway_dump(struct store_read *r, struct str gateway, struct list *dump);

#endif
