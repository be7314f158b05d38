/* From what gives a token rules to one set of rules (acl.md 4.4, 6.2). See authorize.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "server/authorize.h"
#include "server/server_room.h"
#include "store/acl.h"

/* acl.md 4.4: the texts of what identities stand for. Names cannot hold what would need quoting. */
#define SERVICE_RULES                                                                              \
    "\nservice \"" STR_FMT "\" {\n\tpolicy = \"write\"\n}\nservice \"" STR_FMT                     \
    "-sidecar-proxy\" {\n\tpolicy = \"write\"\n}\nservice_prefix \"\" {\n\tpolicy = "              \
    "\"read\"\n}\nnode_prefix \"\" {\n\tpolicy = \"read\"\n}"
#define NODE_RULES                                                                                 \
    "\nnode \"" STR_FMT "\" {\n\tpolicy = \"write\"\n}\nservice_prefix \"\" {\n\tpolicy = "        \
    "\"read\"\n}"

struct compiler {
    const struct server *server;
    struct arena *arena;
    struct rule_source *sources;
    size_t len, cap;
};

static void source_add(struct compiler *c, struct rule_source source) {
    if (c->len == c->cap) {
        c->cap = c->cap == 0 ? 16 : c->cap * 2;
        c->sources = mem_resize(c->sources, c->cap, sizeof(*c->sources));
    }
    c->sources[c->len++] = source;
}

/* Sorted among the others as the peer does: by the hex form of its text. */
static void source_synthetic(struct compiler *c, struct str rules) {
    static const char digits[] = "0123456789abcdef";
    char *id = arena_alloc(c->arena, rules.len * 2);
    for (size_t i = 0; i < rules.len; i++) {
        id[2 * i] = digits[(uint8_t)rules.data[i] >> 4];
        id[2 * i + 1] = digits[rules.data[i] & 15];
    }
    source_add(c, (struct rule_source){.id = str_of(id, rules.len * 2), .rules = rules});
}

/* Empty: everywhere. Case counts. */
static bool holds_here(const struct compiler *c, const struct list *datacenters) {
    for (uint32_t i = 0; i < datacenters->len; i++) {
        if (str_eq(LIST_AT(*datacenters, struct str, i), c->server->options.datacenter)) {
            return true;
        }
    }
    return datacenters->len == 0;
}

static void add_services(struct compiler *c, const struct list *identities) {
    for (uint32_t i = 0; i < identities->len; i++) {
        const struct service_identity *s = LIST_AT(*identities, struct service_identity *, i);
        if (s != NULL && holds_here(c, &s->datacenters)) {
            source_synthetic(c, str_format(c->arena, SERVICE_RULES, STR_ARG(s->service_name),
                                           STR_ARG(s->service_name)));
        }
    }
}

static void add_nodes(struct compiler *c, const struct list *identities) {
    for (uint32_t i = 0; i < identities->len; i++) {
        const struct node_identity *n = LIST_AT(*identities, struct node_identity *, i);
        if (n != NULL && str_eq(n->datacenter, c->server->options.datacenter)) {
            source_synthetic(c, str_format(c->arena, NODE_RULES, STR_ARG(n->node_name)));
        }
    }
}

/* What the token itself says, in the old system's way (acl.md 7.4). */
static void add_legacy(struct compiler *c, const struct acl_token *token) {
    if (str_is(token->type, "management") && token->policies.len == 0) {
        source_add(c, (struct rule_source){.id = STR(ACL_POLICY_GLOBAL_MANAGEMENT),
                                           .rules = acl_global_management_rules});
    } else if (token->rules.len > 0) {
        source_add(c, (struct rule_source){.id = token->secret_id,
                                           .rules = token->rules,
                                           .syntax = ACL_SYNTAX_LEGACY});
    }
}

static int by_id(const void *a, const void *b) {
    return str_compare(((const struct rule_source *)a)->id, ((const struct rule_source *)b)->id);
}

static void collect(struct compiler *c, const struct token_grants *g) {
    for (uint32_t i = 0; i < g->policies.len; i++) {
        const struct acl_policy *p = LIST_AT(g->policies, struct acl_policy *, i);
        if (holds_here(c, &p->datacenters)) {
            source_add(c, (struct rule_source){.id = p->id,
                                               .revision = p->modify_index,
                                               .rules = p->rules,
                                               .syntax = (enum acl_syntax)p->syntax});
        }
    }
    add_legacy(c, g->token);
    add_services(c, &g->token->service_identities);
    add_nodes(c, &g->token->node_identities);
    for (uint32_t i = 0; i < g->roles.len; i++) {
        const struct acl_role *role = LIST_AT(g->roles, struct acl_role *, i);
        add_services(c, &role->service_identities);
        add_nodes(c, &role->node_identities);
    }
    if (c->len > 1) {
        qsort(c->sources, c->len, sizeof(*c->sources), by_id);
    }
}

size_t authorize_sources(const struct server *s, const struct token_grants *g, struct arena *arena,
                         struct rule_source **out) {
    struct compiler c = {.server = s, .arena = arena};
    size_t kept = 0;
    collect(&c, g);
    *out = ARENA_ARRAY(arena, struct rule_source, c.len + 1);
    for (size_t i = 0; i < c.len; i++) {
        if (kept == 0 || !str_eq((*out)[kept - 1].id, c.sources[i].id)) {
            (*out)[kept++] = c.sources[i];
        }
    }
    mem_free(c.sources);
    return kept;
}

const struct authorizer *authorize_compile(const struct server *s, const struct token_grants *g,
                                           struct error *e) {
    struct arena arena = ARENA_INIT;
    struct rule_source *sources;
    const struct authorizer *a = NULL;
    size_t count = authorize_sources(s, g, &arena, &sources);
    struct acl_rules *rules = ARENA_ARRAY(&arena, struct acl_rules, count + 1);
    const struct acl_rules **all = ARENA_ARRAY(&arena, const struct acl_rules *, count + 1);
    size_t parsed = 0;
    while (parsed < count && acl_rules_parse(sources[parsed].rules, sources[parsed].syntax,
                                             &rules[parsed], &arena, e)) {
        all[parsed] = &rules[parsed];
        parsed++;
    }
    if (parsed == count) {
        a = authorizer_new(all, count, s->options.acl.default_allow);
    }
    arena_free(&arena);
    return a;
}
