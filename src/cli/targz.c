/* Writing a gzipped tar with libarchive: see targz.h.
 */
#include "cli/targz.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"

#define ARCHIVE_MODE 0600 /* logs and settings of an agent are nobody else's business */

struct writer {
    struct archive *to;
    struct archive_entry *entry;
    struct error *e;
};

static bool tar_failed(struct writer *w) {
    const char *text = archive_error_string(w->to);
    return error_set(w->e, ERROR_IO, "%s", text != NULL ? text : "the archive cannot be written");
}

/* size bytes and no more, even if the file grows. */
static bool copy_content(struct writer *w, const char *path, int64_t size) {
    char bytes[16384];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(w->e, ERROR_IO, "open %s: %s", path, errno_text(errno));
    bool ok = true;
    while (ok && size > 0) {
        size_t want = size < (int64_t)sizeof(bytes) ? (size_t)size : sizeof(bytes);
        ssize_t got = read(fd, bytes, want);
        if (got <= 0)
            ok = error_set(w->e, ERROR_IO, "read %s: %s", path,
                           got < 0 ? errno_text(errno) : "unexpected EOF");
        else if (archive_write_data(w->to, bytes, (size_t)got) != got)
            ok = tar_failed(w);
        size -= got;
    }
    close(fd);
    return ok;
}

static bool add(struct writer *w, const FTSENT *found, const char *name) {
    const struct stat *info = found->fts_statp;
    bool is_file = found->fts_info == FTS_F;
    archive_entry_clear(w->entry);
    archive_entry_set_pathname(w->entry, name);
    archive_entry_set_filetype(w->entry, is_file ? AE_IFREG : AE_IFDIR);
    archive_entry_set_perm(w->entry, info->st_mode & 0777);
    archive_entry_set_mtime(w->entry, info->st_mtime, 0);
    archive_entry_set_size(w->entry, is_file ? info->st_size : 0);
    if (archive_write_header(w->to, w->entry) != ARCHIVE_OK)
        return tar_failed(w);
    return !is_file || copy_content(w, found->fts_accpath, info->st_size);
}

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Names begin with the last part of the path. */
static bool add_all(struct writer *w, const char *path, struct arena *arena) {
    char *plain = str_terminated(arena, str_from(path));
    size_t len = strlen(plain);
    while (len > 1 && plain[len - 1] == '/')
        plain[--len] = '\0';
    const char *slash = strrchr(plain, '/');
    size_t skip = slash != NULL ? (size_t)(slash + 1 - plain) : 0;
    char *roots[] = {plain, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (walk == NULL)
        return error_set(w->e, ERROR_IO, "open %s: %s", path, errno_text(errno));
    bool ok = true;
    for (FTSENT *found; ok && (found = fts_read(walk)) != NULL;)
        if (found->fts_info == FTS_F || found->fts_info == FTS_D)
            ok = add(w, found, found->fts_path + skip);
    fts_close(walk);
    return ok;
}

bool targz_write(const char *path, const char *archive, struct arena *arena, struct error *e) {
    char *temporary = str_terminated(arena, str_format(arena, "%s.tmpXXXXXX", archive));
    int fd = mkostemp(temporary, O_CLOEXEC); /* ARCHIVE_MODE */
    if (fd < 0)
        return error_set(e, ERROR_IO, "open %s: %s", temporary, errno_text(errno));
    struct writer w = {archive_write_new(), archive_entry_new(), e};
    archive_write_add_filter_gzip(w.to);
    archive_write_set_format_pax_restricted(w.to);
    bool ok = fchmod(fd, ARCHIVE_MODE) == 0;
    ok = ok && (archive_write_open_fd(w.to, fd) == ARCHIVE_OK || tar_failed(&w));
    ok = ok && add_all(&w, path, arena);
    ok = ok && (archive_write_close(w.to) == ARCHIVE_OK || tar_failed(&w));
    archive_entry_free(w.entry);
    archive_write_free(w.to);
    ok = close(fd) == 0 && ok;
    if (ok && rename(temporary, archive) == 0)
        return true;
    if (!error_is_set(e))
        error_set(e, ERROR_IO, "write %s: %s", archive, errno_text(errno));
    unlink(temporary);
    return false;
}

bool directory_remove(const char *path, struct error *e) {
    char *roots[] = {(char *)(uintptr_t)path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    bool ok = walk != NULL;
    for (FTSENT *found; walk != NULL && (found = fts_read(walk)) != NULL;)
        if (found->fts_info != FTS_D && remove(found->fts_accpath) != 0)
            ok = false;
    if (walk != NULL)
        fts_close(walk);
    return ok || error_set(e, ERROR_IO, "remove %s: %s", path, errno_text(errno));
}
