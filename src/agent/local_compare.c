/* The first half of a full sync (agent.md 4.3): what the catalog has of this node against what the
 * agent has. What differs is marked, and pushed by the pass that follows; what only the catalog has
 * goes.
 */
#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"

#define LOGGER "agent"

/* Lists and maps that are nil and empty count as equal. */
static bool same_map(const struct list *a, const struct list *b) {
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!str_eq(LIST_AT(*a, struct str_pair, i).key, LIST_AT(*b, struct str_pair, i).key) ||
            !str_eq(LIST_AT(*a, struct str_pair, i).value, LIST_AT(*b, struct str_pair, i).value))
            return false;
    return true;
}

static bool same_strings(const struct list *a, const struct list *b) {
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!str_eq(LIST_AT(*a, struct str, i), LIST_AT(*b, struct str, i)))
            return false;
    return true;
}

static struct node_service comparable(const struct node_service *s) {
    static struct weights none;
    struct node_service copy = *s;
    copy.create_index = copy.modify_index = 0;
    copy.locally_registered_as_sidecar = false;
    copy.connect.sidecar_service = NULL;
    copy.meta.present = copy.tags.present = copy.tagged_addresses.present = true;
    copy.proxy.upstreams.present = copy.proxy.expose.paths.present = true;
    if (copy.weights == NULL)
        copy.weights = &none;
    return copy;
}

/* The tags of the catalog count for a service that lets them be overridden; never nil (sic). The
 * service moves to an arena of its own, so that changes without end take no memory without end. */
static void adopt_tags(struct local *l, struct local_service *s, const struct list *tags) {
    bool same = same_strings(&s->service.tags, tags);
    s->service.tags.present = true;
    if (same)
        return;
    struct arena old = s->arena;
    s->arena = ARENA_INIT;
    struct node_service from = s->service;
    from.tags = *tags;
    from.tags.present = true;
    schema_copy(&node_service_shape, &s->service, &from, &s->arena);
    s->token = str_copy(&s->arena, s->token);
    arena_free(&old);
    local_notify(l, s->service.id);
}

static void compare_service(struct local *l, const struct node_service *remote, struct map *seen) {
    struct local_service *s = map_get(&l->services, remote->id);
    if (s == NULL) {
        if (!str_is(remote->id, "consul"))
            sync_drop_service(l, remote->id);
        return;
    }
    map_put(seen, remote->id, s);
    if (s->deleted) { /* it is still there, perhaps since removing it was refused */
        s->in_sync = false;
        return;
    }
    if (s->service.enable_tag_override)
        adopt_tags(l, s, &remote->tags);
    struct node_service here = comparable(&s->service), there = comparable(remote);
    s->in_sync = schema_equal(&node_service_shape, &here, &there);
}

void sync_compare_services(struct local *l, const struct node_service_list *remote) {
    const struct node *node = remote->node;
    struct list meta = sync_own_meta(l, &l->pass);
    l->node_in_sync = node != NULL && str_is(node->id, l->node_id) &&
                      same_map(&node->tagged_addresses, &l->config->tagged_addresses) &&
                      same_map(&node->meta, &meta);
    struct map seen = MAP_INIT;
    for (uint32_t i = 0; i < remote->services.len; i++)
        compare_service(l, LIST_AT(remote->services, struct node_service *, i), &seen);
    struct str id;
    void *value;
    for (size_t i = 0; map_next(&l->services, &i, &id, &value);) {
        struct local_service *s = value;
        if (map_get(&seen, id) != NULL)
            continue;
        if (!s->deleted) {
            s->in_sync = false;
            continue;
        }
        local_service_drop(l, s); /* gone there as well */
    }
    map_free(&seen);
}

static bool same_check(const struct local_check *c, const struct health_check *remote) {
    static const struct health_check_definition none;
    const struct health_check *here = &c->check;
    return str_eq(here->node, remote->node) && str_eq(here->name, remote->name) &&
           str_eq(here->status, remote->status) && str_eq(here->notes, remote->notes) &&
           (c->deferral != NULL || str_eq(here->output, remote->output)) &&
           str_eq(here->service_id, remote->service_id) &&
           str_eq(here->service_name, remote->service_name) &&
           same_strings(&here->service_tags, &remote->service_tags) &&
           schema_equal(&health_check_definition_shape, &remote->definition, &none);
}

void sync_compare_checks(struct local *l, const struct list *remote) {
    struct map seen = MAP_INIT;
    for (uint32_t i = 0; i < remote->len; i++) {
        const struct health_check *r = LIST_AT(*remote, struct health_check *, i);
        struct local_check *c = map_get(&l->checks, r->check_id);
        if (c != NULL) {
            map_put(&seen, r->check_id, c);
            c->in_sync = !c->deleted && same_check(c, r);
        } else if (str_is(r->check_id, "serfHealth")) {
            log_at(LOG_DEBUG, LOGGER, "Skipping remote check since it is managed automatically",
                   LOG_C("check", "serfHealth"));
        } else {
            sync_drop_check(l, r->check_id);
        }
    }
    struct str id;
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, &id, &value);) {
        struct local_check *c = value;
        if (map_get(&seen, id) != NULL)
            continue;
        if (!c->deleted) {
            c->in_sync = false;
            continue;
        }
        map_remove(&l->checks, id);
        local_check_free(l, c);
    }
    map_free(&seen);
}
