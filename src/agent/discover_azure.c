/* provider=azure (agent.md 8.6): the private addresses of network interfaces with a tag, or of the
 * machines of a scale set. Other clouds than the public one, and tests, are described by the file
 * that AZURE_ENVIRONMENT_FILEPATH names (as in that cloud's own tools), of which
 * activeDirectoryEndpoint and resourceManagerEndpoint matter here. No managed identities.
 */
#include "agent/discover_http.h"
#include "codec/json.h"
#include "net/files.h"

struct azure {
    struct discover_web web;
    struct str directory, manager, audience; /* URLs without a final slash; the audience as it is */
    struct str tenant, client, subscription, secret;
    struct str tag_name, tag_value, group, scale_set;
    struct str token;
};

static struct str without_slash(struct str url) {
    while (str_has_suffix(url, STR("/")))
        url.len--;
    return url;
}

static bool read_environment(struct azure *a, struct error *e) {
    struct str path = discover_env("AZURE_ENVIRONMENT_FILEPATH"), text;
    struct value v;
    a->directory = STR("https://login.microsoftonline.com");
    a->manager = STR("https://management.azure.com");
    a->audience = STR("https://management.azure.com/");
    if (path.data == NULL)
        return true;
    if (!file_text(path, &text, a->web.arena, e) || !json_parse_whole(text, &v, a->web.arena, e))
        return false;
    struct str directory = discover_text(&v, "activeDirectoryEndpoint");
    struct str manager = discover_text(&v, "resourceManagerEndpoint");
    a->directory = directory.len > 0 ? without_slash(directory) : a->directory;
    a->audience = manager.len > 0 ? manager : a->audience;
    a->manager = without_slash(a->audience);
    return true;
}

static bool get_token(struct azure *a, struct error *e) {
    struct arena *arena = a->web.arena;
    struct value v;
    struct discover_call call = {
        .method = "POST",
        .url = str_format(arena, STR_FMT "/" STR_FMT "/oauth2/token?api-version=1.0",
                          STR_ARG(a->directory), STR_ARG(discover_escape(a->tenant, arena))),
        .headers = {STR("Content-Type: application/x-www-form-urlencoded")},
        .body = str_format(arena,
                           "grant_type=client_credentials&client_id=" STR_FMT
                           "&client_secret=" STR_FMT "&resource=" STR_FMT,
                           STR_ARG(discover_escape(a->client, arena)),
                           STR_ARG(discover_escape(a->secret, arena)),
                           STR_ARG(discover_escape(a->audience, arena)))};
    if (!discover_web_json(&a->web, &call, &v, e))
        return false;
    a->token = discover_text(&v, "access_token");
    return a->token.len > 0 || error_set(e, ERROR_IO, "the answer holds no access_token");
}

static bool add_interface(const struct value *i, struct list *addresses, struct arena *arena,
                          struct error *e) {
    const struct value *all = discover_path(i, "properties.ipConfigurations");
    for (size_t n = 0; n < discover_count(i, "properties.ipConfigurations"); n++) {
        struct str address = discover_text(&all->list.items[n], "properties.privateIPAddress");
        if (!discover_add(addresses, address, arena, e))
            return false;
    }
    return true;
}

/* A tag's name is the name of a key, which may hold anything. */
static bool has_tag(const struct azure *a, const struct value *i) {
    const struct value *tags = value_get(i, "tags");
    for (size_t n = 0; tags != NULL && tags->kind == VALUE_MAP && n < tags->map.len; n++) {
        const struct value_pair *pair = &tags->map.pairs[n];
        if (str_eq(pair->key, a->tag_name) && pair->value.kind == VALUE_STRING &&
            str_eq(pair->value.string, a->tag_value))
            return true;
    }
    return false;
}

static bool list_interfaces(struct azure *a, struct str url, struct list *addresses,
                            struct error *e) {
    struct arena *arena = a->web.arena;
    size_t seen = 0;
    while (url.len > 0) {
        struct value v;
        struct discover_call call = {
            .method = "GET",
            .url = url,
            .headers = {str_format(arena, "Authorization: Bearer " STR_FMT, STR_ARG(a->token))}};
        if (!discover_web_json(&a->web, &call, &v, e))
            return false;
        const struct value *all = value_get(&v, "value");
        for (size_t n = 0; n < discover_count(&v, "value"); n++, seen++) {
            const struct value *i = &all->list.items[n];
            if ((a->scale_set.len > 0 || has_tag(a, i)) && !add_interface(i, addresses, arena, e))
                return false;
        }
        url = discover_text(&v, "nextLink");
        /* The token is for the manager only. */
        if (url.len > 0 &&
            !str_has_prefix(url, str_format(arena, STR_FMT "/", STR_ARG(a->manager))))
            return error_set(e, ERROR_IO, "the next page is elsewhere: " STR_FMT, STR_ARG(url));
    }
    return seen > 0 || error_set(e, ERROR_IO, "no interfaces");
}

static struct str list_url(const struct azure *a) {
    struct arena *arena = a->web.arena;
    struct str subscription = discover_escape(a->subscription, arena);
    if (a->scale_set.len > 0)
        return str_format(arena,
                          STR_FMT "/subscriptions/" STR_FMT "/resourceGroups/" STR_FMT
                                  "/providers/microsoft.Compute/virtualMachineScaleSets/" STR_FMT
                                  "/networkInterfaces?api-version=2018-10-01",
                          STR_ARG(a->manager), STR_ARG(subscription),
                          STR_ARG(discover_escape(a->group, arena)),
                          STR_ARG(discover_escape(a->scale_set, arena)));
    return str_format(arena,
                      STR_FMT
                      "/subscriptions/" STR_FMT
                      "/providers/Microsoft.Network/networkInterfaces?api-version=2020-07-01",
                      STR_ARG(a->manager), STR_ARG(subscription));
}

static bool find(struct azure *a, struct list *addresses, struct error *e) {
    bool by_tag = a->tag_name.len > 0 && a->tag_value.len > 0;
    bool by_set = a->group.len > 0 && a->scale_set.len > 0;
    if (by_tag == by_set)
        return error_set(e, ERROR_BAD_REQUEST,
                         "unclear configuration. use (tag name and value) or (resouce_group and "
                         "vm_scale_set)");
    if (by_tag)
        a->scale_set = STR_NONE;
    return read_environment(a, e) && get_token(a, e) &&
           list_interfaces(a, list_url(a), addresses, e);
}

static bool azure_find(const struct discover_keys *keys, struct arena *arena,
                       struct list *addresses, struct error *e) {
    struct azure a = {.tenant = discover_setting(keys, "tenant_id", "ARM_TENANT_ID"),
                      .client = discover_setting(keys, "client_id", "ARM_CLIENT_ID"),
                      .subscription =
                          discover_setting(keys, "subscription_id", "ARM_SUBSCRIPTION_ID"),
                      .secret = discover_setting(keys, "secret_access_key", "ARM_CLIENT_SECRET"),
                      .tag_name = discover_key(keys, "tag_name"),
                      .tag_value = discover_key(keys, "tag_value"),
                      .group = discover_key(keys, "resource_group"),
                      .scale_set = discover_key(keys, "vm_scale_set")};
    discover_web_init(&a.web, arena);
    return find(&a, addresses, e) || error_prefix(e, "discover-azure: ");
}

const struct discover_provider discover_azure = {"azure", azure_find};
