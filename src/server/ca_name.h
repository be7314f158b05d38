/* Identities of the service mesh (connect.md 3.1): SPIFFE URIs, and the common names that go with
 * them. Pure.
 */
#ifndef PRAETOR_SERVER_CA_NAME_H
#define PRAETOR_SERVER_CA_NAME_H

#include "base/error.h"

enum spiffe_kind { SPIFFE_SERVICE, SPIFFE_AGENT, SPIFFE_SIGNING };

struct spiffe_id {
    enum spiffe_kind kind;
    struct str host;      /* the trust domain, as written, perhaps with a port */
    struct str namespace; /* services */
    struct str datacenter;
    struct str name; /* of the service, or of the agent's node */
};

/* A user, a query and a fragment play no part. Errors are the peer's: "SPIFFE ID must have 'spiffe'
 * scheme", "SPIFFE ID is not in the expected format: <uri>", and url_valid's. Strings are views of
 * the text, or in the arena. */
bool spiffe_parse(struct str uri, struct spiffe_id *out, struct arena *arena, struct error *e);
/* The id as a URI. A service's name is escaped; a node's is written as it is. */
struct str spiffe_format(const struct spiffe_id *id, struct arena *arena);

/* "web.svc.default.1a016a8d.consul", "n1.agnt.1a016a8d.consul"; of a signing id: absent. */
struct str spiffe_common_name(const struct spiffe_id *id, struct arena *arena);
/* "pri-5ydcgjch.consul.ca.1a016a8d.consul": with what is random in it. */
struct str ca_common_name(bool primary, struct str provider, struct str cluster_id,
                          struct arena *arena);
/* "<cluster id>.consul", in small letters. */
struct str ca_trust_domain(struct str cluster_id, struct arena *arena);

#endif
