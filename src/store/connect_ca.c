/* The certificate authority's roots, configuration and provider states: tables, reads, and entry
 * types 13 and 21 (fsm.md 5.4).
 */
#include "store/apply.h"
#include "store/connect.h"

#define ROOTS_INDEX "connect-ca-roots"
#define CONFIG_INDEX "connect-ca-config" /* has no entry: a name for watching */
#define STATES_INDEX "connect-ca-builtin"
#define SERIAL_INDEX "connect-ca-builtin-serial"
#define CONFIG_KEY STR("")

static struct str exact_key(struct store_read *r, struct str id) {
    return KEY(r->arena, K_EXACT(id));
}

/* ---- reads ---- */

uint64_t ca_root_list(struct store_read *r, struct list *roots) {
    watch_name(r, WATCH_TABLE, STR(ROOTS_INDEX));
    record_list(r, TABLE_CA_ROOTS, STR(""), &ca_root_shape, roots);
    return INDEX_MAX(r, ROOTS_INDEX);
}

static bool config_fetch(struct store_read *r, struct ca_configuration *config) {
    return record_get(r, TABLE_CA_CONFIG, CONFIG_KEY, &ca_configuration_shape, config);
}

uint64_t ca_config_get(struct store_read *r, struct ca_configuration **config) {
    watch_name(r, WATCH_TABLE, STR(CONFIG_INDEX));
    *config = ARENA_NEW(r->arena, struct ca_configuration);
    if (!config_fetch(r, *config)) {
        *config = NULL;
        return 1;
    }
    return index_floor((*config)->modify_index);
}

static bool state_fetch(struct store_read *r, struct str id,
                        struct ca_consul_provider_state *state) {
    return record_get(r, TABLE_CA_STATES, exact_key(r, id), &ca_consul_provider_state_shape, state);
}

uint64_t ca_provider_state_get(struct store_read *r, struct str id,
                               struct ca_consul_provider_state **state) {
    struct ca_consul_provider_state *found = ARENA_NEW(r->arena, struct ca_consul_provider_state);
    watch_name(r, WATCH_TABLE, STR(STATES_INDEX));
    *state = state_fetch(r, id, found) ? found : NULL;
    return INDEX_MAX(r, STATES_INDEX);
}

/* ---- the configuration ---- */

static void config_store(struct store_batch *b, const struct ca_configuration *config) {
    record_put(b, TABLE_CA_CONFIG, CONFIG_KEY, &ca_configuration_shape, config);
    touch(b, WATCH_TABLE, STR(CONFIG_INDEX));
}

static void config_set(struct store_batch *b, uint64_t index, struct ca_configuration *config) {
    struct ca_configuration old;
    bool exists = config_fetch(&b->read, &old);
    if (exists && config->cluster_id.len == 0)
        config->cluster_id = old.cluster_id;
    config->create_index = exists ? old.create_index : index;
    config->modify_index = index;
    config_store(b, config);
}

/* With an expected ModifyIndex: whether it was that. absent_is_zero: 0 expects that there is none
 * yet. */
static bool config_cas(struct store_batch *b, uint64_t index, struct ca_configuration *config,
                       bool absent_is_zero) {
    struct ca_configuration old;
    bool exists = config_fetch(&b->read, &old);
    bool expected = exists ? old.modify_index == config->modify_index
                           : absent_is_zero && config->modify_index == 0;
    if (expected)
        config_set(b, index, config);
    return expected;
}

/* ---- roots ---- */

static bool roots_valid(const struct list *roots, struct error *e) {
    unsigned active = 0;
    for (uint32_t i = 0; i < roots->len; i++) {
        const struct ca_root *root = LIST_AT(*roots, struct ca_root *, i);
        if (root != NULL && root->active)
            active++;
    }
    return active == 1 || error_set(e, ERROR_INTERNAL, "there must be exactly one active CA");
}

static void root_store(struct store_batch *b, const struct ca_root *root) {
    record_put(b, TABLE_CA_ROOTS, exact_key(&b->read, root->id), &ca_root_shape, root);
}

/* *done: whether the index was the expected one, and the whole table was replaced. */
static bool roots_set(struct store_batch *b, uint64_t expected, const struct list *roots,
                      bool *done, struct error *e) {
    *done = false;
    if (!roots_valid(roots, e))
        return false;
    if (store_index(&b->read, STR(ROOTS_INDEX)) != expected)
        return true;
    for (uint32_t i = 0; i < roots->len; i++) {
        struct ca_root *root = LIST_AT(*roots, struct ca_root *, i), old;
        if (root == NULL || root->id.len == 0)
            return error_set(e, ERROR_INTERNAL, "Missing CA Root ID");
        bool exists = record_get(&b->read, TABLE_CA_ROOTS, exact_key(&b->read, root->id),
                                 &ca_root_shape, &old);
        root->create_index = exists ? old.create_index : b->index;
        root->modify_index = b->index;
    }
    table_delete_prefix(b, TABLE_CA_ROOTS, STR(""));
    for (uint32_t i = 0; i < roots->len; i++)
        root_store(b, LIST_AT(*roots, struct ca_root *, i));
    index_bump(b, STR(ROOTS_INDEX));
    *done = true;
    return true;
}

/* ---- provider states ---- */

static void state_store(struct store_batch *b, const struct ca_consul_provider_state *state) {
    record_put(b, TABLE_CA_STATES, exact_key(&b->read, state->id), &ca_consul_provider_state_shape,
               state);
}

static bool state_set(struct store_batch *b, struct ca_consul_provider_state *state,
                      struct error *e) {
    struct ca_consul_provider_state old;
    if (state == NULL || state->id.len == 0) {
        return error_set(e, ERROR_INTERNAL,
                         "failed updating built-in CA state: object missing primary index");
    }
    bool exists = state_fetch(&b->read, state->id, &old);
    state->create_index = exists ? old.create_index : b->index;
    state->modify_index = b->index;
    state_store(b, state);
    index_bump(b, STR(STATES_INDEX));
    return true;
}

/* The index entry keeps its value (fsm.md 5.4), but who reads the table is told. */
static void state_delete(struct store_batch *b, const struct ca_consul_provider_state *state) {
    if (state != NULL && table_delete(b, TABLE_CA_STATES, exact_key(&b->read, state->id)))
        touch(b, WATCH_TABLE, STR(STATES_INDEX));
}

static uint64_t serial_increment(struct store_batch *b) {
    uint64_t last = store_index(&b->read, STR(SERIAL_INDEX));
    if (last == 0)
        last = store_index(&b->read, STR(STATES_INDEX));
    index_set(b, STR(SERIAL_INDEX), last + 1);
    return last + 1;
}

/* ---- entry types 13, 21 ---- */

static void result_bool(struct store_result *result, bool value) {
    *result = (struct store_result){.kind = STORE_RESULT_BOOL, .boolean = value};
}

static void apply_set_config(struct store_batch *b, struct ca_request *r,
                             struct store_result *result) {
    if (r->config == NULL) {
        apply_refuse(b, result, "Missing CA configuration");
    } else if (r->config->modify_index != 0) {
        result_bool(result, config_cas(b, b->index, r->config, false));
    } else {
        config_set(b, b->index, r->config);
    }
}

static void apply_set_roots(struct store_batch *b, struct ca_request *r, bool with_config,
                            struct store_result *result) {
    struct error e = ERROR_IN(b->read.arena);
    bool done;
    if (with_config && r->config == NULL) {
        apply_refuse(b, result, "Missing CA configuration");
    } else if (!roots_set(b, r->index, &r->roots, &done, &e)) {
        apply_fail(b, result, &e);
    } else if (done && with_config) {
        result_bool(result, config_cas(b, b->index + 1, r->config, true));
    } else {
        result_bool(result, done);
    }
}

void apply_connect_ca(struct store_batch *b, void *request, struct store_result *result) {
    struct ca_request *r = request;
    struct error e = ERROR_IN(b->read.arena);
    if (str_is(r->op, "set-config")) {
        apply_set_config(b, r, result);
    } else if (str_is(r->op, "set-roots")) {
        apply_set_roots(b, r, false, result);
    } else if (str_is(r->op, "set-roots-config")) {
        apply_set_roots(b, r, true, result);
    } else if (str_is(r->op, "set-provider-state")) {
        if (state_set(b, r->provider_state, &e))
            result_bool(result, true);
        else
            apply_fail(b, result, &e);
    } else if (str_is(r->op, "delete-provider-state")) {
        state_delete(b, r->provider_state);
        result_bool(result, true);
    } else if (str_is(r->op, "increment-provider-serial")) {
        uint64_t serial = serial_increment(b);
        *result = (struct store_result){.kind = STORE_RESULT_U64, .number = serial};
    } else {
        apply_refuse(b, result, "Invalid CA operation '%.*s'", STR_ARG(r->op));
    }
}

void apply_connect_ca_leaf(struct store_batch *b, void *request, struct store_result *result) {
    const struct ca_leaf_request *r = request;
    if (str_is(r->op, "increment-index"))
        *result = (struct store_result){.kind = STORE_RESULT_U64, .number = b->index};
    else
        apply_refuse(b, result, "Invalid CA operation '%.*s'", STR_ARG(r->op));
}

/* ---- snapshots ---- */

void connect_ca_snapshot(struct snapshot_writer *w) {
    snapshot_copy_table(w, ENTRY_CONNECT_CA, TABLE_CA_ROOTS);
    snapshot_copy_table(w, ENTRY_CA_PROVIDER_STATE, TABLE_CA_STATES);
    snapshot_copy_table(w, ENTRY_CA_CONFIG, TABLE_CA_CONFIG);
}

bool ca_root_restore(struct store_batch *b, void *record, struct error *e) {
    const struct ca_root *root = record;
    (void)e;
    root_store(b, root);
    index_raise(b, STR(ROOTS_INDEX), root->modify_index);
    return true;
}

bool ca_provider_state_restore(struct store_batch *b, void *record, struct error *e) {
    const struct ca_consul_provider_state *state = record;
    (void)e;
    state_store(b, state);
    index_raise(b, STR(STATES_INDEX), state->modify_index);
    return true;
}

bool ca_config_restore(struct store_batch *b, void *record, struct error *e) {
    const struct ca_configuration *config = record;
    (void)e;
    if (config->provider.len > 0)
        config_store(b, config);
    return true;
}
