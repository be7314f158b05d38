/* The cache of an agent (agent.md 5.4, http-core.md 6.5): answers to questions that were asked with
 * ?cached or by DNS with use_cache. Refreshed ones are kept current by a blocking query in the
 * background; plain ones are only kept. A server agent has no need of the former: its state is at
 * hand (http/cached.c).
 *
 * All entries live on one thread, the first of the I/O threads; others send it their asks and get
 * back the reply in its encoded form, which is shared. Bounded by number and bytes: what was not
 * used for the longest goes first.
 */
#ifndef PRAETOR_SERVER_AGENT_CACHE_H
#define PRAETOR_SERVER_AGENT_CACHE_H

#include "server/call.h"

#define AGENT_CACHE_ENTRIES 4096
#define AGENT_CACHE_BYTES ((size_t)64 << 20)
#define AGENT_CACHE_LIFE (72 * HOUR) /* after its last use */

enum agent_cache_kind { AGENT_CACHE_PLAIN, AGENT_CACHE_REFRESHED };

struct agent_cache_ask;
/* answer: held for the receiver, its error may be set. hit: it was there already. age: ns, of what
 * was there. */
typedef void agent_cache_done(void *owner, struct answer *answer, bool hit, int64_t age);

bool agent_cache_is_used(const struct server *server); /* it is a client agent */

/* On a thread of the server's. The request is encoded before this returns; its options say how long
 * to wait for what index, and how old a plain answer may be. done runs later, on the same thread,
 * never from within. */
struct agent_cache_ask *agent_cache_ask(struct server *server, const struct endpoint *endpoint,
                                        void *request, enum agent_cache_kind kind,
                                        agent_cache_done *done, void *owner);
/* How many questions a server agent remembers beside it, for the gauge of all entries. Any thread.
 */
void agent_cache_count_others(size_t count);
/* done will not run. On the thread that asked. */
void agent_cache_cancel(struct agent_cache_ask *ask);

/* Of the thread that the entries live on: thread.c's, at its end. NULL is allowed. */
struct agent_cache;
void agent_cache_close(struct agent_cache *cache); /* asks get an error; timers are closed */
void agent_cache_free(struct agent_cache *cache);  /* after the loop has ended */

#endif
