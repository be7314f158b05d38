/* Start, reload and stop: sockets are opened by the caller's thread, so that errors are known at
 * once, and then given to the I/O loops, each of which works alone from then on.
 */
#include "dns/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "dns/listen.h"

#define BACKLOG 1024
#define UDP_BUFFER (4 << 20) /* asked for; the kernel may give less */
#define CONNECTIONS 4096u
#define CONNECTIONS_OF_ONE 256u
/* They may not use up the descriptors that the log and HTTP need. */
#define FILES_SHARE 8u
#define ADDRESSES_MAX 64u

/* One I/O loop's part. */
struct dns_thread {
    struct dns *dns;
    struct loop *loop;
    struct dns_worker worker;
    struct dns_settings *settings; /* until start_thread has run */
    struct dns_batch *batch;
    struct dns_udp *udp; /* one for each address */
    struct dns_tcp *tcp;
    int *udp_fds, *tcp_fds;      /* -1: taken over, or never opened */
    size_t udp_count, tcp_count; /* started */
    size_t open;                 /* what stop_thread waits for */
    struct message start, stop;
};

struct dns {
    struct dns_site site;
    struct server *server;
    struct listen_address *addresses;
    size_t address_count;
    uint32_t connection_limit;
    struct client_limit *clients;
    size_t recursors; /* in force */
    struct dns_thread *threads;
    unsigned thread_count;
    sem_t done; /* posted by each loop that did what it was told */
};

/* ---- sockets ---- */

static bool to_sockaddr(const struct listen_address *a, struct sockaddr_storage *out,
                        socklen_t *len) {
    char ip[INET6_ADDRSTRLEN];
    memset(out, 0, sizeof(*out));
    if (a->text.len >= sizeof(ip)) {
        return false;
    }
    memcpy(ip, a->text.data, a->text.len);
    ip[a->text.len] = 0;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)a->port);
        *len = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)a->port);
        *len = sizeof(*v6);
        return true;
    }
    return false;
}

static bool is_any_address(const struct sockaddr_storage *a) {
    static const struct in6_addr any = IN6ADDR_ANY_INIT;
    if (a->ss_family == AF_INET) {
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == INADDR_ANY;
    }
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &any, sizeof(any)) == 0;
}

static void set_option(int fd, int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof(value));
}

static bool set_options(int fd, int type, const struct sockaddr_storage *a, bool shared) {
    int on = 1;
    if (type == SOCK_STREAM) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    } else if (shared) {
        set_option(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER);
        set_option(fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER);
    }
    if (type == SOCK_DGRAM && is_any_address(a)) {
        if (a->ss_family == AF_INET6) {
            set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        }
        set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    return !shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
}

/* A bound socket, or -1 with errno. shared: other loops will have the same address. */
static int open_socket(int type, const struct sockaddr_storage *a, socklen_t len, bool shared) {
    int fd = socket(a->ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (!set_options(fd, type, a, shared) || bind(fd, (const struct sockaddr *)a, len) < 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)) {
        int code = errno;
        close(fd);
        errno = code;
        return -1;
    }
    return fd;
}

/* With SO_REUSEPORT a second agent could take part in our port, or we in its: so the port must
 * first be free for a socket that does not share. */
static bool test_bind(int type, const struct sockaddr_storage *a, socklen_t len) {
    int fd = open_socket(type, a, len, false);
    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

static const char *bind_error_text(int code) {
    return code == EADDRINUSE      ? "address already in use"
           : code == EACCES        ? "permission denied"
           : code == EADDRNOTAVAIL ? "cannot assign requested address"
                                   : strerror(code);
}

/* The sockets of all loops for one address; failures become lines of `problems`. */
static bool open_address(struct dns *d, size_t i, int type, struct buf *problems) {
    struct sockaddr_storage a;
    socklen_t len = 0;
    const struct listen_address *address = &d->addresses[i];
    const char *network = type == SOCK_STREAM ? "tcp" : "udp";
    if (!to_sockaddr(address, &a, &len)) {
        buf_add_format(problems, "\t* listen %s: invalid address " STR_FMT "\n", network,
                       STR_ARG(address->text));
        return false;
    }
    bool good = test_bind(type, &a, len);
    for (unsigned t = 0; good && t < d->thread_count; t++) {
        int fd = open_socket(type, &a, len, true);
        int *slot = type == SOCK_STREAM ? &d->threads[t].tcp_fds[i] : &d->threads[t].udp_fds[i];
        *slot = fd;
        good = fd >= 0;
    }
    if (!good) {
        struct arena arena = ARENA_INIT;
        int code = errno;
        struct str text = dns_sockaddr_text(&a, &arena);
        buf_add_format(problems, "\t* listen %s " STR_FMT ": bind: %s\n", network, STR_ARG(text),
                       bind_error_text(code));
        arena_free(&arena);
    }
    return good;
}

/* The error lists all that went wrong, as the peer does. */
static bool open_addresses(struct dns *d, struct error *e) {
    struct buf problems = BUF_INIT;
    unsigned failed = 0;
    for (size_t i = 0; i < d->address_count; i++) {
        failed += !open_address(d, i, SOCK_DGRAM, &problems);
        failed += !open_address(d, i, SOCK_STREAM, &problems);
    }
    if (failed > 0) {
        error_set(e, ERROR_IO, "%u error%s occurred:\n" STR_FMT "\n", failed,
                  failed == 1 ? "" : "s", STR_ARG(buf_str(&problems)));
    }
    buf_free(&problems);
    return failed == 0;
}

/* ---- on the loops ---- */

static void start_thread(struct message *m) {
    struct dns_thread *t = CONTAINER_OF(m, struct dns_thread, start);
    struct dns *d = t->dns;
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    dns_worker_init(&t->worker, &d->site, t->settings, d->server, t->loop, seed);
    t->settings = NULL;
    for (size_t i = 0; i < d->address_count; i++) {
        struct sockaddr_storage a;
        socklen_t len;
        bool any = to_sockaddr(&d->addresses[i], &a, &len) && is_any_address(&a);
        if (!dns_udp_start(&t->udp[t->udp_count], &t->worker, t->batch, t->udp_fds[i], any)) {
            log_at(LOG_ERROR, "agent.dns", "cannot watch socket", LOG_C("network", "udp"));
            continue;
        }
        t->udp_fds[i] = -1;
        t->udp_count++;
    }
    for (size_t i = 0; i < d->address_count; i++) {
        if (!dns_tcp_start(&t->tcp[t->tcp_count], &t->worker, t->tcp_fds[i], d->connection_limit,
                           d->clients)) {
            log_at(LOG_ERROR, "agent.dns", "cannot watch socket", LOG_C("network", "tcp"));
            continue;
        }
        t->tcp_fds[i] = -1;
        t->tcp_count++;
    }
}

static void socket_closed(void *owner) {
    struct dns_thread *t = owner;
    if (--t->open == 0) {
        sem_post(&t->dns->done);
    }
}

static void stop_thread(struct message *m) {
    struct dns_thread *t = CONTAINER_OF(m, struct dns_thread, stop);
    t->open = t->udp_count + t->tcp_count + 1;
    for (size_t i = 0; i < t->udp_count; i++) {
        dns_udp_close(&t->udp[i], socket_closed, t);
    }
    for (size_t i = 0; i < t->tcp_count; i++) {
        dns_tcp_close(&t->tcp[i], socket_closed, t);
    }
    while (t->worker.running != NULL) {
        dns_query_release(t->worker.running);
    }
    dns_exchange_close_all(&t->worker);
    socket_closed(t);
}

struct settings_message {
    struct message message;
    struct dns_thread *thread;
    struct dns_settings *settings;
};

static void take_settings(struct message *m) {
    struct settings_message *s = CONTAINER_OF(m, struct settings_message, message);
    dns_settings_release(s->thread->worker.settings);
    s->thread->worker.settings = s->settings;
    sem_post(&s->thread->dns->done);
    mem_free(s);
}

static void wait_for_threads(struct dns *d, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        while (sem_wait(&d->done) < 0 && errno == EINTR) {
        }
    }
}

/* ---- start ---- */

static void close_fds(const int *fds, size_t count) {
    for (size_t i = 0; fds != NULL && i < count; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static void dns_free(struct dns *d) {
    for (unsigned i = 0; i < d->thread_count; i++) {
        struct dns_thread *t = &d->threads[i];
        close_fds(t->udp_fds, d->address_count);
        close_fds(t->tcp_fds, d->address_count);
        dns_settings_release(t->settings);
        dns_batch_free(t->batch);
        mem_free(t->udp);
        mem_free(t->tcp);
        mem_free(t->udp_fds);
        mem_free(t->tcp_fds);
    }
    mem_free(d->threads);
    if (d->clients != NULL) {
        client_limit_free(d->clients);
    }
    mem_free(d->addresses);
    arena_free(&d->site.arena);
    sem_destroy(&d->done);
    mem_free(d);
}

static bool prepare_thread(struct dns *d, unsigned i, const struct config_dns *settings,
                           struct error *e) {
    struct dns_thread *t = &d->threads[i];
    size_t n = d->address_count;
    t->dns = d;
    t->loop = server_io(d->server, i);
    t->batch = dns_batch_new();
    t->udp = mem_zalloc(n + 1, sizeof(*t->udp));
    t->tcp = mem_zalloc(n + 1, sizeof(*t->tcp));
    t->udp_fds = mem_alloc((n + 1) * sizeof(int));
    t->tcp_fds = mem_alloc((n + 1) * sizeof(int));
    for (size_t k = 0; k < n; k++) {
        t->udp_fds[k] = t->tcp_fds[k] = -1;
    }
    t->settings = dns_settings_new(settings, e);
    return t->settings != NULL;
}

static void copy_addresses(struct dns *d, const struct dns_options *options) {
    size_t n = options->address_count < ADDRESSES_MAX ? options->address_count : ADDRESSES_MAX;
    d->addresses = mem_zalloc(n + 1, sizeof(*d->addresses));
    d->address_count = n;
    for (size_t i = 0; i < n; i++) {
        d->addresses[i] = options->addresses[i];
        d->addresses[i].text = str_copy(&d->site.arena, options->addresses[i].text);
    }
}

static uint32_t connections_for(unsigned loops) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return CONNECTIONS;
    }
    uint64_t share = limit.rlim_cur / FILES_SHARE / loops + 1;
    return share < CONNECTIONS ? (uint32_t)share : CONNECTIONS;
}

static bool prepare(struct dns *d, const struct dns_options *options, struct error *e) {
    if (!dns_site_init(&d->site, options, e)) {
        return false;
    }
    copy_addresses(d, options);
    unsigned count = server_io_count(d->server);
    d->connection_limit =
        options->connection_limit != 0 ? options->connection_limit : connections_for(count);
    d->clients =
        client_limit_new(options->client_limit != 0 ? options->client_limit : CONNECTIONS_OF_ONE);
    d->recursors = options->settings->recursors.len;
    d->threads = mem_zalloc(count, sizeof(*d->threads));
    for (; d->thread_count < count;) {
        unsigned i = d->thread_count++;
        if (!prepare_thread(d, i, options->settings, e)) {
            return false;
        }
    }
    return open_addresses(d, e);
}

static void say(struct dns *d, const char *text, bool started) {
    static const char *const networks[] = {"udp", "tcp"};
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < 2 * d->address_count; i++) {
        struct sockaddr_storage a;
        socklen_t len;
        to_sockaddr(&d->addresses[i / 2], &a, &len);
        struct str address = dns_sockaddr_text(&a, &arena);
        if (started) {
            log_at(LOG_INFO, "agent", text, LOG_S("address", address),
                   LOG_C("network", networks[i % 2]));
        } else {
            log_at(LOG_INFO, "agent", text, LOG_C("protocol", "DNS"), LOG_S("address", address),
                   LOG_C("network", networks[i % 2]));
        }
    }
    arena_free(&arena);
}

struct dns *dns_start(const struct dns_options *options, struct server *server, struct error *e) {
    struct dns *d = MEM_NEW(struct dns);
    d->server = server;
    sem_init(&d->done, 0, 0);
    if (!prepare(d, options, e)) {
        dns_free(d);
        return NULL;
    }
    for (unsigned i = 0; i < d->thread_count; i++) {
        d->threads[i].start.run = start_thread;
        loop_post_reply(d->threads[i].loop, &d->threads[i].start); /* must not be refused */
    }
    say(d, "Started DNS server", true);
    return d;
}

bool dns_reload(struct dns *d, const struct config_dns *settings, struct error *e) {
    for (unsigned i = 0; i < d->thread_count; i++) {
        struct dns_settings *copy = dns_settings_new(settings, e);
        if (copy == NULL) {
            return false; /* the first already: they are all made from the same */
        }
        struct settings_message *m = MEM_NEW(struct settings_message);
        m->message.run = take_settings;
        m->thread = &d->threads[i];
        m->settings = copy;
        loop_post_reply(m->thread->loop, &m->message);
    }
    wait_for_threads(d, d->thread_count);
    if ((d->recursors > 0) != (settings->recursors.len > 0)) {
        for (size_t i = 0; i < 2 * d->address_count; i++) {
            log_at(LOG_DEBUG, "agent.dns",
                   settings->recursors.len > 0 ? "recursor enabled" : "recursor disabled");
        }
    }
    d->recursors = settings->recursors.len;
    return true;
}

void dns_stop(struct dns *d) {
    say(d, "Stopping server", false);
    for (unsigned i = 0; i < d->thread_count; i++) {
        d->threads[i].stop.run = stop_thread;
        loop_post_reply(d->threads[i].loop, &d->threads[i].stop);
    }
    wait_for_threads(d, d->thread_count);
    for (unsigned i = 0; i < d->thread_count; i++) {
        dns_worker_free(&d->threads[i].worker);
    }
    dns_free(d);
}
