/* What the caller may not see is left out of what was found (acl.md 9): one rule for each shape of
 * list, whatever endpoint answers with it. Neither index nor meta tells that something is missing.
 * Lists that were found stay present when nothing is left of them (rpc.md 6.2). They are changed in
 * place: records that are decoded for one answer are its own.
 */
#ifndef PRAETOR_SERVER_FILTER_ACL_H
#define PRAETOR_SERVER_FILTER_ACL_H

#include "server/call.h"

/* node:read */
void filter_nodes(const struct call_context *c, struct list *nodes);             /* node * */
void filter_coordinates(const struct call_context *c, struct list *coordinates); /* coordinate * */

/* service:read on the name */
void filter_services(const struct call_context *c, struct list *services);   /* map: str to ... */
void filter_service_names(const struct call_context *c, struct list *names); /* service_name */
/* gateway_service *: of the linked service; the gateway's own was asked before. */
void filter_gateway_services(const struct call_context *c, struct list *services);

/* node:read and service:read */
void filter_service_nodes(const struct call_context *c, struct list *nodes); /* service_node * */
void filter_instances(const struct call_context *c, struct list *nodes); /* check_service_node */
/* health_check *: service:read only of those that a service has. */
void filter_checks(const struct call_context *c, struct list *checks);
/* service_info *: the linked service, and where it is an instance its node. */
void filter_gateway_dump(const struct call_context *c, struct list *dump);

/* node:read, or there is no node; of its services and their checks those with service:read. */
void filter_node_services(const struct call_context *c, struct node_services **node);
void filter_node_service_list(const struct call_context *c, struct node_service_list *node);
void filter_node_dump(const struct call_context *c, struct list *dump); /* node_info * */

/* session *: session:read on the node */
void filter_sessions(const struct call_context *c, struct list *sessions);

/* ---- prepared queries (acl.md 9.2) ---- */

/* Whether a query has a name for rules to hold on to. Without one it is outside of access control:
 * who knows its ID may do anything with it. */
bool query_is_named(const struct prepared_query *q);
/* Who does not manage access control gets named ones with query:read only, and no tokens. */
void filter_queries(const struct call_context *c, struct list *queries); /* prepared_query * */
/* Hides its token from who does not manage access control. */
void redact_query(const struct call_context *c, struct prepared_query *q);

/* txn_result *: each by what it holds; checks of a service by that service, others by the node. */
void filter_txn_results(const struct call_context *c, struct list *results);

#endif
