/* What another server answers: header and body, in pieces, and the body decoded as the reply of any
 * endpoint; also the two objects of a snapshot connection. The first three bytes choose.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/msgpack.h"
#include "server/endpoints.h"
#include "server/rpc_reply.h"
#include "server/snapshot_wire.h"

static const struct endpoint *const endpoints[] = {
    &endpoint_status_leader,
    &endpoint_status_peers,
    &endpoint_status_raft_stats,
    &endpoint_catalog_list_nodes,
    &endpoint_catalog_list_services,
    &endpoint_catalog_service_nodes,
    &endpoint_catalog_node_services,
    &endpoint_catalog_gateway_services,
    &endpoint_health_service_nodes,
    &endpoint_health_checks_in_state,
    &endpoint_kvs_apply,
    &endpoint_kvs_get,
    &endpoint_kvs_list_keys,
    &endpoint_session_list,
    &endpoint_coordinate_list_datacenters,
    &endpoint_txn_apply,
    &endpoint_internal_node_dump,
    &endpoint_internal_gateway_service_dump,
    &endpoint_operator_raft_configuration,
    &endpoint_operator_autopilot_get,
};

static void decode(const struct endpoint *endpoint, struct str body) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    size_t size = endpoint->reply != NULL ? endpoint->reply->size : endpoint->reply_size;
    void *reply = arena_zalloc(&arena, 1, size);
    struct msgpack_reader in = msgpack_read(body);
    if (endpoint->reply != NULL) {
        schema_decode(&in, endpoint->reply, reply, &arena, &e);
    } else {
        schema_decode_type(&in, endpoint->reply_type, reply, &arena, &e);
    }
    arena_free(&arena);
}

static void snapshot(struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct snapshot_request request;
    struct snapshot_response response;
    schema_decode_bytes(bytes, &snapshot_request_shape, &request, &arena, &e);
    error_clear(&e);
    schema_decode_bytes(bytes, &snapshot_response_shape, &response, &arena, &e);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    const struct endpoint *endpoint = endpoints[data[0] % COUNT_OF(endpoints)];
    const char *bytes = (const char *)data + 3;
    size_t len = size - 3, step = 1 + data[1] % 64u, first = data[2];
    struct arena arena = ARENA_INIT;
    struct error pieces = ERROR_IN(&arena), whole = ERROR_IN(&arena);
    struct rpc_reply a, b;
    struct str body = STR_NONE, body_b = STR_NONE;
    size_t end = 0, end_b = 0;
    rpc_reply_begin(&a);
    rpc_reply_begin(&b);
    enum rpc_reply_result result = RPC_REPLY_MORE;
    for (size_t n = first < len ? first : len;; n = n + step < len ? n + step : len) {
        result = rpc_reply_look(&a, bytes, n, &body, &end, &pieces);
        if (result != RPC_REPLY_MORE || n == len) {
            break;
        }
    }
    /* Pieces make no difference, but for an end that was found before all was there. */
    ASSERT(rpc_reply_look(&b, bytes, len, &body_b, &end_b, &whole) == result);
    ASSERT(str_eq(body, body_b) && end == end_b && str_eq(pieces.text, whole.text));
    ASSERT(result != RPC_REPLY_BAD || error_is_set(&whole));
    if (result == RPC_REPLY_DONE) {
        ASSERT(end <= len && body.len > 0);
        decode(endpoint, body);
    }
    snapshot(str_of(bytes, len));
    arena_free(&arena);
    return 0;
}
