/* The proxies that are registered here, each with the questions that it needs answered, its newest
 * snapshot, and who waits for one. See proxy_watch.h.
 *
 * An answer may lead to other questions (the targets of a chain): those are begun as soon as the
 * loop gets to it. A question that became another one keeps the old answer until there is a new.
 */
#include "agent/proxy_watch.h"

#include "agent/local_state.h"
#include "agent/proxy_room.h"
#include "base/mem.h"
#include "server/agent_tokens.h"

/* ---- what is known ---- */

/* Of the part in all that a proxy needs; in memory that the next call uses again. */
static struct str need_key(struct proxy *p, enum proxy_part part, struct str of, struct str key) {
    buf_clear(&p->scratch);
    buf_add_char(&p->scratch, (char)part);
    buf_add_be32(&p->scratch, (uint32_t)of.len);
    buf_add_str(&p->scratch, of);
    buf_add_str(&p->scratch, key);
    return buf_str(&p->scratch);
}

/* An answer to an earlier question counts until there is one to the new, or an error. */
static const struct fact *wanted_fact(const struct proxy_wanted *w) {
    const struct fact *now = fact_watch_now(&w->watch);
    return now != NULL || fact_watch_failed(&w->watch) ? now : w->earlier;
}

static const void *known(const struct proxy_view *v, enum proxy_part part, struct str of,
                         struct str key) {
    struct proxy *p = (struct proxy *)v->owner;
    const struct proxy_wanted *w = map_get(&p->wanted, need_key(p, part, of, key));
    const struct fact *fact = w != NULL ? wanted_fact(w) : NULL;
    return fact != NULL ? fact->reply : NULL;
}

static struct proxy_view view_of(const struct proxy *p) {
    return (struct proxy_view){.registered = p->registered->reply,
                               .config = p->all->local->config,
                               .known = known,
                               .owner = p};
}

/* ---- what is asked ---- */

static void something_changed(struct proxy *p) {
    if (p->publishing)
        return;
    p->publishing = true;
    loop_timer_set(&p->publish_timer, PROXY_COALESCE);
}

static void fact_came(struct fact_watch *watch) {
    struct proxy_wanted *w = CONTAINER_OF(watch, struct proxy_wanted, watch);
    fact_release(w->earlier);
    w->earlier = NULL;
    if (proxy_part_leads_on(w->part))
        loop_timer_set(&w->proxy->needs_timer, 0);
    something_changed(w->proxy);
}

static void begin(struct proxy *p, struct proxy_wanted *w, const struct fact_question *q) {
    fact_watch_begin(p->all->facts, &w->watch, q);
    if (fact_watch_now(&w->watch) != NULL && proxy_part_leads_on(w->part))
        loop_timer_set(&p->needs_timer, 0);
    something_changed(p);
}

static void want(struct proxy *p, const struct proxy_need *need) {
    struct str key = need_key(p, need->part, need->of, need->key);
    struct proxy_wanted *w = map_get(&p->wanted, key);
    if (w == NULL) {
        w = MEM_NEW(struct proxy_wanted);
        w->proxy = p;
        w->part = need->part;
        w->watch.fn = fact_came;
        map_put(&p->wanted, key, w);
        begin(p, w, &need->question);
    } else if (!fact_watch_asks(&w->watch, &need->question)) {
        const struct fact *earlier = fact_hold(wanted_fact(w));
        fact_release(w->earlier);
        w->earlier = earlier;
        fact_watch_end(&w->watch);
        begin(p, w, &need->question);
    }
    w->round = p->round;
}

/* Those that were not wanted in this round. */
static void unwant_others(struct proxy *p) {
    void *value;
    struct str key;
    for (size_t i = 0; map_next(&p->wanted, &i, &key, &value);) {
        struct proxy_wanted *w = value;
        if (w->round == p->round)
            continue;
        map_remove(&p->wanted, key);
        fact_watch_end(&w->watch);
        fact_release(w->earlier);
        mem_free(w);
        something_changed(p);
    }
}

static void needs_due(struct loop_timer *t) {
    struct proxy *p = t->owner;
    struct arena scratch = ARENA_INIT;
    struct proxy_needs needs = {.arena = &scratch};
    struct proxy_view v = view_of(p);
    proxy_needs_collect(&v, &needs);
    p->round++;
    for (size_t i = 0; i < needs.len; i++)
        want(p, &needs.items[i]);
    unwant_others(p);
    arena_free(&scratch);
}

/* ---- snapshots ---- */

/* What a snapshot may point to. */
static void hold_facts(const struct proxy *p, struct proxy_snapshot *s) {
    s->facts = ARENA_ARRAY(&s->arena, const struct fact *, p->wanted.count + 1);
    s->facts[s->fact_count++] = fact_hold(p->registered);
    void *value;
    for (size_t i = 0; map_next(&p->wanted, &i, NULL, &value);) {
        const struct fact *fact = wanted_fact(value);
        if (fact != NULL)
            s->facts[s->fact_count++] = fact_hold(fact);
    }
}

static void publish_due(struct loop_timer *t) {
    struct proxy *p = t->owner;
    struct proxy_view v = view_of(p);
    p->publishing = false;
    struct proxy_snapshot *s = proxy_snapshot_make(&v);
    if (s == NULL)
        return;
    hold_facts(p, s);
    proxy_snapshot_release(p->snapshot);
    p->snapshot = s;
    for (struct proxy_watch *w = p->watches; w != NULL; w = w->next)
        proxy_watch_give(w, s);
}

/* ---- life of one ---- */

struct proxy *proxy_get(struct proxies *all, struct str id) {
    struct proxy *p = map_get(&all->by_id, id);
    if (p != NULL)
        return p;
    p = MEM_NEW(struct proxy);
    p->all = all;
    p->id = str_copy(&p->arena, id);
    loop_timer_init(all->local->loop, &p->needs_timer, needs_due, p);
    loop_timer_init(all->local->loop, &p->publish_timer, publish_due, p);
    p->open_timers = 2;
    all->open += 2;
    map_put(&all->by_id, p->id, p);
    return p;
}

static void maybe_stopped(struct proxies *all) {
    if (!all->stopping || all->open > 0 || all->stopped == NULL)
        return;
    void (*stopped)(void *arg) = all->stopped;
    all->stopped = NULL;
    stopped(all->stopped_arg);
}

static void timer_closed(struct loop_timer *t) {
    struct proxy *p = t->owner;
    struct proxies *all = p->all;
    if (--p->open_timers == 0) {
        map_free(&p->wanted);
        buf_free(&p->scratch);
        arena_free(&p->arena);
        mem_free(p);
    }
    all->open--;
    maybe_stopped(all);
}

void proxy_maybe_free(struct proxy *p) {
    if (p->registered != NULL || p->watches != NULL)
        return;
    map_remove(&p->all->by_id, p->id);
    loop_timer_close(&p->needs_timer, timer_closed);
    loop_timer_close(&p->publish_timer, timer_closed);
}

/* Nothing is asked for it any more; who watches waits until it is back. */
static void unregister(struct proxy *p) {
    p->round++;
    unwant_others(p);
    loop_timer_stop(&p->needs_timer);
    loop_timer_stop(&p->publish_timer);
    p->publishing = false;
    fact_release(p->registered);
    p->registered = NULL;
    proxy_snapshot_release(p->snapshot);
    p->snapshot = NULL;
    proxy_maybe_free(p);
}

/* ---- registrations ---- */

static const struct fact *registration_of(const struct local *l, const struct local_service *s) {
    struct arena scratch = ARENA_INIT;
    struct proxy_registration r = {
        .service = s->service,
        .token = s->token.len > 0
                     ? s->token
                     : agent_token(server_tokens(l->server), AGENT_TOKEN_DEFAULT, &scratch),
        .exposed = local_exposed_paths(l, &s->service, &scratch)};
    r.service.create_index = r.service.modify_index = 0;
    const struct fact *out = fact_of(&proxy_registration_shape, &r);
    arena_free(&scratch);
    return out;
}

static void update(struct proxies *all, struct str id) {
    const struct local_service *s = local_service_find(all->local, id);
    struct proxy *p = map_get(&all->by_id, id);
    if (s == NULL || proxy_kind_of(&s->service) == PROXY_NONE) {
        if (p != NULL && p->registered != NULL)
            unregister(p);
        return;
    }
    const struct fact *registered = registration_of(all->local, s);
    p = proxy_get(all, id);
    if (p->registered != NULL && str_eq(p->registered->bytes, registered->bytes)) {
        fact_release(registered);
        return;
    }
    fact_release(p->registered);
    p->registered = registered;
    loop_timer_set(&p->needs_timer, 0);
    something_changed(p);
}

void proxies_changed(struct proxies *all, struct str service_id) {
    if (all->stopping)
        return;
    if (service_id.data != NULL) {
        update(all, service_id);
        return;
    }
    void *value;
    for (size_t i = 0; map_next(&all->local->services, &i, NULL, &value);)
        update(all, ((struct local_service *)value)->service.id);
    for (size_t i = 0; map_next(&all->by_id, &i, NULL, &value);)
        update(all, ((struct proxy *)value)->id);
}

/* ---- life of all ---- */

static void service_changed(void *owner, struct str service_id) {
    proxies_changed(owner, service_id);
}

struct proxies *proxies_new(struct local *l) {
    struct proxies *all = MEM_NEW(struct proxies);
    all->local = l;
    all->facts = facts_new(l->server);
    local_listen(l, service_changed, all);
    return all;
}

static void facts_stopped(void *arg) {
    struct proxies *all = arg;
    all->open--;
    maybe_stopped(all);
}

void proxies_stop(struct proxies *all, void (*stopped)(void *arg), void *arg) {
    void *value;
    all->stopping = true;
    all->open++; /* the facts */
    local_listen(all->local, NULL, NULL);
    for (size_t i = 0; map_next(&all->by_id, &i, NULL, &value);) {
        struct proxy *p = value;
        proxy_unwatch_all(p);
        if (p->registered != NULL)
            unregister(p);
        else
            proxy_maybe_free(p);
    }
    all->stopped = stopped;
    all->stopped_arg = arg;
    facts_stop(all->facts, facts_stopped, all);
}

void proxies_free(struct proxies *all) {
    if (all == NULL)
        return;
    map_free(&all->by_id);
    facts_free(all->facts);
    mem_free(all);
}
