/* URLs that agents ask (HTTP checks, key sets) as the peer's language reads them: what it refuses,
 * how it escapes, how it shows them. Pure functions over text.
 */
#ifndef PRAETOR_CODEC_URL_PARTS_H
#define PRAETOR_CODEC_URL_PARTS_H

#include "base/error.h"

/* As it is sent: scheme in lower case, what may not stand in a path escaped. Terminated. The error
 * is the peer's ("parse \"…\": first path segment in URL cannot contain colon"). */
bool url_normal(struct str url, struct str *out, struct arena *arena, struct error *e);
/* Whether a URL, or a reference that is relative to one, can be read; the same errors. */
bool url_valid(struct str reference, struct arena *arena, struct error *e);
/* As error texts show it: without the password. */
struct str url_shown(struct str url, struct arena *arena);
/* Views into a URL; empty when there is none. The host without brackets. */
struct str url_scheme(struct str url);
struct str url_authority(struct str url); /* without user */
struct str url_host(struct str url);
struct str url_port(struct str url);
struct str url_path(struct str url); /* as it is written; of "scheme:text" there is none */
/* Without user and password. */
struct str url_bare(struct str url, struct arena *arena);
/* A redirect's location by the URL that it came from (RFC 3986 5.2). */
struct str url_resolve(struct arena *arena, struct str base, struct str to);

#endif
