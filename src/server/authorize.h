/* From the secret of a token to what it may do (acl.md 7): each thread keeps what it found out, as
 * long as it stands. Where the tokens are in the own store that is until a commit changes one of
 * the records that it was made of; elsewhere (client agents, secondary datacenters without
 * replication of tokens) the servers are asked, and the time to live and the down policy hold.
 * Rules and their evaluation are acl/'s.
 *
 * All of it on a server's thread, and what it gives belongs to that thread; the core may look at
 * the authorization of a call that it has.
 */
#ifndef PRAETOR_SERVER_AUTHORIZE_H
#define PRAETOR_SERVER_AUTHORIZE_H

#include "acl/authorizer.h"
#include "base/error.h"
#include "schema/acl.h"

struct server;
struct server_thread;
struct store_read;
struct authorize_wait; /* authorize_remote.c's */

/* Never changed after it was given out. Where access control is off there is none: NULL. */
struct authorization {
    unsigned references;
    const struct authorizer *may;
    /* Whose it is, links named; NULL: nobody's that a token stands for (the agent master token, a
     * down policy, what legacy resolution elsewhere gave). */
    const struct acl_token *token;
    struct str secret;
    int64_t expires; /* wall clock, ns; INT64_MAX: never */
    bool remote;     /* servers were asked */
    struct arena arena;
};
struct authorization *authorization_hold(struct authorization *a); /* NULL is allowed */
void authorization_release(struct authorization *a);
/* What to ask the rules of: NULL (everything may be done) without an authorization. */
const struct authorizer *authorization_may(const struct authorization *a);

/* The caller fills in the first part and keeps it until done or cancelled. */
struct authorize {
    struct str secret; /* "": anonymous */
    /* Checks that the agent makes itself: the agent master token counts (acl.md 3.2). */
    bool agent;
    void (*done)(struct authorize *a); /* only when authorize_start did not answer at once */
    void *owner;
    struct error error; /* with its arena */

    struct server_thread *thread; /* the calling one */
    struct authorization *result; /* held for the caller; NULL: access control is off, or error */

    int64_t started;             /* monotonic */
    struct authorize_wait *wait; /* authorize_remote.c's */
    struct authorize *next;
};

/* True: it is answered (result or error). False: done comes later, never inside. Errors: "ACL not
 * found", "Cannot resolve root ACL", what the down policy leaves. */
bool authorize_start(struct authorize *a);
void authorize_cancel(struct authorize *a); /* done will not come */
/* For who has waited: what the token may do now, held; NULL with the error when it may nothing any
 * more. Never waits: where servers would have to be asked, what was known is used until it expires.
 */
struct authorization *authorize_again(struct server_thread *t, struct authorization *was,
                                      struct error *e);

/* ---- for thread.c ---- */

struct authorizations;
struct authorizations *authorizations_new(struct server_thread *t);
void authorizations_close(struct authorizations *all); /* ends all waits with an error */
void authorizations_free(struct authorizations *all);
/* The store's records may have changed without word of which. */
void authorizations_forget(struct authorizations *all);

/* ---- what authorize.c and authorize_remote.c share ---- */

/* A token with everything that gives it rules. policies: struct acl_policy *, of the token and of
 * its roles, in any order, repeats allowed. */
struct token_grants {
    const struct acl_token *token;
    struct list policies;
    struct list roles; /* struct acl_role * */
};
/* From the own store. */
void token_grants_read(struct store_read *r, const struct acl_token *token, struct token_grants *g);

/* One text among those that give a token its rules: a policy's, what an identity stands for, or the
 * token's own of the old kind. */
struct rule_source {
    struct str id;
    uint64_t revision; /* a policy's ModifyIndex, otherwise 0 */
    struct str rules;
    enum acl_syntax syntax;
};
/* Those that hold in this datacenter, by ID, each once. In the arena. */
size_t authorize_sources(const struct server *s, const struct token_grants *g, struct arena *arena,
                         struct rule_source **out);
/* Merges them and what identities stand for, by ID, and without what holds in other datacenters
 * (acl.md 6.2, 4.4). One reference is the caller's. NULL: a rule text does not parse. */
const struct authorizer *authorize_compile(const struct server *s, const struct token_grants *g,
                                           struct error *e);
/* A new authorization with one reference: copies secret and token, takes over `may`. */
struct authorization *authorization_new(const struct authorizer *may, struct str secret,
                                        const struct acl_token *token);
/* Before `done` runs: how long it took becomes a sample. */
void authorize_measure(const struct authorize *a);
/* Whether the own tables say what tokens there are (acl.md 7.2). */
bool authorize_tokens_are_here(const struct server_thread *t, struct store_read *r);
/* Whether a token has no future: its expiration time is not after `now` (wall, ns). */
bool authorize_expired(const struct acl_token *token, int64_t now);

#endif
