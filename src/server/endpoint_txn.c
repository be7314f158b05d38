/* Txn (rpc.md 6.10, http-core.md 11.6): operations are looked at one by one before anything runs,
 * and what is wrong with them is the answer, not an error of the call.
 */
#include <stdlib.h>

#include "server/endpoint.h"
#include "store/txn.h"

/* ---- errors by operation, in the arena of the answer ---- */

static void txn_error_add(struct call_context *c, struct list *errors, uint32_t op,
                          struct str what) {
    struct txn_error *error = ARENA_NEW(c->arena, struct txn_error);
    *error = (struct txn_error){.op_index = op, .what = what};
    /* Few, and seldom: the list is copied each time. */
    struct list all = LIST_NEW(c->arena, struct txn_error *, errors->len + 1);
    for (uint32_t i = 0; i < errors->len; i++) {
        LIST_AT(all, struct txn_error *, i) = LIST_AT(*errors, struct txn_error *, i);
    }
    LIST_AT(all, struct txn_error *, errors->len) = error;
    *errors = all;
}

static bool kv_check(const struct txn_op_kv *op, struct error *e) {
    if (op->dir_ent.key.len == 0 && !str_is(op->verb, "delete-tree")) {
        return error_set(e, ERROR_INTERNAL, "Must provide key");
    }
    return true;
}

/* Reads ("get") of records are not looked at; the rest is validated as a registration would be. */
static bool op_check(struct call_context *c, struct txn_op *op, struct error *e) {
    if (op->kv != NULL) {
        return kv_check(op->kv, e);
    }
    if (op->intention != NULL ||
        (op->node == NULL && op->service == NULL && op->check == NULL && op->session != NULL)) {
        return error_set(e, ERROR_DENIED, "Permission denied"); /* never sent by agents */
    }
    if (op->node != NULL && !str_is(op->node->verb, "get")) {
        return register_check_node(c, op->node->node.node, op->node->node.id, e);
    }
    if (op->node == NULL && op->service != NULL && !str_is(op->service->verb, "get")) {
        return register_prepare_service(c, &op->service->service, e);
    }
    if (op->node == NULL && op->service == NULL && op->check != NULL &&
        !str_is(op->check->verb, "get") && op->check->check.check_id.len == 0) {
        op->check->check.check_id = op->check->check.name;
    }
    return true;
}

static bool ops_check(struct call_context *c, const struct list *ops, struct list *errors,
                      struct error *e) {
    for (uint32_t i = 0; i < ops->len; i++) {
        struct txn_op *op = LIST_AT(*ops, struct txn_op *, i);
        if (op == NULL) { /* the peer breaks here */
            return error_set(e, ERROR_BAD_REQUEST, "Bad request: operation %u is null", i);
        }
        struct error what = ERROR_IN(c->arena);
        if (!op_check(c, op, &what)) {
            txn_error_add(c, errors, i, what.text);
        }
    }
    return true;
}

/* ---- writes ---- */

static bool apply_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    struct txn_request *r = request;
    struct txn_response *out = c->reply;
    if (!ops_check(c, &r->ops, &out->errors, e)) {
        return false;
    }
    if (out->errors.len == 0) {
        endpoint_entry(entry, ENTRY_TXN, &txn_request_shape, r);
    }
    return true;
}

static int error_compare(const void *a, const void *b) {
    const struct txn_error *x = *(struct txn_error *const *)a;
    const struct txn_error *y = *(struct txn_error *const *)b;
    return x->op_index < y->op_index ? -1 : x->op_index > y->op_index;
}

static bool apply_admit(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)e;
    const struct txn_request *r = request;
    struct txn_response *out = reply;
    for (uint32_t i = 0; i < r->ops.len; i++) {
        const struct txn_op_kv *kv = LIST_AT(r->ops, struct txn_op *, i)->kv;
        if (kv != NULL && kv->dir_ent.key.len > 0 && str_is(kv->verb, "lock") &&
            store_lock_delay(c->server->store, kv->dir_ent.key) > c->now_wall) {
            txn_error_add(c, &out->errors, i,
                          str_format(c->arena, "failed to lock key %.*s due to lock delay",
                                     STR_ARG(str_quote(c->arena, kv->dir_ent.key))));
        }
    }
    if (out->errors.len > 0) {
        qsort(out->errors.items, out->errors.len, sizeof(struct txn_error *), error_compare);
    }
    return out->errors.len == 0;
}

static void ptr_list_copy(struct call_context *c, struct list *to, const struct list *from,
                          const struct shape *shape) {
    *to = *from;
    if (from->len == 0) {
        return;
    }
    *to = LIST_NEW(c->arena, void *, from->len);
    for (uint32_t i = 0; i < from->len; i++) {
        void *copy = arena_zalloc(c->arena, 1, shape->size);
        schema_copy(shape, copy, LIST_AT(*from, void *, i), c->arena);
        LIST_AT(*to, void *, i) = copy;
    }
}

static bool apply_finish(struct call_context *c, const void *request,
                         const struct store_result *result, void *reply, struct error *e) {
    (void)request;
    struct txn_response *out = reply;
    if (result->kind != STORE_RESULT_TXN) {
        return error_set(e, ERROR_INTERNAL, "unexpected return type from a transaction");
    }
    ptr_list_copy(c, &out->results, &result->txn->results, &txn_result_shape);
    ptr_list_copy(c, &out->errors, &result->txn->errors, &txn_error_shape);
    return true;
}

/* ---- reads ---- */

static bool read_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct txn_read_request *r = request;
    struct txn_read_response *out = reply;
    if (!ops_check(c, &r->ops, &out->errors, e)) {
        return false;
    }
    if (out->errors.len == 0) {
        txn_read(c->store, &r->ops, &out->errors, &out->results);
    }
    return true;
}

const struct endpoint endpoint_txn_apply = {
    ENDPOINT_WRITES("Txn.Apply", txn_request),
    .metric = "txn.apply",
    ENDPOINT_REPLY(txn_response),
    .prepare = apply_prepare,
    .admit = apply_admit,
    .finish = apply_finish,
};

const struct endpoint endpoint_txn_read = {
    ENDPOINT_READS("Txn.Read", ENDPOINT_READ, txn_read_request, txn_read_response),
    .metric = "txn.read",
    .read = read_read,
};
