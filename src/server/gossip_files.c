/* Files of a gossip pool. See gossip_files.h. */
#include "server/gossip_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/base64.h"

#define JOBS_MAX 1024

/* ---- whole files ---- */

static bool read_all(int fd, struct buf *out) {
    char piece[16384];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (out->len + (size_t)n > GOSSIP_FILE_MAX) {
            errno = EFBIG;
            return false;
        }
        buf_add(out, piece, (size_t)n);
    }
}

bool gossip_file_read(struct str path, struct arena *arena, struct str *out, struct error *e) {
    *out = STR_NONE;
    int fd = open(str_terminated(arena, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true;
    struct buf text = BUF_INIT;
    bool ok = fd >= 0 && read_all(fd, &text);
    if (!ok)
        error_set_errno(e, errno, "open " STR_FMT, STR_ARG(path));
    else
        *out = text.len > 0 ? str_copy(arena, buf_str(&text)) : STR("");
    if (fd >= 0)
        close(fd);
    buf_free(&text);
    return ok;
}

static bool write_all(int fd, struct str bytes) {
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = str_sub(bytes, (size_t)n, bytes.len);
    }
    return true;
}

/* The directories above the file. */
static void make_directories(char *path, mode_t mode) {
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, mode);
        *slash = '/';
    }
}

/* Writes beside it and renames. errno says why not. */
static bool replace_file(const char *path, const char *beside, mode_t mode, bool sync,
                         struct str bytes) {
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return false;
    bool ok = fchmod(fd, mode) == 0 && write_all(fd, bytes) && (!sync || fdatasync(fd) == 0);
    int code = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        code = errno;
    }
    if (ok && rename(beside, path) == 0)
        return true;
    errno = ok ? errno : code;
    return false;
}

bool gossip_keyring_store(struct str path, struct str text, struct error *e) {
    struct arena arena = ARENA_INIT;
    char *name = str_terminated(&arena, path);
    char *beside = str_terminated(&arena, str_format(&arena, "%s.tmp", name));
    make_directories(name, 0700);
    bool ok = replace_file(name, beside, 0600, true, text);
    if (!ok)
        error_set_errno(e, errno, "write %s", name);
    arena_free(&arena);
    return ok;
}

/* ---- the keyring at the start ---- */

static bool keyring_from_file(struct str path, struct str text, struct str key,
                              struct keyring *ring, struct error *e) {
    if (!keyring_parse(ring, text, e)) {
        if (str_is(e->text, "no keys present in keyring"))
            return error_set(e, ERROR_INTERNAL, "no keys present in keyring: " STR_FMT,
                             STR_ARG(path));
        return false;
    }
    if (key.len > 0 && !keyring_has(ring, key))
        log_at(LOG_WARN, "agent",
               " keyring doesn't include key provided with -encrypt, using "
               "keyring");
    return true;
}

bool gossip_keyring_load(struct str path, struct str encrypt, struct keyring *ring,
                         struct error *e) {
    struct arena arena = ARENA_INIT;
    struct str key = STR(""), text = STR_NONE;
    ring->len = 0;
    bool ok = encrypt.len == 0 || base64_decode(encrypt, &key, &arena, e);
    ok = ok && (path.len == 0 || gossip_file_read(path, &arena, &text, e));
    if (ok && text.data != NULL) {
        ok = keyring_from_file(path, text, key, ring, e);
    } else if (ok && key.len > 0) {
        struct buf out = BUF_INIT;
        ok = keyring_add(ring, key, e);
        if (ok && path.len > 0) {
            keyring_format(&out, ring, false);
            ok = gossip_keyring_store(path, buf_str(&out), e);
        }
        buf_free(&out);
    }
    arena_free(&arena);
    return ok;
}

/* ---- writing while running ---- */

struct gossip_files {
    struct loop loop;
    struct loop *core;
    struct arena arena;
    char *snapshot, *snapshot_beside; /* NULL: none */
    struct str keyring;
    bool broken; /* appending failed: the next replacement mends it */
};

struct file_job {
    struct message message;
    struct gossip_files *files;
    struct buf bytes;
    bool keyring, replace, sync;
    uint64_t sequence;
    void (*done)(void *owner, uint64_t sequence, struct str error);
    void *owner;
    struct arena arena;
    struct error error;
};

static void job_free(struct file_job *j) {
    buf_free(&j->bytes);
    struct arena arena = j->arena;
    arena_free(&arena);
    mem_free(j);
}

static bool append_file(struct gossip_files *f, bool sync, struct str bytes) {
    int fd = open(f->snapshot, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, bytes) && (!sync || fdatasync(fd) == 0);
    int code = errno;
    close(fd);
    errno = code;
    return ok;
}

static void snapshot_write(struct gossip_files *f, const struct file_job *j) {
    bool ok = j->replace
                  ? replace_file(f->snapshot, f->snapshot_beside, 0644, true, buf_str(&j->bytes))
                  : append_file(f, j->sync, buf_str(&j->bytes));
    if (!ok && !f->broken)
        log_at(LOG_ERROR, "agent.server", "serf: Failed to update snapshot",
               LOG_C("error", strerror(errno)));
    f->broken = !ok;
}

static void keyring_written(struct message *m) {
    struct file_job *j = CONTAINER_OF(m, struct file_job, message);
    j->done(j->owner, j->sequence, error_is_set(&j->error) ? j->error.text : STR(""));
    job_free(j);
}

static void job_run(struct message *m) {
    struct file_job *j = CONTAINER_OF(m, struct file_job, message);
    struct gossip_files *f = j->files;
    if (!j->keyring) {
        snapshot_write(f, j);
        job_free(j);
        return;
    }
    gossip_keyring_store(f->keyring, buf_str(&j->bytes), &j->error);
    j->message.run = keyring_written;
    loop_post_reply(f->core, &j->message);
}

static struct file_job *job_new(struct gossip_files *f, struct str bytes) {
    struct file_job *j = MEM_NEW(struct file_job);
    j->files = f;
    j->message.run = job_run;
    j->arena = ARENA_INIT;
    j->error = ERROR_IN(&j->arena);
    buf_add_str(&j->bytes, bytes);
    return j;
}

void gossip_files_snapshot(struct gossip_files *f, bool replace, bool sync, struct str bytes) {
    if (f == NULL || f->snapshot == NULL)
        return;
    struct file_job *j = job_new(f, bytes);
    j->replace = replace;
    j->sync = sync;
    if (!loop_post(&f->loop, &j->message))
        job_free(j); /* a disk that hangs: the file misses lines, and says less at the next start */
}

void gossip_files_keyring(struct gossip_files *f, struct str text,
                          void (*done)(void *owner, uint64_t sequence, struct str error),
                          void *owner, uint64_t sequence) {
    struct file_job *j = job_new(f, text);
    j->keyring = true;
    j->done = done;
    j->owner = owner;
    j->sequence = sequence;
    if (loop_post(&f->loop, &j->message))
        return;
    error_set(&j->error, ERROR_IO, "too many files wait to be written");
    j->message.run = keyring_written;
    loop_post_reply(f->core, &j->message);
}

struct gossip_files *gossip_files_start(struct loop *core, struct str snapshot, struct str keyring,
                                        struct error *e) {
    struct gossip_files *f = MEM_NEW(struct gossip_files);
    f->arena = ARENA_INIT;
    f->core = core;
    f->keyring = str_copy(&f->arena, keyring);
    if (snapshot.len > 0) {
        f->snapshot = str_terminated(&f->arena, snapshot);
        f->snapshot_beside =
            str_terminated(&f->arena, str_format(&f->arena, STR_FMT ".compact", STR_ARG(snapshot)));
        make_directories(f->snapshot, 0755);
    }
    if (!loop_init(&f->loop, "gossip-files", JOBS_MAX, e)) {
        arena_free(&f->arena);
        mem_free(f);
        return NULL;
    }
    if (loop_start(&f->loop, e))
        return f;
    gossip_files_free(f);
    return NULL;
}

void gossip_files_stop(struct gossip_files *f) {
    if (f == NULL)
        return;
    loop_stop(&f->loop);
    loop_join(&f->loop); /* freed later: the core may still be about to wake it */
}

void gossip_files_free(struct gossip_files *f) {
    if (f == NULL)
        return;
    loop_free(&f->loop);
    struct arena arena = f->arena;
    arena_free(&arena);
    mem_free(f);
}
