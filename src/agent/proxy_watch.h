/* Follows the proxies that are registered with this agent (connect.md 6.3): asks the servers for
 * all that each needs, again and again, and makes a new snapshot a while after something changed
 * (PROXY_COALESCE). As long as a proxy is registered, whether or not somebody watches.
 *
 * The proxies live on the core. Watchers are on any loop.
 */
#ifndef PRAETOR_AGENT_PROXY_WATCH_H
#define PRAETOR_AGENT_PROXY_WATCH_H

#include "agent/local.h"
#include "agent/proxy_snapshot.h"
#include "net/loop.h"

#define PROXY_COALESCE (200 * MILLISECOND)

struct proxies;
struct proxies *proxies_new(struct local *l);
/* Core: a service was registered, changed (also by central configuration) or is gone. */
void proxies_changed(struct proxies *p, struct str service_id);
/* Core: stops asking; `stopped` runs when no call is under way any more. */
void proxies_stop(struct proxies *p, void (*stopped)(void *arg), void *arg);
void proxies_free(struct proxies *p);

struct proxy_watch;
/* The newest snapshot, at once when there is one and then whenever there is a newer; the owner has
 * to release it. Of an ID that is not registered nothing comes until it is. On the loop that asked.
 */
typedef void proxy_watch_fn(void *owner, struct proxy_snapshot *snapshot);
struct proxy_watch *proxy_watch_begin(struct proxies *p, struct str proxy_id, proxy_watch_fn *fn,
                                      void *owner);
/* On the loop that began it; fn does not run any more. */
void proxy_watch_end(struct proxy_watch *w);

#endif
