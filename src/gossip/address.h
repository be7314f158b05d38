/* Where a member is: an IPv4 or IPv6 address and a port, as a value that compares bytewise. The
 * address of an IPv4 node is always the short form (gossip.md 2.2).
 */
#ifndef PRAETOR_GOSSIP_ADDRESS_H
#define PRAETOR_GOSSIP_ADDRESS_H

#include "base/str.h"

struct gossip_address {
    uint8_t ip[16];
    uint8_t len; /* of ip: 4, 16, or 0: none */
    uint16_t port;
};

#define GOSSIP_ADDRESS_TEXT 64 /* room for either text, with its NUL */

bool gossip_address_eq(const struct gossip_address *a, const struct gossip_address *b);
/* 4 or 16 bytes as they come (no conversion of mapped addresses); false for another length. */
bool gossip_address_set(struct gossip_address *a, struct str ip, uint16_t port);
/* An IP literal without brackets; IPv4 in IPv6 becomes IPv4. False when it is none. */
bool gossip_address_parse_ip(struct gossip_address *a, struct str text, uint16_t port);
/* "1.2.3.4:5", "[::1]:5". */
bool gossip_address_parse(struct gossip_address *a, struct str text);
/* "1.2.3.4", "::1" (no address: "<nil>"), and with the port: "1.2.3.4:5", "[::1]:5". The text is
 * written to `out`. */
struct str gossip_address_ip(const struct gossip_address *a, char out[GOSSIP_ADDRESS_TEXT]);
struct str gossip_address_text(const struct gossip_address *a, char out[GOSSIP_ADDRESS_TEXT]);

/* "10.0.0.0/8", "fd00::/8". */
struct gossip_cidr {
    uint8_t ip[16];
    uint8_t len, bits;
};
bool gossip_cidr_parse(struct gossip_cidr *c, struct str text);
bool gossip_cidr_holds(const struct gossip_cidr *c, const struct gossip_address *a);

#endif
