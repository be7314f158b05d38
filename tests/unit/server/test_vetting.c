/* What is asked of those who change something, where that depends on what there is
 * (acl.md 9.2, 9.3, 9.5): registrations, sessions, prepared queries, transactions, snapshots. Texts
 * are the peer's. */
#include "acl_fixture.h"

#include <unistd.h>

#include "server/server_room.h"

/* ---- registration (acl.md 9.5) ---- */

#define WEB "11111111-0000-4000-8000-000000000003"   /* service web */
#define PROXY "11111111-0000-4000-8000-000000000004" /* service web-proxy */
#define NODE "11111111-0000-4000-8000-000000000005"  /* node a, read on n1 */

struct registration {
    const char *token;
    struct register_request r;
    const char *refused;
};

#define SERVICE(...)                                                                               \
    .service = &(struct node_service) {                                                            \
        __VA_ARGS__                                                                                \
    }
#define CHECK(...)                                                                                 \
    .check = &(struct health_check) {                                                              \
        __VA_ARGS__                                                                                \
    }
#define ON(name) .node = STR(name), .address = STR("10.0.0.1")

static void test_registration(void **state) {
    token_put(WEB, "service \"web\" { policy = \"write\" }");
    token_put(PROXY, "service \"web-proxy\" { policy = \"write\" }");
    token_put(NODE, "node \"a\" { policy = \"write\" } node \"n1\" { policy = \"read\" }");
    struct registration all[] = {
        {"", {ON("a")}, ""}, /* nothing changes */
        {"", {ON("a"), .skip_node_update = true}, ""},
        {WEB, {ON("a"), SERVICE(.id = STR("web-1"), .service = STR("web"))}, ""},
        {WEB, {ON("A"), SERVICE(.id = STR("web-1"), .service = STR("web"))}, DENIED},
        {WEB,
         {ON("a"), .node_meta = LIST_EMPTY, SERVICE(.id = STR("web-1"), .service = STR("web"))},
         DENIED},
        {WEB, {ON("a"), .tagged_addresses = LIST_EMPTY}, DENIED},
        {WEB,
         {.node = STR("a"),
          .address = STR("10.0.0.9"),
          SERVICE(.id = STR("web-1"), .service = STR("web"))},
         DENIED},
        {WEB,
         {.node = STR("a"),
          .skip_node_update = true,
          .address = STR("10.0.0.9"),
          SERVICE(.id = STR("web-1"), .service = STR("web"))},
         ""},
        {WEB,
         {ON("new"), .skip_node_update = true, SERVICE(.id = STR("web-1"), .service = STR("web"))},
         DENIED}, /* a node that is not there */
        {NODE, {ON("a"), SERVICE(.id = STR("web-1"), .service = STR("web"))}, DENIED},
        {"", {ON("a"), SERVICE(.service = STR("consul"))}, DENIED},
        {NODE, {ON("n1"), .skip_node_update = true, CHECK(.check_id = STR("x"))}, DENIED},
        {WEB, {ON("a"), SERVICE(.id = STR("db-1"), .service = STR("web"))}, DENIED}, /* db's */
        {PROXY,
         {ON("a"), SERVICE(.service = STR("web-proxy"), .kind = STR("connect-proxy"), .port = 1,
                           .proxy.destination_service_name = STR("web"))},
         DENIED},
        {NODE,
         {ON("a"), CHECK(.node = STR("zz"), .check_id = STR("sc"))},
         "Node 'zz' for check 'sc' doesn't match register request node 'a'"},
        {"",
         {ON("a"), CHECK(.check_id = STR("sc"), .service_id = STR("nosuch"))},
         "Unknown service 'nosuch' for check 'sc'"},
        {NODE, {ON("a"), CHECK(.check_id = STR("sc"), .service_id = STR("web-1"))}, DENIED},
        {WEB, {ON("a"), CHECK(.check_id = STR("sc"), .service_id = STR("web-1"))}, ""},
        {WEB, {ON("a"), CHECK(.check_id = STR("disk"))}, DENIED},
        {NODE, {ON("a"), CHECK(.check_id = STR("disk"), .status = STR("passing"))}, ""},
        {WEB,
         {ON("a"), SERVICE(.id = STR("web-9"), .service = STR("web")),
          CHECK(.check_id = STR("s9"), .service_id = STR("web-9"))},
         ""},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        const char *text = text_of(&endpoint_catalog_register, &all[i].r, all[i].token);
        if (strcmp(text, all[i].refused) != 0)
            fail_msg("%zu: \"%s\", wanted \"%s\"", i, text, all[i].refused);
    }
}

static void test_deregistration(void **state) {
    const struct {
        const char *token;
        struct deregister_request r;
        const char *refused;
    } all[] = {
        {"", {.node = STR("nosuch")}, DENIED},
        {"", {.node = STR("nosuch"), .service_id = STR("x")}, "Unknown service 'x'"},
        {"", {.node = STR("a"), .check_id = STR("x")}, "Unknown check 'x'"},
        {ROOT, {.node = STR("a"), .check_id = STR("x")}, ""},
        {WEB, {.node = STR("a"), .check_id = STR("db-1")}, DENIED},
        {WEB, {.node = STR("a"), .check_id = STR("disk")}, DENIED},
        {"", {.node = STR("a"), .service_id = STR("web-9"), .check_id = STR("x")}, DENIED},
        {WEB, {.node = STR("a"), .service_id = STR("db-1")}, DENIED},
        {WEB, {.node = STR("a")}, DENIED},
        {WEB, {.node = STR("a"), .check_id = STR("s9")}, ""},
        {WEB, {.node = STR("a"), .service_id = STR("web-9")}, ""},
        {NODE, {.node = STR("a"), .check_id = STR("sc")}, ""},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        const char *text = text_of(&endpoint_catalog_deregister, &all[i].r, all[i].token);
        if (strcmp(text, all[i].refused) != 0)
            fail_msg("%zu: \"%s\", wanted \"%s\"", i, text, all[i].refused);
    }
}

/* ---- sessions ---- */

static void test_sessions(void **state) {
    struct session_request r = {.op = STR("destroy"), .session.id = STR("odd")};
    const char *text = text_of(&endpoint_session_apply, &r, "");
    assert_string_equal(text,
                        "Session lookup failed: failed session lookup: index error: UUID must "
                        "be 36 characters");
    r.session.id = STR(UNKNOWN);
    assert_string_equal(text_of(&endpoint_session_apply, &r, ""), "");
    r.op = STR("odd");
    assert_string_equal(text_of(&endpoint_session_apply, &r, ROOT),
                        "Invalid session operation \"odd\"");
    r = (struct session_request){.op = STR("create"),
                                 .session = {.node = STR("a"), .behavior = STR("odd")}};
    assert_string_equal(text_of(&endpoint_session_apply, &r, ""), DENIED);
    r.session.node = STR("");
    assert_string_equal(text_of(&endpoint_session_apply, &r, ""), "Must provide Node");
}

/* ---- prepared queries ---- */

static void shown_token(int query, const char *token, const char *wanted) {
    struct prepared_query_specific_request r = {.query_id = str_from(query_ids[query])};
    _Alignas(16) char copy[512];
    struct ask a;
    const struct answer *answer = asked(&a, &endpoint_prepared_query_get, &r, token, copy);
    const struct indexed_prepared_queries *reply = answer->reply;
    assert_int_equal(reply->queries.len, 1);
    struct str shown = LIST_AT(reply->queries, struct prepared_query *, 0)->token;
    assert_true(str_is(shown, wanted));
    ask_end(&a);
}

static void test_tokens_of_queries_are_hidden(void **state) {
    shown_token(0, SOME, "<hidden>");
    shown_token(0, ALL, "<hidden>");
    shown_token(0, ROOT, SOME);
    shown_token(1, ALL, "");
    struct dc_request r = {.options.token = STR(ALL)};
    struct ask a;
    const struct answer *answer = ask(&a, 0, &endpoint_prepared_query_list, &r);
    const struct indexed_prepared_queries *reply = answer->reply;
    for (uint32_t i = 0; i < reply->queries.len; i++) {
        struct str shown = LIST_AT(reply->queries, struct prepared_query *, i)->token;
        assert_true(shown.len == 0 || str_is(shown, "<hidden>"));
    }
    ask_end(&a);
    struct prepared_query_execute_request e = {.query_id_or_name = STR("seen")};
    _Alignas(16) char copy[512];
    answer = asked(&a, &endpoint_prepared_query_explain, &e, SOME, copy);
    const struct prepared_query_explain_response *explained = answer->reply;
    assert_true(str_is(explained->query.token, "<hidden>"));
    ask_end(&a);
}

static const char *change(const char *op, const char *token, struct prepared_query q) {
    struct prepared_query_request r = {.op = str_from(op), .query = &q};
    return text_of(&endpoint_prepared_query_apply, &r, token);
}

static void test_changes_of_queries(void **state) {
    struct prepared_query other = {.id = str_from(query_ids[1]), .service.service = STR("web")};
    struct prepared_query unnamed = {.session = str_from(session_ids[1]),
                                     .service.service = STR("web")};
    struct prepared_query nowhere = {.id = STR(UNKNOWN), .name = STR("x")};
    struct prepared_query template = {.template.type = STR("name_prefix_match")};
    other.name = STR("mine");
    token_put(NODE, "query \"mine\" { policy = \"write\" }");
    assert_string_equal(change("update", NODE, other), DENIED); /* the old name */
    assert_string_equal(change("delete", NODE, other), DENIED);
    other.name = STR("other");
    assert_string_equal(change("update", NODE, other), DENIED); /* the new one */
    assert_string_equal(change("update", "", nowhere), DENIED); /* before it is looked for */
    assert_string_equal(change("create", "", template), DENIED);
    assert_string_equal(change("create", "", unnamed), "");
    nowhere.name = STR("");
    assert_string_equal(change("delete", "", nowhere),
                        "Cannot modify non-existent prepared query: '" UNKNOWN "'");
    other.token = STR("<hidden>");
    assert_string_equal(change("update", ALL, other),
                        "Invalid prepared query: Bad Token '<hidden>', it looks like a query "
                        "definition with a redacted token was submitted");
}

static void executed(const char *query, const char *token, bool consistent, int nodes,
                     const char *refused) {
    struct prepared_query_execute_request r = {
        .query_id_or_name = str_from(query),
        .options = {.token = str_from(token), .require_consistent = consistent}};
    struct ask a;
    ask_start(&a, 0, &endpoint_prepared_query_execute, &r);
    const struct answer *answer = ask_wait(&a, 10000);
    assert_non_null(answer);
    char text[512];
    snprintf(text, sizeof text, STR_FMT, STR_ARG(answer->error.text));
    assert_string_equal(text, refused);
    const struct prepared_query_execute_response *reply = answer->reply;
    if (refused[0] == 0)
        assert_int_equal(reply->nodes.len, nodes);
    ask_end(&a);
}

static void test_execute(void **state) {
    for (int consistent = 0; consistent < 2; consistent++) {
        executed("other", "", consistent, 0, "");
        executed("other", SOME, consistent, 1, "");
        executed("other", ALL, consistent, 2, "");
        executed("other", UNKNOWN, consistent, 0, "ACL not found");
        executed("seen", "", consistent, 1, ""); /* by its own token, whoever asks */
        executed("seen", ALL, consistent, 1, "");
        executed("seen", UNKNOWN, consistent, 1, "");
        executed("lost", ROOT, consistent, 0, "ACL not found");
        executed("nosuch", UNKNOWN, consistent, 0, "Query not found");
        executed("other", "manage", consistent, 0, "Cannot resolve root ACL");
    }
}

static struct ask together[4];

static void ask_together(struct message *m) {
    for (int i = 0; i < 4; i++)
        ask_run(&together[i].message);
}

/* Those who ask the same at once, consistently, wait together: each with his own rights. */
static void test_execute_together(void **state) {
    static const char *const tokens[] = {"", SOME, ALL, ROOT};
    static const uint32_t wanted[] = {0, 1, 2, 2};
    static struct prepared_query_execute_request r[4];
    struct message start = {.run = ask_together};
    for (int i = 0; i < 4; i++) {
        r[i] = (struct prepared_query_execute_request){
            .query_id_or_name = STR("other"),
            .options = {.token = str_from(tokens[i]), .require_consistent = true}};
        ask_prepare(&together[i], 0, &endpoint_prepared_query_execute, &r[i]);
    }
    loop_post_reply(server_io(server, 0), &start);
    for (int i = 0; i < 4; i++) {
        const struct answer *answer = ask_wait(&together[i], 10000);
        assert_non_null(answer);
        const struct prepared_query_execute_response *reply = answer->reply;
        assert_int_equal(reply->nodes.len, wanted[i]);
        ask_end(&together[i]);
    }
}

static void test_execute_remote(void **state) {
    struct prepared_query_execute_remote_request r = {.query = {.service.service = STR("web")},
                                                      .options.token = STR(ALL)};
    struct ask a;
    const struct answer *answer = ask(&a, 0, &endpoint_prepared_query_execute_remote, &r);
    const struct prepared_query_execute_response *reply = answer->reply;
    assert_int_equal(reply->nodes.len, 2);
    ask_end(&a);
    r.query.token = STR(SOME);
    answer = ask(&a, 0, &endpoint_prepared_query_execute_remote, &r);
    reply = answer->reply;
    assert_int_equal(reply->nodes.len, 1);
    ask_end(&a);
}

/* ---- transactions (acl.md 9.3) ---- */

static void txn_says(const char *token, struct txn_op op, const char *wanted) {
    struct txn_op *ops[] = {&op};
    struct txn_request r = {.ops = {ops, 1, true}, .write.token = str_from(token)};
    struct ask a;
    const struct answer *answer = ask(&a, 0, &endpoint_txn_apply, &r);
    const struct txn_response *reply = answer->reply;
    struct str what =
        reply->errors.len > 0 ? LIST_AT(reply->errors, struct txn_error *, 0)->what : STR("");
    if (!str_is(what, wanted))
        fail_msg("\"" STR_FMT "\", wanted \"%s\"", STR_ARG(what), wanted);
    ask_end(&a);
}

#define KV(verb_, key_)                                                                            \
    ((struct txn_op){.kv = &(struct txn_op_kv){.verb = STR(verb_), .dir_ent.key = STR(key_)}})

static void test_txn(void **state) {
    static const char *const writing[] = {"set",  "cas",    "delete",           "delete-cas",
                                          "lock", "unlock", "check-not-exists", "odd"};
    for (size_t i = 0; i < COUNT_OF(writing); i++) {
        struct txn_op_kv kv = {.verb = str_from(writing[i]), .dir_ent.key = STR("a/1")};
        txn_says(SOME, (struct txn_op){.kv = &kv}, DENIED);
    }
    txn_says(SOME, KV("set", ""), "Must provide key");
    txn_says(SOME, KV("delete-tree", "a/"), DENIED);
    txn_says(SOME, KV("check-index", "b/1"), DENIED);
    txn_says(SOME, KV("check-session", "b/1"), DENIED);
}

static void test_txn_catalog(void **state) {
    struct txn_op_node node = {.verb = STR("set"), .node.node = STR("a")};
    struct txn_op_service service = {
        .verb = STR("set"), .node = STR("a"), .service.service = STR("db")};
    struct txn_op_check check = {.verb = STR("set"), .check = {.node = STR("a"), .name = STR("x")}};
    txn_says(WEB, (struct txn_op){.node = &node}, DENIED);
    txn_says(WEB, (struct txn_op){.service = &service}, DENIED);
    txn_says(WEB, (struct txn_op){.check = &check}, DENIED);
    check.check.service_id = STR("db-1");
    check.check.service_name = STR("db");
    txn_says(WEB, (struct txn_op){.check = &check}, DENIED);
    node.node.id = STR("odd");
    txn_says(WEB, (struct txn_op){.node = &node}, "Bad node ID: uuid string is wrong length");
    service.service.service = STR("");
    service.service.id = STR("x");
    txn_says(WEB, (struct txn_op){.service = &service}, "Must provide service name with ID");
    node = (struct txn_op_node){.verb = STR("get"), .node.node = STR("a")};
    service =
        (struct txn_op_service){.verb = STR("get"), .node = STR("a"), .service.id = STR("db-1")};
    txn_says(WEB, (struct txn_op){.node = &node}, "");
    txn_says(WEB, (struct txn_op){.service = &service}, "");
}

/* What a read finds, each by its own right: a node, a service, its check, and the node's. */
static void test_txn_results(void **state) {
    struct txn_op_node node = {.verb = STR("get"), .node.node = STR("a")};
    struct txn_op_service service = {
        .verb = STR("get"), .node = STR("a"), .service.id = STR("db-1")};
    struct txn_op_check of_service = {.verb = STR("get"),
                                      .check = {.node = STR("a"), .check_id = STR("db-1")}};
    struct txn_op_check of_node = {.verb = STR("get"),
                                   .check = {.node = STR("a"), .check_id = STR("disk")}};
    struct txn_op all[] = {
        {.node = &node}, {.service = &service}, {.check = &of_service}, {.check = &of_node}};
    struct txn_op *ops[] = {&all[0], &all[1], &all[2], &all[3]};
    token_put(WEB, "service \"db\" { policy = \"read\" }");
    token_put(NODE, "node \"a\" { policy = \"read\" }");
    const struct {
        const char *token;
        bool seen[4];
    } wanted[] = {{"", {false, false, false, false}},
                  {WEB, {false, true, true, false}},
                  {NODE, {true, false, false, true}},
                  {ROOT, {true, true, true, true}}};
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        for (int k = 0; k < 4; k++) {
            struct txn_read_request r = {.ops = {&ops[k], 1, true},
                                         .options.token = str_from(wanted[i].token)};
            struct ask a;
            const struct answer *answer = ask(&a, 0, &endpoint_txn_read, &r);
            const struct txn_read_response *reply = answer->reply;
            assert_int_equal(reply->results.len, wanted[i].seen[k]);
            assert_true(reply->results.present);
            ask_end(&a);
        }
    }
}

/* ---- listing keys may need a right of its own (acl.md 9.4) ---- */

static void test_key_list_policy(void **state) {
    const char *id = "11111111-0000-4000-8000-000000000006";
    struct key_request list = {.key = STR("a/")};
    struct key_list_request keys = {.prefix = STR("a/")};
    token_put(id, "key_prefix \"a/\" { policy = \"list\" }");
    server->options.acl.key_list_policy = true;
    assert_string_equal(text_of(&endpoint_kvs_list, &list, SOME), DENIED);
    assert_string_equal(text_of(&endpoint_kvs_list_keys, &keys, SOME), DENIED);
    assert_string_equal(text_of(&endpoint_kvs_list, &list, id), "");
    assert_string_equal(text_of(&endpoint_kvs_list_keys, &keys, id), "");
    server->options.acl.key_list_policy = false;
    assert_string_equal(text_of(&endpoint_kvs_list, &list, SOME), "");
}

/* ---- snapshots ---- */

/* Returns the archive. */
static int snapshot_says(bool restore, bool stale, int archive, const char *token,
                         const char *wanted) {
    struct snap s;
    return snap(
        &s, restore,
        (struct snapshot_call){.archive = archive, .allow_stale = stale, .token = str_from(token)},
        wanted);
}

static void test_snapshots(void **state) {
    snapshot_says(false, false, -1, "", DENIED);
    snapshot_says(false, true, -1, ALL, DENIED);
    snapshot_says(false, false, -1, UNKNOWN, "ACL not found");
    int archive = snapshot_says(false, false, -1, ROOT, "");
    assert_true(archive >= 0);
    snapshot_says(true, false, archive, ALL, DENIED);
    snapshot_says(true, true, archive, "", DENIED);
    snapshot_says(true, true, archive, ROOT, "stale not allowed for restore");
    snapshot_says(true, false, archive, ROOT, "");
    snapshot_says(true, false, archive, ROOT, ""); /* the refused ones left nothing behind */
    close(archive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registration),
        cmocka_unit_test(test_deregistration),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_tokens_of_queries_are_hidden),
        cmocka_unit_test(test_changes_of_queries),
        cmocka_unit_test(test_execute),
        cmocka_unit_test(test_execute_together),
        cmocka_unit_test(test_execute_remote),
        cmocka_unit_test(test_txn),
        cmocka_unit_test(test_txn_catalog),
        cmocka_unit_test(test_txn_results),
        cmocka_unit_test(test_key_list_policy),
        cmocka_unit_test(test_snapshots),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
