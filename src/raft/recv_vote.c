/* RequestVote (raft.md 4.2), in any state. */
#include "raft/state.h"

/* "Candidate's log is at least as up-to-date as receiver's log" (section 5.4.1 of the paper). */
static bool log_is_up_to_date(const struct raft *r, const struct raft_vote *v) {
    uint64_t term = raft_log_last_term(&r->log);
    if (v->last_log_term != term)
        return v->last_log_term > term;
    return v->last_log_index >= raft_log_last_index(&r->log);
}

static bool decide(struct raft *r, const struct raft_vote *v) {
    /* Sticky leader, before any look at the term: a removed server cannot depose a leader. */
    if (r->leader.len > 0 && !str_eq(buf_str(&r->leader), v->candidate) && !v->leadership_transfer)
        return false;
    if (v->term < r->term)
        return false;
    if (v->term > r->term) {
        raft_become_follower(r);
        raft_set_term(r, v->term);
    }
    if (r->vote_term == v->term && r->vote.len > 0)
        return str_eq(buf_str(&r->vote), v->candidate);
    if (r->state == RAFT_LEADER || !log_is_up_to_date(r, v))
        return false;
    r->vote_term = v->term;
    buf_clear(&r->vote);
    buf_add_str(&r->vote, v->candidate);
    raft_persist_term(r);
    r->last_contact = r->now;
    return true;
}

void raft_recv_vote(struct raft *r, struct raft_message *m) {
    bool granted = m->vote.candidate.len > 0 && decide(r, &m->vote);
    /* A vote vouches for the log that it was given by as well. */
    struct raft_message *reply = raft_reply(r, m, granted ? raft_after_log(r) : raft_after_term(r));
    reply->vote_result = (struct raft_vote_result){.term = r->term, .granted = granted};
}
