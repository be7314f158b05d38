/* The profiler's thread: takes requests, lets those that last run for their time, and answers.
 */
#include "agent/profile.h"

#include <pthread.h>

#include "agent/profile_parts.h"
#include "base/mem.h"
#include "base/time.h"

#define INBOX 16

/* One that lasts. The CPU profile and the trace may run at the same time. */
struct slot {
    struct profile *profile; /* NULL: none is running */
    struct profile_run *run;
    struct loop_timer timer;
    int64_t until;
    int64_t step;
    const char *busy_text;
    struct profile_run *(*start)(struct profile *p);
    void (*advance)(struct profile_run *run);
    void (*end)(struct profile_run *run, struct profile *p);
};

static struct slot cpu_slot = {
    .step = CPU_STEP_TIME,
    .busy_text = "Could not enable CPU profiling: cpu profiling already in use",
    .start = cpu_run_start,
    .advance = cpu_run_step,
    .end = cpu_run_end,
};
static struct slot trace_slot = {
    .step = TRACE_STEP_TIME,
    .busy_text = "Could not enable tracing: runtime error: tracing is already enabled",
    .start = trace_run_start,
    .advance = trace_run_step,
    .end = trace_run_end,
};

static struct {
    pthread_mutex_t mutex; /* guards started */
    bool started;
    struct loop loop;
    struct message stop_message;
    uv_sem_t over;
    int timers_open;
    bool stopping; /* its own thread's */
} profiler = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- answers ---- */

/* A message about its cancelling may be under way: done must not run before that is back. */
static void answered(struct message *m) {
    struct profile *p = CONTAINER_OF(m, struct profile, message);
    p->ended = true;
    if (!p->cancelled || p->cancel_seen)
        p->done(p);
}

static void cancel_came_back(struct message *m) {
    struct profile *p = CONTAINER_OF(m, struct profile, cancel_message);
    p->cancel_seen = true;
    if (p->ended)
        p->done(p);
}

static void answer(struct profile *p, bool ok) {
    p->ok = ok;
    p->message.run = answered;
    loop_post_reply(p->home, &p->message);
}

/* ---- those that last ---- */

static struct slot *slot_of(const struct profile *p) {
    return p->kind == PROFILE_CPU ? &cpu_slot : p->kind == PROFILE_TRACE ? &trace_slot : NULL;
}

static void end_slot(struct slot *s) {
    struct profile *p = s->profile;
    s->profile = NULL;
    loop_timer_stop(&s->timer);
    s->end(s->run, p);
    answer(p, true);
}

static void slot_due(struct loop_timer *t) {
    struct slot *s = t->owner;
    int64_t left = s->until - time_now_monotonic();
    if (left <= 0) {
        end_slot(s);
        return;
    }
    s->advance(s->run);
    loop_timer_set(t, left < s->step ? left : s->step);
}

static void start_slot(struct slot *s, struct profile *p) {
    if (s->profile != NULL) {
        error_set(p->e, ERROR_INTERNAL, "%s", s->busy_text);
        answer(p, false);
        return;
    }
    s->run = s->start(p);
    if (s->run == NULL) {
        answer(p, false);
        return;
    }
    int64_t duration = p->duration < PROFILE_TIME_MAX ? p->duration : PROFILE_TIME_MAX;
    s->profile = p;
    s->until = time_now_monotonic() + duration;
    loop_timer_set(&s->timer, duration < s->step ? duration : s->step);
}

/* ---- requests ---- */

static void requested(struct message *m) {
    struct profile *p = CONTAINER_OF(m, struct profile, message);
    p->begun = true;
    if (p->dropped || profiler.stopping)
        answer(p, error_set(p->e, ERROR_INTERNAL, "cancelled"));
    else if (p->kind == PROFILE_THREADS)
        answer(p, profile_threads(p));
    else if (p->kind == PROFILE_MEMORY)
        answer(p, profile_memory(p));
    else
        start_slot(slot_of(p), p);
}

static void ready(struct message *m) {
    mem_free(m);
    loop_timer_init(&profiler.loop, &cpu_slot.timer, slot_due, &cpu_slot);
    loop_timer_init(&profiler.loop, &trace_slot.timer, slot_due, &trace_slot);
}

static bool start_thread(struct error *e) {
    if (!loop_init(&profiler.loop, "profile", INBOX, e))
        return false;
    if (!loop_start(&profiler.loop, e)) {
        loop_free(&profiler.loop);
        return false;
    }
    struct message *m = MEM_NEW(struct message);
    m->run = ready;
    loop_post_reply(&profiler.loop, m);
    return true;
}

bool profile_start(struct profile *p) {
    pthread_mutex_lock(&profiler.mutex);
    bool ok = profiler.started || (profiler.started = start_thread(p->e));
    pthread_mutex_unlock(&profiler.mutex);
    if (!ok)
        return false;
    p->home = loop_current();
    p->message.run = requested;
    ASSERT(p->home != NULL);
    return loop_post(&profiler.loop, &p->message) ||
           error_set(p->e, ERROR_INTERNAL, "too many profiles are waiting");
}

static void cancelled(struct message *m) {
    struct profile *p = CONTAINER_OF(m, struct profile, cancel_message);
    struct slot *s = slot_of(p);
    p->dropped = !p->begun; /* answers of a loop overtake its inbox, and this is one */
    if (s != NULL && s->profile == p)
        end_slot(s);
    m->run = cancel_came_back;
    loop_post_reply(p->home, m);
}

void profile_cancel(struct profile *p) {
    if (p->cancelled)
        return;
    p->cancelled = true;
    p->cancel_message.run = cancelled;
    loop_post_reply(&profiler.loop, &p->cancel_message);
}

/* ---- the end ---- */

static void timer_closed(struct loop_timer *t) {
    (void)t;
    if (--profiler.timers_open == 0)
        uv_sem_post(&profiler.over);
}

static void stopped(struct message *m) {
    struct slot *slots[] = {&cpu_slot, &trace_slot};
    (void)m;
    profiler.stopping = true;
    profiler.timers_open = COUNT_OF(slots);
    for (size_t i = 0; i < COUNT_OF(slots); i++) {
        if (slots[i]->profile != NULL)
            end_slot(slots[i]);
        loop_timer_close(&slots[i]->timer, timer_closed);
    }
}

void profile_stop(void) {
    if (!profiler.started)
        return;
    uv_sem_init(&profiler.over, 0);
    profiler.stop_message.run = stopped;
    loop_post_reply(&profiler.loop, &profiler.stop_message);
    uv_sem_wait(&profiler.over);
    uv_sem_destroy(&profiler.over);
    loop_stop(&profiler.loop);
    loop_join(&profiler.loop);
    loop_free(&profiler.loop);
    profiler.started = profiler.stopping = false;
}
