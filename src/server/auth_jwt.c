/* See auth_jwt.h. */
#include "server/auth_jwt.h"

#include "base/mem.h"
#include "server/auth_config.h"
#include "server/auth_fetch.h"

/* ---- the configuration ---- */

#define KEY(name, kind, member)                                                                    \
    { name, AUTH_CONFIG_##kind, offsetof(struct jwt_config, member) }
static const struct auth_config_key keys_of_config[] = {
    KEY("JWTValidationPubKeys", LIST, jwt_validation_pub_keys),
    KEY("JWKSURL", TEXT, jwks_url),
    KEY("JWKSCACert", TEXT, jwks_ca_cert),
    KEY("OIDCDiscoveryURL", TEXT, oidc_discovery_url),
    KEY("OIDCDiscoveryCACert", TEXT, oidc_discovery_ca_cert),
    KEY("JWTSupportedAlgs", LIST, jwt_supported_algs),
    KEY("BoundIssuer", TEXT, bound_issuer),
    KEY("BoundAudiences", LIST, bound_audiences),
    KEY("ClaimMappings", MAP, claim_mappings),
    KEY("ListClaimMappings", MAP, list_claim_mappings),
    KEY("ExpirationLeeway", TIME, expiration_leeway),
    KEY("NotBeforeLeeway", TIME, not_before_leeway),
    KEY("ClockSkewLeeway", TIME, clock_skew_leeway),
};

bool jwt_config_decode(const struct value *config, struct jwt_config *out, struct arena *arena,
                       struct error *e) {
    *out = (struct jwt_config){0};
    return auth_config_decode(config, keys_of_config, COUNT_OF(keys_of_config), out, arena, e);
}

static bool refuse(struct error *e, const char *text) {
    return error_set(e, ERROR_INTERNAL, "%s", text);
}

static bool read_pem_keys(const struct jwt_config *config, struct jwt_keys *keys, struct error *e) {
    const struct list *pems = &config->jwt_validation_pub_keys;
    for (uint32_t i = 0; i < pems->len; i++)
        if (!jwt_keys_add_pem(keys, LIST_AT(*pems, struct str, i), e))
            return error_prefix(e, "error parsing public key JWTValidationPubKeys[%u]: ", i);
    return true;
}

static bool check_algorithms(const struct jwt_config *config, struct error *e) {
    static const char *const known[] = {"RS256", "RS384", "RS512", "ES256", "ES384",
                                        "ES512", "PS256", "PS384", "PS512"};
    const struct list *algs = &config->jwt_supported_algs;
    for (uint32_t i = 0; i < algs->len; i++) {
        bool found = false;
        for (size_t j = 0; j < COUNT_OF(known); j++)
            found |= str_is(LIST_AT(*algs, struct str, i), known[j]);
        if (!found)
            return error_set(e, ERROR_INTERNAL, "Invalid supported algorithm: " STR_FMT,
                             STR_ARG(LIST_AT(*algs, struct str, i)));
    }
    return true;
}

/* A target that two claims are mapped to. */
static bool check_targets(const struct list *mappings, const char *name, struct arena *arena,
                          struct error *e) {
    struct list targets = LIST_NEW(arena, struct str, mappings->len);
    targets.len = 0;
    for (uint32_t i = 0; i < mappings->len; i++) {
        struct str target = LIST_AT(*mappings, struct str_pair, i).value;
        if (str_list_has(&targets, target))
            return error_set(e, ERROR_INTERNAL, "%s contains multiple mappings for key " STR_FMT,
                             name, STR_ARG(str_quote(arena, target)));
        LIST_AT(targets, struct str, targets.len++) = target;
    }
    return true;
}

static bool check_key_set(struct auth_work *w, struct jwt_provider *p,
                          const struct jwt_config *config, struct error *e) {
    if (config->jwks_ca_cert.len > 0 && !auth_ca_valid(config->jwks_ca_cert))
        return refuse(e, "error checking JWKSCACert: could not parse CA PEM value successfully");
    return jwt_provider_fetch(w, p, config, e) || error_prefix(e, "error checking JWKSURL: ");
}

static bool check_discovery(struct auth_work *w, struct jwt_provider *p,
                            const struct jwt_config *config, struct error *e) {
    if (config->oidc_discovery_ca_cert.len > 0 && !auth_ca_valid(config->oidc_discovery_ca_cert))
        return refuse(
            e, "error checking OIDCDiscoveryCACert: could not parse CA PEM value successfully");
    return jwt_provider_discover(w, p, config, e) ||
           error_prefix(e, "error checking OIDCDiscoveryURL: ");
}

static bool check_sources(struct auth_work *w, struct jwt_provider *p,
                          const struct jwt_config *config, struct error *e) {
    bool by_keys = config->jwt_validation_pub_keys.len > 0, by_set = config->jwks_url.len > 0,
         by_discovery = config->oidc_discovery_url.len > 0;
    if (by_keys + by_set + by_discovery != 1)
        return refuse(e, "exactly one of 'JWTValidationPubKeys', 'JWKSURL', or 'OIDCDiscoveryURL' "
                         "must be set for type \"jwt\"");
    if (config->jwks_ca_cert.len > 0 && !by_set)
        return refuse(e, "'JWKSCACert' should not be set unless 'JWKSURL' is set");
    struct jwt_keys *keys = jwt_keys_new();
    bool ok = read_pem_keys(config, keys, e) && (!by_set || check_key_set(w, p, config, e));
    jwt_keys_release(keys);
    if (!ok)
        return false;
    if (config->oidc_discovery_ca_cert.len > 0 && !by_discovery)
        return refuse(e,
                      "'OIDCDiscoveryCACert' should not be set unless 'OIDCDiscoveryURL' is set");
    return !by_discovery || check_discovery(w, p, config, e);
}

bool auth_jwt_check(struct auth_work *w, struct jwt_provider *p, struct error *e) {
    struct jwt_config config;
    return jwt_config_decode(w->method->config, &config, &w->arena, e) &&
           check_sources(w, p, &config, e) && check_algorithms(&config, e) &&
           check_targets(&config.claim_mappings, "ClaimMappings", &w->arena, e) &&
           check_targets(&config.list_claim_mappings, "ListClaimMappings", &w->arena, e);
}

/* ---- a bearer token ---- */

/* With keys of the configuration: each is tried, and whatever goes wrong with one is its signature.
 */
static bool verify_by_keys(struct auth_work *w, const struct jwt_config *config,
                           struct jwt_claims *claims, struct error *e) {
    struct jwt token;
    if (!jwt_parse(w->bearer, &token, &w->arena, e))
        return error_prefix(e, "error parsing token: ");
    struct jwt_keys *keys = jwt_keys_new();
    struct error ignored = ERROR_IN(&w->arena);
    bool read = read_pem_keys(config, keys, e);
    bool ok = read && jwt_keys_verify(keys, &token, false) &&
              jwt_claims_parse(token.payload, true, claims, &w->arena, &ignored);
    jwt_keys_release(keys);
    return ok || (read && refuse(e, "no known key successfully validated the token signature"));
}

static bool verify_by_set(struct auth_work *w, struct jwt_provider *p,
                          const struct jwt_config *config, struct jwt_claims *claims,
                          struct error *e) {
    struct jwt token;
    if (!jwt_parse(w->bearer, &token, &w->arena, e))
        return error_prefix(e, "error verifying token: oidc: malformed jwt: ");
    if (!jwt_provider_verify(w, p, config, &token, e))
        return error_prefix(e, "error verifying token: ");
    return jwt_claims_parse(token.payload, false, claims, &w->arena, e) ||
           error_prefix(e, "failed to unmarshal claims: ");
}

static bool algorithm_supported(const struct jwt_config *config, const struct jwt *token,
                                struct arena *arena, struct error *e) {
    const struct list *algs = &config->jwt_supported_algs;
    if (algs->len > 0 ? str_list_has(algs, token->alg) : str_is(token->alg, "RS256"))
        return true;
    struct buf list = BUF_INIT;
    for (uint32_t i = 0; i < algs->len; i++)
        buf_add_format(&list, "%s" STR_FMT, i > 0 ? " " : "",
                       STR_ARG(str_quote(arena, LIST_AT(*algs, struct str, i))));
    if (algs->len == 0)
        buf_add_text(&list, "\"RS256\"");
    error_set(e, ERROR_INTERNAL,
              "oidc: id token signed with unsupported algorithm, expected [" STR_FMT
              "] got " STR_FMT,
              STR_ARG(buf_str(&list)), STR_ARG(str_quote(arena, token->alg)));
    buf_free(&list);
    return false;
}

/* The JSON form of a token is read, and then not taken. */
static bool is_compact(struct str bearer, struct error *e) {
    size_t parts = 1;
    for (size_t i = 0; i < bearer.len; i++)
        parts += bearer.data[i] == '.';
    if (parts >= 2)
        return true;
    return error_set(e, ERROR_INTERNAL,
                     "oidc: malformed jwt: oidc: malformed jwt, expected 3 parts got %zu", parts);
}

static bool check_id_token(struct auth_work *w, struct jwt_provider *p,
                           const struct jwt_config *config, struct jwt *token, struct error *e) {
    if (!jwt_parse(w->bearer, token, &w->arena, e))
        return error_prefix(e, "oidc: malformed jwt: ");
    if (!is_compact(w->bearer, e) ||
        !jwt_id_token_check(token->payload, config->oidc_discovery_url, time_now_wall(), &w->arena,
                            e) ||
        !algorithm_supported(config, token, &w->arena, e))
        return false;
    return jwt_provider_verify(w, p, config, token, e) ||
           error_prefix(e, "failed to verify signature: ");
}

/* The numbers of an ID token may be texts, so its claims are not read as those of others are. */
static bool verify_by_discovery(struct auth_work *w, struct jwt_provider *p,
                                const struct jwt_config *config, struct jwt_claims *claims,
                                struct error *e) {
    struct jwt token;
    if (!jwt_provider_discover(w, p, config, e))
        return error_prefix(e, "error checking OIDCDiscoveryURL: ");
    if (!check_id_token(w, p, config, &token, e))
        return error_prefix(e, "error validating signature: ");
    return jwt_id_token_claims(token.payload, claims, &w->arena, e);
}

bool auth_jwt_verify(struct auth_work *w, struct jwt_provider *p, struct error *e) {
    struct jwt_config config;
    struct jwt_claims claims;
    if (w->bearer.len == 0)
        return refuse(e, "missing jwt");
    if (!jwt_config_decode(w->method->config, &config, &w->arena, e))
        return false;
    bool discovered = config.oidc_discovery_url.len > 0, ok;
    if (discovered)
        ok = verify_by_discovery(w, p, &config, &claims, e);
    else if (config.jwks_url.len > 0)
        ok = verify_by_set(w, p, &config, &claims, e);
    else
        ok = verify_by_keys(w, &config, &claims, e);
    return ok && (discovered || jwt_claims_check(&claims, &config, time_now_wall(), e)) &&
           jwt_claims_check_audience(&claims, &config, !discovered, e) &&
           jwt_claims_project(&claims, &config, &w->identity, &w->arena, e);
}
