/* See codec/ip.h. */
#include "codec/ip.h"

#include <arpa/inet.h>
#include <string.h>

/* Four decimal numbers; leading zeros are allowed and decimal. */
static bool parse_ipv4(struct str text, uint8_t ip[4]) {
    size_t i = 0;
    for (int part = 0; part < 4; part++) {
        unsigned n = 0;
        size_t digits = 0;
        for (; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++, digits++) {
            n = n * 10 + (unsigned)(text.data[i] - '0');
            if (n > 255) {
                return false;
            }
        }
        if (digits == 0) {
            return false;
        }
        ip[part] = (uint8_t)n;
        if (part < 3 && (i >= text.len || text.data[i++] != '.')) {
            return false;
        }
    }
    return i == text.len;
}

unsigned ip_parse(struct str text, uint8_t ip[16]) {
    if (text.len == 0 || text.len >= INET6_ADDRSTRLEN) {
        return 0;
    }
    if (parse_ipv4(text, ip)) {
        memset(ip + 4, 0, 12);
        return 4;
    }
    char copy[INET6_ADDRSTRLEN];
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    if (strlen(copy) != text.len || inet_pton(AF_INET6, copy, ip) != 1) {
        return 0;
    }
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(ip, mapped, sizeof(mapped)) == 0) {
        memmove(ip, ip + 12, 4);
        memset(ip + 4, 0, 12);
        return 4;
    }
    return 6;
}

struct str ip_text(struct str text, struct arena *arena) {
    uint8_t ip[16];
    char out[INET6_ADDRSTRLEN];
    unsigned family = ip_parse(text, ip);
    if (family == 0 || inet_ntop(family == 4 ? AF_INET : AF_INET6, ip, out, sizeof(out)) == NULL)
        return STR("");
    return str_copy(arena, str_from(out));
}
