/* The threads of this process: how they are (/proc/self/task) and where they are (stacks). What a
 * dump of goroutines is to the peer.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/profile_parts.h"
#include "base/mem.h"
#include "base/time.h"

/* ---- /proc/self/task ---- */

static bool open_of(pid_t thread, const char *name, FILE **file) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)thread, name);
    *file = fopen(path, "re");
    return *file != NULL;
}

static bool read_stat(struct thread_info *t) {
    FILE *file;
    char text[1024];
    if (!open_of(t->id, "stat", &file))
        return false; /* ended meanwhile */
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    /* "12 (name) S …": the name may hold anything. */
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    unsigned long user = 0, system = 0;
    if (open == NULL || close == NULL || close < open ||
        sscanf(close + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", /* fields 3 to 15 */
               &t->state, &user, &system) != 3)
        return false;
    size_t n = (size_t)(close - open - 1);
    n = n < sizeof(t->name) ? n : sizeof(t->name) - 1;
    memcpy(t->name, open + 1, n);
    uint64_t tick = (uint64_t)SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
    t->user_time = user * tick;
    t->system_time = system * tick;
    return true;
}

/* Kernels without the statistics leave the times at 0. */
static void read_schedule(struct thread_info *t) {
    FILE *file;
    unsigned long long run = 0, wait = 0;
    if (!open_of(t->id, "schedstat", &file))
        return;
    if (fscanf(file, "%llu %llu", &run, &wait) == 2) {
        t->run_time = run;
        t->wait_time = wait;
    }
    fclose(file);
}

static void read_switches(struct thread_info *t) {
    FILE *file;
    char line[256];
    unsigned long n;
    if (!open_of(t->id, "status", &file))
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
            t->voluntary = n;
        else if (sscanf(line, "nonvoluntary_ctxt_switches: %lu", &n) == 1)
            t->involuntary = n;
    }
    fclose(file);
}

static int compare(const void *a, const void *b) {
    const struct thread_info *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static struct thread_info *grown(struct thread_info *list, size_t len, size_t cap,
                                 struct arena *arena) {
    struct thread_info *more = ARENA_ARRAY(arena, struct thread_info, cap);
    if (len > 0)
        memcpy(more, list, len * sizeof(*list));
    return more;
}

struct thread_info *threads_list(struct arena *arena, bool with_switches, size_t *count) {
    size_t cap = 32;
    struct thread_info *list = grown(NULL, 0, cap, arena);
    DIR *tasks = opendir("/proc/self/task");
    *count = 0;
    for (struct dirent *entry;
         tasks != NULL && *count < THREADS_MAX && (entry = readdir(tasks)) != NULL;) {
        if (*count == cap)
            list = grown(list, *count, cap *= 2, arena);
        struct thread_info *t = &list[*count];
        *t = (struct thread_info){.id = (pid_t)atoi(entry->d_name)};
        if (t->id <= 0 || !read_stat(t))
            continue;
        read_schedule(t);
        if (with_switches)
            read_switches(t);
        ++*count;
    }
    if (tasks != NULL)
        closedir(tasks);
    qsort(list, *count, sizeof(*list), compare);
    return list;
}

/* ---- the profile ---- */

static const char *state_name(char state) {
    switch (state) {
    case 'R':
        return "running";
    case 'S':
        return "sleeping";
    case 'D':
        return "waiting for a disk";
    case 'T':
    case 't':
        return "stopped";
    default:
        return "ending";
    }
}

static void write_frames(struct symbols *symbols, const struct stack *stack, struct buf *out) {
    for (uint32_t i = 0; i < stack->len; i++) {
        uintptr_t address = (uintptr_t)stack->frames[i] - (i > 0), distance = 0;
        struct str name = symbols_function(symbols, address, &distance);
        const struct mapping *m = symbols_mapping(symbols, address);
        struct str file = m != NULL ? m->file : STR("");
        buf_add_format(out, "#\t%#lx\t", (unsigned long)address);
        if (name.len > 0)
            buf_add_format(out, STR_FMT "+%#lx", STR_ARG(name), (unsigned long)distance);
        else
            buf_add_format(out, "%#lx",
                           m != NULL ? (unsigned long)(address - m->start + m->offset)
                                     : (unsigned long)address);
        buf_add_format(out, "\t" STR_FMT "\n", STR_ARG(file));
    }
}

static void write_thread(struct symbols *symbols, const struct thread_info *t,
                         const struct stack *stack, struct buf *out) {
    buf_add_format(out,
                   "\nthread %d \"%s\" [%s]: user %.2f s, system %.2f s, waited for a processor "
                   "%.2f s, switches %llu voluntary, %llu involuntary\n",
                   (int)t->id, t->name, state_name(t->state), (double)t->user_time / 1e9,
                   (double)t->system_time / 1e9, (double)t->wait_time / 1e9,
                   (unsigned long long)t->voluntary, (unsigned long long)t->involuntary);
    if (stack != NULL)
        write_frames(symbols, stack, out);
    else
        buf_add_text(out, "#\tdid not answer\n");
}

bool profile_threads(struct profile *p) {
    static const struct proto_kind kinds[] = {{"threads", "count"}};
    static const int64_t one[] = {1};
    struct arena arena = ARENA_INIT;
    struct symbols symbols;
    size_t count;
    if (!stack_prepare(p->e))
        return false;
    struct thread_info *threads = threads_list(&arena, p->text, &count);
    struct stack *stacks = ARENA_ARRAY(&arena, struct stack, count);
    int64_t now = time_now_wall();
    for (size_t i = 0; i < count; i++)
        if (!stack_of_thread(threads[i].id, &stacks[i]))
            stacks[i].len = 0;
    symbols_load(&symbols, &arena);
    if (p->text) {
        buf_add_format(&p->out, "thread profile: total %zu\n", count);
        for (size_t i = 0; i < count; i++)
            write_thread(&symbols, &threads[i], stacks[i].len > 0 ? &stacks[i] : NULL, &p->out);
    } else {
        struct proto *proto = proto_new(&arena, &symbols, kinds, COUNT_OF(kinds));
        for (size_t i = 0; i < count; i++)
            proto_add_stack(proto, &stacks[i], one, str_from(threads[i].name));
        proto_finish(proto, now, 0, 0, &p->out);
    }
    symbols_free(&symbols);
    arena_free(&arena);
    return true;
}
