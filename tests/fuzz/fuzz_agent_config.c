/* A configuration fragment of any bytes, in dev mode (bit 0 of the first byte) or as a server's:
 * loaded or refused with a text, never anything else.
 */
#include <stdint.h>

#include "agent/config.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct config_inputs in;
    struct list warnings;
    if (size == 0)
        return 0;
    config_inputs_init(&in);
    in.dev_mode = data[0] & 1;
    in.fragments = LIST_NEW(&in.arena, struct str, 2);
    LIST_AT(in.fragments, struct str, 0) =
        STR("data_dir=\"/nonexistent\" node_name=\"n\" bind_addr=\"127.0.0.1\"");
    LIST_AT(in.fragments, struct str, 1) = str_of(data + 1, size - 1);
    const struct config *c = config_load(&in, &warnings, &arena, &e);
    if (c != NULL) {
        ASSERT(c->datacenter.len > 0 && c->node_name.len > 0);
        for (uint32_t i = 0; i < c->services.len; i++) {
            struct buf out = BUF_INIT;
            config_write_service_json(&out, &LIST_AT(c->services, struct service_definition, i));
            buf_free(&out);
        }
    } else {
        ASSERT(e.text.len > 0);
    }
    config_release(c);
    config_inputs_free(&in);
    arena_free(&arena);
    return 0;
}
