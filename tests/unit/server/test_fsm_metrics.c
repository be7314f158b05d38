/* What applied entries are measured as: the entries of a real server's log (tests/vectors/fsm),
 * each under its name and with its operation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "codec/json.h"
#include "server/fsm_metrics.h"
#include "unit/vectors.h"

static struct arena arena;
static unsigned seen;

static const struct metric_point *find(const struct metric_interval *in, const char *name,
                                       const char *labels) {
    for (size_t i = 0; i < in->len; i++)
        if (str_is(in->points[i].name, name) && str_is(in->points[i].labels, labels))
            return &in->points[i];
    return NULL;
}

static void test_a_real_log(void **state) {
    (void)state;
    static const char *const wanted[][2] = {
        {"fsm.register", ""},
        {"fsm.deregister", ""},
        {"fsm.kvs", "op=set"},
        {"fsm.kvs", "op=delete-tree"},
        {"fsm.session", "op=create"},
        {"fsm.txn", ""},
        {"fsm.coordinate.batch-update", ""},
        {"fsm.prepared-query", "op=create"},
        {"fsm.intention", "op=create"},
        {"consul.fsm.intention", "op=create"},
        {"fsm.acl.token", "op=upsert"},
        {"fsm.acl.token", "op=bootstrap"},
        {"fsm.ca", "op=set-config"},
        {"consul.fsm.ca", "op=set-roots"},
        {"fsm.config_entry.service-defaults", "op=upsert"},
        {"fsm.config_entry.proxy-defaults", "op=upsert"},
        {"fsm.federation_state.dc1", "op=upsert"},
    };
    const struct value *entries = value_get(vectors_json(&arena, "fsm/entries.json"), "entries");
    assert_non_null(entries);
    metrics_reset();
    struct fsm_tally tally = {0};
    for (size_t i = 0; i < entries->list.len; i++) {
        const struct value *hex = value_get(&entries->list.items[i], "data_hex");
        if (hex != NULL && hex->kind == VALUE_STRING)
            fsm_entry_measured(&tally, hex_bytes(&arena, hex->string), 1.5);
    }
    fsm_tally_end(&tally);
    struct metric_interval in = metrics_newest(&arena);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const struct metric_point *p = find(&in, wanted[i][0], wanted[i][1]);
        if (p == NULL)
            fail_msg("no %s {%s}", wanted[i][0], wanted[i][1]);
        assert_true(p->kind == METRIC_SAMPLE && p->min == 1.5 && p->max == 1.5);
    }
}

/* Whatever stands behind the type, nothing is read that is not there. */
static void test_cut_entries(void **state) {
    (void)state;
    struct str whole = hex_bytes(&arena, STR("0283aa44617461"
                                             "63656e746572a3646331a24f70a3736574a6446972456e7480"));
    metrics_reset();
    struct fsm_tally tally = {0};
    for (size_t len = 1; len <= whole.len; len++)
        fsm_entry_measured(&tally, str_sub(whole, 0, len), 1);
    for (unsigned type = 0; type < 256; type++) {
        char one = (char)type;
        fsm_entry_measured(&tally, str_of(&one, 1), 1);
        fsm_tally_end(&tally); /* its bytes go */
    }
    struct metric_interval in = metrics_newest(&arena);
    assert_non_null(find(&in, "fsm.kvs", "op=set"));
    assert_non_null(find(&in, "fsm.kvs", "op="));
}

static void ignore(enum metric_kind kind, struct str name, struct str labels, double value) {
    seen += kind == METRIC_SAMPLE && str_is(name, "fsm.kvs") && value > 0;
}

/* Runs are given in together, changes in between; observers get each. */
static void test_runs(void **state) {
    (void)state;
    struct str set = hex_bytes(&arena, STR("0281a24f70a3736574")),
               cas = hex_bytes(&arena, STR("0281a24f70a3636173"));
    struct str order[] = {set, set, cas, set, cas, cas};
    for (int observed = 0; observed < 2; observed++) {
        struct fsm_tally tally = {0};
        metrics_reset();
        seen = 0;
        metrics_observe(observed ? ignore : NULL);
        for (size_t i = 0; i < COUNT_OF(order); i++)
            fsm_entry_measured(&tally, order[i], (double)(i + 1));
        fsm_tally_end(&tally);
        fsm_tally_end(&tally); /* there is nothing more */
        metrics_observe(NULL);
        struct metric_interval in = metrics_newest(&arena);
        const struct metric_point *a = find(&in, "fsm.kvs", "op=set");
        const struct metric_point *b = find(&in, "fsm.kvs", "op=cas");
        assert_true(a->count == 3 && a->sum == 7 && a->min == 1 && a->max == 4 &&
                    a->sum_of_squares == 21);
        assert_true(b->count == 3 && b->sum == 14 && b->min == 3 && b->max == 6);
        assert_int_equal(seen, observed ? 6 : 0);
    }
}

static int forget(void **state) {
    (void)state;
    arena_free(&arena);
    metrics_reset();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_real_log, forget),
        cmocka_unit_test_teardown(test_cut_entries, forget),
        cmocka_unit_test_teardown(test_runs, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
