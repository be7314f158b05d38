/* One connection's side of TLS. See tls.h. OpenSSL reads what was fed and writes into the output,
 * through a BIO of our own, so that no byte is copied between two of its buffers and no system call
 * is made here.
 */
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/trust.h"
#include "net/tls_room.h"

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *out, size_t max, size_t *len) {
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->input.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *len = max < s->input.len ? max : s->input.len;
    memcpy(out, s->input.data, *len);
    s->input.data += *len;
    s->input.len -= *len;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t len, size_t *written) {
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_add(&s->output, bytes, len);
    *written = len;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method(void) {
    static BIO_METHOD *_Atomic made;
    BIO_METHOD *m = atomic_load(&made);
    if (m != NULL)
        return m;
    m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "praetor");
    BIO_meth_set_read_ex(m, bio_read);
    BIO_meth_set_write_ex(m, bio_write);
    BIO_meth_set_ctrl(m, bio_control);
    BIO_METHOD *other = NULL;
    if (!atomic_compare_exchange_strong(&made, &other, m)) {
        BIO_meth_free(m);
        m = other;
    }
    return m;
}

/* ---- life ---- */

struct tls_session *tls_session_of(const SSL *ssl) {
    return SSL_get_app_data(ssl);
}

struct tls_session *tls_session_new(struct tls_config *c, enum tls_role role, struct str name) {
    struct tls_session *s = MEM_NEW(struct tls_session);
    s->config = tls_config_hold(c);
    s->ssl = SSL_new(tls_config_context(c, role));
    ASSERT(s->ssl != NULL);
    SSL_set_app_data(s->ssl, s);
    BIO *bio = BIO_new(bio_method());
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    if (role == TLS_SERVER || role == TLS_SERVER_VERIFY) {
        SSL_set_accept_state(s->ssl);
        return s;
    }
    SSL_set_connect_state(s->ssl);
    if (name.len > 0) {
        buf_add_str(&s->name, name);
        buf_add_char(&s->name, '\0');
        s->name.len--;
        SSL_set_tlsext_host_name(s->ssl, s->name.data);
    }
    return s;
}

void tls_session_free(struct tls_session *s) {
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    tls_config_release(s->config);
    buf_free(&s->output);
    buf_free(&s->name);
    mem_free(s);
}

void tls_offer(struct tls_session *s, struct str protocols) {
    s->offer = protocols;
}

void tls_propose(struct tls_session *s, struct str protocols) {
    int refused =
        SSL_set_alpn_protos(s->ssl, (const unsigned char *)protocols.data, (unsigned)protocols.len);
    ASSERT(refused == 0);
}

void tls_require(struct tls_session *s, tls_judge *judge, void *owner) {
    s->judge = judge;
    s->judge_owner = owner;
}

void tls_peer_identity(const struct tls_session *s, struct str *uri, struct str *serial,
                       struct arena *arena) {
    X509 *x = SSL_get0_peer_certificate(s->ssl);
    *uri = *serial = STR_NONE;
    if (x == NULL)
        return;
    *uri = tls_uri_of(x, arena);
    struct buf text = BUF_INIT;
    const ASN1_INTEGER *number = X509_get0_serialNumber(x);
    for (int i = 0; i < ASN1_STRING_length(number); i++)
        buf_add_format(&text, "%s%02x", i > 0 ? ":" : "", ASN1_STRING_get0_data(number)[i]);
    *serial = str_copy(arena, buf_str(&text));
    buf_free(&text);
}

/* ---- errors ---- */

/* What is wrong with the other side's bytes, as the peer words it. */
static const char *words_for(int reason) {
    static const struct {
        int reason;
        const char *words;
    } known[] = {
        {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "tls: client didn't provide a certificate"},
        {SSL_R_NO_SHARED_CIPHER, "tls: no cipher suite supported by both client and server"},
        {SSL_R_UNSUPPORTED_PROTOCOL, "tls: client offered only unsupported versions"},
        {SSL_R_WRONG_VERSION_NUMBER, "tls: first record does not look like a TLS handshake"},
        {SSL_R_HTTP_REQUEST, "tls: first record does not look like a TLS handshake"},
        {SSL_R_HTTPS_PROXY_REQUEST, "tls: first record does not look like a TLS handshake"},
        {SSL_R_PACKET_LENGTH_TOO_LONG, "tls: first record does not look like a TLS handshake"},
        {SSL_R_BAD_RECORD_TYPE, "tls: first record does not look like a TLS handshake"},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (reason == known[i].reason)
            return known[i].words;
    }
    return NULL;
}

static void say(struct tls_session *s, unsigned long code) {
    char spare[32];
    int reason = ERR_GET_REASON(code);
    const char *words = words_for(reason), *own = ERR_reason_error_string(code);
    if (code == 0)
        snprintf(s->error, sizeof s->error, "EOF");
    else if (reason >= SSL_AD_REASON_OFFSET) /* an alert of the other side's */
        snprintf(s->error, sizeof s->error, "remote error: %s",
                 trust_alert(reason - SSL_AD_REASON_OFFSET, spare));
    else if (words != NULL)
        snprintf(s->error, sizeof s->error, "%s", words);
    else
        snprintf(s->error, sizeof s->error, "tls: %s", own != NULL ? own : "failed");
}

static enum tls_result fail(struct tls_session *s) {
    unsigned long code = ERR_peek_error();
    s->failed = true;
    if (s->error[0] == '\0') /* else verification has said it already */
        say(s, code);
    ERR_clear_error();
    return TLS_FAILED;
}

static enum tls_result result_of(struct tls_session *s, int code) {
    switch (SSL_get_error(s->ssl, code)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    default:
        return fail(s);
    }
}

/* ---- bytes ---- */

void tls_feed(struct tls_session *s, struct str bytes) {
    ASSERT(s->input.len == 0);
    s->input = bytes;
}

struct str tls_take_input(struct tls_session *s) {
    struct str input = s->input;
    s->input = STR_NONE;
    return input;
}

enum tls_result tls_handshake(struct tls_session *s) {
    if (s->failed)
        return TLS_FAILED;
    ERR_clear_error();
    int code = SSL_do_handshake(s->ssl);
    return code == 1 ? TLS_OK : result_of(s, code);
}

enum tls_result tls_read(struct tls_session *s, void *out, size_t max, size_t *len) {
    *len = 0;
    if (s->failed)
        return TLS_FAILED;
    ERR_clear_error();
    int code = SSL_read_ex(s->ssl, out, max, len);
    return code == 1 ? TLS_OK : result_of(s, code);
}

bool tls_has_input(const struct tls_session *s) {
    return s->failed || s->input.len > 0 || SSL_has_pending(s->ssl) == 1;
}

enum tls_result tls_write(struct tls_session *s, const void *bytes, size_t len, size_t *taken) {
    *taken = 0;
    if (s->failed)
        return TLS_FAILED;
    ERR_clear_error();
    int code = SSL_write_ex(s->ssl, bytes, len, taken);
    return code == 1 ? TLS_OK : result_of(s, code);
}

void tls_end(struct tls_session *s) {
    bool said = (SSL_get_shutdown(s->ssl) & SSL_SENT_SHUTDOWN) != 0;
    if (!s->failed && !said && SSL_is_init_finished(s->ssl))
        SSL_shutdown(s->ssl);
    ERR_clear_error();
}

struct buf *tls_output(struct tls_session *s) {
    return &s->output;
}

bool tls_is_established(const struct tls_session *s) {
    return SSL_is_init_finished(s->ssl);
}

const char *tls_error(const struct tls_session *s) {
    return s->error;
}

struct str tls_protocol(const struct tls_session *s) {
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(s->ssl, &name, &len);
    return len > 0 ? str_of((const char *)name, len) : STR_NONE;
}

struct str tls_server_name(const struct tls_session *s) {
    const char *name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
    return name != NULL ? str_from(name) : STR_NONE;
}
