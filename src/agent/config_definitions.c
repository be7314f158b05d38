/* Services and checks of the configuration (config.md 3.10 and B4): from trees to definitions, with
 * what is checked while reading. What is only found when they are registered is local.h's.
 */
#include <stdlib.h>

#include "agent/config_table.h"
#include "agent/local.h"
#include "base/mem.h"
#include "codec/json.h"
#include "schema/service_rules.h"

/* Errors of this class discard what was found before them: config.md 2.1. */
static void discarding_error(struct config_builder *b, const char *format, struct str name,
                             struct str text) {
    b->errors.len = 0;
    struct str prefix = str_format(b->arena, "%s" STR_FMT, format, STR_ARG(name));
    texts_addf(&b->errors, STR_FMT ": " STR_FMT, STR_ARG(prefix), STR_ARG(text));
}

static void check_mesh_gateway(struct config_builder *b, const struct mesh_gateway_config *g) {
    if (!mesh_gateway_mode_known(g->mode))
        texts_addf(&b->errors, "Invalid Mesh Gateway Mode: " STR_FMT,
                   STR_ARG(str_quote(b->arena, g->mode)));
}

static void check_proxy(struct config_builder *b, struct connect_proxy_config *proxy) {
    for (uint32_t i = 0; i < proxy->upstreams.len; i++)
        check_mesh_gateway(b, &LIST_AT(proxy->upstreams, struct upstream, i).mesh_gateway);
    check_mesh_gateway(b, &proxy->mesh_gateway);
}

static struct str known_kind(struct str kind) {
    static const char *const kinds[] = {"connect-proxy", "mesh-gateway", "terminating-gateway",
                                        "ingress-gateway"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_is(kind, kinds[i]))
            return kind;
    return STR("");
}

static struct config_check build_check(struct config_builder *b, const struct value *tree) {
    struct config_check check = {0};
    config_fill(&config_check_block, tree, &check, STR(""), &b->errors, b->arena);
    return check;
}

/* `checks`, then `check`. */
static struct list service_checks(struct config_builder *b, const struct value *tree) {
    const struct value *many = config_get(tree, "checks"), *one = config_get(tree, "check");
    size_t count = (many ? many->list.len : 0) + (one ? 1 : 0);
    struct list out = LIST_NEW(b->arena, struct check_type *, count);
    for (size_t i = 0; i < count; i++) {
        const struct value *from = many && i < many->list.len ? &many->list.items[i] : one;
        struct config_check check = build_check(b, from);
        struct check_type *type = ARENA_NEW(b->arena, struct check_type);
        *type = check.type;
        LIST_AT(out, struct check_type *, i) = type;
    }
    return out;
}

/* A sidecar's own first, then what is wrong with its being one: the peer's order. */
static void build_service(struct config_builder *b, const struct value *tree,
                          struct service_definition *s) {
    s->checks = service_checks(b, tree);
    s->kind = known_kind(s->kind);
    struct error e = ERROR_IN(b->arena);
    if (!service_meta_validate(&s->meta, str_is(s->kind, "mesh-gateway"), &e))
        discarding_error(b, "invalid meta for service ", s->name, e.text);
    if (s->weights == NULL) {
        s->weights = ARENA_NEW(b->arena, struct weights);
        *s->weights = (struct weights){1, 1};
    }
    error_clear(&e);
    if (!weights_validate(s->weights, &e))
        discarding_error(b, "Invalid weight definition for service ", s->name, e.text);
    if (s->proxy != NULL)
        check_proxy(b, s->proxy);
    if (s->connect == NULL || s->connect->sidecar_service == NULL)
        return;
    struct service_definition *sidecar = s->connect->sidecar_service;
    build_service(b, config_get(tree, "connect.sidecar_service"), sidecar);
    if (sidecar->id.len > 0)
        texts_add(&b->errors, STR("sidecar_service can't specify an ID"));
    if (sidecar->connect != NULL && sidecar->connect->sidecar_service != NULL)
        texts_add(&b->errors, STR("sidecar_service can't have a nested sidecar_service"));
}

static int compare_ttls(const void *a, const void *b) {
    return str_compare(((const struct config_service_ttl *)a)->name,
                       ((const struct config_service_ttl *)b)->name);
}

static void build_service_ttls(struct config_builder *b) {
    const struct value *map = config_get(&b->tree, "dns_config.service_ttl");
    if (map == NULL)
        return;
    struct list out = LIST_NEW(b->arena, struct config_service_ttl, map->map.len);
    for (size_t i = 0; i < map->map.len; i++) {
        struct config_service_ttl *ttl = &LIST_AT(out, struct config_service_ttl, i);
        struct error e = ERROR_IN(b->arena);
        ttl->name = map->map.pairs[i].key;
        struct str text = map->map.pairs[i].value.string;
        if (!duration_parse(text, &ttl->ttl, &e)) {
            b->errors.len = 0;
            texts_addf(&b->errors,
                       "dns_config.service_ttl[" STR_FMT "]: invalid duration: " STR_FMT
                       ": " STR_FMT,
                       STR_ARG(str_quote(b->arena, ttl->name)), STR_ARG(str_quote(b->arena, text)),
                       STR_ARG(e.text));
        }
    }
    if (out.len > 1)
        qsort(out.items, out.len, sizeof(struct config_service_ttl), compare_ttls);
    b->c->dns.service_ttl = out;
}

void config_build_definitions(struct config_builder *b) {
    build_service_ttls(b);
    const struct value *checks = config_get(&b->tree, "checks");
    size_t count = checks ? checks->list.len : 0;
    b->c->checks = LIST_NEW(b->arena, struct config_check, count);
    for (size_t i = 0; i < count; i++)
        LIST_AT(b->c->checks, struct config_check, i) = build_check(b, &checks->list.items[i]);

    const struct value *services = config_get(&b->tree, "services");
    count = services ? services->list.len : 0;
    b->c->services = LIST_NEW(b->arena, struct service_definition, count);
    for (size_t i = 0; i < count; i++) {
        struct service_definition *s = &LIST_AT(b->c->services, struct service_definition, i);
        config_fill(&config_service_block, &services->list.items[i], s, STR(""), &b->errors,
                    b->arena);
        build_service(b, &services->list.items[i], s);
    }
}

void config_write_service_json(struct buf *out, const struct service_definition *d) {
    struct json_writer w;
    json_begin(&w, out, false);
    schema_write_json(&w, &service_definition_shape, d);
    json_finish(&w);
}
