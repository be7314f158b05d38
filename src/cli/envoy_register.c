/* Gateways that `connect envoy` registers, and their addresses on the command line. See envoy.h. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/envoy.h"
#include "cli/envoy_bootstrap.h"
#include "codec/json.h"
#include "codec/number.h"

/* ---- flags ---- */

static bool is_ip(struct str text, struct arena *arena) {
    unsigned char bytes[16];
    const char *terminated = str_terminated(arena, text);
    return inet_pton(AF_INET, terminated, bytes) == 1 ||
           inet_pton(AF_INET6, terminated, bytes) == 1;
}

static bool read_port(struct str text, int64_t *port, struct arena *arena, struct error *e) {
    if (text.len == 0)
        return true;
    if (str_to_i64(text, port))
        return true;
    int64_t n;
    const char *why = number_parse_i64(text, &n);
    struct str quoted = str_quote(arena, text);
    return error_set(e, ERROR_BAD_REQUEST,
                     "Error parsing port " STR_FMT ": strconv.Atoi: parsing " STR_FMT ": %s",
                     STR_ARG(quoted), STR_ARG(quoted), why != NULL ? why : "invalid syntax");
}

static bool address_error(struct error *e, struct str text, struct str why, struct arena *arena) {
    return error_set(e, ERROR_BAD_REQUEST, "Error parsing address " STR_FMT ": " STR_FMT,
                     STR_ARG(str_quote(arena, text)), STR_ARG(why));
}

bool gateway_address_read(void *at, struct str value, const void *context, struct arena *arena,
                          struct error *e) {
    const struct cli_hooks *hooks = context;
    struct gateway_address *to = at;
    struct error why = ERROR_IN(arena);
    struct str text = value, host, port;
    if (hooks->expand_address != NULL && !hooks->expand_address(value, &text, arena, &why))
        return address_error(e, value, why.text, arena);
    *to = (struct gateway_address){STR(""), GATEWAY_PORT};
    if (envoy_split_address(text, &host, &port, &why)) {
        to->host = host;
        return read_port(port, &to->port, arena, e);
    }
    if (!str_has_suffix(why.text, STR("missing port in address")))
        return address_error(e, text, why.text, arena);
    if (!is_ip(text, arena))
        return address_error(e, text, STR("not an IP address"), arena);
    to->host = text;
    return true;
}

bool bind_address_read(void *at, struct str value, const void *context, struct arena *arena,
                       struct error *e) {
    struct bind_addresses *list = at;
    ptrdiff_t equals = str_find_char(value, '=');
    if (equals < 0)
        return error_set(e, ERROR_BAD_REQUEST, "Missing \"=\" in argument: " STR_FMT,
                         STR_ARG(value));
    struct bind_address item = {.name = str_sub(value, 0, (size_t)equals)};
    if (!gateway_address_read(&item.address, str_sub(value, (size_t)equals + 1, value.len), context,
                              arena, e))
        return false;
    size_t i = 0;
    while (i < list->len && str_compare(list->items[i].name, item.name) < 0)
        i++;
    if (i < list->len && str_eq(list->items[i].name, item.name)) {
        list->items[i] = item;
        return true;
    }
    struct bind_address *items = ARENA_ARRAY(arena, struct bind_address, list->len + 1);
    for (size_t j = 0; j < list->len; j++)
        items[j < i ? j : j + 1] = list->items[j];
    items[i] = item;
    list->items = items;
    list->len++;
    return true;
}

struct str gateway_address_text(const struct gateway_address *a, struct arena *arena) {
    struct str host = a->host.len > 0 ? a->host : STR("127.0.0.1");
    bool v6 = str_find_char(host, ':') >= 0;
    return str_format(arena, "%s" STR_FMT "%s:%lld", v6 ? "[" : "", STR_ARG(host), v6 ? "]" : "",
                      (long long)a->port);
}

/* ---- what is registered ---- */

/* Whether an interface of this machine has that very address. */
static bool is_local(struct str host, struct arena *arena) {
    struct ifaddrs *all = NULL;
    unsigned char bytes[16];
    const char *terminated = str_terminated(arena, host);
    bool v4 = inet_pton(AF_INET, terminated, bytes) == 1;
    if ((!v4 && inet_pton(AF_INET6, terminated, bytes) != 1) || getifaddrs(&all) != 0)
        return false;
    bool found = false;
    for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != (v4 ? AF_INET : AF_INET6))
            continue;
        const struct sockaddr_in *in = (const void *)i->ifa_addr;
        const struct sockaddr_in6 *in6 = (const void *)i->ifa_addr;
        found = v4 ? memcmp(&in->sin_addr, bytes, 4) == 0 : memcmp(&in6->sin6_addr, bytes, 16) == 0;
    }
    freeifaddrs(all);
    return found;
}

static void add_address(struct json_writer *w, struct str name, const struct gateway_address *a) {
    json_key(w, name);
    json_open_object(w);
    json_key(w, STR("Address"));
    json_str(w, a->host);
    json_key(w, STR("Port"));
    json_i64(w, a->port);
    json_close_object(w);
}

static void add_tagged(struct json_writer *w, const struct envoy_options *o) {
    if (o->lan.host.len == 0 && o->wan.host.len == 0)
        return;
    json_key(w, STR("TaggedAddresses"));
    json_open_object(w);
    if (o->lan.host.len > 0)
        add_address(w, STR("lan"), &o->lan);
    if (o->wan.host.len > 0)
        add_address(w, STR("wan"), &o->wan);
    json_close_object(w);
}

static void add_text(struct json_writer *w, const char *key, struct str value) {
    json_key(w, str_from(key));
    json_str(w, value);
}

static void add_check(struct json_writer *w, const struct envoy_options *o, const char *kind,
                      struct arena *arena) {
    json_key(w, STR("Check"));
    json_open_object(w);
    add_text(w, "Name", str_format(arena, "%s listening", kind));
    add_text(w, "Interval", STR("10s"));
    add_text(w, "TCP", gateway_address_text(&o->lan, arena));
    if (o->deregister_after_critical.len > 0)
        add_text(w, "DeregisterCriticalServiceAfter", o->deregister_after_critical);
    json_close_object(w);
    json_key(w, STR("Checks"));
    json_null(w);
}

enum binding { BIND_DEFAULT, BIND_TAGGED, BIND_GIVEN };

/* Where Envoy is to listen. False: nowhere. */
static bool choose_binding(const struct envoy_options *o, enum binding *binding,
                           struct arena *arena, struct error *e) {
    bool lan = is_local(o->lan.host, arena);
    *binding = BIND_DEFAULT;
    if (lan && is_local(o->wan.host, arena))
        *binding = BIND_TAGGED;
    else if (o->bind.len > 0)
        *binding = BIND_GIVEN;
    else if (!lan && o->lan.host.len > 0)
        return error_set(e, ERROR_BAD_REQUEST,
                         "The LAN address " STR_FMT " will not be bindable. Either set a bindable "
                         "address or override the bind addresses with -bind-address",
                         STR_ARG(str_quote(arena, o->lan.host)));
    return true;
}

static void add_proxy(struct json_writer *w, const struct envoy_options *o, enum binding binding) {
    if (binding == BIND_DEFAULT)
        return;
    json_key(w, STR("Proxy"));
    json_open_object(w);
    json_key(w, STR("Config"));
    json_open_object(w);
    if (binding == BIND_TAGGED) {
        json_key(w, STR("envoy_gateway_bind_tagged_addresses"));
        json_bool(w, true);
    } else {
        json_key(w, STR("envoy_gateway_bind_addresses"));
        json_open_object(w);
        for (size_t i = 0; i < o->bind.len; i++)
            add_address(w, o->bind.items[i].name, &o->bind.items[i].address);
        json_close_object(w);
    }
    json_key(w, STR("envoy_gateway_no_default_bind"));
    json_bool(w, true);
    json_close_object(w);
    for (size_t i = 0; i < 2; i++) { /* as the peer has them */
        json_key(w, i == 0 ? STR("MeshGateway") : STR("Expose"));
        json_open_object(w);
        json_close_object(w);
    }
    json_close_object(w);
}

bool gateway_register(struct client *c, const struct envoy_options *o, const char *kind,
                      struct str id, struct str name, struct arena *arena, struct error *e) {
    enum binding binding;
    struct buf body = BUF_INIT;
    struct json_writer w;
    struct call call;
    if (!choose_binding(o, &binding, arena, e))
        return false;
    json_begin(&w, &body, false);
    json_open_object(&w);
    add_text(&w, "Kind", str_from(kind));
    add_text(&w, "ID", id);
    add_text(&w, "Name", name);
    json_key(&w, STR("Port"));
    json_i64(&w, o->lan.port);
    if (o->lan.host.len > 0)
        add_text(&w, "Address", o->lan.host);
    add_tagged(&w, o);
    if (o->expose_servers) {
        json_key(&w, STR("Meta"));
        json_open_object(&w);
        add_text(&w, "consul-wan-federation", STR("1"));
        json_close_object(&w);
    }
    add_check(&w, o, kind, arena);
    add_proxy(&w, o, binding);
    json_close_object(&w);
    call_init(&call, "PUT", STR("/v1/agent/service/register"));
    call.body = buf_str(&body);
    bool ok = client_expect(c, &call, arena, e);
    buf_free(&body);
    return ok || error_prefix(e, "Error registering service " STR_FMT ": ",
                              STR_ARG(str_quote(arena, name)));
}
