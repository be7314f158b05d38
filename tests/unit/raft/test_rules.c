/* Each rule of raft.md 4 on one core, event by event: what it answers, what it wants on disk, and
 * what its answers wait for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "raft/raft.h"

#define SELF "10.0.0.1:8300"
#define OTHER "10.0.0.2:8300"
#define THIRD "10.0.0.3:8300"

struct core {
    struct raft *raft;
    struct raft_actions out;
    int64_t now;
};

/* Three voters s1 (this one), s2, s3; terms[i] is the term of entry i+1. */
static struct core core_new(uint64_t term, const uint64_t *terms, size_t len, uint64_t applied) {
    static const struct raft_server servers[] = {
        {STR_INIT("s1"), STR_INIT(SELF), RAFT_VOTER},
        {STR_INIT("s2"), STR_INIT(OTHER), RAFT_VOTER},
        {STR_INIT("s3"), STR_INIT(THIRD), RAFT_VOTER},
    };
    struct core c = {.out = RAFT_ACTIONS_INIT, .now = SECOND};
    struct raft_configuration *first = raft_configuration_new(servers, 3);
    struct buf bytes = BUF_INIT;
    raft_configuration_encode(first, &bytes);
    struct raft_entry *e = raft_entry_new(RAFT_CONFIGURATION, buf_str(&bytes), STR_NONE);
    e->index = e->term = 1;
    struct raft_run runs[64];
    size_t run_count = 0;
    for (size_t i = 0; i < len; i++) {
        if (run_count == 0 || runs[run_count - 1].term != terms[i])
            runs[run_count++] = (struct raft_run){i + 1, terms[i]};
    }
    struct raft_initial in = {.now = c.now,
                              .term = term,
                              .first = 1,
                              .last = len,
                              .runs = runs,
                              .run_count = run_count,
                              .configurations = &e,
                              .configuration_count = 1,
                              .applied = applied};
    struct raft_options options = {.id = STR("s1"),
                                   .address = STR(SELF),
                                   .protocol = 3,
                                   .heartbeat_timeout = SECOND,
                                   .election_timeout = SECOND,
                                   .lease_timeout = 500 * MILLISECOND,
                                   .commit_timeout = 50 * MILLISECOND,
                                   .rpc_timeout = 10 * SECOND,
                                   .max_append = 64,
                                   .max_in_flight = 128,
                                   .trailing_logs = 10,
                                   .cache_entries = 100,
                                   .cache_bytes = 1 << 20,
                                   .seed = 1};
    struct arena arena = ARENA_INIT;
    struct error err = ERROR_IN(&arena);
    c.raft = raft_new(&options, &in, &err);
    assert_non_null(c.raft);
    raft_entry_release(e);
    buf_free(&bytes);
    raft_configuration_release(first);
    arena_free(&arena);
    return c;
}

static void core_free(struct core *c) {
    raft_free(c->raft);
    raft_actions_free(&c->out);
}

static void step(struct core *c, struct raft_event *event) {
    raft_actions_clear(&c->out);
    event->now = c->now;
    raft_step(c->raft, event, &c->out);
}

static void tick(struct core *c, int64_t later) {
    c->now += later;
    struct raft_event event = {.kind = RAFT_EVENT_TICK};
    step(c, &event);
}

static void persisted(struct core *c, uint64_t sequence) {
    struct raft_event event = {.kind = RAFT_EVENT_PERSISTED, .sequence = sequence};
    step(c, &event);
}

static void receive(struct core *c, struct raft_message *m) {
    struct raft_event event = {.kind = RAFT_EVENT_RECEIVE, .message = m};
    step(c, &event);
}

/* The n-th action of a kind, or NULL. */
static const struct raft_action *action(const struct core *c, enum raft_action_kind kind,
                                        size_t n) {
    for (size_t i = 0; i < c->out.len; i++) {
        if (c->out.items[i].kind == kind && n-- == 0)
            return &c->out.items[i];
    }
    return NULL;
}

static const struct raft_action *sent(const struct core *c, enum raft_message_kind kind, size_t n) {
    for (size_t i = 0; i < c->out.len; i++) {
        const struct raft_action *a = &c->out.items[i];
        if (a->kind == RAFT_ACTION_SEND && a->message.kind == kind && n-- == 0)
            return a;
    }
    return NULL;
}

/* ---- votes ---- */

static const struct raft_action *vote(struct core *c, uint64_t term, const char *candidate,
                                      uint64_t index, uint64_t log_term, bool transfer) {
    struct raft_message m = {.kind = RAFT_VOTE,
                             .vote = {term, str_from(candidate), index, log_term, transfer}};
    receive(c, &m);
    const struct raft_action *a = sent(c, RAFT_VOTE_RESULT, 0);
    assert_non_null(a);
    return a;
}

static void test_votes(void **state) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 3}, 4, 0);
    /* A shorter log is refused, but the term is adopted, on disk before it is told. */
    const struct raft_action *a = vote(&c, 5, OTHER, 3, 2, false);
    assert_false(a->message.vote_result.granted);
    assert_int_equal(a->message.vote_result.term, 5);
    const struct raft_action *t = action(&c, RAFT_ACTION_TERM, 0);
    assert_int_equal(t->term.term, 5);
    assert_int_equal(a->sequence, t->sequence);
    /* A longer log of an older term is refused too. */
    a = vote(&c, 5, OTHER, 100, 2, false);
    assert_false(a->message.vote_result.granted);
    /* As good as ours: granted, and the vote is on disk before it is told. */
    a = vote(&c, 5, OTHER, 4, 3, false);
    assert_true(a->message.vote_result.granted);
    t = action(&c, RAFT_ACTION_TERM, 0);
    assert_true(str_is(t->term.vote, OTHER));
    assert_int_equal(t->term.vote_term, 5);
    assert_int_equal(a->sequence, t->sequence);
    uint64_t sequence = t->sequence;
    /* The same candidate again: granted again; another one in that term: not. */
    a = vote(&c, 5, OTHER, 4, 3, false);
    assert_true(a->message.vote_result.granted);
    assert_null(action(&c, RAFT_ACTION_TERM, 0));
    assert_int_equal(a->sequence, sequence); /* still not durable */
    a = vote(&c, 5, THIRD, 9, 4, false);
    assert_false(a->message.vote_result.granted);
    persisted(&c, sequence);
    a = vote(&c, 5, OTHER, 4, 3, false);
    assert_int_equal(a->sequence, 0);
    /* An older term: refused with ours. */
    a = vote(&c, 4, THIRD, 9, 4, false);
    assert_false(a->message.vote_result.granted);
    assert_int_equal(a->message.vote_result.term, 5);
    core_free(&c);
}

static void heartbeat(struct core *c, uint64_t term, const char *leader) {
    struct raft_message m = {
        .kind = RAFT_APPEND,
        .append = {.term = term, .leader = str_from(leader), .heartbeat = true}};
    receive(c, &m);
}

static void test_sticky_leader(void **state) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 3}, 4, 0);
    heartbeat(&c, 3, OTHER);
    assert_true(sent(&c, RAFT_APPEND_RESULT, 0)->message.append_result.success);
    assert_true(str_is(raft_leader(c.raft), OTHER));
    /* With a leader nobody else gets a vote, and the higher term is not adopted. */
    const struct raft_action *a = vote(&c, 9, THIRD, 9, 9, false);
    assert_false(a->message.vote_result.granted);
    assert_int_equal(a->message.vote_result.term, 3);
    assert_int_equal(raft_term(c.raft), 3);
    /* Unless the leader asked for it. */
    a = vote(&c, 9, THIRD, 9, 9, true);
    assert_true(a->message.vote_result.granted);
    assert_int_equal(raft_term(c.raft), 9);
    core_free(&c);
}

/* ---- appending ---- */

static struct raft_entry *entry(uint64_t index, uint64_t term) {
    struct raft_entry *e = raft_entry_new(RAFT_COMMAND, STR("data"), STR_NONE);
    e->index = index;
    e->term = term;
    return e;
}

static const struct raft_action *append(struct core *c, uint64_t term, uint64_t previous,
                                        uint64_t previous_term, uint64_t commit,
                                        const uint64_t *terms, size_t count) {
    struct raft_entry *entries[16];
    for (size_t i = 0; i < count; i++)
        entries[i] = entry(previous + 1 + i, terms[i]);
    struct raft_message m = {.kind = RAFT_APPEND,
                             .append = {.term = term,
                                        .leader = STR(OTHER),
                                        .previous_index = previous,
                                        .previous_term = previous_term,
                                        .commit = commit,
                                        .first = previous + 1,
                                        .count = count,
                                        .entries = entries}};
    receive(c, &m);
    for (size_t i = 0; i < count; i++)
        raft_entry_release(entries[i]);
    const struct raft_action *a = sent(c, RAFT_APPEND_RESULT, 0);
    assert_non_null(a);
    return a;
}

static void test_append(void **state) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 2}, 4, 0);
    /* "Reply false if term < currentTerm." */
    const struct raft_action *a = append(&c, 2, 4, 2, 0, NULL, 0);
    assert_false(a->message.append_result.success);
    assert_int_equal(a->message.append_result.term, 3);
    /* The previous entry is missing, or of another term. */
    a = append(&c, 3, 7, 3, 0, NULL, 0);
    assert_false(a->message.append_result.success);
    assert_true(a->message.append_result.no_retry_backoff);
    assert_int_equal(a->message.append_result.last_log, 4);
    a = append(&c, 3, 4, 3, 0, NULL, 0);
    assert_false(a->message.append_result.success);
    /* New ones; the answer waits for the disk and tells the last index of before. */
    a = append(&c, 3, 4, 2, 0, (uint64_t[]){3, 3}, 2);
    assert_true(a->message.append_result.success);
    assert_int_equal(a->message.append_result.last_log, 4);
    const struct raft_action *disk = action(&c, RAFT_ACTION_APPEND, 0);
    assert_int_equal(disk->index, 5);
    assert_int_equal(disk->append.count, 2);
    assert_int_equal(a->sequence, disk->sequence);
    /* Again: nothing is written, nothing truncated, the answer still waits for the first write. */
    a = append(&c, 3, 4, 2, 0, (uint64_t[]){3}, 1);
    assert_true(a->message.append_result.success);
    assert_null(action(&c, RAFT_ACTION_APPEND, 0));
    assert_null(action(&c, RAFT_ACTION_TRUNCATE, 0));
    assert_int_equal(raft_get_log(c.raft)->last, 6);
    assert_int_equal(a->sequence, 1);
    persisted(&c, 1);
    /* A conflict: the rest of the log goes. */
    a = append(&c, 4, 3, 2, 0, (uint64_t[]){4}, 1);
    assert_true(a->message.append_result.success);
    assert_int_equal(action(&c, RAFT_ACTION_TRUNCATE, 0)->index, 4);
    assert_int_equal(raft_get_log(c.raft)->last, 4);
    core_free(&c);
}

/* Only what this leader has vouched for is committed, whatever else lies behind it in the log. (The
 * peer takes its last index; there a stale rest of the log could be applied.) */
static void test_commit_of_follower(void **state) {
    struct core c = core_new(5, (uint64_t[]){1, 2, 2, 3, 3, 3}, 6, 0);
    append(&c, 5, 3, 2, 6, NULL, 0);
    assert_int_equal(raft_commit_index(c.raft), 3);
    assert_int_equal(action(&c, RAFT_ACTION_APPLY, 0)->index, 3);
    append(&c, 5, 3, 2, 2, NULL, 0); /* never back */
    assert_int_equal(raft_commit_index(c.raft), 3);
    /* Applying waits for the disk. */
    append(&c, 5, 3, 2, 5, (uint64_t[]){5, 5}, 2);
    assert_int_equal(raft_commit_index(c.raft), 5);
    assert_null(action(&c, RAFT_ACTION_APPLY, 0));
    persisted(&c, 2); /* the new term was 0, truncation and append are 1 and 2 */
    assert_int_equal(action(&c, RAFT_ACTION_APPLY, 0)->index, 5);
    /* A leader that contradicts what is committed gets nothing. */
    const struct raft_action *a = append(&c, 6, 1, 1, 0, (uint64_t[]){6}, 1);
    assert_false(a->message.append_result.success);
    assert_int_equal(raft_get_log(c.raft)->last, 5);
    core_free(&c);
}

/* A write that is still on its way when its end is cut off makes durable only what is left of it.
 */
static void test_write_then_truncate(void **state) {
    struct core c = core_new(2, (uint64_t[]){1, 2}, 2, 0);
    append(&c, 2, 2, 2, 0, (uint64_t[]){2, 2, 2}, 3); /* sequence 1: 3..5 */
    append(&c, 3, 3, 2, 9, (uint64_t[]){3}, 1);       /* 2: term, 3: truncate 4, 4: entry 4 */
    assert_int_equal(raft_commit_index(c.raft), 4);
    persisted(&c, 1);
    assert_int_equal(action(&c, RAFT_ACTION_APPLY, 0)->index, 3);
    persisted(&c, 3);
    assert_null(action(&c, RAFT_ACTION_APPLY, 0));
    persisted(&c, 4);
    assert_int_equal(action(&c, RAFT_ACTION_APPLY, 0)->index, 4);
    core_free(&c);
}

/* Nonsense from outside is refused, not asserted on. */
static void test_append_nonsense(void **state) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 3}, 4, 0);
    struct raft_entry *e[2] = {entry(9, 3), entry(6, 3)};
    struct raft_message m = {.kind = RAFT_APPEND,
                             .append = {.term = 3,
                                        .leader = STR(OTHER),
                                        .previous_index = 4,
                                        .previous_term = 3,
                                        .first = 9,
                                        .count = 2,
                                        .entries = e}};
    receive(&c, &m);
    assert_false(sent(&c, RAFT_APPEND_RESULT, 0)->message.append_result.success);
    raft_entry_release(e[0]);
    raft_entry_release(e[1]);
    /* Terms that go back, or beyond the leader's; a configuration that does not decode. */
    assert_false(append(&c, 3, 4, 3, 0, (uint64_t[]){2}, 1)->message.append_result.success);
    assert_false(append(&c, 3, 4, 3, 0, (uint64_t[]){4}, 1)->message.append_result.success);
    struct raft_entry *bad = raft_entry_new(RAFT_CONFIGURATION, STR("\xc1"), STR_NONE);
    bad->index = 5;
    bad->term = 3;
    m.append.first = 5;
    m.append.count = 1;
    m.append.entries = &bad;
    receive(&c, &m);
    assert_false(sent(&c, RAFT_APPEND_RESULT, 0)->message.append_result.success);
    assert_int_equal(raft_get_log(c.raft)->last, 4);
    raft_entry_release(bad);
    core_free(&c);
}

/* ---- leading ---- */

static void granted(struct core *c, const char *id) {
    struct raft_message m = {.kind = RAFT_VOTE_RESULT,
                             .tag = {.term = raft_term(c->raft)},
                             .peer_id = str_from(id),
                             .vote_result = {raft_term(c->raft), true}};
    receive(c, &m);
}

/* The last message that carries entries to a server; its results may be made from it. */
static struct raft_message last_append(const struct core *c, const char *id) {
    struct raft_message m = {0};
    for (size_t i = 0;; i++) {
        const struct raft_action *a = sent(c, RAFT_APPEND, i);
        if (a == NULL)
            break;
        if (str_is(a->message.peer_id, id) && !a->message.append.heartbeat)
            m = a->message;
    }
    return m;
}

static void acknowledge(struct core *c, const char *id, struct raft_tag tag) {
    struct raft_message m = {.kind = RAFT_APPEND_RESULT,
                             .tag = tag,
                             .peer_id = str_from(id),
                             .append_result = {.term = raft_term(c->raft), .success = true}};
    receive(c, &m);
}

static struct core leader_new(const uint64_t *terms, size_t len) {
    struct core c = core_new(terms[len - 1], terms, len, 0);
    tick(&c, 3 * SECOND);
    assert_int_equal(raft_get_state(c.raft), RAFT_CANDIDATE);
    return c;
}

static void test_election(void **state) {
    struct core c = leader_new((uint64_t[]){1, 2, 2}, 3);
    /* Term and own vote are on disk before anybody is asked, and before it counts itself. */
    const struct raft_action *t = action(&c, RAFT_ACTION_TERM, 0);
    assert_int_equal(t->term.term, 3);
    assert_true(str_is(t->term.vote, SELF));
    const struct raft_action *ask = sent(&c, RAFT_VOTE, 0);
    assert_int_equal(ask->sequence, t->sequence);
    assert_int_equal(ask->message.vote.last_log_index, 3);
    assert_int_equal(ask->message.vote.last_log_term, 2);
    assert_non_null(sent(&c, RAFT_VOTE, 1));
    assert_null(sent(&c, RAFT_VOTE, 2));
    granted(&c, "s2");
    assert_int_equal(raft_get_state(c.raft), RAFT_CANDIDATE); /* one vote of three */
    granted(&c, "s2");
    assert_int_equal(raft_get_state(c.raft), RAFT_CANDIDATE); /* counted once */
    persisted(&c, 1);
    assert_int_equal(raft_get_state(c.raft), RAFT_LEADER);
    assert_true(str_is(raft_leader(c.raft), SELF));
    core_free(&c);
}

static void test_commit_of_leader(void **state) {
    struct core c = leader_new((uint64_t[]){1, 2, 2}, 3);
    persisted(&c, 1);
    granted(&c, "s2");
    assert_int_equal(raft_get_state(c.raft), RAFT_LEADER);
    const struct raft_action *noop = action(&c, RAFT_ACTION_APPEND, 0);
    assert_int_equal(noop->append.entries[0]->type, RAFT_NOOP);
    assert_int_equal(noop->index, 4);
    struct raft_tag tag = last_append(&c, "s2").tag;
    assert_int_equal(tag.previous, 3);
    assert_int_equal(tag.last, 4);
    /* Entries of earlier terms are not committed by counting, even on all servers (figure 8). */
    struct raft_tag old = tag;
    old.last = 3;
    acknowledge(&c, "s2", old);
    acknowledge(&c, "s3", old);
    assert_int_equal(raft_commit_index(c.raft), 0);
    /* The other two have the no-op: committed; but applied only when it is on the own disk as well.
     */
    acknowledge(&c, "s2", tag);
    acknowledge(&c, "s3", tag);
    assert_int_equal(raft_commit_index(c.raft), 4);
    assert_int_equal(action(&c, RAFT_ACTION_APPLY, 0)->index, 3);
    persisted(&c, 2);
    assert_int_equal(action(&c, RAFT_ACTION_APPLY, 0)->index, 4);
    core_free(&c);
}

/* Its own entry counts for the leader only when it is durable. */
static void test_leader_disk_counts(void **state) {
    struct core c = leader_new((uint64_t[]){1, 2, 2}, 3);
    persisted(&c, 1);
    granted(&c, "s2");
    struct raft_tag tag = last_append(&c, "s2").tag;
    acknowledge(&c, "s2", tag);
    assert_int_equal(raft_commit_index(c.raft), 0);
    persisted(&c, 2);
    assert_int_equal(raft_commit_index(c.raft), 4);
    core_free(&c);
}

static void test_newer_term_deposes(void **state) {
    struct core c = leader_new((uint64_t[]){1, 2, 2}, 3);
    persisted(&c, 1);
    granted(&c, "s2");
    struct raft_message m = {.kind = RAFT_APPEND_RESULT,
                             .tag = last_append(&c, "s2").tag,
                             .peer_id = STR("s2"),
                             .append_result = {.term = 8}};
    receive(&c, &m);
    assert_int_equal(raft_get_state(c.raft), RAFT_FOLLOWER);
    assert_int_equal(action(&c, RAFT_ACTION_TERM, 0)->term.term, 8);
    assert_int_equal(action(&c, RAFT_ACTION_FAIL, 0)->error, RAFT_ERROR_LEADERSHIP_LOST);
    core_free(&c);
}

/* ---- who may campaign ---- */

static void test_nonvoter_waits(void **state) {
    struct raft_server others[] = {{STR("s2"), STR(OTHER), RAFT_VOTER},
                                   {STR("s1"), STR(SELF), RAFT_NONVOTER}};
    struct raft_configuration *configuration = raft_configuration_new(others, 2);
    struct raft_initial in = {.now = SECOND,
                              .term = 4,
                              .snapshot_index = 9,
                              .snapshot_term = 3,
                              .snapshot_configuration = configuration,
                              .snapshot_configuration_index = 5,
                              .first = 10,
                              .last = 9,
                              .applied = 9};
    struct raft_options options = {.id = STR("s1"),
                                   .address = STR(SELF),
                                   .heartbeat_timeout = SECOND,
                                   .election_timeout = SECOND,
                                   .seed = 1};
    struct core c = {.out = RAFT_ACTIONS_INIT, .now = SECOND};
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    c.raft = raft_new(&options, &in, &e);
    raft_configuration_release(configuration);
    tick(&c, 3 * SECOND);
    assert_int_equal(raft_get_state(c.raft), RAFT_FOLLOWER);
    assert_string_equal(action(&c, RAFT_ACTION_LOG, 0)->log.text,
                        "not part of stable configuration, aborting election");
    tick(&c, 3 * SECOND);
    assert_null(action(&c, RAFT_ACTION_LOG, 0)); /* said once */
    core_free(&c);
    /* Nobody knows anybody. */
    struct raft_initial empty = {.now = SECOND, .first = 1};
    c = (struct core){.out = RAFT_ACTIONS_INIT, .now = SECOND};
    c.raft = raft_new(&options, &empty, &e);
    tick(&c, 3 * SECOND);
    assert_string_equal(action(&c, RAFT_ACTION_LOG, 0)->log.text,
                        "no known peers, aborting election");
    core_free(&c);
    arena_free(&arena);
}

/* ---- snapshots of others ---- */

static void test_install(void **state) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 3, 3}, 5, 2);
    struct raft_server two[] = {{STR("s2"), STR(OTHER), RAFT_VOTER},
                                {STR("s1"), STR(SELF), RAFT_VOTER}};
    struct raft_configuration *configuration = raft_configuration_new(two, 2);
    struct raft_message m = {.kind = RAFT_INSTALL,
                             .install = {.term = 2,
                                         .leader = STR(OTHER),
                                         .last_index = 20,
                                         .last_term = 3,
                                         .configuration = configuration,
                                         .configuration_index = 11,
                                         .version = 1}};
    receive(&c, &m);
    assert_false(sent(&c, RAFT_INSTALL_RESULT, 0)->message.install_result.success);
    m.install.term = 4;
    receive(&c, &m);
    assert_non_null(action(&c, RAFT_ACTION_INSTALL, 0));
    assert_null(sent(&c, RAFT_INSTALL_RESULT, 0));
    /* Meanwhile heartbeats are answered and entries are not. */
    heartbeat(&c, 4, OTHER);
    assert_true(sent(&c, RAFT_APPEND_RESULT, 0)->message.append_result.success);
    assert_false(append(&c, 4, 5, 3, 0, (uint64_t[]){4}, 1)->message.append_result.success);
    struct raft_event done = {.kind = RAFT_EVENT_INSTALLED, .installed = {true, &m}};
    step(&c, &done);
    assert_true(sent(&c, RAFT_INSTALL_RESULT, 0)->message.install_result.success);
    assert_int_equal(action(&c, RAFT_ACTION_RESET, 0)->index, 20);
    assert_int_equal(raft_commit_index(c.raft), 20);
    /* Nobody will tell what became of proposals from before. */
    assert_int_equal(action(&c, RAFT_ACTION_FAIL, 0)->index, 0);
    uint64_t index;
    const struct raft_configuration *now = raft_latest_configuration(c.raft, &index);
    assert_int_equal(index, 11);
    assert_int_equal(now->len, 2);
    /* It goes on behind it. */
    assert_true(append(&c, 4, 20, 3, 0, (uint64_t[]){4}, 1)->message.append_result.success);
    raft_configuration_release(configuration);
    core_free(&c);
}

/* A snapshot of something that is in the log: what follows stays. */
static void test_install_keeps_rest(void **state) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 3, 3}, 5, 2);
    struct raft_message m = {
        .kind = RAFT_INSTALL,
        .install = {
            .term = 3, .leader = STR(OTHER), .last_index = 4, .last_term = 3, .version = 1}};
    receive(&c, &m);
    struct raft_event done = {.kind = RAFT_EVENT_INSTALLED, .installed = {true, &m}};
    step(&c, &done);
    assert_null(action(&c, RAFT_ACTION_RESET, 0));
    assert_int_equal(raft_get_log(c.raft)->last, 5);
    assert_int_equal(raft_get_log(c.raft)->snapshot_index, 4);
    core_free(&c);
}

/* The log on disk must continue behind the snapshot; where that was lost, it is done again before
 * anything follows. */
static void test_install_reset_fails(void **state) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 3, 3}, 5, 2);
    struct raft_message m = {
        .kind = RAFT_INSTALL,
        .install = {
            .term = 3, .leader = STR(OTHER), .last_index = 20, .last_term = 3, .version = 1}};
    receive(&c, &m);
    struct raft_event done = {.kind = RAFT_EVENT_INSTALLED, .installed = {true, &m}};
    step(&c, &done);
    assert_int_equal(action(&c, RAFT_ACTION_RESET, 0)->index, 20);
    struct raft_event failed = {.kind = RAFT_EVENT_PERSIST_FAILED};
    step(&c, &failed);
    const struct raft_action *a = append(&c, 3, 20, 3, 0, (uint64_t[]){3}, 1);
    const struct raft_action *reset = action(&c, RAFT_ACTION_RESET, 0);
    assert_non_null(reset);
    assert_int_equal(reset->index, 20);
    assert_true(reset->sequence < action(&c, RAFT_ACTION_APPEND, 0)->sequence);
    assert_true(a->message.append_result.success);
    assert_int_equal(a->sequence, action(&c, RAFT_ACTION_APPEND, 0)->sequence);
    step(&c, &failed); /* once more */
    append(&c, 3, 20, 3, 0, (uint64_t[]){3}, 1);
    assert_non_null(action(&c, RAFT_ACTION_RESET, 0));
    persisted(&c, action(&c, RAFT_ACTION_APPEND, 0)->sequence);
    append(&c, 3, 21, 3, 0, (uint64_t[]){3}, 1);
    assert_null(action(&c, RAFT_ACTION_RESET, 0));
    core_free(&c);
}

/* A snapshot that was long on its way takes nothing away that was acknowledged since. */
static void test_install_late(void **state) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 3, 3}, 5, 2);
    struct raft_message m = {
        .kind = RAFT_INSTALL,
        .install = {
            .term = 3, .leader = STR(OTHER), .last_index = 20, .last_term = 3, .version = 1}};
    receive(&c, &m);
    struct raft_event done = {.kind = RAFT_EVENT_INSTALLED, .installed = {true, &m}};
    step(&c, &done);
    assert_true(append(&c, 3, 20, 3, 0, (uint64_t[]){3, 3}, 2)->message.append_result.success);
    m.install.last_index = 15; /* an older one of the same leader; and the same once more */
    receive(&c, &m);
    assert_null(action(&c, RAFT_ACTION_INSTALL, 0));
    assert_true(sent(&c, RAFT_INSTALL_RESULT, 0)->message.install_result.success);
    m.install.last_index = 22;
    receive(&c, &m);
    assert_null(action(&c, RAFT_ACTION_INSTALL, 0));
    assert_int_equal(raft_get_log(c.raft)->last, 22);
    /* The next leader may want it. */
    m.install.term = 4;
    m.install.last_index = 15;
    receive(&c, &m);
    assert_non_null(action(&c, RAFT_ACTION_INSTALL, 0));
    core_free(&c);
}

static struct core installed_at(uint64_t index, uint64_t term) {
    struct core c = core_new(3, (uint64_t[]){1, 2, 2, 3, 3}, 5, 2);
    struct raft_message m = {.kind = RAFT_INSTALL,
                             .install = {.term = term,
                                         .leader = STR(OTHER),
                                         .last_index = index,
                                         .last_term = term,
                                         .version = 1}};
    receive(&c, &m);
    struct raft_event done = {.kind = RAFT_EVENT_INSTALLED, .installed = {true, &m}};
    step(&c, &done);
    return c;
}

/* A user's snapshot that was restored at 20 in term 4, and lost: the leader of term 5 has another
 * entry there, or none. Who has it forgets all. */
static void test_restored_and_lost(void **state) {
    struct core c = installed_at(20, 4);
    /* In its place is another entry: said as the one before, or as one of those that come. */
    append(&c, 5, 20, 5, 0, (uint64_t[]){5}, 1);
    assert_non_null(action(&c, RAFT_ACTION_FORGET, 0));
    assert_false(append(&c, 5, 0, 0, 0, (uint64_t[]){1}, 1)->message.append_result.success);
    assert_null(action(&c, RAFT_ACTION_FORGET, 0)); /* once */
    struct raft_event forgotten = {.kind = RAFT_EVENT_FORGOTTEN};
    step(&c, &forgotten);
    assert_int_equal(action(&c, RAFT_ACTION_RESET, 0)->index, 0);
    assert_int_equal(raft_commit_index(c.raft), 0);
    assert_null(raft_latest_configuration(c.raft, NULL));
    const struct raft_action *a = append(&c, 5, 0, 0, 0, (uint64_t[]){1}, 1);
    assert_true(a->message.append_result.success);
    assert_int_equal(a->sequence, action(&c, RAFT_ACTION_APPEND, 0)->sequence);
    core_free(&c);

    c = installed_at(3, 4);
    append(&c, 5, 1, 1, 0, (uint64_t[]){5, 5, 5}, 3);
    assert_non_null(action(&c, RAFT_ACTION_FORGET, 0));
    core_free(&c);

    c = installed_at(3, 4); /* it fits */
    assert_true(append(&c, 5, 2, 4, 0, (uint64_t[]){4, 5}, 2)->message.append_result.success);
    core_free(&c);

    c = installed_at(20, 4); /* cannot be told: the leader goes back, to the beginning */
    append(&c, 5, 10, 3, 0, (uint64_t[]){5}, 1);
    assert_null(action(&c, RAFT_ACTION_FORGET, 0));
    assert_true(sent(&c, RAFT_APPEND_RESULT, 0)->message.append_result.no_retry_backoff);
    append(&c, 5, 0, 0, 0, (uint64_t[]){1, 1}, 2);
    assert_non_null(action(&c, RAFT_ACTION_FORGET, 0));
    core_free(&c);
}

/* Once something behind it is committed, a snapshot is what everybody's is. */
static void test_snapshot_is_sure(void **state) {
    struct core c = installed_at(20, 4);
    assert_true(append(&c, 4, 20, 4, 21, (uint64_t[]){4}, 1)->message.append_result.success);
    assert_int_equal(raft_commit_index(c.raft), 21);
    assert_true(append(&c, 4, 10, 3, 21, (uint64_t[]){4}, 1)->message.append_result.success);
    assert_true(append(&c, 4, 0, 0, 21, (uint64_t[]){1}, 1)->message.append_result.success);
    assert_int_equal(raft_get_log(c.raft)->last, 21);
    assert_null(action(&c, RAFT_ACTION_FORGET, 0));
    core_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_votes),
        cmocka_unit_test(test_sticky_leader),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_commit_of_follower),
        cmocka_unit_test(test_write_then_truncate),
        cmocka_unit_test(test_append_nonsense),
        cmocka_unit_test(test_election),
        cmocka_unit_test(test_commit_of_leader),
        cmocka_unit_test(test_leader_disk_counts),
        cmocka_unit_test(test_newer_term_deposes),
        cmocka_unit_test(test_nonvoter_waits),
        cmocka_unit_test(test_install),
        cmocka_unit_test(test_install_keeps_rest),
        cmocka_unit_test(test_install_late),
        cmocka_unit_test(test_install_reset_fails),
        cmocka_unit_test(test_restored_and_lost),
        cmocka_unit_test(test_snapshot_is_sure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
