/* A directory as a gzipped tar, for `debug`. Reading archives is archive.h's.
 */
#ifndef PRAETOR_CLI_TARGZ_H
#define PRAETOR_CLI_TARGZ_H

#include "base/error.h"

/* Writes the directory `path` with all that is in it, under its last name, to `archive`, which is
 * replaced when it is complete; readable by its owner only. Files and directories alone: nothing
 * else is followed or kept. */
bool targz_write(const char *path, const char *archive, struct arena *arena, struct error *e);
/* Removes a directory with what is in it. */
bool directory_remove(const char *path, struct error *e);

#endif
