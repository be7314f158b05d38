/* Archives that users send: the bytes as they are, or (first byte odd) packed with gzip first, so
 * that the tar reader gets its share. */
#include <zlib.h>

#include "base/mem.h"
#include "server/archive.h"

static ptrdiff_t source(void *owner, char *out, size_t max, struct error *e) {
    struct str *rest = owner;
    size_t n = rest->len < max ? rest->len : max;
    (void)e;
    if (n > 0)
        memcpy(out, rest->data, n);
    *rest = str_sub(*rest, n, SIZE_MAX);
    return (ptrdiff_t)n;
}

static bool sink(void *owner, struct str bytes, struct error *e) {
    (void)e;
    *(uint64_t *)owner += bytes.len;
    return true;
}

static void pack(struct str bytes, struct buf *out) {
    z_stream z = {0};
    int code = deflateInit2(&z, 0, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    ASSERT(code == Z_OK);
    char *room = buf_reserve(out, bytes.len + 1000);
    z.next_in = (Bytef *)(uintptr_t)bytes.data;
    z.avail_in = (uInt)bytes.len;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)(bytes.len + 1000);
    code = deflate(&z, Z_FINISH);
    ASSERT(code == Z_STREAM_END);
    out->len = z.total_out;
    deflateEnd(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf packed = BUF_INIT;
    struct str bytes = str_of((const char *)data + 1, size - 1);
    if (data[0] & 1) {
        pack(bytes, &packed);
        bytes = buf_str(&packed);
    }
    struct archive_content content;
    uint64_t got = 0;
    if (archive_read(source, &bytes, sink, &got, &content, &arena, &e)) {
        ASSERT(got == content.state_size);
        snapshot_meta_free(&content.meta);
    } else {
        ASSERT(error_is_set(&e));
    }
    buf_free(&packed);
    arena_free(&arena);
    return 0;
}
