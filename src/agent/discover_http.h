/* One HTTP exchange after the other for the providers of discover.c, on their own thread: libcurl
 * as the checks load and use it (net/http_client.h), with a limit on time and on the size of an
 * answer. Certificates are trusted as the peer's language does it: SSL_CERT_FILE, else the
 * system's. Proxies as libcurl finds them (https_proxy, no_proxy).
 */
#ifndef PRAETOR_AGENT_DISCOVER_HTTP_H
#define PRAETOR_AGENT_DISCOVER_HTTP_H

#include "agent/discover_provider.h"
#include "codec/value.h"

#define DISCOVER_ANSWER_MAX ((size_t)16 << 20) /* bytes of one answer's body */
#define DISCOVER_CALL_TIME (20 * SECOND)       /* of one exchange, at most */
#define DISCOVER_CALLS_MAX 200                 /* exchanges of one look-up */
#define DISCOVER_BYTES_MAX ((size_t)64 << 20)  /* of all answers of one look-up */
#define DISCOVER_HEADERS_MAX 8

/* All exchanges of one look-up. File names are absent when there are none. */
struct discover_web {
    struct arena *arena;
    int64_t deadline; /* monotonic */
    unsigned calls;
    size_t bytes;
    bool skip_verify;
    struct str ca_file, cert_file, key_file;
};
void discover_web_init(struct discover_web *w, struct arena *arena);

struct discover_call {
    const char *method;
    struct str url;
    struct str headers[DISCOVER_HEADERS_MAX]; /* "Name: value"; the first absent one ends them */
    struct str body;                          /* absent: none */
    int64_t time;                             /* 0: DISCOVER_CALL_TIME */
    /* The answer. */
    long status;
    struct str status_line; /* "404 Not Found" */
    struct str answer;
};
/* Any status is an answer. False: `Get "URL": dial tcp ...`. */
bool discover_web_call(struct discover_web *w, struct discover_call *c, struct error *e);
/* The same, and the answer must have status 2xx ("unexpected status 404 Not Found: <start of
 * body>") and be JSON. */
bool discover_web_json(struct discover_web *w, struct discover_call *c, struct value *out,
                       struct error *e);

/* ---- what providers share ---- */

/* The value behind a path of keys ("a.b.c"), or NULL. */
struct value *discover_path(const struct value *v, const char *path);
/* A string there, or the absent one. */
struct str discover_text(const struct value *v, const char *path);
/* How many items the list there has; 0 when there is none. */
size_t discover_count(const struct value *v, const char *path);

/* Copies the address into the list; empty ones are left out. False when there are too many. */
bool discover_add(struct list *addresses, struct str address, struct arena *arena, struct error *e);

/* A key's value, else an environment variable's, else absent. */
struct str discover_setting(const struct discover_keys *keys, const char *key, const char *env);
struct str discover_env(const char *name); /* empty counts as absent */
/* True, false and the others of the peer's language; otherwise its text. */
bool discover_bool(struct str text, bool *out, struct error *e);
/* An absolute path below the user's home, or the absent string. */
struct str discover_home(const char *below, struct arena *arena);
/* With %XX for all but letters, digits and "-_.~". */
struct str discover_escape(struct str text, struct arena *arena);
#endif
