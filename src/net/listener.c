/* Listening sockets. Each loop polls its own duplicate of the one descriptor: the kernel wakes
 * whoever is idle, and the connection is passed on if another loop has fewer.
 */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/stream.h"

#define BACKLOG 4096
#define ACCEPT_ROUNDS 16                 /* connections taken before others have their turn */
#define ACCEPT_PAUSE (100 * MILLISECOND) /* when there are no descriptors left */
#define KEEPALIVE_SECONDS 30
/* Descriptors that connections leave for the log, snapshots and checks */
#define RESERVED_FILES 64

struct listener_part { /* what one loop has of it */
    struct listener *listener;
    struct loop *loop;
    uv_poll_t poll;
    struct loop_timer pause;
    int fd;
    struct message start_message, message;
    unsigned handles_open;
};

struct listener {
    int fd;
    int port;
    char name[256];
    char *unlink_path;
    listener_accept *accept;
    void *owner;
    struct listener_part *parts;
    unsigned part_count;
    uv_sem_t closed;
};

/* A connection on its way to another loop. */
struct handover {
    struct message message;
    struct listener_part *part;
    struct peer_address peer;
    int fd;
};

/* ---- opening ---- */

static bool parse_ip(const char *text, int port, struct sockaddr_storage *out, socklen_t *len) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *len = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *len = sizeof *v6;
        return true;
    }
    return false;
}

/* The peer spells the system's messages in lower case. */
static bool fail(struct error *e, const char *network, const char *name, const char *step,
                 int code) {
    char text[128];
    snprintf(text, sizeof text, "%s", strerror(code));
    if (text[0] >= 'A' && text[0] <= 'Z')
        text[0] = (char)(text[0] + 32);
    return error_set(e, ERROR_IO, "listen %s %s: %s: %s", network, name, step, text);
}

static void set_option(int fd, int level, int option, int value) {
    setsockopt(fd, level, option, &value, sizeof value);
}

static bool bind_tcp(struct listener *l, const struct sockaddr_storage *address, socklen_t len,
                     struct error *e) {
    l->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return fail(e, "tcp", l->name, "socket", errno);
    set_option(l->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address->ss_family == AF_INET6)
        set_option(l->fd, IPPROTO_IPV6, IPV6_V6ONLY,
                   !IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr));
    /* Connections inherit these. */
    set_option(l->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(l->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(l->fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_SECONDS);
    set_option(l->fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_SECONDS);
    if (bind(l->fd, (const struct sockaddr *)address, len) != 0)
        return fail(e, "tcp", l->name, "bind", errno);
    if (listen(l->fd, BACKLOG) != 0)
        return fail(e, "tcp", l->name, "listen", errno);
    return true;
}

static void free_listener(struct listener *l) {
    if (l->fd >= 0)
        close(l->fd);
    mem_free(l->unlink_path);
    mem_free(l->parts);
    mem_free(l);
}

static int bound_port(int fd) {
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static void name_tcp(struct listener *l, const char *ip, int port) {
    bool v6 = strchr(ip, ':') != NULL;
    snprintf(l->name, sizeof l->name, v6 ? "[%s]:%d" : "%s:%d", ip, port);
}

struct listener *listener_open_tcp(struct str address, int port, struct error *e) {
    char ip[64];
    struct sockaddr_storage where;
    socklen_t len;
    if (address.len >= sizeof ip) {
        error_set(e, ERROR_IO, "listen tcp: address too long");
        return NULL;
    }
    snprintf(ip, sizeof ip, STR_FMT, STR_ARG(address));
    if (port < 0 || port > 65535 || !parse_ip(ip, port, &where, &len)) {
        error_set(e, ERROR_IO, "listen tcp %s:%d: not an address", ip, port);
        return NULL;
    }
    struct listener *l = MEM_NEW(struct listener);
    name_tcp(l, ip, port);
    if (!bind_tcp(l, &where, len, e)) {
        free_listener(l);
        return NULL;
    }
    l->port = bound_port(l->fd);
    name_tcp(l, ip, l->port);
    return l;
}

static bool find_user(struct str user, uid_t *id, struct error *e) {
    char name[64];
    uint64_t number;
    if (str_to_u64(user, &number)) {
        *id = (uid_t)number;
        return true;
    }
    snprintf(name, sizeof name, STR_FMT, STR_ARG(user));
    struct passwd *found = getpwnam(name);
    if (found == NULL)
        return error_set(e, ERROR_IO, "user: unknown user %s", name);
    *id = found->pw_uid;
    return true;
}

static bool find_group(struct str group, gid_t *id, struct error *e) {
    char name[64];
    uint64_t number;
    if (str_to_u64(group, &number)) {
        *id = (gid_t)number;
        return true;
    }
    snprintf(name, sizeof name, STR_FMT, STR_ARG(group));
    struct group *found = getgrnam(name);
    if (found == NULL)
        return error_set(e, ERROR_IO, "group: unknown group %s", name);
    *id = found->gr_gid;
    return true;
}

static bool set_permissions(const char *path, struct str user, struct str group, struct str mode,
                            struct error *e) {
    uid_t uid = (uid_t)-1;
    gid_t gid = (gid_t)-1;
    if (user.len > 0 && !find_user(user, &uid, e))
        return false;
    if (group.len > 0 && !find_group(group, &gid, e))
        return false;
    if ((user.len > 0 || group.len > 0) && chown(path, uid, gid) != 0)
        return error_set_errno(e, errno, "chown %s", path);
    if (mode.len > 0) {
        char digits[16], *end;
        snprintf(digits, sizeof digits, STR_FMT, STR_ARG(mode));
        unsigned long bits = strtoul(digits, &end, 8);
        if (*end != '\0' || mode.len >= sizeof digits || bits > 07777)
            return error_set(e, ERROR_IO, "invalid specified mode: %s", digits);
        if (chmod(path, (mode_t)bits) != 0)
            return error_set_errno(e, errno, "chmod %s", path);
    }
    return true;
}

static bool bind_unix(struct listener *l, const char *path, struct error *e) {
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof where.sun_path)
        return fail(e, "unix", path, "bind", EINVAL);
    strcpy(where.sun_path, path);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return fail(e, "unix", path, "socket", errno);
    if (bind(l->fd, (struct sockaddr *)&where, sizeof where) != 0)
        return fail(e, "unix", path, "bind", errno);
    l->unlink_path = mem_strdup(path);
    if (listen(l->fd, BACKLOG) != 0)
        return fail(e, "unix", path, "listen", errno);
    return true;
}

struct listener *listener_open_unix(struct str path, struct str user, struct str group,
                                    struct str mode, struct error *e) {
    char text[256];
    snprintf(text, sizeof text, STR_FMT, STR_ARG(path));
    struct stat there;
    /* Only a socket is removed: a typing error must not cost somebody a file. */
    if (lstat(text, &there) == 0 && S_ISSOCK(there.st_mode))
        unlink(text);
    struct listener *l = MEM_NEW(struct listener);
    l->fd = -1;
    snprintf(l->name, sizeof l->name, "%s", text);
    if (!bind_unix(l, text, e) || !set_permissions(text, user, group, mode, e)) {
        if (l->unlink_path != NULL)
            unlink(l->unlink_path);
        free_listener(l);
        return NULL;
    }
    return l;
}

const char *listener_name(const struct listener *l) {
    return l->name;
}

int listener_port(const struct listener *l) {
    return l->port;
}

/* ---- the other side ---- */

static void fill_peer(const struct sockaddr_storage *from, struct peer_address *out) {
    memset(out, 0, sizeof *out);
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
        memcpy(out->ip, &v4->sin_addr, 4);
        out->ip_len = 4;
        out->port = ntohs(v4->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        out->ip_len = mapped ? 4 : 16;
        memcpy(out->ip, (const uint8_t *)&v6->sin6_addr + (mapped ? 12 : 0), out->ip_len);
        out->port = ntohs(v6->sin6_port);
    }
}

void peer_address_format(const struct peer_address *a, char out[56]) {
    char ip[INET6_ADDRSTRLEN] = "";
    if (a->ip_len == 0) {
        snprintf(out, 56, "@");
        return;
    }
    inet_ntop(a->ip_len == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof ip);
    snprintf(out, 56, a->ip_len == 4 ? "%s:%u" : "[%s]:%u", ip, a->port);
}

/* ---- accepting ---- */

static void on_handover(struct message *m) {
    struct handover *h = CONTAINER_OF(m, struct handover, message);
    stream_promise_kept(h->part->loop);
    h->part->listener->accept(h->part->listener->owner, h->part->loop, h->fd, &h->peer);
    mem_free(h);
}

static struct listener_part *least_loaded(struct listener_part *here) {
    struct listener *l = here->listener;
    struct listener_part *best = here;
    unsigned fewest = stream_count(here->loop);
    for (unsigned i = 0; i < l->part_count; i++) {
        unsigned count = stream_count(l->parts[i].loop);
        if (count < fewest) {
            fewest = count;
            best = &l->parts[i];
        }
    }
    return best;
}

static void give(struct listener_part *here, int fd, const struct peer_address *peer) {
    struct listener_part *to = least_loaded(here);
    if (to != here) {
        struct handover *h = MEM_NEW(struct handover);
        h->message.run = on_handover;
        h->part = to;
        h->fd = fd;
        h->peer = *peer;
        stream_promise(to->loop); /* else a burst would all go to one loop before it has seen any */
        if (loop_post(to->loop, &h->message))
            return;
        stream_promise_kept(to->loop);
        mem_free(h);
    }
    here->listener->accept(here->listener->owner, here->loop, fd, peer);
}

/* However many come: the log must be able to open its next file. */
static bool enough_connections(const struct listener *l) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    rlim_t most =
        limit.rlim_cur > 2 * RESERVED_FILES ? limit.rlim_cur - RESERVED_FILES : limit.rlim_cur / 2;
    rlim_t have = 0;
    for (unsigned i = 0; i < l->part_count; i++)
        have += stream_count(l->parts[i].loop);
    return have >= most;
}

static void accept_later(struct listener_part *part) {
    uv_poll_stop(&part->poll);
    loop_timer_set(&part->pause, ACCEPT_PAUSE);
}

static void on_connection(uv_poll_t *poll, int status, int events) {
    struct listener_part *part = CONTAINER_OF(poll, struct listener_part, poll);
    (void)events;
    if (status < 0)
        return;
    if (enough_connections(part->listener)) {
        accept_later(part);
        return;
    }
    for (int i = 0; i < ACCEPT_ROUNDS; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof from;
        int fd = accept4(part->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                accept_later(part);
            return;
        }
        struct peer_address peer;
        fill_peer(&from, &peer);
        give(part, fd, &peer);
    }
}

static void on_pause_over(struct loop_timer *t) {
    struct listener_part *part = t->owner;
    uv_poll_start(&part->poll, UV_READABLE, on_connection);
}

static void open_part(struct listener_part *part) {
    loop_timer_init(part->loop, &part->pause, on_pause_over, part);
    int code = uv_poll_init(&part->loop->uv, &part->poll, part->fd);
    ASSERT(code == 0);
    uv_poll_start(&part->poll, UV_READABLE, on_connection);
}

static void start_part(struct message *m) {
    open_part(CONTAINER_OF(m, struct listener_part, start_message));
}

static void prepare_parts(struct listener *l, unsigned count, listener_accept *accept,
                          void *owner) {
    ASSERT(l->parts == NULL && count > 0);
    l->accept = accept;
    l->owner = owner;
    l->parts = mem_zalloc(count, sizeof *l->parts);
    l->part_count = count;
}

static void prepare_part(struct listener *l, unsigned i, struct loop *loop) {
    struct listener_part *part = &l->parts[i];
    part->listener = l;
    part->loop = loop;
    part->fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
    ASSERT(part->fd >= 0);
}

void listener_start(struct listener *l, struct loop *const *loops, unsigned count,
                    listener_accept *accept, void *owner) {
    prepare_parts(l, count, accept, owner);
    uv_sem_init(&l->closed, 0);
    for (unsigned i = 0; i < count; i++)
        prepare_part(l, i, loops[i]);
    /* Each part looks at all the others as soon as it has begun. */
    for (unsigned i = 0; i < count; i++) {
        struct listener_part *part = &l->parts[i];
        /* Not the message of the end, which may come while this one waits. */
        part->start_message.run = start_part;
        /* Never refused: there are few, at the start. */
        loop_post_reply(loops[i], &part->start_message);
    }
}

/* ---- closing ---- */

/* Two messages later everything that this listener handed over to this loop before has been run. */
static void part_closed(struct listener_part *part) {
    if (--part->handles_open == 0)
        uv_sem_post(&part->listener->closed);
}

static void on_poll_closed(uv_handle_t *handle) {
    part_closed(CONTAINER_OF((uv_poll_t *)handle, struct listener_part, poll));
}

static void on_timer_closed(struct loop_timer *t) {
    part_closed(t->owner);
}

static void stop_part(struct message *m) {
    struct listener_part *part = CONTAINER_OF(m, struct listener_part, message);
    part->handles_open = 2;
    uv_close((uv_handle_t *)&part->poll, on_poll_closed);
    loop_timer_close(&part->pause, on_timer_closed);
    close(part->fd);
}

static void pass_through(struct message *m) {
    struct listener_part *part = CONTAINER_OF(m, struct listener_part, message);
    uv_sem_post(&part->listener->closed);
}

/* Hands a message to each loop and waits until all have posted. The inbox (not the replies) is used
 * where order behind handed-over connections matters. */
static void visit_all(struct listener *l, void (*run)(struct message *), bool behind_inbox) {
    for (unsigned i = 0; i < l->part_count; i++) {
        l->parts[i].message.run = run;
        if (!behind_inbox || !loop_post(l->parts[i].loop, &l->parts[i].message))
            loop_post_reply(l->parts[i].loop, &l->parts[i].message);
    }
    for (unsigned i = 0; i < l->part_count; i++)
        uv_sem_wait(&l->closed);
}

void listener_close(struct listener *l) {
    if (l->parts != NULL) {
        visit_all(l, stop_part, false);
        visit_all(l, pass_through, true);
        uv_sem_destroy(&l->closed);
    }
    if (l->unlink_path != NULL)
        unlink(l->unlink_path);
    free_listener(l);
}

/* ---- on one thread ---- */

void listener_start_here(struct listener *l, struct loop *loop, listener_accept *accept,
                         void *owner) {
    prepare_parts(l, 1, accept, owner);
    prepare_part(l, 0, loop);
    open_part(&l->parts[0]);
}

static void part_closed_here(struct listener_part *part) {
    if (--part->handles_open == 0)
        free_listener(part->listener);
}

static void on_poll_closed_here(uv_handle_t *handle) {
    part_closed_here(CONTAINER_OF((uv_poll_t *)handle, struct listener_part, poll));
}

static void on_timer_closed_here(struct loop_timer *t) {
    part_closed_here(t->owner);
}

void listener_close_here(struct listener *l) {
    struct listener_part *part = &l->parts[0];
    part->handles_open = 2;
    uv_close((uv_handle_t *)&part->poll, on_poll_closed_here);
    loop_timer_close(&part->pause, on_timer_closed_here);
    close(part->fd);
    if (l->unlink_path != NULL)
        unlink(l->unlink_path);
    close(l->fd);
    l->fd = -1;
}
