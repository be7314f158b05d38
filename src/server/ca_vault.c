/* See ca_vault.h. */
#include "server/ca_vault.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"
#include "server/ca_body.h"

#define SHOWN_MAX 4096                    /* bytes of an answer that an error shows */
#define LEASE_MAX (100 * 365 * 24 * HOUR) /* what is longer counts as so long */

/* ---- answers ---- */

static struct str errors_of(const struct value *body, struct arena *arena) {
    const struct value *all = value_get(body, "errors");
    struct buf text = BUF_INIT;
    for (size_t i = 0; all != NULL && all->kind == VALUE_LIST && i < all->list.len; i++) {
        if (all->list.items[i].kind == VALUE_STRING) {
            buf_add_format(&text, "* " STR_FMT, STR_ARG(all->list.items[i].string));
        }
    }
    struct str out = text.len > 0 ? str_copy(arena, buf_str(&text)) : STR("");
    buf_free(&text);
    return out;
}

bool vault_check(const char *method, struct str url, long status, struct str body,
                 struct error *e) {
    if (status >= 200 && status < 400) {
        return true;
    }
    struct error unread = ERROR_IN(e->arena);
    struct value v;
    bool json = json_parse(body, &v, NULL, e->arena, &unread) && v.kind == VALUE_MAP;
    struct str shown = json ? errors_of(&v, e->arena) : body;
    return error_set(e, ERROR_INTERNAL,
                     "Error making API request.\n\nURL: %s " STR_FMT "\nCode: %ld. %s:\n\n" STR_FMT,
                     method, STR_ARG(url), status, json ? "Errors" : "Raw Message",
                     STR_ARG(str_sub(shown, 0, SHOWN_MAX)));
}

bool vault_secret(long status, struct str body, struct value *out, struct arena *arena,
                  struct error *e) {
    *out = (struct value){.kind = VALUE_NULL};
    if (status == 204 || status == 404 || json_parse(body, out, NULL, arena, e)) {
        return true;
    }
    e->kind = ERROR_INTERNAL; /* not the fault of whoever wants a certificate */
    return false;
}

const struct value *vault_data(const struct value *secret) {
    const struct value *data = value_get(secret, "data");
    return data != NULL && data->kind == VALUE_MAP ? data : NULL;
}

struct str vault_text(const struct value *data, const char *key) {
    const struct value *v = value_get(data, key);
    return v != NULL && v->kind == VALUE_STRING ? v->string : STR_NONE;
}

static const char *kind_name(const struct value *v) {
    switch (v->kind) {
    case VALUE_STRING:
        return "string";
    case VALUE_BOOL:
        return "bool";
    case VALUE_LIST:
        return "[]interface {}";
    case VALUE_MAP:
        return "map[string]interface {}";
    default:
        return "json.Number";
    }
}

static bool wrong_kind(const char *name, const char *wanted, const struct value *v,
                       struct error *e) {
    return error_set(e, ERROR_INTERNAL,
                     "1 error(s) decoding:\n\n* '%s' expected type '%s', got unconvertible type "
                     "'%s'",
                     name, wanted, kind_name(v));
}

/* Seconds as ns. */
static int64_t lease_of(const struct value *v) {
    double seconds = v != NULL && v->kind == VALUE_FLOAT ? v->number : 0;
    if (!(seconds > 0)) {
        return 0;
    }
    return seconds < (double)(LEASE_MAX / SECOND) ? (int64_t)seconds * SECOND : LEASE_MAX;
}

bool vault_token_lease(const struct value *secret, int64_t *lease, struct error *e) {
    const struct value *data = vault_data(secret);
    const struct value *renewable = value_get(data, "renewable"), *ttl = value_get(data, "ttl");
    *lease = 0;
    if (renewable != NULL && renewable->kind != VALUE_BOOL && renewable->kind != VALUE_NULL) {
        return wrong_kind("Renewable", "bool", renewable, e);
    }
    if (ttl != NULL && ttl->kind != VALUE_FLOAT && ttl->kind != VALUE_NULL) {
        return wrong_kind("TTL", "int", ttl, e);
    }
    if (renewable != NULL && renewable->kind == VALUE_BOOL && renewable->boolean) {
        *lease = lease_of(ttl);
    }
    return true;
}

int64_t vault_renewed_lease(const struct value *secret) {
    return lease_of(value_get(value_get(secret, "auth"), "lease_duration"));
}

/* ---- requests ---- */

static void put_ttl(struct value *map, const char *key, int64_t ttl, struct arena *arena) {
    body_put_text(map, key, duration_format(arena, ttl), arena);
}

struct str vault_mount_body(const char *description, struct str max_ttl, struct arena *arena) {
    struct value map = value_map(), config = value_map(), nothing = {.kind = VALUE_NULL};
    body_put(&config, "options", nothing, arena);
    body_put_text(&config, "default_lease_ttl", STR(""), arena);
    body_put_text(&config, "max_lease_ttl", max_ttl, arena);
    body_put_bool(&config, "force_no_cache", false, arena);
    body_put_text(&map, "type", STR("pki"), arena);
    body_put_text(&map, "description", str_from(description), arena);
    body_put(&map, "config", config, arena);
    body_put_bool(&map, "local", false, arena);
    body_put_bool(&map, "seal_wrap", false, arena);
    body_put_bool(&map, "external_entropy_access", false, arena);
    body_put(&map, "options", nothing, arena);
    return body_write(&map, arena);
}

struct str vault_role_body(int64_t leaf_ttl, struct arena *arena) {
    struct value map = value_map();
    body_put_bool(&map, "allow_any_name", true, arena);
    body_put_text(&map, "allowed_uri_sans", STR("spiffe://*"), arena);
    body_put_text(&map, "key_type", STR("any"), arena);
    put_ttl(&map, "max_ttl", leaf_ttl, arena);
    body_put_bool(&map, "no_store", true, arena);
    body_put_bool(&map, "require_cn", false, arena);
    return body_write(&map, arena);
}

struct str vault_generate_body(struct str common_name, struct str key_type, int64_t key_bits,
                               struct str uri, struct arena *arena) {
    struct value map = value_map();
    body_put_text(&map, "common_name", common_name, arena);
    body_put_number(&map, "key_bits", key_bits, arena);
    body_put_text(&map, "key_type", key_type, arena);
    body_put_text(&map, "uri_sans", uri, arena);
    return body_write(&map, arena);
}

struct str vault_intermediate_body(struct str csr, int64_t ttl, bool below, struct arena *arena) {
    struct value map = value_map();
    body_put_text(&map, "csr", csr, arena);
    body_put_text(&map, "format", STR("pem_bundle"), arena);
    if (below) {
        body_put_number(&map, "max_path_length", 0, arena);
    }
    put_ttl(&map, "ttl", ttl, arena);
    body_put_bool(&map, "use_csr_values", true, arena);
    return body_write(&map, arena);
}

struct str vault_leaf_body(struct str csr, int64_t ttl, struct arena *arena) {
    struct value map = value_map();
    body_put_text(&map, "csr", csr, arena);
    put_ttl(&map, "ttl", ttl, arena);
    return body_write(&map, arena);
}

struct str vault_certificate_body(struct str certificate, struct arena *arena) {
    struct value map = value_map();
    body_put_text(&map, "certificate", certificate, arena);
    return body_write(&map, arena);
}

struct str vault_renew_body(int64_t lease, struct arena *arena) {
    struct value map = value_map();
    body_put_number(&map, "increment", lease / SECOND, arena);
    return body_write(&map, arena);
}

/* ---- settings ---- */

struct str vault_mount(struct str path) {
    while (path.len > 0 && path.data[path.len - 1] == '/') {
        path = str_sub(path, 0, path.len - 1);
    }
    while (path.len > 0 && path.data[0] == '/') {
        path = str_sub(path, 1, path.len);
    }
    return path;
}

bool vault_token_check(struct str token, struct error *e) {
    for (size_t at = 0; at < token.len;) {
        uint32_t rune;
        size_t len = utf8_decode(token.data + at, token.len - at, &rune);
        at += len > 0 ? len : 1;
        if (len > 0 && !utf8_is_print(rune)) { /* what is no UTF-8 counts as a sign */
            return error_set(e, ERROR_INTERNAL,
                             "configured Vault token contains non-printable characters and cannot "
                             "be used");
        }
    }
    return true;
}
