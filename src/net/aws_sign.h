/* What requests to Amazon's clouds are signed with: AWS Signature Version 4 (HMAC-SHA256). Pure but
 * for OpenSSL.
 */
#ifndef PRAETOR_NET_AWS_SIGN_H
#define PRAETOR_NET_AWS_SIGN_H

#include "base/arena.h"
#include "base/str.h"

/* The headers that are signed besides host and x-amz-date are only x-amz-security-token (when there
 * is one) and those given; names in lower case, in any order. */
struct aws_header {
    struct str name, value;
};
#define AWS_HEADERS_MAX 8
struct aws_request {
    const char *method;
    struct str path, query; /* already encoded; query sorted; both may be empty */
    struct str host, body;
    struct str date; /* "20150830T123600Z" */
    struct str region, service;
    struct str access_key, secret_key, session_token; /* the last may be empty */
    struct aws_header headers[AWS_HEADERS_MAX];
    size_t header_count;
};
/* The value of the Authorization header. */
struct str aws_sign(const struct aws_request *r, struct arena *arena);
/* The instant as x-amz-date has it. */
struct str aws_date(int64_t wall, struct arena *arena);

#endif
