/* /v1/event: http-core.md 11.9, agent.md 5.1. The events are the agent's, on the core thread. */
#include "agent/events.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "http/agent_work.h"
#include "http/authorize.h"
#include "http/room.h"
#include "server/keyring.h"

#define WAIT_MAX (600 * SECOND)
#define CORE_IS_BUSY (100 * MILLISECOND)

/* ---- fire ---- */

static void fired(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_json(r, 200, &user_event_shape, r->state);
}

static struct str or_empty(struct str s) {
    return s.data != NULL ? s : STR("");
}

static void fire_body(struct http_request *r) {
    struct user_event *event = ARENA_NEW(&r->arena, struct user_event);
    struct error e = ERROR_IN(&r->arena);
    char id[37];
    uuid_random(id);
    *event = (struct user_event){
        .id = str_copy(&r->arena, str_from(id)),
        .name = r->argument,
        .payload = r->body.len > 0 ? r->body : STR_NONE,
        .node_filter = or_empty(http_param(r, "node")),
        .service_filter = or_empty(http_param(r, "service")),
        .tag_filter = or_empty(http_param(r, "tag")),
        .version = 1,
    };
    if (!event_check(event, &e)) {
        http_answer_error(r, &e);
        return;
    }
    struct event_fire_request *q = ARENA_NEW(&r->arena, struct event_fire_request);
    struct buf wrapped = BUF_INIT;
    event_encode(&wrapped, event);
    q->datacenter = http_datacenter(r);
    q->name = event->name;
    q->payload = str_copy(&r->arena, buf_str(&wrapped));
    q->options.allow_stale = true; /* any server may send it out */
    q->options.token = http_token(r);
    buf_free(&wrapped);
    r->state = event;
    http_call(r, &endpoint_internal_event_fire, q, fired);
}

static void event_fire(struct http_request *r) {
    if (!http_need_argument(r, "Missing name"))
        return;
    if (r->content_length > 0)
        http_read_body(r, 0, fire_body);
    else
        fire_body(r); /* also with chunks, which are not looked at */
}

/* ---- list ---- */

/* A list that may wait for an event. The core looks, and parks it; the request's thread has the
 * clock and the connection. */
struct list_wait {
    struct http_request *r;
    struct str name;
    uint64_t seen; /* the index that the client knows; 0: answer at once */
    int64_t time;  /* to wait; 0: the most */
    uint64_t index;
    struct events_wait wait;
    struct message message;
    struct loop_timer timer;
    bool timer_open;
    bool expired;   /* core: no more waiting */
    bool answering; /* core: on its way home */
    bool ending;    /* request's thread: told the core to answer */
    bool ended;     /* request's thread: the core has been told */
    bool answered;  /* request's thread: the core's answer is here */
};

static void write_events(const struct list_wait *w, const struct events *events) {
    struct json_writer *json = http_json_begin(w->r);
    const struct user_event *event;
    json_open_array(json);
    for (size_t i = 0; (event = events_at(events, i)) != NULL; i++)
        if (event_shows(event, w->name, http_may(w->r)))
            schema_write_json(json, &user_event_shape, event);
    json_close_array(json);
}

static void list_closed(struct loop_timer *t) {
    const struct list_wait *w = t->owner;
    http_answer_json_written(w->r, 200);
}

/* On the request's thread, when the core has no more business with it. */
static void maybe_answer(struct list_wait *w) {
    if (!w->answered || (w->ending && !w->ended))
        return;
    http_set_header(w->r, "X-Consul-Index",
                    str_format(&w->r->arena, "%llu", (unsigned long long)w->index));
    if (w->timer_open) {
        loop_timer_stop(&w->timer);
        loop_timer_close(&w->timer, list_closed);
    } else {
        http_answer_json_written(w->r, 200);
    }
}

static void list_answered(struct message *m) {
    struct list_wait *w = CONTAINER_OF(m, struct list_wait, message);
    w->answered = true;
    maybe_answer(w);
}

/* On the core: answers, or waits for the next event. */
static void look(struct list_wait *w) {
    struct events *events = agent_events(w->r->agent);
    w->index = events_index(events, w->name, http_may(w->r));
    if (w->index == w->seen && !w->expired) {
        events_wait_add(events, &w->wait);
        return;
    }
    write_events(w, events);
    w->answering = true;
    w->message.run = list_answered;
    loop_post_reply(w->r->loop, &w->message);
}

static void event_came(struct events_wait *wait) {
    look(CONTAINER_OF(wait, struct list_wait, wait));
}

static void core_look(void *arg) {
    look(arg);
}

static void core_end(void *arg) {
    struct list_wait *w = arg;
    if (w->answering)
        return;
    w->expired = true;
    events_wait_remove(&w->wait);
    look(w);
}

static void end_seen(void *arg) {
    struct list_wait *w = arg;
    w->ended = true;
    maybe_answer(w);
}

static void end_wait(struct list_wait *w) {
    if (w->ending || w->answered)
        return;
    w->ending = true;
    if (!server_run_on_core(w->r->server, core_end, end_seen, w)) {
        w->ending = false;
        loop_timer_set(&w->timer, CORE_IS_BUSY);
    }
}

static void time_is_up(struct loop_timer *t) {
    end_wait(t->owner);
}
static void client_gone(struct http_request *r) {
    end_wait(r->state);
}

static void list_refused(struct loop_timer *t) {
    const struct list_wait *w = t->owner;
    http_answer_text(w->r, 500, STR("too many requests are waiting for the agent's core"));
}

static void list_authorized(struct http_request *r) {
    struct list_wait *w = r->state;
    if (w->seen > 0) {
        int64_t time = w->time;
        loop_timer_init(r->loop, &w->timer, time_is_up, w);
        loop_timer_set(&w->timer, time <= 0 || time > WAIT_MAX ? WAIT_MAX : time);
        w->timer_open = true;
        r->gone = client_gone;
    }
    if (server_run_on_core(r->server, core_look, NULL, w))
        return;
    r->gone = NULL;
    if (w->timer_open) {
        loop_timer_stop(&w->timer);
        loop_timer_close(&w->timer, list_refused);
    } else {
        list_refused(&(struct loop_timer){.owner = w});
    }
}

static void event_list(struct http_request *r) {
    struct list_wait *w = ARENA_NEW(&r->arena, struct list_wait);
    struct query_options options = {0};
    if (!http_read_blocking(r, &options))
        return;
    w->r = r;
    w->name = http_param(r, "name");
    w->seen = options.min_query_index;
    w->time = options.max_query_time;
    w->wait.fn = event_came;
    r->state = w;
    http_authorize(r, list_authorized);
}

const struct http_route http_routes_event[] = {
    {"/v1/event/fire/", "PUT", event_fire, ROUTE_EVENT},
    {"/v1/event/list", "GET", event_list, 0},
    {NULL, NULL, NULL, 0},
};
