/* What the files of the profiler share. Only for agent/profile*.c.
 */
#ifndef PRAETOR_AGENT_PROFILE_PARTS_H
#define PRAETOR_AGENT_PROFILE_PARTS_H

#include <sys/types.h>

#include "agent/profile.h"
#include "base/arena.h"

/* ---- profile_stack.c: stacks of other threads, by SIGPROF ---- */

#define STACK_FRAMES_MAX 64
struct stack {
    pid_t thread;
    uint32_t len;
    void *frames[STACK_FRAMES_MAX]; /* innermost first; all but the first are return addresses */
};
/* Before the others; loads what the unwinder needs. False: signals cannot be had. */
bool stack_prepare(struct error *e);
/* A sample for every 10 ms of processor time, from now to stack_sampling_stop. */
bool stack_sampling_start(struct error *e);
void stack_sampling_stop(void);
/* Takes one that waits. False: none. *lost: samples that found no room since the last call. */
bool stack_sampling_take(struct stack *out, uint64_t *lost);
/* Where a thread of this process is. False: it did not answer within a moment. */
bool stack_of_thread(pid_t thread, struct stack *out);
#define STACK_SAMPLE_TIME (10 * MILLISECOND)

/* ---- profile_elf.c ---- */

struct elf_function {
    uint64_t start, size; /* as the file counts addresses */
    struct str name;      /* in the file's bytes */
};
/* The functions of a 64-bit ELF file of this machine's byte order, sorted, in the arena; none when
 * there are none or the file makes no sense. */
size_t elf_functions(struct str file, struct arena *arena, const struct elf_function **out);
/* Where a byte of the file lies in the file's addresses: false when no segment has it. */
bool elf_address(struct str file, uint64_t offset, uint64_t *address);

/* ---- profile_symbols.c: addresses to names ---- */

struct mapping {
    uintptr_t start, end;
    uint64_t offset; /* in the file */
    struct str file; /* empty, "[heap]", "[stack]"…: no file */
    bool executable;
    struct str bytes; /* of the file, while the symbols are in use; when first asked for */
    const struct elf_function *functions;
    size_t function_count;
    bool looked;
};
struct symbols {
    struct arena *arena;
    struct mapping *mappings;
    uint32_t mapping_count;
};
/* The mappings of this process, as they are now. symbols_free gives the files back. */
void symbols_load(struct symbols *s, struct arena *arena);
void symbols_free(struct symbols *s);
const struct mapping *symbols_mapping(struct symbols *s, uintptr_t address);
/* The function's name and the distance from its start; the absent string: not known. */
struct str symbols_function(struct symbols *s, uintptr_t address, uintptr_t *distance);

/* ---- profile_proto.c: the format of pprof ---- */

#define PROTO_VALUES_MAX 4
struct proto_kind {
    const char *type, *unit; /* "cpu", "nanoseconds" */
};
struct proto; /* being built; in the arena */
struct proto *proto_new(struct arena *arena, struct symbols *symbols,
                        const struct proto_kind *kinds, size_t kind_count);
/* A sample with as many values as there are kinds. label (may be absent) is shown as
 * "thread:NAME". */
void proto_add_stack(struct proto *p, const struct stack *stack, const int64_t *values,
                     struct str label);
/* The same with names in place of addresses, innermost first. */
void proto_add_names(struct proto *p, const struct str *names, size_t count, const int64_t *values);
void proto_comment(struct proto *p, struct str text);
/* The last kind is the one that is shown first, and that `period` (0: none) is of. Frees all but
 * the arena. */
void proto_finish(struct proto *p, int64_t started_wall, int64_t duration, int64_t period,
                  struct buf *out);

/* ---- the profiles; on the profiler's thread ---- */

bool profile_threads(struct profile *p);
bool profile_memory(struct profile *p);

/* Those that take their time: start, then step until it says how long to wait no more, then end. */
struct profile_run;
struct profile_run *cpu_run_start(struct profile *p);
struct profile_run *trace_run_start(struct profile *p);
void cpu_run_step(struct profile_run *run);
void trace_run_step(struct profile_run *run);
void cpu_run_end(struct profile_run *run, struct profile *p);
void trace_run_end(struct profile_run *run, struct profile *p);
#define CPU_STEP_TIME (200 * MILLISECOND)
#define TRACE_STEP_TIME (10 * MILLISECOND)

/* ---- /proc/self/task ---- */

struct thread_info {
    pid_t id;
    char name[16];
    char state;                      /* R, S, D… */
    uint64_t user_time, system_time; /* ns */
    uint64_t run_time, wait_time;    /* ns on a processor; ns ready but without one */
    uint64_t voluntary, involuntary; /* switches */
};
#define THREADS_MAX 1024
/* The threads of this process, in the arena. with_switches costs another file each. */
struct thread_info *threads_list(struct arena *arena, bool with_switches, size_t *count);

#endif
