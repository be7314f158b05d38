/* Datagram sockets. See udp.h. */
#include "net/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define BATCH 16
/* Batches taken before the loop's other handles get their turn. */
#define ROUNDS 8
/* What the kernel may hold for us while the loop is busy. */
#define RECEIVE_BUFFER (2 << 20)

struct udp {
    uv_poll_t poll;
    udp_received *fn;
    void *owner;
    int fd;
    uint16_t port;
    bool started;
    struct mmsghdr in[BATCH];
    struct iovec iov[BATCH];
    struct sockaddr_storage from[BATCH];
    char *packets; /* BATCH x UDP_PACKET_MAX; only pages that are used become memory */
};

static socklen_t sockaddr_fill(struct sockaddr_storage *out, const uint8_t *ip, size_t len,
                               uint16_t port) {
    memset(out, 0, sizeof(*out));
    if (len == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, ip, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, ip, 16);
    return sizeof(*in6);
}

static void sockaddr_read(const struct sockaddr_storage *from, struct udp_address *out) {
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        *out = (struct udp_address){.len = 4, .port = ntohs(in->sin_port)};
        memcpy(out->ip, &in->sin_addr, 4);
        return;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
    *out = (struct udp_address){.len = 16, .port = ntohs(in6->sin6_port)};
    memcpy(out->ip, &in6->sin6_addr, 16);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        out->len = 4;
        memcpy(out->ip, out->ip + 12, 4);
    }
}

static bool parse_ip(struct str text, uint8_t ip[16], size_t *len) {
    char terminated[INET6_ADDRSTRLEN];
    if (text.len >= sizeof(terminated))
        return false;
    memcpy(terminated, text.data, text.len);
    terminated[text.len] = 0;
    *len = inet_pton(AF_INET, terminated, ip) == 1    ? 4
           : inet_pton(AF_INET6, terminated, ip) == 1 ? 16
                                                      : 0;
    return *len != 0;
}

static bool open_failed(struct error *e, struct str ip, uint16_t port, const char *step, int code) {
    bool v6 = str_find_char(ip, ':') >= 0;
    const char *why = code == EADDRINUSE      ? "address already in use"
                      : code == EADDRNOTAVAIL ? "cannot assign requested address"
                      : code == EACCES        ? "permission denied"
                                              : strerror(code);
    return error_set(e, ERROR_IO, "listen udp %s" STR_FMT "%s:%u: %s: %s", v6 ? "[" : "",
                     STR_ARG(ip), v6 ? "]" : "", port, step, why);
}

struct udp *udp_open(struct str ip, uint16_t port, struct error *e) {
    uint8_t bytes[16];
    size_t len;
    if (!parse_ip(ip, bytes, &len)) {
        error_set(e, ERROR_IO, "listen udp " STR_FMT ": invalid address", STR_ARG(ip));
        return NULL;
    }
    int fd = socket(len == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        open_failed(e, ip, port, "socket", errno);
        return NULL;
    }
    int size = RECEIVE_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* as much as we may have */
    struct sockaddr_storage address;
    socklen_t address_len = sockaddr_fill(&address, bytes, len, port);
    if (bind(fd, (struct sockaddr *)&address, address_len) != 0) {
        open_failed(e, ip, port, "bind", errno);
        close(fd);
        return NULL;
    }
    address_len = sizeof(address);
    getsockname(fd, (struct sockaddr *)&address, &address_len);
    struct udp_address bound;
    sockaddr_read(&address, &bound);
    struct udp *u = MEM_NEW(struct udp);
    u->fd = fd;
    u->port = bound.port;
    return u;
}

uint16_t udp_port(const struct udp *u) {
    return u->port;
}

/* True: there may be more. */
static bool receive_batch(struct udp *u) {
    for (int i = 0; i < BATCH; i++) {
        u->iov[i] = (struct iovec){u->packets + (size_t)i * UDP_PACKET_MAX, UDP_PACKET_MAX};
        u->in[i].msg_hdr = (struct msghdr){.msg_name = &u->from[i],
                                           .msg_namelen = sizeof(u->from[i]),
                                           .msg_iov = &u->iov[i],
                                           .msg_iovlen = 1};
    }
    int n = recvmmsg(u->fd, u->in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        struct udp_address from;
        sockaddr_read(&u->from[i], &from);
        u->fn(u->owner, &from, str_of(u->iov[i].iov_base, u->in[i].msg_len));
    }
    return n == BATCH;
}

static void readable(uv_poll_t *poll, int status, int events) {
    struct udp *u = CONTAINER_OF(poll, struct udp, poll);
    (void)status;
    (void)events;
    for (int i = 0; i < ROUNDS && receive_batch(u); i++) {
    }
}

void udp_start(struct udp *u, struct loop *l, udp_received *fn, void *owner) {
    ASSERT(!u->started);
    u->fn = fn;
    u->owner = owner;
    u->started = true;
    u->packets = mem_alloc((size_t)BATCH * UDP_PACKET_MAX);
    uv_poll_init(&l->uv, &u->poll, u->fd);
    uv_poll_start(&u->poll, UV_READABLE, readable);
}

bool udp_send(struct udp *u, const struct udp_address *to, struct str bytes, const char **why) {
    struct sockaddr_storage address;
    socklen_t len = sockaddr_fill(&address, to->ip, to->len, to->port);
    *why = NULL;
    for (;;) {
        if (sendto(u->fd, bytes.data, bytes.len, MSG_DONTWAIT, (struct sockaddr *)&address, len) >=
            0)
            return true;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
            *why = strerror(errno);
        return false;
    }
}

static void closed(uv_handle_t *handle) {
    struct udp *u = CONTAINER_OF(handle, struct udp, poll);
    close(u->fd);
    mem_free(u->packets);
    mem_free(u);
}

void udp_close(struct udp *u) {
    if (u == NULL)
        return;
    if (!u->started) {
        close(u->fd);
        mem_free(u);
        return;
    }
    uv_poll_stop(&u->poll);
    uv_close((uv_handle_t *)&u->poll, closed);
}
