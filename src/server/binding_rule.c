/* Selectors are filters over the shape of a type's identity; bind names are interpolated with its
 * variables. See binding_rule.h. */
#include "server/binding_rule.h"

#include "base/mem.h"
#include "schema/filter.h"
#include "schema/interpolate.h"
#include "schema/table.h"
#include "server/auth_jwt.h"

#define NAME_MAX_BYTES 256

/* ---- what selectors see ---- */

#define OF struct auth_service_account
static const struct field auth_service_account_fields[] = {
    F_STR("namespace", namespace),
    F_STR("name", name),
    F_STR("uid", uid),
};
#undef OF
SHAPE(auth_service_account, "serviceaccount");

#define OF struct auth_identity
static const struct field jwt_identity_fields[] = {
    F_MAP("value", value, OF_STR),
    F_MAP("list", list, OF_LIST(OF_STR)),
};
static const struct field kubernetes_identity_fields[] = {
    F_STRUCT("serviceaccount", serviceaccount, auth_service_account),
};
#undef OF
SHAPE_OVER(jwt_identity, auth_identity, "jwt");
SHAPE_OVER(kubernetes_identity, auth_identity, "kubernetes");

static const struct shape *identity_shape(struct str type) {
    return str_is(type, "jwt") ? &jwt_identity_shape : &kubernetes_identity_shape;
}

/* ---- names ---- */

static const char *const bind_types[] = {
    [BIND_SERVICE] = "service", [BIND_NODE] = "node", [BIND_ROLE] = "role"};

static bool find_bind_type(struct str text, enum bind_type *out) {
    for (size_t i = 0; i < COUNT_OF(bind_types); i++) {
        if (str_is(text, bind_types[i])) {
            *out = (enum bind_type)i;
            return true;
        }
    }
    return false;
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Services and nodes: small letters and digits, inside of them also "-" and "_". Roles: letters,
 * digits,
 * "-" and "_" anywhere. */
static bool name_valid(enum bind_type type, struct str name) {
    bool role = type == BIND_ROLE;
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool inside = i > 0 && i + 1 < name.len;
        bool ok = is_plain(c) || ((c == '-' || c == '_') && (role || inside)) ||
                  (role && c >= 'A' && c <= 'Z');
        if (!ok)
            return false;
    }
    return true;
}

static bool compute_name(struct str text, const struct list *variables, struct arena *arena,
                         struct str *out, struct error *e) {
    struct interpolation_scope scope = {
        .variables = variables->items,
        .variable_count = variables->len,
    };
    *out = text;
    return str_find(text, STR("${"), 0) < 0 ||
           interpolate(text, &scope, arena, out, e) == INTERPOLATION_DONE;
}

/* ---- writing a rule ---- */

static bool check_selector(struct str type, struct str selector, struct arena *arena,
                           struct error *e) {
    if (selector.len == 0)
        return true;
    struct filter *filter = filter_compile(selector, identity_shape(type), arena, e);
    filter_free(filter);
    return filter != NULL || error_prefix(e, "invalid Binding Rule: Selector is invalid: ");
}

/* Each variable that the method's logins will have, as "fake". */
static bool fake_variables(const struct acl_auth_method *method, struct list *out,
                           struct arena *arena, struct error *e) {
    if (!str_is(method->type, "jwt")) {
        static const struct str_pair all[] = {
            {STR_INIT("serviceaccount.name"), STR_INIT("fake")},
            {STR_INIT("serviceaccount.namespace"), STR_INIT("fake")},
            {STR_INIT("serviceaccount.uid"), STR_INIT("fake")},
        };
        *out = (struct list){arena_copy(arena, all, sizeof(all)), COUNT_OF(all), true};
        return true;
    }
    struct jwt_config config;
    if (!jwt_config_decode(method->config, &config, arena, e))
        return false;
    const struct list *mappings = &config.claim_mappings;
    *out = LIST_NEW(arena, struct str_pair, mappings->len);
    for (uint32_t i = 0; i < mappings->len; i++) {
        struct str target = LIST_AT(*mappings, struct str_pair, i).value;
        LIST_AT(*out, struct str_pair, i) =
            (struct str_pair){str_format(arena, "value." STR_FMT, STR_ARG(target)), STR("fake")};
    }
    return true;
}

static bool check_name(const struct acl_auth_method *method, enum bind_type type, struct str text,
                       struct arena *arena, struct error *e) {
    struct list variables;
    struct str name;
    if (!fake_variables(method, &variables, arena, e))
        return error_prefix(e, "Invalid Binding Rule: ");
    if (!compute_name(text, &variables, arena, &name, e)) {
        e->kind = ERROR_INTERNAL;
        return error_prefix(e, "Invalid Binding Rule: invalid BindName: ");
    }
    return name_valid(type, name) ||
           error_set(e, ERROR_INTERNAL, "Invalid Binding Rule: invalid BindName");
}

bool binding_rule_check(const struct acl_auth_method *method, const struct acl_binding_rule *rule,
                        struct error *e) {
    struct arena arena = ARENA_INIT;
    enum bind_type type = BIND_SERVICE;
    bool ok = check_selector(method->type, rule->selector, &arena, e);
    if (ok && rule->bind_type.len == 0)
        ok = error_set(e, ERROR_INTERNAL, "Invalid Binding Rule: no BindType is set");
    else if (ok && rule->bind_name.len == 0)
        ok = error_set(e, ERROR_INTERNAL, "Invalid Binding Rule: no BindName is set");
    else if (ok && !find_bind_type(rule->bind_type, &type))
        ok = error_set(e, ERROR_INTERNAL, "Invalid Binding Rule: unknown BindType " STR_FMT,
                       STR_ARG(str_quote(&arena, rule->bind_type)));
    else if (ok)
        ok = check_name(method, type, rule->bind_name, &arena, e);
    arena_free(&arena);
    return ok;
}

/* ---- a login ---- */

/* One that cannot be compiled or run matches nothing. */
static bool selects(const struct auth_identity *identity, struct str selector) {
    if (selector.len == 0)
        return true;
    struct arena arena = ARENA_INIT;
    struct error ignored = ERROR_IN(&arena);
    struct filter *filter =
        filter_compile(selector, identity_shape(identity->type), &arena, &ignored);
    bool matches = filter != NULL && filter_match(filter, identity);
    filter_free(filter);
    arena_free(&arena);
    return matches;
}

bool binding_rule_apply(const struct auth_identity *identity, const struct acl_binding_rule *rule,
                        struct arena *arena, bool *matches, struct binding *out, struct error *e) {
    *matches = selects(identity, rule->selector);
    if (!*matches)
        return true;
    *matches = find_bind_type(rule->bind_type, &out->type);
    if (!*matches)
        return true;
    if (!compute_name(rule->bind_name, &identity->variables, arena, &out->name, e)) {
        e->kind = ERROR_INTERNAL;
        return error_prefix(e, "cannot compute " STR_FMT " bind name for bind target: ",
                            STR_ARG(str_quote(arena, rule->bind_type)));
    }
    return name_valid(out->type, out->name) ||
           error_set(e, ERROR_INTERNAL,
                     "computed " STR_FMT " bind name for bind target is invalid: " STR_FMT,
                     STR_ARG(str_quote(arena, rule->bind_type)),
                     STR_ARG(str_quote(arena, out->name)));
}
