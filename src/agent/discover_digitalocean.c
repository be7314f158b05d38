/* provider=digitalocean (agent.md 8.6): the private addresses of droplets with a tag, in one region
 * or in all. DIGITALOCEAN_API_URL, as in that cloud's own tools, gives another address.
 */
#include "agent/discover_http.h"

#define PAGE 200

static bool in_region(const struct value *droplet, struct str region) {
    return region.len == 0 || str_eq(discover_text(droplet, "region.slug"), region);
}

static bool add_droplet(const struct value *droplet, struct list *addresses, struct arena *arena,
                        struct error *e) {
    const struct value *v4 = discover_path(droplet, "networks.v4");
    for (size_t i = 0; i < discover_count(droplet, "networks.v4"); i++) {
        const struct value *network = &v4->list.items[i];
        if (str_is(discover_text(network, "type"), "private"))
            return discover_add(addresses, discover_text(network, "ip_address"), arena, e);
    }
    return true;
}

static bool add_page(const struct value *page, struct str region, struct list *addresses,
                     struct arena *arena, struct error *e) {
    const struct value *droplets = value_get(page, "droplets");
    for (size_t i = 0; i < discover_count(page, "droplets"); i++) {
        const struct value *droplet = &droplets->list.items[i];
        if (in_region(droplet, region) && !add_droplet(droplet, addresses, arena, e))
            return false;
    }
    return true;
}

static bool find(const struct discover_keys *keys, struct arena *arena, struct list *addresses,
                 struct error *e) {
    struct discover_web web;
    struct str base = discover_env("DIGITALOCEAN_API_URL"), tag = discover_key(keys, "tag_name");
    struct str token = discover_setting(keys, "api_token", "DIGITALOCEAN_TOKEN");
    discover_web_init(&web, arena);
    if (base.data == NULL)
        base = STR("https://api.digitalocean.com");
    while (str_has_suffix(base, STR("/")))
        base.len--;
    for (unsigned page = 1;; page++) {
        struct value v;
        struct discover_call call = {
            .method = "GET",
            .url = str_format(arena, STR_FMT "/v2/droplets?page=%u&per_page=%d&tag_name=" STR_FMT,
                              STR_ARG(base), page, PAGE, STR_ARG(discover_escape(tag, arena))),
            .headers = {str_format(arena, "Authorization: Bearer " STR_FMT, STR_ARG(token))}};
        if (!discover_web_json(&web, &call, &v, e) ||
            !add_page(&v, discover_key(keys, "region"), addresses, arena, e))
            return false;
        if (discover_text(&v, "links.pages.next").len == 0)
            return true;
    }
}

static bool digitalocean_find(const struct discover_keys *keys, struct arena *arena,
                              struct list *addresses, struct error *e) {
    return find(keys, arena, addresses, e) || error_prefix(e, "discover-digitalocean: ");
}

const struct discover_provider discover_digitalocean = {"digitalocean", digitalocean_find};
