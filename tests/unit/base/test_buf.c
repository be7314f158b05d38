/* buf.c: growth, formatted text around the edges of the room there is, big-endian numbers. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_text(const struct buf *b, const char *text) {
    assert_int_equal(b->len, strlen(text));
    assert_memory_equal(b->data, text, b->len);
}

static void test_pieces(void **state) {
    struct buf b = BUF_INIT;
    buf_add(&b, NULL, 0);
    buf_add_str(&b, STR_NONE);
    assert_null(b.data);
    assert_int_equal(buf_str(&b).len, 0);
    buf_add(&b, "ab", 2);
    buf_add_char(&b, '-');
    buf_add_text(&b, "cd");
    buf_add_str(&b, STR("ef"));
    buf_add_format(&b, "%d", 42);
    assert_text(&b, "ab-cdef42");
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_non_null(b.data);
    buf_free(&b);
    assert_null(b.data);
    assert_int_equal(b.cap, 0);
}

static void test_growth(void **state) {
    struct buf b = BUF_INIT;
    for (int i = 0; i < 100000; i++) {
        buf_add_char(&b, (char)(i % 251));
    }
    assert_int_equal(b.len, 100000);
    assert_true(b.cap < 300000);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(b.data[i], (char)(i % 251));
    }
    char *at = buf_reserve(&b, 1000000);
    assert_ptr_equal(at, b.data + 100000);
    assert_int_equal(b.len, 100000);
    memset(at, 0, 1000000);
    buf_free(&b);
    assert_non_null(buf_reserve(&b, 0));
    buf_free(&b);
}

static void test_format_at_every_length(void **state) {
    char text[300];
    for (size_t len = 0; len < sizeof text - 1; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        struct buf b = BUF_INIT;
        buf_add_text(&b, "<");
        buf_add_format(&b, "%s>", text);
        assert_int_equal(b.len, len + 2);
        assert_memory_equal(b.data + 1, text, len);
        assert_int_equal(b.data[len + 1], '>');
        buf_free(&b);
    }
}

static void test_decimals(void **state) {
    struct buf b = BUF_INIT;
    buf_add_u64(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    buf_add_char(&b, ' ');
    buf_add_i64(&b, INT64_MIN);
    buf_add_char(&b, ' ');
    buf_add_i64(&b, INT64_MAX);
    buf_add_char(&b, ' ');
    buf_add_i64(&b, -1);
    assert_text(&b, "0 18446744073709551615 -9223372036854775808 9223372036854775807 -1");
    buf_free(&b);
}

static void test_big_endian(void **state) {
    struct buf b = BUF_INIT;
    buf_add_be16(&b, 0x0102);
    buf_add_be32(&b, 0x03040506);
    buf_add_be64(&b, 0x0708090a0b0c0d0e);
    for (int i = 0; i < 14; i++) {
        assert_int_equal(b.data[i], i + 1);
    }
    assert_int_equal(be16_get(b.data + 1), 0x0203); /* unaligned */
    assert_int_equal(be32_get(b.data + 1), 0x02030405);
    assert_true(be64_get(b.data + 1) == 0x0203040506070809);
    be16_put(b.data, 0xfffe);
    be32_put(b.data + 3, 0xfffefdfc);
    be64_put(b.data + 5, UINT64_MAX - 1);
    assert_int_equal(be16_get(b.data), 0xfffe);
    assert_true(be64_get(b.data + 5) == UINT64_MAX - 1);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),     cmocka_unit_test(test_growth),
        cmocka_unit_test(test_decimals),   cmocka_unit_test(test_format_at_every_length),
        cmocka_unit_test(test_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
