/* The mesh's roots as authorities of this server's TLS (tls.md 2, 13): agents that got their
 * certificates from the CA are believed. On all servers that give such certificates.
 */
#ifndef PRAETOR_SERVER_CA_TRUST_H
#define PRAETOR_SERVER_CA_TRUST_H

#include "server/server.h"
#include "store/watch.h"

/* Core. Takes the roots from the store as it is. */
void ca_trust(struct server *s);
/* The same if a commit touched them. */
void ca_trust_touched(struct server *s, const struct watch_touched *touched);

#endif
