/* log.c: the two line formats of config.md 4.2, levels, sinks, several threads at once. */
#include "base/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"

/* A sink that keeps the last line and counts. */
struct kept {
    struct buf line;
    int count;
    enum log_level level;
};

static void keep(void *owner, enum log_level level, struct str line) {
    struct kept *kept = owner;
    buf_clear(&kept->line);
    buf_add_str(&kept->line, line);
    buf_add_char(&kept->line, '\0');
    kept->count++;
    kept->level = level;
}

static int setup(void **state) {
    log_set_stdout(false);
    setenv("TZ", "UTC", 1);
    tzset();
    *state = MEM_NEW(struct kept);
    return 0;
}

static int teardown(void **state) {
    struct kept *kept = *state;
    buf_free(&kept->line);
    mem_free(kept);
    return 0;
}

static void test_levels(void **state) {
    static const struct {
        const char *text;
        enum log_level level;
    } known[] = {{"trace", LOG_TRACE}, {"DEBUG", LOG_DEBUG}, {"Info", LOG_INFO},
                 {"warn", LOG_WARN},   {"err", LOG_ERROR},   {"ERR", LOG_ERROR},
                 {"error", LOG_ERROR}};
    enum log_level level;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_true(log_level_parse(str_from(known[i].text), &level));
        assert_int_equal(level, known[i].level);
    }
    assert_false(log_level_parse(STR("foo"), &level));
    assert_false(log_level_parse(STR("off"), &level));
    assert_false(log_level_parse(STR_NONE, &level));
    assert_string_equal(log_level_name(LOG_WARN), "WARN");
    log_set_level(LOG_DEBUG);
    assert_int_equal(log_get_level(), LOG_DEBUG);
    assert_int_equal(log_threshold, LOG_OFF); /* nobody listens */
    log_set_stdout(true);
    assert_int_equal(log_threshold, LOG_DEBUG);
    log_set_stdout(false);
}

/* The line without its time, which is checked for its form. */
static const char *line_of(struct kept *kept) {
    assert_true(kept->line.len > 25);
    for (size_t i = 0; i < 24; i++) {
        const char *form = "0000-00-00T00:00:00.000Z";
        char c = kept->line.data[i];
        assert_true(form[i] == '0' ? c >= '0' && c <= '9' : c == form[i]);
    }
    assert_int_equal(kept->line.data[24], ' ');
    return kept->line.data + 25;
}

static void test_text_lines(void **state) {
    struct kept *kept = *state;
    struct log_sink *sink = log_add_sink(LOG_TRACE, false, keep, kept);
    log_at(LOG_INFO, "agent", "Synced node info");
    assert_string_equal(line_of(kept), "[INFO]  agent: Synced node info");
    log_at(LOG_WARN, "agent", "bad name.", LOG_C("service", "a b"));
    assert_string_equal(line_of(kept), "[WARN]  agent: bad name.: service=\"a b\"");
    log_at(LOG_DEBUG, "agent.http", "Request finished", LOG_S("method", STR("GET")),
           LOG_D("latency", 1054875), LOG_I("status", -200), LOG_B("ok", true), LOG_B("no", false));
    assert_string_equal(line_of(kept), "[DEBUG] agent.http: Request finished: method=GET "
                                       "latency=1.054875ms status=-200 ok=true no=false");
    /* Quoted without escaping; empty stays bare. */
    log_at(LOG_ERROR, "a", "m", LOG_C("error", "1 error:\n\t* \"x\"\n"), LOG_S("e", STR_NONE),
           LOG_C("q", "\"x\""), LOG_C("t", "a\tb"), LOG_C("r", "a\rb"));
    assert_string_equal(line_of(kept), "[ERROR] a: m: error=\"1 error:\n\t* \"x\"\n\" e= q=\"x\" "
                                       "t=\"a\tb\" r=\"a\rb\"");
    struct str items[] = {STR("a"), STR("b"), STR("c d")};
    log_at(LOG_TRACE, "a", "m", LOG_L("list", items, 3), LOG_L("none", items, 0));
    assert_string_equal(line_of(kept), "[TRACE] a: m: list=[a, b, \"c d\"] none=[]");
    log_write(LOG_INFO, "a", "m", NULL);
    assert_string_equal(line_of(kept), "[INFO]  a: m");
    assert_int_equal(kept->level, LOG_INFO);
    assert_int_equal(kept->count, 6);
    log_remove_sink(sink);
}

static void test_json_lines(void **state) {
    struct kept *kept = *state;
    struct log_sink *sink = log_add_sink(LOG_INFO, true, keep, kept);
    struct str items[] = {STR("x"), STR("y z")};
    log_at(LOG_ERROR, "agent", "<Started> & \"done\"", LOG_C("network", "udp"),
           LOG_C("address", "a\n\x01\xff\u2028\u00e4"), LOG_I("Count", INT64_MIN), LOG_B("b", true),
           LOG_D("d", SECOND), LOG_L("l", items, 2));
    char *line = kept->line.data;
    char *at = strstr(line, "\"@timestamp\":\"");
    assert_non_null(at);
    at += strlen("\"@timestamp\":\"");
    for (size_t i = 0; i < 27; i++) {
        const char *form = "0000-00-00T00:00:00.000000Z";
        assert_true(form[i] == '0' ? at[i] >= '0' && at[i] <= '9' : at[i] == form[i]);
    }
    memset(at, 'T', 27);
    assert_string_equal(
        line, "{\"@level\":\"error\",\"@message\":\"\\u003cStarted\\u003e \\u0026 \\\"done\\\"\","
              "\"@module\":\"agent\",\"@timestamp\":\"TTTTTTTTTTTTTTTTTTTTTTTTTTT\","
              "\"Count\":-9223372036854775808,\"address\":\"a\\n\\u0001\\ufffd\\u2028\u00e4\","
              "\"b\":true,\"d\":1000000000,\"l\":[\"x\",\"y z\"],\"network\":\"udp\"}");
    log_remove_sink(sink);
}

static void test_zone(void **state) {
    struct kept *kept = *state;
    setenv("TZ", "XXX-05:30", 1);
    tzset();
    struct log_sink *sink = log_add_sink(LOG_INFO, false, keep, kept);
    log_at(LOG_INFO, "a", "m");
    assert_memory_equal(kept->line.data + 23, "+0530 [INFO]  a: m", 19);
    log_remove_sink(sink);
    sink = log_add_sink(LOG_INFO, true, keep, kept);
    log_at(LOG_INFO, "a", "m");
    assert_non_null(strstr(kept->line.data, "+05:30\"}"));
    log_remove_sink(sink);
}

static void test_sinks(void **state) {
    struct kept *kept = *state;
    struct kept *other = MEM_NEW(struct kept);
    struct log_sink *warn = log_add_sink(LOG_WARN, false, keep, kept);
    assert_int_equal(log_threshold, LOG_WARN);
    struct log_sink *info = log_add_sink(LOG_INFO, true, keep, other);
    assert_int_equal(log_threshold, LOG_INFO);
    log_at(LOG_DEBUG, "a", "m");
    log_at(LOG_INFO, "a", "m");
    log_at(LOG_WARN, "a", "m");
    assert_int_equal(kept->count, 1);
    assert_int_equal(other->count, 2);
    log_remove_sink(info);
    assert_int_equal(log_threshold, LOG_WARN);
    log_at(LOG_ERROR, "a", "m");
    assert_int_equal(kept->count, 2);
    assert_int_equal(other->count, 2);
    log_remove_sink(warn);
    log_remove_sink(NULL);
    assert_int_equal(log_threshold, LOG_OFF);

    struct log_sink *many[64];
    for (int i = 0; i < 64; i++) {
        many[i] = log_add_sink(LOG_INFO, false, keep, other);
        assert_non_null(many[i]);
    }
    assert_null(log_add_sink(LOG_TRACE, false, keep, other));
    assert_int_equal(log_threshold, LOG_INFO);
    log_at(LOG_INFO, "a", "m");
    assert_int_equal(other->count, 2 + 64);
    for (int i = 0; i < 64; i++) {
        log_remove_sink(many[i]);
    }
    buf_free(&other->line);
    mem_free(other);
}

static void test_arguments_below_the_level_are_not_evaluated(void **state) {
    int evaluated = 0;
    log_at(LOG_DEBUG, "a", "m", LOG_I("n", ++evaluated));
    assert_int_equal(evaluated, 0);
}

static void test_stdout(void **state) {
    char path[] = "/tmp/praetor-test-log-XXXXXX";
    int file = mkstemp(path), saved = dup(1);
    assert_true(file >= 0 && saved >= 0);
    fflush(stdout);
    dup2(file, 1);
    log_set_stdout(true);
    log_set_level(LOG_INFO);
    printf("==> Banner\n");
    log_at(LOG_INFO, "agent", "one", LOG_I("n", 1));
    log_at(LOG_DEBUG, "agent", "two");
    log_set_json(true);
    log_at(LOG_INFO, "agent", "three");
    log_set_json(false);
    log_set_stdout(false);
    dup2(saved, 1);
    close(saved);
    char text[1024];
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    close(file);
    unlink(path);
    assert_true(n > 0);
    text[n] = '\0';
    struct str rest = str_from(text);
    assert_true(str_is(str_cut(&rest, '\n'), "==> Banner"));
    struct str line = str_cut(&rest, '\n');
    assert_true(str_has_prefix(line, STR("    2")));
    assert_true(str_has_suffix(line, STR("Z [INFO]  agent: one: n=1")));
    assert_true(str_has_prefix(str_cut(&rest, '\n'), STR("    {\"@level\":\"info\"")));
    assert_int_equal(rest.len, 0);
}

enum { THREADS = 4, LINES = 2000 };

static void *log_much(void *argument) {
    for (int i = 0; i < LINES; i++) {
        log_at(LOG_INFO, "thread", "line", LOG_I("i", i));
        if (i % 100 == 0) {
            struct kept mine = {.line = BUF_INIT};
            struct log_sink *sink = log_add_sink(LOG_ERROR, true, keep, &mine);
            log_at(LOG_ERROR, "thread", "error");
            log_remove_sink(sink); /* after which `mine` may go */
            buf_free(&mine.line);
        }
    }
    return NULL;
}

static void test_threads(void **state) {
    struct kept *kept = *state;
    struct log_sink *sink = log_add_sink(LOG_INFO, false, keep, kept);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    log_remove_sink(sink);
    assert_int_equal(kept->count, THREADS * (LINES + LINES / 100));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sinks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arguments_below_the_level_are_not_evaluated, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_stdout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
