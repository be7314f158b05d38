/* See ca_pca_client.h. AWS_ENDPOINT_URL_ACM_PCA or AWS_ENDPOINT_URL (as in Amazon's own tools) give
 * another address: private endpoints, and tests.
 */
#include "server/ca_pca_client.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"
#include "codec/url_parts.h"
#include "net/aws_sign.h"
#include "net/http_call.h"

#define TRIES 4
#define PAUSE (50 * MILLISECOND) /* before the second try; then twice as long each time */
#define PAUSE_SLOW (500 * MILLISECOND)
#define LOOK (50 * MILLISECOND)

static struct str env(const char *name) {
    struct str value = str_from(getenv(name));
    return value.len > 0 ? value : STR_NONE;
}

static struct str env_or(const char *name, const char *other) {
    struct str value = env(name);
    return value.data != NULL ? value : env(other);
}

static bool run(struct pca_client *c, struct http_call *h, struct error *e) {
    struct http_tls tls = {.ca_file = c->ca_file};
    h->tls = &tls;
    h->limit = PCA_ANSWER_MAX;
    h->stop = c->stop;
    h->arena = c->arena;
    return http_call_possible(h, e) && http_call_run(h, e);
}

static bool fetch(struct aws_web *w, struct aws_fetch *f, struct error *e) {
    struct pca_client *c = CONTAINER_OF(w, struct pca_client, web);
    struct http_call h = {.method = f->method, .url = f->url, .body = f->body, .time = f->time};
    h.headers[0] = f->headers[0];
    bool ok = run(c, &h, e);
    f->status = h.status;
    f->answer = h.answer;
    return ok;
}

static struct str endpoint_of(const struct pca_client *c) {
    struct str url = env_or("AWS_ENDPOINT_URL_ACM_PCA", "AWS_ENDPOINT_URL");
    if (url.data != NULL) {
        while (str_has_suffix(url, STR("/"))) {
            url.len--;
        }
        return str_format(c->arena, STR_FMT "/", STR_ARG(url));
    }
    return str_format(c->arena, "https://acm-pca." STR_FMT ".amazonaws.com%s/", STR_ARG(c->region),
                      str_has_prefix(c->region, STR("cn-")) ? ".cn" : "");
}

bool pca_open(struct pca_client *c, const atomic_bool *stop, struct arena *arena, struct error *e) {
    *c = (struct pca_client){.web = {fetch, arena},
                             .stop = stop,
                             .arena = arena,
                             .region = env_or("AWS_REGION", "AWS_DEFAULT_REGION"),
                             .ca_file = env_or("AWS_CA_BUNDLE", "SSL_CERT_FILE")};
    if (c->region.data == NULL) {
        return error_set(e, ERROR_INTERNAL, "MissingRegion: could not find region configuration");
    }
    c->url = endpoint_of(c);
    if (!aws_credentials_find(&c->web, &c->credentials, e)) {
        e->kind = ERROR_INTERNAL; /* not the fault of whoever wants a certificate */
        return false;
    }
    return url_valid(c->url, arena, e);
}

static void sign(struct pca_client *c, struct http_call *h, const char *action) {
    struct str target = str_format(c->arena, "ACMPrivateCA.%s", action);
    struct str path = url_path(h->url);
    struct aws_request r = {.method = h->method,
                            .path = path.len > 0 ? path : STR("/"),
                            .query = STR(""),
                            .host = url_authority(h->url),
                            .body = h->body,
                            .date = aws_date(time_now_wall(), c->arena),
                            .region = c->region,
                            .service = STR("acm-pca"),
                            .access_key = c->credentials.access_key,
                            .secret_key = c->credentials.secret_key,
                            .session_token = c->credentials.session_token,
                            .headers = {{STR("content-type"), STR("application/x-amz-json-1.1")},
                                        {STR("x-amz-target"), target}},
                            .header_count = 2};
    struct str signature = aws_sign(&r, c->arena);
    size_t n = 0;
    h->headers[n++] = STR("Content-Type: application/x-amz-json-1.1");
    h->headers[n++] = str_format(c->arena, "X-Amz-Target: " STR_FMT, STR_ARG(target));
    h->headers[n++] = str_format(c->arena, "X-Amz-Date: " STR_FMT, STR_ARG(r.date));
    h->headers[n++] = str_format(c->arena, "Authorization: " STR_FMT, STR_ARG(signature));
    if (r.session_token.len > 0) {
        h->headers[n++] =
            str_format(c->arena, "X-Amz-Security-Token: " STR_FMT, STR_ARG(r.session_token));
    }
}

bool pca_pause(struct pca_client *c, int64_t time, struct error *e) {
    int64_t until = time_now_monotonic() + time;
    for (;;) {
        int64_t left = until - time_now_monotonic();
        if (atomic_load(c->stop)) {
            return error_set(e, ERROR_IO, "context canceled");
        }
        if (left <= 0) {
            return true;
        }
        left = left < LOOK ? left : LOOK;
        struct timespec t = {.tv_sec = left / SECOND, .tv_nsec = left % SECOND};
        nanosleep(&t, NULL);
    }
}

static bool read_answer(struct pca_client *c, const struct http_call *h, struct value *answer,
                        struct error *e) {
    if (json_parse_whole(h->answer, answer, c->arena, e)) {
        return true;
    }
    e->kind = ERROR_INTERNAL;
    return error_prefix(e, "SerializationError: failed decoding JSON RPC response\ncaused by: ");
}

bool pca_ask(struct pca_client *c, const char *action, struct str body, struct value *answer,
             struct pca_fault *fault, struct error *e) {
    for (int64_t i = 0;; i++) {
        struct http_call h = {.method = "POST", .url = c->url, .body = body, .time = PCA_TIME};
        sign(c, &h, action);
        error_clear(e);
        *fault = (struct pca_fault){.kind = STR(""), .passes = true};
        bool sent = run(c, &h, e);
        if (sent && h.status == 200) {
            return read_answer(c, &h, answer, e);
        }
        if (sent) {
            pca_fault_read(h.status, h.answer, fault, c->arena, e);
        } else {
            e->kind = ERROR_INTERNAL;
            error_prefix(e, "RequestError: send request failed\ncaused by: ");
        }
        struct error off = ERROR_IN(c->arena);
        int64_t wait = (fault->slows ? PAUSE_SLOW : PAUSE) << i;
        if (!fault->passes || i + 1 == TRIES || !pca_pause(c, wait, &off)) {
            return false;
        }
    }
}
