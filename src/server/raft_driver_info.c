/* What any thread may ask about Raft: numbers in atomics, names and the configuration under a
 * mutex, both set by the core after each round. And what is on its way.
 */
#include "server/raft_driver_internal.h"

#include <stdio.h>

void driver_view_update(struct raft_driver *d) {
    const struct raft_log *log = raft_get_log(d->raft);
    struct str leader = raft_leader(d->raft);
    bool leads = raft_get_state(d->raft) == RAFT_LEADER;
    int64_t now = time_now_monotonic(), silence = raft_last_contact(d->raft, now);
    atomic_store(&d->view_leader, leads);
    atomic_store(&d->view_state, (int)raft_get_state(d->raft));
    atomic_store(&d->view_term, raft_term(d->raft));
    atomic_store(&d->view_commit, raft_commit_index(d->raft));
    atomic_store(&d->view_last_index, raft_log_last_index(log));
    atomic_store(&d->view_last_term, raft_log_last_term(log));
    atomic_store(&d->view_snapshot_index, d->snapshot_index);
    atomic_store(&d->view_snapshot_term, d->snapshot_term);
    atomic_store(&d->view_pending, d->apply_target > d->applied ? d->apply_target - d->applied : 0);
    atomic_store(&d->view_contact, silence < 0 ? 0 : now - silence);
    if (leader.len < sizeof d->view_address && !str_is(leader, d->view_address)) {
        pthread_mutex_lock(&d->view_mutex);
        memcpy(d->view_address, leader.data != NULL ? leader.data : "", leader.len);
        d->view_address[leader.len] = 0;
        pthread_mutex_unlock(&d->view_mutex);
    }
}

/* A copy: the core's own may only be held by its thread. */
void driver_view_configuration(struct raft_driver *d) {
    uint64_t index;
    const struct raft_configuration *c = raft_latest_configuration(d->raft, &index);
    if (c == NULL || (d->view_configuration != NULL && index == d->view_configuration_index))
        return;
    struct raft_configuration *copy = raft_configuration_new(c->servers, c->len);
    pthread_mutex_lock(&d->view_mutex);
    struct raft_configuration *old = d->view_configuration;
    d->view_configuration = copy;
    d->view_configuration_index = index;
    pthread_mutex_unlock(&d->view_mutex);
    raft_configuration_release(old);
}

bool raft_driver_is_leader(const struct raft_driver *d) {
    return atomic_load(&d->view_leader);
}
uint64_t raft_driver_term(const struct raft_driver *d) {
    return atomic_load(&d->view_term);
}
uint64_t raft_driver_applied_index(const struct raft_driver *d) {
    return store_applied_index(d->store);
}
uint64_t raft_driver_last_index(const struct raft_driver *d) {
    return atomic_load(&d->view_last_index);
}

uint64_t raft_driver_last_term(const struct raft_driver *d) {
    return atomic_load(&d->view_last_term);
}

bool raft_driver_has_state(const struct raft_driver *d) {
    return atomic_load(&d->view_last_index) > 0;
}

int64_t raft_driver_last_contact(const struct raft_driver *d) {
    if (atomic_load(&d->view_leader))
        return 0;
    int64_t at = atomic_load(&d->view_contact);
    return at == 0 ? -1 : time_now_monotonic() - at;
}

static pthread_mutex_t *mutex_of(const struct raft_driver *d) {
    return (pthread_mutex_t *)(uintptr_t)&d->view_mutex;
}

size_t raft_driver_leader_address(const struct raft_driver *d, char out[64]) {
    pthread_mutex_lock(mutex_of(d));
    memcpy(out, d->view_address, sizeof d->view_address);
    pthread_mutex_unlock(mutex_of(d));
    return strlen(out);
}

void raft_driver_configuration(const struct raft_driver *d, struct arena *arena,
                               struct raft_driver_configuration *out) {
    *out = (struct raft_driver_configuration){0};
    pthread_mutex_lock(mutex_of(d));
    const struct raft_configuration *c = d->view_configuration;
    out->index = d->view_configuration_index;
    out->len = c != NULL ? c->len : 0;
    out->servers = ARENA_ARRAY(arena, struct raft_driver_server, out->len + 1);
    struct str leader = str_from(d->view_address);
    for (size_t i = 0; i < out->len; i++) {
        const struct raft_server *s = &c->servers[i];
        out->servers[i] = (struct raft_driver_server){
            .id = str_copy(arena, s->id),
            .address = str_copy(arena, s->address),
            .suffrage = (enum raft_driver_suffrage)s->suffrage,
            .leader = leader.len > 0 && str_eq(s->address, leader),
        };
    }
    pthread_mutex_unlock(mutex_of(d));
}

/* ---- stats ---- */

struct stats {
    struct arena *arena;
    struct raft_driver_stat *out;
    size_t count;
};

static void stat_str(struct stats *s, const char *key, struct str value) {
    ASSERT(s->count < RAFT_DRIVER_STATS);
    s->out[s->count++] = (struct raft_driver_stat){key, value};
}

static void stat_u64(struct stats *s, const char *key, uint64_t n) {
    stat_str(s, key, str_format(s->arena, "%llu", (unsigned long long)n));
}

static struct str contact_text(const struct raft_driver *d, struct arena *arena) {
    int64_t ns = raft_driver_last_contact(d);
    if (atomic_load(&d->view_leader))
        return STR("0");
    return ns < 0 ? STR("never") : duration_format(arena, ns);
}

static uint64_t other_voters(const struct raft_driver *d) {
    const struct raft_configuration *c = d->view_configuration;
    if (c == NULL || !raft_configuration_is_voter(c, d->options.id))
        return 0;
    return raft_configuration_voters(c) - 1;
}

void raft_driver_stats(const struct raft_driver *d, struct arena *arena,
                       struct raft_driver_stat out[RAFT_DRIVER_STATS]) {
    pthread_mutex_lock(mutex_of(d));
    struct str servers = d->view_configuration != NULL
                             ? raft_configuration_text(d->view_configuration, arena)
                             : STR("[]");
    uint64_t others = other_voters(d);
    pthread_mutex_unlock(mutex_of(d));
    struct stats s = {arena, out, 0};
    stat_u64(&s, "applied_index", raft_driver_applied_index(d));
    stat_u64(&s, "commit_index", atomic_load(&d->view_commit));
    stat_u64(&s, "fsm_pending", atomic_load(&d->view_pending));
    stat_str(&s, "last_contact", contact_text(d, arena));
    stat_u64(&s, "last_log_index", atomic_load(&d->view_last_index));
    stat_u64(&s, "last_log_term", atomic_load(&d->view_last_term));
    stat_u64(&s, "last_snapshot_index", atomic_load(&d->view_snapshot_index));
    stat_u64(&s, "last_snapshot_term", atomic_load(&d->view_snapshot_term));
    stat_str(&s, "latest_configuration", servers);
    stat_u64(&s, "latest_configuration_index", 0); /* always, with the peer as well */
    stat_u64(&s, "num_peers", others);
    stat_u64(&s, "protocol_version", d->options.protocol);
    stat_u64(&s, "protocol_version_max", 3);
    stat_u64(&s, "protocol_version_min", 0);
    stat_u64(&s, "snapshot_version_max", 1);
    stat_u64(&s, "snapshot_version_min", 0);
    stat_str(&s, "state", str_from(raft_state_name((enum raft_state)atomic_load(&d->view_state))));
    stat_u64(&s, "term", atomic_load(&d->view_term));
    ASSERT(s.count == RAFT_DRIVER_STATS);
}

bool raft_driver_any_unapplied(const struct raft_driver *d, raft_driver_entry_test *test,
                               void *arg) {
    const struct raft_log *log = raft_get_log(d->raft);
    for (const struct raft_proposal *p = d->queued.first; p != NULL; p = p->next) {
        if (p->kind == PROPOSAL_COMMAND && test(arg, buf_str(&p->entry)))
            return true;
    }
    for (uint64_t index = d->applied + 1; index <= raft_log_last_index(log); index++) {
        const struct raft_entry *entry = raft_log_cached(log, index);
        if (entry != NULL && entry->type == RAFT_COMMAND && test(arg, entry->data))
            return true;
    }
    return false;
}
