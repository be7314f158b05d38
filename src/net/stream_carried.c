/* Streams without a descriptor: one of many within a connection of another protocol. The input is
 * given by whoever carries it, the output is taken by him; the rest is as for all streams
 * (stream.c).
 */
#include "base/mem.h"
#include "base/time.h"
#include "net/stream_room.h"

/* Offers the output to the carrier. What is not taken at once may take its time. */
void stream_push_carried(struct stream *s) {
    if (s->out_first == NULL && !s->finishing)
        return;
    s->carrier->output(s);
    if (s->closing || s->blocked || s->out_first == NULL)
        return;
    stream_write_waits(s, 0);
}

void stream_open_carried(struct stream *s, struct loop *l, const struct stream_handlers *on,
                         const struct stream_carrier *carrier, void *carrier_owner) {
    stream_init(s, l, -1, on);
    s->carrier = carrier;
    s->carrier_owner = carrier_owner;
    uv_timer_init(&l->uv, &s->closer);
}

void stream_input(struct stream *s, struct str bytes) {
    ASSERT(s->carrier != NULL && !s->delivering);
    if (!s->closing && bytes.len > 0)
        stream_receive(s, bytes.data, bytes.len);
}

size_t stream_input_waiting(const struct stream *s) {
    return s->in.len;
}

struct str stream_output(struct stream *s) {
    while (s->out_first != NULL && stream_piece_left(s->out_first).len == 0)
        stream_drop_first(s);
    return s->out_first != NULL ? stream_piece_left(s->out_first) : STR_NONE;
}

void stream_output_taken(struct stream *s, size_t len) {
    ASSERT(s->carrier != NULL);
    if (s->blocked)
        stream_write_waits(s, len);
    while (len > 0) {
        struct str left = stream_piece_left(s->out_first);
        size_t n = len < left.len ? len : left.len;
        s->out_first->sent += n;
        len -= n;
        if (n == left.len)
            stream_drop_first(s);
    }
}

void stream_output_settle(struct stream *s) {
    if (s->closing || !s->blocked || s->out_first != NULL)
        return;
    s->blocked = false;
    stream_set_deadline(s, 0);
    stream_tell_drained(s);
}

bool stream_output_ended(const struct stream *s) {
    return s->finishing && s->out_first == NULL;
}
