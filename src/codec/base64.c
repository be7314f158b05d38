/* Base64 as the peer's standard decoder takes it: padding required, line ends skipped. */
#include "codec/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, struct str bytes) {
    const uint8_t *in = (const uint8_t *)bytes.data;
    char *to = buf_reserve(out, (bytes.len + 2) / 3 * 4);
    size_t n = 0, i = 0;
    for (; i + 3 <= bytes.len; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        to[n++] = alphabet[group >> 18];
        to[n++] = alphabet[group >> 12 & 63];
        to[n++] = alphabet[group >> 6 & 63];
        to[n++] = alphabet[group & 63];
    }
    if (i < bytes.len) {
        bool two = i + 2 == bytes.len;
        uint32_t group = (uint32_t)in[i] << 16 | (two ? (uint32_t)in[i + 1] << 8 : 0);
        to[n++] = alphabet[group >> 18];
        to[n++] = alphabet[group >> 12 & 63];
        to[n++] = two ? alphabet[group >> 6 & 63] : '=';
        to[n++] = '=';
    }
    out->len += n;
}

static int digit_value(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool corrupt(size_t at, struct error *e) {
    return error_set(e, ERROR_INTERNAL, "illegal base64 data at input byte %zu", at);
}

static size_t skip_line_ends(struct str text, size_t at) {
    while (at < text.len && (text.data[at] == '\n' || text.data[at] == '\r')) {
        at++;
    }
    return at;
}

/* The end of the text from the first '=' on: at is behind it, `have` digits came before. */
static bool check_padding(struct str text, size_t at, size_t have, struct error *e) {
    if (have < 2) {
        return corrupt(at - 1, e);
    }
    at = skip_line_ends(text, at);
    if (have == 2) {
        if (at == text.len) {
            return corrupt(text.len, e);
        }
        if (text.data[at] != '=') {
            return corrupt(at - 1, e);
        }
        at = skip_line_ends(text, at + 1);
    }
    return at == text.len || corrupt(at, e);
}

bool base64_decode(struct str text, struct str *out, struct arena *arena, struct error *e) {
    uint8_t *to = arena_alloc(arena, text.len / 4 * 3 + 4);
    size_t n = 0, at = 0, have = 0;
    uint32_t group = 0;
    for (;;) {
        at = skip_line_ends(text, at);
        if (at == text.len) {
            if (have != 0) {
                return corrupt(text.len - have, e);
            }
            break;
        }
        char c = text.data[at++];
        int digit = digit_value(c);
        if (digit >= 0) {
            group = group << 6 | (uint32_t)digit;
            if (++have == 4) {
                to[n++] = (uint8_t)(group >> 16);
                to[n++] = (uint8_t)(group >> 8);
                to[n++] = (uint8_t)group;
                have = 0;
                group = 0;
            }
            continue;
        }
        if (c != '=') {
            return corrupt(at - 1, e);
        }
        if (!check_padding(text, at, have, e)) {
            return false;
        }
        to[n++] = (uint8_t)(have == 2 ? group >> 4 : group >> 10);
        if (have == 3) {
            to[n++] = (uint8_t)(group >> 2);
        }
        break;
    }
    to[n] = 0;
    *out = str_of(to, n);
    return true;
}

/* A lone digit at the end says nothing; of the last group the bits that are too many are ignored.
 */
bool base64url_decode(struct str text, struct str *out, struct arena *arena, struct error *e) {
    uint8_t *to = arena_alloc(arena, text.len / 4 * 3 + 4);
    size_t n = 0, have = 0;
    uint32_t group = 0;
    for (size_t at = skip_line_ends(text, 0); at < text.len; at = skip_line_ends(text, at + 1)) {
        char c = text.data[at];
        int digit = c == '-' ? 62 : c == '_' ? 63 : c == '+' || c == '/' ? -1 : digit_value(c);
        if (digit < 0) {
            return corrupt(at, e);
        }
        group = group << 6 | (uint32_t)digit;
        if (++have == 4) {
            to[n++] = (uint8_t)(group >> 16);
            to[n++] = (uint8_t)(group >> 8);
            to[n++] = (uint8_t)group;
            have = 0;
            group = 0;
        }
    }
    if (have == 1) {
        return corrupt(text.len - 1, e);
    }
    if (have >= 2) {
        to[n++] = (uint8_t)(have == 2 ? group >> 4 : group >> 10);
    }
    if (have == 3) {
        to[n++] = (uint8_t)(group >> 2);
    }
    to[n] = 0;
    *out = str_of(to, n);
    return true;
}
