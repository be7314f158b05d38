/* Help texts: the main list, and the help of one command from its description (cli.md 1.2).
 */
#include "base/mem.h"
#include "cli/command.h"

static bool is_direct_child(const struct command *child, const char *parent) {
    size_t len = strlen(parent);
    if (len > 0 && (strncmp(child->name, parent, len) != 0 || child->name[len] != ' '))
        return false;
    const char *rest = child->name + (len > 0 ? len + 1 : 0);
    return strchr(rest, ' ') == NULL && child->synopsis != NULL;
}

static const char *last_word(const struct command *c) {
    const char *blank = strrchr(c->name, ' ');
    return blank != NULL ? blank + 1 : c->name;
}

static bool has_children(const char *parent) {
    for (size_t i = 0; i < cli_command_count; i++)
        if (is_direct_child(cli_commands[i], parent))
            return true;
    return false;
}

/* "    NAME    SYNOPSIS" for the commands directly below. */
static void list_children(const char *parent, struct buf *out) {
    size_t width = 0;
    for (size_t i = 0; i < cli_command_count; i++) {
        if (is_direct_child(cli_commands[i], parent)) {
            size_t len = strlen(last_word(cli_commands[i]));
            width = len > width ? len : width;
        }
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct command *c = cli_commands[i];
        if (is_direct_child(c, parent))
            buf_add_format(out, "    %-*s    %s\n", (int)width, last_word(c), c->synopsis);
    }
}

void help_main(struct buf *out) {
    buf_add_text(out, "Usage: consul [--version] [--help] <command> [<args>]\n\n"
                      "Available commands are:\n");
    list_children("", out);
    buf_add_char(out, '\n');
}

static void describe_section(const char *title, const struct flag *const *sorted, size_t count,
                             bool api, struct arena *arena, struct buf *out) {
    const struct flag **chosen = ARENA_ARRAY(arena, const struct flag *, count + 1);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (http_flag_is_api_option(sorted[i]->name) == api)
            chosen[n++] = sorted[i];
    }
    if (n > 0) {
        buf_add_format(out, "\n%s\n\n", title);
        flags_describe(chosen, n, out);
        out->len--; /* the empty line behind the last one */
    }
}

void help_command(const struct command *command, struct buf *out) {
    struct arena arena = ARENA_INIT;
    struct flag http[HTTP_FLAGS_MAX];
    struct flag_group groups[2] = {{http, http_flags(command->groups, http), NULL},
                                   {command->flags, command->flag_count, NULL}};
    size_t count = 0;
    const struct flag **sorted = flags_sorted(groups, 2, &count, &arena);

    buf_add_format(out, "Usage: consul %s\n", command->usage);
    if (command->about != NULL)
        buf_add_format(out, "\n%s", command->about);
    if (command->flags_untold)
        count = 0;
    describe_section("HTTP API Options", sorted, count, true, &arena, out);
    describe_section("Command Options", sorted, count, false, &arena, out);
    if (command->run == NULL || has_children(command->name)) {
        buf_add_text(out, "\nSubcommands:\n");
        list_children(command->name, out);
    }
    arena_free(&arena);
}
