/* What the tests of configuration entries share: JSON into structures, entries applied. */
#ifndef TESTS_UNIT_STORE_ENTRIES_H
#define TESTS_UNIT_STORE_ENTRIES_H

#include "fixture.h"
#include "store/config_entry.h"
#include "unit/vectors.h"

/* ---- JSON ---- */

static inline void from_json(struct fixture *f, const struct value *json, const struct shape *shape,
                             void *object) {
    struct json_options options = {.ignore_unknown = true};
    bool ok = schema_from_json(json, shape, object, &options, &f->arena, &f->error);
    if (!ok)
        print_error("%.*s\n", STR_ARG(f->error.text));
    assert_true(ok);
}

/* ---- entries ---- */

static inline struct store_result *entry_at(struct fixture *f, uint64_t index, const char *op,
                                            struct config_entry *entry) {
    struct config_entry_request request = {.kind = entry->kind, .entry = entry, .op = S(op)};
    struct buf data = BUF_INIT;
    buf_add_char(&data, ENTRY_CONFIG_ENTRY);
    config_entry_request_encode(&data, &request);
    struct store_result *result = apply_at(f, index, buf_str(&data), STR_NONE);
    buf_free(&data);
    return result;
}

static inline struct store_result *entry_op(struct fixture *f, const char *op, void *entry) {
    return entry_at(f, f->index + 1, op, entry);
}

#endif
