/* Whole files for the tests of schema/: their vectors, plain or gzip'd. Included after cmocka.h. */
#ifndef TESTS_UNIT_SCHEMA_FILE_H
#define TESTS_UNIT_SCHEMA_FILE_H

#include <zlib.h>

#include "base/arena.h"
#include "base/buf.h"

/* Plain or gzip'd: zlib reads both. */
static struct str read_file(struct arena *arena, const char *path) {
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    struct buf b = BUF_INIT;
    int n;
    do {
        char *to = buf_reserve(&b, 65536);
        n = gzread(file, to, 65536);
        assert_true(n >= 0);
        b.len += (size_t)n;
    } while (n > 0);
    gzclose(file);
    struct str text = str_copy(arena, buf_str(&b));
    buf_free(&b);
    return text;
}

#endif
