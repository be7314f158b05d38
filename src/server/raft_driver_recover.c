/* Outage recovery (raft.md 7): an operator's raft/peers.json says who is in the cluster from now
 * on. Everything in the log is applied, committed or not, and becomes a snapshot with that
 * configuration; the log starts anew behind it.
 */
#include "server/raft_driver_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/json.h"
#include "schema/table.h"

#define SERVER_LOG "agent.server"
#define PEERS_MAX ((size_t)1 << 20) /* bytes of peers.json */
#define READ_BYTES ((size_t)4 << 20)
#define READ_ENTRIES ((size_t)4096)

static const char info_text[] =
    "\n"
    "As of Consul 0.7.0, the peers.json file is only used for recovery\n"
    "after an outage. The format of this file depends on what the server has\n"
    "configured for its Raft protocol version. Please see the agent configuration\n"
    "page at https://www.consul.io/docs/agent/options.html#_raft_protocol for more\n"
    "details about this parameter.\n"
    "\n"
    "For Raft protocol version 2 and earlier, this should be formatted as a JSON\n"
    "array containing the address and port of each Consul server in the cluster, like\n"
    "this:\n"
    "\n"
    "[\n"
    "  \"10.1.0.1:8300\",\n"
    "  \"10.1.0.2:8300\",\n"
    "  \"10.1.0.3:8300\"\n"
    "]\n"
    "\n"
    "For Raft protocol version 3 and later, this should be formatted as a JSON\n"
    "array containing the node ID, address:port, and suffrage information of each\n"
    "Consul server in the cluster, like this:\n"
    "\n"
    "[\n"
    "  {\n"
    "    \"id\": \"adf4238a-882b-9ddc-4a9d-5b6758e4159e\",\n"
    "    \"address\": \"10.1.0.1:8300\",\n"
    "    \"non_voter\": false\n"
    "  },\n"
    "  {\n"
    "    \"id\": \"8b6dda82-3103-11e7-93ae-92361f002671\",\n"
    "    \"address\": \"10.1.0.2:8300\",\n"
    "    \"non_voter\": false\n"
    "  },\n"
    "  {\n"
    "    \"id\": \"97e17742-3103-11e7-93ae-92361f002671\",\n"
    "    \"address\": \"10.1.0.3:8300\",\n"
    "    \"non_voter\": false\n"
    "  }\n"
    "]\n"
    "\n"
    "The \"id\" field is the node ID of the server. This can be found in the logs when\n"
    "the server starts up, or in the \"node-id\" file inside the server's data\n"
    "directory.\n"
    "\n"
    "The \"address\" field is the address and port of the server.\n"
    "\n"
    "The \"non_voter\" field controls whether the server is a non-voter, which is used\n"
    "in some advanced Autopilot configurations, please see\n"
    "https://www.consul.io/docs/guides/autopilot.html for more information. If\n"
    "\"non_voter\" is omitted it will default to false, which is typical for most\n"
    "clusters.\n"
    "\n"
    "Under normal operation, the peers.json file will not be present.\n"
    "\n"
    "When Consul starts for the first time, it will create this peers.info file and\n"
    "delete any existing peers.json file so that recovery doesn't occur on the first\n"
    "startup.\n"
    "\n"
    "Once this peers.info file is present, any peers.json file will be ingested at\n"
    "startup, and will set the Raft peer configuration manually to recover from an\n"
    "outage. It's crucial that all servers in the cluster are shut down before\n"
    "creating the peers.json file, and that all servers receive the same\n"
    "configuration. Once the peers.json file is successfully ingested and applied, it\n"
    "will be deleted.\n"
    "\n"
    "Please see https://www.consul.io/docs/guides/outage.html for more information.\n";

/* ---- peers.json ---- */

struct peers_entry {
    struct str id, address;
    bool non_voter;
};
#define OF struct peers_entry
static const struct field peers_entry_fields[] = {
    F_STR("id", id, .go = "raft.ServerID"),
    F_STR("address", address, .go = "raft.ServerAddress"),
    F_BOOL("non_voter", non_voter),
};
#undef OF
SHAPE(peers_entry, "configEntry", .go = "raft.configEntry");

static bool read_whole(const char *path, struct str *text, struct arena *arena, struct error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, "open %s", path);
    char *room = arena_alloc(arena, PEERS_MAX);
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < PEERS_MAX) {
        got = read(fd, room + len, PEERS_MAX - len);
        len += got > 0 ? (size_t)got : 0;
    }
    int code = errno;
    close(fd);
    *text = str_of(room, len);
    return got >= 0 || error_set_errno(e, code, "read %s", path);
}

static bool parse_modern(const struct value *json, struct raft_server **servers, size_t *count,
                         struct arena *arena, struct error *e) {
    struct list list = {0};
    struct json_options options = {.ignore_unknown = true, .go_type = "[]raft.configEntry"};
    if (!schema_from_json_type(json, OF_LIST(OF_STRUCT(peers_entry)), &list, &options, arena, e))
        return false;
    const struct peers_entry *entries = list.items;
    *servers = ARENA_ARRAY(arena, struct raft_server, list.len + 1);
    *count = list.len;
    for (size_t i = 0; i < list.len; i++)
        (*servers)[i] = (struct raft_server){entries[i].id, entries[i].address,
                                             entries[i].non_voter ? RAFT_NONVOTER : RAFT_VOTER};
    return true;
}

/* raft_protocol below 3: addresses, which are the IDs as well. */
static bool parse_legacy(const struct value *json, struct raft_server **servers, size_t *count,
                         struct arena *arena, struct error *e) {
    struct list list = {0};
    struct json_options options = {.ignore_unknown = true, .go_type = "[]string"};
    if (!schema_from_json_type(json, OF_LIST(OF_STR), &list, &options, arena, e))
        return false;
    const struct str *addresses = list.items;
    *servers = ARENA_ARRAY(arena, struct raft_server, list.len + 1);
    *count = list.len;
    for (size_t i = 0; i < list.len; i++)
        (*servers)[i] = (struct raft_server){addresses[i], addresses[i], RAFT_VOTER};
    return true;
}

static struct raft_configuration *parse(const struct raft_driver *d, const char *path,
                                        struct error *e) {
    struct arena arena = ARENA_INIT;
    struct raft_configuration *c = NULL;
    struct str text;
    struct value json;
    struct raft_server *servers;
    size_t count;
    bool ok = read_whole(path, &text, &arena, e) && json_parse(text, &json, NULL, &arena, e) &&
              (d->options.protocol >= 3 ? parse_modern(&json, &servers, &count, &arena, e)
                                        : parse_legacy(&json, &servers, &count, &arena, e));
    if (ok && count > RAFT_MAX_SERVERS)
        ok = error_set(e, ERROR_INTERNAL, "too many servers");
    if (ok) {
        c = raft_configuration_new(servers, count);
        ok = raft_configuration_validate(c, e);
    }
    if (!ok) {
        raft_configuration_release(c);
        c = NULL;
        e->kind = ERROR_INTERNAL;
        error_prefix(e, "recovery failed to parse peers.json: ");
    }
    arena_free(&arena);
    return c;
}

/* ---- peers.info ---- */

static bool write_info(const char *path, struct error *e) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0)
        return error_set_errno(e, errno, "failed to write peers.info file");
    size_t len = sizeof info_text - 1;
    bool ok = write(fd, info_text, len) == (ssize_t)len;
    int code = errno;
    close(fd);
    return ok || error_set_errno(e, code, "failed to write peers.info file");
}

static bool remove_peers(const char *path, const char *line, struct error *e) {
    if (unlink(path) != 0) {
        if (errno == ENOENT)
            return true;
        return error_set_errno(e, errno,
                               "failed to delete peers.json, please delete manually (see "
                               "peers.info for details)");
    }
    log_at(LOG_INFO, SERVER_LOG, line);
    return true;
}

bool driver_recover_look(struct raft_driver *d, const char *raft_dir, bool has_state,
                         struct raft_configuration **c, struct error *e) {
    struct arena arena = ARENA_INIT;
    char *info = str_terminated(&arena, str_format(&arena, "%s/peers.info", raft_dir));
    char *json = str_terminated(&arena, str_format(&arena, "%s/peers.json", raft_dir));
    bool ok = true;
    *c = NULL;
    if (access(info, F_OK) != 0) {
        ok = write_info(info, e) &&
             remove_peers(json, "deleted peers.json file (see peers.info for details)", e);
    } else if (access(json, F_OK) == 0) {
        log_at(LOG_INFO, SERVER_LOG, "found peers.json file, recovering Raft configuration...");
        *c = parse(d, json, e);
        ok = *c != NULL;
        if (ok && !has_state)
            ok = error_set(e, ERROR_INTERNAL,
                           "recovery failed: refused to recover cluster with no initial state, "
                           "this is probably an operator error");
    }
    if (!ok) {
        raft_configuration_release(*c);
        *c = NULL;
    }
    arena_free(&arena);
    return ok;
}

/* ---- recovering ---- */

static bool apply_some(struct raft_driver *d, struct raft_entry *const *entries, size_t count,
                       struct error *e) {
    struct store_batch *b = store_batch_begin(d->store, e);
    if (b == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct store_result ignored;
        if (!driver_apply_entry(b, entries[i], &ignored, e)) {
            store_batch_abort(b);
            return false;
        }
    }
    return store_batch_commit(b, NULL, e);
}

/* Everything behind what the store has. */
static bool apply_rest(struct raft_driver *d, struct error *e) {
    struct raft_entry **entries = mem_zalloc(READ_ENTRIES, sizeof *entries);
    bool ok = true;
    while (ok && store_applied_index(d->store) < wal_last(d->wal)) {
        uint64_t first = store_applied_index(d->store) + 1, last = wal_last(d->wal);
        size_t count;
        if (last - first >= READ_ENTRIES)
            last = first + READ_ENTRIES - 1;
        ok = wal_read(d->wal, first, last, READ_BYTES, entries, &count, e);
        ok = ok && apply_some(d, entries, count, e);
        for (size_t i = 0; i < count; i++)
            raft_entry_release(entries[i]);
    }
    mem_free(entries);
    return ok;
}

static bool sink(void *owner, struct str bytes, struct error *e) {
    return snapshot_writer_add(owner, bytes, e);
}

static bool write_snapshot(struct raft_driver *d, struct raft_configuration *c, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct store_read read;
    struct snapshot_meta meta = {.index = store_applied_index(d->store),
                                 .term = store_applied_term(d->store),
                                 .configuration = c,
                                 .configuration_index = 1};
    struct snapshot_writer *w = snapshot_writer_new(d->snapshots, "recover", e);
    bool ok = w != NULL && store_read_begin(d->store, &read, &arena, NULL, e);
    if (ok) {
        ok = store_snapshot_write(&read, sink, w, e);
        store_read_end(&read);
    }
    if (ok) {
        ok = snapshot_writer_finish(w, &meta, time_now_wall() / MILLISECOND, &arena, e);
        w = NULL;
    }
    snapshot_writer_abort(w);
    arena_free(&arena);
    return ok && snapshots_reap(d->snapshots, e);
}

bool driver_recover(struct raft_driver *d, const char *raft_dir, struct raft_configuration *c,
                    struct error *e) {
    struct arena arena = ARENA_INIT;
    char *json = str_terminated(&arena, str_format(&arena, "%s/peers.json", raft_dir));
    bool ok = apply_rest(d, e) && write_snapshot(d, c, e);
    if (ok && wal_last(d->wal) + 1 > wal_first(d->wal)) {
        wal_put_reset(d->wal, store_applied_index(d->store));
        ok = wal_commit(d->wal, e);
    }
    if (!ok)
        error_prefix(e, "recovery failed: ");
    ok = ok && remove_peers(json, "deleted peers.json file after successful recovery", e);
    arena_free(&arena);
    return ok;
}
