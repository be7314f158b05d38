/* The blocks auto_encrypt, auto_config and connect (config.md 3.11, 3.12): what is warned about
 * while building, and what is checked while validating. Keys and certificates that would have to be
 * fetched over the network (jwks_url, oidc_discovery_url) are not: a configuration is judged by
 * itself.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "agent/config_table.h"
#include "base/mem.h"
#include "schema/filter.h"
#include "schema/interpolate.h"
#include "schema/table.h"
#include "server/ca_config.h"

static bool fail(struct config_builder *b, const char *text) {
    return error_set(b->e, ERROR_INTERNAL, "%s", text);
}

/* ---- warnings ---- */

/* Entries that are no addresses are dropped. */
static void check_sans(struct config_builder *b, struct list *list, const char *key) {
    struct texts good = {.arena = b->arena};
    for (uint32_t i = 0; i < list->len; i++) {
        struct str text = LIST_AT(*list, struct str, i);
        bool v6;
        if (address_is_ip(text, &v6))
            texts_add(&good, text);
        else
            texts_addf(&b->warnings, "Cannot parse ip " STR_FMT " from %s",
                       STR_ARG(str_quote(b->arena, text)), key);
    }
    *list = (struct list){good.items, (uint32_t)good.len, true};
}

/* ---- auto_config.authorization.static ---- */

#define STATIC "auto_config.authorization.static"

/* A PEM public key or certificate. */
static bool is_public_key(struct str pem) {
    BIO *bio = BIO_new_mem_buf(pem.data, (int)(pem.len < INT_MAX ? pem.len : INT_MAX));
    if (bio == NULL)
        return false;
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    if (key == NULL) {
        BIO_reset(bio);
        X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
        X509_free(certificate);
    }
    int type = key != NULL ? EVP_PKEY_base_id(key) : 0;
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return type == EVP_PKEY_RSA || type == EVP_PKEY_EC || type == EVP_PKEY_ED25519;
}

static bool check_algorithms(struct config_builder *b, struct list algorithms) {
    static const char *const known[] = {"RS256", "RS384", "RS512", "ES256", "ES384",
                                        "ES512", "PS256", "PS384", "PS512"};
    for (uint32_t i = 0; i < algorithms.len; i++) {
        struct str name = LIST_AT(algorithms, struct str, i);
        bool found = false;
        for (size_t j = 0; j < COUNT_OF(known); j++)
            found = found || str_is(name, known[j]);
        if (!found)
            return error_set(b->e, ERROR_INTERNAL, "Invalid supported algorithm: " STR_FMT,
                             STR_ARG(name));
    }
    return true;
}

/* Two claims may not become one. */
static bool check_mappings(struct config_builder *b, struct list map, const char *name) {
    for (uint32_t i = 0; i < map.len; i++)
        for (uint32_t j = 0; j < i; j++) {
            struct str target = LIST_AT(map, struct str_pair, i).value;
            if (str_eq(target, LIST_AT(map, struct str_pair, j).value))
                return error_set(b->e, ERROR_INTERNAL,
                                 "%s contains multiple mappings for key " STR_FMT, name,
                                 STR_ARG(str_quote(b->arena, target)));
        }
    return true;
}

static bool check_static(struct config_builder *b) {
    const struct config_authorizer *a = &b->c->auto_config.authorizer;
    struct list keys = a->public_keys;
    if ((a->jwks_url.len > 0) + (a->discovery_url.len > 0) + (keys.len > 0) != 1)
        return fail(b, "exactly one of 'JWTValidationPubKeys', 'JWKSURL', or 'OIDCDiscoveryURL' "
                       "must be set for type \"jwt\"");
    if (a->jwks_url.len == 0 && a->jwks_ca.len > 0)
        return fail(b, "'JWKSCACert' should not be set unless 'JWKSURL' is set");
    if (a->discovery_url.len == 0 && a->discovery_ca.len > 0)
        return fail(b, "'OIDCDiscoveryCACert' should not be set unless 'OIDCDiscoveryURL' is set");
    for (uint32_t i = 0; i < keys.len; i++)
        if (!is_public_key(LIST_AT(keys, struct str, i)))
            return error_set(b->e, ERROR_INTERNAL,
                             "error parsing public key JWTValidationPubKeys[%u]: data does not "
                             "contain any valid RSA, ECDSA, or ED25519 public keys",
                             i);
    return check_algorithms(b, a->supported_algorithms) &&
           check_mappings(b, a->claim_mappings, "ClaimMappings") &&
           check_mappings(b, a->list_claim_mappings, "ListClaimMappings");
}

/* What an assertion may ask about. */
struct claims {
    struct list value; /* map: str to str */
    struct list list;  /* map: str to list of str */
};
#define OF struct claims
static const struct field claims_fields[] = {
    F_MAP("value", value, OF_STR),
    F_MAP("list", list, OF_LIST(OF_STR)),
};
#undef OF
SHAPE(claims, "Claims");

static bool check_assertion(struct config_builder *b, struct str text) {
    static const struct str_pair variables[] = {{STR_INIT("node"), STR_INIT("fake")},
                                                {STR_INIT("segment"), STR_INIT("fake")}};
    struct interpolation_scope scope = {.variables = variables,
                                        .variable_count = COUNT_OF(variables)};
    struct str filled;
    if (interpolate(text, &scope, b->arena, &filled, b->e) != INTERPOLATION_DONE)
        return false;
    struct filter *filter = filter_compile(filled, &claims_shape, b->arena, b->e);
    filter_free(filter);
    return filter != NULL;
}

static bool validate_authorizer(struct config_builder *b) {
    struct config *c = b->c;
    bool secondary = !str_eq(c->primary_datacenter, c->datacenter);
    if (secondary && c->acl.enabled && !c->acl.token_replication)
        return fail(b,
                    "Enabling auto-config authorization (auto_config.authorization.enabled) in non "
                    "primary datacenters with ACLs enabled (acl.enabled) requires also enabling "
                    "ACL token replication (acl.enable_token_replication)");
    if (!c->server_mode)
        return fail(b, "auto_config.authorization.enabled cannot be set to true for client agents");
    if (c->tls.cert_file.len == 0)
        return fail(b, "auto_config.authorization.enabled cannot be set without providing a TLS "
                       "certificate for the server");
    if (!check_static(b))
        return error_prefix(b->e, STATIC " has invalid configuration: ");
    struct list assertions = c->auto_config.authorizer.claim_assertions;
    for (uint32_t i = 0; i < assertions.len; i++) {
        struct str text = LIST_AT(assertions, struct str, i);
        if (!check_assertion(b, text))
            return error_prefix(b->e, STATIC ".claim_assertion " STR_FMT " is invalid: ",
                                STR_ARG(str_quote(b->arena, text)));
    }
    return true;
}

bool config_validate_auto(struct config_builder *b) {
    struct config *c = b->c;
    struct config_auto_config *a = &c->auto_config;
    if (c->auto_encrypt_tls && a->enabled)
        return fail(b, "both auto_encrypt.tls and auto_config.enabled cannot be set to true.");
    if (a->authorizer_enabled && !validate_authorizer(b))
        return false;
    if (!a->enabled)
        return true;
    if (!c->tls.verify_outgoing && !c->tls.verify_server_hostname)
        return fail(
            b,
            "auto_config.enabled cannot be set without configuring TLS for server communications");
    if (c->server_mode)
        return fail(b, "auto_config.enabled cannot be set to true for server agents.");
    if (a->intro_token.len == 0 && a->intro_token_file.len == 0)
        return fail(b, "One of auto_config.intro_token, auto_config.intro_token_file or the "
                       "CONSUL_INTRO_TOKEN environment variable must be set to enable auto_config");
    if (a->server_addresses.len == 0)
        return fail(b, "auto_config.enabled is set without providing a list of addresses");
    if (a->intro_token.len > 0 && a->intro_token_file.len > 0)
        texts_add(&b->warnings, STR("Both an intro token and intro token file are set. The intro "
                                    "token will be used instead of the file"));
    return true;
}

/* ---- connect.ca_config ---- */

/* Keys as files write them and as the provider calls them; others stay. */
static const struct {
    const char *file, *name;
} ca_keys[] = {
    {"address", "Address"},
    {"ca_file", "CAFile"},
    {"ca_path", "CAPath"},
    {"cert_file", "CertFile"},
    {"csr_max_concurrent", "CSRMaxConcurrent"},
    {"csr_max_per_second", "CSRMaxPerSecond"},
    {"delete_on_exit", "DeleteOnExit"},
    {"existing_arn", "ExistingARN"},
    {"intermediate_cert_ttl", "IntermediateCertTTL"},
    {"intermediate_pki_path", "IntermediatePKIPath"},
    {"key_file", "KeyFile"},
    {"leaf_cert_ttl", "LeafCertTTL"},
    {"private_key", "PrivateKey"},
    {"private_key_bits", "PrivateKeyBits"},
    {"private_key_type", "PrivateKeyType"},
    {"root_cert", "RootCert"},
    {"root_pki_path", "RootPKIPath"},
    {"rotation_period", "RotationPeriod"},
    {"tls_server_name", "TLSServerName"},
    {"tls_skip_verify", "TLSSkipVerify"},
    {"token", "Token"},
};

static int compare_pairs(const void *a, const void *b) {
    return str_compare(((const struct value_pair *)a)->key, ((const struct value_pair *)b)->key);
}

static void build_ca_config(struct config_builder *b) {
    const struct value *map = config_get(&b->tree, "connect.ca_config");
    if (map == NULL)
        return;
    struct list out = LIST_NEW(b->arena, struct value_pair, map->map.len);
    for (uint32_t i = 0; i < out.len; i++) {
        struct value_pair *pair = &LIST_AT(out, struct value_pair, i);
        *pair = map->map.pairs[i];
        for (size_t j = 0; j < COUNT_OF(ca_keys); j++)
            if (str_eq_fold(pair->key, str_from(ca_keys[j].file)))
                pair->key = str_from(ca_keys[j].name);
    }
    if (out.len > 1)
        qsort(out.items, out.len, sizeof(struct value_pair), compare_pairs);
    b->c->connect_ca_config = out;
}

bool config_validate_ca(struct config_builder *b) {
    struct str provider = b->c->connect_ca_provider;
    struct list pairs = b->c->connect_ca_config;
    struct value config = {.kind = VALUE_MAP, .map = {pairs.items, pairs.len}};
    struct ca_settings s;
    if (provider.len == 0)
        return true;
    if (!str_is(provider, "consul") && !str_is(provider, "vault") && !str_is(provider, "aws-pca"))
        return error_set(b->e, ERROR_INTERNAL, STR_FMT " is not a valid CA provider",
                         STR_ARG(provider));
    return ca_config_read(provider, &config, &s, b->arena, b->e) &&
           ca_config_check(provider, &s, b->arena, b->e);
}

/* ---- building ---- */

void config_build_auto(struct config_builder *b) {
    struct config *c = b->c;
    build_ca_config(b);
    check_sans(b, &c->auto_encrypt_ip_san, "AutoEncrypt.IPSAN");
    check_sans(b, &c->auto_config.ip_sans, "auto_config.ip_sans");
    const char *token = getenv("CONSUL_INTRO_TOKEN");
    if (token == NULL || *token == '\0')
        return;
    if (c->auto_config.intro_token.len > 0)
        texts_add(&b->warnings, STR("Both auto_config.intro_token and the CONSUL_INTRO_TOKEN "
                                    "environment variable are set. Using the value from the "
                                    "environment variable"));
    c->auto_config.intro_token = str_copy(b->arena, str_from(token));
}
