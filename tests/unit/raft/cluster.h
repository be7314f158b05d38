/* A cluster of cores in memory, on virtual time: a network that delays, loses and parts, disks that
 * take their time and lose what was not synced when their server crashes. After every step the
 * promises of Raft are checked: one leader a term, and everywhere the same entry applied at an
 * index. One seed replays everything. Header only, for tests.
 */
#ifndef PRAETOR_TESTS_RAFT_CLUSTER_H
#define PRAETOR_TESTS_RAFT_CLUSTER_H

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "raft/raft.h"

#define CLUSTER_MAX 7
#define CLUSTER_LOG 20000

/* One change on its way to a disk. */
struct disk_op {
    struct disk_op *next;
    enum raft_action_kind kind;
    uint64_t sequence, index;
    int64_t due;
    uint64_t term, vote_term;
    char vote[64];
    struct raft_entry **entries;
    size_t count;
};

/* A message on its way. Strings and entries are its own. */
struct packet {
    struct packet *next;
    int64_t due;
    int from, to;
    bool failure; /* not a message: the sender learns that its request failed */
    struct raft_message m;
    struct arena arena;
    /* INSTALL */
    uint64_t chain;
    struct raft_configuration *configuration;
};
/* Kept while a request is with its receiver. */
struct ticket {
    int from;
    struct raft_tag tag;
    enum raft_message_kind kind;
    struct packet *install;
};
struct held_send {
    struct held_send *next;
    uint64_t after;
    struct packet *packet;
};

struct node {
    int number;
    bool up;
    char id[8], address[32];
    struct raft *raft;
    /* durable */
    uint64_t term, vote_term;
    char vote[64];
    uint64_t first, last;
    struct raft_entry *entries[CLUSTER_LOG];
    uint64_t snapshot_index, snapshot_term, snapshot_chain, snapshot_configuration_index;
    struct raft_configuration *snapshot_configuration;
    /* under way */
    struct disk_op *ops, **ops_end;
    struct held_send *held, **held_end;
    struct raft_entry *written[CLUSTER_LOG]; /* what the core appended, synced or not */
    uint64_t persisted;
    bool fail_next_write;
    struct raft_message *installing;
    struct ticket *installing_ticket;
    int64_t install_due;
    uint64_t restore_index, restore_term;
    struct raft_configuration *restore_configuration;
    uint64_t restore_configuration_index;
    /* state machine: a chain of hashes over what was applied */
    uint64_t applied, applied_term, chain;
    uint64_t starts;
    /* what was told */
    uint64_t verified_ok, verified_bad, changed_ok, changed_bad, transferred_ok, transferred_bad;
    uint64_t change_index;
};

struct cluster {
    struct prng prng;
    uint64_t seed;
    int64_t now;
    int count;
    struct node *nodes[CLUSTER_MAX];
    struct packet *packets;
    bool cut[CLUSTER_MAX][CLUSTER_MAX]; /* from, to */
    unsigned lose_one_in;               /* messages; 0: none */
    bool tell_failures;                 /* a lost request is reported to its sender */
    int64_t latency, disk_latency;
    uint64_t trailing_logs;
    /* what is true of the whole cluster */
    uint64_t chain_at[CLUSTER_LOG]; /* after applying index; 0: nobody has yet */
    uint64_t term_at[CLUSTER_LOG];
    int leader_of[4096]; /* by term; -1: none seen */
    uint64_t highest_applied;
    uint64_t steps;
};

#define CLUSTER_CHECK(c, condition)                                                                \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "seed %llu, time %lld ms: %s (%s:%d)\n",                               \
                    (unsigned long long)(c)->seed, (long long)((c)->now / MILLISECOND),            \
                    #condition, __FILE__, __LINE__);                                               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline uint64_t cluster_below(struct cluster *c, uint64_t n) {
    return prng_below(&c->prng, n);
}

static inline uint64_t cluster_mix(uint64_t a, uint64_t b) {
    uint64_t x = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    return x * UINT64_C(0xbf58476d1ce4e5b9) + 1;
}

static inline void slot_put(struct raft_entry **slot, struct raft_entry *e) {
    if (e != NULL)
        raft_entry_hold(e);
    raft_entry_release(*slot);
    *slot = e;
}

static inline struct node *cluster_find(struct cluster *c, struct str id) {
    for (int i = 0; i < c->count; i++) {
        if (str_is(id, c->nodes[i]->id))
            return c->nodes[i];
    }
    return NULL;
}

/* ---- disk ---- */

static inline void op_free(struct disk_op *op) {
    for (size_t i = 0; i < op->count; i++)
        raft_entry_release(op->entries[i]);
    free(op->entries);
    free(op);
}

static inline void op_apply(struct cluster *c, struct node *n, struct disk_op *op) {
    switch (op->kind) {
    case RAFT_ACTION_TERM:
        n->term = op->term;
        n->vote_term = op->vote_term;
        strcpy(n->vote, op->vote);
        break;
    case RAFT_ACTION_APPEND:
        for (size_t i = 0; i < op->count; i++) {
            /* Behind the end, or again at a place whose truncation was lost with a failed write. */
            uint64_t index = op->entries[i]->index;
            CLUSTER_CHECK(c, index <= n->last + 1 && index >= n->first && index < CLUSTER_LOG);
            n->last = index;
            slot_put(&n->entries[index], op->entries[i]);
        }
        break;
    case RAFT_ACTION_TRUNCATE:
        n->last = op->index - 1;
        break;
    default: /* RESET */
        n->last = op->index;
        n->first = op->index + 1;
        break;
    }
}

static inline void node_event(struct cluster *c, struct node *n, struct raft_event *event);

static inline void held_drop(struct cluster *c, struct held_send *h);

static inline void disk_run(struct cluster *c, struct node *n) {
    while (n->ops != NULL && n->ops->due <= c->now && n->up) {
        if (n->fail_next_write) { /* all that waits is lost with it */
            n->fail_next_write = false;
            uint64_t last = 0;
            while (n->ops != NULL) {
                struct disk_op *op = n->ops;
                n->ops = op->next;
                last = op->sequence;
                op_free(op);
            }
            n->ops_end = &n->ops;
            while (n->held != NULL) {
                struct held_send *h = n->held;
                n->held = h->next;
                held_drop(c, h);
            }
            n->held_end = &n->held;
            n->persisted = last;
            struct raft_event failed = {.kind = RAFT_EVENT_PERSIST_FAILED};
            node_event(c, n, &failed);
            return;
        }
        struct disk_op *op = n->ops;
        n->ops = op->next;
        if (n->ops == NULL)
            n->ops_end = &n->ops;
        op_apply(c, n, op);
        n->persisted = op->sequence;
        struct raft_event event = {.kind = RAFT_EVENT_PERSISTED, .sequence = op->sequence};
        op_free(op);
        node_event(c, n, &event);
    }
}

static inline void disk_add(struct cluster *c, struct node *n, const struct raft_action *a) {
    struct disk_op *op = calloc(1, sizeof *op);
    op->kind = a->kind;
    op->sequence = a->sequence;
    op->index = a->index;
    op->due =
        c->now + (c->disk_latency > 0 ? (int64_t)cluster_below(c, (uint64_t)c->disk_latency) : 0);
    for (struct disk_op *o = n->ops; o != NULL; o = o->next)
        op->due = o->due > op->due ? o->due : op->due; /* in order */
    if (a->kind == RAFT_ACTION_TERM) {
        op->term = a->term.term;
        op->vote_term = a->term.vote_term;
        snprintf(op->vote, sizeof op->vote, "%.*s", STR_ARG(a->term.vote));
    } else if (a->kind == RAFT_ACTION_APPEND) {
        op->count = a->append.count;
        op->entries = calloc(op->count, sizeof *op->entries);
        for (size_t i = 0; i < op->count; i++) {
            op->entries[i] = raft_entry_hold(a->append.entries[i]);
            slot_put(&n->written[op->entries[i]->index], op->entries[i]);
        }
    }
    *n->ops_end = op;
    n->ops_end = &op->next;
}

/* ---- network ---- */

static inline void packet_free(struct packet *p) {
    if (p->m.kind == RAFT_APPEND && p->m.append.entries != NULL) {
        for (size_t i = 0; i < p->m.append.count; i++)
            raft_entry_release(p->m.append.entries[i]);
    }
    raft_configuration_release(p->configuration);
    arena_free(&p->arena);
    free(p);
}

static inline struct raft_entry *node_entry(struct node *n, uint64_t index) {
    struct raft_entry *e = raft_log_cached(raft_get_log(n->raft), index);
    return e != NULL ? e : n->written[index];
}

/* A copy that owns what it points to; entries that were not in the core's memory come from the
 * disk. */
static inline struct packet *packet_copy(struct node *n, const struct raft_message *m) {
    struct packet *p = calloc(1, sizeof *p);
    p->arena = ARENA_INIT;
    p->from = n->number;
    p->m = *m;
    p->m.peer_id = str_copy(&p->arena, m->peer_id);
    p->m.peer_address = str_copy(&p->arena, m->peer_address);
    if (m->kind == RAFT_APPEND) {
        struct raft_append *a = &p->m.append;
        a->leader = str_copy(&p->arena, m->append.leader);
        a->entries = a->count > 0 ? ARENA_ARRAY(&p->arena, struct raft_entry *, a->count) : NULL;
        for (size_t i = 0; i < a->count; i++) {
            struct raft_entry *e =
                m->append.entries != NULL ? m->append.entries[i] : node_entry(n, a->first + i);
            ASSERT(e != NULL && e->index == a->first + i);
            a->entries[i] = raft_entry_hold(e);
        }
    } else if (m->kind == RAFT_VOTE) {
        p->m.vote.candidate = str_copy(&p->arena, m->vote.candidate);
    } else if (m->kind == RAFT_INSTALL) {
        struct raft_install *in = &p->m.install;
        in->leader = str_copy(&p->arena, m->install.leader);
        in->last_index = n->snapshot_index;
        in->last_term = n->snapshot_term;
        const struct raft_configuration *sc = n->snapshot_configuration;
        p->configuration = raft_configuration_new(sc->servers, sc->len);
        in->configuration = p->configuration;
        in->configuration_index = n->snapshot_configuration_index;
        p->m.tag.last = n->snapshot_index;
        p->chain = n->snapshot_chain;
    }
    return p;
}

static inline bool is_request(enum raft_message_kind kind) {
    return kind % 2 == 0;
}

/* The sender of a snapshot always learns that it failed. */
static inline void network_tell_failure(struct cluster *c, int sender, int receiver,
                                        enum raft_message_kind kind, struct raft_tag tag) {
    struct packet *p = calloc(1, sizeof *p);
    p->arena = ARENA_INIT;
    p->failure = true;
    p->from = sender;
    p->to = receiver;
    p->m.kind = kind;
    p->m.tag = tag;
    p->m.peer_id = str_copy(&p->arena, str_from(c->nodes[receiver]->id));
    p->due = c->now + 1 + (int64_t)cluster_below(c, 100 * MILLISECOND);
    p->next = c->packets;
    c->packets = p;
}

static inline void network_add(struct cluster *c, struct packet *p) {
    bool lost = c->cut[p->from][p->to] || !c->nodes[p->to]->up ||
                (c->lose_one_in > 0 && cluster_below(c, c->lose_one_in) == 0);
    p->due = c->now + 1 + (c->latency > 0 ? (int64_t)cluster_below(c, (uint64_t)c->latency) : 0);
    if (lost) {
        if (p->m.kind == RAFT_INSTALL || (is_request(p->m.kind) && c->tell_failures))
            network_tell_failure(c, p->from, p->to, p->m.kind, p->m.tag);
        else if (p->m.kind == RAFT_INSTALL_RESULT)
            network_tell_failure(c, p->to, p->from, RAFT_INSTALL, p->m.tag);
        packet_free(p);
        return;
    }
    p->next = c->packets;
    c->packets = p;
}

static inline void send_packet(struct cluster *c, struct node *n, const struct raft_action *a) {
    const struct raft_message *m = &a->message;
    struct packet *p = packet_copy(n, m);
    if (is_request(m->kind)) {
        struct node *to = cluster_find(c, m->peer_id);
        CLUSTER_CHECK(c, to != NULL && to != n);
        p->to = to->number;
    } else {
        struct ticket *t = m->reply;
        p->to = t->from;
        p->m.tag = t->tag;
        p->m.peer_id = str_copy(&p->arena, str_from(n->id));
        free(t);
    }
    if (a->sequence == UINT64_MAX) {
        packet_free(p);
    } else if (a->sequence > n->persisted) {
        struct held_send *h = calloc(1, sizeof *h);
        h->after = a->sequence;
        h->packet = p;
        *n->held_end = h;
        n->held_end = &h->next;
    } else {
        network_add(c, p);
    }
}

static inline void held_drop(struct cluster *c, struct held_send *h) {
    if (h->packet->m.kind == RAFT_INSTALL_RESULT)
        network_tell_failure(c, h->packet->to, h->packet->from, RAFT_INSTALL, h->packet->m.tag);
    packet_free(h->packet);
    free(h);
}

static inline void held_run(struct cluster *c, struct node *n) {
    struct held_send **link = &n->held;
    while (*link != NULL) {
        struct held_send *h = *link;
        if (h->after > n->persisted) {
            link = &h->next;
            continue;
        }
        *link = h->next;
        network_add(c, h->packet);
        free(h);
    }
    n->held_end = link;
}

/* ---- what a core says ---- */

static inline void node_apply(struct cluster *c, struct node *n, uint64_t to) {
    while (n->applied < to) {
        uint64_t i = n->applied + 1;
        struct raft_entry *e = node_entry(n, i);
        CLUSTER_CHECK(c, e != NULL && e->index == i);
        n->chain = cluster_mix(cluster_mix(n->chain, e->term * 8 + e->type), str_hash(e->data));
        n->applied = i;
        n->applied_term = e->term;
        /* State machine safety: nobody ever applies another entry at this index. */
        CLUSTER_CHECK(c, c->chain_at[i] == 0 || c->chain_at[i] == n->chain);
        c->chain_at[i] = n->chain;
        c->term_at[i] = e->term;
        if (i > c->highest_applied)
            c->highest_applied = i;
        /* What is applied here is durable here. */
        CLUSTER_CHECK(c, i <= n->last && n->entries[i] != NULL && n->entries[i]->term == e->term);
    }
}

static inline void node_action(struct cluster *c, struct node *n, const struct raft_action *a) {
    switch (a->kind) {
    case RAFT_ACTION_TERM:
    case RAFT_ACTION_APPEND:
    case RAFT_ACTION_TRUNCATE:
    case RAFT_ACTION_RESET:
        disk_add(c, n, a);
        break;
    case RAFT_ACTION_COMPACT:
        n->first = a->index + 1;
        break;
    case RAFT_ACTION_SEND:
        send_packet(c, n, a);
        break;
    case RAFT_ACTION_APPLY:
        node_apply(c, n, a->index);
        break;
    case RAFT_ACTION_FORGET: /* the simulator's (tests/sim) */
        CLUSTER_CHECK(c, !"a snapshot that never was");
        break;
    case RAFT_ACTION_VERIFIED:
        *(a->error == RAFT_OK ? &n->verified_ok : &n->verified_bad) += 1;
        break;
    case RAFT_ACTION_CHANGED:
        *(a->error == RAFT_OK ? &n->changed_ok : &n->changed_bad) += 1;
        n->change_index = a->index;
        break;
    case RAFT_ACTION_TRANSFERRED:
        *(a->error == RAFT_OK ? &n->transferred_ok : &n->transferred_bad) += 1;
        break;
    case RAFT_ACTION_INSTALL: {
        n->installing_ticket = a->install->reply;
        struct raft_message *copy = malloc(sizeof *copy);
        *copy = *a->install;
        n->installing = copy;
        n->install_due = c->now + (int64_t)cluster_below(c, 20 * MILLISECOND);
        break;
    }
    case RAFT_ACTION_RESTORE:
        n->restore_index = a->index;
        n->restore_term = a->restore.term;
        n->restore_configuration = raft_configuration_hold(a->restore.configuration);
        n->restore_configuration_index = a->restore.configuration_index;
        break;
    case RAFT_ACTION_LOG:
        if (getenv("CLUSTER_LOG") != NULL) {
            fprintf(stderr, "%8lld %s %s", (long long)(c->now / MICROSECOND), n->id, a->log.text);
            for (int i = 0; i < RAFT_LOG_FIELDS && a->log.fields[i].key != NULL; i++)
                fprintf(stderr, " %s=%.*s", a->log.fields[i].key, STR_ARG(a->log.fields[i].value));
            fprintf(stderr, "\n");
        }
        break;
    case RAFT_ACTION_COMMIT:
    case RAFT_ACTION_STATE:
    case RAFT_ACTION_FAIL:
        break;
    }
}

static inline void node_check(struct cluster *c, struct node *n) {
    uint64_t term = raft_term(n->raft);
    CLUSTER_CHECK(c, term < 4096);
    if (raft_get_state(n->raft) != RAFT_LEADER)
        return;
    /* Election safety: at most one leader a term. */
    CLUSTER_CHECK(c, c->leader_of[term] == -1 || c->leader_of[term] == n->number);
    if (c->leader_of[term] == -1) {
        c->leader_of[term] = n->number;
        /* Leader completeness: a leader has everything that was committed in earlier terms. */
        for (uint64_t i = raft_get_log(n->raft)->snapshot_index + 1; i <= c->highest_applied; i++) {
            uint64_t t;
            if (c->term_at[i] >= term)
                break;
            CLUSTER_CHECK(c, raft_log_term(raft_get_log(n->raft), i, &t) && t == c->term_at[i]);
        }
    }
}

static inline void node_event(struct cluster *c, struct node *n, struct raft_event *event) {
    struct raft_actions actions = RAFT_ACTIONS_INIT;
    event->now = c->now;
    c->steps++;
    uint64_t applied = n->applied;
    raft_step(n->raft, event, &actions);
    for (size_t i = 0; i < actions.len; i++)
        node_action(c, n, &actions.items[i]);
    raft_actions_free(&actions);
    held_run(c, n);
    node_check(c, n);
    if (n->applied > applied) {
        struct raft_event done = {.kind = RAFT_EVENT_APPLIED, .applied = n->applied};
        node_event(c, n, &done);
    }
}

/* ---- snapshots ---- */

static inline void node_snapshot(struct cluster *c, struct node *n) {
    uint64_t index;
    struct raft_configuration *committed = raft_committed_configuration(n->raft, &index);
    if (n->applied <= n->snapshot_index || committed == NULL || n->applied < index ||
        n->installing != NULL)
        return;
    raft_configuration_release(n->snapshot_configuration);
    n->snapshot_configuration = raft_configuration_new(committed->servers, committed->len);
    n->snapshot_configuration_index = index;
    n->snapshot_index = n->applied;
    n->snapshot_term = n->applied_term;
    n->snapshot_chain = n->chain;
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_TAKEN,
                               .snapshot = {n->snapshot_index, n->snapshot_term}};
    node_event(c, n, &event);
}

static inline void install_run(struct cluster *c, struct node *n) {
    if (n->installing == NULL || n->install_due > c->now)
        return;
    struct packet *p = n->installing_ticket->install;
    struct raft_install *in = &p->m.install;
    CLUSTER_CHECK(c, c->chain_at[in->last_index] == p->chain);
    raft_configuration_release(n->snapshot_configuration);
    n->snapshot_configuration =
        raft_configuration_new(in->configuration->servers, in->configuration->len);
    n->snapshot_configuration_index = in->configuration_index;
    n->snapshot_index = n->applied = in->last_index;
    n->snapshot_term = n->applied_term = in->last_term;
    n->snapshot_chain = n->chain = p->chain;
    struct raft_message *m = n->installing;
    n->installing = NULL;
    struct raft_event event = {.kind = RAFT_EVENT_INSTALLED, .installed = {true, m}};
    node_event(c, n, &event);
    free(m);
    packet_free(p);
}

/* ---- starting and crashing ---- */

static inline void node_start(struct cluster *c, struct node *n) {
    struct raft_initial in = {.now = c->now,
                              .term = n->term,
                              .vote_term = n->vote_term,
                              .vote = str_from(n->vote),
                              .snapshot_index = n->snapshot_index,
                              .snapshot_term = n->snapshot_term,
                              .snapshot_configuration = n->snapshot_configuration,
                              .snapshot_configuration_index = n->snapshot_configuration_index};
    if (n->last < n->snapshot_index || n->first > n->snapshot_index + 1) {
        n->last = n->snapshot_index;
        n->first = n->snapshot_index + 1;
    }
    uint64_t term_there = 0;
    if (n->snapshot_index >= n->first && n->snapshot_index <= n->last)
        term_there = n->entries[n->snapshot_index]->term;
    if (term_there != 0 && term_there != n->snapshot_term) {
        n->last = n->snapshot_index;
        n->first = n->snapshot_index + 1;
    }
    struct raft_run *runs = calloc(n->last + 2, sizeof *runs);
    struct raft_entry **configurations = calloc(n->last + 2, sizeof *configurations);
    for (uint64_t i = n->first; i <= n->last; i++) {
        struct raft_entry *e = n->entries[i];
        slot_put(&n->written[i], e);
        if (in.run_count == 0 || runs[in.run_count - 1].term != e->term)
            runs[in.run_count++] = (struct raft_run){i, e->term};
        if (raft_entry_is_configuration(e->type))
            configurations[in.configuration_count++] = e;
    }
    in.first = n->first;
    in.last = n->last;
    in.runs = runs;
    in.configurations = configurations;
    /* Half of the starts find the state machine as it was, half rebuild it from the snapshot. */
    bool keep =
        n->applied >= n->snapshot_index && n->applied <= n->last && cluster_below(c, 2) == 0;
    if (!keep) {
        n->applied = n->snapshot_index;
        n->applied_term = n->snapshot_term;
        n->chain = n->snapshot_chain;
    }
    in.applied = n->applied;
    struct raft_options options = {
        .id = str_from(n->id),
        .address = str_from(n->address),
        .protocol = 3,
        .heartbeat_timeout = 1000 * MILLISECOND,
        .election_timeout = 1000 * MILLISECOND,
        .lease_timeout = 500 * MILLISECOND,
        .commit_timeout = 50 * MILLISECOND,
        .rpc_timeout = 1000 * MILLISECOND,
        .max_append = 64,
        .max_in_flight = 128,
        .trailing_logs = c->trailing_logs,
        .cache_entries = 16,
        .cache_bytes = 4096,
        .seed = prng_next(&c->prng),
    };
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    n->raft = raft_new(&options, &in, &e);
    CLUSTER_CHECK(c, n->raft != NULL);
    arena_free(&arena);
    free(runs);
    free(configurations);
    n->up = true;
    n->persisted = 0;
    n->ops_end = &n->ops;
    n->held_end = &n->held;
    n->starts++;
}

static inline void node_crash(struct cluster *c, struct node *n) {
    if (!n->up)
        return;
    n->up = false;
    /* Some first part of what was under way to the disk arrived. */
    bool arrives = true;
    while (n->ops != NULL) {
        struct disk_op *op = n->ops;
        n->ops = op->next;
        arrives = arrives && cluster_below(c, 2) == 0;
        if (arrives)
            op_apply(c, n, op);
        op_free(op);
    }
    while (n->held != NULL) {
        struct held_send *h = n->held;
        n->held = h->next;
        held_drop(c, h);
    }
    if (n->installing != NULL) {
        struct ticket *t = n->installing_ticket;
        network_tell_failure(c, t->from, n->number, RAFT_INSTALL, t->tag);
        packet_free(n->installing_ticket->install);
        free(n->installing_ticket);
        free(n->installing);
        n->installing = NULL;
    }
    for (int i = 0; i < CLUSTER_LOG; i++) {
        if (n->written[i] != NULL)
            slot_put(&n->written[i], NULL);
    }
    raft_free(n->raft);
    n->raft = NULL;
}

static inline void cluster_add_node(struct cluster *c) {
    struct node *n = calloc(1, sizeof *n);
    n->number = c->count;
    n->first = 1;
    n->ops_end = &n->ops;
    n->held_end = &n->held;
    snprintf(n->id, sizeof n->id, "s%d", (int)(uint8_t)(c->count + 1));
    snprintf(n->address, sizeof n->address, "10.0.0.%d:8300", (int)(uint8_t)(c->count + 1));
    c->nodes[c->count++] = n;
}

/* voters of the first configuration; `spare` more servers that know nothing yet. */
static inline struct cluster *cluster_new(uint64_t seed, int voters, int spare) {
    struct cluster *c = calloc(1, sizeof *c);
    c->seed = seed;
    prng_seed(&c->prng, seed);
    c->latency = 2 * MILLISECOND;
    c->disk_latency = MILLISECOND;
    c->trailing_logs = 10;
    c->now = SECOND;
    for (int i = 0; i < 4096; i++)
        c->leader_of[i] = -1;
    for (int i = 0; i < voters + spare; i++)
        cluster_add_node(c);
    struct raft_server servers[CLUSTER_MAX];
    for (int i = 0; i < voters; i++)
        servers[i] = (struct raft_server){str_from(c->nodes[i]->id), str_from(c->nodes[i]->address),
                                          RAFT_VOTER};
    struct raft_configuration *first = raft_configuration_new(servers, (size_t)voters);
    struct buf bytes = BUF_INIT;
    raft_configuration_encode(first, &bytes);
    struct raft_entry *e = raft_entry_new(RAFT_CONFIGURATION, buf_str(&bytes), STR_NONE);
    e->index = e->term = 1;
    for (int i = 0; i < voters + spare; i++) {
        struct node *n = c->nodes[i];
        if (i < voters) {
            n->term = 1;
            n->last = 1;
            slot_put(&n->entries[1], e);
        }
        node_start(c, n);
    }
    raft_entry_release(e);
    buf_free(&bytes);
    raft_configuration_release(first);
    return c;
}

static inline void cluster_free(struct cluster *c) {
    for (int i = 0; i < c->count; i++) {
        struct node *n = c->nodes[i];
        node_crash(c, n);
        for (int k = 0; k < CLUSTER_LOG; k++)
            raft_entry_release(n->entries[k]);
        raft_configuration_release(n->snapshot_configuration);
        raft_configuration_release(n->restore_configuration);
        free(n);
    }
    while (c->packets != NULL) {
        struct packet *p = c->packets;
        c->packets = p->next;
        packet_free(p);
    }
    free(c);
}

/* ---- time ---- */

static inline void deliver(struct cluster *c, struct packet *p) {
    struct node *to = c->nodes[p->failure ? p->from : p->to];
    if (!to->up) {
        if (!p->failure && p->m.kind == RAFT_INSTALL)
            network_tell_failure(c, p->from, p->to, RAFT_INSTALL, p->m.tag);
        packet_free(p);
        return;
    }
    if (p->failure) {
        struct raft_event event = {.kind = RAFT_EVENT_SEND_FAILED, .message = &p->m};
        node_event(c, to, &event);
        packet_free(p);
        return;
    }
    struct ticket *t = NULL;
    if (is_request(p->m.kind)) {
        t = calloc(1, sizeof *t);
        *t = (struct ticket){p->from, p->m.tag, p->m.kind, p};
        p->m.reply = t;
    }
    struct raft_event event = {.kind = RAFT_EVENT_RECEIVE, .message = &p->m};
    node_event(c, to, &event);
    bool kept = to->installing != NULL && to->installing_ticket == t && t != NULL;
    if (!kept)
        packet_free(p);
}

static inline int64_t cluster_next(struct cluster *c) {
    int64_t at = INT64_MAX;
    for (struct packet *p = c->packets; p != NULL; p = p->next)
        at = p->due < at ? p->due : at;
    for (int i = 0; i < c->count; i++) {
        struct node *n = c->nodes[i];
        if (!n->up)
            continue;
        int64_t wake = raft_next_wakeup(n->raft);
        at = wake < at ? wake : at;
        if (n->ops != NULL && n->ops->due < at)
            at = n->ops->due;
        if (n->installing != NULL && n->install_due < at)
            at = n->install_due;
    }
    return at;
}

/* Everything that is due now. */
static inline void cluster_now(struct cluster *c) {
    for (struct packet **link = &c->packets; *link != NULL;) {
        struct packet *p = *link;
        if (p->due > c->now) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        deliver(c, p);
        link = &c->packets; /* new ones may have come */
    }
    for (int i = 0; i < c->count; i++) {
        struct node *n = c->nodes[i];
        if (n->up)
            disk_run(c, n);
        if (n->up)
            install_run(c, n);
        if (n->up && raft_next_wakeup(n->raft) <= c->now) {
            struct raft_event tick = {.kind = RAFT_EVENT_TICK};
            node_event(c, n, &tick);
        }
    }
}

static inline void cluster_run(struct cluster *c, int64_t duration) {
    int64_t end = c->now + duration;
    uint64_t standing = 0;
    for (;;) {
        int64_t at = cluster_next(c);
        if (at > end)
            break;
        standing = at > c->now ? 0 : standing + 1;
        CLUSTER_CHECK(c, standing < 100000); /* a core that wants to be woken at once, for ever */
        c->now = at > c->now ? at : c->now;
        cluster_now(c);
    }
    c->now = end;
}

/* ---- what tests do ---- */

static inline struct node *cluster_leader(struct cluster *c) {
    struct node *best = NULL;
    for (int i = 0; i < c->count; i++) {
        struct node *n = c->nodes[i];
        if (n->up && raft_get_state(n->raft) == RAFT_LEADER &&
            (best == NULL || raft_term(n->raft) > raft_term(best->raft)))
            best = n;
    }
    return best;
}

static inline struct node *cluster_elect(struct cluster *c) {
    for (int i = 0; i < 600; i++) {
        struct node *n = cluster_leader(c);
        if (n != NULL && raft_commit_index(n->raft) >= 2)
            return n;
        cluster_run(c, 100 * MILLISECOND);
    }
    CLUSTER_CHECK(c, !"no leader");
    return NULL;
}

/* The index, or 0 when refused. */
static inline uint64_t node_propose(struct cluster *c, struct node *n, struct str data) {
    struct raft_entry *e = raft_entry_new(RAFT_COMMAND, data, STR_NONE);
    struct raft_event event = {.kind = RAFT_EVENT_PROPOSE, .propose = {&e, 1}};
    node_event(c, n, &event);
    if (event.error != RAFT_OK) {
        raft_entry_release(e);
        return 0;
    }
    return event.index;
}

static inline void node_change(struct cluster *c, struct node *n, enum raft_change change,
                               struct node *of) {
    struct raft_event event = {
        .kind = RAFT_EVENT_CHANGE,
        .change = {change, str_from(of->id), str_from(of->address), 0, NULL}};
    node_event(c, n, &event);
}

/* A user's snapshot replaces the state. The index of the no-op behind it, or 0. */
static inline uint64_t node_restore(struct cluster *c, struct node *n, uint64_t archive_index) {
    struct raft_event event = {.kind = RAFT_EVENT_RESTORE, .restore = {archive_index}};
    node_event(c, n, &event);
    if (event.error != RAFT_OK)
        return 0;
    raft_configuration_release(n->snapshot_configuration);
    n->snapshot_configuration = n->restore_configuration;
    n->restore_configuration = NULL;
    n->snapshot_configuration_index = n->restore_configuration_index;
    n->snapshot_index = n->applied = n->restore_index;
    n->snapshot_term = n->applied_term = n->restore_term;
    n->snapshot_chain = n->chain = cluster_mix(77, n->restore_index);
    c->chain_at[n->applied] = n->chain;
    c->term_at[n->applied] = n->restore_term;
    c->highest_applied = n->applied;
    struct raft_event done = {.kind = RAFT_EVENT_RESTORED,
                              .restored = {true, n->restore_index, n->restore_term}};
    node_event(c, n, &done);
    return done.error == RAFT_OK ? done.index : 0;
}

static inline void cluster_part(struct cluster *c, struct node *n, bool cut) {
    for (int i = 0; i < c->count; i++) {
        if (i != n->number)
            c->cut[i][n->number] = c->cut[n->number][i] = cut;
    }
}

static inline void cluster_heal(struct cluster *c) {
    memset(c->cut, 0, sizeof c->cut);
}

#endif
