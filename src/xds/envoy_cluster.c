/* Envoy's messages: clusters and their endpoints (envoy.api.v2.cluster, envoy.api.v2.endpoint). The
 * names and numbers of the published API, version 2; see message.h. One line a field, by number.
 */
#include "xds/envoy.h"

#include "base/mem.h"

static const struct envoy_enum_value health_status_values[] = {
    {"UNKNOWN", 0}, {"HEALTHY", 1},  {"UNHEALTHY", 2}, {"DRAINING", 3},
    {"TIMEOUT", 4}, {"DEGRADED", 5}, {NULL, 0},
};
static const struct envoy_enum health_status = {"envoy.api.v2.core.HealthStatus",
                                                health_status_values};
static const struct envoy_enum_value routing_priority_values[] = {
    {"DEFAULT", 0},
    {"HIGH", 1},
    {NULL, 0},
};
static const struct envoy_enum routing_priority = {"envoy.api.v2.core.RoutingPriority",
                                                   routing_priority_values};
static const struct envoy_enum_value lb_subset_selector_fallback_policy_values[] = {
    {"NOT_DEFINED", 0},    {"NO_FALLBACK", 1}, {"ANY_ENDPOINT", 2},
    {"DEFAULT_SUBSET", 3}, {"KEYS_SUBSET", 4}, {NULL, 0},
};
static const struct envoy_enum lb_subset_selector_fallback_policy = {
    "envoy.api.v2.Cluster_LbSubsetConfig_LbSubsetSelector_LbSubsetSelectorFallbackPolicy",
    lb_subset_selector_fallback_policy_values};
static const struct envoy_enum_value lb_subset_fallback_policy_values[] = {
    {"NO_FALLBACK", 0},
    {"ANY_ENDPOINT", 1},
    {"DEFAULT_SUBSET", 2},
    {NULL, 0},
};
static const struct envoy_enum lb_subset_fallback_policy = {
    "envoy.api.v2.Cluster_LbSubsetConfig_LbSubsetFallbackPolicy", lb_subset_fallback_policy_values};
static const struct envoy_enum_value hash_function_values[] = {
    {"XX_HASH", 0},
    {"MURMUR_HASH_2", 1},
    {NULL, 0},
};
static const struct envoy_enum hash_function = {
    "envoy.api.v2.Cluster_RingHashLbConfig_HashFunction", hash_function_values};
static const struct envoy_enum_value discovery_type_values[] = {
    {"STATIC", 0}, {"STRICT_DNS", 1},   {"LOGICAL_DNS", 2},
    {"EDS", 3},    {"ORIGINAL_DST", 4}, {NULL, 0},
};
static const struct envoy_enum discovery_type = {"envoy.api.v2.Cluster_DiscoveryType",
                                                 discovery_type_values};
static const struct envoy_enum_value lb_policy_values[] = {
    {"ROUND_ROBIN", 0},
    {"LEAST_REQUEST", 1},
    {"RING_HASH", 2},
    {"RANDOM", 3},
    {"ORIGINAL_DST_LB", 4},
    {"MAGLEV", 5},
    {"CLUSTER_PROVIDED", 6},
    {"LOAD_BALANCING_POLICY_CONFIG", 7},
    {NULL, 0},
};
static const struct envoy_enum lb_policy = {"envoy.api.v2.Cluster_LbPolicy", lb_policy_values};
static const struct envoy_enum_value dns_lookup_family_values[] = {
    {"AUTO", 0},
    {"V4_ONLY", 1},
    {"V6_ONLY", 2},
    {NULL, 0},
};
static const struct envoy_enum dns_lookup_family = {"envoy.api.v2.Cluster_DnsLookupFamily",
                                                    dns_lookup_family_values};
static const struct envoy_enum_value cluster_protocol_selection_values[] = {
    {"USE_CONFIGURED_PROTOCOL", 0},
    {"USE_DOWNSTREAM_PROTOCOL", 1},
    {NULL, 0},
};
static const struct envoy_enum cluster_protocol_selection = {
    "envoy.api.v2.Cluster_ClusterProtocolSelection", cluster_protocol_selection_values};
static const struct envoy_field cluster_transport_socket_match_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"match", 2, MESSAGE_STRUCT},
    {"transport_socket", 3, MESSAGE_OF, 0, &envoy_transport_socket},
};
static const struct envoy_message envoy_cluster_transport_socket_match = {
    "envoy.api.v2.Cluster.TransportSocketMatch", cluster_transport_socket_match_fields,
    COUNT_OF(cluster_transport_socket_match_fields)};

static const struct envoy_field cluster_custom_cluster_type_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"typed_config", 2, MESSAGE_ANY},
};
static const struct envoy_message envoy_cluster_custom_cluster_type = {
    "envoy.api.v2.Cluster.CustomClusterType", cluster_custom_cluster_type_fields,
    COUNT_OF(cluster_custom_cluster_type_fields)};

static const struct envoy_field cluster_eds_cluster_config_fields[] = {
    {"eds_config", 1, MESSAGE_OF, 0, &envoy_config_source},
    {"service_name", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_cluster_eds_cluster_config = {
    "envoy.api.v2.Cluster.EdsClusterConfig", cluster_eds_cluster_config_fields,
    COUNT_OF(cluster_eds_cluster_config_fields)};

static const struct envoy_field endpoint_health_check_config_fields[] = {
    {"port_value", 1, MESSAGE_UINT},
    {"hostname", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_endpoint_health_check_config = {
    "envoy.api.v2.endpoint.Endpoint.HealthCheckConfig", endpoint_health_check_config_fields,
    COUNT_OF(endpoint_health_check_config_fields)};

static const struct envoy_field endpoint_fields[] = {
    {"address", 1, MESSAGE_OF, 0, &envoy_address},
    {"health_check_config", 2, MESSAGE_OF, 0, &envoy_endpoint_health_check_config},
    {"hostname", 3, MESSAGE_STRING},
};
static const struct envoy_message envoy_endpoint = {"envoy.api.v2.endpoint.Endpoint",
                                                    endpoint_fields, COUNT_OF(endpoint_fields)};

static const struct envoy_field lb_endpoint_fields[] = {
    {"endpoint", 1, MESSAGE_OF, 0, &envoy_endpoint},
    {"health_status", 2, MESSAGE_ENUM, 0, .names = &health_status},
    {"metadata", 3, MESSAGE_OF, 0, &envoy_metadata},
    {"load_balancing_weight", 4, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"endpoint_name", 5, MESSAGE_STRING, MESSAGE_ONE_OF},
};
static const struct envoy_message envoy_lb_endpoint = {
    "envoy.api.v2.endpoint.LbEndpoint", lb_endpoint_fields, COUNT_OF(lb_endpoint_fields)};

static const struct envoy_field locality_lb_endpoints_fields[] = {
    {"locality", 1, MESSAGE_OF, 0, &envoy_locality},
    {"lb_endpoints", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_lb_endpoint},
    {"load_balancing_weight", 3, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"priority", 5, MESSAGE_UINT},
    {"proximity", 6, MESSAGE_UINT, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_locality_lb_endpoints = {
    "envoy.api.v2.endpoint.LocalityLbEndpoints", locality_lb_endpoints_fields,
    COUNT_OF(locality_lb_endpoints_fields)};

static const struct envoy_field policy_drop_overload_fields[] = {
    {"category", 1, MESSAGE_STRING},
    {"drop_percentage", 2, MESSAGE_OF, 0, &envoy_fractional_percent},
};
static const struct envoy_message envoy_policy_drop_overload = {
    "envoy.api.v2.ClusterLoadAssignment.Policy.DropOverload", policy_drop_overload_fields,
    COUNT_OF(policy_drop_overload_fields)};

static const struct envoy_field cluster_load_assignment_policy_fields[] = {
    {"drop_overloads", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_policy_drop_overload},
    {"overprovisioning_factor", 3, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"endpoint_stale_after", 4, MESSAGE_DURATION},
    {"disable_overprovisioning", 5, MESSAGE_BOOL},
};
static const struct envoy_message envoy_cluster_load_assignment_policy = {
    "envoy.api.v2.ClusterLoadAssignment.Policy", cluster_load_assignment_policy_fields,
    COUNT_OF(cluster_load_assignment_policy_fields)};

static const struct envoy_field cluster_load_assignment_fields[] = {
    {"cluster_name", 1, MESSAGE_STRING},
    {"endpoints", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_locality_lb_endpoints},
    {"policy", 4, MESSAGE_OF, 0, &envoy_cluster_load_assignment_policy},
    {"named_endpoints", 5, MESSAGE_OF, MESSAGE_MAP, &envoy_endpoint},
};
const struct envoy_message envoy_cluster_load_assignment = {
    "envoy.api.v2.ClusterLoadAssignment", cluster_load_assignment_fields,
    COUNT_OF(cluster_load_assignment_fields)};

static const struct envoy_field thresholds_retry_budget_fields[] = {
    {"budget_percent", 1, MESSAGE_OF, 0, &envoy_percent},
    {"min_retry_concurrency", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_thresholds_retry_budget = {
    "envoy.api.v2.cluster.CircuitBreakers.Thresholds.RetryBudget", thresholds_retry_budget_fields,
    COUNT_OF(thresholds_retry_budget_fields)};

static const struct envoy_field circuit_breakers_thresholds_fields[] = {
    {"priority", 1, MESSAGE_ENUM, 0, .names = &routing_priority},
    {"max_connections", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_pending_requests", 3, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_requests", 4, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_retries", 5, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"track_remaining", 6, MESSAGE_BOOL},
    {"max_connection_pools", 7, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"retry_budget", 8, MESSAGE_OF, 0, &envoy_thresholds_retry_budget},
};
static const struct envoy_message envoy_circuit_breakers_thresholds = {
    "envoy.api.v2.cluster.CircuitBreakers.Thresholds", circuit_breakers_thresholds_fields,
    COUNT_OF(circuit_breakers_thresholds_fields)};

static const struct envoy_field circuit_breakers_fields[] = {
    {"thresholds", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_circuit_breakers_thresholds},
};
static const struct envoy_message envoy_circuit_breakers = {"envoy.api.v2.cluster.CircuitBreakers",
                                                            circuit_breakers_fields,
                                                            COUNT_OF(circuit_breakers_fields)};

static const struct envoy_field cluster_refresh_rate_fields[] = {
    {"base_interval", 1, MESSAGE_DURATION},
    {"max_interval", 2, MESSAGE_DURATION},
};
static const struct envoy_message envoy_cluster_refresh_rate = {
    "envoy.api.v2.Cluster.RefreshRate", cluster_refresh_rate_fields,
    COUNT_OF(cluster_refresh_rate_fields)};

static const struct envoy_field outlier_detection_fields[] = {
    {"consecutive_5xx", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"interval", 2, MESSAGE_DURATION},
    {"base_ejection_time", 3, MESSAGE_DURATION},
    {"max_ejection_percent", 4, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"enforcing_consecutive_5xx", 5, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"enforcing_success_rate", 6, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"success_rate_minimum_hosts", 7, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"success_rate_request_volume", 8, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"success_rate_stdev_factor", 9, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"consecutive_gateway_failure", 10, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"enforcing_consecutive_gateway_failure", 11, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"split_external_local_origin_errors", 12, MESSAGE_BOOL},
    {"consecutive_local_origin_failure", 13, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"enforcing_consecutive_local_origin_failure", 14, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"enforcing_local_origin_success_rate", 15, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"failure_percentage_threshold", 16, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"enforcing_failure_percentage", 17, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"enforcing_failure_percentage_local_origin", 18, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"failure_percentage_minimum_hosts", 19, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"failure_percentage_request_volume", 20, MESSAGE_UINT, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_outlier_detection = {
    "envoy.api.v2.cluster.OutlierDetection", outlier_detection_fields,
    COUNT_OF(outlier_detection_fields)};

static const struct envoy_field lb_subset_config_lb_subset_selector_fields[] = {
    {"keys", 1, MESSAGE_STRING, MESSAGE_MANY},
    {"fallback_policy", 2, MESSAGE_ENUM, 0, .names = &lb_subset_selector_fallback_policy},
    {"fallback_keys_subset", 3, MESSAGE_STRING, MESSAGE_MANY},
};
static const struct envoy_message envoy_lb_subset_config_lb_subset_selector = {
    "envoy.api.v2.Cluster.LbSubsetConfig.LbSubsetSelector",
    lb_subset_config_lb_subset_selector_fields,
    COUNT_OF(lb_subset_config_lb_subset_selector_fields)};

static const struct envoy_field cluster_lb_subset_config_fields[] = {
    {"fallback_policy", 1, MESSAGE_ENUM, 0, .names = &lb_subset_fallback_policy},
    {"default_subset", 2, MESSAGE_STRUCT},
    {"subset_selectors", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_lb_subset_config_lb_subset_selector},
    {"locality_weight_aware", 4, MESSAGE_BOOL},
    {"scale_locality_weight", 5, MESSAGE_BOOL},
    {"panic_mode_any", 6, MESSAGE_BOOL},
    {"list_as_any", 7, MESSAGE_BOOL},
};
static const struct envoy_message envoy_cluster_lb_subset_config = {
    "envoy.api.v2.Cluster.LbSubsetConfig", cluster_lb_subset_config_fields,
    COUNT_OF(cluster_lb_subset_config_fields)};

static const struct envoy_field cluster_ring_hash_lb_config_fields[] = {
    {"minimum_ring_size", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"hash_function", 3, MESSAGE_ENUM, 0, .names = &hash_function},
    {"maximum_ring_size", 4, MESSAGE_UINT, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_cluster_ring_hash_lb_config = {
    "envoy.api.v2.Cluster.RingHashLbConfig", cluster_ring_hash_lb_config_fields,
    COUNT_OF(cluster_ring_hash_lb_config_fields)};

static const struct envoy_field cluster_original_dst_lb_config_fields[] = {
    {"use_http_header", 1, MESSAGE_BOOL},
};
static const struct envoy_message envoy_cluster_original_dst_lb_config = {
    "envoy.api.v2.Cluster.OriginalDstLbConfig", cluster_original_dst_lb_config_fields,
    COUNT_OF(cluster_original_dst_lb_config_fields)};

static const struct envoy_field cluster_least_request_lb_config_fields[] = {
    {"choice_count", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_cluster_least_request_lb_config = {
    "envoy.api.v2.Cluster.LeastRequestLbConfig", cluster_least_request_lb_config_fields,
    COUNT_OF(cluster_least_request_lb_config_fields)};

static const struct envoy_field common_lb_config_zone_aware_lb_config_fields[] = {
    {"routing_enabled", 1, MESSAGE_OF, 0, &envoy_percent},
    {"min_cluster_size", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"fail_traffic_on_panic", 3, MESSAGE_BOOL},
};
static const struct envoy_message envoy_common_lb_config_zone_aware_lb_config = {
    "envoy.api.v2.Cluster.CommonLbConfig.ZoneAwareLbConfig",
    common_lb_config_zone_aware_lb_config_fields,
    COUNT_OF(common_lb_config_zone_aware_lb_config_fields)};

static const struct envoy_message envoy_common_lb_config_locality_weighted_lb_config = {
    "envoy.api.v2.Cluster.CommonLbConfig.LocalityWeightedLbConfig", NULL, 0};

static const struct envoy_field common_lb_config_consistent_hashing_lb_config_fields[] = {
    {"use_hostname_for_hashing", 1, MESSAGE_BOOL},
};
static const struct envoy_message envoy_common_lb_config_consistent_hashing_lb_config = {
    "envoy.api.v2.Cluster.CommonLbConfig.ConsistentHashingLbConfig",
    common_lb_config_consistent_hashing_lb_config_fields,
    COUNT_OF(common_lb_config_consistent_hashing_lb_config_fields)};

static const struct envoy_field cluster_common_lb_config_fields[] = {
    {"healthy_panic_threshold", 1, MESSAGE_OF, 0, &envoy_percent},
    {"zone_aware_lb_config", 2, MESSAGE_OF, 0, &envoy_common_lb_config_zone_aware_lb_config},
    {"locality_weighted_lb_config", 3, MESSAGE_OF, 0,
     &envoy_common_lb_config_locality_weighted_lb_config},
    {"update_merge_window", 4, MESSAGE_DURATION},
    {"ignore_new_hosts_until_first_hc", 5, MESSAGE_BOOL},
    {"close_connections_on_host_set_change", 6, MESSAGE_BOOL},
    {"consistent_hashing_lb_config", 7, MESSAGE_OF, 0,
     &envoy_common_lb_config_consistent_hashing_lb_config},
};
static const struct envoy_message envoy_cluster_common_lb_config = {
    "envoy.api.v2.Cluster.CommonLbConfig", cluster_common_lb_config_fields,
    COUNT_OF(cluster_common_lb_config_fields)};

static const struct envoy_field upstream_connection_options_fields[] = {
    {"tcp_keepalive", 1, MESSAGE_OF, 0, &envoy_tcp_keepalive},
};
static const struct envoy_message envoy_upstream_connection_options = {
    "envoy.api.v2.UpstreamConnectionOptions", upstream_connection_options_fields,
    COUNT_OF(upstream_connection_options_fields)};

static const struct envoy_field cluster_filter_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"typed_config", 2, MESSAGE_ANY},
};
static const struct envoy_message envoy_cluster_filter = {
    "envoy.api.v2.cluster.Filter", cluster_filter_fields, COUNT_OF(cluster_filter_fields)};

static const struct envoy_field load_balancing_policy_policy_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_load_balancing_policy_policy = {
    "envoy.api.v2.LoadBalancingPolicy.Policy", load_balancing_policy_policy_fields,
    COUNT_OF(load_balancing_policy_policy_fields)};

static const struct envoy_field load_balancing_policy_fields[] = {
    {"policies", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_load_balancing_policy_policy},
};
static const struct envoy_message envoy_load_balancing_policy = {
    "envoy.api.v2.LoadBalancingPolicy", load_balancing_policy_fields,
    COUNT_OF(load_balancing_policy_fields)};

static const struct envoy_field cluster_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"type", 2, MESSAGE_ENUM, MESSAGE_ONE_OF, .names = &discovery_type},
    {"eds_cluster_config", 3, MESSAGE_OF, 0, &envoy_cluster_eds_cluster_config},
    {"connect_timeout", 4, MESSAGE_DURATION},
    {"per_connection_buffer_limit_bytes", 5, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"lb_policy", 6, MESSAGE_ENUM, 0, .names = &lb_policy},
    {"hosts", 7, MESSAGE_OF, MESSAGE_MANY, &envoy_address},
    {"health_checks", 8, MESSAGE_OF, MESSAGE_MANY, &envoy_health_check},
    {"max_requests_per_connection", 9, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"circuit_breakers", 10, MESSAGE_OF, 0, &envoy_circuit_breakers},
    {"tls_context", 11, MESSAGE_OF, 0, &envoy_upstream_tls_context},
    {"http_protocol_options", 13, MESSAGE_OF, 0, &envoy_http1_protocol_options},
    {"http2_protocol_options", 14, MESSAGE_OF, 0, &envoy_http2_protocol_options},
    {"dns_refresh_rate", 16, MESSAGE_DURATION},
    {"dns_lookup_family", 17, MESSAGE_ENUM, 0, .names = &dns_lookup_family},
    {"dns_resolvers", 18, MESSAGE_OF, MESSAGE_MANY, &envoy_address},
    {"outlier_detection", 19, MESSAGE_OF, 0, &envoy_outlier_detection},
    {"cleanup_interval", 20, MESSAGE_DURATION},
    {"upstream_bind_config", 21, MESSAGE_OF, 0, &envoy_bind_config},
    {"lb_subset_config", 22, MESSAGE_OF, 0, &envoy_cluster_lb_subset_config},
    {"ring_hash_lb_config", 23, MESSAGE_OF, 0, &envoy_cluster_ring_hash_lb_config},
    {"transport_socket", 24, MESSAGE_OF, 0, &envoy_transport_socket},
    {"metadata", 25, MESSAGE_OF, 0, &envoy_metadata},
    {"protocol_selection", 26, MESSAGE_ENUM, 0, .names = &cluster_protocol_selection},
    {"common_lb_config", 27, MESSAGE_OF, 0, &envoy_cluster_common_lb_config},
    {"alt_stat_name", 28, MESSAGE_STRING},
    {"common_http_protocol_options", 29, MESSAGE_OF, 0, &envoy_http_protocol_options},
    {"upstream_connection_options", 30, MESSAGE_OF, 0, &envoy_upstream_connection_options},
    {"close_connections_on_host_health_failure", 31, MESSAGE_BOOL},
    {"drain_connections_on_host_removal", 32, MESSAGE_BOOL},
    {"load_assignment", 33, MESSAGE_OF, 0, &envoy_cluster_load_assignment},
    {"original_dst_lb_config", 34, MESSAGE_OF, 0, &envoy_cluster_original_dst_lb_config},
    {"extension_protocol_options", 35, MESSAGE_STRUCT, MESSAGE_MAP},
    {"typed_extension_protocol_options", 36, MESSAGE_ANY, MESSAGE_MAP},
    {"least_request_lb_config", 37, MESSAGE_OF, 0, &envoy_cluster_least_request_lb_config},
    {"cluster_type", 38, MESSAGE_OF, 0, &envoy_cluster_custom_cluster_type},
    {"respect_dns_ttl", 39, MESSAGE_BOOL},
    {"filters", 40, MESSAGE_OF, MESSAGE_MANY, &envoy_cluster_filter},
    {"load_balancing_policy", 41, MESSAGE_OF, 0, &envoy_load_balancing_policy},
    {"lrs_server", 42, MESSAGE_OF, 0, &envoy_config_source},
    {"transport_socket_matches", 43, MESSAGE_OF, MESSAGE_MANY,
     &envoy_cluster_transport_socket_match},
    {"dns_failure_refresh_rate", 44, MESSAGE_OF, 0, &envoy_cluster_refresh_rate},
    {"use_tcp_for_dns_lookups", 45, MESSAGE_BOOL},
    {"upstream_http_protocol_options", 46, MESSAGE_OF, 0, &envoy_upstream_http_protocol_options},
    {"track_timeout_budgets", 47, MESSAGE_BOOL},
};
const struct envoy_message envoy_cluster = {"envoy.api.v2.Cluster", cluster_fields,
                                            COUNT_OF(cluster_fields)};
