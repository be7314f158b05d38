/* Addresses in the configuration (config.md 1.8): literals, templates expanded, and finding the
 * address to advertise.
 */
#include "agent/config_table.h"
#include "agent/machine.h"
#include "agent/template.h"
#include "base/mem.h"
#include "codec/ip.h"

/* ---- literals ---- */

bool address_is_ip(struct str text, bool *v6) {
    uint8_t ip[16];
    unsigned family = ip_parse(text, ip);
    *v6 = family == 6;
    return family != 0;
}

bool address_is_ipv4(struct str ip) {
    bool v6;
    return address_is_ip(ip, &v6) && !v6;
}

bool address_is_ipv6(struct str ip) {
    bool v6;
    return address_is_ip(ip, &v6) && v6;
}

bool address_is_any(struct str ip) {
    return str_is(ip, "0.0.0.0") || str_is(ip, "::") || str_is(ip, "[::]");
}

bool cidr_parse(struct str text) {
    struct network ignored;
    return network_parse(text, &ignored);
}

/* What counts as private when the advertise address is looked for. */
static const char *const detect_private[] = {"10.0.0.0/8",    "100.64.0.0/10",
                                             "127.0.0.0/8",   "169.254.0.0/16",
                                             "172.16.0.0/12", "192.0.0.0/24",
                                             "192.0.2.0/24",  "192.168.0.0/16",
                                             "::1/128",       "fe80::/10",
                                             "fc00::/7",      "fec0::/10",
                                             "2001:db8::/32", NULL};

bool address_detect(bool v6, struct str *out, struct arena *arena, struct error *e) {
    const char *what = v6 ? "public IPv6" : "private IPv4";
    struct machine m;
    machine_read(&m, arena);
    /* Loopback interfaces count only when no other has addresses. */
    bool others = false;
    for (size_t i = 0; i < m.len; i++)
        others = others || !(m.addresses[i].flags & IFF_LOOPBACK);
    const struct machine_address *found = NULL;
    for (size_t i = 0; i < m.len; i++) {
        const struct machine_address *a = &m.addresses[i];
        if (a->v6 != v6 || !(a->flags & IFF_UP) || (others && (a->flags & IFF_LOOPBACK)) ||
            machine_address_in(a, detect_private) == v6)
            continue;
        if (found != NULL)
            return error_set(e, ERROR_INTERNAL,
                             "Multiple %s addresses found. Please configure one with 'bind' and/or "
                             "'advertise'.",
                             what);
        found = a;
    }
    if (found == NULL)
        return error_set(e, ERROR_INTERNAL, "No %s address found", what);
    *out = machine_address_text(found, arena);
    return true;
}

/* ---- templates ---- */

bool address_expand(struct str text, struct str *out, struct arena *arena, struct error *e) {
    if (str_find(text, STR("{{"), 0) < 0) {
        *out = text;
        return true;
    }
    struct machine m;
    machine_read(&m, arena);
    return template_expand(text, &m, out, arena, e);
}
