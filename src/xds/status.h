/* How calls of gRPC end.
 */
#ifndef PRAETOR_XDS_STATUS_H
#define PRAETOR_XDS_STATUS_H

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};
/* "InvalidArgument": for the log. */
const char *grpc_status_name(enum grpc_status status);

#endif
