/* See fault.h. */
#include "net/fault.h"

#include <stdio.h>
#include <string.h>

struct str fault_errno(struct arena *arena, int number) {
    char text[128];
    return str_lower(arena, str_copy(arena, str_from(strerror_r(number, text, sizeof(text)))));
}

/* The first name server that the system asks. */
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

/* Names that are none are not asked for: no server had a say. */
static bool is_name(struct str host) {
    bool any = false;
    char before = '.';
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (c < '0' || c > '9') && c != '-' && c != '.')
            return false;
        if ((c == '-' || c == '.') && before == '.')
            return false;
        if (c == '.' && before == '-')
            return false;
        any |= letter || c == '-';
        before = c;
    }
    return host.len > 0 && host.len <= 255 && before != '-' && any;
}

struct str fault_lookup(struct arena *arena, struct str host) {
    if (!is_name(host))
        return str_format(arena, "dial tcp: lookup " STR_FMT ": no such host", STR_ARG(host));
    struct str server = resolver(arena);
    bool v6 = str_find_char(server, ':') >= 0;
    return str_format(arena, "dial tcp: lookup " STR_FMT " on %s" STR_FMT "%s:53: no such host",
                      STR_ARG(host), v6 ? "[" : "", STR_ARG(server), v6 ? "]" : "");
}
