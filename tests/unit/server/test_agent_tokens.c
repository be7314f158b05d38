/* The agent's own tokens: what is asked for where there is none, what counts as the agent master
 * token, and asking while others set.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/agent_tokens.h"

static void test_own(void **state) {
    struct arena arena = ARENA_INIT;
    struct agent_tokens *t = agent_tokens_new();
    for (int kind = 0; kind < AGENT_TOKEN_KINDS; kind++)
        assert_true(str_is(agent_token(t, kind, &arena), ""));
    assert_true(str_is(agent_token_own(t, &arena), ""));
    assert_true(agent_token_set(t, AGENT_TOKEN_DEFAULT, STR("d")));
    assert_true(str_is(agent_token_own(t, &arena), "d"));
    assert_true(agent_token_set(t, AGENT_TOKEN_AGENT, STR("a")));
    assert_true(str_is(agent_token_own(t, &arena), "a"));
    assert_false(agent_token_set(t, AGENT_TOKEN_AGENT, STR("a")));
    assert_true(agent_token_set(t, AGENT_TOKEN_AGENT, STR("ab")));
    struct str before = agent_token_own(t, &arena);
    assert_true(agent_token_set(t, AGENT_TOKEN_AGENT, STR("")));
    assert_false(agent_token_set(t, AGENT_TOKEN_AGENT, STR_NONE));
    assert_true(str_is(before, "ab")); /* the asker's copy */
    assert_true(str_is(agent_token_own(t, &arena), "d"));
    agent_tokens_free(t);
    agent_tokens_free(NULL);
    arena_free(&arena);
}

static void test_master(void **state) {
    struct agent_tokens *t = agent_tokens_new();
    assert_false(agent_token_is_master(t, STR("")));
    assert_false(agent_token_is_master(t, STR_NONE));
    agent_token_set(t, AGENT_TOKEN_AGENT_MASTER, STR("secret"));
    assert_true(agent_token_is_master(t, STR("secret")));
    static const char *const others[] = {"", "secre", "secret2", "Secret", "secreu"};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_false(agent_token_is_master(t, str_from(others[i])));
    agent_token_set(t, AGENT_TOKEN_AGENT_MASTER, STR(""));
    assert_false(agent_token_is_master(t, STR("secret")));
    assert_false(agent_token_is_master(t, STR("")));
    agent_tokens_free(t);
}

#define ROUNDS 20000

static void *change(void *arg) {
    for (int i = 0; i < ROUNDS; i++)
        agent_token_set(arg, AGENT_TOKEN_DEFAULT,
                        i % 3 == 0   ? STR("")
                        : i % 3 == 1 ? STR("short")
                                     : STR("quite a bit longer than the other"));
    return NULL;
}

/* One of those that were set, whole, at any time. */
static void test_threads(void **state) {
    struct agent_tokens *t = agent_tokens_new();
    pthread_t thread;
    struct arena arena = ARENA_INIT;
    assert_int_equal(pthread_create(&thread, NULL, change, t), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct str got = agent_token_own(t, &arena);
        assert_true(str_is(got, "") || str_is(got, "short") ||
                    str_is(got, "quite a bit longer than the other"));
        if (i % 1000 == 0)
            arena_reset(&arena, 4096);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(str_is(agent_token_own(t, &arena), "short")); /* ROUNDS - 1 is 1 of 3 */
    agent_tokens_free(t);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_master),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
