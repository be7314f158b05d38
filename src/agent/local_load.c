/* What the agent starts with: services and checks of the configuration, then those that were
 * registered over HTTP and kept in the data directory (agent.md 4.7); and doing it all again on a
 * reload (8.4).
 */
#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"

static bool validate_checks(const struct service_definition *d, struct error *e) {
    for (uint32_t i = 0; i < d->checks.len; i++)
        if (!check_type_validate(LIST_AT(d->checks, struct check_type *, i), e))
            return false;
    return true;
}

static bool load_config_service(struct local *l, const struct service_definition *d,
                                struct error *e) {
    if (!validate_checks(d, e))
        return error_prefix(
            e, "Failed to validate checks for service \"" STR_FMT "\": ", STR_ARG(d->name));
    struct arena scratch = ARENA_INIT;
    struct service_definition *sidecar;
    bool ok = true;
    if (!local_sidecar_of(l, d, &sidecar, &scratch, e) ||
        (sidecar != NULL && !validate_checks(d->connect->sidecar_service, e)))
        ok = error_prefix(
            e, "Failed to validate sidecar for service \"" STR_FMT "\": ", STR_ARG(d->name));
    if (ok && d->name.len == 0)
        ok = error_set(e, ERROR_INTERNAL, "Failed to register service \"\": Service name missing");
    struct local_registration r = {.definition = d, .token = d->token};
    if (ok && !local_register_service(l, &r, e))
        ok = error_prefix(e, "Failed to register service \"" STR_FMT "\": ", STR_ARG(d->name));
    if (ok && sidecar != NULL) {
        r = (struct local_registration){
            .definition = sidecar, .token = sidecar->token, .is_sidecar = true};
        if (!local_register_service(l, &r, e))
            ok = error_prefix(
                e, "Failed to register sidecar for service \"" STR_FMT "\": ", STR_ARG(d->name));
    }
    arena_free(&scratch);
    return ok;
}

/* The definition as the peer's error texts dump it. */
static struct str dump_check(const struct config_check *c, struct arena *arena) {
    const struct check_type *t = &c->type;
    struct buf out = BUF_INIT;
    const struct str texts[] = {t->check_id, t->name, t->notes, c->service_id, c->token, t->status};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        buf_add_format(&out, STR_FMT " ", STR_ARG(texts[i]));
    buf_add_char(&out, '[');
    for (uint32_t i = 0; i < t->script_args.len; i++)
        buf_add_format(&out, "%s" STR_FMT, i ? " " : "",
                       STR_ARG(LIST_AT(t->script_args, struct str, i)));
    buf_add_format(&out, "] " STR_FMT " map[", STR_ARG(t->http));
    for (uint32_t i = 0; i < t->header.len; i++) {
        const struct list_pair *pair = &LIST_AT(t->header, struct list_pair, i);
        buf_add_format(&out, "%s" STR_FMT ":[", i ? " " : "", STR_ARG(pair->key));
        for (uint32_t j = 0; j < pair->value.len; j++)
            buf_add_format(&out, "%s" STR_FMT, j ? " " : "",
                           STR_ARG(LIST_AT(pair->value, struct str, j)));
        buf_add_char(&out, ']');
    }
    struct str interval = duration_format(arena, t->interval),
               timeout = duration_format(arena, t->timeout);
    struct str ttl = duration_format(arena, t->ttl);
    struct str after = duration_format(arena, t->deregister_critical_service_after);
    buf_add_format(
        &out, "] " STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT,
        STR_ARG(t->method), STR_ARG(t->body), STR_ARG(t->tcp), STR_ARG(interval),
        STR_ARG(t->docker_container_id), STR_ARG(t->shell), STR_ARG(t->grpc));
    buf_add_format(
        &out,
        " %s %s " STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT " %lld %lld " STR_FMT " %lld {}",
        t->grpc_use_tls ? "true" : "false", t->tls_skip_verify ? "true" : "false",
        STR_ARG(t->alias_node), STR_ARG(t->alias_service), STR_ARG(timeout), STR_ARG(ttl),
        (long long)t->success_before_passing, (long long)t->failures_before_critical,
        STR_ARG(after), (long long)t->output_max_size);
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

static bool load_config_check(struct local *l, const struct config_check *c, struct error *e) {
    struct str name = c->type.check_id.len > 0 ? c->type.check_id : c->type.name;
    bool ok = true;
    if (name.len > 0 && !check_type_validate(&c->type, e))
        ok = error_prefix(e, "Check is not valid: ");
    if (ok && local_register_check(l, c, CHECK_FROM_CONFIG, e)) {
        file_load_state(l, local_check_find(l, name));
        return true;
    }
    struct str text = e->text, dump = dump_check(c, e->arena);
    return error_set(e, ERROR_INTERNAL,
                     "Failed to register check '" STR_FMT "': " STR_FMT " &{" STR_FMT "}",
                     STR_ARG(c->type.name), STR_ARG(text), STR_ARG(dump));
}

/* TTL checks inside of services get back what they were. */
static void load_states(struct local *l) {
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (!c->deleted && c->source == CHECK_FROM_CONFIG && c->check.service_id.len > 0)
            file_load_state(l, c);
    }
}

static bool load_all(struct local *l, struct error *e) {
    const struct config *config = l->config;
    l->loading_part = "services";
    if (config->data_dir.len > 0 && !l->central_loaded)
        file_load_central(l);
    l->central_loaded = true;
    for (uint32_t i = 0; i < config->services.len; i++)
        if (!load_config_service(l, &LIST_AT(config->services, struct service_definition, i), e))
            return false;
    if (config->data_dir.len > 0 && !file_load_services(l, e))
        return false;
    l->loading_part = "checks";
    for (uint32_t i = 0; i < config->checks.len; i++)
        if (!load_config_check(l, &LIST_AT(config->checks, struct config_check, i), e))
            return false;
    load_states(l);
    return config->data_dir.len == 0 || file_load_checks(l, e);
}

const char *local_loading_part(const struct local *l) {
    return l->loading_part;
}

bool local_load(struct local *l, const struct config *config, struct error *e) {
    const struct config *old = l->config;
    l->config = config_hold(config);
    config_release(old);
    l->loading = true;
    bool ok = load_all(l, e);
    l->loading = false;
    if (ok)
        central_forget_gone(l);
    return ok;
}

/* ---- reload ---- */

struct remembered {
    struct str id, status, output;
};

static struct list remember(const struct local *l, struct arena *arena) {
    struct list all = LIST_NEW(arena, struct remembered, l->checks.count);
    all.len = 0;
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        const struct local_check *c = value;
        if (!c->deleted)
            LIST_AT(all, struct remembered, all.len++) = (struct remembered){
                str_copy(arena, c->check.check_id), str_copy(arena, c->check.status),
                str_copy(arena, c->check.output)};
    }
    return all;
}

static void give_back(struct local *l, const struct list *all) {
    for (uint32_t i = 0; i < all->len; i++) {
        const struct remembered *r = &LIST_AT(*all, struct remembered, i);
        struct local_check *c = local_check_find(l, r->id);
        if (c == NULL)
            continue;
        c->check.status = str_copy(&c->arena, r->status);
        local_set_output(c, l->discards_output ? STR("") : r->output);
    }
}

/* Marks all as deleted; what comes back takes the place of what was. Files stay. */
static void unload(struct local *l) {
    void *value;
    l->loading = true;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (c->deleted)
            continue;
        local_check_drop(l, c);
    }
    expose_forget(l);
    for (size_t i = 0; map_next(&l->services, &i, NULL, &value);) {
        struct local_service *s = value;
        if (!s->deleted)
            log_at(LOG_DEBUG, "agent", "removed service", LOG_S("service", s->service.id));
        s->deleted = true;
        local_touch_service(l, s);
    }
    l->loading = false;
}

bool local_reload(struct local *l, const struct config *config, struct error *e) {
    struct arena scratch = ARENA_INIT;
    struct list states = remember(l, &scratch);
    unload(l);
    l->node_in_sync = false;
    l->node_version++;
    bool ok = local_load(l, config, e);
    give_back(l, &states);
    l->discards_output = config->discard_check_output; /* not before: as the peer */
    arena_free(&scratch);
    local_notify(l, STR_NONE);
    sync_trigger(l);
    return ok;
}
