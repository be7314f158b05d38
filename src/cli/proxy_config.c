/* See proxy_config.h. */
#include "cli/proxy_config.h"

#include "base/mem.h"
#include "base/time.h"
#include "cli/client.h"
#include "codec/number.h"
#include "codec/url.h"

#define CONNECT_TIMEOUT (10 * SECOND)
#define TIMEOUT_MS_MAX 3600000

/* ---- addresses ---- */

struct str proxy_address(struct str host, int64_t port, struct arena *arena) {
    bool v6 = str_find_char(host, ':') >= 0;
    return str_format(arena, "%s" STR_FMT "%s:%lld", v6 ? "[" : "", STR_ARG(host), v6 ? "]" : "",
                      (long long)port);
}

struct str proxy_upstream_label(const struct proxy_upstream *u, struct arena *arena) {
    struct str address = proxy_address(u->bind_address, u->bind_port, arena);
    return str_format(arena, STR_FMT "->%s:" STR_FMT "/" STR_FMT, STR_ARG(address),
                      u->is_query ? "prepared_query" : "service", STR_ARG(u->name_space),
                      STR_ARG(u->name));
}

bool proxy_upstream_same(const struct proxy_upstream *a, const struct proxy_upstream *b) {
    return a->is_query == b->is_query && str_eq(a->name, b->name) &&
           str_eq(a->name_space, b->name_space) && str_eq(a->datacenter, b->datacenter) &&
           str_eq(a->bind_address, b->bind_address) && a->bind_port == b->bind_port &&
           a->connect_timeout == b->connect_timeout;
}

struct proxy_config *proxy_config_copy(const struct proxy_config *c, struct arena *arena) {
    struct proxy_config *copy = arena_copy(arena, c, sizeof *c);
    copy->service = str_copy(arena, c->service);
    copy->bind_address = str_copy(arena, c->bind_address);
    copy->local_host = str_copy(arena, c->local_host);
    copy->upstreams =
        arena_copy(arena, c->upstreams, c->upstream_count * sizeof(struct proxy_upstream));
    for (size_t i = 0; i < c->upstream_count; i++) {
        struct proxy_upstream *u = &copy->upstreams[i];
        u->name = str_copy(arena, u->name);
        u->name_space = str_copy(arena, u->name_space);
        u->datacenter = str_copy(arena, u->datacenter);
        u->bind_address = str_copy(arena, u->bind_address);
    }
    return copy;
}

/* ---- flags ---- */

bool proxy_port_parse(struct str text, int64_t *port, struct arena *arena, struct error *e) {
    const char *why = str_to_i64(text, port) ? NULL : "invalid syntax";
    int64_t n;
    if (why != NULL && number_parse_i64(text, &n) != NULL)
        why = number_parse_i64(text, &n);
    if (why != NULL)
        return error_set(e, ERROR_BAD_REQUEST, "strconv.ParseInt: parsing " STR_FMT ": %s",
                         STR_ARG(str_quote(arena, text)), why);
    return true;
}

bool proxy_upstream_parse(struct str text, struct proxy_upstream *out, struct arena *arena,
                          struct error *e) {
    struct str rest = text;
    struct str name = str_cut(&rest, ':');
    if (rest.data == NULL)
        return error_set(e, ERROR_BAD_REQUEST, "Upstream value should be name:addr in " STR_FMT,
                         STR_ARG(str_quote(arena, text)));
    *out = (struct proxy_upstream){.name_space = STR("default"),
                                   .datacenter = STR(""),
                                   .bind_address = STR("127.0.0.1"),
                                   .connect_timeout = CONNECT_TIMEOUT};
    struct str type = name;
    out->name = str_cut(&type, '.');
    out->is_query = str_is(type, "query");
    if (type.len > 0 && !out->is_query && !str_is(type, "service"))
        return error_set(e, ERROR_BAD_REQUEST,
                         "Upstream type must be blank, 'service', or 'query'. Got: " STR_FMT,
                         STR_ARG(str_quote(arena, type)));
    struct str port = rest;
    struct str host = str_cut(&port, ':');
    if (port.data == NULL)
        port = host;
    else if (host.len > 0) {
        out->bind_address = host;
        out->bind_given = true;
    }
    return proxy_port_parse(port, &out->bind_port, arena, e);
}

/* ---- a registration ---- */

/* The peer overlooks its numbers. */
static int64_t read_ms(const struct value *config, const char *key, int64_t otherwise) {
    const struct value *v = config != NULL ? value_get(config, key) : NULL;
    int64_t ms = 0;
    if (v == NULL)
        return otherwise;
    if (v->kind == VALUE_STRING && !str_to_i64(v->string, &ms))
        return otherwise;
    if (v->kind != VALUE_STRING)
        ms = (int64_t)value_u64(config, key);
    return ms > 0 && ms <= TIMEOUT_MS_MAX ? ms * MILLISECOND : otherwise;
}

static struct str or_else(struct str text, const char *otherwise) {
    return text.len > 0 ? text : str_from(otherwise);
}

static struct proxy_upstream read_upstream(const struct value *v) {
    return (struct proxy_upstream){
        .is_query = str_is(value_str(v, "DestinationType"), "prepared_query"),
        .name = value_str(v, "DestinationName"),
        .name_space = or_else(value_str(v, "DestinationNamespace"), "default"),
        .datacenter = value_str(v, "Datacenter"),
        .bind_address = or_else(value_str(v, "LocalBindAddress"), "127.0.0.1"),
        .bind_port = (int64_t)value_u64(v, "LocalBindPort"),
        .connect_timeout = read_ms(value_get(v, "Config"), "connect_timeout_ms", CONNECT_TIMEOUT),
    };
}

bool proxy_config_read(const struct value *registration, struct proxy_config *out,
                       struct arena *arena, struct error *e) {
    const struct value *proxy = value_get(registration, "Proxy");
    *out = (struct proxy_config){0};
    if (!str_is(value_str(registration, "Kind"), "connect-proxy") || proxy == NULL ||
        value_str(proxy, "DestinationServiceName").len == 0)
        return error_set(e, ERROR_BAD_REQUEST, "service is not a valid connect proxy");
    const struct value *config = value_get(proxy, "Config");
    const struct value *upstreams = value_get(proxy, "Upstreams");
    out->service = value_str(proxy, "DestinationServiceName");
    out->listens = true;
    out->bind_address = or_else(value_str(registration, "Address"), "0.0.0.0");
    out->bind_port = (int64_t)value_u64(registration, "Port");
    out->local_host = or_else(value_str(proxy, "LocalServiceAddress"), "127.0.0.1");
    out->local_port = (int64_t)value_u64(proxy, "LocalServicePort");
    out->local_connect_timeout =
        read_ms(config, "local_connect_timeout_ms", PROXY_LOCAL_CONNECT_TIMEOUT);
    out->handshake_timeout = read_ms(config, "handshake_timeout_ms", PROXY_HANDSHAKE_TIMEOUT);
    size_t count = upstreams != NULL ? value_len(upstreams) : 0;
    if (count > PROXY_UPSTREAMS_MAX)
        return error_set(e, ERROR_TOO_LARGE, "more than %d upstreams", PROXY_UPSTREAMS_MAX);
    out->upstreams = ARENA_ARRAY(arena, struct proxy_upstream, count + 1);
    for (size_t i = 0; i < count; i++)
        out->upstreams[out->upstream_count++] = read_upstream(&upstreams->list.items[i]);
    return true;
}

/* ---- instances and identities ---- */

struct proxy_instance *proxy_instances_read(const struct value *entries, size_t *count,
                                            struct arena *arena) {
    size_t len = value_len(entries);
    struct proxy_instance *all = ARENA_ARRAY(arena, struct proxy_instance, len + 1);
    *count = 0;
    for (size_t i = 0; i < len; i++) {
        const struct value *node = value_get(&entries->list.items[i], "Node");
        const struct value *service = value_get(&entries->list.items[i], "Service");
        if (node == NULL || service == NULL)
            continue;
        const struct value *proxy = value_get(service, "Proxy");
        struct str address = value_str(service, "Address"), name = value_str(service, "Service");
        if (str_is(value_str(service, "Kind"), "connect-proxy") && proxy != NULL)
            name = value_str(proxy, "DestinationServiceName");
        struct proxy_instance x = {
            .address = address.len > 0 ? address : value_str(node, "Address"),
            .port = (int64_t)value_u64(service, "Port"),
            .name_space = STR("default"),
            .datacenter = value_str(node, "Datacenter"),
            .service = name,
        };
        if (x.address.len > 0 && x.port > 0 && x.port <= 65535 && name.len > 0)
            all[(*count)++] = x;
    }
    return all;
}

/* The next part of "/ns/default/dc/dc1/svc/db", behind the word. */
static bool take_part(struct str *path, const char *word, struct str *out, struct arena *arena) {
    struct str start = str_format(arena, "/%s/", word);
    if (!str_has_prefix(*path, start))
        return false;
    *path = str_sub(*path, start.len, path->len);
    ptrdiff_t slash = str_find_char(*path, '/');
    struct str part = str_sub(*path, 0, slash >= 0 ? (size_t)slash : path->len);
    *path = str_sub(*path, part.len, path->len);
    return part.len > 0 && url_decode(part, false, arena, out);
}

bool proxy_identity_matches(struct str uri, const struct proxy_instance *instance,
                            struct arena *arena) {
    struct str name_space, datacenter, service;
    struct str scheme = STR("spiffe://");
    if (!str_eq_fold(str_sub(uri, 0, scheme.len), scheme))
        return false;
    struct str path = str_sub(uri, scheme.len, uri.len);
    ptrdiff_t slash = str_find_char(path, '/'); /* behind the trust domain: roots vouch for that */
    if (slash < 0 || str_find_char(path, '?') >= 0 || str_find_char(path, '#') >= 0)
        return false;
    path = str_sub(path, (size_t)slash, path.len);
    return take_part(&path, "ns", &name_space, arena) &&
           take_part(&path, "dc", &datacenter, arena) && take_part(&path, "svc", &service, arena) &&
           path.len == 0 && str_eq_fold(name_space, instance->name_space) &&
           str_eq_fold(datacenter, instance->datacenter) && str_eq_fold(service, instance->service);
}

struct str proxy_identity_text(const struct proxy_instance *x, struct arena *arena) {
    return str_format(arena, "spiffe:///ns/" STR_FMT "/dc/" STR_FMT "/svc/" STR_FMT,
                      STR_ARG(x->name_space), STR_ARG(x->datacenter), STR_ARG(x->service));
}
