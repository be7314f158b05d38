/* What the files that make resources share: one file a type for sidecars (clusters.c, endpoints.c,
 * listeners.c, routes.c), one a kind of gateway, and here what they have in common. Private to the
 * room.
 */
#ifndef PRAETOR_XDS_ROOM_H
#define PRAETOR_XDS_ROOM_H

#include "base/time.h"
#include "xds/envoy.h"
#include "xds/resources.h"
#include "xds/settings.h"

#define XDS_CONNECT_TIMEOUT (5000 * MILLISECOND)

/* ---- resources.c ---- */

void xds_add(struct xds_maker *m, struct value resource);
/* Unless one of that name is there: what two upstreams share is sent once. `field` is what the type
 * calls it. */
void xds_add_once(struct xds_maker *m, const char *field, struct value resource);
void xds_warn(struct xds_maker *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- names.c ---- */

/* "[subset.]service.default.datacenter.internal.<trust domain>" */
struct str xds_service_sni(const struct xds_maker *m, struct str subset, struct str service,
                           struct str datacenter);
struct str xds_query_sni(const struct xds_maker *m, const struct upstream *u);
/* "datacenter.internal.<trust domain>" */
struct str xds_datacenter_sni(const struct xds_maker *m, struct str datacenter);
/* "server.datacenter.<domain>", "node.server.…" */
struct str xds_server_sni(const struct xds_maker *m, struct str node, struct str datacenter);
struct str xds_target_cluster(const struct xds_maker *m, const struct compiled_chain *chain,
                              const struct chain_target *target);
/* The node that the chain begins with, or that a node leads to; NULL only if the chain is broken.
 */
const struct chain_node *xds_start_node(const struct compiled_chain *chain);
bool xds_is_query(const struct upstream *u);
bool xds_is_http(struct str protocol);
bool xds_is_http2(struct str protocol);
/* Upstream.Config's, else the chain's (NULL: none): in lower case. */
struct str xds_upstream_protocol(struct xds_maker *m, const struct proxy_upstream *u);
struct settings xds_settings(struct xds_maker *m, const struct value *config);
/* Tells when what was read could not be. */
void xds_settings_done(struct xds_maker *m, const struct settings *s, const char *of);

/* ---- parts.c: what clusters and listeners are made of ---- */

struct value xds_address(struct arena *arena, struct str address, int64_t port);
struct value xds_common_tls(struct xds_maker *m, const struct issued_cert *leaf);
struct value xds_downstream_tls(struct xds_maker *m, const struct issued_cert *leaf, bool require);
struct value xds_ads(struct arena *arena);
/* A ClusterLoadAssignment of one endpoint, whose health nobody tells. */
struct value xds_static_assignment(struct arena *arena, struct str name, struct str address,
                                   int64_t port);

/* ---- clusters.c ---- */

bool xds_sidecar_clusters(struct xds_maker *m);
/* Of all upstreams, also an ingress gateway's. */
bool xds_upstream_clusters(struct xds_maker *m);
/* The name under which the upstream's clusters are known to Envoy, where the user chose it; "":
 * their own. */
struct str xds_chosen_cluster(struct xds_maker *m, const struct proxy_upstream *u);
/* ---- endpoints.c ---- */

struct xds_health {
    bool healthy;
    int64_t weight;
};
struct xds_health xds_health_of(const struct check_service_node *node, bool only_passing);
/* Where to reach it from this agent's datacenter. */
void xds_instance_address(const struct xds_maker *m, const struct check_service_node *node,
                          struct str *address, int64_t *port);
bool xds_any_healthy(const struct proxy_instances *instances, bool only_passing);
struct value xds_lb_endpoint(struct xds_maker *m, const struct check_service_node *node,
                             struct xds_health health);
/* A ClusterLoadAssignment of the instances. */
struct value xds_assignment(struct xds_maker *m, struct str cluster, const struct list *instances,
                            bool only_passing);
bool xds_upstream_endpoints(struct xds_maker *m);
/* Which target of a resolver is reached when it fails over through gateways; NULL: it does not. */
const struct chain_target *xds_through_gateway(const struct proxy_upstream *u,
                                               const struct chain_resolver *resolver);

/* ---- filters.c: network filters and chains of them ---- */

struct value xds_filter(struct arena *arena, const char *name, struct value config);
struct value xds_ext_authz(struct xds_maker *m);
struct value xds_tcp_proxy(struct arena *arena, struct str stat_prefix, struct str cluster);
struct value xds_sni_cluster(struct arena *arena);
struct value xds_tls_inspector(struct arena *arena); /* listener_filters */
struct xds_http {
    struct str name;     /* of what it is a filter for */
    const char *prefix;  /* of stat_prefix: "", "upstream_", "ingress_upstream_" */
    struct str protocol; /* in lower case */
    struct str cluster;  /* where all goes, unless by_routes */
    struct str path;     /* that alone, exactly; "": all */
    bool by_routes;      /* a RouteConfiguration of the name says where */
    bool egress;
};
struct value xds_main_filter(struct xds_maker *m, const struct xds_http *h);
struct value xds_listener(struct xds_maker *m, struct str name, struct str address, int64_t port,
                          struct value filter_chains, struct value listener_filters);

/* ---- listeners.c, routes.c ---- */

bool xds_sidecar_listeners(struct xds_maker *m);
/* At an address of its own; tls may be TREE_NONE. */
bool xds_upstream_listener(struct xds_maker *m, const struct proxy_upstream *u, struct str address,
                           struct value tls);
bool xds_sidecar_routes(struct xds_maker *m);
/* The routes of a chain, for a virtual host. */
bool xds_chain_routes(struct xds_maker *m, const struct compiled_chain *chain, struct value *out);
struct value xds_route_configuration(struct arena *arena, struct str name,
                                     struct value virtual_hosts);

/* ---- gateways ---- */

/* Where a gateway listens (6.6). */
struct xds_bind {
    struct str name, address;
    int64_t port;
};
/* Of struct xds_bind. */
struct list xds_binds(struct xds_maker *m);
/* A pair of service_resolver.subsets. */
struct xds_subset_pair {
    struct str name;
    struct service_resolver_subset subset;
};
/* The instances for which a subset's filter holds. */
bool xds_subset_instances(struct xds_maker *m, const struct list *instances,
                          const struct service_resolver_subset *subset, struct list *out);
const struct service_resolver_subset *xds_subset(const struct service_resolver *r, struct str name);

/* A cluster of a gateway: by EDS, or by DNS where instances have names. connect_timeout 0: as the
 * gateway's configuration says. */
struct value xds_gateway_cluster(struct xds_maker *m, struct str name, int64_t connect_timeout,
                                 const struct list *instances, bool only_passing);
/* Whether xds_gateway_cluster makes one that needs no endpoints. */
bool xds_has_names(const struct xds_maker *m, const struct list *instances);

bool xds_mesh_gateway(struct xds_maker *m, enum xds_type type);
bool xds_terminating_gateway(struct xds_maker *m, enum xds_type type);
bool xds_ingress_gateway(struct xds_maker *m, enum xds_type type);

/* ---- hatches.c: what users write as JSON ---- */

/* The tree of the JSON, checked against the message. */
bool xds_hatch(struct xds_maker *m, struct str json, const struct envoy_message *message,
               struct value *out);

#endif
