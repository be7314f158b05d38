/* What ClaimMappings and ListClaimMappings make of claims (acl.md 15.3). A claim is a name, or a
 * JSON pointer (RFC 6901) when it begins with "/". What is not there, or null, is left out.
 */
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <wctype.h>

#include "base/mem.h"
#include "codec/number.h"
#include "server/auth_jwt_claims.h"
#include "server/auth_jwt_token.h"

/* ---- small letters ---- */

static locale_t utf8_locale;
static pthread_once_t utf8_once = PTHREAD_ONCE_INIT;

static void open_locale(void) {
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

struct str auth_lower(struct str s, struct arena *arena) {
    pthread_once(&utf8_once, open_locale);
    struct buf out = BUF_INIT;
    for (size_t at = 0; at < s.len;) {
        uint32_t rune = 0;
        size_t len = utf8_decode(s.data + at, s.len - at, &rune);
        if (len == 0) {
            rune = 0xfffd;
            len = 1;
        } else if (rune < 0x80) {
            rune = rune >= 'A' && rune <= 'Z' ? rune | 0x20 : rune;
        } else if (utf8_locale != (locale_t)0) {
            rune = (uint32_t)towlower_l((wint_t)rune, utf8_locale);
        }
        char utf8[4];
        buf_add(&out, utf8, utf8_encode(utf8, rune));
        at += len;
    }
    struct str lower = out.len > 0 ? str_copy(arena, buf_str(&out)) : STR("");
    buf_free(&out);
    return lower;
}

/* ---- pointers ---- */

/* "~1" is "/", then "~0" is "~". */
static struct str unescape(struct str part, struct arena *arena) {
    char *to = arena_alloc(arena, part.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < part.len; i++) {
        char next = i + 1 < part.len ? part.data[i + 1] : '\0';
        bool escaped = part.data[i] == '~' && (next == '0' || next == '1');
        to[n++] = !escaped ? part.data[i] : next == '0' ? '~' : '/';
        i += escaped;
    }
    to[n] = '\0';
    return str_of(to, n);
}

static const struct value *element(const struct value *list, struct str part) {
    int64_t at;
    if (!str_to_i64(part, &at) || at < 0 || (uint64_t)at >= list->list.len)
        return NULL;
    return &list->list.items[at];
}

static const struct value *find_claim(const struct value *all, struct str name,
                                      struct arena *arena) {
    const struct value *v = all;
    if (name.len == 0 || name.data[0] != '/') {
        v = value_find(all, name);
    } else {
        struct str rest = str_sub(name, 1, name.len);
        while (v != NULL && rest.data != NULL) {
            struct str part = unescape(str_cut(&rest, '/'), arena);
            v = v->kind == VALUE_LIST ? element(v, part) : value_find(v, part);
        }
    }
    return v != NULL && v->kind != VALUE_NULL ? v : NULL;
}

/* ---- values as texts ---- */

/* Numbers lose what is behind the point. Absent: it is none of text, boolean and number. */
static struct str scalar_text(const struct value *v, struct arena *arena) {
    switch (v->kind) {
    case VALUE_STRING:
        return v->string.data != NULL ? v->string : STR("");
    case VALUE_BOOL:
        return v->boolean ? STR("true") : STR("false");
    case VALUE_FLOAT:
        return str_format(arena, "%lld", (long long)number_i64_of(v->number));
    default:
        return STR_NONE;
    }
}

/* The fewest digits that say which number it is; in powers of ten outside of 1e-4 to 1e6. */
static void print_number(struct buf *out, double n) {
    char text[40];
    int precision = 0;
    do
        snprintf(text, sizeof(text), "%.*e", precision, n);
    while (strtod(text, NULL) != n && ++precision < 17);
    long exponent = strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent >= -4 && exponent < 6)
        buf_add_format(out, "%.*f", exponent < precision ? precision - (int)exponent : 0, n);
    else
        buf_add_text(out, text);
}

/* As the peer's language prints what it knows nothing of: "map[a:1 b:[x <nil>]]". */
static void print_value(struct buf *out, const struct value *v) {
    const struct value_pair **pairs;
    size_t count;
    switch (v->kind) {
    case VALUE_NULL:
        buf_add_text(out, "<nil>");
        break;
    case VALUE_BOOL:
        buf_add_text(out, v->boolean ? "true" : "false");
        break;
    case VALUE_STRING:
        buf_add_str(out, v->string);
        break;
    case VALUE_LIST:
        buf_add_char(out, '[');
        for (size_t i = 0; i < v->list.len; i++) {
            buf_add_text(out, i > 0 ? " " : "");
            print_value(out, &v->list.items[i]);
        }
        buf_add_char(out, ']');
        break;
    case VALUE_MAP:
        buf_add_text(out, "map[");
        count = value_sorted_pairs(v, &pairs);
        for (size_t i = 0; i < count; i++) {
            buf_add_text(out, i > 0 ? " " : "");
            buf_add_str(out, pairs[i]->key);
            buf_add_char(out, ':');
            print_value(out, &pairs[i]->value);
        }
        mem_free(pairs);
        buf_add_char(out, ']');
        break;
    default:
        print_number(out, v->number);
    }
}

/* ---- the mappings ---- */

static bool project_text(const struct value *v, struct str claim, struct str *out,
                         struct arena *arena, struct error *e) {
    *out = scalar_text(v, arena);
    return out->data != NULL ||
           error_set(e, ERROR_INTERNAL,
                     "error converting claim '" STR_FMT "' to string from unknown type %s",
                     STR_ARG(claim),
                     v->kind == VALUE_LIST ? "[]interface {}" : "map[string]interface {}");
}

static bool project_list(const struct value *v, struct str claim, struct list *out,
                         struct arena *arena, struct error *e) {
    struct str shown = str_quote(arena, claim);
    const struct value *items = v;
    size_t count = 1;
    if (v->kind == VALUE_LIST) {
        items = v->list.items;
        count = v->list.len;
    } else if (v->kind == VALUE_MAP) {
        return error_set(e, ERROR_INTERNAL,
                         STR_FMT " list claim could not be converted to string list",
                         STR_ARG(shown));
    }
    *out = LIST_NEW(arena, struct str, count);
    out->len = 0;
    for (size_t i = 0; i < count; i++) {
        struct str text = scalar_text(&items[i], arena);
        if (text.data == NULL) {
            struct buf b = BUF_INIT;
            print_value(&b, &items[i]);
            error_set(e, ERROR_INTERNAL,
                      "value " STR_FMT " in " STR_FMT " list claim could not be parsed as string",
                      STR_ARG(buf_str(&b)), STR_ARG(shown));
            buf_free(&b);
            return false;
        }
        if (text.len > 0)
            LIST_AT(*out, struct str, out->len++) = text;
    }
    return true;
}

/* Each variable of the mappings, empty where the claim is missing. */
static void add_variables(const struct list *mappings, struct auth_identity *out,
                          struct arena *arena) {
    out->variables = LIST_NEW(arena, struct str_pair, mappings->len);
    for (uint32_t i = 0; i < mappings->len; i++) {
        struct str target = LIST_AT(*mappings, struct str_pair, i).value;
        const struct str *value = str_map_get(&out->value, target);
        LIST_AT(out->variables, struct str_pair, i) = (struct str_pair){
            str_format(arena, "value." STR_FMT, STR_ARG(target)),
            value != NULL ? auth_lower(*value, arena) : STR(""),
        };
    }
    map_sort(&out->variables, sizeof(struct str_pair), arena);
}

bool jwt_claims_project(const struct jwt_claims *c, const struct jwt_config *config,
                        struct auth_identity *out, struct arena *arena, struct error *e) {
    const struct list *texts = &config->claim_mappings, *lists = &config->list_claim_mappings;
    *out = (struct auth_identity){.type = STR("jwt")};
    out->value = LIST_NEW(arena, struct str_pair, texts->len);
    out->list = LIST_NEW(arena, struct list_pair, lists->len);
    out->value.len = out->list.len = 0;
    for (uint32_t i = 0; i < texts->len; i++) {
        const struct str_pair *m = &LIST_AT(*texts, struct str_pair, i);
        const struct value *v = find_claim(&c->all, m->key, arena);
        struct str_pair *to = &LIST_AT(out->value, struct str_pair, out->value.len);
        to->key = m->value;
        if (v == NULL)
            continue;
        if (!project_text(v, m->key, &to->value, arena, e))
            return false;
        out->value.len++;
    }
    for (uint32_t i = 0; i < lists->len; i++) {
        const struct str_pair *m = &LIST_AT(*lists, struct str_pair, i);
        const struct value *v = find_claim(&c->all, m->key, arena);
        struct list_pair *to = &LIST_AT(out->list, struct list_pair, out->list.len);
        to->key = m->value;
        if (v == NULL)
            continue;
        if (!project_list(v, m->key, &to->value, arena, e))
            return false;
        out->list.len++;
    }
    map_sort(&out->value, sizeof(struct str_pair), arena);
    map_sort(&out->list, sizeof(struct list_pair), arena);
    add_variables(texts, out, arena);
    return true;
}
