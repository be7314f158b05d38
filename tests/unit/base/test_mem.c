/* mem.c: pieces that are never NULL, overflow that ends the process, assertions. */
#include "base/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static volatile size_t one = 1; /* keeps the compiler from working sizes out beforehand */

static void test_sizes_of_nothing(void **state) {
    void *p = mem_alloc(0);
    assert_non_null(p);
    mem_free(p);
    p = mem_zalloc(0, 8);
    assert_non_null(p);
    p = mem_resize(p, 0, 8);
    assert_non_null(p);
    mem_free(p);
    mem_free(NULL);
}

static void test_cleared_and_resized(void **state) {
    uint32_t *p = mem_zalloc(100, sizeof *p);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(p[i], 0);
        p[i] = (uint32_t)i;
    }
    p = mem_resize(p, 10000, sizeof *p);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(p[i], i);
    }
    mem_free(p);
    char *s = mem_strdup("praetor");
    assert_string_equal(s, "praetor");
    mem_free(s);
}

/* Runs fn in a child, which must abort with `text` on standard error. */
static void expect_abort(void (*fn)(void), const char *text) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        fn();
        _exit(0);
    }
    close(ends[1]);
    char said[4096];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof said - 1 && (n = read(ends[0], said + len, sizeof said - 1 - len)) > 0) {
        len += (size_t)n;
    }
    said[len] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_non_null(strstr(said, text));
}

static void fail_assertion(void) {
    ASSERT(one == 2);
}

static void test_assertion(void **state) {
    ASSERT(one == 1);
    expect_abort(fail_assertion, "assertion failed: one == 2");
}

static void resize_too_far(void) {
    mem_resize(NULL, SIZE_MAX / 2 * one, 3);
}
static void zalloc_too_far(void) {
    mem_zalloc(SIZE_MAX / 2 * one, 3);
}

static void test_overflow(void **state) {
    expect_abort(resize_too_far, "out of memory");
    expect_abort(zalloc_too_far, "out of memory");
}

struct pair {
    int a;
    int b;
};

static void test_macros(void **state) {
    struct pair pairs[3] = {{1, 2}};
    assert_int_equal(COUNT_OF(pairs), 3);
    assert_ptr_equal(CONTAINER_OF(&pairs[0].b, struct pair, b), &pairs[0]);
    struct pair *fresh = MEM_NEW(struct pair);
    assert_int_equal(fresh->a | fresh->b, 0);
    mem_free(fresh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_of_nothing), cmocka_unit_test(test_cleared_and_resized),
        cmocka_unit_test(test_assertion),        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
