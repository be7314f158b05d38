/* Keys are kept as cjose's own (RSA, EC) or as OpenSSL's (Ed25519). A token is only tried with keys
 * of the kind and curve that its algorithm is for, so cjose never sees an algorithm that does not
 * fit.
 */
#include "server/auth_jwt_keys.h"

#include <cjose/cjose.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/library.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"

#define ED25519_SIZE 32

enum key_kind { KEY_NONE, KEY_RSA, KEY_P256, KEY_P384, KEY_P521, KEY_ED25519 };

struct jwt_key {
    enum key_kind kind; /* KEY_NONE: verifies nothing */
    char *id;
    size_t id_len;
    cjose_jwk_t *jwk;
    EVP_PKEY *ed25519;
};

struct jwt_keys {
    atomic_uint references;
    struct jwt_key *items;
    size_t count, room;
};

/* ---- the library ---- */

static struct {
    __typeof__(&cjose_jwk_create_RSA_spec) create_rsa;
    __typeof__(&cjose_jwk_create_EC_spec) create_ec;
    __typeof__(&cjose_jwk_release) release;
    __typeof__(&cjose_jws_import) import;
    __typeof__(&cjose_jws_verify) verify;
    __typeof__(&cjose_jws_release) jws_release;
} lib;
static char load_fault[256]; /* empty: loaded */
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

static void load(void) {
    const struct library_function functions[] = {
        {"cjose_jwk_create_RSA_spec", &lib.create_rsa},
        {"cjose_jwk_create_EC_spec", &lib.create_ec},
        {"cjose_jwk_release", &lib.release},
        {"cjose_jws_import", &lib.import},
        {"cjose_jws_verify", &lib.verify},
        {"cjose_jws_release", &lib.jws_release},
    };
    library_load("libcjose.so.0", functions, COUNT_OF(functions), load_fault);
}

static bool loaded(struct error *e) {
    pthread_once(&load_once, load);
    return load_fault[0] == '\0' ||
           error_set(e, ERROR_INTERNAL, "bearer tokens need libcjose: %s", load_fault);
}

/* ---- sets ---- */

struct jwt_keys *jwt_keys_new(void) {
    struct jwt_keys *keys = MEM_NEW(struct jwt_keys);
    atomic_init(&keys->references, 1);
    return keys;
}

struct jwt_keys *jwt_keys_hold(struct jwt_keys *keys) {
    atomic_fetch_add(&keys->references, 1);
    return keys;
}

static void key_free(struct jwt_key *k) {
    mem_free(k->id);
    if (k->jwk != NULL)
        lib.release(k->jwk);
    EVP_PKEY_free(k->ed25519);
}

void jwt_keys_release(struct jwt_keys *keys) {
    if (keys == NULL || atomic_fetch_sub(&keys->references, 1) != 1)
        return;
    for (size_t i = 0; i < keys->count; i++)
        key_free(&keys->items[i]);
    mem_free(keys->items);
    mem_free(keys);
}

size_t jwt_keys_count(const struct jwt_keys *keys) {
    return keys->count;
}

/* A new key at the end, of no kind yet. */
static struct jwt_key *add_key(struct jwt_keys *keys, struct str id) {
    if (keys->count == keys->room) {
        keys->room = keys->room > 0 ? 2 * keys->room : 4;
        keys->items = mem_resize(keys->items, keys->room, sizeof(keys->items[0]));
    }
    struct jwt_key *k = &keys->items[keys->count++];
    *k = (struct jwt_key){.id = mem_alloc(id.len + 1), .id_len = id.len};
    memcpy(k->id, id.data, id.len);
    return k;
}

/* ---- numbers to keys ---- */

static bool set_rsa(struct jwt_key *k, struct str n, struct str exponent) {
    cjose_jwk_rsa_keyspec spec = {
        .n = (uint8_t *)(uintptr_t)n.data,
        .nlen = n.len,
        .e = (uint8_t *)(uintptr_t)exponent.data,
        .elen = exponent.len,
    };
    cjose_err err;
    k->jwk = lib.create_rsa(&spec, &err);
    k->kind = k->jwk != NULL ? KEY_RSA : KEY_NONE;
    return k->jwk != NULL;
}

static const struct curve {
    const char *name, *group; /* in JWKs; in OpenSSL */
    enum key_kind kind;
    cjose_jwk_ec_curve id;
    size_t size; /* of a coordinate */
} curves[] = {
    {"P-256", "prime256v1", KEY_P256, CJOSE_JWK_EC_P_256, 32},
    {"P-384", "secp384r1", KEY_P384, CJOSE_JWK_EC_P_384, 48},
    {"P-521", "secp521r1", KEY_P521, CJOSE_JWK_EC_P_521, 66},
};

static bool set_ec(struct jwt_key *k, const struct curve *curve, struct str x, struct str y) {
    cjose_jwk_ec_keyspec spec = {
        .crv = curve->id,
        .x = (uint8_t *)(uintptr_t)x.data,
        .xlen = x.len,
        .y = (uint8_t *)(uintptr_t)y.data,
        .ylen = y.len,
    };
    cjose_err err;
    k->jwk = lib.create_ec(&spec, &err);
    ERR_clear_error();
    k->kind = k->jwk != NULL ? curve->kind : KEY_NONE;
    return k->jwk != NULL;
}

static void set_ed25519(struct jwt_key *k, struct str x) {
    if (x.len == ED25519_SIZE)
        k->ed25519 = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
                                                 (const unsigned char *)x.data, x.len);
    k->kind = k->ed25519 != NULL ? KEY_ED25519 : KEY_NONE;
}

/* ---- PEM ---- */

static struct str number_bytes(const EVP_PKEY *key, const char *name, struct arena *arena) {
    BIGNUM *n = NULL;
    if (EVP_PKEY_get_bn_param(key, name, &n) != 1)
        return STR_NONE;
    int size = BN_num_bytes(n);
    uint8_t *bytes = arena_alloc(arena, (size_t)size + 1);
    BN_bn2bin(n, bytes);
    BN_free(n);
    return str_of(bytes, (size_t)size);
}

static bool take_rsa(struct jwt_key *k, const EVP_PKEY *key, struct arena *arena) {
    struct str n = number_bytes(key, OSSL_PKEY_PARAM_RSA_N, arena);
    struct str exponent = number_bytes(key, OSSL_PKEY_PARAM_RSA_E, arena);
    return n.len > 0 && exponent.len > 0 && set_rsa(k, n, exponent);
}

/* P-224, too, is a key for the peer; no algorithm is for it. */
static bool take_ec(struct jwt_key *k, const EVP_PKEY *key, struct arena *arena) {
    char group[64] = "";
    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
    for (size_t i = 0; i < COUNT_OF(curves); i++) {
        if (strcmp(curves[i].group, group) != 0)
            continue;
        struct str x = number_bytes(key, OSSL_PKEY_PARAM_EC_PUB_X, arena);
        struct str y = number_bytes(key, OSSL_PKEY_PARAM_EC_PUB_Y, arena);
        return x.data != NULL && y.data != NULL && set_ec(k, &curves[i], x, y);
    }
    return strcmp(group, "secp224r1") == 0;
}

static bool take_ed25519(struct jwt_key *k, const EVP_PKEY *key) {
    unsigned char x[ED25519_SIZE];
    size_t len = sizeof(x);
    if (EVP_PKEY_get_raw_public_key(key, x, &len) == 1)
        set_ed25519(k, str_of(x, len));
    return k->kind == KEY_ED25519;
}

enum taken { TAKEN, NOT_OURS, NOT_READ };

static enum taken take_key(struct jwt_keys *keys, const EVP_PKEY *key, struct arena *arena) {
    if (key == NULL)
        return NOT_READ;
    int type = EVP_PKEY_get_base_id(key);
    if (type == EVP_PKEY_DSA)
        return NOT_OURS;
    struct jwt_key *k = add_key(keys, STR(""));
    bool ok = type == EVP_PKEY_RSA       ? take_rsa(k, key, arena)
              : type == EVP_PKEY_EC      ? take_ec(k, key, arena)
              : type == EVP_PKEY_ED25519 ? take_ed25519(k, key)
                                         : false;
    if (ok)
        return TAKEN;
    key_free(&keys->items[--keys->count]);
    return NOT_READ;
}

static enum taken take_der(struct jwt_keys *keys, struct str der, struct arena *arena) {
    const unsigned char *p = (const unsigned char *)der.data, *end = p + der.len;
    enum taken taken = NOT_READ;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der.len);
    if (key != NULL && p == end)
        taken = take_key(keys, key, arena);
    EVP_PKEY_free(key);
    if (taken != NOT_READ)
        return taken;
    p = (const unsigned char *)der.data;
    X509 *certificate = d2i_X509(NULL, &p, (long)der.len);
    if (certificate != NULL && p == end)
        taken = take_key(keys, X509_get0_pubkey(certificate), arena);
    X509_free(certificate);
    return taken;
}

/* The first block that can be read, whatever its label. */
static bool first_block(struct str pem, struct str *der, struct arena *arena) {
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    bool found = false, more = true;
    while (bio != NULL && more && !found) {
        char *label = NULL, *header = NULL;
        unsigned char *data = NULL;
        long len = 0;
        found = PEM_read_bio(bio, &label, &header, &data, &len) == 1;
        if (found)
            *der = str_of(arena_copy(arena, data, (size_t)len), (size_t)len);
        more = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
        OPENSSL_free(label);
        OPENSSL_free(header);
        OPENSSL_free(data);
        ERR_clear_error();
    }
    BIO_free(bio);
    return found;
}

bool jwt_keys_add_pem(struct jwt_keys *keys, struct str pem, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct str der;
    if (!loaded(e))
        return false;
    enum taken taken = NOT_OURS;
    if (pem.len > 0 && pem.len < INT_MAX && first_block(pem, &der, &arena))
        taken = take_der(keys, der, &arena);
    if (taken == NOT_OURS)
        error_set(e, ERROR_INTERNAL,
                  "data does not contain any valid RSA, ECDSA, or ED25519 public keys");
    else if (taken == NOT_READ)
        error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(jwt_asn1_fault(der, &arena)));
    ERR_clear_error();
    arena_free(&arena);
    return taken == TAKEN;
}

/* ---- JWK sets ---- */

struct jwk {
    struct str kty, kid, crv;
    struct str n, e, x, y, d, k; /* decoded; absent: not there */
};

static bool wrong_type(const struct value *v, const char *type, struct error *e) {
    return error_set(e, ERROR_INTERNAL, "json: cannot unmarshal %s into Go value of type %s",
                     jwt_json_kind(v), type);
}

static bool member_text(const struct value *jwk, const char *name, struct str *out,
                        struct error *e) {
    const struct value *v = jwt_json_get(jwk, name);
    *out = STR("");
    if (v == NULL)
        return true;
    if (v->kind != VALUE_STRING)
        return wrong_type(v, "string", e);
    *out = v->string.data != NULL ? v->string : STR("");
    return true;
}

static bool member_bytes(const struct value *jwk, const char *name, struct str *out,
                         struct arena *arena, struct error *e) {
    struct str text;
    *out = STR_NONE;
    if (!member_text(jwk, name, &text, e))
        return false;
    return jwt_json_get(jwk, name) == NULL || base64url_decode(text, out, arena, e);
}

static bool check_chain(const struct value *jwk, struct arena *arena, struct error *e) {
    const struct value *chain = jwt_json_get(jwk, "x5c");
    if (chain == NULL)
        return true;
    if (chain->kind != VALUE_LIST)
        return wrong_type(chain, "[]string", e);
    for (size_t i = 0; i < chain->list.len; i++) {
        const struct value *item = &chain->list.items[i];
        struct str der;
        if (item->kind != VALUE_STRING)
            return wrong_type(item, "string", e);
        if (!base64_decode(item->string, &der, arena, e))
            return error_prefix(e, "square/go-jose: failed to unmarshal x5c field: ");
        const unsigned char *p = (const unsigned char *)der.data;
        X509 *certificate = d2i_X509(NULL, &p, (long)der.len);
        ERR_clear_error();
        if (certificate == NULL)
            return error_set(e, ERROR_INTERNAL,
                             "square/go-jose: failed to unmarshal x5c field: " STR_FMT,
                             STR_ARG(jwt_asn1_fault(der, arena)));
        X509_free(certificate);
    }
    return true;
}

static bool read_jwk(const struct value *v, struct jwk *out, struct arena *arena, struct error *e) {
    struct str ignored;
    if (v->kind != VALUE_MAP && v->kind != VALUE_NULL)
        return wrong_type(v, "jose.rawJSONWebKey", e);
    return jwt_json_unique(v, e) && member_text(v, "use", &ignored, e) &&
           member_text(v, "kty", &out->kty, e) && member_text(v, "kid", &out->kid, e) &&
           member_text(v, "crv", &out->crv, e) && member_text(v, "alg", &ignored, e) &&
           member_bytes(v, "k", &out->k, arena, e) && member_bytes(v, "x", &out->x, arena, e) &&
           member_bytes(v, "y", &out->y, arena, e) && member_bytes(v, "n", &out->n, arena, e) &&
           member_bytes(v, "e", &out->e, arena, e) && member_bytes(v, "d", &out->d, arena, e) &&
           check_chain(v, arena, e);
}

__attribute__((format(printf, 2, 3))) static bool jose_error(struct error *e, const char *format,
                                                             ...) {
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(e->arena, format, args);
    va_end(args);
    return error_set(e, ERROR_INTERNAL, "square/go-jose: " STR_FMT, STR_ARG(text));
}

static bool add_rsa(struct jwt_key *k, const struct jwk *jwk, struct error *e) {
    if (jwk->n.data == NULL || jwk->e.data == NULL)
        return jose_error(e, "invalid RSA key, missing n/e values");
    set_rsa(k, jwk->n, jwk->e); /* what OpenSSL does not like verifies nothing */
    return true;
}

static bool add_ec(struct jwt_key *k, const struct jwk *jwk, struct error *e) {
    const struct curve *curve = NULL;
    for (size_t i = 0; i < COUNT_OF(curves); i++)
        if (str_is(jwk->crv, curves[i].name))
            curve = &curves[i];
    if (curve == NULL)
        return jose_error(e, "unsupported elliptic curve '" STR_FMT "'", STR_ARG(jwk->crv));
    if (jwk->x.data == NULL || jwk->y.data == NULL)
        return jose_error(e, "invalid EC key, missing x/y values");
    if (jwk->x.len != curve->size || jwk->y.len != curve->size)
        return jose_error(e, "invalid EC public key, wrong length for %s",
                          jwk->x.len != curve->size ? "x" : "y");
    return set_ec(k, curve, jwk->x, jwk->y) ||
           jose_error(e, "invalid EC key, X/Y are not on declared curve");
}

static bool add_octets(struct jwt_key *k, const struct jwk *jwk, struct error *e) {
    if (!str_is(jwk->crv, "Ed25519") || jwk->x.data == NULL)
        return jose_error(e, "unknown curve " STR_FMT "'", STR_ARG(jwk->crv));
    set_ed25519(k, jwk->x);
    return true;
}

static bool add_jwk(struct jwt_keys *keys, const struct value *v, struct arena *arena,
                    struct error *e) {
    struct jwk jwk;
    if (!read_jwk(v, &jwk, arena, e))
        return false;
    struct jwt_key *k = add_key(keys, jwk.kid);
    bool ok;
    if (str_is(jwk.kty, "RSA"))
        ok = add_rsa(k, &jwk, e);
    else if (str_is(jwk.kty, "EC"))
        ok = add_ec(k, &jwk, e);
    else if (str_is(jwk.kty, "OKP"))
        ok = add_octets(k, &jwk, e);
    else if (str_is(jwk.kty, "oct"))
        ok = jwk.k.data != NULL || jose_error(e, "invalid OCT (symmetric) key, missing k value");
    else
        ok = jose_error(e, "unknown json web key type '" STR_FMT "'", STR_ARG(jwk.kty));
    if (ok && jwk.d.data != NULL)
        k->kind = KEY_NONE; /* a private key that was published is nobody's signature */
    return ok;
}

bool jwt_keys_add_set(struct jwt_keys *keys, struct str json, struct arena *arena,
                      struct error *e) {
    struct value set;
    const struct value *list = NULL;
    if (!loaded(e))
        return false;
    if (!json_parse_whole(json, &set, arena, e)) {
        e->kind = ERROR_INTERNAL;
        return false;
    }
    if (set.kind != VALUE_MAP && set.kind != VALUE_NULL)
        return wrong_type(&set, "jose.JSONWebKeySet", e);
    for (size_t i = 0; set.kind == VALUE_MAP && i < set.map.len; i++)
        if (str_eq_fold(set.map.pairs[i].key, STR("keys")))
            list = &set.map.pairs[i].value;
    if (list == NULL || list->kind == VALUE_NULL)
        return true;
    if (list->kind != VALUE_LIST)
        return error_set(
            e, ERROR_INTERNAL,
            "json: cannot unmarshal %s into Go struct field JSONWebKeySet.keys of type "
            "[]jose.JSONWebKey",
            jwt_json_kind(list));
    if (list->list.len > JWT_KEYS_MAX)
        return error_set(e, ERROR_TOO_LARGE, "more than %d keys", JWT_KEYS_MAX);
    for (size_t i = 0; i < list->list.len; i++)
        if (!add_jwk(keys, &list->list.items[i], arena, e))
            return false;
    return true;
}

/* ---- signatures ---- */

/* The kind of key that an algorithm is for; KEY_NONE also for "none" and those with secrets. */
static enum key_kind kind_for(struct str alg) {
    static const struct {
        const char *alg;
        enum key_kind kind;
    } known[] = {
        {"RS256", KEY_RSA},  {"RS384", KEY_RSA},     {"RS512", KEY_RSA},  {"PS256", KEY_RSA},
        {"PS384", KEY_RSA},  {"PS512", KEY_RSA},     {"ES256", KEY_P256}, {"ES384", KEY_P384},
        {"ES512", KEY_P521}, {"EdDSA", KEY_ED25519},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (str_is(alg, known[i].alg))
            return known[i].kind;
    return KEY_NONE;
}

static bool verify_ed25519(const struct jwt_key *k, const struct jwt *token) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, k->ed25519) == 1 &&
              EVP_DigestVerify(context, (const unsigned char *)token->signature.data,
                               token->signature.len, (const unsigned char *)token->signed_part.data,
                               token->signed_part.len) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

/* Verification leaves its mark in the token, so each try has a token of its own. */
static bool verify_cjose(const struct jwt_key *k, const struct jwt *token) {
    cjose_err err;
    cjose_jws_t *jws = lib.import(token->compact.data, token->compact.len, &err);
    bool ok = jws != NULL && lib.verify(jws, k->jwk, &err);
    if (jws != NULL)
        lib.jws_release(jws);
    return ok;
}

bool jwt_keys_verify(const struct jwt_keys *keys, const struct jwt *token, bool by_id) {
    enum key_kind kind = kind_for(token->alg);
    if (!token->verifiable || kind == KEY_NONE)
        return false;
    bool ok = false;
    for (size_t i = 0; i < keys->count && !ok; i++) {
        const struct jwt_key *k = &keys->items[i];
        if (k->kind != kind ||
            (by_id && token->kid.len > 0 && !str_eq(token->kid, str_of(k->id, k->id_len))))
            continue;
        ok = kind == KEY_ED25519 ? verify_ed25519(k, token) : verify_cjose(k, token);
        ERR_clear_error();
    }
    return ok;
}
