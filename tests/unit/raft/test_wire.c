/* Messages on the wire: every exchange that was captured from the peer, read and written again to
 * the byte; and what comes in pieces, or is no message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"
#include "codec/json.h"
#include "raft/wire.h"
#include "unit/vectors.h"

/* The vectors whose bytes are not what a server writes (made to be wrong, or by hand). */
static bool is_odd(struct str name) {
    return str_is(name, "to peer: empty map") ||
           str_is(name, "to peer: vote without header (v0)") ||
           str_find(name, STR("protocol version"), 0) >= 0;
}

static void check_request(const struct value *x, enum raft_message_kind *kind,
                          struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct str name = value_get(x, "name")->string;
    struct str bytes = value_hex(x, "request_hex", arena);
    struct raft_message m;
    int64_t protocol = -1;
    size_t used = 0;
    for (size_t i = 0; i < bytes.len; i++) { /* in pieces: never done early, never an error */
        enum raft_wire_status early =
            raft_wire_read_request(str_sub(bytes, 0, i), &used, &m, &protocol, arena, &e);
        assert_int_equal(early, RAFT_WIRE_MORE);
    }
    enum raft_wire_status status = raft_wire_read_request(bytes, &used, &m, &protocol, arena, &e);
    if (status != RAFT_WIRE_DONE)
        print_error("%.*s: %.*s\n", STR_ARG(name), STR_ARG(e.text));
    assert_int_equal(status, RAFT_WIRE_DONE);
    *kind = m.kind;
    assert_int_equal(used, bytes.len);
    if (!is_odd(name)) {
        assert_true(raft_wire_version_ok(protocol, 3));
        struct buf out = BUF_INIT;
        raft_wire_write_request(&m, 3, &out);
        /* Peers of a snapshot is what the sender's own says. */
        if (m.kind != RAFT_INSTALL && !str_eq(buf_str(&out), bytes))
            print_error("%.*s\n", STR_ARG(name));
        if (m.kind != RAFT_INSTALL)
            assert_true(str_eq(buf_str(&out), bytes));
        buf_free(&out);
    }
    raft_wire_release(&m);
}

static void check_response(const struct value *x, enum raft_message_kind kind,
                           struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct str name = value_get(x, "name")->string;
    const struct value *hex = value_get(x, "response_hex");
    if (hex == NULL || hex->kind != VALUE_STRING)
        return;
    struct str bytes = hex_bytes(arena, hex->string), refusal;
    struct raft_message m = {0};
    size_t used = 0;
    assert_int_equal(raft_wire_read_response(kind, bytes, &used, &m, &refusal, arena, &e),
                     RAFT_WIRE_DONE);
    assert_int_equal(used, bytes.len);
    struct buf out = BUF_INIT;
    if (refusal.len > 0)
        raft_wire_write_refusal(refusal, &out);
    else
        raft_wire_write_response(&m, STR(""), 3, &out);
    /* Answered by the vectors' own test server, which sets the version; or refused with a body. */
    bool with_body = str_has_prefix(refusal, STR("unsupported snapshot version")) ||
                     str_is(name, "install snapshot: header");
    if (!with_body && !str_eq(buf_str(&out), bytes))
        print_error("%.*s\n", STR_ARG(name));
    assert_true(with_body || str_eq(buf_str(&out), bytes));
    buf_free(&out);
}

static void test_captured(void **state) {
    struct arena arena = ARENA_INIT;
    const struct value *list = value_get(vectors_json(&arena, "raft/rpc.json"), "exchanges");
    assert_true(list->list.len >= 40);
    for (size_t i = 0; i < list->list.len; i++) {
        struct arena scratch = ARENA_INIT;
        enum raft_message_kind kind = RAFT_APPEND;
        check_request(&list->list.items[i], &kind, &scratch);
        check_response(&list->list.items[i], kind, &scratch);
        arena_free(&scratch);
    }
    arena_free(&arena);
}

static void test_heartbeat(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_message m = {
        .kind = RAFT_APPEND,
        .append = {.term = 2, .leader = STR("127.12.2.2:21850"), .heartbeat = true}};
    struct buf out = BUF_INIT;
    raft_wire_write_request(&m, 3, &out);
    assert_int_equal(out.len, 104);
    struct raft_message back;
    int64_t protocol;
    size_t used;
    assert_int_equal(raft_wire_read_request(buf_str(&out), &used, &back, &protocol, &arena, &e),
                     RAFT_WIRE_DONE);
    assert_true(back.append.heartbeat);
    buf_free(&out);
    arena_free(&arena);
}

static void bad(const char *bytes, size_t len, const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_message m;
    int64_t protocol;
    size_t used;
    assert_int_equal(raft_wire_read_request(str_of(bytes, len), &used, &m, &protocol, &arena, &e),
                     RAFT_WIRE_BAD);
    assert_true(str_is(e.text, text));
    arena_free(&arena);
}

#define BAD(literal, text) bad((literal), sizeof(literal) - 1, (text))

static void test_bad(void **state) {
    BAD("\x07\x80", "unknown rpc type 7");
    BAD("\x00\xc0", "msgpack decode error: no map");
    BAD("\x00\x81\xa4Term\xa1x", "msgpack decode error: bad field Term");
    BAD("\x00\x81\xa7"
        "Entries\x91\x81\xa4Type\xcc\xff",
        "unrecognized log type: 255");
    BAD("\x02\x81\xa4Size\xff", "bad snapshot size");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
