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

struct secure *secure_new(void);
void secure_free(struct secure *s);
/* Copied; the config is held. */
void secure_set(struct secure *s, const struct secure_settings *settings);

enum secure_port {
    SECURE_RPC,          /* byte 0x03 */
    SECURE_RPC_INSECURE, /* byte 0x07: nobody is asked for a certificate */
    SECURE_RPC_NATIVE,   /* everybody is, and names a protocol */
    SECURE_HTTPS,
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

/* The byte that announces TLS on the server port, for connect_options.announce. */
#define SECURE_ANNOUNCE "\x03"

#endif
