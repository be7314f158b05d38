/* A filter for the structure that the first byte picks, run on one that is empty and one that is
 * not; and the same text as a regular expression.
 */
#include "base/mem.h"
#include "codec/json.h"
#include "schema/catalog.h"
#include "schema/filter.h"
#include "schema/regex.h"

static const char element[] =
    "{\"Node\":{\"Node\":\"alpha\",\"Meta\":{\"os\":\"linux\"}},\"Service\":{\"ID\":\"a\",\"Tags\":"
    "[\"v1\"],"
    "\"TaggedAddresses\":{\"lan\":{\"Port\":1}},\"Proxy\":{\"Upstreams\":[{\"LocalBindPort\":1}]}},"
    "\"Checks\":[{\"Status\":\"passing\",\"Output\":\"a\\nb\"}]}";

static void run_filter(struct str text, const struct shape *shape) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    void *empty = arena_zalloc(&arena, 1, shape->size);
    void *full = arena_zalloc(&arena, 1, shape->size);
    ASSERT(json_parse(STR(element), &json, NULL, &arena, &e));
    struct json_options options = {.ignore_unknown = true};
    schema_from_json(&json, shape, full, &options, &arena, &e);
    error_clear(&e);
    struct filter *f = filter_compile(text, shape, &arena, &e);
    ASSERT(f != NULL || e.text.len > 0);
    if (f != NULL) {
        filter_match(f, empty);
        filter_match(f, full);
    }
    filter_free(f);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    static const struct shape *const shapes[] = {&check_service_node_shape, &node_shape,
                                                 &node_service_shape, &health_check_shape};
    struct str text = str_of(data + 1, size - 1);
    if (data[0] % 5 < 4) {
        run_filter(text, shapes[data[0] % 5]);
        return 0;
    }
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str groups[3];
    struct regex *re = regex_compile(text, &e);
    ASSERT(re != NULL || e.text.len > 0);
    if (re != NULL) {
        regex_search(re, STR("alpha 10.0.0.1\nbeta \xff"));
        regex_search(re, text);
        regex_groups(re, STR("tp-web-prod"), groups, 3);
    }
    regex_free(re);
    arena_free(&arena);
    return 0;
}
