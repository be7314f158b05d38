/* How many connections a client (an IP address) may have at a time, over all listeners that share
 * the limit. Used from all I/O threads; a connection enters when it is accepted and leaves when it
 * is gone.
 */
#ifndef PRAETOR_NET_CLIENT_LIMIT_H
#define PRAETOR_NET_CLIENT_LIMIT_H

#include "base/str.h"

struct client_limit;
struct client_limit *client_limit_new(int64_t most); /* <= 0: no limit */
void client_limit_free(struct client_limit *l);
/* Later entries are judged by the new number; nobody is thrown out. Any thread. */
void client_limit_set(struct client_limit *l, int64_t most);
/* False: too many already (nothing is counted). key: the address' bytes; "" for unix sockets. */
bool client_limit_enter(struct client_limit *l, struct str key);
void client_limit_leave(struct client_limit *l, struct str key);

#endif
