/* Requests of other servers as they come, in pieces of any size: where one ends is found the same
 * way as when it is there at once, no byte is looked at that has not come, and what is whole can be
 * read or is refused, but never waited for. The first byte says how the pieces are cut.
 */
#include "base/mem.h"
#include "raft/wire.h"

/* In pieces: DONE and where, or BAD; MORE at the end of the input. */
static enum raft_wire_status in_pieces(const uint8_t *data, size_t size, size_t step, size_t *end) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_wire_scan scan = {0};
    enum raft_wire_status status = RAFT_WIRE_MORE;
    for (size_t have = 0; status == RAFT_WIRE_MORE; have += step) {
        size_t len = have < size ? have : size;
        char *copy =
            mem_alloc(len + 1); /* of exactly that size, so that ASan sees what is beyond */
        memcpy(copy, data, len);
        copy = mem_resize(copy, len > 0 ? len : 1, 1);
        status = raft_wire_scan(&scan, str_of(copy, len), &e);
        mem_free(copy);
        if (len == size)
            break;
    }
    *end = scan.at;
    arena_free(&arena);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 4096)
        return 0;
    size_t step = 1 + data[0] % 61, end, whole_end;
    struct str bytes = str_of((const char *)data + 1, size - 1);
    enum raft_wire_status status = in_pieces(data + 1, size - 1, step, &end);
    ASSERT(in_pieces(data + 1, size - 1, size, &whole_end) == status);
    if (status != RAFT_WIRE_DONE)
        return 0;
    ASSERT(end == whole_end && end <= bytes.len);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_message m;
    int64_t protocol;
    size_t used;
    enum raft_wire_status read =
        raft_wire_read_request(str_sub(bytes, 0, end), &used, &m, &protocol, &arena, &e);
    ASSERT(read != RAFT_WIRE_MORE);
    if (read == RAFT_WIRE_DONE) {
        ASSERT(used == end);
        raft_wire_release(&m);
    }
    arena_free(&arena);
    return 0;
}
