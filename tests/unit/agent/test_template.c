/* Templates of addresses (config.md 1.8) against what the peer answered; and that no template can
 * take for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "agent/template.h"
#include "base/arena.h"
#include "base/mem.h"
#include "template_cases.h"

#define PLAIN (IFF_UP | IFF_BROADCAST | IFF_MULTICAST)

static const struct {
    const char *name;
    unsigned index, mtu, flags;
    const char *address;
    unsigned prefix;
} interfaces[] = {
    {"lo", 1, 65536, IFF_UP | IFF_LOOPBACK, "127.0.0.1", 8},
    {"lo", 1, 65536, IFF_UP | IFF_LOOPBACK, "::1", 128},
    {"br0", 2, 1500, PLAIN, "10.0.0.5", 8},
    {"br0", 2, 1500, PLAIN, "10.1.0.5", 24},
    {"br0", 2, 1500, PLAIN, "2001:4860::5", 64},
    {"br0", 2, 1500, PLAIN, "fd00:1::5", 64},
    {"v1", 3, 1500, IFF_BROADCAST | IFF_MULTICAST, "10.9.9.9", 24},
    {"v0", 4, 1500, PLAIN, "192.168.7.3", 24},
    {"v0", 4, 1500, PLAIN, "8.8.4.4", 24},
    {"v0", 4, 1500, PLAIN, "100.64.1.1", 10},
    {"v0", 4, 1500, PLAIN, "169.254.1.1", 16},
    {"v0", 4, 1500, PLAIN, "172.16.0.9", 12},
    {"v0", 4, 1500, PLAIN, "9.9.9.9", 32},
    {"v0", 4, 1500, PLAIN, "2600::9", 48},
};

static void fill_machine(struct machine *m, struct machine_address *addresses) {
    *m = (struct machine){addresses, COUNT_OF(interfaces), true};
    for (size_t i = 0; i < m->len; i++) {
        struct machine_address *a = &addresses[i];
        memset(a, 0, sizeof(*a));
        snprintf(a->name, sizeof(a->name), "%s", interfaces[i].name);
        a->index = interfaces[i].index;
        a->mtu = interfaces[i].mtu;
        a->flags = interfaces[i].flags;
        a->v6 = strchr(interfaces[i].address, ':') != NULL;
        inet_pton(a->v6 ? AF_INET6 : AF_INET, interfaces[i].address, a->bytes);
        a->prefix = interfaces[i].prefix;
        a->is_default = a->index == 2;
        a->has_hardware = a->index > 1;
        a->hardware[0] = 2;
        a->hardware[5] = a->index == 2 ? 1 : a->index == 3 ? 3 : 2;
    }
}

/* What the peer was seen to do, up to the first blank. */
static void test_peer(void **state) {
    struct machine m;
    struct machine_address addresses[COUNT_OF(interfaces)];
    (void)state;
    fill_machine(&m, addresses);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        struct str text = str_format(&arena, "x%s", cases[i].text), out;
        struct str quoted = str_quote(&arena, text);
        bool ok = template_expand(text, &m, &out, &arena, &e);
        struct str got = ok ? out : e.text;
        for (size_t j = 0; ok && j < got.len; j++)
            if (strchr(" \t\n", got.data[j]) != NULL)
                got.len = j;
        ptrdiff_t at = ok ? -1 : str_find(got, quoted, 0);
        if (at >= 0)
            got = str_format(&arena, STR_FMT "@" STR_FMT, (int)at, got.data,
                             STR_ARG(str_sub(got, (size_t)at + quoted.len, SIZE_MAX)));
        if (!str_is(got, cases[i].expected))
            fail_msg("%s\n   gave %.*s\n   not  %s", cases[i].text, (int)got.len, got.data,
                     cases[i].expected);
        arena_free(&arena);
    }
}

static void refused(const char *text) {
    struct machine m;
    struct machine_address addresses[COUNT_OF(interfaces)];
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str out;
    fill_machine(&m, addresses);
    assert_false(template_expand(str_from(text), &m, &out, &arena, &e));
    assert_true(e.text.len > 0);
    arena_free(&arena);
}

/* What would take for ever, or all memory, is refused. */
static void test_limits(void **state) {
    (void)state;
    refused("{{ range . }}{{ range $ }}{{ range $ }}{{ range $ }}{{ range $ }}{{ range $ }}"
            "{{ range $ }}x{{ end }}{{ end }}{{ end }}{{ end }}{{ end }}{{ end }}{{ end }}");
    refused("{{ $x := \"0123456789\" }}{{ range . }}{{ range $ }}{{ $x = print $x $x }}"
            "{{ end }}{{ end }}");
    char deep[4096] = "{{ ";
    memset(deep + 3, '(', 1000);
    strcpy(deep + 1003, "1");
    memset(deep + 1004, ')', 1000);
    strcpy(deep + 2004, " }}");
    refused(deep);
}

static void expect_rendered(const char *text, const char *expected) {
    static const struct template_field fields[] = {
        {"ID", .text = STR_INIT("web")},
        {"None", .text = STR_INIT("")},
        {"TLS", .is_bool = true, .boolean = true},
    };
    static const struct template_record record = {"*x.Args", fields, COUNT_OF(fields)};
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str out;
    bool ok = template_render(str_from(text), "boot", &record, &out, &arena, &e);
    struct str got = ok ? out : e.text;
    if (!str_is(got, expected))
        fail_msg("%s\n   gave %.*s\n   not  %s", text, STR_ARG(got), expected);
    arena_free(&arena);
}

/* Templates over named fields, as the peer carries them out. */
static void test_fields(void **state) {
    (void)state;
    expect_rendered("plain", "plain");
    expect_rendered("", "");
    expect_rendered("<{{ .ID }}|{{.None}}|{{ .TLS }}>", "<web||true>");
    expect_rendered(
        "{{ if .TLS }}a{{ else }}b{{ end }}{{ with .None }}c{{ else }}{{ .ID }}{{ end }}", "aweb");
    expect_rendered("{{ $x := .ID }}{{ $x | printf \"%q\" }}", "\"web\"");
    expect_rendered("{{ \"<a'b\\\"&=\\u2028\\n>\" | js }}",
                    "\\u003Ca\\'b\\\"\\u0026\\u003D\\u2028\\u000A\\u003E");
    expect_rendered("{{ \"<a'b\\\"&>\" | html }}", "&lt;a&#39;b&#34;&amp;&gt;");
    expect_rendered("{{ \"a b&=/?~\" | urlquery }}", "a+b%26%3D%2F%3F~");
    expect_rendered("{{ . }}", "{web  true}");
    expect_rendered("{{ printf \"%v\" . }}", "&{web  true}");
    expect_rendered("{{ .Nope }}",
                    "template: boot:1:3: executing \"boot\" at <.Nope>: can't evaluate "
                    "field Nope in type *x.Args");
    expect_rendered("\n{{ .ID.X }}",
                    "template: boot:2:6: executing \"boot\" at <.ID.X>: can't evaluate "
                    "field X in type string");
    expect_rendered("{{ GetPrivateIP }}",
                    "template: boot:1: function \"GetPrivateIP\" not defined");
    expect_rendered(
        "{{ define \"x\" }}<{{ . }}>{{ end }}{{ template \"x\" .ID }}{{ template `x` 5 }}",
        "<web><5>");
    expect_rendered("{{ block \"b\" .ID }}{{ $ }}{{ end }}{{ template \"b\" .TLS }}", "webtrue");
    expect_rendered(
        "{{ define \"x\" }}{{ .Nope }}{{ end }}{{ template \"x\" . }}",
        "template: boot:1:19: executing \"x\" at <.Nope>: can't evaluate field Nope in type "
        "*x.Args");
    expect_rendered(
        "{{ template \"x\" .ID }}",
        "template: boot:1:12: executing \"boot\" at <{{template \"x\" .ID}}>: template \"x\" "
        "not defined");
    expect_rendered(
        "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
        "template: boot:1:28: executing \"x\" at <{{template \"x\"}}>: exceeded maximum "
        "template depth (100000)");
    expect_rendered("{{ define \"x\" }}1{{ end }}{{ define \"x\" }}2{{ end }}",
                    "template: boot:1: template: multiple definition of template \"x\"");
    expect_rendered("{{ if 1 }}{{ define \"x\" }}{{ end }}{{ end }}",
                    "template: boot:1: unexpected <define> in command");
    expect_rendered("{{ $a := 1 }}{{ define \"x\" }}{{ $a }}{{ end }}",
                    "template: boot:1: undefined variable \"$a\"");
    expect_rendered("{{ .ID\n}}", "template: boot:1: unclosed action");
    expect_rendered("{{ .ID", "template: boot:1: unclosed action");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
