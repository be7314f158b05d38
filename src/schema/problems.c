/* See problems.h. */
#include "schema/problems.h"

#include <stdarg.h>

/* Of Meta; lengths in bytes. */
#define META_PAIRS_MAX 64
#define META_KEY_MAX 128
#define META_VALUE_MAX 512

void problem(struct problems *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str line = str_vformat(p->arena, format, args);
    va_end(args);
    buf_add_text(&p->text, "\t* ");
    buf_add_str(&p->text, line);
    buf_add_char(&p->text, '\n');
    p->count++;
}

void meta_problems(struct problems *p, const struct list *meta) {
    if (meta->len > META_PAIRS_MAX)
        problem(p, "Meta exceeds maximum element count %d", META_PAIRS_MAX);
    for (uint32_t i = 0; i < meta->len; i++) {
        const struct str_pair *pair = &LIST_AT(*meta, struct str_pair, i);
        struct str key = str_quote(p->arena, pair->key);
        if (pair->key.len > META_KEY_MAX)
            problem(p, "Meta key " STR_FMT " exceeds maximum length %d", STR_ARG(key),
                    META_KEY_MAX);
        if (pair->value.len > META_VALUE_MAX)
            problem(p, "Meta value for key " STR_FMT " exceeds maximum length %d", STR_ARG(key),
                    META_VALUE_MAX);
    }
}

bool problems_end(struct problems *p, struct error *e) {
    bool ok = p->count == 0;
    if (p->count == 1) {
        error_set(e, ERROR_INTERNAL, "1 error occurred:\n%.*s\n", STR_ARG(buf_str(&p->text)));
    } else if (p->count > 1) {
        error_set(e, ERROR_INTERNAL, "%u errors occurred:\n%.*s\n", p->count,
                  STR_ARG(buf_str(&p->text)));
    }
    buf_free(&p->text);
    return ok;
}
