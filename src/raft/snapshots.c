/* The directory of snapshots: listing, writing, keeping the newest. meta.json: snapshot_meta.c. */
#include "raft/snapshots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "raft/checksum.h"

#define WRITE_BUFFER ((size_t)256 << 10)
#define NAMES_MAX 10000

struct snapshots {
    struct disk_io io;
    char *directory;
};

struct snapshot_writer {
    struct snapshots *s;
    char *path; /* of the .tmp directory */
    int handle;
    struct buf waiting;
    uint64_t written;
    uint64_t crc;
};

/* directory/name/file, to be freed. */
static char *path_of(const struct snapshots *s, struct str name, const char *file) {
    size_t len = strlen(s->directory) + name.len + strlen(file) + 3;
    char *path = mem_alloc(len);
    snprintf(path, len, "%s/" STR_FMT "%s%s", s->directory, STR_ARG(name), file[0] ? "/" : "",
             file);
    return path;
}

/* ---- names ---- */

struct names {
    struct arena *arena;
    struct str *items;
    size_t count;
};

static void on_name(void *arg, const char *name) {
    struct names *n = arg;
    if (n->count < NAMES_MAX)
        n->items[n->count++] = str_copy(n->arena, str_from(name));
}

static bool names_of(struct snapshots *s, struct names *n, struct arena *arena, struct error *e) {
    *n = (struct names){.arena = arena, .items = ARENA_ARRAY(arena, struct str, NAMES_MAX)};
    int code = s->io.list(s->io.owner, s->directory, on_name, n);
    if (code < 0)
        return error_set_errno(e, -code, "failed to scan snapshot directory %s", s->directory);
    return true;
}

static int remove_file(struct snapshots *s, struct str id, const char *file) {
    char *path = path_of(s, id, file);
    int code = s->io.unlink(s->io.owner, path);
    mem_free(path);
    return code == -ENOENT ? 0 : code;
}

/* meta.json goes first, for good: without it the rest is no snapshot any more. */
bool snapshots_remove(struct snapshots *s, struct str id, struct error *e) {
    char *path = path_of(s, id, "");
    int code = remove_file(s, id, "meta.json");
    if (code >= 0)
        code = s->io.sync_dir(s->io.owner, path);
    if (code >= 0)
        code = remove_file(s, id, "state.bin");
    if (code >= 0)
        code = s->io.rmdir(s->io.owner, path);
    if (code < 0)
        error_set_errno(e, -code, "failed to remove snapshot %s", path);
    mem_free(path);
    return code >= 0;
}

/* What a removal left that did not come to its end: a snapshot's name without a meta.json. */
static bool is_remains(struct snapshots *s, struct str name) {
    struct str rest = name;
    uint64_t number;
    for (int i = 0; i < 3; i++) {
        if (!str_to_u64(str_cut(&rest, '-'), &number))
            return false;
    }
    if (rest.data != NULL)
        return false;
    char *path = path_of(s, name, "meta.json");
    int handle = s->io.open(s->io.owner, path, DISK_READ);
    mem_free(path);
    if (handle >= 0)
        s->io.close(s->io.owner, handle);
    return handle == -ENOENT;
}

struct snapshots *snapshots_open(const struct disk_io *io, const char *directory, struct error *e) {
    int code = io->mkdir(io->owner, directory);
    if (code < 0 && code != -EEXIST) {
        error_set_errno(e, -code, "snapshot path not accessible: %s", directory);
        return NULL;
    }
    struct snapshots *s = MEM_NEW(struct snapshots);
    s->io = *io;
    s->directory = mem_strdup(directory);
    struct arena arena = ARENA_INIT;
    struct names names;
    bool ok = names_of(s, &names, &arena, e);
    for (size_t i = 0; ok && i < names.count; i++) {
        struct error ignored = ERROR_IN(&arena); /* what cannot be removed is in nobody's way */
        if (str_has_suffix(names.items[i], STR(".tmp")) || is_remains(s, names.items[i]))
            (void)snapshots_remove(s, names.items[i], &ignored);
    }
    arena_free(&arena);
    if (ok)
        return s;
    snapshots_close(s);
    return NULL;
}

void snapshots_close(struct snapshots *s) {
    if (s == NULL)
        return;
    mem_free(s->directory);
    mem_free(s);
}

/* ---- listing ---- */

static bool read_file(struct snapshots *s, const char *path, struct str *out, struct arena *arena) {
    int handle = s->io.open(s->io.owner, path, DISK_READ);
    if (handle < 0)
        return false;
    int64_t size = s->io.size(s->io.owner, handle);
    bool ok = size >= 0 && size <= (int64_t)SNAPSHOT_META_MAX;
    if (ok) {
        char *data = arena_alloc(arena, (size_t)size);
        ok = s->io.pread(s->io.owner, handle, data, (size_t)size, 0) == size;
        *out = str_of(data, (size_t)size);
    }
    s->io.close(s->io.owner, handle);
    return ok;
}

/* Version 0 has only Peers and is never written by anything that is still about: not used. */
static bool load_meta(struct snapshots *s, struct str name, struct snapshot_meta *m,
                      struct arena *arena) {
    struct str text;
    char *path = path_of(s, name, "meta.json");
    struct error ignored = ERROR_IN(arena);
    bool ok = read_file(s, path, &text, arena) && snapshot_meta_read(text, m, arena, &ignored);
    mem_free(path);
    if (!ok)
        return false;
    if (m->version == 1 && str_eq(m->id, name) && m->configuration != NULL)
        return true;
    snapshot_meta_free(m);
    return false;
}

static int newest_first(const void *a, const void *b) {
    const struct snapshot_meta *x = a, *y = b;
    if (x->term != y->term)
        return x->term > y->term ? -1 : 1;
    if (x->index != y->index)
        return x->index > y->index ? -1 : 1;
    return str_compare(y->id, x->id);
}

bool snapshots_list(struct snapshots *s, struct snapshot_meta **metas, size_t *count,
                    size_t *skipped, struct arena *arena, struct error *e) {
    struct names names;
    *count = *skipped = 0;
    if (!names_of(s, &names, arena, e))
        return false;
    *metas = ARENA_ARRAY(arena, struct snapshot_meta, names.count + 1);
    for (size_t i = 0; i < names.count; i++) {
        if (str_has_suffix(names.items[i], STR(".tmp")) || str_is(names.items[i], "permTest"))
            continue;
        if (load_meta(s, names.items[i], &(*metas)[*count], arena))
            (*count)++;
        else
            (*skipped)++;
    }
    if (*count > 1)
        qsort(*metas, *count, sizeof **metas, newest_first);
    return true;
}

int snapshots_open_state(struct snapshots *s, struct str id, struct error *e) {
    char *path = path_of(s, id, "state.bin");
    int handle = s->io.open(s->io.owner, path, DISK_READ);
    if (handle < 0)
        error_set_errno(e, -handle, "failed to open state file %s", path);
    mem_free(path);
    return handle;
}

bool snapshots_reap(struct snapshots *s, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct snapshot_meta *metas = NULL;
    size_t count, skipped;
    bool ok = snapshots_list(s, &metas, &count, &skipped, &arena, e);
    for (size_t i = 0; ok && i < count; i++) {
        if (i >= SNAPSHOTS_KEPT)
            ok = snapshots_remove(s, metas[i].id, e);
    }
    for (size_t i = 0; i < count; i++)
        snapshot_meta_free(&metas[i]);
    arena_free(&arena);
    return ok;
}

bool snapshots_remove_others(struct snapshots *s, uint64_t index, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct snapshot_meta *metas = NULL;
    size_t count, skipped;
    bool ok = snapshots_list(s, &metas, &count, &skipped, &arena, e);
    size_t newer = 0;
    while (ok && newer < count && metas[newer].index != index)
        newer++;
    if (ok && index > 0 && newer == count)
        ok = error_set(e, ERROR_IO, "the snapshot at %llu cannot be read",
                       (unsigned long long)index);
    for (size_t i = 0; ok && i < newer; i++)
        ok = snapshots_remove(s, metas[i].id, e);
    for (size_t i = 0; i < count; i++)
        snapshot_meta_free(&metas[i]);
    arena_free(&arena);
    return ok;
}

/* ---- writing ---- */

struct snapshot_writer *snapshot_writer_new(struct snapshots *s, const char *name,
                                            struct error *e) {
    struct arena arena = ARENA_INIT;
    struct snapshot_writer *w = MEM_NEW(struct snapshot_writer);
    w->s = s;
    w->path = path_of(s, str_format(&arena, "%s.tmp", name), "");
    w->handle = -1;
    arena_free(&arena);
    int code = s->io.mkdir(s->io.owner, w->path);
    if (code >= 0 || code == -EEXIST) {
        char *state = mem_alloc(strlen(w->path) + 16);
        sprintf(state, "%s/state.bin", w->path);
        code = w->handle = s->io.open(s->io.owner, state, DISK_CREATE);
        mem_free(state);
    }
    if (code >= 0)
        return w;
    error_set_errno(e, -code, "failed to create snapshot %s", w->path);
    snapshot_writer_abort(w);
    return NULL;
}

static bool writer_flush(struct snapshot_writer *w, struct error *e) {
    struct str bytes = buf_str(&w->waiting);
    if (bytes.len == 0)
        return true;
    int code = w->s->io.pwrite(w->s->io.owner, w->handle, bytes.data, bytes.len, w->written);
    if (code < 0)
        return error_set_errno(e, -code, "failed to write snapshot %s", w->path);
    w->written += bytes.len;
    w->crc = crc64_ecma(w->crc, bytes.data, bytes.len);
    buf_clear(&w->waiting);
    return true;
}

bool snapshot_writer_add(struct snapshot_writer *w, struct str bytes, struct error *e) {
    buf_add_str(&w->waiting, bytes);
    return w->waiting.len < WRITE_BUFFER || writer_flush(w, e);
}

bool snapshot_writer_sync(struct snapshot_writer *w, struct error *e) {
    if (!writer_flush(w, e))
        return false;
    int code = w->s->io.fdatasync(w->s->io.owner, w->handle);
    return code >= 0 || error_set_errno(e, -code, "failed to sync snapshot %s", w->path);
}

uint64_t snapshot_writer_size(const struct snapshot_writer *w) {
    return w->written + w->waiting.len;
}

static bool write_meta(struct snapshot_writer *w, const struct snapshot_meta *m, struct error *e) {
    struct disk_io *io = &w->s->io;
    char *path = mem_alloc(strlen(w->path) + 16);
    sprintf(path, "%s/meta.json", w->path);
    struct buf text = BUF_INIT;
    snapshot_meta_write(m, true, &text);
    int handle = io->open(io->owner, path, DISK_CREATE);
    int code = handle;
    if (code >= 0)
        code = io->pwrite(io->owner, handle, text.data, text.len, 0);
    if (code >= 0)
        code = io->fdatasync(io->owner, handle);
    if (handle >= 0)
        io->close(io->owner, handle);
    if (code < 0)
        error_set_errno(e, -code, "failed to write %s", path);
    buf_free(&text);
    mem_free(path);
    return code >= 0;
}

static bool writer_publish(struct snapshot_writer *w, const struct snapshot_meta *m,
                           struct error *e) {
    struct disk_io *io = &w->s->io;
    int code = io->fdatasync(io->owner, w->handle);
    if (code < 0)
        return error_set_errno(e, -code, "failed to sync snapshot %s", w->path);
    if (!write_meta(w, m, e))
        return false;
    char *final = path_of(w->s, m->id, "");
    code = io->sync_dir(io->owner, w->path); /* the files' names, before the directory counts */
    if (code >= 0)
        code = io->rename(io->owner, w->path, final);
    if (code >= 0)
        code = io->sync_dir(io->owner, w->s->directory);
    if (code < 0)
        error_set_errno(e, -code, "failed to move snapshot into place: %s", final);
    mem_free(final);
    return code >= 0;
}

static void writer_free(struct snapshot_writer *w) {
    if (w->handle >= 0)
        w->s->io.close(w->s->io.owner, w->handle);
    buf_free(&w->waiting);
    mem_free(w->path);
    mem_free(w);
}

bool snapshot_writer_finish(struct snapshot_writer *w, struct snapshot_meta *m, int64_t now_ms,
                            struct arena *arena, struct error *e) {
    bool ok = writer_flush(w, e);
    if (ok) {
        m->version = 1;
        m->id = str_format(arena, "%llu-%llu-%lld", (unsigned long long)m->term,
                           (unsigned long long)m->index, (long long)now_ms);
        m->size = (int64_t)w->written;
        m->has_crc = true;
        m->crc = w->crc;
        ok = writer_publish(w, m, e);
    }
    if (!ok) {
        snapshot_writer_abort(w);
        return false;
    }
    writer_free(w);
    return true;
}

void snapshot_writer_abort(struct snapshot_writer *w) {
    if (w == NULL)
        return;
    struct arena arena = ARENA_INIT;
    struct error ignored = ERROR_IN(&arena);
    const char *name = strrchr(w->path, '/') + 1;
    (void)snapshots_remove(w->s, str_from(name),
                           &ignored); /* the next start removes it otherwise */
    arena_free(&arena);
    writer_free(w);
}
