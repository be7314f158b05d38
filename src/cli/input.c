/* Input of commands: see input.h. */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"

static bool fail(struct error *e, const char *what, const char *name, int errno_value) {
    return error_set(e, ERROR_IO, "%s %s: %s", what, name, errno_text(errno_value));
}

bool stream_read(FILE *stream, const char *name, struct str *out, struct arena *arena,
                 struct error *e) {
    struct buf bytes = BUF_INIT;
    for (;;) {
        char *to = buf_reserve(&bytes, 65536);
        size_t got = fread(to, 1, 65536, stream);
        bytes.len += got;
        if (bytes.len > INPUT_MAX) {
            buf_free(&bytes);
            return error_set(e, ERROR_TOO_LARGE, "%s: larger than %zu bytes", name, INPUT_MAX);
        }
        if (got == 0)
            break;
    }
    if (ferror(stream)) {
        int reason = errno;
        buf_free(&bytes);
        return fail(e, "read", name, reason);
    }
    *out = bytes.len > 0 ? str_copy(arena, buf_str(&bytes)) : STR("");
    buf_free(&bytes);
    return true;
}

bool file_read(const char *path, struct str *out, struct arena *arena, struct error *e) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fail(e, "open", path, errno);
    bool ok = stream_read(file, path, out, arena, e);
    fclose(file);
    return ok;
}

bool data_load(struct cli *cli, const char *argument, struct str *out, struct error *e) {
    if (argument[0] == '@') {
        if (!file_read(argument + 1, out, cli->arena, e))
            return error_prefix(e, "Failed to read file: ");
    } else if (strcmp(argument, "-") == 0) {
        if (!stream_read(cli->in, "/dev/stdin", out, cli->arena, e))
            return error_prefix(e, "Failed to read stdin: ");
    } else {
        *out = str_from(argument);
    }
    return true;
}

static bool write_all(int fd, struct str bytes) {
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            bytes = str_sub(bytes, (size_t)n, bytes.len);
    }
    return fsync(fd) == 0;
}

bool file_write_atomic(const char *path, struct str bytes, unsigned mode, struct arena *arena,
                       struct error *e) {
    char *temporary = str_terminated(arena, str_format(arena, "%s.tmpXXXXXX", path));
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fail(e, "open", path, errno);
    bool ok = fchmod(fd, (mode_t)mode) == 0 && write_all(fd, bytes);
    ok = close(fd) == 0 && ok;
    ok = ok && rename(temporary, path) == 0;
    if (!ok) {
        int reason = errno;
        unlink(temporary);
        return fail(e, "write", path, reason);
    }
    return true;
}

static bool directory_make(const char *path, unsigned mode, struct error *e) {
    struct stat about;
    if (mkdir(path, (mode_t)mode) == 0)
        return true;
    int reason = errno;
    if (reason == EEXIST && stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return true;
    return fail(e, "mkdir", path, reason == EEXIST ? ENOTDIR : reason);
}

bool directories_make(const char *path, unsigned mode, struct arena *arena, struct error *e) {
    char *part = str_terminated(arena, str_from(path));
    for (char *at = part + 1; part[0] != '\0' && *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (!directory_make(part, mode, e))
            return false;
        *at = '/';
    }
    return directory_make(path, mode, e);
}
