/* A disk in memory that behaves as badly as a real one may: what was not synced is, at a power cut,
 * there or not, sector by sector and name by name, in any order; calls fail when they are told to.
 * One seed decides everything. Header only, for tests.
 */
#ifndef PRAETOR_TESTS_SIM_DISK_H
#define PRAETOR_TESTS_SIM_DISK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "raft/disk.h"

#define SIM_SECTOR ((size_t)512)
#define SIM_NAMES 4096
#define SIM_HANDLES 4096

struct sim_inode {
    char *now, *durable; /* same capacity; bytes beyond a size are zero */
    uint64_t size, durable_size, cap;
    uint8_t *dirty; /* one a sector */
    unsigned links; /* names, now or durable, and handles */
};

struct sim_name {
    char path[200];
    struct sim_inode *inode; /* NULL: a directory */
};

struct sim_op { /* a change of names that is not durable yet */
    enum sim_op_kind { SIM_ADD, SIM_REMOVE, SIM_RENAME } kind;
    char from[200], to[200];
    struct sim_inode *inode;
    bool directory;
};

struct sim_disk {
    struct prng prng;
    struct sim_name now[SIM_NAMES], durable[SIM_NAMES];
    size_t now_count, durable_count;
    struct sim_op *ops;
    size_t op_count, op_cap;
    struct sim_inode *handles[SIM_HANDLES];
    uint64_t calls;
    uint64_t crash_at;    /* the call from which on everything fails; 0: none */
    unsigned fail_one_in; /* calls that fail at random; 0: none */
    bool fail_syncs;      /* whether syncs may be among them */
    bool fail_next_sync;
    uint64_t syncs;
    uint64_t failures; /* calls that failed because they were told to */
};

static inline bool sim_dead(struct sim_disk *d, bool sync) {
    d->calls++;
    if (d->crash_at > 0 && d->calls >= d->crash_at)
        return true;
    if (d->fail_one_in == 0 || (sync && !d->fail_syncs) ||
        prng_below(&d->prng, d->fail_one_in) != 0)
        return false;
    d->failures++;
    return true;
}

static inline int sim_error(struct sim_disk *d) {
    return prng_below(&d->prng, 2) == 0 ? -EIO : -ENOSPC;
}

static inline struct sim_name *sim_find(struct sim_name *names, size_t count, const char *path) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i].path, path) == 0)
            return &names[i];
    }
    return NULL;
}

static inline void sim_drop(struct sim_inode *i) {
    if (i == NULL || --i->links > 0)
        return;
    free(i->now);
    free(i->durable);
    free(i->dirty);
    free(i);
}

static inline void sim_set(struct sim_name *names, size_t *count, const char *path,
                           struct sim_inode *inode) {
    struct sim_name *n = sim_find(names, *count, path);
    if (inode != NULL)
        inode->links++;
    if (n == NULL) {
        ASSERT(*count < SIM_NAMES);
        n = &names[(*count)++];
        snprintf(n->path, sizeof n->path, "%s", path);
        n->inode = NULL;
    }
    sim_drop(n->inode);
    n->inode = inode;
}

static inline void sim_unset(struct sim_name *names, size_t *count, const char *path) {
    struct sim_name *n = sim_find(names, *count, path);
    if (n == NULL)
        return;
    sim_drop(n->inode);
    *n = names[--*count];
}

/* Directories move with all that is below them. */
static inline void sim_move(struct sim_name *names, size_t *count, const char *from,
                            const char *to) {
    size_t len = strlen(from);
    struct sim_name *n = sim_find(names, *count, from);
    if (n == NULL)
        return;
    if (n->inode != NULL) {
        struct sim_inode *inode = n->inode;
        inode->links++;
        sim_unset(names, count, from);
        sim_set(names, count, to, inode);
        sim_drop(inode);
        return;
    }
    for (size_t i = 0; i < *count; i++) {
        if (strncmp(names[i].path, from, len) == 0 &&
            (names[i].path[len] == 0 || names[i].path[len] == '/')) {
            char path[400];
            snprintf(path, sizeof path, "%s%s", to, names[i].path + len);
            ASSERT(strlen(path) < sizeof names[i].path);
            strcpy(names[i].path, path);
        }
    }
}

static inline struct sim_op *sim_op_add(struct sim_disk *d, enum sim_op_kind kind, const char *from,
                                        const char *to, struct sim_inode *inode) {
    if (d->op_count == d->op_cap) {
        d->op_cap = d->op_cap ? d->op_cap * 2 : 64;
        d->ops = mem_resize(d->ops, d->op_cap, sizeof *d->ops);
    }
    struct sim_op *op = &d->ops[d->op_count++];
    memset(op, 0, sizeof *op);
    op->kind = kind;
    snprintf(op->from, sizeof op->from, "%s", from);
    snprintf(op->to, sizeof op->to, "%s", to);
    op->inode = inode;
    if (inode != NULL)
        inode->links++;
    return op;
}

static inline void sim_op_apply(struct sim_disk *d, struct sim_op *op) {
    if (op->kind == SIM_ADD)
        sim_set(d->durable, &d->durable_count, op->from, op->inode);
    else if (op->kind == SIM_REMOVE)
        sim_unset(d->durable, &d->durable_count, op->from);
    else if (op->inode !=
             NULL) { /* the name that is durable names this file, not what had it before */
        sim_unset(d->durable, &d->durable_count, op->from);
        sim_set(d->durable, &d->durable_count, op->to, op->inode);
    } else
        sim_move(d->durable, &d->durable_count, op->from, op->to);
}

static inline void sim_grow(struct sim_inode *i, uint64_t size) {
    if (size <= i->cap)
        return;
    uint64_t cap = (size * 2 + SIM_SECTOR) / SIM_SECTOR * SIM_SECTOR;
    i->now = realloc(i->now, cap);
    i->durable = realloc(i->durable, cap);
    i->dirty = realloc(i->dirty, cap / SIM_SECTOR);
    memset(i->now + i->cap, 0, cap - i->cap);
    memset(i->durable + i->cap, 0, cap - i->cap);
    memset(i->dirty + i->cap / SIM_SECTOR, 0, (cap - i->cap) / SIM_SECTOR);
    i->cap = cap;
}

static inline int sim_open(void *owner, const char *path, enum disk_mode mode) {
    struct sim_disk *d = owner;
    if (sim_dead(d, false))
        return sim_error(d);
    struct sim_name *n = sim_find(d->now, d->now_count, path);
    if (n == NULL && mode != DISK_CREATE)
        return -ENOENT;
    struct sim_inode *inode = n != NULL ? n->inode : NULL;
    if (mode ==
        DISK_CREATE) { /* a new inode each time: emptying one in place is not what we rely on */
        inode = calloc(1, sizeof *inode);
        sim_set(d->now, &d->now_count, path, inode);
        sim_op_add(d, SIM_ADD, path, "", inode);
    }
    if (inode == NULL)
        return -EISDIR;
    for (int h = 0; h < SIM_HANDLES; h++) {
        if (d->handles[h] == NULL) {
            d->handles[h] = inode;
            inode->links++;
            return h;
        }
    }
    return -EMFILE;
}

static inline void sim_close(void *owner, int handle) {
    struct sim_disk *d = owner;
    sim_drop(d->handles[handle]);
    d->handles[handle] = NULL;
}

static inline int64_t sim_pread(void *owner, int handle, void *out, size_t len, uint64_t offset) {
    struct sim_disk *d = owner;
    if (sim_dead(d, false))
        return sim_error(d);
    struct sim_inode *i = d->handles[handle];
    if (offset >= i->size)
        return 0;
    if (len > i->size - offset)
        len = i->size - offset;
    memcpy(out, i->now + offset, len);
    return (int64_t)len;
}

static inline int sim_pwrite(void *owner, int handle, const void *data, size_t len,
                             uint64_t offset) {
    struct sim_disk *d = owner;
    struct sim_inode *i = d->handles[handle];
    bool dead = sim_dead(d, false);
    if (dead) /* part of it may have been written */
        len = prng_below(&d->prng, len + 1);
    sim_grow(i, offset + len);
    if (len > 0)
        memcpy(i->now + offset, data, len);
    for (uint64_t s = offset / SIM_SECTOR; len > 0 && s <= (offset + len - 1) / SIM_SECTOR; s++)
        i->dirty[s] = 1;
    if (len > 0 && offset + len > i->size)
        i->size = offset + len;
    return dead ? sim_error(d) : 0;
}

static inline int sim_sync(void *owner, int handle) {
    struct sim_disk *d = owner;
    struct sim_inode *i = d->handles[handle];
    d->syncs++;
    bool fail = d->fail_next_sync;
    d->fail_next_sync = false;
    d->failures += fail;
    if (sim_dead(d, true) || fail) {
        /* As Linux does: pages are marked clean although they may not have been written. */
        for (uint64_t s = 0; s < i->cap / SIM_SECTOR; s++) {
            if (i->dirty[s] && prng_below(&d->prng, 2) == 0) {
                memcpy(i->durable + s * SIM_SECTOR, i->now + s * SIM_SECTOR, SIM_SECTOR);
                i->dirty[s] = 0;
            }
        }
        return -EIO;
    }
    memcpy(i->durable, i->now, i->cap);
    memset(i->dirty, 0, i->cap / SIM_SECTOR);
    i->durable_size = i->size;
    return 0;
}

static inline int64_t sim_size(void *owner, int handle) {
    struct sim_disk *d = owner;
    return sim_dead(d, false) ? sim_error(d) : (int64_t)d->handles[handle]->size;
}

static inline int sim_truncate(void *owner, int handle, uint64_t size) {
    struct sim_disk *d = owner;
    if (sim_dead(d, false))
        return sim_error(d);
    struct sim_inode *i = d->handles[handle];
    sim_grow(i, size);
    if (size < i->size)
        memset(i->now + size, 0, i->size - size);
    i->size = size;
    return 0;
}

static inline int sim_rename(void *owner, const char *from, const char *to) {
    struct sim_disk *d = owner;
    if (sim_dead(d, false))
        return sim_error(d);
    struct sim_name *n = sim_find(d->now, d->now_count, from);
    if (n == NULL)
        return -ENOENT;
    struct sim_inode *inode = n->inode;
    sim_move(d->now, &d->now_count, from, to);
    sim_op_add(d, SIM_RENAME, from, to, inode);
    return 0;
}

static inline int sim_unlink(void *owner, const char *path) {
    struct sim_disk *d = owner;
    if (sim_dead(d, false))
        return sim_error(d);
    if (sim_find(d->now, d->now_count, path) == NULL)
        return -ENOENT;
    sim_unset(d->now, &d->now_count, path);
    sim_op_add(d, SIM_REMOVE, path, "", NULL);
    return 0;
}

static inline int sim_mkdir(void *owner, const char *path) {
    struct sim_disk *d = owner;
    if (sim_dead(d, false))
        return sim_error(d);
    if (sim_find(d->now, d->now_count, path) != NULL)
        return -EEXIST;
    sim_set(d->now, &d->now_count, path, NULL);
    sim_op_add(d, SIM_ADD, path, "", NULL);
    return 0;
}

static inline int sim_list(void *owner, const char *path, void (*fn)(void *, const char *),
                           void *arg) {
    struct sim_disk *d = owner;
    if (sim_dead(d, false))
        return sim_error(d);
    size_t len = strlen(path);
    for (size_t i = 0; i < d->now_count; i++) {
        const char *p = d->now[i].path;
        if (strncmp(p, path, len) == 0 && p[len] == '/' && strchr(p + len + 1, '/') == NULL)
            fn(arg, p + len + 1);
    }
    return 0;
}

static inline int sim_sync_dir(void *owner, const char *path) {
    struct sim_disk *d = owner;
    (void)path; /* all names at once: stricter tests would keep directories apart */
    if (sim_dead(d, true))
        return -EIO;
    for (size_t i = 0; i < d->op_count; i++) {
        sim_op_apply(d, &d->ops[i]);
        sim_drop(d->ops[i].inode);
    }
    d->op_count = 0;
    return 0;
}

static inline struct disk_io sim_disk_io(struct sim_disk *d) {
    return (struct disk_io){.owner = d,
                            .open = sim_open,
                            .close = sim_close,
                            .pread = sim_pread,
                            .pwrite = sim_pwrite,
                            .fdatasync = sim_sync,
                            .size = sim_size,
                            .truncate = sim_truncate,
                            .rename = sim_rename,
                            .unlink = sim_unlink,
                            .mkdir = sim_mkdir,
                            .rmdir = sim_unlink,
                            .list = sim_list,
                            .sync_dir = sim_sync_dir};
}

static inline struct sim_disk *sim_disk_new(uint64_t seed) {
    struct sim_disk *d = calloc(1, sizeof *d);
    prng_seed(&d->prng, seed);
    return d;
}

static inline void sim_inode_cut_power(struct sim_disk *d, struct sim_inode *i) {
    uint64_t size = i->durable_size;
    if (i->size > size) /* a file that grew has any size in between */
        size += prng_below(&d->prng, i->size - size + 1);
    else if (i->size < size && prng_below(&d->prng, 2) == 0)
        size = i->size;
    for (uint64_t s = 0; s < i->cap / SIM_SECTOR; s++) {
        if (!i->dirty[s])
            continue;
        uint64_t kind = prng_below(&d->prng, 5);
        size_t n = kind < 2 ? 0 : kind < 4 ? SIM_SECTOR : prng_below(&d->prng, SIM_SECTOR + 1);
        memcpy(i->durable + s * SIM_SECTOR, i->now + s * SIM_SECTOR, n);
        i->dirty[s] = 0;
    }
    if (size < i->cap)
        memset(i->durable + size, 0, i->cap - size);
    i->durable_size = i->size = size;
    memcpy(i->now, i->durable, i->cap);
}

/* The power goes and comes back. All handles must have been closed. */
static inline void sim_disk_cut_power(struct sim_disk *d) {
    for (size_t i = 0; i < d->op_count; i++) {
        struct sim_op *op = &d->ops[i];
        if (prng_below(&d->prng, 2) == 0)
            sim_op_apply(d, op);
        sim_drop(op->inode);
    }
    d->op_count = 0;
    while (d->now_count > 0)
        sim_unset(d->now, &d->now_count, d->now[0].path);
    for (size_t i = 0; i < d->durable_count; i++) {
        if (d->durable[i].inode != NULL)
            sim_inode_cut_power(d, d->durable[i].inode);
        sim_set(d->now, &d->now_count, d->durable[i].path, d->durable[i].inode);
    }
    d->crash_at = 0;
    d->calls = 0;
}

static inline void sim_disk_free(struct sim_disk *d) {
    for (size_t i = 0; i < d->op_count; i++)
        sim_drop(d->ops[i].inode);
    while (d->now_count > 0)
        sim_unset(d->now, &d->now_count, d->now[0].path);
    while (d->durable_count > 0)
        sim_unset(d->durable, &d->durable_count, d->durable[0].path);
    mem_free(d->ops);
    free(d);
}

#endif
