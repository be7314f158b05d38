/* Claims read and checked; what they give is auth_jwt_project.c's. See auth_jwt_claims.h. */
#include "server/auth_jwt_claims.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/number.h"
#include "server/auth_jwt_token.h"

#define DEFAULT_LEEWAY 150 /* s, of expiry and not-before */
#define DEFAULT_SKEW (60 * SECOND)
#define ID_TOKEN_LEEWAY 60 /* s before not-before */

static bool invalid(struct error *e, const char *text) {
    return error_set(e, ERROR_INTERNAL, "%s", text);
}

static bool parse_payload(struct str payload, struct value *out, struct arena *arena,
                          struct error *e) {
    bool ok = json_parse_whole(payload, out, arena, e);
    if (!ok)
        e->kind = ERROR_INTERNAL;
    return ok;
}

/* ---- one claim ---- */

static bool wrong_field(const struct value *v, const char *field, const char *type,
                        struct error *e) {
    return error_set(e, ERROR_INTERNAL,
                     "json: cannot unmarshal %s into Go struct field %s of type %s",
                     jwt_json_kind(v), field, type);
}

static bool text_claim(const struct value *v, const char *field, struct str *out, struct error *e) {
    if (v->kind == VALUE_NULL)
        return true;
    if (v->kind != VALUE_STRING)
        return wrong_field(v, field, "string", e);
    *out = v->string.data != NULL ? v->string : STR("");
    return true;
}

static bool is_number(const struct value *v) {
    return v->kind == VALUE_FLOAT || v->kind == VALUE_INT || v->kind == VALUE_UINT;
}

static int64_t number_of(const struct value *v) {
    return v->kind == VALUE_INT    ? v->integer
           : v->kind == VALUE_UINT ? (int64_t)v->uinteger
                                   : number_i64_of(v->number);
}

static bool date_claim(const struct value *v, int64_t *out, struct error *e) {
    if (v->kind == VALUE_NULL)
        return true;
    if (!is_number(v))
        return invalid(e, "square/go-jose/jwt: expected number value to unmarshal NumericDate");
    *out = number_of(v);
    return true;
}

static bool audience_claim(const struct value *v, struct list *out, struct arena *arena,
                           struct error *e) {
    const struct value *items = v;
    size_t count = 1;
    if (v->kind == VALUE_LIST) {
        items = v->list.items;
        count = v->list.len;
    }
    *out = LIST_NEW(arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind != VALUE_STRING)
            return invalid(
                e, "square/go-jose/jwt: expected string or array value to unmarshal to Audience");
        LIST_AT(*out, struct str, i) = items[i].string.data != NULL ? items[i].string : STR("");
    }
    return true;
}

static bool known_claim(struct str name, const struct value *v, struct jwt_claims *out,
                        struct arena *arena, struct error *e) {
    struct str ignored;
    if (str_is(name, "iss"))
        return text_claim(v, "Claims.iss", &out->issuer, e);
    if (str_is(name, "sub"))
        return text_claim(v, "Claims.sub", &ignored, e);
    if (str_is(name, "jti"))
        return text_claim(v, "Claims.jti", &ignored, e);
    if (str_is(name, "aud"))
        return audience_claim(v, &out->audience, arena, e);
    int64_t *date = str_is(name, "exp")   ? &out->expiry
                    : str_is(name, "nbf") ? &out->not_before
                    : str_is(name, "iat") ? &out->issued_at
                                          : NULL;
    return date == NULL || date_claim(v, date, e);
}

bool jwt_claims_parse(struct str payload, bool strict, struct jwt_claims *out, struct arena *arena,
                      struct error *e) {
    *out = (struct jwt_claims){.issuer = STR("")};
    if (!parse_payload(payload, &out->all, arena, e) || (strict && !jwt_json_unique(&out->all, e)))
        return false;
    if (out->all.kind == VALUE_NULL)
        return true;
    if (out->all.kind != VALUE_MAP)
        return error_set(e, ERROR_INTERNAL,
                         "json: cannot unmarshal %s into Go value of type jwt.Claims",
                         jwt_json_kind(&out->all));
    for (size_t i = 0; i < out->all.map.len; i++) {
        struct value_pair *p = &out->all.map.pairs[i];
        struct str name = strict ? p->key : str_lower(arena, p->key);
        if (!known_claim(name, &p->value, out, arena, e))
            return false;
    }
    return true;
}

/* ---- checks ---- */

/* A leeway of the configuration in whole seconds. */
static int64_t leeway(int64_t ns) {
    return ns < 0 ? 0 : ns == 0 ? DEFAULT_LEEWAY : ns / SECOND;
}

static int64_t add(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? INT64_MAX : INT64_MIN) : sum;
}

/* Whether `now` (ns) is later than a date (s). */
static bool is_after(int64_t now, int64_t date) {
    int64_t seconds = now / SECOND, rest = now % SECOND;
    if (rest < 0) {
        seconds--;
        rest += SECOND;
    }
    return seconds > date || (seconds == date && rest > 0);
}

static bool is_before(int64_t now, int64_t date) {
    return !is_after(now, date) && !(now % SECOND == 0 && now / SECOND == date);
}

static bool fill_dates(struct jwt_claims *c, const struct jwt_config *config, struct error *e) {
    if (c->issued_at == 0 && c->expiry == 0 && c->not_before == 0)
        return invalid(e, "no issue time, notbefore, or expiration time encoded in token");
    if (c->expiry == 0) {
        int64_t start = c->not_before > c->issued_at ? c->not_before : c->issued_at;
        c->expiry = add(start, leeway(config->expiration_leeway));
    }
    if (c->not_before == 0)
        c->not_before =
            c->issued_at != 0 ? c->issued_at : add(c->expiry, -leeway(config->not_before_leeway));
    return true;
}

bool jwt_claims_check(struct jwt_claims *c, const struct jwt_config *config, int64_t now_wall,
                      struct error *e) {
    if (!fill_dates(c, config, e))
        return false;
    int64_t skew = config->clock_skew_leeway;
    skew = skew < 0 ? 0 : skew == 0 ? DEFAULT_SKEW : skew;
    if (config->bound_issuer.len > 0 && !str_eq(c->issuer, config->bound_issuer))
        return invalid(e, "error validating claims: square/go-jose/jwt: validation failed, invalid "
                          "issuer claim (iss)");
    if (is_before(add(now_wall, skew), c->not_before))
        return invalid(e, "error validating claims: square/go-jose/jwt: validation failed, token "
                          "not valid yet (nbf)");
    if (is_after(add(now_wall, -skew), c->expiry))
        return invalid(e, "error validating claims: square/go-jose/jwt: validation failed, token "
                          "is expired (exp)");
    if (c->issued_at != 0 && is_before(add(now_wall, skew), c->issued_at))
        return invalid(e, "error validating claims: square/go-jose/jwt: validation field, token "
                          "issued in the future (iat)");
    return true;
}

bool jwt_claims_check_audience(const struct jwt_claims *c, const struct jwt_config *config,
                               bool must_be_bound, struct error *e) {
    const struct list *bound = &config->bound_audiences;
    if (bound->len == 0)
        return !must_be_bound || c->audience.len == 0 ||
               invalid(e, "error validating claims: audience claim found in JWT but no audiences "
                          "are bound");
    for (uint32_t i = 0; i < c->audience.len; i++)
        if (str_list_has(bound, LIST_AT(c->audience, struct str, i)))
            return true;
    return invalid(e, "error validating claims: aud claim does not match any bound audience");
}

/* ---- ID tokens ---- */

struct id_token {
    struct str issuer;
    int64_t expiry, not_before; /* s */
    bool has_expiry, has_not_before;
    const struct value *claim_names, *claim_sources;
};

/* A number, or a text that is one. */
static bool id_token_date(const struct value *v, int64_t *out, struct error *e) {
    if (v->kind == VALUE_NULL)
        return invalid(e, "strconv.ParseFloat: parsing \"\": invalid syntax");
    if (is_number(v)) {
        *out = number_of(v);
        return true;
    }
    if (v->kind != VALUE_STRING)
        return error_set(e, ERROR_INTERNAL,
                         "json: cannot unmarshal %s into Go value of type json.Number",
                         jwt_json_kind(v));
    struct arena scratch = ARENA_INIT;
    struct error wrong = ERROR_IN(&scratch);
    struct value number;
    bool ok = json_parse_whole(v->string, &number, &scratch, &wrong) && is_number(&number) &&
              str_eq(number.literal, v->string);
    if (ok)
        *out = number_of(&number);
    arena_free(&scratch);
    if (ok)
        return true;
    struct str quoted = str_quote(e->arena, v->string);
    return error_set(e, ERROR_INTERNAL,
                     "json: invalid number literal, trying to unmarshal " STR_FMT " into Number",
                     STR_ARG(str_quote(e->arena, quoted)));
}

static bool id_token_audience(const struct value *v, struct error *e) {
    if (v->kind == VALUE_STRING || v->kind == VALUE_NULL)
        return true;
    if (v->kind != VALUE_LIST)
        return wrong_field(v, "idToken.aud", "[]string", e);
    for (size_t i = 0; i < v->list.len; i++)
        if (v->list.items[i].kind != VALUE_STRING && v->list.items[i].kind != VALUE_NULL)
            return wrong_field(&v->list.items[i], "idToken.aud", "string", e);
    return true;
}

static bool id_token_claim(struct str name, const struct value *v, struct id_token *t,
                           struct error *e) {
    struct str ignored;
    int64_t date;
    if (str_is(name, "iss"))
        return text_claim(v, "idToken.iss", &t->issuer, e);
    if (str_is(name, "sub"))
        return text_claim(v, "idToken.sub", &ignored, e);
    if (str_is(name, "nonce"))
        return text_claim(v, "idToken.nonce", &ignored, e);
    if (str_is(name, "at_hash"))
        return text_claim(v, "idToken.at_hash", &ignored, e);
    if (str_is(name, "aud"))
        return id_token_audience(v, e);
    if (str_is(name, "iat"))
        return id_token_date(v, &date, e);
    if (str_is(name, "exp"))
        return (t->has_expiry = id_token_date(v, &t->expiry, e));
    if (str_is(name, "nbf") && v->kind != VALUE_NULL)
        return (t->has_not_before = id_token_date(v, &t->not_before, e));
    bool names = str_is(name, "_claim_names");
    if ((names || str_is(name, "_claim_sources")) && v->kind != VALUE_NULL) {
        if (v->kind != VALUE_MAP)
            return names
                       ? wrong_field(v, "idToken._claim_names", "map[string]string", e)
                       : wrong_field(v, "idToken._claim_sources", "map[string]oidc.claimSource", e);
        *(names ? &t->claim_names : &t->claim_sources) = v;
    }
    return true;
}

static bool id_token_parse(struct str payload, struct id_token *t, struct arena *arena,
                           struct error *e) {
    struct value *all = ARENA_NEW(arena, struct value);
    *t = (struct id_token){.issuer = STR("")};
    if (!parse_payload(payload, all, arena, e))
        return false;
    if (all->kind != VALUE_MAP && all->kind != VALUE_NULL)
        return error_set(e, ERROR_INTERNAL,
                         "json: cannot unmarshal %s into Go value of type oidc.idToken",
                         jwt_json_kind(all));
    for (size_t i = 0; all->kind == VALUE_MAP && i < all->map.len; i++) {
        struct value_pair *p = &all->map.pairs[i];
        if (!id_token_claim(str_lower(arena, p->key), &p->value, t, e))
            return false;
    }
    return true;
}

/* Each claim that is elsewhere must say where. */
static bool id_token_sources(const struct id_token *t, struct arena *arena, struct error *e) {
    for (size_t i = 0; t->claim_names != NULL && i < t->claim_names->map.len; i++) {
        const struct value *source = &t->claim_names->map.pairs[i].value;
        if (source->kind != VALUE_STRING)
            return wrong_field(source, "idToken._claim_names", "string", e);
        if (t->claim_sources == NULL ||
            value_get(t->claim_sources, str_terminated(arena, source->string)) == NULL)
            return invalid(e, "oidc: source does not exist");
    }
    return true;
}

/* "2026-11-23 09:33:44 +0000 UTC"; with decimals when ns has any. No date at all is the year 1. */
static struct str date_text(struct arena *arena, int64_t seconds, int64_t ns) {
    time_t t = (time_t)seconds;
    struct tm tm;
    char text[64], decimals[16] = "";
    if (gmtime_r(&t, &tm) == NULL)
        return str_format(arena, "%lld", (long long)seconds);
    size_t len = strftime(text, sizeof(text), "-%m-%d %H:%M:%S", &tm);
    if (ns != 0) {
        int n = snprintf(decimals, sizeof(decimals), ".%09lld", (long long)ns);
        while (n > 0 && decimals[n - 1] == '0')
            decimals[--n] = '\0';
    }
    return str_format(arena, "%04lld%.*s%s +0000 UTC", (long long)tm.tm_year + 1900, (int)len, text,
                      decimals);
}

bool jwt_id_token_check(struct str payload, struct str issuer, int64_t now_wall,
                        struct arena *arena, struct error *e) {
    struct id_token t;
    if (!id_token_parse(payload, &t, arena, e))
        return error_prefix(e, "oidc: failed to unmarshal claims: ");
    if (!id_token_sources(&t, arena, e))
        return false;
    if (!str_eq(t.issuer, issuer))
        return error_set(e, ERROR_INTERNAL,
                         "oidc: id token issued by a different provider, expected " STR_FMT
                         " got " STR_FMT,
                         STR_ARG(str_quote(arena, issuer)), STR_ARG(str_quote(arena, t.issuer)));
    int64_t expiry = t.has_expiry ? t.expiry : -TIMESTAMP_UNIX_EPOCH;
    if (is_after(now_wall, expiry))
        return error_set(e, ERROR_INTERNAL, "oidc: token is expired (Token Expiry: " STR_FMT ")",
                         STR_ARG(date_text(arena, expiry, 0)));
    if (t.has_not_before && is_before(add(now_wall, ID_TOKEN_LEEWAY * SECOND), t.not_before))
        return error_set(e, ERROR_INTERNAL,
                         "oidc: current time " STR_FMT
                         " before the nbf (not before) time: " STR_FMT,
                         STR_ARG(date_text(arena, now_wall / SECOND, now_wall % SECOND)),
                         STR_ARG(date_text(arena, t.not_before, 0)));
    return true;
}

bool jwt_id_token_claims(struct str payload, struct jwt_claims *out, struct arena *arena,
                         struct error *e) {
    *out = (struct jwt_claims){.issuer = STR("")};
    if (!parse_payload(payload, &out->all, arena, e))
        return false;
    for (size_t i = 0; out->all.kind == VALUE_MAP && i < out->all.map.len; i++) {
        const struct value_pair *p = &out->all.map.pairs[i];
        if (str_eq_fold(p->key, STR("aud")) && p->value.kind != VALUE_NULL &&
            !audience_claim(&p->value, &out->audience, arena, e))
            return false;
    }
    return true;
}
