/* The built-in proxy's talks with its agent: requests on its loop, a few at a time, and watches,
 * which ask again as soon as something has changed (connect.md 7.1).
 */
#ifndef PRAETOR_CLI_PROXY_AGENT_H
#define PRAETOR_CLI_PROXY_AGENT_H

#include "cli/settings.h"
#include "codec/url.h"
#include "codec/value.h"
#include "net/http_client.h"

struct proxy_agent;
/* settings must live as long. NULL: libcurl cannot be loaded. */
struct proxy_agent *proxy_agent_new(struct loop *loop, const struct settings *settings,
                                    struct error *e);
/* With nothing under way. NULL is allowed. */
void proxy_agent_free(struct proxy_agent *a);

struct loop *proxy_agent_loop(struct proxy_agent *a);

struct agent_answer {
    struct str body;
    uint64_t index;      /* X-Consul-Index; 0 without */
    struct str hash;     /* X-Consul-ContentHash; empty without */
    struct arena *arena; /* all is in it, and whatever the receiver likes: for the call */
};
/* e: why there is no answer of status 200, in the words of cli/client.h; else NULL. */
typedef void agent_answered(void *owner, struct agent_answer *answer, const struct error *e);

struct agent_question;
struct agent_ask {
    const char *method;
    struct str path; /* decoded */
    const struct url_param *params;
    uint32_t param_count;
    struct str body;
    int64_t timeout; /* ns, once it is sent */
    bool long_poll;  /* does not count among those that are under way at a time */
};
/* All is copied. done runs later, never inside. The pointer is good until then. An agent takes so
 * many connections of one client (200) and no more: of a burst of questions some wait their turn.
 */
struct agent_question *agent_ask(struct proxy_agent *a, const struct agent_ask *ask,
                                 agent_answered *done, void *owner);
void agent_ask_cancel(struct agent_question *q); /* done will not run; NULL is allowed */

/* ---- watches ---- */

struct agent_watch;
struct agent_watch_plan {
    const char *kind;  /* for the log: "connect_roots" */
    const char *log;   /* whose: "proxy.connect.watch" */
    const char *whose; /* how the log calls what follows: "service" */
    struct str service;
    struct str path;
    bool by_hash; /* changes show in the hash, not in the index */
    /* What is there now. False: it is no use, and that is told. */
    bool (*changed)(void *owner, const struct value *now, struct arena *arena, struct error *e);
    void *owner;
};
struct agent_watch *agent_watch_start(struct proxy_agent *a, const struct agent_watch_plan *plan);
void agent_watch_stop(struct agent_watch *w); /* NULL is allowed */

#endif
