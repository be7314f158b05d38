/* Prepared queries: the rules of entry type 7, resolution by name, and templates as a real server
 * took them (tests/vectors/fsm/templates.json). */
#include "codec/json.h"
#include "fixture.h"
#include "store/query.h"
#include "store/query_template.h"
#include "store/tables.h"
#include "unit/vectors.h"

#define ID_1 "11111111-0000-4000-8000-000000000001"
#define ID_2 "11111111-0000-4000-8000-000000000002"
#define ID_3 "11111111-0000-4000-8000-000000000003"
#define SESSION "aaaaaaaa-0000-4000-8000-000000000001"

static struct store_result *query_op(struct fixture *f, const char *op, struct prepared_query q) {
    struct prepared_query_request r = {.op = S(op), .query = &q};
    return apply(f, ENTRY_PREPARED_QUERY, &prepared_query_request_shape, &r);
}

static struct prepared_query named(const char *id, const char *name) {
    return (struct prepared_query){.id = S(id), .name = S(name), .service.service = S("web")};
}

static struct prepared_query template_of(const char *id, const char *name, struct str service) {
    return (struct prepared_query){.id = S(id),
                                   .name = S(name),
                                   .service.service = service,
                                   .template.type = S("name_prefix_match")};
}

static struct prepared_query *resolved(struct fixture *f, const char *name) {
    struct prepared_query *query = NULL;
    uint64_t index;
    WITH_READ(f, r) assert_true(query_resolve(r, S(name), STR(""), &query, &index, &f->error));
    return query;
}

static void names_are_unique(void **state) {
    struct fixture *f = *state;
    assert_refused(query_op(f, "create", named("", "q")), "Missing Query ID");
    assert_ok(query_op(f, "create", named(ID_1, "q")));
    assert_int_equal(index_of(f, "prepared-queries"), f->index);
    assert_refused(query_op(f, "create", named(ID_2, "Q")),
                   "name 'Q' aliases an existing query name");
    assert_refused(query_op(f, "create", named(ID_2, ID_1)),
                   "name '" ID_1 "' aliases an existing query ID");
    assert_refused(query_op(f, "create", template_of(ID_2, "q", S("s"))),
                   "name 'q' aliases an existing query name");
    assert_ok(query_op(f, "create", named(ID_2, "")));
    assert_ok(query_op(f, "create", named(ID_3, ""))); /* no names are no names */
    assert_ok(query_op(f, "update", template_of(ID_2, "", S("s"))));
    assert_refused(query_op(f, "create", template_of(ID_3, "", S("s"))),
                   "a query template with an empty name already exists");
    assert_refused(query_op(f, "upsert", named(ID_3, "")),
                   "Invalid PreparedQuery operation 'upsert'");
    assert_ok(query_op(f, "update", named(ID_1, "other")));
    assert_ok(query_op(f, "create", named(ID_3, "Q"))); /* the name is free again */
}

static void indexes_are_kept(void **state) {
    struct fixture *f = *state;
    assert_ok(query_op(f, "create", named(ID_1, "q")));
    uint64_t created = f->index;
    assert_ok(query_op(f, "update", named(ID_1, "q")));
    struct prepared_query *query = resolved(f, "Q");
    assert_int_equal(query->create_index, created);
    assert_int_equal(query->modify_index, created + 1);
    assert_ok(query_op(f, "delete", named(ID_2, "")));
    assert_int_equal(index_of(f, "prepared-queries"), created + 1);
    assert_ok(query_op(f, "delete", named(ID_1, "")));
    assert_int_equal(index_of(f, "prepared-queries"), created + 3);
    assert_null(resolved(f, "q"));
    assert_refused(query_op(f, "delete", named("x", "")),
                   "failed prepared query delete: index error: UUID must be 36 characters");
}

static void sessions_must_exist(void **state) {
    struct fixture *f = *state;
    struct prepared_query q = named(ID_1, "q");
    q.session = S("bogus");
    assert_refused(query_op(f, "create", q),
                   "invalid session: index error: UUID must be 36 characters");
    q.session = S(SESSION);
    assert_refused(query_op(f, "create", q), "invalid session \"" SESSION "\"");
    node_put(f, "n", "", "1");
    assert_ok(session_op(f, "create", (struct session){.id = S(SESSION), .node = S("n")}));
    assert_ok(query_op(f, "create", q));
    assert_non_null(resolved(f, "q"));
    assert_ok(session_op(f, "destroy", (struct session){.id = S(SESSION)}));
    assert_null(resolved(f, "q"));
    assert_ok(query_op(f, "create", named(ID_2, "q"))); /* its name went with it */
}

static void resolution_takes_the_longest_prefix(void **state) {
    struct fixture *f = *state;
    struct error e = ERROR_IN(&f->arena);
    assert_ok(query_op(f, "create", template_of(ID_1, "", S("all-${name.full}"))));
    assert_ok(query_op(f, "create", template_of(ID_2, "Geo-", S("geo${name.suffix}"))));
    assert_ok(query_op(f, "create", named(ID_3, "geo-x")));
    assert_str(resolved(f, "other")->service.service, "all-other");
    assert_str(resolved(f, "Geo-y")->service.service, "geoy");
    assert_str(resolved(f, "geo-y")->service.service, "geogeo-y"); /* the case differs */
    assert_str(resolved(f, "GEO-X")->service.service, "web");
    assert_str(resolved(f, "geo-xy")->service.service, "geogeo-xy"); /* no prefix of a plain one */
    assert_str(resolved(f, ID_3)->service.service, "web");
    struct prepared_query *query;
    uint64_t index;
    WITH_READ(f, r) assert_false(query_resolve(r, S(ID_1), STR(""), &query, &index, &e));
    assert_str(e.text, "prepared query templates can only be resolved up by name, not by ID");
}

static void check_case(struct fixture *f, const struct value *c) {
    struct prepared_query q = template_of(ID_1, "t-", value_text(c, "text"));
    q.template.regexp = S("^t-(a.)-(.+)$");
    struct store_result *result = query_op(f, "create", q);
    struct str wanted = value_text(c, "error");
    bool refused = result->kind == STORE_RESULT_ERROR;
    /* We do not tell letters from other signs beyond ASCII: which of two errors it is may differ.
     * And a text is quoted up to a NUL only. */
    struct str text = q.service.service;
    bool plain = name_is_ascii(text) && str_find_char(text, 0) < 0;
    if (wanted.data != NULL && !plain && refused)
        return;
    bool same = wanted.data == NULL || (refused && str_eq(result->error.text, wanted));
    if (wanted.data == NULL) /* what ends the peer's process is refused */
        same = refused == (value_get(c, "process_died") != NULL);
    if (!same)
        print_error("%.*s: '%.*s'\n", STR_ARG(q.service.service),
                    STR_ARG(refused ? result->error.text : STR("accepted")));
    assert_true(same);
    wanted = value_text(c, "result");
    if (wanted.data != NULL) {
        struct str is = resolved(f, "t-ab-cd")->service.service;
        if (!str_eq(is, wanted))
            print_error("%.*s: '%.*s' is not '%.*s'\n", STR_ARG(q.service.service), STR_ARG(is),
                        STR_ARG(wanted));
        assert_true(str_eq(is, wanted));
    }
}

static void templates_are_the_peers(void **state) {
    struct fixture *f = *state;
    const struct value *cases = value_get(vectors_json(&f->arena, "fsm/templates.json"), "cases");
    for (size_t i = 0; i < cases->list.len; i++)
        check_case(f, &cases->list.items[i]);
    assert_true(cases->list.len > 350);
}

static void all_texts_are_rendered(void **state) {
    struct fixture *f = *state;
    struct str tags[] = {S(""), S("${name.suffix}"), S("$")}, lists[] = {S("a"), S("${match(0)}")};
    struct str_pair meta[] = {{S("${k}"), S("${name.full}")}};
    struct prepared_query q = template_of(ID_1, "t", S("s"));
    q.template.remove_empty_tags = true;
    q.template.regexp = S(".+");
    q.service.tags = (struct list){tags, 3, true};
    q.service.failover.datacenters = (struct list){lists, 2, true};
    q.service.ignore_check_ids = (struct list){lists, 2, true};
    q.service.near = S("${agent.segment}!");
    q.service.node_meta = q.service.service_meta = (struct list){meta, 1, true};
    assert_ok(query_op(f, "create", q));
    const struct service_query *s = &resolved(f, "tx")->service;
    assert_int_equal(s->tags.len, 1);
    assert_str(LIST_AT(s->tags, struct str, 0), "x");
    assert_str(LIST_AT(s->failover.datacenters, struct str, 1), "tx");
    assert_str(LIST_AT(s->ignore_check_ids, struct str, 1), "tx");
    assert_str(s->near, "!");
    assert_str(LIST_AT(s->node_meta, struct str_pair, 0).key, "${k}");
    assert_str(LIST_AT(s->node_meta, struct str_pair, 0).value, "tx");
    assert_str(LIST_AT(s->service_meta, struct str_pair, 0).value, "tx");
    lists[1] = S("${nope}");
    assert_refused(query_op(f, "update", q),
                   "failed compiling template: Bad evaluation for '${nope}' in "
                   "Service.Failover.Datacenters[1]: 1:3: unknown variable accessed: nope");
    q.service.failover.datacenters.len = 1;
    assert_refused(query_op(f, "update", q),
                   "failed compiling template: Bad evaluation for '${nope}' in "
                   "Service.IgnoreCheckIDs[1]: 1:3: unknown variable accessed: nope");
    q.template.regexp = S("(");
    assert_refused(query_op(f, "update", q), "failed compiling template: Bad Regexp: error parsing "
                                             "regexp: missing closing ): `(`");
    q.template.type = S("bogus");
    assert_refused(query_op(f, "update", q),
                   "failed compiling template: Bad Template.Type 'bogus'");
}

/* Deep and long texts end in errors or answers, not in the end of the stack. */
static void hostile_templates(void **state) {
    struct fixture *f = *state;
    static const char *const units[] = {"(", "-", "\"${", "1+", "match(", "x[", "$", "\"\" "};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        struct buf text = BUF_INIT;
        buf_add_text(&text, "${");
        for (int k = 0; k < 50000; k++)
            buf_add_text(&text, units[i]);
        buf_add_text(&text, "1}");
        query_op(f, "create", template_of(ID_1, "t", buf_str(&text)));
        buf_free(&text);
    }
    struct buf sum = BUF_INIT;
    buf_add_text(&sum, "${0");
    for (int k = 0; k < 50000; k++)
        buf_add_text(&sum, "+1");
    buf_add_text(&sum, "}");
    assert_ok(query_op(f, "create", template_of(ID_1, "t", buf_str(&sum))));
    assert_str(resolved(f, "t")->service.service, "50000");
    buf_free(&sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_unique, setup, teardown),
        cmocka_unit_test_setup_teardown(indexes_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_must_exist, setup, teardown),
        cmocka_unit_test_setup_teardown(resolution_takes_the_longest_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(templates_are_the_peers, setup, teardown),
        cmocka_unit_test_setup_teardown(all_texts_are_rendered, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_templates, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
