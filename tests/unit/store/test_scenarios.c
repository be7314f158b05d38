/* Transcripts of a real server (tests/vectors/fsm): after each write, which reads' indexes changed;
 * sessions and transactions with their answers. Requests become the log entries that a leader makes
 * of them, as far as these transcripts need it. */
#include "codec/base64.h"
#include "codec/json.h"
#include "fixture.h"
#include "unit/vectors.h"

static uint64_t number_of(const struct value *v, const char *key) {
    const struct value *found = value_get(v, key);
    return found != NULL && found->kind == VALUE_FLOAT ? (uint64_t)found->number : 0;
}

static void from_json(struct fixture *f, const struct value *json, const struct shape *shape,
                      void *object) {
    struct json_options options = {.ignore_unknown = true};
    if (json == NULL)
        return;
    bool ok = schema_from_json(json, shape, object, &options, &f->arena, &f->error);
    if (!ok)
        print_error("%.*s\n", STR_ARG(f->error.text));
    assert_true(ok);
}

/* "/v1/kv/a?x=1" -> path behind /v1/, query. */
static struct str cut_path(struct str url, struct str *query) {
    *query = url;
    struct str path = str_cut(query, '?');
    if (query->data == NULL)
        *query = STR("");
    return str_sub(path, 4, path.len);
}

static bool parameter(struct str query, const char *name, struct str *value) {
    while (query.len > 0) {
        struct str pair = str_cut(&query, '&');
        struct str key = str_cut(&pair, '=');
        *value = pair.data == NULL ? STR("") : pair;
        if (str_is(key, name))
            return true;
    }
    return false;
}

static bool below(struct str path, const char *prefix, struct str *rest) {
    if (!str_has_prefix(path, S(prefix)))
        return false;
    *rest = str_sub(path, strlen(prefix), path.len);
    return true;
}

/* ---- requests as entries ---- */

static void complete_check(const struct register_request *r, struct health_check *c) {
    if (c->node.len == 0)
        c->node = r->node;
    if (c->check_id.len == 0)
        c->check_id = c->name;
}

static struct store_result *put_register(struct fixture *f, const struct value *body) {
    struct register_request r = {.datacenter = STR("dc1")};
    from_json(f, body, &register_request_shape, &r);
    if (r.service != NULL && r.service->id.len == 0)
        r.service->id = r.service->service;
    if (r.check != NULL)
        complete_check(&r, r.check);
    for (uint32_t i = 0; i < r.checks.len; i++) {
        complete_check(&r, LIST_AT(r.checks, struct health_check *, i));
    }
    return apply(f, ENTRY_REGISTER, &register_request_shape, &r);
}

static struct store_result *put_deregister(struct fixture *f, const struct value *body) {
    struct deregister_request r = {0};
    from_json(f, body, &deregister_request_shape, &r);
    return apply(f, ENTRY_DEREGISTER, &deregister_request_shape, &r);
}

static struct store_result *kv_request(struct fixture *f, struct str method, struct str key,
                                       struct str query, struct str body) {
    struct str value;
    const char *op = str_is(method, "PUT") ? "set" : "delete";
    struct dir_entry d = {.key = key, .value = body};
    if (parameter(query, "flags", &value))
        assert_true(str_to_u64(value, &d.flags));
    if (parameter(query, "cas", &value)) {
        assert_true(str_to_u64(value, &d.modify_index));
        op = str_is(method, "PUT") ? "cas" : "delete-cas";
    }
    if (parameter(query, "recurse", &value))
        op = "delete-tree";
    if (parameter(query, "acquire", &d.session))
        op = "lock";
    if (parameter(query, "release", &d.session))
        op = "unlock";
    return kv_op(f, op, d);
}

static struct store_result *put_session(struct fixture *f, const struct value *body,
                                        struct str id) {
    struct session s = {.id = id, .lock_delay = 15 * SECOND};
    struct str delay = value_text(body, "LockDelay");
    s.node = value_text(body, "Node");
    s.behavior = value_text(body, "Behavior");
    if (delay.len > 0)
        assert_true(duration_parse(delay, &s.lock_delay, &f->error));
    const char *names[] = {"Checks", "NodeChecks"};
    struct list *lists[] = {&s.checks, &s.node_checks};
    for (int i = 0; i < 2; i++) {
        const struct value *list = value_get(body, names[i]);
        if (list == NULL)
            continue;
        *lists[i] = LIST_NEW(&f->arena, struct str, list->list.len);
        for (uint32_t n = 0; n < lists[i]->len; n++) {
            LIST_AT(*lists[i], struct str, n) = list->list.items[n].string;
        }
    }
    return session_op(f, "create", s);
}

static struct txn_op *txn_op_of(struct fixture *f, const struct value *v) {
    struct txn_op *op = ARENA_NEW(&f->arena, struct txn_op);
    const struct value *member;
    if ((member = value_get(v, "KV")) != NULL) {
        op->kv = ARENA_NEW(&f->arena, struct txn_op_kv);
        op->kv->verb = value_text(member, "Verb");
        op->kv->dir_ent = (struct dir_entry){.key = value_text(member, "Key"),
                                             .flags = number_of(member, "Flags"),
                                             .modify_index = number_of(member, "Index"),
                                             .session = value_text(member, "Session")};
        assert_true(base64_decode(value_text(member, "Value"), &op->kv->dir_ent.value, &f->arena,
                                  &f->error));
    } else if ((member = value_get(v, "Node")) != NULL) {
        op->node = ARENA_NEW(&f->arena, struct txn_op_node);
        op->node->verb = value_text(member, "Verb");
        op->node->node.datacenter = STR("dc1");
        from_json(f, value_get(member, "Node"), &node_shape, &op->node->node);
    } else if ((member = value_get(v, "Service")) != NULL) {
        op->service = ARENA_NEW(&f->arena, struct txn_op_service);
        op->service->verb = value_text(member, "Verb");
        op->service->node = value_text(member, "Node");
        from_json(f, value_get(member, "Service"), &node_service_shape, &op->service->service);
    } else if ((member = value_get(v, "Check")) != NULL) {
        op->check = ARENA_NEW(&f->arena, struct txn_op_check);
        op->check->verb = value_text(member, "Verb");
        from_json(f, value_get(member, "Check"), &health_check_shape, &op->check->check);
    }
    return op;
}

static struct list txn_ops_of(struct fixture *f, const struct value *body) {
    struct list ops = LIST_NEW(&f->arena, struct txn_op *, body->list.len);
    for (uint32_t i = 0; i < ops.len; i++) {
        LIST_AT(ops, struct txn_op *, i) = txn_op_of(f, &body->list.items[i]);
    }
    return ops;
}

/* A write of a transcript; NULL when it is none that reaches the log. */
static struct store_result *write_request(struct fixture *f, struct str method, struct str url,
                                          const struct value *body, struct str session_id) {
    struct str query, rest, path = cut_path(url, &query);
    if (str_is(path, "catalog/register"))
        return put_register(f, body);
    if (str_is(path, "catalog/deregister"))
        return put_deregister(f, body);
    if (str_is(path, "session/create"))
        return put_session(f, body, session_id);
    if (below(path, "session/destroy/", &rest)) {
        return session_op(f, "destroy", (struct session){.id = rest});
    }
    if (below(path, "kv/", &rest)) {
        struct str text = body != NULL && body->kind == VALUE_STRING ? body->string : STR_NONE;
        return kv_request(f, method, rest, query, text);
    }
    assert_true(str_is(path, "txn"));
    struct txn_request r = {.ops = txn_ops_of(f, body)};
    return apply(f, ENTRY_TXN, &txn_request_shape, &r);
}

/* ---- reads ---- */

static uint64_t read_index(struct store_read *r, struct str url) {
    struct str query, rest, ignored, path = cut_path(url, &query);
    struct list list;
    struct node *node;
    struct dir_entry *entry;
    if (below(path, "kv/", &rest)) {
        if (parameter(query, "keys", &ignored))
            return kv_list_keys(r, rest, STR(""), NULL, NULL, &list);
        if (parameter(query, "recurse", &ignored))
            return kv_list(r, rest, &list);
        return kv_get(r, rest, &entry);
    }
    if (str_is(path, "catalog/nodes"))
        return catalog_nodes(r, NULL, &list);
    if (str_is(path, "catalog/services"))
        return catalog_services(r, NULL, &list);
    if (str_is(path, "internal/ui/nodes"))
        return catalog_node_dump(r, &list);
    if (below(path, "catalog/service/", &rest))
        return catalog_service_nodes(r, rest, NULL, &list);
    if (below(path, "catalog/node/", &rest))
        return catalog_node_services(r, rest, &node, &list);
    if (below(path, "health/service/", &rest)) {
        return catalog_check_service_nodes(r, rest, NULL, &list);
    }
    if (below(path, "health/checks/", &rest))
        return catalog_service_checks(r, rest, NULL, &list);
    if (below(path, "health/node/", &rest))
        return catalog_node_checks(r, rest, &list);
    assert_true(below(path, "health/state/", &rest));
    return catalog_state_checks(r, rest, NULL, &list);
}

static void compare_answer(const struct store_result *result, const struct value *step) {
    const struct value *response = value_get(step, "response");
    if (number_of(step, "status") == 500) {
        assert_int_equal(result->kind, STORE_RESULT_ERROR);
        if (!str_eq(result->error.text, response->string)) {
            print_error("'%.*s' != '%.*s'\n", STR_ARG(result->error.text),
                        STR_ARG(response->string));
        }
        assert_true(str_eq(result->error.text, response->string));
    } else {
        assert_not_refused(result);
        if (result->kind == STORE_RESULT_BOOL) {
            assert_int_equal(response->kind, VALUE_BOOL);
            assert_int_equal(result->boolean, response->boolean);
        }
    }
}

/* What a watched read must have as index after a step: "this", "step k", a number, or as before. */
static uint64_t expected_index(const struct value *change, uint64_t before, uint64_t now,
                               const uint64_t *steps) {
    uint64_t step;
    if (change == NULL)
        return before;
    if (str_to_u64(change->string, &step))
        return step;
    if (str_is(change->string, "this"))
        return now;
    assert_true(str_to_u64(str_sub(change->string, 5, 9), &step));
    return steps[step];
}

static void run_index_step(struct fixture *f, const struct value *watched, const struct value *step,
                           uint64_t *steps) {
    enum { MAX = 32 };
    uint64_t before[MAX];
    size_t count = watched->list.len;
    assert_true(count <= MAX);
    WITH_READ(f, r) {
        for (size_t i = 0; i < count; i++)
            before[i] = read_index(r, watched->list.items[i].string);
    }
    const struct value *request = value_get(step, "request");
    if (value_get(step, "log_entry_appended")->boolean) {
        compare_answer(write_request(f, value_text(request, "method"), value_text(request, "path"),
                                     value_get(request, "body"), STR("")),
                       step);
    }
    steps[number_of(step, "step")] = f->index;
    WITH_READ(f, r) {
        for (size_t i = 0; i < count; i++) {
            struct str url = watched->list.items[i].string;
            char *name = str_terminated(&f->arena, url);
            const struct value *change = value_get(value_get(step, "index_changes"), name);
            uint64_t expected = expected_index(change, before[i], f->index, steps);
            uint64_t is = read_index(r, url);
            if (is != expected) {
                print_error("%.*s: %s: %llu instead of %llu\n", STR_ARG(value_text(step, "name")),
                            name, (unsigned long long)is, (unsigned long long)expected);
            }
            assert_int_equal(is, expected);
        }
    }
}

static void test_index_scenarios(void **state) {
    struct fixture *f = *state;
    struct value root;
    struct str text = vectors_bytes(&f->arena, "fsm/index-scenarios.json");
    assert_true(json_parse_whole(text, &root, &f->arena, &f->error));
    /* What the server of the transcript had before: itself. */
    node_put(f, "server", "", "127.0.0.1");
    service_put(f, "server", (struct node_service){.id = S("consul"), .service = S("consul")});
    check_put(f, "server", "serfHealth", "", "passing");
    const struct value *scenarios = value_get(&root, "scenarios");
    assert_int_equal(scenarios->list.len, 3);
    for (size_t i = 0; i < scenarios->list.len; i++) {
        const struct value *scenario = &scenarios->list.items[i];
        const struct value *steps = value_get(scenario, "steps");
        uint64_t indexes[64] = {0};
        assert_true(steps->list.len <= 64);
        for (size_t n = 0; n < steps->list.len; n++) {
            run_index_step(f, value_get(scenario, "watched"), &steps->list.items[n], indexes);
        }
    }
}

/* ---- sessions and transactions ---- */

static struct str session_id(char n) {
    static char text[] = "5e551000-0000-4000-8000-00000000000N";
    text[35] = n;
    return str_of(text, 36);
}

/* "$S1" in the transcript is our session 1. */
static struct str substitute_ids(struct arena *a, struct str text) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '$' && i + 2 < text.len && text.data[i + 1] == 'S') {
            buf_add_str(&out, session_id(text.data[i + 2]));
            i += 2;
        } else {
            buf_add_char(&out, text.data[i]);
        }
    }
    struct str copy = str_copy(a, buf_str(&out));
    buf_free(&out);
    return copy;
}

static void compare_json(struct fixture *f, const struct type *type, const void *object,
                         const struct value *expected) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    struct value is;
    json_begin(&w, &text, false);
    schema_write_json_type(&w, type, object, 0);
    json_finish(&w);
    struct str copy = str_copy(&f->arena, buf_str(&text));
    assert_true(json_parse_whole(copy, &is, &f->arena, &f->error));
    if (!value_equal(&is, expected))
        print_error("%.*s\n", STR_ARG(copy));
    assert_true(value_equal(&is, expected));
    buf_free(&text);
}

static const struct type errors_type = {KIND_LIST, NULL,
                                        &(const struct type){KIND_PTR, &txn_error_shape, NULL}};
static const struct type results_type = {KIND_LIST, NULL,
                                         &(const struct type){KIND_PTR, &txn_result_shape, NULL}};
static const struct type entry_type = {KIND_STRUCT, &dir_entry_shape, NULL};

static void compare_txn(struct fixture *f, const struct list *errors, const struct list *results,
                        const struct value *response) {
    compare_json(f, &errors_type, errors, value_get(response, "Errors"));
    compare_json(f, &results_type, results, value_get(response, "Results"));
}

static void run_read(struct fixture *f, const struct value *step) {
    struct str query, rest, path = cut_path(value_text(step, "path"), &query);
    const struct value *response = value_get(step, "response");
    uint64_t index, expected;
    struct dir_entry *entry = NULL;
    struct session *session = NULL;
    struct store_read *r = reading(f, NULL);
    if (below(path, "kv/", &rest)) {
        index = kv_get(r, rest, &entry);
        if (number_of(step, "status") == 404)
            assert_null(entry);
        else
            compare_json(f, &entry_type, entry, &response->list.items[0]);
    } else {
        assert_true(below(path, "session/info/", &rest));
        assert_true(session_get(r, rest, &session, &index, &f->error));
        assert_int_equal(session != NULL, response->list.len);
    }
    store_read_end(r);
    assert_true(str_to_u64(value_text(step, "X-Consul-Index"), &expected));
    assert_int_equal(index, expected);
}

static void run_session_step(struct fixture *f, const struct value *step) {
    struct str path = value_text(step, "path"), note = value_text(step, "note");
    const struct value *body = value_get(step, "body");
    uint64_t after = number_of(step, "raft_index_after");
    if (str_is(value_text(step, "method"), "GET")) {
        run_read(f, step);
        return;
    }
    bool txn = str_is(path, "/v1/txn");
    if (str_has_prefix(note, STR("lock-delay"))) {
        store_set_clock(f->store, 1500 * MILLISECOND);
        assert_int_equal(store_lock_delay(f->store, STR("L2")), 2 * SECOND);
        store_set_clock(f->store, 2 * SECOND);
        assert_int_equal(store_lock_delay(f->store, STR("L2")), 0);
    }
    if (!value_get(step, "log_entry_appended")->boolean) {
        if (!txn || str_is(note, "same in txn"))
            return; /* the leader's own checks */
        struct list ops = txn_ops_of(f, body), errors, results;
        assert_true(txn_is_read_only(&ops));
        WITH_READ(f, r) txn_read(r, &ops, &errors, &results);
        compare_txn(f, &errors, &results, value_get(step, "response"));
        return;
    }
    char number = str_has_prefix(note, STR("create S")) ? note.data[8] : '9';
    f->index = after - 1;
    struct store_result *result =
        write_request(f, value_text(step, "method"), path, body, session_id(number));
    if (!txn) {
        compare_answer(result, step);
        return;
    }
    assert_int_equal(result->kind, STORE_RESULT_TXN);
    compare_txn(f, &result->txn->errors, &result->txn->results, value_get(step, "response"));
}

static void test_session_txn_scenarios(void **state) {
    struct fixture *f = *state;
    struct value root;
    struct str text = vectors_bytes(&f->arena, "fsm/session-txn-scenarios.json");
    text = substitute_ids(&f->arena, text);
    assert_true(json_parse_whole(text, &root, &f->arena, &f->error));
    const struct value *steps = value_get(&root, "steps");
    assert_int_equal(steps->list.len, 50);
    for (size_t i = 0; i < steps->list.len; i++) {
        const struct value *step = &steps->list.items[i];
        run_session_step(f, step);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_index_scenarios, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session_txn_scenarios, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
