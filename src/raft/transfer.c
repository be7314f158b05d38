/* Handing leadership to another server (raft.md 4.7): bring it up to date, then tell it to
 * campaign. */
#include "raft/state.h"

static const struct raft_peer *best_follower(const struct raft *r) {
    const struct raft_peer *best = NULL;
    for (size_t i = 0; i < r->peer_count; i++) {
        /* The peer may pick a nonvoter, which cannot win; only voters here. */
        if (!raft_configuration_is_voter(r->latest, r->peers[i]->id))
            continue;
        if (best == NULL || r->peers[i]->next > best->next)
            best = r->peers[i];
    }
    return best;
}

void raft_on_transfer(struct raft *r, struct raft_event *event) {
    struct str id = event->transfer.id;
    event->error = RAFT_OK;
    if (r->state != RAFT_LEADER)
        event->error = RAFT_ERROR_NOT_LEADER;
    else if (r->transferring)
        event->error = RAFT_ERROR_TRANSFER_IN_PROGRESS;
    else if (r->options.protocol < 3)
        event->error = RAFT_ERROR_UNSUPPORTED;
    else if (id.len > 0 && str_eq(id, r->options.id))
        event->error = RAFT_ERROR_TRANSFER_SELF;
    const struct raft_peer *p = NULL;
    if (event->error == RAFT_OK) {
        p = id.len > 0 ? raft_peer_find(r, id) : best_follower(r);
        if (p == NULL)
            event->error = RAFT_ERROR_NO_PEER;
    }
    if (event->error != RAFT_OK)
        return;
    r->transferring = true;
    r->timeout_now_sent = false;
    buf_clear(&r->transfer_target);
    buf_add_str(&r->transfer_target, p->id);
    r->transfer_deadline = r->now + r->options.election_timeout;
}

void raft_run_transfer(struct raft *r) {
    if (!r->transferring)
        return;
    const struct raft_peer *p = raft_peer_find(r, buf_str(&r->transfer_target));
    if (p == NULL || r->now >= r->transfer_deadline) {
        raft_end_transfer(r, RAFT_ERROR_TRANSFER_TIMEOUT);
        return;
    }
    if (r->timeout_now_sent || p->match < r->log.last)
        return;
    r->timeout_now_sent = true;
    struct raft_action *a = raft_act(r, RAFT_ACTION_SEND);
    a->message.kind = RAFT_TIMEOUT_NOW;
    a->message.peer_id = raft_out_copy(r, p->id);
    a->message.peer_address = raft_out_copy(r, p->address);
    a->message.tag = (struct raft_tag){.term = r->term, .sent_at = r->now};
}

void raft_end_transfer(struct raft *r, enum raft_error error) {
    if (!r->transferring)
        return;
    r->transferring = false;
    raft_act(r, RAFT_ACTION_TRANSFERRED)->error = error;
}
