/* What a bearer token says: its claims, whether they hold now, and what of them selectors and bind
 * names get to see (acl.md 15.3). Pure: the time comes in as an argument.
 */
#ifndef PRAETOR_SERVER_AUTH_JWT_CLAIMS_H
#define PRAETOR_SERVER_AUTH_JWT_CLAIMS_H

#include "server/auth_method.h"

/* The Config of type jwt. */
struct jwt_config {
    struct list jwt_validation_pub_keys; /* of str */
    struct str jwks_url, jwks_ca_cert;
    struct str oidc_discovery_url, oidc_discovery_ca_cert;
    struct list jwt_supported_algs; /* of str */
    struct str bound_issuer;
    struct list bound_audiences;                                     /* of str */
    struct list claim_mappings, list_claim_mappings;                 /* {str} */
    int64_t expiration_leeway, not_before_leeway, clock_skew_leeway; /* ns; 0: the default */
};

struct jwt_claims {
    struct value all; /* the object; null for a payload "null" */
    struct str issuer;
    struct list audience;                  /* of str */
    int64_t expiry, not_before, issued_at; /* s since 1970; 0: not there */
};

/* The payload of a token as the peer's library for tokens reads it. With strict, as it does next to
 * the signature: names of claims are exact, and none comes twice; otherwise names of the known
 * claims are taken in any case. */
bool jwt_claims_parse(struct str payload, bool strict, struct jwt_claims *out, struct arena *arena,
                      struct error *e);
/* The times and the issuer: "error validating claims: …". */
bool jwt_claims_check(struct jwt_claims *c, const struct jwt_config *config, int64_t now_wall,
                      struct error *e);
/* must_be_bound: a token for somebody is refused when no audience is bound. */
bool jwt_claims_check_audience(const struct jwt_claims *c, const struct jwt_config *config,
                               bool must_be_bound, struct error *e);

/* An ID token of OIDC discovery, as the peer's library for those reads and checks it before it
 * looks at the signature: issuer, expiry, not-before. "oidc: …". */
bool jwt_id_token_check(struct str payload, struct str issuer, int64_t now_wall,
                        struct arena *arena, struct error *e);

/* The claims of a token that jwt_id_token_check has seen: all, and the audience. */
bool jwt_id_token_claims(struct str payload, struct jwt_claims *out, struct arena *arena,
                         struct error *e);

/* What the mappings make of the claims. */
bool jwt_claims_project(const struct jwt_claims *c, const struct jwt_config *config,
                        struct auth_identity *out, struct arena *arena, struct error *e);

/* In small letters, also beyond ASCII. auth_jwt_project.c. */
struct str auth_lower(struct str s, struct arena *arena);

#endif
