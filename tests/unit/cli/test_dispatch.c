/* cli.c, help.c, commands.c: which command runs, and what is said when none does (cli.md 1.1, 1.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/cli/run.h"

#define MAIN_HELP                                                                                  \
    "Usage: consul [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n"

static void expect(struct ran r, int code, const char *out_starts, const char *err_starts) {
    assert_int_equal(r.code, code);
    if (strncmp(r.out, out_starts, strlen(out_starts)) != 0)
        assert_string_equal(r.out, out_starts);
    if (strncmp(r.err, err_starts, strlen(err_starts)) != 0)
        assert_string_equal(r.err, err_starts);
    if (*out_starts == '\0')
        assert_string_equal(r.out, "");
    if (*err_starts == '\0')
        assert_string_equal(r.err, "");
    run_free(&r);
}

static void test_no_command(void **state) {
    expect(run_with("consul", NULL, NULL, (char *const[]){NULL}), 127, "", MAIN_HELP);
    expect(RUN("foo"), 127, "", MAIN_HELP);
    expect(RUN("help"), 127, "", MAIN_HELP);
    expect(RUN("--", "members"), 127, "", MAIN_HELP);
    expect(RUN(""), 127, "", MAIN_HELP);
    expect(RUN("-foo"), 127, "", MAIN_HELP);
    expect(RUN("kv get"), 127, "", MAIN_HELP);
    expect(RUN("foo", "-h"), 127, "", MAIN_HELP);
    expect(RUN("-h"), 0, MAIN_HELP, "");
    expect(RUN("-foo", "--help"), 0, MAIN_HELP, "");
}

static void test_groups(void **state) {
    expect(RUN("kv"), 1, "", "Usage: consul kv <subcommand>");
    expect(RUN("kv", "foo"), 1, "", "Usage: consul kv <subcommand>");
    expect(RUN("kv", "get x"), 1, "", "Usage: consul kv <subcommand>");
    expect(RUN("kv", "-h"), 0, "Usage: consul kv <subcommand>", "");
    expect(RUN("operator", "raft"), 1, "", "Usage: consul operator raft <subcommand>");
    expect(RUN("snapshot", "agent"), 1, "", "Usage: consul snapshot <subcommand>");
}

static void test_misplaced_flags(void **state) {
    expect(RUN("-foo", "members"), 1, "",
           "Invalid flags before the subcommand. If these flags are for\n"
           "the subcommand, please put them after the subcommand.\n\nUsage: consul members");
    expect(RUN("-foo", "members", "-h"), 0, "Usage: consul members", "");
    expect(RUN("-foo", "-v"), 0, "Consul v1.8.7\n", "");
}

static void test_help_anywhere(void **state) {
    expect(RUN("kv", "get", "a", "b", "-h"), 0, "Usage: consul kv get", "");
    expect(RUN("kv", "get", "-help"), 0, "Usage: consul kv get", "");
    expect(RUN("-autocomplete-install", "-autocomplete-uninstall", "-h"), 0, "Usage: consul [", "");
    expect(RUN("kv", "get", "--", "-h", "x"), 1, "", "Too many arguments (expected 1, got 2)\n");
}

static void test_flag_errors(void **state) {
    expect(RUN("members", "-zz"), 1, "",
           "flag provided but not defined: -zz\nUsage:\n  -ca-file value\n");
    expect(RUN("intention", "check", "-zz"), 2, "", "flag provided but not defined: -zz\nUsage:\n");
    struct ran r = RUN("operator", "raft", "list-peers", "-zz");
    assert_int_equal(r.code, 1);
    const char *last = "\nFailed to parse args: flag provided but not defined: -zz\n";
    assert_string_equal(r.err + r.err_len - strlen(last), last);
    run_free(&r);
    r = RUN("validate", "-zz");
    last = "\nflag provided but not defined: -zz\n";
    assert_string_equal(r.err + r.err_len - strlen(last), last);
    run_free(&r);
}

static void test_version(void **state) {
    static const char peer[] =
        "Consul v1.8.7\nProtocol 2 spoken by default, understands 2 to 3 (agent will automatically "
        "use protocol >2 when speaking to compatible agents)\n\n";
    struct ran r = RUN("version", "ignored");
    assert_string_equal(r.out, peer);
    run_free(&r);
    r = RUN("--version", "members");
    assert_string_equal(r.out, peer);
    run_free(&r);
    r = run_with("./praetor", NULL, NULL, (char *const[]){"version", NULL});
    assert_string_equal(r.out, peer);
    run_free(&r);
    r = RUN("version", "-format=json");
    assert_string_equal(
        r.out, "{\n   \"Praetor\": \"0.1.0\",\n   \"Version\": \"1.8.7\",\n   \"Revision\": \"\",\n"
               "   \"Prerelease\": \"\",\n   \"RPC\": {\n      \"Default\": 2,\n"
               "      \"Min\": 2,\n      \"Max\": 3\n   }\n}\n");
    run_free(&r);
    expect(RUN("version", "-format=x"), 1, "", "Unknown format: x\n");
}

static void test_matching(void **state) {
    size_t words = 0;
    char *kv[] = {"kv", "get", "x"};
    assert_string_equal(cli_command_match(kv, 3, &words)->name, "kv get");
    assert_int_equal(words, 2);
    char *flag_between[] = {"kv", "-stale", "get"};
    assert_string_equal(cli_command_match(flag_between, 3, &words)->name, "kv");
    assert_int_equal(words, 1);
    char *deep[] = {"operator", "autopilot", "get-config", "x"};
    assert_string_equal(cli_command_match(deep, 4, &words)->name, "operator autopilot get-config");
    assert_int_equal(words, 3);
    char *unknown[] = {"nope"};
    assert_null(cli_command_match(unknown, 1, &words));
    assert_int_equal(words, 1);
}

/* Every command can be found, is sorted, and has a help text in good shape. */
static void test_all_commands(void **state) {
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct command *c = cli_commands[i];
        if (i > 0)
            assert_true(strcmp(cli_commands[i - 1]->name, c->name) < 0);
        assert_ptr_equal(cli_command_find(str_from(c->name)), c);
        assert_true(strncmp(c->usage, c->name, strlen(c->name)) == 0);
        assert_true(c->flag_count == 0 || c->options_size > 0);
        struct buf help = BUF_INIT;
        help_command(c, &help);
        buf_add_char(&help, '\0');
        size_t column = 0;
        for (size_t at = 0; help.data[at] != '\0'; at++) {
            column = help.data[at] == '\n' ? 0 : column + 1;
            if (column > 90)
                fail_msg("%s: a line of the help is too long", c->name);
        }
        assert_true(help.data[help.len - 2] == '\n' && help.data[help.len - 3] != '\n');
        buf_free(&help);
    }
}

static void test_main_list(void **state) {
    static const char *const names[] = {
        "acl",      "agent",       "catalog", "config",    "connect",  "debug",    "event",
        "exec",     "force-leave", "info",    "intention", "join",     "keygen",   "keyring",
        "kv",       "leave",       "lock",    "login",     "logout",   "maint",    "members",
        "monitor",  "operator",    "reload",  "rtt",       "services", "snapshot", "tls",
        "validate", "version",     "watch"};
    struct buf help = BUF_INIT;
    help_main(&help);
    struct str text = buf_str(&help);
    str_cut(&text, '\n'), str_cut(&text, '\n'), str_cut(&text, '\n');
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct str line = str_cut(&text, '\n');
        assert_true(str_has_prefix(line, STR("    ")));
        line = str_sub(line, 4, line.len);
        assert_true(str_eq(str_cut(&line, ' '), str_from(names[i])));
    }
    assert_true(str_eq(text, STR("\n")));
    buf_free(&help);
}

/* ---- hooks ---- */

static int hook_argc;
static char hook_args[256];

static int agent_hook(int argc, char **argv) {
    hook_argc = argc;
    hook_args[0] = '\0';
    for (int i = 0; i < argc; i++) {
        strcat(hook_args, argv[i]);
        strcat(hook_args, "|");
    }
    return 7;
}

static bool validate_hook(char *const *paths, size_t count, const char *format,
                          struct buf *warnings, struct error *e) {
    buf_add_format(warnings, "warning about %s, %zu, %s\n", paths[0], count, format);
    return strcmp(paths[0], "bad") != 0 || error_set(e, ERROR_BAD_REQUEST, "it is bad");
}

static void test_agent_hook(void **state) {
    struct cli_hooks hooks = {.agent = agent_hook};
    struct ran r =
        run_with("consul", &hooks, NULL, (char *const[]){"agent", "-dev", "-zz", "--", "x", NULL});
    assert_int_equal(r.code, 7);
    assert_string_equal(hook_args, "agent|-dev|-zz|--|x|");
    run_free(&r);
    r = run_with("consul", &hooks, NULL, (char *const[]){"agent", "-dev", "-h", NULL});
    assert_string_equal(hook_args, "agent|-h|");
    run_free(&r);
    expect(RUN("agent"), 1, "", "agent is not part of this build\n");
}

static void test_validate_hook(void **state) {
    struct cli_hooks hooks = {.validate = validate_hook};
    expect(run_with("consul", &hooks, NULL, (char *const[]){"validate", "a", "b", NULL}), 0,
           "Configuration is valid!\n", "warning about a, 2, \n");
    expect(run_with("consul", &hooks, NULL,
                    (char *const[]){"validate", "-quiet", "-config-format=hcl", "a", NULL}),
           0, "", "");
    expect(run_with("consul", &hooks, NULL, (char *const[]){"validate", "bad", NULL}), 1, "",
           "Config validation failed: it is bad\n");
    expect(RUN("validate"), 1, "", "Must specify at least one config file or directory\n");
    expect(RUN("validate", "-config-format=x", "a"), 1, "",
           "-config-format must be either 'hcl' or 'json\n");
}

int main(void) {
    unsetenv("COMP_LINE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_command),      cmocka_unit_test(test_groups),
        cmocka_unit_test(test_misplaced_flags), cmocka_unit_test(test_help_anywhere),
        cmocka_unit_test(test_flag_errors),     cmocka_unit_test(test_version),
        cmocka_unit_test(test_matching),        cmocka_unit_test(test_all_commands),
        cmocka_unit_test(test_main_list),       cmocka_unit_test(test_agent_hook),
        cmocka_unit_test(test_validate_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
