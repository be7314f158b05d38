/* Input of commands: files, standard input and "@file" arguments, with the peer's error texts.
 */
#ifndef PRAETOR_CLI_INPUT_H
#define PRAETOR_CLI_INPUT_H

#include "base/error.h"
#include "cli/command.h"

#define INPUT_MAX ((size_t)1 << 30) /* bytes of one input */

/* The whole file. "open /nope: no such file or directory", "read /tmp: is a directory". */
bool file_read(const char *path, struct str *out, struct arena *arena, struct error *e);
/* All that is left of a stream. */
bool stream_read(FILE *stream, const char *name, struct str *out, struct arena *arena,
                 struct error *e);
/* "@path" is a file, "-" standard input, anything else stands for itself; "" is empty. A failure is
 * "Failed to read file: …" or "Failed to read stdin: …". */
bool data_load(struct cli *cli, const char *argument, struct str *out, struct error *e);
/* Writes bytes to a new file with exactly that mode, as far as the umask allows; replaces one that
 * is there in one step. */
bool file_write_atomic(const char *path, struct str bytes, unsigned mode, struct arena *arena,
                       struct error *e);
/* The directory and those above it, as far as they are missing. "mkdir /dev/null: not a
 * directory" names the one that failed. */
bool directories_make(const char *path, unsigned mode, struct arena *arena, struct error *e);

#endif
