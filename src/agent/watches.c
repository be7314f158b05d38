/* Watches that run: see watches.h.
 *
 * A watch lives on one I/O loop: start and stop come as messages from the main thread, the answers
 * of calls by themselves; events and the agent's own services are asked of the core by messages. At
 * any time one thing is under way: a question, a handler, or the time until the next try. `pending`
 * counts what has to come back before the watch may be freed; then it posts `over`, and the main
 * thread frees it when it comes by.
 */
#include "agent/watches.h"

#include "agent/watch_handler.h"
#include "agent/watch_plan.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"
#include "schema/client_view.h"
#include "server/agent_tokens.h"
#include "server/authorize.h"
#include "server/endpoints.h"

#define LOGGER "agent"
#define WATCH_LOGGER "agent.watch.watch"
#define RETRY_FIRST (5 * SECOND)
#define RETRY_MAX (180 * SECOND)

struct watch {
    struct arena arena; /* of the plan */
    struct watch_plan plan;
    const struct watches_options *o;
    struct loop *loop;
    struct watch *next;
    uv_sem_t over;

    struct message start_message, stop_message, abandon_message;
    bool stopping;
    unsigned pending;
    bool timer_open;
    struct loop_timer timer; /* until the next try */
    int64_t failures;

    uint64_t index;
    struct buf last; /* the payload that was reported last */
    bool reported;

    struct arena question; /* of the call under way */
    struct call call;
    bool calling;

    struct authorize authorize; /* before the core is asked */
    bool authorizing;
    struct authorization *who; /* the loop's; the core only looks */

    struct message core_message, core_end_message, core_answer, core_end_answer;
    bool asking_core;                /* loop */
    bool core_answering, core_ended; /* core */
    struct events_wait event_wait;   /* core */
    struct buf core_payload;         /* the core's until core_answer */
    uint64_t core_index;
    bool core_ok, core_denied;

    struct watch_handler *handler;
};

struct watches {
    struct watches_options o;
    struct watch *running, *ending;
    unsigned next_loop;
};

static void ask(struct watch *w);

/* ---- end ---- */

static void watch_closed(struct loop_timer *t) {
    struct watch *w = t->owner;
    authorization_release(w->who);
    w->who = NULL;
    uv_sem_post(&w->over);
}

static void maybe_over(struct watch *w) {
    if (!w->stopping || w->pending > 0 || !w->timer_open)
        return;
    w->timer_open = false;
    loop_timer_stop(&w->timer);
    loop_timer_close(&w->timer, watch_closed);
}

static void came_back(struct watch *w) {
    w->pending--;
    maybe_over(w);
}

/* ---- what came of a question ---- */

static void handler_over(void *owner) {
    struct watch *w = owner;
    w->handler = NULL;
    w->pending--;
    if (w->stopping)
        maybe_over(w);
    else
        ask(w);
}

static void time_is_up(struct loop_timer *t) {
    struct watch *w = t->owner;
    if (!w->stopping)
        ask(w);
}

/* Not from within an answer: a question that is answered at once would nest. */
static void ask_again(struct watch *w) {
    loop_timer_set(&w->timer, 0);
}

static void run_handler(struct watch *w) {
    bool by_index = w->plan.type != WATCH_TYPE_AGENT_SERVICE;
    if (!by_index)
        log_at(LOG_ERROR, WATCH_LOGGER,
               "Handler only supports index-based  watches but non index-based watch run. "
               "Skipping Handler.");
    w->handler = watch_handler_start(&w->plan, w->loop, buf_str(&w->last), by_index ? w->index : 0,
                                     handler_over, w);
    if (w->handler != NULL)
        w->pending++;
    else
        ask_again(w);
}

static void failed(struct watch *w, struct str why) {
    w->failures++;
    int64_t n = w->failures < 7 ? w->failures : 7;
    int64_t retry = n * n * RETRY_FIRST < RETRY_MAX ? n * n * RETRY_FIRST : RETRY_MAX;
    log_at(LOG_ERROR, WATCH_LOGGER, "Watch errored", LOG_C("type", w->plan.type_name),
           LOG_S("error", why), LOG_D("retry", retry));
    w->index = 0;
    loop_timer_set(&w->timer, retry);
}

/* An answer. The handler runs when index and payload are others than the last time. */
static void answered(struct watch *w, uint64_t index, struct str payload) {
    bool same_index = w->reported && index == w->index;
    w->failures = 0;
    if (!same_index) {
        w->index = index < w->index && w->plan.type != WATCH_TYPE_EVENT ? 0 : index;
        if (!w->reported || !str_eq(buf_str(&w->last), payload)) {
            w->reported = true;
            buf_clear(&w->last);
            buf_add_str(&w->last, payload);
            run_handler(w);
            return;
        }
    }
    ask_again(w);
}

/* ---- payloads: the server's JSON, then the client's view of it ---- */

static void view(struct buf *out, struct str json, const struct shape_field *shape, bool list) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct json_writer writer;
    struct value v;
    json_begin(&writer, out, false);
    bool ok = json_parse(json, &v, NULL, &arena, &e);
    ASSERT(ok); /* our own */
    if (list)
        shape_write_list(&writer, &v, shape);
    else
        shape_write(&writer, &v, shape);
    arena_free(&arena);
}

static void write_strings(struct json_writer *j, const struct list *list) {
    json_open_array(j);
    for (uint32_t i = 0; i < list->len; i++)
        json_str(j, LIST_AT(*list, struct str, i));
    json_close_array(j);
}

static void write_check(struct json_writer *j, const struct health_check *check) {
    struct health_check copy = *check;
    copy.service_tags.present = true;
    schema_write_json(j, &health_check_shape, &copy);
}

static void write_checks(struct json_writer *j, const struct list *checks) {
    json_open_array(j);
    for (uint32_t i = 0; i < checks->len; i++)
        write_check(j, LIST_AT(*checks, struct health_check *, i));
    json_close_array(j);
}

static void write_pointers(struct json_writer *j, const struct list *list,
                           const struct shape *shape) {
    json_open_array(j);
    for (uint32_t i = 0; i < list->len; i++)
        schema_write_json(j, shape, LIST_AT(*list, void *, i));
    json_close_array(j);
}

static void write_services(struct json_writer *j, const struct list *services) {
    json_open_object(j);
    for (uint32_t i = 0; i < services->len; i++) {
        const struct list_pair *pair = &LIST_AT(*services, struct list_pair, i);
        json_key(j, pair->key);
        write_strings(j, &pair->value);
    }
    json_close_object(j);
}

static void write_instance(struct json_writer *j, const struct check_service_node *n) {
    struct node_service service = *n->service;
    service.tags.present = true;
    json_open_object(j);
    json_key(j, STR("Node"));
    schema_write_json(j, &node_shape, n->node);
    json_key(j, STR("Service"));
    schema_write_json(j, &node_service_shape, &service);
    json_key(j, STR("Checks"));
    write_checks(j, &n->checks);
    json_close_object(j);
}

static bool all_passing(const struct check_service_node *n) {
    for (uint32_t i = 0; i < n->checks.len; i++)
        if (!str_is(LIST_AT(n->checks, struct health_check *, i)->status, "passing"))
            return false;
    return true;
}

/* In the order that the peer's removal leaves: the last one moves into the hole
 * (http-core.md 11.10).
 */
static void write_instances(struct json_writer *j, const struct list *nodes, bool passing_only) {
    struct arena scratch = ARENA_INIT;
    const struct check_service_node **kept =
        ARENA_ARRAY(&scratch, const struct check_service_node *, nodes->len);
    uint32_t len = nodes->len;
    for (uint32_t i = 0; i < len; i++)
        kept[i] = &LIST_AT(*nodes, struct check_service_node, i);
    for (uint32_t i = 0; passing_only && i < len;) {
        if (all_passing(kept[i]))
            i++;
        else
            kept[i] = kept[--len];
    }
    json_open_array(j);
    for (uint32_t i = 0; i < len; i++)
        if (kept[i]->node != NULL && kept[i]->service != NULL)
            write_instance(j, kept[i]);
    json_close_array(j);
    arena_free(&scratch);
}

static void write_entries(struct buf *out, const struct list *entries, bool single) {
    struct buf json = BUF_INIT;
    struct json_writer j;
    if (entries->len == 0) {
        buf_add_text(out, "null");
        return;
    }
    json_begin(&j, &json, false);
    if (single)
        schema_write_json(&j, &dir_entry_shape, LIST_AT(*entries, struct dir_entry *, 0));
    else
        write_pointers(&j, entries, &dir_entry_shape);
    view(out, buf_str(&json), shape_kv, !single);
    buf_free(&json);
}

static void write_payload(const struct watch *w, const void *reply, struct buf *out) {
    struct buf json = BUF_INIT;
    struct json_writer j;
    const struct shape_field *shape = NULL;
    json_begin(&j, &json, false);
    switch (w->plan.type) {
    case WATCH_TYPE_KEY:
    case WATCH_TYPE_KEYPREFIX:
        write_entries(out, &((const struct indexed_dir_entries *)reply)->entries,
                      w->plan.type == WATCH_TYPE_KEY);
        break;
    case WATCH_TYPE_SERVICES:
        write_services(&j, &((const struct indexed_services *)reply)->services);
        break;
    case WATCH_TYPE_NODES:
        write_pointers(&j, &((const struct indexed_nodes *)reply)->nodes, &node_shape);
        shape = shape_node;
        break;
    case WATCH_TYPE_SERVICE:
        write_instances(&j, &((const struct indexed_check_service_nodes *)reply)->nodes,
                        w->plan.passing_only);
        shape = shape_service_entry;
        break;
    case WATCH_TYPE_CHECKS:
        write_checks(&j, &((const struct indexed_health_checks *)reply)->health_checks);
        shape = shape_health_check;
        break;
    case WATCH_TYPE_EVENT:
    case WATCH_TYPE_AGENT_SERVICE:
        break; /* the core's */
    }
    if (shape != NULL)
        view(out, buf_str(&json), shape, true);
    else
        buf_add_str(out, buf_str(&json));
    buf_free(&json);
}

/* ---- questions that are calls ---- */

/* The plan's, else what requests without a token have now. */
static struct str token_of(struct watch *w) {
    return w->plan.token.len > 0
               ? w->plan.token
               : agent_token(server_tokens(w->o->server), AGENT_TOKEN_DEFAULT, &w->question);
}

static struct query_options options_of(struct watch *w) {
    return (struct query_options){
        .allow_stale = w->plan.stale,
        .filter = STR(""),
        .min_query_index = w->index,
        .token = token_of(w),
    };
}

static struct str without_slash(struct str key) {
    return key.len > 0 && key.data[0] == '/' ? str_sub(key, 1, SIZE_MAX) : key;
}

static void *ask_keys(struct watch *w) {
    struct key_request *q = ARENA_NEW(&w->question, struct key_request);
    *q = (struct key_request){w->plan.datacenter, without_slash(w->plan.subject), options_of(w)};
    w->call.endpoint = w->plan.type == WATCH_TYPE_KEY ? &endpoint_kvs_get : &endpoint_kvs_list;
    return q;
}

static void *ask_catalog(struct watch *w) {
    struct dc_request *q = ARENA_NEW(&w->question, struct dc_request);
    *q = (struct dc_request){.datacenter = w->plan.datacenter, .options = options_of(w)};
    w->call.endpoint = w->plan.type == WATCH_TYPE_NODES ? &endpoint_catalog_list_nodes
                                                        : &endpoint_catalog_list_services;
    return q;
}

static void *ask_service(struct watch *w) {
    struct service_request *q = ARENA_NEW(&w->question, struct service_request);
    *q = (struct service_request){
        .datacenter = w->plan.datacenter,
        .service_name = w->plan.subject,
        .options = options_of(w),
    };
    bool instances = w->plan.type == WATCH_TYPE_SERVICE;
    if (instances) {
        q->service_tags = w->plan.tags;
        q->tag_filter = w->plan.tags.present;
    }
    w->call.endpoint = instances ? &endpoint_health_service_nodes : &endpoint_health_service_checks;
    return q;
}

static void *ask_state(struct watch *w) {
    struct checks_in_state_request *q = ARENA_NEW(&w->question, struct checks_in_state_request);
    *q = (struct checks_in_state_request){
        .datacenter = w->plan.datacenter, .state = w->plan.state, .options = options_of(w)};
    w->call.endpoint = &endpoint_health_checks_in_state;
    return q;
}

static void call_over(struct call *c) {
    struct watch *w = c->owner;
    struct answer *a = c->answer;
    w->calling = false;
    w->pending--;
    if (w->stopping) {
        maybe_over(w);
    } else if (error_is_set(&a->error)) {
        struct arena scratch = ARENA_INIT;
        int status = a->error.kind == ERROR_DENIED ? 403 : 500;
        bool bare = w->plan.type == WATCH_TYPE_KEY || w->plan.type == WATCH_TYPE_KEYPREFIX;
        failed(w, bare ? str_format(&scratch, "Unexpected response code: %d", status)
                       : str_format(&scratch, "Unexpected response code: %d (" STR_FMT ")", status,
                                    STR_ARG(a->error.text)));
        arena_free(&scratch);
    } else {
        struct buf payload = BUF_INIT;
        write_payload(w, a->reply, &payload);
        answered(w, a->meta.index > 0 ? a->meta.index : 1, buf_str(&payload));
        buf_free(&payload);
    }
    answer_release(a);
}

static void ask_server(struct watch *w) {
    void *request;
    arena_reset(&w->question, 4096);
    w->call = (struct call){.arena = &w->question, .done = call_over, .owner = w};
    switch (w->plan.type) {
    case WATCH_TYPE_KEY:
    case WATCH_TYPE_KEYPREFIX:
        request = ask_keys(w);
        break;
    case WATCH_TYPE_SERVICES:
    case WATCH_TYPE_NODES:
        request = ask_catalog(w);
        break;
    case WATCH_TYPE_SERVICE:
        request = ask_service(w);
        break;
    default:
        request = w->plan.subject.len > 0 ? ask_service(w) : ask_state(w);
        break;
    }
    w->call.request = request;
    w->calling = true;
    w->pending++;
    call_start(w->o->server, &w->call);
}

static void call_freed(void *owner) {
    came_back(owner);
}

/* ---- questions for the core: events and the agent's own service ---- */

static void core_answered(struct message *m) {
    struct watch *w = CONTAINER_OF(m, struct watch, core_answer);
    w->asking_core = false;
    w->pending--;
    if (w->stopping) {
        maybe_over(w);
    } else if (w->core_denied) {
        failed(w, STR("Unexpected response code: 403 (Permission denied)"));
    } else if (!w->core_ok) {
        struct arena scratch = ARENA_INIT;
        failed(w, str_format(&scratch,
                             "Unexpected response code: 404 (unknown service ID: " STR_FMT ")",
                             STR_ARG(w->plan.subject)));
        arena_free(&scratch);
    } else {
        answered(w, w->core_index, buf_str(&w->core_payload));
    }
}

static void core_give(struct watch *w) {
    w->core_answering = true;
    w->core_answer.run = core_answered;
    loop_post_reply(w->loop, &w->core_answer);
}

/* Those behind the one that was seen last; all when it is not among them. */
static void write_new_events(struct watch *w, struct buf *json) {
    const struct user_event *event;
    struct json_writer j;
    size_t first = 0;
    for (size_t i = 0; w->index > 0 && (event = events_at(w->o->events, i)) != NULL; i++)
        if (event_index(event->id) == w->index)
            first = i + 1;
    json_begin(&j, json, false);
    json_open_array(&j);
    for (size_t i = first; (event = events_at(w->o->events, i)) != NULL; i++)
        if (event_shows(event, w->plan.subject, authorization_may(w->who)))
            schema_write_json(&j, &user_event_shape, event);
    json_close_array(&j);
}

static void core_look_at_events(struct watch *w) {
    w->core_index = events_index(w->o->events, w->plan.subject, authorization_may(w->who));
    if (w->core_index == w->index && !w->core_ended) {
        events_wait_add(w->o->events, &w->event_wait);
        return;
    }
    struct buf json = BUF_INIT;
    write_new_events(w, &json);
    view(&w->core_payload, buf_str(&json), shape_event, true);
    buf_free(&json);
    w->core_ok = true;
    core_give(w);
}

static void event_came(struct events_wait *wait) {
    core_look_at_events(CONTAINER_OF(wait, struct watch, event_wait));
}

static void core_look_at_service(struct watch *w) {
    const struct local_service *s = local_service_find(w->o->local, w->plan.subject);
    w->core_ok = s != NULL;
    w->core_denied = s != NULL && !authorizer_may(authorization_may(w->who), ACL_SERVICE, ACL_READ,
                                                  s->service.service);
    w->core_index = 1;
    if (s != NULL && !w->core_denied) {
        struct node_service service = s->service;
        struct buf json = BUF_INIT;
        struct json_writer j;
        service.tags.present = service.meta.present = true;
        json_begin(&j, &json, false);
        schema_write_json(&j, &node_service_shape, &service);
        json.len--; /* the brace: one more field */
        buf_add_format(&json, ",\"ContentHash\":\"%llx\"}",
                       (unsigned long long)local_service_hash(s));
        bool plain = service.kind.len == 0 && !service.connect.native;
        view(&w->core_payload, buf_str(&json), plain ? shape_plain_service : shape_service, false);
        buf_free(&json);
    }
    core_give(w);
}

static void core_asked(struct message *m) {
    struct watch *w = CONTAINER_OF(m, struct watch, core_message);
    w->core_answering = w->core_ended = w->core_denied = false;
    buf_clear(&w->core_payload);
    if (w->plan.type == WATCH_TYPE_EVENT)
        core_look_at_events(w);
    else
        core_look_at_service(w);
}

static void core_end_came_back(struct message *m) {
    came_back(CONTAINER_OF(m, struct watch, core_end_answer));
}

static void core_told_to_end(struct message *m) {
    struct watch *w = CONTAINER_OF(m, struct watch, core_end_message);
    events_wait_remove(&w->event_wait);
    if (!w->core_answering)
        core_give(w);
    w->core_end_answer.run = core_end_came_back;
    loop_post_reply(w->loop, &w->core_end_answer);
}

/* ---- the life of one ---- */

static void authorized(struct authorize *a) {
    struct watch *w = a->owner;
    w->authorizing = false;
    authorization_release(w->who);
    w->who = a->result;
    if (error_is_set(&a->error)) {
        w->pending--;
        failed(w, str_format(&w->question, "Unexpected response code: %d (" STR_FMT ")",
                             a->error.kind == ERROR_DENIED ? 403 : 500, STR_ARG(a->error.text)));
        return;
    }
    w->asking_core = true;
    w->core_message.run = core_asked;
    loop_post_reply(server_core(w->o->server), &w->core_message);
}

static void ask(struct watch *w) {
    if (w->plan.type == WATCH_TYPE_AGENT_SERVICE && w->reported)
        return; /* it has no index to wait on, and runs once */
    if (w->plan.type != WATCH_TYPE_EVENT && w->plan.type != WATCH_TYPE_AGENT_SERVICE) {
        ask_server(w);
        return;
    }
    arena_reset(&w->question, 4096);
    w->authorize = (struct authorize){.secret = token_of(w),
                                      .agent = true,
                                      .done = authorized,
                                      .owner = w,
                                      .error = ERROR_IN(&w->question)};
    w->authorizing = true;
    w->pending++;
    if (authorize_start(&w->authorize))
        authorized(&w->authorize);
}

static void started(struct message *m) {
    struct watch *w = CONTAINER_OF(m, struct watch, start_message);
    loop_timer_init(w->loop, &w->timer, time_is_up, w);
    w->timer_open = true;
    w->event_wait.fn = event_came;
    ask(w);
}

static void stopped(struct message *m) {
    struct watch *w = CONTAINER_OF(m, struct watch, stop_message);
    w->stopping = true;
    if (w->calling)
        call_cancel(&w->call, call_freed);
    w->calling = false;
    if (w->authorizing) {
        authorize_cancel(&w->authorize);
        w->authorizing = false;
        w->pending--;
    }
    if (w->asking_core) {
        w->pending++;
        w->core_end_message.run = core_told_to_end;
        loop_post_reply(server_core(w->o->server), &w->core_end_message);
    }
    if (w->handler != NULL)
        watch_handler_release(w->handler);
    maybe_over(w);
}

static void abandoned(struct message *m) {
    struct watch *w = CONTAINER_OF(m, struct watch, abandon_message);
    if (w->handler != NULL)
        watch_handler_abandon(w->handler);
    uv_sem_post(&w->over); /* this message is through, too */
}

static void watch_free(struct watch *w) {
    struct arena arena = w->arena;
    uv_sem_destroy(&w->over);
    buf_free(&w->last);
    buf_free(&w->core_payload);
    arena_free(&w->question);
    mem_free(w);
    arena_free(&arena);
}

/* ---- all of them ---- */

struct watches *watches_new(const struct watches_options *options) {
    struct watches *all = MEM_NEW(struct watches);
    all->o = *options;
    return all;
}

static void stop_running(struct watches *all) {
    while (all->running != NULL) {
        struct watch *w = all->running;
        all->running = w->next;
        w->next = all->ending;
        all->ending = w;
        w->stop_message.run = stopped;
        loop_post_reply(w->loop, &w->stop_message);
    }
}

static void free_ended(struct watches *all) {
    for (struct watch **at = &all->ending; *at != NULL;) {
        struct watch *w = *at;
        if (uv_sem_trywait(&w->over) == 0) {
            *at = w->next;
            watch_free(w);
        } else {
            at = &w->next;
        }
    }
}

static void free_unstarted(struct watch *list) {
    while (list != NULL) {
        struct watch *next = list->next;
        watch_free(list);
        list = next;
    }
}

static bool parse_all(struct watches *all, const struct config *config, struct watch **list,
                      struct error *e) {
    struct watch **end = list;
    for (uint32_t i = 0; i < config->watches.len; i++) {
        struct watch *w = MEM_NEW(struct watch);
        uv_sem_init(&w->over, 0);
        w->o = &all->o;
        *end = w;
        end = &w->next;
        /* The configuration may go before the watch does. */
        const struct value *params =
            value_copy(&LIST_AT(config->watches, struct value, i), &w->arena);
        struct error own = ERROR_IN(&w->arena);
        if (!watch_plan_parse(params, &w->plan, &w->arena, &own))
            return error_copy(e, &own);
        if (w->plan.deprecated)
            log_at(LOG_WARN, LOGGER,
                   "The 'handler' field in watches has been deprecated and replaced with the "
                   "'args' field. See https://www.consul.io/docs/agent/watches.html");
    }
    return true;
}

bool watches_start(struct watches *all, const struct config *config, struct error *e) {
    struct watch *list = NULL;
    stop_running(all);
    free_ended(all);
    if (config->watches.len > 0 && config->http_addrs.len == 0 && config->https_addrs.len == 0)
        return error_set(e, ERROR_INTERNAL, "watch plans require an HTTP or HTTPS endpoint");
    if (!parse_all(all, config, &list, e)) {
        free_unstarted(list);
        return false;
    }
    while (list != NULL) {
        struct watch *w = list;
        list = w->next;
        w->next = all->running;
        all->running = w;
        w->loop = server_io(all->o.server, all->next_loop++ % server_io_count(all->o.server));
        w->start_message.run = started;
        loop_post_reply(w->loop, &w->start_message);
    }
    return true;
}

void watches_end(struct watches *all) {
    if (all == NULL)
        return;
    stop_running(all);
    free_ended(all);
    for (struct watch *w = all->ending; w != NULL; w = w->next) {
        w->abandon_message.run = abandoned;
        loop_post_reply(w->loop, &w->abandon_message);
    }
    while (all->ending != NULL) {
        struct watch *w = all->ending;
        all->ending = w->next;
        uv_sem_wait(&w->over);
        uv_sem_wait(&w->over); /* its end, and that of the message */
        watch_free(w);
    }
    mem_free(all);
}
