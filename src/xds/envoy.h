/* Envoy's messages (message.h) that more than one file knows: envoy_*.c have the tables.
 */
#ifndef PRAETOR_XDS_ENVOY_H
#define PRAETOR_XDS_ENVOY_H

#include "xds/message.h"

extern const struct envoy_message envoy_access_log, envoy_address, envoy_bind_config,
    envoy_cidr_range, envoy_cluster, envoy_cluster_load_assignment, envoy_config_source,
    envoy_custom_tag, envoy_data_source, envoy_downstream_tls_context, envoy_empty, envoy_ext_authz,
    envoy_file_access_log, envoy_fractional_percent, envoy_grpc_service, envoy_hash_policy,
    envoy_header_matcher, envoy_header_value_option, envoy_health_check,
    envoy_http1_protocol_options, envoy_http2_protocol_options, envoy_http_connection_manager,
    envoy_http_protocol_options, envoy_int32_range, envoy_int64_range, envoy_listener,
    envoy_locality, envoy_metadata, envoy_percent, envoy_regex_match_and_substitute,
    envoy_regex_matcher, envoy_route_configuration, envoy_router, envoy_runtime_fractional_percent,
    envoy_runtime_u_int32, envoy_scoped_route_configuration, envoy_sni_cluster, envoy_socket_option,
    envoy_string_matcher, envoy_tcp_keepalive, envoy_tcp_proxy, envoy_transport_socket,
    envoy_upstream_http_protocol_options, envoy_upstream_tls_context;

#endif
