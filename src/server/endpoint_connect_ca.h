/* What the endpoints that sign share: ConnectCA, AutoEncrypt, AutoConfig.
 */
#ifndef PRAETOR_SERVER_ENDPOINT_CONNECT_CA_H
#define PRAETOR_SERVER_ENDPOINT_CONNECT_CA_H

#include "server/ca.h"
#include "server/endpoint.h"

/* A request for a leaf on its way: from the core, which checks it, to the CA's thread. In the
 * answer's arena. */
struct sign_work {
    struct ca_work work;
    struct call *call;
    struct ca_csr csr;
    struct spiffe_id id;
    struct ca_leaf_wish wish;
    /* On the CA's thread, after the leaf was signed: fills in the reply. */
    bool (*finish)(struct sign_work *w, const struct issued_cert *cert, struct error *e);
    void *owner;
};

/* Core: checks a CSR as connect.md 3.9 says, and has it signed; the call is answered, now or later.
 * agents_only: node is whose it must be, "" for any ("" also when services may have one). */
void sign_start(struct call *c, struct str csr, bool agents_only, struct str node,
                bool (*finish)(struct sign_work *w, const struct issued_cert *cert,
                               struct error *e),
                void *owner);

/* All roots, and the trust domain, as agents see them. */
void ca_roots_read(struct store_read *r, struct indexed_ca_roots *out);
/* Any thread: the same from the store as it is now. */
bool ca_roots_now(struct server *s, struct indexed_ca_roots *out, struct arena *arena,
                  struct error *e);
/* endpoint->place: Connect must be on. */
bool ca_place(const struct call *c, struct str *datacenter, struct error *e);

#endif
