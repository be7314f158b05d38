/* Clusters and listeners as users may write them: any JSON is either refused with a text or becomes
 * bytes that are a message: fields, one after the other, to the end.
 */
#include <stdint.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/protobuf.h"
#include "xds/envoy.h"

static void try(const struct envoy_message *m, const struct value *tree, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct buf out = BUF_INIT;
    if (!message_encode(&out, m, tree, &e)) {
        ASSERT(e.text.len > 0);
    } else {
        struct pb_reader r = {buf_str(&out), NULL};
        uint64_t number;
        unsigned wire;
        while (r.rest.len > 0) {
            bool ok = pb_take_key(&r, &number, &wire) && pb_skip(&r, wire);
            ASSERT(ok);
        }
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value tree;
    if (json_parse_whole(str_of(data, size), &tree, &arena, &e)) {
        try(&envoy_cluster, &tree, &arena);
        try(&envoy_listener, &tree, &arena);
        try(&envoy_http_connection_manager, &tree, &arena);
    }
    arena_free(&arena);
    return 0;
}
