/* To the core and back.
 */
#include "http/agent_work.h"

#include "base/mem.h"

void agent_work_refuse(struct http_request *r, const struct error *e) {
    if (e->kind == ERROR_NOT_FOUND)
        http_answer_text(r, 404, e->text);
    else
        http_answer_error(r, e);
}

static void back_home(struct message *m) {
    struct agent_work *w = CONTAINER_OF(m, struct agent_work, message);
    struct http_request *r = w->r;
    if (!w->ok)
        agent_work_refuse(r, &w->error);
    else if (w->finish != NULL)
        w->finish(w);
    else
        http_answer_empty(r, 200);
}

static void go_home(void *arg) {
    struct agent_work *w = arg;
    w->message.run = back_home;
    loop_post_reply(w->r->loop, &w->message);
}

static void at_core(void *arg) {
    struct agent_work *w = arg;
    bool ok = w->run(w, &w->error);
    if (w->later) /* it may have ended already */
        return;
    w->ok = ok;
    if (w->sync && w->ok)
        local_sync_changes(w->local, go_home, w);
    else
        go_home(w);
}

void agent_work_end(struct agent_work *w, bool ok) {
    w->ok = ok;
    if (w->sync && w->ok)
        local_sync_changes(w->local, go_home, w);
    else
        go_home(w);
}

void agent_work_start(struct http_request *r, bool (*run)(struct agent_work *w, struct error *e),
                      void (*finish)(struct agent_work *w), bool sync, void *data) {
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

void agent_work_answer_json(struct agent_work *w) {
    http_answer_json_written(w->r, 200);
}

bool agent_known_status(struct str s) {
    return str_is(s, "passing") || str_is(s, "warning") || str_is(s, "critical");
}

/* ---- JSON ---- */

void agent_key_str(struct json_writer *w, const char *key, struct str value) {
    json_key(w, str_from(key));
    json_str(w, value);
}

void agent_key_i64(struct json_writer *w, const char *key, int64_t value) {
    json_key(w, str_from(key));
    json_i64(w, value);
}

void agent_key_u64(struct json_writer *w, const char *key, uint64_t value) {
    json_key(w, str_from(key));
    json_u64(w, value);
}

void agent_key_bool(struct json_writer *w, const char *key, bool value) {
    json_key(w, str_from(key));
    json_bool(w, value);
}

void agent_key_strings(struct json_writer *w, const char *key, const struct list *list) {
    json_key(w, str_from(key));
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++)
        json_str(w, LIST_AT(*list, struct str, i));
    json_close_array(w);
}

void agent_key_map(struct json_writer *w, const char *key, const struct list *map) {
    json_key(w, str_from(key));
    json_open_object(w);
    for (uint32_t i = 0; i < map->len; i++) {
        json_key(w, LIST_AT(*map, struct str_pair, i).key);
        json_str(w, LIST_AT(*map, struct str_pair, i).value);
    }
    json_close_object(w);
}

void agent_key_addresses(struct json_writer *w, const char *key, const struct list *map) {
    json_key(w, str_from(key));
    json_open_object(w);
    for (uint32_t i = 0; i < map->len; i++) {
        const struct tagged_address *pair = &LIST_AT(*map, struct tagged_address, i);
        json_key(w, pair->key);
        json_open_object(w);
        agent_key_str(w, "Address", pair->address.address);
        agent_key_i64(w, "Port", pair->address.port);
        json_close_object(w);
    }
    json_close_object(w);
}
