/* When checks run: one thread, a timer for each check, and a bound on how many are under way
 * (agent.md 3.1). Also the few texts and buffers that the kinds of checks share.
 *
 * A check's struct goes to and fro without copies: the core writes it before the start message, the
 * thread fills in a result and posts it, and does not begin another run before the core has used
 * it (`posted`). So there is at most one message of each sort under way per check, and no queue
 * can grow.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "agent/check_run.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/http_client.h"

#define LOGGER "agent"
#define INBOX 16 /* start and stop go past it: one of each per check */
#define INTERVAL_MINIMUM SECOND
#define CORE_IS_BEHIND (100 * MILLISECOND)

struct check_pool {
    struct loop loop;
    struct loop *core;
    struct prng random;
    struct http_client *curl;
    struct message curl_message; /* ends libcurl on its thread */
    uv_sem_t curl_over;
    size_t running, limit;
    struct check_run *waiting, **waiting_end; /* whose turn has come, beyond the limit */
};

/* Checks under way at most: each may hold a few descriptors. */
static size_t concurrency(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 1024;
    size_t part = (size_t)limit.rlim_cur / 4;
    return part < 16 ? 16 : part > 4096 ? 4096 : part;
}

struct check_pool *check_pool_new(struct loop *core, struct error *e) {
    struct check_pool *p = MEM_NEW(struct check_pool);
    p->core = core;
    p->limit = concurrency();
    p->waiting_end = &p->waiting;
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    prng_seed(&p->random, seed);
    if (!loop_init(&p->loop, "checks", INBOX, e)) {
        mem_free(p);
        return NULL;
    }
    if (!loop_start(&p->loop, e)) {
        loop_free(&p->loop);
        mem_free(p);
        return NULL;
    }
    return p;
}

static void end_curl(struct message *m) {
    struct check_pool *p = CONTAINER_OF(m, struct check_pool, curl_message);
    http_client_free(p->curl);
    uv_sem_post(&p->curl_over);
}

void check_pool_free(struct check_pool *p) {
    if (p == NULL)
        return;
    uv_sem_init(&p->curl_over, 0);
    p->curl_message.run = end_curl;
    loop_post_reply(&p->loop, &p->curl_message);
    uv_sem_wait(&p->curl_over);
    uv_sem_destroy(&p->curl_over);
    loop_stop(&p->loop);
    loop_join(&p->loop);
    loop_free(&p->loop);
    mem_free(p);
}

struct loop *check_run_loop(const struct check_run *r) {
    return &r->pool->loop;
}

struct http_client *check_run_curl(struct check_run *r, struct error *e) {
    struct check_pool *p = r->pool;
    if (p->curl == NULL)
        p->curl = http_client_new(&p->loop, e);
    return p->curl;
}

/* ---- the thread ---- */

static int64_t interval_of(const struct check_run *r) {
    return r->type.interval < INTERVAL_MINIMUM ? INTERVAL_MINIMUM : r->type.interval;
}

static void schedule(struct check_run *r, int64_t delay) {
    r->due = time_now_monotonic() + delay;
    loop_timer_set(&r->timer, delay);
}

static int64_t part_of_interval(const struct check_run *r) {
    return (int64_t)prng_below(&r->pool->random, (uint64_t)interval_of(r));
}

/* The interval after the end of the run. But what comes much too late, because the machine or the
 * process stood still, comes with all the others: these part again. */
static void schedule_next(struct check_run *r) {
    schedule(r, r->late ? part_of_interval(r) : interval_of(r));
}

static void timer_closed(struct loop_timer *t) {
    struct check_run *r = t->owner;
    loop_post_reply(r->pool->core, &r->ended_message);
}

/* Nothing of it is under way any more. */
static void run_gone(struct check_run *r) {
    loop_timer_stop(&r->timer);
    loop_timer_close(&r->timer, timer_closed);
}

static void run_begin(struct check_run *r) {
    r->running = true;
    r->pool->running++;
    r->kind->start(r);
}

static void timer_fired(struct loop_timer *t) {
    struct check_run *r = t->owner;
    struct check_pool *p = r->pool;
    if (atomic_load_explicit(&r->posted, memory_order_acquire)) {
        loop_timer_set(&r->timer, CORE_IS_BEHIND);
        return;
    }
    r->late = time_now_monotonic() - r->due > interval_of(r) / 4;
    if (p->running < p->limit) {
        run_begin(r);
        return;
    }
    r->waiting = true;
    r->next_waiting = NULL;
    *p->waiting_end = r;
    p->waiting_end = &r->next_waiting;
}

static struct check_run *take_waiting(struct check_pool *p) {
    struct check_run *r = p->waiting;
    if (r == NULL)
        return NULL;
    p->waiting = r->next_waiting;
    if (p->waiting == NULL)
        p->waiting_end = &p->waiting;
    r->waiting = false;
    return r;
}

static void result_arrived(struct message *m);

static void run_over(struct check_run *r, enum check_health status, struct str output,
                     bool bypass) {
    struct check_pool *p = r->pool;
    ASSERT(r->running);
    r->running = false;
    p->running--;
    if (r->removed) {
        run_gone(r);
    } else {
        buf_clear(&r->result_memory);
        buf_add_str(&r->result_memory, output);
        r->output = buf_str(&r->result_memory);
        r->status = status;
        r->bypass = bypass;
        atomic_store_explicit(&r->posted, true, memory_order_release);
        r->result_message.run = result_arrived;
        schedule_next(r);
        loop_post_reply(p->core, &r->result_message);
    }
    struct check_run *next = p->running < p->limit ? take_waiting(p) : NULL;
    if (next != NULL) /* not from within another's end: that could nest */
        loop_timer_set(&next->timer, 0);
}

void check_run_over(struct check_run *r, enum check_health status, struct str output) {
    run_over(r, status, output, false);
}

void check_run_over_at_once(struct check_run *r, enum check_health status, struct str output) {
    run_over(r, status, output, true);
}

static void started(struct message *m) {
    struct check_run *r = CONTAINER_OF(m, struct check_run, start_message);
    loop_timer_init(&r->pool->loop, &r->timer, timer_fired, r);
    schedule(r, r->at_once ? 0 : part_of_interval(r));
}

static void unlist_waiting(struct check_run *r) {
    struct check_pool *p = r->pool;
    struct check_run **at = &p->waiting;
    while (*at != r)
        at = &(*at)->next_waiting;
    *at = r->next_waiting;
    if (*at == NULL)
        p->waiting_end = at;
    r->waiting = false;
}

static void stopped(struct message *m) {
    struct check_run *r = CONTAINER_OF(m, struct check_run, stop_message);
    r->removed = true;
    if (r->waiting)
        unlist_waiting(r);
    if (r->running)
        r->kind->cancel(r);
    else
        run_gone(r);
}

/* ---- the core ---- */

static void result_arrived(struct message *m) {
    struct check_run *r = CONTAINER_OF(m, struct check_run, result_message);
    if (!atomic_load(&r->stopping))
        r->result(r);
    atomic_store_explicit(&r->posted, false, memory_order_release);
}

static void end_arrived(struct message *m) {
    struct check_run *r = CONTAINER_OF(m, struct check_run, ended_message);
    r->ended(r);
}

void check_run_start(struct check_pool *p, struct check_run *r) {
    r->pool = p;
    if (r->type.interval < INTERVAL_MINIMUM)
        log_at(LOG_WARN, LOGGER, "check has interval below minimum", LOG_S("check", r->check_id),
               LOG_D("minimum_interval", INTERVAL_MINIMUM));
    r->start_message.run = started;
    r->stop_message.run = stopped;
    r->ended_message.run = end_arrived;
    loop_post_reply(&p->loop, &r->start_message);
}

void check_run_stop(struct check_run *r) {
    atomic_store(&r->stopping, true);
    loop_post_reply(&r->pool->loop, &r->stop_message);
}

void check_run_free(struct check_run *r) {
    struct arena arena = r->arena;
    buf_free(&r->result_memory);
    tls_config_release(r->tls.config);
    mem_free(r);
    arena_free(&arena);
}

/* ---- shared by the kinds ---- */

int64_t check_run_timeout(const struct check_run *r, int64_t otherwise) {
    return r->type.timeout > 0 ? r->type.timeout : otherwise;
}
