/* What an agent asks other servers of access control (acl.md 16.1): whose token it is and what it
 * links to, and, for a secondary datacenter, all of it. Only the asking side: these calls always go
 * to another server.
 */
#ifndef PRAETOR_SERVER_ACL_ASK_H
#define PRAETOR_SERVER_ACL_ASK_H

#include "schema/requests_acl.h"
#include "server/call.h"

extern const struct endpoint ask_token_read, ask_policy_resolve, ask_role_resolve, ask_policy_list,
    ask_role_list, ask_token_list, ask_policy_batch, ask_token_batch, ask_legacy_list,
    ask_legacy_get;

#endif
