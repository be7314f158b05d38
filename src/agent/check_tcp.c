/* TCP checks: can a connection be made (agent.md 3.5). All addresses of a name are tried in turn;
 * the first error is the one that is told. The connection is closed at once.
 */
#include <netdb.h>
#include <stdlib.h>

#include "agent/check_run.h"
#include "base/mem.h"
#include "base/time.h"

#define DEFAULT_TIMEOUT (10 * SECOND)

struct dial {
    struct check_run *run;
    struct arena arena;
    struct str host, port;
    struct loop_timer timeout;
    uv_getaddrinfo_t lookup;
    struct addrinfo *addresses, *next; /* next: to be tried */
    uv_tcp_t socket;
    uv_connect_t connect;
    struct str first_error; /* of those that were tried */
    enum check_health status;
    struct str output;
    bool looking_up, socket_open, timer_open, over, cancelled;
};

static void maybe_free(struct dial *d) {
    if (d->looking_up || d->socket_open || d->timer_open)
        return;
    struct check_run *r = d->run;
    if (d->addresses != NULL)
        uv_freeaddrinfo(d->addresses);
    check_run_over(r, d->status, d->output);
    struct arena arena = d->arena;
    mem_free(d);
    arena_free(&arena);
}

static void timer_closed(struct loop_timer *t) {
    struct dial *d = t->owner;
    d->timer_open = false;
    maybe_free(d);
}

static void try_next(struct dial *d);

static void socket_closed(uv_handle_t *h) {
    struct dial *d = CONTAINER_OF((uv_tcp_t *)h, struct dial, socket);
    d->socket_open = false;
    if (d->over)
        maybe_free(d);
    else
        try_next(d);
}

static void close_socket(struct dial *d) {
    if (d->socket_open && !uv_is_closing((uv_handle_t *)&d->socket))
        uv_close((uv_handle_t *)&d->socket, socket_closed);
}

static void finish(struct dial *d, enum check_health status, struct str output) {
    if (d->over)
        return;
    d->over = true;
    d->status = status;
    d->output = output;
    loop_timer_stop(&d->timeout);
    loop_timer_close(&d->timeout, timer_closed);
    if (d->looking_up)
        uv_cancel((uv_req_t *)&d->lookup);
    close_socket(d);
}

/* "127.0.0.1:80", "[::1]:80"; without a host when none was given. */
static struct str address_text(struct dial *d, const struct addrinfo *a) {
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return str_format(&d->arena, STR_FMT ":" STR_FMT, STR_ARG(d->host), STR_ARG(d->port));
    bool v6 = a->ai_family == AF_INET6;
    if (d->host.len == 0)
        return str_format(&d->arena, ":%s", port);
    return str_format(&d->arena, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static void connected(uv_connect_t *c, int status) {
    struct dial *d = c->data;
    if (d->over)
        return;
    if (status == 0) {
        finish(
            d, CHECK_PASSING,
            str_format(&d->arena, "TCP connect " STR_FMT ": Success", STR_ARG(d->run->type.tcp)));
        return;
    }
    if (d->first_error.len == 0) {
        struct str address = address_text(d, d->next), why = fault_errno(&d->arena, -status);
        d->first_error = str_format(&d->arena, "dial tcp " STR_FMT ": connect: " STR_FMT,
                                    STR_ARG(address), STR_ARG(why));
    }
    d->next = d->next->ai_next;
    close_socket(d); /* goes on with the next one */
}

static void try_next(struct dial *d) {
    if (d->next == NULL) {
        finish(d, CHECK_CRITICAL, d->first_error);
        return;
    }
    d->connect.data = d;
    uv_tcp_init(&check_run_loop(d->run)->uv, &d->socket);
    d->socket_open = true;
    int code = uv_tcp_connect(&d->connect, &d->socket, d->next->ai_addr, connected);
    if (code != 0)
        connected(&d->connect, code);
}

static void looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found) {
    struct dial *d = CONTAINER_OF(lookup, struct dial, lookup);
    d->looking_up = false;
    d->addresses = found;
    if (d->over) {
        maybe_free(d);
        return;
    }
    if (status != 0 || found == NULL) {
        finish(d, CHECK_CRITICAL, fault_lookup(&d->arena, d->host));
        return;
    }
    d->next = found;
    try_next(d);
}

static void time_is_up(struct loop_timer *t) {
    struct dial *d = t->owner;
    struct str address = d->next != NULL ? address_text(d, d->next)
                                         : str_format(&d->arena, STR_FMT ":" STR_FMT,
                                                      STR_ARG(d->host), STR_ARG(d->port));
    finish(d, CHECK_CRITICAL,
           str_format(&d->arena, "dial tcp " STR_FMT ": i/o timeout", STR_ARG(address)));
}

/* "host:port" in the peer's language's way, with its error texts. */
static bool split_address(struct str address, struct str *host, struct str *port, struct error *e) {
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < address.len; i++)
        if (address.data[i] == ':')
            colon = (ptrdiff_t)i;
    const char *fault = NULL;
    if (colon < 0) {
        fault = "missing port in address";
    } else if (address.data[0] == '[') {
        ptrdiff_t end = str_find_char(address, ']');
        if (end < 0)
            fault = "missing ']' in address";
        else if (end + 1 != colon)
            fault = (size_t)end + 1 == address.len ? "missing port in address"
                                                   : "too many colons in address";
        else
            *host = str_sub(address, 1, (size_t)end - 1);
    } else {
        *host = str_sub(address, 0, (size_t)colon);
        if (str_find_char(*host, ':') >= 0)
            fault = "too many colons in address";
    }
    if (fault != NULL)
        return error_set(e, ERROR_BAD_REQUEST, "dial tcp: address " STR_FMT ": %s",
                         STR_ARG(address), fault);
    *port = str_sub(address, (size_t)colon + 1, address.len);
    return true;
}

bool check_port_known(struct str port, struct arena *arena, struct error *e) {
    int64_t number;
    if (port.len == 0)
        return true;
    if (str_to_i64(port, &number)) {
        if (number >= 0 && number <= 65535)
            return true;
        return error_set(e, ERROR_BAD_REQUEST, "dial tcp: address " STR_FMT ": invalid port",
                         STR_ARG(port));
    }
    /* A service's name: getaddrinfo knows those of /etc/services. */
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    if (getaddrinfo("127.0.0.1", str_terminated(arena, port), &hints, &found) == 0) {
        freeaddrinfo(found);
        return true;
    }
    return error_set(e, ERROR_BAD_REQUEST, "dial tcp: address tcp/" STR_FMT ": unknown port",
                     STR_ARG(port));
}

/* An address that is a number needs no resolver, and so none of the few threads that wait for one.
 */
static bool is_number(const char *host, const char *port, struct addrinfo **found) {
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    return getaddrinfo(host, port, &hints, found) == 0;
}

static void tcp_start(struct check_run *r) {
    struct dial *d = MEM_NEW(struct dial);
    d->run = r;
    struct error e = ERROR_IN(&d->arena);
    if (!split_address(r->type.tcp, &d->host, &d->port, &e) ||
        !check_port_known(d->port, &d->arena, &e)) {
        check_run_over(r, CHECK_CRITICAL, e.text);
        struct arena arena = d->arena;
        mem_free(d);
        arena_free(&arena);
        return;
    }
    r->state = d;
    struct loop *loop = check_run_loop(r);
    loop_timer_init(loop, &d->timeout, time_is_up, d);
    d->timer_open = true;
    loop_timer_set(&d->timeout, check_run_timeout(r, DEFAULT_TIMEOUT));
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const char *host = d->host.len > 0 ? str_terminated(&d->arena, d->host) : "127.0.0.1";
    const char *port = d->port.len > 0 ? str_terminated(&d->arena, d->port) : "0";
    struct addrinfo *numeric;
    if (is_number(host, port, &numeric)) {
        looked_up(&d->lookup, 0, numeric);
        return;
    }
    d->looking_up = true;
    int code = uv_getaddrinfo(&loop->uv, &d->lookup, looked_up, host, port, &hints);
    if (code != 0)
        looked_up(&d->lookup, code, NULL);
}

static void tcp_cancel(struct check_run *r) {
    finish(r->state, CHECK_CRITICAL, STR(""));
}

const struct check_kind check_kind_tcp = {tcp_start, tcp_cancel};
