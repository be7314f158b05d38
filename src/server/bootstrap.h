/* How several servers begin a cluster by themselves: bootstrap_expect (raft.md 5.1). On each join
 * of a server to the LAN pool it is looked at whether all are there and none has a cluster already;
 * then each makes the same first configuration.
 *
 * The core's thread.
 */
#ifndef PRAETOR_SERVER_BOOTSTRAP_H
#define PRAETOR_SERVER_BOOTSTRAP_H

#include <stdint.h>

struct server;
struct bootstrap;

/* expect: at least 2. */
struct bootstrap *bootstrap_new(struct server *s, int64_t expect);
void bootstrap_close(struct bootstrap *b);
void bootstrap_free(struct bootstrap *b);
/* A server joined. */
void bootstrap_try(struct bootstrap *b);

#endif
