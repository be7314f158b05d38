/* The vectors' files, for the store's tests. */
#ifndef TESTS_UNIT_STORE_FILES_H
#define TESTS_UNIT_STORE_FILES_H

#include "codec/json.h"
#include "fixture.h"

/* A file of tests/vectors, plain or gzip. */
static inline struct str read_file(struct arena *a, const char *path) {
    char command[600];
    snprintf(command, sizeof command, "gzip -dcf '%s/%s'", TEST_VECTORS, path);
    FILE *file = popen(command, "r");
    assert_non_null(file);
    struct buf text = BUF_INIT;
    for (size_t n; (n = fread(buf_reserve(&text, 65536), 1, 65536, file)) > 0;)
        text.len += n;
    assert_int_equal(pclose(file), 0);
    struct str s = str_copy(a, buf_str(&text));
    buf_free(&text);
    return s;
}

static inline struct value read_json(struct fixture *f, const char *path) {
    struct value v;
    assert_true(json_parse(read_file(&f->arena, path), &v, NULL, &f->arena, &f->error));
    return v;
}

#endif
