/* See number.h. */
#include "codec/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

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

/* ---- floating point ---- */

#define FLOAT_TEXT_MAX 1024 /* characters that are looked at; longer ones are no number of ours */

static bool is_digit(char c, bool hexadecimal) {
    char lower = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (hexadecimal && lower >= 'a' && lower <= 'f');
}

static size_t skip_digits(const char *p, bool hexadecimal) {
    size_t n = 0;
    while (is_digit(p[n], hexadecimal)) {
        n++;
    }
    return n;
}

/* strtof takes more than is allowed: blanks, "nan(1)", 0x without an exponent. */
static bool is_float(const char *p) {
    static const char *const words[] = {"inf", "infinity", "nan"};
    bool has_sign = *p == '-' || *p == '+';
    p += has_sign;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq_fold(str_from(p), str_from(words[i]))) {
            return i < 2 || !has_sign;
        }
    }
    bool hexadecimal = p[0] == '0' && (p[1] | 0x20) == 'x';
    p += hexadecimal ? 2 : 0;
    size_t digits = skip_digits(p, hexadecimal);
    p += digits;
    if (*p == '.') {
        size_t behind = skip_digits(p + 1, hexadecimal);
        p += 1 + behind;
        digits += behind;
    }
    bool exponent = (*p | 0x20) == (hexadecimal ? 'p' : 'e');
    if (exponent) {
        p++;
        p += *p == '-' || *p == '+';
        size_t behind = skip_digits(p, false);
        if (behind == 0) {
            return false;
        }
        p += behind;
    }
    return digits > 0 && *p == '\0' && (exponent || !hexadecimal);
}

/* A terminated copy without underscores; false: there are some where none may be. */
static bool copy_float(struct str s, char *copy) {
    size_t len = 0;
    if (s.len == 0 || s.len >= FLOAT_TEXT_MAX || memchr(s.data, '\0', s.len) != NULL) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] != '_') {
            copy[len++] = s.data[i];
            continue;
        }
        bool after = i > 0 && (is_digit(s.data[i - 1], true) || (s.data[i - 1] | 0x20) == 'x');
        if (!after || i + 1 == s.len || !is_digit(s.data[i + 1], true)) {
            return false;
        }
    }
    copy[len] = '\0';
    return true;
}

const char *number_parse_f32(struct str s, float *out) {
    char copy[FLOAT_TEXT_MAX];
    if (!copy_float(s, copy) || !is_float(copy)) {
        return "invalid syntax";
    }
    errno = 0;
    float n = strtof(copy, NULL);
    if (errno == ERANGE && isinf(n)) {
        return "value out of range";
    }
    *out = n;
    return NULL;
}

int64_t number_i64_of(double n) {
    return n >= -0x1p63 && n < 0x1p63 ? (int64_t)n : INT64_MIN;
}

struct str number_f64_text(struct arena *arena, double n) {
    char digits[32]; /* "d.ddddde+308" */
    int precision = 0;
    ASSERT(isfinite(n));
    do {
        snprintf(digits, sizeof(digits), "%.*e", precision, fabs(n));
    } while (strtod(digits, NULL) != fabs(n) && ++precision < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (precision > 0) { /* without the point */
        memmove(digits + 1, digits + 2, (size_t)precision);
    }
    int count = precision + 1, whole = exponent + 1;
    struct buf text = BUF_INIT;
    if (signbit(n)) {
        buf_add_char(&text, '-');
    }
    for (int i = whole < 1 ? whole - 1 : 0; i < (count > whole ? count : whole); i++) {
        if (i == whole) {
            buf_add_char(&text, '.');
        }
        buf_add_char(&text, i >= 0 && i < count ? digits[i] : '0');
    }
    struct str out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return out;
}
