/* What endpoints ask before they answer, and what they leave out of lists (acl.md 9). "Permission
 * denied" and its causes are said here. Without an authorization (access control is off) everything
 * may be done.
 */
#ifndef PRAETOR_SERVER_PERMIT_H
#define PRAETOR_SERVER_PERMIT_H

#include "acl/authorizer.h"
#include "server/call.h"

/* The bare "Permission denied"; returns false. */
bool permit_deny(struct error *e);
/* Nothing, or the bare "Permission denied". */
bool permit(const struct call_context *c, enum acl_resource resource, enum acl_access access,
            struct str name, struct error *e);
bool permit_operator(const struct call_context *c, enum acl_access access, struct error *e);
bool permit_acl(const struct call_context *c, enum acl_access access, struct error *e);
/* For reads of what reaches a service: without service:read they answer with nothing, as if they
 * had not looked. False: reply is to be left as it is. */
bool permit_look(struct call_context *c, struct str service);
/* The same without an error. */
bool may(const struct call_context *c, enum acl_resource resource, enum acl_access access,
         struct str name);

/* Keeps those items of a list for which `keep`, an expression over `item`, holds. */
#define FILTER_LIST(c, list, type, keep)                                                           \
    do {                                                                                           \
        uint32_t kept_ = 0;                                                                        \
        for (uint32_t i_ = 0; (c)->may != NULL && i_ < (list).len; i_++) {                         \
            type item = LIST_AT(list, type, i_);                                                   \
            if (keep)                                                                              \
                LIST_AT(list, type, kept_++) = item;                                               \
        }                                                                                          \
        (list).len = (c)->may != NULL ? kept_ : (list).len;                                        \
    } while (0)

#endif
