/* acl-tokens.json of any bytes: no crash, no leak, an error says something, and every kind has a
 * secret, be it empty.
 */
#include <stdint.h>

#include "agent/token_store.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str secrets[AGENT_TOKEN_KINDS];
    if (!token_file_parse(str_of(data, size), secrets, &arena, &e))
        ASSERT(e.text.len > 0);
    for (int kind = 0; kind < AGENT_TOKEN_KINDS; kind++)
        ASSERT(secrets[kind].data != NULL);
    arena_free(&arena);
    return 0;
}
