/* Local snapshots (raft.md 4.8) and a user's snapshot that replaces the cluster's state (4.9). */
#include "raft/state.h"

/* Entries up to the snapshot may go, but some stay for followers that are a little behind. */
void raft_compact(struct raft *r) {
    uint64_t last = r->log.last, trailing = r->options.trailing_logs;
    if (last <= trailing)
        return;
    uint64_t to = last - trailing;
    if (to > r->log.snapshot_index)
        to = r->log.snapshot_index;
    if (to < r->log.first)
        return;
    raft_log_compact(&r->log, to);
    raft_act(r, RAFT_ACTION_COMPACT)->index = to;
}

void raft_on_snapshot_taken(struct raft *r, uint64_t index, uint64_t term) {
    if (index <= r->log.snapshot_index)
        return;
    ASSERT(index <= r->applied);
    r->log.snapshot_index = index;
    r->log.snapshot_term = term;
    raft_compact(r);
}

void raft_on_restore(struct raft *r, struct raft_event *event) {
    event->error = RAFT_OK;
    if (r->state != RAFT_LEADER) {
        event->error = RAFT_ERROR_NOT_LEADER;
    } else if (r->transferring) {
        event->error = RAFT_ERROR_TRANSFER_IN_PROGRESS;
    } else if (r->busy) {
        event->error = RAFT_ERROR_RESTORED;
    } else if (r->latest_index != r->committed_index) {
        event->error = RAFT_ERROR_MESSAGE;
        event->text =
            str_format(&r->out->arena,
                       "cannot restore snapshot now, wait until the configuration entry at "
                       "%llu has been applied (have applied %llu)",
                       (unsigned long long)r->latest_index, (unsigned long long)r->committed_index);
    }
    if (event->error != RAFT_OK)
        return;
    r->busy = true;
    struct raft_action *fail = raft_act(r, RAFT_ACTION_FAIL);
    fail->index = r->apply_sent;
    fail->error = RAFT_ERROR_RESTORED;
    uint64_t last = raft_log_last_index(&r->log);
    struct raft_action *a = raft_act(r, RAFT_ACTION_RESTORE);
    a->index = (last > event->restore.index ? last : event->restore.index) + 1;
    a->restore.term = r->term;
    a->restore.configuration = raft_configuration_hold(r->latest);
    a->restore.configuration_index = r->latest_index;
}

/* Everything before is gone from the log, which starts anew behind the snapshot: followers get the
 * snapshot. Then a no-op, whose commit is the answer to the caller. */
void raft_on_restored(struct raft *r, struct raft_event *event) {
    ASSERT(r->busy);
    r->busy = false;
    event->error = RAFT_OK;
    if (!event->restored.ok)
        return;
    raft_persist_reset(r, event->restored.index, event->restored.term);
    r->commit = r->applied = r->apply_sent = event->restored.index;
    r->base_unsure = true; /* until the no-op is committed */
    raft_configurations_update(r);
    raft_act(r, RAFT_ACTION_COMMIT)->index = r->commit;
    if (r->state != RAFT_LEADER) {
        event->error = RAFT_ERROR_LEADERSHIP_LOST;
        return;
    }
    for (size_t i = 0; i < r->peer_count; i++)
        raft_peer_failed(r, r->peers[i], false);
    struct raft_entry *noop = raft_entry_new(RAFT_NOOP, STR_NONE, STR_NONE);
    noop->index = event->index = r->log.last + 1;
    noop->term = event->term = r->term;
    raft_persist_entries(r, &noop, 1);
}
