/* TLS on connections (tls.md): what certificates and rules make of it (tls_config), and one
 * connection's side of it (tls_session), which turns bytes into bytes and does no I/O: streams
 * (net/stream.h) carry it. By OpenSSL; verification follows the peer's rules, and errors are in its
 * words.
 */
#ifndef PRAETOR_NET_TLS_H
#define PRAETOR_NET_TLS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

/* ---- what is configured ---- */

enum tls_version { TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 };

struct tls_pems { /* PEM texts, one or several certificates each; in the order of trust */
    const struct str *texts;
    size_t len;
};

struct tls_options {
    struct tls_pems authorities; /* each certificate is an anchor as it is (tls.md 2) */
    struct str certificate, key; /* PEM: the chain, leaf first; absent: none */
    enum tls_version least;      /* the most is always 1.3 */
    const struct str *suites;    /* IANA names, for up to 1.2; NULL: the peer's list */
    size_t suite_count;
    bool prefer_server_suites;
};

/* What a side of connections is for. */
enum tls_role {
    TLS_SERVER,        /* asks for no certificate */
    TLS_SERVER_VERIFY, /* wants one that the authorities vouch for */
    TLS_CLIENT,        /* verifies against the authorities, and the name if there is one */
    TLS_CLIENT_BLIND,  /* verifies nothing: where there is no authority to ask (tls.md 3) */
    TLS_ROLES,
};

/* Immutable for its users, and counted (atomic): connections keep theirs when the configuration
 * changes. */
struct tls_config;
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
/* NULL with the error: "tls: private key does not match public key", ... (tls.md 11, behind
 * "Failed to load cert/key pair: "). Needs no file. */
struct tls_config *tls_config_new(const struct tls_options *options, struct error *e);
struct tls_config *tls_config_hold(struct tls_config *c);
void tls_config_release(struct tls_config *c); /* NULL is allowed */
/* What it was made of, to make another of; lives as long as it does. */
const struct tls_options *tls_config_options(const struct tls_config *c);
bool tls_config_has_certificate(const struct tls_config *c);
bool tls_config_has_authorities(const struct tls_config *c);
/* Gives a client's context of somebody else's (libcurl's) this pair, versions, suites, and the
 * authorities if there are any: else it keeps its own. */
void tls_config_dress(const struct tls_config *c, struct ssl_ctx_st *ctx);

/* ---- one connection ---- */

struct tls_session;
/* name: the server's that a TLS_CLIENT verifies and sends; absent: any of the authorities'. */
struct tls_session *tls_session_new(struct tls_config *c, enum tls_role role, struct str name);
void tls_session_free(struct tls_session *s); /* NULL is allowed */
/* What a server speaks, in the order of preference, in ALPN's wire form ("\x02h2\x08http/1.1"); a
 * client that knows none of it goes on without. Not copied. */
void tls_offer(struct tls_session *s, struct str protocols);
/* The same of a client, before the handshake: what it wants to speak. Copied. Whether the server
 * took one of it says tls_protocol. */
void tls_propose(struct tls_session *s, struct str protocols);

/* Whether the one is meant whose certificate, a good one, has this first URI (absent: none). False:
 * *why says why not, and is the session's error. */
typedef bool tls_judge(void *owner, struct str uri, struct buf *why);
/* For roles that verify; before the handshake. The other side is asked for nothing more. */
void tls_require(struct tls_session *s, tls_judge *judge, void *owner);
/* After the handshake, of the other side's certificate: its first URI, and its serial number in
 * hexadecimal ("0a:1b:…"). In the arena; absent when there is none. */
void tls_peer_identity(const struct tls_session *s, struct str *uri, struct str *serial,
                       struct arena *arena);

enum tls_result { TLS_OK, TLS_MORE, TLS_ENDED, TLS_FAILED };

/* Bytes from the other side. Kept by reference until tls_read has answered TLS_MORE. */
void tls_feed(struct tls_session *s, struct str bytes);
/* What of it has not been read: the session forgets it. */
struct str tls_take_input(struct tls_session *s);
/* Goes on with the handshake. TLS_OK: it is over. The rest as of tls_read. */
enum tls_result tls_handshake(struct tls_session *s);
/* Decrypts up to `max` bytes, after the handshake. TLS_OK: *len > 0. TLS_MORE: nothing
 * until more is fed. TLS_ENDED: the other side said goodbye. TLS_FAILED: tls_error. In all cases
 * there may be bytes to be sent. */
enum tls_result tls_read(struct tls_session *s, void *out, size_t max, size_t *len);
/* false: tls_read would answer TLS_MORE. */
bool tls_has_input(const struct tls_session *s);
/* Encrypts up to `len` bytes. TLS_MORE: not before the handshake is over. */
enum tls_result tls_write(struct tls_session *s, const void *bytes, size_t len, size_t *taken);
/* Says goodbye. */
void tls_end(struct tls_session *s);
/* What is to be sent to the other side: send and consume from its front. */
struct buf *tls_output(struct tls_session *s);

bool tls_is_established(const struct tls_session *s); /* the handshake is over */
/* After TLS_FAILED, in the peer's words: "remote error: tls: bad certificate", "x509: certificate
 * signed by unknown authority", "tls: client didn't provide a certificate". Valid with the session.
 */
const char *tls_error(const struct tls_session *s);
/* "h2", "http/1.1"; absent: none was agreed on. */
struct str tls_protocol(const struct tls_session *s);
/* On a server: the name that the client asked for; absent: none. Valid with the session. */
struct str tls_server_name(const struct tls_session *s);

#endif
