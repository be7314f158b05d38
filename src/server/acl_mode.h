/* Which of the two systems of access control is in force (acl.md 12.1, 12.3). Every agent with
 * access control begins with the old one and goes over to the new one, for good, when those who
 * matter to it speak of it in their gossip tags: a leader when all its datacenter's servers know of
 * access control, a follower after its leader, a client agent after all servers, and in a secondary
 * datacenter nobody before the primary's servers. On the core.
 */
#ifndef PRAETOR_SERVER_ACL_MODE_H
#define PRAETOR_SERVER_ACL_MODE_H

#include "server/peers.h"

/* As the tag `acls` says; worse ones hold others back: disabled before unknown before legacy. */
enum acl_mode {
    ACL_MODE_DISABLED,
    ACL_MODE_ENABLED,
    ACL_MODE_LEGACY,
    ACL_MODE_UNKNOWN,
};

/* Of all servers of a datacenter that are alive or failed; ENABLED where there are none. *found
 * tells whether there are any. */
enum acl_mode acl_mode_of(const struct peer *const *servers, size_t count, struct str datacenter,
                          bool *found);

struct acl_mode_seen {
    bool found;         /* any server of the own datacenter */
    enum acl_mode mode; /* of them */
    enum acl_mode leader_mode;
    bool secondary;
    bool primary_found;
    enum acl_mode primary_mode; /* the primary's servers', in a secondary */
};
enum acl_mode_role { ACL_MODE_ROLE_LEADER, ACL_MODE_ROLE_FOLLOWER, ACL_MODE_ROLE_CLIENT };
bool acl_mode_may_switch(const struct acl_mode_seen *seen, enum acl_mode_role role);
/* How long to wait before looking again: 50 ms, doubled each time, at most 30 s. */
int64_t acl_mode_wait(int64_t last);

struct server;
struct acl_monitor;
/* Only with access control. */
struct acl_monitor *acl_monitor_new(struct server *s);
void acl_monitor_start(struct acl_monitor *m);
void acl_monitor_close(struct acl_monitor *m); /* its timer */
void acl_monitor_free(struct acl_monitor *m);  /* NULL is allowed */

/* Whether a server, leader or not, may go over now; logs why not. */
bool acl_mode_may_switch_now(struct server *s, bool leader);
/* Goes over: forgets what is known of tokens, tells all others. */
void acl_mode_switch(struct server *s);

#endif
