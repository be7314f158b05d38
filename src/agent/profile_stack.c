/* Stacks of running threads. SIGPROF interrupts a thread, and its handler unwinds from there into
 * memory that was set aside before: it takes no lock and no memory. The unwinder is the compiler's
 * (backtrace), which finds its tables without a lock since glibc 2.35; what it loads, it loads in
 * stack_prepare. Once set, the handler stays: a signal may still be on its way when sampling ends,
 * and the default for SIGPROF is death.
 */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "agent/profile_parts.h"
#include "base/mem.h"
#include "base/time.h"

#define SAMPLES 1024 /* that wait for stack_sampling_take: some seconds of all cores */
#define ANSWER_TIME (100 * MILLISECOND)
#define HANDLER_FRAMES 8 /* more than the handler and the kernel's trampoline */

struct slot {
    atomic_bool full;
    struct stack stack;
};

static struct slot *_Atomic samples; /* NULL: not sampling */
static struct slot *samples_memory;  /* kept: a late handler may still write there */
static _Atomic uint32_t next_in;
static uint32_t next_out;
static _Atomic uint64_t samples_lost;

/* One thread at a time is asked where it is. */
static struct {
    _Atomic pid_t wanted; /* 0: nobody; it is cleared by the one who answers */
    struct stack stack;
    atomic_bool answered;
} question;

static void *interrupted_at(const ucontext_t *context) {
#if defined(__x86_64__)
    return (void *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)(uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return NULL;
#endif
}

/* Without the frames of the handler itself. */
static void unwind(struct stack *to, const ucontext_t *context) {
    void *frames[STACK_FRAMES_MAX + HANDLER_FRAMES];
    void *here = interrupted_at(context);
    int count = backtrace(frames, STACK_FRAMES_MAX + HANDLER_FRAMES);
    int first = 0;
    while (first < count && frames[first] != here)
        first++;
    to->len = 0;
    if (first == count) { /* the unwinder did not get past the trampoline */
        to->frames[to->len++] = here;
        return;
    }
    for (int i = first; i < count && to->len < STACK_FRAMES_MAX; i++)
        to->frames[to->len++] = frames[i];
}

static void take_sample(pid_t thread, const ucontext_t *context) {
    struct slot *slots = atomic_load(&samples);
    if (slots == NULL)
        return;
    struct slot *s = &slots[atomic_fetch_add(&next_in, 1u) % SAMPLES];
    if (atomic_load_explicit(&s->full, memory_order_acquire)) {
        atomic_fetch_add(&samples_lost, 1u);
        return;
    }
    s->stack.thread = thread;
    unwind(&s->stack, context);
    atomic_store_explicit(&s->full, true, memory_order_release);
}

static void on_signal(int number, siginfo_t *info, void *context) {
    int saved = errno;
    pid_t thread = (pid_t)syscall(SYS_gettid);
    (void)number;
    if (info->si_code == SI_TKILL) {
        pid_t me = thread;
        if (atomic_compare_exchange_strong(&question.wanted, &me, 0)) {
            question.stack.thread = thread;
            unwind(&question.stack, context);
            atomic_store_explicit(&question.answered, true, memory_order_release);
        }
    } else {
        take_sample(thread, context);
    }
    errno = saved;
}

bool stack_prepare(struct error *e) {
    static bool ready;
    void *frames[4];
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (ready)
        return true;
    backtrace(frames, 4); /* loads the unwinder */
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGPROF, &action, NULL) != 0)
        return error_set_errno(e, errno, "sigaction");
    ready = true;
    return true;
}

/* ---- samples of processor time ---- */

static bool set_timer(int64_t period, struct error *e) {
    struct timeval tv = {.tv_usec = period / MICROSECOND};
    struct itimerval timer = {tv, tv};
    return setitimer(ITIMER_PROF, &timer, NULL) == 0 || error_set_errno(e, errno, "setitimer");
}

bool stack_sampling_start(struct error *e) {
    if (samples_memory == NULL)
        samples_memory = mem_zalloc(SAMPLES, sizeof(struct slot));
    for (size_t i = 0; i < SAMPLES; i++)
        atomic_store(&samples_memory[i].full, false);
    atomic_store(&next_in, 0);
    atomic_store(&samples_lost, 0);
    next_out = 0;
    atomic_store(&samples, samples_memory);
    if (set_timer(STACK_SAMPLE_TIME, e))
        return true;
    atomic_store(&samples, NULL);
    return false;
}

void stack_sampling_stop(void) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    set_timer(0, &e);
    atomic_store(&samples, NULL);
    arena_free(&scratch);
}

bool stack_sampling_take(struct stack *out, uint64_t *lost) {
    *lost += atomic_exchange(&samples_lost, 0);
    for (size_t i = 0; i < SAMPLES; i++) { /* one that was lost leaves a gap */
        struct slot *s = &samples_memory[next_out++ % SAMPLES];
        if (!atomic_load_explicit(&s->full, memory_order_acquire))
            continue;
        *out = s->stack;
        atomic_store_explicit(&s->full, false, memory_order_release);
        return true;
    }
    return false;
}

/* ---- where a thread is ---- */

bool stack_of_thread(pid_t thread, struct stack *out) {
    int64_t until = time_now_monotonic() + ANSWER_TIME;
    if (thread == (pid_t)syscall(SYS_gettid)) {
        out->thread = thread;
        out->len = (uint32_t)backtrace(out->frames, STACK_FRAMES_MAX);
        return true;
    }
    atomic_store(&question.answered, false);
    atomic_store(&question.wanted, thread);
    if (syscall(SYS_tgkill, getpid(), thread, SIGPROF) != 0) {
        atomic_store(&question.wanted, 0);
        return false;
    }
    while (!atomic_load_explicit(&question.answered, memory_order_acquire)) {
        struct timespec pause = {0, 50000};
        pid_t still = thread;
        nanosleep(&pause, NULL);
        /* Whoever takes the question back has it: a thread that is just answering is waited for. */
        if (time_now_monotonic() > until &&
            atomic_compare_exchange_strong(&question.wanted, &still, 0))
            return false;
    }
    *out = question.stack;
    return true;
}
