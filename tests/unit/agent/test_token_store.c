/* The agent's own tokens between configuration, API and file (acl.md 3.3): the peer's format to the
 * byte, which token wins at start and on reload, files that cannot be read or written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/token_store.h"
#include "base/mem.h"

struct bench {
    struct agent_tokens *tokens;
    struct token_store *store;
    struct config config;
    char folder[32], path[64];
    struct arena arena;
    struct error e;
};

static void open_bench(struct bench *b, bool persistence) {
    *b = (struct bench){.arena = ARENA_INIT};
    strcpy(b->folder, "/tmp/tokensXXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof b->path, "%s/acl-tokens.json", b->folder);
    b->tokens = agent_tokens_new();
    b->store = token_store_new(b->tokens);
    b->config.data_dir = str_from(b->folder);
    b->config.acl.enable_token_persistence = persistence;
    b->e = ERROR_IN(&b->arena);
}

static void close_bench(struct bench *b) {
    token_store_free(b->store);
    agent_tokens_free(b->tokens);
    arena_free(&b->arena);
    unlink(b->path);
    assert_int_equal(rmdir(b->folder), 0); /* nothing else is left behind */
}

static void put_file(const struct bench *b, const char *text) {
    FILE *file = fopen(b->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_file(const struct bench *b, const char *expected) {
    char text[512] = "";
    FILE *file = fopen(b->path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
    struct stat info;
    assert_int_equal(stat(b->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void assert_token(struct bench *b, enum agent_token_kind kind, const char *expected) {
    assert_true(str_is(agent_token(b->tokens, kind, &b->arena), expected));
}

static void set(struct bench *b, enum agent_token_kind kind, const char *secret) {
    bool changed;
    assert_true(token_store_set(b->store, kind, str_from(secret), &changed, &b->e));
}

static void test_names(void **state) {
    enum agent_token_kind kind;
    static const struct {
        const char *name;
        enum agent_token_kind kind;
    } known[] = {
        {"default", AGENT_TOKEN_DEFAULT},
        {"acl_token", AGENT_TOKEN_DEFAULT},
        {"agent", AGENT_TOKEN_AGENT},
        {"acl_agent_token", AGENT_TOKEN_AGENT},
        {"agent_master", AGENT_TOKEN_AGENT_MASTER},
        {"acl_agent_master_token", AGENT_TOKEN_AGENT_MASTER},
        {"replication", AGENT_TOKEN_REPLICATION},
        {"acl_replication_token", AGENT_TOKEN_REPLICATION},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_true(token_kind_find(str_from(known[i].name), &kind));
        assert_int_equal(kind, known[i].kind);
    }
    static const char *const unknown[] = {"", "master", "Default", "default/x", "defaul"};
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        assert_false(token_kind_find(str_from(unknown[i]), &kind));
}

static void test_file_format(void **state) {
    struct bench b;
    open_bench(&b, true);
    token_store_load(b.store, &b.config);
    assert_int_not_equal(access(b.path, F_OK), 0); /* nothing is written before there is a token */
    set(&b, AGENT_TOKEN_AGENT, "a2");
    assert_file(&b, "{\"agent\":\"a2\"}");
    set(&b, AGENT_TOKEN_DEFAULT, "d1");
    set(&b, AGENT_TOKEN_AGENT_MASTER, "am3");
    set(&b, AGENT_TOKEN_REPLICATION, "r2");
    assert_file(&b, "{\"replication\":\"r2\",\"agent_master\":\"am3\",\"default\":\"d1\",\"agent\":"
                    "\"a2\"}");
    set(&b, AGENT_TOKEN_DEFAULT, "");
    set(&b, AGENT_TOKEN_AGENT, "");
    set(&b, AGENT_TOKEN_AGENT_MASTER, "");
    assert_file(&b, "{\"replication\":\"r2\"}");
    set(&b, AGENT_TOKEN_REPLICATION, "");
    assert_file(&b, "{}");
    close_bench(&b);
}

/* What the configuration says stays out of the file, and comes back when the API's is gone. */
static void test_configured(void **state) {
    struct bench b;
    open_bench(&b, true);
    b.config.acl.token_default = STR("configured");
    b.config.acl.token_agent_master = STR("cm");
    token_store_load(b.store, &b.config);
    assert_token(&b, AGENT_TOKEN_DEFAULT, "configured");
    set(&b, AGENT_TOKEN_AGENT, "a");
    assert_file(&b, "{\"agent\":\"a\"}");
    set(&b, AGENT_TOKEN_DEFAULT, "set");
    token_store_load(b.store, &b.config);
    assert_token(&b, AGENT_TOKEN_DEFAULT, "set");
    set(&b, AGENT_TOKEN_DEFAULT, "");
    assert_token(&b, AGENT_TOKEN_DEFAULT, "");
    token_store_load(b.store, &b.config);
    assert_token(&b, AGENT_TOKEN_DEFAULT, "configured");
    assert_token(&b, AGENT_TOKEN_AGENT_MASTER, "cm");
    close_bench(&b);
}

static void test_restart(void **state) {
    struct bench b;
    open_bench(&b, true);
    put_file(&b, "{\"replication\":\"r\",\"default\":\"d\",\"Agent\":\"a\",\"nonsense\":1}");
    b.config.acl.token_default = STR("configured");
    assert_true(token_store_load(b.store, &b.config));
    assert_false(token_store_load(b.store, &b.config)); /* nothing new */
    assert_token(&b, AGENT_TOKEN_DEFAULT, "d");
    assert_token(&b, AGENT_TOKEN_AGENT, "a");
    assert_token(&b, AGENT_TOKEN_REPLICATION, "r");
    set(&b, AGENT_TOKEN_AGENT_MASTER, "m");
    assert_file(&b, "{\"replication\":\"r\",\"agent_master\":\"m\",\"default\":\"d\",\"agent\":"
                    "\"a\"}");
    close_bench(&b);
}

static void test_not_kept(void **state) {
    struct bench b;
    open_bench(&b, false);
    put_file(&b, "{\"default\":\"d\"}");
    b.config.acl.token_agent = STR("configured");
    token_store_load(b.store, &b.config);
    assert_token(&b, AGENT_TOKEN_DEFAULT, "");
    set(&b, AGENT_TOKEN_DEFAULT, "x");
    set(&b, AGENT_TOKEN_AGENT, "y");
    assert_token(&b, AGENT_TOKEN_AGENT, "y");
    b.config.acl.enable_token_persistence = true; /* is not reloadable */
    assert_true(token_store_load(b.store, &b.config));
    assert_token(&b, AGENT_TOKEN_DEFAULT, "");
    assert_token(&b, AGENT_TOKEN_AGENT, "configured");
    assert_int_equal(chmod(b.path, 0600), 0);
    assert_file(&b, "{\"default\":\"d\"}");
    close_bench(&b);
}

/* Only the default and the agent token are of interest to anti-entropy. */
static void test_changes(void **state) {
    struct bench b;
    bool changed;
    open_bench(&b, false);
    token_store_load(b.store, &b.config);
    assert_true(token_store_set(b.store, AGENT_TOKEN_DEFAULT, STR("x"), &changed, &b.e));
    assert_true(changed);
    assert_true(token_store_set(b.store, AGENT_TOKEN_DEFAULT, STR("x"), &changed, &b.e));
    assert_false(changed);
    assert_true(token_store_set(b.store, AGENT_TOKEN_REPLICATION, STR("x"), &changed, &b.e));
    assert_false(changed);
    close_bench(&b);
}

/* What cannot be read is as if it were not there; what a wrong field leaves readable counts. */
static void test_damaged(void **state) {
    static const struct {
        const char *text, *by_default;
    } cases[] = {
        {"", "configured"},
        {"{bad", "configured"},
        {"[]", "configured"},
        {"null", "configured"},
        {"{\"default\":\"zz\"} trailing", "configured"},
        {"{\"default\":\"x\",\"agent\":5}", "x"},
        {"{\"default\":\"\"}", "configured"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bench b;
        open_bench(&b, true);
        b.config.acl.token_default = STR("configured");
        put_file(&b, cases[i].text);
        token_store_load(b.store, &b.config);
        assert_token(&b, AGENT_TOKEN_DEFAULT, cases[i].by_default);
        assert_token(&b, AGENT_TOKEN_AGENT, "");
        close_bench(&b);
    }
}

static void test_decoder_texts(void **state) {
    struct arena arena = ARENA_INIT;
    struct str secrets[AGENT_TOKEN_KINDS];
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "unexpected end of JSON input"},
        {"{\"agent\":5}",
         "json: cannot unmarshal number into Go struct field persistedTokens.agent of type string"},
        {"[]", "json: cannot unmarshal array into Go value of type agent.persistedTokens"},
        {"{} t", "invalid character 't' after top-level value"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        assert_false(token_file_parse(str_from(cases[i].text), secrets, &arena, &e));
        assert_true(str_is(e.text, cases[i].error));
    }
    arena_free(&arena);
}

static void test_unwritable(void **state) {
    struct bench b;
    bool changed;
    open_bench(&b, true);
    token_store_load(b.store, &b.config);
    assert_int_equal(mkdir(b.path, 0700), 0);
    assert_false(token_store_set(b.store, AGENT_TOKEN_DEFAULT, STR("x"), &changed, &b.e));
    assert_true(str_has_prefix(b.e.text, STR("Failed to persist tokens - rename ")));
    assert_true(str_find(b.e.text, STR("x\""), 0) < 0);
    assert_token(&b, AGENT_TOKEN_DEFAULT, "x"); /* as the peer: in force all the same */
    assert_true(changed);
    assert_int_equal(rmdir(b.path), 0);
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_file_format),
        cmocka_unit_test(test_configured), cmocka_unit_test(test_restart),
        cmocka_unit_test(test_not_kept),   cmocka_unit_test(test_changes),
        cmocka_unit_test(test_damaged),    cmocka_unit_test(test_decoder_texts),
        cmocka_unit_test(test_unwritable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
