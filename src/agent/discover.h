/* Addresses of other agents from a cloud's API: `retry_join` entries of the form
 * "provider=aws tag_key=consul tag_value=server" (agent.md 8.6). Each look-up runs on a thread of
 * its own, since it may take long; one file a provider.
 */
#ifndef PRAETOR_AGENT_DISCOVER_H
#define PRAETOR_AGENT_DISCOVER_H

#include "base/error.h"
#include "net/loop.h"

/* The names of the providers that there are, sorted, with blanks between: for the log. */
const char *discover_names(void);
/* Whether an entry asks for discovery. */
bool discover_wanted(struct str entry);

struct discover;
/* count 0: error is empty (nothing was found) or says why. All are valid during the call. */
typedef void discover_done(void *owner, const struct str *addresses, size_t count,
                           struct str error);
/* On the loop's thread. done runs later, never inside, unless it is cancelled. */
struct discover *discover_start(struct loop *l, struct str entry, discover_done *done, void *owner);
void discover_cancel(struct discover *d);

#endif
