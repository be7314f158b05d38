/* Envoy's messages: what the configuration of filters may be when it is typed. The names and
 * numbers of the published API, version 2; see message.h. One line a field, by number.
 */
#include "xds/envoy.h"

#include "base/mem.h"

static const struct envoy_enum_value op_values[] = {
    {"EQ", 0},
    {"GE", 1},
    {"LE", 2},
    {NULL, 0},
};
static const struct envoy_enum op = {"envoy.config.filter.accesslog.v2.ComparisonFilter_Op",
                                     op_values};
static const struct envoy_enum_value status_values[] = {
    {"OK", 0},
    {"CANCELED", 1},
    {"UNKNOWN", 2},
    {"INVALID_ARGUMENT", 3},
    {"DEADLINE_EXCEEDED", 4},
    {"NOT_FOUND", 5},
    {"ALREADY_EXISTS", 6},
    {"PERMISSION_DENIED", 7},
    {"RESOURCE_EXHAUSTED", 8},
    {"FAILED_PRECONDITION", 9},
    {"ABORTED", 10},
    {"OUT_OF_RANGE", 11},
    {"UNIMPLEMENTED", 12},
    {"INTERNAL", 13},
    {"UNAVAILABLE", 14},
    {"DATA_LOSS", 15},
    {"UNAUTHENTICATED", 16},
    {NULL, 0},
};
static const struct envoy_enum status = {"envoy.config.filter.accesslog.v2.GrpcStatusFilter_Status",
                                         status_values};
static const struct envoy_enum_value operation_name_values[] = {
    {"INGRESS", 0},
    {"EGRESS", 1},
    {NULL, 0},
};
static const struct envoy_enum operation_name = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager_Tracing_"
    "OperationName",
    operation_name_values};
static const struct envoy_enum_value codec_type_values[] = {
    {"AUTO", 0}, {"HTTP1", 1}, {"HTTP2", 2}, {"HTTP3", 3}, {NULL, 0},
};
static const struct envoy_enum codec_type = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager_CodecType",
    codec_type_values};
static const struct envoy_enum_value server_header_transformation_values[] = {
    {"OVERWRITE", 0},
    {"APPEND_IF_ABSENT", 1},
    {"PASS_THROUGH", 2},
    {NULL, 0},
};
static const struct envoy_enum server_header_transformation = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager_"
    "ServerHeaderTransformation",
    server_header_transformation_values};
static const struct envoy_enum_value forward_client_cert_details_values[] = {
    {"SANITIZE", 0},     {"FORWARD_ONLY", 1},        {"APPEND_FORWARD", 2},
    {"SANITIZE_SET", 3}, {"ALWAYS_FORWARD_ONLY", 4}, {NULL, 0},
};
static const struct envoy_enum forward_client_cert_details = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager_"
    "ForwardClientCertDetails",
    forward_client_cert_details_values};
static const struct envoy_message envoy_access_log_filter; /* of itself */
static const struct envoy_field file_access_log_fields[] = {
    {"path", 1, MESSAGE_STRING},
    {"format", 2, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"json_format", 3, MESSAGE_STRUCT},
    {"typed_json_format", 4, MESSAGE_STRUCT},
};
const struct envoy_message envoy_file_access_log = {"envoy.config.accesslog.v2.FileAccessLog",
                                                    file_access_log_fields,
                                                    COUNT_OF(file_access_log_fields)};

static const struct envoy_field comparison_filter_fields[] = {
    {"op", 1, MESSAGE_ENUM, 0, .names = &op},
    {"value", 2, MESSAGE_OF, 0, &envoy_runtime_u_int32},
};
static const struct envoy_message envoy_comparison_filter = {
    "envoy.config.filter.accesslog.v2.ComparisonFilter", comparison_filter_fields,
    COUNT_OF(comparison_filter_fields)};

static const struct envoy_field status_code_filter_fields[] = {
    {"comparison", 1, MESSAGE_OF, 0, &envoy_comparison_filter},
};
static const struct envoy_message envoy_status_code_filter = {
    "envoy.config.filter.accesslog.v2.StatusCodeFilter", status_code_filter_fields,
    COUNT_OF(status_code_filter_fields)};

static const struct envoy_field duration_filter_fields[] = {
    {"comparison", 1, MESSAGE_OF, 0, &envoy_comparison_filter},
};
static const struct envoy_message envoy_duration_filter = {
    "envoy.config.filter.accesslog.v2.DurationFilter", duration_filter_fields,
    COUNT_OF(duration_filter_fields)};

static const struct envoy_message envoy_not_health_check_filter = {
    "envoy.config.filter.accesslog.v2.NotHealthCheckFilter", NULL, 0};

static const struct envoy_message envoy_traceable_filter = {
    "envoy.config.filter.accesslog.v2.TraceableFilter", NULL, 0};

static const struct envoy_field runtime_filter_fields[] = {
    {"runtime_key", 1, MESSAGE_STRING},
    {"percent_sampled", 2, MESSAGE_OF, 0, &envoy_fractional_percent},
    {"use_independent_randomness", 3, MESSAGE_BOOL},
};
static const struct envoy_message envoy_runtime_filter = {
    "envoy.config.filter.accesslog.v2.RuntimeFilter", runtime_filter_fields,
    COUNT_OF(runtime_filter_fields)};

static const struct envoy_field and_filter_fields[] = {
    {"filters", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_access_log_filter},
};
static const struct envoy_message envoy_and_filter = {
    "envoy.config.filter.accesslog.v2.AndFilter", and_filter_fields, COUNT_OF(and_filter_fields)};

static const struct envoy_field or_filter_fields[] = {
    {"filters", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_access_log_filter},
};
static const struct envoy_message envoy_or_filter = {"envoy.config.filter.accesslog.v2.OrFilter",
                                                     or_filter_fields, COUNT_OF(or_filter_fields)};

static const struct envoy_field header_filter_fields[] = {
    {"header", 1, MESSAGE_OF, 0, &envoy_header_matcher},
};
static const struct envoy_message envoy_header_filter = {
    "envoy.config.filter.accesslog.v2.HeaderFilter", header_filter_fields,
    COUNT_OF(header_filter_fields)};

static const struct envoy_field response_flag_filter_fields[] = {
    {"flags", 1, MESSAGE_STRING, MESSAGE_MANY},
};
static const struct envoy_message envoy_response_flag_filter = {
    "envoy.config.filter.accesslog.v2.ResponseFlagFilter", response_flag_filter_fields,
    COUNT_OF(response_flag_filter_fields)};

static const struct envoy_field grpc_status_filter_fields[] = {
    {"statuses", 1, MESSAGE_ENUM, MESSAGE_MANY, .names = &status},
    {"exclude", 2, MESSAGE_BOOL},
};
static const struct envoy_message envoy_grpc_status_filter = {
    "envoy.config.filter.accesslog.v2.GrpcStatusFilter", grpc_status_filter_fields,
    COUNT_OF(grpc_status_filter_fields)};

static const struct envoy_field extension_filter_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_extension_filter = {
    "envoy.config.filter.accesslog.v2.ExtensionFilter", extension_filter_fields,
    COUNT_OF(extension_filter_fields)};

static const struct envoy_field access_log_filter_fields[] = {
    {"status_code_filter", 1, MESSAGE_OF, 0, &envoy_status_code_filter},
    {"duration_filter", 2, MESSAGE_OF, 0, &envoy_duration_filter},
    {"not_health_check_filter", 3, MESSAGE_OF, 0, &envoy_not_health_check_filter},
    {"traceable_filter", 4, MESSAGE_OF, 0, &envoy_traceable_filter},
    {"runtime_filter", 5, MESSAGE_OF, 0, &envoy_runtime_filter},
    {"and_filter", 6, MESSAGE_OF, 0, &envoy_and_filter},
    {"or_filter", 7, MESSAGE_OF, 0, &envoy_or_filter},
    {"header_filter", 8, MESSAGE_OF, 0, &envoy_header_filter},
    {"response_flag_filter", 9, MESSAGE_OF, 0, &envoy_response_flag_filter},
    {"grpc_status_filter", 10, MESSAGE_OF, 0, &envoy_grpc_status_filter},
    {"extension_filter", 11, MESSAGE_OF, 0, &envoy_extension_filter},
};
static const struct envoy_message envoy_access_log_filter = {
    "envoy.config.filter.accesslog.v2.AccessLogFilter", access_log_filter_fields,
    COUNT_OF(access_log_filter_fields)};

static const struct envoy_field access_log_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"filter", 2, MESSAGE_OF, 0, &envoy_access_log_filter},
    {"config", 3, MESSAGE_STRUCT},
    {"typed_config", 4, MESSAGE_ANY},
};
const struct envoy_message envoy_access_log = {"envoy.config.filter.accesslog.v2.AccessLog",
                                               access_log_fields, COUNT_OF(access_log_fields)};

static const struct envoy_field router_fields[] = {
    {"dynamic_stats", 1, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"start_child_span", 2, MESSAGE_BOOL},
    {"upstream_log", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_access_log},
    {"suppress_envoy_headers", 4, MESSAGE_BOOL},
    {"strict_check_headers", 5, MESSAGE_STRING, MESSAGE_MANY},
    {"respect_expected_rq_timeout", 6, MESSAGE_BOOL},
};
const struct envoy_message envoy_router = {"envoy.config.filter.http.router.v2.Router",
                                           router_fields, COUNT_OF(router_fields)};

static const struct envoy_field ext_authz_fields[] = {
    {"stat_prefix", 1, MESSAGE_STRING},
    {"grpc_service", 2, MESSAGE_OF, 0, &envoy_grpc_service},
    {"failure_mode_allow", 3, MESSAGE_BOOL},
    {"include_peer_certificate", 4, MESSAGE_BOOL},
};
const struct envoy_message envoy_ext_authz = {"envoy.config.filter.network.ext_authz.v2.ExtAuthz",
                                              ext_authz_fields, COUNT_OF(ext_authz_fields)};

static const struct envoy_field rds_fields[] = {
    {"config_source", 1, MESSAGE_OF, 0, &envoy_config_source},
    {"route_config_name", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_rds = {
    "envoy.config.filter.network.http_connection_manager.v2.Rds", rds_fields, COUNT_OF(rds_fields)};

static const struct envoy_field header_value_extractor_kv_element_fields[] = {
    {"separator", 1, MESSAGE_STRING},
    {"key", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_header_value_extractor_kv_element = {
    "envoy.config.filter.network.http_connection_manager.v2.ScopedRoutes.ScopeKeyBuilder."
    "FragmentBuilder.HeaderValueExtractor.KvElement",
    header_value_extractor_kv_element_fields, COUNT_OF(header_value_extractor_kv_element_fields)};

static const struct envoy_field fragment_builder_header_value_extractor_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"element_separator", 2, MESSAGE_STRING},
    {"index", 3, MESSAGE_UINT, MESSAGE_ONE_OF},
    {"element", 4, MESSAGE_OF, 0, &envoy_header_value_extractor_kv_element},
};
static const struct envoy_message envoy_fragment_builder_header_value_extractor = {
    "envoy.config.filter.network.http_connection_manager.v2.ScopedRoutes.ScopeKeyBuilder."
    "FragmentBuilder.HeaderValueExtractor",
    fragment_builder_header_value_extractor_fields,
    COUNT_OF(fragment_builder_header_value_extractor_fields)};

static const struct envoy_field scope_key_builder_fragment_builder_fields[] = {
    {"header_value_extractor", 1, MESSAGE_OF, 0, &envoy_fragment_builder_header_value_extractor},
};
static const struct envoy_message envoy_scope_key_builder_fragment_builder = {
    "envoy.config.filter.network.http_connection_manager.v2.ScopedRoutes.ScopeKeyBuilder."
    "FragmentBuilder",
    scope_key_builder_fragment_builder_fields, COUNT_OF(scope_key_builder_fragment_builder_fields)};

static const struct envoy_field scoped_routes_scope_key_builder_fields[] = {
    {"fragments", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_scope_key_builder_fragment_builder},
};
static const struct envoy_message envoy_scoped_routes_scope_key_builder = {
    "envoy.config.filter.network.http_connection_manager.v2.ScopedRoutes.ScopeKeyBuilder",
    scoped_routes_scope_key_builder_fields, COUNT_OF(scoped_routes_scope_key_builder_fields)};

static const struct envoy_field scoped_route_configurations_list_fields[] = {
    {"scoped_route_configurations", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_scoped_route_configuration},
};
static const struct envoy_message envoy_scoped_route_configurations_list = {
    "envoy.config.filter.network.http_connection_manager.v2.ScopedRouteConfigurationsList",
    scoped_route_configurations_list_fields, COUNT_OF(scoped_route_configurations_list_fields)};

static const struct envoy_field scoped_rds_fields[] = {
    {"scoped_rds_config_source", 1, MESSAGE_OF, 0, &envoy_config_source},
};
static const struct envoy_message envoy_scoped_rds = {
    "envoy.config.filter.network.http_connection_manager.v2.ScopedRds", scoped_rds_fields,
    COUNT_OF(scoped_rds_fields)};

static const struct envoy_field scoped_routes_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"scope_key_builder", 2, MESSAGE_OF, 0, &envoy_scoped_routes_scope_key_builder},
    {"rds_config_source", 3, MESSAGE_OF, 0, &envoy_config_source},
    {"scoped_route_configurations_list", 4, MESSAGE_OF, 0, &envoy_scoped_route_configurations_list},
    {"scoped_rds", 5, MESSAGE_OF, 0, &envoy_scoped_rds},
};
static const struct envoy_message envoy_scoped_routes = {
    "envoy.config.filter.network.http_connection_manager.v2.ScopedRoutes", scoped_routes_fields,
    COUNT_OF(scoped_routes_fields)};

static const struct envoy_field http_filter_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 4, MESSAGE_ANY},
};
static const struct envoy_message envoy_http_filter = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpFilter", http_filter_fields,
    COUNT_OF(http_filter_fields)};

static const struct envoy_field tracing_http_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_tracing_http = {
    "envoy.config.trace.v2.Tracing.Http", tracing_http_fields, COUNT_OF(tracing_http_fields)};

static const struct envoy_field http_connection_manager_tracing_fields[] = {
    {"operation_name", 1, MESSAGE_ENUM, 0, .names = &operation_name},
    {"request_headers_for_tags", 2, MESSAGE_STRING, MESSAGE_MANY},
    {"client_sampling", 3, MESSAGE_OF, 0, &envoy_percent},
    {"random_sampling", 4, MESSAGE_OF, 0, &envoy_percent},
    {"overall_sampling", 5, MESSAGE_OF, 0, &envoy_percent},
    {"verbose", 6, MESSAGE_BOOL},
    {"max_path_tag_length", 7, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"custom_tags", 8, MESSAGE_OF, MESSAGE_MANY, &envoy_custom_tag},
    {"provider", 9, MESSAGE_OF, 0, &envoy_tracing_http},
};
static const struct envoy_message envoy_http_connection_manager_tracing = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager.Tracing",
    http_connection_manager_tracing_fields, COUNT_OF(http_connection_manager_tracing_fields)};

static const struct envoy_field http_connection_manager_internal_address_config_fields[] = {
    {"unix_sockets", 1, MESSAGE_BOOL},
};
static const struct envoy_message envoy_http_connection_manager_internal_address_config = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager."
    "InternalAddressConfig",
    http_connection_manager_internal_address_config_fields,
    COUNT_OF(http_connection_manager_internal_address_config_fields)};

static const struct envoy_field http_connection_manager_set_current_client_cert_details_fields[] = {
    {"subject", 1, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"cert", 3, MESSAGE_BOOL},
    {"dns", 4, MESSAGE_BOOL},
    {"uri", 5, MESSAGE_BOOL},
    {"chain", 6, MESSAGE_BOOL},
};
static const struct envoy_message envoy_http_connection_manager_set_current_client_cert_details = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager."
    "SetCurrentClientCertDetails",
    http_connection_manager_set_current_client_cert_details_fields,
    COUNT_OF(http_connection_manager_set_current_client_cert_details_fields)};

static const struct envoy_field http_connection_manager_upgrade_config_fields[] = {
    {"upgrade_type", 1, MESSAGE_STRING},
    {"filters", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_http_filter},
    {"enabled", 3, MESSAGE_BOOL, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_http_connection_manager_upgrade_config = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager.UpgradeConfig",
    http_connection_manager_upgrade_config_fields,
    COUNT_OF(http_connection_manager_upgrade_config_fields)};

static const struct envoy_field request_id_extension_fields[] = {
    {"typed_config", 1, MESSAGE_ANY},
};
static const struct envoy_message envoy_request_id_extension = {
    "envoy.config.filter.network.http_connection_manager.v2.RequestIDExtension",
    request_id_extension_fields, COUNT_OF(request_id_extension_fields)};

static const struct envoy_field http_connection_manager_fields[] = {
    {"codec_type", 1, MESSAGE_ENUM, 0, .names = &codec_type},
    {"stat_prefix", 2, MESSAGE_STRING},
    {"rds", 3, MESSAGE_OF, 0, &envoy_rds},
    {"route_config", 4, MESSAGE_OF, 0, &envoy_route_configuration},
    {"http_filters", 5, MESSAGE_OF, MESSAGE_MANY, &envoy_http_filter},
    {"add_user_agent", 6, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"tracing", 7, MESSAGE_OF, 0, &envoy_http_connection_manager_tracing},
    {"http_protocol_options", 8, MESSAGE_OF, 0, &envoy_http1_protocol_options},
    {"http2_protocol_options", 9, MESSAGE_OF, 0, &envoy_http2_protocol_options},
    {"server_name", 10, MESSAGE_STRING},
    {"idle_timeout", 11, MESSAGE_DURATION},
    {"drain_timeout", 12, MESSAGE_DURATION},
    {"access_log", 13, MESSAGE_OF, MESSAGE_MANY, &envoy_access_log},
    {"use_remote_address", 14, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"generate_request_id", 15, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"forward_client_cert_details", 16, MESSAGE_ENUM, 0, .names = &forward_client_cert_details},
    {"set_current_client_cert_details", 17, MESSAGE_OF, 0,
     &envoy_http_connection_manager_set_current_client_cert_details},
    {"proxy_100_continue", 18, MESSAGE_BOOL},
    {"xff_num_trusted_hops", 19, MESSAGE_UINT},
    {"represent_ipv4_remote_address_as_ipv4_mapped_ipv6", 20, MESSAGE_BOOL},
    {"skip_xff_append", 21, MESSAGE_BOOL},
    {"via", 22, MESSAGE_STRING},
    {"upgrade_configs", 23, MESSAGE_OF, MESSAGE_MANY,
     &envoy_http_connection_manager_upgrade_config},
    {"stream_idle_timeout", 24, MESSAGE_DURATION},
    {"internal_address_config", 25, MESSAGE_OF, 0,
     &envoy_http_connection_manager_internal_address_config},
    {"delayed_close_timeout", 26, MESSAGE_DURATION},
    {"request_timeout", 28, MESSAGE_DURATION},
    {"max_request_headers_kb", 29, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"normalize_path", 30, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"scoped_routes", 31, MESSAGE_OF, 0, &envoy_scoped_routes},
    {"preserve_external_request_id", 32, MESSAGE_BOOL},
    {"merge_slashes", 33, MESSAGE_BOOL},
    {"server_header_transformation", 34, MESSAGE_ENUM, 0, .names = &server_header_transformation},
    {"common_http_protocol_options", 35, MESSAGE_OF, 0, &envoy_http_protocol_options},
    {"request_id_extension", 36, MESSAGE_OF, 0, &envoy_request_id_extension},
};
const struct envoy_message envoy_http_connection_manager = {
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager",
    http_connection_manager_fields, COUNT_OF(http_connection_manager_fields)};

const struct envoy_message envoy_sni_cluster = {
    "envoy.config.filter.network.sni_cluster.v2.SniCluster", NULL, 0};

static const struct envoy_field tcp_proxy_weighted_cluster_cluster_weight_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"weight", 2, MESSAGE_UINT},
    {"metadata_match", 3, MESSAGE_OF, 0, &envoy_metadata},
};
static const struct envoy_message envoy_tcp_proxy_weighted_cluster_cluster_weight = {
    "envoy.config.filter.network.tcp_proxy.v2.TcpProxy.WeightedCluster.ClusterWeight",
    tcp_proxy_weighted_cluster_cluster_weight_fields,
    COUNT_OF(tcp_proxy_weighted_cluster_cluster_weight_fields)};

static const struct envoy_field tcp_proxy_weighted_cluster_fields[] = {
    {"clusters", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_tcp_proxy_weighted_cluster_cluster_weight},
};
static const struct envoy_message envoy_tcp_proxy_weighted_cluster = {
    "envoy.config.filter.network.tcp_proxy.v2.TcpProxy.WeightedCluster",
    tcp_proxy_weighted_cluster_fields, COUNT_OF(tcp_proxy_weighted_cluster_fields)};

static const struct envoy_field deprecated_v1_tcp_route_fields[] = {
    {"cluster", 1, MESSAGE_STRING},
    {"destination_ip_list", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_cidr_range},
    {"destination_ports", 3, MESSAGE_STRING},
    {"source_ip_list", 4, MESSAGE_OF, MESSAGE_MANY, &envoy_cidr_range},
    {"source_ports", 5, MESSAGE_STRING},
};
static const struct envoy_message envoy_deprecated_v1_tcp_route = {
    "envoy.config.filter.network.tcp_proxy.v2.TcpProxy.DeprecatedV1.TCPRoute",
    deprecated_v1_tcp_route_fields, COUNT_OF(deprecated_v1_tcp_route_fields)};

static const struct envoy_field tcp_proxy_deprecated_v1_fields[] = {
    {"routes", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_deprecated_v1_tcp_route},
};
static const struct envoy_message envoy_tcp_proxy_deprecated_v1 = {
    "envoy.config.filter.network.tcp_proxy.v2.TcpProxy.DeprecatedV1",
    tcp_proxy_deprecated_v1_fields, COUNT_OF(tcp_proxy_deprecated_v1_fields)};

static const struct envoy_field tcp_proxy_tunneling_config_fields[] = {
    {"hostname", 1, MESSAGE_STRING},
};
static const struct envoy_message envoy_tcp_proxy_tunneling_config = {
    "envoy.config.filter.network.tcp_proxy.v2.TcpProxy.TunnelingConfig",
    tcp_proxy_tunneling_config_fields, COUNT_OF(tcp_proxy_tunneling_config_fields)};

static const struct envoy_field tcp_proxy_fields[] = {
    {"stat_prefix", 1, MESSAGE_STRING},
    {"cluster", 2, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"downstream_idle_timeout", 3, MESSAGE_DURATION},
    {"upstream_idle_timeout", 4, MESSAGE_DURATION},
    {"access_log", 5, MESSAGE_OF, MESSAGE_MANY, &envoy_access_log},
    {"deprecated_v1", 6, MESSAGE_OF, 0, &envoy_tcp_proxy_deprecated_v1},
    {"max_connect_attempts", 7, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"idle_timeout", 8, MESSAGE_DURATION},
    {"metadata_match", 9, MESSAGE_OF, 0, &envoy_metadata},
    {"weighted_clusters", 10, MESSAGE_OF, 0, &envoy_tcp_proxy_weighted_cluster},
    {"hash_policy", 11, MESSAGE_OF, MESSAGE_MANY, &envoy_hash_policy},
    {"tunneling_config", 12, MESSAGE_OF, 0, &envoy_tcp_proxy_tunneling_config},
};
const struct envoy_message envoy_tcp_proxy = {"envoy.config.filter.network.tcp_proxy.v2.TcpProxy",
                                              tcp_proxy_fields, COUNT_OF(tcp_proxy_fields)};
