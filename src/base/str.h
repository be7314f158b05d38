/* Byte strings as values: a pointer and a length, not terminated, not owned. The view lives as long
 * as whoever made the bytes says (usually an arena). Text helpers that allocate take an arena.
 *
 * A string with data == NULL is "absent". For the protocol's `str` absent and empty are the same;
 * for `bytes` absent is nil (msgpack c0, JSON null).
 */
#ifndef PRAETOR_BASE_STR_H
#define PRAETOR_BASE_STR_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena;

struct str {
    const char *data;
    size_t len;
};

/* A literal as a value: STR("kvs"). Only for string literals and char arrays. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For static initialisers, where a compound literal is not allowed. */
#define STR_INIT(literal)                                                                          \
    { (literal), sizeof(literal) - 1 }
#define STR_NONE ((struct str){NULL, 0})
/* For printf: printf("%.*s", STR_ARG(s)). printf stops at a NUL byte inside. s is evaluated thrice.
 */
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)((s).len < INT_MAX ? (s).len : INT_MAX), (s).data ? (s).data : ""

/* The view of a terminated string; NULL gives the absent string. */
struct str str_from(const char *terminated);
struct str str_of(const void *data, size_t len);

bool str_eq(struct str a, struct str b);
/* The same in a time that tells nothing but whether the lengths are equal. */
bool str_eq_secret(struct str a, struct str b);
/* As the peer folds case: ASCII only matters for its names; bytes >= 0x80 compare as they are. */
bool str_eq_fold(struct str a, struct str b);
bool str_is(struct str a, const char *terminated);
/* Bytewise, shorter first when one is a prefix of the other: <0, 0, >0. */
int str_compare(struct str a, struct str b);
/* The same after folding case. */
int str_compare_fold(struct str a, struct str b);
bool str_has_prefix(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);
/* Offset of the first occurrence at or after `from`, or -1. */
ptrdiff_t str_find(struct str s, struct str needle, size_t from);
ptrdiff_t str_find_char(struct str s, char c);
/* The part from `from` (clipped) with at most `len` bytes. */
struct str str_sub(struct str s, size_t from, size_t len);
/* Without blanks, tabs, CR and LF at both ends. */
struct str str_trim(struct str s);
/* Cuts off and returns the part before the first `separator`; *rest moves behind it. When there is
 * no separator the whole is returned and *rest becomes absent. */
struct str str_cut(struct str *rest, char separator);

/* Copies, always followed by a NUL byte that is not counted. A copy of an absent string is absent;
 * str_terminated makes "" of it. str_lower lowers ASCII letters only. */
struct str str_copy(struct arena *arena, struct str s);
char *str_terminated(struct arena *arena, struct str s);
struct str str_lower(struct arena *arena, struct str s);
struct str str_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct str str_vformat(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* The Go quoting that the peer's texts use for %q: double quotes, \n \t \" \\ \xNN and \u escapes.
 */
struct str str_quote(struct arena *arena, struct str s);

/* Strict decimal; no blanks, no sign (u64), optional '-' or '+' (i64). False when it is not a
 * number or does not fit; *out is then unchanged. */
bool str_to_u64(struct str s, uint64_t *out);
bool str_to_i64(struct str s, int64_t *out);
/* 1 t T TRUE true True, 0 f F FALSE false False. */
bool str_to_bool(struct str s, bool *out);

/* A stable 64-bit hash (FNV-1a), for tables in memory only: never stored, never on the wire. */
uint64_t str_hash(struct str s);

/* Writes a code point (up to 0x10ffff) in UTF-8; returns its length. */
size_t utf8_encode(char out[4], uint32_t rune);
/* Length of the valid UTF-8 sequence at p (1..4), or 0 when it is not one. *rune may be NULL. */
size_t utf8_decode(const char *p, size_t len, uint32_t *rune);
/* Whether str_quote writes the rune as it is: letters, marks, numbers, punctuation, symbols and the
 * ASCII blank, by the Unicode version of the peer's language. */
bool utf8_is_print(uint32_t rune);

#endif
