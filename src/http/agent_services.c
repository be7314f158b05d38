/* /v1/agent/service(s): listing, registering, maintenance, and waiting for one to change
 * (agent.md 1.7, 1.8, 1.12).
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "http/agent_work.h"
#include "http/authorize.h"
#include "schema/filter.h"
#include "server/permit.h"

/* ---- the agent's form of a service ---- */

static void write_str_set(struct json_writer *w, const char *key, struct str value) {
    if (value.len > 0)
        agent_key_str(w, key, value);
}

static void write_upstream(struct json_writer *w, const struct upstream *u) {
    json_open_object(w);
    agent_key_str(w, "DestinationType", u->destination_type);
    write_str_set(w, "DestinationNamespace", u->destination_namespace);
    agent_key_str(w, "DestinationName", u->destination_name);
    write_str_set(w, "Datacenter", u->datacenter);
    write_str_set(w, "LocalBindAddress", u->local_bind_address);
    if (u->local_bind_port != 0)
        agent_key_i64(w, "LocalBindPort", u->local_bind_port);
    if (u->config != NULL && u->config->map.len > 0) {
        json_key(w, STR("Config"));
        json_value(w, u->config);
    }
    json_key(w, STR("MeshGateway"));
    schema_write_json(w, &mesh_gateway_config_shape, &u->mesh_gateway);
    json_close_object(w);
}

static void write_expose(struct json_writer *w, const struct expose_config *e) {
    json_open_object(w);
    if (e->checks) {
        json_key(w, STR("Checks"));
        json_bool(w, true);
    }
    if (e->paths.len > 0) {
        json_key(w, STR("Paths"));
        json_open_array(w);
        for (uint32_t i = 0; i < e->paths.len; i++) {
            const struct expose_path *p = &LIST_AT(e->paths, struct expose_path, i);
            json_open_object(w);
            if (p->listener_port != 0)
                agent_key_i64(w, "ListenerPort", p->listener_port);
            write_str_set(w, "Path", p->path);
            if (p->local_path_port != 0)
                agent_key_i64(w, "LocalPathPort", p->local_path_port);
            write_str_set(w, "Protocol", p->protocol);
            json_key(w, STR("ParsedFromCheck"));
            json_bool(w, p->parsed_from_check);
            json_close_object(w);
        }
        json_close_array(w);
    }
    json_close_object(w);
}

static void write_proxy(struct json_writer *w, const struct connect_proxy_config *p) {
    json_open_object(w);
    write_str_set(w, "DestinationServiceName", p->destination_service_name);
    write_str_set(w, "DestinationServiceID", p->destination_service_id);
    write_str_set(w, "LocalServiceAddress", p->local_service_address);
    if (p->local_service_port != 0)
        agent_key_i64(w, "LocalServicePort", p->local_service_port);
    if (p->config != NULL && p->config->map.len > 0) {
        json_key(w, STR("Config"));
        json_value(w, p->config);
    }
    if (p->upstreams.len > 0) {
        json_key(w, STR("Upstreams"));
        json_open_array(w);
        for (uint32_t i = 0; i < p->upstreams.len; i++)
            write_upstream(w, &LIST_AT(p->upstreams, struct upstream, i));
        json_close_array(w);
    }
    json_key(w, STR("MeshGateway"));
    schema_write_json(w, &mesh_gateway_config_shape, &p->mesh_gateway);
    json_key(w, STR("Expose"));
    write_expose(w, &p->expose);
    json_close_object(w);
}

static bool has_proxy(struct str kind) {
    return str_is(kind, "connect-proxy") || str_is(kind, "mesh-gateway") ||
           str_is(kind, "terminating-gateway") || str_is(kind, "ingress-gateway");
}

void agent_write_service(struct json_writer *w, const struct node_service *s,
                         struct str content_hash) {
    json_open_object(w);
    write_str_set(w, "Kind", s->kind);
    agent_key_str(w, "ID", s->id);
    agent_key_str(w, "Service", s->service);
    agent_key_strings(w, "Tags", &s->tags);
    agent_key_map(w, "Meta", &s->meta);
    agent_key_i64(w, "Port", s->port);
    agent_key_str(w, "Address", s->address);
    if (s->tagged_addresses.len > 0)
        agent_key_addresses(w, "TaggedAddresses", &s->tagged_addresses);
    json_key(w, STR("Weights"));
    json_open_object(w);
    agent_key_i64(w, "Passing",
                  s->weights != NULL && s->weights->passing > 0 ? s->weights->passing : 1);
    agent_key_i64(w, "Warning", s->weights != NULL ? s->weights->warning : 1);
    json_close_object(w);
    json_key(w, STR("EnableTagOverride"));
    json_bool(w, s->enable_tag_override);
    write_str_set(w, "ContentHash", content_hash);
    if (has_proxy(s->kind)) {
        json_key(w, STR("Proxy"));
        write_proxy(w, &s->proxy);
    }
    if (s->connect.native) {
        json_key(w, STR("Connect"));
        json_open_object(w);
        json_key(w, STR("Native"));
        json_bool(w, true);
        json_close_object(w);
    }
    json_close_object(w);
}

/* ---- list ---- */

static int compare_services(const void *a, const void *b) {
    return str_compare((*(struct local_service *const *)a)->service.id,
                       (*(struct local_service *const *)b)->service.id);
}

static bool list_services(struct agent_work *work, struct error *e) {
    (void)e;
    const struct filter *filter = work->data;
    const struct map *map = local_services(work->local);
    struct local_service **list = ARENA_ARRAY(&work->r->arena, struct local_service *, map->count);
    size_t count = 0;
    void *value;
    for (size_t i = 0; map_next(map, &i, NULL, &value);) {
        struct local_service *s = value;
        if (!s->deleted &&
            authorizer_may(http_may(work->r), ACL_SERVICE, ACL_READ, s->service.service) &&
            (filter == NULL || filter_match(filter, &s->service)))
            list[count++] = s;
    }
    if (count > 1)
        qsort(list, count, sizeof(*list), compare_services);
    struct json_writer *w = http_json_begin(work->r);
    json_open_object(w);
    for (size_t i = 0; i < count; i++) {
        json_key(w, list[i]->service.id);
        agent_write_service(w, &list[i]->service, STR_NONE);
    }
    json_close_object(w);
    return true;
}

static void services_listed(struct agent_work *w) {
    filter_free(w->data);
    agent_work_answer_json(w);
}

static void services_authorized(struct http_request *r) {
    struct str text = http_param(r, "filter");
    struct filter *filter = NULL;
    struct error e = ERROR_IN(&r->arena);
    if (text.len > 0) {
        filter = filter_compile(text, &node_service_shape, &r->arena, &e);
        if (filter == NULL) {
            error_prefix(&e, "Failed to create boolean expression evaluator: ");
            e.kind = ERROR_INTERNAL;
            http_answer_error(r, &e);
            return;
        }
    }
    agent_work_start(r, list_services, services_listed, false, filter);
}

void agent_services(struct http_request *r) {
    if (http_check_namespace(r))
        http_authorize(r, services_authorized);
}

/* ---- one, perhaps waiting ---- */

#define WAIT_DEFAULT (300 * SECOND)
#define WAIT_MAX (600 * SECOND)

/* The watch belongs to the core; the timer to the request's thread. Whoever comes first asks the
 * core to write the answer. */
struct service_wait {
    struct agent_work work; /* of the answer */
    struct http_request *r;
    struct local *local;
    struct str id, hash;
    bool waits; /* hash was given */
    int64_t time;
    struct local_watch watch;
    struct message woken;
    struct loop_timer timer;
    bool timer_open;
    bool ended;    /* the timer or the client: the core was asked to answer whatever there is */
    bool end_done; /* … and will not look at this any more */
    bool answered; /* the core's answer is here */
    bool parked;   /* waits at the core */
};

static struct str hash_text(struct arena *arena, const struct local_service *s) {
    return str_format(arena, "%llx", (unsigned long long)local_service_hash(s));
}

static void timer_closed(struct loop_timer *t) {
    struct service_wait *wait = t->owner;
    wait->timer_open = false;
    agent_work_answer_json(&wait->work);
}

static void not_found_closed(struct loop_timer *t) {
    struct service_wait *wait = t->owner;
    agent_work_refuse(wait->r, &wait->work.error);
}

/* On the request's thread, when the core has no more business with this. */
static void wait_over(struct service_wait *wait) {
    if (!wait->answered || (wait->ended && !wait->end_done))
        return;
    if (!wait->work.ok) {
        if (wait->timer_open) {
            loop_timer_stop(&wait->timer);
            loop_timer_close(&wait->timer, not_found_closed);
        } else {
            agent_work_refuse(wait->r, &wait->work.error);
        }
        return;
    }
    http_set_header(wait->r, "X-Consul-Contenthash", wait->hash);
    if (wait->timer_open) {
        loop_timer_stop(&wait->timer);
        loop_timer_close(&wait->timer, timer_closed);
    } else {
        agent_work_answer_json(&wait->work);
    }
}

static void wait_answered(struct message *m) {
    struct service_wait *wait = CONTAINER_OF(m, struct service_wait, woken);
    wait->answered = true;
    wait_over(wait);
}

static void answer_home(struct service_wait *wait) {
    wait->woken.run = wait_answered;
    loop_post_reply(wait->r->loop, &wait->woken);
}

static bool may_read(const struct service_wait *wait, const struct local_service *s) {
    return authorizer_may(http_may(wait->r), ACL_SERVICE, ACL_READ, s->service.service);
}

static void core_answer(struct service_wait *wait) {
    struct local_service *s = local_service_find(wait->local, wait->id);
    wait->work.r = wait->r;
    wait->work.error = ERROR_IN(&wait->r->arena);
    wait->work.ok = false;
    if (s == NULL) {
        error_set(&wait->work.error, ERROR_NOT_FOUND, "unknown service ID: " STR_FMT,
                  STR_ARG(wait->id));
    } else if (!may_read(wait, s)) {
        permit_deny(&wait->work.error);
    } else {
        wait->work.ok = true;
        wait->hash = hash_text(&wait->r->arena, s);
        agent_write_service(http_json_begin(wait->r), &s->service, wait->hash);
    }
    answer_home(wait);
}

/* On the core: the service has changed or gone. */
static void service_changed(struct local_watch *watch) {
    struct service_wait *wait = CONTAINER_OF(watch, struct service_wait, watch);
    struct local_service *s = local_service_find(wait->local, wait->id);
    struct arena scratch = ARENA_INIT;
    bool same = s != NULL && str_eq(hash_text(&scratch, s), wait->hash);
    arena_free(&scratch);
    if (same) {
        local_watch_add(wait->local, &wait->watch);
        return;
    }
    wait->parked = false;
    core_answer(wait);
}

static void core_ask(void *arg) {
    struct service_wait *wait = arg;
    struct local_service *s = local_service_find(wait->local, wait->id);
    if (wait->waits && s != NULL && may_read(wait, s) &&
        str_eq(hash_text(&wait->r->arena, s), wait->hash)) {
        wait->watch.service_id = wait->id;
        wait->watch.fn = service_changed;
        wait->parked = true;
        local_watch_add(wait->local, &wait->watch);
        return;
    }
    core_answer(wait);
}

/* On the core. If it is no longer parked, the answer is already on its way. */
static void core_end(void *arg) {
    struct service_wait *wait = arg;
    if (!wait->parked)
        return;
    wait->parked = false;
    local_watch_remove(&wait->watch);
    core_answer(wait);
}

static void end_seen(void *arg) {
    struct service_wait *wait = arg;
    wait->end_done = true;
    wait_over(wait);
}

static void end_wait(struct service_wait *wait) {
    if (wait->ended || wait->answered)
        return;
    wait->ended = true;
    if (!server_run_on_core(wait->r->server, core_end, end_seen, wait) && wait->timer_open) {
        wait->ended = false; /* the core is busy: once more */
        loop_timer_set(&wait->timer, 100 * MILLISECOND);
    }
}

static void wait_timed_out(struct loop_timer *t) {
    end_wait(t->owner);
}
static void wait_gone(struct http_request *r) {
    end_wait(r->state);
}

static void ask_core(struct service_wait *wait) {
    if (!server_run_on_core(wait->r->server, core_ask, NULL, wait))
        http_answer_text(wait->r, 500, STR("too many requests are waiting for the agent's core"));
}

static void service_authorized(struct http_request *r) {
    struct service_wait *wait = r->state;
    if (wait->waits) {
        uint64_t random;
        random_bytes(&random, sizeof(random));
        int64_t time = wait->time + (int64_t)(random % (uint64_t)(wait->time / 16 + 1));
        loop_timer_init(r->loop, &wait->timer, wait_timed_out, wait);
        loop_timer_set(&wait->timer, time);
        wait->timer_open = true;
        r->gone = wait_gone;
    }
    ask_core(wait);
}

void agent_service(struct http_request *r) {
    struct service_wait *wait = ARENA_NEW(&r->arena, struct service_wait);
    wait->r = r;
    wait->local = agent_local(r->agent);
    wait->id = r->argument;
    wait->hash = http_param(r, "hash");
    wait->waits = wait->hash.len > 0;
    struct query_options blocking = {0};
    if (!http_read_blocking(r, &blocking) || !http_check_namespace(r))
        return;
    int64_t time = blocking.max_query_time;
    wait->time = time <= 0 ? WAIT_DEFAULT : time > WAIT_MAX ? WAIT_MAX : time;
    r->state = wait;
    http_authorize(r, service_authorized);
}

/* ---- register ---- */

struct registration {
    struct service_definition definition;
    bool replace_checks;
    bool also; /* the sidecar has a token of its own */

    /* On the core: the service and its sidecar, one after the other; what the servers are asked. */
    const struct service_definition *todo[2];
    size_t next;
    struct call call;
    bool asking;
};

static bool bad_request(struct http_request *r, const char *prefix, const struct error *e) {
    http_answer_format(r, 400, "%s" STR_FMT, prefix, STR_ARG(e->text));
    return false;
}

static bool bad_text(struct http_request *r, const char *text) {
    http_answer_text(r, 400, str_from(text));
    return false;
}

/* False: answered. A sidecar's faults have another status (sic). */
static bool validate_checks(struct http_request *r, const struct service_definition *d,
                            bool sidecar) {
    struct error e = ERROR_IN(&r->arena);
    struct list checks = service_definition_checks(d, &r->arena);
    for (uint32_t i = 0; i < checks.len; i++) {
        if (!check_type_validate(LIST_AT(checks, struct check_type *, i), &e)) {
            http_answer_format(r, sidecar ? 500 : 400, "%s" STR_FMT,
                               sidecar ? "Bad request: Invalid check in sidecar_service: "
                                       : "Invalid check: ",
                               STR_ARG(e.text));
            return false;
        }
    }
    for (uint32_t i = 0; i < checks.len; i++) {
        struct str status = LIST_AT(checks, struct check_type *, i)->status;
        if (status.len > 0 && !agent_known_status(status)) {
            http_answer_format(r, sidecar ? 500 : 400,
                               "%sStatus for checks must 'passing', 'warning', 'critical'",
                               sidecar ? "Bad request: " : "");
            return false;
        }
    }
    return true;
}

/* Before it is known who asks. False: answered. */
static bool validate_name(struct http_request *r, const struct service_definition *d) {
    if (d->name.len == 0)
        return bad_text(r, "Missing service name");
    if (str_is(d->address, "0.0.0.0") || str_is(d->address, "::") || str_is(d->address, "[::]"))
        return bad_text(r, "Invalid service address");
    return true;
}

/* In the order of agent.md 1.12. False: answered. */
static bool validate(struct http_request *r, struct registration *reg) {
    struct service_definition *d = &reg->definition;
    struct error e = ERROR_IN(&r->arena);
    if (d->weights != NULL && !weights_validate(d->weights, &e))
        return bad_request(r, "Invalid Weights: ", &e);
    if (!service_meta_validate(&d->meta, str_is(d->kind, "mesh-gateway"), &e))
        return bad_request(r, "Invalid Service Meta: ", &e);
    if (!service_definition_validate(d, &e))
        return bad_request(r, "", &e);
    if (!validate_checks(r, d, false))
        return false;
    return d->connect == NULL || d->connect->sidecar_service == NULL ||
           validate_checks(r, d->connect->sidecar_service, true);
}

/* Registers what is left to register; true: it goes on when the servers have answered. */
static bool register_next(struct agent_work *w, bool *waits, struct error *e);

static void central_answered(struct call *c) {
    struct agent_work *w = c->owner;
    struct registration *reg = w->data;
    bool waits = false;
    if (reg->asking) /* register_next is still there, and goes on */
        return;
    bool ok = register_next(w, &waits, &w->error);
    if (!waits)
        agent_work_end(w, ok);
}

/* What the servers say of it comes first. False: nothing, it can be registered. */
static bool ask_central(struct agent_work *w, const struct service_definition *d) {
    struct registration *reg = w->data;
    struct service_config_request *q = ARENA_NEW(&w->r->arena, struct service_config_request);
    if (reg->call.answer != NULL || !local_central_question(w->local, d, q, &w->r->arena))
        return false;
    reg->call = (struct call){.endpoint = &endpoint_config_entry_resolve_service_config,
                              .arena = &w->r->arena,
                              .request = q,
                              .done = central_answered,
                              .owner = w};
    w->later = true;
    reg->asking = true;
    call_start(w->r->server, &reg->call);
    reg->asking = false;
    return reg->call.answer == NULL;
}

static bool register_one(struct agent_work *w, const struct service_definition *d, bool is_sidecar,
                         struct error *e) {
    struct registration *reg = w->data;
    struct answer *a = reg->call.answer;
    struct local_registration l = {.definition = d,
                                   .token = d->token,
                                   .from_api = true,
                                   .is_sidecar = is_sidecar,
                                   .replace_checks = reg->replace_checks};
    if (a != NULL && error_is_set(&a->error)) {
        struct str id = d->id.len > 0 ? d->id : d->name;
        error_set(e, ERROR_INTERNAL,
                  "could not retrieve initial service_defaults config for service " STR_FMT
                  ": " STR_FMT,
                  STR_ARG(str_quote(&w->r->arena, id)), STR_ARG(a->error.text));
    } else {
        l.central = a != NULL ? a->reply : NULL;
        if (local_register_service(w->local, &l, e))
            agent_proxy_registered(w->r, d);
    }
    if (a != NULL)
        answer_release(a);
    reg->call.answer = NULL;
    return !error_is_set(e);
}

static bool register_next(struct agent_work *w, bool *waits, struct error *e) {
    struct registration *reg = w->data;
    for (; reg->next < COUNT_OF(reg->todo) && reg->todo[reg->next] != NULL; reg->next++) {
        const struct service_definition *d = reg->todo[reg->next];
        *waits = ask_central(w, d);
        if (*waits)
            return true;
        if (!register_one(w, d, reg->next > 0, e))
            return false;
    }
    return true;
}

static bool do_register(struct agent_work *w, struct error *e) {
    struct registration *reg = w->data;
    struct service_definition *sidecar;
    if (!local_sidecar_of(w->local, &reg->definition, &sidecar, &w->r->arena, e)) {
        e->kind = ERROR_INTERNAL;
        return error_prefix(e, "Bad request: Invalid SidecarService: ");
    }
    const struct authorizer *may = http_may(w->r), *also = may;
    if (!agent_vet_register(w, &reg->definition, may, e) ||
        (sidecar != NULL &&
         ((reg->also && !http_also(w->r, &also, e)) || !agent_vet_register(w, sidecar, also, e))))
        return false;
    reg->todo[0] = &reg->definition;
    reg->todo[1] = sidecar;
    bool waits = false;
    bool ok = register_next(w, &waits, e);
    if (!waits)
        w->later = false; /* also when the servers answered at once */
    return ok;
}

/* Only here and in configuration, not in the catalog's register. */
static void default_upstreams(struct service_definition *d) {
    for (uint32_t i = 0; d->proxy != NULL && i < d->proxy->upstreams.len; i++) {
        struct upstream *u = &LIST_AT(d->proxy->upstreams, struct upstream, i);
        if (u->destination_type.len == 0)
            u->destination_type = STR("service");
    }
}

static void register_vetted(struct http_request *r) {
    agent_work_start(r, do_register, NULL, true, r->state);
}

static void register_authorized(struct http_request *r) {
    struct registration *reg = r->state;
    if (!validate(r, reg))
        return;
    const struct service_connect *connect = reg->definition.connect;
    const struct service_definition *sidecar = connect != NULL ? connect->sidecar_service : NULL;
    reg->also = sidecar != NULL && sidecar->token.len > 0;
    if (reg->also)
        http_authorize_also(r, sidecar->token, register_vetted);
    else
        register_vetted(r);
}

static void register_body(struct http_request *r) {
    struct registration *reg = ARENA_NEW(&r->arena, struct registration);
    struct error e = ERROR_IN(&r->arena);
    if (!http_body_from_json(r, &service_definition_shape, &reg->definition, NULL, &e)) {
        bad_request(r, "Request decode failed: ", &e);
        return;
    }
    default_upstreams(&reg->definition);
    if (reg->definition.connect != NULL && reg->definition.connect->sidecar_service != NULL)
        default_upstreams(reg->definition.connect->sidecar_service);
    if (!validate_name(r, &reg->definition))
        return;
    struct str replace = http_param(r, "replace-existing-checks");
    reg->replace_checks = replace.data != NULL && (replace.len == 0 || str_is(replace, "true"));
    reg->definition.token = http_token(r); /* that of the body is not looked at */
    r->state = reg;
    http_authorize(r, register_authorized);
}

void agent_service_register(struct http_request *r) {
    if (http_check_namespace(r))
        http_read_body(r, 0, register_body);
}

/* ---- deregister, maintenance ---- */

static bool do_deregister(struct agent_work *w, struct error *e) {
    return agent_vet_service(w, w->r->argument, e) &&
           local_deregister_service(w->local, w->r->argument, e);
}

static void deregister_authorized(struct http_request *r) {
    agent_work_start(r, do_deregister, NULL, true, NULL);
}

void agent_service_deregister(struct http_request *r) {
    if (http_check_namespace(r))
        http_authorize(r, deregister_authorized);
}

struct maintenance {
    bool enable;
    struct str reason, token;
};

/* NULL: answered. */
static struct maintenance *read_maintenance(struct http_request *r) {
    struct maintenance *m = ARENA_NEW(&r->arena, struct maintenance);
    struct str enable = http_param(r, "enable");
    if (enable.data == NULL) {
        bad_text(r, "Missing value for enable");
        return NULL;
    }
    if (!str_to_bool(enable, &m->enable)) {
        http_answer_format(r, 400, "Invalid value for enable: " STR_FMT,
                           STR_ARG(str_quote(&r->arena, enable)));
        return NULL;
    }
    m->reason = http_param(r, "reason");
    m->token = http_token(r);
    return m;
}

static bool do_service_maintenance(struct agent_work *w, struct error *e) {
    const struct maintenance *m = w->data;
    if (!agent_vet_service(w, w->r->argument, e))
        return false;
    struct local_service *s = local_service_find(w->local, w->r->argument);
    if (s == NULL)
        return error_set(e, ERROR_NOT_FOUND, "No service registered with ID " STR_FMT,
                         STR_ARG(str_quote(&w->r->arena, w->r->argument)));
    local_maintenance_service(w->local, s, m->enable, m->reason, m->token);
    return true;
}

static void service_maintenance_authorized(struct http_request *r) {
    agent_work_start(r, do_service_maintenance, NULL, true, r->state);
}

void agent_service_maintenance(struct http_request *r) {
    if (!http_need_argument(r, "Missing service ID"))
        return;
    struct maintenance *m = read_maintenance(r);
    if (m == NULL || !http_check_namespace(r))
        return;
    r->state = m;
    http_authorize(r, service_maintenance_authorized);
}

static bool do_node_maintenance(struct agent_work *w, struct error *e) {
    (void)e;
    const struct maintenance *m = w->data;
    local_maintenance_node(w->local, m->enable, m->reason, m->token);
    return true;
}

static void maintenance_authorized(struct http_request *r) {
    if (http_permit(r, ACL_NODE, ACL_WRITE, r->config->node_name))
        agent_work_start(r, do_node_maintenance, NULL, true, r->state);
}

void agent_maintenance(struct http_request *r) {
    struct maintenance *m = read_maintenance(r);
    if (m == NULL)
        return;
    r->state = m;
    http_authorize(r, maintenance_authorized);
}
