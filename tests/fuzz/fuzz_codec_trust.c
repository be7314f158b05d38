/* Certificates of any bytes, one behind the other: the first is judged with the second as its
 * authority and the rest between them. No crash, no leak; who is refused is told why.
 */
#include <openssl/err.h>
#include <stdint.h>

#include "base/mem.h"
#include "codec/trust.h"

static void judge(STACK_OF(X509) * all, enum trust_use use, struct str name) {
    X509_STORE *anchors = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    struct buf text = BUF_INIT;
    if (sk_X509_num(all) > 1)
        X509_STORE_add_cert(anchors, sk_X509_value(all, 1));
    X509_STORE_CTX_init(ctx, anchors, sk_X509_value(all, 0), all);
    bool good = trust_judge(ctx, use, name, &text);
    ASSERT(good == (text.len == 0));
    buf_free(&text);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(anchors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    STACK_OF(X509) *all = sk_X509_new_null();
    const unsigned char *at = data;
    for (X509 *x; sk_X509_num(all) < 4 && at < data + size &&
                  (x = d2i_X509(NULL, &at, (long)(data + size - at))) != NULL;)
        sk_X509_push(all, x);
    ERR_clear_error();
    if (sk_X509_num(all) > 0) {
        judge(all, TRUST_AS_SERVER, STR("server.dc1.consul"));
        judge(all, TRUST_AS_SERVER, STR("127.0.0.1"));
        judge(all, TRUST_AS_CLIENT, STR_NONE);
    }
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return 0;
}
