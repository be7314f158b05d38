/* Opening, marking, retiring and closing LMDB environments (env.h). Not the transactions in them.
 */
#include "store/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 4096
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define CLEAN_MARK "clean"

bool error_set_lmdb(struct error *e, int rc, const char *what) {
    return error_set(e, rc == ENOSPC || rc == EIO || rc == MDB_MAP_FULL ? ERROR_IO : ERROR_INTERNAL,
                     "state store: %s: %s", what, mdb_strerror(rc));
}

static bool env_path(const struct store *s, unsigned number, char path[PATH_ROOM]) {
    int n = snprintf(path, PATH_ROOM, "%s/state-%u", s->directory, number);
    return n > 0 && n < PATH_ROOM - 16; /* room for LMDB's file names */
}

/* ---- memory-backed files ---- */

/* A directory whose data.mdb and lock.mdb lead to files that exist in memory only. LMDB opens by
 * name; once it has, the names are taken away again. */
static bool memory_directory(char path[PATH_ROOM], int fds[2], struct error *e) {
    const char *temporary = getenv("TMPDIR");
    const char *bases[] = {"/dev/shm", temporary != NULL ? temporary : "/tmp", "/tmp"};
    bool made = false;
    for (size_t i = 0; i < COUNT_OF(bases) && !made; i++) {
        int n = snprintf(path, PATH_ROOM, "%s/praetor-XXXXXX", bases[i]);
        made = n > 0 && n < PATH_ROOM - 16 && mkdtemp(path) != NULL;
    }
    if (!made)
        return error_set_errno(e, errno, "state store: no directory for temporary files");
    static const char *const names[2] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < 2; i++) {
        char target[64], link[PATH_ROOM + 32];
        /* Without memfd or /proc the files are real ones in that directory, unlinked when open. */
        if ((fds[i] = memfd_create(names[i], MFD_CLOEXEC)) < 0)
            continue;
        snprintf(target, sizeof target, "/proc/self/fd/%d", fds[i]);
        snprintf(link, sizeof link, "%s/%s", path, names[i]);
        if (access(target, F_OK) == 0 && symlink(target, link) == 0)
            continue;
        close(fds[i]);
        fds[i] = -1;
    }
    return true;
}

static void memory_directory_remove(const char *path, int fds[2]) {
    static const char *const names[2] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < 2; i++) {
        char file[PATH_ROOM + 32];
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
        if (fds[i] >= 0)
            close(fds[i]);
    }
    rmdir(path);
}

/* ---- environments ---- */

static bool env_configure(struct store_env *env, const struct store *s, struct error *e) {
    int rc = mdb_env_create(&env->mdb);
    if (rc != 0)
        return error_set_lmdb(e, rc, "create");
    rc = mdb_env_set_mapsize(env->mdb, (size_t)s->map_size);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(env->mdb, s->slot_count + 16);
    return rc == 0 || error_set_lmdb(e, rc, "configure");
}

static bool env_open_root(struct store_env *env, struct error *e) {
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (rc != 0)
        return error_set_lmdb(e, rc, "first transaction");
    rc = mdb_dbi_open(txn, NULL, 0, &env->dbi);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return error_set_lmdb(e, rc, "open tree");
    }
    ASSERT(env->dbi == 1); /* tables.c counts on it */
    rc = mdb_txn_commit(txn);
    return rc == 0 || error_set_lmdb(e, rc, "first commit");
}

struct store_env *env_open(const struct store *s, unsigned number, struct error *e) {
    char path[PATH_ROOM];
    int fds[2] = {-1, -1};
    struct store_env *env = MEM_NEW(struct store_env);
    env->number = number;
    bool ok = env_configure(env, s, e);
    if (ok && number == 0) {
        ok = memory_directory(path, fds, e);
    } else if (ok) {
        ok = env_path(s, number, path) || error_set(e, ERROR_IO, "state store: path too long");
        if (ok && mkdir(path, 0700) != 0 && errno != EEXIST) {
            ok = error_set_errno(e, errno, "state store: mkdir %s", path);
        }
    }
    if (ok) {
        /* The log is the durable truth: nothing here needs to reach the disk in order. */
        int rc = mdb_env_open(env->mdb, path, MDB_NOSYNC | MDB_NOMETASYNC | MDB_NOTLS, 0600);
        if (number == 0)
            memory_directory_remove(path, fds);
        ok = rc == 0 ? env_open_root(env, e) : error_set_lmdb(e, rc, "open");
    }
    if (ok)
        return env;
    env_close(env);
    return NULL;
}

void env_close(struct store_env *env) {
    if (env == NULL)
        return;
    if (env->mdb != NULL)
        mdb_env_close(env->mdb);
    mem_free(env);
}

void env_remove_files(const struct store *s, unsigned number) {
    if (number == 0)
        return;
    char path[PATH_ROOM], file[PATH_ROOM + 32];
    if (!env_path(s, number, path))
        return;
    snprintf(file, sizeof file, "%s/data.mdb", path);
    unlink(file);
    snprintf(file, sizeof file, "%s/lock.mdb", path);
    unlink(file);
    rmdir(path);
}

/* Whether no reader uses the environment any more, after ending the idle slots' transactions in it.
 * It is not the current one, so nobody begins a new read there. */
static bool env_unused(struct store *s, const struct store_env *env) {
    bool unused = true;
    for (unsigned i = 0; i < s->slot_count; i++) {
        struct reader_slot *slot = &s->slots[i];
        if (atomic_exchange(&slot->taken, true)) {
            /* Busy. If it is busy elsewhere but still keeps an idle transaction of this
             * environment, its owner ends that one (store_read_begin): wait for it too. */
            if (atomic_load(&slot->env) == env || atomic_load(&slot->txn_env) == env)
                unused = false;
            continue;
        }
        if (atomic_load(&slot->txn_env) == env) {
            mdb_txn_abort(slot->txn);
            slot->txn = NULL;
            atomic_store(&slot->txn_env, NULL);
        }
        atomic_store(&slot->taken, false);
    }
    return unused;
}

void env_close_retired(struct store *s) {
    struct store_env **link = &s->retired;
    while (*link != NULL) {
        struct store_env *env = *link;
        if (!env_unused(s, env)) {
            link = &env->next_retired;
            continue;
        }
        *link = env->next_retired;
        env_close(env);
    }
}

void env_retire(struct store *s, struct store_env *env) {
    env_remove_files(s, env->number); /* open files live on without their names */
    env->next_retired = s->retired;
    s->retired = env;
    env_close_retired(s);
}

/* ---- the mark ---- */

static bool boot_id(char out[64]) {
    int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, 63);
    close(fd);
    if (n <= 0)
        return false;
    out[n] = '\0';
    out[strcspn(out, "\n ")] = '\0';
    return out[0] != '\0';
}

unsigned mark_read(const struct store *s) {
    char path[PATH_ROOM + 32], text[128], boot[64], word[64];
    unsigned number = 0;
    snprintf(path, sizeof path, "%s/current", s->directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%63s %u", word, &number) != 2)
        return 0;
    if (strcmp(word, CLEAN_MARK) == 0)
        return number;
    return boot_id(boot) && strcmp(word, boot) == 0 ? number : 0;
}

void mark_remove(const struct store *s) {
    char path[PATH_ROOM + 32];
    if (s->directory == NULL)
        return;
    snprintf(path, sizeof path, "%s/current", s->directory);
    unlink(path);
}

static bool sync_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

/* Durable when it returns: a mark that says "clean" must not survive the first write after it. On a
 * full disk no mark will do as well: the next start does not trust the state then. */
bool mark_write(const struct store *s, unsigned number, bool clean, struct error *e) {
    char path[PATH_ROOM + 32], fresh[PATH_ROOM + 32], text[128], boot[64];
    const char *word = clean ? CLEAN_MARK : boot_id(boot) ? boot : "unknown";
    snprintf(path, sizeof path, "%s/current", s->directory);
    snprintf(fresh, sizeof fresh, "%s/current.new", s->directory);
    int len = snprintf(text, sizeof text, "%s %u\n", word, number);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(e, errno, "state store: %s", fresh);
    bool ok = write(fd, text, (size_t)len) == len && fsync(fd) == 0;
    int saved = errno;
    close(fd);
    if (ok && (rename(fresh, path) != 0 || !sync_directory(s->directory))) {
        saved = errno;
        ok = false;
    }
    if (!ok && saved == ENOSPC && !clean) {
        unlink(fresh);
        ok = (unlink(path) == 0 || errno == ENOENT) && sync_directory(s->directory);
    }
    return ok || error_set_errno(e, saved, "state store: %s", path);
}
