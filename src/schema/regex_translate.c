/* RE2 expressions for PCRE2: a pass over the pattern that refuses what RE2 refuses, with its texts,
 * and writes what means the same to PCRE2. The two differ in what backslash-s matches, in where `^`
 * and `$` match, in what may be repeated, and in PCRE2's extensions (lookaround, back references,
 * possessive repetition), all of which RE2 refuses.
 */
#include "schema/regex_translate.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#include "base/mem.h"

#define MAX_REPEAT 1000

/* One open parenthesis: what the parser returns to when it closes. */
struct level {
    size_t group_start; /* in the output: where the group begins */
    uint32_t weight;    /* greatest product of nested repeat counts inside, so far */
};

struct translator {
    struct str in;
    size_t at;
    struct buf out;
    struct level *levels;
    size_t depth;
    bool has_atom;     /* something that may be repeated ends the output */
    size_t atom_start; /* in the output */
    uint32_t atom_weight;
    bool repeated; /* the atom carries a repetition already, written at: */
    size_t repeat_at;
    struct error *e;
};

static bool fail(struct translator *t, const char *what, struct str part) {
    error_set(t->e, ERROR_INTERNAL, "error parsing regexp: %s: `" STR_FMT "`", what, STR_ARG(part));
    return false;
}

static struct str part_from(const struct translator *t, size_t from) {
    return str_sub(t->in, from, t->at - from);
}
static struct str rest_from(const struct translator *t, size_t from) {
    return str_sub(t->in, from, t->in.len);
}

static int peek_at(const struct translator *t, size_t ahead) {
    return t->at + ahead < t->in.len ? (unsigned char)t->in.data[t->at + ahead] : -1;
}

static void begin_atom(struct translator *t) {
    t->has_atom = true;
    t->atom_start = t->out.len;
    t->atom_weight = 1;
    t->repeated = false;
}

static void put_rune(struct translator *t, uint32_t rune) {
    buf_add_format(&t->out, "\\x{%x}", rune);
}

/* The next character of the pattern; false at its end or when it is no UTF-8. */
static bool take_rune(struct translator *t, uint32_t *rune) {
    size_t size = utf8_decode(t->in.data + t->at, t->in.len - t->at, rune);
    if (size == 0) {
        return fail(t, "invalid UTF-8", t->in);
    }
    t->at += size;
    return true;
}

static int hex_value(int c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_word(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* ---- escapes ---- */

static bool bad_escape(struct translator *t, size_t from) {
    return fail(t, "invalid escape sequence", part_from(t, from));
}

/* Behind "\x". */
static bool take_hex(struct translator *t, size_t from, uint32_t *rune) {
    uint32_t n = 0;
    if (t->at == t->in.len) {
        return bad_escape(t, from);
    }
    if (peek_at(t, 0) != '{') {
        uint32_t ignored;
        for (int i = 0; i < 2; i++) {
            int digit = hex_value(peek_at(t, 0));
            if (t->at == t->in.len || !take_rune(t, &ignored) || digit < 0) {
                return error_is_set(t->e) ? false : bad_escape(t, from);
            }
            n = n << 4 | (uint32_t)digit;
        }
        *rune = n;
        return true;
    }
    t->at++;
    for (int digits = 0;; digits++) {
        int c = peek_at(t, 0);
        uint32_t ignored;
        if (c < 0 || !take_rune(t, &ignored)) {
            return error_is_set(t->e) ? false : bad_escape(t, from);
        }
        if (c == '}' && digits > 0) {
            *rune = n;
            return true;
        }
        if (hex_value(c) < 0) {
            return bad_escape(t, from);
        }
        n = n << 4 | (uint32_t)hex_value(c);
        if (n > 0x10ffff) {
            return bad_escape(t, from);
        }
    }
}

static uint32_t take_octal(struct translator *t, uint32_t n, int more) {
    for (int i = 0; i < more && peek_at(t, 0) >= '0' && peek_at(t, 0) <= '7'; i++) {
        n = n * 8 + (uint32_t)(peek_at(t, 0) - '0');
        t->at++;
    }
    return n;
}

/* A backslash that stands for one character. t->at is at the backslash. */
static bool take_escape(struct translator *t, uint32_t *rune) {
    static const char letters[] = "afnrtv";
    static const char meanings[] = "\a\f\n\r\t\v";
    size_t from = t->at++;
    if (t->at == t->in.len) {
        return fail(t, "trailing backslash at end of expression", STR(""));
    }
    uint32_t c;
    if (!take_rune(t, &c)) {
        return false;
    }
    if (c == '0' || (c >= '1' && c <= '7' && peek_at(t, 0) >= '0' && peek_at(t, 0) <= '7')) {
        *rune = take_octal(t, c - '0', 2);
        return true;
    }
    if (c == 'x') {
        return take_hex(t, from, rune);
    }
    const char *known = c < 0x80 && c != 0 ? strchr(letters, (int)c) : NULL;
    if (known != NULL) {
        *rune = (uint32_t)meanings[known - letters];
        return true;
    }
    if (c < 0x80 && !is_word((int)c)) {
        *rune = c;
        return true;
    }
    if (c == '_') {
        *rune = c; /* punctuation to the peer, too */
        return true;
    }
    return bad_escape(t, from);
}

/* "\pN", "\p{Greek}", "\P…", with "^" inside the braces; at the backslash. PCRE2 knows the names.
 */
static bool take_unicode_class(struct translator *t) {
    size_t from = t->at;
    t->at += 2;
    if (t->at == t->in.len) {
        return fail(t, "invalid character class range", rest_from(t, from));
    }
    if (peek_at(t, 0) == '{') {
        ptrdiff_t close = str_find_char(rest_from(t, from), '}');
        if (close < 0) {
            return fail(t, "invalid character class range", rest_from(t, from));
        }
        t->at = from + (size_t)close + 1;
    } else {
        uint32_t rune;
        if (!take_rune(t, &rune)) {
            return false;
        }
    }
    struct str part = part_from(t, from);
    struct str name = part.data[2] == '{' ? str_sub(part, 3, part.len - 4) : str_sub(part, 2, 4);
    bool negative = part.data[1] == 'P';
    if (name.len > 0 && name.data[0] == '^') {
        negative = !negative;
        name = str_sub(name, 1, name.len);
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_word((unsigned char)name.data[i])) {
            return fail(t, "invalid character class range", part);
        }
    }
    buf_add_format(&t->out, "\\%c{" STR_FMT "}", negative ? 'P' : 'p', STR_ARG(name));
    /* Ask PCRE2 at once, so that an unknown name is told with its text. */
    char probe[80];
    int error;
    PCRE2_SIZE offset;
    snprintf(probe, sizeof(probe), "\\p{" STR_FMT "}", STR_ARG(name));
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)probe, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &offset, NULL);
    pcre2_code_free(code);
    bool any = str_is(name, "Any");
    return code != NULL || any || fail(t, "invalid character class range", part);
}

/* What \s and \S are to RE2: no vertical tab. */
static void put_perl_class(struct translator *t, char c, bool inside) {
    if (c == 's') {
        buf_add_text(&t->out, inside ? "\\t\\n\\f\\r\\x20" : "[\\t\\n\\f\\r\\x20]");
    } else if (c == 'S') {
        buf_add_text(&t->out, inside ? "\\x00-\\x08\\x0b\\x0e-\\x1f\\x21-\\x{10ffff}"
                                     : "[^\\t\\n\\f\\r\\x20]");
    } else {
        buf_add_format(&t->out, "\\%c", c);
    }
}

/* ---- character classes ---- */

static bool take_class_rune(struct translator *t, size_t class_start, uint32_t *rune) {
    if (t->at == t->in.len) {
        return fail(t, "missing closing ]", rest_from(t, class_start));
    }
    return peek_at(t, 0) == '\\' ? take_escape(t, rune) : take_rune(t, rune);
}

/* "[:alpha:]" at t->at. */
static bool take_posix_class(struct translator *t, bool *taken) {
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                        "digit", "graph", "lower", "print", "punct",
                                        "space", "upper", "word",  "xdigit"};
    *taken = false;
    if (peek_at(t, 0) != '[' || peek_at(t, 1) != ':') {
        return true;
    }
    struct str rest = rest_from(t, t->at);
    ptrdiff_t end = str_find(rest, STR(":]"), 2);
    if (end < 0) {
        return true;
    }
    struct str part = str_sub(rest, 0, (size_t)end + 2);
    struct str name = str_sub(part, 2, part.len - 4);
    if (name.len > 0 && name.data[0] == '^') {
        name = str_sub(name, 1, name.len);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_is(name, names[i])) {
            buf_add_str(&t->out, part);
            t->at += part.len;
            *taken = true;
            return true;
        }
    }
    return fail(t, "invalid character class range", part);
}

static bool take_range(struct translator *t, size_t class_start) {
    size_t from = t->at;
    uint32_t low, high;
    if (!take_class_rune(t, class_start, &low)) {
        return false;
    }
    high = low;
    if (peek_at(t, 0) == '-' && peek_at(t, 1) >= 0 && peek_at(t, 1) != ']') {
        t->at++;
        if (!take_class_rune(t, class_start, &high)) {
            return false;
        }
        if (high < low) {
            return fail(t, "invalid character class range", part_from(t, from));
        }
    }
    put_rune(t, low);
    if (high != low) {
        buf_add_char(&t->out, '-');
        put_rune(t, high);
    }
    return true;
}

static bool take_class(struct translator *t) {
    size_t from = t->at++;
    begin_atom(t);
    buf_add_char(&t->out, '[');
    if (peek_at(t, 0) == '^') {
        t->at++;
        buf_add_char(&t->out, '^');
    }
    for (bool first = true; first || peek_at(t, 0) != ']'; first = false) {
        bool taken = false;
        int next = peek_at(t, 1);
        if (peek_at(t, 0) == '[') {
            if (!take_posix_class(t, &taken)) {
                return false;
            }
        } else if (peek_at(t, 0) == '\\' && (next == 'p' || next == 'P')) {
            taken = true;
            if (!take_unicode_class(t)) {
                return false;
            }
        } else if (peek_at(t, 0) == '\\' && next > 0 && strchr("dDsSwW", next) != NULL) {
            taken = true;
            put_perl_class(t, (char)next, true);
            t->at += 2;
        }
        if (!taken && !take_range(t, from)) {
            return false;
        }
    }
    t->at++;
    buf_add_char(&t->out, ']');
    return true;
}

/* ---- repetition ---- */

/* Decimal without leading zeros; 0 digits is not a number. Beyond the limit it stays there. */
static bool take_number(struct translator *t, int *n) {
    int c = peek_at(t, 0);
    if (c < '0' || c > '9' || (c == '0' && peek_at(t, 1) >= '0' && peek_at(t, 1) <= '9')) {
        return false;
    }
    *n = 0;
    for (; (c = peek_at(t, 0)) >= '0' && c <= '9'; t->at++) {
        *n = *n > MAX_REPEAT ? *n : *n * 10 + (c - '0');
    }
    return true;
}

/* "{n}", "{n,}", "{n,m}" at t->at; false, and nothing taken, for anything else: a literal brace. */
static bool take_count(struct translator *t, int *min, int *max) {
    size_t from = t->at++;
    if (!take_number(t, min)) {
        t->at = from;
        return false;
    }
    *max = *min;
    if (peek_at(t, 0) == ',') {
        t->at++;
        *max = -1;
        if (peek_at(t, 0) != '}' && !take_number(t, max)) {
            t->at = from;
            return false;
        }
    }
    if (peek_at(t, 0) != '}') {
        t->at = from;
        return false;
    }
    t->at++;
    return true;
}

/* The operator began at `from` and is taken; min < 0 for * + ?. */
static bool apply_repeat(struct translator *t, size_t from, int min, int max) {
    struct str op = part_from(t, from);
    bool lazy = peek_at(t, 0) == '?';
    t->at += lazy;
    if (t->repeated) {
        return fail(t, "invalid nested repetition operator", part_from(t, t->repeat_at));
    }
    if (!t->has_atom) {
        return fail(t, "missing argument to repetition operator", part_from(t, from));
    }
    int times = max < 0 ? min : max;
    if (times > 1 || min > 1) {
        uint64_t weight = (uint64_t)t->atom_weight * (uint64_t)times;
        if (weight > MAX_REPEAT) {
            return fail(t, "invalid repeat count", part_from(t, from));
        }
        t->atom_weight = (uint32_t)weight;
    }
    /* PCRE2 repeats no anchors; a group around them may be repeated. */
    size_t len = t->out.len - t->atom_start;
    buf_reserve(&t->out, 3);
    memmove(t->out.data + t->atom_start + 3, t->out.data + t->atom_start, len);
    memcpy(t->out.data + t->atom_start, "(?:", 3);
    t->out.len += 3;
    buf_add_char(&t->out, ')');
    buf_add_str(&t->out, op);
    if (lazy) {
        buf_add_char(&t->out, '?');
    }
    t->repeated = true;
    t->repeat_at = from;
    struct level *level = &t->levels[t->depth];
    level->weight = level->weight > t->atom_weight ? level->weight : t->atom_weight;
    return true;
}

static bool take_braces(struct translator *t) {
    size_t from = t->at;
    int min, max;
    if (!take_count(t, &min, &max)) {
        t->at++;
        begin_atom(t);
        buf_add_text(&t->out, "\\{");
        return true;
    }
    if (min > MAX_REPEAT || max > MAX_REPEAT || (max >= 0 && min > max)) {
        return fail(t, "invalid repeat count", part_from(t, from));
    }
    return apply_repeat(t, from, min, max);
}

/* ---- groups ---- */

static bool open_group(struct translator *t, const char *text) {
    if (t->depth + 1 >= REGEX_MAX_NESTING) {
        return fail(t, "expression nests too deeply", t->in);
    }
    t->depth++;
    t->levels[t->depth] = (struct level){.group_start = t->out.len, .weight = 1};
    buf_add_text(&t->out, text);
    t->has_atom = false;
    t->repeated = false;
    return true;
}

static bool close_group(struct translator *t) {
    if (t->depth == 0) {
        return fail(t, "unexpected )", t->in);
    }
    struct level inner = t->levels[t->depth--];
    t->at++;
    buf_add_char(&t->out, ')');
    t->has_atom = true;
    t->atom_start = inner.group_start;
    t->atom_weight = inner.weight;
    t->repeated = false;
    struct level *outer = &t->levels[t->depth];
    outer->weight = outer->weight > inner.weight ? outer->weight : inner.weight;
    return true;
}

/* "(?P<name>" at t->at; names are dropped, so two groups may share one, as the peer lets them. */
static bool take_named_group(struct translator *t) {
    struct str rest = rest_from(t, t->at);
    ptrdiff_t close = str_find_char(rest, '>');
    if (close < 0) {
        return fail(t, "invalid named capture", rest);
    }
    struct str part = str_sub(rest, 0, (size_t)close + 1);
    struct str name = str_sub(part, 4, part.len - 5);
    bool valid = name.len > 0;
    for (size_t i = 0; i < name.len; i++) {
        valid = valid && is_word((unsigned char)name.data[i]);
    }
    if (!valid) {
        return fail(t, "invalid named capture", part);
    }
    t->at += part.len;
    return open_group(t, "(");
}

/* "(?flags)" or "(?flags:" at t->at. */
static bool take_flags(struct translator *t) {
    size_t from = t->at;
    bool minus = false, saw = false;
    t->at += 2;
    while (t->at < t->in.len) {
        uint32_t c;
        if (!take_rune(t, &c)) {
            return false;
        }
        if (c == 'i' || c == 'm' || c == 's' || c == 'U') {
            saw = true;
        } else if (c == '-' && !minus) {
            minus = true;
            saw = false;
        } else if ((c == ':' || c == ')') && (!minus || saw)) {
            struct str part = part_from(t, from);
            char text[32];
            if (part.len >= sizeof(text)) {
                break; /* flags over and over: nobody means that */
            }
            memcpy(text, part.data, part.len);
            text[part.len] = 0;
            if (c == ':') {
                return open_group(t, text);
            }
            buf_add_text(&t->out, text);
            return true;
        } else {
            break;
        }
    }
    return fail(t, "invalid or unsupported Perl syntax", part_from(t, from));
}

static bool take_parenthesis(struct translator *t) {
    if (peek_at(t, 1) != '?') {
        t->at++;
        return open_group(t, "(");
    }
    if (t->in.len - t->at > 4 && peek_at(t, 2) == 'P' && peek_at(t, 3) == '<') {
        return take_named_group(t);
    }
    return take_flags(t);
}

/* ---- the whole ---- */

static bool take_literal(struct translator *t, uint32_t rune) {
    begin_atom(t);
    put_rune(t, rune);
    return true;
}

/* "\Q…\E": every character by itself, so that a repetition behind it is the last one's. */
static bool take_quoted(struct translator *t) {
    t->at += 2;
    while (t->at < t->in.len) {
        if (peek_at(t, 0) == '\\' && peek_at(t, 1) == 'E') {
            t->at += 2;
            return true;
        }
        uint32_t rune;
        if (!take_rune(t, &rune)) {
            return false;
        }
        take_literal(t, rune);
    }
    return true;
}

static bool take_backslash(struct translator *t) {
    int next = peek_at(t, 1);
    uint32_t rune;
    switch (next) {
    case 'A':
    case 'b':
    case 'B':
    case 'z':
        begin_atom(t);
        buf_add_format(&t->out, "\\%c", next);
        t->at += 2;
        return true;
    case 'C':
        t->at += 2;
        return bad_escape(t, t->at - 2);
    case 'Q':
        return take_quoted(t);
    case 'p':
    case 'P':
        begin_atom(t);
        return take_unicode_class(t);
    case 'd':
    case 'D':
    case 's':
    case 'S':
    case 'w':
    case 'W':
        begin_atom(t);
        put_perl_class(t, (char)next, false);
        t->at += 2;
        return true;
    default:
        return take_escape(t, &rune) && take_literal(t, rune);
    }
}

static bool take_operator(struct translator *t, char c) {
    static const int least[] = {['*'] = 0, ['+'] = 1, ['?'] = 0};
    size_t from = t->at++;
    return apply_repeat(t, from, least[(int)c], c == '?' ? 1 : -1);
}

static bool take_one(struct translator *t) {
    char c = t->in.data[t->at];
    uint32_t rune;
    switch (c) {
    case '(':
        return take_parenthesis(t);
    case ')':
        return close_group(t);
    case '|':
        t->at++;
        buf_add_char(&t->out, '|');
        t->has_atom = false;
        t->repeated = false;
        return true;
    case '[':
        return take_class(t);
    case '*':
    case '+':
    case '?':
        return take_operator(t, c);
    case '{':
        return take_braces(t);
    case '\\':
        return take_backslash(t);
    case '^':
    case '$':
    case '.':
        begin_atom(t);
        buf_add_char(&t->out, c);
        t->at++;
        return true;
    default:
        return take_rune(t, &rune) && take_literal(t, rune);
    }
}

static bool check_utf8(struct translator *t) {
    for (size_t at = 0; at < t->in.len;) {
        size_t size = utf8_decode(t->in.data + at, t->in.len - at, NULL);
        if (size == 0) {
            return fail(t, "invalid UTF-8", t->in);
        }
        at += size;
    }
    return true;
}

/* The whole pattern. */
static bool translate(struct translator *t) {
    if (!check_utf8(t)) {
        return false;
    }
    while (t->at < t->in.len) {
        if (!take_one(t)) {
            return false;
        }
    }
    return t->depth == 0 || fail(t, "missing closing )", t->in);
}

bool regex_translate(struct str pattern, struct buf *out, struct error *e) {
    struct translator t = {.in = pattern, .e = e};
    t.levels = mem_zalloc(REGEX_MAX_NESTING + 1, sizeof(struct level));
    t.levels[0].weight = 1;
    bool ok = translate(&t);
    *out = t.out;
    mem_free(t.levels);
    return ok;
}
