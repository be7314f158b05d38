/* Reading tests/vectors, and what is in it: for all tests. Included after cmocka.h; a fuzz target,
 * which has none, defines TESTS_WITHOUT_CMOCKA.
 */
#ifndef TESTS_UNIT_VECTORS_H
#define TESTS_UNIT_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#ifdef TESTS_WITHOUT_CMOCKA
#define assert_true(x) ASSERT(x)
#define assert_false(x) ASSERT(!(x))
#define assert_null(x) ASSERT((x) == NULL)
#define assert_non_null(x) ASSERT((x) != NULL)
#define assert_int_equal(x, y) ASSERT((x) == (y))
#define assert_ptr_equal(x, y) ASSERT((x) == (y))
#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), abort())
#else
#include <cmocka.h>
#endif

#include "codec/json.h"

#ifdef TEST_VECTORS
#include <zlib.h>

/* A file of tests/vectors as it is. name: "fsm/full.snap". */
static inline struct str vectors_bytes(struct arena *arena, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", TEST_VECTORS, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot open %s", path);
        return STR_NONE;
    }
    struct buf all = BUF_INIT;
    for (size_t n; (n = fread(buf_reserve(&all, 65536), 1, 65536, file)) > 0;)
        all.len += n;
    fclose(file);
    struct str bytes = str_copy(arena, buf_str(&all));
    buf_free(&all);
    return bytes;
}

/* The same of one that is gzip'd, unpacked. */
static inline struct str vectors_unpacked(struct arena *arena, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", TEST_VECTORS, name);
    gzFile file = gzopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot open %s", path);
        return STR_NONE;
    }
    struct buf all = BUF_INIT;
    int n;
    while ((n = gzread(file, buf_reserve(&all, 65536), 65536)) > 0)
        all.len += (size_t)n;
    assert_int_equal(n, 0);
    gzclose(file);
    struct str bytes = str_copy(arena, buf_str(&all));
    buf_free(&all);
    return bytes;
}

/* One that holds JSON, plain or gzip'd. */
static inline struct value *vectors_json(struct arena *arena, const char *name) {
    struct value *v = ARENA_NEW(arena, struct value);
    struct error e = ERROR_IN(arena);
    if (!json_parse_whole(vectors_unpacked(arena, name), v, arena, &e))
        fail_msg("%s: " STR_FMT, name, STR_ARG(e.text));
    return v;
}
#endif

/* STR_NONE where there is no such string. */
static inline struct str value_text(const struct value *v, const char *key) {
    const struct value *found = value_get(v, key);
    return found != NULL && found->kind == VALUE_STRING ? found->string : STR_NONE;
}

static inline int hex_digit(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static inline struct str hex_bytes(struct arena *arena, struct str hex) {
    char *out = arena_alloc(arena, hex.len / 2 + 1);
    for (size_t i = 0; i < hex.len / 2; i++)
        out[i] = (char)(hex_digit(hex.data[2 * i]) * 16 + hex_digit(hex.data[2 * i + 1]));
    return str_of(out, hex.len / 2);
}

/* STR_NONE where there is no such string. */
static inline struct str value_hex(const struct value *v, const char *key, struct arena *arena) {
    struct str text = value_text(v, key);
    return text.data == NULL ? STR_NONE : hex_bytes(arena, text);
}

#endif
