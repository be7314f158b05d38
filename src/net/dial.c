/* Outgoing connections: a non-blocking connect that is polled for, with a timer beside it. */
#include "net/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define KEEPALIVE_SECONDS 15

struct dial {
    uv_poll_t poll;
    struct loop_timer timer;
    dial_done *done; /* NULL: nobody waits any more */
    void *owner;
    int fd;
    int code; /* errno of what could not even begin */
    const char *step;
    const char *wrong; /* instead of code */
    char name[160];    /* "10.0.0.1:0->10.0.0.2:8300" */
    bool polling, poll_closed, timer_closed, ended;
};

/* ---- addresses ---- */

static bool parse_ip(struct str text, uint16_t port, struct sockaddr_storage *out, socklen_t *len,
                     char ip[64]) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (text.len >= 64)
        return false;
    snprintf(ip, 64, STR_FMT, STR_ARG(text));
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *len = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *len = sizeof *v6;
        return true;
    }
    return false;
}

static bool is_any(const struct sockaddr_storage *a) {
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == 0;
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

bool dial_split(struct str address, struct str *ip, uint16_t *port) {
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < address.len; i++)
        if (address.data[i] == ':')
            colon = (ptrdiff_t)i;
    if (colon <= 0)
        return false;
    uint64_t number;
    struct str host = str_sub(address, 0, (size_t)colon);
    if (!str_to_u64(str_sub(address, (size_t)colon + 1, address.len), &number) || number > 65535)
        return false;
    bool brackets = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (brackets)
        host = str_sub(host, 1, host.len - 2);
    else if (str_find_char(host, ':') >= 0)
        return false;
    struct sockaddr_storage where;
    socklen_t len;
    char text[64];
    if (!parse_ip(host, (uint16_t)number, &where, &len, text))
        return false;
    *ip = host;
    *port = (uint16_t)number;
    return true;
}

/* ---- the end ---- */

static void free_when_closed(struct dial *d) {
    if (d->poll_closed && d->timer_closed)
        mem_free(d);
}

static void on_timer_closed(struct loop_timer *t) {
    struct dial *d = t->owner;
    d->timer_closed = true;
    free_when_closed(d);
}

static void on_poll_closed(uv_handle_t *handle) {
    struct dial *d = CONTAINER_OF((uv_poll_t *)handle, struct dial, poll);
    d->poll_closed = true;
    free_when_closed(d);
}

/* Handles go; the descriptor is the caller's business. */
static void end(struct dial *d) {
    ASSERT(!d->ended);
    d->ended = true;
    loop_timer_close(&d->timer, on_timer_closed);
    if (d->polling)
        uv_close((uv_handle_t *)&d->poll, on_poll_closed);
    else
        d->poll_closed = true;
}

void dial_cancel(struct dial *d) {
    d->done = NULL;
    end(d);
    if (d->fd >= 0)
        close(d->fd);
}

static void fail(struct dial *d, const char *step, int code, const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    char system[128];
    if (text == NULL) { /* the peer spells the system's messages in lower case */
        snprintf(system, sizeof system, "%s", strerror(code));
        if (system[0] >= 'A' && system[0] <= 'Z')
            system[0] = (char)(system[0] + 32);
        text = system;
    }
    error_set(&e, ERROR_IO, "dial tcp %s: %s%s%s", d->name, step, step[0] != '\0' ? ": " : "",
              text);
    dial_done *done = d->done;
    void *owner = d->owner;
    end(d);
    if (d->fd >= 0)
        close(d->fd);
    done(owner, -1, &e);
    arena_free(&arena);
}

static void on_timer(struct loop_timer *t) {
    struct dial *d = t->owner;
    if (d->polling)
        fail(d, "", 0, "i/o timeout");
    else
        fail(d, d->step, d->code, d->wrong);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    (void)events;
    struct dial *d = CONTAINER_OF(poll, struct dial, poll);
    int code = 0;
    socklen_t len = sizeof code;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0)
        code = errno;
    if (code == 0 && status < 0)
        code = -status;
    if (code != 0) {
        fail(d, "connect", code, NULL);
        return;
    }
    dial_done *done = d->done;
    void *owner = d->owner;
    int fd = d->fd;
    end(d);
    done(owner, fd, NULL);
}

/* ---- start ---- */

static void set_option(int fd, int level, int option, int value) {
    setsockopt(fd, level, option, &value, sizeof value);
}

static void bind_source(struct dial *d, struct str source, char *from, size_t size) {
    struct sockaddr_storage address;
    socklen_t len;
    char ip[64];
    from[0] = '\0';
    if (source.len == 0 || !parse_ip(source, 0, &address, &len, ip) || is_any(&address))
        return;
    snprintf(from, size, address.ss_family == AF_INET6 ? "[%s]:0->" : "%s:0->", ip);
    /* The port is chosen at connect, so that one is not used up for all targets. */
    set_option(d->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (d->fd >= 0 && bind(d->fd, (struct sockaddr *)&address, len) != 0) {
        d->code = errno;
        d->step = "bind";
    }
}

static void begin(struct dial *d, struct loop *l, const struct dial_target *target) {
    struct sockaddr_storage address;
    socklen_t len;
    char ip[64] = "", from[72];
    bool known = parse_ip(target->ip, target->port, &address, &len, ip);
    d->fd = known ? socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    int code = errno;
    bind_source(d, target->source, from, sizeof from);
    snprintf(d->name, sizeof d->name,
             known && address.ss_family == AF_INET6 ? "%s[%s]:%u" : "%s%s:%u", from, ip,
             target->port);
    if (!known) {
        d->step = "address";
        d->wrong = "not an IP address";
        return;
    }
    if (d->fd < 0) {
        d->step = "socket";
        d->code = code;
    }
    if (d->code != 0)
        return;
    set_option(d->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(d->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(d->fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_SECONDS);
    set_option(d->fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_SECONDS);
    if (connect(d->fd, (struct sockaddr *)&address, len) != 0 && errno != EINPROGRESS) {
        d->step = "connect";
        d->code = errno;
        return;
    }
    d->polling = uv_poll_init(&l->uv, &d->poll, d->fd) == 0;
    ASSERT(d->polling);
    uv_poll_start(&d->poll, UV_WRITABLE, on_poll);
}

struct dial *dial_start(struct loop *l, const struct dial_target *target, dial_done *done,
                        void *owner) {
    struct dial *d = MEM_NEW(struct dial);
    d->done = done;
    d->owner = owner;
    d->step = "";
    loop_timer_init(l, &d->timer, on_timer, d);
    begin(d, l, target);
    /* What cannot begin is told from the timer too: never inside. */
    loop_timer_set(&d->timer, !d->polling           ? 0
                              : target->timeout > 0 ? target->timeout
                                                    : DIAL_TIMEOUT);
    return d;
}
