/* The search: a list of calls and returns in the order of time. The first call whose operation fits
 * the state is taken out (with its return) and the search goes on from the start; at a return whose
 * operation was not taken it goes back. A configuration (which operations were taken, and the
 * state) that was tried before is not tried again.
 */
#include "sim/cluster/linear.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define WORDS (LINEAR_OPS_MAX / 64)

struct mark { /* a call or a return */
    struct mark *before, *after;
    int64_t at;
    size_t op;
    struct mark *ret; /* of a call; NULL: this is a return */
};

struct configuration {
    uint64_t taken[WORDS];
    uint64_t state;
};

struct seen {
    struct configuration *items;
    size_t cap, count;
};

static uint64_t configuration_hash(const struct configuration *c) {
    uint64_t h = c->state * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < WORDS; i++)
        h = (h ^ c->taken[i] ^ (h >> 31)) * UINT64_C(0xbf58476d1ce4e5b9);
    return h ^ (h >> 29);
}

/* An empty place has nothing taken: that configuration is never added. */
static bool is_empty(const struct configuration *c) {
    for (size_t i = 0; i < WORDS; i++) {
        if (c->taken[i] != 0)
            return false;
    }
    return true;
}

static void seen_grow(struct seen *s);

/* False: it was there. */
static bool seen_add(struct seen *s, const struct configuration *c) {
    if (s->count * 2 >= s->cap)
        seen_grow(s);
    size_t i = configuration_hash(c) & (s->cap - 1);
    for (; !is_empty(&s->items[i]); i = (i + 1) & (s->cap - 1)) {
        if (memcmp(&s->items[i], c, sizeof *c) == 0)
            return false;
    }
    s->items[i] = *c;
    s->count++;
    return true;
}

static void seen_grow(struct seen *s) {
    struct seen old = *s;
    s->cap = old.cap > 0 ? old.cap * 2 : 256;
    s->items = mem_zalloc(s->cap, sizeof *s->items);
    s->count = 0;
    for (size_t i = 0; i < old.cap; i++) {
        if (!is_empty(&old.items[i]))
            seen_add(s, &old.items[i]);
    }
    mem_free(old.items);
}

/* What the operation makes of the state; false: it cannot happen there. */
static bool happens(const struct linear_op *op, uint64_t *state) {
    switch (op->kind) {
    case LINEAR_READ:
        return op->value == *state;
    case LINEAR_WRITE:
        *state = op->value;
        return true;
    case LINEAR_CAS:
        break;
    }
    bool fits = op->expect == *state;
    if (op->result != LINEAR_UNKNOWN && fits != (op->result == LINEAR_YES))
        return false;
    if (fits)
        *state = op->value;
    return true;
}

static void lift(struct mark *call) {
    call->before->after = call->after;
    call->after->before = call->before;
    call->ret->before->after = call->ret->after;
    if (call->ret->after != NULL)
        call->ret->after->before = call->ret->before;
}

static void unlift(struct mark *call) {
    call->ret->before->after = call->ret;
    if (call->ret->after != NULL)
        call->ret->after->before = call->ret;
    call->before->after = call;
    call->after->before = call;
}

/* Calls before returns at the same moment: they overlap then, which allows more. */
static int by_time(const void *a, const void *b) {
    const struct mark *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    bool rx = x->ret == NULL, ry = y->ret == NULL;
    if (rx != ry)
        return rx ? 1 : -1;
    return x->op < y->op ? -1 : 1;
}

static struct mark *list_build(const struct linear_op *ops, size_t count, struct mark *head) {
    struct mark *marks = mem_zalloc(count * 2 + 1, sizeof *marks);
    static struct mark call_sign;
    for (size_t i = 0; i < count; i++) {
        marks[2 * i] = (struct mark){.at = ops[i].call, .op = i, .ret = &call_sign};
        marks[2 * i + 1] = (struct mark){.at = ops[i].ret, .op = i};
    }
    qsort(marks, count * 2, sizeof *marks, by_time);
    struct mark *calls[LINEAR_OPS_MAX];
    *head = (struct mark){0};
    struct mark *last = head;
    for (size_t i = 0; i < count * 2; i++) {
        struct mark *m = &marks[i];
        if (m->ret != NULL)
            calls[m->op] = m;
        else
            calls[m->op]->ret = m;
        m->before = last;
        last->after = m;
        last = m;
    }
    return marks;
}

struct search {
    const struct linear_op *ops;
    struct configuration now;
    struct {
        struct mark *call;
        uint64_t state;
    } stack[LINEAR_OPS_MAX];
    size_t depth;
    struct seen seen;
};

static bool take(struct search *s, struct mark *call) {
    struct configuration next = s->now;
    if (!happens(&s->ops[call->op], &next.state))
        return false;
    next.taken[call->op / 64] |= UINT64_C(1) << (call->op % 64);
    if (!seen_add(&s->seen, &next))
        return false;
    s->stack[s->depth].call = call;
    s->stack[s->depth++].state = s->now.state;
    s->now = next;
    lift(call);
    return true;
}

static struct mark *give_back(struct search *s) {
    struct mark *call = s->stack[--s->depth].call;
    s->now.state = s->stack[s->depth].state;
    s->now.taken[call->op / 64] &= ~(UINT64_C(1) << (call->op % 64));
    unlift(call);
    return call->after;
}

enum linear_verdict linear_check(const struct linear_op *ops, size_t count, uint64_t steps) {
    ASSERT(count <= LINEAR_OPS_MAX);
    struct mark head;
    struct mark *marks = list_build(ops, count, &head);
    struct search s = {.ops = ops};
    enum linear_verdict verdict = LINEAR_GOOD;
    struct mark *m = head.after;
    while (head.after != NULL) {
        if (steps-- == 0) {
            verdict = LINEAR_UNDECIDED;
            break;
        }
        /* What never returned need not have happened: when only such are left, all is well. */
        if (m->ret == NULL && m->at == LINEAR_NEVER)
            break;
        if (m->ret != NULL) {
            m = take(&s, m) ? head.after : m->after;
        } else if (s.depth == 0) {
            verdict = LINEAR_BAD;
            break;
        } else {
            m = give_back(&s);
        }
    }
    mem_free(marks);
    mem_free(s.seen.items);
    return verdict;
}
