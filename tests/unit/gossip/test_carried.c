/* Packets behind their lengths: in pieces, too large to be handled, and what ends a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gossip/carried.h"
#include "gossip/gossip.h"

static struct arena arena;

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

static struct str repeat(char c, size_t len) {
    char *bytes = arena_alloc(&arena, len);
    memset(bytes, c, len);
    return str_of(bytes, len);
}

/* All packets of `bytes`, which come in pieces of `piece`, each behind a comma; then how it ended:
 * "" or the error. */
static struct str taken(struct str bytes, size_t piece, struct str *end) {
    struct carried c = {0};
    struct buf kept = BUF_INIT, out = BUF_INIT;
    struct error e = ERROR_IN(&arena);
    *end = STR("");
    for (size_t at = 0; at < bytes.len && end->len == 0; at += piece) {
        enum carried_status status;
        struct str packet;
        buf_add_str(&kept, str_sub(bytes, at, piece));
        struct str in = buf_str(&kept);
        while ((status = carried_take(&c, &in, &packet, &e)) == CARRIED_PACKET) {
            buf_add_char(&out, ',');
            buf_add_str(&out, packet);
        }
        if (status == CARRIED_BAD)
            *end = e.text;
        /* no more is kept than what may become a packet */
        assert_true(end->len > 0 || in.len < CARRIED_HEAD + GOSSIP_PACKET_MAX);
        struct str rest = str_copy(&arena, in);
        buf_clear(&kept);
        buf_add_str(&kept, rest);
    }
    struct str all = str_copy(&arena, buf_str(&out));
    buf_free(&kept);
    buf_free(&out);
    return all;
}

static void test_pieces(void **state) {
    struct buf in = BUF_INIT;
    carried_add(&in, STR("a"));
    carried_add(&in, STR("bcd"));
    carried_add(&in, repeat('x', GOSSIP_PACKET_MAX));
    carried_add(&in, STR("e"));
    assert_memory_equal(in.data, "\0\0\0\1a\0\0\0\3bcd\0\1\0\0x", 17);
    static const size_t pieces[] = {1, 2, 3, 4, 5, 7, 1000, 65536, 1 << 20};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        struct str end, all = taken(buf_str(&in), pieces[i], &end);
        assert_int_equal(end.len, 0);
        assert_int_equal(all.len, 4 + 1 + 3 + GOSSIP_PACKET_MAX + 1);
        assert_memory_equal(all.data, ",a,bcd,xxx", 10);
        assert_memory_equal(all.data + all.len - 3, "x,e", 3);
    }
    buf_free(&in);
}

/* A packet that UDP could not have brought is passed over, without its being kept. */
static void test_larger_than_any(void **state) {
    struct buf in = BUF_INIT;
    carried_add(&in, repeat('x', GOSSIP_PACKET_MAX + 1));
    carried_add(&in, STR("a"));
    carried_add(&in, repeat('y', CARRIED_MAX));
    carried_add(&in, STR("b"));
    for (size_t piece = 1000; piece < 10000000; piece *= 10) {
        struct str end, all = taken(buf_str(&in), piece, &end);
        assert_int_equal(end.len, 0);
        assert_true(str_is(all, ",a,b"));
    }
    buf_free(&in);
}

static void test_ends(void **state) {
    struct str end;
    assert_true(str_is(taken(STR("\0\x40\0\1abc"), 100, &end), ""));
    assert_true(str_is(end, "gossip packet size 4194305 exceeds threshold of 4194304"));
    assert_true(str_is(taken(STR("\xff\xff\xff\xff"), 1, &end), ""));
    assert_true(str_is(end, "gossip packet size 4294967295 exceeds threshold of 4194304"));
    assert_true(str_is(taken(STR("\0\0\0\1a\0\0\0\0\0\0\0\1b"), 3, &end), ",a"));
    assert_true(str_is(end, "packet too short (0 bytes)"));
    assert_true(str_is(taken(STR("\0\0\0\5abcd"), 100, &end), ""));
    assert_true(str_is(end, ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_pieces, teardown),
        cmocka_unit_test_teardown(test_larger_than_any, teardown),
        cmocka_unit_test_teardown(test_ends, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
