/* Requests to the agent on a loop. See proxy_agent.h; watches are in proxy_watch.c. */
#include "cli/proxy_agent.h"

#include <strings.h>

#include "base/mem.h"

#define ANSWER_MAX ((size_t)16 << 20)
#define ASKED_MAX 32 /* at a time */

struct proxy_agent {
    struct http_client *curl;
    struct loop *loop;
    const struct settings *settings;
    struct http_tls tls;
    unsigned asked;                       /* under way */
    struct agent_question *first, **last; /* that wait their turn */
};

struct agent_question {
    struct proxy_agent *agent;
    struct arena arena;
    struct http_transfer transfer;
    struct agent_answer answer;
    struct str shown_url;
    struct loop_timer failed; /* it could not even begin: told later */
    struct error error;
    struct agent_question *next; /* of those that wait */
    bool waits, begun;
    bool counts;          /* among those that are under way */
    agent_answered *done; /* NULL: nobody waits any more */
    void *owner;
};

struct proxy_agent *proxy_agent_new(struct loop *loop, const struct settings *settings,
                                    struct error *e) {
    struct http_client *curl = http_client_new(loop, e);
    if (curl == NULL)
        return NULL;
    struct proxy_agent *a = MEM_NEW(struct proxy_agent);
    a->curl = curl;
    a->loop = loop;
    a->last = &a->first;
    a->settings = settings;
    a->tls = (struct http_tls){.cert_file = settings->client_cert,
                               .key_file = settings->client_key,
                               .ca_pem = settings->ca};
    return a;
}

void proxy_agent_free(struct proxy_agent *a) {
    if (a == NULL)
        return;
    http_client_free(a->curl);
    mem_free(a);
}

struct loop *proxy_agent_loop(struct proxy_agent *a) {
    return a->loop;
}

/* ---- the request ---- */

static void add_target(const struct settings *s, const struct agent_ask *ask, struct buf *out,
                       struct arena *arena) {
    struct url_param params[16];
    uint32_t count = 0;
    ASSERT(ask->param_count + 2 <= COUNT_OF(params));
    for (; count < ask->param_count; count++)
        params[count] = ask->params[count];
    bool has_dc = false;
    for (uint32_t i = 0; i < count; i++)
        has_dc |= str_is(params[i].name, "dc");
    if (s->datacenter.len > 0 && !has_dc)
        params[count++] = (struct url_param){STR("dc"), s->datacenter};
    if (s->name_space.len > 0)
        params[count++] = (struct url_param){STR("ns"), s->name_space};
    url_escape_path(out, ask->path);
    if (count == 0)
        return;
    buf_add_char(out, '?');
    buf_add_str(out, url_encode_query(arena, params, count));
}

/* "name", "[v6]" */
static struct str host_text(struct str name, struct arena *arena) {
    bool v6 = str_find_char(name, ':') >= 0;
    return v6 ? str_format(arena, "[" STR_FMT "]", STR_ARG(name)) : name;
}

/* Where it is asked, and what errors show. */
static void set_url(struct agent_question *q, const struct agent_ask *ask) {
    const struct settings *s = q->agent->settings;
    struct http_transfer *t = &q->transfer;
    struct buf target = BUF_INIT;
    struct str port = STR("");
    bool https = s->https && !s->is_socket;
    struct str name = host_text(s->name.len > 0 ? s->name : STR("127.0.0.1"), &q->arena);
    if (s->is_socket) {
        name = STR("localhost");
        t->unix_socket = str_terminated(&q->arena, s->host);
    } else {
        port = str_format(&q->arena, ":" STR_FMT, STR_ARG(s->port));
        t->no_proxy = "localhost,127.0.0.0/8,::1"; /* as the peer */
    }
    if (https && s->server_name.len > 0) { /* whose certificate it must be */
        t->connect_to =
            str_format(&q->arena, "::" STR_FMT STR_FMT, STR_ARG(name), STR_ARG(port)).data;
        name = host_text(s->server_name, &q->arena);
    }
    add_target(s, ask, &target, &q->arena);
    const char *scheme = https ? "https" : "http";
    t->url = str_format(&q->arena, "%s://" STR_FMT STR_FMT STR_FMT, scheme, STR_ARG(name),
                        STR_ARG(port), STR_ARG(buf_str(&target)))
                 .data;
    q->shown_url = str_format(&q->arena, "%s://" STR_FMT STR_FMT, scheme, STR_ARG(s->shown_host),
                              STR_ARG(buf_str(&target)));
    buf_free(&target);
}

static void add_headers(struct agent_question *q) {
    const struct settings *s = q->agent->settings;
    struct http_transfer *t = &q->transfer;
    if (s->token.len > 0)
        http_transfer_header(
            t, str_format(&q->arena, "X-Consul-Token: " STR_FMT, STR_ARG(s->token)).data);
    if (s->authorization.len > 0)
        http_transfer_header(
            t, str_format(&q->arena, "Authorization: " STR_FMT, STR_ARG(s->authorization)).data);
    http_transfer_header(t, "Expect:");
    http_transfer_header(t, "Content-Type:");
    http_transfer_header(t, "User-Agent: praetor/" CLI_PRAETOR_VERSION);
}

/* ---- the answer ---- */

static void take_header(struct http_transfer *t, struct str name, struct str value) {
    struct agent_question *q = t->owner;
    if (str_eq_fold(name, STR("x-consul-index")))
        str_to_u64(str_trim(value), &q->answer.index);
    else if (str_eq_fold(name, STR("x-consul-contenthash")))
        q->answer.hash = str_copy(&q->arena, str_trim(value));
}

static void free_question(struct agent_question *q) {
    http_transfer_free(&q->transfer);
    arena_free(&q->arena);
    mem_free(q);
}

static void on_timer_closed(struct loop_timer *t) {
    free_question(t->owner);
}

static void begin(struct agent_question *q) {
    q->waits = false;
    q->counts = true;
    q->agent->asked++;
    q->begun = http_transfer_start(&q->transfer, &q->error);
    if (!q->begun)
        loop_timer_set(&q->failed, 0);
}

/* One is over: the next has its turn. */
static void leave(struct agent_question *q) {
    struct proxy_agent *a = q->agent;
    if (q->waits) {
        struct agent_question **at = &a->first;
        while (*at != q)
            at = &(*at)->next;
        *at = q->next;
        if (a->last == &q->next)
            a->last = at;
    }
    if (q->counts)
        a->asked--;
    q->waits = q->counts = false;
    while (a->first != NULL && a->asked < ASKED_MAX) {
        struct agent_question *next = a->first;
        a->first = next->next;
        if (a->first == NULL)
            a->last = &a->first;
        begin(next);
    }
}

static void end(struct agent_question *q, const struct error *e) {
    agent_answered *done = q->done;
    q->done = NULL;
    leave(q);
    if (done != NULL)
        done(q->owner, &q->answer, e);
    loop_timer_close(&q->failed, on_timer_closed);
}

static bool judge_answer(struct agent_question *q, struct error *e) {
    struct http_transfer *t = &q->transfer;
    const struct settings *s = q->agent->settings;
    if (t->code != CURLE_OK) {
        struct str why = t->code == CURLE_OPERATION_TIMEDOUT ? STR("context deadline exceeded")
                                                             : http_transfer_fault(t, s->name);
        return error_set(e, ERROR_IO, "%c%s " STR_FMT ": " STR_FMT, t->method[0],
                         str_lower(&q->arena, str_from(t->method + 1)).data,
                         STR_ARG(str_quote(&q->arena, q->shown_url)), STR_ARG(why));
    }
    if (t->output.total > ANSWER_MAX)
        return error_set(e, ERROR_TOO_LARGE, "answer of more than %zu bytes", ANSWER_MAX);
    q->answer.body = t->output.total > 0 ? str_copy(&q->arena, tail_bytes(&t->output)) : STR("");
    if (t->status != 200)
        return error_set(e, ERROR_INTERNAL, "Unexpected response code: %ld (" STR_FMT ")",
                         t->status, STR_ARG(q->answer.body));
    return true;
}

static void on_done(struct http_transfer *t) {
    struct agent_question *q = t->owner;
    struct error e = ERROR_IN(&q->arena);
    bool good = judge_answer(q, &e);
    end(q, good ? NULL : &e);
}

static void on_failed(struct loop_timer *t) {
    struct agent_question *q = t->owner;
    end(q, &q->error);
}

struct agent_question *agent_ask(struct proxy_agent *a, const struct agent_ask *ask,
                                 agent_answered *done, void *owner) {
    struct agent_question *q = MEM_NEW(struct agent_question);
    const struct settings *s = a->settings;
    q->agent = a;
    q->done = done;
    q->owner = owner;
    q->error = ERROR_IN(&q->arena);
    q->answer = (struct agent_answer){.body = STR(""), .hash = STR(""), .arena = &q->arena};
    loop_timer_init(a->loop, &q->failed, on_failed, q);
    q->transfer = (struct http_transfer){
        .curl = a->curl,
        .arena = &q->arena,
        .method = ask->method,
        .body = str_copy(&q->arena, ask->body),
        .sends_body = strcmp(ask->method, "GET") != 0,
        .skip_verify = !s->verify,
        .tls = &a->tls,
        .timeout = ask->timeout,
        .output = {.limit = ANSWER_MAX},
        .header = take_header,
        .done = on_done,
        .owner = q,
    };
    set_url(q, ask);
    add_headers(q);
    if (!ask->long_poll && a->asked >= ASKED_MAX) {
        q->waits = true;
        *a->last = q;
        a->last = &q->next;
        return q;
    }
    begin(q);
    if (ask->long_poll) {
        q->counts = false;
        a->asked--;
    }
    return q;
}

void agent_ask_cancel(struct agent_question *q) {
    if (q == NULL || q->done == NULL)
        return;
    q->done = NULL;
    if (q->begun)
        http_transfer_cancel(&q->transfer);
    leave(q);
    loop_timer_close(&q->failed, on_timer_closed);
}
