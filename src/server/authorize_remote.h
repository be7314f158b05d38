/* Tokens that only other servers know (acl.md 7.2, 7.3): asked for by RPC, kept for their time to
 * live, and what happens when nobody answers. For authorize.c only; on the thread's loop.
 *
 * What was told is kept for the whole process (acl_cache.h); a thread keeps the rules that it made
 * of it.
 */
#ifndef PRAETOR_SERVER_AUTHORIZE_REMOTE_H
#define PRAETOR_SERVER_AUTHORIZE_REMOTE_H

#include "server/authorize.h"

struct remote_tokens;
struct remote_tokens *remote_tokens_new(struct server_thread *t);
void remote_tokens_close(struct remote_tokens *r); /* ends all waits with an error */
void remote_tokens_free(struct remote_tokens *r);

/* As authorize_start; a->secret is neither empty nor a root's. */
bool remote_tokens_start(struct remote_tokens *r, struct authorize *a);
void remote_tokens_cancel(struct remote_tokens *r, struct authorize *a);
/* As authorize_again. What is too old is asked for anew, for the next time. */
struct authorization *remote_tokens_again(struct remote_tokens *r, struct authorization *was,
                                          struct error *e);

/* What the down policy leaves of a request when nobody could be asked about its token and nothing
 * is known of it; NULL with the error. extend-cache and async-cache then open nothing, unlike the
 * peer's (acl.md 18.1). */
struct authorization *authorize_down(const struct server *s, struct str secret,
                                     const struct error *why, struct error *e);

#endif
