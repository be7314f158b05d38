/* authorizer.c: the examples of acl.md 6, and random rules against a second evaluation, written
 * down as the specification says it: all rules, walked one by one.
 */
#include "acl/authorizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/random.h"

#define DENY ((struct acl_word){ACL_LEVEL_DENY, true})
#define READ ((struct acl_word){ACL_LEVEL_READ, true})
#define LIST ((struct acl_word){ACL_LEVEL_LIST, true})
#define WRITE ((struct acl_word){ACL_LEVEL_WRITE, true})
#define LOUD(w) ((struct acl_word){(w).level, false}) /* "WRITE" */
#define ABSENT ((struct acl_word){ACL_LEVEL_NONE, false})

#define EXACT(what, label, word)                                                                   \
    ((struct acl_rule){.resource = (what), .name = STR(label), .policy = (word)})
#define PREFIX(what, label, word)                                                                  \
    ((struct acl_rule){.resource = (what), .prefix = true, .name = STR(label), .policy = (word)})

static struct authorizer *of(struct acl_rule *items, size_t len, bool default_allow) {
    struct acl_rules rules = {.items = items, .len = len};
    const struct acl_rules *one = &rules;
    return authorizer_new(&one, 1, default_allow);
}

#define OF(default_allow, ...)                                                                     \
    of((struct acl_rule[]){__VA_ARGS__},                                                           \
       sizeof((struct acl_rule[]){__VA_ARGS__}) / sizeof(struct acl_rule), default_allow)

static bool key(const struct authorizer *a, enum acl_access access, const char *name) {
    return authorizer_may(a, ACL_KEY, access, str_from(name));
}

static void test_names(void **state) {
    struct authorizer *a =
        OF(false, PREFIX(ACL_KEY, "", READ), PREFIX(ACL_KEY, "a", DENY),
           EXACT(ACL_KEY, "a/b", WRITE), PREFIX(ACL_KEY, "a/b/c", LIST), EXACT(ACL_KEY, "", DENY));
    assert_true(key(a, ACL_READ, "x"));
    assert_false(key(a, ACL_LIST, "x"));
    assert_false(key(a, ACL_WRITE, "x"));
    assert_false(key(a, ACL_READ, "")); /* the exact rule of the empty name beats its prefix rule */
    assert_false(key(a, ACL_READ, "a"));
    assert_true(key(a, ACL_WRITE, "a/b"));
    assert_false(key(a, ACL_READ, "a/b/")); /* exact rules cover nothing below them */
    assert_true(key(a, ACL_LIST, "a/b/c/d"));
    assert_false(key(a, ACL_WRITE, "a/b/c/d"));
    assert_false(authorizer_may(a, ACL_NODE, ACL_READ, STR("x"))); /* another resource */
    authorizer_release(a);
}

static void test_default(void **state) {
    for (int allow = 0; allow < 2; allow++) {
        struct authorizer *a = OF(allow, EXACT(ACL_SERVICE, "web", READ));
        assert_false(authorizer_may(a, ACL_SERVICE, ACL_WRITE, STR("web"))); /* no fall back */
        assert_int_equal(authorizer_may(a, ACL_SERVICE, ACL_WRITE, STR("other")), allow);
        assert_int_equal(authorizer_may_keyring(a, ACL_WRITE), allow);
        assert_int_equal(authorizer_may_operator(a, ACL_READ), allow);
        assert_int_equal(authorizer_intention_default(a), allow);
        assert_false(authorizer_may_acl(a, ACL_READ)); /* only ever by a rule */
        assert_false(authorizer_may_acl(a, ACL_WRITE));
        assert_false(authorizer_may_snapshot(a));
        authorizer_release(a);
    }
}

static void test_scalars(void **state) {
    struct acl_rules first = {.acl = READ, .keyring = WRITE, .operator= LOUD(WRITE)};
    struct acl_rules second = {.acl = WRITE, .keyring = LOUD(DENY)};
    const struct acl_rules *both[] = {&first, &second};
    struct authorizer *a = authorizer_new(both, 1, false);
    assert_true(authorizer_may_acl(a, ACL_READ));
    assert_false(authorizer_may_acl(a, ACL_WRITE));
    assert_false(authorizer_may_operator(a, ACL_READ)); /* in capitals it grants nothing */
    authorizer_release(a);
    a = authorizer_new(both, 2, false);
    assert_true(authorizer_may_acl(a, ACL_WRITE));
    assert_true(authorizer_may_snapshot(a));
    assert_true(authorizer_may_keyring(a, ACL_WRITE)); /* "DENY" does not win */
    authorizer_release(a);
}

static void test_fixed(void **state) {
    const struct authorizer *fixed[] = {NULL, authorizer_allow_all(), authorizer_deny_all(),
                                        authorizer_manage_all()};
    const bool data[] = {true, true, false, true}, acl[] = {true, false, false, true};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(key(fixed[i], ACL_WRITE, "k"), data[i]);
        assert_int_equal(authorizer_may_write_prefix(fixed[i], STR("k")), data[i]);
        assert_int_equal(authorizer_may_keyring(fixed[i], ACL_WRITE), data[i]);
        assert_int_equal(authorizer_may_operator(fixed[i], ACL_WRITE), data[i]);
        assert_int_equal(authorizer_may_intention(fixed[i], ACL_WRITE, STR("*")), data[i]);
        assert_int_equal(authorizer_intention_default(fixed[i]), data[i]);
        assert_int_equal(authorizer_may_acl(fixed[i], ACL_READ), acl[i]);
        assert_int_equal(authorizer_may_snapshot(fixed[i]), acl[i]);
        authorizer_release(authorizer_hold(fixed[i]));
    }
}

static void test_references_and_copies(void **state) {
    char name[] = "held";
    struct acl_rule rule = {.resource = ACL_KEY, .name = str_from(name), .policy = READ};
    struct authorizer *a = of(&rule, 1, false);
    memset(name, 'x', 4); /* names were copied */
    struct authorizer *second = authorizer_hold(a);
    authorizer_release(a);
    assert_true(key(second, ACL_READ, "held"));
    authorizer_release(second); /* ASan knows whether this was the last */
}

static void test_intentions_of_services(void **state) {
    struct acl_rule loud = EXACT(ACL_SERVICE, "loud", LOUD(WRITE));
    struct acl_rule given = EXACT(ACL_SERVICE, "given", DENY);
    given.intentions = WRITE;
    struct authorizer *a = OF(true, EXACT(ACL_SERVICE, "reads", READ), loud, given);
    assert_true(authorizer_may_intention(a, ACL_READ, STR("reads")));
    assert_false(authorizer_may_intention(a, ACL_WRITE, STR("reads")));
    assert_true(authorizer_may(a, ACL_SERVICE, ACL_WRITE, STR("loud")));
    assert_false(authorizer_may_intention(a, ACL_READ, STR("loud")));
    assert_true(authorizer_may_intention(a, ACL_WRITE, STR("given")));
    assert_true(authorizer_may_intention(a, ACL_READ, STR("*")));
    assert_false(authorizer_may_intention(a, ACL_WRITE, STR("*")));
    authorizer_release(a);
}

/* ---- random rules ---- */

enum { RULES_MAX = 12 };

struct model {
    struct acl_rule merged[2 * RULES_MAX];
    size_t len;
    bool default_allow;
};

static int rank(struct acl_word w) {
    if (!w.exact)
        return 0;
    switch (w.level) {
    case ACL_LEVEL_NONE:
        return 0;
    case ACL_LEVEL_READ:
        return 1;
    case ACL_LEVEL_LIST:
        return 2;
    case ACL_LEVEL_WRITE:
        return 3;
    case ACL_LEVEL_DENY:
        return 4;
    }
    return 0;
}

static void model_add(struct model *m, const struct acl_rule *r) {
    for (size_t i = 0; i < m->len; i++) {
        struct acl_rule *known = &m->merged[i];
        if (known->resource != r->resource || known->prefix != r->prefix ||
            !str_eq(known->name, r->name))
            continue;
        if (rank(r->policy) > rank(known->policy))
            known->policy = r->policy;
        if (rank(r->intentions) > rank(known->intentions))
            known->intentions = r->intentions;
        return;
    }
    m->merged[m->len++] = *r;
}

static bool word_grants(struct acl_word w, enum acl_access access) {
    return w.level == ACL_LEVEL_WRITE || (w.level == ACL_LEVEL_LIST && access != ACL_WRITE) ||
           (w.level == ACL_LEVEL_READ && access == ACL_READ);
}

static struct acl_word word_of(const struct acl_rule *r, bool intention) {
    if (!intention)
        return r->policy;
    if (r->intentions.level != ACL_LEVEL_NONE)
        return r->intentions;
    bool reads = r->policy.exact &&
                 (r->policy.level == ACL_LEVEL_READ || r->policy.level == ACL_LEVEL_WRITE);
    return reads ? READ : DENY;
}

/* -1: no rule; else whether it grants. */
static int model_named(const struct model *m, enum acl_resource resource, bool intention,
                       bool exact_too, enum acl_access access, struct str name) {
    int found = -1;
    size_t longest = 0;
    for (size_t i = 0; i < m->len; i++) {
        const struct acl_rule *r = &m->merged[i];
        if (r->resource != resource)
            continue;
        bool grants = word_grants(word_of(r, intention), access);
        if (!r->prefix) {
            if (exact_too && str_eq(r->name, name))
                return grants;
        } else if (str_has_prefix(name, r->name) && (found < 0 || r->name.len >= longest)) {
            found = grants;
            longest = r->name.len;
        }
    }
    return found;
}

static bool model_write_prefix(const struct model *m, struct str prefix) {
    int covering = model_named(m, ACL_KEY, false, false, ACL_WRITE, prefix);
    bool all = covering != 0;
    for (size_t i = 0; i < m->len; i++) {
        const struct acl_rule *r = &m->merged[i];
        if (r->resource == ACL_KEY && str_has_prefix(r->name, prefix))
            all &= word_grants(r->policy, ACL_WRITE);
    }
    return all && (covering == 1 || m->default_allow);
}

static bool model_any_intention(const struct model *m, enum acl_access access) {
    int all = model_named(m, ACL_SERVICE, true, false, access, STR(""));
    bool one_grants = false, one_denies = false;
    for (size_t i = 0; i < m->len; i++) {
        if (m->merged[i].resource != ACL_SERVICE)
            continue;
        bool grants = word_grants(word_of(&m->merged[i], true), access);
        one_grants |= grants;
        one_denies |= !grants;
    }
    if (access == ACL_READ && one_grants)
        return true;
    if (access == ACL_WRITE && one_denies)
        return false;
    return all < 0 ? m->default_allow : all;
}

static struct str random_name(struct prng *p) {
    static const char *const names[] = {"",    "a", "aa", "ab",   "aab",
                                        "abb", "b", "ba", "\xff", "a\xff"};
    return str_from(names[prng_below(p, sizeof names / sizeof *names)]);
}

static struct acl_word random_word(struct prng *p) {
    return (struct acl_word){(enum acl_level)(1 + prng_below(p, 4)), prng_below(p, 5) > 0};
}

static struct acl_rule random_rule(struct prng *p) {
    enum acl_resource resource = prng_below(p, 2) ? ACL_KEY : ACL_SERVICE;
    struct acl_rule r = {resource, prng_below(p, 2), random_name(p), random_word(p), ABSENT};
    if (resource == ACL_SERVICE && prng_below(p, 2))
        r.intentions = random_word(p);
    return r;
}

static void compare(const struct authorizer *a, const struct model *m, struct str name) {
    for (int access = ACL_READ; access <= ACL_WRITE; access++) {
        for (int resource = 0; resource < ACL_RESOURCES; resource++) {
            int named = model_named(m, (enum acl_resource)resource, false, true,
                                    (enum acl_access)access, name);
            assert_int_equal(
                authorizer_may(a, (enum acl_resource)resource, (enum acl_access)access, name),
                named < 0 ? m->default_allow : named);
        }
        if (access == ACL_LIST)
            continue;
        int named = model_named(m, ACL_SERVICE, true, true, (enum acl_access)access, name);
        assert_int_equal(authorizer_may_intention(a, (enum acl_access)access, name),
                         named < 0 ? m->default_allow : named);
        assert_int_equal(authorizer_may_intention(a, (enum acl_access)access, STR("*")),
                         model_any_intention(m, (enum acl_access)access));
    }
    assert_int_equal(authorizer_may_write_prefix(a, name), model_write_prefix(m, name));
}

static void test_random_rules(void **state) {
    static const char *const asked[] = {"",  "a",  "aa", "ab",   "aab",   "aaba", "abb", "abc",
                                        "b", "ba", "bb", "\xff", "a\xff", "c",    "ac"};
    struct prng p;
    prng_seed(&p, 7);
    for (int life = 0; life < 5000; life++) {
        struct acl_rule items[2][RULES_MAX];
        struct acl_rules rules[2] = {{.items = items[0]}, {.items = items[1]}};
        const struct acl_rules *both[] = {&rules[0], &rules[1]};
        struct model m = {.default_allow = prng_below(&p, 2)};
        for (int i = 0; i < 2; i++) {
            rules[i].len = prng_below(&p, RULES_MAX + 1);
            for (size_t k = 0; k < rules[i].len; k++) {
                items[i][k] = random_rule(&p);
                model_add(&m, &items[i][k]);
            }
        }
        struct authorizer *a = authorizer_new(both, 2, m.default_allow);
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
            compare(a, &m, str_from(asked[i]));
        authorizer_release(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_references_and_copies),
        cmocka_unit_test(test_intentions_of_services),
        cmocka_unit_test(test_random_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
