/* Merged rules and their evaluation. See authorizer.h.
 *
 * Per resource the names lie sorted, each with its exact and its prefix rule and with the place of
 * the longest other name that is a prefix of it. A look-up finds the last name that is not behind
 * the wanted one and climbs from there: all names on the way that are prefixes of the wanted one
 * are met, the longest first, so that the first rule that counts decides.
 */
#include "acl/authorizer.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"

#define NO_PARENT UINT32_MAX
/* A resource of its own: what services' rules say of intentions. */
#define INTENTION ACL_RESOURCES
#define MAPS (ACL_RESOURCES + 1)

struct entry {
    struct str name;
    struct acl_word exact, prefix;                       /* ACL_LEVEL_NONE: no rule */
    struct acl_word exact_intentions, prefix_intentions; /* services, while merging */
    bool has_exact, has_prefix;
    uint32_t parent;
};

struct rule_map {
    struct entry *entries;
    uint32_t len, cap;
};

enum fixed { BY_RULES, ALLOW_ALL, DENY_ALL, MANAGE_ALL };

struct authorizer {
    atomic_uint references;
    enum fixed fixed;
    bool default_allow;
    struct acl_word acl, keyring, operator;
    struct rule_map maps[MAPS];
    struct arena arena;
};

/* ---- merging (acl.md 6.2) ---- */

static int rank(struct acl_word w) {
    static const int ranks[] = {[ACL_LEVEL_NONE] = 0,
                                [ACL_LEVEL_READ] = 1,
                                [ACL_LEVEL_LIST] = 2,
                                [ACL_LEVEL_WRITE] = 3,
                                [ACL_LEVEL_DENY] = 4};
    return w.exact ? ranks[w.level] : 0;
}

static void merge_word(struct acl_word *into, struct acl_word from) {
    if (rank(from) > rank(*into))
        *into = from;
}

static int by_name(const void *a, const void *b) {
    const struct acl_rule *const *x = a, *const *y = b;
    int order = str_compare((*x)->name, (*y)->name);
    return order != 0 ? order : (*x < *y ? -1 : *x > *y); /* rules lie in the order of merging */
}

static struct entry *entry_add(struct rule_map *m, struct str name) {
    if (m->len > 0 && str_eq(m->entries[m->len - 1].name, name))
        return &m->entries[m->len - 1];
    m->entries[m->len] = (struct entry){.name = name, .parent = NO_PARENT};
    return &m->entries[m->len++];
}

static void entry_merge(struct entry *e, const struct acl_rule *r) {
    struct acl_word *policy = r->prefix ? &e->prefix : &e->exact;
    struct acl_word *intentions = r->prefix ? &e->prefix_intentions : &e->exact_intentions;
    bool *has = r->prefix ? &e->has_prefix : &e->has_exact;
    if (!*has) {
        *has = true;
        *policy = r->policy;
        *intentions = r->intentions;
        return;
    }
    merge_word(policy, r->policy);
    merge_word(intentions, r->intentions);
}

/* Each entry's parent: the longest name before it that is a proper prefix. */
static void link_parents(struct rule_map *m) {
    for (uint32_t i = 1; i < m->len; i++) {
        uint32_t at = i - 1;
        while (at != NO_PARENT && !str_has_prefix(m->entries[i].name, m->entries[at].name))
            at = m->entries[at].parent;
        m->entries[i].parent = at;
    }
}

static void map_build(struct authorizer *a, enum acl_resource resource, struct acl_rule *all,
                      size_t count) {
    struct rule_map *m = &a->maps[resource];
    const struct acl_rule **mine = mem_zalloc(count + 1, sizeof(*mine));
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].resource == resource)
            mine[len++] = &all[i];
    }
    qsort(mine, len, sizeof(*mine), by_name);
    m->entries = ARENA_ARRAY(&a->arena, struct entry, len + 1);
    for (size_t i = 0; i < len; i++)
        entry_merge(entry_add(m, mine[i]->name), mine[i]);
    link_parents(m);
    mem_free(mine);
}

/* What a service's rule says of intentions: what is given, else read where the policy is just read
 * or write (acl.md 6.1). */
static struct acl_word intentions_of(struct acl_word given, struct acl_word policy) {
    if (given.level != ACL_LEVEL_NONE)
        return given;
    bool reads =
        policy.exact && (policy.level == ACL_LEVEL_READ || policy.level == ACL_LEVEL_WRITE);
    return (struct acl_word){reads ? ACL_LEVEL_READ : ACL_LEVEL_DENY, true};
}

static void intentions_build(struct authorizer *a) {
    const struct rule_map *services = &a->maps[ACL_SERVICE];
    struct rule_map *m = &a->maps[INTENTION];
    m->len = services->len;
    m->entries = ARENA_ARRAY(&a->arena, struct entry, services->len + 1);
    for (uint32_t i = 0; i < services->len; i++) {
        const struct entry *from = &services->entries[i];
        struct entry *to = &m->entries[i];
        *to = *from;
        to->exact = intentions_of(from->exact_intentions, from->exact);
        to->prefix = intentions_of(from->prefix_intentions, from->prefix);
    }
}

static size_t rules_copy(struct authorizer *a, const struct acl_rules *const *policies,
                         size_t count, struct acl_rule **out) {
    size_t total = 0, len = 0;
    for (size_t i = 0; i < count; i++)
        total += policies[i]->len;
    *out = mem_zalloc(total + 1, sizeof(**out));
    for (size_t i = 0; i < count; i++) {
        merge_word(&a->acl, policies[i]->acl);
        merge_word(&a->keyring, policies[i]->keyring);
        merge_word(&a->operator, policies[i]->operator);
        for (size_t k = 0; k < policies[i]->len; k++) {
            (*out)[len] = policies[i]->items[k];
            (*out)[len].name = str_copy(&a->arena, policies[i]->items[k].name);
            len++;
        }
    }
    return len;
}

struct authorizer *authorizer_new(const struct acl_rules *const *policies, size_t count,
                                  bool default_allow) {
    struct authorizer *a = MEM_NEW(struct authorizer);
    struct acl_rule *all;
    atomic_init(&a->references, 1);
    a->arena = ARENA_INIT;
    a->default_allow = default_allow;
    size_t len = rules_copy(a, policies, count, &all);
    for (int resource = 0; resource < ACL_RESOURCES; resource++)
        map_build(a, (enum acl_resource)resource, all, len);
    intentions_build(a);
    mem_free(all);
    return a;
}

struct authorizer *authorizer_hold(const struct authorizer *a) {
    struct authorizer *held = (struct authorizer *)(uintptr_t)a;
    if (a != NULL && a->fixed == BY_RULES)
        atomic_fetch_add_explicit(&held->references, 1, memory_order_relaxed);
    return held;
}

void authorizer_release(const struct authorizer *a) {
    struct authorizer *held = (struct authorizer *)(uintptr_t)a;
    if (a == NULL || a->fixed != BY_RULES ||
        atomic_fetch_sub_explicit(&held->references, 1, memory_order_acq_rel) > 1)
        return;
    struct arena arena = held->arena;
    arena_free(&arena);
    mem_free(held);
}

static struct authorizer allow_all = {.fixed = ALLOW_ALL, .default_allow = true};
static struct authorizer deny_all = {.fixed = DENY_ALL};
static struct authorizer manage_all = {.fixed = MANAGE_ALL, .default_allow = true};

const struct authorizer *authorizer_allow_all(void) {
    return &allow_all;
}
const struct authorizer *authorizer_deny_all(void) {
    return &deny_all;
}
const struct authorizer *authorizer_manage_all(void) {
    return &manage_all;
}

/* ---- evaluation (acl.md 6.1) ---- */

enum decision { DEFAULT, ALLOWED, DENIED };

static enum decision grants(struct acl_word w, enum acl_access access) {
    bool yes = false;
    switch (w.level) {
    case ACL_LEVEL_WRITE:
        yes = true;
        break;
    case ACL_LEVEL_LIST:
        yes = access != ACL_WRITE;
        break;
    case ACL_LEVEL_READ:
        yes = access == ACL_READ;
        break;
    case ACL_LEVEL_DENY:
    case ACL_LEVEL_NONE:
        break;
    }
    return yes ? ALLOWED : DENIED;
}

/* Scalars in another letter case grant nothing. */
static enum decision scalar(struct acl_word w, enum acl_access access) {
    return w.level == ACL_LEVEL_NONE ? DEFAULT : grants(w, access);
}

/* The last entry whose name is not behind the wanted one. */
static uint32_t last_not_behind(const struct rule_map *m, struct str name) {
    uint32_t low = 0, high = m->len;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (str_compare(m->entries[middle].name, name) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NO_PARENT : low - 1;
}

/* The rule that decides for a name; NULL: none. exact_too: an exact rule for it counts. */
static const struct acl_word *deciding(const struct rule_map *m, struct str name, bool exact_too) {
    uint32_t at = last_not_behind(m, name);
    for (; at != NO_PARENT; at = m->entries[at].parent) {
        const struct entry *e = &m->entries[at];
        if (!str_has_prefix(name, e->name))
            continue;
        if (exact_too && e->has_exact && e->name.len == name.len)
            return &e->exact;
        if (e->has_prefix)
            return &e->prefix;
    }
    return NULL;
}

static bool settle(const struct authorizer *a, enum decision d) {
    return d == DEFAULT ? a->default_allow : d == ALLOWED;
}

static enum decision named(const struct authorizer *a, unsigned map, enum acl_access access,
                           struct str name) {
    const struct acl_word *word = deciding(&a->maps[map], name, true);
    return word != NULL ? grants(*word, access) : DEFAULT;
}

bool authorizer_may(const struct authorizer *a, enum acl_resource resource, enum acl_access access,
                    struct str name) {
    if (a == NULL)
        return true;
    if (a->fixed != BY_RULES)
        return a->default_allow;
    return settle(a, named(a, resource, access, name));
}

static bool entry_writes(const struct entry *e) {
    return (!e->has_exact || grants(e->exact, ACL_WRITE) == ALLOWED) &&
           (!e->has_prefix || grants(e->prefix, ACL_WRITE) == ALLOWED);
}

bool authorizer_may_write_prefix(const struct authorizer *a, struct str prefix) {
    if (a == NULL)
        return true;
    if (a->fixed != BY_RULES)
        return a->default_allow;
    const struct rule_map *m = &a->maps[ACL_KEY];
    const struct acl_word *covering = deciding(m, prefix, false);
    if (covering != NULL && grants(*covering, ACL_WRITE) != ALLOWED)
        return false;
    uint32_t before = last_not_behind(m, prefix);
    uint32_t at = before == NO_PARENT ? 0 : before;
    for (; at < m->len; at++) {
        const struct entry *e = &m->entries[at];
        if (str_has_prefix(e->name, prefix)) {
            if (!entry_writes(e))
                return false;
        } else if (str_compare(e->name, prefix) > 0) {
            break;
        }
    }
    return covering != NULL || a->default_allow;
}

static bool scalar_may(const struct authorizer *a, struct acl_word w, enum acl_access access,
                       bool only_by_rule) {
    if (a == NULL)
        return true;
    if (a->fixed != BY_RULES)
        return a->fixed == MANAGE_ALL || (a->fixed == ALLOW_ALL && !only_by_rule);
    enum decision d = scalar(w, access);
    return d == DEFAULT && only_by_rule ? false : settle(a, d);
}

bool authorizer_may_acl(const struct authorizer *a, enum acl_access access) {
    return scalar_may(a, a != NULL ? a->acl : (struct acl_word){0}, access, true);
}
bool authorizer_may_snapshot(const struct authorizer *a) {
    return authorizer_may_acl(a, ACL_WRITE);
}
bool authorizer_may_keyring(const struct authorizer *a, enum acl_access access) {
    return scalar_may(a, a != NULL ? a->keyring : (struct acl_word){0}, access, false);
}
bool authorizer_may_operator(const struct authorizer *a, enum acl_access access) {
    return scalar_may(a, a != NULL ? a->operator: (struct acl_word){0}, access, false);
}

/* ---- intentions ---- */

static enum decision any_name(const struct authorizer *a, enum acl_access access) {
    const struct rule_map *m = &a->maps[INTENTION];
    const struct acl_word *all = deciding(m, STR(""), false);
    enum decision d = all != NULL ? grants(*all, access) : DEFAULT;
    if (access == ACL_READ && d == ALLOWED)
        return ALLOWED;
    if (access == ACL_WRITE && d == DENIED)
        return DENIED;
    for (uint32_t i = 0; i < m->len; i++) {
        const struct entry *e = &m->entries[i];
        bool exact = e->has_exact && grants(e->exact, access) == ALLOWED;
        bool prefix = e->has_prefix && grants(e->prefix, access) == ALLOWED;
        if (access == ACL_READ && (exact || prefix))
            return ALLOWED;
        if (access == ACL_WRITE && ((e->has_exact && !exact) || (e->has_prefix && !prefix)))
            return DENIED;
    }
    return d;
}

bool authorizer_may_intention(const struct authorizer *a, enum acl_access access, struct str name) {
    if (a == NULL)
        return true;
    if (a->fixed != BY_RULES)
        return a->default_allow;
    return settle(a, str_is(name, "*") ? any_name(a, access) : named(a, INTENTION, access, name));
}

bool authorizer_intention_default(const struct authorizer *a) {
    return a == NULL || a->default_allow;
}
