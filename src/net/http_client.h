/* HTTP to other machines by libcurl, on an event loop: one exchange at a time per transfer. The
 * library is loaded when the first exchange is wanted: an agent without any does not pay for it
 * (about 5 MB; src/cli/lazy.c does the same for the command line, where a missing library ends the
 * command; here it is an error). Redirects are not followed and nothing is reused: what is asked is
 * the business of the checks, of watches, and of http_call.h.
 */
#ifndef PRAETOR_NET_HTTP_CLIENT_H
#define PRAETOR_NET_HTTP_CLIENT_H

#include <curl/curl.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/tail.h"
#include "net/loop.h"
#include "net/tls.h"

/* The peer's limits for a connection, whatever the timeout of the whole. */
#define HTTP_DIAL_LIMIT ((int64_t)30 * 1000000000)
#define HTTP_HANDSHAKE_LIMIT ((int64_t)10 * 1000000000)

struct http_client;

/* The client's side of TLS. All may be empty. */
struct http_tls {
    struct tls_config *config;               /* the agent's own; wins over the files */
    struct str ca_file, cert_file, key_file; /* file names */
    struct str ca_pem;      /* the only certificates that are trusted; wins over the files */
    struct str server_name; /* the certificate must be for it; empty: for the URL's host */
};

struct http_transfer {
    /* The caller's; strings live as long as the transfer. */
    struct http_client *curl;
    struct arena *arena; /* results, too, go there */
    const char *url, *method;
    struct curl_slist *headers; /* http_transfer_header */
    struct str body;
    bool sends_body; /* even an empty one */
    bool no_answer_body;
    bool gunzip;
    bool http2;
    bool skip_verify;
    const struct http_tls *tls;
    const char *unix_socket; /* or NULL */
    const char *connect_to;  /* "::host:port" instead of the URL's; or NULL */
    const char *no_proxy;    /* hosts that no proxy of the environment is asked for; or NULL */
    int64_t timeout;         /* ns; 0: none */
    /* Of the name's look-up and the connection; of the TLS handshake after it. As timeout. */
    int64_t dial_limit, handshake_limit;
    struct tail output;
    /* Each header and trailer; names as they came. May be NULL. */
    void (*header)(struct http_transfer *t, struct str name, struct str value);
    /* On the loop, from no libcurl callback; the transfer may be freed or started anew. */
    void (*done)(struct http_transfer *t);
    void *owner;

    /* Results. */
    CURLcode code;
    struct str broken; /* absent, or why the answer's head is no HTTP; code is not CURLE_OK then */
    int os_error;      /* errno of a failed connection; 0: none */
    struct str status_line; /* "404 Not Found"; absent until headers came */
    long status;
    struct str address; /* "127.0.0.1:80": the first that was tried; absent when none was */
    char error_text[CURL_ERROR_SIZE];
    struct str tls_fault; /* what was wrong with TLS, in the peer's words; absent: nothing */
    struct str local_end, remote_end; /* of the connection, "ip:port" */

    enum http_limit { LIMIT_NONE, LIMIT_DIAL, LIMIT_HANDSHAKE } exceeded; /* which ended it */

    CURL *easy;              /* while it is under way */
    enum http_limit limited; /* what limit_ends is the end of */
    int64_t limit_ends, started;
    struct http_transfer *next_limited, **back_limited;
    struct trust_watch *trust;
    struct curl_slist *connect_list;
    struct str location; /* of a redirect */
    bool head_over;
};

/* NULL with an error when libcurl cannot be loaded. */
struct http_client *http_client_new(struct loop *loop, struct error *e);
/* On the loop's thread, with no transfer under way. NULL is allowed. */
void http_client_free(struct http_client *c);

void http_transfer_header(struct http_transfer *t, const char *line);
void http_transfer_clear_headers(struct http_transfer *t);
/* Before the start of one to https://…: the server's certificate must be for this name, whatever
 * the URL's host, and it is told the name. Changes url and connect_to; what the header Host should
 * say then, absent when nothing was changed (name "", or no https). */
struct str http_transfer_name(struct http_transfer *t, struct str name);
/* Results are reset. False with an error when it cannot even begin. */
bool http_transfer_start(struct http_transfer *t, struct error *e);
/* Not done() any more; nothing when it is not under way. */
void http_transfer_cancel(struct http_transfer *t);
/* Frees what the transfer owns, not the struct. */
void http_transfer_free(struct http_transfer *t);
/* Why the connection failed, as the peer words it ("dial tcp 127.0.0.1:1: connect: connection
 * refused", "x509: …", "EOF"); host: of the URL, for names that do not resolve. */
struct str http_transfer_fault(const struct http_transfer *t, struct str host);

#endif
