/* What Envoy is told of a proxy (connect.md 6.4, 6.6): the resources of the four types, made of a
 * snapshot. Pure: the same snapshot gives the same resources.
 */
#ifndef PRAETOR_XDS_RESOURCES_H
#define PRAETOR_XDS_RESOURCES_H

#include "agent/proxy_snapshot.h"
#include "xds/message.h"
#include "xds/tree.h"

/* In the order in which they are sent. */
enum xds_type { XDS_CLUSTER, XDS_ENDPOINTS, XDS_ROUTE, XDS_LISTENER, XDS_TYPES };

struct xds_maker {
    const struct proxy_snapshot *snapshot;
    struct str token;    /* the stream's: what Envoy shows when it asks for a connection */
    bool safe_regex;     /* Envoy 1.11.2 and newer */
    struct arena *arena; /* of everything that is made */
    struct error *error;
    struct trees resources; /* out */
    struct trees warnings;  /* out: texts for the log */
};

const struct envoy_message *xds_message(enum xds_type type);
const char *xds_type_url(enum xds_type type);
/* XDS_TYPES: another. */
enum xds_type xds_type_of(struct str url);

/* Whether all is there that the resources are made of; till then none are sent. */
bool xds_complete(const struct proxy_snapshot *s);
/* Whether an answer without resources is sent too. */
bool xds_may_be_empty(const struct proxy_snapshot *s, enum xds_type type);
bool xds_make(struct xds_maker *m, enum xds_type type);
/* For service:write on which a stream of this proxy is asked (6.2). */
struct str xds_service(const struct proxy_snapshot *s);

#endif
