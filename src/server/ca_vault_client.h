/* Requests to Vault (connect.md 3.11), which the calling thread waits for: within limits of time
 * and size, and called off when the authority's works are. Every error is in the peer's words, and
 * none has the token in it.
 */
#ifndef PRAETOR_SERVER_CA_VAULT_CLIENT_H
#define PRAETOR_SERVER_CA_VAULT_CLIENT_H

#include "codec/value.h"
#include "net/http_call.h"
#include "server/ca_config.h"

#define VAULT_TIME (30 * SECOND)           /* of one request; the peer waits for ever */
#define VAULT_ANSWER_MAX ((size_t)4 << 20) /* bytes */

struct vault_client {
    const struct ca_vault_settings *settings;
    struct http_tls tls;
    const atomic_bool *stop;
    struct arena *arena; /* for answers */
};
/* Reads the files of TLS, and looks at the settings. settings, stop: not copied. False: there is
 * nothing to close. */
bool vault_open(struct vault_client *c, const struct ca_vault_settings *settings,
                const atomic_bool *stop, struct arena *arena, struct error *e);
void vault_close(struct vault_client *c);

/* path: below "/v1/"; body absent: none. Any status is an answer. */
struct vault_reply {
    const char *method;
    struct str url; /* that answered, in the end */
    long status;
    struct str body;
};
bool vault_exchange(struct vault_client *c, const char *method, struct str path, struct str body,
                    struct vault_reply *out, struct error *e);
/* The same for what answers with a document or with nothing: a status that is bad is an error, but
 * for a GET 404, which is null as no answer is. */
bool vault_ask(struct vault_client *c, const char *method, struct str path, struct str body,
               struct value *secret, struct error *e);

#endif
