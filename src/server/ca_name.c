/* See ca_name.h. */
#include "server/ca_name.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"
#include "codec/url.h"
#include "codec/url_parts.h"

#define AGENT_NAME_MOST 43
#define SERVICE_NAME_MOST 36 /* beside the namespace "default" */
#define PROVIDER_MOST 32
#define DOMAIN_PART 8

/* ---- URIs ---- */

/* The next part of a path "/a/b": behind its slash, as it is written. Absent: there is none, or it
 * is empty. */
static struct str next_part(struct str *path) {
    if (path->len == 0 || path->data[0] != '/') {
        return STR_NONE;
    }
    size_t end = 1;
    while (end < path->len && path->data[end] != '/') {
        end++;
    }
    struct str part = str_sub(*path, 1, end - 1);
    *path = str_sub(*path, end, path->len);
    return part.len > 0 ? part : STR_NONE;
}

static bool take_part(struct str *path, struct str *out, struct arena *arena) {
    struct str part = next_part(path);
    return part.data != NULL && url_decode(part, false, arena, out);
}

static bool take_word(struct str *path, const char *word) {
    struct str part = next_part(path);
    return part.data != NULL && str_is(part, word);
}

static bool parse_service(struct str path, struct spiffe_id *out, struct arena *arena) {
    out->kind = SPIFFE_SERVICE;
    return take_word(&path, "ns") && take_part(&path, &out->namespace, arena) &&
           take_word(&path, "dc") && take_part(&path, &out->datacenter, arena) &&
           take_word(&path, "svc") && take_part(&path, &out->name, arena) && path.len == 0;
}

static bool parse_agent(struct str path, struct spiffe_id *out, struct arena *arena) {
    out->kind = SPIFFE_AGENT;
    out->namespace = STR("");
    return take_word(&path, "agent") && take_word(&path, "client") && take_word(&path, "dc") &&
           take_part(&path, &out->datacenter, arena) && take_word(&path, "id") &&
           take_part(&path, &out->name, arena) && path.len == 0;
}

bool spiffe_parse(struct str uri, struct spiffe_id *out, struct arena *arena, struct error *e) {
    *out = (struct spiffe_id){.namespace = STR(""), .datacenter = STR(""), .name = STR("")};
    if (!str_eq_fold(url_scheme(uri), STR("spiffe"))) {
        return error_set(e, ERROR_INTERNAL, "SPIFFE ID must have 'spiffe' scheme");
    }
    if (!url_valid(uri, arena, e)) {
        return false;
    }
    struct str path = url_path(uri);
    out->host = url_authority(uri);
    if (parse_service(path, out, arena) || parse_agent(path, out, arena)) {
        return true;
    }
    out->kind = SPIFFE_SIGNING;
    return (path.len == 0 && str_find_char(out->host, '.') > 0) ||
           error_set(e, ERROR_INTERNAL, "SPIFFE ID is not in the expected format: " STR_FMT,
                     STR_ARG(uri));
}

struct str spiffe_format(const struct spiffe_id *id, struct arena *arena) {
    struct buf out = BUF_INIT;
    buf_add_text(&out, "spiffe://");
    buf_add_str(&out, id->host);
    if (id->kind == SPIFFE_SERVICE) {
        buf_add_text(&out, "/ns/");
        url_escape_path(&out, id->namespace);
        buf_add_text(&out, "/dc/");
        url_escape_path(&out, id->datacenter);
        buf_add_text(&out, "/svc/");
        url_escape_path(&out, id->name);
    } else if (id->kind == SPIFFE_AGENT) {
        buf_add_text(&out, "/agent/client/dc/");
        url_escape_path(&out, id->datacenter);
        buf_add_text(&out, "/id/");
        url_escape_path(&out, id->name);
    }
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

/* ---- common names ---- */

/* Small letters and digits alone, at most so many. */
static struct str plain(struct str s, size_t most, struct arena *arena) {
    char *out = arena_alloc(arena, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len && n < most; i++) {
        char c = s.data[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            out[n++] = c;
        }
    }
    out[n] = '\0';
    return str_of(out, n);
}

struct str spiffe_common_name(const struct spiffe_id *id, struct arena *arena) {
    struct str domain = str_sub(id->host, 0, DOMAIN_PART);
    if (id->kind == SPIFFE_SERVICE) {
        struct str name = plain(id->name, id->name.len, arena);
        if (name.len + id->namespace.len > AGENT_NAME_MOST) {
            name = str_sub(name, 0, SERVICE_NAME_MOST);
        }
        return str_format(arena, STR_FMT ".svc." STR_FMT "." STR_FMT ".consul", STR_ARG(name),
                          STR_ARG(plain(id->namespace, 15, arena)), STR_ARG(domain));
    }
    if (id->kind == SPIFFE_AGENT) {
        return str_format(arena, STR_FMT ".agnt." STR_FMT ".consul",
                          STR_ARG(plain(id->name, AGENT_NAME_MOST, arena)), STR_ARG(domain));
    }
    return STR_NONE;
}

/* 64 random bits in base 36, at most 8 digits. */
static struct str random_id(struct arena *arena) {
    uint64_t n;
    char *out = arena_alloc(arena, 9);
    random_bytes(&n, sizeof(n));
    for (size_t i = 0; i < 8; i++, n /= 36) {
        out[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36];
    }
    out[8] = '\0';
    return str_of(out, 8);
}

struct str ca_common_name(bool primary, struct str provider, struct str cluster_id,
                          struct arena *arena) {
    return str_format(arena, "%s-" STR_FMT "." STR_FMT ".ca." STR_FMT ".consul",
                      primary ? "pri" : "sec", STR_ARG(random_id(arena)),
                      STR_ARG(plain(provider, PROVIDER_MOST, arena)),
                      STR_ARG(str_sub(cluster_id, 0, DOMAIN_PART)));
}

struct str ca_trust_domain(struct str cluster_id, struct arena *arena) {
    return str_lower(arena, str_format(arena, STR_FMT ".consul", STR_ARG(cluster_id)));
}
