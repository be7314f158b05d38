/* KVS (rpc.md 6.4). */
#include "server/endpoint.h"
#include "server/permit.h"
#include "store/kv.h"

static bool apply_permit(const struct call_context *c, const struct kvs_request *r,
                         struct error *e) {
    if (str_is(r->op, "delete-tree")) {
        return authorizer_may_write_prefix(c->may, r->dir_ent.key) || permit_deny(e);
    }
    return permit(c, ACL_KEY, ACL_WRITE, r->dir_ent.key, e);
}

static bool apply_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    struct kvs_request *r = request;
    if (r->dir_ent.key.len == 0 && !str_is(r->op, "delete-tree")) {
        return error_set(e, ERROR_INTERNAL, "Must provide key");
    }
    if (!apply_permit(c, r, e)) {
        return false;
    }
    endpoint_entry(entry, ENTRY_KVS, &kvs_request_shape, r);
    return true;
}

/* A lock that is refused for its delay is no error and no entry (fsm.md 4.3). */
static bool apply_admit(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)reply;
    (void)e;
    const struct kvs_request *r = request;
    return !str_is(r->op, "lock") ||
           store_lock_delay(c->server->store, r->dir_ent.key) <= c->now_wall;
}

static bool apply_finish(struct call_context *c, const void *request,
                         const struct store_result *result, void *reply, struct error *e) {
    (void)c;
    (void)request;
    (void)e;
    *(bool *)reply = result->kind == STORE_RESULT_BOOL && result->boolean;
    return true;
}

static bool get_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct key_request *r = request;
    struct indexed_dir_entries *out = reply;
    struct dir_entry *entry = NULL;
    if (!permit(c, ACL_KEY, ACL_READ, r->key, e)) { /* also of what does not exist */
        return false;
    }
    c->meta->index = kv_get(c->store, r->key, &entry);
    out->entries = LIST_NIL;
    if (entry != NULL) {
        out->entries = LIST_NEW(c->arena, struct dir_entry *, 1);
        LIST_AT(out->entries, struct dir_entry *, 0) = entry;
        c->exact = true; /* its ModifyIndex */
    }
    return true;
}

/* acl.md 9.4 */
static bool list_permit(const struct call_context *c, struct str prefix, struct error *e) {
    return !c->server->options.acl.key_list_policy || permit(c, ACL_KEY, ACL_LIST, prefix, e);
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct key_request *r = request;
    struct indexed_dir_entries *out = reply;
    if (!list_permit(c, r->key, e)) {
        return false;
    }
    c->meta->index = kv_list(c->store, r->key, &out->entries);
    c->exact = r->key.len > 0 && out->entries.len > 0;
    FILTER_LIST(c, out->entries, struct dir_entry *, may(c, ACL_KEY, ACL_READ, item->key));
    return true;
}

/* Of the whole key: who may read something in a folder sees the folder. */
static bool may_read_key(const void *owner, struct str key) {
    return may(owner, ACL_KEY, ACL_READ, key);
}

static bool list_keys_read(struct call_context *c, const void *request, void *reply,
                           struct error *e) {
    const struct key_list_request *r = request;
    struct indexed_keys *out = reply;
    if (!list_permit(c, r->prefix, e)) {
        return false;
    }
    kv_keep *keep = c->may != NULL ? may_read_key : NULL;
    c->meta->index = kv_list_keys(c->store, r->prefix, r->seperator, keep, c, &out->keys);
    c->exact = r->prefix.len > 0 && out->keys.present;
    return true;
}

const struct endpoint endpoint_kvs_apply = {
    ENDPOINT_WRITES("KVS.Apply", kvs_request),
    .metric = "kvs.apply",
    ENDPOINT_REPLY_TYPE(bool_reply_type, bool),
    .prepare = apply_prepare,
    .admit = apply_admit,
    .finish = apply_finish,
};

const struct endpoint endpoint_kvs_get = {
    ENDPOINT_READS("KVS.Get", ENDPOINT_BLOCKING, key_request, indexed_dir_entries),
    .read = get_read,
};

const struct endpoint endpoint_kvs_list = {
    ENDPOINT_READS("KVS.List", ENDPOINT_BLOCKING, key_request, indexed_dir_entries),
    .read = list_read,
};

const struct endpoint endpoint_kvs_list_keys = {
    ENDPOINT_READS("KVS.ListKeys", ENDPOINT_BLOCKING, key_list_request, indexed_keys),
    .read = list_keys_read,
};
