/* The answer to a RequestVote. */
#include "raft/state.h"

void raft_recv_vote_result(struct raft *r, struct raft_message *m) {
    if (m->vote_result.term > r->term) {
        raft_log_line(r, LOG_DEBUG, "newer term discovered, fallback to follower");
        raft_become_follower(r);
        raft_set_term(r, m->vote_result.term);
        return;
    }
    if (r->state != RAFT_CANDIDATE || m->tag.term != r->term || !m->vote_result.granted)
        return;
    if (m->vote_result.term == r->term)
        raft_count_vote(r, m->peer_id);
}
