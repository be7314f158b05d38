/* See number.h. */
#include "codec/number.h"

/* Underscores only between digits, or behind the base's prefix. */
static bool underscores_fit(struct str s, bool prefixed) {
    char before = prefixed ? '0' : '^';
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '_' && before != '0') {
            return false;
        }
        before = s.data[i] == '_' ? '_' : '0';
    }
    return before != '_';
}

/* A number with 0x, 0o, 0b or 0 in front and underscores between digits: *n without its sign.
 * Returns NULL, or what is wrong. */
static const char *parse_based(struct str s, bool *negative, uint64_t *n) {
    *negative = s.len > 0 && s.data[0] == '-';
    if (s.len > 0 && (s.data[0] == '-' || s.data[0] == '+')) {
        s = str_sub(s, 1, s.len);
    }
    unsigned base = 10;
    bool prefixed = false;
    if (s.len > 2 && s.data[0] == '0') {
        char c = (char)(s.data[1] | 0x20);
        base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
        prefixed = base != 10;
        s = prefixed ? str_sub(s, 2, s.len) : s;
    }
    if (!prefixed && s.len > 1 && s.data[0] == '0') {
        base = 8;
        prefixed = true;
        s = str_sub(s, 1, s.len);
    }
    if (s.len == 0 || !underscores_fit(s, prefixed)) {
        return "invalid syntax";
    }
    bool overflow = false;
    *n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int c = s.data[i];
        if (c == '_') {
            continue;
        }
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
                         : (c | 0x20) >= 'a' && (c | 0x20) <= 'z'
                             ? (unsigned)((c | 0x20) - 'a' + 10)
                             : 99;
        if (digit >= base) {
            return "invalid syntax";
        }
        overflow = overflow || __builtin_mul_overflow(*n, (uint64_t)base, n) ||
                   __builtin_add_overflow(*n, (uint64_t)digit, n);
    }
    return overflow ? "value out of range" : NULL;
}

const char *number_parse_i64(struct str s, int64_t *out) {
    bool negative;
    uint64_t n;
    const char *wrong = parse_based(s, &negative, &n);
    if (wrong != NULL) {
        return wrong;
    }
    if (n > (uint64_t)INT64_MAX + negative) {
        return "value out of range";
    }
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return NULL;
}

const char *number_parse_u64(struct str s, uint64_t *out) {
    bool negative;
    uint64_t n;
    bool has_sign = s.len > 0 && (s.data[0] == '-' || s.data[0] == '+');
    const char *wrong = has_sign ? "invalid syntax" : parse_based(s, &negative, &n);
    if (wrong == NULL) {
        *out = n;
    }
    return wrong;
}
