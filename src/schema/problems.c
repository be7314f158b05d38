/* See problems.h. */
#include "schema/problems.h"

#include <stdarg.h>

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
