/* HCL of any bytes: no crash, no leak, and what is read is a map whose places lie inside of the
 * text. */
#include <stdint.h>

#include "base/mem.h"
#include "codec/hcl.h"

static void walk(const struct value *v, size_t size) {
    ASSERT(v->position <= size);
    if (v->kind == VALUE_LIST)
        for (size_t i = 0; i < v->list.len; i++)
            walk(&v->list.items[i], size);
    if (v->kind == VALUE_MAP)
        for (size_t i = 0; i < v->map.len; i++)
            walk(&v->map.pairs[i].value, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v = {0};
    if (hcl_parse(str_of(data, size), &v, &arena, &e)) {
        ASSERT(v.kind == VALUE_MAP);
        ASSERT(!error_is_set(&e));
        walk(&v, size);
    } else {
        ASSERT(e.text.len > 0);
    }
    arena_free(&arena);
    return 0;
}
