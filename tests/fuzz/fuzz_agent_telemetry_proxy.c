/* The telemetry settings in a proxy's registration, as any JSON: what is read is within bounds, and
 * what cannot be read is told.
 */
#include <stdint.h>

#include "agent/telemetry_proxy.h"
#include "base/mem.h"
#include "codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    struct proxy_telemetry t;
    if (json_parse_whole(str_of(data, size), &v, &arena, &e)) {
        bool ok = proxy_telemetry_read(&v, &t, &arena, &e);
        ASSERT(ok == !error_is_set(&e));
        const struct list lists[] = {t.settings.allowed_prefixes, t.settings.blocked_prefixes,
                                     t.settings.dogstatsd_tags};
        size_t total = t.settings.statsd_addr.len + t.settings.metrics_prefix.len;
        for (size_t i = 0; i < COUNT_OF(lists); i++)
            for (uint32_t j = 0; j < lists[i].len; j++)
                total += LIST_AT(lists[i], struct str, j).len;
        ASSERT(total <= 3 * size); /* escapes of JSON may grow into UTF-8 */
    }
    arena_free(&arena);
    return 0;
}
