/* The last bytes of what was written, and how much it was: the output of checks and of what
 * programs print, answers with a limit.
 */
#ifndef PRAETOR_BASE_TAIL_H
#define PRAETOR_BASE_TAIL_H

#include "base/buf.h"

struct tail { /* starts zeroed but for limit */
    size_t limit;
    uint64_t total;
    struct buf bytes;
};
void tail_add(struct tail *o, const void *data, size_t len);
/* At most the last `limit` bytes; a view. */
struct str tail_bytes(struct tail *o);
void tail_free(struct tail *o);

#endif
