/* auto_config on servers (tls.md 14): what is asked of an agent that introduces itself, and the
 * part of its configuration that it gets.
 */
#ifndef PRAETOR_SERVER_AUTO_CONFIG_H
#define PRAETOR_SERVER_AUTO_CONFIG_H

#include "schema/acl.h"
#include "schema/auto_config.h"

struct auto_config_options {
    const struct acl_auth_method *method; /* of type jwt: how its token is judged */
    struct list assertions;               /* of str: filters over its claims, with ${node} and
                                           * ${segment} */
    /* What every agent gets; what differs from one to another is not set. */
    struct auto_config_acl acl;
    struct auto_config_tls tls;
    bool verify_incoming, verify_outgoing; /* of gossip */
};

/* Whether all assertions hold for claims of a good token. What the request says of itself must not
 * be able to change what they mean: "node name is invalid". */
struct auth_identity;
bool auto_config_assert(const struct auto_config_options *o, const struct auth_identity *identity,
                        const struct auto_config_request *request, struct arena *arena,
                        struct error *e);

#endif
