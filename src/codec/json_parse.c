/* JSON text to a value tree. The grammar is RFC 8259; what a text that breaks it is told is the
 * peer's wording (http-core.md 5.3), which names the character and what the parser was looking for.
 * Strings without escapes are views into the text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"

struct parser {
    const char *start;
    const char *at;
    const char *end;
    bool whole; /* errors at the end of the text are worded as for a text that is known in full */
    struct arena *arena;
    struct error *e;
    struct buf stack; /* members of the containers that are still open */
};

static bool parse_value(struct parser *p, struct value *out, int depth);

static void skip_blanks(struct parser *p) {
    while (p->at < p->end &&
           (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')) {
        p->at++;
    }
}

/* The peer takes the byte for a code point and quotes it as its language does. */
static bool bad_character(struct parser *p, unsigned char c, const char *context) {
    char quoted[16];
    if (c == '\'') {
        strcpy(quoted, "\\'");
    } else if (c == '"') {
        strcpy(quoted, "\"");
    } else {
        char utf8[4];
        struct str q = str_quote(p->arena, str_of(utf8, utf8_encode(utf8, c)));
        ASSERT(q.len >= 2 && q.len - 2 < sizeof(quoted));
        memcpy(quoted, q.data + 1, q.len - 2);
        quoted[q.len - 2] = 0;
    }
    return error_set(p->e, ERROR_BAD_REQUEST, "invalid character '%s' %s", quoted, context);
}

static bool only_blanks(const struct parser *p) {
    struct parser probe = *p;
    probe.at = p->start;
    skip_blanks(&probe);
    return probe.at == p->end;
}

/* The next byte does not fit, or there is none. in_token: the text ends inside a number, a literal
 * or an escape; a text known in full is then read as if a blank followed. */
static bool fail(struct parser *p, const char *context, bool in_token) {
    if (p->at < p->end) {
        return bad_character(p, (unsigned char)*p->at, context);
    }
    if (!p->whole) {
        return error_set(p->e, ERROR_BAD_REQUEST, only_blanks(p) ? "EOF" : "unexpected EOF");
    }
    if (in_token) {
        return bad_character(p, ' ', context);
    }
    return error_set(p->e, ERROR_BAD_REQUEST, "unexpected end of JSON input");
}

static bool parse_literal(struct parser *p, const char *word) {
    for (size_t i = 1; word[i] != 0; i++) {
        p->at++;
        if (p->at == p->end || *p->at != word[i]) {
            char context[64];
            snprintf(context, sizeof(context), "in literal %s (expecting '%c')", word, word[i]);
            return fail(p, context, true);
        }
    }
    p->at++;
    return true;
}

static bool is_digit(const struct parser *p) {
    return p->at < p->end && *p->at >= '0' && *p->at <= '9';
}

static void skip_digits(struct parser *p) {
    while (is_digit(p)) {
        p->at++;
    }
}

/* strtod needs a terminator; the program never leaves the "C" locale for numbers. */
static double number_value(struct parser *p, struct str literal) {
    if (literal.len <= 15) {
        int64_t n;
        if (literal.data[0] != '-' && str_to_i64(literal, &n)) {
            return (double)n;
        }
    }
    char local[64];
    char *text = local;
    if (literal.len < sizeof(local)) {
        memcpy(local, literal.data, literal.len);
        local[literal.len] = 0;
    } else {
        text = str_terminated(p->arena, literal);
    }
    return strtod(text, NULL);
}

static bool parse_number(struct parser *p, struct value *out) {
    const char *from = p->at;
    if (*p->at == '-') {
        p->at++;
        if (!is_digit(p)) {
            return fail(p, "in numeric literal", true);
        }
    }
    if (*p->at == '0') {
        p->at++;
    } else {
        skip_digits(p);
    }
    if (p->at < p->end && *p->at == '.') {
        p->at++;
        if (!is_digit(p)) {
            return fail(p, "after decimal point in numeric literal", true);
        }
        skip_digits(p);
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-')) {
            p->at++;
        }
        if (!is_digit(p)) {
            return fail(p, "in exponent of numeric literal", true);
        }
        skip_digits(p);
    }
    out->kind = VALUE_FLOAT;
    out->number = number_value(p, str_of(from, (size_t)(p->at - from)));
    return true;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* p->at is behind the backslash. */
static bool check_escape(struct parser *p) {
    if (p->at == p->end || strchr("bfnrt\\/\"u", *p->at) == NULL || *p->at == 0) {
        return fail(p, "in string escape code", true);
    }
    if (*p->at++ != 'u') {
        return true;
    }
    for (int i = 0; i < 4; i++, p->at++) {
        if (p->at == p->end || hex_value(*p->at) < 0) {
            return fail(p, "in \\u hexadecimal character escape", true);
        }
    }
    return true;
}

/* The end of a string whose opening quote is behind p->at: *plain is false when it holds escapes or
 * bytes that are no UTF-8. */
static bool scan_string(struct parser *p, bool *plain) {
    *plain = true;
    for (;;) {
        if (p->at == p->end) {
            return fail(p, "in string literal", false);
        }
        unsigned char c = (unsigned char)*p->at;
        if (c == '"') {
            return true;
        }
        if (c == '\\') {
            *plain = false;
            p->at++;
            if (!check_escape(p)) {
                return false;
            }
        } else if (c < 0x20) {
            return fail(p, "in string literal", false);
        } else if (c < 0x80) {
            p->at++;
        } else {
            size_t size = utf8_decode(p->at, (size_t)(p->end - p->at), NULL);
            *plain = *plain && size != 0;
            p->at += size != 0 ? size : 1;
        }
    }
}

static uint32_t four_hex(const char *at) {
    uint32_t n = 0;
    for (int i = 0; i < 4; i++) {
        n = n << 4 | (uint32_t)hex_value(at[i]);
    }
    return n;
}

#define REPLACEMENT 0xfffdu

/* at: the "uXXXX" behind a backslash; moves behind the escape, or behind both of a surrogate pair.
 */
static uint32_t unescape_rune(const char **at, const char *end) {
    uint32_t rune = four_hex(*at + 1);
    *at += 5;
    if (rune < 0xd800 || rune > 0xdfff) {
        return rune;
    }
    if (rune < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        uint32_t low = four_hex(*at + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *at += 6;
            return 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return REPLACEMENT;
}

/* The text between the quotes, already checked. An invalid byte becomes three. */
static struct str unescape(struct parser *p, struct str raw) {
    static const char from[] = "bfnrt";
    static const char to_char[] = "\b\f\n\r\t";
    char *to = arena_alloc(p->arena, raw.len * 3 + 1);
    size_t n = 0;
    const char *end = raw.data + raw.len;
    for (const char *at = raw.data; at < end;) {
        if (*at == '\\') {
            at++;
            if (*at == 'u') {
                n += utf8_encode(to + n, unescape_rune(&at, end));
                continue;
            }
            const char *known = strchr(from, *at);
            to[n++] = known != NULL ? to_char[known - from] : *at;
            at++;
            continue;
        }
        size_t size = (unsigned char)*at < 0x80 ? 1 : utf8_decode(at, (size_t)(end - at), NULL);
        if (size == 0) {
            n += utf8_encode(to + n, REPLACEMENT);
            at++;
            continue;
        }
        memcpy(to + n, at, size);
        n += size;
        at += size;
    }
    to[n] = 0;
    return str_of(to, n);
}

static bool parse_string(struct parser *p, struct str *out) {
    const char *from = ++p->at;
    bool plain;
    if (!scan_string(p, &plain)) {
        return false;
    }
    struct str raw = str_of(from, (size_t)(p->at - from));
    p->at++;
    *out = plain ? raw : unescape(p, raw);
    return true;
}

/* Takes what a container has put on the stack since `base` into the arena. */
static void *pop_members(struct parser *p, size_t base) {
    void *members = arena_copy(p->arena, p->stack.len > base ? p->stack.data + base : NULL,
                               p->stack.len - base);
    p->stack.len = base;
    return members;
}

static bool parse_array(struct parser *p, struct value *out, int depth) {
    size_t base = p->stack.len;
    p->at++;
    skip_blanks(p);
    out->kind = VALUE_LIST;
    if (p->at < p->end && *p->at == ']') {
        p->at++;
        out->list.items = NULL;
        out->list.len = 0;
        return true;
    }
    for (;;) {
        struct value item = {0};
        if (!parse_value(p, &item, depth + 1)) {
            return false;
        }
        buf_add(&p->stack, &item, sizeof(item));
        skip_blanks(p);
        if (p->at == p->end || (*p->at != ',' && *p->at != ']')) {
            return fail(p, "after array element", false);
        }
        if (*p->at++ == ']') {
            break;
        }
    }
    out->list.len = (p->stack.len - base) / sizeof(struct value);
    out->list.items = pop_members(p, base);
    return true;
}

static bool parse_pair(struct parser *p, struct value_pair *pair, int depth) {
    skip_blanks(p);
    if (p->at == p->end || *p->at != '"') {
        return fail(p, "looking for beginning of object key string", false);
    }
    if (!parse_string(p, &pair->key)) {
        return false;
    }
    skip_blanks(p);
    if (p->at == p->end || *p->at != ':') {
        return fail(p, "after object key", false);
    }
    p->at++;
    return parse_value(p, &pair->value, depth + 1);
}

static bool parse_object(struct parser *p, struct value *out, int depth) {
    size_t base = p->stack.len;
    p->at++;
    skip_blanks(p);
    out->kind = VALUE_MAP;
    if (p->at < p->end && *p->at == '}') {
        p->at++;
        out->map.pairs = NULL;
        out->map.len = 0;
        return true;
    }
    for (;;) {
        struct value_pair pair = {0};
        if (!parse_pair(p, &pair, depth)) {
            return false;
        }
        buf_add(&p->stack, &pair, sizeof(pair));
        skip_blanks(p);
        if (p->at == p->end || (*p->at != ',' && *p->at != '}')) {
            return fail(p, "after object key:value pair", false);
        }
        if (*p->at++ == '}') {
            break;
        }
    }
    out->map.len = (p->stack.len - base) / sizeof(struct value_pair);
    out->map.pairs = pop_members(p, base);
    return true;
}

static bool parse_kind(struct parser *p, struct value *out, int depth) {
    char c = p->at < p->end ? *p->at : 0;
    switch (c) {
    case '{':
        return parse_object(p, out, depth);
    case '[':
        return parse_array(p, out, depth);
    case '"':
        out->kind = VALUE_STRING;
        return parse_string(p, &out->string);
    case 't':
        out->kind = VALUE_BOOL;
        out->boolean = true;
        return parse_literal(p, "true");
    case 'f':
        out->kind = VALUE_BOOL;
        return parse_literal(p, "false");
    case 'n':
        return parse_literal(p, "null");
    default:
        if (c == '-' || (c >= '0' && c <= '9')) {
            return parse_number(p, out);
        }
        return fail(p, "looking for beginning of value", false);
    }
}

static bool parse_value(struct parser *p, struct value *out, int depth) {
    if (depth > JSON_MAX_DEPTH) {
        return error_set(p->e, ERROR_BAD_REQUEST, "exceeded max depth");
    }
    skip_blanks(p);
    const char *from = p->at;
    *out = (struct value){.kind = VALUE_NULL, .position = (size_t)(from - p->start)};
    if (!parse_kind(p, out, depth)) {
        return false;
    }
    out->literal = str_of(from, (size_t)(p->at - from));
    return true;
}

static struct parser parser_for(struct str text, bool whole, struct arena *arena, struct error *e) {
    const char *data = text.data != NULL ? text.data : "";
    return (struct parser){
        .start = data, .at = data, .end = data + text.len, .whole = whole, .arena = arena, .e = e};
}

bool json_parse(struct str text, struct value *out, size_t *end, struct arena *arena,
                struct error *e) {
    struct parser p = parser_for(text, false, arena, e);
    bool ok = parse_value(&p, out, 1);
    buf_free(&p.stack);
    if (ok && end != NULL) {
        *end = (size_t)(p.at - p.start);
    }
    return ok;
}

bool json_parse_whole(struct str text, struct value *out, struct arena *arena, struct error *e) {
    struct parser p = parser_for(text, true, arena, e);
    bool ok = parse_value(&p, out, 1);
    buf_free(&p.stack);
    if (!ok) {
        return false;
    }
    skip_blanks(&p);
    return p.at == p.end || fail(&p, "after top-level value", false);
}
