/* What is followed (follow.h) and shared (facts.h), on a real server in memory. */
#include "agent/facts.h"
#include "proxy_world.h"

static struct facts *facts;

static void test_pauses(void **state) {
    assert_true(follow_pause(1, 7) == SECOND && follow_pause(3, 7) == SECOND);
    assert_true(follow_pause(4, 0) == 2 * SECOND && follow_pause(8, 0) == 32 * SECOND);
    assert_true(follow_pause(4, (uint64_t)SECOND) == 3 * SECOND);
    assert_true(follow_pause(4, UINT64_MAX) < 4 * SECOND);
    assert_true(follow_pause(9, 0) == MINUTE && follow_pause(8, 31 * (uint64_t)SECOND) == MINUTE);
    assert_true(follow_pause(UINT_MAX, UINT64_MAX) == MINUTE);
}

/* ---- watches, on the core ---- */

struct seen {
    struct fact_watch watch;
    struct fact_question question;
    atomic_uint told, failures;
    const struct fact *fact; /* held; the core's */
};

static void was_told(struct fact_watch *watch) {
    struct seen *s = CONTAINER_OF(watch, struct seen, watch);
    fact_release(s->fact);
    s->fact = fact_hold(fact_watch_now(watch));
    if (fact_watch_failed(watch))
        s->failures++;
    else
        s->told++;
}

static struct seen *current;

static void do_begin(struct job *job) {
    current->watch.fn = was_told;
    fact_watch_begin(facts, &current->watch, &current->question);
}
static void do_end(struct job *job) {
    fact_watch_end(&current->watch);
    fact_release(current->fact);
    current->fact = NULL;
}
static void do_facts_stop(struct job *job) {
    facts_stop(facts, job_over, job);
}

static void begin(struct seen *s) {
    struct job job = {0};
    current = s;
    on_core(&job, do_begin);
}
static void end(struct seen *s) {
    struct job job = {0};
    current = s;
    on_core(&job, do_end);
}

static void start(void) {
    start_world("");
    facts = facts_new(w.server);
}
static void stop(void) {
    struct job job = {.posts = true};
    on_core(&job, do_facts_stop);
    end_world();
    facts_free(facts);
}

/* How many names the last answer had; -1: there is none. */
static void do_count_names(struct job *job) {
    const struct fact *f = fact_watch_now(&current->watch);
    job->ok = f != NULL;
    job->count = f != NULL ? ((const struct indexed_service_list *)f->reply)->services.len : 0;
}
static int names(struct seen *s) {
    struct job job = {0};
    current = s;
    on_core(&job, do_count_names);
    return job.ok ? (int)job.count : -1;
}

static void test_shared(void **state) {
    struct dc_request a = {.datacenter = STR("dc1"), .options.allow_stale = true}, b = a, c = a;
    struct seen first = {.question = {.endpoint = &endpoint_catalog_service_list, .request = &a}};
    struct seen second = {.question = {.endpoint = &endpoint_catalog_service_list, .request = &b}};
    struct seen third = {.question = {.endpoint = &endpoint_catalog_service_list, .request = &c}};
    c.options.token = STR("another");
    start();
    begin(&first);
    begin(&second);
    begin(&third);
    assert_ptr_equal(first.watch.source, second.watch.source);
    assert_ptr_not_equal(first.watch.source, third.watch.source);
    UNTIL(names(&first) >= 0 && names(&third) >= 0);
    assert_true(first.told > 0);

    int before = names(&first);
    put_instance("n2", "web", 1);
    UNTIL(names(&first) == before + 1 && names(&second) == before + 1);
    /* The same names again, by another index: nobody is told. */
    unsigned told = first.told;
    put_instance("n3", "web", 1);
    put_instance("n2", "web", 2);
    end(&second);
    assert_int_equal(names(&second), -1);
    put_instance("n2", "db", 1);
    UNTIL(names(&first) == before + 2);
    assert_int_equal(first.told, told + 1);
    end(&first);
    end(&third);
    stop();
}

/* Asked again and again; the instances come in another order each time. */
static void test_polled(void **state) {
    struct prepared_query query = {.name = STR("q"), .service.service = STR("web")};
    struct prepared_query_request create = {.op = STR("create"), .query = &query};
    struct prepared_query_execute_request r = {.datacenter = STR("dc1"),
                                               .query_id_or_name = STR("q")};
    struct seen x = {.question = {.endpoint = &endpoint_prepared_query_execute,
                                  .request = &r,
                                  .period = 5 * MILLISECOND}};
    start();
    for (int i = 0; i < 8; i++)
        put_instance(str_format(&w.arena, "n%d", 10 + i).data, "web", i);
    apply(&endpoint_prepared_query_apply, &create);
    begin(&x);
    UNTIL(x.told > 0);
    put_instance("n99", "web", 99);
    UNTIL(x.told > 1);
    int64_t later = time_now_monotonic() + 300 * MILLISECOND;
    UNTIL(time_now_monotonic() > later); /* some fifty times */
    assert_int_equal(x.told, 2);
    end(&x);
    stop();
}

/* What fails is told once, and asked again. */
static void test_failing(void **state) {
    struct prepared_query query = {.name = STR("late"), .service.service = STR("web")};
    struct prepared_query_request create = {.op = STR("create"), .query = &query};
    struct prepared_query_execute_request r = {.datacenter = STR("dc1"),
                                               .query_id_or_name = STR("late")};
    struct seen x = {.question = {.endpoint = &endpoint_prepared_query_execute,
                                  .request = &r,
                                  .period = 5 * MILLISECOND}};
    struct dc_request far = {.datacenter = STR("nowhere")};
    struct seen y = {.question = {.endpoint = &endpoint_catalog_service_list, .request = &far}};
    start();
    begin(&x);
    begin(&y);
    UNTIL(x.failures == 1 && y.failures == 1);
    apply(&endpoint_prepared_query_apply, &create);
    UNTIL(x.told == 1);
    assert_int_equal(x.failures, 1);
    end(&x);
    end(&y); /* while it waits to be asked again */
    stop();
}

/* ---- leaves ---- */

static void test_leaf(void **state) {
    struct leaf_wish wish = {.service = STR("web"), .agent = STR(""), .token = STR("")};
    struct leaf_wish none = {.service = STR("a/b"), .agent = STR(""), .token = STR("")};
    struct seen x = {.question.leaf = &wish}, again = x, bad = {.question.leaf = &none};
    start();
    begin(&x);
    begin(&again);
    begin(&bad);
    assert_ptr_equal(x.watch.source, again.watch.source);
    UNTIL(x.told == 1 && again.told == 1 && bad.failures == 1);
    end(&again);
    const struct issued_cert *cert = x.fact->reply;
    assert_true(str_is(cert->service, "web") && cert->private_key_pem.len > 0);
    end(&x);
    end(&bad);
    stop();
}

int main(void) {
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses), cmocka_unit_test(test_shared),
        cmocka_unit_test(test_polled), cmocka_unit_test(test_failing),
        cmocka_unit_test(test_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
