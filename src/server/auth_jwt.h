/* Methods of type jwt (acl.md 15.3): their configuration, where their keys come from, and the way
 * of a bearer token through all of it. What was fetched is kept from one login to the next.
 */
#ifndef PRAETOR_SERVER_AUTH_JWT_H
#define PRAETOR_SERVER_AUTH_JWT_H

#include <pthread.h>

#include "server/auth_jwt_claims.h"
#include "server/auth_jwt_keys.h"

/* Fetches that a method's failing tokens may cause: at most so many at once, one more each
 * REFETCH_INTERVAL. The peer has no such limit. */
#define JWT_REFETCH_BURST 16
#define JWT_REFETCH_INTERVAL (SECOND / 2)

/* What one method's provider said. Reference-counted; any thread. */
struct jwt_provider {
    atomic_uint references;
    struct arena arena;         /* of config */
    const struct value *config; /* of the method that it was made for */
    pthread_mutex_t mutex;      /* guards what follows */
    struct str key_set_url;     /* of a discovery; in arena. Absent: not discovered yet */
    struct jwt_keys *keys;      /* NULL: not fetched yet */
    int64_t keys_expire;        /* monotonic: before, keys are not fetched again */
    double fetches;             /* that are left */
    int64_t fetched_at;         /* monotonic */
};
struct jwt_provider *jwt_provider_new(const struct acl_auth_method *m);
struct jwt_provider *jwt_provider_hold(struct jwt_provider *p);
void jwt_provider_release(struct jwt_provider *p); /* NULL is allowed */

/* On a thread that may wait. The provider is asked (discovery, key set) and remembers. Errors are
 * those behind "Invalid Auth Method: ". */
bool auth_jwt_check(struct auth_work *w, struct jwt_provider *p, struct error *e);
/* The identity into w. */
bool auth_jwt_verify(struct auth_work *w, struct jwt_provider *p, struct error *e);

/* The configuration alone, without asking anybody. */
bool jwt_config_decode(const struct value *config, struct jwt_config *out, struct arena *arena,
                       struct error *e);

/* auth_jwt_provider.c: does the discovery once. */
bool jwt_provider_discover(struct auth_work *w, struct jwt_provider *p,
                           const struct jwt_config *config, struct error *e);
/* Fetches the key set, so that a method whose key set nobody serves is refused. */
bool jwt_provider_fetch(struct auth_work *w, struct jwt_provider *p,
                        const struct jwt_config *config, struct error *e);
/* Whether a key of the set made the signature; asks for the set anew before it gives up. */
bool jwt_provider_verify(struct auth_work *w, struct jwt_provider *p,
                         const struct jwt_config *config, const struct jwt *token, struct error *e);

#endif
