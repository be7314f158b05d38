/* A message for the structure that the first byte picks: no crash, memory in proportion, and what
 * was read encodes, copies and compares as itself.
 */
#include "base/mem.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "schema/entries.h"

static const struct shape *const shapes[] = {
    &register_request_shape,
    &txn_request_shape,
    &service_request_shape,
    &prepared_query_shape,
    &ca_request_shape,
    &acl_token_batch_set_request_shape,
    &federation_state_request_shape,
    &indexed_node_dump_shape,
    &kvs_request_shape,
    &coordinate_update_request_shape,
    &service_router_shape,
    &service_resolver_shape,
};

static void check_config_entry(struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct config_entry_request request;
    struct msgpack_reader in = msgpack_read(bytes);
    if (config_entry_request_decode(&in, &request, &arena, &e)) {
        struct buf out = BUF_INIT;
        config_entry_request_encode(&out, &request);
        in = msgpack_read(buf_str(&out));
        ASSERT(config_entry_request_decode(&in, &request, &arena, &e));
        buf_free(&out);
    } else {
        ASSERT(e.text.len > 0);
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    size_t pick = data[0] % (COUNT_OF(shapes) + 1);
    struct str bytes = str_of(data + 1, size - 1);
    if (pick == COUNT_OF(shapes)) {
        check_config_entry(bytes);
        return 0;
    }
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    const struct shape *shape = shapes[pick];
    void *object = arena_zalloc(&arena, 1, shape->size);
    void *copy = arena_zalloc(&arena, 1, shape->size);
    bool ok = schema_decode_bytes(bytes, shape, object, &arena, &e);
    ASSERT(arena.total < ((size_t)2 << 20) + 400 * size);
    ASSERT(ok || e.text.len > 0);
    if (ok) {
        struct buf first = BUF_INIT, second = BUF_INIT, text = BUF_INIT;
        struct json_writer w;
        schema_encode(&first, shape, object);
        schema_copy(shape, copy, object, &arena);
        schema_encode(&second, shape, copy);
        ASSERT(str_eq(buf_str(&first), buf_str(&second)));
        json_begin(&w, &text, true);
        schema_write_json(&w, shape, copy);
        schema_equal(shape, object, copy); /* not always true: NaN */
        buf_free(&first);
        buf_free(&second);
        buf_free(&text);
    }
    arena_free(&arena);
    return 0;
}
