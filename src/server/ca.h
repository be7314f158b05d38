/* The certificate authority of a server that leads (connect.md 3): made when it begins to lead,
 * configured anew and rotated by request, and what signs. Its state is in the store, where every
 * server has it; here is only who works on it: one thread, which may wait for log entries and make
 * keys, one work after the other.
 *
 * In a secondary datacenter it has an intermediate certificate of the primary's root, and follows
 * that (3.8).
 */
#ifndef PRAETOR_SERVER_CA_H
#define PRAETOR_SERVER_CA_H

#include "server/ca_csr.h"
#include "server/ca_name.h"
#include "server/call.h"

/* What agents configure (connect.md 3.3). */
struct ca_options {
    bool enabled;                                 /* connect.enabled */
    bool allow_tls;                               /* auto_encrypt.allow_tls */
    struct str provider;                          /* "": consul */
    const struct value *config;                   /* a map or NULL; copied */
    const struct auto_config_options *authorizer; /* auto_config.h; NULL: off. Not copied */
};

#define CA_WAITING_MAX 1024 /* works; more are refused */

struct ca;
struct ca *ca_new(struct server *s);
/* Core: this server leads, or no longer. Again on: all is looked at anew (after a restore). */
void ca_enable(struct ca *ca, bool leading);
/* Core, at its end: calls that are under way are called off. */
void ca_close(struct ca *ca);
/* Ends the thread; works that wait get an error. The core's loop must run. Not on a loop. */
void ca_stop(struct ca *ca);
void ca_free(struct ca *ca); /* after ca_stop; NULL is allowed */

/* "Connect must be enabled in order to use this endpoint" */
bool ca_check_enabled(const struct server *s, struct error *e);

/* One work, embedded in what the caller keeps until run() has been called: once, on the CA's
 * thread, which may wait in it. e: what keeps it from being done (it must do nothing then but
 * answer). */
struct ca_work {
    void (*run)(struct ca *ca, struct ca_work *w, const struct error *e);
    int64_t not_before; /* monotonic; 0: at once */
    int64_t not_after;  /* monotonic: later the rate limit is reached; 0: never */
    struct ca_work *next;
};
/* Any thread. */
void ca_do(struct ca *ca, struct ca_work *w);

/* ---- in run() ---- */

/* A leaf for whom a CSR names, after all that endpoints check. names, id: with the real trust
 * domain. out->private_key_pem stays empty. */
struct ca_leaf_wish {
    const struct ca_csr *csr;
    const struct spiffe_id *id;
    struct ca_names names;
};
bool ca_sign_leaf(struct ca *ca, const struct ca_leaf_wish *wish, struct issued_cert *out,
                  struct arena *arena, struct error *e);
/* An intermediate for another datacenter: PEM. */
bool ca_sign_intermediate(struct ca *ca, const struct ca_csr *csr, struct str *pem,
                          struct arena *arena, struct error *e);
/* A new configuration (connect.md 3.6). */
bool ca_configure(struct ca *ca, const struct ca_configuration *wanted, struct arena *arena,
                  struct error *e);

/* ---- limits on signing (connect.md 3.9) ---- */

/* Core: a place in the queue of CSRs; when its turn comes, and until when it must have come, are
 * set in the work. False: "Rate limit reached, try again later". */
struct ca_settings;
bool ca_admit(struct ca *ca, const struct ca_settings *settings, struct ca_work *w,
              struct error *e);

#endif
