/* Rules for the entries of gateways: see config_entry_rules.h. */
#include "base/map.h"
#include "base/mem.h"
#include "schema/config_entry_rules.h"

#define LABEL_MAX 63
#define DOMAIN_MAX 256 /* octets, one more a label */

/* ---- ingress gateways ---- */

void ingress_gateway_normalize(struct ingress_gateway *gateway, struct arena *arena) {
    for (uint32_t i = 0; i < gateway->listeners.len; i++) {
        struct ingress_listener *l = &LIST_AT(gateway->listeners, struct ingress_listener, i);
        l->protocol = l->protocol.len == 0 ? STR("tcp") : str_lower(arena, l->protocol);
    }
}

/* As lookups of names take it: any octets, "\." and "\046" are one; an empty label only in front.
 */
static bool is_domain(struct str host) {
    size_t label = 0, total = 0;
    bool after_dot = false;
    if (host.len == 0)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        if (c == '.') {
            if (after_dot || label > LABEL_MAX)
                return false;
            total += label + 1;
            label = 0;
            after_dot = true;
            continue;
        }
        after_dot = false;
        if (c == '\\') {
            if (i + 1 == host.len)
                break;
            bool digits = i + 3 < host.len;
            for (size_t k = 1; digits && k <= 3; k++)
                digits = host.data[i + k] >= '0' && host.data[i + k] <= '9';
            i += digits ? 3 : 1;
        }
        label++;
    }
    total += label > 0 ? label + 1 : 0;
    return label <= LABEL_MAX && total <= DOMAIN_MAX;
}

static bool check_host(struct str host, bool tls, struct arena *arena, struct error *e) {
    if (str_is(host, "*")) {
        return !tls || error_set(e, ERROR_INTERNAL,
                                 "Host '*' is not allowed when TLS is enabled, all hosts must be "
                                 "valid DNS records to add as a DNSSAN");
    }
    if (!is_domain(host))
        return error_set(e, ERROR_INTERNAL, "Host " STR_FMT " must be a valid DNS hostname",
                         STR_ARG(str_quote(arena, host)));
    struct str rest = str_has_prefix(host, STR("*.")) ? str_sub(host, 2, host.len) : host;
    if (str_find_char(rest, '*') >= 0)
        return error_set(
            e, ERROR_INTERNAL,
            "Host " STR_FMT
            " is not valid, a wildcard specifier is only allowed as the leftmost label",
            STR_ARG(str_quote(arena, host)));
    return true;
}

static bool refuse(struct error *e, const struct ingress_listener *l, const char *what) {
    return error_set(e, ERROR_INTERNAL, "%s (listener on port %lld)", what, (long long)l->port);
}

static bool check_service(const struct ingress_listener *l, const struct ingress_service *s,
                          struct error *e) {
    bool tcp = str_is(l->protocol, "tcp"), wildcard = str_is(s->name, CONFIG_WILDCARD);
    if (tcp && wildcard)
        return refuse(e, l, "Wildcard service name is only valid for protocol = 'http'");
    if (tcp && s->hosts.len > 0)
        return refuse(e, l, "Associating hosts to a service is not supported for the tcp protocol");
    if (s->name.len == 0)
        return refuse(e, l, "Service name cannot be blank");
    if (wildcard && s->hosts.len > 0)
        return refuse(e, l, "Associating hosts to a wildcard service is not supported");
    return true;
}

static bool check_services(const struct ingress_listener *l, bool tls, struct arena *arena,
                           struct error *e) {
    struct map hosts = MAP_INIT;
    bool ok = true;
    for (uint32_t i = 0; ok && i < l->services.len; i++) {
        const struct ingress_service *s = &LIST_AT(l->services, struct ingress_service, i);
        ok = check_service(l, s, e);
        for (uint32_t k = 0; ok && k < s->hosts.len; k++) {
            struct str host = LIST_AT(s->hosts, struct str, k);
            ok = map_get(&hosts, host) == NULL
                     ? check_host(host, tls, arena, e)
                     : refuse(e, l, "Hosts must be unique within a specific listener");
            map_put(&hosts, host, &hosts);
        }
    }
    map_free(&hosts);
    return ok;
}

static bool check_listener(const struct ingress_listener *l, bool tls, struct arena *arena,
                           struct error *e) {
    static const char *const protocols[] = {"tcp", "http", "http2", "grpc"};
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(protocols); i++)
        known = known || str_is(l->protocol, protocols[i]);
    if (!known)
        return error_set(e, ERROR_INTERNAL,
                         "protocol must be 'tcp', 'http', 'http2', or 'grpc'. '" STR_FMT
                         "' is an unsupported protocol",
                         STR_ARG(l->protocol));
    if (l->services.len == 0)
        return error_set(e, ERROR_INTERNAL, "No service declared for listener with port %lld",
                         (long long)l->port);
    if (l->services.len > 1 && !str_is(l->protocol, "http"))
        return refuse(e, l,
                      "Multiple services per listener are only supported for protocol = 'http'");
    return check_services(l, tls, arena, e);
}

bool ingress_gateway_validate(const struct ingress_gateway *gateway, struct arena *arena,
                              struct error *e) {
    struct map ports = MAP_INIT;
    bool ok = true;
    for (uint32_t i = 0; ok && i < gateway->listeners.len; i++) {
        const struct ingress_listener *l = &LIST_AT(gateway->listeners, struct ingress_listener, i);
        struct str port = str_copy(arena, str_of(&l->port, sizeof(l->port)));
        ok = map_get(&ports, port) == NULL
                 ? check_listener(l, gateway->tls.enabled, arena, e)
                 : error_set(e, ERROR_INTERNAL, "port %lld declared on two listeners",
                             (long long)l->port);
        map_put(&ports, port, &ports);
    }
    map_free(&ports);
    return ok;
}

/* ---- terminating gateways ---- */

bool terminating_gateway_validate(const struct terminating_gateway *gateway, struct arena *arena,
                                  struct error *e) {
    struct map names = MAP_INIT;
    bool ok = true;
    for (uint32_t i = 0; ok && i < gateway->services.len; i++) {
        const struct linked_service *s = &LIST_AT(gateway->services, struct linked_service, i);
        struct str name = str_quote(arena, s->name);
        bool origin = s->cert_file.len > 0 || s->key_file.len > 0;
        bool whole = s->cert_file.len > 0 && s->key_file.len > 0 && s->ca_file.len > 0;
        if (s->name.len == 0)
            ok = error_set(e, ERROR_INTERNAL, "Service name cannot be blank.");
        else if (map_get(&names, s->name) != NULL)
            ok = error_set(e, ERROR_INTERNAL,
                           "Service " STR_FMT " was specified more than once within a namespace",
                           STR_ARG(name));
        else if (origin && !whole)
            ok =
                error_set(e, ERROR_INTERNAL,
                          "Service " STR_FMT " must have a CertFile, CAFile, and KeyFile specified "
                          "for TLS origination",
                          STR_ARG(name));
        map_put(&names, s->name, &names);
    }
    map_free(&names);
    return ok;
}
