/* What a secondary has to do to have the primary's configuration entries (connect.md 1.12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/config_replication.h"

static struct config_entry *entry(struct arena *arena, const char *kind, const char *name,
                                  uint64_t index) {
    struct config_entry *e = arena_zalloc(arena, 1, config_entry_shape(str_from(kind))->size);
    e->kind = str_from(kind);
    e->name = str_from(name);
    e->modify_index = index;
    return e;
}

#define LIST(...)                                                                                  \
    (struct list) {                                                                                \
        (struct config_entry *[]){__VA_ARGS__},                                                    \
            sizeof((struct config_entry *[]){__VA_ARGS__}) / sizeof(struct config_entry *), true   \
    }

/* "+kind/name" and "-kind/name", blanks between. */
static void check(struct list local, struct list remote, uint64_t last_index, const char *wanted) {
    struct arena arena = ARENA_INIT;
    struct list ops = config_diff(&local, &remote, last_index, &arena);
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i < ops.len; i++) {
        const struct config_op *op = &LIST_AT(ops, struct config_op, i);
        buf_add_format(&text, "%s%s" STR_FMT "/" STR_FMT, i > 0 ? " " : "", op->delete ? "-" : "+",
                       STR_ARG(op->entry->kind), STR_ARG(op->entry->name));
    }
    assert_string_equal(str_terminated(&arena, buf_str(&text)), wanted);
    buf_free(&text);
    arena_free(&arena);
}

static void test_order(void **state) {
    struct arena arena = ARENA_INIT;
    struct config_entry *ig = entry(&arena, CONFIG_INGRESS_GATEWAY, "ig", 5);
    struct config_entry *web = entry(&arena, CONFIG_SERVICE_DEFAULTS, "web", 6);
    struct config_entry *router = entry(&arena, CONFIG_SERVICE_ROUTER, "web", 7);
    struct config_entry *global = entry(&arena, CONFIG_PROXY_DEFAULTS, "global", 8);
    struct list all = LIST(ig, web, router, global), none = LIST_NIL;
    check(none, none, 0, "");
    check(none, all, 0,
          "+proxy-defaults/global +service-defaults/web +service-router/web +ingress-gateway/ig");
    check(all, none, 0,
          "-ingress-gateway/ig -service-router/web -service-defaults/web -proxy-defaults/global");
    check(all, all, 0, "");
    check(LIST(router, web), LIST(global, web), 9, "-service-router/web +proxy-defaults/global");
    arena_free(&arena);
}

static void test_changes(void **state) {
    struct arena arena = ARENA_INIT;
    struct config_entry *here = entry(&arena, CONFIG_SERVICE_DEFAULTS, "web", 50);
    struct config_entry *there = entry(&arena, CONFIG_SERVICE_DEFAULTS, "web", 7);
    struct service_defaults *changed = (void *)there;
    check(LIST(here), LIST(there), 0, "");
    changed->protocol = STR("http");
    check(LIST(here), LIST(there), 0, "+service-defaults/web");
    check(LIST(here), LIST(there), 6, "+service-defaults/web");
    check(LIST(here), LIST(there), 7, "");
    /* Another spelling is the same entry: it is written anew, never deleted. */
    struct config_entry *spelled = entry(&arena, CONFIG_SERVICE_DEFAULTS, "Web", 8);
    check(LIST(here), LIST(spelled), 7, "+service-defaults/Web");
    check(LIST(here), LIST(spelled), 8, "");
    /* The same name of another kind is another entry. */
    struct config_entry *router = entry(&arena, CONFIG_SERVICE_ROUTER, "web", 8);
    check(LIST(here), LIST(router), 8, "-service-defaults/web +service-router/web");
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
