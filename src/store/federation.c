/* Federation states: the table, its reads, and entry type 30 (fsm.md 5.2).
 */
#include "store/federation.h"

#include "store/apply.h"

#define INDEX_NAME "federation-states"

static struct str state_key(struct store_read *r, struct str datacenter) {
    return KEY(r->arena, K_LOWER(datacenter));
}

static bool state_fetch(struct store_read *r, struct str datacenter,
                        struct federation_state *state) {
    return record_get(r, TABLE_FEDERATION, state_key(r, datacenter), &federation_state_shape,
                      state);
}

/* ---- reads ---- */

uint64_t federation_state_get(struct store_read *r, struct str datacenter,
                              struct federation_state **state) {
    struct federation_state *found = ARENA_NEW(r->arena, struct federation_state);
    watch_set_add_record(r->watch, INDEX_NAME, state_key(r, datacenter));
    *state = state_fetch(r, datacenter, found) ? found : NULL;
    return INDEX_MAX(r, INDEX_NAME);
}

uint64_t federation_state_list(struct store_read *r, struct list *states) {
    *states = LIST_NIL;
    watch_name(r, WATCH_TABLE, STR(INDEX_NAME));
    record_list(r, TABLE_FEDERATION, STR(""), &federation_state_shape, states);
    return INDEX_MAX(r, INDEX_NAME);
}

/* ---- entry type 30 ---- */

static void state_store(struct store_batch *b, const struct federation_state *state) {
    struct str key = state_key(&b->read, state->datacenter);
    record_put(b, TABLE_FEDERATION, key, &federation_state_shape, state);
    touch_record(b, INDEX_NAME, key);
}

static bool state_upsert(struct store_batch *b, struct federation_state *state, struct error *e) {
    struct federation_state old;
    if (state->datacenter.len == 0)
        return error_set(e, ERROR_INTERNAL, "missing datacenter on federation state");
    bool exists = state_fetch(&b->read, state->datacenter, &old);
    state->create_index = exists ? old.create_index : b->index;
    state->modify_index = b->index;
    if (state->primary_modify_index == 0)
        state->primary_modify_index = b->index;
    state_store(b, state);
    index_bump(b, STR(INDEX_NAME));
    return true;
}

static void state_delete(struct store_batch *b, struct str datacenter) {
    struct str key = state_key(&b->read, datacenter);
    if (!table_delete(b, TABLE_FEDERATION, key))
        return;
    touch_record(b, INDEX_NAME, key);
    index_bump(b, STR(INDEX_NAME));
}

void apply_federation_state(struct store_batch *b, void *request, struct store_result *result) {
    struct federation_state_request *r = request;
    struct federation_state none = {0};
    struct federation_state *state = r->state != NULL ? r->state : &none;
    struct error e = ERROR_IN(b->read.arena);
    if (str_is(r->op, "upsert")) {
        if (state_upsert(b, state, &e))
            *result = (struct store_result){.kind = STORE_RESULT_BOOL, .boolean = true};
        else
            apply_fail(b, result, &e);
    } else if (str_is(r->op, "delete")) {
        state_delete(b, state->datacenter);
    } else {
        apply_refuse(b, result, "invalid federation state operation type: %.*s", STR_ARG(r->op));
    }
}

/* ---- snapshots ---- */

void federation_snapshot(struct snapshot_writer *w) {
    struct store_read *r = snapshot_read(w);
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, r, TABLE_FEDERATION, STR(""));
    while (!snapshot_stopped(w) && table_scan_next(&s, NULL, &value)) {
        struct federation_state state;
        record_decode(r, value, &federation_state_shape, &state);
        struct federation_state_request record = {.op = STR("upsert"), .state = &state};
        snapshot_record(w, ENTRY_FEDERATION_STATE, &federation_state_request_shape, &record);
        arena_reset(r->arena, SNAPSHOT_ARENA);
    }
    table_scan_end(&s);
}

bool federation_restore(struct store_batch *b, void *record, struct error *e) {
    const struct federation_state_request *r = record;
    if (r->state == NULL)
        return error_set(e, ERROR_INTERNAL, "federation state record without a state");
    state_store(b, r->state);
    index_raise(b, STR(INDEX_NAME), r->state->modify_index);
    return true;
}
