/* An agent's answers of any bytes, as `watch` and others print them again: the first byte chooses
 * what is expected. No crash, no leak, and what comes out is JSON of the same number of elements.
 */
#include <stdint.h>

#include "base/mem.h"
#include "codec/json.h"
#include "schema/client_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct shape_field *const shapes[] = {shape_kv,           shape_node,
                                                       shape_health_check, shape_service_entry,
                                                       shape_event,        shape_intention};
    if (size == 0)
        return 0;
    const struct shape_field *shape = shapes[data[0] % COUNT_OF(shapes)];
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value in, again;
    struct buf text = BUF_INIT;
    struct json_writer w;
    if (json_parse(str_of(data + 1, size - 1), &in, NULL, &arena, &e)) {
        json_begin(&w, &text, data[0] > 127);
        shape_write_list(&w, &in, shape);
        ASSERT(json_parse_whole(buf_str(&text), &again, &arena, &e));
        ASSERT(in.kind != VALUE_LIST || again.list.len == in.list.len);
    }
    buf_free(&text);
    arena_free(&arena);
    return 0;
}
