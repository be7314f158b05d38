/* Txn (rpc.md 6.10, http-core.md 11.6): operations are looked at one by one before anything runs,
 * and what is wrong with them is the answer, not an error of the call.
 */
#include <stdlib.h>

#include "server/endpoint.h"
#include "server/filter_acl.h"
#include "server/permit.h"
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

/* Reads are allowed: their results are filtered. Only what tells of an entry without showing it
 * needs a right of its own (acl.md 9.3). */
static bool kv_permit(const struct call_context *c, const struct txn_op_kv *op, struct error *e) {
    struct str key = op->dir_ent.key;
    if (str_is(op->verb, "get") || str_is(op->verb, "get-tree")) {
        return true;
    }
    if (str_is(op->verb, "delete-tree")) {
        return authorizer_may_write_prefix(c->may, key) || permit_deny(e);
    }
    bool looks = str_is(op->verb, "check-session") || str_is(op->verb, "check-index");
    return permit(c, ACL_KEY, looks ? ACL_READ : ACL_WRITE, key, e);
}

static bool kv_check(const struct call_context *c, const struct txn_op_kv *op, struct error *e) {
    if (op->dir_ent.key.len == 0 && !str_is(op->verb, "delete-tree")) {
        return error_set(e, ERROR_INTERNAL, "Must provide key");
    }
    return kv_permit(c, op, e);
}

static bool node_check(struct call_context *c, const struct txn_op_node *op, struct error *e) {
    return str_is(op->verb, "get") || (register_check_node(c, op->node.node, op->node.id, e) &&
                                       permit(c, ACL_NODE, ACL_WRITE, op->node.node, e));
}

static bool service_check(struct call_context *c, struct txn_op_service *op, struct error *e) {
    return str_is(op->verb, "get") || (register_prepare_service(c, &op->service, e) &&
                                       permit(c, ACL_SERVICE, ACL_WRITE, op->service.service, e));
}

static bool check_check(const struct call_context *c, struct txn_op_check *op, struct error *e) {
    struct health_check *check = &op->check;
    if (str_is(op->verb, "get")) {
        return true;
    }
    if (check->check_id.len == 0) {
        check->check_id = check->name;
    }
    return check->service_id.len > 0 ? permit(c, ACL_SERVICE, ACL_WRITE, check->service_name, e)
                                     : permit(c, ACL_NODE, ACL_WRITE, check->node, e);
}

/* Reads ("get") of records are not looked at; the rest is validated as a registration would be. */
static bool op_check(struct call_context *c, struct txn_op *op, struct error *e) {
    if (op->kv != NULL) {
        return kv_check(c, op->kv, e);
    }
    if (op->intention != NULL) {
        return permit_deny(e); /* never sent by agents */
    }
    if (op->node != NULL) {
        return node_check(c, op->node, e);
    }
    if (op->service != NULL) {
        return service_check(c, op->service, e);
    }
    if (op->check != NULL) {
        return check_check(c, op->check, e);
    }
    return op->session == NULL || permit_deny(e); /* never sent by agents */
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
    filter_txn_results(c, &out->results);
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
        filter_txn_results(c, &out->results);
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
