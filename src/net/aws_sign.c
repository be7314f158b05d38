/* See aws_sign.h. */
#include "net/aws_sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"

#define DIGEST 32

static void digest(struct str text, unsigned char out[DIGEST]) {
    unsigned int len = DIGEST;
    ASSERT(EVP_Digest(text.len > 0 ? text.data : "", text.len, out, &len, EVP_sha256(), NULL) == 1);
}

static void hmac(const void *key, size_t key_len, struct str text, unsigned char out[DIGEST]) {
    unsigned int len = DIGEST;
    ASSERT(HMAC(EVP_sha256(), key, (int)key_len,
                (const unsigned char *)(text.len > 0 ? text.data : ""), text.len, out,
                &len) != NULL);
}

static void add_hex(struct buf *out, const unsigned char bytes[DIGEST]) {
    for (size_t i = 0; i < DIGEST; i++)
        buf_add_format(out, "%02x", bytes[i]);
}

static void add_digest(struct buf *out, struct str text) {
    unsigned char bytes[DIGEST];
    digest(text, bytes);
    add_hex(out, bytes);
}

static int by_name(const void *a, const void *b) {
    const struct aws_header *one = a, *other = b;
    return str_compare(one->name, other->name);
}

static size_t sorted_headers(const struct aws_request *r, struct aws_header *out) {
    size_t count = 0;
    out[count++] = (struct aws_header){STR("host"), r->host};
    out[count++] = (struct aws_header){STR("x-amz-date"), r->date};
    if (r->session_token.len > 0)
        out[count++] = (struct aws_header){STR("x-amz-security-token"), r->session_token};
    for (size_t i = 0; i < r->header_count; i++)
        out[count++] = r->headers[i];
    qsort(out, count, sizeof(*out), by_name);
    return count;
}

static void add_names(struct buf *out, const struct aws_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++)
        buf_add_format(out, "%s" STR_FMT, i > 0 ? ";" : "", STR_ARG(headers[i].name));
}

/* Without blanks at the ends, and with one for each run of them. */
static void add_value(struct buf *out, struct str value) {
    value = str_trim(value);
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] != ' ' || value.data[i - 1] != ' ')
            buf_add_char(out, value.data[i]);
}

static void add_canonical(struct buf *out, const struct aws_request *r,
                          const struct aws_header *headers, size_t count) {
    buf_add_format(out, "%s\n", r->method);
    buf_add_str(out, r->path.len > 0 ? r->path : STR("/"));
    buf_add_char(out, '\n');
    buf_add_str(out, r->query);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < count; i++) {
        buf_add_str(out, headers[i].name);
        buf_add_char(out, ':');
        add_value(out, headers[i].value);
        buf_add_char(out, '\n');
    }
    buf_add_char(out, '\n');
    add_names(out, headers, count);
    buf_add_char(out, '\n');
    add_digest(out, r->body);
}

static void signing_key(const struct aws_request *r, unsigned char key[DIGEST],
                        struct arena *arena) {
    struct str secret = str_format(arena, "AWS4" STR_FMT, STR_ARG(r->secret_key));
    hmac(secret.data, secret.len, str_sub(r->date, 0, 8), key);
    unsigned char next[DIGEST];
    hmac(key, DIGEST, r->region, next);
    hmac(next, DIGEST, r->service, key);
    hmac(key, DIGEST, STR("aws4_request"), next);
    memcpy(key, next, DIGEST);
}

struct str aws_sign(const struct aws_request *r, struct arena *arena) {
    struct aws_header headers[AWS_HEADERS_MAX + 3];
    ASSERT(r->header_count <= AWS_HEADERS_MAX);
    size_t count = sorted_headers(r, headers);
    struct buf canonical = BUF_INIT, text = BUF_INIT, out = BUF_INIT;
    unsigned char key[DIGEST], signature[DIGEST];
    struct str scope = str_format(arena, "%.8s/" STR_FMT "/" STR_FMT "/aws4_request", r->date.data,
                                  STR_ARG(r->region), STR_ARG(r->service));
    add_canonical(&canonical, r, headers, count);
    buf_add_format(&text, "AWS4-HMAC-SHA256\n" STR_FMT "\n" STR_FMT "\n", STR_ARG(r->date),
                   STR_ARG(scope));
    add_digest(&text, buf_str(&canonical));
    signing_key(r, key, arena);
    hmac(key, DIGEST, buf_str(&text), signature);
    buf_add_format(&out, "AWS4-HMAC-SHA256 Credential=" STR_FMT "/" STR_FMT ", SignedHeaders=",
                   STR_ARG(r->access_key), STR_ARG(scope));
    add_names(&out, headers, count);
    buf_add_text(&out, ", Signature=");
    add_hex(&out, signature);
    struct str result = str_copy(arena, buf_str(&out));
    buf_free(&canonical);
    buf_free(&text);
    buf_free(&out);
    return result;
}

struct str aws_date(int64_t wall, struct arena *arena) {
    time_t seconds = (time_t)(wall / SECOND);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    return str_format(arena, "%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                      tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
