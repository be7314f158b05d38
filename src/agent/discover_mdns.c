/* provider=mdns (agent.md 8.6): multicast DNS on the local link (RFC 6762), as a one-shot querier
 * on a port of its own: PTR records of the service name its instances, SRV records their ports and
 * hosts, A and AAAA records the hosts' addresses.
 */
#include "agent/discover_mdns.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/discover_http.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

#define LOGGER "agent"
#define PORT 5353
#define TIMEOUT_DEFAULT (5 * SECOND)
#define MESSAGE_MAX 9000 /* RFC 6762, 17 */
#define MESSAGES_MAX 4096

/* ---- what answers say ---- */

static struct mdns_instance *instance_of(struct mdns_answers *a, struct str name) {
    for (size_t i = 0; i < a->instance_count; i++)
        if (dns_name_equal_fold(a->instances[i].name, name))
            return &a->instances[i];
    return NULL;
}

static void take_instance(struct mdns_answers *a, struct str name) {
    if (name.len > 0 && a->instance_count < MDNS_INSTANCES_MAX && instance_of(a, name) == NULL &&
        dns_name_is_below(name, a->service))
        a->instances[a->instance_count++] =
            (struct mdns_instance){.name = str_copy(a->arena, name)};
}

static const struct mdns_host *find_host(const struct mdns_answers *a, struct str name) {
    for (size_t i = 0; i < a->host_count; i++)
        if (dns_name_equal_fold(a->hosts[i].name, name))
            return &a->hosts[i];
    return NULL;
}

static void take_address(struct mdns_answers *a, const struct dns_record *r) {
    struct mdns_host *host = (struct mdns_host *)find_host(a, r->name);
    if (host == NULL && a->host_count < MDNS_INSTANCES_MAX) {
        host = &a->hosts[a->host_count++];
        *host = (struct mdns_host){.name = str_copy(a->arena, r->name)};
    }
    if (host == NULL)
        return;
    if (r->type == DNS_TYPE_A && !host->has_v4 && r->data.len == sizeof host->v4) {
        memcpy(host->v4, r->data.data, sizeof host->v4);
        host->has_v4 = true;
    } else if (r->type == DNS_TYPE_AAAA && !host->has_v6 && r->data.len == sizeof host->v6) {
        memcpy(host->v6, r->data.data, sizeof host->v6);
        host->has_v6 = true;
    }
}

static void take_service(struct mdns_answers *a, const struct dns_record *r) {
    struct mdns_instance *instance = instance_of(a, r->name);
    if (instance == NULL || instance->host.data != NULL || r->data.len <= 6)
        return;
    instance->port = be16_get(r->data.data + 4);
    instance->host = str_copy(a->arena, str_sub(r->data, 6, r->data.len));
}

/* Instances first: the other records of a message belong to them. */
static void take_records(struct mdns_answers *a, const struct dns_message *m, bool instances) {
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < m->sections[s].len; i++) {
            const struct dns_record *r = &m->sections[s].items[i];
            if (instances && r->type == DNS_TYPE_PTR && dns_name_equal_fold(r->name, a->service))
                take_instance(a, r->data);
            else if (!instances && r->type == DNS_TYPE_SRV)
                take_service(a, r);
            else if (!instances && (r->type == DNS_TYPE_A || r->type == DNS_TYPE_AAAA))
                take_address(a, r);
        }
    }
}

void mdns_take(struct mdns_answers *a, struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct dns_message m = {0};
    if (bytes.len >= DNS_HEADER_SIZE && dns_message_parse(bytes, &m, &arena) &&
        (m.header.flags & DNS_QR) != 0) {
        take_records(a, &m, true);
        take_records(a, &m, false);
    }
    arena_free(&arena);
}

bool mdns_next_question(struct mdns_answers *a, struct dns_question *q) {
    for (size_t i = 0; i < a->instance_count; i++) {
        struct mdns_instance *instance = &a->instances[i];
        bool needs_service = instance->host.data == NULL && !instance->asked_service;
        bool needs_host = instance->host.data != NULL && !instance->asked_host &&
                          find_host(a, instance->host) == NULL;
        if (needs_service) {
            instance->asked_service = true;
            *q = (struct dns_question){instance->name, DNS_TYPE_SRV, DNS_CLASS_IN};
        } else if (needs_host) {
            instance->asked_host = true;
            *q = (struct dns_question){instance->host, DNS_TYPE_ANY, DNS_CLASS_IN};
        }
        if (needs_service || needs_host)
            return true;
    }
    return false;
}

bool mdns_addresses(const struct mdns_answers *a, bool v4, bool v6, struct list *out,
                    struct error *e) {
    for (size_t i = 0; i < a->instance_count; i++) {
        const struct mdns_instance *instance = &a->instances[i];
        const struct mdns_host *host =
            instance->host.data == NULL ? NULL : find_host(a, instance->host);
        char text[INET6_ADDRSTRLEN] = "";
        bool is_v6 = host != NULL && v6 && host->has_v6;
        if (is_v6)
            inet_ntop(AF_INET6, host->v6, text, sizeof text);
        else if (host != NULL && v4 && host->has_v4)
            inet_ntop(AF_INET, host->v4, text, sizeof text);
        if (text[0] == '\0')
            continue;
        struct str address = str_format(a->arena, "%s%s%s:%u", is_v6 ? "[" : "", text,
                                        is_v6 ? "]" : "", instance->port);
        if (!discover_add(out, address, a->arena, e))
            return false;
    }
    return true;
}

/* ---- the network ---- */

struct querier {
    int v4, v6; /* sockets; -1: none */
    struct mdns_answers *answers;
    size_t messages;
};

static bool send_question(const struct querier *q, const struct dns_question *question) {
    struct buf out = BUF_INIT;
    struct dns_writer w;
    uint16_t id;
    random_bytes(&id, sizeof id);
    dns_writer_init(&w, &out, NULL, id, 0);
    dns_write_question(&w, question);
    bool sent = false;
    if (dns_writer_end(&w)) {
        struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(PORT)};
        struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
        inet_pton(AF_INET, "224.0.0.251", &to4.sin_addr);
        inet_pton(AF_INET6, "ff02::fb", &to6.sin6_addr);
        if (q->v4 >= 0)
            sent |= sendto(q->v4, out.data, out.len, 0, (void *)&to4, sizeof to4) >= 0;
        if (q->v6 >= 0)
            sent |= sendto(q->v6, out.data, out.len, 0, (void *)&to6, sizeof to6) >= 0;
    }
    buf_free(&out);
    return sent;
}

static void receive(struct querier *q, int fd, char *bytes) {
    ssize_t got;
    while (q->messages < MESSAGES_MAX && (got = recv(fd, bytes, MESSAGE_MAX, MSG_DONTWAIT)) >= 0) {
        q->messages++;
        mdns_take(q->answers, str_of(bytes, (size_t)got));
    }
}

static void listen_until(struct querier *q, int64_t end) {
    char *bytes = mem_alloc(MESSAGE_MAX);
    struct pollfd fds[2] = {{.fd = q->v4, .events = POLLIN}, {.fd = q->v6, .events = POLLIN}};
    int64_t left;
    while (q->messages < MESSAGES_MAX && (left = end - time_now_monotonic()) > 0) {
        struct dns_question question;
        if (poll(fds, 2, (int)((left + MILLISECOND - 1) / MILLISECOND)) <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if ((fds[i].revents & (POLLIN | POLLERR)) != 0)
                receive(q, fds[i].fd, bytes);
        while (mdns_next_question(q->answers, &question))
            send_question(q, &question);
    }
    mem_free(bytes);
}

static int open_socket(int family) {
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int hops = 255; /* RFC 6762, 11 */
    if (fd >= 0 && family == AF_INET)
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof hops);
    else if (fd >= 0)
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops);
    return fd;
}

static bool query(struct querier *q, int64_t timeout, struct error *e) {
    struct dns_question first = {q->answers->service, DNS_TYPE_PTR, DNS_CLASS_IN};
    int64_t end = time_now_monotonic() + timeout;
    if (!send_question(q, &first))
        return error_set(e, ERROR_IO, "the question could not be sent");
    listen_until(q, end);
    return true;
}

/* ---- the entry ---- */

static bool read_bool(const struct discover_keys *keys, const char *key, bool *out,
                      struct error *e) {
    struct str text = discover_key(keys, key);
    return text.len == 0 || discover_bool(text, out, e) ||
           error_prefix(e, "discover-mdns: Failed to parse %s: ", key);
}

static bool read_timeout(const struct discover_keys *keys, int64_t *out, struct error *e) {
    struct str text = discover_key(keys, "timeout");
    *out = TIMEOUT_DEFAULT;
    if (text.len > 0 && !duration_parse(text, out, e))
        return error_prefix(e, "discover-mdns: Failed to parse timeout: ");
    if (*out > DISCOVER_TIME)
        *out = DISCOVER_TIME;
    return true;
}

static bool mdns_find(const struct discover_keys *keys, struct arena *arena, struct list *addresses,
                      struct error *e) {
    struct str service = discover_key(keys, "service"), domain = discover_key(keys, "domain");
    bool v4 = true, v6 = true;
    int64_t timeout;
    if (service.len == 0)
        return error_set(e, ERROR_BAD_REQUEST,
                         "discover-mdns: Service record not provided.  Please specify a service "
                         "record for the mDNS lookup.");
    if (!read_timeout(keys, &timeout, e) || !read_bool(keys, "v4", &v4, e) ||
        !read_bool(keys, "v6", &v6, e))
        return false;
    struct str name = str_format(arena, STR_FMT "." STR_FMT, STR_ARG(str_trim(service)),
                                 STR_ARG(domain.len > 0 ? domain : STR("local")));
    struct mdns_answers *answers = ARENA_NEW(arena, struct mdns_answers);
    answers->arena = arena;
    answers->service = dns_name_from_text(name, arena);
    if (answers->service.data == NULL)
        return error_set(e, ERROR_BAD_REQUEST, "discover-mdns: " STR_FMT " is no name",
                         STR_ARG(name));
    struct querier q = {
        .v4 = open_socket(AF_INET), .v6 = open_socket(AF_INET6), .answers = answers};
    bool ok = query(&q, timeout, e) || error_prefix(e, "discover-mdns: ");
    ok = ok && mdns_addresses(answers, v4, v6, addresses, e);
    if (q.v4 >= 0)
        close(q.v4);
    if (q.v6 >= 0)
        close(q.v6);
    return ok;
}

const struct discover_provider discover_mdns = {"mdns", mdns_find};
