/* A leader of the primary gives tokens of the old kind what the new system wants of them: an
 * accessor, and to management tokens the policy global-management (acl.md 12.3). One batch a
 * second, as long as there are any; they may come at any time, over the old API. On the core.
 */
#ifndef PRAETOR_SERVER_ACL_UPGRADE_H
#define PRAETOR_SERVER_ACL_UPGRADE_H

#include "schema/acl.h"

struct server;
struct acl_upgrade;
struct acl_upgrade *acl_upgrade_new(struct server *s);
void acl_upgrade_start(struct acl_upgrade *u);
void acl_upgrade_stop(struct acl_upgrade *u);
void acl_upgrade_close(struct acl_upgrade *u); /* its timer */
void acl_upgrade_free(struct acl_upgrade *u);

/* The token as it is to be, but for its accessor when that is any: it is then set to `accessor`. */
void acl_upgrade_token(struct acl_token *token, struct str accessor, struct arena *arena);

#endif
