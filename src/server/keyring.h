/* Requests and replies of the endpoints that reach all members through gossip: user events and the
 * keyring (rpc.md 6.7).
 */
#ifndef PRAETOR_SERVER_KEYRING_H
#define PRAETOR_SERVER_KEYRING_H

#include "schema/requests.h"

struct event_fire_request { /* Internal.EventFire */
    struct str datacenter;
    struct str name;
    struct str payload;
    struct query_options options;
};
struct event_fire_response {
    struct query_meta meta;
};

struct keyring_request { /* Internal.KeyringOperation */
    struct str datacenter;
    bool forwarded; /* by a server of another datacenter: only the LAN pool */
    struct str key; /* base64 */
    bool local_only;
    struct str operation; /* list, install, use, remove */
    int64_t relay_factor;
    struct query_options options;
};
struct int_pair { /* of {int} */
    struct str key;
    int64_t value;
};
struct keyring_response { /* of one pool */
    struct str datacenter;
    struct str error;
    struct list keys;     /* map: base64 to int64_t */
    struct list messages; /* map: str to str */
    int64_t num_nodes;
    struct list primary_keys; /* map: base64 to int64_t */
    struct str segment;
    bool wan;
};
struct keyring_responses {
    struct list responses; /* of struct keyring_response * */
    struct query_meta meta;
};

extern const struct shape event_fire_request_shape, event_fire_response_shape,
    keyring_request_shape, keyring_response_shape, keyring_responses_shape;

#endif
