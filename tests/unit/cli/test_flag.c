/* flag.c: reading flags, their errors, and listing them. Texts are the peer's (cli.md 1.3). */
#include "cli/flag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/time.h"

#define assert_str(s, expected) assert_string_equal(str_terminated(&arena, (s)), (expected))

struct options {
    bool wan;
    struct str name;
    int64_t n;
    uint64_t flags;
    int64_t wait;
    struct flag_list tags, meta;
    struct flag_set_bool clean;
    struct flag_set_string zone;
    struct flag_set_uint logs;
    struct flag_set_int port;
    struct flag_set_duration threshold;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"wan", FLAG_BOOL, AT(wan), NULL, "Wide."},
    {"name", FLAG_STRING, AT(name), NULL, "A name."},
    {"n", FLAG_INT, AT(n), NULL, "How many."},
    {"flags", FLAG_UINT, AT(flags), NULL, "Flags."},
    {"wait", FLAG_DURATION, AT(wait), NULL, "How long."},
    {"tag", FLAG_LIST, AT(tags), NULL, "A tag."},
    {"meta", FLAG_MAP, AT(meta), "key=value", "Metadata."},
    {"clean", FLAG_SET_BOOL, AT(clean), "true|false", "Clean."},
    {"zone", FLAG_SET_STRING, AT(zone), NULL, "Zone."},
    {"logs", FLAG_SET_UINT, AT(logs), NULL, "Logs."},
    {"port", FLAG_SET_INT, AT(port), NULL, "Port."},
    {"threshold", FLAG_SET_DURATION, AT(threshold), "200ms", "Threshold."},
};

static struct arena arena;
static struct options options;
static struct error error;

/* How many arguments were flags, or -1. args ends with NULL. */
static int parse(char *const *args) {
    struct flag_group group = {flags, sizeof flags / sizeof flags[0], &options};
    size_t count = 0, used = 0;
    while (args[count] != NULL)
        count++;
    memset(&options, 0, sizeof options);
    error = ERROR_IN(&arena);
    return flags_parse(&group, 1, args, count, &used, &arena, &error) ? (int)used : -1;
}
#define PARSE(...) parse((char *const[]){__VA_ARGS__, NULL})
#define FAILS(expected, ...)                                                                       \
    do {                                                                                           \
        assert_int_equal(PARSE(__VA_ARGS__), -1);                                                  \
        assert_str(error.text, expected);                                                          \
    } while (0)

static void test_forms(void **state) {
    assert_int_equal(PARSE("-name", "a", "--name=b", "-wan", "x", "-n=1"), 4);
    assert_str(options.name, "b"); /* the last one counts */
    assert_true(options.wan);
    assert_int_equal(options.n, 0); /* behind a positional argument nothing is a flag */
    assert_int_equal(PARSE("-wan=false", "-", "-wan"), 1);
    assert_false(options.wan);
    assert_int_equal(PARSE("-wan", "--", "-name"), 2); /* "--" is dropped */
    assert_int_equal(PARSE("-name", "-wan"), 2);       /* a value may look like a flag */
    assert_str(options.name, "-wan");
    assert_int_equal(PARSE("-name=a=b"), 1);
    assert_str(options.name, "a=b");
    assert_int_equal(PARSE("-name="), 1);
    assert_int_equal(options.name.len, 0);
    assert_int_equal(PARSE("x"), 0);
    assert_int_equal(PARSE("-name", "v", ""), 2);
}

static void test_syntax_errors(void **state) {
    FAILS("flag provided but not defined: -foo", "-foo");
    FAILS("flag provided but not defined: -foo", "--foo=1");
    FAILS("flag needs an argument: -name", "-wan", "-name");
    FAILS("bad flag syntax: ---x", "---x");
    FAILS("bad flag syntax: -=x", "-=x");
    FAILS("bad flag syntax: --=x", "--=x");
}

static void test_numbers(void **state) {
    static const struct {
        char *text;
        uint64_t value;
    } good[] = {{"0", 0},        {"42", 42},
                {"0x1F", 31},    {"0X_1f", 31},
                {"017", 15},     {"0o17", 15},
                {"0_7", 7},      {"0b11", 3},
                {"1_000", 1000}, {"18446744073709551615", UINT64_MAX}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(PARSE("-flags", good[i].text), 2);
        assert_true(options.flags == good[i].value);
        assert_int_equal(PARSE("-logs", good[i].text), 2);
        assert_true(options.logs.set && options.logs.value == good[i].value);
    }
    static char *const bad[] = {"", "x", "-1", "+1", "1__0", "_1", "1_", "0x", "08", "0xg", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(PARSE("-flags", bad[i]), -1);
    FAILS("invalid value \"x\" for flag -n: parse error", "-n=x");
    FAILS("invalid value \"9223372036854775808\" for flag -n: value out of range", "-n",
          "9223372036854775808");
    assert_int_equal(PARSE("-n", "-9223372036854775808"), 2);
    assert_true(options.n == INT64_MIN);
    assert_int_equal(PARSE("-n", "-0x10"), 2);
    assert_int_equal(options.n, -16);
    FAILS("invalid value \"-1\" for flag -logs: strconv.ParseUint: parsing \"-1\": invalid syntax",
          "-logs=-1");
    FAILS("invalid value \"99999999999999999999999x\" for flag -logs: strconv.ParseUint: parsing "
          "\"99999999999999999999999x\": value out of range",
          "-logs", "99999999999999999999999x");
    FAILS("invalid value \"0x1\" for flag -port: strconv.Atoi: parsing \"0x1\": invalid syntax",
          "-port", "0x1");
    assert_int_equal(PARSE("-port", "-1"), 2);
    assert_true(options.port.set && options.port.value == -1);
}

static void test_booleans(void **state) {
    static char *const yes[] = {"-wan=1",    "-wan=t",    "-wan=T",
                                "-wan=TRUE", "-wan=true", "-wan=True"};
    static char *const no[] = {"-wan=0",     "-wan=f",     "-wan=F",
                               "-wan=FALSE", "-wan=false", "-wan=False"};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(PARSE(yes[i]), 1);
        assert_true(options.wan);
        assert_int_equal(PARSE("-wan", no[i]), 2);
        assert_false(options.wan);
    }
    FAILS("invalid boolean value \"x\" for -wan: parse error", "-wan=x");
    FAILS("invalid boolean value \"\" for -clean: strconv.ParseBool: parsing \"\": invalid syntax",
          "-clean=");
    assert_int_equal(PARSE("-clean", "false"), 1); /* never as an argument of its own */
    assert_true(options.clean.set && options.clean.value);
}

static void test_others(void **state) {
    assert_int_equal(PARSE("-wait", "1m30s", "-threshold=200ms"), 3);
    assert_true(options.wait == 90 * SECOND);
    assert_true(options.threshold.set && options.threshold.value == 200 * MILLISECOND);
    FAILS("invalid value \"5\" for flag -wait: parse error", "-wait=5");
    FAILS("invalid value \"5\" for flag -threshold: time: missing unit in duration \"5\"",
          "-threshold=5");
    assert_int_equal(PARSE("-tag", "a", "-tag=b", "-tag="), 4);
    assert_int_equal(options.tags.len, 3);
    assert_str(options.tags.items[1], "b");
    assert_int_equal(PARSE("-meta", "a=1", "-meta", "b=x=y", "-meta", "a=2",
                           "-meta="
                           "=q"),
                     7);
    assert_int_equal(options.meta.len, 6); /* a key that comes again replaces */
    assert_str(options.meta.items[0], "a");
    assert_str(options.meta.items[1], "2");
    assert_str(options.meta.items[3], "x=y");
    assert_str(options.meta.items[5], "q");
    FAILS("invalid value \"foo\" for flag -meta: Missing \"=\" value in argument: foo",
          "-meta=foo");
    assert_int_equal(PARSE("-zone="), 1);
    assert_true(options.zone.set && options.zone.value.len == 0);
    assert_int_equal(PARSE("x"), 0);
    assert_false(options.zone.set);
}

static void test_many_values(void **state) {
    char *args[402];
    for (int i = 0; i < 400; i += 2) {
        args[i] = "-tag";
        args[i + 1] = "t";
    }
    args[400] = NULL;
    assert_int_equal(parse(args), 400);
    assert_int_equal(options.tags.len, 200);
    assert_str(options.tags.items[199], "t");
}

static void test_listing(void **state) {
    struct options defaults = {
        .wan = true, .name = STR("a\"b"), .n = 3, .wait = 2 * MINUTE, .flags = 0};
    struct flag_group group = {flags, 5, &defaults};
    struct buf out = BUF_INIT;
    flags_list(&group, 1, &out);
    assert_str(buf_str(&out), "Usage:\n"
                              "  -flags uint\n    \tFlags.\n"
                              "  -n int\n    \tHow many. (default 3)\n"
                              "  -name string\n    \tA name. (default \"a\\\"b\")\n"
                              "  -wait duration\n    \tHow long. (default 2m0s)\n"
                              "  -wan\n    \tWide. (default true)\n");
    buf_free(&out);
}

static void test_description(void **state) {
    static const struct flag one[] = {
        {"a-flag", FLAG_LIST, 0, NULL,
         "Words that go on until the line would be longer than seventy-two columns, and then "
         "more."},
        {"b", FLAG_BOOL, 0, NULL, "Short."},
    };
    const struct flag *sorted[] = {&one[0], &one[1]};
    struct buf out = BUF_INIT;
    flags_describe(sorted, 2, &out);
    assert_str(buf_str(&out),
               "  -a-flag=<value>\n"
               "     Words that go on until the line would be longer than seventy-two\n"
               "     columns, and then more.\n\n"
               "  -b\n     Short.\n\n");
    buf_free(&out);
}

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_syntax_errors),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_others),  cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_listing), cmocka_unit_test(test_description),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
