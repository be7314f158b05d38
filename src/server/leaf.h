/* Leaf certificates that this agent holds for services, or for itself (connect.md 3.10): each is
 * asked for with a key made here, which is never written to disk, and made anew in time: before it
 * is too old, and when the authority's root has changed. Who asks gets it at once, or waits for the
 * next.
 *
 * All live on one thread, the first of the I/O threads; others send it their asks.
 */
#ifndef PRAETOR_SERVER_LEAF_H
#define PRAETOR_SERVER_LEAF_H

#include "schema/connect.h"
#include "server/ca_csr.h"
#include "server/call.h"

#define LEAVES_MOST 8192          /* kept; who asks for more gets an error */
#define LEAF_LIFE (72 * HOUR)     /* after its last use */
#define LEAF_SPREAD (30 * SECOND) /* in which agents follow a new root */
#define LEAF_FETCH_TIME (600 * SECOND)

/* For whom: a service, or the agent itself. */
struct leaf_wish {
    struct str service;           /* "": the agent's */
    struct str agent;             /* the node's name */
    struct list dns;              /* of str: further names, of an agent's or an ingress gateway's */
    struct list ips;              /* of str, bytes */
    struct str token, datacenter; /* "": the own datacenter */
    struct str key_type;          /* "": ec */
    int64_t key_bits;             /* 0: 256 */
    int64_t spread;               /* 0: LEAF_SPREAD */
    bool ahead; /* asked for before anybody needs it: those that come meanwhile get it as a hit */
};

struct leaf_ask;
/* cert: with its key; NULL: e says why there is none. hit: it was there already. Both are good
 * until done returns. */
typedef void leaf_done(void *owner, const struct issued_cert *cert, bool hit,
                       const struct error *e);
/* On a thread of the server's, or of loop_init; the wish is copied. min_index: waits for a
 * certificate with a higher index, as long as max_time (ns; 0: ten minutes). done runs later, on
 * the same loop. */
struct leaf_ask *leaf_ask(struct server *server, const struct leaf_wish *wish, uint64_t min_index,
                          int64_t max_time, leaf_done *done, void *owner);
/* done will not run. On the thread that asked. */
void leaf_cancel(struct leaf_ask *ask);

/* Gives a certificate, with its key, that was got elsewhere: it is held as if it had been asked for
 * here. Any thread; all is copied. */
void leaf_hold(struct server *server, const struct leaf_wish *wish, const struct issued_cert *cert);

/* The CSR for a wish, in the trust domain (tls.md 13, connect.md 3.2). PEM. */
struct str leaf_csr(const struct leaf_wish *wish, struct str trust_domain, EVP_PKEY *key,
                    struct arena *arena);

/* leaf_wish.c: a deep copy; what makes it another certificate; defaults. */
void leaf_wish_copy(struct leaf_wish *to, const struct leaf_wish *from, struct arena *arena);
struct str leaf_wish_key(const struct leaf_wish *w, struct arena *arena);
void leaf_wish_complete(struct leaf_wish *w, struct str datacenter);

/* Of the thread that they live on: thread.c's, at its end. NULL is allowed. */
struct leaves;
void leaves_close(struct leaves *l);
void leaves_free(struct leaves *l); /* after the loop has ended */

#endif
