/* See carried.h. */
#include "gossip/carried.h"

#include "gossip/gossip.h"

static void skip(struct carried *c, struct str *in) {
    size_t len = c->skip < in->len ? c->skip : in->len;
    c->skip -= len;
    *in = str_sub(*in, len, in->len);
}

enum carried_status carried_take(struct carried *c, struct str *in, struct str *packet,
                                 struct error *e) {
    for (;;) {
        skip(c, in);
        if (c->skip > 0 || in->len < CARRIED_HEAD)
            return CARRIED_MORE;
        size_t len = be32_get(in->data);
        if (len > CARRIED_MAX) {
            error_set(e, ERROR_IO, "gossip packet size %zu exceeds threshold of %d", len,
                      CARRIED_MAX);
            return CARRIED_BAD;
        }
        if (len == 0) {
            error_set(e, ERROR_IO, "packet too short (0 bytes)");
            return CARRIED_BAD;
        }
        if (len <= GOSSIP_PACKET_MAX) {
            if (in->len < CARRIED_HEAD + len)
                return CARRIED_MORE;
            *packet = str_sub(*in, CARRIED_HEAD, len);
            *in = str_sub(*in, CARRIED_HEAD + len, in->len);
            return CARRIED_PACKET;
        }
        c->skip = CARRIED_HEAD + len;
    }
}

void carried_add(struct buf *out, struct str packet) {
    buf_add_be32(out, (uint32_t)packet.len);
    buf_add_str(out, packet);
}
