/* The agent's own tokens (acl.md 3): what it presents where a request brings none, and the one that
 * opens the agent itself while no server can be asked. They change while the agent runs, by API and
 * reload; any thread may ask. Not here: where they come from and where they are kept (agent/).
 */
#ifndef PRAETOR_SERVER_AGENT_TOKENS_H
#define PRAETOR_SERVER_AGENT_TOKENS_H

#include "base/arena.h"
#include "base/str.h"

enum agent_token_kind {
    AGENT_TOKEN_DEFAULT,
    AGENT_TOKEN_AGENT,
    AGENT_TOKEN_AGENT_MASTER,
    AGENT_TOKEN_REPLICATION,
    AGENT_TOKEN_KINDS,
};

struct agent_tokens;
struct agent_tokens *agent_tokens_new(void);
void agent_tokens_free(struct agent_tokens *t);

/* In the arena; "" when there is none. */
struct str agent_token(struct agent_tokens *t, enum agent_token_kind kind, struct arena *arena);
bool agent_token_is_set(struct agent_tokens *t, enum agent_token_kind kind);
/* `agent`, else `default`: what the agent presents for itself. */
struct str agent_token_own(struct agent_tokens *t, struct arena *arena);
/* True: it is another one than before. Copied. */
bool agent_token_set(struct agent_tokens *t, enum agent_token_kind kind, struct str secret);
/* Whether it is the agent master token, compared in constant time; never for "". */
bool agent_token_is_master(struct agent_tokens *t, struct str secret);

#endif
