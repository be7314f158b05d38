/* `rtt`: the estimated round trip time between two nodes, from their coordinates (cli.md 2.25).
 */
#include <math.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/commands.h"

struct options {
    bool wan;
};

struct coordinate {
    double vector[64];
    size_t dimensions;
    double height, adjustment;
};

static double number(const struct value *v, const char *key) {
    const struct value *field = value_get(v, key);
    return field != NULL && field->kind == VALUE_FLOAT ? field->number : 0;
}

static bool read_coordinate(const struct value *entry, struct coordinate *to) {
    const struct value *coordinate = value_get(entry, "Coord");
    const struct value *vector = coordinate != NULL ? value_get(coordinate, "Vec") : NULL;
    if (vector == NULL || value_len(vector) > COUNT_OF(to->vector))
        return false;
    to->dimensions = value_len(vector);
    for (size_t i = 0; i < to->dimensions; i++)
        to->vector[i] =
            vector->list.items[i].kind == VALUE_FLOAT ? vector->list.items[i].number : 0;
    to->height = number(coordinate, "Height");
    to->adjustment = number(coordinate, "Adjustment");
    return true;
}

/* Seconds: the distance of the vectors plus both heights; adjusted unless that makes it negative.
 */
static double distance(const struct coordinate *a, const struct coordinate *b) {
    double sum = 0;
    for (size_t i = 0; i < a->dimensions; i++) {
        double d = a->vector[i] - b->vector[i];
        sum += d * d;
    }
    double raw = sqrt(sum) + a->height + b->height;
    double adjusted = raw + a->adjustment + b->adjustment;
    return adjusted > 0 ? adjusted : raw;
}

static bool find_in(const struct value *list, struct str name, struct coordinate *to) {
    for (size_t i = 0; i < value_len(list); i++) {
        const struct value *entry = &list->list.items[i];
        if (str_eq(value_str(entry, "Node"), name))
            return read_coordinate(entry, to);
    }
    return false;
}

struct pair {
    struct str names[2]; /* full, as shown */
    struct coordinate at[2];
    bool known[2];
};

static void find_lan(const struct value *list, struct pair *pair) {
    for (int i = 0; i < 2; i++)
        pair->known[i] = find_in(list, pair->names[i], &pair->at[i]);
}

/* Both must be of one area: coordinates of different areas have nothing to do with each other. */
static void find_wan(const struct value *areas, struct pair *pair) {
    struct str area_of[2] = {STR_NONE, STR_NONE};
    for (size_t i = 0; i < value_len(areas); i++) {
        const struct value *area = &areas->list.items[i];
        const struct value *list = value_get(area, "Coordinates");
        for (int n = 0; n < 2; n++) {
            struct str node = pair->names[n];
            struct str name = str_cut(&node, '.');
            if (list == NULL || !str_eq(value_str(area, "Datacenter"), node))
                continue;
            if (n == 1 && pair->known[0] && !str_eq(area_of[0], value_str(area, "AreaID")))
                continue;
            if (find_in(list, name, &pair->at[n])) {
                pair->known[n] = true;
                area_of[n] = value_str(area, "AreaID");
            }
        }
    }
}

static size_t count_dots(const char *s) {
    size_t dots = 0;
    for (; *s != '\0'; s++)
        dots += *s == '.';
    return dots;
}

/* The second node is this agent unless it was named. */
static bool name_nodes(struct cli *cli, struct client *c, bool wan, struct pair *pair) {
    struct error e = ERROR_IN(cli->arena);
    struct value self;
    pair->names[0] = str_from(cli->args[0]);
    if (cli->arg_count == 2) {
        pair->names[1] = str_from(cli->args[1]);
        return true;
    }
    if (!client_get(c, STR("/v1/agent/self"), &self, cli->arena, &e)) {
        cli_err(cli, "Unable to look up agent info: " STR_FMT, STR_ARG(e.text));
        return false;
    }
    const struct value *config = value_get(&self, "Config");
    struct str name = config != NULL ? value_str(config, "NodeName") : STR("");
    struct str dc = config != NULL ? value_str(config, "Datacenter") : STR("");
    pair->names[1] =
        wan ? str_format(cli->arena, STR_FMT "." STR_FMT, STR_ARG(name), STR_ARG(dc)) : name;
    return true;
}

static int estimate(struct cli *cli, struct client *c, bool wan) {
    struct error e = ERROR_IN(cli->arena);
    struct pair *pair = ARENA_NEW(cli->arena, struct pair);
    struct value answer;
    if (!name_nodes(cli, c, wan, pair))
        return CLI_FAILED;
    for (size_t i = 0; wan && i < 2; i++) {
        if (count_dots(pair->names[i].data) != 1)
            return cli_fail(cli,
                            "Node names must be specified as <node name>.<datacenter> with -wan");
    }
    struct str path = wan ? STR("/v1/coordinate/datacenters") : STR("/v1/coordinate/nodes");
    if (!client_get(c, path, &answer, cli->arena, &e))
        return cli_fail(cli, "Error getting coordinates: " STR_FMT, STR_ARG(e.text));
    if (wan)
        find_wan(&answer, pair);
    else
        find_lan(&answer, pair);
    if (wan && !pair->known[1]) /* as the peer, which looks for both at once and names the first */
        pair->known[0] = false;
    for (int i = 0; i < 2; i++) {
        if (!pair->known[i])
            return cli_fail(cli, "Could not find a coordinate for node " STR_FMT,
                            STR_ARG(str_quote(cli->arena, pair->names[i])));
    }
    if (pair->at[0].dimensions != pair->at[1].dimensions)
        return cli_fail(cli, "The coordinates of the nodes have different dimensions");
    cli_out(cli, "Estimated " STR_FMT " <-> " STR_FMT " rtt: %.3f ms (using %s coordinates)",
            STR_ARG(pair->names[0]), STR_ARG(pair->names[1]),
            trunc(distance(&pair->at[0], &pair->at[1]) * 1e9) / 1e6, wan ? "WAN" : "LAN");
    return CLI_OK;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    if (cli->arg_count < 1 || cli->arg_count > 2)
        return cli_usage_error(cli, "One or two node names must be specified");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = estimate(cli, c, options->wan);
    client_free(c);
    return exit_code;
}

static const struct flag flags[] = {
    {"wan", FLAG_BOOL, offsetof(struct options, wan), NULL,
     "Use the servers' wide-area coordinates; nodes are then named <node name>.<datacenter>."},
};

const struct command command_rtt = {
    .name = "rtt",
    .synopsis = "Estimates the round trip time between nodes",
    .usage = "rtt [options] node1 [node2]",
    .about = "  Says how long a packet takes from one node to the other and back, by the nodes'\n"
             "  network coordinates. Without node2 it is the asked agent's node.\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(flags, struct options, NULL),
    .run = run,
};
