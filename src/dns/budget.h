/* How much a network may be sent by large UDP answers. Who asks by UDP may have forged his address,
 * and then our answers hit somebody else, each many times the size of its question. Beyond the
 * budget the answer is cut to its question with TC set: a real client asks again over TCP, the
 * victim of a forger gets no more than the forger sent. One a thread.
 */
#ifndef PRAETOR_DNS_BUDGET_H
#define PRAETOR_DNS_BUDGET_H

#include <sys/socket.h>

#include "base/str.h"

#define DNS_BUDGET_FREE ((size_t)512)        /* bytes of an answer that is not counted */
#define DNS_BUDGET_RATE ((uint64_t)1 << 20)  /* bytes a second */
#define DNS_BUDGET_BURST ((uint64_t)2 << 20) /* bytes at once */

struct dns_budget;
struct dns_budget *dns_budget_new(uint64_t seed);
void dns_budget_free(struct dns_budget *b);
/* Whether an answer of that size may go to the client's network (/24, /56) now, in monotonic ns; it
 * is counted then. Loopback addresses, which nobody can forge from outside, always may. */
bool dns_budget_take(struct dns_budget *b, const struct sockaddr_storage *client, size_t bytes,
                     int64_t now);

#endif
