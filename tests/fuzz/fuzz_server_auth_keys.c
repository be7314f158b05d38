/* Key sets as a provider may send them, and PEM texts as an operator may write them: no crash, no
 * leak, an error says something; and whatever keys they give do not verify what none of them can
 * have signed.
 */
#include "base/mem.h"
#include "server/auth_jwt_keys.h"

/* Signatures of the right lengths for RSA with 2048 bits, P-256 and Ed25519, of zeros. */
static void try_all(const struct jwt_keys *keys, struct arena *arena) {
    static const char *const algs[] = {"RS256", "PS512", "ES256", "EdDSA", "HS256", "none"};
    static const size_t sizes[] = {256, 256, 64, 64, 32, 0};
    for (size_t i = 0; i < COUNT_OF(algs); i++) {
        struct jwt token = {
            .compact = STR("e30.e30.AAAA"),
            .signed_part = STR("e30.e30"),
            .payload = STR("{}"),
            .signature = str_of(arena_zalloc(arena, 1, 256), sizes[i]),
            .alg = str_from(algs[i]),
            .kid = STR("k"),
            .verifiable = true,
        };
        bool verified = jwt_keys_verify(keys, &token, i % 2 == 0);
        ASSERT(!verified || str_is(token.alg, "EdDSA")); /* keys of small order verify zeros */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct jwt_keys *keys = jwt_keys_new();
    ASSERT(jwt_keys_add_set(keys, str_of(data, size), &arena, &e) || e.text.len > 0);
    error_clear(&e);
    size_t count = jwt_keys_count(keys);
    bool ok = jwt_keys_add_pem(keys, str_of(data, size), &e);
    ASSERT(ok || e.text.len > 0);
    ASSERT(jwt_keys_count(keys) == count + ok);
    try_all(keys, &arena);
    ASSERT(jwt_asn1_fault(str_of(data, size), &arena).len > 0);
    jwt_keys_release(keys);
    arena_free(&arena);
    return 0;
}
