/* Profiles: functions found in ELF files, stacks of other threads, what a profile holds when it is
 * decoded again, and that one which is cancelled ends.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/profile_parts.h"
#include "base/mem.h"
#include "codec/json.h"

static struct arena arena;

/* ---- a thread to look at ---- */

static atomic_bool spin_over;
static _Atomic pid_t spin_id;
static volatile unsigned long spun;

__attribute__((noinline)) void profile_test_spin(void) {
    while (!atomic_load(&spin_over))
        spun += (unsigned long)time_now_monotonic();
}

static void *spin_main(void *arg) {
    (void)arg;
    pthread_setname_np(pthread_self(), "spinner");
    atomic_store(&spin_id, (pid_t)syscall(SYS_gettid));
    profile_test_spin();
    return NULL;
}

static pthread_t spin_start(void) {
    pthread_t thread;
    atomic_store(&spin_over, false);
    atomic_store(&spin_id, 0);
    assert_int_equal(pthread_create(&thread, NULL, spin_main, NULL), 0);
    while (atomic_load(&spin_id) == 0)
        usleep(1000);
    return thread;
}

static void spin_end(pthread_t thread) {
    atomic_store(&spin_over, true);
    pthread_join(thread, NULL);
}

/* ---- a profile decoded ---- */

static uint64_t varint(struct str *in) {
    uint64_t n = 0;
    for (unsigned shift = 0;; shift += 7) {
        assert_true(in->len > 0);
        uint8_t byte = (uint8_t)in->data[0];
        *in = str_sub(*in, 1, in->len);
        n |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return n;
    }
}

/* The next field; its bytes in *bytes, or its number in *n. */
static unsigned field(struct str *in, struct str *bytes, uint64_t *n) {
    uint64_t tag = varint(in);
    *n = varint(in);
    if ((tag & 7) == 2) {
        assert_true(*n <= in->len);
        *bytes = str_sub(*in, 0, *n);
        *in = str_sub(*in, *n, in->len);
    } else {
        assert_int_equal(tag & 7, 0);
    }
    return (unsigned)(tag >> 3);
}

static size_t count_fields(struct str in, unsigned wanted) {
    struct str bytes;
    uint64_t n;
    size_t count = 0;
    while (in.len > 0)
        count += field(&in, &bytes, &n) == wanted;
    return count;
}

static bool has_text(struct str in, const char *text) {
    struct str bytes;
    uint64_t n;
    bool found = false;
    while (in.len > 0)
        found |= field(&in, &bytes, &n) == 6 && str_is(bytes, text);
    return found;
}

/* ---- tests ---- */

static void test_own_symbols(void **state) {
    (void)state;
    struct symbols s;
    uintptr_t distance = 0;
    symbols_load(&s, &arena);
    assert_true(s.mapping_count > 5);
    struct str name = symbols_function(&s, (uintptr_t)profile_test_spin + 1, &distance);
    assert_true(str_is(name, "profile_test_spin"));
    assert_int_equal(distance, 1);
    name = symbols_function(&s, (uintptr_t)getpid, &distance);
    assert_true(name.len > 0); /* from the C library's .dynsym, whatever alias it is */
    assert_null(symbols_function(&s, 1, &distance).data);
    assert_true(symbols_mapping(&s, (uintptr_t)profile_test_spin)->executable);
    symbols_free(&s);
}

static void test_broken_elf(void **state) {
    (void)state;
    const struct elf_function *functions;
    struct buf file = BUF_INIT;
    uint64_t address;
    FILE *self = fopen("/proc/self/exe", "r");
    assert_non_null(self);
    for (size_t got = 1; got > 0;) {
        got = fread(buf_reserve(&file, 65536), 1, 65536, self);
        file.len += got;
    }
    fclose(self);
    assert_true(elf_functions(buf_str(&file), &arena, &functions) > 100);
    static const size_t cuts[] = {0, 3, 16, 63, 64, 200, 4096, 100000};
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        struct str cut = str_sub(buf_str(&file), 0, cuts[i]);
        assert_int_equal(elf_functions(cut, &arena, &functions), 0);
        elf_address(cut, 0, &address);
    }
    buf_free(&file);
}

/* On a busy machine the thread may not get its turn in the time that an answer is waited for. */
static bool answers(pid_t thread, struct stack *stack) {
    bool answered = false;
    for (int i = 0; i < 100 && !answered; i++)
        answered = stack_of_thread(thread, stack);
    return answered;
}

static void test_where_a_thread_is(void **state) {
    (void)state;
    struct error e = ERROR_IN(&arena);
    struct stack stack;
    struct symbols s;
    pthread_t thread = spin_start();
    assert_true(stack_prepare(&e));
    for (int i = 0; i < 100; i++)
        assert_true(answers(atomic_load(&spin_id), &stack));
    assert_int_equal(stack.thread, atomic_load(&spin_id));
    assert_true(stack.len >= 1);
#ifndef __SANITIZE_THREAD__ /* which hands signals on later, from elsewhere */
    bool found = false;
    symbols_load(&s, &arena);
    for (uint32_t i = 0; i < stack.len; i++) {
        uintptr_t distance;
        found |= str_is(symbols_function(&s, (uintptr_t)stack.frames[i] - 1, &distance),
                        "profile_test_spin");
    }
    symbols_free(&s);
    assert_true(found);
#else
    (void)s;
#endif
    assert_false(stack_of_thread(1, &stack)); /* no thread of ours */
    spin_end(thread);
    assert_false(stack_of_thread(atomic_load(&spin_id), &stack));
}

static void test_blocked_thread(void **state) {
    (void)state;
    struct error e = ERROR_IN(&arena);
    struct stack stack;
    sigset_t all, before;
    sigfillset(&all);
    assert_true(stack_prepare(&e));
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread = spin_start();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_false(stack_of_thread(atomic_load(&spin_id), &stack)); /* does not answer */
    spin_end(thread);
}

/* ---- through the profiler's thread ---- */

struct taken {
    struct profile profile;
    struct error e;
    struct loop *home;
    struct message message;
    bool cancel;
};

static void taken_done(struct profile *p) {
    struct taken *t = p->owner;
    loop_stop(t->home);
}

static void taken_start(struct message *m) {
    struct taken *t = CONTAINER_OF(m, struct taken, message);
    assert_true(profile_start(&t->profile));
    if (t->cancel)
        profile_cancel(&t->profile);
}

static void take(struct taken *t, enum profile_kind kind, bool text, int64_t duration,
                 bool cancel) {
    struct loop home;
    struct error e = ERROR_IN(&arena);
    *t = (struct taken){.cancel = cancel, .home = &home, .e = ERROR_IN(&arena)};
    t->profile = (struct profile){.kind = kind,
                                  .text = text,
                                  .duration = duration,
                                  .e = &t->e,
                                  .done = taken_done,
                                  .owner = t};
    assert_true(loop_init(&home, "test", 4, &e));
    t->message.run = taken_start;
    assert_true(loop_post(&home, &t->message));
    loop_run_here(&home);
    loop_free(&home);
    assert_true(t->profile.ok || cancel);
}

static void test_cpu(void **state) {
    (void)state;
    struct taken t;
    pthread_t thread = spin_start();
    take(&t, PROFILE_CPU, false, 500 * MILLISECOND, false);
    spin_end(thread);
    struct str out = buf_str(&t.profile.out);
    assert_int_equal(count_fields(out, 1), 2); /* kinds */
    assert_true(count_fields(out, 2) > 0);     /* samples */
    assert_true(has_text(out, "cpu") && has_text(out, "nanoseconds") && has_text(out, "spinner"));
#ifndef __SANITIZE_THREAD__
    assert_true(has_text(out, "profile_test_spin"));
#endif
    buf_free(&t.profile.out);
}

static void test_threads(void **state) {
    (void)state;
    struct taken t;
    pthread_t thread = spin_start();
    take(&t, PROFILE_THREADS, false, 0, false);
    struct str out = buf_str(&t.profile.out);
    assert_true(has_text(out, "threads") && has_text(out, "spinner") && has_text(out, "profile"));
    buf_free(&t.profile.out);
    take(&t, PROFILE_THREADS, true, 0, false);
    out = buf_str(&t.profile.out);
    assert_true(str_find(out, STR("\"spinner\" [running]"), 0) > 0);
    buf_free(&t.profile.out);
    spin_end(thread);
}

static void test_memory(void **state) {
    (void)state;
    struct taken t;
    take(&t, PROFILE_MEMORY, false, 0, false);
    struct str out = buf_str(&t.profile.out);
    assert_int_equal(count_fields(out, 1), 4);
    assert_true(has_text(out, "resident") && has_text(out, "program and libraries"));
    buf_free(&t.profile.out);
    take(&t, PROFILE_MEMORY, true, 0, false);
    out = buf_str(&t.profile.out);
    assert_true(str_has_prefix(out, STR("memory profile: malloc has ")));
    assert_true(str_find(out, STR("Pss:"), 0) > 0); /* of the kernel's summary */
    buf_free(&t.profile.out);
}

static void test_trace(void **state) {
    (void)state;
    struct taken t;
    struct value v;
    struct error e = ERROR_IN(&arena);
    pthread_t thread = spin_start();
    take(&t, PROFILE_TRACE, false, 100 * MILLISECOND, false);
    spin_end(thread);
    struct str out = buf_str(&t.profile.out);
    assert_true(json_parse_whole(out, &v, &arena, &e));
    assert_true(str_find(out, STR("\"name\":\"running\""), 0) > 0);
    assert_true(str_find(out, STR("\"name\":\"spinner\""), 0) > 0);
    buf_free(&t.profile.out);
}

static void test_cancel(void **state) {
    (void)state;
    static const enum profile_kind kinds[] = {PROFILE_CPU, PROFILE_TRACE, PROFILE_THREADS};
    int64_t started = time_now_monotonic();
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct taken t;
        take(&t, kinds[i], false, HOUR, true);
        assert_true(t.profile.ok || str_is(t.e.text, "cancelled"));
        buf_free(&t.profile.out);
    }
    assert_true(time_now_monotonic() - started < 60 * SECOND);
}

static int end(void **state) {
    (void)state;
    profile_stop();
    profile_stop(); /* again: nothing */
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_symbols),
        cmocka_unit_test(test_broken_elf),
        cmocka_unit_test(test_where_a_thread_is),
        cmocka_unit_test(test_blocked_thread),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
