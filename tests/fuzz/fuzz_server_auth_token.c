/* Bearer texts of any bytes against fixed keys: no crash, no leak, an error says something; and
 * nothing verifies but what was signed, which is one payload. What a token says is read in each of
 * the ways that there are, whether it verifies or not.
 *
 * The private keys were thrown away; the seeds hold what they signed.
 */
#include "base/mem.h"
#include "server/auth_jwt.h"

static const char key_set[] =
    "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"wgWilsEAn4Mk2IDMhoxkDcPyZxPaI8RJ1WkHcKFzY9-WUJ9cu"
    "9PMCp7m1IKCXWbMktCg924DgnC10qM2e5fUt9u_epxX4mP-JKfONhxSnT9wGNwpUM7nlY6T4saGU39O0"
    "MwSebaOitsQspTHYNWTYl6R5EpyYuyT20LFws9aov5rpHeaYUMrjCs7ozn87jK2aBSZMMrkhHj2nHXZM"
    "r9Ye9taO5Y60hlSevl_1e2pTzETvD-0crTbyxskLu92FdzxwdfNZn5Z8NFVBaWZ-be7Auq1XiVlXU_u4"
    "v5qxS99-j2knasS3F6lKOxPs_UykL1v-lC5pMMv5Ogw6wDq1_cBAw\", \"e\": \"AQAB\", \"kid\": \"k\"}"
    ", {\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"IS_IjzRF02A1KGMxvRQBvgW0GSndLrDZ3IoQSeyIkE"
    "c\", \"y\": \"s1sdkyQpvQXtxqhyVoSzVmFJZDfSrG53xHaNXK-1yyI\", \"kid\": \"k\"}, {\"kty\": \"OK"
    "P\", \"crv\": \"Ed25519\", \"x\": \"2YoFbBopt5WxsYmmgSA5xfE68T6jLu-MjlzC6PLc-Io\", \"kid\":"
    " \"k\"}]}";
static const char payload[] = "{\"iss\":\"fuzz\",\"aud\":[\"a\"],\"iat\":1700000000,\"exp\":"
                              "1700000300,\"name\":\"Web\",\"n\":7.5"
                              ",\"groups\":[\"a\",7,true],\"x\":{\"y\":[\"z\"]}}";

static void read_claims(const struct jwt *token, struct arena *arena) {
    struct str_pair texts[] = {{STR("name"), STR("name")}, {STR("/x/y/0"), STR("z")}};
    struct str_pair lists[] = {{STR("groups"), STR("groups")}};
    struct jwt_config config = {.claim_mappings = {texts, 2, true},
                                .list_claim_mappings = {lists, 1, true}};
    for (int strict = 0; strict < 2; strict++) {
        struct error e = ERROR_IN(arena);
        struct jwt_claims claims;
        struct auth_identity identity;
        bool ok = jwt_claims_parse(token->payload, strict, &claims, arena, &e) &&
                  jwt_claims_project(&claims, &config, &identity, arena, &e);
        ASSERT(ok == !error_is_set(&e));
        ASSERT(!ok || identity.variables.len == 2);
        if (ok)
            jwt_claims_check(&claims, &config, 1700000000 * SECOND, &e);
    }
    struct error e = ERROR_IN(arena);
    bool ok = jwt_id_token_check(token->payload, STR("fuzz"), 1700000000 * SECOND, arena, &e);
    ASSERT(ok == !error_is_set(&e));
    struct jwt_claims claims;
    error_clear(&e);
    ASSERT(!ok || jwt_id_token_claims(token->payload, &claims, arena, &e) || error_is_set(&e));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct jwt_keys *keys;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (keys == NULL) {
        keys = jwt_keys_new();
        ASSERT(jwt_keys_add_set(keys, STR(key_set), &arena, &e));
    }
    struct jwt token;
    if (!jwt_parse(str_of(data, size), &token, &arena, &e)) {
        ASSERT(e.text.len > 0);
    } else {
        ASSERT(!jwt_keys_verify(keys, &token, false) || str_is(token.payload, payload));
        jwt_keys_verify(keys, &token, true);
        read_claims(&token, &arena);
    }
    arena_free(&arena);
    return 0;
}
