/* Connections that libcurl makes, watched: see trust.h. libcurl tells in words of its own why a
 * handshake failed, without the names of the certificate; so it is OpenSSL that is asked, by
 * callbacks of the SSL_CTX that libcurl hands out.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "codec/trust.h"

struct trust_watch {
    atomic_uint references;
    struct buf name, fault;
};

struct trust_watch *trust_watch_new(struct str name) {
    struct trust_watch *w = MEM_NEW(struct trust_watch);
    atomic_init(&w->references, 1);
    buf_add_str(&w->name, name);
    return w;
}

void trust_watch_release(struct trust_watch *w) {
    if (w == NULL || atomic_fetch_sub_explicit(&w->references, 1, memory_order_acq_rel) != 1)
        return;
    buf_free(&w->name);
    buf_free(&w->fault);
    mem_free(w);
}

struct str trust_watch_fault(const struct trust_watch *w) {
    return w->fault.len > 0 ? buf_str(&w->fault) : STR_NONE;
}

void trust_watch_forget(struct trust_watch *w) {
    buf_clear(&w->fault);
}

/* ---- what OpenSSL calls ---- */

static int place = -1; /* of the watch in an SSL_CTX */
static pthread_once_t place_once = PTHREAD_ONCE_INIT;

static void context_freed(void *parent, void *watch, CRYPTO_EX_DATA *data, int index, long number,
                          void *pointer) {
    (void)parent;
    (void)data;
    (void)index;
    (void)number;
    (void)pointer;
    trust_watch_release(watch);
}

static void find_place(void) {
    place = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, context_freed);
}

static int judge(X509_STORE_CTX *ctx, void *owner) {
    struct trust_watch *w = owner;
    buf_clear(&w->fault);
    return trust_judge(ctx, TRUST_AS_SERVER, buf_str(&w->name), &w->fault);
}

static void note_alert(const SSL *ssl, int where, int value) {
    struct trust_watch *w = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), place);
    char spare[32];
    if (where != SSL_CB_READ_ALERT || (value >> 8) != SSL3_AL_FATAL || w == NULL)
        return;
    buf_clear(&w->fault);
    buf_add_format(&w->fault, "remote error: %s", trust_alert(value & 0xff, spare));
}

bool trust_watch_attach(struct trust_watch *w, SSL_CTX *ctx, bool verify) {
    pthread_once(&place_once, find_place);
    if (place < 0 || SSL_CTX_set_ex_data(ctx, place, w) != 1)
        return false;
    atomic_fetch_add_explicit(&w->references, 1, memory_order_relaxed);
    SSL_CTX_set_info_callback(ctx, note_alert);
    if (verify)
        SSL_CTX_set_cert_verify_callback(ctx, judge, w);
    return true;
}

/* ---- alerts ---- */

const char *trust_alert(int number, char spare[32]) {
    static const struct {
        int number;
        const char *text;
    } known[] = {
        {0, "tls: close notify"},
        {10, "tls: unexpected message"},
        {20, "tls: bad record MAC"},
        {21, "tls: decryption failed"},
        {22, "tls: record overflow"},
        {30, "tls: decompression failure"},
        {40, "tls: handshake failure"},
        {42, "tls: bad certificate"},
        {43, "tls: unsupported certificate"},
        {44, "tls: revoked certificate"},
        {45, "tls: expired certificate"},
        {46, "tls: unknown certificate"},
        {47, "tls: illegal parameter"},
        {48, "tls: unknown certificate authority"},
        {49, "tls: access denied"},
        {50, "tls: error decoding message"},
        {51, "tls: error decrypting message"},
        {70, "tls: protocol version not supported"},
        {71, "tls: insufficient security level"},
        {80, "tls: internal error"},
        {86, "tls: inappropriate fallback"},
        {90, "tls: user canceled"},
        {100, "tls: no renegotiation"},
        {109, "tls: missing extension"},
        {110, "tls: unsupported extension"},
        {112, "tls: unrecognized name"},
        {116, "tls: certificate required"},
        {120, "tls: no application protocol"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].number == number)
            return known[i].text;
    }
    snprintf(spare, 32, "tls: alert(%d)", number);
    return spare;
}
