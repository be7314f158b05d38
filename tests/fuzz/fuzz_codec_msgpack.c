/* Any bytes: no crash, memory in proportion, and what is read is written to bytes that read the
 * same. */
#include "base/mem.h"
#include "codec/msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct msgpack_reader in = msgpack_read(str_of(data, size));
    struct msgpack_reader skipped = in;
    struct value v, again;
    bool ok = msgpack_read_value(&in, &v, &arena, &e);
    ASSERT(arena.total < 200000 + 300 * size);
    error_clear(&e);
    bool skips = msgpack_skip(&skipped, &e);
    if (ok) {
        ASSERT(skips && skipped.at == in.at);
        struct buf first = BUF_INIT, second = BUF_INIT;
        msgpack_write_value(&first, &v);
        struct msgpack_reader back = msgpack_read(buf_str(&first));
        ASSERT(msgpack_read_value(&back, &again, &arena, &e) && back.at == back.end);
        msgpack_write_value(&second, &again);
        ASSERT(str_eq(buf_str(&first), buf_str(&second)));
        buf_free(&first);
        buf_free(&second);
    }
    arena_free(&arena);
    return 0;
}
