/* Any text: no crash, and what is read is written to a text that reads the same. */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value first, whole, again;
    struct str text = str_of(data, size);
    size_t end = 0;
    bool ok = json_parse(text, &first, &end, &arena, &e);
    ASSERT(ok || e.text.len > 0);
    ASSERT(!ok || end <= size);
    error_clear(&e);
    bool all = json_parse_whole(text, &whole, &arena, &e);
    ASSERT(ok || !all);
    if (ok) {
        struct buf out = BUF_INIT;
        struct json_writer w;
        json_begin(&w, &out, size % 2 == 0);
        json_value(&w, &first);
        json_finish(&w);
        error_clear(&e);
        bool back = json_parse_whole(buf_str(&out), &again, &arena, &e);
        ASSERT(back);
        struct buf second = BUF_INIT;
        json_begin(&w, &second, size % 2 == 0);
        json_value(&w, &again);
        json_finish(&w);
        ASSERT(str_eq(buf_str(&out), buf_str(&second)));
        buf_free(&out);
        buf_free(&second);
    }
    arena_free(&arena);
    return 0;
}
