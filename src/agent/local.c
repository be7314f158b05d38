/* The agent's services and checks in memory: registering, removing, updating. Syncing, files and
 * timers are in local_sync.c, local_file.c and local_ttl.c; what is read at start in local_load.c.
 */
#include "agent/local.h"
#include "agent/central.h"

#include "agent/check_local.h"
#include "agent/check_run.h"
#include "agent/config_table.h"
#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"

#define LOGGER "agent"

struct local *local_new(const struct local_options *options) {
    struct local *l = MEM_NEW(struct local);
    l->config = config_hold(options->config);
    l->discards_output = options->config->discard_check_output;
    l->server = options->server;
    l->loop = server_core(options->server);
    l->services = MAP_INIT;
    l->checks = MAP_INIT;
    ASSERT(options->node_id.len < sizeof(l->node_id));
    memcpy(l->node_id, options->node_id.data, options->node_id.len);
    l->watches.next = l->watches.previous = &l->watches;
    l->jobs_end = &l->jobs;
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    prng_seed(&l->random, seed);
    return l;
}

void local_start(struct local *l) {
    sync_init(l);
    local_reap_start(l);
}

/* ---- handles that take time to close ---- */

static void maybe_stopped(struct local *l) {
    if (l->stopping && l->open_handles == 0 && l->in_flight == 0 && files_idle(l) &&
        l->stopped != NULL) {
        void (*stopped)(void *arg) = l->stopped;
        l->stopped = NULL;
        stopped(l->stopped_arg);
    }
}

void local_closed_one(struct local *l) {
    l->open_handles--;
    maybe_stopped(l);
}

void local_handle_closed(struct loop_timer *t) {
    local_closed_one(t->owner);
}
void local_ended_one(struct local *l) {
    maybe_stopped(l);
}

struct owned_timer {
    struct loop_timer timer;
    struct local *local;
};

struct loop_timer *local_timer_new(struct local *l, void (*fn)(struct loop_timer *), void *owner) {
    struct owned_timer *t = MEM_NEW(struct owned_timer);
    t->local = l;
    loop_timer_init(l->loop, &t->timer, fn, owner);
    l->open_handles++;
    return &t->timer;
}

struct local *local_timer_local(struct loop_timer *t) {
    return CONTAINER_OF(t, struct owned_timer, timer)->local;
}

static void owned_timer_closed(struct loop_timer *timer) {
    struct owned_timer *t = CONTAINER_OF(timer, struct owned_timer, timer);
    struct local *l = t->local;
    mem_free(t);
    local_closed_one(l);
}

void local_timer_free(struct loop_timer *t) {
    if (t == NULL)
        return;
    loop_timer_stop(t);
    loop_timer_close(t, owned_timer_closed);
}

void local_stop(struct local *l, void (*stopped)(void *arg), void *arg) {
    l->stopping = true;
    l->stopped = stopped;
    l->stopped_arg = arg;
    if (l->started) {
        sync_stop(l);
        loop_timer_stop(&l->reap_timer);
        loop_timer_close(&l->reap_timer, local_handle_closed);
    }
    void *value;
    for (size_t i = 0; map_next(&l->services, &i, NULL, &value);)
        central_stop(value);
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        ttl_stop(c);
        check_stop(c);
        sync_cancel_deferral(c);
    }
    maybe_stopped(l);
}

static void service_free(struct local_service *s) {
    central_stop(s);
    struct arena arena = s->arena;
    mem_free(s);
    arena_free(&arena);
}

void local_check_free(struct local *l, struct local_check *c) {
    (void)l;
    ttl_stop(c);
    check_stop(c);
    sync_cancel_deferral(c);
    struct arena arena = c->arena;
    mem_free(c->exposed_at);
    mem_free(c->output);
    mem_free(c);
    arena_free(&arena);
}

void local_free(struct local *l) {
    if (l == NULL)
        return;
    void *value;
    for (size_t i = 0; map_next(&l->services, &i, NULL, &value);)
        service_free(value);
    map_free(&l->services);
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);)
        local_check_free(l, value);
    map_free(&l->checks);
    central_free(l);
    expose_forget(l);
    arena_free(&l->pass);
    check_pool_free(l->check_pool);
    config_release(l->config);
    mem_free(l);
}

/* ---- reading ---- */

const struct map *local_services(const struct local *l) {
    return &l->services;
}
const struct map *local_checks(const struct local *l) {
    return &l->checks;
}

struct local_service *local_service_find(const struct local *l, struct str id) {
    struct local_service *s = map_get(&l->services, id);
    return s != NULL && !s->deleted ? s : NULL;
}

struct local_check *local_check_find(const struct local *l, struct str id) {
    struct local_check *c = map_get(&l->checks, id);
    return c != NULL && !c->deleted ? c : NULL;
}

size_t local_service_count(const struct local *l) {
    size_t count = 0;
    void *value;
    for (size_t i = 0; map_next(&l->services, &i, NULL, &value);)
        count += !((struct local_service *)value)->deleted;
    return count;
}

static size_t count_checks(const struct local *l, bool ttl_only) {
    size_t count = 0;
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        const struct local_check *c = value;
        count += !c->deleted && (!ttl_only || c->ttl != NULL);
    }
    return count;
}

size_t local_check_count(const struct local *l) {
    return count_checks(l, false);
}
size_t local_ttl_count(const struct local *l) {
    return count_checks(l, true);
}

uint64_t local_service_hash(const struct local_service *s) {
    struct buf encoded = BUF_INIT;
    struct node_service copy = s->service;
    copy.create_index = copy.modify_index = 0;
    schema_encode(&encoded, &node_service_shape, &copy);
    uint64_t hash = str_hash(buf_str(&encoded));
    buf_free(&encoded);
    return hash;
}

/* ---- changes are told ---- */

static void watch_link(struct local_watch *list, struct local_watch *w) {
    w->next = list;
    w->previous = list->previous;
    w->previous->next = w;
    list->previous = w;
    w->listed = true;
}

void local_watch_add(struct local *l, struct local_watch *w) {
    watch_link(&l->watches, w);
}

void local_watch_remove(struct local_watch *w) {
    if (!w->listed)
        return;
    w->previous->next = w->next;
    w->next->previous = w->previous;
    w->listed = false;
}

void local_listen(struct local *l, void (*changed)(void *owner, struct str service_id),
                  void *owner) {
    l->listener = changed;
    l->listener_owner = owner;
}

/* Those that are told stand in a list of their own meanwhile: some of them list themselves again.
 */
void local_notify(struct local *l, struct str service_id) {
    struct local_watch told = {.next = &told, .previous = &told};
    for (struct local_watch *w = l->watches.next, *next; w != &l->watches; w = next) {
        next = w->next;
        if (service_id.data != NULL && !str_eq(w->service_id, service_id))
            continue;
        local_watch_remove(w);
        watch_link(&told, w);
    }
    while (told.next != &told) {
        struct local_watch *w = told.next;
        local_watch_remove(w);
        w->fn(w);
    }
    if (l->listener != NULL)
        l->listener(l->listener_owner, service_id);
}

void local_touch_service(struct local *l, struct local_service *s) {
    s->in_sync = false;
    s->generation = ++l->generation;
    sync_trigger(l);
}

void local_touch_check(struct local *l, struct local_check *c) {
    c->in_sync = false;
    c->generation = ++l->generation;
    sync_trigger(l);
}

/* ---- services ---- */

#define BAD_CHARACTERS                                                                             \
    " will not be discoverable via DNS due to invalid characters. Valid characters include all "   \
    "alpha-numerics and dashes."
#define TOO_LONG                                                                                   \
    " will not be discoverable via DNS due to it being too long. Valid lengths are between 1 and " \
    "63 "                                                                                          \
    "bytes."

static void warn_of_names(const struct service_definition *d) {
    if (!dns_label_valid(d->name))
        log_at(LOG_WARN, LOGGER, "Service name" BAD_CHARACTERS, LOG_S("service", d->name));
    else if (d->name.len > 63)
        log_at(LOG_WARN, LOGGER, "Service name" TOO_LONG, LOG_S("service", d->name));
    for (uint32_t i = 0; i < d->tags.len; i++) {
        struct str tag = LIST_AT(d->tags, struct str, i);
        if (!dns_label_valid(tag))
            log_at(LOG_DEBUG, LOGGER, "Service tag" BAD_CHARACTERS, LOG_S("tag", tag));
        else if (tag.len > 63)
            log_at(LOG_DEBUG, LOGGER, "Service tag" TOO_LONG, LOG_S("tag", tag));
    }
}

/* What the definition says, and the families' addresses that follow from a literal address. */
static bool tagged_addresses(const struct service_definition *d, struct list *out,
                             struct arena *arena, struct error *e) {
    struct list given = d->tagged_addresses;
    struct list all = LIST_NEW(arena, struct tagged_address, given.len + 2);
    all.len = 0;
    bool v6, has_address = address_is_ip(d->address, &v6);
    struct str implied[2] = {has_address && v6 ? STR("lan_ipv6") : STR("lan_ipv4"),
                             has_address && v6 ? STR("wan_ipv6") : STR("wan_ipv4")};
    for (uint32_t i = 0; i < given.len; i++) {
        struct tagged_address *pair = &LIST_AT(given, struct tagged_address, i);
        bool six, ip = address_is_ip(pair->address.address, &six);
        bool want4 = str_is(pair->key, "lan_ipv4") || str_is(pair->key, "wan_ipv4");
        bool want6 = str_is(pair->key, "lan_ipv6"); /* the peer does not look at wan_ipv6 */
        if ((want4 && (!ip || six)) || (want6 && (!ip || !six)))
            return error_set(e, ERROR_INTERNAL,
                             "Service tagged address \"" STR_FMT "\" must be a valid %s address",
                             STR_ARG(pair->key), want4 ? "ipv4" : "ipv6");
        LIST_AT(all, struct tagged_address, all.len++) = *pair;
    }
    for (size_t i = 0; has_address && i < 2; i++) {
        if (map_pair_value(&all, sizeof(struct tagged_address), implied[i]) != NULL)
            continue;
        struct tagged_address *items = all.items;
        uint32_t at = all.len++;
        while (at > 0 && str_compare(items[at - 1].key, implied[i]) > 0) {
            items[at] = items[at - 1];
            at--;
        }
        items[at] = (struct tagged_address){implied[i], {d->address, d->port}};
    }
    *out = all;
    return true;
}

/* The service as it is stored and sent, pointing into the definition. */
static bool make_service(const struct service_definition *d, struct node_service *out,
                         struct arena *arena, struct error *e) {
    static struct weights even = {1, 1};
    *out = (struct node_service){
        .address = d->address,
        .enable_tag_override = d->enable_tag_override,
        .id = d->id.len > 0 ? d->id : d->name,
        .kind = d->kind,
        .meta = d->meta,
        .port = d->port,
        .service = d->name,
        .tags = d->tags,
        .weights = d->weights ? d->weights : &even,
    };
    if (d->proxy != NULL)
        out->proxy = *d->proxy;
    if (d->connect != NULL)
        out->connect.native = d->connect->native;
    return tagged_addresses(d, &out->tagged_addresses, arena, e);
}

static bool add_check(struct local *l, struct local_check *c, bool keeps);

static struct local_check *check_new(struct local *l) {
    struct local_check *c = MEM_NEW(struct local_check);
    c->check.node = str_copy(&c->arena, l->config->node_name);
    return c;
}

static void attach(struct local_check *c, const struct node_service *service) {
    struct health_check tags = {.service_tags = service->tags}, copy;
    schema_copy(&health_check_shape, &copy, &tags, &c->arena);
    c->check.service_tags = copy.service_tags;
    c->check.service_id = str_copy(&c->arena, service->id);
    c->check.service_name = str_copy(&c->arena, service->service);
}

/* A check of a service, number `position` of `count` (agent.md 2.4). */
static struct local_check *make_service_check(struct local *l, const struct node_service *service,
                                              const struct check_type *type, uint32_t position,
                                              uint32_t count) {
    struct local_check *c = check_new(l);
    struct arena *arena = &c->arena;
    schema_copy(&check_type_shape, &c->type, type, arena);
    c->has_type = true;
    struct health_check *h = &c->check;
    if (type->check_id.len > 0)
        h->check_id = str_copy(arena, type->check_id);
    else if (count > 1)
        h->check_id = str_format(arena, "service:" STR_FMT ":%u", STR_ARG(service->id), position);
    else
        h->check_id = str_format(arena, "service:" STR_FMT, STR_ARG(service->id));
    h->name = type->name.len > 0
                  ? str_copy(arena, type->name)
                  : str_format(arena, "Service '" STR_FMT "' check", STR_ARG(service->service));
    h->status = type->status.len > 0 ? str_copy(arena, type->status) : STR("critical");
    h->notes = str_copy(arena, type->notes);
    h->type = check_type_shown(type);
    attach(c, service);
    return c;
}

static void remove_other_checks(struct local *l, struct str service_id, const struct list *keep) {
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (c->deleted || !str_eq(c->check.service_id, service_id))
            continue;
        bool kept = false;
        for (uint32_t k = 0; k < keep->len && !kept; k++)
            kept = str_eq(LIST_AT(*keep, struct str, k), c->check.check_id);
        if (!kept)
            local_check_drop(l, c);
    }
}

static bool service_equal(const struct local_service *a, const struct local_service *b) {
    static const char *const skip[] = {"CreateIndex", "ModifyIndex", NULL};
    return schema_equal_but(&node_service_shape, &a->service, &b->service, skip) &&
           str_eq(a->token, b->token);
}

static void put_service(struct local *l, struct local_service *s) {
    struct local_service *old = map_put(&l->services, s->service.id, s);
    bool same = old != NULL && !old->deleted && service_equal(old, s);
    expose_change(l, old != NULL && !old->deleted ? &old->service : NULL, &s->service);
    if (old != NULL)
        service_free(old);
    local_touch_service(l, s);
    check_alias_notify(l, s->service.id);
    if (!same)
        local_notify(l, s->service.id);
}

static bool check_checks(const struct local *l, const struct list *checks, bool from_api,
                         struct error *e) {
    for (uint32_t i = 0; i < checks->len; i++)
        if (!check_type_supported(LIST_AT(*checks, struct check_type *, i), l->config, from_api, e))
            return false;
    return true;
}

/* Returns their IDs. */
static struct list add_service_checks(struct local *l, const struct local_service *s,
                                      const struct local_registration *r, const struct list *checks,
                                      struct arena *arena) {
    struct list ids = LIST_NEW(arena, struct str, checks->len);
    struct map fresh = MAP_INIT; /* checks that were not there before: the last of an ID counts */
    static char is_fresh;
    for (uint32_t i = 0; i < checks->len; i++) {
        struct local_check *c = make_service_check(
            l, &s->service, LIST_AT(*checks, struct check_type *, i), i + 1, checks->len);
        c->token = str_copy(&c->arena, r->token);
        c->source = r->from_api ? CHECK_FROM_API : CHECK_FROM_CONFIG;
        struct str id = LIST_AT(ids, struct str, i) = str_copy(arena, c->check.check_id);
        if (local_check_find(l, id) == NULL)
            map_put(&fresh, id, &is_fresh);
        add_check(l, c, map_get(&fresh, id) == NULL);
    }
    map_free(&fresh);
    return ids;
}

/* ---- what the servers add ---- */

bool local_central_question(const struct local *l, const struct service_definition *d,
                            struct service_config_request *request, struct arena *arena) {
    struct node_service made;
    struct error ignored = ERROR_IN(arena);
    return make_service(d, &made, arena, &ignored) &&
           central_question(l, &made, d->token, request, arena);
}

/* `made` as it is shown and sent, and what it was made of, into a new service. */
static void fill_service(struct local_service *s, const struct node_service *made, bool central,
                         const struct service_config_response *answer) {
    struct arena scratch = ARENA_INIT;
    struct node_service merged = *made;
    if (central) {
        s->own = ARENA_NEW(&s->arena, struct node_service);
        schema_copy(&node_service_shape, s->own, made, &s->arena);
        if (answer != NULL)
            central_merge(&merged, answer, &scratch);
    }
    schema_copy(&node_service_shape, &s->service, &merged, &s->arena);
    arena_free(&scratch);
}

void local_central_changed(struct local *l, struct local_service *s,
                           const struct service_config_response *answer) {
    struct local_service *fresh = MEM_NEW(struct local_service);
    central_remember(l, s->service.id, answer);
    fill_service(fresh, s->own, true, answer);
    fresh->token = str_copy(&fresh->arena, s->token);
    fresh->from_api = s->from_api;
    fresh->is_sidecar = s->is_sidecar;
    if (service_equal(s, fresh)) {
        service_free(fresh);
        return;
    }
    fresh->central = s->central;
    s->central = NULL;
    put_service(l, fresh); /* s is gone */
}

bool local_register_service(struct local *l, const struct local_registration *r, struct error *e) {
    const struct service_definition *d = r->definition;
    struct arena scratch = ARENA_INIT;
    struct node_service made;
    struct list checks = service_definition_checks(d, &scratch);
    if (!check_checks(l, &checks, r->from_api, e) || !make_service(d, &made, &scratch, e)) {
        arena_free(&scratch);
        return false;
    }
    warn_of_names(d);
    struct local_service *s = MEM_NEW(struct local_service);
    struct service_config_request question;
    bool central = central_question(l, &made, r->token, &question, &scratch);
    if (central && r->central != NULL)
        central_remember(l, made.id, r->central);
    fill_service(s, &made, central, central ? central_remembered(l, made.id, &scratch) : NULL);
    s->token = str_copy(&s->arena, r->token);
    s->from_api = r->from_api;
    s->is_sidecar = r->is_sidecar;
    put_service(l, s);
    if (central && !l->stopping)
        central_start(l, s, r->central != NULL ? r->central->meta.index : 0);
    if (r->from_api)
        file_store_service(l, s);
    struct list ids = add_service_checks(l, s, r, &checks, &scratch);
    if (r->replace_checks)
        remove_other_checks(l, s->service.id, &ids);
    arena_free(&scratch);
    return true;
}

void local_service_drop(struct local *l, struct local_service *s) {
    struct str id = s->service.id;
    map_remove(&l->services, id);
    service_free(s); /* id is gone */
}

/* One that the agent made. */
static bool remove_sidecar(struct local *l, struct str parent_id, struct error *e) {
    struct arena scratch = ARENA_INIT;
    struct str id = local_sidecar_id(&scratch, parent_id);
    const struct local_service *s = local_service_find(l, id);
    bool ok = s == NULL || !s->is_sidecar || local_deregister_service(l, id, e);
    arena_free(&scratch);
    return ok;
}

bool local_deregister_service(struct local *l, struct str id, struct error *e) {
    if (id.len == 0)
        return error_set(e, ERROR_INTERNAL, "ServiceID missing");
    struct local_service *s = local_service_find(l, id);
    if (s == NULL) {
        struct arena scratch = ARENA_INIT;
        struct str text =
            str_format(&scratch, "Service {\"" STR_FMT "\" {}} does not exist", STR_ARG(id));
        log_at(LOG_WARN, LOGGER, "Failed to deregister service", LOG_S("service", id),
               LOG_S("error", text));
        arena_free(&scratch);
        return true;
    }
    static const struct list none = LIST_EMPTY;
    remove_other_checks(l, s->service.id, &none);
    if (s->from_api)
        file_remove_service(l, s->service.id);
    central_stop(s);
    if (!l->loading)
        central_forget(l, s->service.id);
    expose_change(l, &s->service, NULL);
    s->deleted = true;
    local_touch_service(l, s);
    check_alias_notify(l, s->service.id);
    local_notify(l, s->service.id);
    log_at(LOG_DEBUG, LOGGER, "removed service", LOG_S("service", id));
    return remove_sidecar(l, id, e);
}

/* ---- checks ---- */

void local_set_output(struct local_check *c, struct str output) {
    mem_free(c->output);
    c->output = NULL;
    c->check.output = STR("");
    if (output.len == 0)
        return;
    c->output = mem_alloc(output.len + 1);
    memcpy(c->output, output.data, output.len);
    c->output[output.len] = '\0';
    c->check.output = str_of(c->output, output.len);
}

/* Puts a new check in place of what had its ID, whose status and output it may keep. */
static bool add_check(struct local *l, struct local_check *c, bool keeps) {
    struct local_check *old = map_get(&l->checks, c->check.check_id);
    if (keeps && old != NULL && !old->deleted) {
        c->check.status = str_copy(&c->arena, old->check.status);
        local_set_output(c, l->discards_output ? STR("") : old->check.output);
    }
    old = map_put(&l->checks, c->check.check_id, c);
    if (old != NULL)
        local_check_free(l, old);
    if (c->source != CHECK_FROM_CONFIG)
        file_store_check(l, c);
    local_touch_check(l, c);
    local_reap_check(c);
    expose_check(l, c);
    if (c->has_type && c->type.ttl > 0)
        ttl_start(l, c);
    else if (c->has_type)
        check_start(l, c);
    check_alias_notify(l, c->check.service_id);
    return true;
}

/* The service of a check; *out is NULL when it has none. */
static bool service_of_check(const struct local *l, struct str id, const struct local_service **out,
                             struct error *e) {
    *out = id.len > 0 ? local_service_find(l, id) : NULL;
    return id.len == 0 || *out != NULL ||
           error_set(e, ERROR_INTERNAL, "ServiceID \"" STR_FMT "\" does not exist", STR_ARG(id));
}

bool local_register_check(struct local *l, const struct config_check *d, enum check_source source,
                          struct error *e) {
    struct str id = d->type.check_id.len > 0 ? d->type.check_id : d->type.name;
    const struct local_service *service;
    if (id.len == 0)
        return error_set(e, ERROR_INTERNAL, "CheckID missing");
    if (!service_of_check(l, d->service_id, &service, e))
        return false;
    if (!check_type_supported(&d->type, l->config, source == CHECK_FROM_API, e)) {
        struct local_check *old = local_check_find(l, id);
        if (old != NULL && source == CHECK_FROM_API) /* sic: as the peer */
            local_check_drop(l, old);
        return false;
    }
    struct local_check *c = check_new(l);
    struct arena *arena = &c->arena;
    schema_copy(&check_type_shape, &c->type, &d->type, arena);
    c->has_type = true;
    c->token = str_copy(arena, d->token);
    c->source = source;
    c->check.check_id = str_copy(arena, id);
    c->check.name = str_copy(arena, d->type.name);
    c->check.status = d->type.status.len > 0 ? str_copy(arena, d->type.status) : STR("critical");
    c->check.notes = str_copy(arena, d->type.notes);
    /* Checks of the files that stand outside of services have no type: agent.md 1.9. */
    c->check.type = source == CHECK_FROM_CONFIG ? STR("") : check_type_shown(&d->type);
    if (service != NULL)
        attach(c, &service->service);
    return add_check(l, c, true);
}

bool local_restore_check(struct local *l, const struct health_check *kept,
                         const struct check_type *type, struct str token, enum check_source source,
                         struct error *e) {
    const struct local_service *service;
    if (kept->check_id.len == 0)
        return error_set(e, ERROR_INTERNAL, "CheckID missing");
    if (type != NULL && !check_type_validate(type, e))
        return error_prefix(e, "Check is not valid: ");
    if ((type != NULL && !check_type_supported(type, l->config, source == CHECK_FROM_API, e)) ||
        !service_of_check(l, kept->service_id, &service, e))
        return false;
    struct local_check *c = check_new(l);
    struct arena *arena = &c->arena;
    if (type != NULL)
        schema_copy(&check_type_shape, &c->type, type, arena);
    c->has_type = type != NULL;
    c->token = str_copy(arena, token);
    c->source = source;
    c->check.check_id = str_copy(arena, kept->check_id);
    c->check.name = str_copy(arena, kept->name);
    c->check.status = STR("critical");
    c->check.notes = str_copy(arena, kept->notes);
    c->check.type = str_copy(arena, kept->type);
    if (service != NULL)
        attach(c, &service->service);
    local_set_output(c, l->discards_output ? STR("") : kept->output);
    return add_check(l, c, false);
}

/* Marks the check as deleted until the catalog confirms. */
void local_check_drop(struct local *l, struct local_check *c) {
    log_at(LOG_DEBUG, LOGGER, "removed check", LOG_S("check", c->check.check_id));
    ttl_stop(c);
    check_stop(c);
    sync_cancel_deferral(c);
    file_remove_check(l, c->check.check_id);
    file_remove_state(l, c->check.check_id);
    c->deleted = true;
    expose_check_gone(l, c);
    check_alias_notify(l, c->check.service_id);
    local_touch_check(l, c);
}

bool local_deregister_check(struct local *l, struct str id, struct error *e) {
    if (id.len == 0)
        return error_set(e, ERROR_INTERNAL, "CheckID missing");
    struct local_check *c = local_check_find(l, id);
    if (c == NULL)
        log_at(LOG_DEBUG, LOGGER, "removed check", LOG_S("check", id)); /* sic */
    else
        local_check_drop(l, c);
    return true;
}

void local_check_update(struct local *l, struct local_check *c, struct str status,
                        struct str output) {
    if (l->discards_output)
        output = STR("");
    if (!str_is(status, "critical"))
        c->critical_since = 0;
    else if (c->critical_since == 0)
        c->critical_since = time_now_monotonic();
    bool status_changed = !str_eq(c->check.status, status);
    if (!status_changed && str_eq(c->check.output, output))
        return;
    if (status_changed) {
        c->check.status = status_literal(status);
        check_alias_notify(l, c->check.service_id);
    }
    local_set_output(c, output);
    if (!status_changed && l->config->check_update_interval > 0)
        sync_defer(l, c);
    else
        local_touch_check(l, c);
}

/* ---- maintenance ---- */

static void maintenance_check(struct local *l, struct str id, const struct node_service *service,
                              struct str notes, struct str token) {
    struct local_check *c = check_new(l);
    c->check.check_id = str_copy(&c->arena, id);
    c->check.name = service ? STR("Service Maintenance Mode") : STR("Node Maintenance Mode");
    c->check.notes = str_copy(&c->arena, notes);
    c->check.status = STR("critical");
    c->check.type = STR("maintenance");
    if (service != NULL)
        attach(c, service);
    c->token = str_copy(&c->arena, token);
    c->source = CHECK_FROM_LOCAL;
    add_check(l, c, true);
}

void local_maintenance_service(struct local *l, struct local_service *s, bool enable,
                               struct str reason, struct str token) {
    struct arena scratch = ARENA_INIT;
    struct str id = str_format(&scratch, "_service_maintenance:" STR_FMT, STR_ARG(s->service.id));
    struct local_check *c = local_check_find(l, id);
    if (enable && c == NULL) {
        if (reason.len == 0)
            reason = STR("Maintenance mode is enabled for this service, but no reason was "
                         "provided. This is a "
                         "default message.");
        maintenance_check(l, id, &s->service, reason, token);
        log_at(LOG_INFO, LOGGER, "Service entered maintenance mode",
               LOG_S("service", s->service.id));
    } else if (!enable && c != NULL) {
        local_check_drop(l, c);
        log_at(LOG_INFO, LOGGER, "Service left maintenance mode", LOG_S("service", s->service.id));
    }
    arena_free(&scratch);
}

void local_maintenance_node(struct local *l, bool enable, struct str reason, struct str token) {
    struct local_check *c = local_check_find(l, STR("_node_maintenance"));
    if (enable && c == NULL) {
        if (reason.len == 0)
            reason = STR(
                "Maintenance mode is enabled for this node, but no reason was provided. This is a "
                "default message.");
        maintenance_check(l, STR("_node_maintenance"), NULL, reason, token);
        log_at(LOG_INFO, LOGGER, "Node entered maintenance mode");
    } else if (!enable && c != NULL) {
        local_check_drop(l, c);
        log_at(LOG_INFO, LOGGER, "Node left maintenance mode");
    }
}
