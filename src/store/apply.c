/* Log entries: which type is applied by which function, what an error undoes, and the pieces of
 * chunked commands (fsm.md 1). What the types do is in the files named in store/apply.h.
 */
#include "store/apply.h"

#include <stdarg.h>
#include <stdio.h>

#include "codec/msgpack.h"

#define SCRATCH_KEPT ((size_t)256 << 10)

/* One row a type. The request is decoded by `request` for `apply`; types with bodies of their own
 * decode them in apply_raw, which returns false when they cannot. */
struct entry_row {
    const struct shape *request;
    void (*apply)(struct store_batch *b, void *request, struct store_result *result);
    bool (*apply_raw)(struct store_batch *b, struct str body, struct store_result *result,
                      struct error *e);
    bool validates_first; /* writes nothing before it knows that it will not refuse: no undo kept */
    bool keep_on_error;   /* an error result does not undo what was written (fsm.md 1.1) */
};

static const struct entry_row entry_rows[ENTRY_TYPE_MASK + 1] = {
    [ENTRY_REGISTER] = {.request = &register_request_shape, .apply = apply_register},
    [ENTRY_DEREGISTER] = {.request = &deregister_request_shape,
                          .apply = apply_deregister,
                          .validates_first = true},
    [ENTRY_KVS] = {.request = &kvs_request_shape, .apply = apply_kvs, .validates_first = true},
    [ENTRY_SESSION] = {.request = &session_request_shape,
                       .apply = apply_session,
                       .validates_first = true},
    [ENTRY_TOMBSTONE] = {.request = &tombstone_request_shape,
                         .apply = apply_tombstone,
                         .validates_first = true},
    [ENTRY_COORDINATE_BATCH] = {.apply_raw = apply_coordinates, .validates_first = true},
    [ENTRY_TXN] = {.request = &txn_request_shape, .apply = apply_txn},
    [ENTRY_AUTOPILOT] = {.request = &autopilot_set_request_shape,
                         .apply = apply_autopilot,
                         .validates_first = true},
    [ENTRY_PREPARED_QUERY] = {.request = &prepared_query_request_shape,
                              .apply = apply_prepared_query,
                              .validates_first = true},
    [ENTRY_FEDERATION_STATE] = {.request = &federation_state_request_shape,
                                .apply = apply_federation_state,
                                .validates_first = true},
    [ENTRY_LEGACY_ACL] = {.request = &legacy_acl_request_shape, .apply = apply_legacy_acl},
    [ENTRY_ACL_BOOTSTRAP] = {.request = &acl_bootstrap_request_shape, .apply = apply_acl_bootstrap},
    [ENTRY_ACL_TOKEN_SET] = {.request = &acl_token_batch_set_request_shape,
                             .apply = apply_acl_token_set},
    [ENTRY_ACL_TOKEN_DELETE] = {.request = &acl_token_batch_delete_request_shape,
                                .apply = apply_acl_token_delete},
    [ENTRY_ACL_POLICY_SET] = {.request = &acl_policy_batch_set_request_shape,
                              .apply = apply_acl_policy_set},
    [ENTRY_ACL_POLICY_DELETE] = {.request = &acl_policy_batch_delete_request_shape,
                                 .apply = apply_acl_policy_delete},
    [ENTRY_ACL_ROLE_SET] = {.request = &acl_role_batch_set_request_shape,
                            .apply = apply_acl_role_set},
    [ENTRY_ACL_ROLE_DELETE] = {.request = &acl_role_batch_delete_request_shape,
                               .apply = apply_acl_role_delete},
    [ENTRY_ACL_BINDING_RULE_SET] = {.request = &acl_binding_rule_batch_set_request_shape,
                                    .apply = apply_acl_binding_rule_set},
    [ENTRY_ACL_BINDING_RULE_DELETE] = {.request = &acl_binding_rule_batch_delete_request_shape,
                                       .apply = apply_acl_binding_rule_delete},
    [ENTRY_ACL_AUTH_METHOD_SET] = {.request = &acl_auth_method_batch_set_request_shape,
                                   .apply = apply_acl_auth_method_set},
    [ENTRY_ACL_AUTH_METHOD_DELETE] = {.request = &acl_auth_method_batch_delete_request_shape,
                                      .apply = apply_acl_auth_method_delete},
    [ENTRY_INTENTION] = {.request = &intention_request_shape,
                         .apply = apply_intention,
                         .validates_first = true},
    [ENTRY_CONNECT_CA] = {.request = &ca_request_shape,
                          .apply = apply_connect_ca,
                          .validates_first = true},
    [ENTRY_CONNECT_CA_LEAF] = {.request = &ca_leaf_request_shape,
                               .apply = apply_connect_ca_leaf,
                               .validates_first = true},
    [ENTRY_CONFIG_ENTRY] = {.apply_raw = apply_config_entry, .validates_first = true},
};

/* ---- results ---- */

void apply_refuse(struct store_batch *b, struct store_result *result, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(&b->results, format, args);
    va_end(args);
    *result = (struct store_result){.kind = STORE_RESULT_ERROR};
    result->error = (struct error){.arena = &b->results, .kind = ERROR_INTERNAL, .text = text};
}

void apply_fail(struct store_batch *b, struct store_result *result, const struct error *e) {
    apply_refuse(b, result, STR_FMT, STR_ARG(e->text));
}

/* ---- one command ---- */

static bool apply_known(struct store_batch *b, const struct entry_row *row, struct str body,
                        struct store_result *result, struct error *e) {
    if (row->apply_raw != NULL)
        return row->apply_raw(b, body, result, e);
    void *request = arena_zalloc(b->read.arena, 1, row->request->size);
    struct msgpack_reader in = msgpack_read(body);
    if (!schema_decode(&in, row->request, request, b->read.arena, e))
        return false;
    row->apply(b, request, result);
    return true;
}

static bool apply_command(struct store_batch *b, struct str data, struct store_result *result,
                          struct error *e) {
    *result = (struct store_result){.kind = STORE_RESULT_NIL};
    if (data.len == 0)
        return error_set(e, ERROR_INTERNAL, "empty command");
    uint8_t type = (uint8_t)data.data[0];
    const struct entry_row *row = &entry_rows[type & ENTRY_TYPE_MASK];
    if (row->apply == NULL && row->apply_raw == NULL) {
        if (type & ENTRY_IGNORE_UNKNOWN)
            return true;
        return error_set(e, ERROR_INTERNAL, "failed to apply request: unknown type %d", type);
    }
    b->no_undo = row->validates_first;
    struct batch_mark mark = batch_mark(b);
    if (!apply_known(b, row, str_sub(data, 1, data.len), result, e))
        return false;
    if (result->kind == STORE_RESULT_ERROR && !row->keep_on_error)
        batch_rollback(b, mark);
    return true;
}

/* ---- chunks ---- */

struct chunk_extension { /* protobuf {1: op_num, 2: sequence_num, 3: num_chunks, 4: next_extensions}
                          */
    uint64_t op_num, sequence_num, num_chunks;
};

static bool varint_next(struct str *in, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 64 && in->len > 0; shift += 7) {
        uint8_t byte = (uint8_t)in->data[0];
        *in = str_sub(*in, 1, in->len);
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

static bool chunk_parse(struct str in, struct chunk_extension *c, struct error *e) {
    *c = (struct chunk_extension){0};
    while (in.len > 0) {
        uint64_t tag, value;
        bool ok = varint_next(&in, &tag) && varint_next(&in, &value);
        if (ok && (tag & 7) == 2) {
            ok = value <= in.len;
            if (ok)
                in = str_sub(in, (size_t)value, in.len);
        } else if (ok && (tag & 7) != 0) {
            ok = false;
        }
        if (!ok)
            return error_set(e, ERROR_INTERNAL, "error unmarshaling chunk info");
        if (tag == (1 << 3))
            c->op_num = value;
        if (tag == (2 << 3))
            c->sequence_num = value;
        if (tag == (3 << 3))
            c->num_chunks = value;
    }
    if (c->num_chunks == 0 || c->num_chunks > CHUNKS_MAX || c->sequence_num >= c->num_chunks) {
        return error_set(e, ERROR_INTERNAL, "bad chunk info: piece %llu of %llu",
                         (unsigned long long)c->sequence_num, (unsigned long long)c->num_chunks);
    }
    return true;
}

static struct str chunk_key(struct arena *arena, uint64_t op_num, uint64_t sequence_num) {
    char *bytes = arena_alloc(arena, 12);
    be64_put(bytes, op_num);
    be32_put(bytes + 8, (uint32_t)sequence_num);
    return str_of(bytes, 12);
}

/* Pieces of another term will never be completed: their leader is gone. All pieces that are kept
 * are of one term, so the first one tells. */
static void chunks_of_term(struct store_batch *b, uint64_t term) {
    struct table_scan s;
    struct str value;
    struct chunk_info info = {0};
    table_scan_begin(&s, &b->read, TABLE_CHUNKS, STR(""));
    bool any = table_scan_next(&s, NULL, &value);
    if (any)
        record_decode(&b->read, value, &chunk_info_shape, &info);
    table_scan_end(&s);
    if (any && info.term != term)
        table_delete_prefix(b, TABLE_CHUNKS, STR(""));
}

static uint64_t chunks_count(struct store_batch *b, struct str prefix) {
    struct table_scan s;
    uint64_t count = 0;
    table_scan_begin(&s, &b->read, TABLE_CHUNKS, prefix);
    while (table_scan_next(&s, NULL, NULL))
        count++;
    table_scan_end(&s);
    return count;
}

/* All pieces of an operation in order. */
static struct str chunks_join(struct store_batch *b, struct str prefix) {
    struct table_scan s;
    struct str value;
    struct buf joined = BUF_INIT;
    table_scan_begin(&s, &b->read, TABLE_CHUNKS, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct chunk_info info;
        record_decode(&b->read, value, &chunk_info_shape, &info);
        buf_add_str(&joined, info.data);
    }
    table_scan_end(&s);
    struct str copy = str_copy(b->read.arena, buf_str(&joined));
    buf_free(&joined);
    return copy;
}

static bool apply_chunk(struct store_batch *b, struct str data, struct str extensions,
                        struct store_result *result, struct error *e) {
    struct chunk_extension c;
    if (!chunk_parse(extensions, &c, e))
        return false;
    b->no_undo = true;
    chunks_of_term(b, b->term);
    struct chunk_info info = {.data = data,
                              .num_chunks = c.num_chunks,
                              .op_num = c.op_num,
                              .sequence_num = c.sequence_num,
                              .term = b->term};
    record_put(b, TABLE_CHUNKS, chunk_key(b->read.arena, c.op_num, c.sequence_num),
               &chunk_info_shape, &info);
    struct str prefix = str_sub(chunk_key(b->read.arena, c.op_num, 0), 0, 8);
    *result = (struct store_result){.kind = STORE_RESULT_INCOMPLETE};
    if (chunks_count(b, prefix) < c.num_chunks)
        return true;
    struct str joined = chunks_join(b, prefix);
    table_delete_prefix(b, TABLE_CHUNKS, prefix);
    return apply_command(b, joined, result, e);
}

bool store_apply(struct store_batch *b, uint64_t index, uint64_t term, struct str data,
                 struct str extensions, struct store_result *result, struct error *e) {
    b->index = index;
    b->term = term;
    bool ok = extensions.len > 0 ? apply_chunk(b, data, extensions, result, e)
                                 : apply_command(b, data, result, e);
    arena_reset(&b->scratch, SCRATCH_KEPT);
    arena_reset(&b->undo_arena, SCRATCH_KEPT);
    b->undo = NULL;
    if (ok && b->failed)
        ok = error_copy(e, &b->failure);
    return ok;
}
