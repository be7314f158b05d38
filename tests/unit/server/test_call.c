/* Calls: questions that are shared, blocking, coherence across threads, routing, calling off. On a
 * fake driver (fake_driver.h) with a real store. */
#include "fake_driver.h"
#include "harness.h"

#include "server/server_room.h"
#include "store/kv.h"

static int begin(void **state) {
    struct server_options o = harness_options();
    fake_start_as_leader = true;
    server_begin(&o);
    server_settle();
    return 0;
}

static int end(void **state) {
    server_end();
    return 0;
}

/* KVS.Get that counts its evaluations. */
static atomic_int evaluations;

static bool counted_read(struct call_context *c, const void *request, void *reply,
                         struct error *e) {
    atomic_fetch_add(&evaluations, 1);
    return endpoint_kvs_get.read(c, request, reply, e);
}

static struct endpoint counted(void) {
    struct endpoint e = endpoint_kvs_get;
    e.read = counted_read;
    return e;
}

static void test_write_then_read(void **state) {
    char value[64];
    assert_false(kv_put(0, "a", "one", "set"));
    uint64_t index = kv_read(1, "a", value);
    assert_string_equal(value, "one");
    assert_true(index > 1);
    kv_put(1, "a", "", "delete");
    assert_true(kv_read(0, "a", value) > index);
    assert_string_equal(value, "");
}

static void test_meta_is_the_leaders(void **state) {
    struct key_request r = {.key = STR("nothing")};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_kvs_get, &r);
    struct indexed_dir_entries *reply = answer->reply;
    assert_true(answer->meta.known_leader);
    assert_true(reply->meta.known_leader);
    assert_int_equal(reply->meta.last_contact, 0);
    assert_int_equal(reply->meta.index, answer->meta.index);
    assert_true(answer->meta.index >= 1);
    ask_end(&a);
}

static void test_kept_answers_are_given_again(void **state) {
    struct endpoint get = counted();
    kv_put(0, "kept", "v", "set");
    atomic_store(&evaluations, 0);
    for (int i = 0; i < 10; i++) {
        struct key_request r = {.key = STR("kept")};
        struct ask a;
        ask(&a, 0, &get, &r);
        ask_end(&a);
    }
    /* The first is not kept, the second is. */
    assert_int_equal(atomic_load(&evaluations), 2);
    kv_put(1, "other", "v", "set"); /* nothing that was read */
    struct key_request r = {.key = STR("kept")};
    struct ask a;
    ask(&a, 0, &get, &r);
    ask_end(&a);
    assert_int_equal(atomic_load(&evaluations), 2);
    kv_put(1, "kept", "w", "set");
    struct answer *answer = ask(&a, 0, &get, &r);
    struct indexed_dir_entries *reply = answer->reply;
    assert_true(str_is(LIST_AT(reply->entries, struct dir_entry *, 0)->value, "w"));
    ask_end(&a);
    assert_int_equal(atomic_load(&evaluations), 3);
}

static size_t kept_before, kept_after;
static sem_t swept;

static void sweep_run(struct message *m) {
    struct server_thread *t = server->threads[0];
    kept_before = t->cache_bytes;
    question_sweep(t); /* just used: all stay */
    assert_int_equal(t->cache_bytes, kept_before);
    for (struct question *q = t->oldest; q != NULL; q = q->newer) {
        q->used_at -= THREAD_CACHE_UNUSED;
    }
    question_sweep(t);
    kept_after = t->cache_bytes;
    sem_post(&swept);
}

static void test_unused_answers_are_dropped(void **state) {
    char value[64];
    kv_put(0, "unused", "v", "set");
    for (int i = 0; i < 3; i++)
        kv_read(0, "unused", value);
    struct message m = {.run = sweep_run};
    sem_init(&swept, 0, 0);
    loop_post_reply(server_io(server, 0), &m);
    assert_true(sem_wait_ms(&swept, 5000));
    sem_destroy(&swept);
    assert_true(kept_before > 0);
    assert_int_equal(kept_after, 0);
    kv_read(0, "unused", value);
    assert_string_equal(value, "v");
}

/* Whoever was told of a write sees it, on any thread, kept answers or not. */
static void test_no_answer_is_older_than_an_acknowledged_write(void **state) {
    for (int i = 0; i < 300; i++) {
        char text[16], value[64];
        snprintf(text, sizeof text, "%d", i);
        kv_put(i % 2, "coherent", text, "set");
        for (int k = 0; k < 3; k++) {
            kv_read((i + 1 + k) % 2, "coherent", value);
            assert_string_equal(value, text);
        }
    }
}

#define WAITERS 200

static void test_waiters_of_one_question_are_evaluated_once(void **state) {
    static struct ask asks[WAITERS];
    struct endpoint get = counted();
    char value[64];
    kv_put(0, "shared", "1", "set");
    uint64_t index = kv_read(0, "shared", value);
    struct key_request r = {.key = STR("shared"), .options = {.min_query_index = index}};
    atomic_store(&evaluations, 0);
    for (int i = 0; i < WAITERS; i++)
        ask_start(&asks[i], 0, &get, &r);
    kv_read(0, "other", value); /* behind them in the loop's queue: all wait now */
    assert_null(ask_wait(&asks[WAITERS - 1], 50));
    int before = atomic_load(&evaluations);
    assert_int_equal(before, 1);
    kv_put(1, "shared", "2", "set");
    struct answer *first = NULL;
    for (int i = 0; i < WAITERS; i++) {
        struct answer *answer = ask_wait(&asks[i], 5000);
        assert_non_null(answer);
        assert_true(answer->meta.index > index);
        if (first == NULL)
            first = answer;
        assert_ptr_equal(answer, first);
    }
    assert_int_equal(atomic_load(&evaluations), before + 1);
    for (int i = 0; i < WAITERS; i++)
        ask_end(&asks[i]);
}

static void test_variants_do_not_share(void **state) {
    struct key_request r = {.key = STR("variant")};
    struct buf key1 = BUF_INIT, key2 = BUF_INIT;
    struct call c = {.endpoint = &endpoint_kvs_get, .request = &r};
    question_key(&key1, &c);
    c.variant = 1;
    question_key(&key2, &c);
    assert_false(str_eq(buf_str(&key1), buf_str(&key2)));
    buf_free(&key1);
    buf_free(&key2);
}

static void test_keys_of_questions(void **state) {
    struct buf a = BUF_INIT, b = BUF_INIT;
    struct service_request x = {.service_name = STR("web"), .service_tags = LIST_EMPTY};
    struct service_request y = {.service_name = STR("web")};
    struct call c = {.endpoint = &endpoint_health_service_nodes, .request = &x};
    question_key(&a, &c);
    c.request = &y;
    question_key(&b, &c);
    assert_false(str_eq(buf_str(&a), buf_str(&b)));
    y = x;
    y.options.min_query_index = 7; /* how long one waits is not the question */
    y.options.max_query_time = 8;
    question_key(&b, &c);
    assert_true(str_eq(buf_str(&a), buf_str(&b)));
    assert_int_equal(y.options.min_query_index, 7);
    y.options.filter = STR("a == b");
    question_key(&b, &c);
    assert_false(str_eq(buf_str(&a), buf_str(&b)));
    y = x;
    y.service_name = STR("");
    y.service_address = STR("web");
    question_key(&b, &c);
    assert_false(str_eq(buf_str(&a), buf_str(&b)));
    buf_free(&a);
    buf_free(&b);
}

static void test_blocking_times_out(void **state) {
    char value[64];
    kv_put(0, "slow", "1", "set");
    uint64_t index = kv_read(0, "slow", value);
    struct key_request r = {
        .key = STR("slow"),
        .options = {.min_query_index = index + 1000, .max_query_time = 60 * MILLISECOND}};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_kvs_get, &r);
    int64_t took = a.answered - a.started;
    assert_true(took >= 60 * MILLISECOND);
    assert_true(took < 2 * SECOND);
    assert_int_equal(answer->meta.index, index); /* an index of the future waits too */
    ask_end(&a);
}

static void test_blocking_answers_at_once_when_behind(void **state) {
    char value[64];
    kv_put(0, "behind", "1", "set");
    uint64_t index = kv_read(0, "behind", value);
    struct key_request r = {.key = STR("behind"), .options = {.min_query_index = index - 1}};
    struct ask a;
    ask(&a, 1, &endpoint_kvs_get, &r);
    ask_end(&a);
}

static void test_waking_without_progress_waits_on(void **state) {
    char value[64];
    kv_put(0, "prefix/a", "1", "set");
    uint64_t index = kv_read(0, "prefix/a", value);
    struct key_request r = {.key = STR("prefix/"), .options = {.min_query_index = index + 2}};
    struct ask a;
    ask_start(&a, 0, &endpoint_kvs_list, &r);
    kv_put(1, "prefix/b", "1", "set"); /* index + 1 */
    assert_null(ask_wait(&a, 50));
    kv_put(1, "prefix/b", "2", "set");
    kv_put(1, "prefix/b", "3", "set");
    assert_non_null(ask_wait(&a, 5000));
    ask_end(&a);
}

static void test_a_restore_wakes_everybody(void **state) {
    char value[64];
    kv_put(0, "restored", "1", "set");
    uint64_t index = kv_read(0, "restored", value);
    struct key_request r = {.key = STR("restored"), .options = {.min_query_index = index + 5000}};
    struct ask a;
    ask_start(&a, 0, &endpoint_kvs_get, &r);
    assert_null(ask_wait(&a, 50));
    fake_say_restored();
    struct answer *answer = ask_wait(&a, 5000);
    assert_non_null(answer);
    assert_int_equal(answer->meta.index, index); /* what was last read */
    ask_end(&a);
    /* Whoever asks now reads the new state. */
    kv_put(0, "restored", "2", "set");
    kv_read(0, "restored", value);
    assert_string_equal(value, "2");
}

static void test_cancelled_calls_are_not_answered(void **state) {
    char value[64];
    kv_put(0, "cancel", "1", "set");
    uint64_t index = kv_read(0, "cancel", value);
    struct key_request r = {.key = STR("cancel"), .options = {.min_query_index = index}};
    struct ask a = {0}, b = {0};
    ask_start(&a, 0, &endpoint_kvs_get, &r);
    ask_start(&b, 0, &endpoint_kvs_get, &r);
    ask_cancel(&a);
    assert_null(ask_wait(&a, 5000)); /* woken by freed, without an answer */
    assert_true(a.cancelled);
    kv_put(1, "cancel", "2", "set");
    assert_non_null(ask_wait(&b, 5000));
    ask_end(&b);
    sem_destroy(&a.done);
    /* A write that the core has is freed when it comes back. */
    struct kvs_request w = {.dir_ent = {.key = STR("cancel"), .value = STR("3")}, .op = STR("set")};
    struct ask c = {0};
    fake_set_hold(true);
    ask_start(&c, 0, &endpoint_kvs_apply, &w);
    ask_cancel(&c);
    assert_false(sem_wait_ms(&c.done, 50));
    fake_set_hold(false);
    assert_true(sem_wait_ms(&c.done, 5000));
    assert_true(c.cancelled);
    sem_destroy(&c.done);
}

/* ---- no lost wake-ups: followers of an index on both threads, writers on both ---- */

#define ROUNDS 200
#define FOLLOWERS 6

struct follower {
    struct call call;
    struct message message;
    struct key_request request;
    unsigned thread;
    uint64_t last;
    sem_t *finished;
};

static void follower_done(struct call *c) {
    struct follower *f = c->owner;
    struct indexed_dir_entries *reply = c->answer->reply;
    char value[64] = "";
    if (!error_is_set(&c->answer->error) && reply->entries.len == 1) {
        snprintf(value, sizeof value, "%.*s",
                 STR_ARG(LIST_AT(reply->entries, struct dir_entry *, 0)->value));
    }
    f->last = c->answer->meta.index;
    answer_release(c->answer);
    if (strcmp(value, "end") == 0) {
        sem_post(f->finished);
        return;
    }
    f->request.options.min_query_index = f->last;
    call_start(server, c);
}

static void follower_run(struct message *m) {
    struct follower *f = CONTAINER_OF(m, struct follower, message);
    call_start(server, &f->call);
}

static void test_no_wake_up_is_lost(void **state) {
    static struct follower followers[FOLLOWERS];
    sem_t finished;
    sem_init(&finished, 0, 0);
    kv_put(0, "followed", "begin", "set");
    for (int i = 0; i < FOLLOWERS; i++) {
        struct follower *f = &followers[i];
        memset(f, 0, sizeof *f);
        f->request.key = STR("followed");
        f->call = (struct call){.endpoint = &endpoint_kvs_get,
                                .request = &f->request,
                                .done = follower_done,
                                .owner = f};
        f->finished = &finished;
        f->message.run = follower_run;
        loop_post_reply(i % 3 == 2 ? server_core(server) : server_io(server, i % 2), &f->message);
    }
    for (int i = 0; i < ROUNDS; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        kv_put(i % 2, "followed", text, "set");
    }
    kv_put(0, "followed", "end", "set");
    for (int i = 0; i < FOLLOWERS; i++) {
        if (!sem_wait_ms(&finished, 20000))
            fail_msg("a follower missed the end");
    }
    sem_destroy(&finished);
}

/* ---- many different questions at once ---- */

#define MANY 3000

static void test_many_questions(void **state) {
    static struct ask asks[MANY];
    static struct key_request requests[MANY];
    static char keys[MANY][24];
    char value[64];
    kv_put(0, "many", "x", "set");
    uint64_t index = kv_read(0, "many", value);
    for (int i = 0; i < MANY; i++) {
        snprintf(keys[i], sizeof keys[i], "many/%d", i);
        requests[i] = (struct key_request){.key = str_from(keys[i]),
                                           .options = {.min_query_index = index + 10000}};
        ask_start(&asks[i], 0, &endpoint_kvs_get, &requests[i]);
    }
    kv_read(0, "many", value); /* behind them in the loop's queue: all wait now */
    assert_null(ask_wait(&asks[MANY - 1], 50));
    fake_say_restored();
    for (int i = 0; i < MANY; i++) {
        assert_non_null(ask_wait(&asks[i], 10000));
        ask_end(&asks[i]);
    }
}

/* ---- routing ---- */

static void test_another_datacenter(void **state) {
    struct key_request r = {.key = STR("a"), .datacenter = STR("dc9")};
    ask_error(0, &endpoint_kvs_get, &r, "No path to datacenter");
    struct kvs_request w = {.dir_ent = {.key = STR("a")}, .op = STR("set"), .datacenter = STR("x")};
    ask_error(0, &endpoint_kvs_apply, &w, "No path to datacenter");
    struct dc_request s = {.datacenter = STR("x")};
    ask_error(0, &endpoint_status_leader, &s, "No path to datacenter");
}

static void wait_for_leader(bool leader) {
    for (int i = 0; i < 2000 && server_is_leader(server) != leader; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(server_is_leader(server), leader);
}

static void test_waits_for_a_leader(void **state) {
    fake_set_leader(false);
    wait_for_leader(false);
    struct key_request r = {.key = STR("a")};
    struct kvs_request w = {.dir_ent = {.key = STR("lead"), .value = STR("x")}, .op = STR("set")};
    struct ask a, b;
    ask_start(&a, 0, &endpoint_kvs_get, &r);
    ask_start(&b, 1, &endpoint_kvs_apply, &w);
    assert_null(ask_wait(&a, 50));
    /* Stale reads are served, and say that no leader is known. */
    struct key_request stale = {.key = STR("a"), .options = {.allow_stale = true}};
    struct ask c;
    struct answer *answer = ask(&c, 0, &endpoint_kvs_get, &stale);
    assert_false(answer->meta.known_leader);
    ask_end(&c);
    fake_set_leader(true);
    assert_non_null(ask_wait(&a, 5000));
    assert_false(error_is_set(&a.call.answer->error));
    assert_non_null(ask_wait(&b, 5000));
    assert_false(error_is_set(&b.call.answer->error));
    ask_end(&a);
    ask_end(&b);
    server_settle();
}

static void test_no_leader(void **state) {
    fake_set_leader(false);
    wait_for_leader(false);
    struct key_request r = {.key = STR("a")};
    struct ask a;
    ask_start(&a, 0, &endpoint_kvs_get, &r);
    struct answer *answer = ask_wait(&a, 10000);
    assert_non_null(answer);
    assert_true(str_is(answer->error.text, "No cluster leader"));
    assert_int_equal(answer->error.kind, ERROR_NO_LEADER);
    assert_true(a.answered - a.started >= 2 * SECOND);
    ask_end(&a);
    struct key_request both = {.key = STR("a"),
                               .options = {.allow_stale = true, .require_consistent = true}};
    ask_error(0, &endpoint_kvs_get, &both, "node is not the leader");
    fake_set_leader(true);
    wait_for_leader(true);
}

static void test_consistent_reads(void **state) {
    char value[64];
    kv_put(0, "consistent", "1", "set");
    struct key_request r = {.key = STR("consistent"), .options = {.require_consistent = true}};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_kvs_get, &r);
    struct indexed_dir_entries *reply = answer->reply;
    assert_int_equal(reply->entries.len, 1);
    ask_end(&a);
    /* Blocking ones verify each time. */
    r.options.min_query_index = kv_read(0, "consistent", value);
    ask_start(&a, 0, &endpoint_kvs_get, &r);
    assert_null(ask_wait(&a, 50));
    kv_put(1, "consistent", "2", "set");
    assert_non_null(ask_wait(&a, 5000));
    assert_false(error_is_set(&a.call.answer->error));
    ask_end(&a);
    /* And time out. */
    r.options.min_query_index = 100000;
    r.options.max_query_time = 50 * MILLISECOND;
    ask(&a, 0, &endpoint_kvs_get, &r);
    ask_end(&a);
}

struct standstill {
    struct message message;
    sem_t begun, over;
};

static void standstill_run(struct message *m) {
    struct standstill *s = CONTAINER_OF(m, struct standstill, message);
    sem_post(&s->begun);
    sem_wait(&s->over);
}

/* The leadership goes between its verification and the read: what is there by then need not be of
 * a leader's history. */
static void test_verified_too_long_ago(void **state) {
    struct key_request r = {.key = STR("consistent"), .options = {.require_consistent = true}};
    struct standstill s = {.message = {.run = standstill_run}};
    struct ask a;
    sem_init(&s.begun, 0, 0);
    sem_init(&s.over, 0, 0);
    fake_set_hold(true);
    ask_start(&a, 0, &endpoint_kvs_get, &r);
    assert_null(ask_wait(&a, 50)); /* the driver has the question */
    loop_post_reply(server_io(server, 0), &s.message);
    sem_wait(&s.begun);
    int batches = atomic_load(&fake->batches);
    fake_set_hold(false);
    while (atomic_load(&fake->batches) == batches) /* it is answered: the leader leads */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    fake_set_leader(false);
    wait_for_leader(false);
    sem_post(&s.over);
    struct answer *answer = ask_wait(&a, 5000);
    assert_non_null(answer);
    assert_true(str_is(answer->error.text, "node is not the leader"));
    ask_end(&a);
    sem_destroy(&s.begun);
    sem_destroy(&s.over);
    fake_set_leader(true);
    wait_for_leader(true);
}

static void test_calls_on_the_core(void **state) {
    char value[64];
    kv_put(99, "core", "1", "set");
    kv_read(99, "core", value);
    assert_string_equal(value, "1");
}

/* What waits when the server stops is answered. */
static void test_stop_answers_what_waits(void **state) {
    struct server_options o = harness_options();
    server_begin(&o);
    server_settle();
    struct key_request r = {.key = STR("a"), .options = {.min_query_index = 100000}};
    struct ask a, b;
    ask_start(&a, 0, &endpoint_kvs_get, &r);
    struct kvs_request w = {.dir_ent = {.key = STR("lead"), .value = STR("x")}, .op = STR("set")};
    assert_null(ask_wait(&a, 30));
    fake_set_hold(true);
    ask_start(&b, 1, &endpoint_kvs_apply, &w);
    assert_null(ask_wait(&b, 30));
    server_stop(server);
    struct answer *answer = ask_wait(&a, 1000);
    assert_non_null(answer);
    assert_true(error_is_set(&answer->error));
    answer_release(answer);
    answer = ask_wait(&b, 1000);
    assert_non_null(answer);
    assert_true(error_is_set(&answer->error));
    answer_release(answer);
    server_free(server);
    server = NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_then_read),
        cmocka_unit_test(test_meta_is_the_leaders),
        cmocka_unit_test(test_kept_answers_are_given_again),
        cmocka_unit_test(test_unused_answers_are_dropped),
        cmocka_unit_test(test_no_answer_is_older_than_an_acknowledged_write),
        cmocka_unit_test(test_waiters_of_one_question_are_evaluated_once),
        cmocka_unit_test(test_variants_do_not_share),
        cmocka_unit_test(test_keys_of_questions),
        cmocka_unit_test(test_blocking_times_out),
        cmocka_unit_test(test_blocking_answers_at_once_when_behind),
        cmocka_unit_test(test_waking_without_progress_waits_on),
        cmocka_unit_test(test_a_restore_wakes_everybody),
        cmocka_unit_test(test_cancelled_calls_are_not_answered),
        cmocka_unit_test(test_no_wake_up_is_lost),
        cmocka_unit_test(test_many_questions),
        cmocka_unit_test(test_another_datacenter),
        cmocka_unit_test(test_waits_for_a_leader),
        cmocka_unit_test(test_no_leader),
        cmocka_unit_test(test_consistent_reads),
        cmocka_unit_test(test_verified_too_long_ago),
        cmocka_unit_test(test_calls_on_the_core),
    };
    int failed = cmocka_run_group_tests(tests, begin, end);
    const struct CMUnitTest alone[] = {cmocka_unit_test(test_stop_answers_what_waits)};
    return failed + cmocka_run_group_tests(alone, NULL, NULL);
}
