/* The framing of the server RPC (rpc.md 3): headers, and where one msgpack object ends in bytes
 * that come piece by piece. For both sides: rpc_serve.c and rpc_pool.c.
 */
#ifndef PRAETOR_SERVER_RPC_WIRE_H
#define PRAETOR_SERVER_RPC_WIRE_H

#include "base/buf.h"
#include "base/error.h"
#include "schema/schema.h"

struct rpc_request_header {
    uint64_t seq;
    struct str service_method;
};
struct rpc_response_header {
    struct str error;
    uint64_t seq;
    struct str service_method;
};
extern const struct shape rpc_request_header_shape, rpc_response_header_shape;

/* Finds the end of one object without looking at any byte twice and without a stack. Set the
 * limits, zero the rest. */
struct rpc_scan {
    size_t max_bytes;    /* of the object */
    uint64_t max_tokens; /* in it: each may become some hundred bytes when it is decoded */
    size_t at;           /* bytes of the object that are known to belong to it */
    uint64_t tokens;     /* seen */
    uint64_t announced;  /* those that the seen ones hold */
};
enum rpc_scan_result { RPC_SCAN_MORE, RPC_SCAN_DONE, RPC_SCAN_TOO_LARGE };
/* bytes: everything from the object's first byte on (the same and more each time). DONE: it is
 * scan->at bytes long. MORE: it is not complete (scan->at may lie beyond len: so much is known to
 * be needed). A byte that is no msgpack counts as an object: decoding will say so. */
enum rpc_scan_result rpc_scan(struct rpc_scan *scan, const char *bytes, size_t len);

/* Appends a header; the body follows it. */
void rpc_write_request(struct buf *out, uint64_t seq, struct str method);
void rpc_write_response(struct buf *out, uint64_t seq, struct str method, struct str error);

#endif
