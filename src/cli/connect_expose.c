/* `connect expose` (cli.md 2.6): a service gets a listener of an ingress gateway, and the gateway
 * the intention that lets it through. The gateway's entry is read, changed and written back, unless
 * somebody else has written it meanwhile.
 */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/request.h"
#include "schema/client_view.h"

#define KIND "ingress-gateway"
#define BAD_FLAGS "Failed to parse args: "

struct options {
    struct str gateway, service, protocol;
    int64_t port;
    struct flag_list hosts;
};

/* "name" or "namespace/name" */
struct target {
    struct str given, name_space, name;
};

struct expose {
    struct cli *cli;
    const struct options *options;
    struct client *client;
    struct target gateway, service;
};

static bool read_target(struct str given, const char *what, struct target *out, struct cli *cli) {
    ptrdiff_t slash = str_find_char(given, '/');
    *out = (struct target){given, STR(""), given};
    if (slash < 0)
        return true;
    out->name_space = str_sub(given, 0, (size_t)slash);
    out->name = str_sub(given, (size_t)slash + 1, given.len);
    if (str_find_char(out->name, '/') < 0)
        return true;
    cli_err(cli, "Invalid %s: target can contain at most one '/'", what);
    return false;
}

static bool read_options(struct expose *x) {
    struct cli *cli = x->cli;
    if (x->options->service.len == 0) {
        cli_err(cli, "A service name must be given via the -service flag.");
        return false;
    }
    if (!read_target(x->options->service, "service name", &x->service, cli))
        return false;
    if (x->options->gateway.len == 0) {
        cli_err(cli, "An ingress gateway service must be given via the -ingress-gateway flag.");
        return false;
    }
    if (!read_target(x->options->gateway, "ingress gateway name", &x->gateway, cli))
        return false;
    if (x->options->port == 0)
        cli_err(cli, "A port must be provided via the -port flag.");
    return x->options->port != 0;
}

/* ---- the entry ---- */

static bool same_name_space(struct str a, struct str b) {
    struct str standard = STR("default");
    return str_eq(a.len > 0 ? a : standard, b.len > 0 ? b : standard);
}

/* As JSON has them. */
static struct value number(int64_t n, struct arena *arena) {
    return (struct value){.kind = VALUE_FLOAT,
                          .number = (double)n,
                          .literal = str_format(arena, "%lld", (long long)n)};
}

static bool read_entry(struct expose *x, struct value *entry, struct error *e) {
    struct arena *arena = x->cli->arena;
    struct call call;
    if (x->gateway.name.len == 0)
        return error_set(e, ERROR_BAD_REQUEST, "Both kind and name parameters must not be empty");
    call_init(&call, "GET",
              str_format(arena, "/v1/config/" KIND "/" STR_FMT, STR_ARG(x->gateway.name)));
    if (client_json(x->client, &call, entry, arena, e))
        return true;
    if (str_find(e->text, STR("Config entry not found"), 0) < 0)
        return false;
    error_clear(e);
    *entry = value_map();
    value_put(entry, STR("Kind"), value_from_str(STR(KIND)), arena);
    value_put(entry, STR("Name"), value_from_str(x->gateway.name), arena);
    if (x->gateway.name_space.len > 0)
        value_put(entry, STR("Namespace"), value_from_str(x->gateway.name_space), arena);
    return true;
}

static struct value make_service(const struct expose *x) {
    struct arena *arena = x->cli->arena;
    struct value service = value_map(), hosts = {.kind = VALUE_NULL};
    for (size_t i = 0; i < x->options->hosts.len; i++)
        value_append(&hosts, value_from_str(x->options->hosts.items[i]), arena);
    value_put(&service, STR("Name"), value_from_str(x->service.name), arena);
    value_put(&service, STR("Namespace"), value_from_str(x->service.name_space), arena);
    value_put(&service, STR("Hosts"), hosts, arena);
    return service;
}

static struct value *find_listener(struct value *listeners, int64_t port) {
    for (size_t i = 0; i < value_len(listeners); i++)
        if (value_u64(&listeners->list.items[i], "Port") == (uint64_t)port)
            return &listeners->list.items[i];
    return NULL;
}

/* Into the listener's services, in place of one that is there. */
static void put_service(struct expose *x, struct value *listener) {
    struct arena *arena = x->cli->arena;
    struct value made = make_service(x);
    struct value *services = (struct value *)(uintptr_t)value_get(listener, "Services");
    for (size_t i = 0; services != NULL && i < value_len(services); i++) {
        struct value *s = &services->list.items[i];
        if (!str_eq(value_str(s, "Name"), x->service.name) ||
            !same_name_space(value_str(s, "Namespace"), x->service.name_space))
            continue;
        cli_out(x->cli, "Updating service definition for " STR_FMT " on listener with port %lld",
                STR_ARG(str_quote(arena, x->service.given)), (long long)x->options->port);
        *s = made;
        return;
    }
    struct value list = services != NULL ? *services : (struct value){.kind = VALUE_NULL};
    value_append(&list, made, arena);
    value_put(listener, STR("Services"), list, arena);
}

static bool change_entry(struct expose *x, struct value *entry) {
    struct arena *arena = x->cli->arena;
    const struct value *old = value_get(entry, "Listeners");
    struct value listeners = old != NULL ? *old : (struct value){.kind = VALUE_NULL};
    struct value *listener = find_listener(&listeners, x->options->port);
    if (listener == NULL) {
        struct value made = value_map();
        value_put(&made, STR("Port"), number(x->options->port, arena), arena);
        value_put(&made, STR("Protocol"), value_from_str(x->options->protocol), arena);
        put_service(x, &made);
        value_append(&listeners, made, arena);
    } else {
        struct str protocol = value_str(listener, "Protocol");
        if (!str_eq(protocol, x->options->protocol)) {
            cli_err(x->cli,
                    "Listener on port %lld already configured with conflicting protocol " STR_FMT,
                    (long long)x->options->port, STR_ARG(str_quote(arena, protocol)));
            return false;
        }
        put_service(x, listener);
    }
    value_put(entry, STR("Listeners"), listeners, arena);
    return true;
}

static struct str shaped(const struct value *v, const struct shape_field *fields,
                         struct arena *arena) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    shape_write(&w, v, fields);
    buf_add_char(&text, '\n');
    struct str out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

static bool write_entry(struct expose *x, const struct value *entry) {
    struct arena *arena = x->cli->arena;
    struct error e = ERROR_IN(arena);
    struct call call;
    call_init(&call, "PUT", STR("/v1/config"));
    call_param(&call, "cas",
               str_format(arena, "%llu", (unsigned long long)value_u64(entry, "ModifyIndex")));
    call.body = shaped(entry, shape_config_entry(STR(KIND)), arena);
    if (!client_expect(x->client, &call, arena, &e)) {
        cli_err(x->cli, "Error writing ingress config entry: " STR_FMT, STR_ARG(e.text));
        return false;
    }
    if (str_find(call.answer, STR("true"), 0) < 0) {
        cli_err(x->cli, "Ingress config entry was changed while attempting to update, please try "
                        "again.");
        return false;
    }
    cli_out(x->cli, "Successfully updated config entry for ingress service " STR_FMT,
            STR_ARG(str_quote(arena, x->gateway.name)));
    return true;
}

static bool expose_service(struct expose *x) {
    struct value entry;
    struct error e = ERROR_IN(x->cli->arena);
    if (!read_entry(x, &entry, &e)) {
        cli_err(x->cli, "Error fetching existing ingress gateway configuration: " STR_FMT,
                STR_ARG(e.text));
        return false;
    }
    return change_entry(x, &entry) && write_entry(x, &entry);
}

/* ---- the intention ---- */

static bool is_between(const struct value *v, const struct expose *x) {
    return str_eq(value_str(v, "SourceName"), x->gateway.name) &&
           same_name_space(value_str(v, "SourceNS"), x->gateway.name_space) &&
           str_eq(value_str(v, "DestinationName"), x->service.name) &&
           same_name_space(value_str(v, "DestinationNS"), x->service.name_space);
}

static struct value make_intention(const struct expose *x) {
    struct arena *arena = x->cli->arena;
    struct value v = value_map();
    value_put(&v, STR("SourceNS"), value_from_str(x->gateway.name_space), arena);
    value_put(&v, STR("SourceName"), value_from_str(x->gateway.name), arena);
    value_put(&v, STR("DestinationNS"), value_from_str(x->service.name_space), arena);
    value_put(&v, STR("DestinationName"), value_from_str(x->service.name), arena);
    value_put(&v, STR("SourceType"), value_from_str(STR("consul")), arena);
    return v;
}

static bool put_intention(struct expose *x, struct value *v, bool update) {
    struct arena *arena = x->cli->arena;
    struct error e = ERROR_IN(arena);
    struct str path = STR("/v1/connect/intentions");
    struct call call;
    value_put(v, STR("Action"), value_from_str(STR("allow")), arena);
    if (update)
        path = str_format(arena, STR_FMT "/" STR_FMT, STR_ARG(path), STR_ARG(value_str(v, "ID")));
    call_init(&call, update ? "PUT" : "POST", path);
    call.body = shaped(v, shape_intention, arena);
    bool ok = client_expect(x->client, &call, arena, &e);
    if (!ok)
        cli_err(x->cli, "Error %s intention: " STR_FMT, update ? "updating" : "creating",
                STR_ARG(e.text));
    return ok;
}

static bool allow_gateway(struct expose *x) {
    struct arena *arena = x->cli->arena;
    struct error e = ERROR_IN(arena);
    struct value list, made = make_intention(x), *found = NULL;
    if (!client_get(x->client, STR("/v1/connect/intentions"), &list, arena, &e)) {
        cli_err(x->cli, "Error looking up existing intention: " STR_FMT, STR_ARG(e.text));
        return false;
    }
    for (size_t i = 0; i < value_len(&list) && found == NULL; i++)
        if (is_between(&list.list.items[i], x))
            found = &list.list.items[i];
    struct str from = str_quote(arena, x->gateway.given), to = str_quote(arena, x->service.given);
    if (found != NULL && str_is(value_str(found, "Action"), "allow")) {
        cli_out(x->cli, "Intention already exists for " STR_FMT " -> " STR_FMT, STR_ARG(from),
                STR_ARG(to));
        return true;
    }
    if (!put_intention(x, found != NULL ? found : &made, found != NULL))
        return false;
    cli_out(x->cli, "Successfully set up intention for " STR_FMT " -> " STR_FMT, STR_ARG(from),
            STR_ARG(to));
    return true;
}

/* ---- the command ---- */

static int run(struct cli *cli, const void *given) {
    struct expose x = {.cli = cli, .options = given, .client = request_open(cli)};
    if (x.client == NULL)
        return CLI_FAILED;
    bool ok = read_options(&x) && expose_service(&x) && allow_gateway(&x);
    client_free(x.client);
    return ok ? CLI_OK : CLI_FAILED;
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"host", FLAG_LIST, AT(hosts), NULL,
     "A host name that leads to the service. May be given several times."},
    {"ingress-gateway", FLAG_STRING, AT(gateway), NULL, "Name of the ingress gateway; needed."},
    {"port", FLAG_INT, AT(port), NULL, "Port of the gateway's listener; needed."},
    {"protocol", FLAG_STRING, AT(protocol), NULL, "What is spoken there."},
    {"service", FLAG_STRING, AT(service), NULL, "Name of the service; needed."},
};
#undef AT

static const struct options defaults = {.protocol = STR_INIT("tcp")};

const struct command command_connect_expose = {
    .name = "connect expose",
    .synopsis = "Opens a service to the outside at an ingress gateway",
    .usage = "connect expose [options]",
    .about =
        "  Gives a service a listener of an ingress gateway, and allows the gateway to connect\n"
        "  to it.\n\n"
        "      $ consul connect expose -ingress-gateway=edge -service=web -port=8080\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .bad_flags_prefix = BAD_FLAGS,
    .run = run,
};
