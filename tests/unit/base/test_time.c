/* time.c: duration texts at every boundary, dates against the C library, the peer's own error texts
 * (taken from running it: `consul validate` for durations, PUT /v1/acl/token for instants). */
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"

static void test_clocks(void **state) {
    int64_t a = time_now_monotonic(), b = time_now_monotonic();
    assert_true(a > 0 && b >= a);
    int64_t wall = time_now_wall() / SECOND;
    assert_true(llabs((long long)wall - (long long)time(NULL)) <= 1);
}

static const struct {
    int64_t ns;
    const char *text;
} durations[] = {
    {0, "0s"},
    {1, "1ns"},
    {999, "999ns"},
    {1000, "1\u00b5s"},
    {1001, "1.001\u00b5s"},
    {1500, "1.5\u00b5s"},
    {999999, "999.999\u00b5s"},
    {1000000, "1ms"},
    {91232717, "91.232717ms"},
    {200 * MILLISECOND, "200ms"},
    {999999999, "999.999999ms"},
    {SECOND, "1s"},
    {SECOND + 1, "1.000000001s"},
    {1500 * MILLISECOND, "1.5s"},
    {59 * SECOND + 999999999, "59.999999999s"},
    {MINUTE, "1m0s"},
    {65 * SECOND, "1m5s"},
    {HOUR - 1, "59m59.999999999s"},
    {HOUR, "1h0m0s"},
    {90 * MINUTE, "1h30m0s"},
    {HOUR + 50 * MILLISECOND, "1h0m0.05s"},
    {87600 * HOUR, "87600h0m0s"},
    {-1, "-1ns"},
    {-90 * SECOND, "-1m30s"},
    {INT64_MAX, "2562047h47m16.854775807s"},
    {INT64_MIN, "-2562047h47m16.854775808s"},
};

static void test_duration_format(void **state) {
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < COUNT_OF(durations); i++) {
        struct str text = duration_format(&arena, durations[i].ns);
        assert_string_equal(str_terminated(&arena, text), durations[i].text);
        struct error err = ERROR_IN(&arena);
        int64_t back;
        /* The peer's own parser does not take the smallest number back. */
        bool parsed = duration_parse(text, &back, &err);
        assert_true(durations[i].ns == INT64_MIN ? !parsed : parsed && back == durations[i].ns);
    }
    arena_free(&arena);
}

static const struct {
    const char *text;
    int64_t ns;
} parsed_durations[] = {
    {"0", 0},
    {"+0", 0},
    {"-0", 0},
    {"0s", 0},
    {"5s", 5 * SECOND},
    {"+5s", 5 * SECOND},
    {"-5s", -5 * SECOND},
    {"1.s", SECOND},
    {".5s", SECOND / 2},
    {"1h1m1s1ms1us1ns", HOUR + MINUTE + SECOND + MILLISECOND + MICROSECOND + 1},
    {"1s1h", HOUR + SECOND},
    {"1s1s", 2 * SECOND},
    {"2\u00b5s", 2000},
    {"2\u03bcs", 2000},
    {"1.5h", 90 * MINUTE},
    {"0.5ns", 0},
    {"0.100000000000000000000h", 6 * MINUTE},
    {"1.00000000000000000000000001s", SECOND},
    {"0.9223372036854775808s", 922337203},
    {"9223372036854775807ns", INT64_MAX},
    {"-9223372036854775807ns", -INT64_MAX},
    {"9223372036.854775807s", INT64_MAX},
    {"2562047h47m16.854775807s", INT64_MAX},
};

static const struct {
    const char *text;
    const char *error;
} bad_durations[] = {
    {"", "time: invalid duration \"\""},
    {"-", "time: invalid duration \"-\""},
    {"--5s", "time: invalid duration \"--5s\""},
    {"abc", "time: invalid duration \"abc\""},
    {".s", "time: invalid duration \".s\""},
    {" 5s", "time: invalid duration \" 5s\""},
    {"a\"b", "time: invalid duration \"a\"b\""},
    {"10", "time: missing unit in duration \"10\""},
    {"00", "time: missing unit in duration \"00\""},
    {"1.5.s", "time: missing unit in duration \"1.5.s\""},
    {"1s5", "time: missing unit in duration \"1s5\""},
    {"1d", "time: unknown unit \"d\" in duration \"1d\""},
    {"1S", "time: unknown unit \"S\" in duration \"1S\""},
    {"1h-5m", "time: unknown unit \"h-\" in duration \"1h-5m\""},
    {"5m 3s", "time: unknown unit \"m \" in duration \"5m 3s\""},
    {"1e3s", "time: unknown unit \"e\" in duration \"1e3s\""},
    {"5\u00b5", "time: unknown unit \"\u00b5\" in duration \"5\u00b5\""},
    {"9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""},
    {"-9223372036854775808ns", "time: invalid duration \"-9223372036854775808ns\""},
    {"2562048h", "time: invalid duration \"2562048h\""},
    {"2562047h48m", "time: invalid duration \"2562047h48m\""},
    {"9223372036.9s", "time: invalid duration \"9223372036.9s\""},
};

static void test_duration_parse(void **state) {
    struct arena arena = ARENA_INIT;
    struct error err = ERROR_IN(&arena);
    int64_t ns;
    for (size_t i = 0; i < COUNT_OF(parsed_durations); i++) {
        if (!duration_parse(str_from(parsed_durations[i].text), &ns, &err) ||
            ns != parsed_durations[i].ns) {
            fail_msg("%s", parsed_durations[i].text);
        }
        assert_false(error_is_set(&err));
    }
    ns = 77;
    for (size_t i = 0; i < COUNT_OF(bad_durations); i++) {
        assert_false(duration_parse(str_from(bad_durations[i].text), &ns, &err));
        assert_string_equal(str_terminated(&arena, err.text), bad_durations[i].error);
        assert_int_equal(ns, 77);
    }
    assert_false(duration_parse(STR_NONE, &ns, &err));
    arena_free(&arena);
}

static void test_unix_times(void **state) {
    static const int64_t samples[] = {0, 1, -1, SECOND, -SECOND, -SECOND - 1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        struct timestamp t = timestamp_from_unix_ns(samples[i]);
        assert_true(t.nanoseconds >= 0 && t.nanoseconds < SECOND);
        assert_true(t.present && t.offset == -1);
        assert_true(timestamp_to_unix_ns(t) == samples[i]);
    }
    struct timestamp t = {.seconds = 0, .present = true};
    assert_true(timestamp_to_unix_ns(t) == INT64_MIN);
    t.seconds = INT64_MIN;
    assert_true(timestamp_to_unix_ns(t) == INT64_MIN);
    t.seconds = INT64_MAX;
    assert_true(timestamp_to_unix_ns(t) == INT64_MAX);
    /* The example of rpc.md 3.4. */
    t = (struct timestamp){.seconds = 0xee295faac, .nanoseconds = 0x2f6c573e, .offset = -1};
    assert_true(timestamp_to_unix_ns(t) ==
                (0xee295faac - TIMESTAMP_UNIX_EPOCH) * SECOND + 0x2f6c573e);
}

static const char *format_timestamp(struct arena *arena, int64_t seconds, int32_t ns,
                                    int16_t offset) {
    struct timestamp t = {seconds, ns, offset, true};
    return str_terminated(arena, timestamp_format(arena, t));
}

static void test_timestamp_format(void **state) {
    struct arena arena = ARENA_INIT;
    const int64_t epoch = TIMESTAMP_UNIX_EPOCH;
    assert_string_equal(format_timestamp(&arena, 0, 0, -1), "0001-01-01T00:00:00Z");
    assert_string_equal(format_timestamp(&arena, epoch, 0, 0), "1970-01-01T00:00:00Z");
    assert_string_equal(format_timestamp(&arena, epoch + 1795424785, 632339631, -1),
                        "2026-11-23T09:06:25.632339631Z");
    assert_string_equal(format_timestamp(&arena, epoch, 120000000, -1), "1970-01-01T00:00:00.12Z");
    assert_string_equal(format_timestamp(&arena, epoch, 1, -1), "1970-01-01T00:00:00.000000001Z");
    assert_string_equal(format_timestamp(&arena, epoch, 0, 330), "1970-01-01T05:30:00+05:30");
    assert_string_equal(format_timestamp(&arena, epoch, 0, -90), "1969-12-31T22:30:00-01:30");
    assert_string_equal(format_timestamp(&arena, -1, 0, -1), "0000-12-31T23:59:59Z");
    assert_string_equal(format_timestamp(&arena, -366 * 86400LL - 1, 0, -1),
                        "-0001-12-31T23:59:59Z");
    /* Nonsense from the wire must not do harm. */
    format_timestamp(&arena, INT64_MAX, 999999999, INT16_MAX);
    format_timestamp(&arena, INT64_MIN, 0, INT16_MIN);
    arena_free(&arena);
}

/* Every day of 800 years, and random seconds of 9999, against gmtime. */
static void test_dates_against_libc(void **state) {
    struct arena arena = ARENA_INIT;
    struct prng prng;
    prng_seed(&prng, 1);
    for (int64_t i = 0; i < 366 * 800 + 100000; i++) {
        int64_t seconds =
            i < 366 * 800 ? (i - 366 * 400) * 86400 : (int64_t)prng_below(&prng, 253402300800u);
        time_t when = (time_t)seconds;
        struct tm tm;
        char expected[64];
        assert_non_null(gmtime_r(&when, &tm));
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        struct timestamp t = {seconds + TIMESTAMP_UNIX_EPOCH, 0, -1, true}, back;
        struct error err = ERROR_IN(&arena);
        struct str text = timestamp_format(&arena, t);
        if (!str_is(text, expected) || !timestamp_parse(text, &back, &err) ||
            back.seconds != t.seconds) {
            fail_msg("%s", expected);
        }
        arena_reset(&arena, SIZE_MAX);
    }
    arena_free(&arena);
}

static void test_timestamp_parse(void **state) {
    struct arena arena = ARENA_INIT;
    struct error err = ERROR_IN(&arena);
    struct timestamp t;
    assert_true(timestamp_parse(STR("1970-01-01T05:30:00.5+05:30"), &t, &err));
    assert_true(t.seconds == TIMESTAMP_UNIX_EPOCH && t.nanoseconds == 500000000);
    assert_true(t.present && t.offset == 330);
    assert_true(timestamp_parse(STR("\"1969-12-31T22:30:00-01:30\""), &t, &err));
    assert_true(t.seconds == TIMESTAMP_UNIX_EPOCH && t.nanoseconds == 0 && t.offset == -90);
    assert_true(timestamp_parse(STR("1970-01-01T00:00:00+00:00"), &t, &err));
    assert_int_equal(t.offset, 0);
    assert_true(timestamp_parse(STR("2024-02-29T9:00:00.123456789Z"), &t, &err));
    assert_true(t.offset == -1 && t.nanoseconds == 123456789);
    assert_true(timestamp_parse(STR("0000-01-01T00:00:00Z"), &t, &err));
    assert_true(t.seconds == -366 * 86400LL);
    assert_false(error_is_set(&err));
    arena_free(&arena);
}

#define AS "\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \""
#define QUOTED_AS "\" as \"\"2006-01-02T15:04:05Z07:00\"\": cannot parse \""

static const struct {
    const char *text;
    const char *error;
} bad_timestamps[] = {
    {"\"abc\"", "parsing time \"\"abc\"" QUOTED_AS "abc\"\" as \"2006\""},
    {"\"\"", "parsing time \"\"\"" QUOTED_AS "\"\" as \"2006\""},
    {"\"2026-11-23T09:06:25Zx\"",
     "parsing time \"\"2026-11-23T09:06:25Zx\"" QUOTED_AS "x\"\" as \"\"\""},
    {"\"2026-13-01T00:00:00Z\"", "parsing time \"\"2026-13-01T00:00:00Z\"\": month out of range"},
    {"\"2026-02-30T00:00:00Z\"", "parsing time \"\"2026-02-30T00:00:00Z\"\": day out of range"},
    {"\"2026-11-23T25:06:25Z\"", "parsing time \"\"2026-11-23T25:06:25Z\"\": hour out of range"},
    {"\"2026-11-23T09:06:25.1234567891Z\"",
     "parsing time \"\"2026-11-23T09:06:25.1234567891Z\"\": fractional second out of range"},
    {"\"2026-11-23T09:06:25+0530\"",
     "parsing time \"\"2026-11-23T09:06:25+0530\"" QUOTED_AS "+0530\"\" as \"Z07:00\""},
    {"\"2026-11-23T09:06:25\"",
     "parsing time \"\"2026-11-23T09:06:25\"" QUOTED_AS "\"\" as \"Z07:00\""},
    {"\"2026-1\"", "parsing time \"\"2026-1\"" QUOTED_AS "1\"\" as \"01\""},
    {"\"20a6-11-23T09:06:25Z\"",
     "parsing time \"\"20a6-11-23T09:06:25Z\"" QUOTED_AS "-11-23T09:06:25Z\"\" as \"2006\""},
    {"\"2099-11-23T09:06:25,5Z\"",
     "parsing time \"\"2099-11-23T09:06:25,5Z\"" QUOTED_AS ",5Z\"\" as \"Z07:00\""},
    {"abc", "parsing time \"abc" AS "abc\" as \"2006\""},
    {"2026-11-23 09:06:25Z", "parsing time \"2026-11-23 09:06:25Z" AS " 09:06:25Z\" as \"T\""},
    {"2026-11-23T09:06:25Zx", "parsing time \"2026-11-23T09:06:25Zx\": extra text: x"},
    {"2026-00-23T09:06:25Z", "parsing time \"2026-00-23T09:06:25Z\": month out of range"},
    {"2026-11-00T09:06:25Z", "parsing time \"2026-11-00T09:06:25Z\": day out of range"},
    {"2023-02-29T09:06:25Z", "parsing time \"2023-02-29T09:06:25Z\": day out of range"},
    {"1900-02-29T09:06:25Z", "parsing time \"1900-02-29T09:06:25Z\": day out of range"},
    {"2026-11-23T09:60:25Z", "parsing time \"2026-11-23T09:60:25Z\": minute out of range"},
    {"2026-11-23T09:06:60Z", "parsing time \"2026-11-23T09:06:60Z\": second out of range"},
};

static void test_timestamp_errors(void **state) {
    struct arena arena = ARENA_INIT;
    struct error err = ERROR_IN(&arena);
    struct timestamp t;
    for (size_t i = 0; i < COUNT_OF(bad_timestamps); i++) {
        assert_false(timestamp_parse(str_from(bad_timestamps[i].text), &t, &err));
        assert_string_equal(str_terminated(&arena, err.text), bad_timestamps[i].error);
    }
    assert_false(timestamp_parse(STR_NONE, &t, &err));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks),           cmocka_unit_test(test_duration_format),
        cmocka_unit_test(test_duration_parse),   cmocka_unit_test(test_unix_times),
        cmocka_unit_test(test_timestamp_format), cmocka_unit_test(test_dates_against_libc),
        cmocka_unit_test(test_timestamp_parse),  cmocka_unit_test(test_timestamp_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
