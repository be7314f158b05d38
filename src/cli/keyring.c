/* `keyring`: the keys that encrypt gossip, on all agents of all datacenters (cli.md 2.17).
 */
#include "cli/client.h"
#include "cli/commands.h"
#include "codec/json.h"

#define RELAY_MAX 5

struct options {
    struct str install, remove, use;
    bool list, list_primary, local_only;
    int64_t relay_factor;
};

static void print_response(struct cli *cli, const struct value *response, const char *keys_field) {
    struct str segment = value_str(response, "Segment");
    const struct value *messages = value_get(response, "Messages");
    const struct value *keys = value_get(response, keys_field);
    unsigned long long nodes = value_u64(response, "NumNodes");
    if (value_bool(response, "WAN"))
        cli_out(cli, "\nWAN:");
    else if (segment.len > 0)
        cli_out(cli,
                "\n" STR_FMT " (LAN) [" STR_FMT "]:", STR_ARG(value_str(response, "Datacenter")),
                STR_ARG(segment));
    else
        cli_out(cli, "\n" STR_FMT " (LAN):", STR_ARG(value_str(response, "Datacenter")));
    for (size_t i = 0; messages != NULL && messages->kind == VALUE_MAP && i < messages->map.len;
         i++) {
        const struct value_pair *pair = &messages->map.pairs[i];
        cli_out(cli, "  ===> " STR_FMT ": " STR_FMT, STR_ARG(pair->key),
                STR_ARG(pair->value.kind == VALUE_STRING ? pair->value.string : STR("")));
    }
    for (size_t i = 0; keys != NULL && keys->kind == VALUE_MAP && i < keys->map.len; i++) {
        struct str key = keys->map.pairs[i].key;
        char name[128];
        snprintf(name, sizeof name, STR_FMT, STR_ARG(key));
        cli_out(cli, "  %s [%llu/%llu]", name, (unsigned long long)value_u64(keys, name), nodes);
    }
}

static int list(struct cli *cli, struct client *c, struct call *call,
                const struct options *options) {
    struct error e = ERROR_IN(cli->arena);
    struct value responses;
    if (options->local_only)
        call_param(call, "local-only", STR("true"));
    if (!client_json(c, call, &responses, cli->arena, &e))
        return cli_fail(cli, "error: " STR_FMT, STR_ARG(e.text));
    for (size_t i = 0; i < value_len(&responses); i++)
        print_response(cli, &responses.list.items[i],
                       options->list_primary ? "PrimaryKeys" : "Keys");
    return CLI_OK;
}

static int change(struct cli *cli, struct client *c, struct call *call, struct str key) {
    struct error e = ERROR_IN(cli->arena);
    struct buf body = BUF_INIT;
    buf_add_text(&body, "{\"Key\":");
    json_escape(&body, key);
    buf_add_text(&body, "}\n");
    call->body = buf_str(&body);
    bool ok = client_expect(c, call, cli->arena, &e);
    buf_free(&body);
    return ok ? CLI_OK : cli_fail(cli, "error: " STR_FMT, STR_ARG(e.text));
}

static int act(struct cli *cli, struct client *c, const struct options *options) {
    struct call call;
    const char *method = options->install.len > 0  ? "POST"
                         : options->use.len > 0    ? "PUT"
                         : options->remove.len > 0 ? "DELETE"
                                                   : "GET";
    call_init(&call, method, STR("/v1/operator/keyring"));
    if (options->relay_factor != 0)
        call_param(&call, "relay-factor",
                   str_format(cli->arena, "%lld", (long long)options->relay_factor));
    if (options->list || options->list_primary) {
        cli_out(cli, options->list ? "==> Gathering installed encryption keys..."
                                   : "==> Gathering installed primary encryption keys...");
        return list(cli, c, &call, options);
    }
    if (options->install.len > 0) {
        cli_out(cli, "==> Installing new gossip encryption key...");
        return change(cli, c, &call, options->install);
    }
    if (options->use.len > 0) {
        cli_out(cli, "==> Changing primary gossip encryption key...");
        return change(cli, c, &call, options->use);
    }
    cli_out(cli, "==> Removing gossip encryption key...");
    return change(cli, c, &call, options->remove);
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    int actions = options->list + options->list_primary + (options->install.len > 0) +
                  (options->use.len > 0) + (options->remove.len > 0);
    if (actions == 0)
        return cli_usage_error(cli, NULL);
    if (actions > 1)
        return cli_fail(cli, "Only a single action is allowed");
    if (options->relay_factor < 0 || options->relay_factor > RELAY_MAX)
        return cli_fail(cli, "Error parsing relay factor: Relay factor must be in range: [0, %d]",
                        RELAY_MAX);
    if (options->local_only && !options->list)
        return cli_fail(cli, "Error validating local-only: local-only can only be set for list "
                             "requests");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = act(cli, c, options);
    client_free(c);
    return exit_code;
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"install", FLAG_STRING, AT(install), NULL,
     "Give this key to all agents. It is not used for sending yet."},
    {"list", FLAG_BOOL, AT(list), NULL, "List all keys, and how many agents have each."},
    {"list-primary", FLAG_BOOL, AT(list_primary), NULL, "List the keys with which agents send."},
    {"local-only", FLAG_BOOL, AT(local_only), NULL,
     "With -list: ask only the local datacenter's servers for what they know, and wait for no "
     "other."},
    {"relay-factor", FLAG_INT, AT(relay_factor), NULL,
     "Through how many other agents answers are sent as well, 0 to 5."},
    {"remove", FLAG_STRING, AT(remove), NULL,
     "Take this key off all agents. The key in use cannot be removed."},
    {"use", FLAG_STRING, AT(use), NULL, "Send with this key from now on; it must be installed."},
};
#undef AT

const struct command command_keyring = {
    .name = "keyring",
    .synopsis = "Shows and changes the keys that encrypt gossip",
    .usage = "keyring [options]",
    .about = "  Shows and changes the keys that encrypt gossip on all agents. To change to a new\n"
             "  key, install it, use it, then remove the old one.\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(flags, struct options, NULL),
    .run = run,
};
