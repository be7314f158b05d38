/* The HTTP client of commands (cli.md 1.4): where the agent is, with which token and certificates,
 * one call or several at a time, and the texts of what can go wrong, in the peer's words. No
 * command's knowledge of paths is here.
 */
#ifndef PRAETOR_CLI_CLIENT_H
#define PRAETOR_CLI_CLIENT_H

#include <stdio.h>

#include "cli/command.h"
#include "codec/url.h"
#include "codec/value.h"

#define CLIENT_PARAMS_MAX 256
#define CLIENT_REPEATS_MAX 240            /* of one flag that becomes a parameter each time */
#define CLIENT_BODY_MAX ((size_t)1 << 30) /* of an answer kept in memory */

struct client;

/* Settings from flags and environment; opens no connection. NULL on failure: the caller says
 * "Error connecting to Consul agent: E". Warnings of bad environment values go to cli->err. */
struct client *client_new(struct cli *cli, struct error *e);
void client_free(struct client *c); /* ends what is under way; NULL is allowed */
/* client_new, with that message on failure. */
struct client *client_open(struct cli *cli);

struct call {
    const char *method;
    struct str path; /* decoded; encoded when sent */
    struct url_param params[CLIENT_PARAMS_MAX];
    uint32_t param_count;
    struct str body;         /* must live as long as the call */
    FILE *upload;            /* instead of body: sent in chunks until its end */
    const char *upload_name; /* of the file, for errors */
    struct str token;        /* instead of the client's, when data is not NULL */
    bool no_datacenter;      /* requests that the peer sends without dc and ns */
    bool has_namespace;      /* ns is among the parameters already */
    int64_t timeout;         /* ns; 0: none */
    /* Takes the body of a 200 piece by piece instead of keeping it; false ends the call. */
    bool (*sink)(void *owner, struct str piece);
    void *sink_owner;

    /* The answer. */
    bool done;
    bool failed; /* transport: error text in *error */
    struct error error;
    int status;
    struct str answer;        /* in the call's arena */
    uint64_t index;           /* X-Consul-Index; 0 without */
    struct call_state *state; /* client.c's */
};

void call_init(struct call *call, const char *method, struct str path);
void call_param(struct call *call, const char *name, struct str value);
/* `stale` of the command's flags; only some calls look at it. */
void call_stale(struct call *call, const struct cli *cli);

/* Sends it and waits. False: transport failed, or a signal came (client_interrupted). Whatever the
 * status, the answer is there. Everything of the answer is in `arena`. */
bool client_call(struct client *c, struct call *call, struct arena *arena, struct error *e);
/* The same, and a status other than 200 is an error with the body in its text. */
bool client_expect(struct client *c, struct call *call, struct arena *arena, struct error *e);
/* The same, and reads the answer as JSON. */
bool client_json(struct client *c, struct call *call, struct value *out, struct arena *arena,
                 struct error *e);
/* GET of a path without parameters, as JSON. */
bool client_get(struct client *c, struct str path, struct value *out, struct arena *arena,
                struct error *e);
/* "Unexpected response code: 500 (…)" */
bool call_unexpected(const struct call *call, struct error *e);

/* Several at a time: start, then poll until call->done. The call must stay where it is. */
void client_start(struct client *c, struct call *call, struct arena *arena);
void client_cancel(struct client *c, struct call *call);
/* Moves all calls on; returns when one is done, a signal came, `wake_fd` (-1: none) can be read or
 * the time (ns; < 0: no limit) is over. */
void client_poll(struct client *c, int wake_fd, int64_t timeout);
/* Runs fn during any poll once the (monotonic) time has come. at 0: never. fn may start calls and
 * set the timer anew. */
void client_set_timer(struct client *c, int64_t at, void (*fn)(void *owner), void *owner);

/* From now on SIGINT and SIGTERM (and SIGCHLD when asked for) do not end the process but wake
 * polls. */
void client_catch_signals(void);
/* The last of those that came, 0 for none. Calls under way return early while there is one. */
int client_signal(void);
void client_signal_clear(void);
/* Readable when a signal came (also SIGCHLD); to be drained with client_wake_drain. */
int client_wake_fd(void);
void client_wake_drain(void);
/* Waits for a signal (or SIGCHLD), without any call under way; ns, < 0: no limit. Drains. */
void client_wait(int64_t timeout);

const char *client_address(const struct client *c);
struct settings; /* cli/settings.h */
/* What it was made of; lives as long as it does. */
const struct settings *client_settings(const struct client *c);

/* ---- reading answers ---- */
struct str value_str(const struct value *v, const char *key); /* empty when absent */
uint64_t value_u64(const struct value *v, const char *key);
bool value_bool(const struct value *v, const char *key);
size_t value_len(const struct value *v); /* of a list; 0 for anything else */

/* The operating system's reason as the peer's language words it: "no such file or directory". */
const char *errno_text(int errno_value);

#endif
