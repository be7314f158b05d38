/* What a token may do: the rules of all its policies merged, and the default policy behind them
 * (acl.md 6). An immutable, counted value: any number of threads may ask one at a time. No token,
 * no secret and no clock is known here.
 */
#ifndef PRAETOR_ACL_AUTHORIZER_H
#define PRAETOR_ACL_AUTHORIZER_H

#include "acl/rules.h"

struct authorizer;

/* policies: in the order in which they merge; copied. One reference is the caller's. */
struct authorizer *authorizer_new(const struct acl_rules *const *policies, size_t count,
                                  bool default_allow);
struct authorizer *authorizer_hold(const struct authorizer *a);
void authorizer_release(const struct authorizer *a); /* NULL is allowed */

/* Without rules: everything but acl and snapshot; nothing; everything. Never freed, need no hold.
 */
const struct authorizer *authorizer_allow_all(void);
const struct authorizer *authorizer_deny_all(void);
const struct authorizer *authorizer_manage_all(void);

enum acl_access { ACL_READ, ACL_LIST, ACL_WRITE };

/* NULL stands for "access control is off" in all of these: true.
 * LIST is for keys only. */
bool authorizer_may(const struct authorizer *a, enum acl_resource resource, enum acl_access access,
                    struct str name);
/* Recursive deletion: every key below the prefix. */
bool authorizer_may_write_prefix(const struct authorizer *a, struct str prefix);
/* READ and WRITE. */
bool authorizer_may_acl(const struct authorizer *a, enum acl_access access);
bool authorizer_may_keyring(const struct authorizer *a, enum acl_access access);
bool authorizer_may_operator(const struct authorizer *a, enum acl_access access);
bool authorizer_may_snapshot(const struct authorizer *a);
/* name "*": all services. */
bool authorizer_may_intention(const struct authorizer *a, enum acl_access access, struct str name);
/* What holds between services that no intention names. */
bool authorizer_intention_default(const struct authorizer *a);

#endif
