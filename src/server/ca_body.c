/* See ca_body.h. */
#include "server/ca_body.h"

#include "base/buf.h"
#include "codec/json.h"

void body_put(struct value *map, const char *key, struct value v, struct arena *arena) {
    value_put(map, str_from(key), v, arena);
}

void body_put_text(struct value *map, const char *key, struct str text, struct arena *arena) {
    body_put(map, key, value_from_str(text), arena);
}

void body_put_number(struct value *map, const char *key, int64_t n, struct arena *arena) {
    body_put(map, key, (struct value){.kind = VALUE_INT, .integer = n}, arena);
}

void body_put_bool(struct value *map, const char *key, bool b, struct arena *arena) {
    body_put(map, key, (struct value){.kind = VALUE_BOOL, .boolean = b}, arena);
}

struct str body_write(const struct value *map, struct arena *arena) {
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_value(&w, map);
    json_finish(&w);
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}
