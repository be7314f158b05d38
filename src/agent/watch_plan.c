/* Watches of the configuration, read: see watch_plan.h. The order in which parameters are taken is
 * the peer's, since its error texts show those that are left.
 */
#include "agent/watch_plan.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"

#define DEFAULT_TIMEOUT (10 * SECOND)
#define PARAMS_MAX 64

struct parser {
    const struct value_pair *left[PARAMS_MAX]; /* not taken yet, sorted by name */
    size_t count;
    struct arena *arena;
    struct error *e;
};

/* ---- the peer's language's way to show values ---- */

static void show(struct buf *out, const struct value *v, struct arena *arena);

static void show_pairs(struct buf *out, const struct value_pair *const *pairs, size_t count,
                       struct arena *arena) {
    buf_add_text(out, "map[string]interface {}{");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, i > 0 ? ", " : "");
        buf_add_str(out, str_quote(arena, pairs[i]->key));
        buf_add_char(out, ':');
        show(out, &pairs[i]->value, arena);
    }
    buf_add_char(out, '}');
}

static void show_map(struct buf *out, const struct value *v, struct arena *arena) {
    const struct value_pair **pairs = NULL;
    size_t count = v->map.len > 0 ? value_sorted_pairs(v, &pairs) : 0;
    show_pairs(out, pairs, count, arena);
    mem_free(pairs);
}

static void show_list(struct buf *out, const struct value *v, struct arena *arena) {
    buf_add_text(out, "[]interface {}{");
    for (size_t i = 0; i < v->list.len; i++) {
        buf_add_text(out, i > 0 ? ", " : "");
        show(out, &v->list.items[i], arena);
    }
    buf_add_char(out, '}');
}

static void show(struct buf *out, const struct value *v, struct arena *arena) {
    switch (v->kind) {
    case VALUE_NULL:
        buf_add_text(out, "interface {}(nil)");
        break;
    case VALUE_BOOL:
        buf_add_text(out, v->boolean ? "true" : "false");
        break;
    case VALUE_INT:
        buf_add_i64(out, v->integer);
        break;
    case VALUE_UINT:
        buf_add_u64(out, v->uinteger);
        break;
    case VALUE_FLOAT:
        if (v->literal.len > 0)
            buf_add_str(out, v->literal);
        else
            buf_add_format(out, "%.17g", v->number);
        break;
    case VALUE_STRING:
        buf_add_str(out, str_quote(arena, v->string));
        break;
    case VALUE_LIST:
        show_list(out, v, arena);
        break;
    case VALUE_MAP:
        show_map(out, v, arena);
        break;
    }
}

/* ---- taking parameters ---- */

static bool parser_begin(struct parser *p, const struct value *params) {
    const struct value_pair **pairs = NULL;
    size_t count = params->map.len > 0 ? value_sorted_pairs(params, &pairs) : 0;
    bool ok = count <= PARAMS_MAX;
    for (size_t i = 0; ok && i < count; i++) {
        p->left[p->count++] = pairs[i];
    }
    mem_free(pairs);
    return ok ||
           error_set(p->e, ERROR_BAD_REQUEST, "a watch with more than %d parameters", PARAMS_MAX);
}

static const struct value *look(const struct parser *p, const char *name) {
    for (size_t i = 0; i < p->count; i++)
        if (str_is(p->left[i]->key, name))
            return &p->left[i]->value;
    return NULL;
}

static void take(struct parser *p, const char *name) {
    for (size_t i = 0; i < p->count; i++)
        if (str_is(p->left[i]->key, name)) {
            memmove(p->left + i, p->left + i + 1, (p->count - i - 1) * sizeof(*p->left));
            p->count--;
            return;
        }
}

/* In front of what is wrong: the parameters that are left. */
static bool failed(struct parser *p) {
    struct buf map = BUF_INIT;
    show_pairs(&map, p->left, p->count, p->arena);
    error_prefix(p->e, "Failed to parse watch (" STR_FMT "): ", STR_ARG(buf_str(&map)));
    buf_free(&map);
    return false;
}

static bool fail(struct parser *p, const char *text) {
    error_set(p->e, ERROR_BAD_REQUEST, "%s", text);
    return failed(p);
}

static bool take_str(struct parser *p, const char *name, struct str *out) {
    const struct value *v = look(p, name);
    if (v == NULL)
        return true;
    if (v->kind != VALUE_STRING) {
        error_set(p->e, ERROR_BAD_REQUEST, "Expecting %s to be a string", name);
        return failed(p);
    }
    *out = v->string;
    take(p, name);
    return true;
}

static bool take_bool(struct parser *p, const char *name, bool *out) {
    const struct value *v = look(p, name);
    if (v == NULL)
        return true;
    if (v->kind != VALUE_BOOL) {
        error_set(p->e, ERROR_BAD_REQUEST, "Expecting %s to be a boolean", name);
        return failed(p);
    }
    *out = v->boolean;
    take(p, name);
    return true;
}

static bool take_tags(struct parser *p, struct watch_plan *plan) {
    const struct value *v = look(p, "tag");
    if (v == NULL)
        return true;
    size_t len = v->kind == VALUE_LIST ? v->list.len : 1;
    if (v->kind != VALUE_LIST && v->kind != VALUE_STRING)
        return fail(p, "Expecting tag to be a string or []string");
    plan->tags = LIST_NEW(p->arena, struct str, len);
    for (size_t i = 0; i < len; i++) {
        const struct value *item = v->kind == VALUE_LIST ? &v->list.items[i] : v;
        if (item->kind != VALUE_STRING) {
            error_set(p->e, ERROR_BAD_REQUEST, "Index %zu of tag expected to be string", i);
            return failed(p);
        }
        LIST_AT(plan->tags, struct str, i) = item->string;
    }
    take(p, "tag");
    return true;
}

/* ---- types ---- */

static bool parse_key(struct parser *p, struct watch_plan *plan) {
    if (!take_bool(p, "stale", &plan->stale) || !take_str(p, "key", &plan->subject))
        return false;
    return plan->subject.len > 0 || fail(p, "Must specify a single key to watch");
}

static bool parse_prefix(struct parser *p, struct watch_plan *plan) {
    if (!take_bool(p, "stale", &plan->stale) || !take_str(p, "prefix", &plan->subject))
        return false;
    return plan->subject.len > 0 || fail(p, "Must specify a single prefix to watch");
}

static bool parse_plain(struct parser *p, struct watch_plan *plan) {
    return take_bool(p, "stale", &plan->stale);
}

static bool parse_service(struct parser *p, struct watch_plan *plan) {
    if (!take_bool(p, "stale", &plan->stale) || !take_str(p, "service", &plan->subject) ||
        !take_tags(p, plan))
        return false;
    if (plan->subject.len == 0)
        return fail(p, "Must specify a single service to watch");
    return take_bool(p, "passingonly", &plan->passing_only);
}

static bool parse_checks(struct parser *p, struct watch_plan *plan) {
    if (!take_bool(p, "stale", &plan->stale) || !take_str(p, "service", &plan->subject) ||
        !take_str(p, "state", &plan->state))
        return false;
    if (plan->subject.len > 0 && plan->state.len > 0)
        return fail(p, "Cannot specify service and state");
    if (plan->state.len == 0)
        plan->state = STR("any");
    return true;
}

static bool parse_event(struct parser *p, struct watch_plan *plan) {
    return take_str(p, "name", &plan->subject);
}

static bool parse_agent_service(struct parser *p, struct watch_plan *plan) {
    return take_str(p, "service_id", &plan->subject);
}

static const struct {
    const char *name;
    enum watch_type type;
    bool (*parse)(struct parser *p, struct watch_plan *plan);
} types[] = {
    {"key", WATCH_TYPE_KEY, parse_key},
    {"keyprefix", WATCH_TYPE_KEYPREFIX, parse_prefix},
    {"services", WATCH_TYPE_SERVICES, parse_plain},
    {"nodes", WATCH_TYPE_NODES, parse_plain},
    {"service", WATCH_TYPE_SERVICE, parse_service},
    {"checks", WATCH_TYPE_CHECKS, parse_checks},
    {"event", WATCH_TYPE_EVENT, parse_event},
    {"agent_service", WATCH_TYPE_AGENT_SERVICE, parse_agent_service},
};

static bool parse_type(struct parser *p, struct watch_plan *plan, struct str type) {
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_is(type, types[i].name)) {
            plan->type = types[i].type;
            plan->type_name = types[i].name;
            return types[i].parse(p, plan);
        }
    error_set(p->e, ERROR_BAD_REQUEST, "Unsupported watch type: " STR_FMT, STR_ARG(type));
    return failed(p);
}

/* ---- handlers ---- */

/* "Watch args must be a list of strings": nothing in front. */
static bool script_of(struct parser *p, const struct value *args, struct watch_plan *plan) {
    size_t len = args->kind == VALUE_LIST ? args->list.len : 1;
    plan->argv = ARENA_ARRAY(p->arena, char *, len + 1);
    plan->words = LIST_NEW(p->arena, struct str, len);
    bool ok = args->kind == VALUE_LIST || args->kind == VALUE_STRING;
    for (size_t i = 0; ok && i < len; i++) {
        const struct value *item = args->kind == VALUE_LIST ? &args->list.items[i] : args;
        ok = item->kind == VALUE_STRING;
        if (!ok)
            break;
        plan->argv[i] = str_terminated(p->arena, item->string);
        LIST_AT(plan->words, struct str, i) = item->string;
    }
    return ok || error_set(p->e, ERROR_BAD_REQUEST, "Watch args must be a list of strings");
}

static bool shell_of(struct parser *p, const struct value *handler, struct watch_plan *plan) {
    if (handler->kind != VALUE_STRING)
        return error_set(p->e, ERROR_BAD_REQUEST, "Watch handler must be a string");
    const char *shell = getenv("SHELL");
    plan->argv = ARENA_ARRAY(p->arena, char *, 4);
    plan->argv[0] =
        str_terminated(p->arena, str_from(shell != NULL && *shell != '\0' ? shell : "/bin/sh"));
    plan->argv[1] = str_terminated(p->arena, STR("-c"));
    plan->argv[2] = str_terminated(p->arena, handler->string);
    plan->words = LIST_NEW(p->arena, struct str, 1);
    LIST_AT(plan->words, struct str, 0) = handler->string;
    plan->deprecated = true;
    return true;
}

static void add_problem(struct buf *all, size_t *count, const char *text) {
    buf_add_format(all, "\n* %s", text);
    (*count)++;
}

static bool header_lines(struct parser *p, const struct value *map, struct watch_plan *plan,
                         struct buf *problems, size_t *count) {
    size_t len = 0;
    for (size_t i = 0; i < map->map.len; i++)
        len += map->map.pairs[i].value.kind == VALUE_LIST ? map->map.pairs[i].value.list.len : 0;
    plan->headers = LIST_NEW(p->arena, struct str, len);
    len = 0;
    for (size_t i = 0; i < map->map.len; i++) {
        const struct value_pair *pair = &map->map.pairs[i];
        if (pair->value.kind != VALUE_LIST) {
            struct str text = str_format(
                p->arena, "'header[" STR_FMT "]': source data must be an array or slice, got %s",
                STR_ARG(pair->key), pair->value.kind == VALUE_STRING ? "string" : "float64");
            add_problem(problems, count, text.data);
            continue;
        }
        for (size_t j = 0; j < pair->value.list.len; j++) {
            const struct value *item = &pair->value.list.items[j];
            struct str value = item->kind == VALUE_STRING ? item->string : STR("");
            LIST_AT(plan->headers, struct str, len++) =
                str_format(p->arena, STR_FMT ": " STR_FMT, STR_ARG(pair->key), STR_ARG(value));
        }
    }
    plan->headers.len = (uint32_t)len;
    return *count == 0;
}

static bool call_fields(struct parser *p, const struct value *config, struct watch_plan *plan,
                        struct str *timeout) {
    struct str path = STR(""), method = STR("");
    struct buf problems = BUF_INIT;
    size_t count = 0;
    const struct {
        const char *name;
        struct str *to;
    } strings[] = {{"method", &method}, {"path", &path}, {"timeout", timeout}};
    const struct value *headers = value_get(config, "header");
    if (headers != NULL && headers->kind == VALUE_MAP)
        header_lines(p, headers, plan, &problems, &count);
    for (size_t i = 0; i < COUNT_OF(strings); i++) {
        const struct value *v = value_get(config, strings[i].name);
        if (v != NULL && v->kind == VALUE_STRING)
            *strings[i].to = v->string;
        else if (v != NULL && v->kind != VALUE_NULL)
            add_problem(&problems, &count,
                        str_format(p->arena,
                                   "'%s' expected type 'string', got unconvertible type '%s'",
                                   strings[i].name, v->kind == VALUE_BOOL ? "bool" : "float64")
                            .data);
    }
    const struct value *skip = value_get(config, "tls_skip_verify");
    plan->skip_verify = skip != NULL && skip->kind == VALUE_BOOL && skip->boolean;
    plan->url = str_terminated(p->arena, path);
    plan->method = str_terminated(p->arena, method.len > 0 ? method : STR("POST"));
    if (count > 0)
        error_set(p->e, ERROR_BAD_REQUEST,
                  "Failed to parse 'http_handler_config': %zu error(s) decoding:\n" STR_FMT, count,
                  STR_ARG(buf_str(&problems)));
    buf_free(&problems);
    return count == 0;
}

static bool parse_call(struct parser *p, struct watch_plan *plan) {
    const struct value *config = look(p, "http_handler_config");
    struct str timeout = STR("");
    if (config == NULL || config->kind != VALUE_MAP)
        return fail(p, "Handler type 'http' requires 'http_handler_config' to be set");
    if (!call_fields(p, config, plan, &timeout))
        return failed(p);
    if (*plan->url == '\0')
        return fail(p, "Failed to parse 'http_handler_config': Requires 'path' to be set");
    plan->timeout = DEFAULT_TIMEOUT;
    if (timeout.len > 0 && !duration_parse(timeout, &plan->timeout, p->e)) {
        error_prefix(p->e, "Failed to parse 'http_handler_config': Failed to parse timeout: ");
        return failed(p);
    }
    take(p, "http_handler_config");
    return true;
}

/* What is left besides `handler` and `args` should not be there. */
static bool check_rest(struct parser *p) {
    struct buf names = BUF_INIT;
    take(p, "handler");
    take(p, "args");
    for (size_t i = 0; i < p->count; i++)
        buf_add_format(&names, "%s" STR_FMT, i > 0 ? " " : "", STR_ARG(p->left[i]->key));
    if (p->count > 0)
        error_set(p->e, ERROR_BAD_REQUEST, "Invalid parameters: [" STR_FMT "]",
                  STR_ARG(buf_str(&names)));
    buf_free(&names);
    return p->count == 0 || failed(p);
}

static bool check_kinds(struct parser *p, bool *http) {
    const struct value *handler = look(p, "handler_type"), *type = look(p, "type");
    *http = handler != NULL && handler->kind == VALUE_STRING && str_is(handler->string, "http");
    bool script =
        handler == NULL || (handler->kind == VALUE_STRING && str_is(handler->string, "script"));
    if (!*http && !script) {
        struct buf shown = BUF_INIT;
        if (handler->kind == VALUE_STRING)
            buf_add_str(&shown, handler->string);
        else
            show(&shown, handler, p->arena);
        error_set(p->e, ERROR_BAD_REQUEST, "Handler type '" STR_FMT "' not recognized",
                  STR_ARG(buf_str(&shown)));
        buf_free(&shown);
        return false;
    }
    if (type != NULL && type->kind == VALUE_STRING &&
        (str_is(type->string, "connect_roots") || str_is(type->string, "connect_leaf")))
        return error_set(p->e, ERROR_BAD_REQUEST,
                         "Watch type " STR_FMT " is not allowed in agent config",
                         STR_ARG(type->string));
    if (handler == NULL && p->count < PARAMS_MAX) { /* the default shows like any other */
        struct value_pair *pair = ARENA_NEW(p->arena, struct value_pair);
        *pair = (struct value_pair){STR("handler_type"),
                                    {.kind = VALUE_STRING, .string = STR("script")}};
        size_t at = p->count++;
        for (; at > 0 && str_compare(p->left[at - 1]->key, pair->key) > 0; at--)
            p->left[at] = p->left[at - 1];
        p->left[at] = pair;
    }
    return true;
}

bool watch_plan_parse(const struct value *params, struct watch_plan *out, struct arena *arena,
                      struct error *e) {
    struct parser p = {.arena = arena, .e = e};
    struct str type = STR(""), ignored;
    bool http;
    *out = (struct watch_plan){0};
    out->datacenter = out->token = out->subject = out->state = STR("");
    if (!parser_begin(&p, params) || !check_kinds(&p, &http))
        return false;
    const struct value *args = look(&p, "args"), *handler = look(&p, "handler");
    const struct value *kind = look(&p, "type");
    if (kind == NULL || (kind->kind == VALUE_STRING && kind->string.len == 0))
        return fail(&p, "Watch type must be specified");
    if (!take_str(&p, "datacenter", &out->datacenter) || !take_str(&p, "token", &out->token) ||
        !take_str(&p, "type", &type) || !take_str(&p, "handler_type", &ignored) ||
        (http && !parse_call(&p, out)) || !parse_type(&p, out, type) || !check_rest(&p))
        return false;
    if (http)
        return (args == NULL && handler == NULL) ||
               error_set(e, ERROR_BAD_REQUEST, "Only one watch handler allowed");
    if (args != NULL && handler != NULL)
        return error_set(e, ERROR_BAD_REQUEST, "Only one watch handler allowed");
    if (args != NULL)
        return script_of(&p, args, out);
    if (handler != NULL)
        return shell_of(&p, handler, out);
    return error_set(e, ERROR_BAD_REQUEST, "Must define a watch handler");
}
