/* See proxy_lookup.h. */
#include "cli/proxy_lookup.h"

#include "base/mem.h"

/* The peer compares with the destination in lower case only. */
static bool is_sidecar_of(const struct value *service, struct str id, struct arena *arena) {
    const struct value *proxy = value_get(service, "Proxy");
    if (proxy == NULL || !str_is(value_str(service, "Kind"), "connect-proxy"))
        return false;
    struct str destination = value_str(proxy, "DestinationServiceID");
    return str_eq(destination, id) || str_eq(str_lower(arena, destination), id);
}

bool proxy_find_sidecar(struct client *c, struct str service_id, struct str *id,
                        struct arena *arena, struct error *e) {
    const struct value_pair **pairs;
    struct value services;
    if (!client_get(c, STR("/v1/agent/services"), &services, arena, e))
        return error_prefix(e, "Failed looking up sidecar proxy info for " STR_FMT ": ",
                            STR_ARG(service_id));
    size_t count = value_sorted_pairs(&services, &pairs), found = 0;
    struct str all = STR("");
    for (size_t i = 0; i < count; i++) {
        if (!is_sidecar_of(&pairs[i]->value, service_id, arena))
            continue;
        *id = value_str(&pairs[i]->value, "ID");
        all = str_format(arena, STR_FMT "%s" STR_FMT, STR_ARG(all), found > 0 ? ", " : "",
                         STR_ARG(*id));
        found++;
    }
    mem_free(pairs);
    if (found == 0)
        return error_set(e, ERROR_NOT_FOUND, "No sidecar proxy registered for " STR_FMT,
                         STR_ARG(service_id));
    if (found > 1)
        return error_set(e, ERROR_BAD_REQUEST,
                         "More than one sidecar proxy registered for " STR_FMT ".\n"
                         "    Start proxy with -proxy-id and one of the following IDs: " STR_FMT,
                         STR_ARG(service_id), STR_ARG(all));
    return true;
}

bool proxy_find_gateway(struct client *c, const char *kind, struct str *id, struct str *name,
                        struct arena *arena, struct error *e) {
    struct value services;
    struct call call;
    call_init(&call, "GET", STR("/v1/agent/services"));
    call_param(&call, "filter", str_format(arena, "Kind == `%s`", kind));
    if (!client_json(c, &call, &services, arena, e))
        return error_prefix(e, "Failed looking up %s instances: ", kind);
    size_t count = services.kind == VALUE_MAP ? services.map.len : 0;
    if (count == 0)
        return error_set(e, ERROR_NOT_FOUND, "No %s services registered with this agent", kind);
    if (count > 1)
        return error_set(
            e, ERROR_BAD_REQUEST,
            "Cannot lookup the %s's proxy ID because multiple are registered with the agent", kind);
    *id = value_str(&services.map.pairs[0].value, "ID");
    *name = value_str(&services.map.pairs[0].value, "Service");
    return true;
}
