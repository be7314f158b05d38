/* What a user's snapshot left that was restored while its leader lost the leadership: a state and a
 * snapshot which no leader's history has (raft/recv_append.c). The state becomes empty, the
 * snapshots go with the log, and the server starts anew from what the leader sends.
 */
#include "server/raft_driver_internal.h"

#define EMPTY_STATE "\x81\xa9LastIndex\x00" /* fsm.md 7: the header, and nothing behind it */

static bool state_clear(struct raft_driver *d, struct error *e) {
    struct watch_touched *touched = NULL;
    struct store_restore *state = store_restore_begin(d->store, e);
    if (state == NULL)
        return false;
    if (!store_restore_feed(state, STR(EMPTY_STATE), e)) {
        store_restore_abort(state);
        return false;
    }
    if (!store_restore_commit(state, 0, 0, &touched, e))
        return false;
    if (d->options.on_touched != NULL)
        d->options.on_touched(d->options.owner, touched);
    else
        watch_touched_release(touched);
    return true;
}

/* Not while something else reads or replaces the state. */
void driver_forget_tick(struct raft_driver *d) {
    if (!d->forgetting || driver_state_is_used(d) || d->dead ||
        atomic_exchange(&d->restoring, true))
        return;
    d->forgetting = false;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    bool ok = state_clear(d, &e);
    atomic_store(&d->restoring, false);
    if (ok) {
        driver_older_drop(d);
        raft_driver_snapshot_close(d->dev_snapshot);
        d->dev_snapshot = NULL;
        d->applied = d->apply_target = d->applied_term = 0;
        d->snapshot_index = d->snapshot_term = d->command_index = 0;
        struct raft_event event = {.kind = RAFT_EVENT_FORGOTTEN};
        driver_step(d, &event);
        driver_view_configuration(d);
    } else {
        driver_fatal(d, e.text);
    }
    arena_free(&arena);
}

bool driver_log_reset(void *owner, uint64_t index, struct error *e) {
    struct raft_driver *d = owner;
    return snapshots_remove_others(d->snapshots, index, e) && snapshots_reap(d->snapshots, e);
}
