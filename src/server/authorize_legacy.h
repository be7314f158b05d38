/* Tokens that only the primary's servers know while the old system is in force (acl.md 7.4): they
 * give the rules themselves, and what stands behind them. For authorize.c only; on the thread's
 * loop.
 */
#ifndef PRAETOR_SERVER_AUTHORIZE_LEGACY_H
#define PRAETOR_SERVER_AUTHORIZE_LEGACY_H

#include "server/acl_ask.h"
#include "server/authorize.h"

struct legacy_tokens;
struct legacy_tokens *legacy_tokens_new(struct server_thread *t);
void legacy_tokens_close(struct legacy_tokens *l); /* ends all waits with an error */
void legacy_tokens_free(struct legacy_tokens *l);

/* As authorize_start; a->secret is neither empty nor a root's. */
bool legacy_tokens_start(struct legacy_tokens *l, struct authorize *a);
/* False: it does not wait here. */
bool legacy_tokens_cancel(struct legacy_tokens *l, struct authorize *a);

/* The rules and what is behind them as an authorizer, held; NULL: "Invalid Parent". policy may be
 * NULL: no rules. */
const struct authorizer *legacy_policy_authorizer(const struct legacy_policy *policy,
                                                  struct str parent, struct error *e);

#endif
