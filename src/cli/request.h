/* Commands that are a request or two and print what came: opening the client, reading an answer and
 * the error lines around both, in the words that `operator` and `connect` share.
 */
#ifndef PRAETOR_CLI_REQUEST_H
#define PRAETOR_CLI_REQUEST_H

#include "cli/client.h"

/* NULL: "Error initializing client: E" was printed. */
struct client *request_open(struct cli *cli);
/* GET of the path as JSON, with a client of its own; `stale` of the flags counts. False:
 * "FAILURE: E", or why there is no client, was printed. */
bool request_read(struct cli *cli, const char *path, const char *failure, struct value *answer);
/* Rewrites pretty JSON, whose indent is four blanks, with another one ("\t"). */
void json_indent(struct str json, const char *indent, struct buf *out);

#endif
