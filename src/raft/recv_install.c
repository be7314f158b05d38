/* InstallSnapshot (raft.md 4.4): the leader's snapshot replaces what is here. Its bytes have come;
 * they are with the driver.
 *
 * One that comes late (the leader has given it up, sent a newer one, and appended entries) must not
 * take away what was acknowledged since. So where this log is known to be the leader's up to the
 * snapshot's index, there is nothing to do. (The peer takes it.)
 */
#include "raft/state.h"

static void answer(struct raft *r, const struct raft_message *m, bool success) {
    struct raft_message *reply = raft_reply(r, m, success ? raft_after_log(r) : raft_after_term(r));
    reply->install_result = (struct raft_install_result){.term = r->term, .success = success};
}

void raft_recv_install(struct raft *r, struct raft_message *m) {
    const struct raft_install *in = &m->install;
    if (in->term < r->term || in->leader.len == 0) {
        answer(r, m, false);
        return;
    }
    if (in->term > r->term || r->state != RAFT_FOLLOWER) {
        raft_become_follower(r);
        raft_set_term(r, in->term);
    }
    raft_set_leader(r, in->leader);
    r->last_contact = r->now;
    bool odd = in->configuration != NULL && in->configuration_index > in->last_index;
    if (r->busy || in->last_index == 0 || odd) {
        answer(r, m, false);
        return;
    }
    if (in->last_index <= r->confirmed) {
        answer(r, m, true);
        return;
    }
    r->busy = true;
    raft_act(r, RAFT_ACTION_INSTALL)->install = m;
}

/* There is no check whether it is newer than what is here: an older one is a step back on the same
 * way (an operator's recovery can want it), and the entries behind it are committed and applied
 * again. */
void raft_on_installed(struct raft *r, struct raft_message *m, bool ok) {
    ASSERT(r->busy);
    r->busy = false;
    const struct raft_install *in = &m->install;
    if (!ok) {
        answer(r, m, false);
        return;
    }
    uint64_t term;
    bool continues = in->last_index >= r->log.first && in->last_index <= r->log.last &&
                     raft_log_term(&r->log, in->last_index, &term) && term == in->last_term;
    if (continues) { /* "retain log entries following it" */
        r->log.snapshot_index = in->last_index;
        r->log.snapshot_term = in->last_term;
        raft_compact(r);
    } else {
        raft_persist_reset(r, in->last_index, in->last_term);
    }
    r->commit = r->applied = r->apply_sent = in->last_index;
    r->base_unsure = true;
    if (r->state == RAFT_FOLLOWER && in->term == r->term && in->last_index > r->confirmed)
        r->confirmed = in->last_index;
    raft_configuration_installed(r, in->configuration, in->configuration_index, in->last_index);
    raft_act(r, RAFT_ACTION_COMMIT)->index = r->commit;
    /* Proposals of a leadership that is over, committed but not applied yet: their entries are in
     * the snapshot, or not; what came of them nobody will tell. */
    raft_act(r, RAFT_ACTION_FAIL)->error = RAFT_ERROR_LEADERSHIP_LOST;
    if (r->state == RAFT_FOLLOWER)
        r->last_contact = r->now;
    answer(r, m, true);
}
