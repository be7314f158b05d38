/* Checks that run by themselves (agent.md 3): scripts, HTTP, TCP, gRPC, Docker. They run on a
 * thread of their own with one event loop, so that nothing that a check does can hold up the core;
 * the core starts and stops them, and gets each result as a message. Each kind is one file
 * (check_script.c, check_http.c…) behind struct check_kind; check_pool.c decides when it is whose
 * turn. TTL checks (local_ttl.c) and alias checks (check_alias.c) only look at the local state and
 * live on the core.
 */
#ifndef PRAETOR_AGENT_CHECK_RUN_H
#define PRAETOR_AGENT_CHECK_RUN_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/random.h"
#include "base/tail.h"
#include "net/fault.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "net/tls.h"
#include "schema/catalog.h"

enum check_health { CHECK_PASSING, CHECK_WARNING, CHECK_CRITICAL };
struct check_run;
struct check_pool;

/* Both functions run on the checks' thread. Of each start comes exactly one check_run_over, from
 * within it or later; cancel (only while a run is under way) makes it come soon. */
struct check_kind {
    void (*start)(struct check_run *r);
    void (*cancel)(struct check_run *r);
};
extern const struct check_kind check_kind_script, check_kind_http, check_kind_tcp, check_kind_grpc,
    check_kind_docker;

/* One check. What stands above `pool` is set by the core before check_run_start and then read only.
 */
struct check_run {
    struct arena arena; /* of the definition */
    struct str check_id;
    struct check_type type;
    const struct check_kind *kind;
    struct http_tls tls;
    size_t output_limit;
    bool at_once; /* first run now, not after a random part of the interval: for tests */
    void (*result)(struct check_run *r); /* on the core: status, output and bypass are valid */
    void (*ended)(struct check_run *r);  /* on the core, after check_run_stop: nothing of it runs */
    void *owner;                         /* the core's */

    struct check_pool *pool;
    /* A result, between its posting and the return of result(); `posted` says whose it is. */
    enum check_health status;
    struct str output; /* in result_memory */
    bool bypass;       /* counts whatever the thresholds say */
    struct buf result_memory;
    atomic_bool posted;
    atomic_bool stopping; /* set by check_run_stop */

    /* The checks' thread's. */
    struct loop_timer timer;
    struct message start_message, stop_message, result_message, ended_message;
    int64_t due; /* when the timer was to fire, monotonic */
    bool running, waiting, removed, late;
    struct check_run *next_waiting;
    void *state; /* of the run under way: the kind's */
};

/* On the core. NULL with an error when the thread cannot be started. `core` is where results go. */
struct check_pool *check_pool_new(struct loop *core, struct error *e);
/* When all of its checks have ended; any thread but the pool's own. NULL is allowed. */
void check_pool_free(struct check_pool *p);
/* On the core. First run after a random part of the interval. The struct must stay until ended()
 * has run, which may then free it with check_run_free. */
void check_run_start(struct check_pool *p, struct check_run *r);
void check_run_stop(struct check_run *r);
void check_run_free(struct check_run *r);

/* ---- for the kinds, on the checks' thread ---- */

struct loop *check_run_loop(const struct check_run *r);
/* libcurl on this loop, loaded when first asked for; NULL with an error. */
struct http_client *check_run_curl(struct check_run *r, struct error *e);
/* The run is over. output is copied. */
void check_run_over(struct check_run *r, enum check_health status, struct str output);
/* The same, and thresholds do not matter (a script that did not end, or did not start). */
void check_run_over_at_once(struct check_run *r, enum check_health status, struct str output);
/* The check's timeout or the default, in ns. */
int64_t check_run_timeout(const struct check_run *r, int64_t otherwise);

/* Whether the port is a number that can be one, or a service's name; false: the peer's text. */
bool check_port_known(struct str port, struct arena *arena, struct error *e);

/* The Docker engine's address, from DOCKER_HOST or the default; false: the peer's error text. The
 * path of a unix socket, or "host:port" with `tcp` set. Any thread. */
bool check_docker_host(struct str *address, bool *tcp, struct arena *arena, struct error *e);

/* HealthCheckResponse.status of a gRPC frame from outside (1: serving); false when the bytes are no
 * such message. */
bool check_grpc_read_status(struct str frame, uint64_t *status);

#endif
