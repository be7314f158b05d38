/* The methods of the gRPC port (connect.md 6.1), and what they have of the agent. For the files
 * that have them: stream.c, check.c, interface.c.
 */
#ifndef PRAETOR_XDS_SERVICES_H
#define PRAETOR_XDS_SERVICES_H

#include "agent/proxy_watch.h"
#include "server/server.h"
#include "xds/grpc.h"

struct xds_services { /* grpc_options.owner */
    struct server *server;
    struct proxies *proxies;
};

extern const struct grpc_method xds_method_stream, xds_method_delta;      /* stream.c */
extern const struct grpc_method xds_method_check, xds_method_check_alpha; /* check.c */

#endif
