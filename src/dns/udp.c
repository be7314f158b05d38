/* UDP: datagrams come in batches, and answers that are ready at once go out in batches; those that
 * must wait are sent alone when they are ready. When the kernel has no room, reading stops until it
 * has: what waits is bounded.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "dns/listen.h"

#define CONTROL_SIZE ((size_t)64)
/* Batches taken before other handles of the loop get their turn. */
#define ROUNDS 8
#define PACKET_SIZE ((size_t)65536)

struct dns_batch {
    struct mmsghdr in[DNS_BATCH];
    struct iovec in_iov[DNS_BATCH];
    struct sockaddr_storage from[DNS_BATCH];
    _Alignas(8) uint8_t control[DNS_BATCH][CONTROL_SIZE];
    struct mmsghdr out[DNS_BATCH * 2];
    struct iovec out_iov[DNS_BATCH * 2];
    _Alignas(8) uint8_t out_control[DNS_BATCH * 2][CONTROL_SIZE];
    uint8_t packets[DNS_BATCH][PACKET_SIZE]; /* only pages that are used become memory */
};

struct dns_batch *dns_batch_new(void) {
    return mem_zalloc(1, sizeof(struct dns_batch));
}
void dns_batch_free(struct dns_batch *b) {
    mem_free(b);
}

/* ---- sending ---- */

/* The control message that lets the answer leave from the address to which the query came. */
static void keep_local_address(struct dns_query *q, struct msghdr *m) {
    q->local_len = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
            c->cmsg_len == CMSG_LEN(sizeof(struct in_pktinfo))) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            info.ipi_ifindex = 0; /* the route decides */
            memcpy(q->local, &info, sizeof(info));
            q->local_len = sizeof(info);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
                   c->cmsg_len == CMSG_LEN(sizeof(struct in6_pktinfo))) {
            memcpy(q->local, CMSG_DATA(c), sizeof(struct in6_pktinfo));
            q->local_len = sizeof(struct in6_pktinfo);
        }
    }
}

static void fill_out(struct dns_batch *b, uint32_t i, struct dns_query *q) {
    struct msghdr *m = &b->out[i].msg_hdr;
    b->out_iov[i] = (struct iovec){q->response.data, q->response.len};
    *m =
        (struct msghdr){.msg_name = &q->client,
                        .msg_namelen = q->client.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                       : sizeof(struct sockaddr_in),
                        .msg_iov = &b->out_iov[i],
                        .msg_iovlen = 1};
    if (q->local_len > 0) {
        bool v4 = q->local_len == sizeof(struct in_pktinfo);
        m->msg_control = b->out_control[i];
        m->msg_controllen = CMSG_SPACE(q->local_len);
        struct cmsghdr *c = CMSG_FIRSTHDR(m);
        c->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
        c->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(q->local_len);
        memcpy(CMSG_DATA(c), q->local, q->local_len);
    }
}

static void say_failed(struct dns_udp *u, struct dns_query *q, int code) {
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof(local);
    getsockname(u->fd, (struct sockaddr *)&local, &len);
    const char *why = code == EMSGSIZE ? "message too long" : strerror(code);
    struct str from = dns_sockaddr_text(&local, &q->arena);
    struct str to = dns_client_text(q);
    log_at(LOG_WARN, "agent.dns", "failed to respond",
           LOG_S("error", str_format(&q->arena, "write udp " STR_FMT "->" STR_FMT ": sendmsg: %s",
                                     STR_ARG(from), STR_ARG(to), why)));
}

static void watch_socket(struct dns_udp *u);

/* Sends what is ready. What the kernel has no room for stays. */
static void flush(struct dns_udp *u) {
    struct dns_batch *b = u->batch;
    uint32_t sent = 0;
    for (uint32_t i = 0; i < u->ready_count; i++) {
        fill_out(b, i, u->ready[i]);
    }
    while (sent < u->ready_count) {
        int n = sendmmsg(u->fd, b->out + sent, u->ready_count - sent, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
            break;
        }
        if (n < 0) { /* of the first of them */
            say_failed(u, u->ready[sent], errno);
            n = 1;
        }
        for (int i = 0; i < n; i++) {
            dns_query_release(u->ready[sent++]);
        }
    }
    memmove(u->ready, u->ready + sent, (u->ready_count - sent) * sizeof(u->ready[0]));
    u->ready_count -= sent;
}

static void answered(struct dns_query *q) {
    struct dns_udp *u = q->owner;
    if (q->response.len == 0 || u->closing) {
        dns_query_release(q);
        return;
    }
    if (u->ready_count == COUNT_OF(u->ready)) {
        u->lost++;
        dns_query_release(q);
        return;
    }
    u->ready[u->ready_count++] = q;
    if (!u->receiving) {
        flush(u);
        watch_socket(u);
    }
}

/* ---- receiving ---- */

static int receive(struct dns_udp *u) {
    struct dns_batch *b = u->batch;
    for (uint32_t i = 0; i < DNS_BATCH; i++) {
        b->in_iov[i] = (struct iovec){b->packets[i], PACKET_SIZE};
        b->in[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
                                           .msg_namelen = sizeof(b->from[i]),
                                           .msg_iov = &b->in_iov[i],
                                           .msg_iovlen = 1};
        if (u->any_address) {
            b->in[i].msg_hdr.msg_control = b->control[i];
            b->in[i].msg_hdr.msg_controllen = CONTROL_SIZE;
        }
    }
    return recvmmsg(u->fd, b->in, DNS_BATCH, MSG_DONTWAIT, NULL);
}

static void serve(struct dns_udp *u, uint32_t i) {
    struct dns_batch *b = u->batch;
    struct dns_query *q = dns_query_take(u->worker);
    if (q == NULL) {
        u->lost++;
        return;
    }
    q->local_len = 0;
    if (u->any_address) {
        keep_local_address(q, &b->in[i].msg_hdr);
    }
    dns_query_start(q, DNS_UDP, str_of(b->packets[i], b->in[i].msg_len),
                    (const struct sockaddr *)&b->from[i], answered, u);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct dns_udp *u = poll->data;
    (void)events;
    if (status < 0 || u->closing) {
        return;
    }
    flush(u);
    for (int round = 0; round < ROUNDS && u->ready_count == 0; round++) {
        int n = receive(u);
        if (n <= 0) {
            break;
        }
        u->receiving = true;
        for (int i = 0; i < n; i++) {
            serve(u, (uint32_t)i);
        }
        u->receiving = false;
        flush(u);
        if ((uint32_t)n < DNS_BATCH) {
            break;
        }
    }
    watch_socket(u);
}

/* While answers wait for room, nothing is read. Only changes cost a system call. */
static void watch_socket(struct dns_udp *u) {
    int events = u->ready_count > 0 ? UV_WRITABLE : UV_READABLE;
    if (u->events != events) {
        u->events = events;
        uv_poll_start(&u->poll, events, on_ready);
    }
}

bool dns_udp_start(struct dns_udp *u, struct dns_worker *w, struct dns_batch *batch, int fd,
                   bool any_address) {
    *u = (struct dns_udp){.worker = w, .batch = batch, .fd = fd, .any_address = any_address};
    if (uv_poll_init(&w->loop->uv, &u->poll, fd) < 0) {
        return false;
    }
    u->poll.data = u;
    watch_socket(u);
    return true;
}

static void poll_closed(uv_handle_t *h) {
    struct dns_udp *u = h->data;
    close(u->fd);
    u->closed(u->owner);
}

void dns_udp_close(struct dns_udp *u, void (*closed)(void *owner), void *owner) {
    u->closing = true;
    u->closed = closed;
    u->owner = owner;
    for (uint32_t i = 0; i < u->ready_count; i++) {
        dns_query_release(u->ready[i]);
    }
    u->ready_count = 0;
    uv_close((uv_handle_t *)&u->poll, poll_closed);
}
