/* What the parts of `connect envoy` share (cli.md 2.8, connect.md 8): its options, and steps of its
 * work that have files of their own.
 */
#ifndef PRAETOR_CLI_ENVOY_H
#define PRAETOR_CLI_ENVOY_H

#include "cli/client.h"

struct gateway_address {
    struct str host; /* may be empty */
    int64_t port;
};
struct bind_address {
    struct str name;
    struct gateway_address address;
};
struct bind_addresses {
    struct bind_address *items; /* by name; in the arena of the flags */
    size_t len;
};

struct envoy_options {
    bool mesh_gateway, bootstrap, no_central_config, register_service, expose_servers;
    struct flag_set_string proxy_id, sidecar_for, grpc_address; /* else of the environment */
    struct str gateway, service, envoy_binary, envoy_version;
    struct str admin_access_log_path, admin_bind;
    struct str deregister_after_critical;
    struct gateway_address lan, wan;
    struct bind_addresses bind;
};

#define GATEWAY_PORT 443

/* Readers of flags; context: the hooks. */
bool gateway_address_read(void *at, struct str value, const void *context, struct arena *arena,
                          struct error *e);
bool bind_address_read(void *at, struct str value, const void *context, struct arena *arena,
                       struct error *e);
/* "host:port"; an empty host is 127.0.0.1. */
struct str gateway_address_text(const struct gateway_address *a, struct arena *arena);

/* Registers the gateway with the agent. kind: "mesh-gateway". The error is the whole text. */
bool gateway_register(struct client *c, const struct envoy_options *o, const char *kind,
                      struct str id, struct str name, struct arena *arena, struct error *e);

/* Becomes Envoy, which reads the bootstrap from a pipe that a child fills. Returns only with an
 * error. binary: its path, or empty: of $PATH. */
bool envoy_exec(struct str binary, char *const *args, size_t count, struct str bootstrap,
                struct arena *arena, struct error *e);
/* The binary in $PATH. `exec: "envoy": executable file not found in $PATH` */
bool envoy_find(struct str *path, struct arena *arena, struct error *e);

#endif
