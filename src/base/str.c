/* Byte strings: comparing, searching, cutting, copying to an arena, numbers, quoting, UTF-8.
 * Nothing here depends on the locale.
 */
#include "base/str.h"

#include <limits.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"

struct str str_from(const char *terminated) {
    return terminated == NULL ? STR_NONE : str_of(terminated, strlen(terminated));
}

struct str str_of(const void *data, size_t len) {
    return (struct str){data, len};
}

bool str_eq(struct str a, struct str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool str_eq_secret(struct str a, struct str b) {
    volatile unsigned char differs = 0;
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        differs |= (unsigned char)(a.data[i] ^ b.data[i]);
    return differs == 0;
}

static char fold(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq_fold(struct str a, struct str b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (fold(a.data[i]) != fold(b.data[i])) {
            return false;
        }
    }
    return true;
}

int str_compare_fold(struct str a, struct str b) {
    size_t len = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < len; i++) {
        unsigned char x = (unsigned char)fold(a.data[i]), y = (unsigned char)fold(b.data[i]);
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

bool str_is(struct str a, const char *terminated) {
    return str_eq(a, str_from(terminated));
}

int str_compare(struct str a, struct str b) {
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_has_prefix(struct str s, struct str prefix) {
    return s.len >= prefix.len && str_eq(str_sub(s, 0, prefix.len), prefix);
}

bool str_has_suffix(struct str s, struct str suffix) {
    return s.len >= suffix.len && str_eq(str_sub(s, s.len - suffix.len, suffix.len), suffix);
}

ptrdiff_t str_find(struct str s, struct str needle, size_t from) {
    if (from > s.len || needle.len > s.len - from) {
        return -1;
    }
    if (needle.len == 0) {
        return (ptrdiff_t)from;
    }
    const char *at = memmem(s.data + from, s.len - from, needle.data, needle.len);
    return at == NULL ? -1 : at - s.data;
}

ptrdiff_t str_find_char(struct str s, char c) {
    const char *at = s.len > 0 ? memchr(s.data, c, s.len) : NULL;
    return at == NULL ? -1 : at - s.data;
}

struct str str_sub(struct str s, size_t from, size_t len) {
    if (s.data == NULL) {
        return STR_NONE;
    }
    from = from < s.len ? from : s.len;
    len = len < s.len - from ? len : s.len - from;
    return str_of(s.data + from, len);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s) {
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    while (s.len > 0 && is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    return s;
}

struct str str_cut(struct str *rest, char separator) {
    struct str whole = *rest;
    ptrdiff_t at = str_find_char(whole, separator);
    if (at < 0) {
        *rest = STR_NONE;
        return whole;
    }
    *rest = str_sub(whole, (size_t)at + 1, SIZE_MAX);
    return str_sub(whole, 0, (size_t)at);
}

char *str_terminated(struct arena *arena, struct str s) {
    char *copy = arena_alloc(arena, s.len + 1);
    if (s.len > 0) {
        memcpy(copy, s.data, s.len);
    }
    copy[s.len] = '\0';
    return copy;
}

struct str str_copy(struct arena *arena, struct str s) {
    return s.data == NULL ? STR_NONE : str_of(str_terminated(arena, s), s.len);
}

struct str str_lower(struct arena *arena, struct str s) {
    if (s.data == NULL) {
        return STR_NONE;
    }
    char *copy = str_terminated(arena, s);
    for (size_t i = 0; i < s.len; i++) {
        copy[i] = fold(copy[i]);
    }
    return str_of(copy, s.len);
}

struct str str_format(struct arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(arena, format, args);
    va_end(args);
    return text;
}

struct str str_vformat(struct arena *arena, const char *format, va_list args) {
    char small[256]; /* most texts fit, and are then formatted once */
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    ASSERT(n >= 0);
    size_t len = (size_t)n;
    char *text = arena_alloc(arena, len + 1);
    if (len < sizeof small) {
        memcpy(text, small, len + 1);
    } else {
        vsnprintf(text, len + 1, format, again);
    }
    va_end(again);
    return str_of(text, len);
}

/* One rune, or one byte that is none (size 0), as it stands between the quotes. */
static void quote_rune(struct buf *out, const char *at, size_t size, uint32_t rune) {
    static const char named_runes[] = "\a\b\f\n\r\t\v\"\\";
    static const char named[] = "abfnrtv\"\\";
    const char *name = rune != 0 && rune < 0x80 ? strchr(named_runes, (char)rune) : NULL;
    if (size == 0) {
        buf_add_format(out, "\\x%02x", (unsigned)(unsigned char)*at);
    } else if (name != NULL) {
        buf_add_char(out, '\\');
        buf_add_char(out, named[name - named_runes]);
    } else if (utf8_is_print(rune)) {
        buf_add(out, at, size);
    } else if (rune < 0x20) {
        buf_add_format(out, "\\x%02x", (unsigned)rune);
    } else if (rune < 0x10000) {
        buf_add_format(out, "\\u%04x", (unsigned)rune);
    } else {
        buf_add_format(out, "\\U%08x", (unsigned)rune);
    }
}

struct str str_quote(struct arena *arena, struct str s) {
    struct buf out = BUF_INIT;
    buf_reserve(&out, s.len + 2);
    buf_add_char(&out, '"');
    for (size_t i = 0; i < s.len;) {
        uint32_t rune = 0;
        size_t size = utf8_decode(s.data + i, s.len - i, &rune);
        quote_rune(&out, s.data + i, size, rune);
        i += size > 0 ? size : 1;
    }
    buf_add_char(&out, '"');
    struct str quoted = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return quoted;
}

bool str_to_u64(struct str s, uint64_t *out) {
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, digit, &n)) {
            return false;
        }
    }
    if (s.len > 0) {
        *out = n;
    }
    return s.len > 0;
}

bool str_to_i64(struct str s, int64_t *out) {
    bool negative = s.len > 0 && s.data[0] == '-';
    bool sign = negative || (s.len > 0 && s.data[0] == '+');
    uint64_t n;
    if (!str_to_u64(sign ? str_sub(s, 1, SIZE_MAX) : s, &n)) {
        return false;
    }
    if (n > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *out = negative ? (int64_t)-n : (int64_t)n;
    return true;
}

bool str_to_bool(struct str s, bool *out) {
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (str_is(s, yes[i]) || str_is(s, no[i])) {
            *out = str_is(s, yes[i]);
            return true;
        }
    }
    return false;
}

uint64_t str_hash(struct str s) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.len; i++) {
        hash = (hash ^ (unsigned char)s.data[i]) * 0x100000001b3u;
    }
    return hash;
}

/* The lowest rune that needs n bytes: a longer form of a lower one is not valid. */
static const uint32_t utf8_lowest[5] = {0, 0, 0x80, 0x800, 0x10000};

size_t utf8_encode(char out[4], uint32_t rune) {
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t len = rune < 0x80 ? 1 : rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, rune >>= 6) {
        out[i] = (char)(0x80 | (rune & 0x3f));
    }
    out[0] = (char)(lead[len] | rune);
    return len;
}

size_t utf8_decode(const char *p, size_t len, uint32_t *rune) {
    if (len == 0) {
        return 0;
    }
    unsigned char first = (unsigned char)p[0];
    size_t size;
    uint32_t value;
    if (first < 0x80) {
        size = 1;
        value = first;
    } else if (first >= 0xc2 && first < 0xe0) {
        size = 2;
        value = first & 0x1fu;
    } else if (first >= 0xe0 && first < 0xf0) {
        size = 3;
        value = first & 0x0fu;
    } else if (first >= 0xf0 && first < 0xf5) {
        size = 4;
        value = first & 0x07u;
    } else {
        return 0;
    }
    if (size > len) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c & 0xc0u) != 0x80) {
            return 0;
        }
        value = value << 6 | (c & 0x3fu);
    }
    if (value < utf8_lowest[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        return 0;
    }
    if (rune != NULL) {
        *rune = value;
    }
    return size;
}
