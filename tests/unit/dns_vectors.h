/* Reading tests/vectors/dns: for the tests of codec/ and dns/. */
#ifndef TESTS_DNS_VECTORS_H
#define TESTS_DNS_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#ifdef TESTS_WITHOUT_CMOCKA /* fuzz targets */
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

static inline struct str file_read(struct arena *arena, const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("cannot open %s", path);
        return STR_NONE;
    }
    struct buf b = BUF_INIT;
    size_t n;
    do {
        n = fread(buf_reserve(&b, 65536), 1, 65536, f);
        b.len += n;
    } while (n > 0);
    fclose(f);
    struct str s = str_copy(arena, buf_str(&b));
    buf_free(&b);
    return s;
}

#ifdef TEST_VECTORS
static inline struct value *vectors_read(struct arena *arena, const char *name) {
    char path[512];
    snprintf(path, sizeof(path), "%s/dns/%s", TEST_VECTORS, name);
    struct value *v = ARENA_NEW(arena, struct value);
    struct error e = ERROR_IN(arena);
    if (!json_parse_whole(file_read(arena, path), v, arena, &e)) {
        fail_msg("%s: %.*s", name, STR_ARG(e.text));
    }
    return v;
}
#endif

static inline struct str value_text(const struct value *v, const char *key) {
    const struct value *found = value_get(v, key);
    return found != NULL && found->kind == VALUE_STRING ? found->string : STR_NONE;
}

static inline int hex_digit(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static inline struct str value_hex(const struct value *v, const char *key, struct arena *arena) {
    struct str text = value_text(v, key);
    if (text.data == NULL) {
        return STR_NONE;
    }
    char *out = arena_alloc(arena, text.len / 2 + 1);
    for (size_t i = 0; i < text.len / 2; i++) {
        out[i] = (char)(hex_digit(text.data[2 * i]) * 16 + hex_digit(text.data[2 * i + 1]));
    }
    return (struct str){out, text.len / 2};
}

static inline bool case_varies(const struct value *c, const char *word) {
    const struct value *list = value_get(c, "varies");
    for (size_t i = 0; list != NULL && i < list->list.len; i++) {
        if (str_find(list->list.items[i].string, str_from(word), 0) >= 0) {
            return true;
        }
    }
    return false;
}

#endif
