/* URLs of HTTP checks as the peer's language reads them: what it refuses, how it escapes, how it
 * shows them. Pure functions over text.
 */
#ifndef PRAETOR_AGENT_CHECK_URL_H
#define PRAETOR_AGENT_CHECK_URL_H

#include "base/error.h"

/* As it is sent: scheme in lower case, what may not stand in a path escaped. Terminated. The error
 * is the peer's ("parse \"…\": first path segment in URL cannot contain colon"). */
bool check_url_normal(struct str url, struct str *out, struct arena *arena, struct error *e);
/* Whether a URL, or a reference that is relative to one, can be read; the same errors. */
bool check_url_valid(struct str reference, struct arena *arena, struct error *e);
/* As error texts show it: without the password. */
struct str check_url_shown(struct str url, struct arena *arena);
/* Views into a URL; empty when there is none. The host without brackets. */
struct str check_url_scheme(struct str url);
struct str check_url_authority(struct str url); /* without user */
struct str check_url_host(struct str url);
struct str check_url_port(struct str url);
/* A redirect's location by the URL that it came from (RFC 3986 5.2, dot segments kept). */
struct str check_url_resolve(struct arena *arena, struct str base, struct str to);

#endif
