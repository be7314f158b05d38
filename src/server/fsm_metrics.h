/* The metrics of the state machine (agent.md 6.4: fsm.*). A file of its own because it knows entry
 * types, which the Raft driver does not.
 */
#ifndef PRAETOR_SERVER_FSM_METRICS_H
#define PRAETOR_SERVER_FSM_METRICS_H

#include "base/metrics.h"

/* Entries of one kind in a row, which most batches are: added up. Zeroed at first. */
struct fsm_tally {
    unsigned type;
    struct str op; /* in the last entry */
    struct metric_tally tally;
};

/* data: type byte and body of an entry that was applied, not empty; took: milliseconds. */
void fsm_entry_measured(struct fsm_tally *t, struct str data, double took);
/* Gives in what was added up. Before the bytes of the entries go. */
void fsm_tally_end(struct fsm_tally *t);

#endif
