/* Files that are or were mapped into a process, replaced by whoever may write there: tables of
 * functions that make no sense give none, and names lie inside the file.
 */
#include "agent/profile_parts.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct str file = str_of(data, size);
    const struct elf_function *functions;
    uint64_t address;
    size_t count = elf_functions(file, &arena, &functions);
    for (size_t i = 0; i < count; i++) {
        struct str name = functions[i].name;
        ASSERT(name.len > 0 && name.data >= file.data &&
               name.data + name.len < file.data + file.len);
        ASSERT(i == 0 || functions[i - 1].start <= functions[i].start);
    }
    elf_address(file, size / 2, &address);
    arena_free(&arena);
    return 0;
}
