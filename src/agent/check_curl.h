/* libcurl for checks: one HTTP exchange at a time per transfer, on the checks' loop. The library is
 * loaded when the first check wants it: an agent without such checks does not pay for it (about
 * 5 MB; src/cli/lazy.c does the same for the command line, where a missing library ends the
 * command; here it makes checks critical). Redirects are not followed and nothing is reused: what a
 * check sends is the business of check_http.c, check_grpc.c and check_docker.c.
 */
#ifndef PRAETOR_AGENT_CHECK_CURL_H
#define PRAETOR_AGENT_CHECK_CURL_H

#include <curl/curl.h>
#include <sys/socket.h>

#include "agent/check_run.h"

struct check_transfer {
    /* The caller's; strings live as long as the transfer. */
    struct check_curl *curl;
    struct arena *arena; /* results, too, go there */
    const char *url, *method;
    struct curl_slist *headers; /* check_transfer_header */
    struct str body;
    bool sends_body; /* even an empty one */
    bool no_answer_body;
    bool gunzip;
    bool http2;
    bool skip_verify;
    const struct check_tls *tls;
    const char *unix_socket; /* or NULL */
    const char *connect_to;  /* "::host:port" instead of the URL's; or NULL */
    int64_t timeout;         /* ns; 0: none */
    struct check_output output;
    /* Each header and trailer; names as they came. May be NULL. */
    void (*header)(struct check_transfer *t, struct str name, struct str value);
    /* On the loop, from no libcurl callback; the transfer may be freed or started anew. */
    void (*done)(struct check_transfer *t);
    void *owner;

    /* Results. */
    CURLcode code;
    struct str broken; /* absent, or why the answer's head is no HTTP; code is not CURLE_OK then */
    int os_error;      /* errno of a failed connection; 0: none */
    struct str status_line; /* "404 Not Found"; absent until headers came */
    long status;
    struct str address; /* "127.0.0.1:80": the first that was tried; absent when none was */
    char error_text[CURL_ERROR_SIZE];
    long verify_result;
    struct str local_end, remote_end; /* of the connection, "ip:port" */

    CURL *easy; /* while it is under way */
    struct curl_slist *connect_list;
    struct str location; /* of a redirect */
    bool head_over;
};

/* NULL with an error when libcurl cannot be loaded. */
struct check_curl *check_curl_new(struct loop *loop, struct error *e);
/* On the loop's thread, with no transfer under way. NULL is allowed. */
void check_curl_free(struct check_curl *c);

void check_transfer_header(struct check_transfer *t, const char *line);
void check_transfer_clear_headers(struct check_transfer *t);
/* Results are reset. False with an error when it cannot even begin. */
bool check_transfer_start(struct check_transfer *t, struct error *e);
/* Not done() any more; nothing when it is not under way. */
void check_transfer_cancel(struct check_transfer *t);
/* Frees what the transfer owns, not the struct. */
void check_transfer_free(struct check_transfer *t);
/* Why the connection failed, as the peer words it ("dial tcp 127.0.0.1:1: connect: connection
 * refused", "x509: …", "EOF"); host: of the URL, for names that do not resolve. */
struct str check_transfer_fault(const struct check_transfer *t, struct str host);

#endif
