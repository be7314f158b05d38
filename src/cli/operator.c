/* `operator raft` and `operator autopilot` (cli.md 2.24).
 */
#include "base/mem.h"
#include "base/time.h"
#include "cli/commands.h"
#include "cli/request.h"
#include "cli/table.h"
#include "codec/json.h"

#define BAD_FLAGS "Failed to parse args: "

const struct command command_operator = {
    .name = "operator",
    .synopsis = "Tools for those who run the servers",
    .usage = "operator <subcommand> [options]",
    .about = "  Tools for a cluster's servers: who takes part in Raft, and what autopilot may do.\n"
             "  Meant for repairs; be careful with what changes something.\n",
};
const struct command command_operator_raft = {
    .name = "operator raft",
    .synopsis = "Who takes part in Raft",
    .usage = "operator raft <subcommand> [options]",
    .about = "  Which servers take part in Raft, and taking out one that is gone for good.\n",
};
const struct command command_operator_autopilot = {
    .name = "operator autopilot",
    .synopsis = "Autopilot's settings",
    .usage = "operator autopilot <subcommand> [options]",
    .about = "  Autopilot keeps the set of servers in order. Shows and changes its settings.\n",
};

/* ---- raft list-peers ---- */

static void print_peers(struct cli *cli, const struct value *configuration) {
    struct table table = {cli->arena, NULL, 0, 0};
    const struct value *servers = value_get(configuration, "Servers");
    TABLE_ADD(&table, STR("Node"), STR("ID"), STR("Address"), STR("State"), STR("Voter"),
              STR("RaftProtocol"));
    for (size_t i = 0; servers != NULL && i < value_len(servers); i++) {
        const struct value *server = &servers->list.items[i];
        struct str protocol = value_str(server, "ProtocolVersion");
        TABLE_ADD(&table, value_str(server, "Node"), value_str(server, "ID"),
                  value_str(server, "Address"),
                  value_bool(server, "Leader") ? STR("leader") : STR("follower"),
                  value_bool(server, "Voter") ? STR("true") : STR("false"),
                  protocol.len > 0 ? protocol : STR("<=1"));
    }
    struct buf out = BUF_INIT;
    table_format(&table, &out);
    cli_out_bytes(cli, buf_str(&out));
    buf_free(&out);
}

static int run_list_peers(struct cli *cli, const void *options) {
    struct value answer;
    (void)options;
    if (!request_read(cli, "/v1/operator/raft/configuration",
                      "Error getting peers: Failed to retrieve raft configuration", &answer))
        return CLI_FAILED;
    print_peers(cli, &answer);
    return CLI_OK;
}

const struct command command_operator_raft_list_peers = {
    .name = "operator raft list-peers",
    .synopsis = "Lists the servers that take part in Raft",
    .usage = "operator raft list-peers [options]",
    .about = "  Lists the servers that take part in Raft, and which of them leads.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .bad_flags_prefix = BAD_FLAGS,
    .run = run_list_peers,
};

/* ---- raft remove-peer ---- */

struct remove_peer_options {
    struct str address, id;
};

static int run_remove_peer(struct cli *cli, const void *given) {
    const struct remove_peer_options *options = given;
    bool by_address = options->address.len > 0;
    struct client *c = request_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    bool ok = false;
    struct str who = by_address ? options->address : options->id;
    call_init(&call, "DELETE", STR("/v1/operator/raft/peer"));
    call_param(&call, by_address ? "address" : "id", who);
    if (by_address && options->id.len > 0)
        error_set(&e, ERROR_BAD_REQUEST, "cannot give both an address and id");
    else if (who.len == 0)
        error_set(&e, ERROR_BAD_REQUEST, "an address or id is required for the peer to remove");
    else
        ok = client_expect(c, &call, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error removing peer: " STR_FMT, STR_ARG(e.text));
    cli_out(cli, "Removed peer with %s " STR_FMT, by_address ? "address" : "id",
            STR_ARG(str_quote(cli->arena, who)));
    return CLI_OK;
}

static const struct flag remove_peer_flags[] = {
    {"address", FLAG_STRING, offsetof(struct remove_peer_options, address), NULL,
     "Address and port of the server to remove."},
    {"id", FLAG_STRING, offsetof(struct remove_peer_options, id), NULL,
     "ID of the server to remove."},
};

const struct command command_operator_raft_remove_peer = {
    .name = "operator raft remove-peer",
    .synopsis = "Takes a server out of Raft",
    .usage = "operator raft remove-peer [options]",
    .about =
        "  Takes a server that is gone for good out of Raft. A server that still runs is to be\n"
        "  stopped with \"consul leave\" instead.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(remove_peer_flags, struct remove_peer_options, NULL),
    .bad_flags_prefix = BAD_FLAGS,
    .run = run_remove_peer,
};

/* ---- autopilot ---- */

#define AUTOPILOT_PATH "/v1/operator/autopilot/configuration"
#define QUERY_FAILED "Error querying Autopilot configuration"

static const char *bool_text(bool b) {
    return b ? "true" : "false";
}

static int run_get_config(struct cli *cli, const void *options) {
    struct value v;
    (void)options;
    if (!request_read(cli, AUTOPILOT_PATH, QUERY_FAILED, &v))
        return CLI_FAILED;
    cli_out(cli, "CleanupDeadServers = %s", bool_text(value_bool(&v, "CleanupDeadServers")));
    cli_out(cli, "LastContactThreshold = " STR_FMT, STR_ARG(value_str(&v, "LastContactThreshold")));
    cli_out(cli, "MaxTrailingLogs = %llu", (unsigned long long)value_u64(&v, "MaxTrailingLogs"));
    cli_out(cli, "MinQuorum = %llu", (unsigned long long)value_u64(&v, "MinQuorum"));
    cli_out(cli, "ServerStabilizationTime = " STR_FMT,
            STR_ARG(value_str(&v, "ServerStabilizationTime")));
    cli_out(cli, "RedundancyZoneTag = " STR_FMT,
            STR_ARG(str_quote(cli->arena, value_str(&v, "RedundancyZoneTag"))));
    cli_out(cli, "DisableUpgradeMigration = %s",
            bool_text(value_bool(&v, "DisableUpgradeMigration")));
    cli_out(cli, "UpgradeVersionTag = " STR_FMT,
            STR_ARG(str_quote(cli->arena, value_str(&v, "UpgradeVersionTag"))));
    return CLI_OK;
}

const struct command command_operator_autopilot_get_config = {
    .name = "operator autopilot get-config",
    .synopsis = "Shows autopilot's settings",
    .usage = "operator autopilot get-config [options]",
    .about = "  Prints autopilot's settings.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .bad_flags_prefix = BAD_FLAGS,
    .run = run_get_config,
};

struct set_config_options {
    struct flag_set_bool cleanup_dead_servers, disable_upgrade_migration;
    struct flag_set_duration last_contact_threshold, server_stabilization_time;
    struct flag_set_uint max_trailing_logs, min_quorum;
    struct flag_set_string redundancy_zone_tag, upgrade_version_tag;
};

/* The whole object in the order of the peer's client. */
static struct str merged_config(const struct value *old, const struct set_config_options *new,
                                struct arena *arena) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    json_open_object(&w);
    json_key(&w, STR("CleanupDeadServers"));
    json_bool(&w, new->cleanup_dead_servers.set ? new->cleanup_dead_servers.value
                                                : value_bool(old, "CleanupDeadServers"));
    json_key(&w, STR("LastContactThreshold"));
    json_str(&w, new->last_contact_threshold.set
                     ? duration_format(arena, new->last_contact_threshold.value)
                     : value_str(old, "LastContactThreshold"));
    json_key(&w, STR("MaxTrailingLogs"));
    json_u64(&w, new->max_trailing_logs.set ? new->max_trailing_logs.value
                                            : value_u64(old, "MaxTrailingLogs"));
    json_key(&w, STR("MinQuorum"));
    json_u64(&w, new->min_quorum.set ? new->min_quorum.value : value_u64(old, "MinQuorum"));
    json_key(&w, STR("ServerStabilizationTime"));
    json_str(&w, new->server_stabilization_time.set
                     ? duration_format(arena, new->server_stabilization_time.value)
                     : value_str(old, "ServerStabilizationTime"));
    json_key(&w, STR("RedundancyZoneTag"));
    json_str(&w, new->redundancy_zone_tag.set ? new->redundancy_zone_tag.value
                                              : value_str(old, "RedundancyZoneTag"));
    json_key(&w, STR("DisableUpgradeMigration"));
    json_bool(&w, new->disable_upgrade_migration.set ? new->disable_upgrade_migration.value
                                                     : value_bool(old, "DisableUpgradeMigration"));
    json_key(&w, STR("UpgradeVersionTag"));
    json_str(&w, new->upgrade_version_tag.set ? new->upgrade_version_tag.value
                                              : value_str(old, "UpgradeVersionTag"));
    json_key(&w, STR("CreateIndex"));
    json_u64(&w, value_u64(old, "CreateIndex"));
    json_key(&w, STR("ModifyIndex"));
    json_u64(&w, value_u64(old, "ModifyIndex"));
    json_close_object(&w);
    json_finish(&w);
    struct str out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

static int set_config(struct cli *cli, struct client *c, const struct set_config_options *options) {
    struct error e = ERROR_IN(cli->arena);
    struct value old;
    struct call call;
    if (!client_get(c, STR(AUTOPILOT_PATH), &old, cli->arena, &e))
        return cli_fail(cli, QUERY_FAILED ": " STR_FMT, STR_ARG(e.text));
    call_init(&call, "PUT", STR(AUTOPILOT_PATH));
    call_param(&call, "cas",
               str_format(cli->arena, "%llu", (unsigned long long)value_u64(&old, "ModifyIndex")));
    call.body = merged_config(&old, options, cli->arena);
    if (!client_expect(c, &call, cli->arena, &e))
        return cli_fail(cli, "Error setting Autopilot configuration: " STR_FMT, STR_ARG(e.text));
    if (str_find(call.answer, STR("true"), 0) < 0) {
        cli_out(cli, "Configuration could not be atomically updated, please try again");
        return CLI_FAILED;
    }
    cli_out(cli, "Configuration updated!");
    return CLI_OK;
}

static int run_set_config(struct cli *cli, const void *options) {
    struct client *c = request_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = set_config(cli, c, options);
    client_free(c);
    return exit_code;
}

#define AT(member) offsetof(struct set_config_options, member)
static const struct flag set_config_flags[] = {
    {"cleanup-dead-servers", FLAG_SET_BOOL, AT(cleanup_dead_servers), "true|false",
     "Whether dead servers are removed when a new one joins."},
    {"disable-upgrade-migration", FLAG_SET_BOOL, AT(disable_upgrade_migration), "true|false",
     "Whether servers of a newer version must not take over by themselves. Enterprise only."},
    {"last-contact-threshold", FLAG_SET_DURATION, AT(last_contact_threshold), "200ms",
     "How long a server may not have heard of the leader before it counts as unhealthy."},
    {"max-trailing-logs", FLAG_SET_UINT, AT(max_trailing_logs), NULL,
     "How many log entries a server may lag behind the leader before it counts as unhealthy."},
    {"min-quorum", FLAG_SET_UINT, AT(min_quorum), NULL,
     "With how few voting servers left dead ones are no longer removed."},
    {"redundancy-zone-tag", FLAG_SET_STRING, AT(redundancy_zone_tag), NULL,
     "Key of the node metadata that names a server's zone. Enterprise only."},
    {"server-stabilization-time", FLAG_SET_DURATION, AT(server_stabilization_time), "10s",
     "How long a new server must be healthy before it may vote."},
    {"upgrade-version-tag", FLAG_SET_STRING, AT(upgrade_version_tag), NULL,
     "Key of the node metadata that is taken for a server's version. Enterprise only."},
};
#undef AT

const struct command command_operator_autopilot_set_config = {
    .name = "operator autopilot set-config",
    .synopsis = "Changes autopilot's settings",
    .usage = "operator autopilot set-config [options]",
    .about = "  Changes the settings that are given and leaves the others as they are.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(set_config_flags, struct set_config_options, NULL),
    .bad_flags_prefix = BAD_FLAGS,
    .run = run_set_config,
};
