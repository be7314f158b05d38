/* See ca_vault_client.h. */
#include "server/ca_vault_client.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/trust.h"
#include "codec/url.h"
#include "codec/url_parts.h"
#include "net/files.h"
#include "server/ca_vault.h"

/* ---- TLS ---- */

static bool read_pair(const struct ca_vault_settings *s, struct tls_options *o, struct arena *arena,
                      struct error *e) {
    if (s->cert_file.len == 0 && s->key_file.len == 0) {
        return true;
    }
    if (s->cert_file.len == 0 || s->key_file.len == 0) {
        return error_set(e, ERROR_INTERNAL, "both client cert and client key must be provided");
    }
    return file_text(s->cert_file, &o->certificate, arena, e) &&
           file_text(s->key_file, &o->key, arena, e);
}

/* What the file says is nobody's business who may only configure. */
static bool is_authority(struct str text) {
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    X509 *x = trust_next(bio);
    BIO_free(bio);
    X509_free(x);
    return x != NULL;
}

static bool read_authority(struct str name, struct str *text, struct arena *arena,
                           struct error *e) {
    return file_text(name, text, arena, e) &&
           (is_authority(*text) ||
            error_set(e, ERROR_INTERNAL, "Couldn't parse PEM in: " STR_FMT, STR_ARG(name)));
}

/* One file, or all below a folder. */
static bool read_authorities(const struct ca_vault_settings *s, struct tls_pems *out,
                             struct arena *arena, struct error *e) {
    struct str one = s->ca_file, *names = &one;
    size_t count = one.len > 0 ? 1 : 0;
    if (count == 0 && s->ca_path.len > 0 && !files_below(s->ca_path, &names, &count, arena, e)) {
        return false;
    }
    struct str *texts = ARENA_ARRAY(arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!read_authority(names[i], &texts[i], arena, e)) {
            return error_prefix(e, "Error loading CA %s: ", one.len > 0 ? "File" : "Path");
        }
    }
    *out = (struct tls_pems){texts, count};
    return true;
}

static bool read_tls(const struct ca_vault_settings *s, struct tls_config **out,
                     struct arena *arena, struct error *e) {
    struct tls_options o = {0};
    if (!read_pair(s, &o, arena, e) || !read_authorities(s, &o.authorities, arena, e)) {
        return false;
    }
    if (o.certificate.data != NULL || o.authorities.len > 0) {
        *out = tls_config_new(&o, e);
        return *out != NULL;
    }
    return true;
}

bool vault_open(struct vault_client *c, const struct ca_vault_settings *settings,
                const atomic_bool *stop, struct arena *arena, struct error *e) {
    *c = (struct vault_client){.settings = settings, .stop = stop, .arena = arena};
    c->tls.server_name = settings->server_name;
    if (read_tls(settings, &c->tls.config, arena, e) && url_valid(settings->address, arena, e) &&
        vault_token_check(settings->token, e)) {
        return true;
    }
    e->kind = ERROR_INTERNAL; /* not the fault of whoever wants a certificate */
    vault_close(c);
    return false;
}

void vault_close(struct vault_client *c) {
    tls_config_release(c->tls.config);
    c->tls.config = NULL;
}

/* ---- requests ---- */

static struct str url_of(const struct vault_client *c, struct str path) {
    struct str base = c->settings->address;
    struct buf url = BUF_INIT;
    while (base.len > 0 && base.data[base.len - 1] == '/') {
        base = str_sub(base, 0, base.len - 1);
    }
    buf_add_str(&url, base);
    buf_add_text(&url, "/v1/");
    url_escape_path(&url, path);
    struct str text = str_copy(c->arena, buf_str(&url));
    buf_free(&url);
    return text;
}

static bool send_once(struct vault_client *c, struct http_call *h, struct error *e) {
    struct str url;
    if (!url_normal(h->url, &url, c->arena, e)) {
        return false;
    }
    h->url = url;
    return http_call_possible(h, e) && http_call_run(h, e);
}

static bool is_redirect(long status) {
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

/* A server that stands by names the one that is active; it is asked the same, once. */
static bool follow(struct vault_client *c, struct http_call *h, struct error *e) {
    if (!is_redirect(h->status) || h->location.len == 0) {
        return true;
    }
    struct str to = h->location;
    if (!url_valid(to, c->arena, e)) {
        return false;
    }
    to = url_resolve(c->arena, h->url, to);
    if (str_eq_fold(url_scheme(h->url), STR("https")) &&
        !str_eq_fold(url_scheme(to), STR("https"))) {
        return error_set(e, ERROR_INTERNAL, "redirect would cause protocol downgrade");
    }
    h->url = to;
    return send_once(c, h, e);
}

bool vault_exchange(struct vault_client *c, const char *method, struct str path, struct str body,
                    struct vault_reply *out, struct error *e) {
    struct http_call h = {.method = method,
                          .url = url_of(c, path),
                          .body = body,
                          .tls = &c->tls,
                          .skip_verify = c->settings->skip_verify,
                          .time = VAULT_TIME,
                          .limit = VAULT_ANSWER_MAX,
                          .stop = c->stop,
                          .arena = c->arena};
    h.headers[0] = str_format(c->arena, "X-Vault-Token: " STR_FMT, STR_ARG(c->settings->token));
    h.headers[1] = STR("X-Vault-Request: true");
    h.headers[2] = STR("Content-Type:"); /* none */
    if (!send_once(c, &h, e) || !follow(c, &h, e)) {
        e->kind = ERROR_INTERNAL; /* not the fault of whoever wants a certificate */
        return false;
    }
    *out = (struct vault_reply){method, h.url, h.status, h.answer};
    return true;
}

bool vault_ask(struct vault_client *c, const char *method, struct str path, struct str body,
               struct value *secret, struct error *e) {
    struct vault_reply r;
    if (!vault_exchange(c, method, path, body, &r, e)) {
        return false;
    }
    bool nothing = r.status == 404 && strcmp(method, "GET") == 0;
    return (nothing || vault_check(method, r.url, r.status, r.body, e)) &&
           vault_secret(r.status, r.body, secret, c->arena, e);
}
