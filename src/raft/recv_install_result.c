/* The answer to an InstallSnapshot: the follower goes on behind the snapshot, or is asked again. */
#include "raft/state.h"

void raft_recv_install_result(struct raft *r, struct raft_message *m) {
    if (m->install_result.term > r->term) {
        raft_become_follower(r);
        raft_set_term(r, m->install_result.term);
        return;
    }
    if (r->state != RAFT_LEADER || m->tag.term != r->term)
        return;
    struct raft_peer *p = raft_peer_find(r, m->peer_id);
    if (p == NULL || m->tag.epoch != p->epoch)
        return;
    if (!m->install_result.success) {
        raft_peer_failed(r, p, true);
        struct raft_action *line = raft_log_line(r, LOG_WARN, "installSnapshot rejected to");
        raft_log_str(r, line, "peer", raft_peer_text(r, p));
        return;
    }
    raft_peer_failed(r, p, false); /* probe right behind it */
    p->last_contact = r->now;
    if (m->tag.last > p->match)
        p->match = m->tag.last;
    p->next = m->tag.last + 1;
}
