/* The files of the agent itself (config.md 4.3 and 4.5).
 */
#include "agent/agent_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"

#define LOGGER "agent"

const char *agent_os_error(int code) {
    switch (code) {
    case ENOENT:
        return "no such file or directory";
    case EACCES:
        return "permission denied";
    case EPERM:
        return "operation not permitted";
    case ENOTDIR:
        return "not a directory";
    case EISDIR:
        return "is a directory";
    case EEXIST:
        return "file exists";
    case EROFS:
        return "read-only file system";
    case ENOSPC:
        return "no space left on device";
    default:
        return strerror(code);
    }
}

/* Reads a small file, trimmed. False with errno when it cannot. */
static bool read_small(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, size - 1);
    int code = errno;
    close(fd);
    errno = code;
    if (n < 0)
        return false;
    struct str text = str_trim(str_of(out, (size_t)n));
    memmove(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static bool write_small(const char *path, struct str text, mode_t mode, struct error *e) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return error_set(e, ERROR_IO, "open %s: %s", path, agent_os_error(errno));
    ssize_t n = write(fd, text.data, text.len);
    int code = n == (ssize_t)text.len ? 0 : n < 0 ? errno : ENOSPC;
    if (close(fd) != 0 && code == 0)
        code = errno;
    return code == 0 || error_set(e, ERROR_IO, "write %s: %s", path, agent_os_error(code));
}

bool agent_write_for_good(const char *path, struct str text, mode_t mode, struct error *e) {
    struct arena scratch = ARENA_INIT;
    const char *fresh = str_format(&scratch, "%s.new", path).data;
    bool ok = write_small(fresh, text, mode, e);
    int fd = ok ? open(fresh, O_RDONLY | O_CLOEXEC) : -1;
    if (ok && (fd < 0 || fsync(fd) != 0 || rename(fresh, path) != 0))
        ok = error_set(e, ERROR_IO, "write %s: %s", path, agent_os_error(errno));
    if (fd >= 0)
        close(fd);
    arena_free(&scratch);
    return ok; /* the directory is synced by the log's start, or the name of a new ID does not
                  matter */
}

/* ---- node ID ---- */

static const char *uuid_fault(struct str id) {
    if (id.len != 36)
        return "uuid string is wrong length";
    for (size_t i = 0; i < 36; i++) {
        char c = id.data[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return "uuid is improperly formatted";
    }
    return NULL;
}

/* The host's own ID: of the hardware, else of the installation, else of this boot. */
static bool host_id(char out[64]) {
    static const char *const files[] = {"/sys/class/dmi/id/product_uuid", "/etc/machine-id",
                                        "/proc/sys/kernel/random/boot_id"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char text[64];
        if (!read_small(files[i], text, sizeof(text)))
            continue;
        size_t len = strlen(text);
        if (len == 32)
            snprintf(out, 64, "%.8s-%.4s-%.4s-%.4s-%.12s", text, text + 8, text + 12, text + 16,
                     text + 20);
        else if (len == 36)
            memcpy(out, text, len + 1);
        else
            continue;
        for (char *c = out; *c != '\0'; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        return true;
    }
    return false;
}

static void make_node_id(const struct config *c, char out[37]) {
    char host[64];
    if (c->disable_host_node_id || !host_id(host)) {
        uuid_random(out);
        return;
    }
    unsigned char digest[SHA512_DIGEST_LENGTH];
    SHA2_CTX sha512;
    SHA512Init(&sha512);
    SHA512Update(&sha512, (const uint8_t *)host, strlen(host));
    SHA512Final(digest, &sha512);
    uuid_format(digest, out);
}

/* mkdir -p, 0755. */
static bool make_directory(const char *path, struct error *e) {
    char *copy = mem_strdup(path);
    bool ok = true;
    for (char *at = copy + 1; ok; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        struct stat info;
        if (mkdir(copy, 0755) != 0 &&
            !(errno == EEXIST && stat(copy, &info) == 0 && S_ISDIR(info.st_mode)))
            ok = error_set(e, ERROR_IO, "mkdir %s: %s", copy, agent_os_error(errno));
        *at = end;
        if (end == '\0')
            break;
    }
    mem_free(copy);
    return ok;
}

static bool stored_node_id(const struct config *c, char out[37], struct error *e) {
    struct arena scratch = ARENA_INIT;
    const char *path = str_format(&scratch, STR_FMT "/node-id", STR_ARG(c->data_dir)).data;
    char text[256];
    bool ok = true;
    if (read_small(path, text, sizeof(text))) {
        const char *fault = uuid_fault(str_from(text));
        if (fault != NULL) {
            ok = error_set(e, ERROR_INTERNAL, "NodeID in %s is invalid: %s", path, fault);
        } else {
            memcpy(out, text, 37);
            for (char *at = out; *at != '\0'; at++)
                *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
        }
    } else {
        make_node_id(c, out);
        ok = make_directory(str_terminated(&scratch, c->data_dir), e) &&
             agent_write_for_good(path, str_from(out), 0600, e);
    }
    arena_free(&scratch);
    return ok;
}

bool agent_find_node_id(const struct config *c, char out[37], struct error *e) {
    if (c->node_id.len > 0) {
        const char *fault = uuid_fault(c->node_id);
        if (fault != NULL)
            return error_set(e, ERROR_INTERNAL,
                             "failed to setup node ID: specified NodeID is invalid: %s", fault);
        memcpy(out, c->node_id.data, 36);
        out[36] = '\0';
        return true;
    }
    if (c->data_dir.len == 0) {
        make_node_id(c, out);
        return true;
    }
    return stored_node_id(c, out, e) || error_prefix(e, "failed to setup node ID: ");
}

/* ---- PID file ---- */

bool agent_write_pid(const struct config *c, struct error *e) {
    if (c->pid_file.len == 0)
        return true;
    struct arena scratch = ARENA_INIT;
    struct str pid = str_format(&scratch, "%ld", (long)getpid());
    bool ok = write_small(str_terminated(&scratch, c->pid_file), pid, 0666, e) ||
              error_prefix(e, "Could not open pid file: ");
    arena_free(&scratch);
    return ok;
}

void agent_remove_pid(const struct config *c) {
    if (c->pid_file.len == 0)
        return;
    struct arena scratch = ARENA_INIT;
    const char *path = str_terminated(&scratch, c->pid_file);
    if (unlink(path) != 0) {
        struct str text = str_format(&scratch, "Could not remove pid file: remove %s: %s", path,
                                     agent_os_error(errno));
        log_at(LOG_WARN, LOGGER, "could not delete pid file", LOG_S("error", text));
    }
    arena_free(&scratch);
}

/* ---- log file ---- */

static struct log_file {
    char *directory; /* with a slash at its end */
    char *stem;      /* "consul" */
    char *extension; /* ".log" */
    int fd;
    int64_t written, opened;
    int64_t limit, age_limit, keep;
    struct log_sink *sink;
} log_file;

static bool open_log(struct log_file *f, struct error *e) {
    struct arena scratch = ARENA_INIT;
    f->opened = time_now_wall();
    f->written = 0;
    const char *path = str_format(&scratch, "%s%s-%lld%s", f->directory, f->stem,
                                  (long long)f->opened, f->extension)
                           .data;
    f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool ok = f->fd >= 0 || error_set(e, ERROR_IO, "open %s: %s", path, agent_os_error(errno));
    arena_free(&scratch);
    return ok;
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Keeps the newest archives. The name's number sorts by age. */
static void prune_logs(const struct log_file *f) {
    if (f->keep == 0)
        return;
    struct dirent **entries;
    int count = scandir(f->directory, &entries, NULL, compare_names);
    struct arena scratch = ARENA_INIT;
    struct str prefix = str_format(&scratch, "%s-", f->stem);
    int64_t kept = 0;
    for (int i = count - 1; i >= 0; i--) {
        struct str name = str_from(entries[i]->d_name);
        if (str_has_prefix(name, prefix) && str_has_suffix(name, str_from(f->extension)) &&
            (f->keep < 0 || kept++ >= f->keep))
            unlink(str_format(&scratch, "%s%s", f->directory, entries[i]->d_name).data);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    arena_free(&scratch);
}

/* Called under the log's own lock. */
static void write_log(void *owner, enum log_level level, struct str line) {
    (void)level;
    struct log_file *f = owner;
    int64_t age = time_now_wall() - f->opened;
    if ((f->limit > 0 && f->written >= f->limit) || age >= f->age_limit) {
        struct arena scratch = ARENA_INIT;
        struct error ignored = ERROR_IN(&scratch);
        close(f->fd);
        prune_logs(f);
        open_log(f, &ignored);
        arena_free(&scratch);
    }
    struct buf out = BUF_INIT;
    buf_add_str(&out, line);
    buf_add_char(&out, '\n');
    if (f->fd >= 0 && write(f->fd, out.data, out.len) > 0)
        f->written += (int64_t)out.len;
    buf_free(&out);
}

bool agent_open_log_file(const struct config *c, enum log_level level, struct error *e) {
    struct str path = c->logging.file_path;
    if (path.len == 0)
        return true;
    size_t slash = path.len;
    while (slash > 0 && path.data[slash - 1] != '/')
        slash--;
    struct str name = str_sub(path, slash, SIZE_MAX);
    if (name.len == 0)
        name = STR("consul.log");
    size_t dot = name.len;
    while (dot > 0 && name.data[dot - 1] != '.')
        dot--;
    struct arena scratch = ARENA_INIT;
    struct log_file *f = &log_file;
    f->directory = mem_strdup(slash > 0 ? str_terminated(&scratch, str_sub(path, 0, slash)) : "./");
    f->stem = mem_strdup(str_terminated(&scratch, dot > 0 ? str_sub(name, 0, dot - 1) : name));
    f->extension =
        mem_strdup(dot > 0 ? str_terminated(&scratch, str_sub(name, dot - 1, SIZE_MAX)) : ".log");
    f->limit = c->logging.rotate_bytes;
    f->age_limit = c->logging.rotate_duration > 0 ? c->logging.rotate_duration : 24 * HOUR;
    f->keep = c->logging.rotate_max_files;
    arena_free(&scratch);
    if (!open_log(f, e))
        return error_prefix(e, "Failed to setup logging: ");
    f->sink = log_add_sink(level, c->logging.json, write_log, f);
    return true;
}

void agent_set_log_level(enum log_level level) {
    log_set_level(level);
    log_sink_set_level(log_file.sink, level);
    agent_set_syslog_level(level);
}
