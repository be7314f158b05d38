/* Requests and replies of the certificate authority's endpoints (rpc.md 6.13, 6.17). Conventions:
 * requests.h. Each struct X has a `X_shape`. What ConfigurationSet gets is entries.h's ca_request.
 */
#ifndef PRAETOR_SCHEMA_REQUESTS_CONNECT_H
#define PRAETOR_SCHEMA_REQUESTS_CONNECT_H

#include "schema/connect.h"
#include "schema/entries.h"
#include "schema/requests.h"

struct ca_sign_request {
    struct str csr; /* PEM */
    struct str datacenter;
    struct write_options write;
};

struct indexed_ca_roots {
    struct str active_root_id;
    struct list roots; /* of struct ca_root * */
    struct str trust_domain;
    struct query_meta meta;
};

/* AutoEncrypt.Sign */
struct auto_encrypt_reply {
    struct indexed_ca_roots connect_ca_roots;
    struct str gossip_key;
    struct issued_cert issued_cert;
    struct list manual_ca_roots; /* of str: PEM */
    bool verify_server_hostname;
};

/* The body of POST /v1/agent/connect/authorize (agent.md 1.14). */
struct connect_authorize_request {
    struct str target; /* a service's name */
    struct str client_cert_uri;
    struct str client_cert_serial; /* nobody looks at it */
};

extern const struct shape ca_sign_request_shape, indexed_ca_roots_shape, auto_encrypt_reply_shape,
    connect_authorize_request_shape;

#endif
