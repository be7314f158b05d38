/* One HTTP exchange that the calling thread waits for, on an event loop of its own that lives as
 * long: for threads that have nothing else to do (look-ups of discover.c, logins of auth_method.c).
 * With limits on time and on the size of the answer.
 */
#ifndef PRAETOR_NET_HTTP_CALL_H
#define PRAETOR_NET_HTTP_CALL_H

#include "net/http_client.h"

#define HTTP_CALL_HEADERS_MAX 9

struct http_call {
    const char *method;
    struct str url;
    struct str headers[HTTP_CALL_HEADERS_MAX]; /* "Name: value"; the first absent one ends them */
    struct str body;                           /* absent: none */
    const struct http_tls *tls;                /* or NULL */
    bool skip_verify;
    int64_t time;            /* ns, at most */
    size_t limit;            /* bytes of the answer's body */
    const atomic_bool *stop; /* when it becomes true the exchange is broken off; or NULL */
    struct arena *arena;     /* for the answer */

    /* The answer. */
    long status;
    struct str status_line;                          /* "404 Not Found" */
    struct str content_type, cache_control, expires; /* headers; absent: none */
    struct str location;
    struct str answer; /* the body; never absent */
};
/* Whether the URL, which url_valid has found good, is one that can be asked: `unsupported protocol
 * scheme "ftp"`, … as http_call_fail words it. */
bool http_call_possible(const struct http_call *c, struct error *e);
/* `Get "URL": <why>` (ERROR_IO); false. */
bool http_call_fail(const struct http_call *c, struct str why, struct error *e);
/* Any status is an answer. False: why there is none, `Get "URL": dial tcp ...` (ERROR_IO), or that
 * it is longer than the limit (ERROR_TOO_LARGE). */
bool http_call_run(struct http_call *c, struct error *e);

#endif
