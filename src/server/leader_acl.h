/* A leader's duties in access control (acl.md 2.3, 12.2, 12.3): what must be there from the
 * beginning (the policy global-management, the anonymous token, the configured master token), in
 * the form of the system that is in force, and what goes on from then: tokens of the old kind are
 * upgraded (acl_upgrade.h), dead ones deleted (acl_reaper.h), and a secondary datacenter keeps what
 * the primary has (acl_replication.h). On the core.
 */
#ifndef PRAETOR_SERVER_LEADER_ACL_H
#define PRAETOR_SERVER_LEADER_ACL_H

#include <stdbool.h>

struct server;
struct leader_acl;

struct leader_acl *leader_acl_new(struct server *s);
/* The barrier of a new leader is through; no longer leader. */
void leader_acl_enable(struct leader_acl *l, bool on);
/* Whether what was proposed is applied: from then on there are tokens to be found. When that
 * becomes so, leader_acl_has_settled (server_room.h) is told. */
bool leader_acl_is_settled(const struct leader_acl *l);
/* A leader of the old system goes over to the new one. */
void leader_acl_switch(struct leader_acl *l);
void leader_acl_close(struct leader_acl *l);
void leader_acl_free(struct leader_acl *l);

#endif
