/* A request body for the structure that the first byte picks: no crash, and a structure that was
 * read survives being encoded, decoded and printed.
 */
#include "base/mem.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "schema/entries.h"
#include "schema/requests_connect.h"
#include "schema/txn_body.h"

static const struct shape *const shapes[] = {
    &register_request_shape,
    &service_definition_shape,
    &check_definition_shape,
    &session_shape,
    &prepared_query_shape,
    &coordinate_update_request_shape,
    &autopilot_config_shape,
    &deregister_request_shape,
    &intention_shape,
    &acl_token_shape,
    &acl_auth_method_shape,
    &service_router_shape,
    &connect_authorize_request_shape,
};

static struct buf print(const struct shape *shape, const void *object) {
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    schema_write_json(&w, shape, object);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    if (json_parse(str_of(data + 1, size - 1), &json, NULL, &arena, &e)) {
        size_t pick = data[0] % (COUNT_OF(shapes) + 1);
        struct json_options options = {.ignore_unknown = data[0] >= 128, .go_type = "x.Y"};
        if (pick == COUNT_OF(shapes)) {
            struct list ops = LIST_NIL;
            schema_from_json_type(&json, &api_txn_ops_type, &ops, &options, &arena, &e);
            arena_free(&arena);
            return 0;
        }
        const struct shape *shape = shapes[pick];
        void *object = arena_zalloc(&arena, 1, shape->size);
        bool ok = schema_from_json(&json, shape, object, &options, &arena, &e);
        ASSERT(ok || e.text.len > 0);
        if (ok) {
            struct buf out = print(shape, object), wire = BUF_INIT;
            schema_encode(&wire, shape, object);
            void *again = arena_zalloc(&arena, 1, shape->size);
            if (schema_decode_bytes(buf_str(&wire), shape, again, &arena, &e)) {
                struct buf second = BUF_INIT;
                schema_encode(&second, shape, again);
                ASSERT(str_eq(buf_str(&wire), buf_str(&second)));
                buf_free(&second);
            } else {
                ASSERT(str_has_prefix(e.text, STR("nested deeper")) ||
                       str_has_prefix(e.text, STR("message needs")));
            }
            buf_free(&out);
            buf_free(&wire);
        }
    }
    arena_free(&arena);
    return 0;
}
