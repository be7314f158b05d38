/* `connect proxy -register` (connect.md 7.1): the proxy's own registration with the agent, kept
 * alive by a heartbeat, made again when the catalog has lost it, and taken back at the end.
 */
#ifndef PRAETOR_CLI_PROXY_REGISTER_H
#define PRAETOR_CLI_PROXY_REGISTER_H

#include "cli/proxy_agent.h"

struct proxy_registration_plan {
    struct str service; /* that it stands for */
    struct str suffix;  /* of its ID; may be empty */
    struct str host;    /* where it listens; may be empty */
    int64_t port;
};
struct proxy_registration;
struct proxy_registration *proxy_registration_start(struct proxy_agent *a,
                                                    const struct proxy_registration_plan *plan);
/* Deregisters; done runs when that has worked or been given up. NULL: done runs at once. Frees. */
void proxy_registration_end(struct proxy_registration *r, void (*done)(void *owner), void *owner);

#endif
