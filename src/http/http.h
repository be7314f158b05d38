/* The HTTP API (http-core.md): what a handler sees of a request and how it answers. One file a
 * resource (kv.c, catalog.c, …; agent*.c is the agent's), each with a table of its routes;
 * request.c has the common parameters, answer.c the answers, server.c the connections. Not here:
 * what the requests mean. Handlers build a request struct, pass it to an endpoint (http_call) and
 * turn the reply into JSON.
 *
 * Life of a request: a handler gets it on the I/O thread of its connection when its head has
 * arrived, and must answer it exactly once, at any later time, on that thread (http_answer_*, or
 * http_stream_begin … http_stream_end). Answering frees the request and its arena. A client that
 * hangs up changes nothing for the handler: it still answers, to nobody. Only who waits long should
 * look at `gone`.
 */
#ifndef PRAETOR_HTTP_HTTP_H
#define PRAETOR_HTTP_HTTP_H

#include "agent/agent.h"
#include "codec/http.h"
#include "codec/json.h"
#include "codec/url.h"
#include "net/listener.h"
#include "schema/requests.h"
#include "server/call.h"
#include "server/endpoints.h"

struct http;
struct http_connection;
struct http_loop;
struct http_pattern;
struct http_request;
struct http_settings;

/* ---- the interface as a whole ---- */

/* For main.c. */
extern const struct agent_interface http_interface;

/* What http_interface.start does, with its parts named so that tests can do without an agent. */
struct http_options {
    struct agent *agent;   /* NULL: agent routes must not be used */
    struct server *server; /* NULL: no calls can be made */
    const struct config *config;
    struct loop **loops;
    unsigned loop_count;
    /* Instead of those of the configuration: main.c's tests. NULL: all tables of this room. */
    const struct http_route *const *tables; /* NULL-ended list of tables */
};
/* Listens at once; connections are accepted on all the loops. */
struct http *http_start(const struct http_options *options, struct error *e);
void http_reload(struct http *http, const struct config *config);
/* From a thread that runs none of the loops, while they run: closes listeners and connections,
 * after requests under way had at most a second. Frees *http. */
void http_stop(struct http *http);

/* ---- routes ---- */

typedef void http_handler(struct http_request *r);

enum http_route_flag {
    ROUTE_META = 1 << 0,       /* errors of calls carry the placeholder headers (chapter 4) */
    ROUTE_EFFECTIVE = 1 << 1,  /* X-Consul-Effective-Consistency */
    ROUTE_ANY_METHOD = 1 << 2, /* the handler looks at methods itself, also OPTIONS */
    ROUTE_PLAIN = 1 << 3,      /* not an API pattern: no Vary, gzip, configured headers (/, /ui/) */
    ROUTE_BARE = 1 << 4,  /* an API pattern without configured headers, blocking and log lines */
    ROUTE_EVENT = 1 << 5, /* denials are told bare, an unknown token is a 500 (acl.md 8.2) */
};

/* A pattern that ends in "/" matches everything below, the rest is r->argument; others exactly. */
struct http_route {
    const char *pattern; /* NULL ends a table */
    const char *methods; /* "GET,PUT,DELETE", as Allow shows them */
    http_handler *handler;
    unsigned flags;
    const char *counter; /* "catalog_nodes" of client.api.catalog_nodes (agent.md 6.4), or NULL */
};

/* One table a file. */
extern const struct http_route http_routes_acl[];
extern const struct http_route http_routes_acl_legacy[];
extern const struct http_route http_routes_acl_methods[];
extern const struct http_route http_routes_acl_policies[];
extern const struct http_route http_routes_acl_tokens[];
extern const struct http_route http_routes_acl_translate[];
extern const struct http_route http_routes_agent[];
extern const struct http_route http_routes_catalog[];
extern const struct http_route http_routes_config_entry[];
extern const struct http_route http_routes_connect[];
extern const struct http_route http_routes_coordinate[];
extern const struct http_route http_routes_discovery_chain[];
extern const struct http_route http_routes_event[];
extern const struct http_route http_routes_federation_state[];
extern const struct http_route http_routes_health[];
extern const struct http_route http_routes_intention[];
extern const struct http_route http_routes_internal[];
extern const struct http_route http_routes_keyring[];
extern const struct http_route http_routes_kv[];
extern const struct http_route http_routes_operator[];
extern const struct http_route http_routes_profile[];
extern const struct http_route http_routes_query[];
extern const struct http_route http_routes_session[];
extern const struct http_route http_routes_snapshot[];
extern const struct http_route http_routes_status[];
extern const struct http_route http_routes_txn[];
extern const struct http_route http_routes_ui[];

/* ---- the request ---- */

typedef void http_reply_writer(struct http_request *r, const void *reply, struct json_writer *w);
typedef void http_answer_done(struct http_request *r, struct answer *a);

struct http_request {
    /* For handlers to read. */
    struct http *http;
    struct agent *agent;
    struct server *server;
    const struct config *config; /* in force when the request came */
    struct loop *loop;
    struct arena arena; /* freed with the request */

    struct str method;
    struct str path;      /* decoded */
    struct str argument;  /* behind a pattern that ends in "/" */
    struct str raw_query; /* behind the "?", as sent */
    struct url_param *params;
    uint32_t param_count;
    uint32_t header_count;
    const struct http_header *headers;
    const struct http_route *route;
    int64_t content_length; /* as the header says; -1: none */
    bool chunked;
    bool pretty;
    bool unix_socket;
    struct str body; /* after http_read_body */

    /* For handlers to set. */
    void *state; /* in r->arena: a client that hangs up while its body is read ends the request */
    /* Instead of the 413 of http_read_body; must answer. */
    void (*body_over)(struct http_request *r);
    /* Runs when the client has hung up before the answer; the handler may then answer early (to
     * nobody), also inside. */
    void (*gone)(struct http_request *r);
    /* Instead of http_answer_error for the errors of calls; must answer. */
    void (*call_failed)(struct http_request *r, struct answer *a);
    bool hangs_up; /* a client that ends its half of the connection does not want the answer either
                    */

    /* The rest belongs to server.c, answer.c and request.c. */
    struct peer_address peer;
    struct http_connection *connection; /* NULL: the client is gone */
    struct http_request *next;
    struct http_loop *home;
    struct http_settings *settings;
    const struct http_pattern *pattern;
    struct str target; /* as sent */
    struct buf extra;  /* header lines set by http_set_header, "Name: value\r\n" */
    struct buf out;    /* a JSON body being written */
    struct json_writer writer;
    struct call call;
    bool calling;
    struct authorize authorize;
    struct authorization *who;
    void (*authorized)(struct http_request *r); /* NULL: that is not under way */
    bool quietly;                               /* a refusal says nothing */
    bool asks_also;                             /* it is about the second token */
    struct authorization *also;
    struct error also_error;
    bool *call_flag; /* set when the call is done before call_start returns */
    struct http_cached *cached;
    bool effective_stale, effective_consistent;
    bool accepts_gzip;
    bool close_after;
    bool says_keep_alive; /* HTTP/1.0 that stays open */
    bool head_sent;       /* streaming */
    bool stream_chunked;
    uint8_t minor; /* HTTP/1.x */
    int body_file;
    void (*body_done)(struct http_request *r);
    void (*drained)(struct http_request *r);
    http_reply_writer *reply_writer;
    http_answer_done *answer_done;
    struct http_deflate *deflate;
    int64_t started;
};

/* First value of a parameter; data == NULL: not there. "" and absent differ. */
struct str http_param(const struct http_request *r, const char *name);
bool http_has_param(const struct http_request *r, const char *name);
/* The i-th value (0, 1, …) of a repeatable parameter; data == NULL: no more. */
struct str http_param_at(const struct http_request *r, const char *name, unsigned i);
/* All values of it, a list of str; nil when there is none. */
struct list http_param_list(struct http_request *r, const char *name);
/* First header line of that name (any case), without blanks around; data == NULL: not there. */
struct str http_header(const struct http_request *r, const char *name);
bool http_method_is(const struct http_request *r, const char *method);
/* "127.0.0.1:5000", "[::1]:5000"; "@" on unix sockets. */
struct str http_remote(struct http_request *r);
/* The client's IP without port; "" on unix sockets. */
struct str http_remote_ip(struct http_request *r);

/* Common parameters (chapter 6). Those that return false have answered. */

/* 6.1, else the agent's default token of this moment. */
struct str http_token(struct http_request *r);
/* ?dc=, "" when absent: call_start fills in the own one. */
struct str http_datacenter(const struct http_request *r);
/* Consistency, index, wait, Cache-Control, token, filter: 6.1, 6.3, 6.4, 6.5, 6.7. */
bool http_read_options(struct http_request *r, struct query_options *out);
/* Of these only index and wait. */
bool http_read_blocking(struct http_request *r, struct query_options *out);
/* The part of it that catalog/datacenters looks at; returns the text of a 400, or the absent
 * string. */
struct str http_cache_problem(struct http_request *r, struct query_options *out);
/* A number as strconv.ParseUint reads it; the error is the peer's (a 500). */
bool http_read_u64(struct http_request *r, const char *name, uint64_t *out, struct error *e);
/* Refuses ?ns= and X-Consul-Namespace: 6.2. */
bool http_check_namespace(struct http_request *r);
/* near= (6.6). */
void http_read_source(struct http_request *r, struct query_source *out);
/* node-meta= (6.6), a map: str to str. */
void http_read_node_meta(struct http_request *r, struct list *out);
/* The argument, or 400 with the text when it is empty. */
bool http_need_argument(struct http_request *r, const char *text);

/* ---- the body ---- */

#define HTTP_BODY_MAX (64u << 20) /* for all that the protocol does not limit itself */

/* Reads the whole body into r->body, then runs done; or answers itself: 413 (limit), 400 (broken).
 * The handler must not have answered. done may run before this returns. limit 0: HTTP_BODY_MAX. */
void http_read_body(struct http_request *r, uint64_t limit, void (*done)(struct http_request *r));
/* The same into a file without a name, r->body_file, at offset 0; closed with the request. */
void http_read_body_file(struct http_request *r, void (*done)(struct http_request *r));
/* Parses r->body (5.3; empty: "EOF") into `object`, which the caller has filled with defaults.
 * Errors are ERROR_BAD_REQUEST with the bare text. */
bool http_body_from_json(struct http_request *r, const struct shape *shape, void *object,
                         const struct json_options *options, struct error *e);

/* ---- answers; each ends the request ---- */

/* Before the answer. name in its canonical spelling; not Content-Length, Date, Connection. */
void http_set_header(struct http_request *r, const char *name, struct str value);
/* X-Consul-Index, -Knownleader, -Lastcontact (and -Effective-Consistency for ROUTE_EFFECTIVE). */
void http_set_meta(struct http_request *r, const struct query_meta *meta);

void http_answer_empty(struct http_request *r, int status);
void http_answer_text(struct http_request *r, int status, struct str text);
/* The same, told in the log too, as http_answer_error does. */
void http_answer_fault(struct http_request *r, int status, struct str text);
/* 405; the caller has set what is allowed. */
void http_answer_method(struct http_request *r);
void http_answer_format(struct http_request *r, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Maps an error to status and text: chapter 3. */
void http_answer_error(struct http_request *r, const struct error *e);
void http_answer_bool(struct http_request *r, bool b);
void http_answer_json(struct http_request *r, int status, const struct shape *shape,
                      const void *object);
void http_answer_json_type(struct http_request *r, int status, const struct type *type,
                           const void *object);
/* For other JSON: write with the returned writer, then finish. */
struct json_writer *http_json_begin(struct http_request *r);
void http_answer_json_written(struct http_request *r, int status);
/* Any bytes; `type` NULL: no Content-Type. exact: with a Content-Length whatever the size. */
void http_answer_bytes(struct http_request *r, int status, const char *type, struct str bytes,
                       bool exact);
/* From offset 0 to its end; takes the descriptor over. */
void http_answer_file(struct http_request *r, int status, const char *type, int file);

/* Streaming (monitor): head at once, then pieces as they come, then the end. After `gone` (which
 * must be set) nothing more is sent, but end must be called. http_stream_backlog: bytes that wait
 * for the client, so that a slow one can be left out. */
void http_stream_begin(struct http_request *r, int status, const char *type);
void http_stream_write(struct http_request *r, struct str bytes);
size_t http_stream_backlog(const struct http_request *r);
void http_stream_end(struct http_request *r);

/* ---- calls ---- */

/* Calls the endpoint; the request struct must live in r->arena. Errors are answered
 * (http_answer_error, with placeholder headers for ROUTE_META). Otherwise done gets the answer,
 * which is released when done returns and the request is answered from it. A client that hangs up
 * cancels the call: done then never runs. */
void http_call(struct http_request *r, const struct endpoint *endpoint, void *request,
               http_answer_done *done);
/* For reads: 200 with meta headers and the JSON that `write` makes of the reply, made once for all
 * who share the answer. What `write` writes may depend on the reply, the request struct and
 * `variant`, and on nothing else. */
void http_call_json(struct http_request *r, const struct endpoint *endpoint, void *request,
                    uint32_t variant, http_reply_writer *write);
/* The same for endpoints that ?cached means something to (6.5), with X-Cache and Age. `options` are
 * the request's. Of what is kept refreshed a server has the state at hand: there it is only
 * remembered who asked. */
enum http_cache_kind { HTTP_CACHE_PLAIN, HTTP_CACHE_REFRESHED };
void http_call_cached(struct http_request *r, const struct endpoint *endpoint, void *request,
                      struct query_options *options, enum http_cache_kind kind, uint32_t variant,
                      http_reply_writer *write);
/* The same without having been asked for ?cached, and without meta headers: done answers, with
 * X-Cache and Age set. Whether anything is awaited or how old it may be is not asked. */
void http_call_through_cache(struct http_request *r, const struct endpoint *endpoint, void *request,
                             struct query_options *options, http_answer_done *done);
/* What the peer's cache fetches on the way of something else: whoever asks for it next finds it
 * there. Of kind HTTP_CACHE_REFRESHED. */
void http_cache_warm(struct http_request *r, const struct endpoint *endpoint, void *request,
                     struct query_options *options);
/* The second half of http_call_json, for a done function. */
void http_answer_shared(struct http_request *r, struct answer *a, int status,
                        http_reply_writer *write);

#endif
