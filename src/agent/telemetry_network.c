/* Metrics over the network (agent.md 6.3): statsd and dogstatsd by datagrams, statsite by a stream.
 *
 * Each sink has a bounded queue of bytes; beyond it, values are dropped. A thread of their own,
 * which is only there when a sink is configured, sends what waits every 100 ms. It may wait for
 * name servers and for a slow statsite: nobody waits for it, except the end of the process for a
 * moment.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/telemetry_sinks.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/loop.h"

#define LOGGER "agent"
#define FLUSH_TIME (100 * MILLISECOND)
#define RETRY_TIME (5 * SECOND)
#define SEND_TIMEOUT 2 /* s */
#define DATAGRAM_MAX 1400
#define QUEUE_LINES 4096
#define QUEUE_BYTES (512 * 1024)

enum sink_kind { SINK_STATSITE, SINK_STATSD, SINK_DOGSTATSD, SINK_KINDS };

struct sink {
    enum sink_kind kind;
    struct str address; /* empty: not configured */
    int fd;             /* the thread's; -1: not connected */
    int64_t retry_at;
    /* under the mutex */
    struct buf queue; /* lines that end in a newline */
    size_t lines;
};

static struct {
    pthread_mutex_t mutex;
    struct sink sinks[SINK_KINDS];
    const struct config *config;
    struct loop loop;
    struct loop_timer timer;
    struct message start_message, stop_message;
    uv_sem_t over;
} net = {.mutex = PTHREAD_MUTEX_INITIALIZER};

bool network_wanted(const struct config *c) {
    const struct config_telemetry *t = &c->telemetry;
    return t->statsite_addr.len > 0 || t->statsd_addr.len > 0 || t->dogstatsd_addr.len > 0;
}

/* ---- lines ---- */

static void add_clean(struct buf *out, struct str s) {
    for (size_t i = 0; i < s.len; i++)
        buf_add_char(out,
                     s.data[i] == ':' || s.data[i] == ' ' || s.data[i] == '\n' ? '_' : s.data[i]);
}

static const char *kind_mark(enum metric_kind kind) {
    return kind == METRIC_COUNTER ? "c" : kind == METRIC_GAUGE ? "g" : "ms";
}

/* "name.labelvalue:1.000000|c" */
static void statsd_line(struct buf *out, enum metric_kind kind, struct str name, struct str labels,
                        double value) {
    struct str label, text;
    add_clean(out, name);
    while (metric_label_next(&labels, &label, &text)) {
        buf_add_char(out, '.');
        add_clean(out, text);
    }
    buf_add_format(out, ":%.6f|%s\n", value, kind_mark(kind));
}

static void add_tag(struct buf *out, bool *first) {
    buf_add_text(out, *first ? "|#" : ",");
    *first = false;
}

/* "name:1|c|#tag,label:value" */
static void dogstatsd_line(struct buf *out, enum metric_kind kind, struct str name,
                           struct str labels, double value) {
    const struct list *tags = &net.config->telemetry.dogstatsd_tags;
    bool first = true;
    add_clean(out, name);
    if (kind == METRIC_COUNTER)
        buf_add_format(out, ":%lld|c", (long long)value);
    else
        buf_add_format(out, ":%.6f|%s", value, kind_mark(kind));
    for (uint32_t i = 0; i < tags->len; i++) {
        add_tag(out, &first);
        buf_add_str(out, LIST_AT(*tags, struct str, i));
    }
    struct str label, text;
    while (metric_label_next(&labels, &label, &text)) {
        add_tag(out, &first);
        buf_add_str(out, label);
        if (text.len > 0)
            buf_add_format(out, ":" STR_FMT, STR_ARG(text));
    }
    buf_add_char(out, '\n');
}

void network_add(enum metric_kind kind, struct str full, struct str hostless, struct str labels,
                 double value) {
    value = (double)(float)value;
    pthread_mutex_lock(&net.mutex);
    for (size_t i = 0; i < SINK_KINDS; i++) {
        struct sink *s = &net.sinks[i];
        if (s->address.len == 0 || s->lines >= QUEUE_LINES || s->queue.len >= QUEUE_BYTES)
            continue;
        if (s->kind == SINK_DOGSTATSD)
            dogstatsd_line(&s->queue, kind, hostless, labels, value);
        else
            statsd_line(&s->queue, kind, full, labels, value);
        s->lines++;
    }
    pthread_mutex_unlock(&net.mutex);
}

/* ---- connecting ---- */

/* "host:port", "[::1]:port"; the texts are the peer's. */
static bool split_address(struct str address, struct str *host, struct str *port, struct error *e) {
    size_t colon = address.len;
    while (colon > 0 && address.data[colon - 1] != ':')
        colon--;
    if (colon == 0 || (address.data[0] == '[' && address.data[colon - 2] != ']'))
        return error_set(e, ERROR_INTERNAL, "address " STR_FMT ": missing port in address",
                         STR_ARG(address));
    *host = str_sub(address, 0, colon - 1);
    *port = str_sub(address, colon, SIZE_MAX);
    if (host->len > 1 && host->data[0] == '[')
        *host = str_sub(*host, 1, host->len - 2);
    else if (str_find_char(*host, ':') >= 0)
        return error_set(e, ERROR_INTERNAL, "address " STR_FMT ": too many colons in address",
                         STR_ARG(address));
    return true;
}

static bool open_unix(struct sink *s, struct str path, struct error *e) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path.len >= sizeof(to.sun_path))
        return error_set(e, ERROR_IO, "the path is too long");
    memcpy(to.sun_path, path.data, path.len);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return true;
    return error_set_errno(e, errno, "dial unixgram " STR_FMT, STR_ARG(path));
}

static bool open_inet(struct sink *s, struct arena *arena, struct error *e) {
    struct str host, port;
    struct addrinfo *found = NULL;
    bool stream = s->kind == SINK_STATSITE;
    if (!split_address(s->address, &host, &port, e))
        return false;
    struct addrinfo hints = {.ai_socktype = stream ? SOCK_STREAM : SOCK_DGRAM};
    int code = getaddrinfo(host.len > 0 ? str_terminated(arena, host) : "localhost",
                           str_terminated(arena, port), &hints, &found);
    if (code != 0)
        return error_set(e, ERROR_IO, "lookup " STR_FMT ": %s", STR_ARG(host), gai_strerror(code));
    code = ENOENT;
    for (const struct addrinfo *a = found; a != NULL && s->fd < 0; a = a->ai_next) {
        struct timeval limit = {.tv_sec = SEND_TIMEOUT};
        s->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (s->fd < 0 || connect(s->fd, a->ai_addr, a->ai_addrlen) != 0) {
            code = errno;
            if (s->fd >= 0)
                close(s->fd);
            s->fd = -1;
        }
    }
    freeaddrinfo(found);
    return s->fd >= 0 || error_set_errno(e, code, "dial " STR_FMT, STR_ARG(s->address));
}

static bool open_sink(struct sink *s) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    bool is_unix = s->kind == SINK_DOGSTATSD && str_has_prefix(s->address, STR("unix://"));
    bool ok =
        is_unix ? open_unix(s, str_sub(s->address, 7, SIZE_MAX), &e) : open_inet(s, &scratch, &e);
    if (!ok) {
        static const char *const names[] = {"statsite", "statsd", "dogstatsd"};
        log_at(LOG_ERROR, LOGGER, "Error connecting to a metrics sink",
               LOG_C("sink", names[s->kind]), LOG_S("error", e.text));
        if (s->fd >= 0)
            close(s->fd);
        s->fd = -1;
        s->retry_at = time_now_monotonic() + RETRY_TIME;
    }
    arena_free(&scratch);
    return ok;
}

/* ---- sending ---- */

static void lost(struct sink *s) {
    close(s->fd);
    s->fd = -1;
    s->retry_at = time_now_monotonic() + RETRY_TIME;
}

/* Datagrams that nobody takes are lost; that is no reason to stop, nor to wait: a socket in the
 * file system would hold its sender up for as long as its reader sleeps. */
static void send_datagram(struct sink *s, struct str bytes) {
    if (send(s->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
        errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR && errno != EMSGSIZE)
        lost(s);
}

static size_t line_length(struct str bytes) {
    ptrdiff_t end = str_find_char(bytes, '\n');
    return end < 0 ? bytes.len : (size_t)end + 1;
}

/* One metric in each, without its newline, or as many whole lines as fit. */
static void send_datagrams(struct sink *s, struct str bytes) {
    while (bytes.len > 0 && s->fd >= 0) {
        size_t len = line_length(bytes);
        while (s->kind == SINK_STATSD && len < bytes.len) {
            size_t next = line_length(str_sub(bytes, len, SIZE_MAX));
            if (len + next > DATAGRAM_MAX)
                break;
            len += next;
        }
        send_datagram(s, str_sub(bytes, 0, s->kind == SINK_DOGSTATSD ? len - 1 : len));
        bytes = str_sub(bytes, len, SIZE_MAX);
    }
}

/* Whoever takes it too slowly is given up: the end of the process waits for this. */
static void send_stream(struct sink *s, struct str bytes) {
    int64_t until = time_now_monotonic() + SEND_TIMEOUT * SECOND;
    while (bytes.len > 0) {
        ssize_t n = send(s->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || time_now_monotonic() > until) {
            lost(s);
            return;
        }
        bytes = str_sub(bytes, (size_t)n, SIZE_MAX);
    }
}

static void flush(struct sink *s) {
    struct buf taken;
    pthread_mutex_lock(&net.mutex);
    taken = s->queue;
    s->queue = BUF_INIT;
    s->lines = 0;
    pthread_mutex_unlock(&net.mutex);
    bool ready =
        taken.len > 0 && (s->fd >= 0 || (time_now_monotonic() >= s->retry_at && open_sink(s)));
    if (ready && s->kind == SINK_STATSITE)
        send_stream(s, buf_str(&taken));
    else if (ready)
        send_datagrams(s, buf_str(&taken));
    buf_free(&taken);
}

static void flush_all(void) {
    for (size_t i = 0; i < SINK_KINDS; i++)
        if (net.sinks[i].address.len > 0)
            flush(&net.sinks[i]);
}

/* ---- the thread ---- */

static void flush_due(struct loop_timer *t) {
    flush_all();
    loop_timer_set(t, FLUSH_TIME);
}

static void started(struct message *m) {
    (void)m;
    loop_timer_init(&net.loop, &net.timer, flush_due, NULL);
    loop_timer_set(&net.timer, FLUSH_TIME);
}

static void timer_closed(struct loop_timer *t) {
    (void)t;
    uv_sem_post(&net.over);
}

static void stopped(struct message *m) {
    (void)m;
    flush_all();
    loop_timer_stop(&net.timer);
    loop_timer_close(&net.timer, timer_closed);
}

bool network_start(const struct config *c, struct error *e) {
    const struct config_telemetry *t = &c->telemetry;
    const struct str addresses[SINK_KINDS] = {t->statsite_addr, t->statsd_addr, t->dogstatsd_addr};
    struct str host, port;
    if (t->dogstatsd_addr.len > 0 && !str_has_prefix(t->dogstatsd_addr, STR("unix://")) &&
        !split_address(t->dogstatsd_addr, &host, &port, e))
        return false; /* the others are only looked at when they are dialled */
    if (!loop_init(&net.loop, "metrics", 4, e))
        return false;
    net.config = config_hold(c);
    for (size_t i = 0; i < SINK_KINDS; i++)
        net.sinks[i] = (struct sink){.kind = (enum sink_kind)i, .address = addresses[i], .fd = -1};
    if (!loop_start(&net.loop, e)) {
        loop_free(&net.loop);
        config_release(net.config);
        return false;
    }
    uv_sem_init(&net.over, 0);
    net.start_message.run = started;
    loop_post_reply(&net.loop, &net.start_message);
    return true;
}

void network_stop(void) {
    net.stop_message.run = stopped;
    loop_post_reply(&net.loop, &net.stop_message);
    uv_sem_wait(&net.over);
    uv_sem_destroy(&net.over);
    loop_stop(&net.loop);
    loop_join(&net.loop);
    loop_free(&net.loop);
    for (size_t i = 0; i < SINK_KINDS; i++) {
        buf_free(&net.sinks[i].queue);
        if (net.sinks[i].fd >= 0)
            close(net.sinks[i].fd);
        net.sinks[i] = (struct sink){.fd = -1};
    }
    config_release(net.config);
    net.config = NULL;
}
