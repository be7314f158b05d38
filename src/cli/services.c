/* `services register` and `services deregister` (cli.md 2.26). Reading configuration files is a
 * hook.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "codec/json.h"

const struct command command_services = {
    .name = "services",
    .synopsis = "Services of the local agent",
    .usage = "services <subcommand> [options] [args]",
    .about =
        "  Registers services with the local agent and takes them off it again, from files as\n"
        "  the agent itself reads them, or from options.\n\n"
        "      $ consul services register web.json\n"
        "      $ consul services deregister web.json\n"
        "      $ consul services register -name=web -port=80\n",
};

static bool load_files(struct cli *cli, struct cli_service **services, size_t *count) {
    struct error e = ERROR_IN(cli->arena);
    struct buf warnings = BUF_INIT;
    if (cli->hooks->services_from_files == NULL) {
        cli_err(cli, "Reading service files is not part of this build");
        return false;
    }
    bool ok = cli->hooks->services_from_files(cli->args, cli->arg_count, services, count, &warnings,
                                              cli->arena, &e);
    cli_write_buf(cli->err, &warnings);
    if (!ok)
        cli_err(cli, "Error: " STR_FMT, STR_ARG(e.text));
    return ok;
}

/* ---- register ---- */

struct register_options {
    struct str address, id, kind, name;
    int64_t port;
    struct flag_list meta, tagged_addresses, tags;
};

static int compare_pairs(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* "host:port", "[v6]:port" */
static bool split_address(struct str text, struct str *host, int64_t *port, struct error *e) {
    ptrdiff_t colon = -1;
    for (size_t i = text.len; i > 0 && colon < 0; i--) {
        if (text.data[i - 1] == ':')
            colon = (ptrdiff_t)i - 1;
        else if (text.data[i - 1] == ']')
            break;
    }
    if (colon < 0)
        return error_set(e, ERROR_BAD_REQUEST, "address " STR_FMT ": missing port in address",
                         STR_ARG(text));
    *host = str_sub(text, 0, (size_t)colon);
    struct str digits = str_sub(text, (size_t)colon + 1, text.len);
    bool bracketed = host->len >= 2 && host->data[0] == '[' && host->data[host->len - 1] == ']';
    if (bracketed)
        *host = str_sub(*host, 1, host->len - 2);
    else if (str_find_char(*host, ':') >= 0)
        return error_set(e, ERROR_BAD_REQUEST, "address " STR_FMT ": too many colons in address",
                         STR_ARG(text));
    if (!str_to_i64(digits, port))
        return error_set(e, ERROR_BAD_REQUEST, "strconv.Atoi: parsing " STR_FMT ": invalid syntax",
                         STR_ARG(str_quote(e->arena, digits)));
    return true;
}

static bool write_tagged_addresses(struct json_writer *w, const struct flag_list *pairs,
                                   struct error *e) {
    json_key(w, STR("TaggedAddresses"));
    json_open_object(w);
    for (size_t i = 0; i + 1 < pairs->len; i += 2) {
        struct str host;
        int64_t port = 0;
        if (!split_address(pairs->items[i + 1], &host, &port, e))
            return false;
        json_key(w, pairs->items[i]);
        json_open_object(w);
        json_key(w, STR("Address"));
        json_str(w, host);
        json_key(w, STR("Port"));
        json_i64(w, port);
        json_close_object(w);
    }
    json_close_object(w);
    return true;
}

static void write_text(struct json_writer *w, const char *key, struct str value) {
    if (value.len == 0)
        return;
    json_key(w, str_from(key));
    json_str(w, value);
}

static bool write_service(struct json_writer *w, struct register_options *o, struct error *e) {
    bool ok = true;
    if (o->meta.len > 0) /* pairs, in the order of their keys */
        qsort(o->meta.items, o->meta.len / 2, 2 * sizeof *o->meta.items, compare_pairs);
    if (o->tagged_addresses.len > 0)
        qsort(o->tagged_addresses.items, o->tagged_addresses.len / 2,
              2 * sizeof *o->tagged_addresses.items, compare_pairs);
    json_open_object(w);
    write_text(w, "Kind", o->kind);
    write_text(w, "ID", o->id);
    write_text(w, "Name", o->name);
    if (o->tags.len > 0) {
        json_key(w, STR("Tags"));
        json_open_array(w);
        for (size_t i = 0; i < o->tags.len; i++)
            json_str(w, o->tags.items[i]);
        json_close_array(w);
    }
    if (o->port != 0) {
        json_key(w, STR("Port"));
        json_i64(w, o->port);
    }
    write_text(w, "Address", o->address);
    if (o->tagged_addresses.len > 0)
        ok = write_tagged_addresses(w, &o->tagged_addresses, e);
    if (o->meta.len > 0) {
        json_key(w, STR("Meta"));
        json_open_object(w);
        for (size_t i = 0; i + 1 < o->meta.len; i += 2) {
            json_key(w, o->meta.items[i]);
            json_str(w, o->meta.items[i + 1]);
        }
        json_close_object(w);
    }
    json_key(w, STR("Check"));
    json_null(w);
    json_key(w, STR("Checks"));
    json_null(w);
    json_close_object(w);
    return ok;
}

static bool service_from_flags(struct cli *cli, const struct register_options *options,
                               struct cli_service *service) {
    struct error e = ERROR_IN(cli->arena);
    struct register_options sorted = *options;
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    bool ok = write_service(&w, &sorted, &e);
    buf_add_char(&text, '\n');
    *service =
        (struct cli_service){options->id, options->name, str_copy(cli->arena, buf_str(&text))};
    buf_free(&text);
    if (!ok)
        cli_err(cli, "Invalid Tagged Address: " STR_FMT, STR_ARG(e.text));
    return ok;
}

static bool register_one(struct cli *cli, struct client *c, const struct cli_service *service) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    call_init(&call, "PUT", STR("/v1/agent/service/register"));
    call.body = service->json;
    if (!client_expect(c, &call, cli->arena, &e)) {
        cli_err(cli, "Error registering service " STR_FMT ": " STR_FMT,
                STR_ARG(str_quote(cli->arena, service->name)), STR_ARG(e.text));
        return false;
    }
    cli_out(cli, "Registered service: " STR_FMT, STR_ARG(service->name));
    return true;
}

static int run_register(struct cli *cli, const void *given) {
    const struct register_options *options = given;
    struct cli_service one, *services = &one;
    size_t count = 1;
    bool named = options->name.len > 0;
    if (cli->arg_count == 0 && !named)
        return cli_fail(cli, "Service registration requires at least one argument or flags.");
    if (cli->arg_count > 0 && named)
        return cli_fail(cli, "Service registration requires arguments or -id, not both.");
    bool ok = named ? service_from_flags(cli, options, &one) : load_files(cli, &services, &count);
    struct client *c = ok ? client_open(cli) : NULL;
    ok = c != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = register_one(cli, c, &services[i]);
    client_free(c);
    return ok ? CLI_OK : CLI_FAILED;
}

#define AT(member) offsetof(struct register_options, member)
static const struct flag register_flags[] = {
    {"address", FLAG_STRING, AT(address), NULL, "Where the service listens."},
    {"id", FLAG_STRING, AT(id), NULL, "Its ID on this agent; without it, its name."},
    {"kind", FLAG_STRING, AT(kind), NULL, "Its kind, when it is a proxy or gateway."},
    {"meta", FLAG_MAP, AT(meta), NULL,
     "Metadata of the form key=value. May be given several times."},
    {"name", FLAG_STRING, AT(name), NULL, "The service's name; needed without a file."},
    {"port", FLAG_INT, AT(port), NULL, "The port at which it listens."},
    {"tag", FLAG_LIST, AT(tags), NULL, "A tag. May be given several times."},
    {"tagged-address", FLAG_MAP, AT(tagged_addresses), NULL,
     "Another address, of the form name=host:port. May be given several times."},
};
#undef AT

const struct command command_services_register = {
    .name = "services register",
    .synopsis = "Registers services with the local agent",
    .usage = "services register [options] [FILE...]",
    .about =
        "  Registers the services of the files, or the one that the options describe. It stays\n"
        "  until it is deregistered or the agent leaves.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(register_flags, struct register_options, NULL),
    .run = run_register,
};

/* ---- deregister ---- */

struct deregister_options {
    struct str id;
};

static bool deregister_one(struct cli *cli, struct client *c, struct str id, struct str name) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    call_init(&call, "PUT",
              str_format(cli->arena, "/v1/agent/service/deregister/" STR_FMT, STR_ARG(id)));
    if (!client_expect(c, &call, cli->arena, &e)) {
        cli_err(cli, "Error registering service " STR_FMT ": " STR_FMT,
                STR_ARG(str_quote(cli->arena, name)), STR_ARG(e.text));
        return false;
    }
    cli_out(cli, "Deregistered service: " STR_FMT, STR_ARG(id));
    return true;
}

static int run_deregister(struct cli *cli, const void *given) {
    const struct deregister_options *options = given;
    struct cli_service one = {options->id, STR_NONE, STR_NONE}, *services = &one;
    size_t count = 1;
    if (cli->arg_count == 0 && options->id.len == 0)
        return cli_fail(cli, "Service deregistration requires at least one argument or -id.");
    if (cli->arg_count > 0 && options->id.len > 0)
        return cli_fail(cli, "Service deregistration requires arguments or -id, not both.");
    if (cli->arg_count > 0 && !load_files(cli, &services, &count))
        return CLI_FAILED;
    struct client *c = client_open(cli);
    bool ok = c != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        struct str id = services[i].id.len > 0 ? services[i].id : services[i].name;
        ok = id.len == 0 || deregister_one(cli, c, id, services[i].name);
    }
    client_free(c);
    return ok ? CLI_OK : CLI_FAILED;
}

static const struct flag deregister_flags[] = {
    {"id", FLAG_STRING, offsetof(struct deregister_options, id), NULL,
     "ID of the service to take off, instead of a file."},
};

const struct command command_services_deregister = {
    .name = "services deregister",
    .synopsis = "Takes services off the local agent",
    .usage = "services deregister [options] [FILE...]",
    .about =
        "  Takes the services of the files, or the one with -id, off the local agent. One that\n"
        "  is not there is no error.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(deregister_flags, struct deregister_options, NULL),
    .run = run_deregister,
};
