/* Which configuration counts (raft.md 2.4), and changing it one server at a time (2.5). */
#include "raft/state.h"

/* "A configuration takes effect when appended, not when committed": `latest` is the newest of all,
 * `committed` the newest at or below the commit index. (The peer keeps just two and takes the one
 * before the newest for committed; a follower that catches up may hold several which can all be cut
 * off.) Those before the newest applied one can never be wanted again. */
void raft_configurations_update(struct raft *r) {
    size_t drop = 0;
    while (drop + 1 < r->configuration_count && r->configurations[drop + 1].index <= r->applied)
        raft_configuration_release(r->configurations[drop++].configuration);
    r->configuration_count -= drop;
    if (drop > 0)
        memmove(r->configurations, r->configurations + drop,
                r->configuration_count * sizeof *r->configurations);
    r->latest = r->committed = NULL;
    r->latest_index = r->committed_index = 0;
    for (size_t i = 0; i < r->configuration_count; i++) {
        const struct raft_indexed_configuration *c = &r->configurations[i];
        r->latest = c->configuration;
        r->latest_index = c->index;
        if (c->index <= r->commit) {
            r->committed = c->configuration;
            r->committed_index = c->index;
        }
    }
}

void raft_configurations_clear(struct raft *r) {
    while (r->configuration_count > 0)
        raft_configuration_release(r->configurations[--r->configuration_count].configuration);
    r->latest = r->committed = NULL;
    r->latest_index = r->committed_index = 0;
}

void raft_configuration_appended(struct raft *r, struct raft_configuration *c, uint64_t index) {
    ASSERT(r->configuration_count == 0 || index > r->latest_index);
    if (r->configuration_count == r->configuration_cap) {
        r->configuration_cap = r->configuration_cap > 0 ? r->configuration_cap * 2 : 4;
        r->configurations =
            mem_resize(r->configurations, r->configuration_cap, sizeof *r->configurations);
    }
    r->configurations[r->configuration_count++] = (struct raft_indexed_configuration){index, c};
    r->no_peers_logged = r->not_stable_logged = false;
    raft_configurations_update(r);
}

void raft_configuration_truncated(struct raft *r, uint64_t from) {
    while (r->configuration_count > 0 &&
           r->configurations[r->configuration_count - 1].index >= from)
        raft_configuration_release(r->configurations[--r->configuration_count].configuration);
    raft_configurations_update(r);
}

/* The snapshot's is the base; those in the log behind the snapshot, if any stay there, come after
 * it. */
void raft_configuration_installed(struct raft *r, struct raft_configuration *c, uint64_t index,
                                  uint64_t snapshot_index) {
    if (c == NULL)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < r->configuration_count; i++) {
        struct raft_indexed_configuration *old = &r->configurations[i];
        if (old->index > snapshot_index && old->index <= r->log.last)
            r->configurations[kept++] = *old;
        else
            raft_configuration_release(old->configuration);
    }
    r->configuration_count = 0;
    r->latest_index = 0;
    struct raft_indexed_configuration *rest =
        ARENA_ARRAY(&r->out->arena, struct raft_indexed_configuration, kept + 1);
    if (kept > 0)
        memcpy(rest, r->configurations, kept * sizeof *rest);
    raft_configuration_appended(r, raft_configuration_hold(c), index);
    for (size_t i = 0; i < kept; i++)
        raft_configuration_appended(r, rest[i].configuration, rest[i].index);
}

/* ---- a new cluster ---- */

/* raft.md 5.1: term 1 and the configuration as entry 1. */
void raft_on_bootstrap(struct raft *r, struct raft_event *event) {
    event->error = RAFT_ERROR_NOT_NEW;
    if (r->term > 0 || r->log.last > 0 || r->busy)
        return;
    event->error = RAFT_OK;
    raft_set_term(r, 1);
    struct raft_entry *entry = raft_configuration_entry(event->bootstrap, r->options.protocol >= 3);
    entry->index = entry->term = 1;
    raft_persist_entries(r, &entry, 1);
    raft_configuration_appended(r, raft_configuration_hold(event->bootstrap), 1);
}

/* ---- changes asked of the leader ---- */

static struct raft_action *changed(struct raft *r, void *token, enum raft_error error) {
    struct raft_action *a = raft_act(r, RAFT_ACTION_CHANGED);
    a->token = token;
    a->error = error;
    return a;
}

void raft_on_change(struct raft *r, struct raft_event *event) {
    void *token = event->change.token;
    if (r->state != RAFT_LEADER) {
        changed(r, token, RAFT_ERROR_NOT_LEADER);
        return;
    }
    if (r->change_count >= RAFT_MAX_WAITING_CHANGES) {
        changed(r, token, RAFT_ERROR_ENQUEUE_TIMEOUT);
        return;
    }
    struct str id = event->change.id, address = event->change.address;
    struct raft_waiting_change *w = mem_zalloc(1, sizeof *w + id.len + address.len);
    char *room = (char *)(w + 1);
    if (id.len > 0)
        memcpy(room, id.data, id.len);
    if (address.len > 0)
        memcpy(room + id.len, address.data, address.len);
    w->id = str_of(room, id.len);
    w->address = str_of(room + id.len, address.len);
    w->change = event->change.change;
    w->previous_index = event->change.previous_index;
    w->token = token;
    *r->changes_end = w;
    r->changes_end = &w->next;
    r->change_count++;
}

static void refuse(struct raft *r, void *token, struct str text) {
    struct raft_action *a = changed(r, token, RAFT_ERROR_MESSAGE);
    a->text = raft_out_copy(r, text);
}

static void append_configuration(struct raft *r, struct raft_configuration *next, void *token) {
    struct raft_entry *entry = raft_configuration_entry(next, r->options.protocol >= 2);
    entry->index = r->log.last + 1;
    entry->term = r->term;
    uint64_t index = entry->index;
    struct str text = raft_configuration_text(next, &r->out->arena);
    raft_persist_entries(r, &entry, 1);
    raft_configuration_appended(r, next, index);
    struct raft_action *line = raft_log_line(r, LOG_INFO, "updating configuration");
    raft_log_str(r, line, "servers", text);
    changed(r, token, RAFT_OK)->index = index;
    raft_peers_update(r); /* new servers are probed at this entry */
}

static void run_change(struct raft *r, const struct raft_waiting_change *w) {
    if (w->previous_index > 0 && w->previous_index != r->latest_index) {
        refuse(r, w->token,
               str_format(&r->out->arena, "Configuration changed since %llu (latest is %llu)",
                          (unsigned long long)w->previous_index,
                          (unsigned long long)r->latest_index));
        return;
    }
    struct raft_configuration *next =
        raft_configuration_change(r->latest, w->change, w->id, w->address);
    struct error e = ERROR_IN(&r->out->arena);
    if (next->len > RAFT_MAX_SERVERS)
        error_set(&e, ERROR_INTERNAL, "too many servers in configuration");
    if (error_is_set(&e) || !raft_configuration_validate(next, &e)) {
        raft_configuration_release(next);
        refuse(r, w->token, e.text);
        return;
    }
    append_configuration(r, next, w->token);
}

/* One at a time, and only after this leader has committed an entry of its own term (without that
 * the single-server change of the Raft thesis is not safe). */
void raft_run_changes(struct raft *r) {
    while (r->changes != NULL && r->latest_index == r->committed_index &&
           r->commit >= r->start_index && !r->busy && !r->transferring) {
        struct raft_waiting_change *w = r->changes;
        r->changes = w->next;
        if (r->changes == NULL)
            r->changes_end = &r->changes;
        r->change_count--;
        run_change(r, w);
        mem_free(w);
    }
}

void raft_fail_changes(struct raft *r, enum raft_error error) {
    while (r->changes != NULL) {
        struct raft_waiting_change *w = r->changes;
        r->changes = w->next;
        changed(r, w->token, error);
        mem_free(w);
    }
    r->changes_end = &r->changes;
    r->change_count = 0;
}
