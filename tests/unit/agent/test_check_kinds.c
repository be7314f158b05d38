/* The one gRPC message that comes in, and where the Docker engine is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/check_run.h"
#include "base/mem.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grpc_message),
        cmocka_unit_test(test_docker_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
