/* auto-config.json of any bytes: no crash, no leak, an error says something; and what could be read
 * can be made a source of the configuration.
 */
#include <stdint.h>

#include "agent/auto_config.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct auto_config_response response;
    if (!auto_config_parse_file(str_of(data, size), &response, &arena, &e)) {
        ASSERT(e.text.len > 0);
    } else if (response.config != NULL) {
        struct buf given = BUF_INIT, source = BUF_INIT;
        struct value json;
        proto_encode(&given, &auto_config_config_proto, response.config);
        bool ok = auto_config_source(buf_str(&given), &source, &e) &&
                  json_parse_whole(buf_str(&source), &json, &arena, &e);
        ASSERT(ok);
        buf_free(&given);
        buf_free(&source);
    }
    arena_free(&arena);
    return 0;
}
