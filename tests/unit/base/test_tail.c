/* The last bytes of an output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tail.h"

static void test_output(void **state) {
    struct tail o = {.limit = 5};
    tail_add(&o, "abc", 3);
    assert_true(str_is(tail_bytes(&o), "abc"));
    tail_add(&o, "defg", 4);
    assert_true(str_is(tail_bytes(&o), "cdefg"));
    for (int i = 0; i < 5000; i++)
        tail_add(&o, "0123456789", 10);
    assert_true(str_is(tail_bytes(&o), "56789"));
    assert_int_equal(o.total, 50007);
    assert_true(o.bytes.cap < 16384);
    tail_free(&o);
    struct tail none = {.limit = 0};
    tail_add(&none, "abc", 3);
    assert_int_equal(tail_bytes(&none).len, 0);
    assert_int_equal(none.total, 3);
    tail_free(&none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
