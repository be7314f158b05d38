/* Log entries as shared, immutable values. */
#include "raft/entry.h"

#include "base/mem.h"

static struct raft_entry *entry_alloc(enum raft_entry_type type, size_t more) {
    struct raft_entry *e = mem_alloc(sizeof *e + more);
    *e = (struct raft_entry){.type = (uint8_t)type};
    atomic_init(&e->references, 1);
    return e;
}

struct raft_entry *raft_entry_new(enum raft_entry_type type, struct str data,
                                  struct str extensions) {
    struct raft_entry *e = entry_alloc(type, data.len + extensions.len);
    char *room = (char *)(e + 1);
    if (data.data != NULL) {
        memcpy(room, data.data, data.len);
        e->data = str_of(room, data.len);
    }
    if (extensions.data != NULL) {
        memcpy(room + data.len, extensions.data, extensions.len);
        e->extensions = str_of(room + data.len, extensions.len);
    }
    return e;
}

struct raft_entry *raft_entry_take(enum raft_entry_type type, struct str data, void *owned) {
    struct raft_entry *e = entry_alloc(type, 0);
    e->data = data;
    e->owned = owned;
    return e;
}

struct raft_entry *raft_entry_hold(struct raft_entry *e) {
    atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed);
    return e;
}

void raft_entry_release(struct raft_entry *e) {
    if (e == NULL)
        return;
    unsigned before = atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    mem_free(e->owned);
    mem_free(e);
}

size_t raft_entry_bytes(const struct raft_entry *e) {
    return sizeof *e + e->data.len + e->extensions.len;
}

bool raft_entry_is_configuration(uint8_t type) {
    return type == RAFT_ADD_PEER || type == RAFT_REMOVE_PEER || type == RAFT_CONFIGURATION;
}
