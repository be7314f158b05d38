/* Snapshot files of any bytes, gzipped or (behind a first byte of 0) as the tar inside: no crash,
 * no leak, and a refusal has a text. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/archive.h"

static struct buf gzip(const uint8_t *data, size_t size) {
    struct buf out = BUF_INIT;
    z_stream z = {0};
    deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    size_t bound = deflateBound(&z, size) + 64;
    z.next_in = (void *)(uintptr_t)data;
    z.avail_in = (unsigned)size;
    z.next_out = (void *)buf_reserve(&out, bound);
    z.avail_out = (unsigned)bound;
    ASSERT(deflate(&z, Z_FINISH) == Z_STREAM_END);
    out.len = z.total_out;
    deflateEnd(&z);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct snapshot_meta meta;
    struct buf bytes = BUF_INIT;
    if (data[0] == 0)
        bytes = gzip(data + 1, size - 1);
    else
        buf_add(&bytes, data, size);
    FILE *file = fmemopen(bytes.data, bytes.len, "r");
    bool ok = archive_verify(file, "f", &meta, &arena, &e);
    ASSERT(ok != (e.text.len > 0));
    fclose(file);
    buf_free(&bytes);
    arena_free(&arena);
    return 0;
}
