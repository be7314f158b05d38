/* Rule texts of any bytes to be translated: no crash, no leak, an error says something, and the
 * answer is not beyond what indentation can make of the text.
 */
#include <stdint.h>

#include "acl/translate.h"
#include "base/mem.h"
#include "codec/hcl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str out;
    if (acl_rules_translate(&arena, str_of(data, size), &out, &e))
        ASSERT(out.len <= (size + 1) * (4 * HCL_MAX_DEPTH + 64 + size));
    else
        ASSERT(e.text.len > 0);
    arena_free(&arena);
    return 0;
}
