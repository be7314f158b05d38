/* Real messages of the peer (tests/vectors/rpc, fsm) through the tables: what is decoded must
 * encode to the same bytes, the order of keys in free-form maps aside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "schema/entries.h"
#include "schema/requests_federation.h"
#include "unit/vectors.h"

/* Empty bytes become nil on the way (rpc.md 3.3); `Value` is the only field where that shows. */
static void empty_to_nil(struct value *v) {
    for (size_t i = 0; v->kind == VALUE_LIST && i < v->list.len; i++) {
        empty_to_nil(&v->list.items[i]);
    }
    for (size_t i = 0; v->kind == VALUE_MAP && i < v->map.len; i++) {
        struct value *member = &v->map.pairs[i].value;
        if (str_is(v->map.pairs[i].key, "Value") && member->kind == VALUE_STRING &&
            member->string.len == 0) {
            member->kind = VALUE_NULL;
        }
        empty_to_nil(member);
    }
}

/* Every map in ascending order of its keys. */
static struct buf canonical(struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct msgpack_reader in = msgpack_read(bytes);
    struct value v;
    struct buf out = BUF_INIT;
    if (!msgpack_read_value(&in, &v, &arena, &e)) {
        fail_msg("not msgpack: %.*s", STR_ARG(e.text));
    }
    empty_to_nil(&v);
    msgpack_write_value(&out, &v);
    arena_free(&arena);
    return out;
}

static int identical, reordered;

static void compare(const char *what, struct str want, struct str have) {
    if (str_eq(want, have)) {
        identical++;
        return;
    }
    struct buf a = canonical(want), b = canonical(have);
    if (!str_eq(buf_str(&a), buf_str(&b))) {
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        struct buf text = BUF_INIT;
        struct json_writer w;
        struct str both[2] = {want, have};
        for (int i = 0; i < 2; i++) {
            struct msgpack_reader in = msgpack_read(both[i]);
            struct value v;
            msgpack_read_value(&in, &v, &arena, &e);
            json_begin(&w, &text, false);
            json_value(&w, &v);
            buf_add_char(&text, '\n');
        }
        fail_msg("%s: differs\n%.*s", what, (int)text.len, text.data);
    }
    buf_free(&a);
    buf_free(&b);
    reordered++;
}

static void round_trip(const char *what, const struct shape *shape, struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    void *object = arena_zalloc(&arena, 1, shape->size);
    void *copy = arena_zalloc(&arena, 1, shape->size);
    struct buf out = BUF_INIT;
    struct msgpack_reader in = msgpack_read(bytes);
    if (!schema_decode(&in, shape, object, &arena, &e)) {
        fail_msg("%s (%s): %.*s", what, shape->name, STR_ARG(e.text));
    }
    assert_ptr_equal(in.at, in.end);
    schema_encode(&out, shape, object);
    compare(what, bytes, buf_str(&out));

    schema_copy(shape, copy, object, &arena);
    assert_true(schema_equal(shape, object, copy));
    buf_clear(&out);
    schema_encode(&out, shape, copy);
    compare(what, bytes, buf_str(&out));
    buf_free(&out);
    arena_free(&arena);
}

struct method {
    const char *name;
    const struct shape *request; /* NULL: not ours */
    const struct shape *reply;
};

static const struct method methods[] = {
    {"Catalog.Register", &register_request_shape, NULL},
    {"Catalog.Deregister", &deregister_request_shape, NULL},
    {"Catalog.ListNodes", &dc_request_shape, &indexed_nodes_shape},
    {"Catalog.ListServices", &dc_request_shape, &indexed_services_shape},
    {"Catalog.ServiceList", &dc_request_shape, &indexed_service_list_shape},
    {"Catalog.ServiceNodes", &service_request_shape, &indexed_service_nodes_shape},
    {"Catalog.NodeServices", &node_request_shape, &indexed_node_services_shape},
    {"Catalog.NodeServiceList", &node_request_shape, &indexed_node_service_list_shape},
    {"Catalog.GatewayServices", &service_request_shape, &indexed_gateway_services_shape},
    {"Health.ChecksInState", &checks_in_state_request_shape, &indexed_health_checks_shape},
    {"Health.NodeChecks", &node_request_shape, &indexed_health_checks_shape},
    {"Health.ServiceChecks", &service_request_shape, &indexed_health_checks_shape},
    {"Health.ServiceNodes", &service_request_shape, &indexed_check_service_nodes_shape},
    {"KVS.Apply", &kvs_request_shape, NULL},
    {"KVS.Get", &key_request_shape, &indexed_dir_entries_shape},
    {"KVS.List", &key_request_shape, &indexed_dir_entries_shape},
    {"KVS.ListKeys", &key_list_request_shape, &indexed_keys_shape},
    {"Session.Apply", &session_request_shape, NULL},
    {"Session.Get", &session_specific_request_shape, &indexed_sessions_shape},
    {"Session.List", &session_specific_request_shape, &indexed_sessions_shape},
    {"Session.NodeSessions", &node_request_shape, &indexed_sessions_shape},
    {"Session.Renew", &session_specific_request_shape, &indexed_sessions_shape},
    {"Coordinate.Update", &coordinate_update_request_shape, NULL},
    {"Coordinate.ListNodes", &dc_request_shape, &indexed_coordinates_shape},
    {"Coordinate.Node", &node_request_shape, &indexed_coordinates_shape},
    {"Internal.NodeInfo", &node_request_shape, &indexed_node_dump_shape},
    {"Internal.NodeDump", &dc_request_shape, &indexed_node_dump_shape},
    {"Operator.RaftGetConfiguration", &dc_request_shape, &raft_configuration_response_shape},
    {"Operator.AutopilotGetConfiguration", &dc_request_shape, &autopilot_config_shape},
    {"Operator.AutopilotSetConfiguration", &autopilot_set_request_shape, NULL},
    {"PreparedQuery.Apply", &prepared_query_request_shape, NULL},
    {"PreparedQuery.List", &dc_request_shape, NULL},
    {"Intention.Apply", &intention_request_shape, NULL},
    {"Intention.List", &dc_request_shape, NULL},
    {"Txn.Apply", &txn_request_shape, &txn_response_shape},
    {"Txn.Read", &txn_read_request_shape, &txn_read_response_shape},
    {"ConnectCA.ConfigurationGet", &dc_request_shape, &ca_configuration_shape},
    {"ConnectCA.ConfigurationSet", &ca_request_shape, NULL},
    {"ConnectCA.Sign", NULL, &issued_cert_shape},
    {"ACL.TokenSet", NULL, &acl_token_shape},
    {"ACL.TokenClone", NULL, &acl_token_shape},
    {"ACL.BootstrapTokens", &dc_request_shape, &acl_token_shape},
    {"ACL.PolicySet", NULL, &acl_policy_shape},
    {"ACL.RoleSet", NULL, &acl_role_shape},
    {"ACL.BindingRuleSet", NULL, &acl_binding_rule_shape},
    {"ACL.AuthMethodSet", NULL, &acl_auth_method_shape},
    {"ACL.Apply", &legacy_acl_request_shape, NULL},
    {"FederationState.Apply", &federation_state_request_shape, NULL},
    {"FederationState.List", &dc_request_shape, &indexed_federation_states_shape},
    {"FederationState.Get", &federation_state_query_shape, &federation_state_response_shape},
    {"FederationState.ListMeshGateways", &dc_request_shape, &datacenter_gateways_shape},
};

static const struct method *find_method(struct str name) {
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (str_is(name, methods[i].name)) {
            return &methods[i];
        }
    }
    return NULL;
}

/* The vectors of requests that are refused for their very form do not round-trip. */
static void run_side(struct arena *arena, const char *what, const struct value *side,
                     const struct shape *shape) {
    const struct value *hex = value_get(side, "body_hex");
    if (hex == NULL || shape == NULL) {
        return;
    }
    struct str bytes = hex_bytes(arena, hex->string);
    if (bytes.len == 1 && (uint8_t)bytes.data[0] <= 0x80) {
        return; /* the empty body of an error reply */
    }
    round_trip(what, shape, bytes);
}

static void run_exchanges(const char *file, int least) {
    struct arena arena = ARENA_INIT;
    struct value *root = vectors_json(&arena, file);
    struct value *vectors = value_get(root, "vectors");
    identical = reordered = 0;
    for (size_t i = 0; i < vectors->list.len; i++) {
        const struct value *v = &vectors->list.items[i];
        const struct value *name = value_get(v, "method");
        const struct method *m = name != NULL ? find_method(name->string) : NULL;
        if (m == NULL) {
            continue;
        }
        char what[128];
        snprintf(what, sizeof(what), "%s #%zu %s", file, i, m->name);
        run_side(&arena, what, value_get(v, "request"), m->request);
        const struct value *reply = value_get(v, "response");
        const struct value *error = value_get(value_get(reply, "header"), "Error");
        if (error != NULL && error->string.len == 0) {
            run_side(&arena, what, reply, m->reply);
        }
    }
    print_message("%s: %d identical, %d with maps in another order\n", file, identical, reordered);
    assert_true(identical >= least);
    arena_free(&arena);
}

static void test_rpc_agent_sync(void **state) {
    run_exchanges("rpc/client_agent_sync.json", 12);
}
static void test_rpc_http_driven(void **state) {
    run_exchanges("rpc/client_agent_http_driven.json", 100);
}
static void test_rpc_acl(void **state) {
    run_exchanges("rpc/acl.json", 10);
}
static void test_rpc_servers(void **state) {
    run_exchanges("rpc/server_to_server.json", 2);
}

/* Requests there are minimal (fields are absent), so only replies come back the same. */
static void test_rpc_minimal(void **state) {
    struct arena arena = ARENA_INIT;
    struct value *vectors =
        value_get(vectors_json(&arena, "rpc/all_methods_minimal.json"), "vectors");
    identical = reordered = 0;
    for (size_t i = 0; i < vectors->list.len; i++) {
        const struct value *v = &vectors->list.items[i];
        const struct method *m = find_method(value_get(v, "method")->string);
        const struct value *reply = value_get(v, "response");
        const struct value *error = value_get(value_get(reply, "header"), "Error");
        if (m == NULL || error == NULL || error->string.len > 0) {
            continue;
        }
        run_side(&arena, m->name, reply, m->reply);
    }
    assert_true(identical > 40);
    arena_free(&arena);
}

static const struct shape *entry_shape(int type) {
    static const struct shape *const shapes[] = {
        [ENTRY_REGISTER] = &register_request_shape,
        [ENTRY_DEREGISTER] = &deregister_request_shape,
        [ENTRY_KVS] = &kvs_request_shape,
        [ENTRY_SESSION] = &session_request_shape,
        [ENTRY_LEGACY_ACL] = &legacy_acl_request_shape,
        [ENTRY_TOMBSTONE] = &tombstone_request_shape,
        [ENTRY_PREPARED_QUERY] = &prepared_query_request_shape,
        [ENTRY_TXN] = &txn_request_shape,
        [ENTRY_AUTOPILOT] = &autopilot_set_request_shape,
        [ENTRY_ACL_BOOTSTRAP] = &acl_bootstrap_request_shape,
        [ENTRY_INTENTION] = &intention_request_shape,
        [ENTRY_CONNECT_CA] = &ca_request_shape,
        [ENTRY_CONNECT_CA_LEAF] = &ca_leaf_request_shape,
        [ENTRY_ACL_TOKEN_SET] = &acl_token_batch_set_request_shape,
        [ENTRY_ACL_TOKEN_DELETE] = &acl_token_batch_delete_request_shape,
        [ENTRY_ACL_POLICY_SET] = &acl_policy_batch_set_request_shape,
        [ENTRY_ACL_POLICY_DELETE] = &acl_policy_batch_delete_request_shape,
        [ENTRY_ACL_ROLE_SET] = &acl_role_batch_set_request_shape,
        [ENTRY_ACL_ROLE_DELETE] = &acl_role_batch_delete_request_shape,
        [ENTRY_ACL_BINDING_RULE_SET] = &acl_binding_rule_batch_set_request_shape,
        [ENTRY_ACL_BINDING_RULE_DELETE] = &acl_binding_rule_batch_delete_request_shape,
        [ENTRY_ACL_AUTH_METHOD_SET] = &acl_auth_method_batch_set_request_shape,
        [ENTRY_ACL_AUTH_METHOD_DELETE] = &acl_auth_method_batch_delete_request_shape,
        [ENTRY_FEDERATION_STATE] = &federation_state_request_shape,
    };
    return type < (int)COUNT_OF(shapes) ? shapes[type] : NULL;
}

static void round_trip_coordinates(const char *what, struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct list batch;
    struct buf out = BUF_INIT;
    struct msgpack_reader in = msgpack_read(bytes);
    assert_true(schema_decode_type(&in, &coordinate_batch_type, &batch, &arena, &e));
    schema_encode_type(&out, &coordinate_batch_type, &batch);
    compare(what, bytes, buf_str(&out));
    buf_free(&out);
    arena_free(&arena);
}

/* Raw strings in raw strings: equal bytes, or equal content when the entry has free maps. */
static void round_trip_config_entry(const char *what, struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct config_entry_request request, again;
    struct buf out = BUF_INIT;
    struct msgpack_reader in = msgpack_read(bytes);
    if (!config_entry_request_decode(&in, &request, &arena, &e)) {
        fail_msg("%s: %.*s", what, STR_ARG(e.text));
    }
    assert_ptr_equal(in.at, in.end);
    config_entry_request_encode(&out, &request);
    if (str_eq(bytes, buf_str(&out))) {
        identical++;
    } else {
        struct msgpack_reader second = msgpack_read(buf_str(&out));
        assert_true(config_entry_request_decode(&second, &again, &arena, &e));
        assert_int_equal(out.len, bytes.len);
        assert_true(schema_equal(config_entry_shape(request.kind), request.entry, again.entry));
        assert_true(str_eq(request.op, again.op));
        reordered++;
    }
    buf_free(&out);
    arena_free(&arena);
}

static void run_entry(const char *what, struct str data) {
    int type = (uint8_t)data.data[0] & ENTRY_TYPE_MASK;
    struct str body = str_sub(data, 1, data.len);
    if (type == ENTRY_COORDINATE_BATCH) {
        round_trip_coordinates(what, body);
    } else if (type == ENTRY_CONFIG_ENTRY) {
        round_trip_config_entry(what, body);
    } else {
        assert_non_null(entry_shape(type));
        round_trip(what, entry_shape(type), body);
    }
}

static void test_log_entries(void **state) {
    struct arena arena = ARENA_INIT;
    struct value *entries = value_get(vectors_json(&arena, "fsm/entries.json"), "entries");
    identical = reordered = 0;
    for (size_t i = 0; i < entries->list.len; i++) {
        const struct value *entry = &entries->list.items[i];
        char what[64];
        snprintf(what, sizeof(what), "entries.json #%zu", i);
        run_entry(what, hex_bytes(&arena, value_get(entry, "data_hex")->string));
    }
    print_message("entries: %d identical, %d reordered\n", identical, reordered);
    assert_true(identical > 80);
    arena_free(&arena);
}

static void test_whole_log(void **state) {
    struct arena arena = ARENA_INIT;
    struct value *entries = value_get(vectors_json(&arena, "fsm/log/entries.json.gz"), "entries");
    identical = reordered = 0;
    for (size_t i = 0; i < entries->list.len; i++) {
        const struct value *entry = &entries->list.items[i];
        if (value_get(entry, "type")->number != 0 || value_get(entry, "extensions_hex") != NULL) {
            continue;
        }
        char what[64];
        snprintf(what, sizeof(what), "log #%zu", i);
        run_entry(what, hex_bytes(&arena, value_get(entry, "data_hex")->string));
    }
    print_message("log: %d identical, %d reordered\n", identical, reordered);
    assert_true(identical + reordered > 250);
    arena_free(&arena);
}

static const struct shape *record_shape(int type) {
    switch (type) {
    case ENTRY_KVS:
    case ENTRY_TOMBSTONE:
        return &dir_entry_shape;
    case ENTRY_SESSION:
        return &session_shape;
    case ENTRY_PREPARED_QUERY:
        return &prepared_query_shape;
    case ENTRY_AUTOPILOT:
        return &autopilot_config_shape;
    case ENTRY_INTENTION:
        return &intention_shape;
    case ENTRY_CONNECT_CA:
        return &ca_root_shape;
    case ENTRY_CA_PROVIDER_STATE:
        return &ca_consul_provider_state_shape;
    case ENTRY_CA_CONFIG:
        return &ca_configuration_shape;
    case ENTRY_INDEX:
        return &index_entry_shape;
    case ENTRY_ACL_TOKEN_SET:
        return &acl_token_shape;
    case ENTRY_ACL_POLICY_SET:
        return &acl_policy_shape;
    case ENTRY_ACL_ROLE_SET:
        return &acl_role_shape;
    case ENTRY_ACL_BINDING_RULE_SET:
        return &acl_binding_rule_shape;
    case ENTRY_ACL_AUTH_METHOD_SET:
        return &acl_auth_method_shape;
    default:
        return entry_shape(type);
    }
}

/* state.bin: a header, then a type byte and an object each. */
static void run_state(const char *file, int least) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct msgpack_reader in = msgpack_read(vectors_unpacked(&arena, file));
    struct snapshot_header header;
    assert_true(schema_decode(&in, &snapshot_header_shape, &header, &arena, &e));
    assert_true(header.last_index > 0);
    identical = reordered = 0;
    while (in.at < in.end) {
        int type = *in.at++;
        const uint8_t *from = in.at;
        char what[64];
        snprintf(what, sizeof(what), "%s type %d", file, type);
        assert_true(type == ENTRY_CHUNKING_STATE || msgpack_skip(&in, &e));
        if (type == ENTRY_CHUNKING_STATE) {
            break; /* integer keys: read by hand elsewhere; it is the last record */
        }
        struct str bytes = str_of(from, (size_t)(in.at - from));
        if (type == ENTRY_COORDINATE_BATCH) {
            round_trip_coordinates(what, bytes);
        } else if (type == ENTRY_CONFIG_ENTRY) {
            round_trip_config_entry(what, bytes);
        } else {
            assert_non_null(record_shape(type));
            round_trip(what, record_shape(type), bytes);
        }
    }
    print_message("%s: %d identical, %d reordered\n", file, identical, reordered);
    assert_true(identical + reordered >= least);
    arena_free(&arena);
}

static void test_snapshot_records(void **state) {
    run_state("fsm/replay/base-state.bin.gz", 10);
    run_state("fsm/replay/result-state.bin.gz", 40);
}

static void test_config_entry_requests(void **state) {
    struct arena arena = ARENA_INIT;
    struct value *vectors = value_get(vectors_json(&arena, "rpc/config_entry.json"), "vectors");
    int n = 0;
    identical = reordered = 0;
    for (size_t i = 0; i < vectors->list.len; i++) {
        const struct value *v = &vectors->list.items[i];
        struct str method = value_get(v, "method")->string;
        if (str_is(method, "ConfigEntry.Apply") || str_is(method, "ConfigEntry.Delete")) {
            struct str hex = value_get(value_get(v, "request"), "body_hex")->string;
            round_trip_config_entry("config_entry.json", hex_bytes(&arena, hex));
            n++;
        }
    }
    assert_true(n >= 8);
    arena_free(&arena);
}

/* The decoder's tolerance and texts (rpc.md 3.3). */
static void test_tolerance(void **state) {
    struct arena arena = ARENA_INIT;
    struct value *vectors = value_get(vectors_json(&arena, "rpc/msgpack.json"), "vectors");
    int failures = 0;
    for (size_t i = 0; i < vectors->list.len; i++) {
        const struct value *v = &vectors->list.items[i];
        struct str note = value_get(v, "note")->string;
        struct str want = value_get(v, "result")->string;
        bool kvs = str_has_prefix(note, STR("KVS.Apply"));
        const struct shape *shape = kvs ? &kvs_request_shape : &dc_request_shape;
        void *object = arena_zalloc(&arena, 1, shape->size);
        struct error e = ERROR_IN(&arena);
        struct str bytes = hex_bytes(&arena, value_get(v, "request_body_hex")->string);
        bool ok = schema_decode_bytes(bytes, shape, object, &arena, &e);
        const char *prefix = "error: codec.decoder: ";
        if (str_has_prefix(want, str_from(prefix))) {
            struct str text = str_sub(want, strlen(prefix), want.len);
            if (ok || !str_eq(e.text, text)) {
                fail_msg("#%zu: want '%.*s', have '%.*s'", i, STR_ARG(text), STR_ARG(e.text));
            }
            failures++;
        } else if (!ok) {
            fail_msg("#%zu: %.*s", i, STR_ARG(e.text));
        }
        if (kvs && str_is(want, "ok, stored value \"abc\"")) {
            assert_true(str_is(((struct kvs_request *)object)->dir_ent.value, "abc"));
        }
        if (str_has_prefix(note, STR("KVS.Apply: struct as array"))) {
            assert_true(str_is(((struct kvs_request *)object)->dir_ent.key, "arr"));
        }
    }
    assert_int_equal(failures, 8);
    arena_free(&arena);
}

/* A million checks of one byte each. */
static void test_memory(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf b = BUF_INIT;
    struct indexed_health_checks reply;
    msgpack_write_map(&b, 1);
    msgpack_write_text(&b, "HealthChecks");
    msgpack_write_array(&b, 1000000);
    memset(buf_reserve(&b, 1000000), 0x80, 1000000);
    b.len += 1000000;
    assert_false(
        schema_decode_bytes(buf_str(&b), &indexed_health_checks_shape, &reply, &arena, &e));
    assert_true(str_is(e.text, "message needs too much memory"));
    assert_true(arena.total < 70000000);
    buf_free(&b);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rpc_agent_sync),
        cmocka_unit_test(test_rpc_http_driven),
        cmocka_unit_test(test_rpc_acl),
        cmocka_unit_test(test_rpc_servers),
        cmocka_unit_test(test_rpc_minimal),
        cmocka_unit_test(test_log_entries),
        cmocka_unit_test(test_whole_log),
        cmocka_unit_test(test_snapshot_records),
        cmocka_unit_test(test_config_entry_requests),
        cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
