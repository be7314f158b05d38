/* Log entries from bytes of anybody, applied to a store that holds something already. The input is
 * a sequence of pieces, each behind its length (two bytes, big endian; what is left when that is
 * more): the first byte of a piece says whether it is a chunk, the rest is the entry. Checks that a
 * refused entry leaves no trace, that lookups and records agree, and that reads survive what was
 * written.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "codec/msgpack.h"
#include "store/acl.h"
#include "store/catalog.h"
#include "store/config_entry.h"
#include "store/connect.h"
#include "store/coordinate.h"
#include "store/gateway.h"
#include "store/kv.h"
#include "store/query.h"
#include "store/session.h"
#include "store/snapshot.h"
#include "unit/store/verify.h"

#define SESSION STR("aaaaaaaa-0000-4000-8000-000000000001")
#define MAX_ENTRIES 64

static struct store *store;
static struct arena arena;

static bool to_buf(void *owner, struct str bytes, struct error *e) {
    (void)e;
    buf_add_str(owner, bytes);
    return true;
}

static void put(struct store_batch *b, uint64_t index, enum entry_type type,
                const struct shape *shape, const void *request) {
    struct buf data = BUF_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_result result;
    buf_add_char(&data, (char)type);
    schema_encode(&data, shape, request);
    ASSERT(store_apply(b, index, 1, buf_str(&data), STR_NONE, &result, &e));
    ASSERT(result.kind != STORE_RESULT_ERROR);
    buf_free(&data);
}

static void prepare(void) {
    struct error e = ERROR_IN(&arena);
    struct store_options options = {.memory_only = true, .reader_threads = 1};
    store = store_open(&options, &e);
    ASSERT(store != NULL);
    struct store_batch *b = store_batch_begin(store, &e);
    struct node_service service = {.id = STR("s"), .service = STR("s")};
    struct health_check check = {.node = STR("n"), .check_id = STR("c"), .status = STR("passing")};
    struct register_request node = {
        .node = STR("n"), .address = STR("1"), .service = &service, .check = &check};
    struct session session = {.id = SESSION, .node = STR("n")};
    struct session_request create = {.op = STR("create"), .session = session};
    struct kvs_request lock = {.op = STR("lock"), .dir_ent = {.key = STR("k"), .session = SESSION}};
    put(b, 1, ENTRY_REGISTER, &register_request_shape, &node);
    put(b, 2, ENTRY_SESSION, &session_request_shape, &create);
    put(b, 3, ENTRY_KVS, &kvs_request_shape, &lock);
    ASSERT(store_batch_commit(b, NULL, &e));
    arena_reset(&arena, 65536);
}

static struct buf state_of(struct store_batch *b) {
    struct buf out = BUF_INIT;
    struct error e = ERROR_IN(&arena);
    ASSERT(store_snapshot_write(&b->read, to_buf, &out, &e));
    return out;
}

static bool refused(const struct store_result *r) {
    return r->kind == STORE_RESULT_ERROR || (r->kind == STORE_RESULT_TXN && r->txn->errors.len > 0);
}

static bool apply_piece(struct store_batch *b, uint64_t index, struct str piece) {
    static const struct str extensions[] = {STR_INIT("\x08\x63\x18\x02"),
                                            STR_INIT("\x08\x63\x10\x01\x18\x02")};
    struct error e = ERROR_IN(&arena);
    struct store_result result;
    struct str chunk = STR_NONE;
    if (piece.len == 0)
        return true;
    uint8_t kind = (uint8_t)piece.data[0] % 8;
    if (kind < 2)
        chunk = extensions[kind];
    struct buf before = state_of(b);
    piece = str_sub(piece, 1, piece.len);
    bool ok = store_apply(b, index, 1, piece, chunk, &result, &e);
    if (ok && refused(&result) && chunk.data == NULL) {
        struct buf after = state_of(b);
        ASSERT(str_eq(buf_str(&before), buf_str(&after)));
        buf_free(&after);
    }
    buf_free(&before);
    return ok;
}

static void read_more(struct store_read *r) {
    struct error e = ERROR_IN(&arena);
    struct list list;
    struct prepared_query *query;
    uint64_t index;
    acl_token_list(r, &(struct acl_token_filter){.local = true, .global = true}, &list);
    acl_role_list(r, STR(""), &list);
    acl_tokens_expired(r, false, INT64_MAX, 10, &list);
    intention_list(r, &list);
    intention_match(r, true, STR("default"), STR("s"), &list);
    config_entry_list(r, STR(""), &list);
    gateway_services(r, STR("s"), &list);
    catalog_check_ingress_nodes(r, STR("s"), &list);
    query_resolve(r, STR("query-name"), STR(""), &query, &index, &e);
}

static void read_everything(struct store_batch *b) {
    struct store_read *r = &b->read;
    struct list list;
    catalog_nodes(r, NULL, &list);
    catalog_services(r, NULL, &list);
    catalog_node_dump(r, &list);
    catalog_service_dump(r, false, STR(""), &list);
    catalog_check_connect_nodes(r, STR("s"), &list);
    session_list(r, &list);
    coordinate_list(r, &list);
    kv_list(r, STR(""), &list);
    read_more(r);
    verify_store(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error e = ERROR_IN(&arena);
    if (store == NULL)
        prepare();
    struct str in = str_of(data, size);
    struct store_batch *b = store_batch_begin(store, &e);
    ASSERT(b != NULL);
    bool ok = true;
    for (uint64_t n = 0; n < MAX_ENTRIES && in.len > 2 && ok; n++) {
        size_t len = be16_get(in.data);
        in = str_sub(in, 2, in.len);
        if (len > in.len)
            len = in.len;
        ok = apply_piece(b, 10 + n, str_sub(in, 0, len));
        in = str_sub(in, len, in.len);
    }
    if (!b->failed)
        read_everything(b);
    store_batch_abort(b);
    arena_reset(&arena, 65536);
    return 0;
}
