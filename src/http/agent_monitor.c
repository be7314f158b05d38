/* GET /v1/agent/monitor: the agent's log as it is written (agent.md 1.5). Lines come from any
 * thread; up to 512 wait for the request's own, those that do not fit are dropped and counted.
 */
#include <pthread.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/agent_work.h"
#include "http/authorize.h"

#define LINES_MAX 512
#define BACKLOG_MAX ((size_t)1 << 20)

struct monitor {
    struct http_request *r;
    struct log_sink *sink;
    pthread_mutex_t mutex; /* guards the next four */
    struct buf *lines;     /* that wait, each a buffer of its own: one chunk a line */
    size_t count;
    uint64_t dropped;
    bool posted;
    struct message message;
    bool ended;
};

static void flush(struct message *m);

/* Any thread; under the log's lock. */
static void take_line(void *owner, enum log_level level, struct str line) {
    struct monitor *mon = owner;
    (void)level;
    pthread_mutex_lock(&mon->mutex);
    if (mon->count == LINES_MAX) {
        mon->dropped++;
    } else {
        struct buf *b = &mon->lines[mon->count++];
        buf_add_str(b, line);
        buf_add_char(b, '\n');
    }
    bool post = !mon->posted && mon->count > 0;
    if (post) {
        mon->posted = true;
        mon->message.run = flush;
        if (!loop_post(mon->r->loop, &mon->message))
            mon->posted = false; /* with the next line, then */
    }
    pthread_mutex_unlock(&mon->mutex);
}

static void end(struct monitor *mon) {
    uint64_t dropped = mon->dropped;
    struct http_request *r = mon->r;
    for (size_t i = 0; i < LINES_MAX; i++)
        buf_free(&mon->lines[i]);
    mem_free(mon->lines);
    pthread_mutex_destroy(&mon->mutex);
    mem_free(mon);
    http_stream_end(r);
    if (dropped > 0)
        log_at(LOG_WARN, "agent", "Dropped logs during monitor request",
               LOG_I("dropped_count", dropped));
}

/* On the request's thread. */
static void flush(struct message *m) {
    struct monitor *mon = CONTAINER_OF(m, struct monitor, message);
    struct buf ready[LINES_MAX];
    pthread_mutex_lock(&mon->mutex);
    size_t count = mon->count;
    memcpy(ready, mon->lines, count * sizeof(struct buf));
    memset(mon->lines, 0, count * sizeof(struct buf));
    mon->count = 0;
    mon->posted = false;
    pthread_mutex_unlock(&mon->mutex);
    uint64_t dropped = 0;
    for (size_t i = 0; i < count; i++) {
        if (mon->ended || http_stream_backlog(mon->r) > BACKLOG_MAX)
            dropped++;
        else
            http_stream_write(mon->r, buf_str(&ready[i]));
        buf_free(&ready[i]);
    }
    pthread_mutex_lock(&mon->mutex);
    mon->dropped += mon->ended ? 0 : dropped;
    pthread_mutex_unlock(&mon->mutex);
    if (mon->ended)
        end(mon);
}

static void client_gone(struct http_request *r) {
    struct monitor *mon = r->state;
    log_remove_sink(mon->sink); /* from here on no line comes */
    mon->ended = true;
    if (!mon->posted)
        end(mon);
}

static void monitor_authorized(struct http_request *r) {
    if (!http_permit(r, ACL_AGENT, ACL_READ, r->config->node_name))
        return;
    struct str text = http_param(r, "loglevel");
    enum log_level level = LOG_INFO;
    if (text.len > 0 && !log_level_parse(text, &level)) {
        http_answer_fault(
            r, 400,
            str_format(&r->arena, "Bad request: Unknown log level: " STR_FMT, STR_ARG(text)));
        return;
    }
    struct monitor *mon = MEM_NEW(struct monitor);
    mon->r = r;
    mon->lines = mem_zalloc(LINES_MAX, sizeof(struct buf));
    pthread_mutex_init(&mon->mutex, NULL);
    mon->sink = log_add_sink(level, http_has_param(r, "logjson"), take_line, mon);
    if (mon->sink == NULL) {
        mem_free(mon->lines);
        pthread_mutex_destroy(&mon->mutex);
        mem_free(mon);
        http_answer_text(r, 500, STR("too many monitors"));
        return;
    }
    r->state = mon;
    r->gone = client_gone;
    /* Browsers hold back the first 1024 bytes of what has no type, to guess one; the page wants
     * each line. */
    if (http_header(r, "Sec-Fetch-Mode").len > 0)
        http_set_header(r, "X-Content-Type-Options", STR("nosniff"));
    http_stream_begin(r, 200, NULL);
}

void agent_monitor(struct http_request *r) {
    http_authorize(r, monitor_authorized);
}
