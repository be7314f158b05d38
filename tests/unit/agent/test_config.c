/* The configuration against what the peer was seen to do (config.md 1–3): merging, types, unknown
 * keys, validation texts, flags, files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/config.h"
#include "base/mem.h"

#define BASE "data_dir=\"/nonexistent/x\" node_name=\"n\" bind_addr=\"127.0.0.1\" "

struct loaded {
    struct arena arena;
    struct config_inputs in;
    const struct config *c;
    struct list warnings;
    struct error e;
};

static void setup(struct loaded *l) {
    memset(l, 0, sizeof(*l));
    config_inputs_init(&l->in);
    l->e = ERROR_IN(&l->arena);
}

static void add_fragment(struct loaded *l, const char *text) {
    struct list longer = LIST_NEW(&l->in.arena, struct str, l->in.fragments.len + 1);
    for (uint32_t i = 0; i < l->in.fragments.len; i++)
        LIST_AT(longer, struct str, i) = LIST_AT(l->in.fragments, struct str, i);
    LIST_AT(longer, struct str, l->in.fragments.len) = str_from(text);
    l->in.fragments = longer;
}

static void load(struct loaded *l) {
    l->c = config_load(&l->in, &l->warnings, &l->arena, &l->e);
}

static void teardown(struct loaded *l) {
    config_release(l->c);
    config_inputs_free(&l->in);
    arena_free(&l->arena);
}

static void fails(const char *hcl, const char *expected) {
    struct loaded l;
    setup(&l);
    add_fragment(&l, hcl);
    load(&l);
    if (l.c != NULL)
        fail_msg("accepted: %s", hcl);
    if (!str_is(l.e.text, expected))
        fail_msg("%s\n   gave %.*s\n   not  %s", hcl, (int)l.e.text.len, l.e.text.data, expected);
    teardown(&l);
}

static void loads(struct loaded *l, const char *hcl) {
    setup(l);
    add_fragment(l, BASE);
    add_fragment(l, hcl);
    load(l);
    if (l->c == NULL)
        fail_msg("%s\n   refused: %.*s", hcl, (int)l->e.text.len, l->e.text.data);
}

static bool warned(const struct loaded *l, const char *text) {
    for (uint32_t i = 0; i < l->warnings.len; i++)
        if (str_is(LIST_AT(l->warnings, struct str, i), text))
            return true;
    return false;
}

static void test_defaults(void **state) {
    struct loaded l;
    loads(&l, "");
    const struct config *c = l.c;
    assert_true(str_is(c->datacenter, "dc1"));
    assert_true(str_is(c->primary_datacenter, "dc1"));
    assert_int_equal(c->http_port, 8500);
    assert_int_equal(c->https_port, -1);
    assert_int_equal(c->dns.max_stale, 87600 * HOUR);
    assert_int_equal(c->dns.soa.expire, 86400);
    assert_int_equal(c->limits.kv_max_value_size, 524288);
    assert_int_equal(c->consul_raft_election_timeout, 5 * SECOND);
    assert_true(c->leave_on_term);
    assert_false(c->skip_leave_on_int);
    assert_true(c->http.use_cache);
    assert_int_equal(c->http_addrs.len, 1);
    assert_int_equal(c->ineffective.len, 0);
    assert_int_equal(l.warnings.len, 0);
    teardown(&l);
}

/* Later sources replace the whole block; what it leaves out is the default. */
static void test_part_of_soa(void **state) {
    struct loaded l;
    setup(&l);
    add_fragment(&l, BASE);
    add_fragment(&l, "dns_config { soa { retry = 1 expire = 2 } }");
    add_fragment(&l, "dns_config { soa { min_ttl = 9 } }");
    load(&l);
    assert_non_null(l.c);
    assert_int_equal(l.c->dns.soa.refresh, 3600);
    assert_int_equal(l.c->dns.soa.retry, 600);
    assert_int_equal(l.c->dns.soa.expire, 86400);
    assert_int_equal(l.c->dns.soa.min_ttl, 9);
    teardown(&l);
}

static void test_dev(void **state) {
    struct loaded l;
    setup(&l);
    l.in.dev_mode = true;
    load(&l);
    assert_non_null(l.c);
    assert_true(l.c->server_mode);
    assert_true(l.c->connect_enabled);
    assert_int_equal(l.c->grpc_port, 8502);
    assert_int_equal(l.c->consul_raft_election_timeout, 52 * MILLISECOND);
    assert_int_equal(l.c->consul_coordinate_update_period, 100 * MILLISECOND);
    assert_true(l.c->skip_leave_on_int);
    assert_int_equal(l.c->data_dir.len, 0);
    assert_int_equal(l.c->ineffective.len, 0); /* what only -dev sets is not the user's */
    teardown(&l);
}

/* The example of config.md 1.3. */
static void test_merge(void **state) {
    char a[] = "/tmp/praetor-config-a-XXXXXX.hcl", b[] = "/tmp/praetor-config-b-XXXXXX.hcl";
    int fa = mkstemps(a, 4), fb = mkstemps(b, 4);
    dprintf(fa, BASE "recursors=[\"1.1.1.1\"] node_meta{ a=\"1\" b=\"1\" }\n"
                     "http_config { allow_write_http_from = [\"10.0.0.0/8\"] }");
    dprintf(fb, "recursors=[\"2.2.2.2\"] node_meta{ b=\"2\" c=\"2\" }");
    close(fa);
    close(fb);
    char *argv[] = {"agent",
                    "-config-file",
                    a,
                    "-config-file",
                    b,
                    "-recursor=3.3.3.3",
                    "-node-meta",
                    "c:3",
                    "-node-meta=d",
                    "--datacenter",
                    "DCF",
                    "-allow-write-http-from",
                    "11.0.0.0/8",
                    "-hcl",
                    "recursors=[\"4.4.4.4\"] datacenter=\"dch\"",
                    "-hcl",
                    "node_meta{ c=\"4\" }"};
    struct loaded l;
    bool help;
    int rest;
    setup(&l);
    assert_true(config_parse_flags(&l.in, COUNT_OF(argv), argv, &help, &rest, &l.e));
    assert_int_equal(rest, 0);
    load(&l);
    unlink(a);
    unlink(b);
    if (l.c == NULL)
        fail_msg("%.*s", (int)l.e.text.len, l.e.text.data);
    static const char *const recursors[] = {"3.3.3.3:53", "1.1.1.1:53", "2.2.2.2:53", "4.4.4.4:53"};
    assert_int_equal(l.c->dns.recursors.len, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(str_is(LIST_AT(l.c->dns.recursors, struct str, i), recursors[i]));
    static const char *const meta[][2] = {{"a", "1"}, {"b", "2"}, {"c", "4"}, {"d", ""}};
    assert_int_equal(l.c->node_meta.len, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(str_is(LIST_AT(l.c->node_meta, struct str_pair, i).key, meta[i][0]));
        assert_true(str_is(LIST_AT(l.c->node_meta, struct str_pair, i).value, meta[i][1]));
    }
    assert_true(str_is(l.c->datacenter, "dch"));
    assert_int_equal(l.c->http.allow_write_http_from.len, 2);
    assert_true(str_is(LIST_AT(l.c->http.allow_write_http_from, struct str, 1), "11.0.0.0/8"));
    teardown(&l);
}

static void test_types(void **state) {
    fails("datacenter = 5", "failed to parse flags-0.hcl: 1 error(s) decoding:\n\n* 'datacenter' "
                            "expected type 'string', got "
                            "unconvertible type 'int'");
    fails("recursors = [1, 2]",
          "failed to parse flags-0.hcl: 2 error(s) decoding:\n\n"
          "* 'recursors[0]' expected type 'string', got unconvertible type 'int'\n"
          "* 'recursors[1]' expected type 'string', got unconvertible type 'int'");
    fails("server = \"x\" ports { http = \"y\" }",
          "failed to parse flags-0.hcl: 2 error(s) decoding:\n\n"
          "* 'ports.http' expected type 'int', got unconvertible type 'string'\n"
          "* 'server' expected type 'bool', got unconvertible type 'string'");
    fails("recursors = \"a\"", "failed to parse flags-0.hcl: 1 error(s) decoding:\n\n"
                               "* 'recursors': source data must be an array or slice, got string");
    fails("ports = 1", "failed to parse flags-0.hcl: 1 error(s) decoding:\n\n"
                       "* 'ports' expected a map, got 'int'");
    fails("ports { dns = 1 } ports { http = 1 }",
          "failed to parse flags-0.hcl: 1 error(s) decoding:\n\n* 'ports' expected a map, got "
          "'slice'");
    fails("limits { kv_max_value_size = -1 }",
          "failed to parse flags-0.hcl: 1 error(s) decoding:\n\n"
          "* cannot parse 'limits.kv_max_value_size', -1 overflows uint");
    fails("datacenter { a = 1 } datacenter { b = 2 }",
          "failed to parse flags-0.hcl: 1 error(s) decoding:\n\n* 'datacenter' expected type "
          "'string', got "
          "unconvertible type '[]map[string]interface {}'");
    fails("node_meta { a = 1 }",
          "failed to parse flags-0.hcl: 1 error(s) decoding:\n\n"
          "* 'node_meta[a]' expected type 'string', got unconvertible type 'int'");
    fails("services { check { header { a = 1 } } }",
          "failed to parse flags-0.hcl: 1 error(s) decoding:\n\n"
          "* 'services[0].check.header[a]': source data must be an array or slice, got int");
    struct loaded l;
    loads(
        &l,
        "datacenter = [\"dc7\"] server = [[true]] ports = [{http=1}] recursors = [[\"1.1.1.1\"]]");
    assert_true(str_is(l.c->datacenter, "dc7"));
    assert_int_equal(l.c->http_port, 1);
    teardown(&l);
    loads(&l, "DataCenter = \"dc8\" service { Name = \"a\" Port = 8500.9 check { ScriptArgs = "
              "[\"x\"] interval = \"1s\" } }");
    assert_true(str_is(l.c->datacenter, "dc8"));
    assert_int_equal(LIST_AT(l.c->services, struct service_definition, 0).port, 8500);
    teardown(&l);
}

static void test_unknown_keys(void **state) {
    fails("dns_config { foo = 1 }", "failed to parse flags-0.hcl: 1 error occurred:\n\t* invalid "
                                    "config key dns_config.foo\n\n");
    fails("ui_config { a = 1 } rpc = 5",
          "failed to parse flags-0.hcl: 2 errors occurred:\n"
          "\t* invalid config key rpc\n\t* invalid config key ui_config\n\n");
    fails("services { check { bogus = 1 } }", "failed to parse flags-0.hcl: 1 error occurred:\n\t* "
                                              "invalid config key services[0].check.bogus\n\n");
    fails("service \"web\" { port = 80 }",
          "failed to parse flags-0.hcl: 1 error occurred:\n\t* invalid config key service.web\n\n");
    fails("advertise_addr_wan_ipv6 = \"::1\"",
          "failed to parse flags-0.hcl: 1 error occurred:\n\t* invalid config key "
          "advertise_addr_wan_ipv6\n\n");
    struct loaded l;
    loads(&l, "acl_enforce_version_8 = true");
    assert_true(
        warned(&l, "config key \"acl_enforce_version_8\" is deprecated and should be removed"));
    teardown(&l);
    loads(&l, "non_voting_server = true autopilot { redundancy_zone_tag = \"z\" }");
    assert_int_equal(l.warnings.len, 2);
    assert_true(warned(
        &l, "\"autopilot.redundancy_zone_tag\" is a Consul Enterprise configuration and will "
            "have no effect"));
    teardown(&l);
}

static void test_validation(void **state) {
    fails("", "data_dir cannot be empty");
    fails(BASE "datacenter = \"\"", "datacenter cannot be empty");
    fails(BASE "datacenter = \"a b\"", "datacenter cannot be \"a b\". Please use only [a-z0-9-_]");
    fails(BASE "bootstrap = true", "'bootstrap = true' requires 'server = true'");
    fails(BASE "bootstrap_expect = -1",
          "bootstrap_expect cannot be -1. Must be greater than or equal to zero");
    fails(BASE "bootstrap_expect = 3", "'bootstrap_expect > 0' requires 'server = true'");
    fails(BASE "server = true bootstrap = true bootstrap_expect = 3",
          "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive");
    fails(BASE "check_output_max_size = 0", "check_output_max_size must be positive, to discard "
                                            "check output use the discard_check_output flag");
    fails(BASE "performance { raft_multiplier = 0 }",
          "performance.raft_multiplier cannot be 0. Must be between 1 and 10");
    fails(BASE "ports { http = 70000 }",
          "1 error occurred:\n\t* ports.http: invalid port: 70000\n\n");
    fails(BASE "ports { http = 8300 }",
          "RPC Advertise address 127.0.0.1:8300 already configured for HTTP");
    fails(BASE "client_addr = \"foo\"",
          "1 error occurred:\n\t* client_addr: invalid ip address: foo\n\n");
    fails(BASE "client_addr = \"{{ foo }}\"",
          "1 error occurred:\n\t* client_addr: error parsing \"{{ foo }}\": unable to parse "
          "template \"{{ foo }}\": "
          "template: sockaddr.Parse:1: function \"foo\" not defined\n\n");
    fails("data_dir = \"/x\" bind_addr = \"\"", "bind_addr cannot be empty");
    fails("data_dir = \"/x\" bind_addr = \"1.1.1.1 2.2.2.2\"",
          "bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead.");
    fails("data_dir = \"/x\" bind_addr = \"unix:///x\"", "bind_addr cannot be a unix socket");
    fails(BASE "addresses { dns = \"unix:///x\" }", "DNS address cannot be a unix socket");
    fails(BASE "advertise_addr = \"0.0.0.0\"", "Advertise address cannot be 0.0.0.0, :: or [::]");
    fails(BASE "node_meta { \"a b\" = \"x\" }", "node_meta invalid: Couldn't load metadata pair "
                                                "('a b', 'x'): Key contains invalid characters");
    fails(BASE "encrypt = \"!\"", "encrypt has invalid key: illegal base64 data at input byte 0");
    fails(BASE "serf_lan_allowed_cidrs = [\"x\"]",
          "serf_lan_allowed_cidrs: 1 error occurred:\n\t* invalid cidr: x\n\n");
    fails(BASE "http_config { allow_write_http_from = [\"x\"] }",
          "1 error occurred:\n\t* allow_write_http_from: invalid cidr: x\n\n");
    fails(BASE "cache { entry_fetch_max_burst = 0 }",
          "cache.entry_fetch_max_burst must be strictly positive, was: 0");
    fails(BASE "connect { ca_provider = \"foo\" }", "foo is not a valid CA provider");
    fails(BASE "segment = \"x\"", "Network segments are not supported in this version of Consul");
    fails(BASE "dns_config { a_record_limit = -1 }",
          "dns_config.a_record_limit cannot be -1. Must be greater than or equal to zero");
    fails(BASE "ports { sidecar_min_port = 5 sidecar_max_port = 4 }",
          "sidecar_min_port must be less than sidecar_max_port. To disable, set both to zero.");
    fails(BASE "ui_content_path = \"/v1/\"",
          "ui-content-path cannot have 'v[0-9]'. received: /v1/");
}

static void test_durations(void **state) {
    fails(BASE "session_ttl_min = \"x\"", "1 error occurred:\n\t* session_ttl_min: invalid "
                                          "duration: \"x\": time: invalid duration \"x\"\n\n");
    fails(BASE "gossip_lan { probe_interval = \"5\" }",
          "1 error occurred:\n\t* gossip_lan..probe_interval: invalid duration: \"5\": time: "
          "missing unit in "
          "duration \"5\"\n\n");
    fails(BASE "check { id = \"c\" name = \"c\" ttl = \"1d\" }",
          "1 error occurred:\n\t* check[c].ttl: invalid duration: \"1d\": time: unknown unit \"d\" "
          "in duration "
          "\"1d\"\n\n");
    fails(BASE "dns_config { service_ttl { web = \"x\" } }",
          "1 error occurred:\n\t* dns_config.service_ttl[\"web\"]: invalid duration: \"x\": time: "
          "invalid "
          "duration \"x\"\n\n");
    /* A bad duration discards what was accumulated before. */
    fails(BASE "ports { http = 70000 } session_ttl_min = \"x\"",
          "1 error occurred:\n\t* session_ttl_min: invalid duration: \"x\": time: invalid duration "
          "\"x\"\n\n");
}

static void test_services(void **state) {
    fails(BASE "service { name = \"a\" meta { \"consul-x\" = \"y\" } }",
          "1 error occurred:\n\t* invalid meta for service a: Couldn't load metadata pair "
          "('consul-x', 'y'): Key "
          "prefix 'consul-' is reserved for internal use\n\n");
    fails(BASE "service { name = \"a\" weights { passing = 0 } }",
          "1 error occurred:\n\t* Invalid weight definition for service a: Passing must be greater "
          "than 0\n\n");
    fails(BASE "service { name = \"a\" kind = \"connect-proxy\" }",
          "service \"a\": 2 errors occurred:\n\t* Proxy.DestinationServiceName must be non-empty "
          "for Connect "
          "proxy services\n\t* Port must be set for a Connect proxy\n\n");
    struct loaded l;
    loads(&l, "services { name = \"a\" checks = [{ttl = \"1s\"}] check { ttl = \"2s\" } }\n"
              "service { name = \"b\" tags = [\"x\"] kind = \"zork\" weights { warning = 3 } "
              "tagged_addresses { wan { address = \"1.2.3.4\" port = 5 } } }");
    assert_int_equal(l.c->services.len, 2);
    const struct service_definition *a = &LIST_AT(l.c->services, struct service_definition, 0);
    const struct service_definition *b = &LIST_AT(l.c->services, struct service_definition, 1);
    assert_true(str_is(a->name, "a"));
    assert_int_equal(a->checks.len, 2);
    assert_int_equal(LIST_AT(a->checks, struct check_type *, 0)->ttl, SECOND);
    assert_int_equal(LIST_AT(a->checks, struct check_type *, 1)->ttl, 2 * SECOND);
    assert_int_equal(LIST_AT(a->checks, struct check_type *, 1)->output_max_size, 4096);
    assert_true(str_is(b->kind, ""));
    assert_int_equal(b->weights->passing, 1);
    assert_int_equal(b->weights->warning, 3);
    assert_int_equal(b->tagged_addresses.len, 1);
    teardown(&l);
}

static void test_later(void **state) {
    struct loaded l;
    loads(&l, "retry_join = [\"1.2.3.4\"] acl { enabled = true } enable_agent_tls_for_checks = "
              "true cache { entry_fetch_rate = 5 } ports { "
              "https = -1 } "
              "connect { enabled = false } leave_on_terminate = true");
    static const char *const expected[] = {"cache.entry_fetch_rate"};
    assert_int_equal(l.c->ineffective.len, COUNT_OF(expected));
    for (uint32_t i = 0; i < COUNT_OF(expected); i++)
        assert_true(str_is(LIST_AT(l.c->ineffective, struct str, i), expected[i]));
    teardown(&l);
}

static void test_addresses(void **state) {
    struct loaded l;
    loads(&l,
          "client_addr = \"127.0.0.1 ::1\" addresses { http = \"unix:///run/x.sock 127.0.0.2\" } "
          "advertise_addr_wan = \"10.9.8.7\"");
    assert_int_equal(l.c->client_addrs.len, 2);
    assert_int_equal(l.c->dns_addrs.len, 2);
    assert_int_equal(l.c->http_addrs.len, 2);
    const struct listen_address *http = l.c->http_addrs.items;
    assert_int_equal(http[0].network, LISTEN_UNIX);
    assert_true(str_is(http[0].text, "/run/x.sock"));
    assert_int_equal(http[1].port, 8500);
    static const char *const tagged[][2] = {{"lan", "127.0.0.1"},
                                            {"lan_ipv4", "127.0.0.1"},
                                            {"wan", "10.9.8.7"},
                                            {"wan_ipv4", "10.9.8.7"}};
    assert_int_equal(l.c->tagged_addresses.len, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(str_is(LIST_AT(l.c->tagged_addresses, struct str_pair, i).key, tagged[i][0]));
        assert_true(str_is(LIST_AT(l.c->tagged_addresses, struct str_pair, i).value, tagged[i][1]));
    }
    teardown(&l);
}

static void flag_fails(int argc, char **argv, const char *expected) {
    struct loaded l;
    bool help;
    int rest;
    setup(&l);
    assert_false(config_parse_flags(&l.in, argc, argv, &help, &rest, &l.e));
    if (!str_is(l.e.text, expected))
        fail_msg("%s gave %.*s", argv[1], (int)l.e.text.len, l.e.text.data);
    teardown(&l);
}
#define FLAG_FAILS(expected, ...)                                                                  \
    do {                                                                                           \
        char *argv[] = {"agent", __VA_ARGS__};                                                     \
        flag_fails(COUNT_OF(argv), argv, expected);                                                \
    } while (0)

static void test_flags(void **state) {
    FLAG_FAILS("flag provided but not defined: -foo", "-foo");
    FLAG_FAILS("flag needs an argument: -node", "-node");
    FLAG_FAILS("bad flag syntax: ---x", "---x");
    FLAG_FAILS("bad flag syntax: -=x", "-=x");
    FLAG_FAILS("invalid boolean value \"foo\" for -server: strconv.ParseBool: parsing \"foo\": "
               "invalid syntax",
               "-server=foo");
    FLAG_FAILS("invalid value \"x\" for flag -bootstrap-expect: strconv.Atoi: parsing \"x\": "
               "invalid syntax",
               "-bootstrap-expect=x");
    FLAG_FAILS("invalid value \"99999999999999999999\" for flag -http-port: strconv.Atoi: parsing "
               "\"99999999999999999999\": value out of range",
               "-http-port", "99999999999999999999");
    struct loaded l;
    bool help;
    int rest;
    char *joins[] = {"agent", "-join=1.2.3.4", "-dev", "x", "-y"};
    setup(&l);
    assert_true(config_parse_flags(&l.in, COUNT_OF(joins), joins, &help, &rest, &l.e));
    assert_int_equal(rest, 2);
    assert_true(l.in.dev_mode);
    assert_int_equal(l.in.flag_lists.map.len, 1);
    teardown(&l);
    char *harmless[] = {"agent", "-https-port=-1", "-enable-script-checks=false", "--", "-z"};
    setup(&l);
    assert_true(config_parse_flags(&l.in, COUNT_OF(harmless), harmless, &help, &rest, &l.e));
    assert_int_equal(rest, 1);
    teardown(&l);
}

static void add_path(struct loaded *l, const char *path) {
    l->in.paths = LIST_NEW(&l->in.arena, struct str, 1);
    LIST_AT(l->in.paths, struct str, 0) = str_from(path);
}

static void test_files(void **state) {
    char folder[] = "/tmp/praetor-config-XXXXXX", path[128];
    assert_non_null(mkdtemp(folder));
    struct loaded l;
    snprintf(path, sizeof(path), "%s/b.json", folder);
    FILE *f = fopen(path, "w");
    fputs("{\"datacenter\":\"b\",\"node_name\":null,\"services\":[{\"name\":\"x\",\"port\":1.9}]}",
          f);
    fclose(f);
    snprintf(path, sizeof(path), "%s/.a.hcl", folder);
    f = fopen(path, "w");
    fputs(BASE "datacenter=\"a\"", f);
    fclose(f);
    snprintf(path, sizeof(path), "%s/notes.txt", folder);
    f = fopen(path, "w");
    fclose(f);
    setup(&l);
    add_path(&l, folder);
    load(&l);
    assert_non_null(l.c);
    assert_true(str_is(l.c->datacenter, "b"));
    assert_true(str_is(l.c->node_name, "n"));
    assert_int_equal(l.warnings.len, 1);
    teardown(&l);

    snprintf(path, sizeof(path), "%s/b.json", folder);
    f = fopen(path, "w");
    fputs("[1]", f);
    fclose(f);
    char expected[256];
    snprintf(expected, sizeof(expected),
             "failed to parse %s: json: cannot unmarshal array into Go value of type "
             "map[string]interface {}",
             path);
    setup(&l);
    add_path(&l, path);
    load(&l);
    assert_null(l.c);
    assert_true(str_is(l.e.text, expected));
    teardown(&l);

    setup(&l);
    add_path(&l, "/nonexistent.hcl");
    load(&l);
    assert_true(str_is(
        l.e.text, "config: Open failed on /nonexistent.hcl. open /nonexistent.hcl: no such file "
                  "or directory"));
    teardown(&l);
    setup(&l);
    l.in.config_format = STR("toml");
    load(&l);
    assert_true(str_is(l.e.text, "config: -config-format must be either 'hcl' or 'json'"));
    teardown(&l);
    static const char *const names[] = {"b.json", ".a.hcl", "notes.txt"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_part_of_soa),
        cmocka_unit_test(test_dev),        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_types),      cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_validation), cmocka_unit_test(test_durations),
        cmocka_unit_test(test_services),   cmocka_unit_test(test_later),
        cmocka_unit_test(test_addresses),  cmocka_unit_test(test_flags),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
