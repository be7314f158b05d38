/* URLs of HTTP checks, which come from clients, and locations, which come from servers: the first
 * line is the URL, the rest a location. What is accepted is accepted again and stays as it is.
 */
#include "base/mem.h"
#include "codec/url_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str rest = str_of(data, size), url = str_cut(&rest, '\n'), out, again;
    if (url_normal(url, &out, &arena, &e)) {
        struct error e2 = ERROR_IN(&arena);
        ASSERT(url_normal(out, &again, &arena, &e2) && str_eq(out, again));
        url_shown(out, &arena);
        url_host(out);
        url_port(out);
        struct str path = url_path(out);
        ASSERT(path.len <= out.len);
        struct str to = url_resolve(&arena, out, rest);
        struct error e3 = ERROR_IN(&arena);
        url_normal(to, &again, &arena, &e3);
    }
    arena_free(&arena);
    return 0;
}
