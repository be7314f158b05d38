/* `members`: the gossip pool as one agent sees it (cli.md 2.23).
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "schema/regex.h"

enum { EXIT_NO_MATCH = 2 };

struct options {
    bool detailed, wan;
    struct str segment, status;
};

struct member {
    struct str name, address, status, segment, build, dc, role;
    uint64_t protocol;
    const struct value *tags;
};

static const char *status_name(uint64_t status) {
    static const char *const names[] = {"none", "alive", "leaving", "left", "failed"};
    return status < COUNT_OF(names) ? names[status] : "unknown";
}

static struct str segment_of(const struct member *m, bool all_segments) {
    struct str segment = value_str(m->tags, "segment");
    if (str_is(m->role, "consul") && all_segments)
        return STR("<all>");
    return segment.len > 0 ? segment : STR("<default>");
}

static void read_member(const struct value *from, struct member *to, bool all_segments,
                        struct arena *arena) {
    static const struct value no_tags = {.kind = VALUE_NULL};
    const struct value *tags = value_get(from, "Tags");
    struct str host = value_str(from, "Addr");
    const char *layout = str_find_char(host, ':') >= 0 ? "[" STR_FMT "]:%llu" : STR_FMT ":%llu";
    bool v6 = layout[0] == '[';
    unsigned long long port = value_u64(from, "Port");
    to->name = value_str(from, "Name");
    to->address = v6 ? str_format(arena, "[" STR_FMT "]:%llu", STR_ARG(host), port)
                     : str_format(arena, STR_FMT ":%llu", STR_ARG(host), port);
    to->status = str_from(status_name(value_u64(from, "Status")));
    to->tags = tags != NULL ? tags : &no_tags;
    to->role = value_str(to->tags, "role");
    to->protocol = value_u64(from, "ProtocolCur");
    to->dc = value_str(to->tags, "dc");
    struct str build = value_str(to->tags, "build");
    to->build = build.len > 0 ? str_cut(&build, ':') : STR("< 0.3");
    to->segment = segment_of(to, all_segments);
}

static int compare_members(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    int order = str_compare(x->segment, y->segment);
    return order != 0 ? order : str_compare(x->name, y->name);
}

static struct str tags_text(const struct member *m, struct arena *arena) {
    const struct value_pair **pairs = NULL;
    if (m->tags->kind != VALUE_MAP || m->tags->map.len == 0)
        return STR("");
    size_t count = value_sorted_pairs(m->tags, &pairs);
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(&text, ',');
        buf_add_str(&text, pairs[i]->key);
        buf_add_char(&text, '=');
        if (str_is(pairs[i]->key, "segment"))
            buf_add_str(&text, m->segment);
        else if (pairs[i]->value.kind == VALUE_STRING)
            buf_add_str(&text, pairs[i]->value.string);
    }
    mem_free(pairs);
    struct str out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

static void add_plain(struct table *table, const struct member *m, struct arena *arena) {
    struct str none = STR("");
    const char *type = str_is(m->role, "node") ? "client" : "server";
    if (!str_is(m->role, "node") && !str_is(m->role, "consul")) {
        TABLE_ADD(table, m->name, m->address, m->status, STR("unknown"), none, none, none, none);
        return;
    }
    TABLE_ADD(table, m->name, m->address, m->status, str_from(type), m->build,
              str_format(arena, "%llu", (unsigned long long)m->protocol), m->dc, m->segment);
}

static void print_members(struct cli *cli, const struct member *members, size_t count,
                          bool detailed) {
    struct table table = {cli->arena, NULL, 0, 0};
    struct buf out = BUF_INIT;
    if (detailed)
        TABLE_ADD(&table, STR("Node"), STR("Address"), STR("Status"), STR("Tags"));
    else
        TABLE_ADD(&table, STR("Node"), STR("Address"), STR("Status"), STR("Type"), STR("Build"),
                  STR("Protocol"), STR("DC"), STR("Segment"));
    for (size_t i = 0; i < count; i++) {
        if (detailed)
            TABLE_ADD(&table, members[i].name, members[i].address, members[i].status,
                      tags_text(&members[i], cli->arena));
        else
            add_plain(&table, &members[i], cli->arena);
    }
    table_format(&table, &out);
    cli_out_bytes(cli, buf_str(&out));
    buf_free(&out);
}

static bool fetch(struct cli *cli, const struct options *options, struct value *list) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    struct client *c = client_open(cli);
    if (c == NULL)
        return false;
    call_init(&call, "GET", STR("/v1/agent/members"));
    call_param(&call, "segment", options->segment);
    if (options->wan)
        call_param(&call, "wan", STR("1"));
    bool ok = client_json(c, &call, list, cli->arena, &e);
    if (!ok)
        cli_err(cli, "Error retrieving members: " STR_FMT, STR_ARG(e.text));
    client_free(c);
    return ok;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct error e = ERROR_IN(cli->arena);
    struct regex *status = regex_compile(options->status, &e);
    if (status == NULL)
        return cli_fail(cli, "Failed to compile status regexp: " STR_FMT, STR_ARG(e.text));
    struct value list;
    if (!fetch(cli, options, &list)) {
        regex_free(status);
        return CLI_FAILED;
    }
    bool all = str_is(options->segment, "_all");
    struct member *members = ARENA_ARRAY(cli->arena, struct member, value_len(&list) + 1);
    size_t count = 0;
    for (size_t i = 0; i < value_len(&list); i++) {
        read_member(&list.list.items[i], &members[count], all, cli->arena);
        count += regex_search(status, members[count].status);
    }
    regex_free(status);
    if (count == 0)
        return EXIT_NO_MATCH;
    qsort(members, count, sizeof *members, compare_members);
    print_members(cli, members, count, options->detailed);
    return CLI_OK;
}

static const struct flag flags[] = {
    {"detailed", FLAG_BOOL, offsetof(struct options, detailed), NULL,
     "Show the members' tags instead of what is made of them."},
    {"segment", FLAG_STRING, offsetof(struct options, segment), NULL,
     "Show only the members of this network segment. Segments are an Enterprise feature."},
    {"status", FLAG_STRING, offsetof(struct options, status), NULL,
     "Show only members whose status matches this regular expression."},
    {"wan", FLAG_BOOL, offsetof(struct options, wan), NULL,
     "Show the servers of all datacenters, as a server's wide-area pool has them."},
};
static const struct options defaults = {.segment = STR_INIT("_all"), .status = STR_INIT(".*")};

const struct command command_members = {
    .name = "members",
    .synopsis = "Lists the members of the cluster",
    .usage = "members [options]",
    .about = "  Lists the agents that the asked agent knows by gossip, and how they are.\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .run = run,
};
