/* client.c, settings.c, transport.c and commands on top of them, against an agent that answers what
 * the test says: what is sent, and the texts of what goes wrong (cli.md 1.4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "unit/cli/fake_agent.h"
#include "unit/cli/run.h"

#define OK(body) "HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nConnection: close\r\n\r\n" body
#define STATUS(status, body) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body

static struct fake_agent agent;

static void expect(struct ran r, int code, const char *out, const char *err) {
    assert_int_equal(r.code, code);
    assert_string_equal(r.out, out);
    assert_string_equal(r.err, err);
    run_free(&r);
}

/* The error names the request: `Get "http://ADDRESS/PATH": WHY` */
static void expect_transport(struct ran r, const char *before, const char *path, const char *why) {
    char text[512];
    snprintf(text, sizeof text, "%s\"http://%s%s\": %s\n", before, agent.address, path, why);
    expect(r, 1, "", text);
}

static void expect_line(size_t request, const char *line) {
    fake_join(&agent);
    assert_true(request < agent.request_count);
    char *text = agent.requests[request];
    if (strncmp(text, line, strlen(line)) != 0)
        assert_string_equal(text, line);
}

static void expect_header(size_t request, const char *header, bool there) {
    char line[256];
    snprintf(line, sizeof line, "\r\n%s", header);
    assert_int_equal(strcasestr(agent.requests[request], line) != NULL, there);
}

/* ---- what is sent ---- */

static void test_get(void **state) {
    FAKE_START(&agent, OK("[{\"Key\":\"a b\",\"Value\":\"aGkA\",\"Flags\":0}]"));
    struct ran r = RUN("kv", "get", "-token=secret", "-datacenter=d 2", "-stale", "/a b?c/../d");
    assert_int_equal(r.code, 0);
    assert_int_equal(r.out_len, 4);
    assert_memory_equal(r.out, "hi\0\n", 4); /* bytes as they are */
    run_free(&r);
    expect_line(0, "GET /v1/kv/a%20b%3Fc/../d?dc=d+2&stale= HTTP/1.1\r\n");
    expect_header(0, "X-Consul-Token: secret\r\n", true);
    expect_header(0, "Accept-Encoding:", false); /* the peer cannot be asked to compress */
    char host[80];
    snprintf(host, sizeof host, "Host: %s\r\n", agent.address);
    expect_header(0, host, true);
    fake_free(&agent);
}

static void test_put(void **state) {
    FAKE_START(&agent, OK("true"), OK("true"), OK("false"), OK("true"));
    expect(RUN("kv", "put", "-flags=0x10", "k", "va lue"), 0, "Success! Data written to: k\n", "");
    expect(RUN("kv", "put", "k"), 0, "Success! Data written to: k\n", "");
    expect(RUN("kv", "put", "-cas", "-modify-index=3", "k", "v"), 1, "",
           "Error! Did not write to k: CAS failed\n");
    expect(run_with("consul", NULL,
                    "aGVs!bG8=", (char *const[]){"kv", "put", "-base64", "k", "-", NULL}),
           0, "Success! Data written to: k\n",
           "Error! Cannot base 64 decode data: illegal base64 data at input byte 4\n");
    expect_line(0, "PUT /v1/kv/k?flags=16 HTTP/1.1\r\n");
    assert_string_equal(strstr(agent.requests[0], "\r\n\r\n") + 4, "va lue");
    expect_header(0, "Content-Type:", false);
    expect_header(1, "Content-Length: 0\r\n", true);
    assert_true(strncmp(agent.requests[2], "PUT /v1/kv/k?cas=3 ", 19) == 0);
    assert_string_equal(strstr(agent.requests[3], "\r\n\r\n") + 4, "hel");
    fake_free(&agent);
}

static void test_credentials(void **state) {
    char file[] = "/tmp/test_client_XXXXXX";
    int fd = mkstemp(file);
    assert_int_equal(write(fd, " from file \n", 12), 12);
    close(fd);
    setenv("CONSUL_HTTP_AUTH", "user:pa:ss", 1);
    setenv("CONSUL_NAMESPACE", "n", 1);
    setenv("CONSUL_HTTP_TOKEN", "of environment", 1);
    setenv("CONSUL_HTTP_TOKEN_FILE", "/nonexistent", 1);
    FAKE_START(&agent, OK("[]"), OK("[]"), OK("[]"));
    struct ran r = RUN("catalog", "datacenters", "-token=t", "-token-file", file);
    run_free(&r);
    r = RUN("catalog", "services", "-namespace=", "-token=", "-token-file=", "-stale");
    run_free(&r);
    expect(RUN("catalog", "services"), 1, "",
           "Error connecting to Consul agent: Error loading token file: open /nonexistent: "
           "no such file or directory\n");
    unsetenv("CONSUL_HTTP_TOKEN_FILE");
    r = RUN("catalog", "services", "-namespace=other");
    run_free(&r);
    struct ran split = RUN("catalog", "services", "-token=a\r\nX-Other: b");
    assert_int_equal(split.code, 1);
    assert_non_null(
        strstr(split.err, ": net/http: invalid header field value for key X-Consul-Token\n"));
    run_free(&split);
    unsetenv("CONSUL_HTTP_AUTH");
    unsetenv("CONSUL_NAMESPACE");
    unsetenv("CONSUL_HTTP_TOKEN");
    unlink(file);
    expect_line(0, "GET /v1/catalog/datacenters?ns=n HTTP/1.1\r\n");
    expect_header(0, "Authorization: Basic dXNlcjpwYTpzcw==\r\n", true);
    expect_header(0, "X-Consul-Token: from file\r\n", true);
    expect_line(1, "GET /v1/catalog/services HTTP/1.1\r\n"); /* stale is not for this one */
    expect_header(1, "X-Consul-Token: of environment\r\n", true);
    expect_line(2, "GET /v1/catalog/services?ns=other HTTP/1.1\r\n");
    fake_free(&agent);
}

static void test_many_parameters(void **state) {
    char *args[244] = {"catalog", "nodes"};
    static char more[] = "-node-meta=more=v";
    for (int i = 2; i < 242; i++) {
        args[i] = calloc(1, 32);
        snprintf(args[i], 32, "-node-meta=k%d=v", i);
    }
    FAKE_START(&agent, OK("[]"));
    struct ran r = run_with("consul", NULL, NULL, args);
    assert_int_equal(r.code, 0);
    run_free(&r);
    expect_line(0, "GET /v1/catalog/nodes?node-meta=k2%3Av&node-meta=k3%3Av&");
    fake_free(&agent);
    args[242] = more;
    expect(run_with("consul", NULL, NULL, args), 1, "",
           "Too many -node-meta flags (at most 240)\n");
    args[242] = NULL;
    for (int i = 2; i < 242; i++)
        free(args[i]);
}

/* ---- what goes wrong ---- */

static void test_statuses(void **state) {
    FAKE_START(&agent, STATUS("500 Internal Server Error", "rpc error:\nmore"),
               STATUS("500 Internal Server Error", "body"), STATUS("404 Not Found", ""),
               STATUS("403 Forbidden", "Permission denied"), OK("{nonsense"), OK("[]"));
    expect(RUN("catalog", "services"), 1, "",
           "Error listing services: Unexpected response code: 500 (rpc error:\nmore)\n");
    expect(RUN("kv", "get", "a"), 1, "",
           "Error querying Consul agent: Unexpected response code: 500\n");
    expect(RUN("kv", "get", "/a"), 1, "", "Error! No key exists at: a\n");
    expect(RUN("kv", "delete", "a"), 1, "",
           "Error deleting key a: Unexpected response code: 403 (Permission denied)\n");
    expect(RUN("catalog", "datacenters"), 1, "",
           "Error listing datacenters: invalid character 'n' looking for beginning of object key "
           "string\n");
    expect(RUN("catalog", "nodes"), 0, "",
           "No nodes match the given query - try expanding your search.\n");
    fake_join(&agent);
    fake_free(&agent);
}

static void test_transport(void **state) {
    FAKE_START(&agent, "", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[", "nonsense\r\n\r\n");
    expect_transport(RUN("catalog", "services"), "Error listing services: Get ",
                     "/v1/catalog/services", "EOF");
    expect(RUN("catalog", "services"), 1, "", "Error listing services: unexpected EOF\n");
    expect_transport(RUN("catalog", "services"), "Error listing services: Get ",
                     "/v1/catalog/services",
                     "net/http: HTTP/1.x transport connection broken: malformed HTTP response");
    fake_join(&agent);
    fake_free(&agent);

    char why[128]; /* nobody listens any more */
    snprintf(why, sizeof why, "dial tcp %s: connect: connection refused", agent.address);
    expect_transport(RUN("kv", "delete", "-recurse", "x y"),
                     "Error! Did not delete prefix x y: Delete ", "/v1/kv/x%20y?recurse=", why);
    expect(
        RUN("members", "-http-addr=127.49.0.20:99999"), 1, "",
        "Error retrieving members: Get \"http://127.49.0.20:99999/v1/agent/members?segment=_all\": "
        "dial tcp: address 99999: invalid port\n");
    expect(
        RUN("members", "-http-addr=127.49.0.20:1/"), 1, "",
        "Error retrieving members: Get \"http://127.49.0.20:1%2F/v1/agent/members?segment=_all\": "
        "dial tcp: lookup 127.49.0.20:1/: no such host\n");
    expect(
        RUN("members", "-http-addr=http://"), 1, "",
        "Error retrieving members: Get \"http:///v1/agent/members?segment=_all\": http: no Host in "
        "request URL\n");
    expect(
        RUN("members", "-http-addr=unix:///nope.sock"), 1, "",
        "Error retrieving members: Get \"http://%2Fnope.sock/v1/agent/members?segment=_all\": dial "
        "unix /nope.sock: connect: no such file or directory\n");
}

static void test_https_to_http(void **state) {
    char flag[128], err[256];
    FAKE_START(&agent, "");
    snprintf(flag, sizeof flag, "-http-addr=https://%s", agent.address);
    snprintf(
        err, sizeof err,
        "Error listing services: Get \"https://%s/v1/catalog/services\": http: server gave HTTP "
        "response to HTTPS client\n",
        agent.address);
    expect(RUN("catalog", "services", flag), 1, "", err);
    fake_join(&agent);
    fake_free(&agent);
}

static void test_set_up_errors(void **state) {
    static const struct {
        char *flag;
        const char *text;
    } cases[] = {
        {"-http-addr=foo://x", "Unknown protocol scheme: foo"},
        {"-http-addr=HTTP://x", "Unknown protocol scheme: HTTP"},
        {"-ca-file=/nope", "Error loading CA File: open /nope: no such file or directory"},
        {"-ca-file=/dev/null", "Error loading CA File: Couldn't parse PEM in: /dev/null"},
        {"-ca-file=/tmp", "Error loading CA File: read /tmp: is a directory"},
        {"-ca-path=/nope", "lstat /nope: no such file or directory"},
        {"-client-cert=/nope", "both client cert and client key must be provided"},
        {"-token-file=/nope", "Error loading token file: open /nope: no such file or directory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "Error connecting to Consul agent: %s\n", cases[i].text);
        expect(RUN("members", cases[i].flag), 1, "", text);
    }
    expect(RUN("operator", "raft", "list-peers", "-http-addr=foo://x"), 1, "",
           "Error initializing client: Unknown protocol scheme: foo\n");
}

static void test_bad_environment(void **state) {
    setenv("CONSUL_HTTP_SSL", "perhaps", 1);
    struct ran r = RUN("members", "-http-addr=foo://x");
    unsetenv("CONSUL_HTTP_SSL");
    static const char text[] = "Z [WARN]  consul-api: could not parse CONSUL_HTTP_SSL: "
                               "error=\"strconv.ParseBool: parsing \"perhaps\": invalid syntax\"\n";
    char *first = strstr(r.err, text);
    assert_non_null(first);
    assert_int_equal(first - r.err, 23); /* behind the date with its milliseconds */
    assert_non_null(strstr(first + 1, text));
    run_free(&r);
}

/* ---- sockets, streams, files ---- */

static void test_socket(void **state) {
    unlink("/tmp/test_client.sock");
    fake_start(&agent, "/tmp/test_client.sock", (const char *const[]){OK("[\"dc1\"]"), NULL});
    expect(RUN("catalog", "datacenters"), 0, "dc1\n", "");
    expect_line(0, "GET /v1/catalog/datacenters HTTP/1.1\r\n");
    fake_free(&agent);
    unlink("/tmp/test_client.sock");
    fake_start(&agent, "/tmp/test_client.sock", (const char *const[]){OK(""), NULL});
    setenv("CONSUL_HTTP_SSL", "true", 1); /* counts for sockets, too */
    expect(RUN("catalog", "datacenters"), 1, "",
           "Error listing datacenters: Get "
           "\"https://%2Ftmp%2Ftest_client.sock/v1/catalog/datacenters\": http: server gave HTTP "
           "response to HTTPS client\n");
    unsetenv("CONSUL_HTTP_SSL");
    fake_join(&agent);
    fake_free(&agent);
    unlink("/tmp/test_client.sock");
}

static void test_monitor(void **state) {
    FAKE_START(&agent, OK("line 1\nline 2\n"), STATUS("400 Bad Request", "Unknown log level: x"));
    expect(RUN("monitor"), 1,
           "line 1\nline 2\n\nRemote side ended the monitor! This usually means that the\n"
           "remote side has exited or crashed.\n",
           "");
    expect(RUN("monitor", "-log-level=x"), 1, "",
           "Error starting monitor: Unexpected response code: 400 (Unknown log level: x)\n");
    expect_line(0, "GET /v1/agent/monitor?loglevel=INFO HTTP/1.1\r\n");
    fake_free(&agent);
}

static void test_snapshot_restore(void **state) {
    char file[] = "/tmp/test_client_XXXXXX";
    int fd = mkstemp(file);
    assert_int_equal(write(fd, "the snapshot", 12), 12);
    close(fd);
    FAKE_START(&agent, OK(""));
    expect(RUN("snapshot", "restore", file), 0, "Restored snapshot\n", "");
    expect_line(0, "PUT /v1/snapshot HTTP/1.1\r\n");
    expect_header(0, "Transfer-Encoding: chunked\r\n", true);
    assert_non_null(strstr(agent.requests[0], "\r\nc\r\nthe snapshot\r\n0\r\n\r\n"));
    fake_free(&agent);
    unlink(file);
}

static void test_snapshot_save_of_nonsense(void **state) {
    FAKE_START(&agent, OK("this is no snapshot"), STATUS("500 Internal Server Error", "no leader"));
    expect(RUN("snapshot", "save", "/tmp/test_client.snap"), 1, "",
           "Error verifying snapshot file: failed to decompress snapshot: gzip: invalid header\n");
    struct stat about;
    assert_int_not_equal(stat("/tmp/test_client.snap.unverified", &about), 0); /* nor is it kept */
    assert_int_not_equal(stat("/tmp/test_client.snap", &about), 0);
    expect(RUN("snapshot", "save", "/tmp/test_client.snap"), 1, "",
           "Error saving snapshot: Unexpected response code: 500 (no leader)\n");
    assert_int_not_equal(stat("/tmp/test_client.snap.unverified", &about), 0);
    fake_join(&agent);
    fake_free(&agent);
}

static void test_lock_refused(void **state) {
    FAKE_START(&agent, OK("{}"), OK("{\"ID\":\"s\"}"), OK("false"), OK("true"), /* no contender */
               OK("{}"), OK("{\"ID\":\"s\"}"), STATUS("404 Not Found", ""), OK("true"),
               STATUS("403 Forbidden", "no"), STATUS("403 Forbidden", "no"), OK("true"));
    expect(RUN("lock", "-n=2", "k/", "true"), 1, "",
           "Lock acquisition failed: failed to make contender entry: <nil>\n");
    expect(RUN("lock", "k/", "sleep 60"), 1, "",
           "Error running handler: signal: terminated\n"
           "Lock release failed: failed to release lock: Unexpected response code: 403 (no)\n");
    expect_line(2, "PUT /v1/kv/k/s?acquire=s&flags=16210313421097356768 HTTP/1.1\r\n");
    expect_line(8,
                "GET /v1/kv/k/.lock?consistent= HTTP/1.1\r\n"); /* who may not look has lost it */
    expect_line(10, "PUT /v1/session/destroy/s HTTP/1.1\r\n");
    fake_free(&agent);
}

static void test_watch_once(void **state) {
    FAKE_START(
        &agent, OK("{\"Config\":{}}"),
        OK("[{\"LockIndex\":1,\"Key\":\"k\",\"Flags\":18446744073709551615,\"Value\":\"MQ==\","
           "\"CreateIndex\":2,\"ModifyIndex\":3}]"),
        OK("{\"Config\":{}}"), "HTTP/1.1 404 Not Found\r\nX-Consul-Index: 3\r\n\r\n");
    expect(RUN("watch", "-type=key", "-key=/k"), 0,
           "{\n    \"Key\": \"k\",\n    \"CreateIndex\": 2,\n    \"ModifyIndex\": 3,\n"
           "    \"LockIndex\": 1,\n    \"Flags\": 18446744073709551615,\n    \"Value\": \"MQ==\",\n"
           "    \"Session\": \"\"\n}\n",
           "");
    expect(RUN("watch", "-type=key", "-key=none"), 0, "null\n", "");
    expect_line(1, "GET /v1/kv/k HTTP/1.1\r\n");
    fake_free(&agent);
}

static void test_watch_handler(void **state) {
    char out[] = "/tmp/test_client_XXXXXX", script[256], text[512] = "";
    close(mkstemp(out));
    snprintf(script, sizeof script, "echo $CONSUL_INDEX >>%s; cat >>%s; test $CONSUL_INDEX -lt 9",
             out, out);
#define VALUE(index, value)                                                                        \
    "HTTP/1.1 200 OK\r\nX-Consul-Index: " #index                                                   \
    "\r\nConnection: close\r\n\r\n[{\"Key\":\"k\",\"Value\":\"" value "\"}]"
    /* the index moves without the data, then with it, then falls back */
    FAKE_START(&agent, OK("{\"Config\":{}}"), VALUE(5, "MQ=="), VALUE(6, "MQ=="), VALUE(7, "Mg=="),
               VALUE(2, "Mg=="), VALUE(9, "Mw=="));
    expect(RUN("watch", "-type=key", "-key=k", script), 1, "",
           "Error executing handler: exit status 1\n");
    fake_join(&agent);
    FILE *file = fopen(out, "r");
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    unlink(out);
#define SHOWN(value)                                                                               \
    "{\"Key\":\"k\",\"CreateIndex\":0,\"ModifyIndex\":0,\"LockIndex\":0,\"Flags\":0,\"Value\":"    \
    "\"" value "\",\"Session\":\"\"}\n"
    assert_string_equal(text, "5\n" SHOWN("MQ==") "7\n" SHOWN("Mg==") "9\n" SHOWN("Mw=="));
    static const char *const lines[] = {"GET /v1/kv/k HTTP", "GET /v1/kv/k?index=5 HTTP",
                                        "GET /v1/kv/k?index=6 HTTP", "GET /v1/kv/k?index=7 HTTP",
                                        "GET /v1/kv/k HTTP"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(strncmp(agent.requests[i + 1], lines[i], strlen(lines[i])), 0);
    fake_free(&agent);
}

static void test_kv_tree(void **state) {
    FAKE_START(
        &agent,
        OK("[{\"Key\":\"a\",\"Value\":\"MQ==\",\"Flags\":1},{\"Key\":\"b\",\"Value\":null}]"),
        OK("[{\"Key\":\"a\\\"<\",\"Value\":\"MQ==\",\"Flags\":1}]"), STATUS("404 Not Found", ""),
        OK("true"), OK("true"));
    expect(RUN("kv", "get", "-recurse"), 0, "a:1\nb:\n", "");
    expect(RUN("kv", "export"), 0,
           "[\n\t{\n\t\t\"key\": \"a\\\"\\u003c\",\n\t\t\"flags\": 1,\n\t\t\"value\": "
           "\"MQ==\"\n\t}\n]\n",
           "");
    expect(RUN("kv", "export", "none"), 0, "[]\n", "");
    expect(RUN("kv", "import",
               "[{\"key\":\"x\",\"flags\":3,\"value\":\"eA==\"},{\"KEY\":\"y\"},{\"key\":\"z\","
               "\"value\":\"!\"}]"),
           1, "Imported: x\nImported: y\n",
           "Error base 64 decoding value for key z: illegal base64 data at input byte 0\n");
    expect_line(3, "PUT /v1/kv/x?flags=3 HTTP/1.1\r\n");
    assert_string_equal(strstr(agent.requests[3], "\r\n\r\n") + 4, "x");
    expect_line(4, "PUT /v1/kv/y HTTP/1.1\r\n");
    fake_free(&agent);
}

int main(void) {
    unsetenv("COMP_LINE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_many_parameters),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_transport),
        cmocka_unit_test(test_https_to_http),
        cmocka_unit_test(test_set_up_errors),
        cmocka_unit_test(test_bad_environment),
        cmocka_unit_test(test_socket),
        cmocka_unit_test(test_monitor),
        cmocka_unit_test(test_snapshot_restore),
        cmocka_unit_test(test_snapshot_save_of_nonsense),
        cmocka_unit_test(test_lock_refused),
        cmocka_unit_test(test_watch_once),
        cmocka_unit_test(test_watch_handler),
        cmocka_unit_test(test_kv_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
