/* The inside of streams, for stream.c and stream_carried.c.
 */
#ifndef PRAETOR_NET_STREAM_ROOM_H
#define PRAETOR_NET_STREAM_ROOM_H

#include "net/stream.h"

/* The other side must take so much, or all that there is, in each such time. */
#define STREAM_WRITE_TIME (300 * SECOND)
#define STREAM_WRITE_LEAST ((size_t)65536)

/* Output in the order in which it is sent: bytes of our own, or somebody's who is told afterwards.
 */
struct stream_piece {
    struct stream_piece *next;
    struct buf own;
    struct str shared;
    void (*release)(void *owner);
    void *owner;
    bool is_shared;
    size_t sent;
};

/* stream.c */
void stream_init(struct stream *s, struct loop *l, int fd, const struct stream_handlers *on);
/* What has come is delivered, or kept while the owner is busy. */
void stream_receive(struct stream *s, const char *bytes, size_t len);
/* What of it was not sent. */
struct str stream_piece_left(const struct stream_piece *p);
void stream_drop_first(struct stream *s);
void stream_tell_drained(struct stream *s);
/* That many bytes have been taken, and others wait: who takes hardly any is not waited for. */
void stream_write_waits(struct stream *s, size_t taken);

/* stream_carried.c: stream_push of these. */
void stream_push_carried(struct stream *s);

#endif
