/* A gzip stream as bytes, with the peer's texts for what is wrong with it. For archive.c.
 */
#ifndef PRAETOR_CLI_GUNZIP_H
#define PRAETOR_CLI_GUNZIP_H

#include <stdio.h>
#include <zlib.h>

#include "base/error.h"

struct gunzip {
    FILE *file;
    const char *name;
    z_stream z;
    bool open;
    bool in_member; /* between a header and its trailer */
    bool ended;
    bool failed;
    struct error *e; /* where the reason goes, once */
    unsigned char in[65536];
};

/* Reads the first header. False: E of "failed to decompress snapshot: E". */
bool gunzip_open(struct gunzip *g, FILE *file, const char *name, struct error *e);
/* Up to `size` bytes; 0 at the end, -1 when the stream is broken. */
long gunzip_read(struct gunzip *g, void *to, size_t size);
void gunzip_close(struct gunzip *g);

#endif
