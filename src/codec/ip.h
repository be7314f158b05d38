/* IP addresses as texts, as the peer's language reads them: leading zeros are decimal, an IPv4
 * address that is written as an IPv6 one is an IPv4 address, and there is no zone.
 */
#ifndef PRAETOR_CODEC_IP_H
#define PRAETOR_CODEC_IP_H

#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* 4 or 6, the address in ip[16]; 0 when the text is no address. */
unsigned ip_parse(struct str text, uint8_t ip[16]);

/* The same address as it is usually written, in the arena; empty when the text is no address. */
struct str ip_text(struct str text, struct arena *arena);

#endif
