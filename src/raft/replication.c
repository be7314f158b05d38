/* The leader's side of replication (raft.md 4.5): for each other server what it has, what is under
 * way to it and what to send next; and heartbeats.
 */
#include "raft/state.h"

/* Messages under way whose entries the driver has to read from disk. */
#define OLDER_IN_FLIGHT 4
#define BACKOFF_BASE (10 * MILLISECOND)
#define BACKOFF_MAX_POWER 12

/* 10, 10, 20, 40 ... 10240 ms. */
static int64_t backoff(unsigned failures) {
    unsigned n = failures < BACKOFF_MAX_POWER ? failures : BACKOFF_MAX_POWER;
    return n == 0 ? 0 : BACKOFF_BASE << (n > 2 ? n - 2 : 0);
}

/* ---- who ---- */

struct raft_peer *raft_peer_find(const struct raft *r, struct str id) {
    for (size_t i = 0; i < r->peer_count; i++) {
        if (str_eq(r->peers[i]->id, id))
            return r->peers[i];
    }
    return NULL;
}

struct str raft_peer_text(struct raft *r, const struct raft_peer *p) {
    bool voter = raft_configuration_is_voter(r->latest, p->id);
    return str_format(&r->out->arena, "{%s " STR_FMT " " STR_FMT "}", voter ? "Voter" : "Nonvoter",
                      STR_ARG(p->id), STR_ARG(p->address));
}

static struct raft_peer *peer_new(struct raft *r, const struct raft_server *s) {
    struct raft_peer *p = mem_zalloc(1, sizeof *p + s->id.len + s->address.len);
    char *room = (char *)(p + 1);
    memcpy(room, s->id.data, s->id.len);
    memcpy(room + s->id.len, s->address.data, s->address.len);
    p->id = str_of(room, s->id.len);
    p->address = str_of(room + s->id.len, s->address.len);
    p->next = r->log.last + 1;
    p->last_contact = r->now;
    p->heartbeat_at = r->now;
    struct raft_action *line = raft_log_line(r, LOG_INFO, "added peer, starting replication");
    raft_log_str(r, line, "peer", p->id);
    return p;
}

/* A server whose address changed is a new one: what was sent to the old address may be lost. */
static struct raft_peer *peer_take(struct raft *r, const struct raft_server *s) {
    for (size_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *p = r->peers[i];
        if (p != NULL && str_eq(p->id, s->id) && str_eq(p->address, s->address)) {
            r->peers[i] = NULL;
            return p;
        }
    }
    return peer_new(r, s);
}

static void send_append(struct raft *r, struct raft_peer *p);

void raft_peers_update(struct raft *r) {
    size_t count = 0;
    struct raft_peer **peers = mem_zalloc(r->latest->len + 1, sizeof *peers);
    for (size_t i = 0; i < r->latest->len; i++) {
        if (!str_eq(r->latest->servers[i].id, r->options.id))
            peers[count++] = peer_take(r, &r->latest->servers[i]);
    }
    for (size_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *p = r->peers[i];
        if (p == NULL)
            continue;
        struct raft_action *line = raft_log_line(r, LOG_INFO, "removed peer, stopping replication");
        raft_log_str(r, line, "peer", p->id);
        raft_log_u64(r, line, "last-index", r->log.last);
        if (p->mode == PEER_PIPELINE && p->next <= r->log.last)
            send_append(r, p); /* one best-effort push, so that it may learn that it is out */
        mem_free(p);
    }
    mem_free(r->peers);
    r->peers = peers;
    r->peer_count = count;
}

void raft_peers_free(struct raft *r) {
    for (size_t i = 0; i < r->peer_count; i++)
        mem_free(r->peers[i]);
    mem_free(r->peers);
    r->peers = NULL;
    r->peer_count = 0;
}

/* ---- messages ---- */

static struct raft_message *message_to(struct raft *r, struct raft_peer *p,
                                       enum raft_message_kind kind) {
    struct raft_action *a = raft_act(r, RAFT_ACTION_SEND);
    a->sequence = raft_after_term(r);
    a->message.kind = kind;
    a->message.peer_id = raft_out_copy(r, p->id);
    a->message.peer_address = raft_out_copy(r, p->address);
    a->message.tag =
        (struct raft_tag){.term = r->term, .round = r->round, .sent_at = r->now, .epoch = p->epoch};
    return &a->message;
}

static void send_heartbeat(struct raft *r, struct raft_peer *p) {
    struct raft_message *m = message_to(r, p, RAFT_APPEND);
    m->tag.heartbeat = true;
    m->append = (struct raft_append){
        .term = r->term, .leader = raft_out_copy(r, r->options.address), .heartbeat = true};
    p->heartbeat_open = true;
    p->heartbeat_sent = r->now;
    p->heartbeat_at = r->now + raft_random(r, r->options.heartbeat_timeout / 10);
}

static void note_sent(struct raft *r, struct raft_peer *p) {
    if (p->in_flight++ == 0)
        p->waiting_since = r->now;
}

static void send_snapshot(struct raft *r, struct raft_peer *p) {
    struct raft_action *line = raft_log_line(r, LOG_ERROR, "failed to get log");
    raft_log_u64(r, line, "index", p->next);
    raft_log_str(r, line, "error", STR("log not found"));
    p->mode = PEER_SNAPSHOT;
    p->epoch++;
    p->in_flight = 0;
    p->in_flight_bytes = 0;
    struct raft_message *m = message_to(r, p, RAFT_INSTALL);
    m->tag.last = r->log.snapshot_index;
    m->install = (struct raft_install){.term = r->term,
                                       .leader = raft_out_copy(r, r->options.address),
                                       .last_index = r->log.snapshot_index,
                                       .last_term = r->log.snapshot_term,
                                       .version = 1};
    note_sent(r, p);
}

/* How many entries the next message takes: as many as there are, but no more than is good for the
 * memory of both sides. Of those that are not in memory the sizes are not known. */
static size_t how_many(const struct raft *r, uint64_t first, size_t *bytes) {
    uint64_t left = r->log.last + 1 - first;
    size_t most = left < r->options.max_append ? (size_t)left : r->options.max_append, n = 0;
    *bytes = 0;
    if (first < r->log.cached_first) {
        uint64_t older = r->log.cached_first - first;
        return most < older ? most : (size_t)older;
    }
    while (n < most && (n == 0 || *bytes < r->options.max_append_bytes))
        *bytes += raft_entry_bytes(raft_log_cached(&r->log, first + n++));
    return n;
}

/* The entries themselves when they are in memory; otherwise the driver reads them. */
static struct raft_entry **collect(struct raft *r, uint64_t first, size_t count) {
    if (count == 0 || first < r->log.cached_first)
        return NULL;
    struct raft_entry **entries = ARENA_ARRAY(&r->out->arena, struct raft_entry *, count);
    for (size_t i = 0; i < count; i++)
        entries[i] = raft_entry_hold(raft_log_cached(&r->log, first + i));
    return entries;
}

static void send_append(struct raft *r, struct raft_peer *p) {
    uint64_t previous = p->next - 1, term;
    if (p->next < r->log.first || !raft_log_term(&r->log, previous, &term)) {
        send_snapshot(r, p);
        return;
    }
    size_t bytes, count = how_many(r, p->next, &bytes);
    struct raft_message *m = message_to(r, p, RAFT_APPEND);
    m->tag.previous = previous;
    m->tag.last = previous + count;
    m->tag.bytes = bytes;
    m->append = (struct raft_append){
        .term = r->term,
        .leader = raft_out_copy(r, r->options.address),
        .previous_index = previous,
        .previous_term = term,
        .commit = r->commit,
        .first = p->next,
        .count = count,
        .entries = collect(r, p->next, count),
    };
    if (p->mode == PEER_PIPELINE)
        p->next += count;
    p->in_flight_bytes += bytes;
    p->commit_told = r->commit;
    p->commit_at = r->now + raft_random(r, r->options.commit_timeout);
    note_sent(r, p);
}

/* ---- when ---- */

void raft_peer_failed(struct raft *r, struct raft_peer *p, bool slow_down) {
    if (p->mode == PEER_PIPELINE && slow_down) {
        struct raft_action *line = raft_log_line(r, LOG_INFO, "aborting pipeline replication");
        raft_log_str(r, line, "peer", raft_peer_text(r, p));
    }
    if (p->mode == PEER_PIPELINE && p->next > p->match + 1)
        p->next = p->match + 1;
    p->mode = PEER_PROBE;
    p->epoch++;
    p->in_flight = 0;
    p->in_flight_bytes = 0;
    p->failures = slow_down ? p->failures + 1 : 0;
    p->retry_at = r->now + backoff(p->failures);
}

/* The first append with nothing but commit to tell waits for the commit timeout. */
static bool commit_is_due(const struct raft *r, const struct raft_peer *p) {
    return p->commit_told < r->commit && r->now >= p->commit_at;
}

static bool may_send(const struct raft *r, const struct raft_peer *p) {
    unsigned limit = r->options.max_in_flight;
    if (p->mode != PEER_PIPELINE)
        limit = 1;
    else if (p->next < r->log.cached_first && limit > OLDER_IN_FLIGHT)
        limit = OLDER_IN_FLIGHT;
    return p->in_flight < limit && p->in_flight_bytes < r->options.max_in_flight_bytes;
}

static void replicate_to(struct raft *r, struct raft_peer *p) {
    if (p->in_flight > 0 && p->mode != PEER_SNAPSHOT &&
        r->now - p->waiting_since >= r->options.rpc_timeout)
        raft_peer_failed(r, p, true);
    if (r->now < p->retry_at)
        return;
    while (may_send(r, p)) {
        bool due = p->mode == PEER_PROBE || p->next <= r->log.last || commit_is_due(r, p);
        if (!due)
            break;
        send_append(r, p);
        if (p->mode != PEER_PIPELINE)
            break;
    }
}

static bool heartbeat_is_due(const struct raft *r, const struct raft_peer *p) {
    if (p->heartbeat_open)
        return r->now - p->heartbeat_sent >= r->options.heartbeat_timeout / 2;
    return r->now >= p->heartbeat_at;
}

void raft_replicate(struct raft *r) {
    for (size_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *p = r->peers[i];
        if (heartbeat_is_due(r, p))
            send_heartbeat(r, p);
        if (!r->busy)
            replicate_to(r, p);
    }
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t peer_wakeup(const struct raft *r, const struct raft_peer *p) {
    int64_t at =
        p->heartbeat_open ? p->heartbeat_sent + r->options.heartbeat_timeout / 2 : p->heartbeat_at;
    if (r->busy)
        return at;
    if (p->retry_at > r->now)
        return earlier(at, p->retry_at);
    if (p->in_flight > 0 && p->mode != PEER_SNAPSHOT)
        at = earlier(at, p->waiting_since + r->options.rpc_timeout);
    if (p->mode == PEER_PIPELINE && p->commit_told < r->commit && may_send(r, p))
        at = earlier(at, p->commit_at);
    return at;
}

int64_t raft_replication_wakeup(const struct raft *r) {
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < r->peer_count; i++)
        at = earlier(at, peer_wakeup(r, r->peers[i]));
    if (r->peer_count > 0)
        at = earlier(at, r->lease_at);
    if (r->transferring)
        at = earlier(at, r->transfer_deadline);
    return at;
}
