/* Where the agent's own tokens come from and where they are kept (acl.md 3.3): the configuration
 * and, with acl.enable_token_persistence, DATA_DIR/acl-tokens.json, which holds those that were set
 * by API, in the peer's own format. What they are used for is server/agent_tokens.h's.
 *
 * Main thread only.
 */
#ifndef PRAETOR_AGENT_TOKEN_STORE_H
#define PRAETOR_AGENT_TOKEN_STORE_H

#include "agent/config.h"
#include "base/error.h"
#include "server/agent_tokens.h"

struct token_store;
/* tokens: filled by the first load; must outlive the store. */
struct token_store *token_store_new(struct agent_tokens *tokens);
void token_store_free(struct token_store *s); /* NULL is allowed */

/* At the start and on each reload: a token of the file wins over that of the configuration, and
 * without a file those set by API are gone. What cannot be read is told as a warning, and left out.
 * True: the default or the agent token is another one than before. */
bool token_store_load(struct token_store *s, const struct config *c);
/* By API. "" takes it away until the next load. The file is written anew; when it cannot be, the
 * token is in force all the same. *changed as of token_store_load. */
bool token_store_set(struct token_store *s, enum agent_token_kind kind, struct str secret,
                     bool *changed, struct error *e);

/* "default", "acl_token", …: what the API calls them. False: none of them. */
bool token_kind_find(struct str name, enum agent_token_kind *out);

/* The file's contents, for token_store.c and its tests: a secret of each kind, "" for none. What
 * could be read stands in `secrets` (in the arena) also after an error, whose text is the
 * decoder's. */
bool token_file_parse(struct str text, struct str secrets[AGENT_TOKEN_KINDS], struct arena *arena,
                      struct error *e);

#endif
