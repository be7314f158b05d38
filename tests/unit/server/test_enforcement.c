/* What endpoints refuse and what they leave out, by token (acl.md 9), on a real server: each
 * endpoint that looks at tokens is asked by nobody, by one who may see a little, by one who may do
 * all but manage access control, and by a manager. Texts are the peer's. */
#include "acl_fixture.h"

#include "schema/chain.h"
#include "server/keyring.h"

/* How many items a list has, or the text of a refusal. */
struct outcome {
    int count;
    const char *refused;
};
#define N(n) ((struct outcome){.count = (n)})
#define NO ((struct outcome){.refused = DENIED})
#define NO_BECAUSE(text) ((struct outcome){.refused = (text)})

struct row {
    const struct endpoint *endpoint;
    const void *request;
    ptrdiff_t list; /* of the reply; -1: nothing is counted */
    struct outcome nobody, some, all, root;
};

static void expect(const struct row *row, const char *token, struct outcome wanted) {
    _Alignas(16) char copy[512];
    struct ask a;
    const struct answer *answer = asked(&a, row->endpoint, row->request, token, copy);
    const char *refused = wanted.refused != NULL ? wanted.refused : "";
    char text[512];
    snprintf(text, sizeof text, STR_FMT, STR_ARG(answer->error.text));
    if (strcmp(text, refused) != 0)
        fail_msg("%s by \"%s\": \"%s\", wanted \"%s\"", row->endpoint->name, token, text, refused);
    if (refused[0] == 0 && row->list >= 0) {
        const struct list *list = (const struct list *)((char *)answer->reply + row->list);
        if ((int)list->len != wanted.count)
            fail_msg("%s by \"%s\": %u items, wanted %d", row->endpoint->name, token, list->len,
                     wanted.count);
    }
    ask_end(&a);
}

/* ---- the table ---- */

#define LIST_OF(reply, field) offsetof(struct reply, field)
#define NONE (-1)

static struct prepared_query new_query = {.name = STR("new"), .service.service = STR("web")};
static struct txn_op_kv get_b = {.verb = STR("get"), .dir_ent.key = STR("b/1")};
static struct txn_op_kv get_a = {.verb = STR("get"), .dir_ent.key = STR("a/1")};
static struct txn_op read_ops[] = {{.kv = &get_a}, {.kv = &get_b}};
static struct txn_op *read_list[] = {&read_ops[0], &read_ops[1]};

static struct intention without_action = {.source_name = STR("x"), .destination_name = STR("web")};
static struct intention_match_entry both_names[] = {{STR("web"), STR("default")},
                                                    {STR("db"), STR("default")}};
static struct intention_query_match match_web = {{both_names, 1, true}, STR("destination")};
static struct intention_query_match match_both = {{both_names, 2, true}, STR("source")};
static struct intention_query_check check_web = {
    .source_name = STR("db"), .destination_name = STR("web"), .source_type = STR("consul")};
static struct intention_query_check check_db = {
    .source_name = STR("web"), .destination_name = STR("db"), .source_type = STR("consul")};

/* A comparison that fails: nothing happens. What is to be deleted is not there. */
static struct service_defaults defaults_web = {
    .head = {.kind = STR("service-defaults"), .name = STR("web"), .modify_index = 999999}};
static struct service_resolver resolver_web = {
    .head = {.kind = STR("service-resolver"), .name = STR("web"), .modify_index = 999999}};
static struct proxy_defaults defaults_of_all = {
    .head = {.kind = STR("proxy-defaults"), .modify_index = 999999}};
static struct service_resolver resolver_bad = {.head = {.kind = STR("service-resolver")}};
#define NO_NAME NO_BECAUSE("Name is required")

static struct federation_state state_x = {.datacenter = STR("x")};
#define NO_OPERATION NO_BECAUSE("Invalid federation state operation: zip")

#define WEB "11111111-0000-4000-8000-000000000003"
#define NO_ACTION NO_BECAUSE("1 error occurred:\n\t* Action must be set to 'allow' or 'deny'\n\n")
#define NO_INTENTION                                                                               \
    NO_BECAUSE("Intention lookup failed: failed intention lookup: index error: UUID must be 36 "   \
               "characters")
#define NO_POOL NO_BECAUSE("this server has no gossip pool")
#define NO_LIST NO_BECAUSE("Reading keyring denied by ACLs")
#define NO_CHANGE NO_BECAUSE("Modifying keyring denied due to ACLs")
#define NO_PEER NO_BECAUSE("address \"x\" was not found in the Raft configuration")
#define NO_ID NO_BECAUSE("id \"x\" was not found in the Raft configuration")
/* Of the agent n1 (vectors/rpc/auto_encrypt.json). */
#define CSR                                                                                        \
    STR("-----BEGIN CERTIFICATE REQUEST-----\n"                                                    \
        "MIIBMzCB2gIBADAMMQowCAYDVQQDDAF4MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD\n"                       \
        "QgAEeVxFZv9wvQgppzZtDmaCPdAPZaFFwRFfR9NX2KpZuj8eeFt6m+f8GA1uLQrh\n"                       \
        "gqZHkipy6IesZIzPV8AEy9XkKaBsMGoGCSqGSIb3DQEJDjFdMFswWQYDVR0RBFIw\n"                       \
        "UIZOc3BpZmZlOi8vMDJmYTAyOGEtOTRmZC00YjE0LWExZjMtNmQxN2Q0MmQyYzYy\n"                       \
        "LmNvbnN1bC9hZ2VudC9jbGllbnQvZGMvZGMxL2lkL24xMAoGCCqGSM49BAMCA0gA\n"                       \
        "MEUCIQDwWgx/Fl1PtvLGF4X5mnusbGtIyEAYp8gkon003ZekVAIgHW7LJB8PcT0R\n"                       \
        "38wR3TqTpvdm5Ik6sTBN8blS1aD5uWc=\n"                                                       \
        "-----END CERTIFICATE REQUEST-----\n")
#define NO_DOMAIN                                                                                  \
    NO_BECAUSE(                                                                                    \
        "incoming CSR domain \"spiffe://" CA_CLUSTER                                               \
        ".consul/agent/client/dc/dc1/id/n1\" is not valid for our domain \"spiffe://" CA_CLUSTER   \
        ".consul\"")
static struct ca_configuration ca_config = {.provider = STR("consul"), .modify_index = 1};
#define REQUEST(type, ...)                                                                         \
    &(const struct type) {                                                                         \
        __VA_ARGS__                                                                                \
    }

/* Nodes: n1 (the server), a (web, db), b (web). Each has a check of its own, and one a service. */
typedef void with_row(const struct row *row, const struct endpoint *endpoint, bool *found);

static bool each_row(with_row *fn, const struct endpoint *endpoint) {
    bool found = false;
    const struct row rows[] = {
        {&endpoint_catalog_list_nodes, REQUEST(dc_request, 0), LIST_OF(indexed_nodes, nodes), N(0),
         N(1), N(3), N(3)},
        {&endpoint_catalog_list_services, REQUEST(dc_request, 0),
         LIST_OF(indexed_services, services), N(0), N(1), N(3), N(3)},
        {&endpoint_catalog_service_list, REQUEST(dc_request, 0),
         LIST_OF(indexed_service_list, services), N(0), N(1), N(3), N(3)},
        {&endpoint_catalog_service_nodes, REQUEST(service_request, .service_name = STR("web")),
         LIST_OF(indexed_service_nodes, service_nodes), N(0), N(1), N(2), N(2)},
        {&endpoint_catalog_service_nodes, REQUEST(service_request, .service_name = STR("db")),
         LIST_OF(indexed_service_nodes, service_nodes), N(0), N(0), N(1), N(1)},
        {&endpoint_catalog_service_nodes,
         REQUEST(service_request, .service_name = STR("db"), .connect = true),
         LIST_OF(indexed_service_nodes, service_nodes), N(0), N(0), N(0), N(0)},
        {&endpoint_catalog_node_services, REQUEST(node_request, .node = STR("a")), NONE, N(0), N(0),
         N(0), N(0)},
        {&endpoint_catalog_node_service_list, REQUEST(node_request, .node = STR("a")),
         LIST_OF(indexed_node_service_list, node_services.services), N(0), N(1), N(2), N(2)},
        {&endpoint_catalog_node_service_list, REQUEST(node_request, .node = STR("b")),
         LIST_OF(indexed_node_service_list, node_services.services), N(0), N(0), N(1), N(1)},
        {&endpoint_catalog_gateway_services, REQUEST(service_request, .service_name = STR("gate")),
         LIST_OF(indexed_gateway_services, services), NO, N(1), N(2), N(2)},
        {&endpoint_health_checks_in_state,
         REQUEST(checks_in_state_request, .state = STR("passing")),
         LIST_OF(indexed_health_checks, health_checks), N(0), N(2), N(6), N(6)},
        {&endpoint_health_node_checks, REQUEST(node_request, .node = STR("a")),
         LIST_OF(indexed_health_checks, health_checks), N(0), N(2), N(3), N(3)},
        {&endpoint_health_node_checks, REQUEST(node_request, .node = STR("b")),
         LIST_OF(indexed_health_checks, health_checks), N(0), N(0), N(2), N(2)},
        {&endpoint_health_service_checks, REQUEST(service_request, .service_name = STR("web")),
         LIST_OF(indexed_health_checks, health_checks), N(0), N(1), N(2), N(2)},
        {&endpoint_health_service_nodes, REQUEST(service_request, .service_name = STR("web")),
         LIST_OF(indexed_check_service_nodes, nodes), N(0), N(1), N(2), N(2)},
        {&endpoint_kvs_apply, REQUEST(kvs_request, .dir_ent.key = STR("a/2"), .op = STR("delete")),
         NONE, NO, NO, N(0), N(0)},
        {&endpoint_kvs_apply,
         REQUEST(kvs_request, .dir_ent.key = STR("c/"), .op = STR("delete-tree")), NONE, NO, NO,
         N(0), N(0)},
        {&endpoint_kvs_get, REQUEST(key_request, .key = STR("b/1")),
         LIST_OF(indexed_dir_entries, entries), NO, NO, N(1), N(1)},
        {&endpoint_kvs_get, REQUEST(key_request, .key = STR("b/none")),
         LIST_OF(indexed_dir_entries, entries), NO, NO, N(0), N(0)},
        {&endpoint_kvs_list, REQUEST(key_request, .key = STR("")),
         LIST_OF(indexed_dir_entries, entries), N(0), N(1), N(2), N(2)},
        {&endpoint_kvs_list_keys, REQUEST(key_list_request, .prefix = STR("")),
         LIST_OF(indexed_keys, keys), N(0), N(1), N(2), N(2)},
        {&endpoint_session_apply,
         REQUEST(session_request, .op = STR("create"), .session.node = STR("a"),
                 .session.ttl = STR("odd")),
         NONE, NO, NO, NO_BECAUSE("Session TTL 'odd' invalid: time: invalid duration \"odd\""),
         NO_BECAUSE("Session TTL 'odd' invalid: time: invalid duration \"odd\"")},
        {&endpoint_session_apply,
         REQUEST(session_request, .op = STR("destroy"), .session.id = {session_ids[0], 36}), NONE,
         NO, NO, N(0), N(0)},
        {&endpoint_session_get,
         REQUEST(session_specific_request, .session_id = {session_ids[1], 36}),
         LIST_OF(indexed_sessions, sessions), N(0), N(0), N(1), N(1)},
        {&endpoint_session_list, REQUEST(session_specific_request, .session = STR("")),
         LIST_OF(indexed_sessions, sessions), N(0), N(0), N(1), N(1)},
        {&endpoint_session_node_sessions, REQUEST(node_request, .node = STR("b")),
         LIST_OF(indexed_sessions, sessions), N(0), N(0), N(1), N(1)},
        {&endpoint_session_renew,
         REQUEST(session_specific_request, .session_id = {session_ids[1], 36}),
         LIST_OF(indexed_sessions, sessions), NO, NO, N(1), N(1)},
        {&endpoint_session_renew, REQUEST(session_specific_request, .session_id = STR(UNKNOWN)),
         LIST_OF(indexed_sessions, sessions), N(0), N(0), N(0), N(0)},
        {&endpoint_coordinate_update,
         REQUEST(coordinate_update_request, .node = STR("a"), .coord = &at_origin), NONE, NO, NO,
         N(0), N(0)},
        {&endpoint_coordinate_list_nodes, REQUEST(dc_request, 0),
         LIST_OF(indexed_coordinates, coordinates), N(0), N(1), N(2), N(2)},
        {&endpoint_coordinate_node, REQUEST(node_request, .node = STR("a")),
         LIST_OF(indexed_coordinates, coordinates), NO, N(1), N(1), N(1)},
        {&endpoint_prepared_query_apply,
         REQUEST(prepared_query_request, .op = STR("update"), .query = &new_query), NONE, NO, NO,
         NO_BECAUSE("Prepared Query lookup failed: failed prepared query lookup: index error: UUID "
                    "must be 36 characters"),
         NO_BECAUSE("Prepared Query lookup failed: failed prepared query lookup: index error: UUID "
                    "must be 36 characters")},
        {&endpoint_prepared_query_get,
         REQUEST(prepared_query_specific_request, .query_id = {query_ids[0], 36}),
         LIST_OF(indexed_prepared_queries, queries), NO, N(1), N(1), N(1)},
        {&endpoint_prepared_query_list, REQUEST(dc_request, 0),
         LIST_OF(indexed_prepared_queries, queries), N(0), N(1), N(3), N(4)},
        {&endpoint_prepared_query_explain,
         REQUEST(prepared_query_execute_request, .query_id_or_name = STR("other")), NONE, NO, NO,
         N(0), N(0)},
        {&endpoint_txn_apply, REQUEST(txn_request, .ops = {read_list, 2, true}),
         LIST_OF(txn_response, results), N(0), N(1), N(2), N(2)},
        {&endpoint_txn_read, REQUEST(txn_read_request, .ops = {read_list, 2, true}),
         LIST_OF(txn_read_response, results), N(0), N(1), N(2), N(2)},
        {&endpoint_internal_node_info, REQUEST(node_request, .node = STR("a")),
         LIST_OF(indexed_node_dump, dump), N(0), N(1), N(1), N(1)},
        {&endpoint_internal_node_dump, REQUEST(dc_request, 0), LIST_OF(indexed_node_dump, dump),
         N(0), N(1), N(3), N(3)},
        {&endpoint_internal_service_dump, REQUEST(service_dump_request, .use_service_kind = false),
         LIST_OF(indexed_check_service_nodes, nodes), N(0), N(1), N(4), N(4)},
        {&endpoint_internal_gateway_service_dump,
         REQUEST(service_request, .service_name = STR("gate")), LIST_OF(indexed_service_dump, dump),
         NO, N(1), N(3), N(3)},
        {&endpoint_internal_event_fire, REQUEST(event_fire_request, .name = STR("go")), NONE, NO,
         NO, NO_POOL, NO_POOL},
        {&endpoint_internal_keyring_operation, REQUEST(keyring_request, .operation = STR("list")),
         NONE, NO_LIST, NO_POOL, NO_POOL, NO_POOL},
        {&endpoint_internal_keyring_operation,
         REQUEST(keyring_request, .operation = STR("install")), NONE, NO_CHANGE, NO_CHANGE, NO_POOL,
         NO_POOL},
        {&endpoint_operator_raft_configuration, REQUEST(dc_request, 0),
         LIST_OF(raft_configuration_response, servers), NO, N(1), N(1), N(1)},
        {&endpoint_operator_autopilot_get, REQUEST(dc_request, 0), NONE, NO, N(0), N(0), N(0)},
        {&endpoint_operator_autopilot_set,
         REQUEST(autopilot_set_request, .cas = true, .config.modify_index = 1), NONE, NO, NO, N(0),
         N(0)},
        {&endpoint_operator_raft_remove_by_address,
         REQUEST(raft_remove_peer_request, .address = STR("x")), NONE, NO, NO, NO_PEER, NO_PEER},
        {&endpoint_operator_raft_remove_by_id, REQUEST(raft_remove_peer_request, .id = STR("x")),
         NONE, NO, NO, NO_ID, NO_ID},
        {&endpoint_operator_server_health, REQUEST(dc_request, 0), NONE, NO, N(0), N(0), N(0)},
        {&endpoint_connect_ca_configuration_get, REQUEST(dc_request, 0), NONE, NO, NO, N(0), N(0)},
        /* A comparison that fails: nothing happens. */
        {&endpoint_connect_ca_configuration_set, REQUEST(ca_request, .config = &ca_config), NONE,
         NO, NO, N(0), N(0)},
        {&endpoint_connect_ca_sign, REQUEST(ca_sign_request, .csr = CSR), NONE, NO, NO, N(0), N(0)},
        {&endpoint_connect_ca_sign_intermediate, REQUEST(ca_sign_request, .csr = CSR), NONE, NO, NO,
         NO_DOMAIN, NO_DOMAIN},
        {&endpoint_auto_encrypt_sign, REQUEST(ca_sign_request, .csr = CSR), NONE, NO, NO, N(0),
         N(0)},
        {&endpoint_intention_list, REQUEST(dc_request, 0), LIST_OF(indexed_intentions, intentions),
         N(0), N(2), N(3), N(3)},
        {&endpoint_intention_get,
         REQUEST(intention_query_request, .intention_id = {intention_ids[0], 36}),
         LIST_OF(indexed_intentions, intentions), NO, N(1), N(1), N(1)},
        {&endpoint_intention_get,
         REQUEST(intention_query_request, .intention_id = {intention_ids[1], 36}),
         LIST_OF(indexed_intentions, intentions), NO, N(1), N(1), N(1)},
        {&endpoint_intention_get,
         REQUEST(intention_query_request, .intention_id = {intention_ids[2], 36}),
         LIST_OF(indexed_intentions, intentions), NO, NO, N(1), N(1)},
        {&endpoint_intention_match, REQUEST(intention_query_request, .match = &match_web),
         LIST_OF(indexed_intention_matches, matches), NO, N(1), N(1), N(1)},
        {&endpoint_intention_match, REQUEST(intention_query_request, .match = &match_both),
         LIST_OF(indexed_intention_matches, matches), NO, NO, N(2), N(2)},
        {&endpoint_intention_check, REQUEST(intention_query_request, .check = &check_web), NONE, NO,
         N(0), N(0), N(0)},
        {&endpoint_intention_check, REQUEST(intention_query_request, .check = &check_db), NONE, NO,
         NO, N(0), N(0)},
        {&endpoint_intention_apply,
         REQUEST(intention_request, .op = STR("create"), .intention = &without_action), NONE, NO,
         NO, NO_ACTION, NO_ACTION},
        {&endpoint_intention_apply,
         REQUEST(intention_request, .op = STR("update"), .intention = &without_action), NONE, NO,
         NO, NO_INTENTION, NO_INTENTION},
        {&endpoint_discovery_chain_get, REQUEST(discovery_chain_request, .name = STR("web")), NONE,
         NO, N(0), N(0), N(0)},
        {&endpoint_discovery_chain_get, REQUEST(discovery_chain_request, .name = STR("db")), NONE,
         NO, NO, N(0), N(0)},
        {&endpoint_config_entry_apply,
         REQUEST(config_entry_request, .kind = STR("service-defaults"), .entry = &defaults_web.head,
                 .op = STR("upsert-cas")),
         NONE, NO, NO, N(0), N(0)},
        {&endpoint_config_entry_apply,
         REQUEST(config_entry_request, .kind = STR("service-resolver"), .entry = &resolver_web.head,
                 .op = STR("upsert-cas")),
         NONE, NO, NO, N(0), N(0)},
        {&endpoint_config_entry_apply,
         REQUEST(config_entry_request, .kind = STR("proxy-defaults"),
                 .entry = &defaults_of_all.head, .op = STR("upsert-cas")),
         NONE, NO, NO, N(0), N(0)},
        /* What is wrong with it is told to anybody. */
        {&endpoint_config_entry_apply,
         REQUEST(config_entry_request, .kind = STR("service-resolver"),
                 .entry = &resolver_bad.head),
         NONE, NO_NAME, NO_NAME, NO_NAME, NO_NAME},
        {&endpoint_config_entry_delete,
         REQUEST(config_entry_request, .kind = STR("service-defaults"),
                 .entry = &defaults_web.head),
         NONE, NO, NO, N(0), N(0)},
        {&endpoint_config_entry_get,
         REQUEST(config_entry_query, .kind = STR("service-defaults"), .name = STR("web")), NONE, NO,
         N(0), N(0), N(0)},
        {&endpoint_config_entry_get,
         REQUEST(config_entry_query, .kind = STR("service-defaults"), .name = STR("db")), NONE, NO,
         NO, N(0), N(0)},
        {&endpoint_config_entry_get,
         REQUEST(config_entry_query, .kind = STR("proxy-defaults"), .name = STR("global")), NONE,
         N(0), N(0), N(0), N(0)},
        {&endpoint_config_entry_list,
         REQUEST(config_entry_query, .kind = STR("terminating-gateway")),
         LIST_OF(indexed_config_entries, entries), N(0), N(1), N(1), N(1)},
        {&endpoint_config_entry_list_all, REQUEST(dc_request, 0),
         LIST_OF(indexed_generic_config_entries, entries), N(0), N(1), N(1), N(1)},
        {&endpoint_config_entry_resolve_service_config,
         REQUEST(service_config_request, .name = STR("web")), NONE, NO, N(0), N(0), N(0)},
        {&endpoint_config_entry_resolve_service_config,
         REQUEST(service_config_request, .name = STR("db")), NONE, NO, NO, N(0), N(0)},
        {&endpoint_federation_state_list, REQUEST(dc_request, 0), NONE, NO, N(0), N(0), N(0)},
        {&endpoint_federation_state_get,
         REQUEST(federation_state_query, .datacenter = STR("elsewhere")), NONE, NO, N(0), N(0),
         N(0)},
        {&endpoint_federation_state_list_mesh_gateways, REQUEST(dc_request, 0),
         LIST_OF(datacenter_gateways, nodes), N(0), N(1), N(2), N(2)},
        {&endpoint_federation_state_apply,
         REQUEST(federation_state_request, .op = STR("zip"), .state = &state_x), NONE, NO, NO,
         NO_OPERATION, NO_OPERATION},
        /* More of these two below. */
        {&endpoint_catalog_register,
         REQUEST(register_request, .node = STR("c"), .address = STR("x")), NONE, NO, NO, N(0),
         N(0)},
        {&endpoint_catalog_deregister, REQUEST(deregister_request, .node = STR("c")), NONE, NO, NO,
         N(0), N(0)},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        fn(&rows[i], endpoint, &found);
    return found;
}

static void by_token(const struct row *row, const struct endpoint *endpoint, bool *found) {
    expect(row, "", row->nobody);
    expect(row, SOME, row->some);
    expect(row, ALL, row->all);
    expect(row, ROOT, row->root);
    expect(row, UNKNOWN, NO_BECAUSE("ACL not found"));
    expect(row, "deny", NO_BECAUSE("Cannot resolve root ACL"));
}

static void test_by_token(void **state) {
    each_row(by_token, NULL);
}

/* Who may write the destination in the request may not yet touch what is there. */
static void test_stored_intentions(void **state) {
    struct intention x = {.id = {intention_ids[2], 36},
                          .source_name = STR("db"),
                          .destination_name = STR("web"),
                          .action = STR("deny")};
    struct intention_request r = {.op = STR("update"), .intention = &x};
    token_put(WEB, "service \"web\" { policy = \"read\" intentions = \"write\" }");
    assert_string_equal(text_of(&endpoint_intention_apply, &r, WEB), DENIED);
    r.op = STR("delete");
    assert_string_equal(text_of(&endpoint_intention_apply, &r, WEB), DENIED);
    x.id.data = intention_ids[1]; /* db => web */
    assert_string_equal(text_of(&endpoint_intention_apply, &r, WEB), "");
    char gone[128];
    snprintf(gone, sizeof gone, "Cannot delete non-existent intention: '%s'", intention_ids[1]);
    assert_string_equal(text_of(&endpoint_intention_apply, &r, WEB), gone);
    /* What is not there is told to anybody. */
    struct intention_query_request q = {.intention_id = x.id};
    assert_string_equal(text_of(&endpoint_intention_get, &q, UNKNOWN), "Intention not found");
}

/* ---- nothing is forgotten ---- */

static const struct {
    const char *name, *reason;
} open_endpoints[] = {
    {"Status.Ping", "whether somebody is there"},
    {"Status.Leader", "acl.md 9.6"},
    {"Status.Peers", "acl.md 9.6"},
    {"Status.RaftStats", "servers ask each other"},
    {"Catalog.ListDatacenters", "acl.md 9.2"},
    {"Coordinate.ListDatacenters", "acl.md 9.6"},
    {"PreparedQuery.Execute", "the read says whose rights count: test_execute"},
    {"PreparedQuery.ExecuteRemote", "the same"},
    {"PreparedQuery.Explain", "the same, once there is such a query; its row is above"},
    {"ConnectCA.Roots", "acl.md 9.6"},
    {"AutoConfig.InitialConfiguration", "the bearer token in it is what counts (tls.md 14)"},
    {"ACL.BootstrapTokens", "there is no token yet (acl.md 13)"},
    {"ACL.Bootstrap", "the same"},
    {"ACL.Login", "one is asked for (acl.md 15.1)"},
    {"ACL.ReplicationStatus", "acl.md 9.7"},
    {"ACL.Get", "who knows the secret may see what it is (acl.md 11)"},
    {"ACL.GetPolicy", "the same: it is how agents of the old system resolve (acl.md 16.1)"},
};

static bool is_open(const char *name) {
    for (size_t i = 0; i < COUNT_OF(open_endpoints); i++) {
        if (strcmp(open_endpoints[i].name, name) == 0)
            return true;
    }
    return false;
}

static void is_of(const struct row *row, const struct endpoint *endpoint, bool *found) {
    *found |= row->endpoint == endpoint;
}

static void test_every_endpoint_looks_at_tokens(void **state) {
    const struct endpoint *endpoint;
    size_t open = 0;
    for (size_t i = 0; (endpoint = endpoint_at(i)) != NULL; i++) {
        if (endpoint->token < 0) {
            if (!is_open(endpoint->name))
                fail_msg("%s looks at no token", endpoint->name);
            open++;
            continue;
        }
        if (is_open(endpoint->name))
            fail_msg("%s does look at tokens", endpoint->name);
        if (strncmp(endpoint->name, "ACL.", 4) != 0 && !each_row(is_of, endpoint))
            fail_msg("%s is not tested here", endpoint->name);
    }
    assert_int_equal(open, COUNT_OF(open_endpoints));
}

/* ---- what the table cannot say ---- */

/* What is on a node is by the names of services, not by the IDs of instances. */
static void test_node_services_by_name(void **state) {
    struct node_request r = {.node = STR("a")};
    _Alignas(16) char copy[512];
    struct ask a;
    const struct answer *answer = asked(&a, &endpoint_catalog_node_services, &r, SOME, copy);
    const struct indexed_node_services *reply = answer->reply;
    assert_non_null(reply->node_services);
    assert_int_equal(reply->node_services->services.len, 1);
    const struct ptr_pair *only = reply->node_services->services.items;
    assert_true(str_is(only->key, "web-1"));
    ask_end(&a);
    answer = asked(&a, &endpoint_catalog_node_services, &r, "", copy);
    reply = answer->reply;
    assert_null(reply->node_services);
    ask_end(&a);
}

static void test_dump_of_a_node(void **state) {
    struct node_request r = {.node = STR("a")};
    _Alignas(16) char copy[512];
    struct ask a;
    const struct answer *answer = asked(&a, &endpoint_internal_node_info, &r, SOME, copy);
    const struct indexed_node_dump *reply = answer->reply;
    const struct node_info *info = LIST_AT(reply->dump, struct node_info *, 0);
    assert_int_equal(info->services.len, 1);
    assert_int_equal(info->checks.len, 2); /* web's and the node's */
    ask_end(&a);
}

static void index_of(const char *token, uint64_t *index) {
    struct dc_request r = {.options.token = str_from(token)};
    struct ask a;
    *index = ask(&a, 0, &endpoint_catalog_list_nodes, &r)->meta.index;
    ask_end(&a);
}

static void test_the_index_does_not_tell(void **state) {
    uint64_t nobody, root;
    index_of("", &nobody);
    index_of(ROOT, &root);
    assert_int_equal(nobody, root);
}

/* Who waits is told what he may see when something happens, not what he might when he asked. */
static void test_service_lost_while_waiting(void **state) {
    const char *id = "11111111-0000-4000-8000-00000000000a";
    token_put(id, "service \"web\" { policy = \"read\" }");
    struct service_request r = {
        .service_name = STR("web"), .connect = true, .options.token = str_from(id)};
    struct ask a;
    r.options.min_query_index = ask(&a, 0, &endpoint_health_service_nodes, &r)->meta.index;
    ask_end(&a);
    ask_start(&a, 0, &endpoint_health_service_nodes, &r);
    assert_null(ask_wait(&a, 20));
    token_put(id, "");
    struct node_service proxy = {.service = STR("web-proxy"),
                                 .kind = STR("connect-proxy"),
                                 .port = 1,
                                 .proxy.destination_service_name = STR("web")};
    struct register_request p = {
        .node = STR("a"), .skip_node_update = true, .service = &proxy, .write.token = STR(ROOT)};
    struct ask b;
    ask(&b, 0, &endpoint_catalog_register, &p);
    ask_end(&b);
    const struct answer *answer = ask_wait(&a, 10000);
    assert_non_null(answer);
    assert_false(error_is_set(&answer->error));
    assert_int_equal(((const struct indexed_check_service_nodes *)answer->reply)->nodes.len, 0);
    assert_int_equal(answer->meta.index, 0);
    ask_end(&a);
}

static void test_rights_lost_while_waiting(void **state) {
    const char *id = "11111111-0000-4000-8000-000000000009";
    token_put(id, "node_prefix \"\" { policy = \"read\" }");
    struct dc_request r = {.options.token = str_from(id)};
    struct ask a;
    const struct answer *answer = ask(&a, 0, &endpoint_catalog_list_nodes, &r);
    assert_int_equal(((const struct indexed_nodes *)answer->reply)->nodes.len, 3);
    r.options.min_query_index = answer->meta.index;
    ask_end(&a);
    ask_start(&a, 0, &endpoint_catalog_list_nodes, &r);
    assert_null(ask_wait(&a, 20));
    token_put(id, "node \"b\" { policy = \"read\" }");
    root_registers("d", "web-3", "web");
    answer = ask_wait(&a, 10000);
    assert_non_null(answer);
    assert_false(error_is_set(&answer->error));
    assert_int_equal(((const struct indexed_nodes *)answer->reply)->nodes.len, 1);
    ask_end(&a);
}

/* Without a right to the service there is no waiting, and no word of the leader. */
static void test_connect_is_not_looked_at(void **state) {
    const struct endpoint *endpoints[] = {&endpoint_catalog_service_nodes,
                                          &endpoint_health_service_nodes,
                                          &endpoint_health_service_nodes};
    for (int i = 0; i < 3; i++) {
        struct service_request r = {.service_name = STR("web"),
                                    .connect = i < 2,
                                    .ingress = i == 2,
                                    .options = {.min_query_index = 1 << 30}};
        struct ask a;
        const struct answer *answer = ask(&a, 0, endpoints[i], &r);
        assert_int_equal(answer->meta.index, 0);
        assert_false(answer->meta.known_leader);
        ask_end(&a);
        r.options.token = STR(SOME);
        r.options.min_query_index = 0;
        answer = ask(&a, 0, endpoints[i], &r);
        assert_true(answer->meta.index > 0);
        assert_true(answer->meta.known_leader);
        ask_end(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_token),
        cmocka_unit_test(test_stored_intentions),
        cmocka_unit_test(test_every_endpoint_looks_at_tokens),
        cmocka_unit_test(test_node_services_by_name),
        cmocka_unit_test(test_dump_of_a_node),
        cmocka_unit_test(test_the_index_does_not_tell),
        cmocka_unit_test(test_connect_is_not_looked_at),
        cmocka_unit_test(test_rights_lost_while_waiting),
        cmocka_unit_test(test_service_lost_while_waiting),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
