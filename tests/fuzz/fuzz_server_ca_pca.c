/* Answers of Amazon's private CA, of any bytes: no crash, an error says something and not much, and
 * what is read of them is what a request can be made of. The first two bytes are the status.
 */
#include <stdint.h>

#include "base/mem.h"
#include "codec/json.h"
#include "server/ca_pca.h"

static void read_back(struct str text, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    const struct pca_wish wish = {.common_name = text, .key_type = text, .datacenter = text};
    const struct str bodies[] = {
        pca_issue_body(text, text, "EndEntityCertificate", pca_days((int64_t)text.len),
                       pca_algorithm(text), arena),
        pca_get_body(text, text, arena), pca_import_body(text, text, text, arena),
        pca_create_body(&wish, arena)};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct value v;
        bool ok = json_parse_whole(bodies[i], &v, arena, &e);
        ASSERT(ok && v.kind == VALUE_MAP);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const keys[] = {"Csr", "Certificate", "CertificateArn"};
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena), ignored = ERROR_IN(&arena);
    struct pca_fault fault;
    struct value v;
    if (size < 2) {
        return 0;
    }
    long status = data[0] << 8 | data[1];
    struct str body = str_of(data + 2, size - 2);
    pca_fault_read(status, body, &fault, &arena, &e);
    ASSERT(e.text.len > 0 && fault.kind.data != NULL && (fault.passes || !fault.slows));
    if (json_parse_whole(body, &v, &arena, &ignored)) {
        ASSERT(pca_status(&v).data != NULL);
        pca_signs_with(&v);
        for (size_t i = 0; i < COUNT_OF(keys); i++) {
            struct str text = pca_text(&v, keys[i]);
            if (text.data != NULL) {
                read_back(text, &arena);
            }
        }
    }
    arena_free(&arena);
    return 0;
}
