/* The tokens of HCL 1 (config.md 1.5.1). Errors do not stop the scanner: they are noted, since the
 * peer reports the last one that it met before its parser gave up.
 */
#include "codec/hcl_syntax.h"

#include "base/mem.h"

#define RUNE_NONE UINT32_MAX /* end of input */
#define RUNE_BAD 0xFFFDu

void hcl_scan_init(struct hcl_scanner *s, struct str text, struct arena *arena) {
    *s = (struct hcl_scanner){.text = text, .arena = arena};
}

static void scan_error(struct hcl_scanner *s, const char *message, size_t position) {
    s->error = message;
    s->error_position = position;
}

/* The next character without taking it; *len is its length in bytes. */
static uint32_t peek(const struct hcl_scanner *s, size_t *len) {
    *len = 0;
    if (s->at >= s->text.len)
        return RUNE_NONE;
    uint32_t rune = 0;
    *len = utf8_decode(s->text.data + s->at, s->text.len - s->at, &rune);
    if (*len == 0) {
        *len = 1;
        return RUNE_BAD;
    }
    return rune;
}

/* Where an error at the end of the text is told, and one column later from then on; or at a NUL. */
static size_t end_position(struct hcl_scanner *s) {
    if (s->at > 0 && s->text.data[s->at - 1] == '\0')
        return s->at - 1;
    return s->text.len + s->past++;
}

/* Something was looked for behind a token, in vain and `times` times. */
static void looked_past(struct hcl_scanner *s, size_t times) {
    if (s->at >= s->text.len)
        s->past += times;
}

/* Takes a character, but at the end. Bad encodings and NUL are errors wherever they stand; NUL ends
 * what is being read. */
static uint32_t next(struct hcl_scanner *s) {
    size_t len;
    size_t position = s->at;
    uint32_t rune = peek(s, &len);
    s->at += len;
    if (rune == RUNE_BAD && len == 1)
        scan_error(s, "illegal UTF-8 encoding", position);
    if (rune == 0) {
        scan_error(s, "unexpected null character (0x00)", position);
        return RUNE_NONE;
    }
    if (rune == 0xE123)
        scan_error(s, "unicode code point U+E123 reserved for internal use", position);
    return rune;
}

/* The peer sees that a word or a number has ended by the character behind it, and notes what is
 * wrong with that. */
static void look_behind_token(struct hcl_scanner *s) {
    size_t at = s->at;
    next(s);
    s->at = at;
}

static bool is_digit(uint32_t r) {
    return r >= '0' && r <= '9';
}
static bool is_hex(uint32_t r) {
    return is_digit(r) || (r >= 'a' && r <= 'f') || (r >= 'A' && r <= 'F');
}
/* Letters and digits beyond ASCII: every printable character that is not punctuation is near
 * enough; keys of the configuration are ASCII, others only end up in an error text or a free map.
 */
static bool is_letter(uint32_t r) {
    return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || r == '_' ||
           (r >= 0x80 && r != RUNE_NONE && r != RUNE_BAD && r != 0xFEFF && utf8_is_print(r));
}
static bool is_blank(uint32_t r) {
    return r == ' ' || r == '\t' || r == '\r' || r == '\n';
}

/* Position of the character that ends at s->at. */
static size_t last_position(const struct hcl_scanner *s) {
    size_t at = s->at;
    do {
        if (at == 0)
            return 0;
        at--;
    } while (((unsigned char)s->text.data[at] & 0xC0) == 0x80);
    return at;
}

static enum hcl_token_type scan_comment(struct hcl_scanner *s, uint32_t first) {
    size_t len;
    if (first == '#' || peek(s, &len) == '/') {
        for (;;) {
            uint32_t r = peek(s, &len);
            looked_past(s, 1);
            if (r == '\n' || r == RUNE_NONE)
                return HCL_COMMENT;
            if (next(s) == RUNE_NONE)
                return HCL_COMMENT;
        }
    }
    if (peek(s, &len) != '*') {
        scan_error(s, "expected '/' for comment", s->at - 1);
        return HCL_COMMENT;
    }
    next(s);
    for (;;) {
        uint32_t r = next(s);
        if (r == RUNE_NONE) {
            scan_error(s, "comment not terminated", end_position(s));
            return HCL_COMMENT;
        }
        if (r == '*' && peek(s, &len) == '/') {
            next(s);
            return HCL_COMMENT;
        }
    }
}

static void take_digits(struct hcl_scanner *s) {
    size_t len;
    while (is_digit(peek(s, &len)))
        s->at++;
}

/* Behind the 'e': a sign, and one character whatever it is. */
static void take_exponent(struct hcl_scanner *s) {
    size_t len;
    s->at++;
    uint32_t r = peek(s, &len);
    if (r == '-' || r == '+')
        s->at++;
    bool end = s->at >= s->text.len;
    if (end || is_digit(peek(s, &len)))
        take_digits(s);
    else
        next(s);
    if (end || is_digit((unsigned char)s->text.data[s->at - 1]))
        looked_past(s, 1);
}

/* A number's point and exponent. True: it has one of them. */
static bool take_fraction(struct hcl_scanner *s, bool has_point) {
    size_t len;
    bool empty = false;
    if (!has_point && peek(s, &len) == '.') {
        s->at++;
        has_point = true;
        empty = !is_digit(peek(s, &len));
    }
    take_digits(s);
    uint32_t r = peek(s, &len);
    if (r == 'e' || r == 'E') {
        take_exponent(s);
        return true;
    }
    if (has_point && !empty)
        looked_past(s, 1);
    return has_point;
}

/* The first digit, or the point before it, was taken. */
static enum hcl_token_type scan_number(struct hcl_scanner *s, uint32_t first) {
    size_t len;
    uint32_t r = peek(s, &len);
    if (first == '0' && (r == 'x' || r == 'X')) {
        s->at++;
        size_t digits = s->at;
        bool nul = peek(s, &len) == 0;
        if (nul)
            next(s);
        if (nul || !is_hex(peek(s, &len)))
            scan_error(s, "illegal hexadecimal number", digits);
        while (is_hex(peek(s, &len)))
            s->at++;
        looked_past(s, 1);
        return HCL_NUMBER;
    }
    take_digits(s);
    if (take_fraction(s, first == '.'))
        return HCL_FLOAT;
    looked_past(s, first == '0' ? 1 : 2);
    look_behind_token(s);
    return HCL_NUMBER;
}

static void scan_escape(struct hcl_scanner *s) {
    size_t len;
    uint32_t r = next(s);
    unsigned digits = 0;
    bool octal = false;
    switch (r) {
    case 'a':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
    case 'v':
    case '\\':
    case '"':
        return;
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
        octal = true;
        digits = 2;
        break;
    case 'x':
        digits = 2;
        break;
    case 'u':
        digits = 4;
        break;
    case 'U':
        digits = 8;
        break;
    default:
        scan_error(s, "illegal char escape", r == RUNE_NONE ? end_position(s) : last_position(s));
        return;
    }
    for (; digits > 0; digits--) {
        r = peek(s, &len);
        if (octal ? !(r >= '0' && r <= '7') : !is_hex(r)) {
            size_t position = s->at;
            if (r == 0)
                next(s);
            scan_error(s, "illegal char escape", position);
            return;
        }
        s->at++;
    }
}

/* Templates: "${" up to its brace is taken as it stands. */
static enum hcl_token_type scan_string(struct hcl_scanner *s, bool templates) {
    size_t braces = 0;
    for (;;) {
        size_t len;
        uint32_t r = next(s);
        if (r == RUNE_NONE || (r == '\n' && braces == 0)) {
            scan_error(s, "literal not terminated", r == '\n' ? s->at - 1 : end_position(s));
            return HCL_STRING;
        }
        if (r == '"' && braces == 0)
            return HCL_STRING;
        if (templates && braces == 0 && r == '$' && peek(s, &len) == '{') {
            s->at++;
            braces = 1;
        } else if (braces > 0 && r == '{') {
            braces++;
        } else if (braces > 0 && r == '}') {
            braces--;
        } else if (r == '\\' && braces == 0) {
            scan_escape(s);
        }
    }
}

/* A line, from `from` to before its newline, holds nothing but blanks and the anchor. */
static bool is_closing(struct str line, struct str anchor, bool indented) {
    struct str trimmed = line;
    while (trimmed.len > 0 && memchr(" \t\v\f\r", trimmed.data[0], 5) != NULL)
        trimmed = str_sub(trimmed, 1, SIZE_MAX);
    /* The peer compares the line's length with that of the anchor and its dash: with "<<-" an
     * anchor in the first column is not seen. */
    if (indented && line.len < anchor.len + 1)
        return false;
    return str_eq(trimmed, anchor);
}

/* The first '<' was taken. */
static enum hcl_token_type scan_heredoc(struct hcl_scanner *s) {
    size_t len;
    size_t second = s->at;
    if (next(s) != '<') {
        scan_error(s, "heredoc expected second '<', didn't see it", second);
        return HCL_HEREDOC;
    }
    bool indented = peek(s, &len) == '-';
    if (indented)
        s->at++;
    size_t start = s->at;
    for (uint32_t r = peek(s, &len); is_letter(r) || is_digit(r); r = peek(s, &len))
        s->at += len;
    struct str anchor = str_sub(s->text, start, s->at - start);
    size_t end = s->at;
    bool nul = peek(s, &len) == 0;
    if (nul || s->at >= s->text.len) {
        scan_error(s, "heredoc not terminated", s->at);
        s->at += nul;
        return HCL_HEREDOC;
    }
    if (s->text.data[s->at] != '\n') {
        size_t position = s->at;
        next(s);
        scan_error(s, "invalid characters in heredoc anchor", position);
        return HCL_HEREDOC;
    }
    if (end == start) {
        scan_error(s, "zero-length heredoc anchor", s->at);
        return HCL_HEREDOC;
    }
    s->at++;
    for (;;) {
        size_t line = s->at;
        uint32_t r;
        while ((r = next(s)) != '\n') {
            if (r == RUNE_NONE) {
                nul = s->text.data[s->at - 1] == '\0';
                scan_error(s, "heredoc not terminated", s->at - nul);
                return HCL_HEREDOC;
            }
        }
        if (is_closing(str_sub(s->text, line, s->at - 1 - line), anchor, indented)) {
            s->at--; /* the newline is not part of it */
            return HCL_HEREDOC;
        }
    }
}

static enum hcl_token_type scan_identifier(struct hcl_scanner *s, size_t start, bool points) {
    size_t len;
    for (;;) {
        uint32_t r = peek(s, &len);
        if (!is_letter(r) && !is_digit(r) && r != '-' && !(points && r == '.'))
            break;
        s->at += len;
    }
    looked_past(s, 1);
    look_behind_token(s);
    struct str word = str_sub(s->text, start, s->at - start);
    return str_is(word, "true") || str_is(word, "false") ? HCL_BOOL : HCL_IDENT;
}

static enum hcl_token_type scan_other(struct hcl_scanner *s, uint32_t r, size_t start) {
    size_t len;
    switch (r) {
    case '"':
        return scan_string(s, true);
    case '#':
    case '/':
        return scan_comment(s, r);
    case '<':
        return scan_heredoc(s);
    case '[':
        return HCL_LBRACK;
    case ']':
        return HCL_RBRACK;
    case '{':
        return HCL_LBRACE;
    case '}':
        return HCL_RBRACE;
    case ',':
        return HCL_COMMA;
    case '=':
        return HCL_ASSIGN;
    case '+':
        return HCL_ADD;
    case '.':
        return is_digit(peek(s, &len)) ? scan_number(s, r) : HCL_PERIOD;
    case '-':
        if (!is_digit(peek(s, &len)))
            return HCL_SUB;
        return scan_number(s, next(s));
    default:
        scan_error(s, "illegal char", start);
        return HCL_ILLEGAL;
    }
}

struct hcl_token hcl_scan(struct hcl_scanner *s) {
    size_t len;
    while (is_blank(peek(s, &len)))
        s->at++;
    size_t start = s->at;
    uint32_t r = next(s);
    enum hcl_token_type type;
    if (r == RUNE_NONE) /* the peer takes a NUL for it too */
        return (struct hcl_token){.type = HCL_EOF, .text = STR(""), .position = end_position(s)};
    if (is_letter(r))
        type = scan_identifier(s, start, true);
    else if (is_digit(r))
        type = scan_number(s, r);
    else
        type = scan_other(s, r, start);
    return (struct hcl_token){
        .type = type, .text = str_sub(s->text, start, s->at - start), .position = start};
}

/* ---- the JSON dialect ---- */

static enum hcl_token_type scan_word(struct hcl_scanner *s, size_t start) {
    scan_identifier(s, start, false);
    struct str word = str_sub(s->text, start, s->at - start);
    if (str_is(word, "true") || str_is(word, "false"))
        return HCL_BOOL;
    if (str_is(word, "null"))
        return HCL_NULL;
    scan_error(s, "illegal char", s->at < s->text.len ? last_position(s) : s->text.len);
    return HCL_ILLEGAL;
}

/* The first digit, or the point before it, was taken. */
static enum hcl_token_type scan_json_number(struct hcl_scanner *s, uint32_t first) {
    size_t start = s->at;
    take_digits(s);
    size_t digits = s->at - start;
    if (take_fraction(s, first == '.'))
        return HCL_FLOAT;
    bool end = s->at >= s->text.len;
    if (first == '0' && (digits > 0 || end))
        scan_error(s, "numbers cannot start with 0", end ? s->text.len + 1 : s->at - 1);
    looked_past(s, first == '0' ? 1 : 2);
    return HCL_NUMBER;
}

static enum hcl_token_type illegal_sign(struct hcl_scanner *s, size_t start) {
    struct str sign = str_sub(s->text, start, s->at - start);
    uint32_t rune;
    if (utf8_decode(sign.data, sign.len, &rune) == 0)
        sign = STR("\xEF\xBF\xBD");
    scan_error(s, str_format(s->arena, "illegal char: " STR_FMT, STR_ARG(sign)).data, start);
    return HCL_ILLEGAL;
}

static enum hcl_token_type scan_json_other(struct hcl_scanner *s, uint32_t r, size_t start) {
    size_t len;
    bool digit_follows = is_digit(peek(s, &len));
    switch (r) {
    case '"':
        return scan_string(s, false);
    case '[':
        return HCL_LBRACK;
    case ']':
        return HCL_RBRACK;
    case '{':
        return HCL_LBRACE;
    case '}':
        return HCL_RBRACE;
    case ',':
        return HCL_COMMA;
    case ':':
        return HCL_COLON;
    case '.':
        return digit_follows ? scan_json_number(s, r) : HCL_PERIOD;
    case '-':
        if (digit_follows)
            return scan_json_number(s, next(s));
        scan_error(s, "illegal char", start);
        return HCL_ILLEGAL;
    default:
        return illegal_sign(s, start);
    }
}

struct hcl_token hcl_scan_json(struct hcl_scanner *s) {
    size_t len;
    while (is_blank(peek(s, &len)))
        s->at++;
    size_t start = s->at;
    if (peek(s, &len) == 0) /* a NUL ends the text, and is no fault */
        s->at = s->text.len;
    uint32_t r = next(s);
    enum hcl_token_type type;
    if (r == RUNE_NONE)
        return (struct hcl_token){.type = HCL_EOF, .text = STR(""), .position = end_position(s)};
    if (is_letter(r))
        type = scan_word(s, start);
    else if (is_digit(r))
        type = scan_json_number(s, r);
    else
        type = scan_json_other(s, r, start);
    return (struct hcl_token){.type = type,
                              .text = str_sub(s->text, start, s->at - start),
                              .position = start,
                              .plain = true};
}

const char *hcl_token_name(enum hcl_token_type type) {
    static const char *const names[] = {"ILLEGAL", "EOF",   "COMMENT", "IDENT",   "NUMBER",
                                        "FLOAT",   "BOOL",  "STRING",  "HEREDOC", "LBRACK",
                                        "LBRACE",  "COMMA", "PERIOD",  "RBRACK",  "RBRACE",
                                        "ASSIGN",  "ADD",   "SUB",     "NULL",    "COLON"};
    ASSERT((size_t)type < COUNT_OF(names));
    return names[type];
}

struct str hcl_place(struct arena *arena, struct str text, size_t position) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < position && i < text.len;) {
        uint32_t rune;
        size_t len = utf8_decode(text.data + i, text.len - i, &rune);
        bool newline = text.data[i] == '\n';
        line += newline;
        column = newline ? 1 : column + 1;
        i += len > 0 ? len : 1;
    }
    if (position > text.len)
        column += position - text.len;
    return str_format(arena, "%zu:%zu", line, column);
}
