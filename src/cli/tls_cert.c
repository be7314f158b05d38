/* `tls cert create` (cli.md 2.28).
 */
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/tls.h"

#define NUMBER_MOST 10000

struct options {
    struct str ca, key, dc, domain, node;
    int64_t days;
    bool server, client, cli;
    struct flag_list names, addresses;
};

static const struct options defaults = {
    .ca = {"#DOMAIN#-agent-ca.pem", 21},
    .key = {"#DOMAIN#-agent-ca-key.pem", 25},
    .dc = {"dc1", 3},
    .domain = {"consul", 6},
    .days = 365,
};

/* ---- what it is for ---- */

static const char *kind_of(const struct options *o) {
    return o->server ? "server" : o->client ? "client" : "cli";
}

struct name_list {
    struct str *items;
    size_t len;
};

static struct name_list list_begin(const struct flag_list *more, struct arena *arena) {
    struct name_list list = {ARENA_ARRAY(arena, struct str, more->len + 3), 0};
    for (size_t i = 0; i < more->len; i++) {
        if (more->items[i].len > 0)
            list.items[list.len++] = str_trim(more->items[i]);
    }
    return list;
}

static struct certificate_names names_of(const struct options *o, struct str own,
                                         struct arena *arena) {
    static const struct flag_list none;
    struct name_list list = list_begin(o->cli ? &none : &o->names, arena);
    if (o->node.len > 0)
        list.items[list.len++] =
            str_format(arena, STR_FMT "." STR_FMT, STR_ARG(o->node), STR_ARG(own));
    list.items[list.len++] = own;
    list.items[list.len++] = STR("localhost");
    return (struct certificate_names){list.items, list.len};
}

static struct certificate_names addresses_of(const struct options *o, struct arena *arena) {
    struct name_list list = list_begin(&o->addresses, arena);
    if (!o->cli)
        list.items[list.len++] = STR("127.0.0.1");
    return (struct certificate_names){list.items, list.len};
}

static struct certificate_wish wish_of(const struct options *o, struct arena *arena) {
    struct str name = str_format(arena, "%s." STR_FMT "." STR_FMT, kind_of(o), STR_ARG(o->dc),
                                 STR_ARG(o->domain));
    return (struct certificate_wish){
        .name = name,
        .names = names_of(o, name, arena),
        .addresses = addresses_of(o, arena),
        .use = o->server   ? CERTIFICATE_SERVER
               : o->client ? CERTIFICATE_CLIENT
                           : CERTIFICATE_ANY,
        .days = o->days,
    };
}

/* ---- files ---- */

/* The first "#DOMAIN#" is the domain. */
static struct str with_domain(struct str path, struct str domain, struct arena *arena) {
    static const struct str mark = {"#DOMAIN#", 8};
    ptrdiff_t at = str_find(path, mark, 0);
    if (at < 0)
        return path;
    return str_format(arena, STR_FMT STR_FMT STR_FMT, STR_ARG(str_sub(path, 0, (size_t)at)),
                      STR_ARG(domain), STR_ARG(str_sub(path, (size_t)at + mark.len, path.len)));
}

/* The first number of which there is neither file. */
static bool free_names(const struct options *o, struct str out[2], struct arena *arena) {
    for (int i = 0; i <= NUMBER_MOST; i++) {
        struct str stem = str_format(arena, STR_FMT "-%s-" STR_FMT "-%d", STR_ARG(o->dc),
                                     kind_of(o), STR_ARG(o->domain), i);
        out[0] = str_format(arena, STR_FMT ".pem", STR_ARG(stem));
        out[1] = str_format(arena, STR_FMT "-key.pem", STR_ARG(stem));
        if (!tls_file_exists(out[0], arena) && !tls_file_exists(out[1], arena))
            return true;
    }
    return false;
}

static const char warning[] = "==> WARNING: Server Certificates grants authority to become a\n"
                              "    server and access all state in the cluster including root keys\n"
                              "    and all ACL tokens. Do not distribute them to production hosts\n"
                              "    that are not server nodes. Store them as securely as CA keys.";

static int create(struct cli *cli, const struct options *o) {
    struct arena *arena = cli->arena;
    struct error e = ERROR_IN(arena);
    struct str paths[2], ca, ca_key, ca_text, key_text;
    struct certificate_pair pair;
    if (!free_names(o, paths, arena))
        return cli_fail(cli, "Could not find a filename that doesn't already exist");
    ca = with_domain(o->ca, o->domain, arena);
    ca_key = with_domain(o->key, o->domain, arena);
    if (!file_read(str_terminated(arena, ca), &ca_text, arena, &e))
        return cli_fail(cli, "Error reading CA: " STR_FMT, STR_ARG(e.text));
    if (!file_read(str_terminated(arena, ca_key), &key_text, arena, &e))
        return cli_fail(cli, "Error reading CA key: " STR_FMT, STR_ARG(e.text));
    if (o->server)
        cli_out(cli, "%s", warning);
    cli_out(cli, "==> Using " STR_FMT " and " STR_FMT, STR_ARG(ca), STR_ARG(ca_key));
    struct certificate_wish wish = wish_of(o, arena);
    if (!certificate_make(ca_text, key_text, &wish, &pair, arena, &e))
        return cli_fail(cli, STR_FMT, STR_ARG(e.text));
    return tls_save(cli, paths[0], paths[1], &pair);
}

static int run(struct cli *cli, const void *given) {
    const struct options *o = given;
    if (o->ca.len == 0)
        return cli_fail(cli, "Please provide the ca");
    if (o->key.len == 0)
        return cli_fail(cli, "Please provide the key");
    if (o->server + o->client + o->cli != 1)
        return cli_fail(cli, "Please provide either -server, -client, or -cli");
    if (o->node.len > 0 && !o->server)
        return cli_fail(cli, "-node requires -server");
    return create(cli, o);
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"additional-dnsname", FLAG_LIST, AT(names), NULL,
     "Another name that the certificate is valid for, besides its own and localhost. Can be given "
     "several times."},
    {"additional-ipaddress", FLAG_LIST, AT(addresses), NULL,
     "Another IP address that it is valid for, besides 127.0.0.1. Can be given several times."},
    {"ca", FLAG_STRING, AT(ca), NULL, "File with the authority's certificate."},
    {"cli", FLAG_BOOL, AT(cli), NULL, "Make a certificate for the command line."},
    {"client", FLAG_BOOL, AT(client), NULL, "Make a certificate for a client agent."},
    {"days", FLAG_INT, AT(days), NULL, "How many days from now it is valid."},
    {"dc", FLAG_STRING, AT(dc), NULL, "The datacenter in its name."},
    {"domain", FLAG_STRING, AT(domain), NULL, "The domain in its name."},
    {"key", FLAG_STRING, AT(key), NULL, "File with the authority's key."},
    {"node", FLAG_STRING, AT(node), NULL,
     "With -server: valid for <node>.server.<dc>.<domain> as well."},
    {"server", FLAG_BOOL, AT(server), NULL, "Make a certificate for a server."},
};
#undef AT

const struct command command_tls_cert_create = {
    .name = "tls cert create",
    .synopsis = "Makes a certificate",
    .usage = "tls cert create [options]",
    .about =
        "  Makes a certificate that the authority has signed, and its key, in two files of\n"
        "  this folder. Who has a server's can become a server: it belongs on servers only.\n\n"
        "      $ consul tls cert create -server\n"
        "      $ consul tls cert create -client\n",
    COMMAND_FLAGS(flags, struct options, &defaults),
    .bad_flags_prefix = "Failed to parse args: ",
    .run = run,
};
