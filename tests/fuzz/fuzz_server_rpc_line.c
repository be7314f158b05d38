/* A line of requests with bytes of anybody, in pieces: where objects end (compared with the decoder
 * of msgpack), headers, bodies of all endpoints, answers that are taken piece by piece. There is no
 * server behind it, so each call that would start is answered with an error at once.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/msgpack.h"
#include "net/loop.h"
#include "server/rpc_line.h"
#include "server/server_room.h"

static const uint8_t *choice;
static size_t next_choice;
static struct buf out;
static bool over, busy, hungry;

static uint8_t choose(void) {
    return choice[next_choice++ % 8];
}

static size_t take(struct rpc_line *l, struct str bytes) {
    (void)l;
    size_t n = choose() % 4 == 0 ? 1 + (size_t)choose() : bytes.len;
    n = n < bytes.len ? n : bytes.len;
    buf_add(&out, bytes.data, n);
    hungry = n < bytes.len;
    return n;
}

static void flush(struct rpc_line *l) {
    (void)l;
}

static void set_busy(struct rpc_line *l, bool b) {
    (void)l;
    ASSERT(busy != b);
    busy = b;
}

static void end(struct rpc_line *l) {
    (void)l;
    ASSERT(!over);
    over = true;
}

static const struct rpc_line_carrier carrier = {take, flush, set_busy, end};

/* The scan and the decoder agree on where an object ends. */
static void check_scan(const char *bytes, size_t len) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct rpc_scan whole = {.max_bytes = 1 << 20, .max_tokens = 1 << 20}, pieces = whole;
    enum rpc_scan_result result = rpc_scan(&whole, bytes, len), step = RPC_SCAN_MORE;
    for (size_t n = 0; n <= len && step == RPC_SCAN_MORE; n++)
        step = rpc_scan(&pieces, bytes, n);
    ASSERT(step == result && (result != RPC_SCAN_DONE || pieces.at == whole.at));
    struct msgpack_reader in = msgpack_read(str_of(bytes, len));
    if (msgpack_skip(&in, &e)) {
        ASSERT(result == RPC_SCAN_DONE);
        ASSERT(whole.at == (size_t)((const char *)in.at - bytes));
    }
    arena_free(&arena);
}

/* What went out are whole responses, but for a last one that was cut off. */
static void check_output(void) {
    size_t at = 0;
    while (at < out.len) {
        for (int part = 0; part < 2; part++) {
            struct rpc_scan scan = {.max_bytes = 1 << 24, .max_tokens = 1 << 20};
            enum rpc_scan_result result = rpc_scan(&scan, out.data + at, out.len - at);
            ASSERT(result != RPC_SCAN_TOO_LARGE);
            if (result == RPC_SCAN_MORE)
                return;
            at += scan.at;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 9)
        return 0;
    log_set_stdout(false);
    choice = data;
    next_choice = 0;
    over = busy = hungry = false;
    const char *bytes = (const char *)data + 8;
    size_t len = size - 8;
    check_scan(bytes, len < 4096 ? len : 4096);
    struct rpc_line line = {.carrier = &carrier, .from = "from=fuzz"};
    ASSERT(rpc_line_open(&line));
    struct buf kept = BUF_INIT; /* what the line did not take */
    while ((len > 0 || hungry) && !over) {
        if (hungry) {
            hungry = false;
            rpc_line_writable(&line);
            continue;
        }
        size_t n = choose() % 2 == 0 ? 1 + choose() : len;
        n = n < len ? n : len;
        buf_add(&kept, bytes, n);
        bytes += n;
        len -= n;
        while (kept.len > 0 && !over && !busy) {
            size_t taken = rpc_line_data(&line, kept.data, kept.len);
            ASSERT(taken <= kept.len && (taken > 0 || over));
            memmove(kept.data, kept.data + taken, kept.len - taken);
            kept.len -= taken;
        }
    }
    if (!over)
        rpc_line_ended(&line);
    check_output();
    rpc_line_free(&line);
    ASSERT(rpc_line_bytes() == 0);
    buf_free(&kept);
    buf_free(&out);
    return 0;
}
