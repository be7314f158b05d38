/* Discovery chains (connect.md 5): how proxies reach a service, compiled from configuration
 * entries. Conventions of reads: store/catalog.h.
 */
#ifndef PRAETOR_STORE_CHAIN_H
#define PRAETOR_STORE_CHAIN_H

#include "schema/chain.h"
#include "store/store.h"

struct chain_question {
    struct str service;
    struct str datacenter, namespace; /* in which the service is looked for */
    struct str use_datacenter;        /* whose proxies will have it: needs no gateway to reach it */
    struct str trust_domain;
    struct str override_protocol;     /* "": as it is; so the others */
    int64_t override_connect_timeout; /* ns */
    struct str override_mesh_gateway; /* mode */
};
/* Its index is that of the configuration entries. False with the text of connect.md 1.10. */
bool discovery_chain_get(struct store_read *r, const struct chain_question *question,
                         struct compiled_chain **chain, uint64_t *index, struct error *e);

#endif
