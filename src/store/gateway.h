/* gateway-services: which services are reached through which gateways (fsm.md 5.7), derived from
 * config entries and the catalog.
 */
#ifndef PRAETOR_STORE_GATEWAY_H
#define PRAETOR_STORE_GATEWAY_H

#include "schema/catalog.h"
#include "store/store.h"

/* ---- reads; conventions: store/catalog.h ---- */

/* struct gateway_service *: the services of a gateway, without wildcard mappings themselves, and
 * without what an ingress's wildcard made for services of another protocol than the listener's; nil
 * when none. Index: gateway-services, with config-entries when such a protocol was looked at. */
uint64_t gateway_services(struct store_read *r, struct str gateway, struct list *services);
/* struct gateway_service *, by gateway name: mappings whose service is `service` ("*": the
 * wildcards themselves) of gateways of the kind ("terminating-gateway", "ingress-gateway");
 * protocols do not matter here. Returns the highest ModifyIndex of them, 0 when there is none. */
uint64_t gateway_of_service(struct store_read *r, struct str service, const char *kind,
                            struct list *mappings);

/* ---- inside apply ---- */

/* A service instance is about to be written (it differs from the stored one): fills in wildcard
 * mappings (fsm.md 5.7, 3.1 step 2). */
void gateway_service_written(struct store_batch *b, const struct node_service *service);
/* The last instance of a service name is gone: deletes its FromWildcard mappings, bumps
 * gateway-services if there was one (fsm.md 3.2). */
void gateway_service_gone(struct store_batch *b, struct str name);

#endif
