/* Discovery chains: what a real server compiled (tests/vectors/connect/discovery-chain.json), and
 * what it was not asked for there. */
#include "entries.h"
#include "schema/config_entry_read.h"
#include "schema/config_entry_rules.h"
#include "store/chain.h"

#define TRUST_DOMAIN "11111111-2222-3333-4444-555555555555.consul"

/* ---- entries ---- */

static void write_entry(struct fixture *f, const struct value *json) {
    struct config_entry *entry = config_entry_read(json, &f->arena, &f->error);
    assert_non_null(entry);
    config_entry_normalize(entry, &f->arena);
    assert_ok(entry_op(f, "upsert", entry));
}

static void write_text(struct fixture *f, const char *text) {
    struct value v;
    assert_true(json_parse(str_from(text), &v, NULL, &f->arena, &f->error));
    write_entry(f, &v);
}

static struct compiled_chain *chain_of(struct fixture *f, const struct chain_question *question) {
    struct compiled_chain *chain = NULL;
    uint64_t index = 0;
    bool ok;
    WITH_READ(f, r) {
        ok = discovery_chain_get(r, question, &chain, &index, &f->error);
    }
    assert_true(ok == (chain != NULL));
    return chain;
}

static struct chain_question question_of(const char *service) {
    return (struct chain_question){.service = str_from(service),
                                   .datacenter = STR("dc1"),
                                   .namespace = STR("default"),
                                   .use_datacenter = STR("dc1"),
                                   .trust_domain = STR(TRUST_DOMAIN)};
}

/* ---- the vectors ---- */

static int64_t duration_of(const struct value *v) {
    int64_t ns = 0;
    if (v != NULL && v->kind == VALUE_FLOAT)
        return (int64_t)v->number;
    assert_true(v == NULL || duration_parse(v->string, &ns, NULL));
    return ns;
}

static struct chain_question question_from(const struct value *vector) {
    struct chain_question q = question_of("db");
    const struct value *request = value_get(vector, "request");
    struct str path = value_text(vector, "path");
    ptrdiff_t at = str_find(path, STR("compile-dc="), 0);
    if (at >= 0)
        q.datacenter = str_sub(path, (size_t)at + strlen("compile-dc="), path.len);
    if (request == NULL || request->kind != VALUE_MAP)
        return q;
    const struct value *timeout = value_get(request, "OverrideConnectTimeout");
    if (timeout == NULL)
        timeout = value_get(request, "override_connect_timeout");
    q.override_connect_timeout = duration_of(timeout);
    q.override_protocol = value_text(request, "OverrideProtocol");
    if (value_get(request, "OverrideMeshGateway") != NULL)
        q.override_mesh_gateway = value_text(value_get(request, "OverrideMeshGateway"), "Mode");
    return q;
}

/* With its keys sorted. */
static struct str text_of_json(struct fixture *f, const struct value *v) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    json_value(&w, v);
    struct str copy = str_copy(&f->arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static struct str text_of_chain(struct fixture *f, const struct compiled_chain *chain) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    struct value v;
    json_begin(&w, &text, false);
    schema_write_json(&w, &compiled_chain_shape, chain);
    assert_true(json_parse(buf_str(&text), &v, NULL, &f->arena, &f->error));
    struct str sorted = text_of_json(f, &v);
    buf_free(&text);
    return sorted;
}

static void assert_chain(struct fixture *f, const struct value *vector,
                         const struct compiled_chain *chain) {
    struct str wanted = text_of_json(f, value_get(value_get(vector, "response"), "Chain"));
    struct str is = text_of_chain(f, chain);
    if (!str_eq(is, wanted))
        print_error("%.*s\npeer: %.*s\nours: %.*s\n", STR_ARG(value_text(vector, "name")),
                    STR_ARG(wanted), STR_ARG(is));
    assert_true(str_eq(is, wanted));
}

static void chains_are_those_of_the_peer(void **state) {
    struct fixture *f = *state;
    const struct value *v = vectors_json(&f->arena, "connect/discovery-chain.json");
    const struct value *vectors = value_get(v, "vectors");
    unsigned compared = 0;
    for (size_t i = 0; i < vectors->list.len; i++) {
        const struct value *vector = &vectors->list.items[i];
        const struct value *entries = value_get(vector, "config_entries");
        if (value_get(vector, "status")->number != 200)
            continue; /* refused by HTTP */
        struct fixture *own = fixture_open(NULL);
        for (size_t k = 0; k < entries->list.len; k++)
            write_entry(own, &entries->list.items[k]);
        struct chain_question q = question_from(vector);
        struct compiled_chain *chain = chain_of(own, &q);
        assert_non_null(chain);
        assert_chain(own, vector, chain);
        fixture_close(own);
        compared++;
    }
    assert_int_equal(compared, 26);
}

/* ---- beyond them ---- */

#define HTTP(name) "{\"Kind\":\"service-defaults\",\"Name\":\"" name "\",\"Protocol\":\"http\"}"

static void only_a_plain_chain_is_default(void **state) {
    struct fixture *f = *state;
    struct chain_question q = question_of("web");
    assert_true(chain_is_default(chain_of(f, &q)));
    write_text(f, HTTP("web"));
    assert_true(chain_is_default(chain_of(f, &q)));
    q.override_connect_timeout = SECOND;
    assert_true(chain_is_default(chain_of(f, &q)));
    write_text(f, "{\"Kind\":\"service-resolver\",\"Name\":\"web\",\"ConnectTimeout\":\"1s\"}");
    assert_false(chain_is_default(chain_of(f, &q)));
    q = question_of("api");
    write_text(f, HTTP("db"));
    write_text(f, HTTP("api"));
    write_text(
        f, "{\"Kind\":\"service-resolver\",\"Name\":\"api\",\"Redirect\":{\"Service\":\"db\"}}");
    assert_false(chain_is_default(chain_of(f, &q)));
}

/* Each leads twice to the next: a chain of them all would have more splits than memory. */
static void splits_do_not_fill_the_memory(void **state) {
    struct fixture *f = *state;
    char text[400];
    for (int i = 40; i >= 0; i--) {
        snprintf(text, sizeof text,
                 "{\"Kind\":\"service-defaults\",\"Name\":\"s%d\",\"Protocol\":\"http\"}", i);
        write_text(f, text);
        snprintf(text, sizeof text,
                 "{\"Kind\":\"service-splitter\",\"Name\":\"s%d\",\"Splits\":["
                 "{\"Weight\":50,\"Service\":\"s%d\"},{\"Weight\":50,\"Service\":\"s%d\"}]}",
                 i, i + 1, i + 1);
        if (i < 40)
            write_text(f, text);
    }
    struct chain_question q = question_of("s0");
    assert_null(chain_of(f, &q));
    assert_true(str_is(f->error.text, "discovery chain \"s0\" has too many splits"));
    f->error = ERROR_IN(&f->arena);
    q = question_of("s35");
    const struct compiled_chain *chain = chain_of(f, &q);
    assert_non_null(chain);
    assert_int_equal(chain->nodes.len, 2);
    assert_int_equal(chain_node_get(chain, chain->start_node)->splits.len, 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chains_are_those_of_the_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(only_a_plain_chain_is_default, setup, teardown),
        cmocka_unit_test_setup_teardown(splits_do_not_fill_the_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
