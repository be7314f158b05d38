/* User events: their form on the wire, limits, filters on the node, and the memory of the last 256.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/events.h"
#include "base/mem.h"

#define ID "a232ea70-0000-4000-8000-00000000abcd"

static struct user_event named(const char *name) {
    return (struct user_event){.id = STR(ID), .name = str_from(name), .version = 1};
}

static void test_wire(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct user_event event = {
        .id = STR("I"),
        .name = STR("deploy"),
        .payload = STR("payload"),
        .node_filter = STR("n.*"),
        .service_filter = STR("cfg"),
        .tag_filter = STR("x"),
        .version = 1,
    };
    struct buf out = BUF_INIT;
    event_encode(&out, &event);
    static const char expected[] = "\x87\xa2"
                                   "ID\xa1I\xa1n\xa6"
                                   "deploy\xa2nf\xa3n.*\xa1p\xc4\x07"
                                   "payload\xa2sf\xa3"
                                   "cfg\xa2tf\xa1x\xa1v\x01";
    assert_int_equal(out.len, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.len);
    struct user_event back;
    assert_true(event_decode(buf_str(&out), &back, &arena, &e));
    assert_true(str_eq(back.payload, event.payload) && str_eq(back.node_filter, event.node_filter));
    assert_true(str_eq(back.tag_filter, event.tag_filter) && back.version == 1);
    for (size_t len = 0; len < out.len; len++)
        assert_false(event_decode(str_of(out.data, len), &back, &arena, &e));
    buf_free(&out);

    /* The peer's own bytes: agent.md 5.1, "plain" with a long ID and nothing else. */
    event = (struct user_event){
        .id = STR("2D43843e-b29c-7e5c-b76b-a30cf68fb815"), .name = STR("plain"), .version = 1};
    event_encode(&out, &event);
    assert_memory_equal(out.data, "\x83\xa2ID\xd9\x24", 6);
    assert_memory_equal(out.data + out.len - 3, "\xa1v\x01", 3);
    buf_free(&out);
    assert_false(event_decode(STR("\x81\xa1n\x05"), &back, &arena, &e));
    assert_false(event_decode(STR("\x05"), &back, &arena, &e));
    arena_free(&arena);
}

static void test_index(void **state) {
    (void)state;
    assert_true(event_index(STR("6fead36e-1e15-a8a4-1a63-cc5c6d57298d")) ==
                UINT64_C(8469334875789492521));
}

/* A list that shows only what may be read: the index is that of the newest shown. */
static void test_read_rights(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct acl_rules rules;
    assert_true(acl_rules_parse(STR("event_prefix \"de\" { policy = \"read\" }"),
                                ACL_SYNTAX_CURRENT, &rules, &arena, &e));
    const struct acl_rules *policies[] = {&rules};
    struct authorizer *may = authorizer_new(policies, 1, false);
    struct events *events = events_new(NULL, STR("n1"), NULL, NULL);
    struct user_event seen = named("deploy"), hidden = named("secret");
    hidden.id = STR("b232ea70-0000-4000-8000-00000000abcd");
    events_receive(events, &hidden);
    assert_true(events_index(events, STR(""), may) == 1);
    events_receive(events, &seen);
    events_receive(events, &hidden);
    assert_true(events_index(events, STR(""), may) == event_index(seen.id));
    assert_true(events_index(events, STR("secret"), may) == 1);
    assert_true(events_index(events, STR(""), NULL) == event_index(hidden.id));
    assert_true(event_shows(&seen, STR(""), may) && !event_shows(&hidden, STR(""), may));
    assert_false(event_shows(&seen, STR("other"), may));
    events_free(events);
    authorizer_release(may);
    arena_free(&arena);
}

static void test_checks(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct user_event event = named("x");
    event.tag_filter = STR("t");
    assert_false(event_check(&event, &e));
    assert_true(str_is(e.text, "Cannot provide tag filter without service filter"));
    event.service_filter = STR("(");
    assert_false(event_check(&event, &e));
    assert_true(str_is(e.text, "Invalid service filter: error parsing regexp: missing closing ): "
                               "`(`"));
    event.service_filter = STR("s");
    assert_true(event_check(&event, &e));
    arena_free(&arena);
}

static size_t told;
static void tell(struct events_wait *w) {
    (void)w;
    told++;
}

static void test_memory(void **state) {
    (void)state;
    struct events *events = events_new(NULL, STR("node-1"), NULL, NULL);
    struct events_wait wait = {.fn = tell}, other = {.fn = tell};
    assert_true(events_index(events, STR(""), NULL) == 1);
    events_wait_add(events, &wait);
    events_wait_add(events, &other);
    events_wait_remove(&other);
    struct user_event event = named("elsewhere");
    event.node_filter = STR("^node-2$");
    events_receive(events, &event);
    event = named(EVENT_REXEC);
    events_receive(events, &event);
    assert_null(events_at(events, 0));
    assert_int_equal(told, 0);
    for (int i = 0; i < EVENTS_KEPT + 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "e%d", i);
        event = named(name);
        event.node_filter = STR("node");
        event.ltime = (uint64_t)i;
        events_receive(events, &event);
    }
    assert_int_equal(told, 1);
    assert_true(str_is(events_at(events, 0)->name, "e10"));
    assert_int_equal(events_at(events, 0)->ltime, 10);
    assert_true(str_is(events_at(events, EVENTS_KEPT - 1)->name, "e265"));
    assert_null(events_at(events, EVENTS_KEPT));
    assert_true(events_index(events, STR("e265"), NULL) == event_index(STR(ID)));
    assert_true(events_index(events, STR("e9"), NULL) == 1);
    events_free(events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire),   cmocka_unit_test(test_read_rights),
        cmocka_unit_test(test_index),  cmocka_unit_test(test_checks),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
