/* Clients: those that write and read keys one operation after the other, whose view of each key
 * must be linearizable in the end; and those that wait for a change of a key or prefix, none of
 * whom may be forgotten. A client knows only what it is told: what is not answered may have
 * happened.
 */
#include "sim/cluster/sim.h"

#define HISTORY_OPS ((size_t)110) /* of one key; then another key takes its place */
#define SEARCH_STEPS 2000000

/* ---- what is remembered of each key ---- */

static struct linear_op *history_add(struct sim *s, uint32_t key) {
    struct history *h = &s->histories[key];
    if (h->count == h->cap) {
        h->cap = h->cap > 0 ? h->cap * 2 : 16;
        h->ops = mem_resize(h->ops, h->cap, sizeof *h->ops);
    }
    h->ops[h->count] = (struct linear_op){0};
    return &h->ops[h->count++];
}

/* The key in a place, so that no key gets more operations than can be looked through. */
static uint32_t key_pick(struct sim *s, struct prng *prng) {
    uint32_t place = (uint32_t)prng_below(prng, s->plan.keys), key = place;
    while (key + s->plan.keys < MACHINE_KEYS && s->histories[key].count >= HISTORY_OPS)
        key += s->plan.keys;
    return key;
}

void history_restore(struct sim *s, const struct machine_snapshot *archive, int64_t call,
                     int64_t ret) {
    for (uint32_t k = 0; k < MACHINE_KEYS; k++) {
        if (s->histories[k].count == 0 && archive->keys[k].value == 0)
            continue;
        struct linear_op *op = history_add(s, k);
        *op = (struct linear_op){
            .kind = LINEAR_WRITE, .call = call, .ret = ret, .value = archive->keys[k].value};
    }
}

static void history_print(struct sim *s, uint32_t key) {
    const struct history *h = &s->histories[key];
    for (size_t i = 0; i < h->count; i++) {
        const struct linear_op *op = &h->ops[i];
        fprintf(stderr, "  %12lld %12lld %s value %llu expect %llu result %d\n",
                (long long)((op->call - s->began) / MICROSECOND),
                op->ret == LINEAR_NEVER ? -1 : (long long)((op->ret - s->began) / MICROSECOND),
                op->kind == LINEAR_READ    ? "read "
                : op->kind == LINEAR_WRITE ? "write"
                                           : "cas  ",
                (unsigned long long)op->value, (unsigned long long)op->expect, op->result);
    }
}

void history_check(struct sim *s) {
    for (uint32_t k = 0; k < MACHINE_KEYS; k++) {
        struct history *h = &s->histories[k];
        if (h->count == 0)
            continue;
        s->totals.keys++;
        if (h->count > LINEAR_OPS_MAX) {
            s->totals.undecided++;
            continue;
        }
        enum linear_verdict v = linear_check(h->ops, h->count, SEARCH_STEPS);
        s->totals.undecided += v == LINEAR_UNDECIDED;
        if (v == LINEAR_BAD) {
            history_print(s, k);
            sim_fail(s, "key %u: what clients saw is not linearizable", k);
        }
    }
}

/* ---- a call at a server ---- */

static void call_return(struct sim *s, struct sim_event *e);

/* The answer travels back. */
void client_answered(struct node *n, struct call *c) {
    c->event.fire = call_return;
    c->event.drop = NULL;
    c->event.node = NULL;
    sim_after(n->sim, &c->event, sim_delay(n->sim, MILLISECOND));
}

static void write_done(struct node *n, struct proposal *p, enum raft_error error, bool yes) {
    struct call *c = p->owner;
    c->yes = yes;
    if (error == RAFT_OK)
        c->outcome = CALL_OK;
    else if (p->index == 0 && (error == RAFT_ERROR_NOT_LEADER || error == RAFT_ERROR_RESTORED ||
                               error == RAFT_ERROR_TRANSFER_IN_PROGRESS))
        c->outcome = CALL_REFUSED;
    else
        c->outcome = CALL_LOST;
    if (error == RAFT_OK)
        check_acknowledged(n, p->index, p->term);
    client_answered(n, c);
    mem_free(p);
}

static void call_write(struct node *n, struct call *c) {
    static const char *const ops[] = {
        [CALL_SET] = "set", [CALL_CAS] = "cas", [CALL_DELETE] = "delete"};
    if (!n->told_leader) {
        c->outcome = CALL_REFUSED;
        client_answered(n, c);
        return;
    }
    struct proposal *p = MEM_NEW(struct proposal);
    p->kind = PROPOSAL_COMMAND;
    p->entry = machine_command(ops[c->kind], c->key, c->value, c->size, c->expect_index);
    p->done = write_done;
    p->owner = c;
    propose(n, p);
}

static void call_arrive(struct sim *s, struct sim_event *e) {
    (void)s;
    struct call *c = CONTAINER_OF(e, struct call, event);
    if (c->kind == CALL_GET)
        call_read(e->node, c);
    else
        call_write(e->node, c);
}

/* The process that it was sent to has ended. */
static void call_drop(struct sim *s, struct sim_event *e) {
    struct call *c = CONTAINER_OF(e, struct call, event);
    c->outcome = CALL_LOST;
    client_answered(s->nodes[c->client->node], c);
}

/* ---- a client ---- */

static void client_next(struct sim *s, struct client *c);

static struct node *node_pick(struct sim *s, struct prng *prng) {
    for (int i = 0; i < 20; i++) {
        struct node *n = s->nodes[prng_below(prng, SIM_SLOTS)];
        if (n->used && (n->up || i > 10))
            return n;
    }
    return s->nodes[0];
}

static void client_try(struct sim *s, struct client *c) {
    struct node *n = s->nodes[c->node];
    if (!n->used || !n->up || prng_below(&c->prng, 30) == 0) {
        n = node_pick(s, &c->prng);
        c->node = n->slot;
    }
    c->tries++;
    if (!n->up) {
        sim_after(s, &c->event, 100 * MILLISECOND);
        return;
    }
    struct call *call = MEM_NEW(struct call);
    *call = c->ask;
    call->number = c->operation;
    call->event = (struct sim_event){.fire = call_arrive, .drop = call_drop};
    sim_bind(&call->event, n);
    sim_after(s, &call->event, sim_delay(s, MILLISECOND));
}

static void client_end(struct sim *s, struct client *c) {
    c->busy = false;
    sim_cancel(s, &c->event);
    sim_cancel(s, &c->timeout);
    client_next(s, c);
}

/* What is known of it goes into the history; ret: when it came back, or LINEAR_NEVER. */
static void client_record(struct sim *s, struct client *c, const struct call *answer, int64_t ret) {
    const struct call *ask = &c->ask;
    if (ask->kind == CALL_GET && (ret == LINEAR_NEVER || answer->doubtful)) {
        s->totals.doubtful += ret != LINEAR_NEVER;
        return;
    }
    struct linear_op *op = history_add(s, ask->key);
    op->call = c->began;
    op->ret = ret;
    op->value = ask->kind == CALL_DELETE ? 0 : ask->value;
    op->kind = ask->kind == CALL_CAS ? LINEAR_CAS : LINEAR_WRITE;
    op->result = LINEAR_UNKNOWN;
    if (ask->kind == CALL_GET) {
        op->kind = LINEAR_READ;
        op->value = answer->found.value;
        s->totals.reads++;
    } else if (ret == LINEAR_NEVER) {
        s->totals.unknown++;
    } else {
        s->totals.writes++;
    }
    if (ask->kind == CALL_CAS) {
        op->expect = c->key_seen == ask->key ? c->seen.value : 0;
        if (ret != LINEAR_NEVER)
            op->result = answer->yes ? LINEAR_YES : LINEAR_NO;
    }
}

static void call_return(struct sim *s, struct sim_event *e) {
    struct call *call = CONTAINER_OF(e, struct call, event);
    struct client *c = call->client;
    if (!c->busy || call->number != c->operation) {
        mem_free(call);
        return;
    }
    if (call->outcome == CALL_REFUSED) {
        c->node = node_pick(s, &c->prng)->slot;
        sim_after(s, &c->event, 10 * MILLISECOND + sim_delay(s, 200 * MILLISECOND));
        mem_free(call);
        return;
    }
    bool ok = call->outcome == CALL_OK;
    client_record(s, c, call, ok ? s->now : LINEAR_NEVER);
    if (ok && call->kind == CALL_GET && !call->doubtful) {
        c->key_seen = call->key;
        c->seen = call->found;
    }
    sim_note(s, call->outcome);
    mem_free(call);
    client_end(s, c);
}

/* It waits no longer. If its last attempt was refused, it has surely not happened. */
static void client_timeout(struct sim *s, struct sim_event *e) {
    struct client *c = CONTAINER_OF(e, struct client, timeout);
    bool open = c->event.place == 0; /* a call is under way */
    if (open)
        client_record(s, c, NULL, LINEAR_NEVER);
    client_end(s, c);
}

static void ask_make(struct sim *s, struct client *c) {
    uint64_t r = prng_below(&c->prng, 100);
    struct call *ask = &c->ask;
    *ask = (struct call){.client = c, .key = key_pick(s, &c->prng), .value = ++s->values};
    ask->kind = r < 45 ? CALL_GET : r < 75 ? CALL_SET : r < 93 ? CALL_CAS : CALL_DELETE;
    ask->mode = r < 25 ? READ_DEFAULT : r < 40 ? READ_CONSISTENT : READ_STALE;
    ask->size = (size_t)sim_delay(s, (int64_t)s->plan.value_max);
    if (ask->kind == CALL_CAS && c->key_seen < MACHINE_KEYS &&
        s->histories[c->key_seen].count < HISTORY_OPS + 20)
        ask->key = c->key_seen; /* mostly about what it has read */
    ask->expect_index = c->key_seen == ask->key ? c->seen.modify : 0;
}

static void client_fire(struct sim *s, struct sim_event *e) {
    struct client *c = CONTAINER_OF(e, struct client, event);
    if (c->busy) { /* once more */
        client_try(s, c);
        return;
    }
    if (s->settling)
        return;
    ask_make(s, c);
    c->busy = true;
    c->operation++;
    c->tries = 0;
    c->began = s->now;
    sim_after(s, &c->timeout, SECOND + (int64_t)prng_below(&c->prng, 15 * SECOND));
    client_try(s, c);
}

static void client_next(struct sim *s, struct client *c) {
    if (!s->settling)
        sim_after(s, &c->event, sim_delay(s, s->plan.think));
}

/* ---- those who wait ---- */

static void waiter_ask(struct sim *s, struct sim_event *e);

static void waiter_rest(struct waiter *w) {
    struct sim *s = w->sim;
    w->node = NULL;
    w->event.fire = waiter_ask;
    w->event.node = NULL;
    sim_after(s, &w->event, sim_delay(s, SECOND));
}

static void waiter_limit(struct sim *s, struct sim_event *e) {
    (void)s;
    struct waiter *w = CONTAINER_OF(e, struct waiter, event);
    watch_unregister(&w->watcher);
    waiter_rest(w);
}

/* Answered, or registered again. */
static void waiter_look(struct waiter *w) {
    struct node *n = w->node;
    struct arena arena = ARENA_INIT;
    struct watch_set set;
    watch_set_init(&set, &arena);
    bool exact;
    uint64_t index = machine_watch(n->machine, w->key, w->prefix, &set, &exact);
    if (index > w->index) {
        w->index = index;
        sim_cancel(w->sim, &w->event);
        waiter_rest(w);
    } else {
        w->exact = exact;
        watch_register(n->registry, &w->watcher, &set);
    }
    arena_free(&arena);
}

static void waiter_wake(struct watcher *watcher, bool restored) {
    struct waiter *w = CONTAINER_OF(watcher, struct waiter, watcher);
    sim_note(w->sim, (uint64_t)w->number);
    if (restored) { /* answered at once, whatever the index */
        w->index = 0;
        sim_cancel(w->sim, &w->event);
        waiter_rest(w);
    } else {
        waiter_look(w);
    }
}

static void waiter_ask(struct sim *s, struct sim_event *e) {
    struct waiter *w = CONTAINER_OF(e, struct waiter, event);
    struct node *n = node_pick(s, &w->prng);
    if (!n->up || n->paused_until != 0) {
        waiter_rest(w);
        return;
    }
    if (n != w->last || n->incarnation != w->incarnation || prng_below(&w->prng, 4) == 0) {
        w->index = 0; /* another server, or another process: what it has seen says nothing here */
        w->last = n;
        w->incarnation = n->incarnation;
        w->key = key_pick(s, &w->prng);
        w->prefix = prng_below(&w->prng, 3) == 0;
    }
    w->node = n;
    w->event.fire = waiter_limit;
    sim_bind(&w->event, n);
    sim_after(s, &w->event, SECOND + (int64_t)prng_below(&w->prng, 60 * SECOND));
    waiter_look(w);
}

/* The I/O thread has heard of all that is applied: whoever still waits must have nothing to hear.
 */
void waiters_check(struct node *n) {
    struct sim *s = n->sim;
    for (unsigned i = 0; i < s->plan.watchers; i++) {
        struct waiter *w = &s->waiters[i];
        if (w->node != n || w->watcher.registry == NULL)
            continue;
        struct arena arena = ARENA_INIT;
        struct watch_set set;
        watch_set_init(&set, &arena);
        bool exact;
        uint64_t index = machine_watch(n->machine, w->key, w->prefix, &set, &exact);
        arena_free(&arena);
        if (exact ? index > w->index : w->exact)
            sim_fail(s, "%s: a query for key %u%s with index %llu still waits, index is %llu",
                     n->id, w->key, w->prefix ? " (prefix)" : "", (unsigned long long)w->index,
                     (unsigned long long)index);
    }
}

void waiters_node_down(struct node *n) {
    struct sim *s = n->sim;
    for (unsigned i = 0; i < s->plan.watchers; i++) {
        struct waiter *w = &s->waiters[i];
        if (w->node != n)
            continue;
        watch_unregister(&w->watcher);
        sim_cancel(s, &w->event);
        waiter_rest(w);
    }
}

/* ---- all of them ---- */

void clients_start(struct sim *s) {
    s->histories = mem_zalloc(MACHINE_KEYS, sizeof *s->histories);
    for (unsigned i = 0; i < s->plan.clients; i++) {
        struct client *c = &s->clients[i];
        c->number = (int)i;
        c->key_seen = MACHINE_KEYS;
        c->event.fire = client_fire;
        c->timeout.fire = client_timeout;
        prng_seed(&c->prng, prng_next(&s->prng));
        client_next(s, c);
    }
    for (unsigned i = 0; i < s->plan.watchers; i++) {
        struct waiter *w = &s->waiters[i];
        w->number = (int)i;
        w->sim = s;
        w->watcher.wake = waiter_wake;
        prng_seed(&w->prng, prng_next(&s->prng));
        waiter_rest(w);
    }
}

void clients_settle(struct sim *s) {
    s->settling = true;
    for (unsigned i = 0; i < s->plan.clients; i++) {
        if (!s->clients[i].busy)
            sim_cancel(s, &s->clients[i].event);
    }
}

bool clients_busy(const struct sim *s) {
    for (unsigned i = 0; i < s->plan.clients; i++) {
        if (s->clients[i].busy)
            return true;
    }
    return false;
}

void clients_free(struct sim *s) {
    for (uint32_t k = 0; k < MACHINE_KEYS; k++)
        mem_free(s->histories[k].ops);
    mem_free(s->histories);
}
