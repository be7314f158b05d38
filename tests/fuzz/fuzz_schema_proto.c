/* AutoConfig's messages of any bytes: no crash, no leak, an error says something. What was
 * understood is written and understood again, with the same bytes; so it is by way of JSON.
 */
#include <stdint.h>

#include "base/mem.h"
#include "schema/auto_config.h"

static void again(const struct proto_message *m, void *object, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct buf first = BUF_INIT, second = BUF_INIT;
    void *copy = arena_zalloc(arena, 1, m->size);
    proto_encode(&first, m, object);
    bool ok = proto_decode(buf_str(&first), m, copy, arena, &e);
    ASSERT(ok);
    proto_encode(&second, m, copy);
    ASSERT(str_eq(buf_str(&first), buf_str(&second)));
    buf_free(&first);
    buf_free(&second);
}

static void try(const struct proto_message *m, struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    void *object = arena_zalloc(&arena, 1, m->size);
    if (proto_decode(bytes, m, object, &arena, &e)) {
        struct buf json = BUF_INIT;
        struct json_writer w;
        again(m, object, &arena);
        json_begin(&w, &json, false);
        proto_write_json(&w, m, object);
        json_finish(&w);
        buf_free(&json);
    } else {
        ASSERT(e.text.len > 0);
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str bytes = str_of(data, size);
    try(&auto_config_request_proto, bytes);
    try(&auto_config_response_proto, bytes);
    return 0;
}
