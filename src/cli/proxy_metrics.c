/* What the built-in proxy measures (connect.md 7.1): how many connections there are to the service
 * and to each of its upstreams, and the bytes that flow. Who came sends what counts as received,
 * and what he is sent counts as sent. See proxy.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "cli/proxy.h"

#define TRAFFIC_TIME (5 * SECOND) /* between two reports of what still flows */

/* Of all connections between the same two. */
struct proxy_traffic {
    struct arena arena;
    struct str key;
    bool inbound;
    const char *type;
    struct str source, destination;
    size_t connections;
};

struct proxy_meter {
    const struct cli_telemetry *telemetry;
    struct proxy *proxy;
    struct map traffic; /* struct proxy_traffic, while it has connections */
    struct loop_timer sample_timer, traffic_timer;
};

static void report(const struct proxy_traffic *t, enum metric_kind kind, const char *inbound,
                   const char *upstream, double value) {
    const struct metric_label to[] = {{"dst", t->destination}, {NULL, STR_NONE}};
    const struct metric_label between[] = {{"src", t->source},
                                           {"dst_type", str_from(t->type)},
                                           {"dst", t->destination},
                                           {NULL, STR_NONE}};
    metric_add(kind, t->inbound ? inbound : upstream, value, t->inbound ? to : between);
}

static void report_bytes(struct proxy_connection *c) {
    if (c->sent > 0)
        report(c->traffic, METRIC_COUNTER, "inbound.tx_bytes", "upstream.tx_bytes",
               (double)c->sent);
    if (c->received > 0)
        report(c->traffic, METRIC_COUNTER, "inbound.rx_bytes", "upstream.rx_bytes",
               (double)c->received);
    c->sent = c->received = 0;
}

static void report_connections(const struct proxy_traffic *t) {
    report(t, METRIC_GAUGE, "inbound.conns", "upstream.conns", (double)t->connections);
}

/* ---- connections ---- */

static struct proxy_traffic *traffic_of(struct proxy_meter *m, const struct proxy_connection *c) {
    struct arena scratch = ARENA_INIT;
    struct str service = m->proxy->config->service;
    const char *type = c->upstream.is_query ? "prepared_query" : "service";
    struct str key = c->inbound ? str_format(&scratch, "%s\n" STR_FMT, "", STR_ARG(service))
                                : str_format(&scratch, "%s\n" STR_FMT "\n" STR_FMT, type,
                                             STR_ARG(service), STR_ARG(c->upstream.name));
    struct proxy_traffic *t = map_get(&m->traffic, key);
    if (t == NULL) {
        t = MEM_NEW(struct proxy_traffic);
        t->inbound = c->inbound;
        t->type = type;
        t->key = str_copy(&t->arena, key);
        t->source = str_copy(&t->arena, service);
        t->destination = c->inbound ? t->source : str_copy(&t->arena, c->upstream.name);
        map_put(&m->traffic, t->key, t);
    }
    arena_free(&scratch);
    return t;
}

void proxy_metrics_opened(struct proxy_connection *c) {
    struct proxy_meter *m = c->proxy->meter;
    if (m == NULL)
        return;
    c->traffic = traffic_of(m, c);
    c->traffic->connections++;
    report_connections(c->traffic);
}

void proxy_metrics_closed(struct proxy_connection *c) {
    struct proxy_traffic *t = c->traffic;
    if (t == NULL)
        return;
    report_bytes(c);
    c->traffic = NULL;
    t->connections--;
    report_connections(t);
    if (t->connections > 0)
        return;
    map_remove(&c->proxy->meter->traffic, t->key);
    struct arena arena = t->arena;
    mem_free(t);
    arena_free(&arena);
}

/* ---- timers ---- */

static void traffic_due(struct loop_timer *timer) {
    struct proxy_meter *m = timer->owner;
    for (struct proxy_connection *c = m->proxy->connections; c != NULL; c = c->next)
        if (c->traffic != NULL)
            report_bytes(c);
    loop_timer_set(timer, TRAFFIC_TIME);
}

static void sample_due(struct loop_timer *timer) {
    struct proxy_meter *m = timer->owner;
    loop_timer_set(timer, m->telemetry->sample());
}

/* ---- life ---- */

void proxy_metrics_start(struct proxy *p, const struct cli_telemetry *telemetry,
                         const struct value *settings, struct str proxy_id) {
    struct arena scratch = ARENA_INIT;
    struct error unread = ERROR_IN(&scratch), e = ERROR_IN(&scratch);
    bool ok = telemetry->start(settings, &unread, &e);
    if (error_is_set(&unread))
        log_at(LOG_WARN, "proxy", "proxy telemetry config failed to parse",
               LOG_S("service_id", proxy_id), LOG_S("error", unread.text));
    if (ok) {
        struct proxy_meter *m = p->meter = MEM_NEW(struct proxy_meter);
        m->telemetry = telemetry;
        m->proxy = p;
        loop_timer_init(p->loop, &m->sample_timer, sample_due, m);
        loop_timer_init(p->loop, &m->traffic_timer, traffic_due, m);
        loop_timer_set(&m->traffic_timer, TRAFFIC_TIME);
        sample_due(&m->sample_timer);
    } else {
        log_at(LOG_ERROR, "proxy", "proxy telemetry config error", LOG_S("error", e.text));
    }
    arena_free(&scratch);
}

void proxy_metrics_dump(const struct proxy *p) {
    if (p->meter != NULL)
        p->meter->telemetry->dump(stderr);
}

void proxy_metrics_stop(struct proxy *p) {
    if (p->meter == NULL)
        return;
    loop_timer_close(&p->meter->sample_timer, NULL);
    loop_timer_close(&p->meter->traffic_timer, NULL);
}

void proxy_metrics_free(struct proxy *p) {
    struct proxy_meter *m = p->meter;
    if (m == NULL)
        return;
    m->telemetry->stop();
    map_free(&m->traffic);
    mem_free(m);
    p->meter = NULL;
}
