/* What a login asks of other machines: one exchange, with the URL looked at first as the peer's
 * language does, redirects of a GET followed, and the time of the whole work kept.
 */
#ifndef PRAETOR_SERVER_AUTH_FETCH_H
#define PRAETOR_SERVER_AUTH_FETCH_H

#include "net/http_call.h"
#include "server/auth_method.h"

#define AUTH_ANSWER_MAX ((size_t)1 << 20)
#define AUTH_REDIRECTS_MAX 10

/* Sends c and fills in its answer; url, method, headers, body and arena are the caller's. ca_pem:
 * what is trusted, absent: what the system trusts. The error has the peer's text: `Get "URL": dial
 * tcp …`, or `parse "URL": …` with *unread (may be NULL) set. */
bool auth_fetch(struct auth_work *w, struct http_call *c, struct str ca_pem, bool *unread,
                struct error *e);

/* "got Content-Type = application/json, but could not unmarshal as JSON: <why>". */
bool auth_json_fault(const struct http_call *c, struct error *e);

/* A certificate at least, as the peer's language finds them: what is no PEM is passed over. */
bool auth_ca_valid(struct str pem);

#endif
