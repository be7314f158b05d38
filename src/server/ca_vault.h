/* What is said to Vault and what it says (connect.md 3.11): bodies of requests, and what its
 * answers mean, with the peer's words for what is wrong with them. Pure.
 */
#ifndef PRAETOR_SERVER_CA_VAULT_H
#define PRAETOR_SERVER_CA_VAULT_H

#include "base/error.h"
#include "codec/value.h"

/* ---- answers ---- */

/* A status below 400 is good, others are errors: "Error making API request.\n\nURL: PUT …\nCode:
 * 403. Errors:\n\n* permission denied". */
bool vault_check(const char *method, struct str url, long status, struct str body, struct error *e);
/* The body of a good answer; null: it has none (status 204, or that of a reading that found
 * nothing, 404). Strings are views of the body, or in the arena. */
bool vault_secret(long status, struct str body, struct value *out, struct arena *arena,
                  struct error *e);
/* Its "data", a map; NULL: there is none. */
const struct value *vault_data(const struct value *secret);
/* A text in it; absent: no text. */
struct str vault_text(const struct value *data, const char *key);
/* What it says of a token: ns until it ends, if it can be renewed, else 0. */
bool vault_token_lease(const struct value *secret, int64_t *lease, struct error *e);
/* The same of a renewal's answer, which has "auth". 0: nothing is said. */
int64_t vault_renewed_lease(const struct value *secret);

/* ---- requests, as JSON; ttl in ns ---- */

struct str vault_mount_body(const char *description, struct str max_ttl, struct arena *arena);
struct str vault_role_body(int64_t leaf_ttl, struct arena *arena);
struct str vault_generate_body(struct str common_name, struct str key_type, int64_t key_bits,
                               struct str uri, struct arena *arena);
/* below: for another datacenter, whose certificates are leaves. */
struct str vault_intermediate_body(struct str csr, int64_t ttl, bool below, struct arena *arena);
struct str vault_leaf_body(struct str csr, int64_t ttl, struct arena *arena);
struct str vault_certificate_body(struct str certificate, struct arena *arena);
struct str vault_renew_body(int64_t lease, struct arena *arena);

/* ---- settings ---- */

/* A mount's path without the slashes at its ends. */
struct str vault_mount(struct str path);
/* "configured Vault token contains non-printable characters and cannot be used" */
bool vault_token_check(struct str token, struct error *e);

#endif
