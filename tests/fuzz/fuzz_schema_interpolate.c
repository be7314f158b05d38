/* Texts with ${…} from anybody. Checks that what was taken is taken again with the same outcome,
 * and that an outcome without any sign of the language is the text itself.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "schema/interpolate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct str_pair variables[] = {{STR_INIT("name.full"), STR_INIT("12")},
                                                {STR_INIT("name.suffix"), STR_INIT("x")}};
    static const struct str groups[] = {STR_INIT("12"), STR_INIT("1.5")};
    struct interpolation_scope scope = {.variables = variables,
                                        .variable_count = COUNT_OF(variables),
                                        .has_match = true,
                                        .groups = groups,
                                        .group_count = COUNT_OF(groups)};
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena), f = ERROR_IN(&arena);
    struct str text = str_of(data, size), one, two;
    enum interpolation first = interpolate(text, &scope, &arena, &one, &e);
    ASSERT(interpolate(text, &scope, &arena, &two, &f) == first);
    ASSERT(error_is_set(&e) == (first != INTERPOLATION_DONE));
    if (first == INTERPOLATION_DONE)
        ASSERT(str_eq(one, two));
    if (size > 0 && str_find_char(text, '$') < 0 && str_find_char(text, 0) < 0)
        ASSERT(first == INTERPOLATION_DONE && str_eq(one, text));
    arena_free(&arena);
    return 0;
}
