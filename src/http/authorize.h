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
/* After that. NULL: access control is off. */
const struct authorizer *http_may(const struct http_request *r);
/* 403 "Permission denied", with ": <cause>" when it is given; returns false. */
bool http_deny(struct http_request *r, const char *cause_format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
