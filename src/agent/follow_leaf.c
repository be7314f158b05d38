/* A leaf certificate that is followed: see follow.h. The certificates' own thread makes them anew
 * in time (server/leaf.h).
 */
#include "agent/follow.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"

struct leaf_follow {
    struct leaf_follow_options options;
    struct arena arena; /* of the wish */
    struct leaf_wish wish;
    struct leaf_ask *ask;
    struct loop_timer timer;
    unsigned failures;
    uint64_t index;
    struct buf known; /* the certificate that was given */
    void (*closed)(void *arg);
    void *arg;
};

static void answered(void *owner, const struct issued_cert *cert, bool hit, const struct error *e);

static void ask(struct leaf_follow *f) {
    f->ask = leaf_ask(f->options.server, &f->wish, f->index, LEAF_FETCH_TIME, answered, f);
}

/* Many that wait for a busy authority are spread over the time in which agents follow a new root;
 * waiting longer each time would only leave it idle in between. */
static int64_t pause_after(unsigned failures, const struct error *e) {
    uint64_t random;
    random_bytes(&random, sizeof(random));
    bool busy =
        str_find(e->text, STR("ate limit"), 0) >= 0; /* its, or that of this agent's calls */
    return busy ? SECOND + (int64_t)(random % LEAF_SPREAD) : follow_pause(failures, random);
}

static void answered(void *owner, const struct issued_cert *cert, bool hit, const struct error *e) {
    struct leaf_follow *f = owner;
    (void)hit;
    f->ask = NULL;
    if (cert == NULL) {
        f->index = 0;
        loop_timer_set(&f->timer, pause_after(++f->failures, e));
        f->options.failed(f->options.owner, e);
        return;
    }
    f->failures = 0;
    f->index = cert->modify_index;
    loop_timer_set(&f->timer, 0);
    if (str_eq(buf_str(&f->known), cert->cert_pem))
        return;
    buf_clear(&f->known);
    buf_add_str(&f->known, cert->cert_pem);
    f->options.came(f->options.owner, cert);
}

static void timer_fired(struct loop_timer *t) {
    struct leaf_follow *f = t->owner;
    if (f->ask == NULL)
        ask(f);
}

struct leaf_follow *leaf_follow_begin(const struct leaf_follow_options *options) {
    struct leaf_follow *f = MEM_NEW(struct leaf_follow);
    f->options = *options;
    leaf_wish_copy(&f->wish, options->wish, &f->arena);
    f->options.wish = &f->wish;
    loop_timer_init(server_core(options->server), &f->timer, timer_fired, f);
    loop_timer_set(&f->timer, 0);
    return f;
}

static void timer_closed(struct loop_timer *t) {
    struct leaf_follow *f = t->owner;
    void (*closed)(void *arg) = f->closed;
    void *arg = f->arg;
    buf_free(&f->known);
    arena_free(&f->arena);
    mem_free(f);
    closed(arg);
}

void leaf_follow_end(struct leaf_follow *f, void (*closed)(void *arg), void *arg) {
    if (f == NULL)
        return;
    if (f->ask != NULL)
        leaf_cancel(f->ask); /* nothing of this is looked at any more */
    f->closed = closed;
    f->arg = arg;
    loop_timer_stop(&f->timer);
    loop_timer_close(&f->timer, timer_closed);
}
