/* Cloud discovery: entries and their error texts, the signature of requests to Amazon, what is read
 * from the answers of EC2, Kubernetes and mDNS, kubeconfig files and shared credentials. The
 * exchanges themselves are tested against fakes in tests/e2e/test_discover.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/discover.h"
#include "agent/discover_aws.h"
#include "agent/discover_k8s.h"
#include "agent/discover_mdns.h"
#include "agent/discover_sign.h"
#include "agent/discover_xml.h"
#include "agent/discover_yaml.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "net/aws_credentials.h"
#include "net/aws_sign.h"

static struct arena arena;

static void same(struct str s, const char *text) {
    assert_string_equal(str_terminated(&arena, s), text);
}

/* ---- entries ---- */

static void entry_refused(const char *entry, const char *text) {
    struct discover_keys keys;
    struct error e = ERROR_IN(&arena);
    assert_false(discover_parse(str_from(entry), &keys, &arena, &e));
    same(e.text, text);
}

static void test_entries(void **state) {
    (void)state;
    struct discover_keys keys;
    struct error e = ERROR_IN(&arena);
    assert_true(
        discover_parse(STR("provider=aws  \"a b\"=\"c \\\"=\\\\ d\" e=\"\" "), &keys, &arena, &e));
    assert_int_equal(keys.len, 3);
    same(discover_key(&keys, "provider"), "aws");
    same(discover_key(&keys, "a b"), "c \"=\\ d");
    same(discover_key(&keys, "e"), "");
    assert_null(discover_key(&keys, "f").data);
    entry_refused("provider", "discover: provider: missing '='");
    entry_refused("provider=", "discover: provider: missing value");
    entry_refused("provider=a provider=b", "discover: provider: duplicate key");
    entry_refused("provider=\"a", "discover: provider: unbalanced quotes");
    entry_refused("x=a=b", "discover: x: - equals in key's value, enclosing double-quote needed "
                           "x=\"value-with-=-symbol\"");
    assert_string_equal(discover_names(), "aws azure digitalocean gce k8s mdns");
}

static void test_bools(void **state) {
    (void)state;
    struct error e = ERROR_IN(&arena);
    bool b = false;
    assert_true(discover_bool(STR("T"), &b, &e) && b);
    assert_true(discover_bool(STR("0"), &b, &e) && !b);
    assert_false(discover_bool(STR("zz"), &b, &e));
    same(e.text, "strconv.ParseBool: parsing \"zz\": invalid syntax");
}

/* ---- Amazon ---- */

/* The "get-vanilla", "post-x-www-form-urlencoded" and "get-header-value-trim" requests of Amazon's
 * published test suite; signatures worked out with Python's hmac from its documentation. */
static void test_signature(void **state) {
    (void)state;
    struct aws_request r = {.method = "GET",
                            .path = STR("/"),
                            .query = STR(""),
                            .host = STR("example.amazonaws.com"),
                            .body = STR(""),
                            .date = STR("20150830T123600Z"),
                            .region = STR("us-east-1"),
                            .service = STR("service"),
                            .access_key = STR("AKIDEXAMPLE"),
                            .secret_key = STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")};
    same(aws_sign(&r, &arena),
         "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
         "SignedHeaders=host;x-amz-date, "
         "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    r.headers[0] = (struct aws_header){STR("my-header1"), STR(" value1")};
    r.headers[1] = (struct aws_header){STR("my-header2"), STR(" \"a   b   c\"")};
    r.header_count = 2;
    same(aws_sign(&r, &arena),
         "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
         "SignedHeaders=host;my-header1;my-header2;x-amz-date, "
         "Signature=acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
    r.method = "POST";
    r.body = STR("Param1=value1");
    r.headers[0] =
        (struct aws_header){STR("content-type"), STR("application/x-www-form-urlencoded")};
    r.header_count = 1;
    same(aws_sign(&r, &arena),
         "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
         "SignedHeaders=content-type;host;x-amz-date, "
         "Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
    r.session_token = STR("token/with=signs");
    same(aws_sign(&r, &arena),
         "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
         "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
         "Signature=dc95b753912e980659b56ff732dd4774e0eb17bb0eb68d1f81a397fd98c7de4a");
    same(aws_date(1440938160 * SECOND, &arena), "20150830T123600Z");
}

#define INSTANCES                                                                                  \
    "<?xml version=\"1.0\"?><!-- c --><R xmlns=\"x\"><reservationSet><item><instancesSet>"         \
    "<item><instanceId>i-1</instanceId><privateIpAddress>10.0.0.1</privateIpAddress>"              \
    "<ipAddress>54.0.0.1</ipAddress><networkInterfaceSet><item><privateIpAddress>no"               \
    "</privateIpAddress><ipv6AddressesSet><item><ipv6Address>fd00::1</ipv6Address></item>"         \
    "<item><ipv6Address>fd00::2</ipv6Address></item></ipv6AddressesSet></item>"                    \
    "</networkInterfaceSet></item><item><privateIpAddress> 10.0.0.2\n</privateIpAddress></item>"   \
    "</instancesSet></item></reservationSet><nextToken>a&amp;b&#x43;</nextToken></R>"

static void test_instances(void **state) {
    (void)state;
    struct list found = LIST_EMPTY;
    struct str next;
    struct error e = ERROR_IN(&arena);
    assert_true(aws_instances_parse(STR(INSTANCES), STR("private_v4"), &found, &next, &arena, &e));
    assert_int_equal(found.len, 2);
    same(LIST_AT(found, struct str, 0), "10.0.0.1");
    same(LIST_AT(found, struct str, 1), "10.0.0.2");
    same(next, "a&bC");
    found = LIST_EMPTY;
    assert_true(aws_instances_parse(STR(INSTANCES), STR("public_v4"), &found, &next, &arena, &e));
    assert_int_equal(found.len, 1);
    same(LIST_AT(found, struct str, 0), "54.0.0.1");
    found = LIST_EMPTY;
    assert_true(aws_instances_parse(STR(INSTANCES), STR("public_v6"), &found, &next, &arena, &e));
    assert_int_equal(found.len, 2);
    same(LIST_AT(found, struct str, 1), "fd00::2");
}

static void xml_refused(const char *text) {
    struct error e = ERROR_IN(&arena);
    assert_null(xml_parse(str_from(text), &arena, &e));
    assert_true(error_is_set(&e));
}

static void test_xml(void **state) {
    (void)state;
    struct error e = ERROR_IN(&arena);
    const struct xml_element *x =
        xml_parse(STR("<a><b k='>'/><b>&lt;<c/></b><b><![CDATA[<&>]]></b></a>"), &arena, &e);
    assert_non_null(x);
    const struct xml_element *b = xml_child(x, "b");
    same(b->text, "");
    b = xml_next(b, "b");
    same(b->text, "<");
    same(xml_next(b, "b")->text, "<&>");
    assert_null(xml_next(xml_next(b, "b"), "b"));
    xml_refused("");
    xml_refused("<a>");
    xml_refused("<a></b>");
    xml_refused("<a/><b/>");
    xml_refused("text<a/>");
    xml_refused("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>");
    xml_refused("<a>&x;</a>");
    xml_refused("<a>&#xD800;</a>");
    xml_refused("<a b='c>");
    struct buf deep = BUF_INIT;
    for (int i = 0; i < XML_DEPTH_MAX + 1; i++)
        buf_add_text(&deep, "<a>");
    assert_null(xml_parse(buf_str(&deep), &arena, &e));
    assert_true(str_find(e.text, STR("too many elements"), 0) >= 0);
    buf_free(&deep);
}

static void test_credentials(void **state) {
    (void)state;
    struct aws_credentials c;
    struct str file = STR("# mine\n[default]\naws_access_key_id = A\r\naws_secret_access_key=B=\n"
                          "[other]\naws_access_key_id=C\naws_secret_access_key = D\n"
                          "aws_session_token = E\n[half]\naws_access_key_id=F\n");
    assert_true(aws_credentials_parse(file, STR("default"), &c));
    same(c.access_key, "A");
    same(c.secret_key, "B=");
    assert_null(c.session_token.data);
    assert_true(aws_credentials_parse(file, STR("other"), &c));
    same(c.session_token, "E");
    assert_false(aws_credentials_parse(file, STR("half"), &c));
    assert_false(aws_credentials_parse(file, STR("none"), &c));
}

/* ---- Kubernetes ---- */

static const char config[] =
    "apiVersion: v1\nkind: Config\n# a comment\nclusters:\n- cluster:\n    "
    "certificate-authority-data: aGVsbG8=\n    server: https://10.0.0.1:6443 # here\n  name: c1\n"
    "- name: 'c''2'\n  cluster: {server: \"https://x:1/y\", insecure-skip-tls-verify: true}\n"
    "contexts:\n  - context:\n      cluster: c1\n      user: u1\n    name: one\n"
    "  - name: two\n    context:\n      cluster: c'2\n      namespace: ns\n      user: u2\n"
    "current-context: %s\nusers:\n- name: u1\n  user:\n    token: abc\n- name: u2\n  user:\n"
    "    exec:\n      command: aws\n      args: [a, 'b']\n";

static void test_kubeconfig(void **state) {
    (void)state;
    struct k8s_access a;
    struct error e = ERROR_IN(&arena);
    assert_true(k8s_config_parse(str_format(&arena, config, "one"), &a, &arena, &e));
    same(a.server, "https://10.0.0.1:6443");
    same(a.ca_data, "hello");
    same(a.token, "abc");
    assert_false(a.skip_verify);
    assert_false(k8s_config_parse(str_format(&arena, config, "two"), &a, &arena, &e));
    assert_true(str_has_prefix(e.text, STR("exec and auth-provider users are not supported")));
    assert_true(a.skip_verify);
    same(a.namespace, "ns");
    error_clear(&e);
    assert_false(k8s_config_parse(str_format(&arena, config, "none"), &a, &arena, &e));
    same(e.text, "context \"none\" does not exist");
}

/* Written as JSON for comparison; "" for a text that is refused. */
static void yaml_is(const char *text, const char *json) {
    struct value v;
    struct error e = ERROR_IN(&arena);
    struct buf out = BUF_INIT;
    struct json_writer w;
    if (yaml_parse(str_from(text), &v, &arena, &e)) {
        json_begin(&w, &out, false);
        json_value(&w, &v);
    }
    same(out.len > 0 ? buf_str(&out) : STR(""), json);
    buf_free(&out);
}

static void test_yaml(void **state) {
    (void)state;
    yaml_is("", "null");
    yaml_is("---\na: b\n...\n", "{\"a\":\"b\"}");
    yaml_is("a:\n  b: c\n  d:\n  - e\n  - f: g\n    h: i\nj: ~\n",
            "{\"a\":{\"b\":\"c\",\"d\":[\"e\",{\"f\":\"g\",\"h\":\"i\"}]},\"j\":null}");
    yaml_is("- - a\n  - b\n- \"c: \\\"d\\\" # e\"\n-\n  f: true\n",
            "[[\"a\",\"b\"],\"c: \\\"d\\\" # e\",{\"f\":true}]");
    yaml_is("a: |\n  one\n   two\n\n  three\nb: >-\n  x\n  y\n",
            "{\"a\":\"one\\n two\\n\\nthree\\n\",\"b\":\"x y\"}");
    yaml_is("'it''s': 'a: b'\n\"k\": v # c\n", "{\"it's\":\"a: b\",\"k\":\"v\"}");
    yaml_is("a: [b, {c: d}, 'e,f', []]\n", "{\"a\":[\"b\",{\"c\":\"d\"},\"e,f\",[]]}");
    yaml_is("url: http://x:1/#y\n", "{\"url\":\"http://x:1/#y\"}");
    yaml_is("a: *x\n", "");
    yaml_is("a: &x y\n", "");
    yaml_is("a\n", "");
    yaml_is("a: b\n  c: d\n", "");
    yaml_is("a:\n    b: c\n  d: e\n", "");
    yaml_is("a: [b\n", "");
    yaml_is("a: 'b\n", "");
    yaml_is("a: 'b' c\n", "");
    yaml_is("\ta: b\n", "");
}

#define POD(phase, ready, more)                                                                    \
    "{\"metadata\":{" more "},\"spec\":{\"containers\":[{},{\"ports\":[{\"name\":\"serf\","        \
    "\"containerPort\":8301,\"hostPort\":9301}]}]},\"status\":{\"phase\":\"" phase "\","           \
    "\"podIP\":\"10.0.0.1\",\"hostIP\":\"10.9.0.1\",\"conditions\":[{\"type\":\"Initialized\","    \
    "\"status\":\"True\"},{\"type\":\"Ready\",\"status\":\"" ready "\"}]}}"
#define PORT(text) "\"annotations\":{\"hashicorp/consul-auto-join-port\":\"" text "\"}"

static void test_pods(void **state) {
    (void)state;
    struct str text =
        STR("{\"metadata\":{\"continue\":\"more\"},\"items\":[" POD("Running", "True", "") "," POD(
            "Running", "False",
            "") "," POD("Pending", "True",
                        "") "," POD("Running", "True",
                                    PORT("8301")) "," POD("Running", "True",
                                                          PORT("serf")) "," POD("Running", "True",
                                                                                PORT(
                                                                                    "none")) ",{},"
                                                                                             "7]}");
    struct value v;
    struct list found = LIST_EMPTY;
    struct str next;
    struct error e = ERROR_IN(&arena);
    assert_true(json_parse_whole(text, &v, &arena, &e));
    assert_true(k8s_pods_parse(&v, false, &found, &next, &arena, &e));
    assert_int_equal(found.len, 4);
    same(LIST_AT(found, struct str, 0), "10.0.0.1");
    same(LIST_AT(found, struct str, 1), "10.0.0.1:8301");
    same(LIST_AT(found, struct str, 2), "10.0.0.1:8301");
    same(LIST_AT(found, struct str, 3), "10.0.0.1");
    same(next, "more");
    found = LIST_EMPTY;
    assert_true(k8s_pods_parse(&v, true, &found, &next, &arena, &e));
    same(LIST_AT(found, struct str, 0), "10.9.0.1");
    same(LIST_AT(found, struct str, 2), "10.9.0.1:9301");
}

/* ---- mDNS ---- */

struct answer {
    struct buf bytes;
    struct dns_writer w;
};

static void answer_add(struct answer *a, const char *name, uint16_t type, struct str data) {
    struct dns_record r = {.name = dns_name_from_text(str_from(name), &arena),
                           .type = type,
                           .class = DNS_CLASS_IN,
                           .data = data};
    dns_write_record(&a->w, DNS_ANSWER, &r);
}

static struct str srv(const char *host, uint16_t port) {
    struct buf b = BUF_INIT;
    buf_add_be32(&b, 0x00010001);
    buf_add_be16(&b, port);
    buf_add_str(&b, dns_name_from_text(str_from(host), &arena));
    struct str data = str_copy(&arena, buf_str(&b));
    buf_free(&b);
    return data;
}

static void test_mdns(void **state) {
    (void)state;
    struct mdns_answers *all = ARENA_NEW(&arena, struct mdns_answers);
    struct answer a = {0};
    struct list found = LIST_EMPTY;
    struct dns_question q;
    struct error e = ERROR_IN(&arena);
    all->arena = &arena;
    all->service = dns_name_from_text(STR("_consul._tcp.local"), &arena);
    dns_writer_init(&a.w, &a.bytes, NULL, 0, DNS_QR | DNS_AA);
    /* Also when its records come before it; addresses of two kinds; another service's. */
    answer_add(&a, "n1._consul._tcp.local", DNS_TYPE_SRV, srv("h1.local", 8301));
    answer_add(&a, "_Consul._tcp.local", DNS_TYPE_PTR,
               dns_name_from_text(STR("n1._consul._tcp.local"), &arena));
    answer_add(&a, "h1.local", DNS_TYPE_A, STR("\x7f\x00\x00\x01"));
    answer_add(&a, "h1.local", DNS_TYPE_AAAA, str_of("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16));
    answer_add(&a, "_consul._tcp.local", DNS_TYPE_PTR,
               dns_name_from_text(STR("n2._consul._tcp.local"), &arena));
    answer_add(&a, "_other._tcp.local", DNS_TYPE_PTR,
               dns_name_from_text(STR("n3._other._tcp.local"), &arena));
    answer_add(&a, "_consul._tcp.local", DNS_TYPE_PTR,
               dns_name_from_text(STR("n4._other._tcp.local"), &arena));
    assert_true(dns_writer_end(&a.w));
    mdns_take(all, buf_str(&a.bytes));
    mdns_take(all, buf_str(&a.bytes)); /* told twice */
    assert_int_equal(all->instance_count, 2);
    assert_true(mdns_addresses(all, true, true, &found, &e));
    assert_int_equal(found.len, 1);
    same(LIST_AT(found, struct str, 0), "[fd00::1]:8301");
    found = LIST_EMPTY;
    assert_true(mdns_addresses(all, true, false, &found, &e));
    same(LIST_AT(found, struct str, 0), "127.0.0.1:8301");
    /* What is missing is asked for, once. */
    assert_true(mdns_next_question(all, &q));
    assert_int_equal(q.type, DNS_TYPE_SRV);
    same(dns_name_text(q.name, &arena), "n2._consul._tcp.local.");
    assert_false(mdns_next_question(all, &q));
    buf_clear(&a.bytes);
    dns_writer_init(&a.w, &a.bytes, NULL, 0, DNS_QR);
    answer_add(&a, "n2._consul._tcp.local", DNS_TYPE_SRV, srv("h2.local", 1));
    assert_true(dns_writer_end(&a.w));
    mdns_take(all, buf_str(&a.bytes));
    assert_true(mdns_next_question(all, &q));
    same(dns_name_text(q.name, &arena), "h2.local.");
    mdns_take(all, STR("short"));
    buf_free(&a.bytes);
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_entries, teardown),
        cmocka_unit_test_teardown(test_bools, teardown),
        cmocka_unit_test_teardown(test_signature, teardown),
        cmocka_unit_test_teardown(test_instances, teardown),
        cmocka_unit_test_teardown(test_xml, teardown),
        cmocka_unit_test_teardown(test_credentials, teardown),
        cmocka_unit_test_teardown(test_kubeconfig, teardown),
        cmocka_unit_test_teardown(test_yaml, teardown),
        cmocka_unit_test_teardown(test_pods, teardown),
        cmocka_unit_test_teardown(test_mdns, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
