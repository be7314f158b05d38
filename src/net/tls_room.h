/* What tls.c, tls_session.c and tls_verify.c share. For these only.
 */
#ifndef PRAETOR_NET_TLS_ROOM_H
#define PRAETOR_NET_TLS_ROOM_H

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/ssl.h>

#include "net/tls.h"

struct tls_config {
    atomic_uint references;
    struct arena arena;         /* of options */
    struct tls_options options; /* what it was made of */
    X509_STORE *anchors;
    size_t anchor_count;
    X509 *leaf; /* NULL: no certificate */
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    int least;                    /* version, as OpenSSL numbers it */
    struct buf suites;            /* up to 1.2, as OpenSSL names them; terminated */
    pthread_mutex_t mutex;        /* over: */
    SSL_CTX *contexts[TLS_ROLES]; /* NULL: not wanted yet */
};

/* The first one makes OpenSSL load its algorithms (4 MiB): an agent that speaks TLS with nobody has
 * none. */
SSL_CTX *tls_config_context(struct tls_config *c, enum tls_role role);

struct tls_session {
    SSL *ssl;
    struct tls_config *config;
    struct str input; /* what was fed and not read yet */
    struct buf output;
    struct buf name; /* the server's that is verified */
    struct str offer;
    tls_judge *judge; /* NULL: anybody with a good certificate will do */
    void *judge_owner;
    bool failed;
    char error[512];
};

struct tls_session *tls_session_of(const SSL *ssl);

/* tls_verify.c: callbacks of OpenSSL (SSL_CTX_set_cert_verify_callback); owner: the config. What is
 * wrong goes into the session's error. */
struct str tls_uri_of(X509 *x, struct arena *arena); /* absent: it has none */
int tls_verify_client(X509_STORE_CTX *ctx, void *owner);
int tls_verify_server(X509_STORE_CTX *ctx, void *owner);

#endif
