/* The answer to an AppendEntries or a heartbeat: the leader learns what a follower has. */
#include "raft/state.h"

static void heard_of(struct raft_peer *p, const struct raft_tag *tag) {
    /* Since it was sent the follower has known of this leader: that is what the lease may count on.
     */
    if (tag->sent_at > p->last_contact)
        p->last_contact = tag->sent_at;
}

static void heartbeat_result(struct raft *r, struct raft_peer *p, const struct raft_message *m) {
    p->heartbeat_open = false;
    p->heartbeat_at = r->now + raft_random(r, r->options.heartbeat_timeout / 10);
    if (!m->append_result.success) {
        if (r->verification_count == 0)
            return;
        raft_fail_verifications(r, RAFT_ERROR_NOT_LEADER);
        raft_step_down(r, "new leader elected, stepping down");
        return;
    }
    if (p->heartbeat_failures > 0) { /* it is back: appends need not wait for their next try */
        p->failures = 0;
        p->retry_at = 0;
    }
    p->heartbeat_failures = 0;
    heard_of(p, &m->tag);
    if (m->tag.round > p->round)
        p->round = m->tag.round;
}

static void succeeded(struct raft *r, struct raft_peer *p, const struct raft_message *m) {
    const struct raft_tag *tag = &m->tag;
    heard_of(p, tag);
    if (tag->round > p->round)
        p->round = tag->round;
    if (tag->last > p->match) {
        ASSERT(tag->last <= raft_log_last_index(&r->log));
        p->match = tag->last;
    }
    if (p->next <= p->match)
        p->next = p->match + 1;
    if (tag->epoch != p->epoch)
        return;
    ASSERT(p->in_flight > 0);
    p->in_flight--;
    p->in_flight_bytes -= tag->bytes;
    p->waiting_since = r->now;
    p->failures = 0;
    p->retry_at = 0;
    if (p->mode == PEER_PROBE) {
        p->mode = PEER_PIPELINE;
        p->epoch++;
        p->in_flight = 0;
        p->in_flight_bytes = 0;
        struct raft_action *line = raft_log_line(r, LOG_INFO, "pipelining replication");
        raft_log_str(r, line, "peer", raft_peer_text(r, p));
    }
}

/* The follower's log does not continue with what was sent: go back. */
static void rejected(struct raft *r, struct raft_peer *p, const struct raft_message *m) {
    if (m->tag.epoch != p->epoch)
        return;
    const struct raft_append_result *result = &m->append_result;
    /* Refused for a while, for no reason of the log's: the same once more. */
    uint64_t next = m->tag.previous + (result->no_retry_backoff ? 0 : 1);
    if (result->last_log + 1 < next)
        next = result->last_log + 1;
    if (result->last_log < p->match) { /* not by any rule of Raft: its disk was replaced */
        struct raft_action *line =
            raft_log_line(r, LOG_WARN, "server has lost entries that it had");
        raft_log_str(r, line, "peer", raft_peer_text(r, p));
        raft_log_u64(r, line, "had", p->match);
        raft_log_u64(r, line, "last-index", result->last_log);
        p->match = result->last_log;
    }
    if (next < p->match + 1)
        next = p->match + 1;
    bool goes_back = next < p->next;
    p->next = next;
    raft_peer_failed(r, p, !result->no_retry_backoff || !goes_back);
    struct raft_action *line =
        raft_log_line(r, LOG_WARN, "appendEntries rejected, sending older logs");
    raft_log_str(r, line, "peer", raft_peer_text(r, p));
    raft_log_u64(r, line, "next", p->next);
}

void raft_recv_append_result(struct raft *r, struct raft_message *m) {
    const struct raft_append_result *result = &m->append_result;
    if (result->term > r->term) {
        if (r->state == RAFT_LEADER) {
            struct raft_action *line =
                raft_log_line(r, LOG_ERROR, "peer has newer term, stopping replication");
            raft_log_str(r, line, "peer", m->peer_id);
        }
        raft_become_follower(r);
        raft_set_term(r, result->term);
        return;
    }
    if (r->state != RAFT_LEADER || m->tag.term != r->term)
        return;
    struct raft_peer *p = raft_peer_find(r, m->peer_id);
    if (p == NULL)
        return;
    if (m->tag.heartbeat)
        heartbeat_result(r, p, m);
    else if (result->success)
        succeeded(r, p, m);
    else
        rejected(r, p, m);
}
