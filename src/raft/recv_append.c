/* AppendEntries (raft.md 4.3): the follower's part of replication, and heartbeats.
 *
 * What a snapshot holds is committed, and so is part of every leader's history: but for one case. A
 * user's snapshot that is restored replaces the state of the leader, and of followers which it
 * sends it to, before a majority has it (raft.md 4.9). If another leader comes without it, those
 * who have it hold what never was. Nothing of theirs can be kept: they forget all and start anew,
 * as an empty server does. (The peer's stay different for ever.) It can be so only as long as
 * nothing behind the snapshot is committed: base_unsure.
 */
#include "raft/state.h"

enum match { MATCHES, DIFFERS, NEVER_WAS };

/* "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm." */
static enum match previous_matches(const struct raft *r, const struct raft_append *a) {
    const struct raft_log *l = &r->log;
    uint64_t term, snapshot = l->snapshot_index;
    if (a->previous_index >= snapshot) {
        if (raft_log_term(l, a->previous_index, &term) && term == a->previous_term)
            return MATCHES;
        return a->previous_index == snapshot && r->base_unsure ? NEVER_WAS : DIFFERS;
    }
    if (!r->base_unsure)
        return MATCHES; /* all up to the snapshot is committed: it is the leader's as well */
    /* Only an entry in the snapshot's place can tell. A leader who has come down to the beginning
     * has none that fits: he would have stopped there. */
    if (a->previous_index + a->count >= snapshot)
        return a->entries[snapshot - a->previous_index - 1]->term == l->snapshot_term ? MATCHES
                                                                                      : NEVER_WAS;
    return a->previous_index == 0 ? NEVER_WAS : DIFFERS;
}

static bool entries_are_in_order(const struct raft_append *a) {
    uint64_t term = a->previous_term;
    for (size_t i = 0; i < a->count; i++) {
        const struct raft_entry *e = a->entries[i];
        if (e->index != a->previous_index + 1 + i || e->term > a->term)
            return false;
        if (e->term < term && a->previous_index > 0)
            return false;
        term = e->term;
    }
    return true;
}

/* How many of the entries are here already: in the snapshot, or with an equal term in the log. */
static size_t count_known(const struct raft *r, const struct raft_append *a) {
    size_t i = 0;
    for (; i < a->count; i++) {
        uint64_t term;
        const struct raft_entry *e = a->entries[i];
        if (e->index <= r->log.snapshot_index)
            continue;
        if (!raft_log_term(&r->log, e->index, &term) || term != e->term)
            break;
    }
    return i;
}

/* Decodes the configurations first, so that nothing has changed when one is bad. */
static bool take_configurations(struct raft *r, const struct raft_append *a, size_t from,
                                struct raft_configuration **taken) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    size_t n = 0;
    bool ok = true;
    for (size_t i = from; i < a->count && ok; i++) {
        const struct raft_entry *entry = a->entries[i];
        if (!raft_entry_is_configuration(entry->type))
            continue;
        taken[n] = raft_configuration_of_entry(entry->type, entry->data, &e);
        ok = taken[n] != NULL;
        n += ok;
    }
    if (!ok) {
        struct raft_action *line = raft_log_line(r, LOG_ERROR, "refused a configuration entry");
        raft_log_str(r, line, "error", e.text);
        while (n > 0)
            raft_configuration_release(taken[--n]);
    }
    arena_free(&arena);
    return ok;
}

/* "If an existing entry conflicts with a new one, delete the existing entry and all that follow it.
 * Append any new entries not already in the log." */
static bool store_entries(struct raft *r, const struct raft_append *a) {
    size_t known = count_known(r, a);
    if (known == a->count)
        return true;
    uint64_t from = a->entries[known]->index;
    if (from <= r->commit && from <= r->log.last) {
        raft_log_u64(r, raft_log_line(r, LOG_ERROR, "leader contradicts a committed entry"),
                     "index", from);
        return false;
    }
    uint64_t term_before;
    if (!raft_log_term(&r->log, from - 1, &term_before) || term_before > a->entries[known]->term)
        return false; /* a gap, or terms that go back: no leader sends that */
    struct raft_configuration **taken =
        ARENA_ARRAY(&r->out->arena, struct raft_configuration *, a->count);
    if (!take_configurations(r, a, known, taken))
        return false;
    if (from <= r->log.last) {
        struct raft_action *line = raft_log_line(r, LOG_WARN, "clearing log suffix");
        raft_log_u64(r, line, "from", from);
        raft_log_u64(r, line, "to", r->log.last);
        raft_persist_truncate(r, from);
    }
    for (size_t i = known; i < a->count; i++)
        raft_entry_hold(a->entries[i]);
    raft_persist_entries(r, a->entries + known, a->count - known);
    for (size_t i = known, n = 0; i < a->count; i++) {
        if (raft_entry_is_configuration(a->entries[i]->type))
            raft_configuration_appended(r, taken[n++], a->entries[i]->index);
    }
    return true;
}

static void forget(struct raft *r) {
    struct raft_action *line =
        raft_log_line(r, LOG_ERROR,
                      "the leader's history is without this server's snapshot, which "
                      "was restored and lost: starting anew");
    raft_log_u64(r, line, "index", r->log.snapshot_index);
    r->busy = true;
    raft_act(r, RAFT_ACTION_FORGET);
}

/* The state machine is empty: the log and what is known follow. */
void raft_on_forgotten(struct raft *r) {
    ASSERT(r->busy);
    r->busy = false;
    raft_persist_reset(r, 0, 0);
    raft_configurations_clear(r);
    r->commit = r->applied = r->apply_sent = r->confirmed = 0;
    r->base_unsure = false;
    raft_act(r, RAFT_ACTION_FAIL)->error = RAFT_ERROR_LEADERSHIP_LOST;
}

static void refuse(struct raft *r, const struct raft_append *a, struct raft_append_result *result) {
    struct raft_action *line = raft_log_line(r, LOG_WARN, "failed to get previous log");
    raft_log_u64(r, line, "previous-index", a->previous_index);
    raft_log_u64(r, line, "last-index", raft_log_last_index(&r->log));
    raft_log_str(r, line, "error", STR("log not found"));
    result->no_retry_backoff = true;
}

static void accept(struct raft *r, const struct raft_append *a, struct raft_append_result *result) {
    if (!a->heartbeat) {
        if (r->busy)
            return; /* the log is being replaced; ask again */
        if (!entries_are_in_order(a))
            return;
        enum match match = previous_matches(r, a);
        if (match == NEVER_WAS)
            forget(r);
        else if (match == DIFFERS)
            refuse(r, a, result);
        if (match != MATCHES)
            return;
        if (!store_entries(r, a))
            return;
        /* The paper's min(leaderCommit, index of last new entry): only up to there is it certain
         * that this log is the leader's. (The peer takes its own last index.) */
        uint64_t sure = a->previous_index + a->count;
        if (sure > r->confirmed)
            r->confirmed = sure;
        uint64_t commit = a->commit < sure ? a->commit : sure;
        if (commit > r->commit)
            raft_set_commit(r, commit);
    }
    result->success = true;
    r->last_contact = r->now;
}

void raft_recv_append(struct raft *r, struct raft_message *m) {
    const struct raft_append *a = &m->append;
    struct raft_append_result result = {.last_log = raft_log_last_index(&r->log)};
    if (a->term >= r->term && a->leader.len > 0) {
        if (a->term > r->term || r->state != RAFT_FOLLOWER) {
            raft_become_follower(r);
            raft_set_term(r, a->term);
        }
        raft_set_leader(r, a->leader);
        accept(r, a, &result);
    }
    result.term = r->term;
    bool stored = result.success && !a->heartbeat;
    struct raft_message *reply = raft_reply(r, m, stored ? raft_after_log(r) : raft_after_term(r));
    reply->append_result = result;
}
