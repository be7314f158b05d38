/* Packets that come on a connection, through mesh gateways, instead of by UDP (gossip.md 12.9):
 * each behind its length. Bytes come in as they come, packets come out; nothing is copied.
 */
#ifndef PRAETOR_GOSSIP_CARRIED_H
#define PRAETOR_GOSSIP_CARRIED_H

#include "base/buf.h"
#include "base/error.h"

#define CARRIED_HEAD 4
#define CARRIED_MAX 4194304 /* bytes of a packet; more is an error */

struct carried {
    size_t skip; /* bytes to come of a packet that is larger than any that is handled */
};
enum carried_status { CARRIED_MORE, CARRIED_PACKET, CARRIED_BAD };
/* Takes one packet from the front of `in`, which moves on, also over what is skipped. MORE: it has
 * no whole one, and is shorter than one. BAD: "gossip packet size 4194305 exceeds threshold of
 * 4194304", "packet too short (0 bytes)"; nothing more can be had of the connection. */
enum carried_status carried_take(struct carried *c, struct str *in, struct str *packet,
                                 struct error *e);
void carried_add(struct buf *out, struct str packet);

#endif
