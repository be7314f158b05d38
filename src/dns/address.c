/* Which address of a node or instance a query gets, what counts as an IP address, and the names
 * that stand for addresses in SRV targets (dns.md 6).
 */
#include "dns/query.h"

enum dns_pick dns_pick_for(uint16_t type) {
    return type == DNS_TYPE_A ? DNS_PICK_A : type == DNS_TYPE_AAAA ? DNS_PICK_AAAA : DNS_PICK_ANY;
}

bool dns_is_remote(const struct dns_site *site, struct str datacenter) {
    return site->translate_wan_addrs && !str_eq(datacenter, site->datacenter);
}

static struct str choose(enum dns_pick pick, struct str def, struct str v4, struct str v6) {
    if (pick != DNS_PICK_A && v6.len > 0) {
        return v6;
    }
    if (pick != DNS_PICK_AAAA && v4.len > 0) {
        return v4;
    }
    return def;
}

struct str dns_pick_node(const struct node *n, enum dns_pick pick, bool remote) {
    struct str def = n->address, v4 = STR_NONE, v6 = STR_NONE;
    const struct list *tagged = &n->tagged_addresses;
    if (tagged->len == 0) {
        return def;
    }
    const struct str *found = str_map_get(tagged, STR("lan_ipv4"));
    v4 = found != NULL ? *found : v4;
    found = str_map_get(tagged, STR("lan_ipv6"));
    v6 = found != NULL ? *found : v6;
    if (remote) {
        found = str_map_get(tagged, STR("wan"));
        def = found != NULL ? *found : def;
        found = str_map_get(tagged, STR("wan_ipv4"));
        v4 = found != NULL ? *found : v4;
        found = str_map_get(tagged, STR("wan_ipv6"));
        v6 = found != NULL ? *found : v6;
    }
    return choose(pick, def, v4, v6);
}

struct service_address_pair {
    struct str key;
    struct service_address value;
};

static const struct service_address *tagged_get(const struct list *tagged, struct str key) {
    return map_pair_value(tagged, sizeof(struct service_address_pair), key);
}

struct str dns_pick_service(const struct node_service *s, enum dns_pick pick, bool remote) {
    struct str def = s->address, v4 = STR_NONE, v6 = STR_NONE;
    const struct list *tagged = &s->tagged_addresses;
    if (tagged->len == 0) {
        return def;
    }
    const struct service_address *found = tagged_get(tagged, STR("lan_ipv4"));
    v4 = found != NULL ? found->address : v4;
    found = tagged_get(tagged, STR("lan_ipv6"));
    v6 = found != NULL ? found->address : v6;
    if (remote) {
        found = tagged_get(tagged, STR("wan"));
        def = found != NULL ? found->address : def;
        found = tagged_get(tagged, STR("wan_ipv4"));
        v4 = found != NULL ? found->address : v4;
        found = tagged_get(tagged, STR("wan_ipv6"));
        v6 = found != NULL ? found->address : v6;
    }
    return choose(pick, def, v4, v6);
}

uint16_t dns_pick_port(const struct node_service *s, bool remote) {
    if (remote) {
        const struct service_address *wan = tagged_get(&s->tagged_addresses, STR("wan"));
        if (wan != NULL && wan->port != 0) {
            return (uint16_t)wan->port;
        }
    }
    return (uint16_t)s->port;
}

bool dns_ip_fits(uint16_t type, unsigned family) {
    switch (type) {
    case DNS_TYPE_A:
        return family == 4;
    case DNS_TYPE_AAAA:
        return family == 6;
    case DNS_TYPE_SRV:
    case DNS_TYPE_ANY:
    case DNS_TYPE_TXT:
    case DNS_TYPE_NS:
        return family != 0;
    default:
        return false;
    }
}

/* first.kind.datacenter.domain */
static struct str target(const struct dns_site *site, struct str first, const char *kind,
                         struct str datacenter, struct arena *arena) {
    if (first.len == 0 || first.data[first.len - 1] == '.') {
        return STR_NONE;
    }
    struct str text =
        str_format(arena, STR_FMT ".%s." STR_FMT, STR_ARG(first), kind, STR_ARG(datacenter));
    struct str name = dns_name_from_text(text, arena);
    return name.data == NULL ? name : dns_name_join(name, site->domain, arena);
}

struct str dns_node_target(const struct dns_site *site, struct str node, struct str datacenter,
                           struct arena *arena) {
    /* A name with a NUL byte would be cut by the formatting. */
    if (memchr(node.data != NULL ? node.data : "", 0, node.len) != NULL) {
        return STR_NONE;
    }
    return target(site, node, "node", datacenter, arena);
}

struct str dns_address_target(const struct dns_site *site, unsigned family, const uint8_t ip[16],
                              struct str datacenter, struct arena *arena) {
    static const char digits[] = "0123456789abcdef";
    char hex[32];
    size_t bytes = family == 4 ? 4 : 16;
    for (size_t i = 0; i < bytes; i++) {
        hex[2 * i] = digits[ip[i] >> 4];
        hex[2 * i + 1] = digits[ip[i] & 15];
    }
    return target(site, (struct str){hex, 2 * bytes}, "addr", datacenter, arena);
}
