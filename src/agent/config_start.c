/* What `validate` lets pass and the start of an agent does not (config.md 4.1, 4.4).
 */
#include "agent/config_table.h"
#include "base/mem.h"
#include "codec/base64.h"

static bool fail(struct error *e, const char *text) {
    return error_set(e, ERROR_INTERNAL, "%s", text);
}

static bool check_keyring(const struct config *c, struct error *e) {
    if (c->encrypt_key.len == 0)
        return true;
    struct arena scratch = ARENA_INIT;
    struct str key = STR("");
    struct error ignored = ERROR_IN(&scratch);
    bool decoded = base64_decode(c->encrypt_key, &key, &scratch, &ignored);
    size_t len = decoded ? key.len : 0;
    arena_free(&scratch);
    if (len == 16 || len == 24 || len == 32)
        return true;
    return error_set(e, ERROR_INTERNAL,
                     "Failed to configure keyring: %skey size must be 16, 24 or 32 bytes",
                     c->disable_keyring_file ? "" : "Invalid key: ");
}

static bool one_of(struct str s, const char *const *list) {
    for (; *list != NULL; list++)
        if (str_is(s, *list))
            return true;
    return false;
}

bool config_check_server(const struct config *c, struct error *e) {
    static const char *const defaults[] = {"", "allow", "deny", NULL};
    static const char *const downs[] = {"", "allow", "deny", "extend-cache", "async-cache", NULL};
    if (!check_keyring(c, e))
        return false;
    const char *start =
        c->server_mode ? "Failed to start Consul server: " : "Failed to start Consul client: ";
    if (c->rpc_protocol > 3 || (c->rpc_protocol > 0 && c->rpc_protocol < 2))
        return error_set(e, ERROR_INTERNAL,
                         "%sProtocol version '%lld' too %s. Must be in range: [2, 3]", start,
                         (long long)c->rpc_protocol, c->rpc_protocol > 3 ? "high" : "low");
    if (!one_of(c->acl.default_policy, defaults))
        return error_set(e, ERROR_INTERNAL, "%sUnsupported default ACL policy: " STR_FMT, start,
                         STR_ARG(c->acl.default_policy));
    if (!one_of(c->acl.down_policy, downs))
        return error_set(e, ERROR_INTERNAL, "%sUnsupported down ACL policy: " STR_FMT, start,
                         STR_ARG(c->acl.down_policy));
    if (c->server_mode && (c->raft_protocol > 3 || c->raft_protocol < 0))
        return error_set(e, ERROR_INTERNAL,
                         "%sFailed to start Raft: Protocol version %lld must be >= 1 and <= 3",
                         start, (long long)c->raft_protocol);
    if (c->watches.len > 0 && c->http_addrs.len == 0 && c->https_addrs.len == 0)
        return fail(e, "watch plans require an HTTP or HTTPS endpoint");
    return true;
}
