/* What a proxy of this agent has to know (connect.md 6.3): its registration, certificates, and what
 * the servers say of its upstreams or of the services behind a gateway. One snapshot is a whole
 * that never changes; a new one comes when something in it did. What is not known yet is left out.
 *
 * Who makes them is in proxy_watch.h; who turns them into Envoy's language in xds/. A snapshot may
 * be read on any thread. Structs of the schema are those of the answers, see their headers.
 */
#ifndef PRAETOR_AGENT_PROXY_SNAPSHOT_H
#define PRAETOR_AGENT_PROXY_SNAPSHOT_H

#include <stdatomic.h>

#include "schema/chain.h"
#include "schema/connect.h"
#include "schema/requests_connect.h"

struct fact; /* facts.h */

/* The instances of a target, a prepared query, a datacenter's gateways, a linked service. */
struct proxy_instances {
    struct str key;    /* target ID, datacenter or service */
    struct list nodes; /* of struct check_service_node, in the order of the answer; may be empty */
};

/* Of a sidecar, or of an ingress gateway (made from its services). */
struct proxy_upstream {
    struct str id; /* "[prepared_query:][ns/]name[?dc=DC]" */
    const struct upstream *upstream;
    const struct compiled_chain *chain;  /* NULL: not known yet, or a prepared query */
    struct list targets;                 /* of struct proxy_instances by target ID: those known */
    const struct proxy_instances *query; /* of a prepared query, NULL: not known yet, or none */
};

/* A service that a terminating gateway leads to. */
struct proxy_linked_service {
    const struct gateway_service *service;
    const struct issued_cert *leaf;          /* NULL: not known yet */
    const struct proxy_instances *instances; /* the same */
    const struct service_resolver *resolver; /* NULL: none that is used */
};

/* A service that a mesh gateway leads to. */
struct proxy_meshed_service {
    struct str name;
    const struct proxy_instances *instances; /* that are part of the mesh; NULL: not known yet */
    const struct service_resolver *resolver; /* or NULL */
};

/* A path of a check that is exposed (connect.md 4.3). */
struct proxy_check_path {
    struct str path, protocol; /* "http", "http2" */
    int64_t local_port, listener_port;
};

struct proxy_snapshot {
    atomic_uint references;
    struct arena arena; /* of the lists here, and of what they point to */

    struct str proxy_id;
    const struct node_service *service; /* as it is in the catalog: with central configuration */
    struct str token;                   /* of the registration, or the agent's */
    struct str datacenter;              /* the agent's */
    struct str domain, alt_domain;      /* of DNS, with their final dots; alt may be "" */
    struct str advertise_address;
    bool is_server;

    const struct indexed_ca_roots *roots;
    const struct issued_cert *leaf; /* sidecar, ingress gateway; else NULL */

    /* Sidecars and ingress gateways. */
    struct list upstreams; /* of struct proxy_upstream, in order */
    struct list gateways;  /* of struct proxy_instances by datacenter: mesh gateways, as far as
                            * they are needed and known */
    struct list exposed;   /* of struct proxy_check_path */
    /* Ingress gateways: the configuration entry. */
    const struct ingress_gateway *ingress;

    struct list meshed;                    /* mesh gateways: of struct proxy_meshed_service */
    struct list datacenters;               /* mesh gateways: of str, all but the own, sorted */
    const struct proxy_instances *servers; /* mesh gateways that federate: the servers */
    struct list federation; /* those: of struct proxy_instances by datacenter, from the states */
    struct list linked;     /* terminating gateways: of struct proxy_linked_service */

    /* What else it points to: answers that are shared with other snapshots. 0: nothing. */
    const struct fact **facts;
    size_t fact_count;
};

/* NULL is allowed. One that was made by hand, all in its arena, is released like any other. */
void proxy_snapshot_hold(struct proxy_snapshot *s);
void proxy_snapshot_release(struct proxy_snapshot *s);

/* NULL: not known. */
const struct proxy_instances *proxy_instances_get(const struct list *all, struct str key);

#endif
