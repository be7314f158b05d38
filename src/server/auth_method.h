/* Auth methods below their endpoints (acl.md 10.5, 15.3, 15.4): whether the configuration of one is
 * good, and whether a bearer token is, and whose. Both may ask other machines (key sets, OIDC
 * discovery, Kubernetes) and compute signatures, so they run on threads of their own, a few at
 * most, which end when nothing is left to do; what they found comes back to the loop that asked.
 *
 * Times are bounded: an exchange with another machine by AUTH_EXCHANGE_TIME, a work by
 * AUTH_WORK_TIME.
 *
 *   w = auth_login_verify(s->auth, method, bearer, on_verified, call);
 *   ...
 *   static void on_verified(struct auth_work *w) {
 *       struct call *c = w->owner;
 *       if (error_is_set(&w->error)) ... else binding_rule_apply(&w->identity, rule, ...)
 *       auth_work_free(w);
 *   }
 */
#ifndef PRAETOR_SERVER_AUTH_METHOD_H
#define PRAETOR_SERVER_AUTH_METHOD_H

#include "base/error.h"
#include "base/time.h"
#include "net/loop.h"
#include "schema/acl.h"

#define AUTH_THREADS 16      /* works at a time */
#define AUTH_WAITING_MAX 256 /* works that wait for a thread; more are refused */
#define AUTH_EXCHANGE_TIME (10 * SECOND)
#define AUTH_WORK_TIME (30 * SECOND)
#define AUTH_BEARER_MAX ((size_t)1 << 20) /* bytes of a bearer token */

struct auth_service_account {
    struct str namespace;
    struct str name;
    struct str uid;
};

/* Whom a bearer token stands for, as selectors and bind names see it (acl.md 15.2). Only what
 * belongs to the type is set. binding_rule.h has the shapes. */
struct auth_identity {
    struct str type;                            /* of the method: "jwt", "kubernetes" */
    struct list value;                          /* {str}: jwt, from ClaimMappings */
    struct list list;                           /* {[str]}: jwt, from ListClaimMappings */
    struct auth_service_account serviceaccount; /* kubernetes */
    /* {str}: "value.name" -> "web". All that bind names may hold, in small letters; empty where the
     * token has no such claim. */
    struct list variables;
};

struct auth_methods; /* the threads, and the key sets that were fetched; one a server */
struct auth_work;
typedef void auth_done(struct auth_work *w);

/* One check or one verification. From done() on it is the caller's. */
struct auth_work {
    /* Results. */
    struct error error;            /* ERROR_NONE: it went well. Otherwise the peer's text (kind
                                    * ERROR_INTERNAL) */
    struct auth_identity identity; /* of auth_login_verify; in arena */
    struct arena arena;
    void *owner; /* the caller's */

    /* auth_method.c's. */
    auth_done *done;
    struct auth_methods *methods;
    struct loop *home;
    struct message message;
    struct auth_work *next;               /* waiting for a thread */
    const struct acl_auth_method *method; /* a copy in arena */
    struct str bearer;
    bool verifies;
    bool cancelled;   /* home's */
    atomic_bool stop; /* exchanges under way end soon */
    int64_t deadline; /* monotonic */
};

/* Starts no thread yet. */
struct auth_methods *auth_methods_new(void);
/* Ends what is under way (soon: exchanges are broken off), waits for it, and refuses what comes
 * later; all of it is answered. Before the loops are freed. Not on one of the loops that wait. */
void auth_methods_stop(struct auth_methods *a);
/* Stops it first. NULL is allowed. */
void auth_methods_free(struct auth_methods *a);

/* Whether what is to be written is good: its Config is decoded and checked, and a key set or an
 * OIDC provider that it names is asked. Name, Type, MaxTokenTTL and TokenLocality are the
 * endpoint's business; Type must be one that auth_method_type_known. Errors are whole: "Invalid
 * Auth Method: …". The method is copied. done() runs on the calling loop (loop_current), never
 * before this returns.
 */
struct auth_work *auth_method_check(struct auth_methods *a, const struct acl_auth_method *m,
                                    auth_done *done, void *owner);
/* Whose the bearer token is. Of a method as it is stored: ModifyIndex says whether what is kept of
 * it (its key set) is still right. */
struct auth_work *auth_login_verify(struct auth_methods *a, const struct acl_auth_method *m,
                                    struct str bearer, auth_done *done, void *owner);
/* On the loop that started it, before done(): done() will not run, and the rest happens by itself.
 */
void auth_work_cancel(struct auth_work *w);
/* From within done() on. */
void auth_work_free(struct auth_work *w);

/* "jwt", "kubernetes". */
bool auth_method_type_known(struct str type);

#endif
