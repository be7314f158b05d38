/* See auth_jwt_token.h. */
#include "server/auth_jwt_token.h"

#include "base/buf.h"
#include "base/map.h"
#include "codec/base64.h"
#include "codec/json.h"

#define INVALID ERROR_INTERNAL

/* ---- JSON ---- */

const char *jwt_json_kind(const struct value *v) {
    switch (v->kind) {
    case VALUE_STRING:
        return "string";
    case VALUE_BOOL:
        return "bool";
    case VALUE_LIST:
        return "array";
    case VALUE_MAP:
        return "object";
    case VALUE_NULL:
        return "null";
    default:
        return "number";
    }
}

static bool keys_unique(const struct value *object, struct error *e) {
    struct map seen = MAP_INIT;
    bool unique = true;
    for (size_t i = 0; i < object->map.len && unique; i++) {
        struct value_pair *p = &object->map.pairs[i];
        unique = map_put(&seen, p->key, p) == NULL;
        if (!unique)
            error_set(e, INVALID, "json: duplicate key '" STR_FMT "' in object", STR_ARG(p->key));
    }
    map_free(&seen);
    return unique;
}

bool jwt_json_unique(const struct value *v, struct error *e) {
    if (v->kind == VALUE_LIST) {
        for (size_t i = 0; i < v->list.len; i++)
            if (!jwt_json_unique(&v->list.items[i], e))
                return false;
        return true;
    }
    if (v->kind != VALUE_MAP)
        return true;
    for (size_t i = 0; i < v->map.len; i++)
        if (!jwt_json_unique(&v->map.pairs[i].value, e))
            return false;
    return keys_unique(v, e);
}

const struct value *jwt_json_get(const struct value *object, const char *key) {
    const struct value *v = value_get(object, key);
    return v != NULL && v->kind != VALUE_NULL ? v : NULL;
}

static bool parse_object(struct str text, const char *type, struct value *out, struct arena *arena,
                         struct error *e) {
    if (!json_parse_whole(text, out, arena, e) || !jwt_json_unique(out, e)) {
        e->kind = INVALID;
        return false;
    }
    if (out->kind == VALUE_MAP || out->kind == VALUE_NULL)
        return true;
    return error_set(e, INVALID, "json: cannot unmarshal %s into Go value of type %s",
                     jwt_json_kind(out), type);
}

/* ---- the header ---- */

/* As the peer's library shows what it could not use. */
static bool header_text(const struct value *header, const char *key, const char *what,
                        struct str *out, struct arena *arena, struct error *e) {
    const struct value *v = jwt_json_get(header, key);
    *out = STR("");
    if (v == NULL)
        return true;
    if (v->kind == VALUE_STRING) {
        *out = str_copy(arena, v->string.len > 0 ? v->string : STR(""));
        return true;
    }
    struct buf raw = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &raw, false);
    json_value(&w, v);
    error_set(
        e, INVALID,
        "failed to unmarshal %s: json: cannot unmarshal %s into Go value of type string: " STR_FMT,
        what, jwt_json_kind(v), STR_ARG(str_quote(arena, buf_str(&raw))));
    buf_free(&raw);
    return false;
}

/* A header that the verifier must understand: "b64" is the only one that is, and only as it is
 * without it. */
static bool critical_understood(const struct value *header) {
    const struct value *crit = jwt_json_get(header, "crit");
    const struct value *b64 = jwt_json_get(header, "b64");
    if (b64 != NULL && !(b64->kind == VALUE_BOOL && b64->boolean))
        return false;
    if (crit == NULL)
        return true;
    if (crit->kind != VALUE_LIST)
        return false;
    for (size_t i = 0; i < crit->list.len; i++) {
        const struct value *item = &crit->list.items[i];
        if (item->kind != VALUE_STRING || !str_is(item->string, "b64"))
            return false;
    }
    return true;
}

static bool parse_header(struct str text, struct jwt *out, struct arena *arena, struct error *e) {
    struct value header = {.kind = VALUE_NULL};
    struct str nonce;
    out->alg = out->kid = STR("");
    if (text.len == 0) /* an absent one is as good as an empty one, which verifies nothing */
        return true;
    if (!parse_object(text, "jose.rawHeader", &header, arena, e) ||
        !header_text(&header, "alg", "algorithm", &out->alg, arena, e) ||
        !header_text(&header, "kid", "key ID", &out->kid, arena, e) ||
        !header_text(&header, "nonce", "nonce", &nonce, arena, e))
        return false;
    const struct value *jwk = jwt_json_get(&header, "jwk");
    if (jwk != NULL && jwk->kind != VALUE_MAP)
        return error_set(e, INVALID,
                         "failed to unmarshal JWK: json: cannot unmarshal %s into Go value of type "
                         "jose.rawJSONWebKey: " STR_FMT,
                         jwt_json_kind(jwk), STR_ARG(str_quote(arena, jwk->literal)));
    out->verifiable = critical_understood(&header);
    return true;
}

/* ---- the whole ---- */

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Blanks may stand anywhere. */
static struct str without_blanks(struct str s, struct arena *arena) {
    char *to = arena_alloc(arena, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        if (!is_blank(s.data[i]))
            to[n++] = s.data[i];
    to[n] = '\0';
    return str_of(to, n);
}

static bool parse_parts(struct str parts[3], struct jwt *out, struct arena *arena,
                        struct error *e) {
    struct str header;
    if (!base64url_decode(parts[0], &header, arena, e) ||
        !base64url_decode(parts[1], &out->payload, arena, e) ||
        !base64url_decode(parts[2], &out->signature, arena, e) ||
        !parse_header(header, out, arena, e))
        return false;
    out->compact = str_format(arena, STR_FMT "." STR_FMT "." STR_FMT, STR_ARG(parts[0]),
                              STR_ARG(parts[1]), STR_ARG(parts[2]));
    out->signed_part = str_sub(out->compact, 0, parts[0].len + 1 + parts[1].len);
    return true;
}

static struct str member_text(const struct value *object, const char *key) {
    const struct value *v = jwt_json_get(object, key);
    return v != NULL && v->kind == VALUE_STRING && v->string.data != NULL ? v->string : STR("");
}

/* {"payload":…,"protected":…,"signature":…}, or with a list of signatures, of which only one can be
 * verified. Unprotected headers count for nothing here. */
static bool parse_json_form(struct str text, struct jwt *out, struct arena *arena,
                            struct error *e) {
    struct value form;
    if (!parse_object(text, "jose.rawJSONWebSignature", &form, arena, e))
        return false;
    const struct value *from = &form, *signatures = jwt_json_get(&form, "signatures");
    if (jwt_json_get(&form, "payload") == NULL)
        return error_set(e, INVALID, "square/go-jose: missing payload in JWS message");
    bool single = true;
    if (signatures != NULL && signatures->kind == VALUE_LIST && signatures->list.len > 0) {
        from = &signatures->list.items[0];
        single = signatures->list.len == 1;
    }
    struct str parts[3] = {member_text(from, "protected"), member_text(&form, "payload"),
                           member_text(from, "signature")};
    bool ok = parse_parts(parts, out, arena, e);
    out->verifiable = out->verifiable && single;
    return ok;
}

bool jwt_parse(struct str bearer, struct jwt *out, struct arena *arena, struct error *e) {
    struct str text = without_blanks(bearer, arena), rest = text, parts[3];
    *out = (struct jwt){.compact = STR("")};
    if (text.len > 0 && text.data[0] == '{')
        return parse_json_form(text, out, arena, e);
    for (size_t i = 0; i < 3; i++)
        parts[i] = str_cut(&rest, '.');
    if (parts[2].data == NULL || rest.data != NULL)
        return error_set(e, INVALID, "square/go-jose: compact JWS format must have three parts");
    return parse_parts(parts, out, arena, e);
}
