/* Starting and stopping the checks that run by themselves, with their registration. Core thread.
 * Only for agent/local*.c and agent/check_*.c.
 */
#ifndef PRAETOR_AGENT_CHECK_LOCAL_H
#define PRAETOR_AGENT_CHECK_LOCAL_H

#include "agent/local_state.h"

/* Nothing for TTL and maintenance checks. */
void check_start(struct local *l, struct local_check *c);
void check_stop(struct local_check *c);

/* check_alias.c. Notify: a check of the service came, went or changed its status, or the service
 * itself came or went. */
void check_alias_start(struct local *l, struct local_check *c);
void check_alias_stop(struct local_check *c);
void check_alias_notify(struct local *l, struct str service_id);

#endif
