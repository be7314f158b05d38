/* The agent's own files, as any bytes: refused, or records that are the same when they are written
 * and read again.
 */
#include <stdint.h>

#include "agent/local_record.h"
#include "base/mem.h"
#include "codec/json.h"

static struct str written(const struct shape *shape, const void *record, struct arena *arena) {
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    schema_write_json(&w, shape, record);
    json_finish(&w);
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

static void try_shape(const struct shape *shape, const struct value *json, struct arena *arena) {
    struct json_options lenient = {.ignore_unknown = true};
    struct error e = ERROR_IN(arena);
    void *record = arena_zalloc(arena, 1, shape->size),
         *again = arena_zalloc(arena, 1, shape->size);
    if (!schema_from_json(json, shape, record, &lenient, arena, &e))
        return;
    struct value value;
    struct str text = written(shape, record, arena);
    ASSERT(json_parse_whole(text, &value, arena, &e));
    ASSERT(schema_from_json(&value, shape, again, &lenient, arena, &e));
    ASSERT(str_eq(text, written(shape, again, arena)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    if (json_parse_whole(str_of(data, size), &json, &arena, &e)) {
        try_shape(&service_record_shape, &json, &arena);
        try_shape(&check_record_shape, &json, &arena);
        try_shape(&state_record_shape, &json, &arena);
        try_shape(&central_record_shape, &json, &arena);
    }
    arena_free(&arena);
    return 0;
}
