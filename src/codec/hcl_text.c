/* What HCL strings and heredocs stand for (config.md 1.5.1).
 */
#include "codec/hcl_syntax.h"

#include "base/mem.h"

static int digit_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

/* `count` digits at s[*at]; false when there are fewer. */
static bool read_digits(struct str s, size_t *at, unsigned count, unsigned base, uint32_t *out) {
    uint32_t n = 0;
    for (; count > 0; count--, (*at)++) {
        if (*at >= s.len || digit_value(s.data[*at]) >= (int)base)
            return false;
        n = n * base + (uint32_t)digit_value(s.data[*at]);
    }
    *out = n;
    return true;
}

/* The escape behind the backslash at s[*at - 1]; appends what it stands for. */
static bool unescape(struct str s, size_t *at, char *out, size_t *len) {
    static const char names[] = "abfnrtv\\\"";
    static const char values[] = "\a\b\f\n\r\t\v\\\"";
    if (*at >= s.len)
        return false;
    char c = s.data[*at];
    const char *simple = memchr(names, c, sizeof(names) - 1);
    uint32_t n;
    if (simple != NULL) {
        (*at)++;
        out[(*len)++] = values[simple - names];
        return true;
    }
    if (c >= '0' && c <= '7') {
        if (!read_digits(s, at, 3, 8, &n) || n > 255)
            return false;
        out[(*len)++] = (char)n;
        return true;
    }
    (*at)++;
    if (c == 'x') {
        if (!read_digits(s, at, 2, 16, &n))
            return false;
        out[(*len)++] = (char)n;
        return true;
    }
    if ((c != 'u' && c != 'U') || !read_digits(s, at, c == 'u' ? 4 : 8, 16, &n) || n > 0x10FFFF)
        return false;
    bool half = n >= 0xD800 && n < 0xE000; /* of a pair: no character */
    *len += utf8_encode(out + *len, half ? 0xFFFD : n);
    return true;
}

bool hcl_unquote(const struct hcl_token *token, struct arena *arena, struct str *out) {
    struct str quoted = token->text;
    if (quoted.len < 2 || quoted.data[0] != '"' || quoted.data[quoted.len - 1] != '"')
        return false;
    struct str s = str_sub(quoted, 1, quoted.len - 2);
    char *text = arena_alloc(arena, s.len + 1); /* an escape is never longer than it is written */
    size_t len = 0, braces = 0;
    for (size_t at = 0; at < s.len;) {
        char c = s.data[at++];
        if (c == '\\' && braces == 0) {
            if (!unescape(s, &at, text, &len))
                return false;
            continue;
        }
        text[len++] = c;
        if (!token->plain && braces == 0 && c == '$' && at < s.len && s.data[at] == '{') {
            text[len++] = s.data[at++];
            braces = 1;
        } else if (braces > 0 && c == '{') {
            braces++;
        } else if (braces > 0 && c == '}') {
            braces--;
        }
    }
    text[len] = '\0';
    *out = str_of(text, len);
    return true;
}

/* Whether each line starts with the prefix. */
static bool all_indented(struct str body, struct str prefix) {
    while (body.len > 0) {
        if (!str_has_prefix(body, prefix))
            return false;
        ptrdiff_t end = str_find_char(body, '\n');
        body = str_sub(body, end < 0 ? body.len : (size_t)end + 1, SIZE_MAX);
    }
    return true;
}

struct str hcl_heredoc_value(struct str text, struct arena *arena) {
    bool indented = text.len > 2 && text.data[2] == '-';
    ptrdiff_t first = str_find_char(text, '\n');
    if (first < 0)
        return STR("");
    struct str body = str_sub(text, (size_t)first + 1, SIZE_MAX);
    struct str anchor =
        str_trim(str_sub(text, indented ? 3 : 2, (size_t)first - (indented ? 3u : 2u)));
    body.len = body.len >= anchor.len ? body.len - anchor.len : 0;
    if (!indented)
        return str_copy(arena, body.len > 0 ? body : STR(""));
    size_t end = body.len;
    while (end > 0 && (body.data[end - 1] == ' ' || body.data[end - 1] == '\t'))
        end--;
    struct str prefix = str_sub(body, end, SIZE_MAX);
    body.len = end;
    if (prefix.len == 0 || !all_indented(body, prefix))
        return str_copy(arena, body.len > 0 ? body : STR(""));
    char *out = arena_alloc(arena, body.len + 1);
    size_t len = 0;
    while (body.len > 0) {
        ptrdiff_t newline = str_find_char(body, '\n');
        size_t line = newline < 0 ? body.len : (size_t)newline + 1;
        memcpy(out + len, body.data + prefix.len, line - prefix.len);
        len += line - prefix.len;
        body = str_sub(body, line, SIZE_MAX);
    }
    return str_of(out, len);
}
