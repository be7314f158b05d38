/* TimeoutNow: the leader wants this server to take over (raft.md 4.2). */
#include "raft/state.h"

void raft_recv_timeout_now(struct raft *r, struct raft_message *m) {
    raft_set_leader(r, STR(""));
    if (r->state == RAFT_LEADER)
        raft_step_down(r, NULL);
    if (r->latest != NULL && !r->busy)
        raft_become_candidate(r, true);
    raft_reply(r, m, 0);
}
