/* Where processor time goes: the samples of stack_sampling, counted while it runs and named at its
 * end.
 */
#include "agent/profile_parts.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"

#define STACKS_MAX 16384 /* different ones */

struct counted {
    struct stack stack;
    uint64_t count;
    struct counted *next;
};

struct profile_run {
    struct map stacks; /* of struct counted, by thread and frames */
    struct counted *first;
    uint64_t lost;
    int64_t started, started_wall;
};

struct profile_run *cpu_run_start(struct profile *p) {
    if (!stack_prepare(p->e) || !stack_sampling_start(p->e))
        return NULL;
    struct profile_run *run = MEM_NEW(struct profile_run);
    run->started = time_now_monotonic();
    run->started_wall = time_now_wall();
    return run;
}

static void count(struct profile_run *run, const struct stack *s) {
    struct buf key = BUF_INIT;
    buf_add(&key, &s->thread, sizeof(s->thread));
    buf_add(&key, s->frames, s->len * sizeof(s->frames[0]));
    struct counted *c = map_get(&run->stacks, buf_str(&key));
    if (c == NULL && run->stacks.count < STACKS_MAX) {
        c = MEM_NEW(struct counted);
        c->stack = *s;
        c->next = run->first;
        run->first = c;
        map_put(&run->stacks, buf_str(&key), c);
    }
    if (c != NULL)
        c->count++;
    else
        run->lost++;
    buf_free(&key);
}

void cpu_run_step(struct profile_run *run) {
    struct stack s;
    while (stack_sampling_take(&s, &run->lost))
        count(run, &s);
}

static struct str thread_name(const struct thread_info *threads, size_t len, pid_t id,
                              struct arena *arena) {
    for (size_t i = 0; i < len; i++)
        if (threads[i].id == id)
            return str_from(threads[i].name);
    return str_format(arena, "%d", (int)id); /* it ended */
}

void cpu_run_end(struct profile_run *run, struct profile *p) {
    static const struct proto_kind kinds[] = {{"samples", "count"}, {"cpu", "nanoseconds"}};
    struct arena arena = ARENA_INIT;
    struct symbols symbols;
    size_t thread_count;
    stack_sampling_stop();
    cpu_run_step(run);
    const struct thread_info *threads = threads_list(&arena, false, &thread_count);
    symbols_load(&symbols, &arena);
    struct proto *proto = proto_new(&arena, &symbols, kinds, COUNT_OF(kinds));
    while (run->first != NULL) {
        struct counted *c = run->first;
        int64_t values[] = {(int64_t)c->count, (int64_t)c->count * STACK_SAMPLE_TIME};
        run->first = c->next;
        proto_add_stack(proto, &c->stack, values,
                        thread_name(threads, thread_count, c->stack.thread, &arena));
        mem_free(c);
    }
    if (run->lost > 0)
        proto_comment(
            proto, str_format(&arena, "%llu samples found no room", (unsigned long long)run->lost));
    proto_finish(proto, run->started_wall, time_now_monotonic() - run->started, STACK_SAMPLE_TIME,
                 &p->out);
    symbols_free(&symbols);
    map_free(&run->stacks);
    mem_free(run);
    arena_free(&arena);
}
