/* The metrics of the state machine (agent.md 6.4: fsm.*). A file of its own because it knows entry
 * types, which the Raft driver does not.
 */
#ifndef PRAETOR_SERVER_FSM_METRICS_H
#define PRAETOR_SERVER_FSM_METRICS_H

#include "base/str.h"

/* data: type byte and body of an entry that was applied, not empty; took: milliseconds. */
void fsm_entry_measured(struct str data, double took);

#endif
