/* Terminating gateways (connect.md 6.6): from the mesh to services that are not part of it, whose
 * place in it the gateway takes: it has their certificates and asks whether connections may be.
 */
#include "xds/room.h"

static struct value file(struct arena *arena, struct str name) {
    return TREE(arena, {"filename", tree_text(name)});
}

/* How the service itself is connected to. */
static struct value origination(struct xds_maker *m, const struct gateway_service *g) {
    struct arena *a = m->arena;
    struct value certificates = TREE_NONE;
    if (g->ca_file.len == 0)
        return TREE_NONE;
    if (g->cert_file.len > 0 && g->key_file.len > 0)
        certificates = TREES(a, TREE(a, {"certificate_chain", file(a, g->cert_file)},
                                     {"private_key", file(a, g->key_file)}));
    struct value common =
        TREE(a, {"tls_params", tree_empty()}, {"tls_certificates", certificates},
             {"validation_context", TREE(a, {"trusted_ca", file(a, g->ca_file)})});
    return TREE(a, {"common_tls_context", common}, {"sni", tree_text_or_none(g->sni)});
}

/* ---- clusters and endpoints ---- */

static bool add(struct xds_maker *m, enum xds_type type, const struct proxy_linked_service *s,
                struct str name, struct str subset) {
    const struct service_resolver_subset *x = xds_subset(s->resolver, subset);
    bool only_passing = x != NULL && x->only_passing;
    struct list nodes;
    if (!xds_subset_instances(m, &s->instances->nodes, x, &nodes))
        return false;
    if (type == XDS_ENDPOINTS) {
        if (!xds_has_names(m, &nodes))
            xds_add(m, xds_assignment(m, name, &nodes, only_passing));
        return true;
    }
    int64_t timeout = s->resolver != NULL ? s->resolver->connect_timeout : 0;
    struct value cluster = xds_gateway_cluster(m, name, timeout, &nodes, only_passing);
    struct value tls = origination(m, s->service);
    if (tls.kind != VALUE_NULL)
        message_set(&cluster, "tls_context", tls, m->arena);
    xds_add(m, cluster);
    return true;
}

/* Calls for the service itself and each subset of it. */
static bool for_each_cluster(struct xds_maker *m, const struct proxy_linked_service *s,
                             bool (*fn)(struct xds_maker *m, const struct proxy_linked_service *s,
                                        struct str name, struct str subset, void *arg),
                             void *arg) {
    struct str service = s->service->service.name, own = m->snapshot->datacenter;
    struct str subset = s->resolver != NULL ? s->resolver->default_subset : STR("");
    if (s->instances == NULL || s->instances->nodes.len == 0)
        return true;
    if (!fn(m, s, xds_service_sni(m, STR(""), service, own), subset, arg))
        return false;
    for (uint32_t i = 0; s->resolver != NULL && i < s->resolver->subsets.len; i++) {
        subset = LIST_AT(s->resolver->subsets, struct xds_subset_pair, i).name;
        if (!fn(m, s, xds_service_sni(m, subset, service, own), subset, arg))
            return false;
    }
    return true;
}

static bool add_one(struct xds_maker *m, const struct proxy_linked_service *s, struct str name,
                    struct str subset, void *arg) {
    const enum xds_type *type = arg;
    return add(m, *type, s, name, subset);
}

/* ---- listeners ---- */

struct chains {
    const struct xds_bind *bind;
    struct trees chains;
};

static bool add_chain(struct xds_maker *m, const struct proxy_linked_service *s, struct str name,
                      struct str subset, void *arg) {
    struct chains *c = arg;
    struct arena *a = m->arena;
    (void)subset;
    if (s->leaf == NULL)
        return true; /* until it has come nobody can be answered */
    struct str prefix = str_format(a, "terminating_gateway_default_" STR_FMT "_" STR_FMT "_tcp",
                                   STR_ARG(s->service->service.name), STR_ARG(c->bind->name));
    struct value filters =
        TREES(a, xds_ext_authz(m), xds_sni_cluster(a), xds_tcp_proxy(a, prefix, STR("")));
    struct value match = TREE(a, {"server_names", TREES(a, tree_text(name))});
    trees_add(&c->chains,
              TREE(a, {"filter_chain_match", match}, {"filters", filters},
                   {"tls_context", xds_downstream_tls(m, s->leaf, true)}),
              a);
    return true;
}

static void listener(struct xds_maker *m, const struct xds_bind *bind) {
    struct chains c = {.bind = bind};
    for (uint32_t i = 0; i < m->snapshot->linked.len; i++)
        for_each_cluster(m, &LIST_AT(m->snapshot->linked, struct proxy_linked_service, i),
                         add_chain, &c);
    struct str prefix =
        str_format(m->arena, "terminating_gateway_" STR_FMT "_tcp", STR_ARG(bind->name));
    trees_add(&c.chains,
              TREE(m->arena, {"filters", TREES(m->arena, xds_sni_cluster(m->arena),
                                               xds_tcp_proxy(m->arena, prefix, STR("")))}),
              m->arena);
    xds_add(m, xds_listener(m, bind->name, bind->address, bind->port, trees_list(&c.chains),
                            xds_tls_inspector(m->arena)));
}

bool xds_terminating_gateway(struct xds_maker *m, enum xds_type type) {
    if (type == XDS_LISTENER) {
        struct list binds = xds_binds(m);
        for (uint32_t i = 0; i < binds.len; i++)
            listener(m, &LIST_AT(binds, struct xds_bind, i));
    }
    for (uint32_t i = 0;
         (type == XDS_CLUSTER || type == XDS_ENDPOINTS) && i < m->snapshot->linked.len; i++)
        if (!for_each_cluster(m, &LIST_AT(m->snapshot->linked, struct proxy_linked_service, i),
                              add_one, &type))
            return false;
    return true;
}
