/* Configuration entries as people write them, read, filled in, checked and written: what the peer
 * said to each body (tests/vectors/connect/config-write.json), HCL, and odd numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/hcl.h"
#include "codec/json.h"
#include "codec/number.h"
#include "schema/config_entry_read.h"
#include "schema/config_entry_rules.h"
#include "unit/vectors.h"

#define DECODING "Bad request: Request decoding failed: "

/* What only servers can say, who know the other entries. */
static const char *const others_say[] = {"does not have a subset named", "protocol \"tcp\"",
                                         "serviceName is required", "missing primary index",
                                         "detected circular"};

static struct value json_of(struct str text, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct value v;
    if (!json_parse(text, &v, NULL, arena, &e))
        fail_msg("%.*s: %.*s", STR_ARG(text), STR_ARG(e.text));
    return v;
}

static struct value entry_json(const struct config_entry *entry, struct arena *arena) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    config_entry_write_json(&w, entry);
    struct value v = json_of(str_copy(arena, buf_str(&text)), arena), out = {.kind = VALUE_MAP};
    buf_free(&text);
    for (size_t i = 0; i < v.map.len; i++) {
        struct value_pair *p = &v.map.pairs[i];
        if (!str_is(p->key, "CreateIndex") && !str_is(p->key, "ModifyIndex"))
            value_put(&out, p->key, p->value, arena);
    }
    return out;
}

static int by_text(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* The peer tells unknown keys of one level in any order. */
static struct str lines_sorted(struct str text, struct arena *arena) {
    struct str lines[64];
    size_t count = 0;
    struct buf out = BUF_INIT;
    while (text.data != NULL && count < COUNT_OF(lines))
        lines[count++] = str_cut(&text, '\n');
    qsort(lines, count, sizeof lines[0], by_text);
    for (size_t i = 0; i < count; i++) {
        buf_add_str(&out, lines[i]);
        buf_add_char(&out, '\n');
    }
    struct str sorted = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return sorted;
}

static void check_refused(const struct value *vector, const struct config_entry *entry,
                          struct error *e, struct arena *arena) {
    struct str answer = value_get(vector, "answer")->string;
    struct str body = value_get(vector, "body")->string;
    for (size_t i = 0; entry != NULL && i < COUNT_OF(others_say); i++) {
        if (str_find(answer, str_from(others_say[i]), 0) >= 0)
            return;
    }
    if (entry != NULL)
        fail_msg("%.*s is taken, wanted: %.*s", STR_ARG(body), STR_ARG(answer));
    if (e->kind == ERROR_BAD_REQUEST)
        error_prefix(e, DECODING);
    struct str got = lines_sorted(e->text, arena), wanted = lines_sorted(answer, arena);
    if (!str_eq(got, wanted))
        fail_msg("%.*s\n  got    %.*s\n  wanted %.*s", STR_ARG(body), STR_ARG(got),
                 STR_ARG(wanted));
    assert_int_equal(e->kind, value_get(vector, "status")->number == 400 ? ERROR_BAD_REQUEST
                                                                         : ERROR_INTERNAL);
}

static void check_vector(const struct value *vector) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str body = value_get(vector, "body")->string;
    struct config_entry *entry = config_entry_read_json(body, &arena, &e);
    if (entry != NULL)
        config_entry_normalize(entry, &arena);
    bool ok = entry != NULL && config_entry_validate(entry, &arena, &e);
    const struct value *wanted = value_get(vector, "entry");
    if (value_get(vector, "crash") != NULL) {
        assert_true(ok != error_is_set(&e)); /* what else is ours to say */
    } else if (wanted == NULL) {
        check_refused(vector, ok ? entry : NULL, &e, &arena);
    } else {
        if (!ok)
            fail_msg("%.*s: %.*s", STR_ARG(body), STR_ARG(e.text));
        struct value got = entry_json(entry, &arena);
        if (!value_equal(&got, wanted))
            fail_msg("%.*s is read as another entry", STR_ARG(body));
    }
    arena_free(&arena);
}

static void test_what_the_peer_said(void **state) {
    struct arena arena = ARENA_INIT;
    const struct value *vectors =
        value_get(vectors_json(&arena, "connect/config-write.json"), "vectors");
    assert_true(vectors->list.len > 300);
    for (size_t i = 0; i < vectors->list.len; i++)
        check_vector(&vectors->list.items[i]);
    arena_free(&arena);
}

/* Refused, though the peer takes it and ends. */
static void test_null_in_config(void **state) {
    static const char *const bodies[] = {
        "{\"Kind\":\"proxy-defaults\",\"Config\":{\"a\":null}}",
        "{\"Kind\":\"proxy-defaults\",\"Config\":{\"a\":[1,{\"b\":[null]}]}}",
        "{\"Kind\":\"proxy-defaults\",\"Config\":{\"a\":[null]}}",
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        struct config_entry *entry = config_entry_read_json(str_from(bodies[i]), &arena, &e);
        assert_non_null(entry);
        assert_false(config_entry_validate(entry, &arena, &e));
        assert_true(str_is(e.text, "Config must not contain null"));
        arena_free(&arena);
    }
}

static void test_hcl(void **state) {
    static const char text[] = "kind = \"service-router\"\nname = \"web\"\n"
                               "routes { match { http { path_prefix = \"/a\" } }\n"
                               "         destination { service = 5, num_retries = \"3\", "
                               "request_timeout = \"5s\" } }\n"
                               "routes = [{ destination { retry_on_status_codes = [503] } }]\n"
                               "meta { a = 1 }\n";
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    assert_true(hcl_parse(str_from(text), &v, &arena, &e));
    struct config_entry *entry = config_entry_read(&v, &arena, &e);
    if (entry == NULL)
        fail_msg("%.*s", STR_ARG(e.text));
    struct value got = entry_json(entry, &arena);
    struct value wanted = json_of(
        STR("{\"Kind\":\"service-router\",\"Name\":\"web\",\"Routes\":[{\"Match\":{\"HTTP\":{"
            "\"PathPrefix\":\"/a\"}},\"Destination\":{\"RequestTimeout\":\"5s\",\"Service\":\"5\","
            "\"NumRetries\":3}},{\"Destination\":{\"RetryOnStatusCodes\":[503]}}],\"Meta\":{"
            "\"a\":\"1\"}}"),
        &arena);
    assert_true(value_equal(&got, &wanted));
    arena_free(&arena);
}

static void test_number_texts(void **state) {
    static const struct {
        double n;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {0.1, "0.1"},
        {-1.5, "-1.5"},
        {1e-7, "0.0000001"},
        {120, "120"},
        {5e-324, NULL},
        {1e6, "1000000"},
        {1e23, "100000000000000000000000"},
        {0.30000000000000004, "0.30000000000000004"},
        {9007199254740993, "9007199254740992"},
        {1.7976931348623157e308, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena = ARENA_INIT;
        struct str got = number_f64_text(&arena, cases[i].n);
        if (cases[i].text != NULL)
            assert_string_equal(str_terminated(&arena, got), cases[i].text);
        assert_true(strtod(str_terminated(&arena, got), NULL) == cases[i].n);
        assert_true(str_find_char(got, 'e') < 0);
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_peer_said),
        cmocka_unit_test(test_null_in_config),
        cmocka_unit_test(test_hcl),
        cmocka_unit_test(test_number_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
