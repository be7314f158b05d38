/* Errors as values: a kind, which decides what a caller does (and the HTTP status), and a text,
 * which is the peer's own text where a user can see it.
 *
 * A function that can fail returns bool (true: done) or a pointer (NULL: failed) and takes a
 * `struct error *` last. It sets the error exactly when it fails. The text lives in the error's
 * arena; whoever declares the error chooses it: `struct error err = ERROR_IN(&arena);`
 */
#ifndef PRAETOR_BASE_ERROR_H
#define PRAETOR_BASE_ERROR_H

#include "base/arena.h"
#include "base/str.h"

enum error_kind {
    ERROR_NONE = 0,
    ERROR_INTERNAL,    /* anything else: HTTP 500 with the text, as most of the peer's validation */
    ERROR_BAD_REQUEST, /* HTTP 400, text as given (prefix "Bad request: " included by the caller) */
    ERROR_NOT_FOUND,   /* HTTP 404 */
    ERROR_DENIED,      /* HTTP 403: Permission denied, ACL not found */
    ERROR_TOO_LARGE,   /* HTTP 413 */
    ERROR_RATE_LIMIT,  /* HTTP 429, empty body */
    ERROR_NO_LEADER,   /* HTTP 500 "No cluster leader"; callers may retry */
    ERROR_IO,          /* the operating system or the network said no */
};

struct error {
    struct arena *arena; /* where texts go; must be set before use */
    enum error_kind kind;
    struct str text;
};

#define ERROR_IN(arena_pointer) ((struct error){(arena_pointer), ERROR_NONE, {NULL, 0}})

/* Sets the error and returns false, so that `return error_set(...)` reads well. */
bool error_set(struct error *e, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Sets ERROR_IO, with ": <strerror(errno_value)>" behind the text. */
bool error_set_errno(struct error *e, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts a text in front of what is there. Returns false. */
bool error_prefix(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes over kind and text of another error (text copied into e's arena). Returns false. */
bool error_copy(struct error *e, const struct error *from);
void error_clear(struct error *e);
static inline bool error_is_set(const struct error *e) {
    return e->kind != ERROR_NONE;
}

#endif
