/* What goes to disk and what has come to it. Disk actions are numbered; the disk does them in
 * order, so that one number says what is durable. Messages that promise something wait for the
 * number of what they promise ("before responding to RPCs", figure 2 of the Raft paper).
 */
#include "raft/state.h"

#define TERM_RETRY SECOND

void raft_persist_term(struct raft *r) {
    struct raft_action *a = raft_act(r, RAFT_ACTION_TERM);
    a->sequence = r->term_sequence = ++r->sequence;
    a->term.term = r->term;
    a->term.vote_term = r->vote_term;
    a->term.vote = raft_out_copy(r, buf_str(&r->vote));
    r->term_unsaved = false;
}

void raft_set_term(struct raft *r, uint64_t term) {
    ASSERT(term >= r->term);
    if (term == r->term)
        return;
    r->term = term;
    r->confirmed = 0;
    raft_persist_term(r);
    raft_act(r, RAFT_ACTION_STATE);
}

static void write_note(struct raft *r, uint64_t sequence, uint64_t last) {
    if (r->write_count == r->write_cap) {
        r->write_cap = r->write_cap > 0 ? r->write_cap * 2 : 16;
        r->writes = mem_resize(r->writes, r->write_cap, sizeof *r->writes);
    }
    r->writes[r->write_count++] = (struct raft_write){sequence, last};
    r->log_sequence = sequence;
}

static void act_reset(struct raft *r, uint64_t index) {
    struct raft_action *a = raft_act(r, RAFT_ACTION_RESET);
    a->sequence = r->log_sequence = r->reset_sequence = ++r->sequence;
    a->index = index;
    r->reset_lost = false;
}

void raft_persist_entries(struct raft *r, struct raft_entry **entries, size_t count) {
    if (r->reset_lost)
        act_reset(r, entries[0]->index - 1);
    struct raft_action *a = raft_act(r, RAFT_ACTION_APPEND);
    a->sequence = ++r->sequence;
    a->index = entries[0]->index;
    a->append.count = count;
    a->append.entries = ARENA_ARRAY(&r->out->arena, struct raft_entry *, count);
    for (size_t i = 0; i < count; i++) {
        a->append.entries[i] = raft_entry_hold(entries[i]);
        raft_log_append(&r->log, entries[i]);
    }
    write_note(r, r->sequence, r->log.last);
}

/* Writes under way no longer make durable what was cut off meanwhile. */
static void writes_clip(struct raft *r, uint64_t last) {
    for (size_t i = 0; i < r->write_count; i++) {
        if (r->writes[i].last > last)
            r->writes[i].last = last;
    }
    if (r->durable > last)
        r->durable = last;
}

void raft_persist_truncate(struct raft *r, uint64_t from) {
    ASSERT(from > r->commit);
    raft_log_truncate(&r->log, from);
    writes_clip(r, from - 1);
    raft_configuration_truncated(r, from);
    struct raft_action *a = raft_act(r, RAFT_ACTION_TRUNCATE);
    a->sequence = ++r->sequence;
    a->index = from;
    write_note(r, r->sequence, r->log.last);
}

void raft_persist_reset(struct raft *r, uint64_t index, uint64_t term) {
    raft_log_reset(&r->log, index, term);
    r->write_count = 0;
    r->durable = index; /* the snapshot is, and the log starts behind it */
    act_reset(r, index);
}

void raft_on_persisted(struct raft *r, uint64_t sequence) {
    ASSERT(sequence <= r->sequence);
    if (sequence <= r->persisted)
        return;
    r->persisted = sequence;
    size_t done = 0;
    while (done < r->write_count && r->writes[done].sequence <= sequence) {
        if (r->writes[done].last > r->durable)
            r->durable = r->writes[done].last;
        done++;
    }
    r->write_count -= done;
    if (done > 0)
        if (done > 0)
            memmove(r->writes, r->writes + done, r->write_count * sizeof *r->writes);
    if (r->state == RAFT_CANDIDATE && r->vote_sequence != 0 && r->vote_sequence <= sequence) {
        r->vote_sequence = 0;
        raft_count_vote(r, r->options.id);
    }
}

/* Everything that was not durable yet is gone: the log ends where the disk's does. (Unless a
 * truncation or reset was lost as well. What that would have cut off is void when the next entry is
 * written in its place; but behind a reset the next entry may leave a gap.) */
void raft_on_persist_failed(struct raft *r) {
    bool term_lost = r->term_sequence > r->persisted;
    r->reset_lost |= r->reset_sequence > r->persisted;
    r->persisted = r->sequence;
    r->write_count = 0;
    if (r->log.last > r->durable) {
        raft_log_truncate(&r->log, r->durable + 1);
        raft_configuration_truncated(r, r->durable + 1);
    }
    if (r->confirmed > r->log.last)
        r->confirmed = r->log.last;
    raft_log_line(r, LOG_ERROR, "failed to write to the log");
    if (r->state == RAFT_LEADER)
        raft_step_down(r, NULL);
    else
        raft_become_follower(r);
    if (r->commit > r->log.last)
        r->commit = r->log.last; /* learnt from a leader, not applied yet: it will be told again */
    raft_configurations_update(r);
    if (term_lost) {
        r->term_unsaved = true;
        r->term_retry_at = r->now + TERM_RETRY;
    }
}

uint64_t raft_after_term(const struct raft *r) {
    if (r->term_unsaved)
        return UINT64_MAX; /* never: whoever asked will ask again */
    return r->term_sequence > r->persisted ? r->term_sequence : 0;
}

uint64_t raft_after_log(const struct raft *r) {
    uint64_t term = raft_after_term(r);
    uint64_t log = r->log_sequence > r->persisted ? r->log_sequence : 0;
    return term > log ? term : log;
}
