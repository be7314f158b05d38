/* See auth_fetch.h. */
#include "server/auth_fetch.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/url_parts.h"

static bool exchange(struct auth_work *w, struct http_call *c, struct error *e) {
    int64_t left = w->deadline - time_now_monotonic();
    if (left <= 0)
        return http_call_fail(c, STR("context deadline exceeded"), e);
    c->time = left < AUTH_EXCHANGE_TIME ? left : AUTH_EXCHANGE_TIME;
    return http_call_possible(c, e) && http_call_run(c, e);
}

static bool is_redirect(long status) {
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

/* The answer of a GET is where its redirects end. */
static bool follow(struct auth_work *w, struct http_call *c, struct error *e) {
    for (int i = 0; is_redirect(c->status); i++) {
        if (c->location.len == 0)
            return http_call_fail(
                c, str_format(c->arena, "%ld response missing Location header", c->status), e);
        if (i + 1 == AUTH_REDIRECTS_MAX) {
            c->url = c->location;
            return http_call_fail(
                c, str_format(c->arena, "stopped after %d redirects", AUTH_REDIRECTS_MAX), e);
        }
        if (!url_valid(c->location, c->arena, e))
            return false;
        c->url = url_resolve(c->arena, c->url, c->location);
        if (!exchange(w, c, e))
            return false;
    }
    return true;
}

bool auth_fetch(struct auth_work *w, struct http_call *c, struct str ca_pem, bool *unread,
                struct error *e) {
    struct http_tls tls = {.ca_pem = ca_pem, .ca_file = str_from(getenv("SSL_CERT_FILE"))};
    c->tls = &tls;
    c->limit = AUTH_ANSWER_MAX;
    c->stop = &w->stop;
    if (unread != NULL)
        *unread = !url_valid(c->url, c->arena, e);
    bool ok = (unread != NULL ? !*unread : url_valid(c->url, c->arena, e)) && exchange(w, c, e) &&
              (strcmp(c->method, "GET") != 0 || follow(w, c, e));
    c->tls = NULL;
    return ok;
}

bool auth_json_fault(const struct http_call *c, struct error *e) {
    struct str rest = c->content_type, type = str_trim(str_cut(&rest, ';'));
    if (str_eq_fold(type, STR("application/json")))
        return error_prefix(
            e, "got Content-Type = application/json, but could not unmarshal as JSON: ");
    struct str shown = c->content_type.data != NULL ? c->content_type : STR("");
    return error_prefix(e, "expected Content-Type = application/json, got " STR_FMT ": ",
                        STR_ARG(str_quote(c->arena, shown)));
}

bool auth_ca_valid(struct str pem) {
    if (pem.len == 0 || pem.len > INT_MAX)
        return false;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    bool valid = certificate != NULL;
    X509_free(certificate);
    BIO_free(bio);
    ERR_clear_error();
    return valid;
}
