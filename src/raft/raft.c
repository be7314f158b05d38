/* The core's frame: making it, giving events to those who handle them, and what outsiders may ask.
 */
#include <stdio.h>

#include "raft/state.h"

/* ---- actions ---- */

static void action_let_go(struct raft_action *a) {
    if (a->kind == RAFT_ACTION_APPEND) {
        for (size_t i = 0; i < a->append.count; i++)
            raft_entry_release(a->append.entries[i]);
    } else if (a->kind == RAFT_ACTION_RESTORE) {
        raft_configuration_release(a->restore.configuration);
    } else if (a->kind == RAFT_ACTION_SEND && a->message.kind == RAFT_APPEND &&
               a->message.append.entries != NULL) {
        for (size_t i = 0; i < a->message.append.count; i++)
            raft_entry_release(a->message.append.entries[i]);
    }
}

void raft_actions_clear(struct raft_actions *a) {
    for (size_t i = 0; i < a->len; i++)
        action_let_go(&a->items[i]);
    a->len = 0;
    arena_reset(&a->arena, 64 << 10);
}

void raft_actions_free(struct raft_actions *a) {
    raft_actions_clear(a);
    mem_free(a->items);
    arena_free(&a->arena);
    *a = RAFT_ACTIONS_INIT;
}

struct raft_action *raft_act(struct raft *r, enum raft_action_kind kind) {
    struct raft_actions *out = r->out;
    if (out->len == out->cap) {
        out->cap = out->cap > 0 ? out->cap * 2 : 32;
        out->items = mem_resize(out->items, out->cap, sizeof *out->items);
    }
    struct raft_action *a = &out->items[out->len++];
    memset(a, 0, sizeof *a);
    a->kind = kind;
    return a;
}

struct str raft_out_copy(struct raft *r, struct str s) {
    return str_copy(&r->out->arena, s);
}

struct raft_action *raft_log_line(struct raft *r, enum log_level level, const char *text) {
    struct raft_action *a = raft_act(r, RAFT_ACTION_LOG);
    a->log.level = level;
    a->log.text = text;
    return a;
}

void raft_log_str(struct raft *r, struct raft_action *line, const char *key, struct str value) {
    for (size_t i = 0; i < RAFT_LOG_FIELDS; i++) {
        if (line->log.fields[i].key == NULL) {
            line->log.fields[i].key = key;
            line->log.fields[i].value = raft_out_copy(r, value.data != NULL ? value : STR(""));
            return;
        }
    }
    ASSERT(false); /* too many fields */
}

void raft_log_u64(struct raft *r, struct raft_action *line, const char *key, uint64_t value) {
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    raft_log_str(r, line, key, str_of(text, (size_t)len));
}

void raft_log_self(struct raft *r, struct raft_action *line, const char *key) {
    struct str text = str_format(&r->out->arena, "Node at " STR_FMT " [%s]",
                                 STR_ARG(r->options.address), raft_state_name(r->state));
    raft_log_str(r, line, key, text);
}

/* ---- small shared things ---- */

int64_t raft_random(struct raft *r, int64_t x) {
    return x + (x > 0 ? (int64_t)prng_below(&r->prng, (uint64_t)x) : 0);
}

void raft_set_leader(struct raft *r, struct str address) {
    if (str_eq(buf_str(&r->leader), address))
        return;
    buf_clear(&r->leader);
    buf_add_str(&r->leader, address);
    raft_act(r, RAFT_ACTION_STATE);
}

bool raft_is_voter(const struct raft *r) {
    return r->latest != NULL && raft_configuration_is_voter(r->latest, r->options.id);
}

const char *raft_state_name(enum raft_state s) {
    return s == RAFT_LEADER ? "Leader" : s == RAFT_CANDIDATE ? "Candidate" : "Follower";
}

const char *raft_error_text(enum raft_error e) {
    switch (e) {
    case RAFT_OK:
        return "";
    case RAFT_ERROR_NOT_LEADER:
        return "node is not the leader";
    case RAFT_ERROR_LEADERSHIP_LOST:
        return "leadership lost while committing log";
    case RAFT_ERROR_RESTORED:
        return "snapshot restored while committing log";
    case RAFT_ERROR_SHUTDOWN:
        return "raft is already shutdown";
    case RAFT_ERROR_ENQUEUE_TIMEOUT:
        return "timed out enqueuing operation";
    case RAFT_ERROR_TRANSFER_IN_PROGRESS:
        return "leadership transfer in progress";
    case RAFT_ERROR_TRANSFER_TIMEOUT:
        return "leadership transfer timeout";
    case RAFT_ERROR_TRANSFER_SELF:
        return "cannot transfer leadership to itself";
    case RAFT_ERROR_NO_PEER:
        return "cannot find peer";
    case RAFT_ERROR_UNSUPPORTED:
        return "operation not supported with current protocol version";
    case RAFT_ERROR_NOT_NEW:
        return "bootstrap only works on new clusters";
    case RAFT_ERROR_MESSAGE:
        break;
    }
    return "raft error";
}

/* ---- making and ending ---- */

static bool replay_configurations(struct raft *r, const struct raft_initial *in, struct error *e) {
    /* A recovered server without any entry has a snapshot at 0 with a configuration "at 1". */
    uint64_t index = in->snapshot_configuration_index;
    if (in->snapshot_configuration != NULL)
        raft_configuration_appended(r, raft_configuration_hold(in->snapshot_configuration),
                                    index < in->snapshot_index ? index : in->snapshot_index);
    for (size_t i = 0; i < in->configuration_count; i++) {
        const struct raft_entry *entry = in->configurations[i];
        if (entry->index <= in->snapshot_index)
            continue;
        struct raft_configuration *c = raft_configuration_of_entry(entry->type, entry->data, e);
        if (c == NULL)
            return error_prefix(e, "entry %llu: ", (unsigned long long)entry->index);
        raft_configuration_appended(r, c, entry->index);
    }
    return true;
}

/* A server that is the only voter asks nobody: it need not wait for a leader that cannot exist. */
static int64_t first_election_at(struct raft *r) {
    if (raft_is_voter(r) && raft_configuration_voters(r->latest) == 1)
        return r->now;
    return r->now + raft_random(r, r->options.heartbeat_timeout);
}

struct raft *raft_new(const struct raft_options *options, const struct raft_initial *in,
                      struct error *e) {
    struct raft *r = MEM_NEW(struct raft);
    r->options = *options;
    r->options.id = str_of(mem_alloc(options->id.len + 1), options->id.len);
    memcpy((char *)r->options.id.data, options->id.data, options->id.len);
    if (r->options.max_append_bytes == 0)
        r->options.max_append_bytes = (size_t)1 << 20;
    if (r->options.max_in_flight_bytes == 0)
        r->options.max_in_flight_bytes = (size_t)8 << 20;
    r->options.address = str_of(mem_alloc(options->address.len + 1), options->address.len);
    memcpy((char *)r->options.address.data, options->address.data, options->address.len);
    prng_seed(&r->prng, options->seed);
    r->now = in->now;
    r->state = RAFT_FOLLOWER;
    r->term = in->term;
    r->vote_term = in->vote_term;
    buf_add_str(&r->vote, in->vote);
    raft_log_init(&r->log, in->snapshot_index, in->snapshot_term, in->first, in->last, in->runs,
                  in->run_count);
    for (size_t i = 0; i < in->entry_count; i++)
        raft_log_append(&r->log, raft_entry_hold(in->entries[i]));
    ASSERT(in->applied >= in->snapshot_index && in->applied <= r->log.last);
    /* What is applied was committed; the peer starts at 0, which only means that it learns it
     * later. */
    r->commit = r->applied = r->apply_sent = in->applied;
    r->base_unsure = in->snapshot_index > 0 && in->applied == in->snapshot_index;
    r->durable = r->log.last;
    r->last_contact = -1;
    r->changes_end = &r->changes;
    if (!replay_configurations(r, in, e)) {
        raft_free(r);
        return NULL;
    }
    r->election_at = first_election_at(r);
    return r;
}

void raft_free(struct raft *r) {
    raft_peers_free(r);
    while (r->changes != NULL) {
        struct raft_waiting_change *next = r->changes->next;
        mem_free(r->changes);
        r->changes = next;
    }
    raft_log_free(&r->log);
    raft_configurations_clear(r);
    mem_free(r->configurations);
    raft_configuration_release(r->election);
    mem_free(r->granted);
    mem_free(r->writes);
    mem_free(r->verifications);
    buf_free(&r->vote);
    buf_free(&r->leader);
    buf_free(&r->transfer_target);
    mem_free((char *)r->options.id.data);
    mem_free((char *)r->options.address.data);
    mem_free(r);
}

/* ---- events ---- */

struct raft_message *raft_reply(struct raft *r, const struct raft_message *m, uint64_t after) {
    struct raft_action *a = raft_act(r, RAFT_ACTION_SEND);
    a->sequence = after;
    a->message.kind = (enum raft_message_kind)(m->kind + 1); /* a result follows its request */
    a->message.tag = m->tag;
    a->message.reply = m->reply;
    return &a->message;
}

static void receive(struct raft *r, struct raft_message *m) {
    switch (m->kind) {
    case RAFT_APPEND:
        raft_recv_append(r, m);
        break;
    case RAFT_APPEND_RESULT:
        raft_recv_append_result(r, m);
        break;
    case RAFT_VOTE:
        raft_recv_vote(r, m);
        break;
    case RAFT_VOTE_RESULT:
        raft_recv_vote_result(r, m);
        break;
    case RAFT_INSTALL:
        raft_recv_install(r, m);
        break;
    case RAFT_INSTALL_RESULT:
        raft_recv_install_result(r, m);
        break;
    case RAFT_TIMEOUT_NOW:
        raft_recv_timeout_now(r, m);
        break;
    case RAFT_TIMEOUT_NOW_RESULT:
        break;
    }
}

static void send_failed(struct raft *r, const struct raft_message *m) {
    if (r->state != RAFT_LEADER || m->tag.term != r->term)
        return; /* a vote that is not answered is a vote not granted */
    if (m->kind == RAFT_TIMEOUT_NOW) {
        raft_end_transfer(r, RAFT_ERROR_TRANSFER_TIMEOUT);
        return;
    }
    struct raft_peer *p = raft_peer_find(r, m->peer_id);
    if (p == NULL)
        return;
    if (m->tag.heartbeat) {
        p->heartbeat_open = false;
        p->heartbeat_failures++;
        p->heartbeat_at = r->now + raft_random(r, r->options.heartbeat_timeout / 10);
    } else if (m->tag.epoch == p->epoch) {
        raft_peer_failed(r, p, true);
    }
}

static void propose(struct raft *r, struct raft_event *event) {
    if (r->state != RAFT_LEADER || !raft_is_voter(r)) {
        event->error = RAFT_ERROR_NOT_LEADER;
    } else if (r->transferring) {
        event->error = RAFT_ERROR_TRANSFER_IN_PROGRESS;
    } else if (r->busy) {
        event->error = RAFT_ERROR_RESTORED;
    } else {
        event->error = RAFT_OK;
        event->index = r->log.last + 1;
        event->term = r->term;
        for (size_t i = 0; i < event->propose.count; i++) {
            event->propose.entries[i]->index = event->index + i;
            event->propose.entries[i]->term = r->term;
        }
        raft_persist_entries(r, event->propose.entries, event->propose.count);
    }
}

static void on_applied(struct raft *r, uint64_t index) {
    ASSERT(index <= r->commit);
    r->applied = index;
    if (r->configuration_count > 1)
        raft_configurations_update(r);
}

static void trim_cache(struct raft *r) {
    if (r->options.keep_all)
        return;
    uint64_t through = r->applied < r->durable ? r->applied : r->durable;
    raft_log_trim_cache(&r->log, through, r->options.cache_entries, r->options.cache_bytes);
}

static void dispatch(struct raft *r, struct raft_event *event) {
    switch (event->kind) {
    case RAFT_EVENT_TICK:
        break;
    case RAFT_EVENT_STALLED:
        if (r->state == RAFT_LEADER)
            raft_lease_grace(r);
        break;
    case RAFT_EVENT_PROPOSE:
        propose(r, event);
        break;
    case RAFT_EVENT_CHANGE:
        raft_on_change(r, event);
        break;
    case RAFT_EVENT_VERIFY:
        raft_on_verify(r, event->verify.token);
        break;
    case RAFT_EVENT_TRANSFER:
        raft_on_transfer(r, event);
        break;
    case RAFT_EVENT_BOOTSTRAP:
        raft_on_bootstrap(r, event);
        break;
    case RAFT_EVENT_RECEIVE:
        receive(r, event->message);
        break;
    case RAFT_EVENT_SEND_FAILED:
        send_failed(r, event->message);
        break;
    case RAFT_EVENT_PERSISTED:
        raft_on_persisted(r, event->sequence);
        break;
    case RAFT_EVENT_PERSIST_FAILED:
        raft_on_persist_failed(r);
        break;
    case RAFT_EVENT_APPLIED:
        on_applied(r, event->applied);
        break;
    case RAFT_EVENT_SNAPSHOT_TAKEN:
        raft_on_snapshot_taken(r, event->snapshot.index, event->snapshot.term);
        break;
    case RAFT_EVENT_INSTALLED:
        raft_on_installed(r, event->installed.message, event->installed.ok);
        break;
    case RAFT_EVENT_FORGOTTEN:
        raft_on_forgotten(r);
        break;
    case RAFT_EVENT_RESTORE:
        raft_on_restore(r, event);
        break;
    case RAFT_EVENT_RESTORED:
        raft_on_restored(r, event);
        break;
    }
}

void raft_step(struct raft *r, struct raft_event *event, struct raft_actions *out) {
    ASSERT(event->now >= r->now);
    r->now = event->now;
    r->out = out;
    dispatch(r, event);
    if (r->term_unsaved && r->now >= r->term_retry_at)
        raft_persist_term(r);
    if (event->kind == RAFT_EVENT_TICK && r->state != RAFT_LEADER && r->now >= r->election_at)
        raft_on_election_timer(r);
    if (r->state == RAFT_LEADER) {
        raft_advance_commit(r);
        raft_run_changes(r);
    }
    if (r->state == RAFT_LEADER) {
        raft_replicate(r);
        raft_check_verifications(r);
        raft_run_transfer(r);
    }
    if (r->state == RAFT_LEADER)
        raft_check_lease(r);
    raft_emit_apply(r);
    trim_cache(r);
    r->out = NULL;
}

int64_t raft_next_wakeup(const struct raft *r) {
    int64_t at = r->state == RAFT_LEADER ? raft_replication_wakeup(r) : r->election_at;
    if (r->term_unsaved && r->term_retry_at < at)
        at = r->term_retry_at;
    return at;
}

/* ---- questions ---- */

enum raft_state raft_get_state(const struct raft *r) {
    return r->state;
}
uint64_t raft_term(const struct raft *r) {
    return r->term;
}
struct str raft_leader(const struct raft *r) {
    return buf_str(&r->leader);
}
uint64_t raft_commit_index(const struct raft *r) {
    return r->commit;
}
const struct raft_log *raft_get_log(const struct raft *r) {
    return &r->log;
}
const struct raft_options *raft_get_options(const struct raft *r) {
    return &r->options;
}

int64_t raft_last_contact(const struct raft *r, int64_t now) {
    return r->last_contact < 0 ? -1 : now - r->last_contact;
}

const struct raft_configuration *raft_latest_configuration(const struct raft *r, uint64_t *index) {
    if (index != NULL)
        *index = r->latest_index;
    return r->latest;
}

struct raft_configuration *raft_committed_configuration(const struct raft *r, uint64_t *index) {
    *index = r->committed_index;
    return r->committed;
}

size_t raft_follower_silences(const struct raft *r, int64_t now, int64_t *out, size_t max) {
    size_t count = r->peer_count < max ? r->peer_count : max;
    for (size_t i = 0; i < count; i++)
        out[i] = now - r->peers[i]->last_contact;
    return count;
}

bool raft_peer_progress(const struct raft *r, struct str id, uint64_t *match, uint64_t *next) {
    const struct raft_peer *p = raft_peer_find(r, id);
    if (p == NULL)
        return false;
    *match = p->match;
    *next = p->next;
    return true;
}
