/* Configuration entries of any bytes, as JSON and as HCL: no crash, no leak, an error says
 * something; and what is good can be written and is read back as the same. What is read by the same
 * rules without being an entry, too.
 */
#include <stdint.h>

#include "base/mem.h"
#include "codec/hcl.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "schema/config_entry_read.h"
#include "schema/config_entry_rules.h"

static void use(struct config_entry *entry, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct buf text = BUF_INIT;
    struct json_writer w;
    config_entry_normalize(entry, arena);
    if (!config_entry_validate(entry, arena, &e))
        ASSERT(e.text.len > 0 && e.kind == ERROR_INTERNAL);
    json_begin(&w, &text, true);
    config_entry_write_json(&w, entry);
    buf_clear(&text);
    bool known = config_entry_encode(&text, entry->kind, entry);
    struct msgpack_reader in = msgpack_read(str_copy(arena, buf_str(&text)));
    struct error why = ERROR_IN(arena);
    struct config_entry *again = config_entry_decode(&in, entry->kind, arena, &why);
    ASSERT(known && again != NULL);
    struct buf twice = BUF_INIT;
    config_entry_encode(&twice, entry->kind, again);
    ASSERT(str_eq(buf_str(&text), buf_str(&twice)));
    buf_free(&twice);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena), f = ERROR_IN(&arena), g = ERROR_IN(&arena);
    struct service_router router = {0};
    bool ok = config_read_weakly(str_of(data, size), &service_router_shape, &router, &arena, &g);
    ASSERT(ok != (g.text.len > 0));
    struct config_entry *entry = config_entry_read_json(str_of(data, size), &arena, &e);
    ASSERT((entry != NULL) != (e.text.len > 0));
    if (entry != NULL)
        use(entry, &arena);
    struct value v;
    if (hcl_parse(str_of(data, size), &v, &arena, &f)) {
        entry = config_entry_read(&v, &arena, &f);
        ASSERT((entry != NULL) != (f.text.len > 0));
        if (entry != NULL)
            use(entry, &arena);
    }
    arena_free(&arena);
    return 0;
}
