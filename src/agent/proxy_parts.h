/* What the snapshot of a proxy is made of, by its kind (connect.md 6.3): which questions there are
 * for its registration and what is known so far, and a snapshot out of the answers. Pure; who asks
 * is proxy_watch.c. For agent/proxy*.c.
 */
#ifndef PRAETOR_AGENT_PROXY_PARTS_H
#define PRAETOR_AGENT_PROXY_PARTS_H

#include "agent/config.h"
#include "agent/facts.h"
#include "agent/proxy_snapshot.h"

/* A proxy as it is registered here, with all that was added to it. */
struct proxy_registration {
    struct node_service service;
    struct str token;    /* its own, or the agent's */
    struct list exposed; /* of struct proxy_check_path */
};
extern const struct shape proxy_check_path_shape, proxy_registration_shape;

/* Only those of proxies that are followed. */
enum proxy_kind {
    PROXY_NONE,
    PROXY_SIDECAR,
    PROXY_MESH_GATEWAY,
    PROXY_TERMINATING_GATEWAY,
    PROXY_INGRESS_GATEWAY,
};
enum proxy_kind proxy_kind_of(const struct node_service *s);

/* What is asked for; beside it what answers, and which by: `of`, `key` ("": there is one). */
enum proxy_part {
    PART_ROOTS,       /* indexed_ca_roots */
    PART_LEAF,        /* issued_cert: of a service, key */
    PART_CHAIN,       /* discovery_chain_response: of an upstream, key */
    PART_TARGET,      /* indexed_check_service_nodes: of an upstream, a target in its chain */
    PART_QUERY,       /* prepared_query_execute_response: of an upstream, key */
    PART_GATEWAYS,    /* indexed_check_service_nodes: of a datacenter, key */
    PART_SERVICES,    /* indexed_service_list */
    PART_INSTANCES,   /* indexed_check_service_nodes: of a service, key */
    PART_RESOLVERS,   /* indexed_config_entries */
    PART_DATACENTERS, /* struct list of str */
    PART_SERVERS,     /* indexed_check_service_nodes */
    PART_FEDERATION,  /* struct list first: map: str to list of struct check_service_node */
    PART_LINKED,      /* indexed_gateway_services */
    PART_ENTRY,       /* config_entry_response */
};
/* Whether its answer decides on what else is to be asked. */
bool proxy_part_leads_on(enum proxy_part part);

struct proxy_view {
    const struct proxy_registration *registered;
    const struct config *config;
    /* The newest answer; NULL: it is not known. */
    const void *(*known)(const struct proxy_view *v, enum proxy_part part, struct str of,
                         struct str key);
    const void *owner;
};

struct proxy_need {
    enum proxy_part part;
    struct str of, key;
    struct fact_question question;
};
struct proxy_needs {
    struct arena *arena; /* of all that they point to, but for what is known */
    struct proxy_need *items;
    size_t len, cap;
};
/* `out` has its arena, and is empty. Each part stands there once. */
void proxy_needs_collect(const struct proxy_view *v, struct proxy_needs *out);

/* NULL: what must be there is not known yet. With one reference; its facts are the caller's to
 * set. */
struct proxy_snapshot *proxy_snapshot_make(const struct proxy_view *v);

/* Of struct proxy_upstream, with id and upstream only: those that are registered, or an ingress
 * gateway's services. */
struct list proxy_upstreams(const struct proxy_view *v, struct arena *arena);
struct str proxy_upstream_id(const struct upstream *u, struct arena *arena);
bool proxy_upstream_is_query(const struct upstream *u);
/* The datacenter whose mesh gateways lead to a target; "": none are needed. */
struct str proxy_gateways_of(const struct chain_target *target, struct str own_datacenter);
/* A mesh gateway through which datacenters federate. */
bool proxy_federates(const struct node_service *s);

#endif
