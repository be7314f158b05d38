/* One entry of the replicated log: made once, then shared by core, disk, network and applier until
 * the last of them lets go. Its bytes never change; index and term are set before it is first
 * shared.
 */
#ifndef PRAETOR_RAFT_ENTRY_H
#define PRAETOR_RAFT_ENTRY_H

#include <stdatomic.h>

#include "base/str.h"

enum raft_entry_type { /* raft.md 2.2; the numbers are on the wire and on disk */
                       RAFT_COMMAND = 0,
                       RAFT_NOOP = 1,
                       RAFT_ADD_PEER = 2,    /* legacy */
                       RAFT_REMOVE_PEER = 3, /* legacy: the whole new peer list */
                       RAFT_BARRIER = 4,
                       RAFT_CONFIGURATION = 5,
};
#define RAFT_ENTRY_TYPES 6

/* Larger entries are refused by the log and by the wire's reader. */
#define RAFT_ENTRY_MAX_BYTES ((size_t)256 << 20)

struct raft_entry {
    _Atomic unsigned references; /* any thread may hold and release */
    uint8_t type;
    uint64_t index;
    uint64_t term;
    struct str data;       /* absent: nil */
    struct str extensions; /* absent: nil */
    void *owned;           /* what data points into, freed with mem_free; or NULL */
};

/* Copies both strings. One reference, the caller's. */
struct raft_entry *raft_entry_new(enum raft_entry_type type, struct str data,
                                  struct str extensions);
/* data points into `owned` (from mem_alloc), which the entry takes over. */
struct raft_entry *raft_entry_take(enum raft_entry_type type, struct str data, void *owned);
struct raft_entry *raft_entry_hold(struct raft_entry *e);
void raft_entry_release(struct raft_entry *e); /* NULL is allowed */
/* What it costs in memory and on disk, about. */
size_t raft_entry_bytes(const struct raft_entry *e);
/* Types 2, 3 and 5: they change the configuration when they are appended. */
bool raft_entry_is_configuration(uint8_t type);

#endif
