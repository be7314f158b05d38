/* Elections (raft.md 4.1, 4.2): who may campaign and when, counting votes, becoming and ceasing to
 * be leader.
 */
#include "raft/state.h"

/* ---- follower ---- */

static void leave_leadership(struct raft *r) {
    raft_end_transfer(r, RAFT_OK); /* losing leadership is what a transfer wanted */
    struct raft_action *fail = raft_act(r, RAFT_ACTION_FAIL);
    fail->index = r->commit;
    fail->error = RAFT_ERROR_LEADERSHIP_LOST;
    raft_fail_verifications(r, RAFT_ERROR_LEADERSHIP_LOST);
    raft_fail_changes(r, RAFT_ERROR_LEADERSHIP_LOST);
    raft_peers_free(r);
    r->last_contact = r->now;
}

/* "Every state assignment clears leader." */
void raft_become_follower(struct raft *r) {
    bool was_leader = r->state == RAFT_LEADER;
    bool changed = r->state != RAFT_FOLLOWER;
    if (was_leader)
        leave_leadership(r);
    r->state = RAFT_FOLLOWER;
    r->vote_sequence = 0;
    r->transfer_election = false;
    raft_set_leader(r, STR(""));
    r->election_at = r->now + raft_random(r, r->options.heartbeat_timeout);
    if (!changed)
        return;
    raft_act(r, RAFT_ACTION_STATE);
    struct raft_action *line = raft_log_line(r, LOG_INFO, "entering follower state");
    raft_log_self(r, line, "follower");
    raft_log_str(r, line, "leader", STR(""));
}

void raft_step_down(struct raft *r, const char *why) {
    ASSERT(r->state == RAFT_LEADER);
    if (why != NULL)
        raft_log_line(r, LOG_WARN, why);
    raft_become_follower(r);
}

static void follower_timer(struct raft *r) {
    bool heard = r->last_contact >= 0 && r->now - r->last_contact < r->options.heartbeat_timeout;
    /* The peer starts anew from now; counted from the last contact, a dead leader is missed sooner.
     */
    r->election_at =
        (heard ? r->last_contact : r->now) + raft_random(r, r->options.heartbeat_timeout);
    if (heard)
        return;
    struct str last_leader = raft_out_copy(r, buf_str(&r->leader));
    raft_set_leader(r, STR(""));
    if (r->latest == NULL) {
        if (!r->no_peers_logged)
            raft_log_line(r, LOG_WARN, "no known peers, aborting election");
        r->no_peers_logged = true;
        return;
    }
    if (r->latest_index == r->committed_index && !raft_is_voter(r)) {
        if (!r->not_stable_logged)
            raft_log_line(r, LOG_WARN, "not part of stable configuration, aborting election");
        r->not_stable_logged = true;
        return;
    }
    struct raft_action *line =
        raft_log_line(r, LOG_WARN, "heartbeat timeout reached, starting election");
    raft_log_str(r, line, "last-leader", last_leader);
    raft_become_candidate(r, false);
}

void raft_on_election_timer(struct raft *r) {
    if (r->busy) { /* a snapshot is being taken over: not the time to lead */
        r->election_at = r->now + raft_random(r, r->options.heartbeat_timeout);
    } else if (r->state == RAFT_FOLLOWER) {
        follower_timer(r);
    } else if (r->state == RAFT_CANDIDATE) {
        raft_log_line(r, LOG_WARN, "Election timeout reached, restarting election");
        raft_become_candidate(r, false);
    }
}

/* ---- candidate ---- */

static void request_votes(struct raft *r, bool transfer) {
    for (size_t i = 0; i < r->latest->len; i++) {
        const struct raft_server *s = &r->latest->servers[i];
        if (s->suffrage != RAFT_VOTER || str_eq(s->id, r->options.id))
            continue;
        struct raft_action *a = raft_act(r, RAFT_ACTION_SEND);
        a->sequence = raft_after_term(r);
        struct raft_message *m = &a->message;
        m->kind = RAFT_VOTE;
        m->tag = (struct raft_tag){.term = r->term, .sent_at = r->now};
        m->peer_id = raft_out_copy(r, s->id);
        m->peer_address = raft_out_copy(r, s->address);
        m->vote = (struct raft_vote){
            .term = r->term,
            .candidate = raft_out_copy(r, r->options.address),
            .last_log_index = raft_log_last_index(&r->log),
            .last_log_term = raft_log_last_term(&r->log),
            .leadership_transfer = transfer,
        };
    }
}

/* "On conversion to candidate, start election: increment currentTerm, vote for self, reset election
 * timer, send RequestVote RPCs to all other servers." The own vote counts when it is on disk. */
void raft_become_candidate(struct raft *r, bool transfer) {
    ASSERT(r->state != RAFT_LEADER && r->latest != NULL);
    r->state = RAFT_CANDIDATE;
    raft_set_leader(r, STR(""));
    r->transfer_election = transfer;
    r->term++;
    r->confirmed = 0;
    struct raft_action *line = raft_log_line(r, LOG_INFO, "entering candidate state");
    raft_log_self(r, line, "node");
    raft_log_u64(r, line, "term", r->term);
    raft_act(r, RAFT_ACTION_STATE);
    raft_configuration_release(r->election);
    r->election = raft_configuration_hold(r->latest);
    r->granted = mem_resize(r->granted, r->election->len + 1, sizeof *r->granted);
    memset(r->granted, 0, (r->election->len + 1) * sizeof *r->granted);
    r->needed = raft_configuration_voters(r->election) / 2 + 1;
    raft_log_u64(r, raft_log_line(r, LOG_DEBUG, "votes"), "needed", r->needed);
    bool voter = raft_is_voter(r);
    if (voter) {
        r->vote_term = r->term;
        buf_clear(&r->vote);
        buf_add_str(&r->vote, r->options.address);
    }
    raft_persist_term(r);
    r->vote_sequence = voter ? r->term_sequence : 0;
    request_votes(r, transfer);
    r->election_at = r->now + raft_random(r, r->options.election_timeout);
}

static void become_leader(struct raft *r) {
    r->state = RAFT_LEADER;
    raft_set_leader(r, r->options.address);
    raft_log_self(r, raft_log_line(r, LOG_INFO, "entering leader state"), "leader");
    raft_act(r, RAFT_ACTION_STATE);
    r->start_index = r->log.last + 1;
    r->round = 0;
    r->lease_at = r->now + r->options.lease_timeout;
    raft_peers_update(r);
    /* Its commit makes everything before it committed (section 5.4.2 of the paper). */
    struct raft_entry *noop = raft_entry_new(RAFT_NOOP, STR_NONE, STR_NONE);
    noop->index = r->start_index;
    noop->term = r->term;
    raft_persist_entries(r, &noop, 1);
}

void raft_count_vote(struct raft *r, struct str id) {
    ASSERT(r->state == RAFT_CANDIDATE);
    size_t tally = 0;
    bool counted = false;
    for (size_t i = 0; i < r->election->len; i++) {
        const struct raft_server *s = &r->election->servers[i];
        if (s->suffrage != RAFT_VOTER)
            continue;
        if (str_eq(s->id, id) && !r->granted[i])
            r->granted[i] = counted = true;
        tally += r->granted[i];
    }
    if (!counted)
        return;
    struct raft_action *line = raft_log_line(r, LOG_DEBUG, "vote granted");
    raft_log_str(r, line, "from", id);
    raft_log_u64(r, line, "term", r->term);
    raft_log_u64(r, line, "tally", tally);
    if (tally < r->needed)
        return;
    raft_log_u64(r, raft_log_line(r, LOG_INFO, "election won"), "tally", tally);
    become_leader(r);
}
