/* Errors as values; see the header. Each new text is a new piece of the error's arena: the parts
 * that it was made from are not freed, and errors are rare enough for that not to matter.
 */
#include "base/error.h"

#include "base/mem.h"

static void error_vset(struct error *e, enum error_kind kind, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void error_vset(struct error *e, enum error_kind kind, const char *format, va_list args) {
    ASSERT(e != NULL && e->arena != NULL);
    ASSERT(kind != ERROR_NONE);
    e->text = str_vformat(e->arena, format, args);
    e->kind = kind;
}

bool error_set(struct error *e, enum error_kind kind, const char *format, ...) {
    va_list args;
    va_start(args, format);
    error_vset(e, kind, format, args);
    va_end(args);
    return false;
}

bool error_set_errno(struct error *e, int errno_value, const char *format, ...) {
    va_list args;
    va_start(args, format);
    error_vset(e, ERROR_IO, format, args);
    va_end(args);
    char reason[128];
    /* The GNU strerror_r: thread-safe, and returns the text, which need not be in the buffer. */
    const char *text = strerror_r(errno_value, reason, sizeof reason);
    e->text = str_format(e->arena, STR_FMT ": %s", STR_ARG(e->text), text);
    return false;
}

bool error_prefix(struct error *e, const char *format, ...) {
    ASSERT(error_is_set(e));
    va_list args;
    va_start(args, format);
    struct str prefix = str_vformat(e->arena, format, args);
    va_end(args);
    char *joined = arena_alloc(e->arena, prefix.len + e->text.len + 1);
    memcpy(joined, prefix.data, prefix.len);
    memcpy(joined + prefix.len, e->text.data, e->text.len);
    joined[prefix.len + e->text.len] = '\0';
    e->text = str_of(joined, prefix.len + e->text.len);
    return false;
}

bool error_copy(struct error *e, const struct error *from) {
    ASSERT(e->arena != NULL && error_is_set(from));
    e->kind = from->kind;
    e->text = str_copy(e->arena, from->text);
    return false;
}

void error_clear(struct error *e) {
    e->kind = ERROR_NONE;
    e->text = STR_NONE;
}
