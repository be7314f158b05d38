/* Addresses in the configuration (config.md 1.8): literals, the templates "{{ GetPrivateIP }}" and
 * kin over this machine's interfaces, and finding the address to advertise. Of the template
 * language, single calls of the functions that give addresses are known; pipelines are refused with
 * an error.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <regex.h>
#include <stdlib.h>

#include "agent/config_table.h"
#include "base/mem.h"

/* An address as 16 bytes, IPv4 in the mapped form, and the length of its network. */
struct interface_address {
    char name[IF_NAMESIZE];
    unsigned flags;
    bool v6;
    uint8_t bytes[16];
    unsigned prefix; /* of the address's own family */
    bool is_default;
};

struct block {
    bool v6;
    uint8_t bytes[16];
    unsigned prefix;
};

/* ---- literals ---- */

bool address_is_ip(struct str text, bool *v6) {
    char copy[INET6_ADDRSTRLEN + 1];
    uint8_t bytes[16];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *v6 = strchr(copy, ':') != NULL;
    return inet_pton(*v6 ? AF_INET6 : AF_INET, copy, bytes) == 1;
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

static bool parse_block(struct str text, struct block *out) {
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

bool cidr_parse(struct str text) {
    struct block ignored;
    return parse_block(text, &ignored);
}

static bool in_block(const struct interface_address *a, const struct block *b) {
    if (a->v6 != b->v6)
        return false;
    for (unsigned bit = 0; bit < b->prefix; bit++) {
        unsigned mask = 0x80u >> (bit % 8);
        if ((a->bytes[bit / 8] & mask) != (b->bytes[bit / 8] & mask))
            return false;
    }
    return true;
}

static bool in_set(const struct interface_address *a, const char *const *blocks) {
    for (; *blocks != NULL; blocks++) {
        struct block b;
        if (parse_block(str_from(*blocks), &b) && in_block(a, &b))
            return true;
    }
    return false;
}

static const char *const rfc6890[] = {"0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10",
                                      "127.0.0.0/8",    "169.254.0.0/16", "172.16.0.0/12",
                                      "192.0.0.0/24",   "192.0.2.0/24",   "192.88.99.0/24",
                                      "192.168.0.0/16", "198.18.0.0/15",  "198.51.100.0/24",
                                      "203.0.113.0/24", "240.0.0.0/4",    "255.255.255.255/32",
                                      "::1/128",        "::/128",         "64:ff9b::/96",
                                      "::ffff:0:0/96",  "100::/64",       "2001::/16",
                                      "2001:db8::/32",  "2001:10::/28",   "2002::/16",
                                      "fc00::/7",       "fe80::/10",      NULL};
static const char *const not_forwardable[] = {"0.0.0.0/8",
                                              "127.0.0.0/8",
                                              "169.254.0.0/16",
                                              "192.0.0.0/24",
                                              "192.0.2.0/24",
                                              "198.51.100.0/24",
                                              "203.0.113.0/24",
                                              "240.0.0.0/4",
                                              "255.255.255.255/32",
                                              "::1/128",
                                              "::/128",
                                              "::ffff:0:0/96",
                                              "2001::/23",
                                              "2001:db8::/32",
                                              "2001:10::/28",
                                              "fe80::/10",
                                              NULL};
/* What counts as private when the advertise address is looked for. */
static const char *const detect_private[] = {"10.0.0.0/8",    "100.64.0.0/10",
                                             "127.0.0.0/8",   "169.254.0.0/16",
                                             "172.16.0.0/12", "192.0.0.0/24",
                                             "192.0.2.0/24",  "192.168.0.0/16",
                                             "::1/128",       "fe80::/10",
                                             "fc00::/7",      "fec0::/10",
                                             "2001:db8::/32", NULL};

/* ---- this machine ---- */

static void default_interface(char name[IF_NAMESIZE]) {
    name[0] = '\0';
    FILE *routes = fopen("/proc/net/route", "re");
    if (routes == NULL)
        return;
    char line[512];
    while (fgets(line, sizeof(line), routes) != NULL) {
        char interface[IF_NAMESIZE], destination[16];
        if (sscanf(line, "%15s %15s", interface, destination) == 2 &&
            strcmp(destination, "00000000") == 0) {
            memcpy(name, interface, IF_NAMESIZE);
            break;
        }
    }
    fclose(routes);
}

static unsigned mask_bits(const uint8_t *mask, size_t len) {
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++)
        bits += (unsigned)__builtin_popcount(mask[i]);
    return bits;
}

static bool read_interface(const struct ifaddrs *i, const char *by_default,
                           struct interface_address *out) {
    if (i->ifa_addr == NULL)
        return false;
    memset(out, 0, sizeof(*out));
    strncpy(out->name, i->ifa_name, sizeof(out->name) - 1);
    out->flags = i->ifa_flags;
    out->is_default = strcmp(i->ifa_name, by_default) == 0;
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

/* All addresses of this machine, in the arena. */
static size_t list_addresses(struct interface_address **out, struct arena *arena) {
    struct ifaddrs *first;
    *out = NULL;
    if (getifaddrs(&first) != 0)
        return 0;
    char by_default[IF_NAMESIZE];
    default_interface(by_default);
    size_t count = 0, len = 0;
    for (const struct ifaddrs *i = first; i != NULL; i = i->ifa_next)
        count++;
    *out = ARENA_ARRAY(arena, struct interface_address, count);
    for (const struct ifaddrs *i = first; i != NULL; i = i->ifa_next)
        if (read_interface(i, by_default, &(*out)[len]))
            len++;
    freeifaddrs(first);
    return len;
}

static struct str address_text(const struct interface_address *a, struct arena *arena) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop(a->v6 ? AF_INET6 : AF_INET, a->bytes, text, sizeof(text));
    return str_copy(arena, str_from(text));
}

bool address_detect(bool v6, struct str *out, struct arena *arena, struct error *e) {
    const char *what = v6 ? "public IPv6" : "private IPv4";
    struct interface_address *all;
    size_t len = list_addresses(&all, arena);
    /* Loopback interfaces count only when no other has addresses. */
    bool others = false;
    for (size_t i = 0; i < len; i++)
        others = others || !(all[i].flags & IFF_LOOPBACK);
    const struct interface_address *found = NULL;
    for (size_t i = 0; i < len; i++) {
        const struct interface_address *a = &all[i];
        if (a->v6 != v6 || !(a->flags & IFF_UP) || (others && (a->flags & IFF_LOOPBACK)) ||
            in_set(a, detect_private) == v6)
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
    *out = address_text(found, arena);
    return true;
}

/* ---- templates ---- */

static int compare_addresses(const void *x, const void *y) {
    const struct interface_address *a = x, *b = y;
    if (a->is_default != b->is_default)
        return a->is_default ? -1 : 1;
    if (a->v6 != b->v6)
        return a->v6 ? 1 : -1;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

enum selection { SELECT_PRIVATE, SELECT_PUBLIC, SELECT_INTERFACE };

static bool selected(const struct interface_address *a, enum selection what, const regex_t *name) {
    if (what == SELECT_INTERFACE)
        return regexec(name, a->name, 0, NULL, 0) == 0 && !in_set(a, not_forwardable);
    return (a->flags & IFF_UP) && !in_set(a, not_forwardable) &&
           in_set(a, rfc6890) == (what == SELECT_PRIVATE);
}

static struct str select_addresses(enum selection what, bool all, const regex_t *name,
                                   struct arena *arena) {
    struct interface_address *list;
    size_t len = list_addresses(&list, arena);
    if (len > 1)
        qsort(list, len, sizeof(*list), compare_addresses);
    struct str out = STR("");
    for (size_t i = 0; i < len; i++) {
        if (!selected(&list[i], what, name))
            continue;
        struct str one = address_text(&list[i], arena);
        if (!all)
            return one;
        out =
            str_format(arena, STR_FMT "%s" STR_FMT, STR_ARG(out), out.len ? " " : "", STR_ARG(one));
    }
    return out;
}

static const struct {
    const char *name;
    enum selection what;
    bool all;
} functions[] = {
    {"GetPrivateIP", SELECT_PRIVATE, false},     {"GetPrivateIPs", SELECT_PRIVATE, true},
    {"GetPublicIP", SELECT_PUBLIC, false},       {"GetPublicIPs", SELECT_PUBLIC, true},
    {"GetInterfaceIP", SELECT_INTERFACE, false}, {"GetInterfaceIPs", SELECT_INTERFACE, true},
};

static bool call_function(size_t f, struct str argument, struct str whole, struct str *out,
                          struct arena *arena, struct error *e) {
    unsigned wanted = functions[f].what == SELECT_INTERFACE ? 1 : 0;
    unsigned given = argument.len > 0 ? 1 : 0;
    if (wanted != given)
        return error_set(
            e, ERROR_INTERNAL,
            "unable to execute sockaddr input \"" STR_FMT
            "\": template: sockaddr.Parse:1:3: executing \"sockaddr.Parse\" at <%s>: wrong "
            "number of args for %s: want %u got %u",
            STR_ARG(whole), functions[f].name, functions[f].name, wanted, given);
    if (wanted == 0) {
        *out = select_addresses(functions[f].what, functions[f].all, NULL, arena);
        return true;
    }
    regex_t name;
    struct str pattern = str_sub(argument, 1, argument.len - 2);
    if (regcomp(&name, str_terminated(arena, pattern), REG_EXTENDED | REG_NOSUB) != 0)
        return error_set(e, ERROR_INTERNAL,
                         "unable to execute sockaddr input \"" STR_FMT
                         "\": invalid regular expression",
                         STR_ARG(whole));
    *out = select_addresses(functions[f].what, functions[f].all, &name, arena);
    regfree(&name);
    return true;
}

/* The text between the braces. */
static bool run_action(struct str action, struct str whole, struct str *out, struct arena *arena,
                       struct error *e) {
    struct str rest = str_trim(action);
    size_t end = 0;
    while (end < rest.len && rest.data[end] != ' ' && rest.data[end] != '\t')
        end++;
    struct str name = str_sub(rest, 0, end);
    struct str argument = str_trim(str_sub(rest, end, SIZE_MAX));
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (!str_is(name, functions[i].name))
            continue;
        bool quoted = argument.len >= 2 && (argument.data[0] == '"' || argument.data[0] == '`') &&
                      argument.data[argument.len - 1] == argument.data[0] &&
                      str_find_char(str_sub(argument, 1, argument.len - 2), argument.data[0]) < 0;
        if (argument.len > 0 && !quoted)
            return error_set(e, ERROR_INTERNAL,
                             "unable to parse template \"" STR_FMT
                             "\": only single calls with one quoted argument are supported",
                             STR_ARG(whole));
        return call_function(i, argument, whole, out, arena, e);
    }
    return error_set(e, ERROR_INTERNAL,
                     "unable to parse template \"" STR_FMT
                     "\": template: sockaddr.Parse:1: function \"" STR_FMT "\" not defined",
                     STR_ARG(whole), STR_ARG(name));
}

bool address_expand(struct str text, struct str *out, struct arena *arena, struct error *e) {
    struct str result = STR("");
    struct str rest = text;
    for (;;) {
        ptrdiff_t open = str_find(rest, STR("{{"), 0);
        if (open < 0)
            break;
        ptrdiff_t close = str_find(rest, STR("}}"), (size_t)open);
        struct str value;
        bool ok = close >= 0;
        if (!ok)
            error_set(e, ERROR_INTERNAL,
                      "unable to parse template \"" STR_FMT
                      "\": template: sockaddr.Parse:1: unclosed action",
                      STR_ARG(text));
        else
            ok = run_action(str_sub(rest, (size_t)open + 2, (size_t)(close - open) - 2), text,
                            &value, arena, e);
        if (!ok)
            return error_prefix(e, "error parsing \"" STR_FMT "\": ", STR_ARG(text));
        result = str_format(arena, STR_FMT STR_FMT STR_FMT, STR_ARG(result), (int)open, rest.data,
                            STR_ARG(value));
        rest = str_sub(rest, (size_t)close + 2, SIZE_MAX);
    }
    *out = rest.len == text.len
               ? text
               : str_format(arena, STR_FMT STR_FMT, STR_ARG(result), STR_ARG(rest));
    return true;
}
