/* A template of any bytes over a machine with a few addresses, and over named fields: expanded or
 * refused with a text, in bounded time and memory.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/template.h"
#include "base/arena.h"
#include "base/mem.h"

static const char *const texts[] = {"127.0.0.1", "10.0.0.5", "8.8.4.4", "fd00::5", "fe80::1"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct machine_address addresses[COUNT_OF(texts)] = {0};
    struct machine machine = {addresses, COUNT_OF(texts), true};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct machine_address *a = &addresses[i];
        snprintf(a->name, sizeof(a->name), "eth%zu", i / 2);
        a->index = (unsigned)i / 2 + 1;
        a->flags = IFF_UP | IFF_MULTICAST;
        a->v6 = strchr(texts[i], ':') != NULL;
        inet_pton(a->v6 ? AF_INET6 : AF_INET, texts[i], a->bytes);
        a->prefix = a->v6 ? 64 : 8;
        a->is_default = i < 2;
    }
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str out;
    if (template_expand(str_of(data, size), &machine, &out, &arena, &e))
        ASSERT(out.data != NULL || size == 0);
    else
        ASSERT(e.text.len > 0);
    static const struct template_field fields[] = {{"ID", .text = STR_INIT("web")},
                                                   {"TLS", .is_bool = true, .boolean = true}};
    static const struct template_record record = {"*x.Args", fields, COUNT_OF(fields)};
    error_clear(&e);
    if (template_render(str_of(data, size), "boot", &record, &out, &arena, &e))
        ASSERT(out.data != NULL);
    else
        ASSERT(e.text.len > 0);
    arena_free(&arena);
    return 0;
}
