/* Requests that the agent answers itself: who asks, and whether he may (acl.md 9.1).
 */
#ifndef PRAETOR_HTTP_AUTHORIZE_H
#define PRAETOR_HTTP_AUTHORIZE_H

#include "acl/authorizer.h"
#include "http/http.h"

/* Finds out what the request's token may do, the agent master token included, then calls `next`,
 * perhaps at once; r->who says it from then on. Or answers: 403 "ACL not found" and what else
 * becomes of tokens. A client that hangs up meanwhile ends the request. */
void http_authorize(struct http_request *r, void (*next)(struct http_request *r));
/* The same of what servers decide, which do not know the agent master token. */
void http_authorize_for_servers(struct http_request *r, void (*next)(struct http_request *r));
/* As http_authorize, but all refusals are 403 without a body. */
void http_authorize_quietly(struct http_request *r, void (*next)(struct http_request *r));
/* After that, for a second token that the request brings along. Its error is kept for http_also. */
void http_authorize_also(struct http_request *r, struct str secret,
                         void (*next)(struct http_request *r));
/* After that: *may as of http_may. False: the token's error. */
bool http_also(const struct http_request *r, const struct authorizer **may, struct error *e);
/* After http_authorize. NULL: access control is off. */
const struct authorizer *http_may(const struct http_request *r);
/* 403 "Permission denied", with ": <cause>" when it is given; returns false. */
bool http_deny(struct http_request *r, const char *cause_format, ...)
    __attribute__((format(printf, 2, 3)));

/* The right to something, or the bare denial and false. */
bool http_permit(struct http_request *r, enum acl_resource resource, enum acl_access access,
                 struct str name);
bool http_permit_operator(struct http_request *r, enum acl_access access);

#endif
