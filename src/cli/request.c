/* Requests as most commands make them: see request.h.
 */
#include "cli/request.h"

struct client *request_open(struct cli *cli) {
    struct error e = ERROR_IN(cli->arena);
    struct client *c = client_new(cli, &e);
    if (c == NULL)
        cli_err(cli, "Error initializing client: " STR_FMT, STR_ARG(e.text));
    return c;
}

bool request_read(struct cli *cli, const char *path, const char *failure, struct value *answer) {
    struct client *c = request_open(cli);
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    if (c == NULL)
        return false;
    call_init(&call, "GET", str_from(path));
    call_stale(&call, cli);
    bool ok = client_json(c, &call, answer, cli->arena, &e);
    client_free(c);
    if (!ok)
        cli_err(cli, "%s: " STR_FMT, failure, STR_ARG(e.text));
    return ok;
}

/* Blanks at the start of a line are nothing else: strings hold no newline. */
void json_indent(struct str json, const char *indent, struct buf *out) {
    while (json.data != NULL) {
        struct str line = str_cut(&json, '\n');
        while (str_has_prefix(line, STR("    "))) {
            buf_add_text(out, indent);
            line = str_sub(line, 4, line.len);
        }
        buf_add_str(out, line);
        if (json.data != NULL)
            buf_add_char(out, '\n');
    }
}
