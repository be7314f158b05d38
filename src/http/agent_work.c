/* To the core and back.
 */
#include "http/agent_work.h"

#include "base/mem.h"

static void back_home(struct message *m)
{
    struct agent_work *w = CONTAINER_OF(m, struct agent_work, message);
    struct http_request *r = w->r;
    if (!w->ok)
        http_answer_error(r, &w->error);
    else if (w->finish != NULL)
        w->finish(w);
    else
        http_answer_empty(r, 200);
}

static void go_home(void *arg)
{
    struct agent_work *w = arg;
    w->message.run = back_home;
    loop_post_reply(w->r->loop, &w->message);
}

static void at_core(void *arg)
{
    struct agent_work *w = arg;
    w->ok = w->run(w, &w->error);
    if (w->sync && w->ok)
        local_sync_changes(w->local, go_home, w);
    else
        go_home(w);
}

void agent_work_start(struct http_request *r, bool (*run)(struct agent_work *w, struct error *e),
                      void (*finish)(struct agent_work *w), bool sync, void *data)
{
    struct agent_work *w = ARENA_NEW(&r->arena, struct agent_work);
    w->r = r;
    w->local = agent_local(r->agent);
    w->run = run;
    w->finish = finish;
    w->sync = sync;
    w->data = data;
    w->error = ERROR_IN(&r->arena);
    if (!server_run_on_core(r->server, at_core, NULL, w))
        http_answer_text(r, 500, STR("too many requests are waiting for the agent's core"));
}

void agent_work_answer_json(struct agent_work *w) { http_answer_json_written(w->r, 200); }
