/* Requests and responses of other servers: never a crash, and what was read as a request can be
 * written and read again. */
#include "base/mem.h"
#include "raft/wire.h"

static void request(struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_message m, again;
    int64_t protocol;
    size_t used = 0;
    if (raft_wire_read_request(bytes, &used, &m, &protocol, &arena, &e) == RAFT_WIRE_DONE) {
        ASSERT(used <= bytes.len);
        if (m.kind != RAFT_INSTALL || m.install.configuration != NULL) {
            struct buf out = BUF_INIT;
            size_t written;
            raft_wire_write_request(&m, 3, &out);
            enum raft_wire_status status =
                raft_wire_read_request(buf_str(&out), &written, &again, &protocol, &arena, &e);
            ASSERT(status == RAFT_WIRE_DONE && written == out.len && again.kind == m.kind);
            raft_wire_release(&again);
            buf_free(&out);
        }
        raft_wire_release(&m);
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct str bytes = str_of((const char *)data + 1, size - 1);
    if (data[0] < 4) {
        static const enum raft_message_kind kinds[] = {RAFT_APPEND, RAFT_VOTE, RAFT_INSTALL,
                                                       RAFT_TIMEOUT_NOW};
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        struct raft_message m;
        struct str refusal;
        size_t used;
        raft_wire_read_response(kinds[data[0]], bytes, &used, &m, &refusal, &arena, &e);
        arena_free(&arena);
    } else {
        request(bytes);
    }
    return 0;
}
