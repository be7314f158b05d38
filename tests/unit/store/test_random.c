/* Random entries over a small world, and three promises. Whatever an answer shows: when it changes,
 * its watch set was touched (fsm.md 6.3). A store restored from a snapshot goes on exactly as the
 * one that it was taken of. And the tables agree with each other (verify.h).
 */
#include "fixture.h"
#include "schema/table.h"
#include "store/autopilot.h"

/* ---- the world ---- */

static const char *const node_names[] = {"n1", "n2", "n3"};
static const char *const node_ids[] = {"", "aaaaaaaa-1111-4111-8111-111111111111",
                                       "abababab-2222-4222-8222-222222222222"};
static const char *const service_names[] = {"web", "db", "web-proxy"};
static const char *const service_ids[] = {"s1", "s2"};
static const char *const kinds[] = {"", "connect-proxy"};
static const char *const check_ids[] = {"serfHealth", "c1", "c2"};
static const char *const statuses[] = {"passing", "critical", "warning"};
static const char *const keys[] = {"a", "a/1", "a/2", "ab", "b/1"};
static const char *const prefixes[] = {"", "a", "a/", "b", "z"};
static const char *const sessions[] = {"5e551000-0000-4000-8000-000000000001",
                                       "5e551000-0000-4000-8000-000000000002"};

#define PICK(p, list) S((list)[prng_below((p), COUNT_OF(list))])

static struct list random_tags(struct prng *p, struct arena *a) {
    if (prng_below(p, 3) == 0)
        return LIST_NIL;
    uint32_t count = (uint32_t)prng_below(p, 3); /* LIST_NEW looks at its count twice */
    struct list tags = LIST_NEW(a, struct str, count);
    for (uint32_t i = 0; i < tags.len; i++)
        LIST_AT(tags, struct str, i) = prng_below(p, 2) ? STR("x") : STR("Y");
    return tags;
}

static struct list random_meta(struct prng *p, struct arena *a) {
    if (prng_below(p, 2) == 0)
        return LIST_NIL;
    struct list meta = LIST_NEW(a, struct str_pair, 1);
    LIST_AT(meta, struct str_pair, 0) =
        (struct str_pair){STR("rack"), prng_below(p, 2) ? STR("1") : STR("2")};
    return meta;
}

static struct node_service *random_service(struct prng *p, struct arena *a) {
    struct node_service *s = ARENA_NEW(a, struct node_service);
    s->id = PICK(p, service_ids);
    s->service = PICK(p, service_names);
    s->kind = PICK(p, kinds);
    s->port = (int64_t)prng_below(p, 3);
    s->tags = random_tags(p, a);
    if (s->kind.len > 0)
        s->proxy.destination_service_name = PICK(p, service_names);
    else
        s->connect.native = prng_below(p, 4) == 0;
    return s;
}

static struct health_check *random_check(struct prng *p, struct arena *a, struct str node) {
    struct health_check *c = ARENA_NEW(a, struct health_check);
    c->node = node;
    c->check_id = PICK(p, check_ids);
    c->status = PICK(p, statuses);
    c->output = prng_below(p, 2) ? STR("out") : STR("");
    c->type = prng_below(p, 4) == 0 ? STR("ttl") : STR("");
    if (prng_below(p, 2))
        c->service_id = PICK(p, service_ids);
    return c;
}

static void encode(struct buf *out, enum entry_type type, const struct shape *shape,
                   const void *request) {
    buf_add_char(out, (char)type);
    schema_encode(out, shape, request);
}

static void random_register(struct prng *p, struct arena *a, struct buf *out) {
    struct register_request r = {.node = PICK(p, node_names), .datacenter = STR("dc1")};
    r.address = prng_below(p, 2) ? STR("1") : STR("2");
    r.id = PICK(p, node_ids);
    r.node_meta = random_meta(p, a);
    r.skip_node_update = prng_below(p, 2);
    if (prng_below(p, 2))
        r.service = random_service(p, a);
    if (prng_below(p, 2))
        r.check = random_check(p, a, r.node);
    encode(out, ENTRY_REGISTER, &register_request_shape, &r);
}

static struct dir_entry random_entry(struct prng *p) {
    struct dir_entry d = {.key = PICK(p, keys), .flags = prng_below(p, 2)};
    d.value = prng_below(p, 2) ? STR("v") : STR("w");
    d.modify_index = prng_below(p, 3);
    d.session = PICK(p, sessions);
    return d;
}

static const char *const kv_ops[] = {"set",    "set",        "cas", "lock", "lock",       "unlock",
                                     "delete", "delete-cas", "set", "set",  "delete-tree"};

static void random_kv(struct prng *p, struct buf *out) {
    struct kvs_request r = {.op = PICK(p, kv_ops), .dir_ent = random_entry(p)};
    if (str_is(r.op, "delete-tree"))
        r.dir_ent.key = PICK(p, prefixes);
    encode(out, ENTRY_KVS, &kvs_request_shape, &r);
}

static void random_session(struct prng *p, struct buf *out) {
    struct str bound[] = {PICK(p, check_ids)};
    struct session_request r = {.op = prng_below(p, 3) ? STR("create") : STR("destroy")};
    r.session = (struct session){.id = PICK(p, sessions), .node = PICK(p, node_names)};
    r.session.node_checks = (struct list){bound, (uint32_t)prng_below(p, 2), true};
    if (prng_below(p, 2))
        r.session.behavior = STR("delete");
    encode(out, ENTRY_SESSION, &session_request_shape, &r);
}

static void random_txn(struct prng *p, struct arena *a, struct buf *out) {
    uint32_t count = 1 + (uint32_t)prng_below(p, 3);
    struct txn_request r = {.ops = LIST_NEW(a, struct txn_op *, count)};
    for (uint32_t i = 0; i < r.ops.len; i++) {
        struct txn_op *op = ARENA_NEW(a, struct txn_op);
        LIST_AT(r.ops, struct txn_op *, i) = op;
        static const char *const verbs[] = {"set", "set", "cas", "delete", "get"};
        struct str verb = PICK(p, verbs);
        switch (prng_below(p, 4)) {
        case 0:
            op->kv = ARENA_NEW(a, struct txn_op_kv);
            *op->kv = (struct txn_op_kv){.verb = PICK(p, kv_ops), .dir_ent = random_entry(p)};
            break;
        case 1:
            op->node = ARENA_NEW(a, struct txn_op_node);
            op->node->verb = verb;
            op->node->node = (struct node){.node = PICK(p, node_names), .id = PICK(p, node_ids)};
            break;
        case 2:
            op->service = ARENA_NEW(a, struct txn_op_service);
            *op->service = (struct txn_op_service){verb, *random_service(p, a), STR_NONE};
            op->service->node = PICK(p, node_names);
            break;
        default:
            op->check = ARENA_NEW(a, struct txn_op_check);
            op->check->verb = verb;
            op->check->check = *random_check(p, a, PICK(p, node_names));
        }
    }
    encode(out, ENTRY_TXN, &txn_request_shape, &r);
}

static void random_coordinates(struct prng *p, struct arena *a, struct buf *out) {
    struct coordinate c = {.node = PICK(p, node_names)}, *pointer = &c;
    struct coord coord = {.error = (double)prng_below(p, 3)};
    struct list one = {&pointer, 1, true};
    c.coord = &coord;
    buf_add_char(out, (char)ENTRY_COORDINATE_BATCH);
    schema_encode_type(out, &coordinate_batch_type, &one);
}

static void random_any(struct prng *p, struct arena *a, uint64_t index, struct buf *out) {
    struct deregister_request gone = {.node = PICK(p, node_names)};
    struct tombstone_request reap = {.op = STR("reap"), .reap_index = index / 2};
    struct autopilot_set_request autopilot = {.config.max_trailing_logs = prng_below(p, 5)};
    uint64_t choice = prng_below(p, 20);
    if (choice < 7) {
        random_register(p, a, out);
    } else if (choice < 12) {
        random_kv(p, out);
    } else if (choice < 14) {
        random_session(p, out);
    } else if (choice < 16) {
        random_txn(p, a, out);
    } else if (choice < 18) {
        if (prng_below(p, 3) > 0)
            gone.service_id = PICK(p, service_ids);
        else if (prng_below(p, 3) > 0)
            gone.check_id = PICK(p, check_ids);
        encode(out, ENTRY_DEREGISTER, &deregister_request_shape, &gone);
    } else if (choice == 18) {
        random_coordinates(p, a, out);
    } else if (prng_below(p, 2)) {
        encode(out, ENTRY_TOMBSTONE, &tombstone_request_shape, &reap);
    } else {
        encode(out, ENTRY_AUTOPILOT, &autopilot_set_request_shape, &autopilot);
    }
}

/* ---- the questions ---- */

enum ask {
    ASK_NODES,
    ASK_SERVICES,
    ASK_NAMES,
    ASK_STATE_ANY,
    ASK_NODE_DUMP,
    ASK_SERVICE_DUMP,
    ASK_SESSIONS,
    ASK_COORDINATES,
    ASK_NODES_META,
    ASK_SERVICES_META,
    ASK_AUTOPILOT,
    ASK_ADDRESS,
    ASK_ALONE, /* the above take no argument */
    ASK_SERVICE = ASK_ALONE,
    ASK_SERVICE_TAG,
    ASK_CONNECT,
    ASK_HEALTH,
    ASK_HEALTH_CONNECT,
    ASK_SERVICE_CHECKS,
    ASK_SERVICE_CHECKS_META,
    ASK_NODE,
    ASK_NODE_CHECKS,
    ASK_NODE_INFO,
    ASK_NODE_SESSIONS,
    ASK_NODE_COORDINATES,
    ASK_ID,
    ASK_STATE,
    ASK_STATE_META,
    ASK_KIND,
    ASK_KEY,
    ASK_PREFIX,
    ASK_KEYS,
    ASK_SESSION,
    ASK_COUNT,
};

static void arguments_of(enum ask ask, const char *const **list, size_t *count) {
#define ARGUMENTS(from, to, names)                                                                 \
    if (ask >= (from) && ask <= (to)) {                                                            \
        *list = (names);                                                                           \
        *count = COUNT_OF(names);                                                                  \
    }
    static const char *const none[] = {""};
    *list = none;
    *count = 1;
    ARGUMENTS(ASK_SERVICE, ASK_SERVICE_CHECKS_META, service_names)
    ARGUMENTS(ASK_NODE, ASK_NODE_COORDINATES, node_names)
    ARGUMENTS(ASK_ID, ASK_ID, node_ids)
    ARGUMENTS(ASK_STATE, ASK_STATE_META, statuses)
    ARGUMENTS(ASK_KIND, ASK_KIND, kinds)
    ARGUMENTS(ASK_KEY, ASK_KEY, keys)
    ARGUMENTS(ASK_PREFIX, ASK_KEYS, prefixes)
    ARGUMENTS(ASK_SESSION, ASK_SESSION, sessions)
#undef ARGUMENTS
}

static void show(struct buf *out, const struct type *elem, const struct list *list) {
    const struct type type = {KIND_LIST, NULL, elem};
    schema_encode_type(out, &type, list);
}

/* Writes what the answer shows; returns its index. */
static uint64_t answer_catalog(struct store_read *r, enum ask ask, struct str name,
                               struct buf *out) {
    struct list list, one = {(struct str[]){S("x")}, 1, true};
    struct list meta = {(struct str_pair[]){{S("rack"), S("1")}}, 1, true};
    struct node *node;
    uint64_t index = 0;
    const struct type tags_type = {KIND_MAP, NULL, OF_LIST(OF_STR)};
    switch (ask) {
    case ASK_NODES:
    case ASK_NODES_META:
        index = catalog_nodes(r, ask == ASK_NODES ? NULL : &meta, &list);
        show(out, OF_PTR(node), &list);
        break;
    case ASK_SERVICES:
    case ASK_SERVICES_META:
        index = catalog_services(r, ask == ASK_SERVICES ? NULL : &meta, &list);
        schema_encode_type(out, &tags_type, &list);
        break;
    case ASK_NAMES:
        index = catalog_service_names(r, &list);
        show(out, OF_STRUCT(service_name), &list);
        break;
    case ASK_SERVICE:
    case ASK_SERVICE_TAG:
        index = catalog_service_nodes(r, name, ask == ASK_SERVICE ? NULL : &one, &list);
        show(out, OF_PTR(service_node), &list);
        break;
    case ASK_CONNECT:
        index = catalog_connect_nodes(r, name, &list);
        show(out, OF_PTR(service_node), &list);
        break;
    case ASK_ADDRESS:
        index = catalog_address_nodes(r, STR("1"), &list);
        show(out, OF_PTR(service_node), &list);
        break;
    case ASK_NODE:
    case ASK_ID:
        index = catalog_node_services(r, ask == ASK_ID ? str_sub(name, 0, 4) : name, &node, &list);
        if (node != NULL)
            schema_encode(out, &node_shape, node);
        show(out, OF_PTR(node_service), &list);
        break;
    case ASK_NODE_DUMP:
    case ASK_NODE_INFO:
        if (ask == ASK_NODE_DUMP)
            index = catalog_node_dump(r, &list);
        else
            index = catalog_node_info(r, name, &list);
        show(out, OF_PTR(node_info), &list);
        break;
    default:
        assert_true(false);
    }
    return index;
}

static uint64_t answer_health(struct store_read *r, enum ask ask, struct str name,
                              struct buf *out) {
    struct list list;
    struct list meta = {(struct str_pair[]){{S("rack"), S("1")}}, 1, true};
    uint64_t index = 0;
    switch (ask) {
    case ASK_HEALTH:
    case ASK_HEALTH_CONNECT:
        if (ask == ASK_HEALTH)
            index = catalog_check_service_nodes(r, name, NULL, &list);
        else
            index = catalog_check_connect_nodes(r, name, &list);
        show(out, OF_STRUCT(check_service_node), &list);
        break;
    case ASK_SERVICE_DUMP:
    case ASK_KIND:
        index = catalog_service_dump(r, ask == ASK_KIND, name, &list);
        show(out, OF_STRUCT(check_service_node), &list);
        break;
    case ASK_STATE_ANY:
    case ASK_STATE:
    case ASK_STATE_META:
        index = catalog_state_checks(r, ask == ASK_STATE_ANY ? STR("any") : name,
                                     ask == ASK_STATE_META ? &meta : NULL, &list);
        show(out, OF_PTR(health_check), &list);
        break;
    case ASK_SERVICE_CHECKS:
    case ASK_SERVICE_CHECKS_META:
        index = catalog_service_checks(r, name, ask == ASK_SERVICE_CHECKS ? NULL : &meta, &list);
        show(out, OF_PTR(health_check), &list);
        break;
    case ASK_NODE_CHECKS:
        index = catalog_node_checks(r, name, &list);
        show(out, OF_PTR(health_check), &list);
        break;
    default:
        index = answer_catalog(r, ask, name, out);
    }
    return index;
}

static uint64_t answer(struct store_read *r, enum ask ask, struct str name, struct buf *out) {
    struct list list;
    struct dir_entry *entry;
    struct session *session;
    struct autopilot_config *autopilot;
    struct error e = ERROR_IN(r->arena);
    uint64_t index = 0;
    switch (ask) {
    case ASK_KEY:
        index = kv_get(r, name, &entry);
        if (entry != NULL)
            schema_encode(out, &dir_entry_shape, entry);
        break;
    case ASK_PREFIX:
        index = kv_list(r, name, &list);
        show(out, OF_PTR(dir_entry), &list);
        break;
    case ASK_KEYS:
        index = kv_list_keys(r, name, STR("/"), NULL, NULL, &list);
        show(out, OF_STR, &list);
        break;
    case ASK_SESSIONS:
    case ASK_NODE_SESSIONS:
        if (ask == ASK_SESSIONS)
            index = session_list(r, &list);
        else
            index = session_node_list(r, name, &list);
        show(out, OF_PTR(session), &list);
        break;
    case ASK_SESSION:
        assert_true(session_get(r, name, &session, &index, &e));
        if (session != NULL)
            schema_encode(out, &session_shape, session);
        break;
    case ASK_COORDINATES:
    case ASK_NODE_COORDINATES:
        if (ask == ASK_COORDINATES)
            index = coordinate_list(r, &list);
        else
            index = coordinate_node(r, name, &list);
        show(out, OF_PTR(coordinate), &list);
        break;
    case ASK_AUTOPILOT:
        index = autopilot_config_get(r, &autopilot);
        if (autopilot != NULL)
            schema_encode(out, &autopilot_config_shape, autopilot);
        break;
    default:
        index = answer_health(r, ask, name, out);
    }
    return index;
}

struct question {
    struct watcher watcher;
    enum ask ask;
    const char *argument;
    struct buf shown;
    uint64_t index;
    bool woken;
};

/* Whether the index, too, cannot change unnoticed; found: the answer shows something. */
static bool index_is_watched(enum ask ask, bool found) {
    switch (ask) {
    case ASK_NODES:
    case ASK_SERVICES:
    case ASK_NAMES:
    case ASK_STATE_ANY:
    case ASK_NODE_DUMP:
    case ASK_SERVICE_DUMP:
    case ASK_SESSIONS:
    case ASK_COORDINATES:
    case ASK_KIND:
    case ASK_AUTOPILOT:
    case ASK_ADDRESS:
        return true;
    case ASK_SERVICE:
    case ASK_HEALTH:
    case ASK_HEALTH_CONNECT:
    case ASK_KEY:
    case ASK_PREFIX:
    case ASK_KEYS:
        return found;
    default:
        return false;
    }
}

static void woken(struct watcher *w, bool restored) {
    ((struct question *)w)->woken = true;
}

/* Evaluates and waits again. Returns whether what it shows is different from before. */
static bool evaluate(struct fixture *f, struct question *q, struct watch_registry *registry) {
    struct arena arena = ARENA_INIT;
    struct watch_set set;
    struct store_read r;
    struct buf now = BUF_INIT;
    watch_set_init(&set, &arena);
    assert_true(store_read_begin(f->store, &r, &arena, &set, &f->error));
    uint64_t index = answer(&r, q->ask, S(q->argument), &now);
    store_read_end(&r);
    bool changed = !str_eq(buf_str(&now), buf_str(&q->shown));
    bool whole_table = (q->ask == ASK_PREFIX || q->ask == ASK_KEYS) && q->argument[0] == '\0';
    if (index_is_watched(q->ask, now.len > 1) && !whole_table)
        changed |= index != q->index;
    q->index = index;
    buf_free(&q->shown);
    q->shown = now;
    q->woken = false;
    watch_unregister(&q->watcher);
    q->watcher.wake = woken;
    watch_register(registry, &q->watcher, &set);
    arena_free(&arena);
    return changed;
}

static void test_no_change_is_missed(void **state) {
    enum { MAX = 128 };
    struct fixture *f = *state;
    struct watch_registry *registry = watch_registry_new();
    struct question *questions = mem_zalloc(MAX, sizeof *questions);
    size_t count = 0, changes = 0, wakes = 0;
    struct prng p;
    prng_seed(&p, 2024);
    for (enum ask ask = 0; ask < ASK_COUNT; ask++) {
        const char *const *list;
        size_t n;
        arguments_of(ask, &list, &n);
        for (size_t i = 0; i < n; i++) {
            assert_true(count < MAX);
            questions[count] = (struct question){.ask = ask, .argument = list[i]};
            evaluate(f, &questions[count++], registry);
        }
    }
    for (int step = 0; step < 2500; step++) {
        struct arena arena = ARENA_INIT;
        struct buf data = BUF_INIT;
        random_any(&p, &arena, f->index, &data);
        apply_at(f, f->index + 1, buf_str(&data), STR_NONE);
        arena_free(&arena);
        buf_free(&data);
        if (f->touched != NULL)
            wakes += watch_publish(registry, f->touched);
        for (size_t i = 0; i < count; i++) {
            struct question *q = &questions[i];
            bool was_woken = q->woken;
            bool changed = evaluate(f, q, registry);
            changes += changed;
            if (changed && !was_woken)
                print_error("step %d: question %d '%s' missed a change\n", step, q->ask,
                            q->argument);
            assert_true(!changed || was_woken);
        }
    }
    assert_true(changes > 5000);
    assert_true(wakes < 2500 * count / 2); /* nor is everybody woken by everything */
    for (size_t i = 0; i < count; i++)
        buf_free(&questions[i].shown);
    watch_registry_free(registry);
    mem_free(questions);
}

/* ---- snapshots ---- */

static bool to_buf(void *owner, struct str bytes, struct error *e) {
    buf_add_str(owner, bytes);
    return true;
}

static struct buf snapshot_of(struct fixture *f) {
    struct buf out = BUF_INIT;
    WITH_READ(f, r)
    assert_true(store_snapshot_write(r, to_buf, &out, &f->error));
    return out;
}

static void restore(struct fixture *f, struct str bytes, uint64_t index) {
    struct store_restore *r = store_restore_begin(f->store, &f->error);
    assert_non_null(r);
    assert_true(store_restore_feed(r, bytes, &f->error));
    assert_true(store_restore_commit(r, index, 1, NULL, &f->error));
    f->index = index;
}

static void test_restored_goes_on_alike(void **state) {
    struct fixture *f = *state, *g = fixture_open(NULL);
    struct prng p;
    prng_seed(&p, 77);
    for (int step = 0; step < 3000; step++) {
        struct arena arena = ARENA_INIT;
        struct buf data = BUF_INIT;
        random_any(&p, &arena, f->index, &data);
        struct store_result *a = apply_at(f, f->index + 1, buf_str(&data), STR_NONE);
        struct store_result *b = apply_at(g, g->index + 1, buf_str(&data), STR_NONE);
        assert_int_equal(a->kind, b->kind);
        if (a->kind == STORE_RESULT_ERROR)
            assert_true(str_eq(a->error.text, b->error.text));
        if (a->kind == STORE_RESULT_TXN)
            assert_true(schema_equal(&txn_response_shape, a->txn, b->txn));
        arena_free(&arena);
        buf_free(&data);
        if (step % 150 != 149)
            continue;
        struct buf one = snapshot_of(f), two = snapshot_of(g);
        assert_true(str_eq(buf_str(&one), buf_str(&two)));
        restore(g, buf_str(&one), f->index);
        WITH_READ(g, r)
        verify_store(r);
        buf_free(&one);
        buf_free(&two);
    }
    fixture_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_change_is_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restored_goes_on_alike, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
