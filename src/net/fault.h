/* What went wrong on the network, as the peer's language words it. */
#ifndef PRAETOR_NET_FAULT_H
#define PRAETOR_NET_FAULT_H

#include "base/arena.h"
#include "base/str.h"

/* An errno: "connection refused". */
struct str fault_errno(struct arena *arena, int number);
/* Names that are none are not asked for: no server had a say. */
bool fault_is_host_name(struct str host);
/* "lookup HOST on 127.0.0.1:53: no such host"; without a server when it is no name. */
struct str fault_unknown_host(struct arena *arena, struct str host);
/* "dial tcp: lookup HOST on 127.0.0.1:53: no such host" */
struct str fault_lookup(struct arena *arena, struct str host);

#endif
