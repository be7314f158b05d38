/* Filter expressions: 700 of them with the peer's answers (vectors/schema/filter.json), and the
 * limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "schema/catalog.h"
#include "schema/filter.h"
#include "schema/regex.h"
#include "unit/vectors.h"

static const struct {
    const char *name;
    const struct shape *shape;
} shapes[] = {
    {"node", &node_shape},
    {"service_node", &service_node_shape},
    {"check_service_node", &check_service_node_shape},
    {"health_check", &health_check_shape},
    {"node_service", &node_service_shape},
    {"node_info", &node_info_shape},
};

struct data_set {
    struct str name;
    const struct shape *shape;
    void **elements;
    size_t len;
};

static struct data_set load_set(const struct value_pair *pair, struct arena *arena) {
    struct data_set set = {.name = pair->key};
    struct error e = ERROR_IN(arena);
    struct str shape = value_get(&pair->value, "shape")->string;
    const struct value *elements = value_get(&pair->value, "elements");
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        if (str_is(shape, shapes[i].name)) {
            set.shape = shapes[i].shape;
        }
    }
    assert_non_null(set.shape);
    set.len = elements->list.len;
    set.elements = ARENA_ARRAY(arena, void *, set.len);
    for (size_t i = 0; i < set.len; i++) {
        set.elements[i] = arena_zalloc(arena, 1, set.shape->size);
        if (!schema_from_json(&elements->list.items[i], set.shape, set.elements[i], NULL, arena,
                              &e)) {
            fail_msg("%.*s", STR_ARG(e.text));
        }
    }
    return set;
}

/* "[0,2]", or the error. */
static struct str run(const struct data_set *set, struct str text, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct filter *f = filter_compile(text, set->shape, arena, &e);
    if (f == NULL) {
        return e.text;
    }
    struct buf b = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &b, false);
    json_open_array(&w);
    for (size_t i = 0; i < set->len; i++) {
        if (filter_match(f, set->elements[i])) {
            json_u64(&w, i);
        }
    }
    json_close_array(&w);
    filter_free(f);
    struct str out = str_copy(arena, buf_str(&b));
    buf_free(&b);
    return out;
}

static struct str expected(const struct value *v, struct arena *arena) {
    const struct value *error = value_get(v, "error");
    if (error != NULL) {
        return error->string;
    }
    struct buf b = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &b, false);
    json_value(&w, value_get(v, "match"));
    struct str out = str_copy(arena, buf_str(&b));
    buf_free(&b);
    return out;
}

static void test_peer(void **state) {
    struct arena arena = ARENA_INIT;
    struct value *root = vectors_json(&arena, "schema/filter.json");
    const struct value *data = value_get(root, "data");
    struct data_set sets[8];
    assert_true(data->map.len <= COUNT_OF(sets));
    for (size_t i = 0; i < data->map.len; i++) {
        sets[i] = load_set(&data->map.pairs[i], &arena);
    }
    const struct value *vectors = value_get(root, "vectors");
    int bad = 0;
    for (size_t i = 0; i < vectors->list.len; i++) {
        const struct value *v = &vectors->list.items[i];
        struct str filter = value_get(v, "filter")->string;
        const struct data_set *set = NULL;
        for (size_t s = 0; s < data->map.len; s++) {
            if (str_eq(sets[s].name, value_get(v, "set")->string)) {
                set = &sets[s];
            }
        }
        struct str want = expected(v, &arena), have = run(set, filter, &arena);
        if (!str_eq(want, have)) {
            bad++;
            print_error("#%zu %.*s\n  want %.*s\n  have %.*s\n", i, STR_ARG(filter), STR_ARG(want),
                        STR_ARG(have));
        }
    }
    assert_int_equal(bad, 0);
    assert_true(vectors->list.len > 600);
    arena_free(&arena);
}

static struct str repeat(struct arena *arena, const char *before, size_t n, const char *after) {
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        buf_add_text(&b, before);
    }
    buf_add_text(&b, after);
    struct str s = str_copy(arena, buf_str(&b));
    buf_free(&b);
    return s;
}

static void test_limits(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct node n = {.node = STR("alpha")};
    static const char *const deep[] = {"(", "not ", "not (", "(("};
    for (size_t i = 0; i < COUNT_OF(deep); i++) {
        error_clear(&e);
        struct str text = repeat(&arena, deep[i], 5000, "Node == alpha");
        assert_null(filter_compile(text, &node_shape, &arena, &e));
        assert_true(str_is(e.text, "expression is nested deeper than 200"));
    }
    error_clear(&e);
    assert_null(filter_compile(repeat(&arena, "Node == alpha and ", 5000, "Node == alpha"),
                               &node_shape, &arena, &e));
    assert_true(str_is(e.text, "expression is longer than 65536 bytes"));
    struct filter *f = filter_compile(repeat(&arena, "Node == alpha and ", 3000, "Node == alpha"),
                                      &node_shape, &arena, &e);
    assert_non_null(f);
    assert_true(filter_match(f, &n));
    n.node = STR("beta");
    assert_false(filter_match(f, &n));
    filter_free(f);
    /* Deep but allowed, closed on the other side. */
    struct str open = repeat(&arena, "(", 150, "Node == beta");
    struct str all =
        str_format(&arena, "%.*s%.*s", STR_ARG(open), STR_ARG(repeat(&arena, ")", 150, "")));
    f = filter_compile(all, &node_shape, &arena, &e);
    assert_non_null(f);
    assert_true(filter_match(f, &n));
    filter_free(f);
    arena_free(&arena);
}

/* Would take the age of the universe by backtracking. */
static void test_regex_is_bounded(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct regex *re = regex_compile(STR("^(a+)+$"), &e);
    assert_non_null(re);
    assert_false(regex_search(re, repeat(&arena, "a", 60, "!")));
    assert_true(regex_search(re, repeat(&arena, "a", 60, "")));
    regex_free(re);
    arena_free(&arena);
}

static void test_regex_meaning(void **state) {
    static const struct {
        const char *pattern;
        const char *subject;
        bool matches;
    } cases[] = {
        {"a$", "a\n", false},
        {"(?m)a$", "a\n", true},
        {"\\s", "\v", false},
        {"[\\s]", "\v", false},
        {"\\S", "\v", true},
        {"[\\S]", "\v", true},
        {"[[:space:]]", "\v", true},
        {"(?i)\xc3\x89", "\xc3\xa9", true},
        {"^.$", "\xc3\xa9", true},
        {"^.$", "\xff", true},
        {"^\xef\xbf\xbd$", "\xff", true},
        {"\\d", "\xd9\xa1", false},
        {"a.b", "a\nb", false},
        {"(?s)a.b", "a\nb", true},
        {"(?m)^$", "a\n", true},
        {"\\Qa.b\\E", "a.b", true},
        {"\\Qa.b\\E", "axb", false},
        {"a{,2}", "a{,2}", true},
        {"^*a", "a", true},
        {"\\bfoo\\b", "a foo b", true},
        {"x{2}", "x", false},
        {"[^a]", "\n", true},
        {"", "", true},
        {"\\x{1F600}", "\xf0\x9f\x98\x80", true},
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        struct regex *re = regex_compile(str_from(cases[i].pattern), &e);
        if (re == NULL) {
            fail_msg("%s: %.*s", cases[i].pattern, STR_ARG(e.text));
        }
        if (regex_search(re, str_from(cases[i].subject)) != cases[i].matches) {
            fail_msg("%s on %s", cases[i].pattern, cases[i].subject);
        }
        regex_free(re);
    }
    struct error e = ERROR_IN(&arena);
    struct str groups[4];
    struct regex *re = regex_compile(STR("^tp-(?P<a>.+?)-(.+)(x)?$"), &e);
    assert_int_equal(regex_groups(re, STR("tp-web-prod"), groups, 4), 4);
    assert_true(str_is(groups[1], "web"));
    assert_true(str_is(groups[2], "prod"));
    assert_null(groups[3].data);
    assert_int_equal(regex_groups(re, STR("nope"), groups, 4), 0);
    regex_free(re);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_regex_is_bounded),
        cmocka_unit_test(test_regex_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
