/* What a prepared query does when nothing is found in this datacenter (http-core.md 11.8, step 9):
 * others are asked, nearest first, then those that the query names. For endpoint_query.c.
 */
#ifndef PRAETOR_SERVER_QUERY_FAILOVER_H
#define PRAETOR_SERVER_QUERY_FAILOVER_H

#include "server/call.h"

/* The two functions of endpoint->follow. */
bool query_failover_begin(struct call *c, struct answer *answer);
void query_failover_cancel(struct call *c);

#endif
