/* The DNS interface (dns.md): answers queries about nodes, services and addresses on UDP and TCP,
 * and forwards the rest to recursors. Each I/O loop of the server has its own sockets for each
 * address (SO_REUSEPORT), its own settings and its own queries; nothing is shared between threads.
 *
 * Not here: access control, which the endpoints apply to the token of each call: the agent's
 * default token of that moment.
 */
#ifndef PRAETOR_DNS_DNS_H
#define PRAETOR_DNS_DNS_H

#include "agent/agent.h"
#include "agent/config.h"
#include "server/server.h"

struct dns;

struct dns_options {
    const struct listen_address *addresses; /* LISTEN_TCP only */
    size_t address_count;
    struct str node_name; /* the agent's */
    struct str datacenter;
    bool translate_wan_addrs;
    const struct config_dns *settings; /* copied */
    uint32_t connection_limit;         /* TCP connections a loop; 0: 4096 */
    uint32_t client_limit;             /* TCP connections of one address; 0: 256 */
};

/* Opens the sockets (error text as the peer's: "1 error occurred:\n\t* listen udp 127.0.0.1:8600:
 * bind: address already in use\n\n") and hands them to the server's I/O loops, which need not run
 * yet. Everything in options is copied. Call it, dns_reload and dns_stop from one thread that is
 * not one of those loops. */
struct dns *dns_start(const struct dns_options *options, struct server *server, struct error *e);
/* Puts what is reloadable (dns.md 13) in force on all loops, which must run; queries that run keep
 * what they started with. */
bool dns_reload(struct dns *dns, const struct config_dns *settings, struct error *e);
/* Closes the sockets, gives up running queries and waits for the loops, which must still run. */
void dns_stop(struct dns *dns);

/* The same for the agent's list of interfaces (agent/agent.h). */
extern const struct agent_interface dns_interface;

#endif
