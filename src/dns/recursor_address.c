/* The address of a recursor from its text: host and port, names looked up, with the peer's texts.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include "base/mem.h"
#include "dns/settings.h"

static bool bad_address(struct str text, const char *why, struct error *e) {
    return error_set(e, ERROR_INTERNAL, "address " STR_FMT ": %s", STR_ARG(text), why);
}

/* "host:port", "[host]:port" */
static bool split(struct str text, struct str *host, struct str *port, struct error *e) {
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0) {
        return bad_address(text, "missing port in address", e);
    }
    *port = str_sub(text, colon, SIZE_MAX);
    *host = str_sub(text, 0, colon - 1);
    if (text.data[0] != '[') {
        return str_find_char(*host, ':') < 0 || bad_address(text, "too many colons in address", e);
    }
    ptrdiff_t end = str_find_char(text, ']');
    if (end < 0) {
        return bad_address(text, "missing ']' in address", e);
    }
    if ((size_t)end + 2 != colon) {
        return bad_address(text,
                           (size_t)end + 1 < text.len && text.data[end + 1] == ':'
                               ? "too many colons in address"
                               : "missing port in address",
                           e);
    }
    *host = str_sub(text, 1, (size_t)end - 1);
    return true;
}

static bool read_port(struct str text, uint16_t *port, struct error *e) {
    uint64_t number = 0;
    if (text.len == 0 || str_to_u64(text, &number)) {
        *port = (uint16_t)number;
        return number <= 65535 || bad_address(text, "invalid port", e);
    }
    struct arena scratch = ARENA_INIT;
    const struct servent *service = getservbyname(str_terminated(&scratch, text), "tcp");
    arena_free(&scratch);
    if (service == NULL) {
        return error_set(e, ERROR_INTERNAL, "address tcp/" STR_FMT ": unknown port", STR_ARG(text));
    }
    *port = ntohs((uint16_t)service->s_port);
    return true;
}

/* IPv4 before IPv6. This may wait for the resolver: it is done at start and on a reload only. */
static bool look_up(const char *host, uint16_t port, struct sockaddr_storage *out,
                    struct error *e) {
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        struct addrinfo hints = {.ai_family = families[i], .ai_socktype = SOCK_DGRAM};
        struct addrinfo *found = NULL;
        if (getaddrinfo(host, NULL, &hints, &found) != 0 || found == NULL) {
            continue;
        }
        memcpy(out, found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
        if (families[i] == AF_INET) {
            ((struct sockaddr_in *)out)->sin_port = htons(port);
        } else {
            ((struct sockaddr_in6 *)out)->sin6_port = htons(port);
        }
        return true;
    }
    return error_set(e, ERROR_INTERNAL, "lookup %s: no such host", host);
}

bool dns_recursor_parse(struct str text, struct sockaddr_storage *out, struct error *e) {
    struct str host, port_text;
    uint16_t port = 0;
    memset(out, 0, sizeof(*out));
    if (!split(text, &host, &port_text, e) || !read_port(port_text, &port, e)) {
        return false;
    }
    if (host.len == 0 || host.len > NI_MAXHOST || memchr(host.data, '\0', host.len) != NULL) {
        return bad_address(text, "no host in address", e);
    }
    struct arena scratch = ARENA_INIT;
    bool ok = look_up(str_terminated(&scratch, host), port, out, e);
    arena_free(&scratch);
    return ok;
}
