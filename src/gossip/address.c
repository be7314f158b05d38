/* Addresses and ranges of addresses, and their texts. */
#include "gossip/address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/mem.h"

bool gossip_address_eq(const struct gossip_address *a, const struct gossip_address *b) {
    return a->len == b->len && a->port == b->port && memcmp(a->ip, b->ip, a->len) == 0;
}

bool gossip_address_set(struct gossip_address *a, struct str ip, uint16_t port) {
    if (ip.len != 4 && ip.len != 16)
        return false;
    *a = (struct gossip_address){.len = (uint8_t)ip.len, .port = port};
    memcpy(a->ip, ip.data, ip.len);
    return true;
}

bool gossip_address_parse_ip(struct gossip_address *a, struct str text, uint16_t port) {
    char terminated[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    if (text.len == 0 || text.len >= sizeof terminated || memchr(text.data, 0, text.len) != NULL)
        return false;
    memcpy(terminated, text.data, text.len);
    terminated[text.len] = '\0';
    if (inet_pton(AF_INET, terminated, ip) == 1)
        return gossip_address_set(a, str_of(ip, 4), port);
    if (inet_pton(AF_INET6, terminated, ip) != 1)
        return false;
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(ip, mapped, sizeof mapped) == 0)
        return gossip_address_set(a, str_of(ip + sizeof mapped, 4), port);
    return gossip_address_set(a, str_of(ip, 16), port);
}

bool gossip_address_parse(struct gossip_address *a, struct str text) {
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon == 0 || !str_to_u64(str_sub(text, colon, SIZE_MAX), &port) || port > UINT16_MAX)
        return false;
    struct str host = str_sub(text, 0, colon - 1);
    bool brackets = host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (brackets)
        host = str_sub(host, 1, host.len - 2);
    else if (str_find_char(host, ':') >= 0)
        return false;
    return gossip_address_parse_ip(a, host, (uint16_t)port);
}

struct str gossip_address_ip(const struct gossip_address *a, char out[GOSSIP_ADDRESS_TEXT]) {
    if (a->len == 0 ||
        inet_ntop(a->len == 4 ? AF_INET : AF_INET6, a->ip, out, GOSSIP_ADDRESS_TEXT) == NULL)
        snprintf(out, GOSSIP_ADDRESS_TEXT, "<nil>");
    return str_from(out);
}

struct str gossip_address_text(const struct gossip_address *a, char out[GOSSIP_ADDRESS_TEXT]) {
    char ip[GOSSIP_ADDRESS_TEXT];
    struct str text = gossip_address_ip(a, ip);
    snprintf(out, GOSSIP_ADDRESS_TEXT, a->len == 16 ? "[%.*s]:%u" : "%.*s:%u",
             (int)(text.len < 48 ? text.len : 48), ip, a->port);
    return str_from(out);
}

bool gossip_cidr_parse(struct gossip_cidr *c, struct str text) {
    struct str rest = text;
    struct str ip = str_cut(&rest, '/');
    struct gossip_address a;
    uint64_t bits;
    bool six = str_find_char(ip, ':') >= 0;
    if (rest.data == NULL || !gossip_address_parse_ip(&a, ip, 0) || !str_to_u64(rest, &bits) ||
        bits > (six ? 128 : 32))
        return false;
    if (six && a.len == 4) { /* a mapped address: as the peer, whose mask then has 128 bits */
        if (bits < 96)
            return false;
        bits -= 96;
    }
    *c = (struct gossip_cidr){.len = a.len, .bits = (uint8_t)bits};
    memcpy(c->ip, a.ip, a.len);
    return true;
}

bool gossip_cidr_holds(const struct gossip_cidr *c, const struct gossip_address *a) {
    if (c->len != a->len)
        return false;
    size_t whole = c->bits / 8;
    unsigned rest = c->bits % 8;
    if (memcmp(c->ip, a->ip, whole) != 0)
        return false;
    return rest == 0 || ((c->ip[whole] ^ a->ip[whole]) & (0xff00 >> rest) & 0xff) == 0;
}
