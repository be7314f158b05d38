/* complete.c: candidates for lines that a shell hands over, and the shells' start-up files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "unit/cli/run.h"

static void expect(const char *line, const char *candidates) {
    struct buf out = BUF_INIT;
    complete_line(str_from(line), &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, candidates);
    buf_free(&out);
}

static void test_candidates(void **state) {
    expect("consul k", "keygen\nkeyring\nkv\n");
    expect("consul kv ", "delete\nexport\nget\nimport\nput\n");
    expect("consul kv g", "get\n");
    expect("consul acl token ", "clone\ncreate\ndelete\nlist\nread\nupdate\n");
    expect("consul operator  raft\tr", "remove-peer\n");
    expect("consul", "");
    expect("", "");
    expect("k", "keygen\nkeyring\nkv\n"); /* a single word is the last one */
    expect("consul kv get ", "");         /* nothing of its own below a command */
    expect("consul kv -", "");
    expect("consul -", "-help\n-version\n-autocomplete-install\n-autocomplete-uninstall\n");
    expect("consul -ver", "-version\n");
    expect("consul x=k", "keygen\nkeyring\nkv\n"); /* behind the last '=' */
    expect("consul foo kv g", "get\n");            /* unknown words are passed over */
    expect("consul zzz", "");
}

static void test_many_words(void **state) {
    char line[4096] = "consul";
    for (int i = 0; i < 1000; i++)
        strcat(line, " a");
    expect(line, "acl\nagent\n");
}

static void test_environment(void **state) {
    setenv("COMP_LINE", "consul kv get", 1);
    setenv("COMP_POINT", "8", 1);
    struct ran r = RUN("members");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "keygen\nkeyring\nkv\n");
    run_free(&r);
    setenv("COMP_POINT", "x", 1);
    r = RUN("-h"); /* even then */
    assert_string_equal(r.out, "get\n");
    run_free(&r);
    unsetenv("COMP_LINE");
    unsetenv("COMP_POINT");
    r = RUN("-autocomplete-install", "-autocomplete-uninstall");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.err, "Error executing CLI: Either the autocomplete install or uninstall "
                               "flag may be specified, but not both.\n");
    run_free(&r);
}

/* ---- start-up files ---- */

static char home[64];

static char *path(const char *name) {
    static char text[256];
    snprintf(text, sizeof text, "%s/%s", home, name);
    return text;
}

static void put_file(const char *name, const char *text) {
    FILE *file = fopen(path(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void expect_file(const char *name, const char *text) {
    char got[1024] = "";
    FILE *file = fopen(path(name), "r");
    assert_non_null(file);
    got[fread(got, 1, sizeof got - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(got, text);
}

static struct ran install(bool on) {
    struct ran r = {0};
    struct arena arena = ARENA_INIT;
    FILE *err = open_memstream(&r.err, &r.err_len);
    struct cli cli = {.arena = &arena, .out = err, .err = err, .as_consul = true};
    r.code = complete_install_at(&cli, on, home, "/opt/consul");
    fclose(err);
    arena_free(&arena);
    return r;
}

/* One error, or none when what is NULL. */
static void expect_install(bool on, const char *what) {
    struct ran r = install(on);
    char err[256] = "";
    int code = what != NULL;
    if (what != NULL)
        snprintf(err, sizeof err, "Error executing CLI: 1 error occurred:\n\t* %s %s\n\n\n", what,
                 path(".bashrc"));
    assert_int_equal(r.code, code);
    assert_string_equal(r.err, err);
    run_free(&r);
}

static void test_install(void **state) {
    strcpy(home, "/tmp/test_complete_XXXXXX");
    assert_non_null(mkdtemp(home));
    setenv("XDG_CONFIG_HOME", path("config"), 1);
    struct ran r = install(true);
    assert_int_equal(r.code, 1);
    assert_string_equal(r.err, "Error executing CLI: Did not find any shells to install\n");
    run_free(&r);

    put_file(".profile", "one\n"); /* the first of the list that is there counts */
    put_file(".bashrc", "two");
    chmod(path(".bashrc"), 0640);
    expect_install(true, NULL);
    expect_file(".bashrc", "two\ncomplete -C /opt/consul consul\n");
    expect_file(".profile", "one\n");
    struct stat about;
    assert_int_equal(stat(path(".bashrc"), &about), 0);
    assert_int_equal(about.st_mode & 07777, 0640);
    expect_install(true, "already installed in");

    put_file(".zshrc", "z\n");
    mkdir(path("config"), 0755);
    mkdir(path("config/fish"), 0755);
    expect_install(true,
                   "already installed in"); /* where it is missing it is put in spite of that */
    expect_file(".zshrc", "z\n\nautoload -U +X bashcompinit && bashcompinit\n"
                          "complete -o nospace -C /opt/consul consul\n");
    assert_int_equal(access(path("config/fish/completions/consul.fish"), R_OK), 0);

    r = install(true);
    assert_non_null(strstr(r.err, "\n\t* already installed at "));
    run_free(&r);
    expect_install(false, NULL);
    expect_file(".bashrc", "two\n");
    assert_int_not_equal(access(path("config/fish/completions/consul.fish"), R_OK), 0);
    r = install(false);
    assert_int_equal(r.code, 1);
    assert_non_null(strstr(r.err, "3 errors occurred:\n\t* does not installed in /"));
    assert_non_null(strstr(r.err, "config/fish\n\n\n"));
    run_free(&r);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", home);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_candidates),
        cmocka_unit_test(test_many_words),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_install),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
