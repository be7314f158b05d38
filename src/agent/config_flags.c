/* The flags of `agent` (config.md 3): a table, and reading them as the peer's flag package does
 * (cli.md 1.3). Their values become two sources of the configuration.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "agent/config_table.h"
#include "base/mem.h"

enum flag_kind {
    FLAG_STR,
    FLAG_BOOL,
    FLAG_INT,
    FLAG_LIST,      /* in front of the files' values */
    FLAG_LIST_LAST, /* a list inside a block: behind them */
    FLAG_META,      /* key:value */
    FLAG_PATH,
    FLAG_HCL,
    FLAG_FORMAT,
    FLAG_DEV,
};

struct flag {
    const char *name;
    enum flag_kind kind;
    const char *key; /* of the configuration, NULL: none */
    const char *help;
};

static const struct flag flags[] = {
    {"advertise", FLAG_STR, "advertise_addr", "Address that other agents are told to use."},
    {"advertise-wan", FLAG_STR, "advertise_addr_wan",
     "Address that agents of other datacenters are told to use; default: that of -advertise."},
    {"allow-write-http-from", FLAG_LIST_LAST, "http_config.allow_write_http_from",
     "Network (CIDR) from which the HTTP API accepts writes. May be repeated."},
    {"alt-domain", FLAG_STR, "alt_domain", "A second domain that DNS answers for."},
    {"bind", FLAG_STR, "bind_addr", "Address to bind for traffic between agents."},
    {"bootstrap", FLAG_BOOL, "bootstrap", "Lets this server elect itself leader alone."},
    {"bootstrap-expect", FLAG_INT, "bootstrap_expect",
     "Number of servers to wait for before the first election."},
    {"check_output_max_size", FLAG_INT, "check_output_max_size",
     "Most bytes of output that are kept of a check."},
    {"client", FLAG_STR, "client_addr", "Addresses on which HTTP and DNS serve clients."},
    {"config-dir", FLAG_PATH, NULL,
     "Directory whose .json and .hcl files are read, in the order of their names. May be "
     "repeated."},
    {"config-file", FLAG_PATH, NULL, "Configuration file, .json or .hcl. May be repeated."},
    {"config-format", FLAG_FORMAT, NULL,
     "Format of all configuration files, whatever their names say: 'hcl' or 'json'."},
    {"data-dir", FLAG_STR, "data_dir", "Directory in which the agent keeps its state."},
    {"datacenter", FLAG_STR, "datacenter", "Datacenter of the agent."},
    {"default-query-time", FLAG_STR, "default_query_time",
     "How long a blocking query waits when it does not say."},
    {"dev", FLAG_DEV, NULL, "Development mode: one server, everything in memory."},
    {"disable-host-node-id", FLAG_BOOL, "disable_host_node_id",
     "Makes a random node ID instead of one derived from the host."},
    {"disable-keyring-file", FLAG_BOOL, "disable_keyring_file",
     "Keeps gossip keys out of the data directory."},
    {"dns-port", FLAG_INT, "ports.dns", "Port of DNS; -1 turns it off."},
    {"domain", FLAG_STR, "domain", "Domain that DNS answers for."},
    {"enable-local-script-checks", FLAG_BOOL, "enable_local_script_checks",
     "Allows script checks in configuration files."},
    {"enable-script-checks", FLAG_BOOL, "enable_script_checks",
     "Allows script checks, also those registered over HTTP."},
    {"encrypt", FLAG_STR, "encrypt", "Key that encrypts gossip."},
    {"grpc-port", FLAG_INT, "ports.grpc", "Port of the gRPC API for proxies; -1 turns it off."},
    {"hcl", FLAG_HCL, NULL, "A piece of configuration. May be repeated."},
    {"http-port", FLAG_INT, "ports.http", "Port of the HTTP API; -1 turns it off."},
    {"https-port", FLAG_INT, "ports.https", "Port of the HTTPS API; -1 turns it off."},
    {"join", FLAG_LIST, "start_join", "Agent to join at start. May be repeated."},
    {"join-wan", FLAG_LIST, "start_join_wan",
     "Server of another datacenter to join at start. May be repeated."},
    {"log-file", FLAG_STR, "log_file", "File that gets a copy of the log."},
    {"log-json", FLAG_BOOL, "log_json", "Logs JSON objects."},
    {"log-level", FLAG_STR, "log_level", "Lowest level that is logged: trace to error."},
    {"log-rotate-bytes", FLAG_INT, "log_rotate_bytes", "Bytes after which a new log file begins."},
    {"log-rotate-duration", FLAG_STR, "log_rotate_duration",
     "Time after which a new log file begins."},
    {"log-rotate-max-files", FLAG_INT, "log_rotate_max_files", "How many old log files are kept."},
    {"max-query-time", FLAG_STR, "max_query_time", "Longest time that a blocking query may wait."},
    {"node", FLAG_STR, "node_name", "Name of this node, unique in the cluster."},
    {"node-id", FLAG_STR, "node_id", "ID of this node; default: a random one that is kept."},
    {"node-meta", FLAG_META, "node_meta", "Metadata of the node, as key:value. May be repeated."},
    {"non-voting-server", FLAG_BOOL, "non_voting_server", "(Consul Enterprise only)"},
    {"pid-file", FLAG_STR, "pid_file", "File that gets the agent's process ID."},
    {"primary-gateway", FLAG_LIST, "primary_gateways",
     "Mesh gateway of the primary datacenter. May be repeated."},
    {"protocol", FLAG_INT, "protocol", "Version of the protocol between agents."},
    {"raft-protocol", FLAG_INT, "raft_protocol", "Version of the Raft protocol."},
    {"recursor", FLAG_LIST, "recursors",
     "DNS server that gets what is outside of the domain. May be repeated."},
    {"rejoin", FLAG_BOOL, "rejoin_after_leave", "Joins the cluster again after a leave."},
    {"retry-interval", FLAG_STR, "retry_interval", "Time between attempts to join."},
    {"retry-interval-wan", FLAG_STR, "retry_interval_wan",
     "Time between attempts to join other datacenters."},
    {"retry-join", FLAG_LIST, "retry_join", "Agent to join, until it works. May be repeated."},
    {"retry-join-wan", FLAG_LIST, "retry_join_wan",
     "Server of another datacenter to join, until it works. May be repeated."},
    {"retry-max", FLAG_INT, "retry_max", "Most repetitions of -retry-join; 0: no limit."},
    {"retry-max-wan", FLAG_INT, "retry_max_wan",
     "Most repetitions of -retry-join-wan; 0: no limit."},
    {"segment", FLAG_STR, "segment", "(Consul Enterprise only)"},
    {"serf-lan-allowed-cidrs", FLAG_LIST, "serf_lan_allowed_cidrs",
     "Network (CIDR) from which LAN members are accepted. May be repeated."},
    {"serf-lan-bind", FLAG_STR, "serf_lan", "Address to bind for LAN gossip."},
    {"serf-lan-port", FLAG_INT, "ports.serf_lan", "Port of LAN gossip."},
    {"serf-wan-allowed-cidrs", FLAG_LIST, "serf_wan_allowed_cidrs",
     "Network (CIDR) from which WAN members are accepted. May be repeated."},
    {"serf-wan-bind", FLAG_STR, "serf_wan", "Address to bind for WAN gossip."},
    {"serf-wan-port", FLAG_INT, "ports.serf_wan", "Port of WAN gossip."},
    {"server", FLAG_BOOL, "server", "Makes this agent a server."},
    {"server-port", FLAG_INT, "ports.server", "Port of the servers' protocol."},
    {"syslog", FLAG_BOOL, "enable_syslog", "Sends the log to syslog."},
    {"ui", FLAG_BOOL, "ui", "Serves the built-in web page."},
    {"ui-content-path", FLAG_STR, "ui_content_path", "Path of the web page; default /ui/."},
    {"ui-dir", FLAG_STR, "ui_dir", "Directory with a web page of your own."},
};

static const struct flag *find_flag(struct str name) {
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        if (str_is(name, flags[i].name))
            return &flags[i];
    return NULL;
}

/* ---- values into trees ---- */

static struct value *tree_slot(struct value *map, struct str key, struct arena *arena) {
    for (size_t i = 0; i < map->map.len; i++)
        if (str_eq(map->map.pairs[i].key, key))
            return &map->map.pairs[i].value;
    size_t len = map->map.len;
    struct value_pair *pairs = ARENA_ARRAY(arena, struct value_pair, len + 1);
    if (len > 0)
        memcpy(pairs, map->map.pairs, len * sizeof(*pairs));
    pairs[len].key = key;
    map->map.pairs = pairs;
    map->map.len = len + 1;
    return &pairs[len].value;
}

/* The slot of "ports.dns" in the tree. */
static struct value *tree_path(struct value *map, const char *path, struct arena *arena) {
    struct str rest = str_from(path);
    struct value *slot = map;
    while (rest.len > 0) {
        struct str key = str_cut(&rest, '.');
        if (slot->kind != VALUE_MAP)
            *slot = (struct value){.kind = VALUE_MAP};
        slot = tree_slot(slot, key, arena);
    }
    return slot;
}

static void list_append(struct list *list, struct str text, struct arena *arena) {
    struct list longer = LIST_NEW(arena, struct str, list->len + 1);
    if (list->len > 0)
        memcpy(longer.items, list->items, list->len * sizeof(struct str));
    LIST_AT(longer, struct str, list->len) = text;
    *list = longer;
}

static bool set_int(struct config_inputs *in, const struct flag *f, struct str text,
                    struct error *e) {
    const char *copy = str_terminated(&in->arena, text);
    struct str digits = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+')
                            ? str_sub(text, 1, SIZE_MAX)
                            : text;
    bool number = digits.len > 0;
    for (size_t i = 0; i < digits.len; i++)
        number = number && digits.data[i] >= '0' && digits.data[i] <= '9';
    struct str quoted = str_quote(&in->arena, text);
    errno = 0;
    long long n = number ? strtoll(copy, NULL, 10) : 0;
    if (!number || errno == ERANGE)
        return error_set(e, ERROR_BAD_REQUEST,
                         "invalid value " STR_FMT " for flag -%s: strconv.Atoi: parsing " STR_FMT
                         ": %s",
                         STR_ARG(quoted), f->name, STR_ARG(quoted),
                         number ? "value out of range" : "invalid syntax");
    *tree_path(&in->flag_values, f->key, &in->arena) =
        (struct value){.kind = VALUE_INT, .integer = n};
    return true;
}

static bool set_bool(struct config_inputs *in, const struct flag *f, struct str text,
                     struct error *e) {
    bool on;
    struct str quoted = str_quote(&in->arena, text);
    if (!str_to_bool(text, &on))
        return error_set(e, ERROR_BAD_REQUEST,
                         "invalid boolean value " STR_FMT
                         " for -%s: strconv.ParseBool: parsing " STR_FMT ": invalid syntax",
                         STR_ARG(quoted), f->name, STR_ARG(quoted));
    if (f->kind == FLAG_DEV) {
        in->dev_mode = on;
        return true;
    }
    *tree_path(&in->flag_values, f->key, &in->arena) =
        (struct value){.kind = VALUE_BOOL, .boolean = on};
    return true;
}

static bool set_flag(struct config_inputs *in, const struct flag *f, struct str text,
                     struct error *e) {
    struct arena *arena = &in->arena;
    text = str_copy(arena, text);
    switch (f->kind) {
    case FLAG_STR:
        *tree_path(&in->flag_values, f->key, arena) =
            (struct value){.kind = VALUE_STRING, .string = text};
        return true;
    case FLAG_INT:
        return set_int(in, f, text, e);
    case FLAG_BOOL:
    case FLAG_DEV:
        return set_bool(in, f, text, e);
    case FLAG_LIST:
        value_append(tree_path(&in->flag_lists, f->key, arena), value_from_str(text), arena);
        return true;
    case FLAG_LIST_LAST:
        value_append(tree_path(&in->flag_values, f->key, arena), value_from_str(text), arena);
        return true;
    case FLAG_META: {
        struct str rest = text, key = str_cut(&rest, ':');
        struct value *map = tree_path(&in->flag_values, f->key, arena);
        if (map->kind != VALUE_MAP)
            *map = (struct value){.kind = VALUE_MAP};
        *tree_slot(map, key, arena) =
            (struct value){.kind = VALUE_STRING, .string = rest.data ? rest : STR("")};
        return true;
    }
    case FLAG_PATH:
        list_append(&in->paths, text, arena);
        return true;
    case FLAG_HCL:
        list_append(&in->fragments, text, arena);
        return true;
    case FLAG_FORMAT:
        in->config_format = text;
        return true;
    }
    return true;
}

/* One argument that starts with a dash. *used: arguments taken. */
static bool parse_flag(struct config_inputs *in, int argc, char **argv, int at, int *used,
                       bool *help, struct error *e) {
    struct str argument = str_from(argv[at]);
    struct str name =
        str_sub(argument, argument.len > 1 && argument.data[1] == '-' ? 2 : 1, SIZE_MAX);
    if (name.len == 0 || name.data[0] == '-' || name.data[0] == '=')
        return error_set(e, ERROR_BAD_REQUEST, "bad flag syntax: %s", argv[at]);
    struct str value = name;
    name = str_cut(&value, '=');
    *used = 1;
    const struct flag *f = find_flag(name);
    if (f == NULL) {
        if (str_is(name, "h") || str_is(name, "help")) {
            *help = true;
            return true;
        }
        return error_set(e, ERROR_BAD_REQUEST, "flag provided but not defined: -" STR_FMT,
                         STR_ARG(name));
    }
    if (value.data == NULL && (f->kind == FLAG_BOOL || f->kind == FLAG_DEV)) {
        value = STR("true");
    } else if (value.data == NULL) {
        if (at + 1 >= argc)
            return error_set(e, ERROR_BAD_REQUEST, "flag needs an argument: -" STR_FMT,
                             STR_ARG(name));
        value = str_from(argv[at + 1]);
        *used = 2;
    }
    return set_flag(in, f, value, e);
}

bool config_parse_flags(struct config_inputs *in, int argc, char **argv, bool *help, int *rest,
                        struct error *e) {
    int at = 1;
    *help = false;
    while (at < argc) {
        const char *argument = argv[at];
        if (argument[0] != '-' || argument[1] == '\0')
            break;
        if (strcmp(argument, "--") == 0) {
            at++;
            break;
        }
        int used = 1;
        if (!parse_flag(in, argc, argv, at, &used, help, e))
            return false;
        at += used;
    }
    *rest = argc - at;
    return true;
}

/* ---- help ---- */

void config_print_flags(FILE *out) {
    fputs("Usage:\n", out);
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        const struct flag *f = &flags[i];
        const char *type = f->kind == FLAG_BOOL || f->kind == FLAG_DEV ? ""
                           : f->kind == FLAG_META                      ? " key:value"
                           : f->kind == FLAG_FORMAT                    ? " string"
                                                                       : " value";
        fprintf(out, "  -%s%s\n    \t%s\n", f->name, type, f->help);
    }
}

/* A description in lines of at most 72 columns, indented by five blanks. */
static void print_wrapped(FILE *out, const char *text) {
    struct str rest = str_from(text);
    size_t column = 0;
    while (rest.data != NULL && rest.len > 0) {
        struct str word = str_cut(&rest, ' ');
        if (column > 0 && column + 1 + word.len > 67) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%s" STR_FMT, column == 0 ? "     " : " ", STR_ARG(word));
        column += word.len + (column > 0);
    }
    fputc('\n', out);
}

static bool is_api_option(const struct flag *f) {
    return strcmp(f->name, "datacenter") == 0;
}

static void print_section(FILE *out, const char *title, bool api) {
    fprintf(out, "\n%s\n", title);
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        const struct flag *f = &flags[i];
        const char *type = f->kind == FLAG_BOOL || f->kind == FLAG_DEV ? ""
                           : f->kind == FLAG_META                      ? "=<key:value>"
                           : f->kind == FLAG_FORMAT                    ? "=<string>"
                                                                       : "=<value>";
        if (is_api_option(f) != api)
            continue;
        fprintf(out, "\n  -%s%s\n", f->name, type);
        print_wrapped(out, f->help);
    }
}

void config_print_help(FILE *out) {
    fputs("Usage: consul agent [options]\n\n"
          "  Runs an agent until it is told to stop: a server, which holds the state, or\n"
          "  a client, which serves one machine and asks the servers.\n",
          out);
    print_section(out, "HTTP API Options", true);
    print_section(out, "Command Options", false);
}
