/* The gRPC port: Envoy's discovery and its question whether connections may be (connect.md 6).
 */
#ifndef PRAETOR_XDS_XDS_H
#define PRAETOR_XDS_XDS_H

#include "agent/agent.h"

/* For main.c. */
extern const struct agent_interface xds_interface;

#endif
