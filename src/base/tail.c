/* See tail.h. What is kept is cut now and then, not at each piece. */
#include "base/tail.h"

void tail_add(struct tail *o, const void *data, size_t len) {
    o->total += len;
    if (len > o->limit) {
        data = (const char *)data + (len - o->limit);
        len = o->limit;
    }
    buf_add(&o->bytes, data, len);
    if (o->bytes.len > 2 * o->limit + 4096)
        tail_bytes(o);
}

struct str tail_bytes(struct tail *o) {
    if (o->bytes.len > o->limit) {
        size_t more = o->bytes.len - o->limit;
        memmove(o->bytes.data, o->bytes.data + more, o->limit);
        o->bytes.len = o->limit;
    }
    return buf_str(&o->bytes);
}

void tail_free(struct tail *o) {
    buf_free(&o->bytes);
}
