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

struct str fault_lookup(struct arena *arena, struct str host) {
    struct str server = resolver(arena);
    bool v6 = str_find_char(server, ':') >= 0;
    return str_format(arena, "dial tcp: lookup " STR_FMT " on %s" STR_FMT "%s:53: no such host",
                      STR_ARG(host), v6 ? "[" : "", STR_ARG(server), v6 ? "]" : "");
}
