/* TLS of this agent, as it is configured now (tls.md 3 to 5): sessions for connections that come in
 * and for those that are dialled. A reload replaces it for the connections that come later. Any
 * thread may ask.
 */
#ifndef PRAETOR_SERVER_SECURE_H
#define PRAETOR_SERVER_SECURE_H

#include "net/tls.h"

struct secure;

struct secure_settings {
    struct tls_config *config; /* held by who has them; NULL: TLS with neither pair nor authority */
    bool verify_incoming_rpc, verify_incoming_https; /* verify_incoming included */
    bool verify_outgoing, verify_server_hostname;
    struct str domain; /* without its final dot */
};

/* What an agent gets from servers rather than from files (tls.md 13, 14). */
struct secure_auto {
    const struct str *authorities; /* PEM: they join the configured ones */
    size_t authority_count;
    struct str certificate, key; /* PEM; "": none. Dialling it beats the configured pair, serving
                                  * that beats it */
    bool dials;                  /* connections to servers are encrypted */
    bool verify_server_hostname;
};

struct secure *secure_new(void);
void secure_free(struct secure *s);
/* Copied; the config is held. */
void secure_set(struct secure *s, const struct secure_settings *settings);

/* Copied. False: what of it cannot be used, and nothing has changed. */
bool secure_set_auto(struct secure *s, const struct secure_auto *automatic, struct error *e);

enum secure_port {
    SECURE_RPC,          /* byte 0x03 */
    SECURE_RPC_INSECURE, /* byte 0x07: nobody is asked for a certificate */
    SECURE_RPC_NATIVE,   /* everybody is, and names a protocol */
    SECURE_HTTPS,
    SECURE_GRPC, /* nobody is asked for a certificate */
};
struct tls_session *secure_accept(struct secure *s, enum secure_port port);
/* What is configured now; held for the caller, who releases it. */
struct tls_config *secure_config(struct secure *s);
/* Whether RPC in clear is refused: verify_incoming, verify_incoming_rpc. */
bool secure_refuses_clear(struct secure *s);
/* Whether first bytes above 7 begin a TLS handshake (rpc.md 1). */
bool secure_is_native(struct secure *s);
/* For a server of that datacenter; NULL: it is dialled in clear. */
struct tls_session *secure_dial(struct secure *s, struct str datacenter);

/* For a server of another datacenter, behind a mesh gateway: node: its name; "" (or "*"): any of
 * the datacenter. protocol: one of SECURE_NATIVE_... NULL: there is not both a certificate and an
 * authority, without which nobody can be reached so, whatever else is configured (tls.md 3). */
struct tls_session *secure_dial_native(struct secure *s, struct str node, struct str datacenter,
                                       struct str protocol);

/* For the restricted port of a server (byte 0x07): never NULL; without any authority nobody is
 * verified. */
struct tls_session *secure_dial_insecure(struct secure *s, struct str datacenter);
/* What the configured authorities are, as PEM texts, and whether servers' names are verified: what
 * agents are told. In the arena. */
bool secure_manual(struct secure *s, struct str **authorities, size_t *count, struct arena *arena);

/* What native connections speak (rpc.md 1). */
#define SECURE_NATIVE_SINGLE "consul/rpc-single"
#define SECURE_NATIVE_RAFT "consul/raft"
#define SECURE_NATIVE_MULTIPLEX "consul/rpc-multi"
#define SECURE_NATIVE_SNAPSHOT "consul/rpc-snapshot"
#define SECURE_NATIVE_GOSSIP_AREA "consul/rpc-gossip" /* of another edition: nobody serves it */
#define SECURE_NATIVE_GOSSIP_PACKETS "consul/wan-gossip/packet"
#define SECURE_NATIVE_GOSSIP_STREAM "consul/wan-gossip/stream"

/* The byte that announces TLS on the server port, for connect_options.announce. */
#define SECURE_ANNOUNCE "\x03"
#define SECURE_ANNOUNCE_INSECURE "\x07"

#endif
