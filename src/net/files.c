/* See files.h. */
#include "net/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/fault.h"

bool file_text(struct str path, struct str *out, struct arena *arena, struct error *e) {
    int fd = open(str_terminated(arena, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(e, ERROR_IO, "open " STR_FMT ": " STR_FMT, STR_ARG(path),
                         STR_ARG(fault_errno(arena, errno)));
    struct buf text = BUF_INIT;
    ssize_t got = 0;
    while (text.len <= FILE_TEXT_MAX && (got = read(fd, buf_reserve(&text, 8192), 8192)) > 0)
        text.len += (size_t)got;
    int number = errno;
    close(fd);
    if (got < 0)
        error_set(e, ERROR_IO, "read " STR_FMT ": " STR_FMT, STR_ARG(path),
                  STR_ARG(fault_errno(arena, number)));
    else if (text.len > FILE_TEXT_MAX)
        error_set(e, ERROR_TOO_LARGE, STR_FMT " has more than %zu bytes", STR_ARG(path),
                  FILE_TEXT_MAX);
    else
        *out = text.len > 0 ? str_copy(arena, buf_str(&text)) : STR("");
    bool ok = got >= 0 && text.len <= FILE_TEXT_MAX;
    buf_free(&text);
    return ok;
}

/* ---- folders ---- */

struct names {
    struct arena *arena;
    struct str *items;
    size_t len, cap;
};

static int by_name(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* ftw has no argument for its caller. */
static _Thread_local struct names *walked;

static int walk(const char *path, const struct stat *info, int kind, struct FTW *where) {
    struct names *n = walked;
    (void)info;
    (void)where;
    if (kind != FTW_F || n->len == FILES_BELOW_MAX)
        return 0;
    if (n->len == n->cap) {
        n->cap = n->cap == 0 ? 16 : n->cap * 2;
        n->items = mem_resize(n->items, n->cap, sizeof(*n->items));
    }
    n->items[n->len++] = str_copy(n->arena, str_from(path));
    return 0;
}

bool files_below(struct str folder, struct str **names, size_t *count, struct arena *arena,
                 struct error *e) {
    const char *path = str_terminated(arena, folder);
    struct names n = {.arena = arena};
    struct stat info;
    if (lstat(path, &info) != 0)
        return error_set(e, ERROR_INTERNAL, "lstat %s: no such file or directory", path);
    walked = &n;
    nftw(path, walk, 16, FTW_PHYS);
    walked = NULL;
    if (n.len > 1)
        qsort(n.items, n.len, sizeof(*n.items), by_name);
    *names = ARENA_ARRAY(arena, struct str, n.len + 1);
    *count = n.len;
    for (size_t i = 0; i < n.len; i++)
        (*names)[i] = n.items[i];
    mem_free(n.items);
    return true;
}
