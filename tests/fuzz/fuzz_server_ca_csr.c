/* Requests for certificates, and certificates, of any bytes, as PEM and as what PEM would hold: no
 * crash, no leak, an error says something; identities in them are read and written.
 */
#include <openssl/evp.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "server/ca_certificate.h"
#include "server/ca_name.h"

static bool has_slash(struct str part) {
    return str_find_char(part, '/') >= 0;
}

static void read_uris(const struct list *uris, struct arena *arena) {
    for (uint32_t i = 0; i < uris->len; i++) {
        struct error e = ERROR_IN(arena);
        struct spiffe_id id, again;
        if (!spiffe_parse(LIST_AT(*uris, struct str, i), &id, arena, &e)) {
            ASSERT(e.text.len > 0);
            continue;
        }
        spiffe_common_name(&id, arena);
        struct str text = spiffe_format(&id, arena);
        if (has_slash(id.namespace) || has_slash(id.datacenter) || has_slash(id.name)) {
            continue; /* such a part is not what it was (connect.md 3.1) */
        }
        bool ok = spiffe_parse(text, &again, arena, &e);
        ASSERT(ok && id.kind == again.kind && str_eq(id.name, again.name));
    }
}

static void try(struct str pem, struct arena *arena) {
    struct error e = ERROR_IN(arena), other = ERROR_IN(arena);
    struct ca_csr csr;
    struct ca_certificate_info info;
    if (ca_csr_read(pem, &csr, arena, &e)) {
        read_uris(&csr.names.uris, arena);
        ca_csr_free(&csr);
    } else {
        ASSERT(e.text.len > 0);
    }
    if (ca_certificate_read(pem, &info, arena, &other)) {
        read_uris(&info.names.uris, arena);
    } else {
        ASSERT(other.text.len > 0);
    }
}

static void try_der(struct str der, const char *type, struct arena *arena) {
    struct buf pem = BUF_INIT, text = BUF_INIT;
    base64_encode(&text, der);
    buf_add_format(&pem, "-----BEGIN %s-----\n", type);
    for (size_t at = 0; at < text.len; at += 64) {
        buf_add_str(&pem, str_sub(buf_str(&text), at, 64));
        buf_add_char(&pem, '\n');
    }
    buf_add_format(&pem, "-----END %s-----\n", type);
    try(buf_str(&pem), arena);
    buf_free(&pem);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct str bytes = str_of(data, size);
    struct ca_names names;
    if (size == 0) {
        return 0;
    }
    try(bytes, &arena);
    try_der(bytes, "CERTIFICATE REQUEST", &arena);
    try_der(bytes, "CERTIFICATE", &arena);
    if (ca_names_decode(bytes, &names, &arena)) {
        struct buf der = BUF_INIT;
        ca_names_encode(&der, &names);
        bool ok = ca_names_decode(buf_str(&der), &names, &arena);
        ASSERT(ok);
        buf_free(&der);
        read_uris(&names.uris, &arena);
    }
    struct list own = {&bytes, 1, true};
    read_uris(&own, &arena);
    arena_free(&arena);
    return 0;
}
