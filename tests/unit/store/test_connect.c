/* Intentions, the certificate authority's records, federation states (fsm.md 5.2 to 5.4). */
#include "fixture.h"
#include "schema/hash.h"
#include "store/connect.h"
#include "store/federation.h"

#define ID(n) "0000000" #n "-0000-4000-8000-000000000000"

static struct intention between(const char *id, const char *source, const char *destination) {
    return (struct intention){.id = S(id),
                              .action = S("deny"),
                              .source_ns = S("default"),
                              .source_name = S(source),
                              .destination_ns = S("default"),
                              .destination_name = S(destination)};
}

static struct store_result *intention_op(struct fixture *f, const char *op, struct intention x) {
    struct intention_request r = {.op = S(op), .intention = &x};
    return apply(f, ENTRY_INTENTION, &intention_request_shape, &r);
}

static void intentions_are_unique_by_names(void **state) {
    struct fixture *f = *state;
    struct intention x = between(ID(1), "web", "db");
    x.created_at = timestamp_from_unix_ns(SECOND);
    assert_refused(intention_op(f, "create", between("", "web", "db")), "Missing Intention ID");
    assert_ok(intention_op(f, "create", x));
    uint64_t created = f->index;
    assert_refused(
        intention_op(f, "create", between(ID(2), "WEB", "Db")),
        "duplicate intention found: DENY default/web => default/db (ID: " ID(1) ", Precedence: 9)");
    x.created_at = timestamp_from_unix_ns(2 * SECOND);
    x.action = S("allow");
    assert_ok(intention_op(f, "update", x));
    struct intention *found;
    uint64_t index;
    WITH_READ(f, r) intention_get(r, S(ID(1)), &found, &index, &f->error);
    assert_int_equal(index, created + 2);
    assert_int_equal(found->create_index, created);
    assert_int_equal(timestamp_to_unix_ns(found->created_at), SECOND);
    assert_true(found->meta.present);
    WITH_READ(f, r) intention_by_names(r, S("DEFAULT"), S("WEB"), S("default"), S("db"), &found);
    assert_str(found->action, "allow");
    assert_ok(intention_op(f, "delete", between(ID(2), "", "")));
    assert_int_equal(index_of(f, "connect-intentions"), created + 2);
    assert_ok(intention_op(f, "delete", between(ID(1), "", "")));
    assert_int_equal(index_of(f, "connect-intentions"), f->index);
    assert_ok(intention_op(f, "create", between(ID(2), "WEB", "Db")));
    assert_refused(intention_op(f, "bogus", x), "Invalid Intention operation 'bogus'");
}

static void intentions_match_by_precedence(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *id, *source, *destination;
        int precedence;
    } all[] = {{ID(1), "*", "*", 5},
               {ID(2), "web", "*", 6},
               {ID(3), "*", "db", 8},
               {ID(4), "web", "db", 9},
               {ID(5), "api", "other", 9}};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        assert_ok(intention_op(f, "create", between(all[i].id, all[i].source, all[i].destination)));
    struct intention any = between(ID(6), "*", "*");
    any.source_ns = any.destination_ns = S("*");
    assert_ok(intention_op(f, "create", any));
    struct list list;
    WITH_READ(f, r) intention_match(r, false, S("default"), S("DB"), &list);
    static const int expected[] = {9, 8, 6, 5, 1};
    assert_int_equal(list.len, COUNT_OF(expected));
    for (uint32_t i = 0; i < list.len; i++)
        assert_int_equal(LIST_AT(list, struct intention *, i)->precedence, expected[i]);
    WITH_READ(f, r) intention_match(r, true, S("default"), S("api"), &list);
    assert_int_equal(list.len, 4);
    WITH_READ(f, r) intention_match(r, false, S("default"), S("*"), &list);
    assert_int_equal(list.len, 3);
    WITH_READ(f, r) intention_list(r, &list);
    assert_int_equal(list.len, 6);
    assert_str(LIST_AT(list, struct intention *, 0)->id, ID(5)); /* 9, then by source */
    assert_str(LIST_AT(list, struct intention *, 5)->id, ID(6));
}

/* The one of connect.md 2.1. */
static void hash_of_an_intention(void **state) {
    struct fixture *f = *state;
    struct str_pair meta[] = {{S("k"), S("v")}};
    struct intention x = between("67e0d2bc-ed84-a8dc-6b36-42fc4d066b42", "web", "db");
    x.description = S("d");
    x.source_type = S("consul");
    x.action = S("allow");
    x.default_addr = S("x");
    x.default_port = 5;
    x.meta = (struct list){meta, 1, true};
    static const uint8_t expected[] = {0xfd, 0x86, 0xe6, 0xef, 0x13, 0x37, 0x88, 0x42,
                                       0xd7, 0xc2, 0x45, 0xff, 0xcd, 0x7f, 0x36, 0x1f,
                                       0x35, 0xe9, 0xde, 0xea, 0x11, 0x2a, 0x61, 0xc6,
                                       0xf9, 0x6f, 0x30, 0xe7, 0x03, 0x02, 0xdb, 0x0a};
    struct str hash = intention_hash(&x, &f->arena);
    assert_int_equal(hash.len, 32);
    assert_memory_equal(hash.data, expected, sizeof expected);
}

/* ---- certificate authority ---- */

static struct store_result *ca_op(struct fixture *f, const char *op, struct ca_request r) {
    r.op = S(op);
    return apply(f, ENTRY_CONNECT_CA, &ca_request_shape, &r);
}

static void roots_are_replaced_as_a_whole(void **state) {
    struct fixture *f = *state;
    struct ca_root a = {.id = S("a"), .active = true}, b = {.id = S("b")}, *both[] = {&a, &b};
    struct ca_request r = {.roots = {both, 2, true}};
    b.active = true;
    assert_refused(ca_op(f, "set-roots", r), "there must be exactly one active CA");
    b.active = false;
    assert_bool(ca_op(f, "set-roots", r), true);
    uint64_t first = f->index;
    assert_bool(ca_op(f, "set-roots", r), false); /* the index is not 0 any more */
    r.index = first;
    r.roots.len = 1;
    assert_bool(ca_op(f, "set-roots", r), true);
    struct list roots;
    uint64_t index;
    WITH_READ(f, rd) index = ca_root_list(rd, &roots);
    assert_int_equal(index, f->index);
    assert_int_equal(roots.len, 1);
    assert_int_equal(LIST_AT(roots, struct ca_root *, 0)->create_index, first);
    a.id = S("");
    r.index = f->index;
    assert_refused(ca_op(f, "set-roots", r), "Missing CA Root ID");
}

static void configuration_by_cas(void **state) {
    struct fixture *f = *state;
    struct ca_configuration config = {
        .cluster_id = S("c"), .provider = S("consul"), .modify_index = 4};
    struct ca_request r = {.config = &config};
    assert_bool(ca_op(f, "set-config", r), false);
    config.modify_index = 0;
    assert_int_equal(ca_op(f, "set-config", r)->kind, STORE_RESULT_NIL);
    uint64_t created = f->index;
    config.cluster_id = S("");
    config.modify_index = created;
    assert_bool(ca_op(f, "set-config", r), true);
    struct ca_configuration *found;
    WITH_READ(f, rd) assert_int_equal(ca_config_get(rd, &found), f->index);
    assert_str(found->cluster_id, "c");
    assert_int_equal(found->create_index, created);
    /* With roots: the configuration's index is one more than the entry's. */
    struct ca_root a = {.id = S("a"), .active = true}, *one = &a;
    r.roots = (struct list){&one, 1, true};
    config.modify_index = created; /* stale */
    assert_bool(ca_op(f, "set-roots-config", r), false);
    assert_int_equal(index_of(f, "connect-ca-roots"), f->index); /* the roots stay */
    config.modify_index = created + 1;
    r.index = f->index;
    assert_bool(ca_op(f, "set-roots-config", r), true);
    WITH_READ(f, rd) assert_int_equal(ca_config_get(rd, &found), f->index + 1);
}

static void provider_states_and_serials(void **state) {
    struct fixture *f = *state;
    struct ca_consul_provider_state s = {.id = S("x:y"), .private_key = S("k")};
    struct ca_request r = {.provider_state = &s};
    struct store_result *result = ca_op(f, "increment-provider-serial", r);
    assert_int_equal(result->kind, STORE_RESULT_U64);
    assert_int_equal(result->number, 1);
    assert_bool(ca_op(f, "set-provider-state", r), true);
    uint64_t created = f->index;
    assert_int_equal(ca_op(f, "increment-provider-serial", r)->number, 2);
    struct ca_consul_provider_state *found;
    WITH_READ(f, rd) ca_provider_state_get(rd, S("x:y"), &found);
    assert_str(found->private_key, "k");
    assert_bool(ca_op(f, "delete-provider-state", r), true);
    assert_int_equal(index_of(f, "connect-ca-builtin"), created); /* keeps its value */
    assert_true(was_touched(f, WATCH_TABLE, "connect-ca-builtin"));
    WITH_READ(f, rd) ca_provider_state_get(rd, S("x:y"), &found);
    assert_null(found);
    assert_refused(ca_op(f, "bogus", r), "Invalid CA operation 'bogus'");
    struct ca_leaf_request leaf = {.op = S("increment-index")};
    result = apply(f, ENTRY_CONNECT_CA_LEAF, &ca_leaf_request_shape, &leaf);
    assert_int_equal(result->number, f->index);
}

/* The first serial follows the states' index. */
static void first_serial(void **state) {
    struct fixture *f = *state;
    struct ca_consul_provider_state s = {.id = S("x")};
    struct ca_request r = {.provider_state = &s};
    node_put(f, "n", "", "1");
    assert_bool(ca_op(f, "set-provider-state", r), true);
    assert_int_equal(ca_op(f, "increment-provider-serial", r)->number, 3);
}

static void federation_states(void **state) {
    struct fixture *f = *state;
    struct federation_state s = {.datacenter = S("DC2")};
    struct federation_state_request r = {.op = S("upsert"), .state = &s};
    const struct shape *shape = &federation_state_request_shape;
    assert_bool(apply(f, ENTRY_FEDERATION_STATE, shape, &r), true);
    uint64_t created = f->index;
    s.datacenter = S("dc2");
    s.primary_modify_index = 77;
    assert_bool(apply(f, ENTRY_FEDERATION_STATE, shape, &r), true);
    struct federation_state *found;
    WITH_READ(f, rd) assert_int_equal(federation_state_get(rd, S("dC2"), &found), f->index);
    assert_int_equal(found->create_index, created);
    assert_int_equal(found->primary_modify_index, 77);
    r.op = S("delete");
    assert_int_equal(apply(f, ENTRY_FEDERATION_STATE, shape, &r)->kind, STORE_RESULT_NIL);
    uint64_t deleted = f->index;
    assert_ok(apply(f, ENTRY_FEDERATION_STATE, shape, &r));
    assert_int_equal(index_of(f, "federation-states"), deleted);
    s.datacenter = S("");
    r.op = S("upsert");
    assert_refused(apply(f, ENTRY_FEDERATION_STATE, shape, &r),
                   "missing datacenter on federation state");
    r.op = S("x");
    assert_refused(apply(f, ENTRY_FEDERATION_STATE, shape, &r),
                   "invalid federation state operation type: x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(intentions_are_unique_by_names, setup, teardown),
        cmocka_unit_test_setup_teardown(intentions_match_by_precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(hash_of_an_intention, setup, teardown),
        cmocka_unit_test_setup_teardown(roots_are_replaced_as_a_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(configuration_by_cas, setup, teardown),
        cmocka_unit_test_setup_teardown(provider_states_and_serials, setup, teardown),
        cmocka_unit_test_setup_teardown(first_serial, setup, teardown),
        cmocka_unit_test_setup_teardown(federation_states, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
