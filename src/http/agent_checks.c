/* /v1/agent/check(s) and /v1/agent/health (agent.md 1.9–1.11).
 */
#include <stdlib.h>

#include "base/mem.h"
#include "http/agent_work.h"
#include "http/authorize.h"
#include "http/records.h"
#include "schema/filter.h"
#include "schema/table.h"
#include "server/permit.h"

void agent_write_check(struct json_writer *w, const struct health_check *c) {
    http_write_check(w, c);
}

/* ---- list ---- */

static int compare_checks(const void *a, const void *b) {
    return str_compare((*(struct local_check *const *)a)->check.check_id,
                       (*(struct local_check *const *)b)->check.check_id);
}

struct check_list {
    struct filter *filter; /* NULL: all */
    struct error unfit;    /* the filter does not fit checks, which shows when there is one */
};

static bool may_see(const struct http_request *r, const struct health_check *c) {
    return c->service_id.len > 0
               ? authorizer_may(http_may(r), ACL_SERVICE, ACL_READ, c->service_name)
               : authorizer_may(http_may(r), ACL_NODE, ACL_READ, r->config->node_name);
}

static bool list_checks(struct agent_work *work, struct error *e) {
    const struct check_list *wanted = work->data;
    const struct filter *filter = wanted->filter;
    const struct map *map = local_checks(work->local);
    struct local_check **list = ARENA_ARRAY(&work->r->arena, struct local_check *, map->count);
    size_t count = 0;
    void *value;
    for (size_t i = 0; map_next(map, &i, NULL, &value);) {
        struct local_check *c = value;
        if (c->deleted || !may_see(work->r, &c->check))
            continue;
        if (error_is_set(&wanted->unfit))
            return error_copy(e, &wanted->unfit);
        if ((filter == NULL || filter_match(filter, &c->check)))
            list[count++] = c;
    }
    if (count > 1)
        qsort(list, count, sizeof(*list), compare_checks);
    struct json_writer *w = http_json_begin(work->r);
    json_open_object(w);
    for (size_t i = 0; i < count; i++) {
        json_key(w, list[i]->check.check_id);
        agent_write_check(w, &list[i]->check);
    }
    json_close_object(w);
    return true;
}

static void checks_listed(struct agent_work *w) {
    const struct check_list *wanted = w->data;
    filter_free(wanted->filter);
    agent_work_answer_json(w);
}

/* The peer compiles the filter anew for each check: an expression that can be read but means
 * nothing is refused only when there is a check, and without the words in front. Errors of syntax
 * begin with their place in the text. */
static bool compile_filter(struct http_request *r, struct str text, struct check_list *wanted) {
    struct error e = ERROR_IN(&r->arena);
    wanted->filter = filter_compile(text, &health_check_shape, &r->arena, &e);
    if (wanted->filter != NULL)
        return true;
    e.kind = ERROR_INTERNAL;
    if (e.text.len > 0 && (e.text.data[0] < '0' || e.text.data[0] > '9')) {
        wanted->unfit = e;
        return true;
    }
    error_prefix(&e, "Failed to create boolean expression evaluator: ");
    http_answer_error(r, &e);
    return false;
}

static void checks_authorized(struct http_request *r) {
    struct str text = http_param(r, "filter");
    struct check_list *wanted = ARENA_NEW(&r->arena, struct check_list);
    wanted->unfit = ERROR_IN(&r->arena);
    if (text.len == 0 || compile_filter(r, text, wanted))
        agent_work_start(r, list_checks, checks_listed, false, wanted);
}

void agent_checks(struct http_request *r) {
    if (http_check_namespace(r))
        http_authorize(r, checks_authorized);
}

/* ---- register, deregister ---- */

static void type_of(const struct check_definition *d, struct check_type *t) {
    *t = (struct check_type){
        .alias_node = d->alias_node,
        .alias_service = d->alias_service,
        .body = d->body,
        .check_id = d->id,
        .deregister_critical_service_after = d->deregister_critical_service_after,
        .docker_container_id = d->docker_container_id,
        .failures_before_critical = d->failures_before_critical,
        .grpc = d->grpc,
        .grpc_use_tls = d->grpc_use_tls,
        .http = d->http,
        .header = d->header,
        .interval = d->interval,
        .method = d->method,
        .name = d->name,
        .notes = d->notes,
        .output_max_size = d->output_max_size,
        .script_args = d->script_args,
        .shell = d->shell,
        .status = d->status,
        .success_before_passing = d->success_before_passing,
        .tcp = d->tcp,
        .tls_skip_verify = d->tls_skip_verify,
        .timeout = d->timeout,
        .ttl = d->ttl,
    };
}

static bool do_register(struct agent_work *w, struct error *e) {
    const struct config_check *c = w->data;
    struct str id = c->type.check_id.len > 0 ? c->type.check_id : c->type.name;
    return agent_vet_check_register(w, id, c->service_id, e) &&
           local_register_check(w->local, c, CHECK_FROM_API, e);
}

static void register_authorized(struct http_request *r) {
    struct config_check *c = r->state;
    struct error e = ERROR_IN(&r->arena);
    if (check_type_validate(&c->type, &e))
        agent_work_start(r, do_register, NULL, true, c);
    else
        http_answer_format(r, 400, "Invalid check: " STR_FMT, STR_ARG(e.text));
}

static void register_body(struct http_request *r) {
    struct check_definition d = {0};
    struct error e = ERROR_IN(&r->arena);
    if (!http_body_from_json(r, &check_definition_shape, &d, NULL, &e)) {
        http_answer_format(r, 400, "Request decode failed: " STR_FMT, STR_ARG(e.text));
        return;
    }
    if (d.name.len == 0) {
        http_answer_text(r, 400, STR("Missing check name"));
        return;
    }
    if (d.status.len > 0 && !agent_known_status(d.status)) {
        http_answer_text(r, 400, STR("Bad check status"));
        return;
    }
    struct config_check *c = ARENA_NEW(&r->arena, struct config_check);
    type_of(&d, &c->type);
    c->service_id = d.service_id;
    c->token = http_token(r);
    r->state = c;
    http_authorize(r, register_authorized);
}

void agent_check_register(struct http_request *r) {
    if (http_check_namespace(r))
        http_read_body(r, 0, register_body);
}

static bool do_deregister(struct agent_work *w, struct error *e) {
    return agent_vet_check(w, w->r->argument, e) &&
           local_deregister_check(w->local, w->r->argument, e);
}

static void deregister_authorized(struct http_request *r) {
    agent_work_start(r, do_deregister, NULL, true, NULL);
}

void agent_check_deregister(struct http_request *r) {
    if (http_check_namespace(r))
        http_authorize(r, deregister_authorized);
}

/* ---- TTL ---- */

struct beat {
    struct str status, output;
};

static bool do_beat(struct agent_work *w, struct error *e) {
    const struct beat *b = w->data;
    return agent_vet_check(w, w->r->argument, e) &&
           local_update_ttl(w->local, w->r->argument, b->status, b->output, e);
}

static void beat_authorized(struct http_request *r) {
    agent_work_start(r, do_beat, NULL, true, r->state);
}

static void beat(struct http_request *r, struct str status, struct str output) {
    struct beat *b = ARENA_NEW(&r->arena, struct beat);
    *b = (struct beat){status, output};
    r->state = b;
    http_authorize(r, beat_authorized);
}

static void beat_with_note(struct http_request *r, const char *status) {
    if (http_check_namespace(r))
        beat(r, str_from(status), http_param(r, "note"));
}

void agent_check_pass(struct http_request *r) {
    beat_with_note(r, "passing");
}
void agent_check_warn(struct http_request *r) {
    beat_with_note(r, "warning");
}
void agent_check_fail(struct http_request *r) {
    beat_with_note(r, "critical");
}

#define OF struct beat
static const struct field beat_fields[] = {
    F_STR("Status", status),
    F_STR("Output", output),
};
#undef OF
SHAPE(beat, "checkUpdate", .go = "agent.checkUpdate");

static void update_body(struct http_request *r) {
    struct beat b = {0};
    struct error e = ERROR_IN(&r->arena);
    if (!http_body_from_json(r, &beat_shape, &b, NULL, &e))
        http_answer_format(r, 400, "Request decode failed: " STR_FMT, STR_ARG(e.text));
    else if (!agent_known_status(b.status))
        http_answer_format(r, 400, "Invalid check status: '" STR_FMT "'", STR_ARG(b.status));
    else if (http_check_namespace(r))
        beat(r, b.status, b.output);
}

void agent_check_update(struct http_request *r) {
    http_read_body(r, 0, update_body);
}

/* ---- health of local services ---- */

enum aggregate { PASSING, WARNING, CRITICAL, MAINTENANCE, UNKNOWN };
static const char *const aggregate_names[] = {"passing", "warning", "critical", "maintenance", ""};
static const int aggregate_statuses[] = {200, 429, 503, 503, 503};

static enum aggregate aggregate_of(const struct health_check *c) {
    if (str_is(c->check_id, "_node_maintenance") ||
        str_has_prefix(c->check_id, STR("_service_maintenance:")))
        return MAINTENANCE;
    for (int i = PASSING; i <= CRITICAL; i++)
        if (str_is(c->status, aggregate_names[i]))
            return (enum aggregate)i;
    return UNKNOWN;
}

/* Checks of the service and of the node, by ID. */
static struct list checks_of(const struct local *l, struct str service_id, struct arena *arena) {
    const struct map *map = local_checks(l);
    struct list out = LIST_NEW(arena, struct local_check *, map->count);
    out.len = 0;
    void *value;
    for (size_t i = 0; map_next(map, &i, NULL, &value);) {
        struct local_check *c = value;
        if (!c->deleted &&
            (c->check.service_id.len == 0 || str_eq(c->check.service_id, service_id)))
            LIST_AT(out, struct local_check *, out.len++) = c;
    }
    if (out.len > 1)
        qsort(out.items, out.len, sizeof(struct local_check *), compare_checks);
    return out;
}

static enum aggregate aggregate_list(const struct list *checks) {
    enum aggregate worst = PASSING;
    for (uint32_t i = 0; i < checks->len; i++) {
        enum aggregate one = aggregate_of(&LIST_AT(*checks, struct local_check *, i)->check);
        if (one == UNKNOWN)
            return UNKNOWN;
        worst = one > worst ? one : worst;
    }
    return worst;
}

/* The form of the API client's structs. */
static void write_client_check(struct json_writer *w, const struct health_check *c) {
    const struct {
        const char *key;
        struct str value;
    } head[] = {
        {"Node", c->node},
        {"CheckID", c->check_id},
        {"Name", c->name},
        {"Status", c->status},
        {"Notes", c->notes},
        {"Output", c->output},
        {"ServiceID", c->service_id},
        {"ServiceName", c->service_name},
    };
    json_open_object(w);
    for (size_t i = 0; i < COUNT_OF(head); i++) {
        json_key(w, str_from(head[i].key));
        json_str(w, head[i].value);
    }
    json_key(w, STR("ServiceTags"));
    if (c->service_tags.present)
        http_write_strings(w, &c->service_tags);
    else
        json_null(w);
    json_key(w, STR("Type"));
    json_str(w, STR(""));
    json_key(w, STR("Definition"));
    json_open_object(w);
    static const char *const durations[] = {"Interval", "Timeout",
                                            "DeregisterCriticalServiceAfter"};
    for (size_t i = 0; i < COUNT_OF(durations); i++) {
        json_key(w, str_from(durations[i]));
        json_str(w, STR("0s"));
    }
    json_key(w, STR("HTTP"));
    json_str(w, STR(""));
    json_key(w, STR("Header"));
    json_null(w);
    json_key(w, STR("Method"));
    json_str(w, STR(""));
    json_key(w, STR("Body"));
    json_str(w, STR(""));
    json_key(w, STR("TLSSkipVerify"));
    json_bool(w, false);
    json_key(w, STR("TCP"));
    json_str(w, STR(""));
    json_close_object(w);
    json_key(w, STR("CreateIndex"));
    json_u64(w, 0);
    json_key(w, STR("ModifyIndex"));
    json_u64(w, 0);
    json_close_object(w);
}

struct health {
    struct str key; /* ID or name */
    bool by_name, as_text;
    bool found;
    enum aggregate status;
};

static void write_health(struct json_writer *w, const struct local_service *s,
                         const struct list *checks, enum aggregate status) {
    json_open_object(w);
    json_key(w, STR("AggregatedStatus"));
    json_str(w, str_from(aggregate_names[status]));
    json_key(w, STR("Service"));
    agent_write_service(w, &s->service, STR_NONE);
    json_key(w, STR("Checks"));
    json_open_array(w);
    for (uint32_t i = 0; i < checks->len; i++)
        write_client_check(w, &LIST_AT(*checks, struct local_check *, i)->check);
    json_close_array(w);
    json_close_object(w);
}

static void health_of_one(struct agent_work *work, struct health *h, struct json_writer *w) {
    struct local_service *s = local_service_find(work->local, h->key);
    h->found = s != NULL;
    h->status = CRITICAL;
    if (s != NULL) {
        struct list checks = checks_of(work->local, s->service.id, &work->r->arena);
        h->status = aggregate_list(&checks);
        if (w != NULL)
            write_health(w, s, &checks, h->status);
    } else if (w != NULL) {
        json_open_object(w);
        json_key(w, STR("AggregatedStatus"));
        json_str(w, STR("critical"));
        json_key(w, STR("Service"));
        json_null(w);
        json_key(w, STR("Checks"));
        json_null(w);
        json_close_object(w);
    }
}

static void health_of_all(struct agent_work *work, struct health *h, struct json_writer *w) {
    void *value;
    h->status = PASSING;
    if (w != NULL)
        json_open_array(w);
    for (size_t i = 0; map_next(local_services(work->local), &i, NULL, &value);) {
        struct local_service *s = value;
        if (s->deleted || !str_eq(s->service.service, h->key))
            continue;
        h->found = true;
        struct list checks = checks_of(work->local, s->service.id, &work->r->arena);
        enum aggregate one = aggregate_list(&checks);
        h->status = one > h->status ? one : h->status;
        if (w != NULL)
            write_health(w, s, &checks, one);
    }
    if (w != NULL)
        json_close_array(w);
    if (!h->found)
        h->status = CRITICAL;
}

static bool may_read(const struct agent_work *work, const struct health *h, struct error *e) {
    const struct local_service *s = h->by_name ? NULL : local_service_find(work->local, h->key);
    if (!h->by_name && s == NULL)
        return true; /* nobody may not be told */
    struct str name = h->by_name ? h->key : s->service.service;
    return authorizer_may(http_may(work->r), ACL_SERVICE, ACL_READ, name) || permit_deny(e);
}

static bool find_health(struct agent_work *work, struct error *e) {
    struct health *h = work->data;
    if (!may_read(work, h, e))
        return false;
    struct json_writer *w = h->as_text ? NULL : http_json_begin(work->r);
    if (h->by_name)
        health_of_all(work, h, w);
    else
        health_of_one(work, h, w);
    return true;
}

static void answer_health(struct agent_work *work) {
    struct http_request *r = work->r;
    const struct health *h = work->data;
    struct str reason = str_from(aggregate_names[h->status]);
    int status = h->found ? aggregate_statuses[h->status] : 404;
    if (!h->found)
        reason = h->by_name
                     ? str_format(&r->arena, "ServiceName " STR_FMT " Not Found", STR_ARG(h->key))
                     : str_format(&r->arena, "ServiceId " STR_FMT " not found", STR_ARG(h->key));
    if (reason.len > 0)
        http_set_header(r, "X-Consul-Reason", reason);
    if (!h->as_text) {
        http_answer_json_written(r, status);
    } else if (h->found || h->by_name) {
        http_answer_bytes(r, status, "text/plain", reason, false);
    } else { /* sic */
        json_str(http_json_begin(r), reason);
        http_answer_json_written(r, status);
    }
}

static void health_authorized(struct http_request *r) {
    agent_work_start(r, find_health, answer_health, false, r->state);
}

static void start_health(struct http_request *r, bool by_name, const char *missing) {
    if (r->argument.len == 0) {
        http_answer_fault(r, 500, str_from(missing));
        return;
    }
    if (!http_check_namespace(r))
        return;
    struct health *h = ARENA_NEW(&r->arena, struct health);
    h->key = r->argument;
    h->by_name = by_name;
    h->as_text = str_has_prefix(http_header(r, "Accept"), STR("text/plain")) ||
                 str_is(http_param(r, "format"), "text");
    r->state = h;
    http_authorize(r, health_authorized);
}

void agent_health_by_id(struct http_request *r) {
    start_health(r, false, "Bad request: Missing serviceID");
}

void agent_health_by_name(struct http_request *r) {
    start_health(r, true, "Bad request: Missing service Name");
}
