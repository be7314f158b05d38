/* What a user event carries, as any bytes: refused, or an event that is the same when it is written
 * and read again.
 */
#include <stdint.h>

#include "agent/events.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct user_event event, again;
    if (event_decode(str_of(data, size < 1024 ? size : 1024), &event, &arena, &e)) {
        struct buf out = BUF_INIT;
        event_encode(&out, &event);
        ASSERT(event_decode(buf_str(&out), &again, &arena, &e));
        ASSERT(str_eq(event.name, again.name) && str_eq(event.payload, again.payload));
        ASSERT(event.version == again.version);
        buf_free(&out);
    }
    arena_free(&arena);
    return 0;
}
