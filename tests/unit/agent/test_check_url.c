/* URLs of HTTP checks, and the one gRPC message that comes in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/check_run.h"
#include "agent/check_url.h"
#include "base/mem.h"

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
        {"http://h/\n", "parse \"http://h/\\n\": net/url: invalid control character in URL"},
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        struct str out;
        bool ok = check_url_normal(str_from(cases[i].url), &out, &arena, &e);
        struct str got = ok ? out : e.text;
        if (!str_is(got, cases[i].out))
            fail_msg("%s: %.*s", cases[i].url, STR_ARG(got));
    }
    arena_free(&arena);
}

static void test_parts(void **state) {
    struct str url = STR("https://user:p@ss@[::1]:8443/x@y:1?z");
    assert_true(str_is(check_url_scheme(url), "https"));
    assert_true(str_is(check_url_authority(url), "[::1]:8443"));
    assert_true(str_is(check_url_host(url), "::1"));
    assert_true(str_is(check_url_port(url), "8443"));
    assert_true(str_is(check_url_host(STR("http://h?x:1")), "h"));
    assert_true(str_is(check_url_port(STR("http://h?x:1")), ""));
    assert_true(str_is(check_url_host(STR("mailto:h")), ""));
    struct arena arena = ARENA_INIT;
    assert_true(str_is(check_url_shown(STR("http://u:pw@h:1/"), &arena), "http://u:***@h:1/"));
    assert_true(str_is(check_url_shown(STR("http://u@h:1/"), &arena), "http://u@h:1/"));
    assert_true(str_is(check_url_shown(STR("http://"), &arena), "http:"));
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
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str got = check_url_resolve(&arena, str_from(cases[i].base), str_from(cases[i].to));
        if (!str_is(got, cases[i].out))
            fail_msg("%s + %s: %.*s", cases[i].base, cases[i].to, STR_ARG(got));
    }
    arena_free(&arena);
}

static void test_grpc_message(void **state) {
    static const struct {
        const char *bytes;
        size_t len;
        bool ok;
        uint64_t status;
    } cases[] = {
        {"\0\0\0\0\2\x08\1", 7, true, 1},
        {"\0\0\0\0\2\x08\2", 7, true, 2},
        {"\0\0\0\0\0", 5, true, 0},
        {"\0\0\0\0\6\x12\2ab\x08\1", 11, true, 1}, /* an unknown field before it */
        {"\0\0\0\0\3\x08\x81\0", 8, true, 1},
        {"\1\0\0\0\2\x08\1", 7, false, 0}, /* compressed */
        {"\0\0\0\0\3\x08\1", 7, false, 0}, /* cut off */
        {"\0\0\0\0\1\x08", 6, false, 0},
        {"\0\0\0\0\2\x12\5", 7, false, 0},
        {"\0\0\0", 3, false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t status;
        bool ok = check_grpc_read_status(str_of(cases[i].bytes, cases[i].len), &status);
        if (ok != cases[i].ok || (ok && status != cases[i].status))
            fail_msg("case %zu", i);
    }
}

static void test_docker_host(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str address;
    bool tcp;
    unsetenv("DOCKER_HOST");
    assert_true(check_docker_host(&address, &tcp, &arena, &e));
    assert_true(!tcp && str_is(address, "/var/run/docker.sock"));
    setenv("DOCKER_HOST", "tcp://10.0.0.1:2375/base", 1);
    assert_true(check_docker_host(&address, &tcp, &arena, &e));
    assert_true(tcp && str_is(address, "10.0.0.1:2375"));
    setenv("DOCKER_HOST", "nothing", 1);
    assert_false(check_docker_host(&address, &tcp, &arena, &e));
    assert_true(str_is(e.text, "unable to parse docker host `nothing`"));
    unsetenv("DOCKER_HOST");
    arena_free(&arena);
}

static void test_output(void **state) {
    struct check_output o = {.limit = 5};
    check_output_add(&o, "abc", 3);
    assert_true(str_is(check_output_tail(&o), "abc"));
    check_output_add(&o, "defg", 4);
    assert_true(str_is(check_output_tail(&o), "cdefg"));
    for (int i = 0; i < 5000; i++)
        check_output_add(&o, "0123456789", 10);
    assert_true(str_is(check_output_tail(&o), "56789"));
    assert_int_equal(o.total, 50007);
    assert_true(o.bytes.cap < 16384);
    check_output_free(&o);
    struct check_output none = {.limit = 0};
    check_output_add(&none, "abc", 3);
    assert_int_equal(check_output_tail(&none).len, 0);
    assert_int_equal(none.total, 3);
    check_output_free(&none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),      cmocka_unit_test(test_parts),
        cmocka_unit_test(test_resolve),     cmocka_unit_test(test_grpc_message),
        cmocka_unit_test(test_docker_host), cmocka_unit_test(test_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
