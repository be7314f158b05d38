/* What agents of the old system ask for instead of resolving tokens themselves (acl.md 7.4, 16.1):
 * ACL.GetPolicy gives all rules of a token as one policy, whose exact and prefix rules are in the
 * same lists, as that system knows prefixes only.
 */
#include "acl/rules.h"
#include "base/time.h"
#include "codec/blake2b.h"
#include "server/endpoint_acl.h"

static const char *word_text(struct acl_word word) {
    static const char *const words[] = {"", "read", "list", "write", "deny"};
    return words[word.level];
}

/* deny > write > list > read; only lower-case words have a rank (6.2). */
static int word_rank(struct acl_word word) {
    return word.exact ? (int)word.level : 0;
}

static void word_merge(struct acl_word *into, struct acl_word word) {
    if (word_rank(word) > word_rank(*into))
        *into = word;
}

/* ---- merging ---- */

struct merge {
    struct arena *arena;
    struct acl_word acl, keyring, operator;
    struct acl_rule *items;
    size_t len, cap;
};

static void rule_merge(struct merge *m, const struct acl_rule *rule) {
    for (size_t i = 0; i < m->len; i++) {
        struct acl_rule *r = &m->items[i];
        if (r->resource == rule->resource && r->prefix == rule->prefix &&
            str_eq(r->name, rule->name)) {
            word_merge(&r->policy, rule->policy);
            word_merge(&r->intentions, rule->intentions);
            return;
        }
    }
    if (m->len == m->cap) {
        size_t cap = m->cap == 0 ? 16 : 2 * m->cap;
        struct acl_rule *grown = ARENA_ARRAY(m->arena, struct acl_rule, cap);
        if (m->len > 0)
            memcpy(grown, m->items, m->len * sizeof *grown);
        m->items = grown;
        m->cap = cap;
    }
    m->items[m->len++] = *rule;
}

static bool source_merge(struct merge *m, const struct rule_source *source, struct error *e) {
    struct acl_rules rules;
    if (!acl_rules_parse(source->rules, source->syntax, &rules, m->arena, e))
        return false;
    word_merge(&m->acl, rules.acl);
    word_merge(&m->keyring, rules.keyring);
    word_merge(&m->operator, rules.operator);
    for (size_t i = 0; i < rules.len; i++)
        rule_merge(m, &rules.items[i]);
    return true;
}

/* ---- the reply's form ---- */

static void *rule_form(struct arena *arena, const struct acl_rule *rule) {
    struct str policy = str_from(word_text(rule->policy));
    switch (rule->resource) {
    case ACL_EVENT: {
        struct legacy_event_rule *r = ARENA_NEW(arena, struct legacy_event_rule);
        *r = (struct legacy_event_rule){.event = rule->name, .policy = policy};
        return r;
    }
    case ACL_KEY:
    case ACL_QUERY: {
        struct legacy_prefix_rule *r = ARENA_NEW(arena, struct legacy_prefix_rule);
        *r = (struct legacy_prefix_rule){.prefix = rule->name, .policy = policy};
        return r;
    }
    case ACL_NODE: {
        struct legacy_name_rule *r = ARENA_NEW(arena, struct legacy_name_rule);
        *r = (struct legacy_name_rule){.name = rule->name, .policy = policy};
        return r;
    }
    case ACL_SERVICE: {
        struct legacy_service_rule *r = ARENA_NEW(arena, struct legacy_service_rule);
        *r = (struct legacy_service_rule){.name = rule->name,
                                          .policy = policy,
                                          .intentions = str_from(word_text(rule->intentions))};
        return r;
    }
    default: {
        struct legacy_node_rule *r = ARENA_NEW(arena, struct legacy_node_rule);
        *r = (struct legacy_node_rule){.node = rule->name, .policy = policy};
        return r;
    }
    }
}

/* The exact rules, then the prefix rules. */
static struct list list_of(const struct merge *m, enum acl_resource resource) {
    struct list list = LIST_NEW(m->arena, void *, m->len);
    list.len = 0;
    for (int prefix = 0; prefix <= 1; prefix++) {
        for (size_t i = 0; i < m->len; i++) {
            const struct acl_rule *rule = &m->items[i];
            if (rule->resource == resource && rule->prefix == (prefix == 1))
                LIST_AT(list, void *, list.len++) = rule_form(m->arena, rule);
        }
    }
    return list.len > 0 ? list : LIST_NIL;
}

static struct str sources_id(struct arena *arena, const struct rule_source *sources, size_t count) {
    struct blake2b h;
    uint8_t out[BLAKE2B_BYTES];
    char hex[2 * BLAKE2B_BYTES + 1];
    blake2b_start(&h);
    for (size_t i = 0; i < count; i++) {
        char revision[8];
        for (int k = 0; k < 8; k++)
            revision[k] = (char)(sources[i].revision >> (56 - 8 * k));
        blake2b_add(&h, sources[i].id);
        blake2b_add(&h, str_of(revision, sizeof revision));
    }
    blake2b_end(&h, out);
    for (size_t i = 0; i < sizeof out; i++)
        snprintf(hex + 2 * i, 3, "%02x", out[i]);
    return str_copy(arena, str_from(hex));
}

static bool policy_of(struct call_context *c, const struct rule_source *sources, size_t count,
                      struct legacy_policy *out, struct error *e) {
    struct merge m = {.arena = c->arena};
    for (size_t i = 0; i < count; i++) {
        if (!source_merge(&m, &sources[i], e))
            return false;
    }
    *out = (struct legacy_policy){
        .id = sources_id(c->arena, sources, count),
        .acl = str_from(word_text(m.acl)),
        .keyring = str_from(word_text(m.keyring)),
        .operator= str_from(word_text(m.operator)),
        .agents = list_of(&m, ACL_AGENT),
        .events = list_of(&m, ACL_EVENT),
        .keys = list_of(&m, ACL_KEY),
        .nodes = list_of(&m, ACL_NODE),
        .prepared_queries = list_of(&m, ACL_QUERY),
        .services = list_of(&m, ACL_SERVICE),
        .sessions = list_of(&m, ACL_SESSION),
    };
    return true;
}

/* ---- GetPolicy ---- */

static bool get_policy_read(struct call_context *c, const void *request, void *reply,
                            struct error *e) {
    const struct acl_policy_resolve_legacy_request *r = request;
    struct acl_policy_resolve_legacy_response *out = reply;
    const struct acl_options *acl = &c->server->options.acl;
    struct token_grants grants;
    struct rule_source *sources;
    struct acl_token *token;
    struct legacy_policy *policy = ARENA_NEW(c->arena, struct legacy_policy);
    if (!acl_is_primary(c->server)) /* whether it looks at tokens itself or not */
        return error_set(e, ERROR_INTERNAL, ACL_DISABLED);
    acl_token_by_secret(c->store, r->acl.len > 0 ? r->acl : STR("anonymous"), &token);
    if (token == NULL || authorize_expired(token, time_now_wall()))
        return error_set(e, ERROR_DENIED, "ACL not found");
    token_grants_read(c->store, token, &grants);
    size_t count = authorize_sources(c->server, &grants, c->arena, &sources);
    if (count == 0 && token->type.len == 0) /* one of the old kind has at least an empty policy */
        return error_set(e, ERROR_DENIED, "ACL not found");
    if (!policy_of(c, sources, count, policy, e))
        return false;
    const char *parent = str_is(token->type, "management") ? "manage"
                         : acl->default_allow              ? "allow"
                                                           : "deny";
    out->etag = str_format(c->arena, "%s:" STR_FMT, parent, STR_ARG(policy->id));
    out->ttl = acl->token_ttl;
    if (!str_eq(out->etag, r->etag)) {
        out->parent = str_from(parent);
        out->policy = policy;
    }
    return true;
}

const struct endpoint endpoint_acl_get_policy = {
    .name = "ACL.GetPolicy",
    .kind = ENDPOINT_READ,
    .request = &acl_policy_resolve_legacy_request_shape,
    ENDPOINT_REPLY(acl_policy_resolve_legacy_response),
    .datacenter = offsetof(struct acl_policy_resolve_legacy_request, datacenter),
    .options = offsetof(struct acl_policy_resolve_legacy_request, options),
    .meta = offsetof(struct acl_policy_resolve_legacy_response, meta),
    .token = -1, /* acl is the secret */
    .read = get_policy_read,
};
