/* Compression of answers (http-core.md 5.2), whole and piece by piece, with zlib. */
#include <zlib.h>

#include "base/mem.h"
#include "http/room.h"

#define GZIP_WINDOW (15 + 16) /* zlib: a gzip header */
#define GZIP_LEVEL 5          /* most of the gain for half of the work of the default */

struct http_deflate {
    z_stream z;
};

static void run(z_stream *z, struct str in, int mode, struct buf *out) {
    z->next_in = (Bytef *)(uintptr_t)in.data;
    size_t left = in.len;
    int code;
    do {
        size_t step = left < (1u << 30) ? left : (1u << 30); /* zlib counts in 32 bits */
        z->avail_in = (uInt)step;
        left -= step;
        do {
            size_t room = step / 4 + 256;
            z->next_out = (Bytef *)buf_reserve(out, room);
            z->avail_out = (uInt)room;
            code = deflate(z, left > 0 ? Z_NO_FLUSH : mode);
            ASSERT(code != Z_STREAM_ERROR);
            out->len += room - z->avail_out;
        } while (z->avail_out == 0);
    } while (left > 0);
}

void http_gzip(struct str in, struct buf *out) {
    struct http_deflate *d = http_deflate_new();
    http_deflate_add(d, in, true, out);
    http_deflate_free(d);
}

struct http_deflate *http_deflate_new(void) {
    struct http_deflate *d = MEM_NEW(struct http_deflate);
    int code = deflateInit2(&d->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    ASSERT(code == Z_OK);
    return d;
}

void http_deflate_add(struct http_deflate *d, struct str in, bool finish, struct buf *out) {
    run(&d->z, in, finish ? Z_FINISH : Z_SYNC_FLUSH, out);
}

void http_deflate_free(struct http_deflate *d) {
    if (d == NULL)
        return;
    deflateEnd(&d->z);
    mem_free(d);
}
