/* Checks that run through their service's sidecar (connect.md 4.3). */
#include "agent/local_state.h"
#include "proxy_world.h"

/* ---- targets ---- */

static void test_rewrite(void **state) {
    static const struct {
        const char *http, *grpc, *wanted;
    } cases[] = {
        {"http://127.0.0.1:9000/a/b?q=1#f", "", "http://:21500/a/b?q=1#f"},
        {"http://127.0.0.1", "", "http://:21500"},
        {"https://u:p@[::1]:9/x y", "", "https://u:p@:21500/x y"},
        {"http://h?q", "", "http://:21500?q"},
        {"", "127.0.0.1:9001/svc", ":21500/svc"},
        {"", "127.0.0.1:9001", ":21500"},
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_type t = {.http = str_from(cases[i].http), .grpc = str_from(cases[i].grpc)};
        expose_rewrite(&t, STR(":21500"), &arena);
        assert_string_equal(str_terminated(&arena, t.http.len > 0 ? t.http : t.grpc),
                            cases[i].wanted);
    }
    arena_free(&arena);
}

/* ---- on an agent ---- */

/* "web" with checks; `http` NULL: without the HTTP check. */
static struct service_definition *web(const char *http) {
    struct service_definition *d = ARENA_NEW(&w.arena, struct service_definition);
    d->name = STR("web");
    d->port = 80;
    d->checks = LIST_NEW(&w.arena, struct check_type *, http != NULL ? 3 : 2);
    struct check_type *t = ARENA_ARRAY(&w.arena, struct check_type, 3);
    t[0] = (struct check_type){.check_id = STR("tcp"), .tcp = STR("127.47.12.9:1")};
    t[1] = (struct check_type){.check_id = STR("grpc"), .grpc = STR("127.47.12.9:9001/s")};
    t[2] = (struct check_type){.check_id = STR("http")};
    if (http != NULL)
        t[2].http = str_from(http);
    for (uint32_t i = 0; i < d->checks.len; i++) {
        t[i].interval = HOUR;
        LIST_AT(d->checks, struct check_type *, i) = &t[i];
    }
    return d;
}

static struct service_definition *sidecar(const char *id, const char *address, bool exposes) {
    struct service_definition *d = ARENA_NEW(&w.arena, struct service_definition);
    d->name = d->id = str_from(id);
    d->kind = STR("connect-proxy");
    d->port = 20000;
    d->address = str_from(address);
    d->proxy = ARENA_NEW(&w.arena, struct connect_proxy_config);
    d->proxy->destination_service_name = d->proxy->destination_service_id = STR("web");
    d->proxy->expose.checks = exposes;
    return d;
}

static void do_look(struct job *job) {
    const struct local_check *c = local_check_find(w.local, job->id);
    job->ok = c != NULL;
    job->token =
        c == NULL || c->exposed_at == NULL ? STR("") : str_copy(&w.arena, str_from(c->exposed_at));
}
static void assert_at(const char *check, const char *wanted) {
    struct job job = {.id = str_from(check)};
    on_core(&job, do_look);
    assert_true(job.ok);
    assert_string_equal(str_terminated(&w.arena, job.token), wanted);
}

static void do_paths(struct job *job) {
    const struct local_service *s = local_service_find(w.local, job->id);
    struct list all = local_exposed_paths(w.local, &s->service, &w.arena);
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i < all.len; i++) {
        const struct proxy_check_path *p = &LIST_AT(all, struct proxy_check_path, i);
        buf_add_format(&text, STR_FMT " " STR_FMT " %d %d;", STR_ARG(p->path), STR_ARG(p->protocol),
                       (int)p->local_port, (int)p->listener_port);
    }
    job->token = str_copy(&w.arena, buf_str(&text));
    buf_free(&text);
}
static struct str paths(const char *id) {
    struct job job = {.id = str_from(id)};
    on_core(&job, do_paths);
    return job.token;
}

static void do_reload(struct job *job) {
    job->ok = local_reload(w.local, w.config, &job->e);
}

static void test_life(void **state) {
    start_world("ports { expose_min_port = 21500 expose_max_port = 21502 }");
    register_with(web("http://127.47.12.9:9000/a b?q"), "");
    assert_at("http", "");
    register_with(sidecar("s1", "", true), "");
    assert_at("tcp", "");
    struct str found = paths("s1");
    if (!str_is(found, "/a%20b http 9000 21501;/grpc.health.v1.Health/Check http2 9001 21500;") &&
        !str_is(found, "/grpc.health.v1.Health/Check http2 9001 21500;/a%20b http 9000 21501;") &&
        !str_is(found, "/a%20b http 9000 21500;/grpc.health.v1.Health/Check http2 9001 21501;"))
        fail_msg(STR_FMT, STR_ARG(found));

    /* Another address: the same ports there. A check that comes later finds none left. */
    register_with(sidecar("s1", "127.47.12.9", true), "");
    assert_true(str_eq(paths("s1"), found));
    struct service_definition *other = web("http://127.47.12.9:9000");
    LIST_AT(other->checks, struct check_type *, 0)->http = STR("http://127.47.12.9:9002/c");
    register_with(other, "");
    assert_at("tcp", "");

    /* One that goes gives its port back. */
    register_with(sidecar("s1", "", false), "");
    assert_at("http", "");
    assert_at("grpc", "");
    assert_true(paths("s1").len == 0);
    register_with(sidecar("s1", "", true), "");
    deregister("s1");
    assert_at("http", "");

    /* With the other one gone first. */
    register_with(sidecar("s1", "", true), "");
    register_with(sidecar("s2", "::1", true), "");
    assert_true(paths("s1").len == 0 && paths("s2").len > 0);
    deregister("s1");
    assert_true(paths("s2").len > 0);
    struct job job = {0};
    on_core(&job, do_reload); /* nothing of it is in files */
    assert_true(job.ok);
    register_with(web("http://127.47.12.9"), "");
    assert_at("http", "");
    end_world();
}

/* The sidecar is told of checks that come and go. */
static bool has_one(const struct proxy_snapshot *s) {
    return s->exposed.len == 1;
}
static bool has_two(const struct proxy_snapshot *s) {
    return s->exposed.len == 2 &&
           LIST_AT(s->exposed, struct proxy_check_path, 0).listener_port == 21500 &&
           LIST_AT(s->exposed, struct proxy_check_path, 1).listener_port == 21501;
}
static bool has_none(const struct proxy_snapshot *s) {
    return s->exposed.len == 0;
}

static void do_drop_http(struct job *job) {
    job->ok = local_deregister_check(w.local, STR("http"), &job->e);
}

static void test_snapshot(void **state) {
    struct viewer x;
    start_world("");
    watch(&x, "s1");
    register_with(sidecar("s1", "", true), "");
    register_with(web(NULL), "");
    UNTIL(is_good(&x, has_one));
    register_with(web("http://127.47.12.9"), "");
    UNTIL(is_good(&x, has_two));
    struct job job = {0};
    on_core(&job, do_drop_http);
    UNTIL(is_good(&x, has_one));
    register_with(sidecar("s1", "", false), "");
    UNTIL(is_good(&x, has_none));
    unwatch(&x);
    end_world();
}

int main(void) {
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
