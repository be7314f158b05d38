/* The formulas of gossip.md 6.3, 7.1, 7.3 and 9.6: how times and counts grow with the number of
 * nodes.
 */
#include <math.h>

#include "base/time.h"
#include "gossip/state.h"

unsigned gossip_retransmit_limit(unsigned mult, size_t nodes) {
    return mult * (unsigned)ceil(log10((double)(nodes + 1)));
}

int64_t gossip_suspicion_min(unsigned mult, size_t nodes, int64_t interval) {
    double scale = log10(fmax(1.0, (double)nodes));
    int64_t thousandths = (int64_t)(1000.0 * fmax(1.0, scale));
    return (int64_t)mult * thousandths * interval / 1000;
}

int64_t gossip_suspicion_timeout(uint32_t needed, uint32_t confirmations, int64_t min,
                                 int64_t max) {
    if (needed < 1)
        return min;
    double fraction = log((double)confirmations + 1.0) / log((double)needed + 1.0);
    double min_s = (double)min / 1e9, max_s = (double)max / 1e9;
    double raw = max_s - fraction * (max_s - min_s);
    int64_t timeout = (int64_t)floor(1000.0 * raw) * MILLISECOND;
    return timeout > min ? timeout : min;
}

int64_t gossip_push_pull_interval(int64_t interval, size_t nodes) {
    if (nodes <= 32)
        return interval;
    return ((int64_t)ceil(log2((double)nodes) - log2(32)) + 1) * interval;
}

int64_t gossip_query_timeout(int64_t interval, size_t nodes) {
    return interval * 16 * (int64_t)ceil(log10((double)(nodes + 1)));
}
