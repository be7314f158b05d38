/* The answer of a gRPC health service. A status that is read is there when it is read again with
 * bytes behind the frame.
 */
#include <string.h>

#include "agent/check_run.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t status, again;
    if (check_grpc_read_status(str_of(data, size), &status)) {
        struct buf more = BUF_INIT;
        buf_add(&more, data, size);
        buf_add_text(&more, "more");
        ASSERT(check_grpc_read_status(buf_str(&more), &again) && again == status);
        buf_free(&more);
    }
    return 0;
}
