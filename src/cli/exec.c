/* `exec`: runs a command on the nodes that allow it and shows what comes back, through keys of a
 * session of its own (cli.md 2.11).
 */
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/filters.h"
#include "cli/input.h"
#include "cli/kv.h"
#include "codec/base64.h"
#include "codec/json.h"

#define RENEW_EVERY (5 * SECOND)
#define REPLY_INDENT "    "
enum { EXIT_NODE_FAILED = 2 };

struct options {
    struct node_filters filters;
    struct str prefix;
    bool shell, verbose;
    int64_t wait, wait_replication;
};

struct node {
    bool acknowledged, finished;
};

struct run {
    struct cli *cli;
    const struct options *options;
    struct client *client;
    struct str script;        /* of standard input; absent: the arguments are the command */
    struct str session, root; /* root: "prefix/session/" */
    struct map seen;          /* keys already dealt with */
    struct map nodes;         /* name -> struct node */
    size_t acknowledged, finished;
    bool node_failed;
    struct call renewal;
    struct arena renewal_arena;
};

static char one; /* what `seen` maps to */

/* ---- the session ---- */

static void renew(void *owner) {
    struct run *r = owner;
    client_set_timer(r->client, time_now_monotonic() + RENEW_EVERY, renew, r);
    if (r->renewal.state != NULL)
        return;
    arena_free(&r->renewal_arena);
    call_init(&r->renewal, "PUT",
              str_format(&r->renewal_arena, "/v1/session/renew/" STR_FMT, STR_ARG(r->session)));
    client_start(r->client, &r->renewal, &r->renewal_arena);
}

/* In a foreign datacenter a session must belong to a node there: to one of its servers. */
static bool find_server(struct run *r, struct str *node, struct error *e) {
    struct call call;
    struct value list;
    call_init(&call, "GET", STR("/v1/health/service/consul"));
    call_param(&call, "passing", STR("1"));
    if (!client_json(r->client, &call, &list, r->cli->arena, e))
        return error_prefix(e, "Failed to find Consul server in remote datacenter: ");
    const struct value *first = value_len(&list) > 0 ? &list.list.items[0] : NULL;
    const struct value *of = first != NULL ? value_get(first, "Node") : NULL;
    if (of == NULL)
        return error_set(e, ERROR_INTERNAL, "Failed to find Consul server in remote datacenter");
    *node = value_str(of, "Node");
    return true;
}

static bool create_session(struct run *r, const struct value *self, struct error *e) {
    struct arena *arena = r->cli->arena;
    const struct value *config = value_get(self, "Config");
    struct str own_dc = config != NULL ? value_str(config, "Datacenter") : STR("");
    struct str own_name = config != NULL ? value_str(config, "NodeName") : STR("");
    struct str dc = r->cli->http.datacenter.value, node = STR("");
    bool foreign = dc.len > 0 && !str_eq(dc, own_dc);
    if (foreign && !find_server(r, &node, e))
        return false;
    struct buf body = BUF_INIT;
    buf_add_text(&body, "{\"Behavior\":\"delete\",\"Name\":");
    json_escape(&body, foreign ? str_format(arena, "Remote Exec via " STR_FMT "@" STR_FMT,
                                            STR_ARG(own_name), STR_ARG(own_dc))
                               : STR("Remote Exec"));
    if (foreign) {
        buf_add_text(&body, ",\"Node\":");
        json_escape(&body, node);
        buf_add_text(&body, ",\"NodeChecks\":[]");
    }
    buf_add_text(&body, ",\"TTL\":\"15s\"}");
    struct call call;
    struct value answer;
    call_init(&call, "PUT", STR("/v1/session/create"));
    call.body = buf_str(&body);
    bool ok = client_json(r->client, &call, &answer, arena, e);
    buf_free(&body);
    if (!ok)
        return false;
    r->session = value_str(&answer, "ID");
    r->root = str_format(arena, STR_FMT "/" STR_FMT "/", STR_ARG(r->options->prefix),
                         STR_ARG(r->session));
    client_set_timer(r->client, time_now_monotonic() + RENEW_EVERY, renew, r);
    if (r->options->verbose)
        cli_out(r->cli, "Created remote execution session: " STR_FMT, STR_ARG(r->session));
    return true;
}

static void destroy_session(struct run *r) {
    struct arena arena = ARENA_INIT;
    struct error ignored = ERROR_IN(&arena);
    struct call call;
    call_init(&call, "PUT",
              str_format(&arena, "/v1/session/destroy/" STR_FMT, STR_ARG(r->session)));
    client_expect(r->client, &call, &arena, &ignored); /* if not, its TTL ends it */
    arena_free(&arena);
}

/* ---- what is to be done ---- */

static struct str job_text(struct run *r) {
    struct cli *cli = r->cli;
    struct buf text = BUF_INIT, joined = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    json_open_object(&w);
    if (r->script.data != NULL) {
        json_key(&w, STR("Script"));
        json_base64(&w, r->script);
    } else if (r->options->shell) {
        for (size_t i = 0; i < cli->arg_count; i++)
            buf_add_format(&joined, "%s%s", i > 0 ? " " : "", cli->args[i]);
        json_key(&w, STR("Command"));
        json_str(&w, buf_str(&joined));
    } else {
        json_key(&w, STR("Args"));
        json_open_array(&w);
        for (size_t i = 0; i < cli->arg_count; i++)
            json_str(&w, str_from(cli->args[i]));
        json_close_array(&w);
    }
    json_key(&w, STR("Wait"));
    json_i64(&w, r->options->wait);
    json_close_object(&w);
    struct str out = str_copy(cli->arena, buf_str(&text));
    buf_free(&joined);
    buf_free(&text);
    return out;
}

static bool upload_job(struct run *r, struct error *e) {
    struct call call;
    bool done = false;
    struct str key = str_format(r->cli->arena, STR_FMT "job", STR_ARG(r->root));
    call_init(&call, "PUT", kv_path(r->cli->arena, key));
    call_param(&call, "acquire", r->session);
    call.body = job_text(r);
    if (!kv_change(r->client, &call, &done, r->cli->arena, e))
        return false;
    if (!done)
        return error_set(e, ERROR_INTERNAL, "failed to acquire key " STR_FMT, STR_ARG(key));
    if (r->options->verbose)
        cli_out(r->cli, "Uploaded remote execution spec");
    return true;
}

static bool fire_event(struct run *r, struct error *e) {
    struct buf body = BUF_INIT;
    struct call call;
    struct value answer;
    buf_add_text(&body, "{\"Prefix\":");
    json_escape(&body, r->options->prefix);
    buf_add_text(&body, ",\"Session\":");
    json_escape(&body, r->session);
    buf_add_char(&body, '}');
    call_init(&call, "PUT", STR("/v1/event/fire/_rexec"));
    node_filters_add(&r->options->filters, &call);
    call.body = buf_str(&body);
    bool ok = client_json(r->client, &call, &answer, r->cli->arena, e);
    buf_free(&body);
    if (ok && r->options->verbose)
        cli_out(r->cli, "Fired remote execution event: " STR_FMT,
                STR_ARG(value_str(&answer, "ID")));
    return ok;
}

/* ---- what comes back ---- */

static struct node *node_named(struct run *r, struct str name) {
    struct node *node = map_get(&r->nodes, name);
    if (node == NULL) {
        node = MEM_NEW(struct node);
        map_put(&r->nodes, name, node);
    }
    return node;
}

static void print_output(struct run *r, struct str name, struct str chunk) {
    struct buf text = BUF_INIT;
    buf_add_format(&text, REPLY_INDENT STR_FMT ": ", STR_ARG(name));
    for (size_t i = 0; i < chunk.len; i++) {
        buf_add_char(&text, chunk.data[i]);
        if (chunk.data[i] == '\n')
            buf_add_format(&text, REPLY_INDENT STR_FMT ": ", STR_ARG(name));
    }
    while (text.len > 0 && strchr(" \t\r\n\v\f", text.data[text.len - 1]) != NULL)
        text.len--;
    cli_out_bytes(r->cli, buf_str(&text));
    buf_free(&text);
}

static bool read_key(struct run *r, struct str key, struct str *value, struct arena *arena,
                     struct error *e) {
    struct kv_pair *pairs = NULL;
    size_t count = 0;
    *value = STR("");
    if (!kv_read(r->client, key, false, r->cli->http.stale.value, &pairs, &count, arena, e))
        return false;
    if (count > 0)
        *value = pairs[0].value;
    return true;
}

/* key is "prefix/session/NODE/WHAT". False: it could not be read. */
static bool take_key(struct run *r, struct str key, struct arena *arena, struct error *e) {
    struct str what = str_sub(key, r->root.len, key.len), value;
    struct str name = str_cut(&what, '/');
    struct cli *cli = r->cli;
    if (what.data == NULL)
        return true;
    struct node *node = node_named(r, name);
    if (str_is(what, "ack")) {
        r->acknowledged += !node->acknowledged;
        node->acknowledged = true;
        if (r->options->verbose)
            cli_out(cli, "==> " STR_FMT ": acknowledged", STR_ARG(name));
    } else if (str_is(what, "exit")) {
        if (!read_key(r, key, &value, arena, e))
            return false;
        r->finished += !node->finished;
        node->finished = true;
        r->node_failed |= !str_is(value, "0");
        cli_out(cli, "==> " STR_FMT ": finished with exit code " STR_FMT, STR_ARG(name),
                STR_ARG(value));
    } else if (str_has_prefix(what, STR("out/"))) {
        if (!read_key(r, key, &value, arena, e))
            return false;
        if (value.len > 0)
            print_output(r, name, value);
        else if (r->options->verbose)
            cli_out(cli, "==> " STR_FMT ": heartbeat received", STR_ARG(name));
    }
    fflush(cli->out);
    return true;
}

static bool take_keys(struct run *r, const struct value *list, bool *news, struct arena *arena,
                      struct error *e) {
    for (size_t i = 0; i < value_len(list); i++) {
        struct str key = list->list.items[i].string;
        if (list->list.items[i].kind != VALUE_STRING || !str_has_prefix(key, r->root) ||
            map_get(&r->seen, key) != NULL)
            continue;
        map_put(&r->seen, key, &one);
        *news = true;
        if (!take_key(r, key, arena, e))
            return false;
    }
    return true;
}

/* Asks for keys until nothing new came for a while; longer while a node is at work. */
static bool collect(struct run *r, struct error *e) {
    int64_t last_news = time_now_monotonic();
    uint64_t index = 0;
    struct call call;
    struct arena arena = ARENA_INIT;
    bool ok = true;
    call.state = NULL;
    call.done = true;
    for (bool started = false; ok;) {
        bool working = r->finished < r->acknowledged;
        int64_t left = last_news + r->options->wait * (working ? 2 : 1) - time_now_monotonic();
        if (left <= 0 || client_signal() != 0)
            break;
        if (!started) {
            arena_free(&arena);
            call_init(&call, "GET", kv_path(&arena, r->root));
            call_param(&call, "keys", STR(""));
            call_param(&call, "wait",
                       str_format(&arena, "%lldms", (long long)(r->options->wait / MILLISECOND)));
            if (index > 0)
                call_param(&call, "index", str_format(&arena, "%llu", (unsigned long long)index));
            client_start(r->client, &call, &arena);
            started = true;
        }
        client_poll(r->client, -1, left);
        client_wake_drain();
        if (!call.done)
            continue;
        started = false;
        struct value list = {.kind = VALUE_NULL};
        bool news = false;
        if (call.failed)
            ok = error_copy(e, &call.error);
        else if (call.status != 404 && call.status != 200)
            ok = error_set(e, ERROR_INTERNAL, "Unexpected response code: %d", call.status);
        else if (call.status == 200)
            ok = json_parse(call.answer, &list, NULL, &arena, e);
        ok = ok && take_keys(r, &list, &news, &arena, e);
        index = call.index;
        last_news = news ? time_now_monotonic() : last_news;
    }
    client_cancel(r->client, &call);
    arena_free(&arena);
    return ok;
}

/* ---- the whole ---- */

static void clean_up(struct run *r) {
    struct arena arena = ARENA_INIT;
    struct error ignored = ERROR_IN(&arena);
    struct call call;
    client_set_timer(r->client, 0, NULL, NULL);
    client_cancel(r->client, &r->renewal);
    client_signal_clear();
    destroy_session(r);
    call_init(&call, "DELETE", kv_path(&arena, str_sub(r->root, 0, r->root.len - 1)));
    call_param(&call, "recurse", STR(""));
    client_expect(r->client, &call, &arena, &ignored);
    arena_free(&arena);
    destroy_session(r);
}

static int execute(struct run *r) {
    struct cli *cli = r->cli;
    struct error e = ERROR_IN(cli->arena);
    int64_t start = time_now_monotonic();
    if (!upload_job(r, &e))
        return cli_fail(cli, "Failed to create job file: " STR_FMT, STR_ARG(e.text));
    int64_t replicated = time_now_monotonic() + r->options->wait_replication;
    while (time_now_monotonic() < replicated && client_signal() == 0)
        client_poll(r->client, -1, replicated - time_now_monotonic());
    if (client_signal() != 0)
        return CLI_FAILED;
    if (!fire_event(r, &e))
        return cli_fail(cli, "Failed to fire event: " STR_FMT, STR_ARG(e.text));
    if (!collect(r, &e))
        return cli_fail(cli, "Failed to read results: " STR_FMT, STR_ARG(e.text));
    if (client_signal() != 0)
        return CLI_FAILED;
    cli_out(cli, "%zu / %zu node(s) completed / acknowledged", r->finished, r->acknowledged);
    if (r->options->verbose)
        cli_out(cli, "Completed in %0.2f seconds",
                (double)(time_now_monotonic() - start) / (double)SECOND);
    return r->node_failed || r->finished < r->acknowledged ? EXIT_NODE_FAILED : CLI_OK;
}

static bool check(struct cli *cli, const struct options *options, struct str *script) {
    struct error e = ERROR_IN(cli->arena);
    bool from_input = cli->arg_count == 1 && strcmp(cli->args[0], "-") == 0;
    if (from_input && !options->shell) {
        cli_err(cli, "Cannot configure -shell=false when reading from stdin");
        return false;
    }
    *script = STR_NONE;
    if (from_input && !stream_read(cli->in, "/dev/stdin", script, cli->arena, &e)) {
        cli_err(cli, "Failed to read stdin: " STR_FMT, STR_ARG(e.text));
        return false;
    }
    if (cli->arg_count == 0 || (from_input && script->len == 0)) {
        cli_usage_error(cli, "Must specify a command to execute");
        return false;
    }
    return node_filters_check(cli, &options->filters);
}

static void free_nodes(struct run *r) {
    void *node = NULL;
    for (size_t i = 0; map_next(&r->nodes, &i, NULL, &node);)
        mem_free(node);
    map_free(&r->nodes);
    map_free(&r->seen);
    arena_free(&r->renewal_arena);
}

static int run(struct cli *cli, const void *given) {
    struct run *r = ARENA_NEW(cli->arena, struct run);
    struct error e = ERROR_IN(cli->arena);
    struct value self;
    r->cli = cli;
    r->options = given;
    if (!check(cli, r->options, &r->script))
        return CLI_FAILED;
    r->client = client_open(cli);
    if (r->client == NULL)
        return CLI_FAILED;
    client_catch_signals();
    int exit_code = CLI_FAILED;
    if (!client_get(r->client, STR("/v1/agent/self"), &self, cli->arena, &e)) {
        cli_err(cli, "Error querying Consul agent: " STR_FMT, STR_ARG(e.text));
    } else if (!create_session(r, &self, &e)) {
        cli_err(cli, "Failed to create session: " STR_FMT, STR_ARG(e.text));
    } else {
        exit_code = execute(r);
        clean_up(r);
    }
    client_free(r->client);
    free_nodes(r);
    return exit_code;
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"node", FLAG_STRING, AT(filters.node), NULL,
     "Regular expression: only nodes with such a name run it."},
    {"prefix", FLAG_STRING, AT(prefix), NULL,
     "Prefix of the keys through which the command goes out and results come back."},
    {"service", FLAG_STRING, AT(filters.service), NULL,
     "Regular expression: only nodes with such a service run it."},
    {"shell", FLAG_BOOL, AT(shell), NULL,
     "Whether a shell runs the command, with its arguments joined."},
    {"tag", FLAG_STRING, AT(filters.tag), NULL,
     "Regular expression: nodes whose service has such a tag. It needs -service."},
    {"verbose", FLAG_BOOL, AT(verbose), NULL, "Say what happens."},
    {"wait", FLAG_DURATION, AT(wait), NULL,
     "After how long without news it is over; while a node is at work, twice that."},
    {"wait-repl", FLAG_DURATION, AT(wait_replication), NULL,
     "How long the command has to reach all servers before the nodes are told."},
};
#undef AT
static const struct options defaults = {.prefix = STR_INIT("_rexec"),
                                        .shell = true,
                                        .wait = 2 * SECOND,
                                        .wait_replication = 200 * MILLISECOND};

const struct command command_exec = {
    .name = "exec",
    .synopsis = "Runs a command on many nodes",
    .usage = "exec [options] [-|command...]",
    .about = "  Runs a command on all nodes, or on those that the options choose, and shows what\n"
             "  they print. Nodes take part only if their agents allow it (disable_remote_exec =\n"
             "  false). \"-\" reads a script from standard input.\n\n"
             "      $ consul exec -service=web uptime\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .run = run,
};
