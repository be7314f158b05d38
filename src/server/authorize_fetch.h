/* One question about a token to the servers that know it (acl.md 7.2, 7.3), and what the caches of
 * the process learn from the answer, or from there being none. For authorize_remote.c only; on the
 * thread's loop.
 */
#ifndef PRAETOR_SERVER_AUTHORIZE_FETCH_H
#define PRAETOR_SERVER_AUTHORIZE_FETCH_H

#include "server/acl_ask.h"
#include "server/acl_cache.h"

/* Sizes of acl.md 7.3; servers keep no policies and roles, they have them or ask. */
struct acl_caches {
    struct acl_cache *identities, *policies, *roles;
};
struct acl_options;
struct acl_caches *acl_caches_new(const struct acl_options *o, bool client);
void acl_caches_clear(struct acl_caches *c); /* any thread; NULL is allowed */
void acl_caches_free(struct acl_caches *c);

/* Who tells of tokens in the log. */
const char *acl_logger(const struct server *s);

enum fetch_kind { FETCH_IDENTITY, FETCH_ROLES, FETCH_POLICIES, FETCH_KINDS };
enum fetch_outcome {
    FETCH_OK,        /* there is an answer, also "no such thing", or the old one goes on */
    FETCH_NOT_FOUND, /* the token is gone */
    FETCH_AGAIN,     /* its links changed under way: from the beginning */
    FETCH_REFUSED,   /* the token may not be used here; `error` says why */
    FETCH_FAILED,    /* nobody could say, nothing is known */
};

struct fetch {
    struct server *server;
    enum fetch_kind kind;
    struct str secret;
    struct list ids; /* str; not for the identity */
    void (*done)(struct fetch *f);
    void *owner;

    enum fetch_outcome outcome;
    struct error error;
    /* FETCH_OK: one for each ID (one alone for the identity), held; NULL: nothing is known. */
    struct acl_value **values;

    struct arena arena;
    union {
        struct acl_token_get_request token;
        struct acl_role_batch_get_request roles;
        struct acl_policy_batch_get_request policies;
    } request;
    struct call call;
    bool calling;
    int64_t started; /* monotonic */
};
/* secret and ids are copied. */
struct fetch *fetch_new(struct server *s, enum fetch_kind kind, struct str secret,
                        const struct list *ids);
void fetch_start(struct fetch *f); /* done may run inside */
void fetch_free(struct fetch *f);  /* cancels what is under way; inside done as well */

#endif
