/* Tags as Consul reads them: servers, clients, and who may come in.
 */
#include "gossip/rules.h"

#include "base/map.h"
#include "base/mem.h"

/* The tag as a number that fits an int; false when it is there and is none. Not there: unchanged.
 */
static bool tag_number(struct str meta, struct str name, int *out) {
    struct str text = gossip_tag_get(meta, name);
    int64_t n;
    if (text.data == NULL)
        return true;
    if (!str_to_i64(text, &n) || n < INT_MIN || n > INT_MAX)
        return false;
    *out = (int)n;
    return true;
}

static bool take_digits(struct str text, size_t *at, int *out) {
    size_t start = *at;
    int64_t n = 0;
    for (; *at < text.len && text.data[*at] >= '0' && text.data[*at] <= '9'; ++*at)
        n = n < INT_MAX / 10 ? n * 10 + (text.data[*at] - '0') : n;
    *out = (int)n;
    return *at > start;
}

/* The first "digits.digits.digits" in the text. */
static bool find_version(struct str text, int version[3], struct str *found) {
    for (size_t start = 0; start < text.len; start++) {
        size_t at = start;
        bool ok = true;
        for (int i = 0; i < 3 && ok; i++) {
            ok = (i == 0 || (at < text.len && text.data[at++] == '.')) &&
                 take_digits(text, &at, &version[i]);
        }
        if (ok) {
            *found = str_sub(text, start, at - start);
            return true;
        }
    }
    return false;
}

static bool is_host_and_port(struct str text) {
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    uint64_t port;
    return colon > 0 && str_to_u64(str_sub(text, colon, SIZE_MAX), &port) && port <= UINT16_MAX;
}

/* Feature flags are numbers, segments' addresses addresses. */
static bool check_families(struct str meta) {
    struct arena arena = ARENA_INIT;
    struct gossip_tag *tags;
    size_t len = gossip_tags_read(meta, &tags, &arena);
    bool ok = true;
    for (size_t i = 0; i < len && ok; i++) {
        int64_t n;
        if (str_has_prefix(tags[i].name, STR("ft_")))
            ok = str_to_i64(tags[i].value, &n);
        else if (str_has_prefix(tags[i].name, STR("sl_")))
            ok = is_host_and_port(tags[i].value);
    }
    arena_free(&arena);
    return ok;
}

static bool has(struct str meta, const char *name) {
    return gossip_tag_get(meta, str_from(name)).data != NULL;
}

bool gossip_server_of(const struct gossip_member *m, struct gossip_server *out) {
    struct str meta = m->meta;
    *out = (struct gossip_server){.name = m->name, .status = m->status, .acls = 3};
    if (!str_is(gossip_tag_get(meta, STR("role")), "consul"))
        return false;
    int port = -1;
    out->version = -1;
    if (!tag_number(meta, STR("port"), &port) || !tag_number(meta, STR("vsn"), &out->version) ||
        !tag_number(meta, STR("expect"), &out->expect) ||
        !tag_number(meta, STR("wan_join_port"), &out->wan_join_port) ||
        !tag_number(meta, STR("raft_vsn"), &out->raft_version))
        return false;
    if (port < 0 || port > UINT16_MAX || out->version < 0 || !check_families(meta) ||
        !find_version(gossip_tag_get(meta, STR("build")), out->build, &out->build_text))
        return false;
    tag_number(meta, STR("acls"), &out->acls);
    if (out->acls < 0 || out->acls > 2)
        out->acls = 3;
    out->id = gossip_tag_get(meta, STR("id"));
    out->datacenter = gossip_tag_get(meta, STR("dc"));
    out->segment = gossip_tag_get(meta, STR("segment"));
    out->bootstrap = has(meta, "bootstrap");
    out->non_voter = has(meta, "nonvoter");
    out->use_tls = has(meta, "use_tls");
    out->address = m->address;
    out->address.port = (uint16_t)port;
    size_t suffix = out->datacenter.len + 1;
    bool wan = m->name.len > suffix && str_has_suffix(m->name, out->datacenter) &&
               m->name.data[m->name.len - suffix] == '.';
    out->short_name = wan ? str_sub(m->name, 0, m->name.len - suffix) : m->name;
    return true;
}

bool gossip_client_of(const struct gossip_member *m, struct str *datacenter) {
    *datacenter = gossip_tag_get(m->meta, STR("dc"));
    return str_is(gossip_tag_get(m->meta, STR("role")), "node");
}

/* ---- merge rules ---- */

static bool has_reliable_id(const struct gossip_member *m) {
    int v[3];
    struct str text;
    if (!find_version(gossip_tag_get(m->meta, STR("build")), v, &text))
        return false;
    return v[0] != 0 ? v[0] > 0 : v[1] != 8 ? v[1] > 8 : v[2] >= 5;
}

/* ids: to the members that had them. Sets *skip for one that is not looked at further. */
static bool check_id(const struct gossip_rules *r, const struct gossip_member *m, struct map *ids,
                     bool *skip, struct error *e) {
    struct str id = gossip_tag_get(m->meta, STR("id"));
    if (id.len == 0)
        return true;
    if (m->state == GOSSIP_LEFT) {
        *skip = true;
        return true;
    }
    if (str_eq(id, r->id) && !str_eq(m->name, r->name))
        return error_set(e, ERROR_INTERNAL,
                         "Member '" STR_FMT "' has conflicting node ID '" STR_FMT
                         "' with this agent's ID",
                         STR_ARG(m->name), STR_ARG(id));
    const struct gossip_member *other = map_get(ids, id);
    if (other != NULL)
        return error_set(e, ERROR_INTERNAL,
                         "Member '" STR_FMT "' has conflicting node ID '" STR_FMT
                         "' with member '" STR_FMT "'",
                         STR_ARG(m->name), STR_ARG(id), STR_ARG(other->name));
    if (has_reliable_id(m))
        map_put(ids, id, (void *)m);
    return true;
}

static bool check_lan_member(const struct gossip_rules *r, const struct gossip_member *m,
                             struct map *ids, struct error *e) {
    bool skip = false;
    if (!check_id(r, m, ids, &skip, e))
        return false;
    if (skip)
        return true;
    struct gossip_server server;
    struct str datacenter;
    bool client = gossip_client_of(m, &datacenter);
    if (!client && gossip_server_of(m, &server)) {
        client = true;
        datacenter = server.datacenter;
    }
    if (client && !str_eq(datacenter, r->datacenter))
        return error_set(e, ERROR_INTERNAL,
                         "Member '" STR_FMT "' part of wrong datacenter '" STR_FMT "'",
                         STR_ARG(m->name), STR_ARG(datacenter));
    struct str segment = gossip_tag_get(m->meta, STR("segment"));
    if (!str_eq(segment, r->segment))
        return error_set(e, ERROR_INTERNAL,
                         "Member '" STR_FMT "' part of wrong segment '" STR_FMT
                         "' (expected '" STR_FMT "')",
                         STR_ARG(m->name), STR_ARG(segment), STR_ARG(r->segment));
    return true;
}

bool gossip_merge_lan(const struct gossip_rules *r, const struct gossip_member *members, size_t len,
                      struct error *e) {
    struct map ids = MAP_INIT;
    bool ok = true;
    for (size_t i = 0; i < len && ok; i++)
        ok = check_lan_member(r, &members[i], &ids, e);
    map_free(&ids);
    return ok;
}

bool gossip_merge_wan(const struct gossip_rules *r, const struct gossip_member *members, size_t len,
                      struct error *e) {
    (void)r;
    for (size_t i = 0; i < len; i++) {
        struct gossip_server server;
        if (!gossip_server_of(&members[i], &server))
            return error_set(e, ERROR_INTERNAL, "Member '" STR_FMT "' is not a server",
                             STR_ARG(members[i].name));
    }
    return true;
}
