/* Transactions (fsm.md 5.1): entry type 8, and the same operations as long as they only read.
 */
#include "store/txn.h"

#include <stdarg.h>

#include "codec/uuid.h"
#include "store/apply.h"
#include "store/catalog.h"

/* One run. batch is NULL when only reading: verbs that write are then unknown. */
struct txn_run {
    struct store_read *read;
    struct store_batch *batch;
    struct arena *arena; /* of results and errors */
    struct list results, errors;
    uint32_t result_cap, error_cap;
    int64_t op_index;
};

static void fail_text(struct txn_run *run, struct str what) {
    struct txn_error *error = ARENA_NEW(run->arena, struct txn_error);
    error->op_index = run->op_index;
    error->what = str_copy(run->arena, what);
    *(struct txn_error **)list_push(&run->errors, &run->error_cap, sizeof error, run->arena) =
        error;
}

__attribute__((format(printf, 2, 3))) static void fail(struct txn_run *run, const char *format,
                                                       ...) {
    va_list args;
    va_start(args, format);
    fail_text(run, str_vformat(run->arena, format, args));
    va_end(args);
}

static struct txn_result *result_add(struct txn_run *run) {
    struct txn_result *result = ARENA_NEW(run->arena, struct txn_result);
    *(struct txn_result **)list_push(&run->results, &run->result_cap, sizeof result, run->arena) =
        result;
    return result;
}

static void *kept(struct txn_run *run, const struct shape *shape, const void *object) {
    void *copy = arena_zalloc(run->arena, 1, shape->size);
    schema_copy(shape, copy, object, run->arena);
    return copy;
}

static struct str quoted(struct txn_run *run, struct str s) {
    return str_quote(run->arena, s);
}

/* ---- KV ---- */

static void result_kv(struct txn_run *run, const struct dir_entry *entry, bool with_value) {
    struct dir_entry shown = *entry;
    if (!with_value)
        shown.value = STR_NONE;
    result_add(run)->kv = kept(run, &dir_entry_shape, &shown);
}

static void kv_get_tree(struct txn_run *run, struct str prefix) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, run->read, TABLE_KVS, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct dir_entry entry;
        record_decode(run->read, value, &dir_entry_shape, &entry);
        result_kv(run, &entry, true);
    }
    table_scan_end(&s);
}

/* The verbs that look at one stored entry. */
static bool kv_check(struct txn_run *run, struct str verb, const struct dir_entry *wanted) {
    struct dir_entry entry;
    bool exists = kv_fetch(run->read, wanted->key, &entry);
    struct str key = quoted(run, wanted->key);
    if (str_is(verb, "get")) {
        if (exists)
            result_kv(run, &entry, true);
        else
            fail(run, "key %.*s doesn't exist", STR_ARG(key));
    } else if (str_is(verb, "check-index")) {
        if (!exists) {
            fail(run, "failed to check index, key %.*s doesn't exist", STR_ARG(key));
        } else if (entry.modify_index != wanted->modify_index) {
            fail(run, "failed index check for key %.*s, current modify index %llu != %llu",
                 STR_ARG(key), (unsigned long long)entry.modify_index,
                 (unsigned long long)wanted->modify_index);
        } else {
            result_kv(run, &entry, false);
        }
    } else if (str_is(verb, "check-session")) {
        if (!exists) {
            fail(run, "failed to check session, key %.*s doesn't exist", STR_ARG(key));
        } else if (!str_eq(entry.session, wanted->session)) {
            struct str is = quoted(run, entry.session), want = quoted(run, wanted->session);
            fail(run, "failed session check for key %.*s, current session %.*s != %.*s",
                 STR_ARG(key), STR_ARG(is), STR_ARG(want));
        } else {
            result_kv(run, &entry, false);
        }
    } else if (str_is(verb, "check-not-exists")) {
        if (exists)
            fail(run, "key %.*s exists", STR_ARG(key));
    } else {
        return false;
    }
    return true;
}

static void kv_take(struct txn_run *run, const char *why_not, bool lock, struct dir_entry *entry) {
    struct error e = ERROR_IN(run->arena);
    struct str key = quoted(run, entry->key);
    bool done;
    bool ok =
        lock ? kv_lock(run->batch, entry, &done, &e) : kv_unlock(run->batch, entry, &done, &e);
    if (!ok)
        fail_text(run, e.text);
    else if (!done)
        fail(run, "failed to %s key %.*s, %s", lock ? "lock" : "unlock", STR_ARG(key), why_not);
    else
        result_kv(run, entry, false);
}

static bool kv_write(struct txn_run *run, struct str verb, struct dir_entry *entry) {
    struct str key = quoted(run, entry->key);
    if (str_is(verb, "set")) {
        kv_put(run->batch, entry, false);
        result_kv(run, entry, false);
    } else if (str_is(verb, "cas")) {
        if (kv_cas(run->batch, entry))
            result_kv(run, entry, false);
        else
            fail(run, "failed to set key %.*s, index is stale", STR_ARG(key));
    } else if (str_is(verb, "delete")) {
        kv_delete(run->batch, entry->key);
    } else if (str_is(verb, "delete-cas")) {
        if (!kv_delete_cas(run->batch, entry->key, entry->modify_index)) {
            fail(run, "failed to delete key %.*s, index is stale", STR_ARG(key));
        }
    } else if (str_is(verb, "delete-tree")) {
        kv_delete_tree(run->batch, entry->key);
    } else if (str_is(verb, "lock")) {
        kv_take(run, "lock is already held", true, entry);
    } else if (str_is(verb, "unlock")) {
        kv_take(run, "lock isn't held, or is held by another session", false, entry);
    } else {
        return false;
    }
    return true;
}

static void run_kv(struct txn_run *run, struct txn_op_kv *op) {
    if (str_is(op->verb, "get-tree")) {
        kv_get_tree(run, op->dir_ent.key);
    } else if (!kv_check(run, op->verb, &op->dir_ent) &&
               !(run->batch != NULL && kv_write(run, op->verb, &op->dir_ent))) {
        fail(run, "unknown KV verb %.*s", STR_ARG(quoted(run, op->verb)));
    }
}

/* ---- nodes, services, checks ---- */

/* cas with index 0: only if absent. */
static bool cas_fits(uint64_t wanted, bool exists, uint64_t stored) {
    return wanted == 0 ? !exists : exists && stored == wanted;
}

static void run_node(struct txn_run *run, struct txn_op_node *op) {
    struct error e = ERROR_IN(run->arena);
    struct str name = quoted(run, op->node.node);
    struct node *stored = op->node.id.len > 0 && str_is(op->verb, "get")
                              ? catalog_node_by_id(run->read, op->node.id)
                              : catalog_node(run->read, op->node.node);
    bool cas = str_is(op->verb, "cas"), delete_cas = str_is(op->verb, "delete-cas");
    uint8_t id[16];
    if (str_is(op->verb, "get")) {
        if (op->node.id.len > 0 && !uuid_parse(op->node.id, id, &e))
            fail(run, "node lookup by ID failed, wrong UUID: %.*s for '%.*s'", STR_ARG(e.text),
                 STR_ARG(op->node.id));
        else if (stored != NULL)
            result_add(run)->node = kept(run, &node_shape, stored);
        else
            fail(run, "node %.*s doesn't exist", STR_ARG(name));
    } else if (run->batch != NULL && (cas || str_is(op->verb, "set"))) {
        if (cas && !cas_fits(op->node.modify_index, stored != NULL,
                             stored != NULL ? stored->modify_index : 0)) {
            fail(run, "failed to set node %.*s, index is stale", STR_ARG(name));
        } else if (!catalog_write_node(run->batch, &op->node, &e)) {
            fail_text(run, e.text);
        } else {
            result_add(run)->node = kept(run, &node_shape, &op->node);
        }
    } else if (run->batch != NULL && (delete_cas || str_is(op->verb, "delete"))) {
        if (delete_cas && (stored == NULL || stored->modify_index != op->node.modify_index)) {
            fail(run, "failed to delete node %.*s, index is stale", STR_ARG(name));
        } else {
            catalog_delete_node(run->batch, op->node.node);
        }
    } else {
        fail(run, "unknown Node verb %.*s", STR_ARG(quoted(run, op->verb)));
    }
}

static void run_service(struct txn_run *run, struct txn_op_service *op) {
    struct error e = ERROR_IN(run->arena);
    struct node_service *service = &op->service;
    struct str id = quoted(run, service->id), node = quoted(run, op->node);
    struct node_service *stored = catalog_service(run->read, op->node, service->id);
    bool cas = str_is(op->verb, "cas"), delete_cas = str_is(op->verb, "delete-cas");
    if (str_is(op->verb, "get")) {
        if (stored != NULL)
            result_add(run)->service = kept(run, &node_service_shape, stored);
        else
            fail(run, "service %.*s on node %.*s doesn't exist", STR_ARG(id), STR_ARG(node));
    } else if (run->batch != NULL && (cas || str_is(op->verb, "set"))) {
        if (cas && !cas_fits(service->modify_index, stored != NULL,
                             stored != NULL ? stored->modify_index : 0)) {
            fail(run, "failed to set service %.*s on node %.*s, index is stale", STR_ARG(id),
                 STR_ARG(node));
        } else if (!catalog_write_service(run->batch, op->node, service, &e)) {
            fail_text(run, e.text);
        } else {
            result_add(run)->service = kept(run, &node_service_shape, service);
        }
    } else if (run->batch != NULL && (delete_cas || str_is(op->verb, "delete"))) {
        if (delete_cas && (stored == NULL || stored->modify_index != service->modify_index)) {
            fail(run, "failed to delete service %.*s on node %.*s, index is stale", STR_ARG(id),
                 STR_ARG(node));
        } else {
            catalog_delete_service(run->batch, op->node, service->id);
        }
    } else {
        fail(run, "unknown Service verb %.*s", STR_ARG(quoted(run, op->verb)));
    }
}

static void run_check(struct txn_run *run, struct txn_op_check *op) {
    struct error e = ERROR_IN(run->arena);
    struct health_check *check = &op->check;
    struct str id = quoted(run, check->check_id), node = quoted(run, check->node);
    struct health_check *stored = catalog_check(run->read, check->node, check->check_id);
    bool cas = str_is(op->verb, "cas"), delete_cas = str_is(op->verb, "delete-cas");
    if (str_is(op->verb, "get")) {
        if (stored != NULL)
            result_add(run)->check = kept(run, &health_check_shape, stored);
        else
            fail(run, "check %.*s on node %.*s doesn't exist", STR_ARG(id), STR_ARG(node));
    } else if (run->batch != NULL && (cas || str_is(op->verb, "set"))) {
        if (cas && !cas_fits(check->modify_index, stored != NULL,
                             stored != NULL ? stored->modify_index : 0)) {
            fail(run, "failed to set check %.*s on node %.*s, index is stale", STR_ARG(id),
                 STR_ARG(node));
        } else if (catalog_write_check(run->batch, check, &e)) {
            result_add(run)->check = kept(run, &health_check_shape, check);
        } else if (!cas) { /* a failed cas goes unnoticed in the peer (fsm.md 5.1) */
            fail_text(run, e.text);
        }
    } else if (run->batch != NULL && (delete_cas || str_is(op->verb, "delete"))) {
        if (delete_cas && (stored == NULL || stored->modify_index != check->modify_index)) {
            fail(run, "failed to delete check %.*s on node %.*s, index is stale", STR_ARG(id),
                 STR_ARG(node));
        } else {
            catalog_delete_check(run->batch, check->node, check->check_id);
        }
    } else {
        fail(run, "unknown Check verb %.*s", STR_ARG(quoted(run, op->verb)));
    }
}

/* ---- sessions, intentions: from the peer's own servers only ---- */

static void run_session(struct txn_run *run, struct txn_op_session *op) {
    struct error e = ERROR_IN(run->arena);
    if (run->batch == NULL || !str_is(op->verb, "delete")) {
        fail(run, "unknown Session verb %.*s", STR_ARG(quoted(run, op->verb)));
    } else if (!session_remove_record(run->batch, op->session.id, &e)) {
        fail(run, "failed to delete session: %.*s", STR_ARG(e.text));
    }
}

static void run_intention(struct txn_run *run, const struct intention_request *request) {
    struct error e = ERROR_IN(run->arena);
    bool known = str_is(request->op, "create") || str_is(request->op, "update") ||
                 str_is(request->op, "delete");
    if (run->batch == NULL || !known) {
        fail(run, "unknown Intention op %.*s", STR_ARG(quoted(run, request->op)));
    } else if (!intention_apply(run->batch, request, &e)) {
        fail_text(run, e.text);
    }
}

/* ---- the whole ---- */

static void run_op(struct txn_run *run, struct txn_op *op) {
    if (op != NULL && op->kv != NULL)
        run_kv(run, op->kv);
    else if (op != NULL && op->intention != NULL)
        run_intention(run, op->intention);
    else if (op != NULL && op->node != NULL)
        run_node(run, op->node);
    else if (op != NULL && op->service != NULL)
        run_service(run, op->service);
    else if (op != NULL && op->check != NULL)
        run_check(run, op->check);
    else if (op != NULL && op->session != NULL)
        run_session(run, op->session);
    else
        fail(run, "no operation specified");
}

static void run_all(struct txn_run *run, const struct list *ops) {
    run->results = LIST_EMPTY;
    run->errors = LIST_NIL;
    for (uint32_t i = 0; i < ops->len; i++) {
        run->op_index = i;
        run_op(run, LIST_AT(*ops, struct txn_op *, i));
    }
    if (run->errors.len > 0)
        run->results = LIST_NIL;
}

void txn_read(struct store_read *r, const struct list *ops, struct list *errors,
              struct list *results) {
    struct txn_run run = {.read = r, .arena = r->arena};
    run_all(&run, ops);
    *errors = run.errors;
    *results = run.results;
}

static bool verb_in(struct str verb, const char *const *verbs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (str_is(verb, verbs[i]))
            return true;
    }
    return false;
}

static bool op_only_reads(const struct txn_op *op) {
    static const char *const writing[] = {"set",         "cas",  "delete", "delete-cas",
                                          "delete-tree", "lock", "unlock"};
    if (op == NULL)
        return true;
    if (op->kv != NULL)
        return !verb_in(op->kv->verb, writing, COUNT_OF(writing));
    if (op->intention != NULL)
        return false;
    if (op->node != NULL)
        return str_is(op->node->verb, "get");
    if (op->service != NULL)
        return str_is(op->service->verb, "get");
    if (op->check != NULL)
        return str_is(op->check->verb, "get");
    return op->session == NULL;
}

bool txn_is_read_only(const struct list *ops) {
    for (uint32_t i = 0; i < ops->len; i++) {
        if (!op_only_reads(LIST_AT(*ops, struct txn_op *, i)))
            return false;
    }
    return true;
}

void apply_txn(struct store_batch *b, void *request, struct store_result *result) {
    struct txn_request *txn = request;
    struct txn_run run = {.read = &b->read, .batch = b, .arena = &b->results};
    struct batch_mark mark = batch_mark(b);
    run_all(&run, &txn->ops);
    if (run.errors.len > 0)
        batch_rollback(b, mark);
    struct txn_response *response = ARENA_NEW(&b->results, struct txn_response);
    response->errors = run.errors;
    response->results = run.results;
    *result = (struct store_result){.kind = STORE_RESULT_TXN, .txn = response};
}
