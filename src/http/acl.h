/* What the handlers of /v1/acl share (acl.md 10, 11).
 */
#ifndef PRAETOR_HTTP_ACL_H
#define PRAETOR_HTTP_ACL_H

#include "http/room.h"

/* False: access control is off here, and that was answered. */
bool acl_enabled(struct http_request *r);
struct str acl_primary(const struct http_request *r); /* the datacenter */

/* "Bad request: <text>" (400); returns false. */
bool acl_bad_request(struct http_request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* 403 "ACL not found", of an object that is not there. */
void acl_not_found(struct http_request *r);

/* Reads r->body into the object. False: "Bad request: <what>: <why>" was answered. */
bool acl_body(struct http_request *r, const char *what, const struct shape *shape, void *object,
              const char *go_type);
bool acl_body_type(struct http_request *r, const char *what, const struct type *type, void *object,
                   const char *go_type);

/* What the path names: the argument, or "Bad request: <text>". */
bool acl_need_argument(struct http_request *r, const char *text);
/* Of a PUT that may name the object in its path and in its body: both must agree; what the path
 * says goes into *id. False: "Bad request: <text>" was answered. */
bool acl_same_id(struct http_request *r, struct str *id, const char *text);

/* A common beginning of reads: namespace, options, datacenter. False: answered. */
bool acl_read_begin(struct http_request *r, struct query_options *options, struct str *datacenter);
/* The same without the namespace, of which the own token and rules/translate ask nothing. */
bool acl_read_anywhere(struct http_request *r, struct query_options *options,
                       struct str *datacenter);
/* And of writes. */
bool acl_write_begin(struct http_request *r);

/* Done functions of deletions and of writes whose reply is the object. */
void acl_answer_true(struct http_request *r, struct answer *a);
void acl_answer_object(struct http_request *r, struct answer *a);

#endif
