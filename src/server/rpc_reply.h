/* One answer of the server RPC (rpc.md 3.1) out of bytes that come piece by piece: a header, which
 * may say that it is an error, and a body. For rpc_pool.c; nothing but bytes goes in.
 */
#ifndef PRAETOR_SERVER_RPC_REPLY_H
#define PRAETOR_SERVER_RPC_REPLY_H

#include "base/error.h"
#include "server/rpc_wire.h"

/* Bytes of one reply. The protocol has no limit; who sends more is not listened to. */
#define RPC_REPLY_MAX ((size_t)512 << 20)

struct rpc_reply {
    struct rpc_scan scan;
    size_t header_len; /* 0: the header has not come completely */
};

enum rpc_reply_result {
    RPC_REPLY_MORE,
    RPC_REPLY_DONE,
    RPC_REPLY_BAD, /* e says why; nothing that follows on the stream means anything */
};

void rpc_reply_begin(struct rpc_reply *r);
/* bytes: everything from the header's first byte on (the same and more each time). DONE: *body is
 * in them, and *end is where it ends; e is set when the answer is an error, whose kind is
 * rpc_error_kind's. e must be clear at first; all texts begin with "rpc error making call: ". */
enum rpc_reply_result rpc_reply_look(struct rpc_reply *r, const char *bytes, size_t len,
                                     struct str *body, size_t *end, struct error *e);

/* The kind of an error that another server told as a text. */
enum error_kind rpc_error_kind(struct str text);

#endif
