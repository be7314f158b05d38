/* What must hold after every step, from the outside: Raft's promises (figure 3 of its paper), what
 * the log and the answers promise, and equal states at equal indexes. The first one that does not
 * hold ends the run.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/cluster/sim.h"

/* What is true of an index, whoever says it. */
struct fact {
    uint64_t term; /* committed with this term; 0: not committed yet */
    uint64_t in;   /* the term of the leader that committed it */
    uint64_t entry, state;
    bool applied;
};

/* An entry that somebody has appended, or a state that a user's snapshot has put in an entry's
 * place. That counts as committed only when what follows it is. */
struct written {
    uint64_t index, term; /* index 0: free */
    uint64_t entry;       /* restored: hash of the state */
    uint64_t previous_term;
    bool previous_known, restored;
};

struct vote {
    uint64_t term; /* 0: free */
    unsigned identity;
    char candidate[32];
};

struct check {
    struct fact *facts;
    size_t fact_cap;
    uint64_t committed; /* the highest index that anybody has committed */
    struct written *written;
    size_t written_count, written_cap;
    struct vote *votes;
    size_t vote_count, vote_cap;
    unsigned *leaders; /* identity, by term */
    size_t leader_cap;
    struct {
        uint64_t term, commit;
    } nodes[SIM_SLOTS];
};

struct check *check_new(void) {
    return MEM_NEW(struct check);
}

void check_free(struct check *c) {
    mem_free(c->facts);
    mem_free(c->written);
    mem_free(c->votes);
    mem_free(c->leaders);
    mem_free(c);
}

/* ---- tables ---- */

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t x = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    return x * UINT64_C(0xbf58476d1ce4e5b9) + 1;
}

static void *grown(void *items, size_t *cap, size_t need, size_t size) {
    if (need < *cap)
        return items;
    size_t old = *cap;
    while (*cap <= need)
        *cap = *cap > 0 ? *cap * 2 : 256;
    items = mem_resize(items, *cap, size);
    memset((char *)items + old * size, 0, (*cap - old) * size);
    return items;
}

static struct fact *fact_of(struct check *c, uint64_t index) {
    c->facts = grown(c->facts, &c->fact_cap, (size_t)index, sizeof *c->facts);
    return &c->facts[index];
}

static uint64_t entry_hash(const struct raft_entry *e) {
    return mix(mix(e->type + 1, str_hash(e->data)), str_hash(e->extensions));
}

static struct written *written_find(struct check *c, uint64_t index, uint64_t term) {
    if (c->written_count * 2 >= c->written_cap) {
        struct written *old = c->written;
        size_t old_cap = c->written_cap;
        c->written_cap = old_cap > 0 ? old_cap * 2 : 1024;
        c->written = mem_zalloc(c->written_cap, sizeof *c->written);
        for (size_t i = 0; i < old_cap; i++) {
            if (old[i].index != 0)
                *written_find(c, old[i].index, old[i].term) = old[i];
        }
        mem_free(old);
    }
    size_t i = mix(index, term) & (c->written_cap - 1);
    while (c->written[i].index != 0 && (c->written[i].index != index || c->written[i].term != term))
        i = (i + 1) & (c->written_cap - 1);
    return &c->written[i];
}

static struct vote *vote_find(struct check *c, unsigned identity, uint64_t term) {
    if (c->vote_count * 2 >= c->vote_cap) {
        struct vote *old = c->votes;
        size_t old_cap = c->vote_cap;
        c->vote_cap = old_cap > 0 ? old_cap * 2 : 256;
        c->votes = mem_zalloc(c->vote_cap, sizeof *c->votes);
        for (size_t i = 0; i < old_cap; i++) {
            if (old[i].term != 0)
                *vote_find(c, old[i].identity, old[i].term) = old[i];
        }
        mem_free(old);
    }
    size_t i = mix(identity, term) & (c->vote_cap - 1);
    while (c->votes[i].term != 0 && (c->votes[i].identity != identity || c->votes[i].term != term))
        i = (i + 1) & (c->vote_cap - 1);
    return &c->votes[i];
}

/* ---- what is on disk ---- */

static bool holds(const struct node *n, uint64_t index, uint64_t term) {
    const struct durable *d = &n->durable;
    if (index <= d->snapshot_index)
        return true;
    return index >= d->first && index <= d->last && index < d->void_from && d->terms[index] == term;
}

static void durable_put(struct durable *d, uint64_t index, uint64_t term) {
    d->terms = grown(d->terms, &d->cap, (size_t)index, sizeof *d->terms);
    d->terms[index] = term;
    d->last = index;
}

void check_log_written(struct node *n, const struct job *jobs) {
    struct durable *d = &n->durable;
    for (const struct job *j = jobs; j != NULL; j = j->next) {
        if (j->kind == JOB_ENTRIES) {
            for (size_t i = 0; i < j->count; i++)
                durable_put(d, j->entries[i]->index, j->entries[i]->term);
        } else if (j->kind == JOB_TRUNCATE) {
            if (j->index <= d->last)
                d->last = j->index - 1;
        } else if (j->kind == JOB_RESET) {
            d->first = j->index + 1;
            d->last = j->index;
        } else {
            if (j->term > d->term)
                d->term = j->term;
            d->vote_term = j->vote_term;
            snprintf(d->vote, sizeof d->vote, "%s", j->vote);
        }
    }
    d->void_from = UINT64_MAX;
    SIM_CHECK(n->sim, wal_last(n->wal) == d->last);
}

void check_snapshot_durable(struct node *n, uint64_t index, uint64_t term) {
    if (index >= n->durable.snapshot_index) {
        n->durable.snapshot_index = index;
        n->durable.snapshot_term = term;
    }
}

/* What was durable before the process ended is there again; then the mirror is made anew. */
void check_log_opened(struct node *n, bool troubled) {
    struct sim *s = n->sim;
    struct durable *d = &n->durable;
    struct raft_run *runs;
    size_t count = wal_runs(n->wal, &runs), at = 0;
    uint64_t first = wal_first(n->wal), last = wal_last(n->wal);
    uint64_t *terms = NULL;
    size_t cap = 0;
    terms = grown(terms, &cap, (size_t)last, sizeof *terms);
    for (uint64_t i = first; i <= last; i++) {
        while (at + 1 < count && runs[at + 1].first <= i)
            at++;
        terms[i] = runs[at].term;
    }
    for (uint64_t i = d->first; i <= d->last && i < d->void_from; i++) {
        if (i > d->snapshot_index && (i < first || i > last || terms[i] != d->terms[i]))
            sim_fail(s, "%s: entry %llu of term %llu was on disk and is gone", n->id,
                     (unsigned long long)i, (unsigned long long)d->terms[i]);
    }
    SIM_CHECK(s, raft_term(n->raft) >= d->term); /* the log's, or that of the snapshot */
    SIM_CHECK(s, wal_vote_term(n->wal) >= d->vote_term);
    if (wal_vote_term(n->wal) == d->vote_term && d->vote_term > 0 && d->vote[0] != '\0')
        SIM_CHECK(s, str_is(wal_vote(n->wal), d->vote));
    if (n->snapshot_index < d->snapshot_index && !troubled)
        sim_fail(s, "%s: the snapshot at %llu was on disk and is not used", n->id,
                 (unsigned long long)d->snapshot_index);
    mem_free(runs);
    mem_free(d->terms);
    d->terms = terms;
    d->cap = cap;
    d->first = first;
    d->last = last;
    d->term = raft_term(n->raft);
    d->vote_term = wal_vote_term(n->wal);
    snprintf(d->vote, sizeof d->vote, STR_FMT, STR_ARG(wal_vote(n->wal)));
    d->snapshot_index = n->snapshot_index;
    d->snapshot_term = n->snapshot_term;
    d->void_from = UINT64_MAX;
    s->check->nodes[n->slot].term = raft_term(n->raft);
    s->check->nodes[n->slot].commit = 0;
}

/* ---- the core's steps ---- */

void check_step(struct node *n) {
    struct sim *s = n->sim;
    struct check *c = s->check;
    uint64_t term = raft_term(n->raft);
    SIM_CHECK(s, term >= c->nodes[n->slot].term);
    c->nodes[n->slot].term = term;
    SIM_CHECK(s, raft_log_last_index(raft_get_log(n->raft)) >= raft_commit_index(n->raft));
}

/* "If two logs contain an entry with the same index and term, then the logs are identical in all
 * entries up through the given index": an entry is the same wherever it is, and so is the one
 * before it. */
void check_appended(struct node *n, const struct raft_entry *e) {
    struct sim *s = n->sim;
    struct check *c = s->check;
    uint64_t previous;
    bool known = raft_log_term(raft_get_log(n->raft), e->index - 1, &previous);
    struct written *w = written_find(c, e->index, e->term);
    if (w->index == 0) {
        *w = (struct written){e->index, e->term, entry_hash(e), known ? previous : 0, known};
        c->written_count++;
        s->totals.entries++;
        return;
    }
    if (w->entry != entry_hash(e))
        sim_fail(s, "%s: entry %llu of term %llu differs from another server's", n->id,
                 (unsigned long long)e->index, (unsigned long long)e->term);
    if (known && w->previous_known && w->previous_term != previous)
        sim_fail(s, "%s: before entry %llu of term %llu comes term %llu, elsewhere %llu", n->id,
                 (unsigned long long)e->index, (unsigned long long)e->term,
                 (unsigned long long)previous, (unsigned long long)w->previous_term);
}

/* "A leader never overwrites or deletes entries in its log"; and nobody gives up what he holds of
 * what is committed. */
void check_truncated(struct node *n, uint64_t from, bool reset) {
    struct sim *s = n->sim;
    const struct durable *d = &n->durable;
    if (!reset && raft_get_state(n->raft) == RAFT_LEADER)
        sim_fail(s, "%s: a leader cuts its log at %llu", n->id, (unsigned long long)from);
    if (reset && from == 1) /* it starts anew: a restore that was lost has cost it all before */
        return;
    for (uint64_t i = from > d->first ? from : d->first; i <= d->last; i++) {
        const struct fact *f = fact_of(s->check, i);
        if (f->term != 0 && f->term == d->terms[i] && i < d->void_from)
            sim_fail(s, "%s gives up entry %llu of term %llu, which is committed", n->id,
                     (unsigned long long)i, (unsigned long long)f->term);
    }
}

/* Whoever leads and has its barrier applied may answer default reads from what he has until his
 * lease is over: nobody else leads before that. Without the barrier there is no lease: an election
 * may be won late, when those who voted are in a later term already. (Nor is there one where
 * something happened that a lease cannot know of: lease_is_doubtful.) */
static void check_leases(struct node *n) {
    struct sim *s = n->sim;
    for (int i = 0; i < SIM_SLOTS; i++) {
        const struct node *other = s->nodes[i];
        if (other != n && other->up && other->ready && other->told_term < raft_term(n->raft) &&
            !lease_is_doubtful(other))
            sim_fail(s, "%s leads term %llu while %s has the lease of term %llu", n->id,
                     (unsigned long long)raft_term(n->raft), other->id,
                     (unsigned long long)other->told_term);
    }
}

/* "At most one leader can be elected in a given term"; "if a log entry is committed in a given
 * term, then that entry will be present in the logs of the leaders for all higher-numbered terms".
 */
void check_became_leader(struct node *n) {
    struct sim *s = n->sim;
    struct check *c = s->check;
    uint64_t term = raft_term(n->raft);
    c->leaders = grown(c->leaders, &c->leader_cap, (size_t)term, sizeof *c->leaders);
    if (c->leaders[term] != 0)
        sim_fail(s, "%s: term %llu has two leaders", n->id, (unsigned long long)term);
    c->leaders[term] = n->identity;
    check_leases(n);
    SIM_TRACE(s, "%s leads term %llu", n->id, (unsigned long long)term);
    const struct raft_log *log = raft_get_log(n->raft);
    for (uint64_t i = log->snapshot_index; i <= c->committed; i++) {
        uint64_t have;
        const struct fact *f = fact_of(c, i);
        if (i == 0 || f->term == 0 || f->in >= term)
            continue; /* votes may be counted when a later leader is at work already */
        if (!raft_log_term(log, i, &have) || have != f->term)
            sim_fail(s, "%s leads term %llu without entry %llu of term %llu, which is committed",
                     n->id, (unsigned long long)term, (unsigned long long)i,
                     (unsigned long long)f->term);
    }
}

/* A majority has it on disk. (A change that was appended in the same step came after the commit.)
 */
static void check_quorum(struct node *n, uint64_t index, uint64_t term) {
    struct sim *s = n->sim;
    uint64_t latest, committed;
    const struct raft_configuration *c = raft_latest_configuration(n->raft, &latest);
    if (latest > n->last_before)
        c = raft_committed_configuration(n->raft, &committed);
    size_t voters = 0, have = 0;
    for (size_t i = 0; i < c->len; i++) {
        if (c->servers[i].suffrage != RAFT_VOTER)
            continue;
        struct node *other = node_find(s, c->servers[i].id, c->servers[i].address);
        voters++;
        have += other != NULL && holds(other, index, term);
    }
    if (have < voters / 2 + 1)
        sim_fail(s, "%s commits %llu, which %zu of %zu voters have on disk", n->id,
                 (unsigned long long)index, have, voters);
}

/* Whether all that is said to be committed is a state that a user has restored. */
static bool is_restored(struct check *c, uint64_t index, uint64_t snapshot, uint64_t term) {
    if (index != snapshot || fact_of(c, index)->term == term)
        return false;
    const struct written *w = written_find(c, index, term);
    return w->index != 0 && w->restored;
}

void check_committed(struct node *n, uint64_t index) {
    struct sim *s = n->sim;
    struct check *c = s->check;
    const struct raft_log *log = raft_get_log(n->raft);
    uint64_t from = c->nodes[n->slot].commit + 1, term = 0;
    if (from < log->snapshot_index)
        from = log->snapshot_index;
    if (is_restored(c, index, log->snapshot_index, log->snapshot_term))
        return;
    for (uint64_t i = from > 0 ? from : 1; i <= index; i++) {
        struct fact *f = fact_of(c, i);
        if (!raft_log_term(log, i, &term))
            continue; /* in its snapshot */
        if (f->term != 0 && f->term != term)
            sim_fail(s, "%s commits entry %llu of term %llu, but that of term %llu was committed",
                     n->id, (unsigned long long)i, (unsigned long long)term,
                     (unsigned long long)f->term);
        if (f->term == 0)
            f->in = raft_term(n->raft);
        f->term = term;
    }
    c->nodes[n->slot].commit = index;
    if (index > c->committed)
        c->committed = index;
    if (raft_get_state(n->raft) != RAFT_LEADER)
        return;
    check_quorum(n, index, term);
    /* "Only log entries from the leader's current term are committed by counting replicas." */
    if (term != raft_term(n->raft))
        sim_fail(s, "%s commits entry %llu of term %llu, which is not its own", n->id,
                 (unsigned long long)index, (unsigned long long)term);
}

/* ---- the state machine ---- */

static void state_at(struct node *n, uint64_t index, uint64_t hash) {
    struct fact *f = fact_of(n->sim->check, index);
    if (f->applied && f->state != hash)
        sim_fail(n->sim, "%s: the state behind entry %llu differs from another server's", n->id,
                 (unsigned long long)index);
    f->state = hash;
    f->applied = true;
    sim_note(n->sim, hash);
}

void check_applied(struct node *n, const struct raft_entry *e, uint64_t hash) {
    struct sim *s = n->sim;
    struct fact *f = fact_of(s->check, e->index);
    if (f->term != e->term)
        sim_fail(s, "%s applies entry %llu of term %llu, which is not the one committed", n->id,
                 (unsigned long long)e->index, (unsigned long long)e->term);
    if (f->entry != 0 && f->entry != entry_hash(e))
        sim_fail(s, "%s applies another entry %llu", n->id, (unsigned long long)e->index);
    f->entry = entry_hash(e);
    state_at(n, e->index, hash);
    if (!holds(n, e->index, e->term))
        sim_fail(s, "%s applies entry %llu, which is not on its disk", n->id,
                 (unsigned long long)e->index);
}

void check_restored(struct node *n, uint64_t index, uint64_t term, uint64_t hash) {
    struct sim *s = n->sim;
    struct written *w = written_find(s->check, index, term);
    SIM_CHECK(s, w->index == 0);
    *w = (struct written){index, term, hash, 0, false, true};
    s->check->written_count++;
}

void check_replaced(struct node *n, uint64_t index, uint64_t term) {
    struct sim *s = n->sim;
    struct fact *f = fact_of(s->check, index);
    struct written *w = written_find(s->check, index, term);
    uint64_t hash = machine_hash(n->machine);
    if (w->index != 0 && w->restored) {
        if (w->entry != hash)
            sim_fail(s, "%s takes a restored snapshot at %llu with another state", n->id,
                     (unsigned long long)index);
    } else if (f->term != term) {
        sim_fail(s, "%s takes a snapshot at %llu of term %llu, but that of term %llu is committed",
                 n->id, (unsigned long long)index, (unsigned long long)term,
                 (unsigned long long)f->term);
    } else {
        state_at(n, index, hash);
    }
}

void check_acknowledged(struct node *n, uint64_t index, uint64_t term) {
    const struct fact *f = fact_of(n->sim->check, index);
    if (f->term != term)
        sim_fail(n->sim, "%s acknowledges entry %llu of term %llu, which is not committed", n->id,
                 (unsigned long long)index, (unsigned long long)term);
}

/* ---- messages ---- */

static void check_vote(struct node *n, uint64_t term, const struct ticket *t) {
    struct sim *s = n->sim;
    struct vote *v = vote_find(s->check, n->identity, term);
    if (v->term != 0 && strcmp(v->candidate, t->candidate) != 0)
        sim_fail(s, "%s votes twice in term %llu", n->id, (unsigned long long)term);
    s->check->vote_count += v->term == 0;
    *v = (struct vote){.term = term, .identity = n->identity};
    snprintf(v->candidate, sizeof v->candidate, "%s", t->candidate);
    const struct durable *d = &n->durable;
    if (d->vote_term < term || (d->vote_term == term && strcmp(d->vote, t->candidate) != 0))
        sim_fail(s, "%s gives a vote that is not on its disk", n->id);
}

void check_sent(struct node *n, const struct raft_message *m, const struct ticket *t) {
    struct sim *s = n->sim;
    switch (m->kind) {
    case RAFT_APPEND:
        SIM_CHECK(s, n->durable.term >= m->append.term);
        break;
    case RAFT_VOTE:
        SIM_CHECK(s, n->durable.term >= m->vote.term);
        break;
    case RAFT_INSTALL:
        SIM_CHECK(s, n->durable.term >= m->install.term);
        break;
    case RAFT_VOTE_RESULT:
        SIM_CHECK(s, n->durable.term >= m->vote_result.term);
        if (m->vote_result.granted)
            check_vote(n, m->vote_result.term, t);
        break;
    case RAFT_APPEND_RESULT:
        SIM_CHECK(s, n->durable.term >= m->append_result.term);
        /* (Sent late, when another leader has cut it off, it still tells what was accepted before
         * that leader's term: which is all that counting it needs.) */
        if (m->append_result.success && t->last > 0 &&
            m->append_result.term == raft_term(n->raft) && !holds(n, t->last, t->last_term))
            sim_fail(s, "%s acknowledges entry %llu, which is not on its disk", n->id,
                     (unsigned long long)t->last);
        break;
    case RAFT_INSTALL_RESULT:
        SIM_CHECK(s, n->durable.term >= m->install_result.term);
        break;
    case RAFT_TIMEOUT_NOW:
    case RAFT_TIMEOUT_NOW_RESULT:
        break;
    }
}

/* ---- the end ---- */

/* All members hold the same state; where the store is the real one, to the byte. */
void check_end(struct sim *s) {
    struct node *leader = NULL;
    for (int i = 0; i < SIM_SLOTS; i++) {
        struct node *n = s->nodes[i];
        if (node_leads(n) && (leader == NULL || n->told_term > leader->told_term))
            leader = n;
    }
    SIM_CHECK(s, leader != NULL);
    const struct raft_configuration *c = raft_latest_configuration(leader->raft, NULL);
    struct machine_snapshot *of_leader = machine_snapshot_take(leader->machine);
    for (size_t i = 0; i < c->len; i++) {
        struct node *n = node_find(s, c->servers[i].id, c->servers[i].address);
        struct machine_snapshot *m = machine_snapshot_take(n->machine);
        SIM_CHECK(s, m->index == of_leader->index && m->hash == of_leader->hash);
        SIM_CHECK(s, str_eq(buf_str(&m->state), buf_str(&of_leader->state)));
        machine_snapshot_release(m);
    }
    machine_snapshot_release(of_leader);
}

/* ---- saying so ---- */

void sim_trace(struct sim *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%10.3f ms  ", (double)(s->now - s->began) / 1e6);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void sim_fail(struct sim *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "seed %llu, after %.3f s: ", (unsigned long long)s->seed,
            (double)(s->now - s->began) / 1e9);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    _exit(3);
}
