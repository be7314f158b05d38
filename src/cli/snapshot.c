/* `snapshot save`, `snapshot restore`, `snapshot inspect` (cli.md 2.27).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/archive.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/table.h"

/* A snapshot holds every secret of the cluster: it is for its owner alone. */
#define SNAPSHOT_MODE 0600

const struct command command_snapshot = {
    .name = "snapshot",
    .synopsis = "Saves, restores and checks snapshots",
    .usage = "snapshot <subcommand> [options] [args]",
    .about = "  Snapshots of all that the servers hold: keys, catalog, sessions, queries, ACLs.\n\n"
             "      $ consul snapshot save backup.snap\n"
             "      $ consul snapshot inspect backup.snap\n"
             "      $ consul snapshot restore backup.snap\n",
};

static bool one_file(struct cli *cli) {
    if (cli->arg_count == 0)
        cli_err(cli, "Missing FILE argument");
    else if (cli->arg_count > 1)
        cli_err(cli, "Too many arguments (expected 1, got %zu)", cli->arg_count);
    return cli->arg_count == 1;
}

/* ---- save ---- */

/* Into a temporary file, which then gets its name. It is made when there is something to write: an
 * agent that refuses is told of first. */
struct download {
    struct cli *cli;
    const char *unverified;
    char *temporary;
    FILE *file; /* NULL: not yet */
    bool failed;
};

static bool create_temporary(struct download *d) {
    d->temporary =
        str_terminated(d->cli->arena, str_format(d->cli->arena, "%s.tmpXXXXXX", d->unverified));
    int fd = mkostemp(d->temporary, O_CLOEXEC);
    d->file = fd >= 0 && fchmod(fd, SNAPSHOT_MODE) == 0 ? fdopen(fd, "we") : NULL;
    if (d->file == NULL)
        cli_err(d->cli, "Error writing unverified snapshot file: open %s: %s", d->temporary,
                errno_text(errno));
    return d->file != NULL;
}

static void say_write_failed(const struct download *d) {
    cli_err(d->cli, "Error writing unverified snapshot file: write %s: %s", d->temporary,
            errno_text(errno));
}

static bool on_piece(void *owner, struct str piece) {
    struct download *d = owner;
    d->failed = d->file == NULL && !create_temporary(d);
    if (!d->failed && fwrite(piece.data, 1, piece.len, d->file) != piece.len) {
        d->failed = true;
        say_write_failed(d);
    }
    return !d->failed;
}

static bool finish_file(struct download *d) {
    if (d->file == NULL && !create_temporary(d)) /* the answer was empty */
        return false;
    if (fflush(d->file) == 0 && fsync(fileno(d->file)) == 0 &&
        rename(d->temporary, d->unverified) == 0)
        return true;
    say_write_failed(d);
    return false;
}

static bool download(struct cli *cli, struct client *c, const char *unverified, uint64_t *index) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    struct download to = {cli, unverified, NULL, NULL, false};
    call_init(&call, "GET", STR("/v1/snapshot"));
    call_stale(&call, cli);
    call.sink = on_piece;
    call.sink_owner = &to;
    bool ok = client_expect(c, &call, cli->arena, &e);
    *index = call.index;
    if (ok)
        ok = finish_file(&to);
    else if (!to.failed)
        cli_err(cli, "Error saving snapshot: " STR_FMT, STR_ARG(e.text));
    if (to.file != NULL)
        fclose(to.file);
    if (!ok && to.file != NULL)
        unlink(to.temporary);
    return ok;
}

static bool verify_file(const char *path, struct snapshot_meta *meta, struct arena *arena,
                        struct error *e) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(e, ERROR_IO, "open %s: %s", path, errno_text(errno));
    bool ok = archive_verify(file, path, meta, arena, e);
    fclose(file);
    return ok;
}

static int run_save(struct cli *cli, const void *options) {
    (void)options;
    if (!one_file(cli))
        return CLI_FAILED;
    const char *path = cli->args[0];
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct snapshot_meta meta;
    uint64_t index = 0;
    char *unverified = str_terminated(cli->arena, str_format(cli->arena, "%s.unverified", path));
    bool ok = download(cli, c, unverified, &index);
    client_free(c);
    if (!ok)
        return CLI_FAILED;
    if (!verify_file(unverified, &meta, cli->arena, &e)) {
        unlink(unverified);
        return cli_fail(cli, "Error verifying snapshot file: " STR_FMT, STR_ARG(e.text));
    }
    if (rename(unverified, path) != 0)
        return cli_fail(cli, "Error renaming \"%s\" to \"%s\": rename %s %s: %s", unverified, path,
                        unverified, path, errno_text(errno));
    cli_out(cli, "Saved and verified snapshot to index %llu", (unsigned long long)index);
    return CLI_OK;
}

const struct command command_snapshot_save = {
    .name = "snapshot save",
    .synopsis = "Saves a snapshot",
    .usage = "snapshot save [options] FILE",
    .about = "  Fetches a snapshot from the leader, or with -stale from any server, checks it and\n"
             "  gives it its name only then. The file is readable for its owner alone.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .run = run_save,
};

/* ---- restore ---- */

static int run_restore(struct cli *cli, const void *options) {
    (void)options;
    if (!one_file(cli))
        return CLI_FAILED;
    const char *path = cli->args[0];
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        client_free(c);
        return cli_fail(cli, "Error opening snapshot file: open %s: %s", path, errno_text(errno));
    }
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    call_init(&call, "PUT", STR("/v1/snapshot"));
    call.upload = file;
    call.upload_name = path;
    bool ok = client_expect(c, &call, cli->arena, &e);
    fclose(file);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error restoring snapshot: " STR_FMT, STR_ARG(e.text));
    cli_out(cli, "Restored snapshot");
    return CLI_OK;
}

const struct command command_snapshot_restore = {
    .name = "snapshot restore",
    .synopsis = "Restores a snapshot",
    .usage = "snapshot restore [options] FILE",
    .about =
        "  Puts the servers back to what the snapshot holds. Everything that was written since\n"
        "  is gone.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .run = run_restore,
};

/* ---- inspect ---- */

static int run_inspect(struct cli *cli, const void *options) {
    (void)options;
    if (!one_file(cli))
        return CLI_FAILED;
    const char *path = cli->args[0];
    struct error e = ERROR_IN(cli->arena);
    struct snapshot_meta meta;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return cli_fail(cli, "Error opening snapshot file: open %s: %s", path, errno_text(errno));
    bool ok = archive_verify(file, path, &meta, cli->arena, &e);
    fclose(file);
    if (!ok)
        return cli_fail(cli, "Error verifying snapshot: " STR_FMT, STR_ARG(e.text));
    struct buf out = BUF_INIT;
    struct str text = str_format(
        cli->arena, "ID\t" STR_FMT "\nSize\t%lld\nIndex\t%llu\nTerm\t%llu\nVersion\t%llu\n",
        STR_ARG(meta.id), (long long)meta.size, (unsigned long long)meta.index,
        (unsigned long long)meta.term, (unsigned long long)meta.version);
    tabbed_format(text, 6, &out);
    cli_out_bytes(cli, buf_str(&out));
    buf_free(&out);
    return CLI_OK;
}

const struct command command_snapshot_inspect = {
    .name = "snapshot inspect",
    .synopsis = "Checks a snapshot file and says what it is",
    .usage = "snapshot inspect [options] FILE",
    .about = "  Checks a snapshot file and prints which one it is. Needs no agent.\n",
    .run = run_inspect,
};
