/* What the agent starts with: services and checks of the configuration, then those that were registered
 * over HTTP and kept in the data directory (agent.md 4.7); and doing it all again on a reload (8.4).
 */
#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"

static bool load_config_service(struct local *l, const struct service_definition *d, struct error *e)
{
    if (d->name.len == 0)
        return error_set(e, ERROR_INTERNAL, "Failed to register service \"\": Service name missing");
    for (uint32_t i = 0; i < d->checks.len; i++)
        if (!check_type_validate(LIST_AT(d->checks, struct check_type *, i), e))
            return error_prefix(e, "Failed to validate checks for service \"" STR_FMT "\": ", STR_ARG(d->name));
    struct local_registration r = {.definition = d, .checks = d->checks, .token = d->token};
    if (!local_register_service(l, &r, e))
        return error_prefix(e, "Failed to register service \"" STR_FMT "\": ", STR_ARG(d->name));
    return true;
}

static bool load_config_check(struct local *l, const struct config_check *c, struct error *e)
{
    struct str name = c->type.check_id.len > 0 ? c->type.check_id : c->type.name;
    bool ok = true;
    if (name.len > 0 && !check_type_validate(&c->type, e))
        ok = error_prefix(e, "Check is not valid: ");
    if (ok && local_register_check(l, c, CHECK_FROM_CONFIG, e)) {
        file_load_state(l, local_check_find(l, name));
        return true;
    }
    struct str text = e->text;
    return error_set(e, ERROR_INTERNAL, "Failed to register check '" STR_FMT "': " STR_FMT " &{" STR_FMT "}",
                     STR_ARG(c->type.name), STR_ARG(text), STR_ARG(name));
}

/* TTL checks inside of services get back what they were. */
static void load_states(struct local *l)
{
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (!c->deleted && c->source == CHECK_FROM_CONFIG && c->check.service_id.len > 0)
            file_load_state(l, c);
    }
}

static bool load_all(struct local *l, struct error *e)
{
    const struct config *config = l->config;
    for (uint32_t i = 0; i < config->services.len; i++)
        if (!load_config_service(l, &LIST_AT(config->services, struct service_definition, i), e))
            return false;
    if (config->data_dir.len > 0 && !file_load_services(l, e))
        return false;
    for (uint32_t i = 0; i < config->checks.len; i++)
        if (!load_config_check(l, &LIST_AT(config->checks, struct config_check, i), e))
            return false;
    load_states(l);
    return config->data_dir.len == 0 || file_load_checks(l, e);
}

bool local_load(struct local *l, const struct config *config, struct error *e)
{
    const struct config *old = l->config;
    l->config = config_hold(config);
    config_release(old);
    l->loading = true;
    bool ok = load_all(l, e);
    l->loading = false;
    return ok;
}

/* ---- reload ---- */

struct remembered {
    struct str id, status, output;
    int64_t critical_since;
};

static struct list remember(const struct local *l, struct arena *arena)
{
    struct list all = LIST_NEW(arena, struct remembered, l->checks.count);
    all.len = 0;
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        const struct local_check *c = value;
        if (!c->deleted)
            LIST_AT(all, struct remembered, all.len++) =
                (struct remembered){str_copy(arena, c->check.check_id), str_copy(arena, c->check.status),
                                    str_copy(arena, c->check.output), c->critical_since};
    }
    return all;
}

static void give_back(struct local *l, const struct list *all)
{
    for (uint32_t i = 0; i < all->len; i++) {
        const struct remembered *r = &LIST_AT(*all, struct remembered, i);
        struct local_check *c = local_check_find(l, r->id);
        if (c == NULL)
            continue;
        c->check.status = str_copy(&c->arena, r->status);
        local_set_output(c, r->output);
        c->critical_since = r->critical_since;
    }
}

/* Marks all as deleted; what comes back takes the place of what was. Files stay. */
static void unload(struct local *l)
{
    void *value;
    l->loading = true;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (!c->deleted)
            local_check_drop(l, c);
    }
    for (size_t i = 0; map_next(&l->services, &i, NULL, &value);) {
        struct local_service *s = value;
        s->deleted = true;
        local_touch_service(l, s);
    }
    l->loading = false;
}

bool local_reload(struct local *l, const struct config *config, struct error *e)
{
    struct arena scratch = ARENA_INIT;
    struct list states = remember(l, &scratch);
    unload(l);
    l->node_in_sync = false;
    bool ok = local_load(l, config, e);
    give_back(l, &states);
    arena_free(&scratch);
    for (struct local_watch *w = l->watches.next, *next; w != &l->watches; w = next) {
        next = w->next;
        local_watch_remove(w);
        w->fn(w);
    }
    sync_trigger(l);
    return ok;
}
