/* Small files of settings: certificates, keys, tokens, as whoever makes connections reads them.
 * Blocks: not on a loop that serves others.
 */
#ifndef PRAETOR_NET_FILES_H
#define PRAETOR_NET_FILES_H

#include "base/error.h"
#include "base/str.h"

#define FILE_TEXT_MAX ((size_t)1 << 20)
#define FILES_BELOW_MAX 4096

/* A small file's content: "open /x: no such file or directory". */
bool file_text(struct str path, struct str *out, struct arena *arena, struct error *e);
/* The names of all files below a folder, in lexical order; more than FILES_BELOW_MAX are left out.
 * "lstat /x: no such file or directory". */
bool files_below(struct str folder, struct str **names, size_t *count, struct arena *arena,
                 struct error *e);

#endif
