/* System calls, with their errors as negative numbers. */
#include "server/disk_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int result(int code) {
    return code < 0 ? -errno : code;
}

static int disk_open(void *owner, const char *path, enum disk_mode mode) {
    (void)owner;
    static const int flags[] = {
        [DISK_READ] = O_RDONLY, [DISK_WRITE] = O_RDWR, [DISK_CREATE] = O_RDWR | O_CREAT | O_TRUNC};
    return result(open(path, flags[mode] | O_CLOEXEC, 0600));
}

static void disk_close(void *owner, int handle) {
    (void)owner;
    close(handle);
}

static int64_t disk_pread(void *owner, int handle, void *out, size_t len, uint64_t offset) {
    (void)owner;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(handle, (char *)out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int disk_pwrite(void *owner, int handle, const void *data, size_t len, uint64_t offset) {
    (void)owner;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(handle, (const char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

static int disk_fdatasync(void *owner, int handle) {
    (void)owner;
    return result(fdatasync(handle));
}

static int64_t disk_size(void *owner, int handle) {
    (void)owner;
    struct stat st;
    return fstat(handle, &st) < 0 ? -errno : (int64_t)st.st_size;
}

static int disk_truncate(void *owner, int handle, uint64_t size) {
    (void)owner;
    return result(ftruncate(handle, (off_t)size));
}

static int disk_rename(void *owner, const char *from, const char *to) {
    (void)owner;
    return result(rename(from, to));
}

static int disk_unlink(void *owner, const char *path) {
    (void)owner;
    return result(unlink(path));
}

static int disk_mkdir(void *owner, const char *path) {
    (void)owner;
    return result(mkdir(path, 0755));
}

static int disk_rmdir(void *owner, const char *path) {
    (void)owner;
    return result(rmdir(path));
}

static int disk_list(void *owner, const char *path, void (*fn)(void *, const char *), void *arg) {
    (void)owner;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -errno;
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(arg, entry->d_name);
        errno = 0;
    }
    int code = -errno;
    closedir(dir);
    return code;
}

static int disk_sync_dir(void *owner, const char *path) {
    (void)owner;
    int handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0)
        return -errno;
    int code = result(fsync(handle));
    close(handle);
    return code;
}

struct disk_io disk_posix(void) {
    return (struct disk_io){.open = disk_open,
                            .close = disk_close,
                            .pread = disk_pread,
                            .pwrite = disk_pwrite,
                            .fdatasync = disk_fdatasync,
                            .size = disk_size,
                            .truncate = disk_truncate,
                            .rename = disk_rename,
                            .unlink = disk_unlink,
                            .mkdir = disk_mkdir,
                            .rmdir = disk_rmdir,
                            .list = disk_list,
                            .sync_dir = disk_sync_dir};
}
