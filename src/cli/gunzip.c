/* A gzip stream as bytes: see gunzip.h. */
#include "cli/gunzip.h"

#include <errno.h>
#include <string.h>

#include "cli/client.h"

#define HEADER_BYTES 10 /* of gzip, without the optional parts */

static long fail(struct gunzip *g, const char *text) {
    g->failed = true;
    error_set(g->e, ERROR_BAD_REQUEST, "%s", text);
    return -1;
}

/* More input; false at the end of the file or when it cannot be read. */
static bool refill(struct gunzip *g) {
    if (g->z.avail_in > 0)
        return true;
    size_t got = fread(g->in, 1, sizeof g->in, g->file);
    g->z.next_in = g->in;
    g->z.avail_in = (unsigned)got;
    if (got == 0 && ferror(g->file)) {
        g->failed = true;
        error_set(g->e, ERROR_IO, "read %s: %s", g->name, errno_text(errno));
    }
    return got > 0;
}

bool gunzip_open(struct gunzip *g, FILE *file, const char *name, struct error *e) {
    static const unsigned char magic[] = {0x1f, 0x8b, 8};
    memset(g, 0, sizeof *g);
    g->file = file;
    g->name = name;
    g->e = e;
    if (!refill(g)) {
        if (!g->failed)
            fail(g, "EOF");
        return false;
    }
    if (g->z.avail_in < HEADER_BYTES) {
        fail(g, "unexpected EOF");
        return false;
    }
    if (memcmp(g->in, magic, sizeof magic) != 0) {
        fail(g, "gzip: invalid header");
        return false;
    }
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) {
        fail(g, "zlib cannot start");
        return false;
    }
    g->open = g->in_member = true;
    return true;
}

static long broken(struct gunzip *g) {
    const char *text = g->z.msg != NULL ? g->z.msg : "";
    if (strstr(text, "data check") != NULL || strstr(text, "length check") != NULL)
        return fail(g, "gzip: invalid checksum");
    if (strstr(text, "header") != NULL)
        return fail(g, "gzip: invalid header");
    g->failed = true;
    unsigned long offset = g->z.total_in > HEADER_BYTES ? g->z.total_in - HEADER_BYTES : 0;
    error_set(g->e, ERROR_BAD_REQUEST, "flate: corrupt input before offset %lu", offset);
    return -1;
}

/* Behind a member may come another one, or nothing. */
static bool next_member(struct gunzip *g) {
    if (!refill(g)) {
        g->ended = true;
        return false;
    }
    inflateReset(&g->z);
    g->in_member = true;
    return true;
}

long gunzip_read(struct gunzip *g, void *to, size_t size) {
    g->z.next_out = to;
    g->z.avail_out = (unsigned)size;
    while (g->z.avail_out == (unsigned)size) {
        if (g->failed)
            return -1;
        if (g->ended || (!g->in_member && !next_member(g)))
            return g->failed ? -1 : 0;
        bool input = refill(g);
        if (g->failed)
            return -1;
        int result = inflate(&g->z, Z_NO_FLUSH);
        if (result == Z_STREAM_END)
            g->in_member = false;
        else if (result == Z_BUF_ERROR && !input)
            return fail(g, "unexpected EOF");
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return broken(g);
    }
    return (long)(size - g->z.avail_out);
}

void gunzip_close(struct gunzip *g) {
    if (g->open)
        inflateEnd(&g->z);
    g->open = false;
}
