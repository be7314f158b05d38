/* Resources: what a real agent told its proxies (tests/vectors/connect/xds-*.json), and what was
 * not asked for there. */
#include "xds/room.h"

#include "codec/json.h"
#include "codec/protobuf.h"
#include "unit/xds/world.h"

/* ---- comparing: order counts only where it means something ---- */

static int by_text(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Users may write socketAddress; the vectors have the names of the .proto. */
static struct str proto_name(struct arena *arena, struct str key) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < key.len; i++) {
        bool big = key.data[i] >= 'A' && key.data[i] <= 'Z';
        if (big)
            buf_add_char(&out, '_');
        buf_add_char(&out, big ? (char)(key.data[i] - 'A' + 'a') : key.data[i]);
    }
    struct str copy = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static void normalize(struct arena *arena, struct value *v) {
    size_t kept = 0;
    for (size_t i = 0; v->kind == VALUE_LIST && i < v->list.len; i++)
        normalize(arena, &v->list.items[i]);
    for (size_t i = 0; v->kind == VALUE_MAP && i < v->map.len; i++) {
        struct value_pair pair = v->map.pairs[i];
        if (str_is(pair.key, "@type"))
            continue;
        normalize(arena, &pair.value);
        pair.key = proto_name(arena, pair.key);
        v->map.pairs[kept++] = pair;
    }
    if (v->kind == VALUE_MAP)
        v->map.len = kept;
}

static struct str text_of_tree(struct arena *arena, const struct value *tree) {
    struct buf text = BUF_INIT;
    struct value *v = value_copy(tree, arena);
    normalize(arena, v);
    struct json_writer w;
    json_begin(&w, &text, false);
    json_value(&w, v);
    struct str copy = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static int by_json(const void *a, const void *b, void *arena) {
    return str_compare(text_of_tree(arena, a), text_of_tree(arena, b));
}

/* Maps of the peer's give filter chains and virtual hosts in any order. */
static void sort_chains(struct arena *arena, struct value *resource) {
    const char *const fields[] = {"filter_chains", "virtual_hosts"};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        struct value *list = value_get(resource, fields[i]);
        if (list != NULL && list->kind == VALUE_LIST)
            qsort_r(list->list.items, list->list.len, sizeof(struct value), by_json, arena);
    }
}

/* Of each resource its text, sorted. once: the peer may say the same twice, we must not. */
static size_t texts(struct arena *arena, struct value *resources, size_t len, struct str *out,
                    bool once) {
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        sort_chains(arena, &resources[i]);
        out[i] = text_of_tree(arena, &resources[i]);
    }
    qsort(out, len, sizeof *out, by_text);
    for (size_t i = 0; i < len; i++)
        if (!once || i == 0 || !str_eq(out[i], out[i - 1]))
            out[kept++] = out[i];
    return kept;
}

static void compare(struct world *w, const char *type, struct trees *ours,
                    const struct value *wanted) {
    static struct str no_resources[1];
    size_t wanted_len = wanted != NULL ? wanted->list.len : 0;
    struct str *is = ARENA_ARRAY(w->arena, struct str, ours->len + 1);
    struct str *should =
        wanted_len > 0 ? ARENA_ARRAY(w->arena, struct str, wanted_len) : no_resources;
    size_t is_len = texts(w->arena, ours->items, ours->len, is, false);
    size_t should_len =
        wanted_len > 0 ? texts(w->arena, wanted->list.items, wanted_len, should, true) : 0;
    bool same = is_len == should_len;
    for (size_t i = 0; i < is_len || i < should_len; i++) {
        struct str a = i < should_len ? should[i] : STR("-"), b = i < is_len ? is[i] : STR("-");
        if (str_eq(a, b))
            continue;
        same = false;
        print_error("%s %s\npeer: %.*s\nours: %.*s\n", w->name, type, STR_ARG(a), STR_ARG(b));
    }
    assert_true(same);
}

/* Each is a message of its type. */
static void encode(const struct trees *resources, enum xds_type type, struct error *e) {
    for (size_t i = 0; i < resources->len; i++) {
        struct buf bytes = BUF_INIT;
        bool ok = message_encode(&bytes, xds_message(type), &resources->items[i], e);
        if (!ok)
            print_error("%.*s\n", STR_ARG(e->text));
        assert_true(ok && bytes.len > 0);
        buf_free(&bytes);
    }
}

static const char *const keys[XDS_TYPES] = {"cds", "eds", "rds", "lds"};

static struct xds_maker maker_of(struct world *w) {
    return (struct xds_maker){
        .snapshot = &w->snapshot, .safe_regex = true, .arena = w->arena, .error = &w->dc[0]->error};
}

static void check_type(struct world *w, enum xds_type type, const struct value *latest) {
    const struct value *answer = value_get(latest, keys[type]);
    struct xds_maker m = maker_of(w);
    if (!xds_make(&m, type))
        fail_msg("%s: %.*s", w->name, STR_ARG(w->dc[0]->error.text));
    encode(&m.resources, type, &w->dc[0]->error);
    compare(w, keys[type], &m.resources, value_get(answer, "resources"));
}

static void check_vector(const char *name) {
    struct world *w = world_open(name);
    const struct value *latest = value_get(value_get(w->vector, "answers"), "latest");
    assert_non_null(latest);
    assert_true(xds_complete(&w->snapshot));
    for (enum xds_type type = 0; type < XDS_TYPES; type++)
        check_type(w, type, latest);
    world_close(w);
}

#define VECTOR(test, name)                                                                         \
    static void test(void **state) {                                                               \
        check_vector(name);                                                                        \
    }
VECTOR(sidecar_tcp, "sidecar-tcp")
VECTOR(sidecar_routes, "sidecar-router-splitter-resolver")
VECTOR(sidecar_protocols, "sidecar-protocols")
VECTOR(sidecar_options, "sidecar-options")
VECTOR(sidecar_hatches, "sidecar-escape-hatches")
VECTOR(failover_none, "sidecar-failover-none")
VECTOR(failover_local, "sidecar-failover-local")
VECTOR(failover_remote, "sidecar-failover-remote")
VECTOR(ingress, "ingress")
VECTOR(ingress_tls, "ingress-tls")
VECTOR(terminating, "terminating")
VECTOR(mesh_gateway, "mesh-gateway")
VECTOR(mesh_gateway_two_dcs, "mesh-gateway-two-dcs")
VECTOR(mesh_gateway_federation, "mesh-gateway-wan-federation")

static void old_envoys_have_no_safe_regex(void **state) {
    struct world *w = world_open("sidecar-router-splitter-resolver");
    struct xds_maker m = maker_of(w);
    const struct value *answers = value_get(w->vector, "answers_envoy_1_10");
    m.safe_regex = false;
    assert_true(xds_make(&m, XDS_ROUTE));
    encode(&m.resources, XDS_ROUTE, &w->dc[0]->error);
    compare(w, "rds 1.10", &m.resources,
            value_get(value_get(value_get(answers, "latest"), "rds"), "resources"));
    world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sidecar_tcp),
        cmocka_unit_test(sidecar_routes),
        cmocka_unit_test(sidecar_protocols),
        cmocka_unit_test(sidecar_options),
        cmocka_unit_test(sidecar_hatches),
        cmocka_unit_test(failover_none),
        cmocka_unit_test(failover_local),
        cmocka_unit_test(failover_remote),
        cmocka_unit_test(ingress),
        cmocka_unit_test(ingress_tls),
        cmocka_unit_test(terminating),
        cmocka_unit_test(mesh_gateway),
        cmocka_unit_test(mesh_gateway_two_dcs),
        cmocka_unit_test(mesh_gateway_federation),
        cmocka_unit_test(old_envoys_have_no_safe_regex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
