/* See fault.h. */
#include "net/fault.h"

#include <stdio.h>
#include <string.h>

struct str fault_errno(struct arena *arena, int number) {
    char text[128];
    return str_lower(arena, str_copy(arena, str_from(strerror_r(number, text, sizeof(text)))));
}

/* The first name server that the system asks: the peer's resolver asks it itself and names it. */
static struct str resolver(struct arena *arena) {
    struct str found = STR("127.0.0.1");
    FILE *f = fopen("/etc/resolv.conf", "re");
    if (f == NULL)
        return found;
    char line[512], address[256];
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "nameserver %255s", address) == 1) {
            found = str_copy(arena, str_from(address));
            break;
        }
    fclose(f);
    return found;
}

/* Labels of at most 63 letters, digits, '-' and '_' which neither begin nor end with a '-', not all
 * of digits, together 253 bytes, or 254 with a final dot. */
bool fault_is_host_name(struct str host) {
    bool any = false;
    char before = '.';
    size_t label = 0;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (c < '0' || c > '9') && c != '-' && c != '.')
            return false;
        if ((c == '-' || c == '.') && before == '.')
            return false;
        if (c == '.' && before == '-')
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
        any |= letter || c == '-';
        before = c;
    }
    size_t most = before == '.' ? 254 : 253;
    return host.len > 0 && host.len <= most && before != '-' && any;
}

struct str fault_unknown_host(struct arena *arena, struct str host) {
    if (!fault_is_host_name(host))
        return str_format(arena, "lookup " STR_FMT ": no such host", STR_ARG(host));
    struct str server = resolver(arena);
    bool v6 = str_find_char(server, ':') >= 0;
    return str_format(arena, "lookup " STR_FMT " on %s" STR_FMT "%s:53: no such host",
                      STR_ARG(host), v6 ? "[" : "", STR_ARG(server), v6 ? "]" : "");
}

struct str fault_lookup(struct arena *arena, struct str host) {
    return str_format(arena, "dial tcp: " STR_FMT, STR_ARG(fault_unknown_host(arena, host)));
}
