/* Shell completion (cli.md 1.7): candidates for a line that the shell hands over, and putting the
 * call for it into the shells' start-up files.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/input.h"

#define WORDS_MAX 256

/* ---- candidates ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

/* The words of the line; a blank at its end means an empty last word, and of the last word only
 * what follows its last '=' is one. */
static size_t split_words(struct str line, struct str words[WORDS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < line.len && count < WORDS_MAX - 2;) {
        if (is_blank(line.data[i])) {
            i++;
            continue;
        }
        size_t from = i;
        while (i < line.len && !is_blank(line.data[i]))
            i++;
        words[count++] = str_sub(line, from, i - from);
    }
    if (line.len > 0 && is_blank(line.data[line.len - 1])) {
        words[count++] = STR("");
    } else if (count > 0) {
        struct str last = words[count - 1];
        for (size_t i = last.len; i > 0; i--) {
            if (last.data[i - 1] == '=') {
                words[count - 1] = str_sub(last, 0, i - 1);
                words[count++] = str_sub(last, i, last.len);
                break;
            }
        }
    }
    return count;
}

/* Appends the word to the command's name when that is a command. */
static void descend(struct buf *path, struct str word) {
    size_t before = path->len;
    if (path->len > 0)
        buf_add_char(path, ' ');
    buf_add_str(path, word);
    if (word.len == 0 || cli_command_find(buf_str(path)) == NULL)
        path->len = before;
}

static void add_children(struct str path, struct str prefix, struct buf *out) {
    for (size_t i = 0; i < cli_command_count; i++) {
        struct str name = str_from(cli_commands[i]->name);
        if (path.len > 0 &&
            (!str_has_prefix(name, path) || name.len <= path.len || name.data[path.len] != ' '))
            continue;
        struct str rest = str_sub(name, path.len > 0 ? path.len + 1 : 0, name.len);
        if (str_find_char(rest, ' ') < 0 && str_has_prefix(rest, prefix) &&
            cli_commands[i]->synopsis != NULL)
            buf_add_format(out, STR_FMT "\n", STR_ARG(rest));
    }
}

void complete_line(struct str line, struct buf *out) {
    static const char *const top_flags[] = {"-help", "-version", "-autocomplete-install",
                                            "-autocomplete-uninstall"};
    struct str words[WORDS_MAX];
    struct buf path = BUF_INIT;
    size_t count = split_words(line, words);
    if (count == 0)
        return;
    for (size_t i = 1; i + 1 < count; i++)
        descend(&path, words[i]);
    struct str last = words[count - 1];
    if (path.len == 0 && last.len > 0 && last.data[0] == '-') {
        for (size_t i = 0; i < COUNT_OF(top_flags); i++) {
            if (str_has_prefix(str_from(top_flags[i]), last))
                buf_add_format(out, "%s\n", top_flags[i]);
        }
    } else {
        add_children(buf_str(&path), last, out);
    }
    buf_free(&path);
}

/* ---- start-up files ---- */

struct install {
    struct cli *cli;
    bool install;
    const char *home;
    const char *program; /* absolute */
    const char *command; /* as it is typed */
    size_t shells;
    struct buf errors; /* "\t* …\n" each */
    size_t error_count;
};

static void add_error(struct install *in, const char *text, const char *file) {
    buf_add_format(&in->errors, "\t* %s %s\n", text, file);
    in->error_count++;
}

static bool exists(const char *path) {
    struct stat about;
    return stat(path, &about) == 0;
}

/* Follows links, keeps the mode. */
static bool replace_file(struct install *in, const char *path, struct str text) {
    struct error e = ERROR_IN(in->cli->arena);
    struct stat about;
    char *real = realpath(path, NULL);
    bool ok = real != NULL && stat(real, &about) == 0 &&
              file_write_atomic(real, text, about.st_mode & 07777, in->cli->arena, &e);
    free(real);
    if (!ok)
        add_error(in, "cannot be written:", path);
    return ok;
}

/* Where the line stands as a line of its own, or -1. */
static ptrdiff_t find_line(struct str text, struct str line) {
    for (size_t at = 0; at < text.len;) {
        struct str rest = str_sub(text, at, text.len);
        struct str here = str_cut(&rest, '\n');
        if (str_eq(here, line))
            return (ptrdiff_t)at;
        at += here.len + 1;
    }
    return -1;
}

static void change_file(struct install *in, const char *path, struct str line,
                        struct str first_line) {
    struct error e = ERROR_IN(in->cli->arena);
    struct str text;
    in->shells++;
    if (!file_read(path, &text, in->cli->arena, &e)) {
        add_error(in, "cannot be read:", path);
        return;
    }
    ptrdiff_t at = find_line(text, line);
    struct buf out = BUF_INIT;
    if (in->install && at >= 0) {
        add_error(in, "already installed in", path);
    } else if (!in->install && at < 0) {
        add_error(in, "does not installed in", path);
    } else if (in->install) {
        buf_add_str(&out, text);
        buf_add_char(&out, '\n');
        if (first_line.len > 0 && find_line(text, first_line) < 0)
            buf_add_format(&out, STR_FMT "\n", STR_ARG(first_line));
        buf_add_format(&out, STR_FMT "\n", STR_ARG(line));
        replace_file(in, path, buf_str(&out));
    } else {
        buf_add_str(&out, str_sub(text, 0, (size_t)at));
        buf_add_str(&out, str_sub(text, (size_t)at + line.len + 1, text.len));
        replace_file(in, path, out.len > 0 ? buf_str(&out) : STR(""));
    }
    buf_free(&out);
}

static struct str format_line(struct install *in, const char *options) {
    return str_format(in->cli->arena, "complete %s-C %s %s", options, in->program, in->command);
}

static void change_bash(struct install *in) {
    static const char *const files[] = {".bashrc", ".bash_profile", ".bash_login", ".profile"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *path =
            str_terminated(in->cli->arena, str_format(in->cli->arena, "%s/%s", in->home, files[i]));
        if (!exists(path))
            continue;
        change_file(in, path, format_line(in, ""), STR(""));
        return;
    }
}

static void change_zsh(struct install *in) {
    char *path = str_terminated(in->cli->arena, str_format(in->cli->arena, "%s/.zshrc", in->home));
    if (exists(path))
        change_file(in, path, format_line(in, "-o nospace "),
                    STR("autoload -U +X bashcompinit && bashcompinit"));
}

static void change_fish(struct install *in) {
    struct arena *arena = in->cli->arena;
    const char *config = getenv("XDG_CONFIG_HOME");
    char *folder = str_terminated(arena, config != NULL && *config != '\0'
                                             ? str_format(arena, "%s/fish", config)
                                             : str_format(arena, "%s/.config/fish", in->home));
    if (!exists(folder))
        return;
    in->shells++;
    char *completions = str_terminated(arena, str_format(arena, "%s/completions", folder));
    char *path = str_terminated(arena, str_format(arena, "%s/%s.fish", completions, in->command));
    struct error e = ERROR_IN(arena);
    struct str text = str_format(arena,
                                 "function __%s_candidates\n"
                                 "    set -lx COMP_LINE (commandline -cp)\n"
                                 "    %s\n"
                                 "end\n"
                                 "complete -f -c %s -a '(__%s_candidates)'\n",
                                 in->command, in->program, in->command, in->command);
    if (in->install && exists(path))
        add_error(in, "already installed at", path);
    else if (!in->install && unlink(path) != 0)
        add_error(in, "does not installed in", folder);
    else if (in->install && ((mkdir(completions, 0755) != 0 && errno != EEXIST) ||
                             !file_write_atomic(path, text, 0644, arena, &e)))
        add_error(in, "cannot be written:", path);
}

int complete_install_at(struct cli *cli, bool install, const char *home, const char *program) {
    struct install in = {.cli = cli, .install = install, .home = home, .program = program};
    in.command = cli->as_consul ? "consul" : "praetor";
    change_bash(&in);
    change_zsh(&in);
    change_fish(&in);
    if (in.shells == 0)
        return cli_fail(cli, "Error executing CLI: Did not find any shells to %s",
                        install ? "install" : "uninstall");
    if (in.error_count > 0)
        cli_err(cli, "Error executing CLI: %zu error%s occurred:\n" STR_FMT "\n", in.error_count,
                in.error_count == 1 ? "" : "s", STR_ARG(buf_str(&in.errors)));
    buf_free(&in.errors);
    return in.error_count > 0 ? CLI_FAILED : CLI_OK;
}

int complete_install(struct cli *cli, bool install) {
    char program[4096];
    struct passwd *user = getpwuid(getuid());
    const char *home = user != NULL ? user->pw_dir : getenv("HOME");
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (home == NULL || len <= 0)
        return cli_fail(cli, "Error executing CLI: neither home nor program can be found");
    program[len] = '\0';
    return complete_install_at(cli, install, home, program);
}
