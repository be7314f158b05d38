/* `tls`, and what its commands share: see tls.h (cli.md 2.28).
 */
#include "cli/tls.h"

#include <errno.h>
#include <sys/stat.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/input.h"

#define CERTIFICATE_MODE 0666u /* as far as the umask allows */
#define KEY_MODE 0600u

bool tls_file_exists(struct str path, struct arena *arena) {
    struct stat about;
    return stat(str_terminated(arena, path), &about) == 0 || errno != ENOENT;
}

static unsigned mode_allowed(unsigned mode) {
    mode_t mask = umask(0);
    umask(mask);
    return mode & ~mask;
}

/* The folders that a path goes through. */
static bool make_folders(struct str path, struct arena *arena, struct error *e) {
    char *at = str_terminated(arena, path);
    for (char *slash = strchr(at + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(at, 0755) != 0 && errno != EEXIST)
            return error_set(e, ERROR_IO, "mkdir %s: %s", at, errno_text(errno));
        *slash = '/';
    }
    return true;
}

static bool save(struct cli *cli, struct str path, struct str text, unsigned mode) {
    struct error e = ERROR_IN(cli->arena);
    if (!make_folders(path, cli->arena, &e) ||
        !file_write_atomic(str_terminated(cli->arena, path), text, mode, cli->arena, &e)) {
        cli_err(cli, STR_FMT, STR_ARG(e.text));
        return false;
    }
    cli_out(cli, "==> Saved " STR_FMT, STR_ARG(path));
    return true;
}

int tls_save(struct cli *cli, struct str certificate_path, struct str key_path,
             const struct certificate_pair *pair) {
    bool ok = save(cli, certificate_path, pair->certificate, mode_allowed(CERTIFICATE_MODE)) &&
              save(cli, key_path, pair->key, KEY_MODE);
    return ok ? CLI_OK : CLI_FAILED;
}

const struct command command_tls = {
    .name = "tls",
    .synopsis = "Certificates for agents",
    .usage = "tls <subcommand> <subcommand> [options]",
    .about = "  Makes an authority of your own, and the certificates with which agents and the\n"
             "  command line know each other.\n\n"
             "      $ consul tls ca create\n"
             "      $ consul tls cert create -server\n"
             "      $ consul tls cert create -client\n",
};
const struct command command_tls_ca = {
    .name = "tls ca",
    .synopsis = "The authority for agents' certificates",
    .usage = "tls ca <subcommand> [options] filename-prefix",
    .about = "  The authority that signs agents' certificates.\n\n"
             "      $ consul tls ca create\n",
};
const struct command command_tls_cert = {
    .name = "tls cert",
    .synopsis = "Certificates for agents",
    .usage = "tls cert <subcommand> [options] [filename-prefix]",
    .about = "  Certificates that the authority has signed.\n\n"
             "      $ consul tls cert create -server\n",
};
