/* See intention_rules.h. */
#include "schema/intention_rules.h"

#include "schema/problems.h"

/* Bytes. */
#define DESCRIPTION_MAX 512

void intention_set_defaults(struct intention *x) {
    if (x->source_ns.len == 0)
        x->source_ns = STR(INTENTION_NAMESPACE);
    if (x->destination_ns.len == 0)
        x->destination_ns = STR(INTENTION_NAMESPACE);
    if (x->source_type.len == 0)
        x->source_type = STR(INTENTION_SOURCE_TYPE);
}

static bool is_wildcard(struct str s) {
    return str_is(s, INTENTION_WILDCARD);
}

static bool is_partly_wild(struct str s) {
    return !is_wildcard(s) && str_find_char(s, '*') >= 0;
}

static void check_set(struct problems *p, const char *side, struct str ns, struct str name) {
    if (ns.len == 0)
        problem(p, "%sNS must be set", side);
    if (name.len == 0)
        problem(p, "%sName must be set", side);
}

static void check_wildcards(struct problems *p, const char *side, struct str ns, struct str name) {
    if (is_partly_wild(ns))
        problem(p, "%sNS: wildcard character '*' cannot be used with partial values", side);
    if (is_partly_wild(name))
        problem(p, "%sName: wildcard character '*' cannot be used with partial values", side);
    if (is_wildcard(ns) && !is_wildcard(name))
        problem(p, "%sName: exact value cannot follow wildcard namespace", side);
}

bool intention_validate(const struct intention *x, struct arena *arena, struct error *e) {
    struct problems p = {.arena = arena};
    check_set(&p, "Source", x->source_ns, x->source_name);
    check_set(&p, "Destination", x->destination_ns, x->destination_name);
    check_wildcards(&p, "Source", x->source_ns, x->source_name);
    check_wildcards(&p, "Destination", x->destination_ns, x->destination_name);
    if (x->description.len > DESCRIPTION_MAX)
        problem(&p, "Description exceeds maximum length %d", DESCRIPTION_MAX);
    meta_problems(&p, &x->meta);
    if (!str_is(x->action, "allow") && !str_is(x->action, "deny"))
        problem(&p, "Action must be set to 'allow' or 'deny'");
    if (!str_is(x->source_type, INTENTION_SOURCE_TYPE))
        problem(&p, "SourceType must be set to 'consul'");
    return problems_end(&p, e);
}

static bool covers_source(const struct intention *x, struct str ns, struct str name) {
    return (is_wildcard(x->source_ns) || str_eq(x->source_ns, ns)) &&
           (is_wildcard(x->source_name) || str_eq(x->source_name, name));
}

const struct intention *intention_deciding(const struct list *intentions, struct str ns,
                                           struct str name) {
    for (uint32_t i = 0; i < intentions->len; i++) {
        const struct intention *x = LIST_AT(*intentions, struct intention *, i);
        if (x != NULL && covers_source(x, ns, name))
            return x;
    }
    return NULL;
}

bool intention_allows(const struct intention *x) {
    return str_is(x->action, "allow");
}

struct str intention_describe(const struct intention *x, struct arena *arena) {
    char *action = str_terminated(arena, x->action);
    for (char *c = action; *c != 0; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - ('a' - 'A')) : *c;
    return str_format(
        arena,
        "%s " STR_FMT "/" STR_FMT " => " STR_FMT "/" STR_FMT " (ID: " STR_FMT ", Precedence: %lld)",
        action, STR_ARG(x->source_ns), STR_ARG(x->source_name), STR_ARG(x->destination_ns),
        STR_ARG(x->destination_name), STR_ARG(x->id), (long long)x->precedence);
}
