/* Answers of Vault, of any bytes: no crash, an error says something and not much, what is read of
 * them is what a body can be made of again. The first two bytes are the status.
 */
#include <stdint.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"
#include "server/ca_vault.h"

static void read_back(struct str text, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct value v;
    struct str body = vault_leaf_body(text, HOUR, arena);
    bool ok = json_parse_whole(body, &v, arena, &e);
    ASSERT(ok && vault_text(&v, "csr").data != NULL);
}

static void read_secret(const struct value *secret, struct arena *arena) {
    static const char *const keys[] = {"csr", "certificate", "issuing_ca"};
    struct error e = ERROR_IN(arena);
    int64_t lease = 0;
    if (vault_token_lease(secret, &lease, &e)) {
        ASSERT(lease >= 0);
    } else {
        ASSERT(e.text.len > 0);
    }
    ASSERT(vault_renewed_lease(secret) >= 0);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct str text = vault_text(vault_data(secret), keys[i]);
        if (text.data != NULL) {
            read_back(text, arena);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena), other = ERROR_IN(&arena);
    struct value secret;
    if (size < 2) {
        return 0;
    }
    long status = data[0] << 8 | data[1];
    struct str body = str_of(data + 2, size - 2);
    if (!vault_check("PUT", STR("http://v/v1/x"), status, body, &e)) {
        ASSERT(e.text.len > 0 && e.text.len < 8192);
    }
    if (vault_secret(status, body, &secret, &arena, &other)) {
        read_secret(&secret, &arena);
    } else {
        ASSERT(other.text.len > 0);
    }
    if (vault_token_check(body, &other)) {
        ASSERT(vault_mount(body).len <= body.len);
    }
    arena_free(&arena);
    return 0;
}
