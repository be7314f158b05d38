/* A leader's duties in access control (acl.md 2.3, 12.2, 12.3): what must be there from the
 * beginning (the policy global-management, the anonymous token, the configured master token), and
 * the switch from the old system to the new. On the core.
 */
#ifndef PRAETOR_SERVER_LEADER_ACL_H
#define PRAETOR_SERVER_LEADER_ACL_H

#include <stdbool.h>

struct server;
struct leader_acl;

struct leader_acl *leader_acl_new(struct server *s);
/* The barrier of a new leader is through; no longer leader. */
void leader_acl_enable(struct leader_acl *l, bool on);
void leader_acl_close(struct leader_acl *l);
void leader_acl_free(struct leader_acl *l);

#endif
