/* A binding rule (selector, type and name on a line each) and the configuration of its method
 * behind it: no crash, no leak, an error says something; what is refused when it is written may
 * still be applied.
 */
#include "base/mem.h"
#include "codec/json.h"
#include "server/auth_jwt.h"
#include "server/binding_rule.h"

static void apply(const struct acl_binding_rule *rule, struct arena *arena) {
    static struct str_pair values[] = {{STR_INIT("t"), STR_INIT("Hello")}};
    static struct str groups[] = {STR_INIT("a")};
    static struct list_pair lists[] = {{STR_INIT("l"), {groups, 1, true}}};
    static struct str_pair variables[] = {{STR_INIT("serviceaccount.name"), STR_INIT("web")},
                                          {STR_INIT("value.t"), STR_INIT("hello")},
                                          {STR_INIT("value.u"), STR_INIT("")}};
    static const char *const types[] = {"jwt", "kubernetes"};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        const struct auth_identity identity = {
            .type = str_from(types[i]),
            .value = {values, 1, true},
            .list = {lists, 1, true},
            .serviceaccount = {STR("Ns"), STR("web"), STR("u")},
            .variables = {variables, 3, true},
        };
        struct error e = ERROR_IN(arena);
        struct binding b;
        bool matches, ok = binding_rule_apply(&identity, rule, arena, &matches, &b, &e);
        ASSERT(ok == !error_is_set(&e));
        ASSERT(!ok || !matches || (b.name.len > 0 && b.name.len <= 256));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str rest = str_of(data, size);
    struct acl_binding_rule rule = {.selector = str_cut(&rest, '\n'),
                                    .bind_type = str_cut(&rest, '\n'),
                                    .bind_name = str_cut(&rest, '\n')};
    struct value config;
    struct acl_auth_method method = {.type = STR("jwt")};
    if (json_parse_whole(rest, &config, &arena, &e) && config.kind == VALUE_MAP)
        method.config = &config;
    error_clear(&e);
    bool ok = binding_rule_check(&method, &rule, &e);
    ASSERT(ok == !error_is_set(&e));
    method.type = STR("kubernetes");
    error_clear(&e);
    ok = binding_rule_check(&method, &rule, &e);
    ASSERT(ok == !error_is_set(&e));
    apply(&rule, &arena);
    arena_free(&arena);
    return 0;
}
