/* Rule texts of any bytes, in both syntaxes: no crash, no leak, an error says something; and rules
 * make an authorizer that answers, for its own names too.
 */
#include <stdint.h>

#include "acl/authorizer.h"
#include "base/mem.h"

static void ask(const struct acl_rules *rules) {
    struct authorizer *a = authorizer_new(&rules, 1, true);
    for (size_t i = 0; i < rules->len; i++) {
        const struct acl_rule *r = &rules->items[i];
        bool reads = authorizer_may(a, r->resource, ACL_READ, r->name);
        ASSERT(reads || !authorizer_may(a, r->resource, ACL_WRITE, r->name));
        authorizer_may_write_prefix(a, r->name);
        authorizer_may_intention(a, ACL_WRITE, r->name);
    }
    authorizer_may_intention(a, ACL_READ, STR("*"));
    ASSERT(!authorizer_may_snapshot(a) || authorizer_may_acl(a, ACL_WRITE));
    authorizer_release(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int syntax = ACL_SYNTAX_CURRENT; syntax <= ACL_SYNTAX_LEGACY; syntax++) {
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        struct acl_rules rules;
        if (acl_rules_parse(str_of(data, size), (enum acl_syntax)syntax, &rules, &arena, &e))
            ask(&rules);
        else
            ASSERT(e.text.len > 0);
        arena_free(&arena);
    }
    return 0;
}
