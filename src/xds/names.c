/* Names that Envoy and proxies elsewhere know (connect.md 6.4): server names, clusters; and the
 * protocols that are spoken.
 */
#include "base/time.h"
#include "xds/room.h"

static struct str internal(const struct xds_maker *m, struct str left) {
    return str_format(m->arena, STR_FMT ".internal." STR_FMT, STR_ARG(left),
                      STR_ARG(m->snapshot->roots->trust_domain));
}

struct str xds_service_sni(const struct xds_maker *m, struct str subset, struct str service,
                           struct str datacenter) {
    return internal(m,
                    str_format(m->arena, STR_FMT "%s" STR_FMT ".default." STR_FMT, STR_ARG(subset),
                               subset.len > 0 ? "." : "", STR_ARG(service), STR_ARG(datacenter)));
}

struct str xds_query_sni(const struct xds_maker *m, const struct upstream *u) {
    struct str datacenter = u->datacenter.len > 0 ? u->datacenter : m->snapshot->datacenter;
    return str_format(m->arena, STR_FMT ".default." STR_FMT ".query." STR_FMT,
                      STR_ARG(u->destination_name), STR_ARG(datacenter),
                      STR_ARG(m->snapshot->roots->trust_domain));
}

struct str xds_datacenter_sni(const struct xds_maker *m, struct str datacenter) {
    return internal(m, datacenter);
}

struct str xds_server_sni(const struct xds_maker *m, struct str node, struct str datacenter) {
    struct str domain = m->snapshot->domain;
    if (str_has_suffix(domain, STR(".")))
        domain.len--;
    return str_format(m->arena, STR_FMT "%sserver." STR_FMT "." STR_FMT, STR_ARG(node),
                      node.len > 0 ? "." : "", STR_ARG(datacenter), STR_ARG(domain));
}

struct str xds_target_cluster(const struct xds_maker *m, const struct compiled_chain *chain,
                              const struct chain_target *target) {
    if (chain->customization_hash.len == 0)
        return target->name;
    return str_format(m->arena, STR_FMT "~" STR_FMT, STR_ARG(chain->customization_hash),
                      STR_ARG(target->name));
}

const struct chain_node *xds_start_node(const struct compiled_chain *chain) {
    return chain_node_get(chain, chain->start_node);
}

bool xds_is_query(const struct upstream *u) {
    return str_is(u->destination_type, "prepared_query");
}

bool xds_is_http2(struct str protocol) {
    return str_is(protocol, "http2") || str_is(protocol, "grpc");
}

bool xds_is_http(struct str protocol) {
    return str_is(protocol, "http") || xds_is_http2(protocol);
}

struct str xds_upstream_protocol(struct xds_maker *m, const struct proxy_upstream *u) {
    struct settings s = xds_settings(m, u->upstream->config);
    struct str own = setting_protocol(&s);
    return own.len > 0 || u->chain == NULL ? own : str_lower(m->arena, u->chain->protocol);
}

struct settings xds_settings(struct xds_maker *m, const struct value *config) {
    return (struct settings){.config = config, .arena = m->arena};
}

void xds_settings_done(struct xds_maker *m, const struct settings *s, const char *of) {
    struct error e = ERROR_IN(m->arena);
    if (!settings_are_fine(s, &e))
        xds_warn(m, "failed to parse %s: " STR_FMT, of, STR_ARG(e.text));
}
