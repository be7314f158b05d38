/* For tests of access control in server/: a server with a few tokens and records, and questions
 * asked by one token or another. begin and end are for cmocka. */
#ifndef TEST_SERVER_ACL_FIXTURE_H
#define TEST_SERVER_ACL_FIXTURE_H

#include "harness.h"

#include "schema/entries.h"
#include "server/endpoint.h"

/* ---- tokens and records, as log entries ---- */

#define ROOT "root"
#define SOME "11111111-0000-4000-8000-000000000001"
#define ALL "11111111-0000-4000-8000-000000000002"
#define UNKNOWN "11111111-0000-4000-8000-00000000000f"

static inline bool raw_prepare(struct call_context *c, void *request, struct buf *entry,
                               struct error *e) {
    buf_add_str(entry, *(const struct str *)request);
    return true;
}

static const struct endpoint raw_entry = {
    .name = "Test.Entry",
    .kind = ENDPOINT_WRITE,
    .request = &empty_struct_shape,
    ENDPOINT_NOWHERE,
    ENDPOINT_REPLY(empty_struct),
    .prepare = raw_prepare,
};

static inline void entry_apply(const struct buf *entry) {
    struct str bytes = buf_str(entry);
    struct ask a;
    ask(&a, 0, &raw_entry, &bytes);
    ask_end(&a);
}

static inline void entry_put(enum entry_type type, const struct shape *shape, const void *request) {
    struct buf entry = BUF_INIT;
    endpoint_entry(&entry, type, shape, request);
    entry_apply(&entry);
    buf_free(&entry);
}

/* A token with a policy of its own; the two have the same ID. */
static inline void token_put(const char *id, const char *rules) {
    struct acl_policy policy = {
        .id = str_from(id), .name = str_from(id), .rules = str_from(rules), .hash = STR("1")};
    struct acl_policy *policies[] = {&policy};
    struct acl_policy_batch_set_request p = {.policies = {policies, 1, true}};
    entry_put(ENTRY_ACL_POLICY_SET, &acl_policy_batch_set_request_shape, &p);
    struct acl_link links[] = {{.id = str_from(id)}};
    struct acl_token token = {.accessor_id = str_from(id),
                              .secret_id = str_from(id),
                              .policies = {links, 1, true},
                              .hash = STR("1")};
    struct acl_token *tokens[] = {&token};
    struct acl_token_batch_set_request t = {.tokens = {tokens, 1, true}};
    entry_put(ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &t);
}

static inline void root_registers(const char *node, const char *id, const char *service) {
    struct str check_id = str_from(id);
    struct node_service s = {.id = str_from(id), .service = str_from(service)};
    struct health_check of_service = {
        .check_id = check_id, .name = check_id, .service_id = s.id, .status = STR("passing")};
    struct health_check of_node = {
        .check_id = STR("disk"), .name = STR("disk"), .status = STR("passing")};
    struct health_check *checks[] = {&of_service, &of_node};
    struct register_request r = {.node = str_from(node),
                                 .address = STR("10.0.0.1"),
                                 .service = &s,
                                 .checks = {checks, 2, true},
                                 .write.token = STR(ROOT)};
    struct ask a;
    ask(&a, 0, &endpoint_catalog_register, &r);
    ask_end(&a);
}

static char session_ids[2][64];

static inline void root_opens_session(int i, const char *node) {
    struct session_request r = {
        .op = STR("create"), .session.node = str_from(node), .write.token = STR(ROOT)};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_session_apply, &r);
    snprintf(session_ids[i], sizeof session_ids[i], STR_FMT,
             STR_ARG(*(const struct str *)answer->reply));
    ask_end(&a);
}

static char query_ids[4][64];

static inline void root_makes_query(int i, const char *name, const char *session,
                                    const char *token) {
    struct prepared_query q = {.name = str_from(name),
                               .session = str_from(session),
                               .token = str_from(token),
                               .service.service = STR("web")};
    struct prepared_query_request r = {.op = STR("create"), .query = &q, .write.token = STR(ROOT)};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_prepared_query_apply, &r);
    snprintf(query_ids[i], sizeof query_ids[i], STR_FMT,
             STR_ARG(*(const struct str *)answer->reply));
    ask_end(&a);
}

static char intention_ids[3][64];

static inline void root_allows(int i, const char *source, const char *destination) {
    struct intention x = {.source_name = str_from(source),
                          .destination_name = str_from(destination),
                          .action = STR("allow")};
    struct intention_request r = {.op = STR("create"), .intention = &x, .write.token = STR(ROOT)};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_intention_apply, &r);
    snprintf(intention_ids[i], sizeof intention_ids[i], STR_FMT,
             STR_ARG(*(const struct str *)answer->reply));
    ask_end(&a);
}

static inline void root_sets_key(const char *key) {
    struct kvs_request r = {
        .dir_ent.key = str_from(key), .op = STR("set"), .write.token = STR(ROOT)};
    struct ask a;
    ask(&a, 0, &endpoint_kvs_apply, &r);
    ask_end(&a);
}

static double origin[8];
static struct coord at_origin = {.vec = {origin, 8, true}};

static inline void coordinates_put(void) {
    struct coordinate a = {.node = STR("a"), .coord = &at_origin};
    struct coordinate b = {.node = STR("b"), .coord = &at_origin};
    struct coordinate *items[] = {&a, &b};
    struct list list = {items, 2, true};
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, ENTRY_COORDINATE_BATCH);
    schema_encode_type(&entry, &coordinate_batch_type, &list);
    entry_apply(&entry);
    buf_free(&entry);
}

static inline void gateway_put(void) {
    struct linked_service services[] = {{.name = STR("web")}, {.name = STR("db")}};
    struct terminating_gateway gateway = {
        .head = {.kind = STR("terminating-gateway"), .name = STR("gate")},
        .services = {services, 2, true}};
    struct config_entry_request r = {
        .kind = STR("terminating-gateway"), .entry = &gateway.head, .op = STR("upsert")};
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, ENTRY_CONFIG_ENTRY);
    config_entry_request_encode(&entry, &r);
    entry_apply(&entry);
    buf_free(&entry);
}

#define CA_CLUSTER "02fa028a-94fd-4b14-a1f3-6d17d42d2c62"

/* Until the certificate authority is there. */
static inline void wait_for_ca(void) {
    bool there = false;
    for (int i = 0; i < 1000 && !there; i++) {
        struct dc_request r = {.options.token = STR(ROOT)};
        struct ask a;
        const struct answer *answer = ask(&a, 0, &endpoint_connect_ca_roots, &r);
        there = ((const struct indexed_ca_roots *)answer->reply)->roots.len > 0;
        ask_end(&a);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    assert_true(there);
}

static inline void root_records_gateway(const char *datacenter, const char *node_name,
                                        const char *name) {
    struct node node = {.node = str_from(node_name)};
    struct node_service service = {.id = str_from(name), .service = str_from(name)};
    struct check_service_node gateway = {.node = &node, .service = &service};
    struct federation_state s = {.datacenter = str_from(datacenter),
                                 .mesh_gateways = {&gateway, 1, true}};
    struct federation_state_request r = {
        .op = STR("upsert"), .state = &s, .write.token = STR(ROOT)};
    struct ask a;
    ask(&a, 0, &endpoint_federation_state_apply, &r);
    ask_end(&a);
}

static inline int begin(void **state) {
    struct server_options o = harness_options();
    struct value_pair cluster = {STR("cluster_id"), value_from_str(STR(CA_CLUSTER))};
    struct value ca_config = {.kind = VALUE_MAP, .map = {&cluster, 1}};
    o.ca = (struct ca_options){.enabled = true, .allow_tls = true, .config = &ca_config};
    o.rpc_hold_timeout = 20 * SECOND;
    o.acl = (struct acl_options){
        .enabled = true, .primary_datacenter = STR("dc1"), .master_token = STR(ROOT)};
    server_begin(&o);
    bool there = false;
    for (int i = 0; i < 1000 && !there; i++) { /* until the leader has registered itself */
        struct node_request r = {.node = STR("n1"), .options.token = STR(ROOT)};
        struct ask a; /* no call comes before the master token is there */
        const struct answer *answer = ask(&a, 0, &endpoint_health_node_checks, &r);
        there = ((const struct indexed_health_checks *)answer->reply)->health_checks.len > 0;
        ask_end(&a);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    assert_true(there);
    wait_for_ca();
    token_put(SOME, "node \"a\" { policy = \"read\" } service \"web\" { policy = \"read\" } "
                    "service \"gate\" { policy = \"read\" } session \"a\" { policy = \"read\" } "
                    "key_prefix \"a/\" { policy = \"read\" } query \"seen\" { policy = \"read\" } "
                    "event \"go\" { policy = \"read\" } operator = \"read\" keyring = \"read\"");
    token_put(ALL, "node_prefix \"\" { policy = \"write\" } service_prefix \"\" { policy = "
                   "\"write\" intentions = \"write\" } session_prefix \"\" { policy = \"write\" } "
                   "key_prefix \"\" { policy "
                   "= \"write\" } query_prefix \"\" { policy = \"write\" } event_prefix \"\" { "
                   "policy = \"write\" } operator = \"write\" keyring = \"write\"");
    root_registers("a", "web-1", "web");
    root_registers("a", "db-1", "db");
    root_registers("b", "web-2", "web");
    root_opens_session(0, "a");
    root_opens_session(1, "b");
    root_makes_query(0, "seen", "", SOME);
    root_makes_query(1, "other", "", "");
    root_makes_query(2, "", session_ids[1], "");
    root_makes_query(3, "lost", "", UNKNOWN);
    root_allows(0, "web", "db");
    root_allows(1, "db", "web");
    root_allows(2, "db", "other");
    root_sets_key("a/1");
    root_sets_key("b/1");
    coordinates_put();
    gateway_put();
    root_records_gateway("dc2", "a", "web");
    root_records_gateway("dc3", "b", "web");
    return 0;
}

static inline int end(void **state) {
    server_end();
    return 0;
}

/* ---- one question, by different tokens ---- */

static inline struct str *token_of(const struct endpoint *endpoint, void *request) {
    ptrdiff_t at = endpoint->token;
    if (at < 0) /* whose rights matter the read says: the request has one all the same */
        at = endpoint->options + (ptrdiff_t)offsetof(struct query_options, token);
    return (struct str *)((char *)request + at);
}

static inline struct answer *asked(struct ask *a, const struct endpoint *endpoint,
                                   const void *request, const char *token, void *copy) {
    memcpy(copy, request, endpoint->request->size);
    *token_of(endpoint, copy) = str_from(token);
    ask_start(a, 0, endpoint, copy);
    struct answer *answer = ask_wait(a, 10000);
    if (answer == NULL)
        fail_msg("%s: no answer", endpoint->name);
    return answer;
}

/* The error's text; "" when there is none. */
static inline const char *text_of(const struct endpoint *endpoint, const void *request,
                                  const char *token) {
    static char text[512];
    _Alignas(16) char copy[512];
    struct ask a;
    const struct answer *answer = asked(&a, endpoint, request, token, copy);
    snprintf(text, sizeof text, STR_FMT, STR_ARG(answer->error.text));
    ask_end(&a);
    return text;
}

#define DENIED "Permission denied"

#endif
