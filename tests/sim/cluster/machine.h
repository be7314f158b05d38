/* The state machine of one simulated server: a model of the keys (an array), which is always there,
 * and in some runs the real store beside it, which must agree with the model entry by entry. The
 * entries are the real ones: KVS commands in msgpack.
 */
#ifndef PRAETOR_TESTS_SIM_CLUSTER_MACHINE_H
#define PRAETOR_TESTS_SIM_CLUSTER_MACHINE_H

#include "base/buf.h"
#include "raft/entry.h"
#include "store/watch.h"

#define MACHINE_KEYS 512

struct machine;
struct machine_value {
    uint64_t value; /* 0: there is none */
    uint64_t modify, create;
};

/* The state at one moment. */
struct machine_snapshot {
    unsigned references;
    uint64_t index, term, hash;
    struct machine_value keys[MACHINE_KEYS];
    uint64_t removed[MACHINE_KEYS];
    struct buf state; /* state.bin */
};
struct machine_snapshot *machine_snapshot_hold(struct machine_snapshot *s);
void machine_snapshot_release(struct machine_snapshot *s);

struct machine *machine_new(bool real);
void machine_free(struct machine *m);
/* All is lost. */
void machine_clear(struct machine *m);
uint64_t machine_applied(const struct machine *m, uint64_t *term);
uint64_t machine_hash(const struct machine *m);

/* One batch of entries. yes: each command's answer; hashes: of the state behind each. *touched as
 * store_batch_commit gives it. False: model and store do not agree, or the store refused; why says
 * it. */
bool machine_apply(struct machine *m, struct raft_entry *const *entries, size_t count, bool *yes,
                   uint64_t *hashes, struct watch_touched **touched, char why[200]);
struct machine_value machine_get(struct machine *m, uint32_t key);
/* The index that a query for the key (or for all keys that start as it does) is answered with; what
 * it depends on goes into watch. exact: something is there, whose index it is. */
uint64_t machine_watch(struct machine *m, uint32_t key, bool prefix, struct watch_set *watch,
                       bool *exact);
struct machine_snapshot *machine_snapshot_take(struct machine *m);
/* From the bytes of state.bin. NULL touched is allowed. */
bool machine_restore(struct machine *m, struct str state, uint64_t index, uint64_t term,
                     struct watch_touched **touched, char why[200]);

/* The entry of a command. kind as in the HTTP API: "set", "cas", "delete". */
struct raft_entry *machine_command(const char *op, uint32_t key, uint64_t value, size_t size,
                                   uint64_t index);

#endif
