/* What other servers said of tokens, policies and roles, kept by a process (acl.md 7.3): values by
 * secret or ID, each with the time at which it was told, the oldest used going first. "There is no
 * such thing" is a value too. Who asks, and what becomes of the request when nobody answers, is
 * authorize_remote.c's.
 *
 * Any thread: values are counted and never change. Time comes in as an argument.
 */
#ifndef PRAETOR_SERVER_ACL_CACHE_H
#define PRAETOR_SERVER_ACL_CACHE_H

#include "schema/schema.h"

/* A copy of a token, policy or role. */
struct acl_value;
/* object NULL: that there is none. One reference is the caller's. */
struct acl_value *acl_value_new(const struct shape *shape, const void *object);
struct acl_value *acl_value_hold(struct acl_value *v);
void acl_value_release(struct acl_value *v);             /* NULL is allowed */
const void *acl_value_object(const struct acl_value *v); /* NULL: there is none */

enum acl_freshness { ACL_UNKNOWN, ACL_FRESH, ACL_STALE };

struct acl_cache;
/* most: values; ttl: ns that one is fresh; 0: never. */
struct acl_cache *acl_cache_new(size_t most, int64_t ttl);
void acl_cache_free(struct acl_cache *c);
/* *value is held for the caller, NULL with ACL_UNKNOWN. */
enum acl_freshness acl_cache_get(struct acl_cache *c, struct str key, int64_t now,
                                 struct acl_value **value);
void acl_cache_put(struct acl_cache *c, struct str key, struct acl_value *value, int64_t now);
/* Nobody could say anything newer: what is known counts as told now. False: nothing is. */
bool acl_cache_extend(struct acl_cache *c, struct str key, int64_t now);
void acl_cache_drop(struct acl_cache *c, struct str key);
void acl_cache_clear(struct acl_cache *c);

#endif
