/* `catalog datacenters`, `catalog nodes`, `catalog services` (cli.md 2.3).
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/table.h"

const struct command command_catalog = {
    .name = "catalog",
    .synopsis = "Nodes and services that the cluster knows",
    .usage = "catalog <subcommand> [options] [args]",
    .about = "  What the cluster knows: datacenters, nodes and services.\n\n"
             "      $ consul catalog datacenters\n"
             "      $ consul catalog nodes -service=web\n"
             "      $ consul catalog services -tags\n",
};

static bool no_arguments(struct cli *cli) {
    if (cli->arg_count > 0)
        cli_err(cli, "Too many arguments (expected 0, got %zu)", cli->arg_count);
    return cli->arg_count == 0;
}

static bool node_meta_fits(struct cli *cli, const struct flag_list *pairs) {
    if (pairs->len / 2 > CLIENT_REPEATS_MAX)
        cli_err(cli, "Too many -node-meta flags (at most %d)", CLIENT_REPEATS_MAX);
    return pairs->len / 2 <= CLIENT_REPEATS_MAX;
}

static void add_node_meta(struct call *call, const struct flag_list *pairs, struct arena *arena) {
    for (size_t i = 0; i + 1 < pairs->len; i += 2)
        call_param(call, "node-meta",
                   str_format(arena, STR_FMT ":" STR_FMT, STR_ARG(pairs->items[i]),
                              STR_ARG(pairs->items[i + 1])));
}

/* ---- datacenters ---- */

static int run_datacenters(struct cli *cli, const void *options) {
    (void)options;
    if (!no_arguments(cli))
        return CLI_FAILED;
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct value list;
    bool ok = client_get(c, STR("/v1/catalog/datacenters"), &list, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error listing datacenters: " STR_FMT, STR_ARG(e.text));
    for (size_t i = 0; i < value_len(&list); i++) {
        if (list.list.items[i].kind == VALUE_STRING)
            cli_out_bytes(cli, list.list.items[i].string);
    }
    return CLI_OK;
}

const struct command command_catalog_datacenters = {
    .name = "catalog datacenters",
    .synopsis = "Lists datacenters",
    .usage = "catalog datacenters [options]",
    .about = "  Lists all datacenters that the servers know, the nearest first.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .run = run_datacenters,
};

/* ---- nodes ---- */

struct nodes_options {
    bool detailed;
    struct str filter, near, service;
    struct flag_list node_meta;
};

/* "a=1, b=2", sorted */
static struct str map_text(const struct value *map, struct arena *arena) {
    const struct value_pair **pairs = NULL;
    if (map == NULL || map->kind != VALUE_MAP)
        return STR("");
    size_t count = value_sorted_pairs(map, &pairs);
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_text(&text, ", ");
        buf_add_str(&text, pairs[i]->key);
        buf_add_char(&text, '=');
        if (pairs[i]->value.kind == VALUE_STRING)
            buf_add_str(&text, pairs[i]->value.string);
    }
    mem_free(pairs);
    struct str out = text.len > 0 ? str_copy(arena, buf_str(&text)) : STR("");
    buf_free(&text);
    return out;
}

static void print_nodes(struct cli *cli, const struct value *list, bool by_service, bool detailed) {
    struct table table = {cli->arena, NULL, 0, 0};
    if (detailed)
        TABLE_ADD(&table, STR("Node"), STR("ID"), STR("Address"), STR("DC"), STR("TaggedAddresses"),
                  STR("Meta"));
    else
        TABLE_ADD(&table, STR("Node"), STR("ID"), STR("Address"), STR("DC"));
    for (size_t i = 0; i < value_len(list); i++) {
        const struct value *node = &list->list.items[i];
        struct str name = value_str(node, "Node"), id = value_str(node, "ID");
        struct str address = value_str(node, "Address"), dc = value_str(node, "Datacenter");
        const char *meta = by_service ? "NodeMeta" : "Meta";
        if (detailed) {
            TABLE_ADD(&table, name, id, address, dc,
                      map_text(value_get(node, "TaggedAddresses"), cli->arena),
                      map_text(value_get(node, meta), cli->arena));
        } else {
            TABLE_ADD(&table, name, str_cut(&id, '-'), address, dc);
        }
    }
    struct buf out = BUF_INIT;
    table_format(&table, &out);
    cli_out_bytes(cli, buf_str(&out));
    buf_free(&out);
}

static bool fetch_nodes(struct cli *cli, struct client *c, const struct nodes_options *options,
                        struct str filter, struct value *list) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    bool by_service = options->service.len > 0;
    call_init(&call, "GET",
              by_service ? str_format(cli->arena, "/v1/catalog/service/" STR_FMT,
                                      STR_ARG(options->service))
                         : STR("/v1/catalog/nodes"));
    if (options->near.len > 0)
        call_param(&call, "near", options->near);
    if (filter.len > 0)
        call_param(&call, "filter", filter);
    add_node_meta(&call, &options->node_meta, cli->arena);
    if (client_json(c, &call, list, cli->arena, &e))
        return true;
    cli_err(cli, "Error listing nodes%s: " STR_FMT, by_service ? " for service" : "",
            STR_ARG(e.text));
    return false;
}

static int run_nodes(struct cli *cli, const void *given) {
    const struct nodes_options *options = given;
    struct error e = ERROR_IN(cli->arena);
    struct str filter = STR("");
    if (!no_arguments(cli) || !node_meta_fits(cli, &options->node_meta))
        return CLI_FAILED;
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct value list;
    bool ok = options->filter.len == 0 || data_load(cli, options->filter.data, &filter, &e);
    if (!ok)
        cli_err(cli, "Could not process filter argument: " STR_FMT, STR_ARG(e.text));
    ok = ok && fetch_nodes(cli, c, options, filter, &list);
    client_free(c);
    if (!ok)
        return CLI_FAILED;
    if (value_len(&list) == 0)
        cli_err(cli, "No nodes match the given query - try expanding your search.");
    else
        print_nodes(cli, &list, options->service.len > 0, options->detailed);
    return CLI_OK;
}

static const struct flag nodes_flags[] = {
    {"detailed", FLAG_BOOL, offsetof(struct nodes_options, detailed), NULL,
     "Show whole IDs, and the nodes' tagged addresses and metadata."},
    {"filter", FLAG_STRING, offsetof(struct nodes_options, filter), NULL,
     "Show only what this filter expression selects; @name reads it from a file, - from standard "
     "input."},
    {"near", FLAG_STRING, offsetof(struct nodes_options, near), NULL,
     "Sort by the round trip time to this node; _agent is the agent's own."},
    {"node-meta", FLAG_MAP, offsetof(struct nodes_options, node_meta), "key=value",
     "Show only nodes with this in their metadata. May be given several times."},
    {"service", FLAG_STRING, offsetof(struct nodes_options, service), "id or name",
     "Show only nodes that have this service."},
};

const struct command command_catalog_nodes = {
    .name = "catalog nodes",
    .synopsis = "Lists nodes",
    .usage = "catalog nodes [options]",
    .about = "  Lists the nodes of a datacenter: all, those with a service, those with certain\n"
             "  metadata.\n\n"
             "      $ consul catalog nodes\n"
             "      $ consul catalog nodes -service=web -detailed\n"
             "      $ consul catalog nodes -node-meta=rack=7\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(nodes_flags, struct nodes_options, NULL),
    .run = run_nodes,
};

/* ---- services ---- */

struct services_options {
    bool tags;
    struct str node;
    struct flag_list node_meta;
};

struct service {
    struct str name;
    struct str *tags;
    size_t tag_count;
};
struct services {
    struct service *items;
    size_t count;
};

static int compare_services(const void *a, const void *b) {
    return str_compare(((const struct service *)a)->name, ((const struct service *)b)->name);
}

static int compare_strings(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void add_tags(struct services *all, struct str name, const struct value *tags,
                     struct arena *arena) {
    struct service *to = NULL;
    for (size_t i = 0; i < all->count && to == NULL; i++) {
        if (str_eq(all->items[i].name, name))
            to = &all->items[i];
    }
    if (to == NULL) {
        to = &all->items[all->count++];
        *to = (struct service){name, NULL, 0};
    }
    size_t more = tags != NULL ? value_len(tags) : 0;
    struct str *joined = ARENA_ARRAY(arena, struct str, to->tag_count + more + 1);
    if (to->tag_count > 0)
        memcpy(joined, to->tags, to->tag_count * sizeof *joined);
    for (size_t i = 0; i < more; i++)
        joined[to->tag_count++] =
            tags->list.items[i].kind == VALUE_STRING ? tags->list.items[i].string : STR("");
    to->tags = joined;
}

/* {"name": ["tag"]} */
static void services_of_map(const struct value *map, struct services *all, struct arena *arena) {
    size_t count = map->kind == VALUE_MAP ? map->map.len : 0;
    all->items = ARENA_ARRAY(arena, struct service, count + 1);
    all->count = 0;
    const struct value_pair **pairs = NULL;
    if (count == 0)
        return;
    size_t unique = value_sorted_pairs(map, &pairs);
    for (size_t i = 0; i < unique; i++) { /* names are unique here: no search */
        all->items[i] = (struct service){pairs[i]->key, NULL, 0};
        struct services one = {&all->items[i], 1};
        add_tags(&one, pairs[i]->key, &pairs[i]->value, arena);
    }
    all->count = unique;
    mem_free(pairs);
}

/* {"Node": …, "Services": {"id": {"Service": "name", "Tags": […]}}} */
static void services_of_node(const struct value *node, struct services *all, struct arena *arena) {
    const struct value *map = value_get(node, "Services");
    size_t count = map != NULL && map->kind == VALUE_MAP ? map->map.len : 0;
    all->items = ARENA_ARRAY(arena, struct service, count + 1);
    all->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct value *service = &map->map.pairs[i].value;
        add_tags(all, value_str(service, "Service"), value_get(service, "Tags"), arena);
    }
}

static void print_services(struct cli *cli, struct services *all, bool tags) {
    struct buf text = BUF_INIT, out = BUF_INIT;
    if (all->count > 0)
        qsort(all->items, all->count, sizeof *all->items, compare_services);
    for (size_t i = 0; i < all->count; i++) {
        struct service *s = &all->items[i];
        buf_add_str(&text, s->name);
        if (tags) {
            buf_add_char(&text, '\t');
            if (s->tag_count > 0)
                qsort(s->tags, s->tag_count, sizeof *s->tags, compare_strings);
            for (size_t t = 0; t < s->tag_count; t++) {
                if (t > 0)
                    buf_add_char(&text, ',');
                buf_add_str(&text, s->tags[t]);
            }
        }
        buf_add_char(&text, '\n');
    }
    tabbed_format(buf_str(&text), 6, &out);
    cli_out_bytes(cli, str_trim(buf_str(&out)));
    buf_free(&out);
    buf_free(&text);
}

static bool fetch_services(struct cli *cli, struct client *c,
                           const struct services_options *options, struct services *all) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    struct value answer;
    bool of_node = options->node.len > 0;
    call_init(&call, "GET",
              of_node ? str_format(cli->arena, "/v1/catalog/node/" STR_FMT, STR_ARG(options->node))
                      : STR("/v1/catalog/services"));
    add_node_meta(&call, &options->node_meta, cli->arena);
    if (!client_json(c, &call, &answer, cli->arena, &e)) {
        cli_err(cli, "Error listing services%s: " STR_FMT, of_node ? " for node" : "",
                STR_ARG(e.text));
        return false;
    }
    if (of_node)
        services_of_node(&answer, all, cli->arena);
    else
        services_of_map(&answer, all, cli->arena);
    return true;
}

static int run_services(struct cli *cli, const void *given) {
    const struct services_options *options = given;
    if (!no_arguments(cli) || !node_meta_fits(cli, &options->node_meta))
        return CLI_FAILED;
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct services all;
    bool ok = fetch_services(cli, c, options, &all);
    client_free(c);
    if (!ok)
        return CLI_FAILED;
    if (all.count == 0)
        cli_err(cli, "No services match the given query - try expanding your search.");
    else
        print_services(cli, &all, options->tags);
    return CLI_OK;
}

static const struct flag services_flags[] = {
    {"node", FLAG_STRING, offsetof(struct services_options, node), "id or name",
     "Show only the services of this node."},
    {"node-meta", FLAG_MAP, offsetof(struct services_options, node_meta), "key=value",
     "Show only services of nodes with this in their metadata. May be given several times."},
    {"tags", FLAG_BOOL, offsetof(struct services_options, tags), NULL,
     "Show the services' tags beside their names."},
};

const struct command command_catalog_services = {
    .name = "catalog services",
    .synopsis = "Lists services",
    .usage = "catalog services [options]",
    .about = "  Lists the names of the services in a datacenter or of one node.\n\n"
             "      $ consul catalog services -tags\n"
             "      $ consul catalog services -node=web-1\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(services_flags, struct services_options, NULL),
    .run = run_services,
};
