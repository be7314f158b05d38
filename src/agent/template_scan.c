/* The tokens of templates: text outside of the braces, and words inside.
 */
#include "agent/template_syntax.h"
#include "base/mem.h"

struct scanner {
    struct str text;
    size_t at;
    struct template_tokens *out;
    struct arena *arena;
    bool trim; /* the next text loses the blanks at its start */
    unsigned parens;
};

static void add(struct scanner *s, enum template_token_type type, struct str text,
                size_t position) {
    struct template_tokens *t = s->out;
    if (t->len == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        struct template_token *items = ARENA_ARRAY(s->arena, struct template_token, cap);
        if (t->len > 0)
            memcpy(items, t->items, t->len * sizeof(*items));
        t->items = items;
        t->cap = cap;
    }
    t->items[t->len++] = (struct template_token){type, text, position};
}

static bool fail(struct scanner *s, struct str text) {
    add(s, TOKEN_ERROR, text, s->at);
    return false;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char at(const struct scanner *s, size_t ahead) {
    return s->at + ahead < s->text.len ? s->text.data[s->at + ahead] : '\0';
}

static bool follows(const struct scanner *s, size_t ahead, const char *what) {
    return str_has_prefix(str_sub(s->text, s->at + ahead, SIZE_MAX), str_from(what));
}

/* "}}" or " -}}" stands here. *len: its length. */
static bool at_right(const struct scanner *s, bool *trim, size_t *len) {
    *trim = follows(s, 0, " -}}");
    *len = *trim ? 4 : 2;
    return *trim || follows(s, 0, "}}");
}

static struct str trim_left(struct str s) {
    while (s.len > 0 && is_blank(s.data[0]))
        s = str_sub(s, 1, SIZE_MAX);
    return s;
}
static struct str trim_right(struct str s) {
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* Letters beyond ASCII count as letters, whatever they are. */
static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* The comment behind an opening brace, if there is one. False: an error. */
static bool skip_comment(struct scanner *s, bool *was_one) {
    *was_one = follows(s, 0, "/*");
    if (!*was_one)
        return true;
    ptrdiff_t end = str_find(s->text, STR("*/"), s->at);
    if (end < 0)
        return fail(s, STR("unclosed comment"));
    s->at = (size_t)end + 2;
    size_t len;
    if (!at_right(s, &s->trim, &len))
        return fail(s, STR("comment ends before closing delimiter"));
    s->at += len;
    return true;
}

/* Text up to and with the next opening braces, past comments. False: the end, or an error. */
static bool scan_text(struct scanner *s) {
    for (;;) {
        size_t start = s->at;
        ptrdiff_t open = str_find(s->text, STR("{{"), start);
        struct str text = str_sub(s->text, start, open < 0 ? SIZE_MAX : (size_t)open - start);
        if (s->trim)
            text = trim_left(text);
        s->trim = false;
        s->at = open < 0 ? s->text.len : (size_t)open + 2;
        bool trims = open >= 0 && follows(s, 0, "- ");
        if (trims)
            text = trim_right(text);
        if (text.len > 0)
            add(s, TOKEN_TEXT, text, start);
        if (open < 0) {
            add(s, TOKEN_EOF, STR(""), s->at);
            return false;
        }
        if (trims)
            s->at += 2;
        bool comment;
        if (!skip_comment(s, &comment))
            return false;
        if (!comment) {
            add(s, TOKEN_LEFT, STR("{{"), (size_t)open);
            return true;
        }
    }
}

static bool scan_quoted(struct scanner *s, char quote) {
    size_t start = s->at++;
    bool raw = quote == '`';
    for (;; s->at++) {
        char c = at(s, 0);
        if (s->at >= s->text.len || (c == '\n' && !raw))
            return fail(s, quote == '"'    ? STR("unterminated quoted string")
                           : quote == '\'' ? STR("unterminated character constant")
                                           : STR("unterminated raw quoted string"));
        if (c == '\\' && !raw && s->at + 1 < s->text.len && at(s, 1) != '\n')
            s->at++;
        else if (c == quote)
            break;
    }
    s->at++;
    add(s,
        quote == '"'    ? TOKEN_STRING
        : quote == '\'' ? TOKEN_CHAR
                        : TOKEN_RAW,
        str_sub(s->text, start, s->at - start), start);
    return true;
}

static bool is_digit(char c, unsigned base) {
    return (c >= '0' && c <= '9' && c < (char)('0' + (base < 10 ? base : 10))) || c == '_' ||
           (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));
}

/* Takes the characters of a number, whatever they are worth. */
static void take_number(struct scanner *s) {
    unsigned base = 10;
    if (at(s, 0) == '+' || at(s, 0) == '-')
        s->at++;
    if (at(s, 0) == '0' && (at(s, 1) == 'x' || at(s, 1) == 'X'))
        base = 16;
    else if (at(s, 0) == '0' && (at(s, 1) == 'o' || at(s, 1) == 'O'))
        base = 8;
    else if (at(s, 0) == '0' && (at(s, 1) == 'b' || at(s, 1) == 'B'))
        base = 2;
    if (base != 10)
        s->at += 2;
    while (is_digit(at(s, 0), base))
        s->at++;
    if (at(s, 0) == '.' && base >= 10) {
        s->at++;
        while (is_digit(at(s, 0), base))
            s->at++;
    }
    if (base == 10 && (at(s, 0) == 'e' || at(s, 0) == 'E')) {
        s->at++;
        if (at(s, 0) == '+' || at(s, 0) == '-')
            s->at++;
        while (is_digit(at(s, 0), 10))
            s->at++;
    }
}

static bool scan_number(struct scanner *s) {
    size_t start = s->at;
    take_number(s);
    char before = s->at > start ? s->text.data[s->at - 1] : '\0';
    bool sign =
        before != '\0' && before != '+' && before != '-' && (at(s, 0) == '+' || at(s, 0) == '-');
    if (sign) /* complex numbers are not numbers here */
        take_number(s);
    bool word = s->at < s->text.len && is_word(at(s, 0));
    if (sign || word) {
        s->at += word;
        struct str quoted = str_quote(s->arena, str_sub(s->text, start, s->at - start));
        return fail(s, str_format(s->arena, "bad number syntax: " STR_FMT, STR_ARG(quoted)));
    }
    add(s, TOKEN_NUMBER, str_sub(s->text, start, s->at - start), start);
    return true;
}

static bool bad_character(struct scanner *s) {
    uint32_t rune = 0xFFFD;
    utf8_decode(s->text.data + s->at, s->text.len - s->at, &rune);
    size_t len = utf8_decode(s->text.data + s->at, s->text.len - s->at, NULL);
    return fail(s, str_format(s->arena, "bad character U+%04X '" STR_FMT "'", (unsigned)rune,
                              STR_ARG(str_sub(s->text, s->at, len ? len : 1))));
}

/* Behind a word, field or variable only these may stand. */
static bool at_terminator(const struct scanner *s) {
    char c = at(s, 0);
    return s->at >= s->text.len || is_blank(c) || strchr(".,|:()", c) != NULL ||
           follows(s, 0, "}}");
}

static enum template_token_type word_type(struct str word) {
    static const char *const keywords[] = {"if",   "else",   "end",   "range",
                                           "with", "define", "block", "template"};
    for (size_t i = 0; i < COUNT_OF(keywords); i++)
        if (str_is(word, keywords[i]))
            return TOKEN_KEYWORD;
    if (str_is(word, "true") || str_is(word, "false"))
        return TOKEN_BOOL;
    return str_is(word, "nil") ? TOKEN_NIL : TOKEN_IDENTIFIER;
}

/* A word, or with `marks` one character before it: a field or a variable. */
static bool scan_word(struct scanner *s, size_t marks, enum template_token_type type) {
    size_t start = s->at;
    s->at += marks;
    while (s->at < s->text.len && is_word(at(s, 0)))
        s->at++;
    if (!at_terminator(s))
        return bad_character(s);
    struct str word = str_sub(s->text, start, s->at - start);
    add(s, type == TOKEN_IDENTIFIER ? word_type(word) : type, word, start);
    return true;
}

static bool scan_sign(struct scanner *s, enum template_token_type type, size_t len) {
    add(s, type, str_sub(s->text, s->at, len), s->at);
    s->at += len;
    return true;
}

static bool scan_blanks(struct scanner *s) {
    size_t start = s->at, len;
    bool trim;
    while ((at(s, 0) == ' ' || at(s, 0) == '\t') && !(at_right(s, &trim, &len) && trim))
        s->at++;
    if (s->at > start)
        add(s, TOKEN_SPACE, str_sub(s->text, start, s->at - start), start);
    return true;
}

static bool scan_dot(struct scanner *s) {
    char next = at(s, 1);
    if (next >= '0' && next <= '9')
        return scan_number(s);
    if (is_word(next))
        return scan_word(s, 1, TOKEN_FIELD);
    s->at++;
    if (!at_terminator(s))
        return bad_character(s);
    s->at--;
    return scan_sign(s, TOKEN_DOT, 1);
}

/* One token inside of the braces, which are not closing here. */
static bool scan_inside(struct scanner *s) {
    char c = at(s, 0);
    if (s->at >= s->text.len || c == '\0')
        return fail(s, s->at >= s->text.len ? STR("unclosed action")
                                            : STR("unexpected NUL in a template"));
    if (c == '\n' || c == '\r')
        return fail(s, STR("unclosed action"));
    if (is_blank(c))
        return scan_blanks(s);
    if (c == '"' || c == '`' || c == '\'')
        return scan_quoted(s, c);
    if (c == '$')
        return scan_word(s, 1, TOKEN_VARIABLE);
    if (c == '.')
        return scan_dot(s);
    if (c == '+' || c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    if (is_word(c))
        return scan_word(s, 0, TOKEN_IDENTIFIER);
    if (follows(s, 0, ":="))
        return scan_sign(s, TOKEN_DECLARE, 2);
    if (c == ':')
        return fail(s, STR("expected :="));
    s->parens += c == '(';
    if (c == ')' && s->parens > 0)
        s->parens--;
    return scan_sign(s,
                     c == '|'   ? TOKEN_PIPE
                     : c == '(' ? TOKEN_LPAREN
                     : c == ')' ? TOKEN_RPAREN
                     : c == '=' ? TOKEN_ASSIGN
                                : TOKEN_SIGN,
                     1);
}

static bool scan_action(struct scanner *s) {
    s->parens = 0;
    for (;;) {
        size_t len;
        bool trim;
        if (!at_right(s, &trim, &len)) {
            if (!scan_inside(s))
                return false;
            continue;
        }
        if (s->parens > 0)
            return fail(s, STR("unclosed left paren"));
        add(s, TOKEN_RIGHT, STR("}}"), s->at);
        s->at += len;
        s->trim = trim;
        return true;
    }
}

void template_scan(struct str text, struct template_tokens *out, struct arena *arena) {
    struct scanner s = {.text = text, .out = out, .arena = arena};
    *out = (struct template_tokens){0};
    while (scan_text(&s) && scan_action(&s)) {
    }
}
