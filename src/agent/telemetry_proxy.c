/* See telemetry_proxy.h. */
#include "agent/telemetry_proxy.h"

#include <stdlib.h>

#include "agent/config_table.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/value.h"

/* ---- reading: by the peer's strict rules for the kinds of values ---- */

struct reader {
    const struct value *from; /* a map */
    struct arena *arena;
    struct texts problems;
};

/* How the peer's language calls the kind of the value, and that of its type. */
static const char *kind_name(const struct value *v, bool type) {
    switch (v->kind) {
    case VALUE_BOOL:
        return "bool";
    case VALUE_STRING:
        return "string";
    case VALUE_LIST:
        return type ? "[]interface {}" : "slice";
    case VALUE_MAP:
        return type ? "map[string]interface {}" : "map";
    default:
        return "float64";
    }
}

static void wrong_kind(struct reader *r, const char *name, const char *wanted,
                       const struct value *v) {
    texts_addf(&r->problems, "'%s' expected type '%s', got unconvertible type '%s'", name, wanted,
               kind_name(v, true));
}

/* NULL: it is not there, or null. */
static const struct value *find(const struct reader *r, const char *key) {
    const struct value *v = value_get(r->from, key);
    for (size_t i = 0; v == NULL && i < r->from->map.len; i++)
        if (str_eq_fold(r->from->map.pairs[i].key, str_from(key)))
            v = &r->from->map.pairs[i].value;
    return v != NULL && v->kind != VALUE_NULL ? v : NULL;
}

static struct str read_str(struct reader *r, const char *key) {
    const struct value *v = find(r, key);
    if (v != NULL && v->kind == VALUE_STRING)
        return v->string;
    if (v != NULL)
        wrong_kind(r, key, "string", v);
    return STR("");
}

static bool read_bool(struct reader *r, const char *key) {
    const struct value *v = find(r, key);
    if (v != NULL && v->kind != VALUE_BOOL)
        wrong_kind(r, key, "bool", v);
    return v != NULL && v->kind == VALUE_BOOL && v->boolean;
}

/* An item of another kind is "" then. */
static struct list read_strs(struct reader *r, const char *key) {
    const struct value *v = find(r, key);
    if (v != NULL && v->kind != VALUE_LIST)
        texts_addf(&r->problems, "'%s': source data must be an array or slice, got %s", key,
                   kind_name(v, false));
    if (v == NULL || v->kind != VALUE_LIST)
        return LIST_EMPTY;
    struct list out = LIST_NEW(r->arena, struct str, v->list.len);
    for (uint32_t i = 0; i < out.len; i++) {
        const struct value *item = &v->list.items[i];
        LIST_AT(out, struct str, i) = item->kind == VALUE_STRING ? item->string : STR("");
        if (item->kind != VALUE_STRING && item->kind != VALUE_NULL)
            wrong_kind(r, str_format(r->arena, "%s[%u]", key, i).data, "string", item);
    }
    return out;
}

static int by_text(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool is_fine(const struct texts *problems, struct error *e) {
    struct buf text = BUF_INIT;
    if (problems->len == 0)
        return true;
    qsort(problems->items, problems->len, sizeof(*problems->items), by_text);
    buf_add_format(&text, "%zu error(s) decoding:\n", problems->len);
    for (size_t i = 0; i < problems->len; i++)
        buf_add_format(&text, "\n* " STR_FMT, STR_ARG(problems->items[i]));
    error_set(e, ERROR_BAD_REQUEST, STR_FMT, STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}

bool proxy_telemetry_read(const struct value *from, struct proxy_telemetry *out,
                          struct arena *arena, struct error *e) {
    static const char *const circonus[] = {"circonus_api_app",
                                           "circonus_api_token",
                                           "circonus_api_url",
                                           "circonus_broker_id",
                                           "circonus_broker_select_tag",
                                           "circonus_check_display_name",
                                           "circonus_check_force_metric_activation",
                                           "circonus_check_id",
                                           "circonus_check_instance_id",
                                           "circonus_check_search_tag",
                                           "circonus_check_tags",
                                           "circonus_submission_interval",
                                           "circonus_submission_url"};
    struct reader r = {.from = from, .arena = arena, .problems = {.arena = arena}};
    *out = (struct proxy_telemetry){0};
    if (from->kind == VALUE_NULL)
        return true;
    if (from->kind != VALUE_MAP)
        return error_set(e, ERROR_BAD_REQUEST, "'' expected a map, got '%s'",
                         kind_name(from, false));
    for (size_t i = 0; i < COUNT_OF(circonus); i++)
        out->asks_circonus |= read_str(&r, circonus[i]).len > 0;
    out->settings = (struct config_telemetry){
        .metrics_prefix = read_str(&r, "metrics_prefix"),
        .disable_hostname = read_bool(&r, "disable_hostname"),
        .filter_default = read_bool(&r, "filter_default"),
        .allowed_prefixes = read_strs(&r, "allowed_prefixes"),
        .blocked_prefixes = read_strs(&r, "blocked_prefixes"),
        .statsd_addr = read_str(&r, "statsd_address"),
        .statsite_addr = read_str(&r, "statsite_address"),
        .dogstatsd_addr = read_str(&r, "dogstatsd_addr"),
        .dogstatsd_tags = read_strs(&r, "dogstatsd_tags"),
    };
    /* Nobody can ask a proxy for what Prometheus reads. */
    const struct value *retention = find(&r, "prometheus_retention_time");
    if (retention != NULL && kind_name(retention, true)[0] != 'f')
        wrong_kind(&r, "prometheus_retention_time", "time.Duration", retention);
    return is_fine(&r.problems, e);
}

/* ---- its life ---- */

static const struct config *config; /* with nothing in it but the telemetry */

bool proxy_telemetry_start(const struct value *from, struct error *unread, struct error *e) {
    struct config *c = MEM_NEW(struct config);
    struct proxy_telemetry read;
    ASSERT(config == NULL);
    atomic_init(&c->references, 1);
    proxy_telemetry_read(value_copy(from, &c->arena), &read, &c->arena, unread);
    c->telemetry = read.settings;
    config = c;
    if (read.asks_circonus)
        log_at(LOG_WARN, "proxy", "nothing is sent to Circonus by this proxy");
    if (telemetry_start(c, e))
        return true;
    proxy_telemetry_stop();
    return false;
}

int64_t proxy_telemetry_sample(void) {
    int64_t period = telemetry_period();
    telemetry_sample_runtime();
    metrics_rotate(time_now_wall());
    return period - time_now_wall() % period + MILLISECOND;
}

void proxy_telemetry_dump(FILE *out) {
    if (config != NULL)
        telemetry_dump(out, config);
}

void proxy_telemetry_stop(void) {
    if (config == NULL)
        return;
    telemetry_stop();
    config_release(config);
    config = NULL;
}
