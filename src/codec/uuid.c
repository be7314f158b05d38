/* UUID texts. The hexadecimal texts of uuid_parse are those of the peer's hex decoder. */
#include "codec/uuid.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static bool dashes_in_place(struct str text) {
    return text.data[8] == '-' && text.data[13] == '-' && text.data[18] == '-' &&
           text.data[23] == '-';
}

/* Decodes the 32 digits of a text whose dashes are in place. Returns -1, or the offset of the first
 * character that is no digit. */
static int decode_digits(struct str text, uint8_t out[16]) {
    size_t n = 0;
    for (size_t i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            continue;
        }
        int digit = hex_digit(text.data[i]);
        if (digit < 0) {
            return (int)i;
        }
        out[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : out[n / 2] | digit);
        n++;
    }
    return -1;
}

bool uuid_valid(struct str text) {
    uint8_t bytes[16];
    return text.len == 36 && dashes_in_place(text) && decode_digits(text, bytes) < 0;
}

static bool bad_digit(char c, const char *prefix, struct error *e) {
    uint32_t rune = (unsigned char)c; /* the peer takes the byte for a code point */
    if (!utf8_is_print(rune)) {
        return error_set(e, ERROR_INTERNAL, "%sencoding/hex: invalid byte: U+%04X", prefix, rune);
    }
    char text[5] = {0};
    utf8_encode(text, rune);
    return error_set(e, ERROR_INTERNAL, "%sencoding/hex: invalid byte: U+%04X '%s'", prefix, rune,
                     text);
}

bool uuid_parse(struct str text, uint8_t out[16], struct error *e) {
    if (text.len != 36) {
        return error_set(e, ERROR_INTERNAL, "uuid string is wrong length");
    }
    if (!dashes_in_place(text)) {
        return error_set(e, ERROR_INTERNAL, "uuid is improperly formatted");
    }
    int at = decode_digits(text, out);
    return at < 0 || bad_digit(text.data[at], "", e);
}

bool uuid_parse_index(struct str text, uint8_t out[18], size_t *len, struct error *e) {
    if (text.len != 36) {
        return error_set(e, ERROR_INTERNAL, "UUID must be 36 characters");
    }
    size_t dashes = 0;
    for (size_t i = 0; i < text.len; i++) {
        dashes += text.data[i] == '-';
    }
    if (dashes > 4) {
        return error_set(e, ERROR_INTERNAL, "UUID should have maximum of 4 \"-\"; got %zu", dashes);
    }
    if (dashes % 2 != 0) {
        return error_set(e, ERROR_INTERNAL, "Input (without hyphens) must be even length");
    }
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '-') {
            continue;
        }
        int digit = hex_digit(text.data[i]);
        if (digit < 0) {
            return bad_digit(text.data[i], "Invalid UUID: ", e);
        }
        out[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : out[n / 2] | digit);
        n++;
    }
    *len = n / 2;
    return true;
}
