/* The body of `PUT /v1/txn` (http-core.md 11.6), which is not the transaction of the wire:
 * operations are flatter, and their records are those of the peer's API package (other names in
 * error texts). JSON in only. The HTTP room turns it into struct txn_request.
 */
#ifndef PRAETOR_SCHEMA_TXN_BODY_H
#define PRAETOR_SCHEMA_TXN_BODY_H

#include "schema/catalog.h"

struct api_kv_op {
    uint64_t flags;
    uint64_t index;
    struct str key;
    struct str namespace; /* without effect */
    struct str session;
    struct str value; /* bytes */
    struct str verb;
};
struct api_node_op {
    struct node node;
    struct str verb;
};
/* Proxy, connect, kind and the like are looked at for errors, and then have no effect. */
struct api_service_op {
    struct str node;
    struct node_service service;
    struct str verb;
};
struct api_check_op {
    struct health_check check;
    struct str verb;
};
struct api_txn_op {
    struct api_check_op *check;     /* or NULL */
    struct api_kv_op *kv;           /* or NULL */
    struct api_node_op *node;       /* or NULL */
    struct api_service_op *service; /* or NULL */
};

extern const struct shape api_txn_op_shape;
/* The whole body: a list of struct api_txn_op * (null stays NULL); go_type "api.TxnOps". */
extern const struct type api_txn_ops_type;

#endif
