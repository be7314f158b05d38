/* Packets behind their lengths, by anybody and in pieces: what is taken is what taking all at once
 * gives, nothing is read beyond the end, and little is kept.
 */
#include "base/mem.h"
#include "gossip/carried.h"
#include "gossip/gossip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Adds the packets that are taken to `out`; false: the connection ends. */
static bool take(struct carried *c, struct str *in, struct buf *out, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct str packet;
    enum carried_status status;
    const char *begin = in->data, *end = in->data + in->len;
    while ((status = carried_take(c, in, &packet, &e)) == CARRIED_PACKET) {
        ASSERT(packet.len > 0 && packet.len <= GOSSIP_PACKET_MAX);
        ASSERT(packet.data >= begin && packet.data + packet.len <= end);
        buf_add_char(out, ',');
        buf_add_str(out, packet);
    }
    ASSERT(in->data + in->len == end);
    ASSERT(status == CARRIED_BAD || in->len < CARRIED_HEAD + GOSSIP_PACKET_MAX);
    ASSERT((status == CARRIED_BAD) == error_is_set(&e));
    return status != CARRIED_BAD;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    size_t piece = data[0] + (size_t)1;
    struct str all = str_of(data + 1, size - 1);
    struct arena arena = ARENA_INIT;
    struct carried whole = {0}, pieces = {0};
    struct buf at_once = BUF_INIT, little = BUF_INIT, kept = BUF_INIT;
    struct str in = all;
    bool good = take(&whole, &in, &at_once, &arena), still = true;
    for (size_t at = 0; still && at < all.len; at += piece) {
        buf_add_str(&kept, str_sub(all, at, piece));
        struct str rest = buf_str(&kept);
        still = take(&pieces, &rest, &little, &arena);
        if (rest.len > 0)
            memmove(kept.data, rest.data, rest.len);
        kept.len = rest.len;
    }
    ASSERT(still == good && str_eq(buf_str(&at_once), buf_str(&little)));
    buf_free(&at_once);
    buf_free(&little);
    buf_free(&kept);
    arena_free(&arena);
    return 0;
}
