/* Kept answers against fresh ones: random writes to a small world, and after each of them every
 * question is asked twice, once where an answer may have been kept and once where none can be. Both
 * must be equal, index included. A question that waits must be woken by whatever changes its
 * answer. */
#include "fake_driver.h"
#include "harness.h"

#include "base/random.h"

static struct prng prng;
static uint64_t below(uint64_t n) {
    return prng_below(&prng, n);
}

static int begin(void **state) {
    struct server_options o = harness_options();
    server_begin(&o);
    server_settle();
    return 0;
}

static int end(void **state) {
    server_end();
    return 0;
}

static const char *const nodes[] = {"na", "nb", "NB", "nc"};
static const char *const services[] = {"web", "Web", "db", "proxy"};
static const char *const ids[] = {"s1", "s2", "S2"};
static const char *const keys[] = {"a", "a/b", "a/b/c", "b"};
#define PICK(array) str_from(array[below(sizeof(array) / sizeof(array[0]))])

static void run(const struct endpoint *endpoint, void *request) {
    struct ask a;
    ask_start(&a, (unsigned)below(2), endpoint, request);
    assert_non_null(ask_wait(&a, 10000)); /* refusals are as good as anything */
    ask_end(&a);
}

static void random_register(void) {
    char address[16];
    snprintf(address, sizeof address, "10.0.0.%d", (int)below(3));
    struct str_pair meta = {STR("m"), below(2) ? STR("1") : STR("2")};
    struct register_request r = {.node = PICK(nodes), .address = str_from(address)};
    if (below(2))
        r.node_meta = (struct list){&meta, 1, true};
    r.skip_node_update = below(3) == 0;
    struct str tags[] = {STR("t1"), STR("t2")};
    struct node_service s = {.id = PICK(ids), .service = PICK(services), .port = (int64_t)below(2)};
    if (below(2))
        s.tags = (struct list){tags, 1 + (uint32_t)below(2), true};
    if (str_is(s.service, "proxy")) {
        s.kind = STR("connect-proxy");
        s.port = 1;
        s.proxy.destination_service_name = STR("web");
    }
    if (below(2))
        r.service = &s;
    struct health_check c = {.check_id = below(2) ? STR("c1") : STR("c2"),
                             .status = below(2) ? STR("passing") : STR("critical")};
    if (below(2))
        c.service_id = PICK(ids);
    if (below(2))
        r.check = &c;
    run(&endpoint_catalog_register, &r);
}

static void random_deregister(void) {
    struct deregister_request r = {.node = PICK(nodes)};
    if (below(4))
        r.service_id = below(2) ? PICK(ids) : STR("");
    if (r.service_id.len == 0 && below(3))
        r.check_id = below(2) ? STR("c1") : STR("c2");
    run(&endpoint_catalog_deregister, &r);
}

static void random_kv(void) {
    static const char *const ops[] = {"set", "set", "set", "delete", "delete-tree", "cas"};
    struct kvs_request r = {.dir_ent = {.key = PICK(keys), .flags = below(2)}, .op = PICK(ops)};
    run(&endpoint_kvs_apply, &r);
}

static void random_write(void) {
    switch (below(4)) {
    case 0:
        random_kv();
        break;
    case 1:
        random_deregister();
        break;
    default:
        random_register();
        break;
    }
}

/* ---- questions ---- */

static struct dc_request dc;
static struct service_request by_service[4], by_tag, by_connect, by_meta, filtered;
static struct node_request by_node[3];
static struct key_request by_key[4], by_prefix;
static struct checks_in_state_request any_state = {.state = STR_INIT("any")};
static struct checks_in_state_request critical = {.state = STR_INIT("critical")};

struct question_case {
    const struct endpoint *endpoint;
    void *request;
};
static struct question_case cases[64];
static size_t case_count;

/* Each case has a request of its own: calls of several threads are under way with them at once. */
static void case_add(const struct endpoint *endpoint, const void *request) {
    static _Alignas(16) char requests[64][512];
    assert_true(endpoint->request->size <= sizeof requests[0]);
    memcpy(requests[case_count], request, endpoint->request->size);
    cases[case_count] = (struct question_case){endpoint, requests[case_count]};
    case_count++;
}

static void cases_make(void) {
    static struct str tag[] = {STR_INIT("t1")};
    static struct str_pair meta[] = {{STR_INIT("m"), STR_INIT("1")}};
    case_count = 0;
    for (int i = 0; i < 4; i++) {
        by_service[i] = (struct service_request){.service_name = str_from(services[i])};
        case_add(&endpoint_health_service_nodes, &by_service[i]);
        case_add(&endpoint_catalog_service_nodes, &by_service[i]);
        by_key[i] = (struct key_request){.key = str_from(keys[i])};
        case_add(&endpoint_kvs_get, &by_key[i]);
    }
    case_add(&endpoint_health_service_checks, &by_service[0]);
    by_tag = by_service[0];
    by_tag.tag_filter = true;
    by_tag.service_tags = (struct list){tag, 1, true};
    case_add(&endpoint_health_service_nodes, &by_tag);
    by_connect = by_service[0];
    by_connect.connect = true;
    case_add(&endpoint_health_service_nodes, &by_connect);
    case_add(&endpoint_catalog_service_nodes, &by_connect);
    by_meta = by_service[0];
    by_meta.node_meta_filters = (struct list){meta, 1, true};
    case_add(&endpoint_health_service_nodes, &by_meta);
    filtered = by_service[0];
    filtered.options.filter = STR("Service.Port == 1");
    case_add(&endpoint_health_service_nodes, &filtered);
    for (int i = 0; i < 3; i++) {
        by_node[i] = (struct node_request){.node = str_from(nodes[i == 2 ? 3 : i])};
        case_add(&endpoint_catalog_node_service_list, &by_node[i]);
        case_add(&endpoint_health_node_checks, &by_node[i]);
    }
    by_prefix = (struct key_request){.key = STR("a/")};
    case_add(&endpoint_kvs_list, &by_prefix);
    case_add(&endpoint_catalog_list_nodes, &dc);
    case_add(&endpoint_catalog_list_services, &dc);
    case_add(&endpoint_internal_node_dump, &dc);
    case_add(&endpoint_health_checks_in_state, &any_state);
    case_add(&endpoint_health_checks_in_state, &critical);
}

static void compare(const struct question_case *q, int round) {
    struct endpoint fresh = *q->endpoint;
    fresh.kind = ENDPOINT_READ;
    struct ask a, b;
    struct answer *kept = ask(&a, 0, q->endpoint, q->request);
    struct answer *read = ask(&b, 0, &fresh, q->request);
    if (!schema_equal(q->endpoint->reply, kept->reply, read->reply)) {
        fail_msg("round %d: %s, case %d: a kept answer differs (index %llu, fresh %llu)", round,
                 q->endpoint->name, (int)(q - cases), (unsigned long long)kept->meta.index,
                 (unsigned long long)read->meta.index);
    }
    ask_end(&a);
    ask_end(&b);
}

static void test_kept_answers_are_fresh(void **state) {
    cases_make();
    for (int seed = 1; seed <= 4; seed++) {
        prng_seed(&prng, (uint64_t)seed);
        for (int round = 0; round < 60; round++) {
            random_write();
            for (size_t i = 0; i < case_count; i++) {
                if (below(3))
                    compare(&cases[i], round);
            }
        }
    }
}

/* Everything but the index, which may grow for reasons that are not the question's. */
static struct buf content_of(const struct endpoint *endpoint, const struct answer *a) {
    struct buf out = BUF_INIT;
    struct query_meta *meta = (struct query_meta *)((char *)a->reply + endpoint->meta);
    struct query_meta saved = *meta;
    *meta = (struct query_meta){.index = 0};
    schema_encode(&out, endpoint->reply, a->reply);
    *meta = saved;
    return out;
}

static void wait_from(struct ask *a, size_t i, uint64_t index) {
    struct query_options *o =
        (struct query_options *)((char *)cases[i].request + cases[i].endpoint->options);
    o->min_query_index = index;
    o->max_query_time = 30 * SECOND;
    ask_start(a, i % 2, cases[i].endpoint, cases[i].request);
}

static void wait_no_longer(struct ask *a) {
    ask_cancel(a);
    do {
        assert_true(sem_wait_ms(&a->done, 10000));
    } while (!a->cancelled);
    a->cancelled = false;
    ask_end(a); /* it may have been answered before */
}

/* Every question waits from where it stands; a random write; whoever's answer it changed, with a
 * higher index, must come back. (Those whose index does not grow are left behind by the peer too:
 * fsm.md 3.1.) */
static void test_waiting_questions_are_woken(void **state) {
    static struct ask waiting[64];
    static struct buf before[64];
    cases_make();
    for (int round = 0; round < 200; round++) {
        prng_seed(&prng, 1000 + (uint64_t)round);
        uint64_t index[64];
        struct ask a;
        for (size_t i = 0; i < case_count; i++) {
            ((struct query_options *)((char *)cases[i].request + cases[i].endpoint->options))
                ->min_query_index = 0;
            struct answer *answer = ask(&a, i % 2, cases[i].endpoint, cases[i].request);
            index[i] = answer->meta.index;
            before[i] = content_of(cases[i].endpoint, answer);
            ask_end(&a);
        }
        for (size_t i = 0; i < case_count; i++)
            wait_from(&waiting[i], i, index[i]);
        random_write();
        for (size_t i = 0; i < case_count; i++) {
            struct endpoint fresh = *cases[i].endpoint;
            fresh.kind = ENDPOINT_READ;
            struct answer *now = ask(&a, 0, &fresh, cases[i].request);
            struct buf after = content_of(cases[i].endpoint, now);
            bool must = now->meta.index > index[i] && !str_eq(buf_str(&after), buf_str(&before[i]));
            buf_free(&after);
            buf_free(&before[i]);
            ask_end(&a);
            if (!must) {
                wait_no_longer(&waiting[i]);
            } else if (ask_wait(&waiting[i], 10000) == NULL) {
                fail_msg("round %d: %s, case %d was not woken", round, cases[i].endpoint->name,
                         (int)i);
            } else {
                ask_end(&waiting[i]);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_answers_are_fresh),
        cmocka_unit_test(test_waiting_questions_are_woken),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
