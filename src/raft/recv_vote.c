/* RequestVote (raft.md 4.2), in any state. */
#include "raft/state.h"

/* "If a server receives a RequestVote request within the minimum election timeout of hearing from a
 * current leader, it does not update its term or grant its vote" (section 4.2.3 of the thesis). The
 * peer refuses for as long as it has not given the leader up itself; then the first candidate after
 * a crash often has to wait for a second election. */
static bool has_leader(const struct raft *r, const struct raft_vote *v) {
    if (r->leader.len == 0 || str_eq(buf_str(&r->leader), v->candidate))
        return false;
    return r->state == RAFT_LEADER ||
           (r->last_contact >= 0 && r->now - r->last_contact < r->options.heartbeat_timeout);
}

static void log_from(struct raft *r, struct raft_action *line, const struct raft_vote *v) {
    raft_log_str(r, line, "candidate", v->candidate);
}

/* "Candidate's log is at least as up-to-date as receiver's log" (section 5.4.1 of the paper). */
static bool log_is_up_to_date(struct raft *r, const struct raft_vote *v) {
    uint64_t term = raft_log_last_term(&r->log), index = raft_log_last_index(&r->log);
    if (term > v->last_log_term) {
        struct raft_action *line =
            raft_log_line(r, LOG_WARN, "rejecting vote request since our last term is greater");
        log_from(r, line, v);
        raft_log_u64(r, line, "last-term", term);
        raft_log_u64(r, line, "last-candidate-term", v->last_log_term);
        return false;
    }
    if (term == v->last_log_term && index > v->last_log_index) {
        struct raft_action *line =
            raft_log_line(r, LOG_WARN, "rejecting vote request since our last index is greater");
        log_from(r, line, v);
        raft_log_u64(r, line, "last-index", index);
        raft_log_u64(r, line, "last-candidate-index", v->last_log_index);
        return false;
    }
    return true;
}

static bool decide(struct raft *r, const struct raft_vote *v) {
    /* Sticky leader, before any look at the term: a removed server cannot depose a leader. */
    if (!v->leadership_transfer && has_leader(r, v)) {
        struct raft_action *line =
            raft_log_line(r, LOG_WARN, "rejecting vote request since we have a leader");
        raft_log_str(r, line, "from", v->candidate);
        raft_log_str(r, line, "leader", buf_str(&r->leader));
        return false;
    }
    if (v->term < r->term)
        return false;
    if (v->term > r->term) {
        raft_log_line(r, LOG_DEBUG,
                      "lost leadership because received a requestVote with a newer term");
        raft_become_follower(r);
        raft_set_term(r, v->term);
    }
    if (r->vote_term == v->term && r->vote.len > 0) {
        raft_log_u64(r, raft_log_line(r, LOG_INFO, "duplicate requestVote for same term"), "term",
                     v->term);
        return str_eq(buf_str(&r->vote), v->candidate);
    }
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
