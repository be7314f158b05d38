/* Config entries: what a real server accepted and refused
 * (tests/vectors/connect/config-graph.json), and a random run of entries, gateways and instances
 * with what it then answered (tests/vectors/fsm/config-random.json.gz). */
#include "entries.h"
#include "store/gateway.h"

static void default_protocols(struct ingress_gateway *gateway) {
    for (uint32_t i = 0; i < gateway->listeners.len; i++) {
        struct ingress_listener *listener =
            &LIST_AT(gateway->listeners, struct ingress_listener, i);
        if (listener->protocol.len == 0)
            listener->protocol = STR("tcp");
    }
}

/* As a leader normalises it, as far as the vectors need that. */
static struct config_entry *entry_of(struct fixture *f, const struct value *json) {
    const struct shape *shape = config_entry_shape(value_text(json, "Kind"));
    assert_non_null(shape);
    struct config_entry *entry = arena_zalloc(&f->arena, 1, shape->size);
    from_json(f, json, shape, entry);
    entry->kind = value_text(json, "Kind");
    if (str_is(entry->kind, CONFIG_PROXY_DEFAULTS))
        entry->name = S("global");
    if (str_is(entry->kind, CONFIG_INGRESS_GATEWAY))
        default_protocols((struct ingress_gateway *)entry);
    return entry;
}

/* Whether the peer's answer to the write was ours. */
static void assert_answer(const struct store_result *result, uint64_t status, struct str answer,
                          struct str what) {
    bool refused = result->kind == STORE_RESULT_ERROR;
    if (refused != (status != 200) || (refused && !str_eq(result->error.text, answer))) {
        print_error("%.*s\npeer: %llu '%.*s'\nours: '%.*s'\n", STR_ARG(what),
                    (unsigned long long)status, STR_ARG(answer),
                    STR_ARG(refused ? result->error.text : STR("accepted")));
        fail();
    }
}

static void graphs_are_checked_as_by_the_peer(void **state) {
    struct fixture *f = *state;
    const struct value *v = vectors_json(&f->arena, "connect/config-graph.json");
    const struct value *vectors = value_get(v, "vectors");
    for (size_t i = 0; i < vectors->list.len; i++) {
        struct fixture *own = fixture_open(NULL);
        const struct value *vector = &vectors->list.items[i];
        const struct value *entries = value_get(vector, "entries_written_in_order");
        for (size_t k = 0; k + 1 < entries->list.len; k++)
            assert_ok(entry_op(own, "upsert", entry_of(f, &entries->list.items[k])));
        struct config_entry *last = entry_of(f, &entries->list.items[entries->list.len - 1]);
        uint64_t status = (uint64_t)value_get(vector, "last_status")->number;
        assert_answer(entry_op(own, "upsert", last), status, value_text(vector, "last_body"),
                      value_text(vector, "name"));
        fixture_close(own);
    }
    assert_true(vectors->list.len >= 20);
}

/* ---- the random run ---- */

static void add_strings(struct buf *out, const struct list *strings) {
    for (uint32_t i = 0; i < strings->len; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        buf_add_str(out, LIST_AT(*strings, struct str, i));
    }
}

static void add_mapping(struct buf *out, const struct gateway_service *m) {
    buf_add_format(out, "%.*s|%.*s|%.*s|%lld|%.*s|", STR_ARG(m->gateway.name),
                   STR_ARG(m->service.name), STR_ARG(m->gateway_kind), (long long)m->port,
                   STR_ARG(m->protocol));
    add_strings(out, &m->hosts);
    buf_add_format(out, "|%.*s|%.*s|%d|%llu|%llu", STR_ARG(m->ca_file), STR_ARG(m->sni),
                   m->from_wildcard, (unsigned long long)m->create_index,
                   (unsigned long long)m->modify_index);
}

static int compare_texts(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* The index, then the items, each behind a blank; sorted where the peer has no order. */
static struct str joined(struct fixture *f, struct str what, uint64_t index, struct list items) {
    struct buf out = BUF_INIT;
    if (str_is(what, "health/ingress"))
        qsort(items.items, items.len, sizeof(struct str), compare_texts);
    buf_add_u64(&out, index);
    for (uint32_t i = 0; i < items.len; i++) {
        buf_add_char(&out, ' ');
        buf_add_str(&out, LIST_AT(items, struct str, i));
    }
    struct str text = str_copy(&f->arena, buf_str(&out));
    buf_free(&out);
    return text;
}

static struct str item_text(struct fixture *f, struct str what, const struct list *list,
                            uint32_t i) {
    if (str_is(what, "gateway-services")) {
        struct buf out = BUF_INIT;
        add_mapping(&out, LIST_AT(*list, struct gateway_service *, i));
        struct str text = str_copy(&f->arena, buf_str(&out));
        buf_free(&out);
        return text;
    }
    if (str_is(what, "catalog/connect")) {
        const struct service_node *s = LIST_AT(*list, struct service_node *, i);
        return str_format(&f->arena, "%.*s/%.*s", STR_ARG(s->node), STR_ARG(s->service_id));
    }
    const struct check_service_node *s = &LIST_AT(*list, struct check_service_node, i);
    return str_format(&f->arena, "%.*s/%.*s", STR_ARG(s->node->node), STR_ARG(s->service->id));
}

static struct str read_text(struct fixture *f, struct str what, struct str name) {
    struct list list, items;
    uint64_t index;
    WITH_READ(f, r) {
        if (str_is(what, "gateway-services"))
            index = gateway_services(r, name, &list);
        else if (str_is(what, "health/ingress"))
            index = catalog_check_ingress_nodes(r, name, &list);
        else if (str_is(what, "health/connect"))
            index = catalog_check_connect_nodes(r, name, &list);
        else
            index = catalog_connect_nodes(r, name, &list);
    }
    items = LIST_NEW(&f->arena, struct str, list.len);
    for (uint32_t i = 0; i < list.len; i++)
        LIST_AT(items, struct str, i) = item_text(f, what, &list, i);
    return joined(f, what, index, items);
}

static struct str wanted_text(struct fixture *f, struct str what, const struct value *read) {
    const struct value *values = &read->list.items[1];
    struct list items = LIST_NEW(&f->arena, struct str, values->list.len);
    for (size_t i = 0; i < values->list.len; i++)
        LIST_AT(items, struct str, i) = values->list.items[i].string;
    return joined(f, what, (uint64_t)read->list.items[0].number, items);
}

static void check_reads(struct fixture *f, const struct value *reads, uint64_t step) {
    for (size_t i = 0; i < reads->map.len; i++) {
        const struct value_pair *kind = &reads->map.pairs[i];
        for (size_t k = 0; k < kind->value.map.len; k++) {
            const struct value_pair *pair = &kind->value.map.pairs[k];
            struct str wanted = wanted_text(f, kind->key, &pair->value);
            struct str is = read_text(f, kind->key, pair->key);
            if (!str_eq(wanted, is))
                print_error("step %llu, %.*s/%.*s\npeer: %.*s\nours: %.*s\n",
                            (unsigned long long)step, STR_ARG(kind->key), STR_ARG(pair->key),
                            STR_ARG(wanted), STR_ARG(is));
            assert_true(str_eq(wanted, is));
        }
    }
}

static struct store_result *apply_catalog(struct fixture *f, uint64_t index, bool put,
                                          const struct value *body) {
    struct buf data = BUF_INIT;
    if (put) {
        struct register_request r = {.datacenter = STR("dc1")};
        from_json(f, body, &register_request_shape, &r);
        buf_add_char(&data, ENTRY_REGISTER);
        schema_encode(&data, &register_request_shape, &r);
    } else {
        struct deregister_request r = {0};
        from_json(f, body, &deregister_request_shape, &r);
        buf_add_char(&data, ENTRY_DEREGISTER);
        schema_encode(&data, &deregister_request_shape, &r);
    }
    struct store_result *result = apply_at(f, index, buf_str(&data), STR_NONE);
    buf_free(&data);
    return result;
}

static struct store_result *apply_step(struct fixture *f, const struct value *step,
                                       uint64_t index) {
    struct str path = value_text(step, "path");
    const struct value *body = value_get(step, "body");
    if (str_has_prefix(path, STR("catalog/")))
        return apply_catalog(f, index, str_is(path, "catalog/register"), body);
    if (str_is(value_text(step, "method"), "DELETE")) {
        str_cut(&path, '/');
        struct str kind = str_cut(&path, '/');
        struct config_entry *entry = arena_zalloc(&f->arena, 1, config_entry_shape(kind)->size);
        entry->kind = kind;
        entry->name = path;
        return entry_at(f, index, "delete", entry);
    }
    struct config_entry *entry = entry_of(f, body);
    str_cut(&path, '=');
    if (path.data == NULL)
        return entry_at(f, index, "upsert", entry);
    assert_true(str_to_u64(path, &entry->modify_index));
    return entry_at(f, index, "upsert-cas", entry);
}

static bool to_buf(void *owner, struct str bytes, struct error *e) {
    buf_add_str(owner, bytes);
    return true;
}

static struct buf state_of(struct fixture *f) {
    struct buf out = BUF_INIT;
    WITH_READ(f, r) assert_true(store_snapshot_write(r, to_buf, &out, &f->error));
    return out;
}

static void restore_hex(struct fixture *f, struct str hex, uint64_t index) {
    char *bytes = arena_alloc(&f->arena, hex.len / 2 + 1);
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        char digits[3] = {hex.data[i], hex.data[i + 1]};
        bytes[i / 2] = (char)strtoul(digits, NULL, 16);
    }
    struct store_restore *r = store_restore_begin(f->store, &f->error);
    assert_non_null(r);
    assert_true(store_restore_feed(r, str_of(bytes, hex.len / 2), &f->error));
    assert_true(store_restore_commit(r, index, 2, NULL, &f->error));
    f->index = index;
}

static void random_run_is_the_peers(void **state) {
    struct fixture *f = *state;
    const char *path = getenv("CONFIG_RANDOM"); /* another run than ours */
    const struct value *v =
        vectors_json(&f->arena, path != NULL ? path : "fsm/config-random.json.gz");
    const struct value *steps = value_get(v, "steps");
    restore_hex(f, value_text(v, "first_state_hex"), (uint64_t)value_get(v, "first_index")->number);
    for (size_t i = 0; i < steps->list.len; i++) {
        const struct value *step = &steps->list.items[i];
        const struct value *index = value_get(step, "index");
        if (index != NULL && index->kind == VALUE_FLOAT) {
            struct buf before = state_of(f);
            struct store_result *result = apply_step(f, step, (uint64_t)index->number);
            uint64_t status = (uint64_t)value_get(step, "status")->number;
            struct str answer_text = value_text(step, "answer");
            if (status != 200 && result->kind == STORE_RESULT_ERROR)
                answer_text = result->error.text; /* which of several errors is arbitrary */
            assert_answer(result, status, answer_text, str_format(&f->arena, "step %zu", i));
            const struct value *answer = value_get(step, "answer");
            if (result->kind == STORE_RESULT_BOOL)
                assert_int_equal(result->boolean, answer->kind == VALUE_BOOL && answer->boolean);
            struct buf after = state_of(f);
            if (result->kind == STORE_RESULT_ERROR)
                assert_true(str_eq(buf_str(&before), buf_str(&after)));
            buf_free(&before);
            buf_free(&after);
        }
        if (value_get(step, "reads") != NULL)
            check_reads(f, value_get(step, "reads"), i);
    }
    assert_true(steps->list.len >= 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(graphs_are_checked_as_by_the_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(random_run_is_the_peers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
