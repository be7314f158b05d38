/* The core's view of the log: terms as runs, the newest entries in a ring. */
#include "raft/log.h"

#include "base/mem.h"

void raft_log_init(struct raft_log *l, uint64_t snapshot_index, uint64_t snapshot_term,
                   uint64_t first, uint64_t last, const struct raft_run *runs, size_t run_count) {
    ASSERT(first >= 1 && last + 1 >= first);
    ASSERT(first <= snapshot_index + 1 && last >= snapshot_index);
    ASSERT((last + 1 == first) == (run_count == 0));
    *l = (struct raft_log){.first = first,
                           .last = last,
                           .snapshot_index = snapshot_index,
                           .snapshot_term = snapshot_term,
                           .cached_first = last + 1};
    if (run_count > 0) {
        ASSERT(runs[0].first == first);
        l->runs = mem_resize(NULL, run_count, sizeof *runs);
        memcpy(l->runs, runs, run_count * sizeof *runs);
        l->run_count = l->run_cap = run_count;
    }
}

void raft_log_free(struct raft_log *l) {
    raft_log_trim_cache(l, UINT64_MAX, 0, 0);
    mem_free(l->ring);
    mem_free(l->runs);
}

uint64_t raft_log_last_index(const struct raft_log *l) {
    return l->last > l->snapshot_index ? l->last : l->snapshot_index;
}

uint64_t raft_log_last_term(const struct raft_log *l) {
    return l->last > l->snapshot_index ? l->runs[l->run_count - 1].term : l->snapshot_term;
}

/* The run that covers index, which is in the log. */
static size_t run_of(const struct raft_log *l, uint64_t index) {
    size_t low = 0, high = l->run_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (l->runs[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool raft_log_term(const struct raft_log *l, uint64_t index, uint64_t *term) {
    if (index == l->snapshot_index) { /* also 0, 0 when there is no snapshot */
        *term = l->snapshot_term;
        return true;
    }
    if (index == 0) {
        *term = 0;
        return true;
    }
    if (index < l->first || index > l->last)
        return false;
    *term = l->runs[run_of(l, index)].term;
    return true;
}

struct raft_entry *raft_log_cached(const struct raft_log *l, uint64_t index) {
    if (index < l->cached_first || index > l->last)
        return NULL;
    return l->ring[index & (l->ring_cap - 1)];
}

static void ring_grow(struct raft_log *l) {
    size_t cap = l->ring_cap > 0 ? l->ring_cap * 2 : 64;
    struct raft_entry **ring = mem_resize(NULL, cap, sizeof *ring);
    for (uint64_t i = l->cached_first; i <= l->last; i++)
        ring[i & (cap - 1)] = l->ring[i & (l->ring_cap - 1)];
    mem_free(l->ring);
    l->ring = ring;
    l->ring_cap = cap;
}

void raft_log_append(struct raft_log *l, struct raft_entry *entry) {
    ASSERT(entry->index == l->last + 1);
    ASSERT(entry->term >= raft_log_last_term(l));
    if (l->last + 1 - l->cached_first == l->ring_cap)
        ring_grow(l);
    if (l->run_count == 0 || l->runs[l->run_count - 1].term != entry->term) {
        if (l->run_count == l->run_cap) {
            l->run_cap = l->run_cap > 0 ? l->run_cap * 2 : 8;
            l->runs = mem_resize(l->runs, l->run_cap, sizeof *l->runs);
        }
        l->runs[l->run_count++] = (struct raft_run){entry->index, entry->term};
    }
    l->ring[entry->index & (l->ring_cap - 1)] = entry;
    l->last = entry->index;
    l->cached_bytes += raft_entry_bytes(entry);
}

void raft_log_truncate(struct raft_log *l, uint64_t from) {
    ASSERT(from > l->snapshot_index && from >= l->first);
    while (l->last >= from) {
        struct raft_entry *entry = raft_log_cached(l, l->last);
        if (entry == NULL)
            break;
        l->cached_bytes -= raft_entry_bytes(entry);
        raft_entry_release(entry);
        l->last--;
    }
    if (l->last >= from)
        l->last = from - 1;
    if (l->cached_first > l->last + 1)
        l->cached_first = l->last + 1;
    while (l->run_count > 0 && l->runs[l->run_count - 1].first > l->last)
        l->run_count--;
}

void raft_log_compact(struct raft_log *l, uint64_t index) {
    ASSERT(index <= l->snapshot_index);
    if (index < l->first)
        return;
    if (index > l->last)
        index = l->last;
    raft_log_trim_cache(l, index, 0, 0);
    l->first = index + 1;
    size_t drop = 0;
    while (drop + 1 < l->run_count && l->runs[drop + 1].first <= l->first)
        drop++;
    if (l->first > l->last)
        drop = l->run_count;
    l->run_count -= drop;
    if (drop > 0)
        memmove(l->runs, l->runs + drop, l->run_count * sizeof *l->runs);
    if (l->run_count > 0)
        l->runs[0].first = l->first;
}

void raft_log_reset(struct raft_log *l, uint64_t snapshot_index, uint64_t snapshot_term) {
    raft_log_trim_cache(l, UINT64_MAX, 0, 0);
    l->run_count = 0;
    l->snapshot_index = snapshot_index;
    l->snapshot_term = snapshot_term;
    l->last = snapshot_index;
    l->first = l->cached_first = snapshot_index + 1;
}

void raft_log_trim_cache(struct raft_log *l, uint64_t through, size_t max_count, size_t max_bytes) {
    while (l->cached_first <= l->last && l->cached_first <= through) {
        if (l->last + 1 - l->cached_first <= max_count && l->cached_bytes <= max_bytes)
            break;
        struct raft_entry *entry = raft_log_cached(l, l->cached_first);
        l->cached_bytes -= raft_entry_bytes(entry);
        raft_entry_release(entry);
        l->cached_first++;
    }
}
