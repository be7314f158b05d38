/* What is committed (raft.md 4.6), when it may be applied, whether the lease still holds, and
 * whether a quorum still takes this server for the leader.
 */
#include <stdlib.h>

#include "raft/state.h"

/* A lease is looked at no more often than this. */
#define LEASE_CHECK_MIN (10 * MILLISECOND)

void raft_set_commit(struct raft *r, uint64_t commit) {
    ASSERT(commit > r->commit && commit <= raft_log_last_index(&r->log));
    r->commit = commit;
    if (commit > r->log.snapshot_index)
        r->base_unsure = false;
    raft_act(r, RAFT_ACTION_COMMIT)->index = commit;
    raft_configurations_update(r);
}

/* What is applied survives a crash of the process, so it must be in the synced log first, even
 * where a quorum of others has it already. */
void raft_emit_apply(struct raft *r) {
    uint64_t to = r->commit < r->durable ? r->commit : r->durable;
    if (to <= r->apply_sent || r->busy)
        return;
    r->apply_sent = to;
    raft_act(r, RAFT_ACTION_APPLY)->index = to;
}

static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The highest index that a majority of voters has on disk. */
static uint64_t quorum_index(const struct raft *r) {
    uint64_t match[RAFT_MAX_SERVERS + 1];
    size_t n = 0;
    for (size_t i = 0; i < r->latest->len && n <= RAFT_MAX_SERVERS; i++) {
        const struct raft_server *s = &r->latest->servers[i];
        if (s->suffrage != RAFT_VOTER)
            continue;
        const struct raft_peer *p = raft_peer_find(r, s->id);
        match[n++] = p != NULL ? p->match : r->durable; /* no peer: that is this server */
    }
    ASSERT(n > 0);
    if (n > 1)
        qsort(match, n, sizeof *match, compare_u64);
    return match[(n - 1) / 2];
}

/* "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
 * log[N].term == currentTerm: set commitIndex = N." Entries from start_index on are of this term.
 */
void raft_advance_commit(struct raft *r) {
    if (r->busy)
        return;
    uint64_t index = quorum_index(r);
    if (index <= r->commit || index < r->start_index)
        return;
    raft_set_commit(r, index);
    if (r->committed_index == r->latest_index && !raft_is_voter(r))
        raft_step_down(r, "no longer a voter, stepping down"); /* its own removal is committed */
}

/* ---- lease ---- */

static void note_contact(struct raft *r, struct raft_peer *p, int64_t silence) {
    if (silence <= r->options.lease_timeout) {
        p->contact_lost = false;
        return;
    }
    bool recent = silence <= 3 * r->options.lease_timeout;
    struct raft_action *line = raft_log_line(r, recent ? LOG_WARN : LOG_DEBUG, "failed to contact");
    raft_log_str(r, line, "server-id", p->id);
    raft_log_str(r, line, "time", duration_format(&r->out->arena, silence));
    p->contact_lost = true;
}

void raft_check_lease(struct raft *r) {
    if (r->now < r->lease_at)
        return;
    int64_t lease = r->options.lease_timeout, oldest = 0;
    size_t contacted = 0, voters = 0;
    for (size_t i = 0; i < r->latest->len; i++) {
        const struct raft_server *s = &r->latest->servers[i];
        if (s->suffrage != RAFT_VOTER)
            continue;
        voters++;
        struct raft_peer *p = raft_peer_find(r, s->id);
        int64_t silence = p != NULL ? r->now - p->last_contact : 0;
        if (p != NULL)
            note_contact(r, p, silence);
        if (silence > lease)
            continue;
        contacted++;
        if (silence > oldest)
            oldest = silence;
    }
    int64_t wait = lease - oldest;
    r->lease_at = r->now + (wait > LEASE_CHECK_MIN ? wait : LEASE_CHECK_MIN);
    if (contacted < voters / 2 + 1)
        raft_step_down(r, "failed to contact quorum of nodes, stepping down");
}

void raft_lease_grace(struct raft *r) {
    for (size_t i = 0; i < r->peer_count; i++) {
        r->peers[i]->heartbeat_at = r->now;
        r->peers[i]->heartbeat_open = false;
    }
    if (r->lease_at < r->now + r->options.lease_timeout / 2)
        r->lease_at = r->now + r->options.lease_timeout / 2;
}

/* ---- verification: one round of heartbeats answers all that asked before it ---- */

static void verified(struct raft *r, void *token, enum raft_error error) {
    struct raft_action *a = raft_act(r, RAFT_ACTION_VERIFIED);
    a->token = token;
    a->error = error;
}

void raft_on_verify(struct raft *r, void *token) {
    if (r->state != RAFT_LEADER) {
        verified(r, token, RAFT_ERROR_NOT_LEADER);
        return;
    }
    r->round++;
    if (r->verification_count == r->verification_cap) {
        r->verification_cap = r->verification_cap > 0 ? r->verification_cap * 2 : 16;
        r->verifications =
            mem_resize(r->verifications, r->verification_cap, sizeof *r->verifications);
    }
    r->verifications[r->verification_count++] = (struct raft_verification){r->round, token};
    for (size_t i = 0; i < r->peer_count; i++) {
        r->peers[i]->heartbeat_at = r->now;
        r->peers[i]->heartbeat_open = false;
    }
}

static bool round_has_quorum(const struct raft *r, uint64_t round) {
    size_t votes = 0, voters = 0;
    for (size_t i = 0; i < r->latest->len; i++) {
        const struct raft_server *s = &r->latest->servers[i];
        if (s->suffrage != RAFT_VOTER)
            continue;
        voters++;
        const struct raft_peer *p = raft_peer_find(r, s->id);
        votes += p == NULL || p->round >= round;
    }
    return votes >= voters / 2 + 1;
}

void raft_check_verifications(struct raft *r) {
    size_t done = 0;
    while (done < r->verification_count && round_has_quorum(r, r->verifications[done].round))
        verified(r, r->verifications[done++].token, RAFT_OK);
    r->verification_count -= done;
    if (done > 0)
        memmove(r->verifications, r->verifications + done,
                r->verification_count * sizeof *r->verifications);
}

void raft_fail_verifications(struct raft *r, enum raft_error error) {
    for (size_t i = 0; i < r->verification_count; i++)
        verified(r, r->verifications[i].token, error);
    r->verification_count = 0;
}
