/* The inside of the HTTP room, for the files that carry requests (server.c, connection.c, route.c,
 * request.c, answer.c, streaming.c, call.c). Handlers need http.h only.
 */
#ifndef PRAETOR_HTTP_ROOM_H
#define PRAETOR_HTTP_ROOM_H

#include "base/map.h"
#include "http/http.h"
#include "net/client_limit.h"
#include "net/listener.h"
#include "net/stream.h"

#define HTTP_HEAD_TIME (60 * SECOND)          /* from the first byte of a head to its end */
#define HTTP_BODY_TIME (60 * SECOND)          /* for the next HTTP_BODY_LEAST bytes of a body */
#define HTTP_BODY_LEAST ((size_t)16384)       /* or its end: who trickles is not waited for */
#define HTTP_DRAIN_MAX ((uint64_t)256 * 1024) /* of a body that nobody wanted */
#define HTTP_BODY_COPY ((size_t)16384)        /* larger ones are sent from where they are */
#define HTTP_PLAIN_BODY ((size_t)2048)        /* larger ones go in chunks */
#define HTTP_BACKLOG_MAX ((size_t)1 << 20)    /* unsent output with which no new request is begun */
#define HTTP_SPARE_REQUESTS 32

/* What the configuration means for requests, made once. Each loop has its own; references are
 * counted on its thread. */
struct http_cidr {
    uint8_t ip[16];
    uint8_t len; /* 4 or 16 */
    uint8_t bits;
};
struct http_settings {
    unsigned references;
    const struct config *config;
    struct str header_lines;  /* response_headers, translate: "Name: value\r\n"… */
    struct str plain_lines;   /* response_headers alone */
    const char *content_type; /* among response_headers, in none of the above; NULL: not there */
    bool sets_vary;
    struct http_cidr *writers;
    uint32_t writer_count;
    struct arena arena;
};
struct http_settings *http_settings_new(const struct config *config);
void http_settings_release(struct http_settings *s);
bool http_settings_may_write(const struct http_settings *s, const struct peer_address *peer);

struct http_loop { /* what one loop has of it */
    struct http *http;
    struct loop *loop;
    struct http_settings *settings;
    struct http_request *spare;
    unsigned spare_count;
    unsigned connections, requests;
    int64_t date_second;
    char date[48]; /* "Date: Wed, 25 Nov 2026 16:11:32 GMT\r\n" */
    size_t date_len;
    bool stopping;
    struct message message;
    struct loop_timer stop_timer;
    int64_t stop_at;
};

struct http_pattern { /* a route where it is registered */
    const struct http_route *route;
    char metric[64]; /* ".v1.kv._": the end of the name under which its requests are measured */
};

struct http_listener {
    struct http *http;
    struct listener *listener;
    const char *network;  /* "tcp", "unix": for the log */
    const char *protocol; /* "HTTP", "HTTPS" */
    bool secure;          /* TLS is spoken (on unix sockets it is not: tls.md 1) */
};

struct http {
    struct http_options o;
    struct http_loop *loops;
    struct http_listener *listeners;
    unsigned listener_count;
    struct client_limit *clients;
    struct map routes; /* pattern -> struct http_pattern */
    size_t longest;    /* pattern */
    uv_sem_t loops_done;
};

enum http_body_state { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_ENDED };

struct http2;

/* One request after the other on a stream. Over HTTP/2 each of its streams has one of these, and
 * the connection itself is one that only carries them. */
struct http_connection {
    struct stream stream;
    struct http2 *h2; /* NULL: HTTP/1.1 */
    struct http_loop *home;
    struct http_request *request; /* under way, or NULL */
    struct http_head_scan scan;
    struct http_chunked chunks;
    struct buf body;    /* what of it has come; moved to the request's arena */
    uint64_t body_left; /* BODY_LENGTH */
    uint64_t body_limit;
    uint64_t drained;
    size_t moved; /* bytes of the body since the deadline was set */
    struct peer_address peer;
    uint8_t body_state;
    bool wants_body; /* the handler reads it */
    bool draining;   /* nobody does: it is thrown away */
    bool secure;     /* it must begin with a TLS handshake */
    bool expects;    /* 100-continue, not yet said */
    bool in_data;
};

extern const struct stream_handlers http_stream_handlers;

/* connection.c */
void http_connection_open(struct http_loop *home, int fd, const struct peer_address *peer,
                          bool secure);
/* A stream of an HTTP/2 connection. */
struct http_connection *http_connection_carried(struct http_connection *parent,
                                                const struct stream_carrier *carrier, void *owner);
/* For `closed` of the streams. */
void http_connection_closed(struct stream *s);
/* The answer is in the output: frees the request, goes on with the connection. */
void http_request_end(struct http_request *r);
void http_loop_free_spare(struct http_loop *home);

/* http2.c */
extern const struct stream_handlers http2_stream_handlers;
/* From here on the connection speaks HTTP/2; nothing was read of it yet. Its deadline stays until
 * the preface has come. */
void http2_begin(struct http_connection *c);
/* Says that no more requests are taken; those under way go on. May be called again: the connection
 * closes when none is left. */
void http2_stop(struct stream *s);
/* Closes it: with a last word first, and at once when it is called again. */
void http2_close(struct stream *s);
void http2_free(struct http2 *h);

/* route.c */
void http_routes_build(struct http *http, const struct http_route *const *tables);
void http_routes_add(struct http *http, struct str pattern, const struct http_route *route);
void http_routes_free(struct http *http);
const struct http_pattern *http_route_find(const struct http *http, struct str path,
                                           struct str *argument);
/* 301, with the query as it was. */
void http_redirect(struct http_request *r, struct str path);
/* Answers, or calls the handler. */
void http_dispatch(struct http_request *r);

/* call.c: counts under "<group><the route's counter>", where it has one. */
void http_count(const struct http_request *r, const char *group, const char *counter);
void http_count_end(const struct http_request *r, const char *group);
/* The answer to a call that ended with an error. */
void http_answer_failure(struct http_request *r, struct answer *a);

/* answer.c */
bool http_is_head(const struct http_request *r);
void http_add_date(struct http_loop *home, struct buf *out);
/* Status line and all headers that do not depend on the body. */
void http_head_begin(struct http_request *r, struct buf *out, int status, const char *type);
void http_head_end(struct http_request *r, struct buf *out);
/* http_answer_error with a status of the caller's. */
void http_answer_error_as(struct http_request *r, const struct error *e, int status);
/* The URL as it may be logged: without tokens. */
struct str http_logged_url(struct http_request *r);
/* A body that release(owner) frees when it is sent. */
void http_answer_owned(struct http_request *r, int status, const char *type, struct str body,
                       bool compressed, void (*release)(void *owner), void *owner);

/* streaming.c */
void http_stream_drop(struct http_request *r);

/* ui.c */
bool http_ui_is_on(const struct config *c);
/* Where the page lies is a setting. */
void http_ui_add_routes(struct http *http, const struct config *c);

/* authorize.c: the client is gone: it is no longer asked who that was. False: it was not. */
bool http_authorize_gone(struct http_request *r);

/* cached.c */
void http_cached_forget(void);
/* As the peer's cache counts its kinds (agent.md 6.4): "connect-ca-leaf"; NULL: not by kind. */
void http_cache_count_ask(const char *type, bool hit, bool waited);
void http_cache_count_fetch(const char *type, bool ok);
/* The client is gone: the request waits no longer for the agent's cache. False: it did not. */
bool http_cached_gone(struct http_request *r);

/* gzip.c */
void http_gzip(struct str in, struct buf *out);
struct http_deflate *http_deflate_new(void);
/* flush: everything so far can be read by the other side; finish: the end. */
void http_deflate_add(struct http_deflate *d, struct str in, bool finish, struct buf *out);
void http_deflate_free(struct http_deflate *d);

#endif
