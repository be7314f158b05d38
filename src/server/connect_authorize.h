/* Whether a connection between services may be (connect.md 2.3): what the HTTP API and Envoy's
 * check have in common. Pure; who asks for rights and intentions is the caller.
 */
#ifndef PRAETOR_SERVER_CONNECT_AUTHORIZE_H
#define PRAETOR_SERVER_CONNECT_AUTHORIZE_H

#include "schema/requests_intention.h"
#include "server/ca_name.h"

/* The service that a client's certificate names. Errors are ERROR_BAD_REQUEST: "Bad request:
 * ClientCertURI not a valid Connect identifier", "… Service identifier". */
bool connect_source(struct str uri, struct spiffe_id *out, struct arena *arena, struct error *e);
/* What endpoint_intention_match is to be asked. */
struct intention_query_request *connect_question(struct str target, struct str token,
                                                 struct arena *arena);

struct connect_verdict {
    bool allowed;
    struct str reason; /* in the arena */
};
/* By the intentions of the target; where none speaks of the source it is as without intentions:
 * access control's default, and everything without access control (`controlled` false). */
struct connect_verdict connect_decide(const struct indexed_intention_matches *found,
                                      const struct spiffe_id *source, bool controlled,
                                      bool default_allow, struct arena *arena);

#endif
