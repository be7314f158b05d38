/* Prepared query templates: which texts of a query are interpolated, and with what.
 */
#include "store/query_template.h"

#include "base/mem.h"
#include "schema/interpolate.h"
#include "schema/regex.h"

#define TEMPLATE_TYPE "name_prefix_match"
#define MAX_GROUPS 1000 /* of the expression; more are as absent ones */

struct render {
    struct interpolation_scope scope;
    struct arena *arena;
    struct error *error;
};

static bool render_text(struct render *r, struct str *text, const char *path) {
    struct str before = *text;
    struct error why = ERROR_IN(r->arena);
    enum interpolation outcome = interpolate(before, &r->scope, r->arena, text, &why);
    if (outcome == INTERPOLATION_DONE)
        return true;
    const char *what = outcome == INTERPOLATION_MALFORMED ? "Bad format" : "Bad evaluation for";
    return error_set(r->error, ERROR_INTERNAL, "%s '%.*s' in Service.%s: %.*s", what,
                     STR_ARG(before), path, STR_ARG(why.text));
}

/* Lists and maps are copied: the template stays as it is. */
static bool render_list(struct render *r, struct list *texts, const char *path) {
    struct list out = LIST_NEW(r->arena, struct str, texts->len);
    out.present = texts->present;
    for (uint32_t i = 0; i < texts->len; i++) {
        struct str place = str_format(r->arena, "%s[%u]", path, i);
        struct str *text = &LIST_AT(out, struct str, i);
        *text = LIST_AT(*texts, struct str, i);
        if (!render_text(r, text, place.data))
            return false;
    }
    *texts = out;
    return true;
}

static bool render_map(struct render *r, struct list *map, const char *path) {
    struct list out = LIST_NEW(r->arena, struct str_pair, map->len);
    out.present = map->present;
    for (uint32_t i = 0; i < map->len; i++) {
        struct str_pair *pair = &LIST_AT(out, struct str_pair, i);
        *pair = LIST_AT(*map, struct str_pair, i);
        struct str place = str_format(r->arena, "%s[%.*s]", path, STR_ARG(pair->key));
        if (!render_text(r, &pair->value, place.data))
            return false;
    }
    *map = out;
    return true;
}

static bool render_service(struct render *r, struct service_query *s) {
    return render_text(r, &s->service, "Service") &&
           render_list(r, &s->failover.datacenters, "Failover.Datacenters") &&
           render_list(r, &s->ignore_check_ids, "IgnoreCheckIDs") &&
           render_text(r, &s->near, "Near") && render_list(r, &s->tags, "Tags") &&
           render_map(r, &s->node_meta, "NodeMeta") &&
           render_map(r, &s->service_meta, "ServiceMeta");
}

static void remove_empty(struct list *tags) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < tags->len; i++) {
        struct str tag = LIST_AT(*tags, struct str, i);
        if (tag.len > 0)
            LIST_AT(*tags, struct str, kept++) = tag;
    }
    tags->len = kept;
    tags->present = true;
}

/* The groups of the query's expression on the name. */
static bool find_groups(struct render *r, const struct prepared_query *query, struct str name) {
    if (query->template.regexp.len == 0)
        return true;
    struct regex *regex = regex_compile(query->template.regexp, r->error);
    if (regex == NULL)
        return error_prefix(r->error, "Bad Regexp: ");
    struct str *groups = ARENA_ARRAY(r->arena, struct str, MAX_GROUPS);
    size_t count = regex_groups(regex, name, groups, MAX_GROUPS);
    regex_free(regex);
    r->scope.groups = groups;
    r->scope.group_count = count < MAX_GROUPS ? count : MAX_GROUPS;
    return true;
}

struct prepared_query *query_template_render(const struct prepared_query *query, struct str name,
                                             struct str segment, struct arena *arena,
                                             struct error *e) {
    struct str suffix = name;
    if (str_has_prefix(name, query->name))
        suffix = str_sub(name, query->name.len, name.len);
    const struct str_pair variables[] = {{STR("name.full"), name},
                                         {STR("name.prefix"), query->name},
                                         {STR("name.suffix"), suffix},
                                         {STR("agent.segment"), segment}};
    struct render r = {
        .scope = {.variables = variables, .variable_count = COUNT_OF(variables), .has_match = true},
        .arena = arena,
        .error = e};
    struct prepared_query *out = ARENA_NEW(arena, struct prepared_query);
    *out = *query;
    if (!find_groups(&r, query, name) || !render_service(&r, &out->service))
        return NULL;
    if (query->template.remove_empty_tags)
        remove_empty(&out->service.tags);
    return out;
}

bool query_template_check(const struct prepared_query *query, struct arena *arena,
                          struct error *e) {
    if (!str_is(query->template.type, TEMPLATE_TYPE)) {
        return error_set(e, ERROR_INTERNAL, "Bad Template.Type '%.*s'",
                         STR_ARG(query->template.type));
    }
    return query_template_render(query, query->name, STR(""), arena, e) != NULL;
}
