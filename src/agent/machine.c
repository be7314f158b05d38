/* The interfaces of this machine and the sets of addresses that RFCs name.
 */
#include "agent/machine.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"

/* ---- networks ---- */

bool network_parse(struct str text, struct network *out) {
    ptrdiff_t slash = str_find_char(text, '/');
    char copy[INET6_ADDRSTRLEN + 1];
    uint64_t prefix;
    if (slash < 0 || (size_t)slash >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, (size_t)slash);
    copy[slash] = '\0';
    memset(out, 0, sizeof(*out));
    out->v6 = strchr(copy, ':') != NULL;
    if (inet_pton(out->v6 ? AF_INET6 : AF_INET, copy, out->bytes) != 1)
        return false;
    if (!str_to_u64(str_sub(text, (size_t)slash + 1, SIZE_MAX), &prefix) ||
        prefix > (out->v6 ? 128u : 32u))
        return false;
    out->prefix = (unsigned)prefix;
    return true;
}

bool network_has(const struct network *n, const struct machine_address *a) {
    if (a->v6 != n->v6)
        return false;
    for (unsigned bit = 0; bit < n->prefix; bit++) {
        unsigned mask = 0x80u >> (bit % 8);
        if ((a->bytes[bit / 8] & mask) != (n->bytes[bit / 8] & mask))
            return false;
    }
    return true;
}

bool machine_address_in(const struct machine_address *a, const char *const *networks) {
    for (; *networks != NULL; networks++) {
        struct network n;
        if (network_parse(str_from(*networks), &n) && network_has(&n, a))
            return true;
    }
    return false;
}

bool machine_address_forwardable(const struct machine_address *a) {
    static const char *const not_forwardable[] = {
        "0.0.0.0/8",          "127.0.0.0/8",     "169.254.0.0/16", "192.0.0.0/24",
        "192.0.2.0/24",       "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
        "255.255.255.255/32", "::1/128",         "::/128",         "::ffff:0:0/96",
        "2001:db8::/32",      "2001:10::/28",    "fe80::/10",      NULL,
    };
    return !machine_address_in(a, not_forwardable);
}

#define LIST(...)                                                                                  \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }

static const struct {
    unsigned number;
    const char *const *networks;
} rfcs[] = {
    {919, LIST("255.255.255.255/32")},
    {1112, LIST("224.0.0.0/4")},
    {1122, LIST("0.0.0.0/8", "127.0.0.0/8")},
    {1918, LIST("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")},
    {2544, LIST("198.18.0.0/15")},
    {2765, LIST("::ffff:0:0/96")},
    {2928, LIST("2001::/16")},
    {3056, LIST("2002::/16")},
    {3068, LIST("192.88.99.0/24")},
    {3171, LIST("224.0.0.0/4")},
    {3330, LIST("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4",
                "240.0.0.0/4")},
    {3849, LIST("2001:db8::/32")},
    {3927, LIST("169.254.0.0/16")},
    {4038, LIST("::ffff:0:0/96")},
    {4193, LIST("fc00::/7")},
    {4291, LIST("::/96", "::ffff:0:0/96", "fe80::/10", "fec0::/10", "ff00::/8")},
    {4380, LIST("2001::/32")},
    {4773, LIST("2001::/23")},
    {4843, LIST("2001:10::/28")},
    {5180, LIST("2001:200::/48")},
    {5735, LIST("192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24")},
    {5737, LIST("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")},
    {6052, LIST("64:ff9b::/96")},
    {6333, LIST("192.0.0.0/29")},
    {6598, LIST("100.64.0.0/10")},
    {6666, LIST("100::/64")},
    {6890, LIST("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
                "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
                "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "::1/128",
                "::/128", "64:ff9b::/96", "::ffff:0:0/96", "100::/64", "2001::/16", "2002::/16",
                "fc00::/7", "fe80::/10")},
    {7335, LIST("192.0.0.0/29")},
};

const char *const *machine_rfc(uint64_t number) {
    for (size_t i = 0; i < COUNT_OF(rfcs); i++)
        if (rfcs[i].number == number)
            return rfcs[i].networks;
    return NULL;
}

struct str machine_address_text(const struct machine_address *a, struct arena *arena) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop(a->v6 ? AF_INET6 : AF_INET, a->bytes, text, sizeof(text));
    return str_copy(arena, str_from(text));
}

/* ---- this machine ---- */

/* The interface of the IPv4 default route. */
static bool default_interface(char name[IF_NAMESIZE]) {
    name[0] = '\0';
    FILE *routes = fopen("/proc/net/route", "re");
    if (routes == NULL)
        return false;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof(line), routes) != NULL) {
        char interface[IF_NAMESIZE], destination[16];
        found = sscanf(line, "%15s %15s", interface, destination) == 2 &&
                strcmp(destination, "00000000") == 0;
        if (found)
            memcpy(name, interface, IF_NAMESIZE);
    }
    fclose(routes);
    return found;
}

static unsigned mask_bits(const uint8_t *mask, size_t len) {
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++)
        bits += (unsigned)__builtin_popcount(mask[i]);
    return bits;
}

static bool read_address(const struct ifaddrs *i, struct machine_address *out) {
    if (i->ifa_addr == NULL)
        return false;
    memset(out, 0, sizeof(*out));
    strncpy(out->name, i->ifa_name, sizeof(out->name) - 1);
    out->flags = i->ifa_flags;
    out->index = if_nametoindex(i->ifa_name);
    if (i->ifa_addr->sa_family == AF_INET) {
        memcpy(out->bytes, &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, 4);
        if (i->ifa_netmask != NULL)
            out->prefix = mask_bits(
                (const uint8_t *)&((const struct sockaddr_in *)(const void *)i->ifa_netmask)
                    ->sin_addr,
                4);
        return true;
    }
    if (i->ifa_addr->sa_family != AF_INET6)
        return false;
    out->v6 = true;
    memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, 16);
    if (i->ifa_netmask != NULL)
        out->prefix =
            mask_bits((const uint8_t *)&((const struct sockaddr_in6 *)(const void *)i->ifa_netmask)
                          ->sin6_addr,
                      16);
    return true;
}

/* What the kernel lists as the interface's own: its number in the hardware. */
static void find_hardware(const struct ifaddrs *first, struct machine_address *a) {
    for (const struct ifaddrs *i = first; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_PACKET ||
            strcmp(i->ifa_name, a->name) != 0)
            continue;
        const struct sockaddr_ll *link = (const struct sockaddr_ll *)(const void *)i->ifa_addr;
        a->has_hardware = link->sll_halen == 6 && !(a->flags & IFF_LOOPBACK);
        if (a->has_hardware)
            memcpy(a->hardware, link->sll_addr, 6);
    }
}

static void find_mtu(struct machine_address *a) {
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    memcpy(request.ifr_name, a->name, sizeof(a->name));
    if (ioctl(fd, SIOCGIFMTU, &request) == 0)
        a->mtu = (unsigned)request.ifr_mtu;
    close(fd);
}

void machine_read(struct machine *m, struct arena *arena) {
    struct ifaddrs *first;
    *m = (struct machine){0};
    if (getifaddrs(&first) != 0)
        return;
    char by_default[IF_NAMESIZE];
    m->has_default = default_interface(by_default);
    size_t count = 0;
    for (const struct ifaddrs *i = first; i != NULL; i = i->ifa_next)
        count++;
    m->addresses = ARENA_ARRAY(arena, struct machine_address, count);
    for (const struct ifaddrs *i = first; i != NULL; i = i->ifa_next) {
        struct machine_address a;
        if (!read_address(i, &a))
            continue;
        find_hardware(first, &a);
        find_mtu(&a);
        a.is_default = m->has_default && strcmp(a.name, by_default) == 0;
        size_t at = m->len++; /* sorted in; those of equal order stay in the kernel's */
        for (; at > 0; at--) {
            const struct machine_address *before = &m->addresses[at - 1];
            if (before->index < a.index || (before->index == a.index && before->v6 <= a.v6))
                break;
            m->addresses[at] = *before;
        }
        m->addresses[at] = a;
    }
    freeifaddrs(first);
}
