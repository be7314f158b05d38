/* URLs that agents ask: what is refused, how they are written, their parts, redirects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/url_parts.h"

static void test_normal(void **state) {
    static const struct {
        const char *url, *out; /* the error when it begins with "parse" */
    } cases[] = {
        {"http://h:1/a%20b/?q=1&r=%2F#frag", "http://h:1/a%20b/?q=1&r=%2F#frag"},
        {"HTTP://H:1/", "http://H:1/"},
        {"http://h/a b?c d", "http://h/a%20b?c%20d"},
        {"http://h/\xc3\xa4\"<>", "http://h/%C3%A4%22%3C%3E"},
        {"http://h", "http://h"},
        {"http://[::1]:80/x", "http://[::1]:80/x"},
        {"/x", "/x"},
        {"", ""},
        {"127.0.0.1:80/x",
         "parse \"127.0.0.1:80/x\": first path segment in URL cannot contain colon"},
        {"://x", "parse \"://x\": missing protocol scheme"},
        {"http://h:ab/", "parse \"http://h:ab/\": invalid port \":ab\" after host"},
        {"http://h:1 /", "parse \"http://h:1 /\": invalid port \":1 \" after host"},
        {"http://h/%zz", "parse \"http://h/%zz\": invalid URL escape \"%zz\""},
        {"http://h/%1", "parse \"http://h/%1\": invalid URL escape \"%1\""},
        {"http:/%zz", "parse \"http:/%zz\": invalid URL escape \"%zz\""},
        {"mailto:a%zz", "mailto:a%zz"},
        {"a?b:c", "a?b:c"},
        {"http://h/?%zz", "http://h/?%zz"},
        {"http://h/#%zz", "parse \"http://h/#%zz\": invalid URL escape \"%zz\""},
        {"http://h^/#x", "parse \"http://h^/\": invalid character \"^\" in host name"},
        {"http://h%41/", "parse \"http://h%41/\": invalid URL escape \"%41\""},
        {"http://h%C3%A4%25<>\"\xc3\xa4/", "http://h%C3%A4%25<>\"\xc3\xa4/"},
        {"http://[::1/", "parse \"http://[::1/\": missing ']' in host"},
        {"http://[::1]x/", "parse \"http://[::1]x/\": invalid port \"x\" after host"},
        {"http://a[::1]/", "parse \"http://a[::1]/\": invalid port \":1]\" after host"},
        {"http://h:80:90/", "http://h:80:90/"},
        {"http://h:/", "http://h:/"},
        {"http://[fe80::1%25%41]:1/", "http://[fe80::1%25%41]:1/"},
        {"http://[fe80::1%25%2f]/",
         "parse \"http://[fe80::1%25%2f]/\": invalid URL escape \"%2f\""},
        {"http://[fe80::1%41]/", "parse \"http://[fe80::1%41]/\": invalid URL escape \"%41\""},
        {"http://u:p%40@h/", "http://u:p%40@h/"},
        {"http://u:%@h/", "parse \"http://u:%@h/\": invalid URL escape \"%\""},
        {"http://u^@h/", "parse \"http://u^@h/\": net/url: invalid userinfo"},
        {"http://h/\n", "parse \"http://h/\\n\": net/url: invalid control character in URL"},
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        struct str out;
        bool ok = url_normal(str_from(cases[i].url), &out, &arena, &e);
        struct str got = ok ? out : e.text;
        if (!str_is(got, cases[i].out))
            fail_msg("%s: %.*s", cases[i].url, STR_ARG(got));
    }
    arena_free(&arena);
}

static void test_parts(void **state) {
    struct str url = STR("https://user:p@ss@[::1]:8443/x@y:1?z");
    assert_true(str_is(url_scheme(url), "https"));
    assert_true(str_is(url_authority(url), "[::1]:8443"));
    assert_true(str_is(url_host(url), "::1"));
    assert_true(str_is(url_port(url), "8443"));
    assert_true(str_is(url_host(STR("http://h?x:1")), "h"));
    assert_true(str_is(url_port(STR("http://h?x:1")), ""));
    assert_true(str_is(url_host(STR("mailto:h")), ""));
    assert_true(str_is(url_path(url), "/x@y:1"));
    assert_true(str_is(url_path(STR("http:/a%20b#/")), "/a%20b"));
    assert_true(str_is(url_path(STR("mailto:h")), ""));
    assert_true(str_is(url_path(STR("a/b?c")), "a/b"));
    struct arena arena = ARENA_INIT;
    assert_true(str_is(url_shown(STR("http://u:pw@h:1/"), &arena), "http://u:***@h:1/"));
    assert_true(str_is(url_bare(STR("http://u:pw@h:1/x"), &arena), "http://h:1/x"));
    assert_true(str_is(url_bare(STR("http://h:1/x@y"), &arena), "http://h:1/x@y"));
    assert_true(str_is(url_shown(STR("http://u@h:1/"), &arena), "http://u@h:1/"));
    assert_true(str_is(url_shown(STR("http://"), &arena), "http:"));
    arena_free(&arena);
}

static void test_resolve(void **state) {
    static const struct {
        const char *base, *to, *out;
    } cases[] = {
        {"http://h:1/a/b?q", "/c", "http://h:1/c"},
        {"http://h:1/a/b?q", "c", "http://h:1/a/c"},
        {"http://h:1/a/b?q", "?r", "http://h:1/a/b?r"},
        {"http://h:1/a/b?q", "//i/c", "http://i/c"},
        {"http://h:1/a/b?q", "https://i/c", "https://i/c"},
        {"http://h:1", "c", "http://h:1/c"},
        {"http://h:1/a/b?q", "../../x/./y?r=/../#f", "http://h:1/x/y?r=/../#f"},
        {"http://h:1/a/b/c", "./d/./e/..", "http://h:1/a/b/d/"},
        {"http://h:1/a/b/c", "..", "http://h:1/a/"},
        {"http://h:1/a/b", "/a//b/..//c", "http://h:1/a///c"},
        {"http://h:1/a/b", "http://i/q/../r/.", "http://i/r/"},
        {"http://h:1/a/b", "/..", "http://h:1/"},
        {"http://h:1/a/b", "x/..y/.z/...", "http://h:1/a/x/..y/.z/..."},
        {"http://h:1/a/b", "%2e%2e/x", "http://h:1/a/%2e%2e/x"},
        {"http://h:1/a/b?q#g", "#f", "http://h:1/a/b?q#f"},
        {"http://h:1/a/b", "#f", "http://h:1/a/b#f"},
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str got = url_resolve(&arena, str_from(cases[i].base), str_from(cases[i].to));
        if (!str_is(got, cases[i].out))
            fail_msg("%s + %s: %.*s", cases[i].base, cases[i].to, STR_ARG(got));
    }
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_resolve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
