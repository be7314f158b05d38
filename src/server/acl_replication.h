/* A leader of a secondary datacenter keeps the primary's policies, roles and, if it is told to,
 * global tokens in its own state (acl.md 14). While the old system is in force (12.2), tokens of
 * the old kind only. One loop for each type; none does anything while there is no replication
 * token. On the core.
 */
#ifndef PRAETOR_SERVER_ACL_REPLICATION_H
#define PRAETOR_SERVER_ACL_REPLICATION_H

#include "schema/requests_acl.h"

struct server;
struct acl_replication;

struct acl_replication *acl_replication_new(struct server *s);
/* A leader begins. legacy: the old system is in force. Nothing in the primary, nor without access
 * control. Asked again with another kind, it begins anew. */
void acl_replication_start(struct acl_replication *r, bool legacy);
/* No longer leader, or the end. */
void acl_replication_stop(struct acl_replication *r);
void acl_replication_close(struct acl_replication *r);
void acl_replication_free(struct acl_replication *r); /* NULL is allowed */

/* Core: what GET /v1/acl/replication tells (acl.md 14.3). The times are shared by the loops, in
 * whole seconds; zero: never. Strings live as long as the server. NULL (no leader duties: a test's
 * server) gives all zero values. */
void acl_replication_get_status(const struct acl_replication *r,
                                struct acl_replication_status *out);

#endif
