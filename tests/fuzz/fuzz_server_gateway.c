/* Addresses of gateways, from configurations and from whoever registers services, and names of
 * members of the WAN pool, by anybody: parts are parts of what they are of, or there is a reason.
 */
#include "base/mem.h"
#include "server/gateways.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(struct str text, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct str host = STR_NONE;
    uint16_t port = 0;
    bool ok = gateway_split(text, &host, &port, &e);
    ASSERT(ok == !error_is_set(&e));
    if (!ok)
        return;
    ASSERT(host.data >= text.data && host.data + host.len < text.data + text.len);
    ASSERT(str_find(text, STR(":"), host.len) >= 0);
}

static void check_name(struct str name, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct str node, datacenter;
    bool ok = gateway_member_split(name, &node, &datacenter, &e);
    ASSERT(ok == !error_is_set(&e));
    if (!ok)
        return;
    ASSERT(node.len > 0 && datacenter.len > 0 && node.len + 1 + datacenter.len == name.len);
    ASSERT(!gateway_member_is_remote(name, datacenter));
    ASSERT(gateway_member_is_remote(name, name) &&
           gateway_member_is_remote(name, STR("another")) == !str_is(datacenter, "another"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    check_address(str_of(data, size), &arena);
    check_name(str_of(data, size), &arena);
    arena_free(&arena);
    return 0;
}
