/* Tokens that only other servers know (acl.md 7.2 to 7.4): asked for by RPC, kept for their time to
 * live, and what happens when nobody answers. For authorize.c only; on the thread's loop.
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
/* What is known and fresh, held; NULL: nothing. */
struct authorization *remote_tokens_known(struct remote_tokens *r, struct str secret);

#endif
