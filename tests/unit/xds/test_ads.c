/* Discovery streams (connect.md 6.2): what is answered when, with which versions and nonces, and
 * how they end.
 */
#include "xds/ads.h"

#include <stdio.h>

#include "codec/protobuf.h"
#include "unit/xds/world.h"

#define URL "type.googleapis.com/envoy.api.v2."

struct scene {
    struct ads ads;
    struct arena arena;
    struct proxy_snapshot *snapshot; /* the next to be given */
    struct buf out;
};

/* One that is freed when its last reference goes: a sidecar with one upstream of no instances. */
static struct proxy_snapshot *snapshot_new(const char *cert) {
    struct proxy_snapshot *s = MEM_NEW(struct proxy_snapshot);
    struct arena *a = &s->arena;
    struct node_service *service = ARENA_NEW(a, struct node_service);
    struct indexed_ca_roots *roots = ARENA_NEW(a, struct indexed_ca_roots);
    struct issued_cert *leaf = ARENA_NEW(a, struct issued_cert);
    s->references = 1;
    service->kind = STR("connect-proxy");
    service->id = STR("web-sidecar-proxy");
    service->proxy.destination_service_name = STR("web");
    service->proxy.local_service_port = 8080;
    roots->trust_domain = STR(TRUST_DOMAIN);
    leaf->cert_pem = str_copy(a, str_from(cert));
    s->service = service;
    s->roots = roots;
    s->leaf = leaf;
    s->datacenter = STR("dc1");
    return s;
}

static void set_kind(struct proxy_snapshot *s, const char *kind, const char *name) {
    struct node_service *service = (struct node_service *)(uintptr_t)s->service;
    service->kind = str_from(kind);
    service->service = str_from(name);
}

static void open_scene(struct scene *t) {
    memset(t, 0, sizeof *t);
    ads_init(&t->ads, STR("secret"));
}

static void close_scene(struct scene *t) {
    ads_free(&t->ads);
    arena_free(&t->arena);
    buf_free(&t->out);
}

/* ---- requests ---- */

struct asked {
    const char *node, *type, *nonce, *build;
};

static void ask(struct scene *t, struct asked q) {
    struct buf b = BUF_INIT;
    if (q.node != NULL) {
        size_t node = pb_open(&b, 2);
        pb_add_bytes(&b, 1, str_from(q.node));
        if (q.build != NULL)
            pb_add_bytes(&b, 5, str_from(q.build));
        pb_close(&b, node);
    }
    if (q.type != NULL)
        pb_add_bytes(&b, 4, str_format(&t->arena, URL "%s", q.type));
    if (q.nonce != NULL)
        pb_add_bytes(&b, 5, str_from(q.nonce));
    ads_request(&t->ads, buf_str(&b));
    buf_free(&b);
}

static void allow(struct scene *t) {
    ads_authorized(&t->ads, NULL, true);
}

static enum ads_action next(struct scene *t, bool may_send) {
    struct trees warnings;
    buf_clear(&t->out);
    return ads_next(&t->ads, may_send, &t->out, &warnings, &t->arena);
}

static struct str field_of(const struct buf *b, uint64_t wanted) {
    struct pb_reader r = {buf_str(b), NULL};
    struct str found = STR(""), bytes;
    uint64_t number;
    unsigned wire;
    while (r.rest.len > 0) {
        assert_true(pb_take_key(&r, &number, &wire) && wire == PB_BYTES);
        assert_true(pb_take_bytes(&r, &bytes));
        if (number == wanted)
            found = bytes;
    }
    return found;
}

/* The next thing that happens is this answer. */
static void expect(struct scene *t, const char *type, const char *version, const char *nonce) {
    assert_int_equal(next(t, true), ADS_SEND);
    assert_str(field_of(&t->out, 4),
               str_terminated(&t->arena, str_format(&t->arena, URL "%s", type)));
    assert_str(field_of(&t->out, 1), version);
    assert_str(field_of(&t->out, 5), nonce);
}

static void expect_right(struct scene *t) {
    assert_int_equal(next(t, true), ADS_AUTHORIZE);
    assert_int_equal(next(t, true), ADS_WAIT);
    allow(t);
}

static void expect_end(struct scene *t, enum grpc_status code, const char *text) {
    assert_int_equal(next(t, true), ADS_END);
    assert_int_equal(t->ads.code, code);
    assert_str(t->ads.text, text);
}

/* ---- answers ---- */

static void answers_come_in_their_order(void **state) {
    struct scene t;
    open_scene(&t);
    ask(&t, (struct asked){"web-sidecar-proxy", "Listener"});
    assert_str(t.ads.proxy_id, "web-sidecar-proxy");
    ask(&t, (struct asked){NULL, "Cluster"});
    ask(&t, (struct asked){NULL, "ClusterLoadAssignment"}); /* there are none */
    assert_int_equal(next(&t, true), ADS_WAIT);
    ads_snapshot(&t.ads, snapshot_new("a"));
    expect_right(&t);
    expect(&t, "Cluster", "00000001", "00000001");
    expect(&t, "Listener", "00000001", "00000002");
    assert_int_equal(next(&t, true), ADS_WAIT);
    ads_snapshot(&t.ads, snapshot_new("b"));
    expect_right(&t);
    expect(&t, "Cluster", "00000002", "00000003");
    expect(&t, "Listener", "00000002", "00000004");
    assert_int_equal(next(&t, true), ADS_WAIT);
    close_scene(&t);
}

/* An acknowledgement, a refusal, and a nonce of old change nothing; rights are looked at again. */
static void what_envoy_thinks_of_it_is_its_own(void **state) {
    struct scene t;
    open_scene(&t);
    ads_snapshot(&t.ads, snapshot_new("a"));
    ask(&t, (struct asked){"p", "Cluster"});
    expect_right(&t);
    expect(&t, "Cluster", "00000001", "00000001");
    ask(&t, (struct asked){NULL, "Cluster", "00000001"});
    expect_right(&t);
    assert_int_equal(next(&t, true), ADS_WAIT);
    ask(&t, (struct asked){NULL, "Cluster", "00000077"});
    expect_right(&t);
    assert_int_equal(next(&t, true), ADS_WAIT);
    ads_snapshot(&t.ads, snapshot_new("b"));
    expect_right(&t);
    expect(&t, "Cluster", "00000002", "00000002");
    close_scene(&t);
}

/* Nothing is made while it cannot be sent; what is made then is of the newest snapshot. */
static void who_does_not_read_gets_the_newest(void **state) {
    struct scene t;
    open_scene(&t);
    ask(&t, (struct asked){"p", "Cluster"});
    ask(&t, (struct asked){NULL, "Listener"});
    ads_snapshot(&t.ads, snapshot_new("a"));
    expect_right(&t);
    expect(&t, "Cluster", "00000001", "00000001");
    for (int i = 0; i < 5; i++) {
        ads_snapshot(&t.ads, snapshot_new("b"));
        assert_int_equal(next(&t, false), ADS_AUTHORIZE);
        allow(&t);
        assert_int_equal(next(&t, false), ADS_WAIT);
    }
    expect(&t, "Cluster", "00000006", "00000002");
    expect(&t, "Listener", "00000006", "00000003");
    assert_int_equal(next(&t, true), ADS_WAIT);
    close_scene(&t);
}

static void other_types_are_nobodys(void **state) {
    struct scene t;
    open_scene(&t);
    ads_snapshot(&t.ads, snapshot_new("a"));
    ask(&t, (struct asked){"p", "auth.Secret"});
    expect_right(&t);
    assert_int_equal(next(&t, true), ADS_WAIT);
    close_scene(&t);
}

static void gateways_are_told_that_there_is_nothing(void **state) {
    struct scene t;
    open_scene(&t);
    struct proxy_snapshot *s = snapshot_new("a");
    set_kind(s, "terminating-gateway", "tg");
    ads_snapshot(&t.ads, s);
    assert_str(xds_service(t.ads.snapshot), "tg");
    ask(&t, (struct asked){"p", "Cluster"});
    ask(&t, (struct asked){NULL, "ClusterLoadAssignment"});
    ask(&t, (struct asked){NULL, "RouteConfiguration"});
    expect_right(&t);
    expect(&t, "Cluster", "00000001", "00000001");
    assert_int_equal(next(&t, true), ADS_WAIT);
    close_scene(&t);
}

static void what_is_not_whole_is_not_taken(void **state) {
    struct scene t;
    open_scene(&t);
    struct proxy_snapshot *s = snapshot_new("a");
    s->leaf = NULL;
    ask(&t, (struct asked){"p", "Cluster"});
    ads_snapshot(&t.ads, s);
    assert_int_equal(next(&t, true), ADS_WAIT);
    s = snapshot_new("a");
    static const struct upstream up = {.destination_name = STR_INIT("db")};
    s->upstreams = LIST_NEW(&s->arena, struct proxy_upstream, 1);
    LIST_AT(s->upstreams, struct proxy_upstream, 0) =
        (struct proxy_upstream){.id = STR("db"), .upstream = &up};
    ads_snapshot(&t.ads, s);
    assert_int_equal(next(&t, true), ADS_WAIT);
    ads_snapshot(&t.ads, snapshot_new("b"));
    expect_right(&t);
    expect(&t, "Cluster", "00000001", "00000001");
    close_scene(&t);
}

/* ---- ends ---- */

static void rights_are_needed(void **state) {
    static const struct {
        const char *text; /* of the token's error; NULL: it may not */
        enum grpc_status code;
        const char *end;
    } cases[] = {
        {"ACL not found", GRPC_UNAUTHENTICATED, "unauthenticated: ACL not found"},
        {"No cluster leader", GRPC_UNKNOWN, "No cluster leader"},
        {NULL, GRPC_PERMISSION_DENIED, "permission denied"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct scene t;
        struct error e = {NULL, ERROR_INTERNAL, str_from(cases[i].text)};
        open_scene(&t);
        ask(&t, (struct asked){"p", "Cluster"});
        assert_int_equal(next(&t, true), ADS_WAIT); /* not before there is something to be seen */
        ads_snapshot(&t.ads, snapshot_new("a"));
        assert_int_equal(next(&t, true), ADS_AUTHORIZE);
        ads_authorized(&t.ads, cases[i].text != NULL ? &e : NULL, false);
        expect_end(&t, cases[i].code, cases[i].end);
        close_scene(&t);
    }
}

static void rights_are_looked_at_again(void **state) {
    struct scene t;
    open_scene(&t);
    ads_snapshot(&t.ads, snapshot_new("a"));
    ask(&t, (struct asked){"p", "Cluster"});
    expect_right(&t);
    expect(&t, "Cluster", "00000001", "00000001");
    ads_check_again(&t.ads);
    expect_right(&t);
    assert_int_equal(next(&t, true), ADS_WAIT);
    ads_check_again(&t.ads);
    assert_int_equal(next(&t, true), ADS_AUTHORIZE);
    ads_snapshot(&t.ads, snapshot_new("b")); /* comes while it is asked */
    assert_int_equal(next(&t, true), ADS_WAIT);
    ads_authorized(&t.ads, NULL, false);
    expect_end(&t, GRPC_PERMISSION_DENIED, "permission denied");
    close_scene(&t);
}

static void what_makes_no_sense_ends_it(void **state) {
    struct scene t;
    open_scene(&t);
    ask(&t, (struct asked){"p", NULL});
    expect_end(&t, GRPC_INVALID_ARGUMENT, "type URL is required for ADS");
    close_scene(&t);
    open_scene(&t);
    ask(&t, (struct asked){NULL, "Cluster"});
    expect_end(&t, GRPC_INVALID_ARGUMENT, "the first request must say which node asks");
    close_scene(&t);
    open_scene(&t);
    ask(&t, (struct asked){"p", "Cluster", NULL,
                           "0123456789012345678901234567890123456789/x.y/Clean/RELEASE/B"});
    expect_end(&t, GRPC_INVALID_ARGUMENT, "the version of the node cannot be understood");
    close_scene(&t);
    open_scene(&t);
    ads_request(&t.ads, STR("\x12\x7f"));
    expect_end(&t, GRPC_INTERNAL,
               "grpc: failed to unmarshal the received message proto: unexpected end of bytes");
    close_scene(&t);
}

static void a_hatch_that_is_none_ends_it(void **state) {
    struct scene t;
    open_scene(&t);
    struct proxy_snapshot *s = snapshot_new("a");
    struct value *config = ARENA_NEW(&s->arena, struct value);
    value_put(config, STR("envoy_local_cluster_json"),
              value_from_str(STR("{\"name\":\"x\",\"bogus\":1}")), &s->arena);
    ((struct node_service *)(uintptr_t)s->service)->proxy.config = config;
    ads_snapshot(&t.ads, s);
    ask(&t, (struct asked){"p", "Cluster"});
    expect_right(&t);
    expect_end(&t, GRPC_UNKNOWN, "unknown field \"bogus\" in envoy_api_v2.Cluster");
    close_scene(&t);
}

/* ---- versions ---- */

static void versions_tell_what_envoy_knows(void **state) {
#define COMMIT "e349fb6139e4b7a59a9a359be0ea45dd61e589c5"
    static const struct {
        const char *build;
        bool safe;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"1.14.1", false},
        {COMMIT "/1.14.1", false},
        {COMMIT "/1.11.1/Clean/RELEASE/BoringSSL", false},
        {COMMIT "/1.11.2/Clean/RELEASE/BoringSSL", true},
        {COMMIT "/1.12.0-dev/Clean/RELEASE/BoringSSL", true},
        {COMMIT "/1.10.9/Clean/RELEASE/BoringSSL", false},
        {COMMIT "/2.0.0/Clean/RELEASE/BoringSSL", true},
        {COMMIT "/0.99.0/Clean/RELEASE/BoringSSL", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct scene t;
        open_scene(&t);
        ask(&t, (struct asked){"p", "Cluster", NULL, cases[i].build});
        if (t.ads.ended || t.ads.safe_regex != cases[i].safe)
            fail_msg("%s", cases[i].build);
        close_scene(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_their_order),
        cmocka_unit_test(what_envoy_thinks_of_it_is_its_own),
        cmocka_unit_test(who_does_not_read_gets_the_newest),
        cmocka_unit_test(other_types_are_nobodys),
        cmocka_unit_test(gateways_are_told_that_there_is_nothing),
        cmocka_unit_test(what_is_not_whole_is_not_taken),
        cmocka_unit_test(rights_are_needed),
        cmocka_unit_test(rights_are_looked_at_again),
        cmocka_unit_test(what_makes_no_sense_ends_it),
        cmocka_unit_test(a_hatch_that_is_none_ends_it),
        cmocka_unit_test(versions_tell_what_envoy_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
