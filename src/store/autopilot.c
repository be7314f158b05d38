/* The autopilot configuration: entry type 9 (fsm.md 5.2).
 */
#include "store/autopilot.h"

#include "store/apply.h"

#define RECORD STR("")

uint64_t autopilot_config_get(struct store_read *r, struct autopilot_config **config) {
    watch_name(r, WATCH_TABLE, STR("autopilot-config"));
    *config = ARENA_NEW(r->arena, struct autopilot_config);
    if (!record_get(r, TABLE_AUTOPILOT, RECORD, &autopilot_config_shape, *config)) {
        *config = NULL;
        return 1;
    }
    return index_floor((*config)->modify_index);
}

void autopilot_store(struct store_batch *b, const struct autopilot_config *config) {
    record_put(b, TABLE_AUTOPILOT, RECORD, &autopilot_config_shape, config);
    touch(b, WATCH_TABLE, STR("autopilot-config"));
}

void apply_autopilot(struct store_batch *b, void *request, struct store_result *result) {
    struct autopilot_set_request *r = request;
    struct autopilot_config old;
    bool exists = record_get(&b->read, TABLE_AUTOPILOT, RECORD, &autopilot_config_shape, &old);
    if (r->cas) {
        bool equal = exists && old.modify_index == r->config.modify_index;
        *result = (struct store_result){.kind = STORE_RESULT_BOOL, .boolean = equal};
        if (!equal)
            return;
    }
    r->config.create_index = exists ? old.create_index : b->index;
    r->config.modify_index = b->index;
    autopilot_store(b, &r->config);
}
