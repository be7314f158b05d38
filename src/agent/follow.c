/* See follow.h. */
#include "agent/follow.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"

#define QUERY_TIME (600 * SECOND)
#define BACKOFF_FROM 3 /* failures with a pause of a second */
#define BACKOFF_MAX MINUTE
#define BETWEEN_QUERIES (10 * MILLISECOND)

int64_t follow_pause(unsigned failures, uint64_t random) {
    if (failures <= BACKOFF_FROM)
        return SECOND;
    unsigned power = failures - BACKOFF_FROM;
    int64_t pause = power >= 6 ? BACKOFF_MAX : SECOND << power;
    pause += (int64_t)(random % (uint64_t)pause);
    return pause < BACKOFF_MAX ? pause : BACKOFF_MAX;
}

static int64_t next_pause(unsigned failures) {
    uint64_t random;
    random_bytes(&random, sizeof(random));
    return follow_pause(failures, random);
}

/* Ends when its timer is closed and no call is under way. */
struct ending {
    void (*closed)(void *arg);
    void *arg;
};

struct follow {
    struct follow_options options;
    struct loop_timer timer;
    bool timer_open, calling, again, ended;
    uint64_t index;
    unsigned failures;
    int64_t asked; /* monotonic */
    struct call call;
    struct arena arena; /* of the call */
    struct ending ending;
};

/* ---- questions ---- */

static void answered(struct call *call);

static void ask(struct follow *f) {
    const struct endpoint *endpoint = f->options.endpoint;
    arena_free(&f->arena);
    void *request = arena_zalloc(&f->arena, 1, endpoint->request->size);
    if (!f->options.question(f->options.owner, request, &f->arena))
        return;
    if (endpoint->options >= 0 && f->options.period == 0) {
        struct query_options *o = (struct query_options *)((char *)request + endpoint->options);
        o->min_query_index = f->index;
        o->max_query_time = QUERY_TIME;
    }
    f->call = (struct call){
        .endpoint = endpoint, .arena = &f->arena, .request = request, .done = answered, .owner = f};
    f->calling = true;
    f->asked = time_now_monotonic();
    call_start(f->options.server, &f->call);
}

/* What comes back soon with nothing new must not become a storm. */
static int64_t next_time(const struct follow *f, bool is_new) {
    if (f->options.period > 0)
        return f->options.period;
    return is_new || time_now_monotonic() - f->asked > SECOND ? BETWEEN_QUERIES : SECOND;
}

static void answered(struct call *call) {
    struct follow *f = call->owner;
    struct answer *a = call->answer;
    call->answer = NULL;
    f->calling = false;
    if (error_is_set(&a->error)) {
        f->index = 0;
        f->failures++;
        loop_timer_set(&f->timer, next_pause(f->failures));
        f->options.failed(f->options.owner, &a->error);
    } else {
        uint64_t index = a->meta.index > 0 ? a->meta.index : 1;
        bool is_new = index != f->index;
        f->failures = 0;
        f->index = index < f->index ? 0 : index;
        loop_timer_set(&f->timer, next_time(f, is_new));
        f->options.came(f->options.owner, a);
    }
    answer_release(a);
}

/* ---- life ---- */

static void timer_fired(struct loop_timer *t) {
    struct follow *f = t->owner;
    if (!f->calling)
        ask(f);
}

struct follow *follow_begin(const struct follow_options *options) {
    struct follow *f = MEM_NEW(struct follow);
    f->options = *options;
    f->index = options->index;
    loop_timer_init(server_core(options->server), &f->timer, timer_fired, f);
    f->timer_open = true;
    loop_timer_set(&f->timer, 0);
    return f;
}

static void maybe_free(struct follow *f) {
    if (!f->ended || f->timer_open || f->calling)
        return;
    struct ending ending = f->ending;
    arena_free(&f->arena);
    mem_free(f);
    ending.closed(ending.arg);
}

static void call_freed(void *owner) {
    struct follow *f = owner;
    f->calling = false;
    if (f->ended) {
        maybe_free(f);
    } else if (f->again) {
        f->again = false;
        loop_timer_set(&f->timer, 0);
    }
}

void follow_again(struct follow *f) {
    f->index = 0;
    f->failures = 0;
    if (!f->calling) {
        loop_timer_set(&f->timer, 0);
    } else if (!f->again) {
        f->again = true;
        call_cancel(&f->call, call_freed);
    }
}

static void timer_closed(struct loop_timer *t) {
    struct follow *f = t->owner;
    f->timer_open = false;
    maybe_free(f);
}

void follow_end(struct follow *f, void (*closed)(void *arg), void *arg) {
    if (f == NULL)
        return;
    f->ended = true;
    f->ending = (struct ending){closed, arg};
    loop_timer_stop(&f->timer);
    loop_timer_close(&f->timer, timer_closed);
    if (f->calling && !f->again)
        call_cancel(&f->call, call_freed);
}
