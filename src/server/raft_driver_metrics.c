/* What is measured of Raft (agent.md 6.4). Only telemetry: nothing here changes what the driver
 * does.
 */
#include "base/metrics.h"
#include "server/raft_driver_internal.h"

#define CONTACT_PERIOD (500 * MILLISECOND)

static double milliseconds(int64_t ns) {
    return (double)ns / (double)MILLISECOND;
}

/* ---- entries ---- */

/* Where there are many, they are added up before they are given in; sinks want each. */
static void add_sample(const char *name, struct metric_tally *t, double value) {
    if (metrics_are_observed())
        metric_sample(name, value);
    else
        metric_tally_add(t, value);
}

int64_t driver_measure_applied(struct raft_driver *d, const struct raft_entry *entry,
                               int64_t began) {
    int64_t now = time_now_monotonic();
    /* A piece of a chunked command has no type of its own. */
    if (entry->type == RAFT_COMMAND && entry->data.len > 0 && entry->extensions.len == 0) {
        double took = milliseconds(now - began);
        add_sample("raft.fsm.apply", &d->metrics.applied, took);
        fsm_entry_measured(&d->metrics.fsm, entry->data, took);
    }
    return now;
}

void driver_measure_batch(struct raft_driver *d) {
    metric_add_tally("raft.fsm.apply", NULL, &d->metrics.applied);
    metric_add_tally("raft.commitTime", NULL, &d->metrics.commit_time);
    fsm_tally_end(&d->metrics.fsm);
}

/* ---- states ---- */

void driver_measure_state(struct raft_driver *d) {
    static const char *const names[] = {[RAFT_FOLLOWER] = "raft.state.follower",
                                        [RAFT_CANDIDATE] = "raft.state.candidate",
                                        [RAFT_LEADER] = "raft.state.leader"};
    struct driver_metrics *m = &d->metrics;
    enum raft_state state = raft_get_state(d->raft);
    if (m->state_known && state == m->state)
        return;
    if (m->state_known && m->state == RAFT_FOLLOWER && state == RAFT_CANDIDATE)
        metric_count("raft.transition.heartbeat_timeout", 1);
    /* Another's higher term is what otherwise ends a leadership. */
    if (m->state_known && m->state == RAFT_LEADER && m->term == raft_term(d->raft))
        metric_count("raft.transition.leader_lease_timeout", 1);
    metric_count(names[state], 1);
    m->state = state;
    m->term = raft_term(d->raft);
    m->state_known = true;
}

/* ---- the log ---- */

/* One write at a time is followed to the disk: a sync covers all that came before it. */
void driver_measure_append(struct raft_driver *d, const struct raft_action *a) {
    struct driver_metrics *m = &d->metrics;
    bool leads = raft_get_state(d->raft) == RAFT_LEADER;
    if (leads)
        metric_gauge("raft.leader.dispatchNumLogs", (double)a->append.count);
    if (m->append_sequence != 0)
        return;
    m->append_sequence = a->sequence;
    m->append_at = time_now_monotonic();
    m->append_leads = leads;
}

void driver_measure_persisted(struct raft_driver *d, uint64_t sequence) {
    struct driver_metrics *m = &d->metrics;
    if (m->append_sequence == 0 || sequence < m->append_sequence)
        return;
    metric_since(m->append_leads ? "raft.leader.dispatchLog" : "raft.rpc.appendEntries.storeLogs",
                 m->append_at);
    m->append_sequence = 0;
}

void driver_measure_committed(struct raft_driver *d, uint64_t index) {
    if (index <= d->apply_target)
        return;
    d->metrics.commit_at = time_now_monotonic();
    if (raft_get_state(d->raft) == RAFT_LEADER)
        metric_gauge("raft.commitNumLogs", (double)(index - d->apply_target));
}

void driver_measure_answered(struct raft_driver *d, const struct raft_proposal *p) {
    struct driver_metrics *m = &d->metrics;
    if (p->dispatched > 0 && m->commit_at >= p->dispatched)
        add_sample("raft.commitTime", &m->commit_time, milliseconds(m->commit_at - p->dispatched));
}

/* ---- other servers ---- */

void driver_measure_received(const struct raft_message *m, int64_t began) {
    if (m->kind == RAFT_APPEND)
        metric_since(m->append.heartbeat ? "raft.rpc.processHeartbeat" : "raft.rpc.appendEntries",
                     began);
    else if (m->kind == RAFT_VOTE)
        metric_since("raft.rpc.requestVote", began);
}

void driver_measure_round(struct raft_driver *d) {
    struct driver_metrics *m = &d->metrics;
    int64_t now = time_now_monotonic();
    if (now - m->contact_at < CONTACT_PERIOD || raft_get_state(d->raft) != RAFT_LEADER)
        return;
    m->contact_at = now;
    int64_t silences[DRIVER_CONTACTS];
    size_t count = raft_follower_silences(d->raft, now, silences, DRIVER_CONTACTS);
    for (size_t i = 0; i < count; i++)
        metric_sample("raft.leader.lastContact", milliseconds(silences[i]));
}
