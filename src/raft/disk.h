/* The disk as a struct of functions, so that the log and the snapshots run on a real one
 * (server/disk_posix.c) and on a simulated one that tears, drops and reorders what was not synced.
 * Paths are complete. All functions return >= 0, or a negative errno.
 */
#ifndef PRAETOR_RAFT_DISK_H
#define PRAETOR_RAFT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_mode {
    DISK_READ,   /* an existing file */
    DISK_WRITE,  /* an existing file, to read and write */
    DISK_CREATE, /* to read and write; empty, whatever was there */
};

struct disk_io {
    void *owner;
    int (*open)(void *owner, const char *path, enum disk_mode mode); /* returns a handle */
    void (*close)(void *owner, int handle);
    /* Bytes read; less than len only at the end of the file. */
    int64_t (*pread)(void *owner, int handle, void *out, size_t len, uint64_t offset);
    /* All or an error (after which any part may have been written). */
    int (*pwrite)(void *owner, int handle, const void *data, size_t len, uint64_t offset);
    /* After an error nothing is known of what was written since the last success. */
    int (*fdatasync)(void *owner, int handle);
    int64_t (*size)(void *owner, int handle);
    int (*truncate)(void *owner, int handle, uint64_t size);
    int (*rename)(void *owner, const char *from, const char *to);
    int (*unlink)(void *owner, const char *path);
    int (*mkdir)(void *owner, const char *path); /* -EEXIST when it is there */
    int (*rmdir)(void *owner, const char *path);
    /* Calls fn for each name in a directory, in any order; not for "." and "..". */
    int (*list)(void *owner, const char *path, void (*fn)(void *arg, const char *name), void *arg);
    /* Makes creations, renames and removals in a directory durable. */
    int (*sync_dir)(void *owner, const char *path);
};

#endif
