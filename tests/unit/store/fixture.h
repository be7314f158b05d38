/* What the store's tests share: a store in memory, entries applied one a batch, reads in one line.
 */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/msgpack.h"
#include "schema/entries.h"
#include "store/catalog.h"
#include "store/coordinate.h"
#include "store/kv.h"
#include "store/session.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "store/txn.h"
#include "unit/store/verify.h"

struct fixture {
    struct store *store;
    struct arena arena;
    struct error error;
    uint64_t index; /* of the last entry */
    uint64_t term;
    struct store_result result;    /* of the last entry */
    struct watch_touched *touched; /* by the last entry */
    struct store_read read;
};

static inline struct fixture *fixture_open(const char *directory) {
    struct fixture *f = MEM_NEW(struct fixture);
    f->error = ERROR_IN(&f->arena);
    struct store_options options = {
        .memory_only = directory == NULL, .directory = directory, .reader_threads = 4};
    f->store = store_open(&options, &f->error);
    if (f->store == NULL)
        print_error("%.*s\n", STR_ARG(f->error.text));
    assert_non_null(f->store);
    f->index = store_applied_index(f->store);
    f->term = 1;
    return f;
}

static inline void fixture_close(struct fixture *f) {
    store_read_end(&f->read); /* left open by an assertion that failed */
    if (store_read_begin(f->store, &f->read, &f->arena, NULL, &f->error)) {
        verify_store(&f->read); /* after every test */
        store_read_end(&f->read);
    }
    watch_touched_release(f->touched);
    store_close(f->store);
    arena_free(&f->arena);
    mem_free(f);
}

static inline int setup(void **state) {
    *state = fixture_open(NULL);
    return 0;
}

static inline int teardown(void **state) {
    fixture_close(*state);
    return 0;
}

/* Applies the bytes of an entry at the given index; the result is valid until the next entry. */
static inline struct store_result *apply_at(struct fixture *f, uint64_t index, struct str data,
                                            struct str extensions) {
    watch_touched_release(f->touched);
    f->touched = NULL;
    struct store_batch *b = store_batch_begin(f->store, &f->error);
    assert_non_null(b);
    f->index = index;
    bool ok = store_apply(b, index, f->term, data, extensions, &f->result, &f->error);
    if (!ok)
        print_error("entry %llu: %.*s\n", (unsigned long long)index, STR_ARG(f->error.text));
    assert_true(ok);
    ok = store_batch_commit(b, &f->touched, &f->error);
    if (!ok)
        print_error("commit: %.*s\n", STR_ARG(f->error.text));
    assert_true(ok);
    return &f->result;
}

/* The next entry. */
static inline struct store_result *apply(struct fixture *f, enum entry_type type,
                                         const struct shape *shape, const void *request) {
    struct buf data = BUF_INIT;
    buf_add_char(&data, (char)type);
    schema_encode(&data, shape, request);
    struct store_result *result = apply_at(f, f->index + 1, buf_str(&data), STR_NONE);
    buf_free(&data);
    return result;
}

static inline struct store_read *reading(struct fixture *f, struct watch_set *watch) {
    assert_true(store_read_begin(f->store, &f->read, &f->arena, watch, &f->error));
    return &f->read;
}
/* WITH_READ(f, r) { … } */
#define WITH_READ(f, r)                                                                            \
    for (struct store_read *r = reading((f), NULL); r != NULL; store_read_end(r), r = NULL)

static inline struct str S(const char *s) {
    return str_from(s);
}

#define assert_str(s, text)                                                                        \
    do {                                                                                           \
        struct str s_ = (s);                                                                       \
        struct str t_ = str_from(text);                                                            \
        if (!str_eq(s_, t_))                                                                       \
            print_error("'%.*s' != '%s'\n", STR_ARG(s_), t_.data);                                 \
        assert_true(str_eq(s_, t_));                                                               \
    } while (0)
#define assert_ok(result) assert_not_refused(result)
static inline void
assert_not_refused(const struct store_result *r) {
    if (r->kind == STORE_RESULT_ERROR)
        print_error("refused: %.*s\n", STR_ARG(r->error.text));
    assert_int_not_equal(r->kind, STORE_RESULT_ERROR);
}
static inline void assert_refused(const struct store_result *r, const char *text) {
    assert_int_equal(r->kind, STORE_RESULT_ERROR);
    assert_str(r->error.text, text);
}
static inline void assert_bool(const struct store_result *r, bool value) {
    assert_not_refused(r);
    assert_int_equal(r->kind, STORE_RESULT_BOOL);
    assert_int_equal(r->boolean, value);
}

static inline uint64_t index_of(struct fixture *f, const char *name) {
    uint64_t index = 0;
    WITH_READ(f, r) index = store_index(r, S(name));
    return index;
}

static inline bool was_touched(struct fixture *f, enum watch_table table, const char *name) {
    struct watch_key key;
    for (size_t i = 0; f->touched != NULL && watch_touched_at(f->touched, i, &key); i++) {
        if (key.table == table && !key.prefix && str_is(key.name, name))
            return true;
    }
    return false;
}

/* ---- entries in one line ---- */

static inline struct store_result *kv_op(struct fixture *f, const char *op, struct dir_entry d) {
    struct kvs_request r = {.datacenter = S("dc1"), .dir_ent = d, .op = S(op)};
    return apply(f, ENTRY_KVS, &kvs_request_shape, &r);
}
static inline struct store_result *kv_set(struct fixture *f, const char *key, const char *value) {
    return kv_op(f, "set", (struct dir_entry){.key = S(key), .value = S(value)});
}
static inline struct store_result *kv_del(struct fixture *f, const char *key) {
    return kv_op(f, "delete", (struct dir_entry){.key = S(key)});
}

static inline struct store_result *node_put(struct fixture *f, const char *name, const char *id,
                                            const char *address) {
    struct register_request r = {
        .address = S(address), .node = S(name), .id = S(id), .datacenter = S("dc1")};
    return apply(f, ENTRY_REGISTER, &register_request_shape, &r);
}
static inline struct store_result *service_put(struct fixture *f, const char *node,
                                               struct node_service s) {
    struct register_request r = {.node = S(node),
                                 .address = S("10.0.0.1"),
                                 .datacenter = S("dc1"),
                                 .service = &s,
                                 .skip_node_update = true};
    return apply(f, ENTRY_REGISTER, &register_request_shape, &r);
}
static inline struct store_result *check_put(struct fixture *f, const char *node, const char *id,
                                             const char *service_id, const char *status) {
    struct health_check c = {.node = S(node),
                             .check_id = S(id),
                             .name = S(id),
                             .service_id = S(service_id),
                             .status = S(status)};
    struct register_request r = {.node = S(node),
                                 .address = S("10.0.0.1"),
                                 .datacenter = S("dc1"),
                                 .check = &c,
                                 .skip_node_update = true};
    return apply(f, ENTRY_REGISTER, &register_request_shape, &r);
}
static inline struct store_result *deregister(struct fixture *f, const char *node,
                                              const char *service, const char *check) {
    struct deregister_request r = {.node = S(node), .service_id = S(service), .check_id = S(check)};
    return apply(f, ENTRY_DEREGISTER, &deregister_request_shape, &r);
}

static inline struct store_result *session_op(struct fixture *f, const char *op, struct session s) {
    struct session_request r = {.op = S(op), .session = s};
    return apply(f, ENTRY_SESSION, &session_request_shape, &r);
}

#endif
