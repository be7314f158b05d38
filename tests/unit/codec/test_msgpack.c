/* msgpack, UUIDs and base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/msgpack.h"
#include "codec/uuid.h"

static void expect_bytes(struct buf *b, const char *want, size_t len) {
    assert_int_equal(b->len, len);
    assert_memory_equal(b->data, want, len);
    buf_clear(b);
}
#define EXPECT_BYTES(want) expect_bytes(&b, want, sizeof(want) - 1)

static void test_writing(void **state) {
    struct buf b = BUF_INIT;
    static const struct {
        int64_t n;
        const char *bytes;
        size_t len;
    } numbers[] = {
        {0, "\x00", 1},
        {127, "\x7f", 1},
        {128, "\xcc\x80", 2},
        {255, "\xcc\xff", 2},
        {256, "\xcd\x01\x00", 3},
        {65535, "\xcd\xff\xff", 3},
        {65536, "\xce\x00\x01\x00\x00", 5},
        {4294967295, "\xce\xff\xff\xff\xff", 5},
        {4294967296, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9},
        {-1, "\xff", 1},
        {-32, "\xe0", 1},
        {-33, "\xd0\xdf", 2},
        {-128, "\xd0\x80", 2},
        {-129, "\xd1\xff\x7f", 3},
        {-32768, "\xd1\x80\x00", 3},
        {-32769, "\xd2\xff\xff\x7f\xff", 5},
        {INT32_MIN, "\xd2\x80\x00\x00\x00", 5},
        {(int64_t)INT32_MIN - 1, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", 9},
        {INT64_MIN, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9},
    };
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        msgpack_write_i64(&b, numbers[i].n);
        expect_bytes(&b, numbers[i].bytes, numbers[i].len);
    }
    msgpack_write_u64(&b, UINT64_MAX);
    EXPECT_BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    msgpack_write_str(&b, STR_NONE);
    EXPECT_BYTES("\xa0");
    char text[70000] = {0};
    msgpack_write_str(&b, str_of(text, 31));
    assert_int_equal((uint8_t)b.data[0], 0xbf);
    buf_clear(&b);
    msgpack_write_str(&b, str_of(text, 32));
    assert_memory_equal(b.data, "\xda\x00\x20", 3);
    buf_clear(&b);
    msgpack_write_str(&b, str_of(text, 65536));
    assert_memory_equal(b.data, "\xdb\x00\x01\x00\x00", 5);
    buf_clear(&b);
    msgpack_write_array(&b, 15);
    msgpack_write_array(&b, 16);
    msgpack_write_map(&b, 15);
    msgpack_write_map(&b, 65536);
    EXPECT_BYTES("\x9f\xdc\x00\x10\x8f\xdf\x00\x01\x00\x00");
    msgpack_write_f64(&b, 5);
    msgpack_write_f32(&b, 1.5f);
    EXPECT_BYTES("\xcb\x40\x14\x00\x00\x00\x00\x00\x00\xca\x3f\xc0\x00\x00");
    msgpack_write_time(&b, (struct timestamp){0});
    EXPECT_BYTES("\xaf\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff");
    buf_free(&b);
}

/* rpc.md 3.4 */
static void test_time(void **state) {
    struct buf b = BUF_INIT;
    static const char raw[] = "\x01\x00\x00\x00\x0e\xe2\x95\xfa\xac\x2f\x6c\x57\x3e\xff\xff";
    struct timestamp t;
    assert_true(msgpack_time_from_raw(str_of(raw, 15), &t));
    assert_int_equal(t.nanoseconds, 0x2f6c573e);
    assert_int_equal(t.offset, -1);
    msgpack_write_time(&b, t);
    assert_memory_equal(b.data + 1, raw, 15);
    assert_false(msgpack_time_from_raw(str_of(raw, 14), &t));
    assert_false(msgpack_time_from_raw(STR("\x02..............\0"), &t));
    buf_free(&b);
}

static void expect_broken(const char *bytes, size_t len, const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct msgpack_reader in = msgpack_read(str_of(bytes, len));
    struct value v;
    assert_false(msgpack_read_value(&in, &v, &arena, &e));
    if (!str_is(e.text, text)) {
        fail_msg("have '%.*s', want '%s'", STR_ARG(e.text), text);
    }
    error_clear(&e);
    in = msgpack_read(str_of(bytes, len));
    assert_false(msgpack_skip(&in, &e));
    arena_free(&arena);
}
#define EXPECT_BROKEN(bytes, text) expect_broken(bytes, sizeof(bytes) - 1, text)

static void test_broken(void **state) {
    EXPECT_BROKEN("", "EOF");
    EXPECT_BROKEN("\xa1", "unexpected EOF");
    EXPECT_BROKEN("\x91", "unexpected EOF");
    EXPECT_BROKEN("\x92\x01", "unexpected EOF");
    EXPECT_BROKEN("\x81\xa1x", "unexpected EOF");
    EXPECT_BROKEN("\xdd\xff\xff\xff\xff\x01", "unexpected EOF");
    EXPECT_BROKEN("\xdf\xff\xff\xff\xff\x01", "unexpected EOF");
    EXPECT_BROKEN("\xdb\xff\xff\xff\xff\x01", "unexpected EOF");
    EXPECT_BROKEN("\xcf\x00", "unexpected EOF");
    EXPECT_BROKEN("\xc1", "Unrecognized descriptor byte: hex: c1, dec: 193");
    /* Nested containers that each announce all that is left. */
    EXPECT_BROKEN("\x94\x94\x94\x94\x01\x01\x01", "unexpected EOF");
}

static void test_depth(void **state) {
    char bytes[MSGPACK_MAX_DEPTH + 1];
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    memset(bytes, 0x91, sizeof(bytes));
    bytes[MSGPACK_MAX_DEPTH - 1] = 1;
    struct msgpack_reader in = msgpack_read(str_of(bytes, MSGPACK_MAX_DEPTH));
    assert_true(msgpack_read_value(&in, &v, &arena, &e));
    bytes[MSGPACK_MAX_DEPTH - 1] = (char)0x91;
    bytes[MSGPACK_MAX_DEPTH] = 1;
    in = msgpack_read(str_of(bytes, sizeof(bytes)));
    assert_false(msgpack_read_value(&in, &v, &arena, &e));
    in = msgpack_read(str_of(bytes, sizeof(bytes)));
    assert_false(msgpack_skip(&in, &e));
    arena_free(&arena);
}

static void test_values(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    static const char bytes[] =
        "\x86\xa1z\xc0\xa1y\x93\x01\xff\xc3\xa1x\xcb\x3f\xf8\x00\x00\x00\x00"
        "\x00\x00\xa1w\xc4\x02hi\xa1v\xcc\xc8\xa1u\xd9\x01q";
    struct msgpack_reader in = msgpack_read(STR(bytes));
    assert_true(msgpack_read_value(&in, &v, &arena, &e));
    assert_ptr_equal(in.at, in.end);
    assert_int_equal(value_get(&v, "z")->kind, VALUE_NULL);
    assert_int_equal(value_get(&v, "y")->list.items[1].integer, -1);
    assert_true(value_get(&v, "x")->number == 1.5);
    assert_true(str_is(value_get(&v, "w")->string, "hi"));
    assert_int_equal(value_get(&v, "v")->uinteger, 200);
    struct buf out = BUF_INIT;
    msgpack_write_value(&out, &v);
    static const char want[] =
        "\x86\xa1u\xa1q\xa1v\xcc\xc8\xa1w\xa2hi\xa1x\xcb\x3f\xf8\x00\x00\x00\x00"
        "\x00\x00\xa1y\x93\x01\xff\xc3\xa1z\xc0";
    assert_true(str_eq(buf_str(&out), STR(want)));
    buf_free(&out);
    arena_free(&arena);
}

static void test_uuid(void **state) {
    static const char good[] = "842a4221-24bd-CCA6-0275-fcba56d519cc";
    static const struct {
        const char *text;
        const char *parse; /* NULL: good */
        const char *index;
    } cases[] = {
        {good, NULL, NULL},
        {"x", "uuid string is wrong length", "UUID must be 36 characters"},
        {"aaaaaaaazaaaa-aaaa-aaaa-aaaaaaaaaaaa", "uuid is improperly formatted",
         "Input (without hyphens) must be even length"},
        {"gaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "encoding/hex: invalid byte: U+0067 'g'",
         "Invalid UUID: encoding/hex: invalid byte: U+0067 'g'"},
        {"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaa-", "encoding/hex: invalid byte: U+002D '-'",
         "UUID should have maximum of 4 \"-\"; got 5"},
        {"\xc3\xa9"
         "aaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
         "encoding/hex: invalid byte: U+00C3 '\xc3\x83'",
         "Invalid UUID: encoding/hex: invalid byte: U+00C3 '\xc3\x83'"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "uuid is improperly formatted", NULL},
        {"'aaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "encoding/hex: invalid byte: U+0027 '''",
         "Invalid UUID: encoding/hex: invalid byte: U+0027 '''"},
        {"\naaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "encoding/hex: invalid byte: U+000A",
         "Invalid UUID: encoding/hex: invalid byte: U+000A"},
    };
    struct arena arena = ARENA_INIT;
    uint8_t bytes[18];
    size_t len;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        struct str text = str_from(cases[i].text);
        bool ok = uuid_parse(text, bytes, &e);
        assert_int_equal(ok, cases[i].parse == NULL);
        assert_int_equal(ok, uuid_valid(text));
        assert_true(ok || str_is(e.text, cases[i].parse));
        error_clear(&e);
        ok = uuid_parse_index(text, bytes, &len, &e);
        assert_int_equal(ok, cases[i].index == NULL);
        assert_true(ok || str_is(e.text, cases[i].index));
    }
    struct error e = ERROR_IN(&arena);
    assert_true(uuid_parse_index(STR(good), bytes, &len, &e));
    assert_int_equal(len, 16);
    assert_int_equal(bytes[0], 0x84);
    assert_int_equal(bytes[15], 0xcc);
    assert_true(uuid_parse_index(str_from(cases[6].text), bytes, &len, &e));
    assert_int_equal(len, 18);
    arena_free(&arena);
}

static void test_base64(void **state) {
    static const char *const texts[] = {"", "a", "ab", "abc", "abcd", "\xff\xfe"};
    static const char *const codes[] = {"", "YQ==", "YWI=", "YWJj", "YWJjZA==", "//4="};
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct buf b = BUF_INIT;
        struct str back;
        base64_encode(&b, str_from(texts[i]));
        assert_true(str_is(buf_str(&b), codes[i]) || (b.len == 0 && i == 0));
        assert_true(base64_decode(str_from(codes[i]), &back, &arena, &e));
        assert_non_null(back.data);
        assert_true(str_is(back, texts[i]));
        buf_free(&b);
    }
    static const struct {
        const char *text;
        int at;
    } bad[] = {{"QQ=", 3},   {"QQ", 0},    {"QQ=x", 2},      {"QQ==x", 4},
               {"QQQ=x", 4}, {"====", 0},  {"Q===", 1},      {"QUF-", 3},
               {"QUFBQ", 4}, {"QQ=\n", 4}, {"QUFBQUFB!", 8}, {"QUFBQ!", 5}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct str out;
        error_clear(&e);
        assert_false(base64_decode(str_from(bad[i].text), &out, &arena, &e));
        assert_true(
            str_eq(e.text, str_format(&arena, "illegal base64 data at input byte %d", bad[i].at)));
    }
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writing), cmocka_unit_test(test_time),
        cmocka_unit_test(test_broken),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_values),  cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
