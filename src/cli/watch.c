/* `watch`: shows a part of the cluster's state, once, or runs a program at every change
 * (cli.md 2.30).
 */
#include <signal.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/child.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "codec/json.h"
#include "codec/uuid.h"
#include "schema/client_view.h"

#define RETRY_FIRST (5 * SECOND)
#define RETRY_MAX (180 * SECOND)

struct options {
    struct str type, key, prefix, service, state, name, passing_only;
    struct flag_list tags;
    bool shell;
};

enum param { KEY = 1, PREFIX = 2, SERVICE = 4, TAG = 8, PASSING_ONLY = 16, STATE = 32, NAME = 64 };

struct plan;
typedef bool watch_build_fn(struct plan *plan, struct error *e);

struct watch_type {
    const char *name;
    unsigned params;                 /* that it understands */
    watch_build_fn *build;           /* NULL: not for the command line */
    const struct shape_field *shape; /* of the elements; NULL: printed as it comes */
    bool single;                     /* the answer's first element counts, not the list */
    bool missing_is_null;            /* 404 is an answer */
    bool no_body_in_error;           /* cli.md 1.4 */
};

struct plan {
    struct cli *cli;
    const struct watch_type *type;
    const struct options *options;
    bool passing_only;
    struct call call; /* without the index */
    uint64_t index;
    struct str last; /* what was reported last, as JSON; absent: nothing yet */
    struct arena last_arena;
};

/* ---- types ---- */

static bool build_key(struct plan *plan, struct error *e) {
    struct str key = plan->options->key;
    if (key.len == 0)
        return error_set(e, ERROR_BAD_REQUEST, "Must specify a single key to watch");
    if (key.data[0] == '/')
        key = str_sub(key, 1, key.len);
    call_init(&plan->call, "GET", str_format(plan->cli->arena, "/v1/kv/" STR_FMT, STR_ARG(key)));
    return true;
}

static bool build_prefix(struct plan *plan, struct error *e) {
    struct str prefix = plan->options->prefix;
    if (prefix.len == 0)
        return error_set(e, ERROR_BAD_REQUEST, "Must specify a single prefix to watch");
    if (prefix.data[0] == '/')
        prefix = str_sub(prefix, 1, prefix.len);
    call_init(&plan->call, "GET", str_format(plan->cli->arena, "/v1/kv/" STR_FMT, STR_ARG(prefix)));
    call_param(&plan->call, "recurse", STR(""));
    return true;
}

static bool build_services(struct plan *plan, struct error *e) {
    (void)e;
    call_init(&plan->call, "GET", STR("/v1/catalog/services"));
    return true;
}

static bool build_nodes(struct plan *plan, struct error *e) {
    (void)e;
    call_init(&plan->call, "GET", STR("/v1/catalog/nodes"));
    return true;
}

static bool build_service(struct plan *plan, struct error *e) {
    const struct options *options = plan->options;
    if (options->service.len == 0)
        return error_set(e, ERROR_BAD_REQUEST, "Must specify a single service to watch");
    call_init(
        &plan->call, "GET",
        str_format(plan->cli->arena, "/v1/health/service/" STR_FMT, STR_ARG(options->service)));
    if (options->tags.len > CLIENT_REPEATS_MAX)
        return error_set(e, ERROR_BAD_REQUEST, "Too many -tag flags (at most %d)",
                         CLIENT_REPEATS_MAX);
    for (size_t i = 0; i < options->tags.len; i++)
        call_param(&plan->call, "tag", options->tags.items[i]);
    if (plan->passing_only)
        call_param(&plan->call, "passing", STR("1"));
    return true;
}

static bool build_checks(struct plan *plan, struct error *e) {
    struct str service = plan->options->service, state = plan->options->state;
    struct arena *arena = plan->cli->arena;
    if (service.len > 0 && state.len > 0)
        return error_set(e, ERROR_BAD_REQUEST, "Cannot specify service and state");
    if (state.len == 0)
        state = STR("any");
    call_init(&plan->call, "GET",
              service.len > 0 ? str_format(arena, "/v1/health/checks/" STR_FMT, STR_ARG(service))
                              : str_format(arena, "/v1/health/state/" STR_FMT, STR_ARG(state)));
    return true;
}

static bool build_event(struct plan *plan, struct error *e) {
    (void)e;
    call_init(&plan->call, "GET", STR("/v1/event/list"));
    if (plan->options->name.len > 0)
        call_param(&plan->call, "name", plan->options->name);
    return true;
}

static const struct watch_type types[] = {
    {"agent_service", 0, NULL},
    {"checks", SERVICE | STATE, build_checks, shape_health_check},
    {"connect_leaf", SERVICE, NULL},
    {"connect_roots", 0, NULL},
    {"event", NAME, build_event, shape_event},
    {"key", KEY, build_key, shape_kv, .single = true, .missing_is_null = true,
     .no_body_in_error = true},
    {"keyprefix", PREFIX, build_prefix, shape_kv, .missing_is_null = true,
     .no_body_in_error = true},
    {"nodes", 0, build_nodes, shape_node},
    {"service", SERVICE | TAG | PASSING_ONLY, build_service, shape_service_entry},
    {"services", 0, build_services, NULL},
};

static bool check_params(struct plan *plan, struct error *e) {
    const struct options *o = plan->options;
    const struct {
        const char *name;
        enum param param;
        bool given;
    } params[] = {
        {"key", KEY, o->key.len > 0},
        {"prefix", PREFIX, o->prefix.len > 0},
        {"service", SERVICE, o->service.len > 0},
        {"tag", TAG, o->tags.len > 0},
        {"passingonly", PASSING_ONLY, o->passing_only.len > 0},
        {"state", STATE, o->state.len > 0},
        {"name", NAME, o->name.len > 0},
    };
    struct buf extra = BUF_INIT;
    for (size_t i = 0; i < COUNT_OF(params); i++) {
        if (params[i].given && !(plan->type->params & (unsigned)params[i].param))
            buf_add_format(&extra, "%s%s", extra.len > 0 ? " " : "", params[i].name);
    }
    bool ok = extra.len == 0 || error_set(e, ERROR_BAD_REQUEST, "Invalid parameters: [" STR_FMT "]",
                                          STR_ARG(buf_str(&extra)));
    buf_free(&extra);
    return ok;
}

static bool build(struct plan *plan, struct error *e) {
    const struct options *options = plan->options;
    struct str passing = options->passing_only;
    if (passing.len > 0 && !str_to_bool(passing, &plan->passing_only))
        return error_set(e, ERROR_BAD_REQUEST,
                         "Failed to parse passingonly flag: strconv.ParseBool: parsing " STR_FMT
                         ": invalid syntax",
                         STR_ARG(str_quote(e->arena, passing)));
    for (size_t i = 0; i < COUNT_OF(types) && plan->type == NULL; i++) {
        if (str_is(options->type, types[i].name))
            plan->type = &types[i];
    }
    if (plan->type == NULL)
        return error_set(e, ERROR_BAD_REQUEST, "Unsupported watch type: " STR_FMT,
                         STR_ARG(options->type));
    if (plan->type->build != NULL && !plan->type->build(plan, e))
        return false;
    if (!check_params(plan, e))
        return false;
    if (plan->type->build == NULL)
        return error_set(e, ERROR_BAD_REQUEST, "Type %s is not supported in the CLI tool",
                         plan->type->name);
    call_stale(&plan->call, plan->cli);
    return true;
}

/* ---- one answer ---- */

/* The index that an event's ID stands for: its halves, as numbers, by exclusive or. */
static uint64_t event_index(const struct value *event) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    uint8_t id[16];
    uint64_t index = 0;
    if (uuid_parse(value_str(event, "ID"), id, &e))
        index = be64_get(id) ^ be64_get(id + 8);
    arena_free(&scratch);
    return index;
}

/* Of events only those behind the one that was seen last count. */
static void drop_seen(struct value *list, uint64_t seen) {
    for (size_t i = 0; i < value_len(list); i++) {
        if (event_index(&list->list.items[i]) == seen) {
            list->list.items += i + 1;
            list->list.len -= i + 1;
            return;
        }
    }
}

static struct str print_result(const struct plan *plan, const struct value *v, bool pretty,
                               struct arena *arena) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, pretty);
    if (v == NULL || v->kind == VALUE_NULL)
        json_null(&w);
    else if (plan->type->shape == NULL)
        json_value(&w, v);
    else if (plan->type->single)
        shape_write(&w, value_len(v) > 0 ? &v->list.items[0] : NULL, plan->type->shape);
    else
        shape_write_list(&w, v, plan->type->shape);
    struct str out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

/* Asks once, from the plan's index. *answer is NULL for "there is none". */
static bool ask(struct plan *plan, struct client *c, struct value **answer, uint64_t *index,
                struct arena *arena, struct error *e) {
    struct call call = plan->call;
    if (plan->index > 0)
        call_param(&call, "index", str_format(arena, "%llu", (unsigned long long)plan->index));
    *answer = NULL;
    if (!client_call(c, &call, arena, e))
        return false;
    *index = call.index;
    if (call.status == 404 && plan->type->missing_is_null && call.index > 0)
        return true;
    if (call.status != 200 && plan->type->no_body_in_error)
        return error_set(e, ERROR_INTERNAL, "Unexpected response code: %d", call.status);
    if (call.status != 200)
        return call_unexpected(&call, e);
    if (call.index == 0) /* nothing to wait for: asking on would be a busy loop */
        return error_set(e, ERROR_INTERNAL,
                         "Failed to parse X-Consul-Index: strconv.ParseUint: parsing \"\": "
                         "invalid syntax");
    struct value *v = ARENA_NEW(arena, struct value);
    if (!json_parse(call.answer, v, NULL, arena, e))
        return false;
    if (plan->index > 0 && plan->type->shape == shape_event)
        drop_seen(v, plan->index);
    *answer = v;
    return true;
}

/* ---- the loop ---- */

static bool report_once(struct plan *plan, const struct value *answer, struct arena *arena) {
    cli_out_bytes(plan->cli, print_result(plan, answer, true, arena));
    return true;
}

/* Runs the handler and waits for it. False: it failed, which ends the watch. */
static bool run_handler(struct plan *plan, struct str json, uint64_t index, struct arena *arena) {
    struct cli *cli = plan->cli;
    struct error e = ERROR_IN(arena);
    struct child child;
    struct str text;
    char variable[64];
    snprintf(variable, sizeof variable, "CONSUL_INDEX=%llu", (unsigned long long)index);
    struct child_plan handler = {
        .args = cli->args,
        .count = cli->arg_count,
        .shell = plan->options->shell,
        .input = CHILD_INPUT_BYTES,
        .bytes = str_format(arena, STR_FMT "\n", STR_ARG(json)),
        .variable = variable,
    };
    if (!child_start(&child, &handler, arena, &e)) {
        cli_err(cli, "Error starting handler: " STR_FMT, STR_ARG(e.text));
        return false;
    }
    int forwarded = 0;
    while (!child_ended(&child)) {
        client_wait(-1);
        int number = client_signal();
        if (number != forwarded)
            child_signal(&child, number);
        forwarded = number;
    }
    if (child_succeeded(&child, &text, arena) || client_signal() != 0)
        return true;
    cli_err(cli, "Error executing handler: " STR_FMT, STR_ARG(text));
    return false;
}

/* Reports what differs from the last time. False ends the watch, with *exit_code. */
static bool report(struct plan *plan, const struct value *answer, uint64_t index,
                   struct arena *arena, int *exit_code) {
    struct str json = print_result(plan, answer, false, arena);
    if (plan->cli->arg_count == 0) {
        report_once(plan, answer, arena);
        *exit_code = CLI_OK;
        return false;
    }
    if (index == plan->index && plan->last.data != NULL)
        return true;
    bool is_event = plan->type->shape == shape_event; /* whose indexes are no sequence */
    plan->index = index >= plan->index || is_event ? index : 0;
    if (plan->last.data != NULL && str_eq(plan->last, json))
        return true;
    arena_free(&plan->last_arena);
    plan->last = str_copy(&plan->last_arena, json);
    if (run_handler(plan, json, index, arena))
        return true;
    *exit_code = CLI_FAILED;
    return false;
}

static void say_failed(struct plan *plan, struct str why, int64_t retry, struct arena *arena) {
    struct timestamp now = timestamp_from_unix_ns(time_now_wall());
    struct str at = str_sub(timestamp_format(arena, now), 0, 19);
    cli_err(plan->cli,
            STR_FMT ".%03dZ [ERROR] watch.watch: Watch errored: type=%s error=" STR_FMT
                    " retry=" STR_FMT,
            STR_ARG(at), now.nanoseconds / 1000000, plan->type->name,
            STR_ARG(str_format(arena, "\"" STR_FMT "\"", STR_ARG(why))),
            STR_ARG(duration_format(arena, retry)));
}

static int loop(struct plan *plan, struct client *c) {
    int exit_code = CLI_OK;
    int64_t failures = 0;
    while (client_signal() == 0) {
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        struct value *answer = NULL;
        uint64_t index = 0;
        bool more = true;
        if (ask(plan, c, &answer, &index, &arena, &e)) {
            failures = 0;
            more = report(plan, answer, index, &arena, &exit_code);
        } else if (client_signal() == 0) {
            failures++;
            int64_t retry = failures < 7 ? RETRY_FIRST * failures * failures : RETRY_MAX;
            retry = retry < RETRY_MAX ? retry : RETRY_MAX;
            plan->index = 0;
            say_failed(plan, e.text, retry, &arena);
            client_poll(c, -1, retry);
        }
        arena_free(&arena);
        if (!more)
            break;
    }
    return exit_code;
}

static int run(struct cli *cli, const void *given) {
    struct plan *plan = ARENA_NEW(cli->arena, struct plan);
    struct error e = ERROR_IN(cli->arena);
    struct value self;
    plan->cli = cli;
    plan->options = given;
    if (plan->options->type.len == 0)
        return cli_usage_error(cli, "Watch type must be specified");
    struct client *c = client_new(cli, &e);
    if (c == NULL || !build(plan, &e)) {
        client_free(c);
        return cli_fail(cli, STR_FMT, STR_ARG(e.text));
    }
    client_catch_signals();
    int exit_code = CLI_FAILED;
    if (client_get(c, STR("/v1/agent/self"), &self, cli->arena, &e))
        exit_code = loop(plan, c);
    else if (client_signal() == 0)
        cli_err(cli, "Error querying Consul agent: " STR_FMT, STR_ARG(e.text));
    client_free(c);
    arena_free(&plan->last_arena);
    return exit_code;
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"key", FLAG_STRING, AT(key), NULL, "The key to watch, for the type \"key\"."},
    {"name", FLAG_STRING, AT(name), NULL, "Only events of this name, for the type \"event\"."},
    {"passingonly", FLAG_STRING, AT(passing_only), "[true|false]",
     "Only instances whose checks all pass, for the type \"service\"."},
    {"prefix", FLAG_STRING, AT(prefix), NULL,
     "What the watched keys start with, for the type \"keyprefix\"."},
    {"service", FLAG_STRING, AT(service), NULL,
     "The service to watch, for the types \"service\" and \"checks\"."},
    {"shell", FLAG_BOOL, AT(shell), NULL,
     "Whether a shell runs the program, with its arguments joined."},
    {"state", FLAG_STRING, AT(state), NULL,
     "Only checks in this state, for the type \"checks\"; \"any\" without it."},
    {"tag", FLAG_LIST, AT(tags), NULL,
     "Only instances with this tag, for the type \"service\". May be given several times."},
    {"type", FLAG_STRING, AT(type), NULL,
     "What to watch: key, keyprefix, services, nodes, service, checks or event."},
};
static const struct options defaults = {.shell = true};

const struct command command_watch = {
    .name = "watch",
    .synopsis = "Shows changes, or runs a program at each",
    .usage = "watch [options] [child...]",
    .about =
        "  Without a program this prints what it sees as JSON and ends. With one, it runs it at\n"
        "  once and again at every change, with the JSON on its standard input and the index\n"
        "  in CONSUL_INDEX, until the program fails or a signal comes.\n\n"
        "      $ consul watch -type=key -key=app/limit\n"
        "      $ consul watch -type=service -service=web ./reload-proxy\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .run = run,
};
