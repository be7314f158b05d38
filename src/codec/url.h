/* URLs as the peer reads and writes them: percent-decoding of paths and queries, query strings with
 * both separators, clean paths. Pure.
 */
#ifndef PRAETOR_CODEC_URL_H
#define PRAETOR_CODEC_URL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* A request target: "/path?query", "http://host/path?query" or "*". path is still encoded; query is
 * absent without "?". False when it is neither. */
bool url_split_target(struct str target, struct str *path, struct str *query);

/* Decodes %XX; with plus, "+" is a blank (queries). The result is a view of s when there is nothing
 * to decode, otherwise in the arena. False for a bad escape. */
bool url_decode(struct str s, bool plus, struct arena *arena, struct str *out);

struct url_param {
    struct str name, value; /* decoded */
};
/* "a=1&b;c=%20": separated by & or ;. Empty parts are skipped. False when something does not
 * decode. *params is in the arena (or NULL), its strings are views of `query` or in the arena. */
bool url_parse_query(struct str query, struct arena *arena, struct url_param **params,
                     uint32_t *count);
/* name=value pairs sorted by name (stable), joined with &: letters, digits, "-_.~" stand for
 * themselves, the blank is "+". */
struct str url_encode_query(struct arena *arena, const struct url_param *params, uint32_t count);
void url_escape_query(struct buf *out, struct str s);
/* For a path in a Location header: what may stand in a path stays, the rest is %XX. */
void url_escape_path(struct buf *out, struct str s);

/* Without "//", "." and ".." parts, rooted; a final "/" is kept. The same view when it is clean. */
struct str url_clean_path(struct str path, struct arena *arena);

#endif
