/* A datagram socket on a loop, for few and small messages (gossip): bound first, so that a taken
 * address is an error at the start; read in batches; sent at once, and dropped when the system has
 * no room, as datagrams may be. The DNS interface, which answers masses of clients, has its own.
 */
#ifndef PRAETOR_NET_UDP_H
#define PRAETOR_NET_UDP_H

#include "base/error.h"
#include "net/loop.h"

#define UDP_PACKET_MAX ((size_t)65536)

/* Where a datagram comes from or goes to. */
struct udp_address {
    uint8_t ip[16];
    uint8_t len; /* of ip: 4 or 16 */
    uint16_t port;
};

struct udp;
/* bytes: valid during the call. May call udp_send, not udp_close. */
typedef void udp_received(void *owner, const struct udp_address *from, struct str bytes);

/* "listen udp 127.0.0.1:8301: bind: address already in use". ip: a literal; port 0: any. Any
 * thread. */
struct udp *udp_open(struct str ip, uint16_t port, struct error *e);
uint16_t udp_port(const struct udp *u);
/* On the loop: begins to read. */
void udp_start(struct udp *u, struct loop *l, udp_received *fn, void *owner);
/* On the loop. False: it was not sent; why is in the log's words ("sendto: message too long"), a
 * static text, or NULL when there was no room for it now. */
bool udp_send(struct udp *u, const struct udp_address *to, struct str bytes, const char **why);
/* On the loop (or without udp_start): ends reading and frees. */
void udp_close(struct udp *u);

#endif
