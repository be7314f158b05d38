/* AppendEntries (raft.md 4.3): the follower's part of replication, and heartbeats. */
#include "raft/state.h"

/* "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm." */
static bool previous_matches(const struct raft *r, const struct raft_append *a) {
    uint64_t term;
    if (a->previous_index == 0)
        return true;
    return raft_log_term(&r->log, a->previous_index, &term) && term == a->previous_term;
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

static void accept(struct raft *r, const struct raft_append *a, struct raft_append_result *result) {
    if (!a->heartbeat) {
        if (r->busy)
            return; /* the log is being replaced; ask again */
        if (!previous_matches(r, a)) {
            uint64_t last = raft_log_last_index(&r->log);
            struct raft_action *line = raft_log_line(r, LOG_WARN, "failed to get previous log");
            raft_log_u64(r, line, "previous-index", a->previous_index);
            raft_log_u64(r, line, "last-index", last);
            raft_log_str(r, line, "error", STR("log not found"));
            result->no_retry_backoff = true;
            return;
        }
        if (!entries_are_in_order(a) || !store_entries(r, a))
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
