/* arena.c: alignment, growth, pieces too big for a chunk, reset. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_pieces_are_apart(void **state) {
    struct arena arena = ARENA_INIT;
    enum { PIECES = 2000 };
    unsigned char *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        size_t size = i * 7 % 301;
        pieces[i] = arena_alloc(&arena, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i & 0xff), size);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < i * 7 % 301; j++) {
            assert_int_equal(pieces[i][j], i & 0xff);
        }
    }
    arena_free(&arena);
    assert_null(arena.chunk);
    assert_int_equal(arena.total, 0);
    assert_non_null(arena_alloc(&arena, 1)); /* may be used again */
    arena_free(&arena);
}

static void test_first_chunk_is_small(void **state) {
    struct arena arena = ARENA_INIT;
    arena_alloc(&arena, 10);
    assert_true(arena.total < 1024);
    /* Whatever was taken, at most half of it is not in use, and no chunk is above 64 KiB. */
    for (size_t taken = 10; taken < 1000000; taken += 500) {
        arena_alloc(&arena, 500);
        assert_true(arena.chunk->size < 65536);
        assert_true(arena.total < taken * 3 + 66000);
    }
    arena_free(&arena);
}

static void test_big_piece_keeps_the_newest_chunk(void **state) {
    struct arena arena = ARENA_INIT;
    char *first = arena_alloc(&arena, 16);
    struct arena_chunk *newest = arena.chunk;
    char *big = arena_alloc(&arena, 5000000);
    memset(big, 1, 5000000);
    assert_ptr_equal(arena.chunk, newest);
    char *second = arena_alloc(&arena, 16);
    assert_true(second > first && second < first + 1024);
    arena_free(&arena);
    /* As the very first piece it is a chunk all the same. */
    big = arena_alloc(&arena, 100000);
    memset(big, 1, 100000);
    assert_non_null(arena_alloc(&arena, 1));
    arena_free(&arena);
}

static void test_fill_to_the_brim(void **state) {
    struct arena arena = ARENA_INIT;
    arena_alloc(&arena, 1);
    size_t room = arena.chunk->size - arena.used - ARENA_REDZONE;
    struct arena_chunk *newest = arena.chunk;
    memset(arena_alloc(&arena, room), 1, room);
    assert_ptr_equal(arena.chunk, newest);
    assert_int_equal(arena.used, newest->size);
    assert_non_null(arena_alloc(&arena, 0));
    arena_alloc(&arena, 1);
    assert_ptr_not_equal(arena.chunk, newest);
    arena_free(&arena);
}

static void test_cleared_and_copied(void **state) {
    struct arena arena = ARENA_INIT;
    memset(arena_alloc(&arena, 800), 0xff, 800);
    arena_reset(&arena, 4096);
    char *p = ARENA_ARRAY(&arena, char, 800);
    for (size_t i = 0; i < 800; i++) {
        assert_int_equal(p[i], 0);
    }
    assert_memory_equal(arena_copy(&arena, "praetor", 7), "praetor", 7);
    assert_non_null(arena_copy(&arena, NULL, 0));
    assert_int_equal(*ARENA_NEW(&arena, uint64_t), 0);
    arena_free(&arena);
}

static void test_reset(void **state) {
    struct arena arena = ARENA_INIT;
    arena_reset(&arena, 100); /* nothing there */
    arena_alloc(&arena, 100);
    size_t small = arena.chunk->size;
    arena_reset(&arena, small);
    assert_int_equal(arena.total, small);
    assert_int_equal(arena.used, 0);
    for (int i = 0; i < 100; i++) {
        arena_alloc(&arena, 1000);
    }
    struct arena_chunk *newest = arena.chunk;
    arena_reset(&arena, newest->size);
    assert_ptr_equal(arena.chunk, newest);
    assert_null(newest->older);
    assert_int_equal(arena.total, newest->size);
    arena_reset(&arena, newest->size - 1);
    assert_null(arena.chunk);
    arena_free(&arena);
}

#ifdef ARENA_ASAN
static void test_poison(void **state) {
    struct arena arena = ARENA_INIT;
    char *p = arena_alloc(&arena, 16);
    char *q = arena_alloc(&arena, 5);
    assert_false(__asan_address_is_poisoned(p + 15));
    assert_true(__asan_address_is_poisoned(p + 16));
    assert_false(__asan_address_is_poisoned(q + 4));
    assert_true(__asan_address_is_poisoned(q + 5));
    arena_reset(&arena, SIZE_MAX);
    assert_true(__asan_address_is_poisoned(p));
    arena_free(&arena);
}
#else
static void test_poison(void **state) {
    skip();
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_apart),
        cmocka_unit_test(test_first_chunk_is_small),
        cmocka_unit_test(test_big_piece_keeps_the_newest_chunk),
        cmocka_unit_test(test_fill_to_the_brim),
        cmocka_unit_test(test_cleared_and_copied),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
