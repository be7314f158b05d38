/* table.c: tables, tabbed text and the width of text. Tabbed texts were captured from the peer. */
#include "cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_tabbed(struct str text, size_t padding, const char *expected) {
    struct buf out = BUF_INIT;
    tabbed_format(text, padding, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, expected);
    buf_free(&out);
}

static void test_table(void **state) {
    struct arena arena = ARENA_INIT;
    struct table t = {&arena, NULL, 0, 0};
    struct buf out = BUF_INIT;
    TABLE_ADD(&t, STR("Node"), STR("ID"), STR("DC"));
    TABLE_ADD(&t, STR("\xc3\xa4\xc3\xb6"), STR(" trimmed "), STR(""));
    TABLE_ADD(&t, STR("longer name"), STR(""), STR("dc1 "));
    TABLE_ADD(&t, STR("short row"));
    table_format(&t, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, "Node         ID       DC\n"
                                  "\xc3\xa4\xc3\xb6           trimmed  \n"
                                  "longer name           dc1\n"
                                  "short row");
    buf_free(&out);
    arena_free(&arena);
}

static void test_many_rows(void **state) {
    struct arena arena = ARENA_INIT;
    struct table t = {&arena, NULL, 0, 0};
    struct buf out = BUF_INIT;
    for (int i = 0; i < 1000; i++)
        TABLE_ADD(&t, STR("a"), STR("b"));
    table_format(&t, &out);
    assert_int_equal(out.len, 1000 * 5 - 1);
    buf_free(&out);
    arena_free(&arena);
}

static void test_tabbed(void **state) {
    expect_tabbed(STR("Key\tk\nModifyIndex\t7\nValue\tx"), 6,
                  "Key              k\nModifyIndex      7\nValue            x");
    /* a value with tabs and newlines of its own: columns go on in adjoining lines only */
    expect_tabbed(STR("Session\t-\nValue\ta\tb\tc\nd\te\n\nf\tg"), 6,
                  "Session      -\nValue        a      b      c\nd            e\n\nf      g");
    /* no last cell: its tab does not count */
    expect_tabbed(STR("Session\t-\nValue\t"), 6, "Session      -\nValue");
    /* with a newline behind, it does */
    expect_tabbed(STR("consul\t\nweb\ta,b\n"), 6, "consul      \nweb         a,b\n");
    expect_tabbed(STR(""), 6, "");
    expect_tabbed(STR("no tabs\nat all"), 6, "no tabs\nat all");
    expect_tabbed(STR("\xc3\xa4\tx\nbb\ty"), 1, "\xc3\xa4  x\nbb y");
}

static void test_width(void **state) {
    assert_int_equal(text_width(STR("")), 0);
    assert_int_equal(text_width(STR("abc")), 3);
    assert_int_equal(text_width(STR("\xc3\xa4\xe2\x82\xac")), 2);
    assert_int_equal(text_width(STR("\xff\xc3")), 2); /* no UTF-8: one each */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_tabbed),
        cmocka_unit_test(test_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
