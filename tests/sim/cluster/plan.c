/* What a seed decides before anything happens: how many servers, which kinds of faults and how
 * often, how fast things are. Each run has only some kinds of faults, so that some get far and
 * others meet rare mixtures.
 */
#include <stdio.h>

#include "sim/cluster/sim.h"

const char *const fault_names[FAULT_COUNT] = {
    [FAULT_CRASH] = "process killed",
    [FAULT_POWER] = "power lost",
    [FAULT_POWER_ALL] = "power lost everywhere",
    [FAULT_PAUSE] = "process paused",
    [FAULT_PARTITION] = "network partition",
    [FAULT_ONE_WAY] = "one-way partition",
    [FAULT_ISOLATE] = "server isolated",
    [FAULT_RESET] = "connection broken",
    [FAULT_LATE] = "request of a broken connection",
    [FAULT_DUPLICATE] = "request twice",
    [FAULT_SLOW_NET] = "slow network",
    [FAULT_DISK_SLOW] = "slow disk",
    [FAULT_DISK_ERROR] = "failing disk",
    [FAULT_SYNC_ERROR] = "failed sync",
    [FAULT_TORN] = "torn write",
    [FAULT_CLOCK_JUMP] = "clock jump",
    [FAULT_CLOCK_DRIFT] = "clock drift",
    [FAULT_WALL_JUMP] = "wall clock set",
};

static uint64_t below(struct prng *r, uint64_t n) {
    return prng_below(r, n);
}

#define PICK(r, ...)                                                                               \
    ((const int64_t[]){__VA_ARGS__})[below((r), sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))]

static void plan_times(struct plan *p, struct prng *r) {
    p->heartbeat = p->election = 1000 * MILLISECOND;
    p->lease = 500 * MILLISECOND;
    p->commit = 50 * MILLISECOND;
    p->rpc_timeout = PICK(r, 1, 2, 10) * SECOND;
    p->latency = PICK(r, 200, 1000, 5000, 50000) * MICROSECOND;
    p->disk_latency = PICK(r, 100, 2000, 20000) * MICROSECOND;
    p->apply_delay = PICK(r, 20, 200, 5000) * MICROSECOND;
}

static void plan_faults(struct plan *p, struct prng *r) {
    bool quiet = below(r, 20) == 0;
    for (int f = 0; f < FAULT_COUNT; f++)
        p->faults[f] = !quiet && below(r, 2) == 0;
    p->fault_every = PICK(r, 500, 2000, 5000, 15000) * MILLISECOND;
    p->lose_one_in = p->faults[FAULT_RESET] ? (unsigned)PICK(r, 50, 300, 2000) : 0;
    p->duplicate_one_in = p->faults[FAULT_DUPLICATE] ? (unsigned)PICK(r, 20, 200) : 0;
}

void plan_make(struct plan *p, uint64_t seed) {
    struct prng r;
    prng_seed(&r, seed * 2 + 1);
    *p = (struct plan){
        .voters = (unsigned)PICK(&r, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5),
        .spares = (unsigned)PICK(&r, 0, 1, 2),
        .duration = PICK(&r, 20, 40, 60, 120) * SECOND,
        .real_store = seed % 4 == 0,
        .ordered = below(&r, 4) != 0,
        .clients = 1 + (unsigned)below(&r, SIM_CLIENTS),
        .watchers = (unsigned)below(&r, SIM_WATCHERS + 1),
        .think = PICK(&r, 20, 200, 1000) * MILLISECOND,
        .keys = (unsigned)PICK(&r, 1, 4, 8),
        .value_max = (size_t)PICK(&r, 50, 500, 3000, 30000),
        .membership = below(&r, 2) == 0,
        .transfers = below(&r, 2) == 0,
        .snapshots = below(&r, 4) != 0,
        .restores = below(&r, 4) == 0,
        .operator_every = PICK(&r, 200, 1000, 1000, 3000) * MILLISECOND,
        .max_append = (unsigned)PICK(&r, 1, 4, 64, 64),
        .max_in_flight = (unsigned)PICK(&r, 1, 4, 128, 128),
        .trailing_logs = (uint64_t)PICK(&r, 0, 5, 50, 10240),
        .snapshot_threshold = (uint64_t)PICK(&r, 10, 50, 300),
        .cache_entries = (size_t)PICK(&r, 1, 16, 512),
        .segment_bytes = (size_t)PICK(&r, 4096, 16384, 65536),
    };
    if (p->trailing_logs > 100 || p->value_max > 1000) /* or there are thousands of segments */
        p->segment_bytes = 65536;
    plan_times(p, &r);
    plan_faults(p, &r);
}

/* ---- by hand ---- */

static bool set_fault(struct plan *p, const char *name, bool on) {
    for (int f = 0; f < FAULT_COUNT; f++) {
        if (strcmp(fault_names[f], name) != 0 && strcmp(name, "faults") != 0)
            continue;
        p->faults[f] = on;
        if (f == FAULT_RESET)
            p->lose_one_in = on ? 300 : 0;
        if (f == FAULT_DUPLICATE)
            p->duplicate_one_in = on ? 200 : 0;
        if (strcmp(name, "faults") != 0)
            return true;
    }
    return strcmp(name, "faults") == 0;
}

bool plan_set(struct plan *p, const char *name, bool on) {
    if (strcmp(name, "membership") == 0)
        p->membership = on;
    else if (strcmp(name, "transfers") == 0)
        p->transfers = on;
    else if (strcmp(name, "snapshots") == 0)
        p->snapshots = on;
    else if (strcmp(name, "restores") == 0)
        p->restores = on;
    else if (strcmp(name, "store") == 0)
        p->real_store = on;
    else if (strcmp(name, "order") == 0)
        p->ordered = on;
    else
        return set_fault(p, name, on);
    return true;
}

void plan_print(const struct plan *p) {
    fprintf(stderr,
            "%u voters, %u spares, %lld s, %s store, %s answers, %u clients, %u watchers, %u keys, "
            "values to %zu\n",
            p->voters, p->spares, (long long)(p->duration / SECOND),
            p->real_store ? "real" : "model", p->ordered ? "ordered" : "unordered", p->clients,
            p->watchers, p->keys, p->value_max);
    fprintf(stderr,
            "membership %d, transfers %d, snapshots %d, restores %d, append %u, in flight %u, "
            "trailing %llu, threshold %llu, cache %zu, segments %zu\n",
            p->membership, p->transfers, p->snapshots, p->restores, p->max_append, p->max_in_flight,
            (unsigned long long)p->trailing_logs, (unsigned long long)p->snapshot_threshold,
            p->cache_entries, p->segment_bytes);
    fprintf(stderr,
            "latency %lld us, disk %lld us, apply %lld us, rpc %lld s; a fault every %lld ms:",
            (long long)(p->latency / MICROSECOND), (long long)(p->disk_latency / MICROSECOND),
            (long long)(p->apply_delay / MICROSECOND), (long long)(p->rpc_timeout / SECOND),
            (long long)(p->fault_every / MILLISECOND));
    for (int f = 0; f < FAULT_COUNT; f++) {
        if (p->faults[f])
            fprintf(stderr, " [%s]", fault_names[f]);
    }
    fputc('\n', stderr);
}
