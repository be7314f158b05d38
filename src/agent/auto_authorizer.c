/* See auto_authorizer.h. The authorizer is an auth method of type jwt that no log entry made. */
#include "agent/auto_authorizer.h"

#include "base/mem.h"
#include "base/time.h"

#define KEYS_MOST 16

struct making {
    struct value_pair *pairs;
    size_t len;
    struct arena *arena;
};

static void put(struct making *m, const char *key, struct value v) {
    ASSERT(m->len < KEYS_MOST);
    m->pairs[m->len++] = (struct value_pair){str_from(key), v};
}

static void put_text(struct making *m, const char *key, struct str text) {
    if (text.len > 0)
        put(m, key, value_from_str(text));
}

static void put_time(struct making *m, const char *key, int64_t ns) {
    if (ns != 0)
        put(m, key, value_from_str(duration_format(m->arena, ns)));
}

static void put_texts(struct making *m, const char *key, struct list texts) {
    struct value v = {.kind = VALUE_LIST};
    if (texts.len == 0)
        return;
    v.list.items = ARENA_ARRAY(m->arena, struct value, texts.len);
    for (; v.list.len < texts.len; v.list.len++)
        v.list.items[v.list.len] = value_from_str(LIST_AT(texts, struct str, v.list.len));
    put(m, key, v);
}

static void put_map(struct making *m, const char *key, struct list map) {
    struct value v = {.kind = VALUE_MAP};
    if (map.len == 0)
        return;
    v.map.pairs = ARENA_ARRAY(m->arena, struct value_pair, map.len);
    for (; v.map.len < map.len; v.map.len++) {
        const struct str_pair *pair = &LIST_AT(map, struct str_pair, v.map.len);
        v.map.pairs[v.map.len] = (struct value_pair){pair->key, value_from_str(pair->value)};
    }
    put(m, key, v);
}

static struct value *method_config(const struct config_authorizer *a, struct arena *arena) {
    struct making m = {.pairs = ARENA_ARRAY(arena, struct value_pair, KEYS_MOST), .arena = arena};
    put_texts(&m, "JWTSupportedAlgs", a->supported_algorithms);
    put_texts(&m, "BoundAudiences", a->bound_audiences);
    put_map(&m, "ClaimMappings", a->claim_mappings);
    put_map(&m, "ListClaimMappings", a->list_claim_mappings);
    put_text(&m, "OIDCDiscoveryURL", a->discovery_url);
    put_text(&m, "OIDCDiscoveryCACert", a->discovery_ca);
    put_text(&m, "JWKSURL", a->jwks_url);
    put_text(&m, "JWKSCACert", a->jwks_ca);
    put_texts(&m, "JWTValidationPubKeys", a->public_keys);
    put_text(&m, "BoundIssuer", a->bound_issuer);
    put_time(&m, "ExpirationLeeway", a->expiration_leeway);
    put_time(&m, "NotBeforeLeeway", a->not_before_leeway);
    put_time(&m, "ClockSkewLeeway", a->clock_skew_leeway);
    struct value *config = ARENA_NEW(arena, struct value);
    *config = (struct value){.kind = VALUE_MAP, .map = {m.pairs, m.len}};
    return config;
}

static struct str joined(struct list texts, struct arena *arena) {
    struct str out = STR("");
    for (uint32_t i = 0; i < texts.len; i++)
        out = str_format(arena, STR_FMT "%s" STR_FMT, STR_ARG(out), i > 0 ? "," : "",
                         STR_ARG(LIST_AT(texts, struct str, i)));
    return out;
}

const struct auto_config_options *auto_authorizer(const struct config *c, struct arena *arena) {
    const struct config_auto_config *a = &c->auto_config;
    if (!c->server_mode || !a->authorizer_enabled)
        return NULL;
    struct acl_auth_method *method = ARENA_NEW(arena, struct acl_auth_method);
    method->name = STR("Auto Config Authorizer");
    method->type = STR("jwt");
    method->config = method_config(&a->authorizer, arena);
    struct auto_config_options *out = ARENA_NEW(arena, struct auto_config_options);
    out->method = method;
    out->assertions = a->authorizer.claim_assertions;
    out->acl = (struct auto_config_acl){
        .enabled = c->acl.enabled,
        .policy_ttl = duration_format(arena, c->acl.policy_ttl),
        .role_ttl = duration_format(arena, c->acl.role_ttl),
        .token_ttl = duration_format(arena, c->acl.token_ttl),
        .disabled_ttl = STR("0s"), /* as the peer sends it, whatever it is */
        .down_policy = c->acl.down_policy,
        .default_policy = c->acl.default_policy,
        .enable_key_list_policy = c->acl.enable_key_list_policy,
        .enable_token_persistence = c->acl.enable_token_persistence,
    };
    out->tls = (struct auto_config_tls){
        .verify_outgoing = c->tls.verify_outgoing,
        .verify_server_hostname = c->tls.verify_server_hostname,
        .cipher_suites = joined(c->tls.cipher_suites, arena),
        .min_version = c->tls.min_version,
        .prefer_server_cipher_suites = c->tls.prefer_server_cipher_suites,
    };
    out->verify_incoming = c->encrypt_verify_incoming;
    out->verify_outgoing = c->encrypt_verify_outgoing;
    return out;
}
