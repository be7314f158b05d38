/* Envoy's messages: routes (envoy.api.v2.route). The names and numbers
 * of the published API, version 2; see message.h. One line a field, by number.
 */
#include "xds/envoy.h"

#include "base/mem.h"

static const struct envoy_enum_value cluster_not_found_response_code_values[] = {
    {"SERVICE_UNAVAILABLE", 0},
    {"NOT_FOUND", 1},
    {NULL, 0},
};
static const struct envoy_enum cluster_not_found_response_code = {
    "envoy.api.v2.route.RouteAction_ClusterNotFoundResponseCode",
    cluster_not_found_response_code_values};
static const struct envoy_enum_value routing_priority_values[] = {
    {"DEFAULT", 0},
    {"HIGH", 1},
    {NULL, 0},
};
static const struct envoy_enum routing_priority = {"envoy.api.v2.core.RoutingPriority",
                                                   routing_priority_values};
static const struct envoy_enum_value internal_redirect_action_values[] = {
    {"PASS_THROUGH_INTERNAL_REDIRECT", 0},
    {"HANDLE_INTERNAL_REDIRECT", 1},
    {NULL, 0},
};
static const struct envoy_enum internal_redirect_action = {
    "envoy.api.v2.route.RouteAction_InternalRedirectAction", internal_redirect_action_values};
static const struct envoy_enum_value redirect_response_code_values[] = {
    {"MOVED_PERMANENTLY", 0},  {"FOUND", 1}, {"SEE_OTHER", 2}, {"TEMPORARY_REDIRECT", 3},
    {"PERMANENT_REDIRECT", 4}, {NULL, 0},
};
static const struct envoy_enum redirect_response_code = {
    "envoy.api.v2.route.RedirectAction_RedirectResponseCode", redirect_response_code_values};
static const struct envoy_enum_value request_method_values[] = {
    {"METHOD_UNSPECIFIED", 0},
    {"GET", 1},
    {"HEAD", 2},
    {"POST", 3},
    {"PUT", 4},
    {"DELETE", 5},
    {"CONNECT", 6},
    {"OPTIONS", 7},
    {"TRACE", 8},
    {"PATCH", 9},
    {NULL, 0},
};
static const struct envoy_enum request_method = {"envoy.api.v2.core.RequestMethod",
                                                 request_method_values};
static const struct envoy_enum_value tls_requirement_type_values[] = {
    {"NONE", 0},
    {"EXTERNAL_ONLY", 1},
    {"ALL", 2},
    {NULL, 0},
};
static const struct envoy_enum tls_requirement_type = {
    "envoy.api.v2.route.VirtualHost_TlsRequirementType", tls_requirement_type_values};
static const struct envoy_field header_matcher_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"exact_match", 4, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"regex_match", 5, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"range_match", 6, MESSAGE_OF, 0, &envoy_int64_range},
    {"present_match", 7, MESSAGE_BOOL, MESSAGE_ONE_OF},
    {"invert_match", 8, MESSAGE_BOOL},
    {"prefix_match", 9, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"suffix_match", 10, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"safe_regex_match", 11, MESSAGE_OF, 0, &envoy_regex_matcher},
};
const struct envoy_message envoy_header_matcher = {
    "envoy.api.v2.route.HeaderMatcher", header_matcher_fields, COUNT_OF(header_matcher_fields)};

static const struct envoy_field query_parameter_matcher_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"value", 3, MESSAGE_STRING},
    {"regex", 4, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"string_match", 5, MESSAGE_OF, 0, &envoy_string_matcher},
    {"present_match", 6, MESSAGE_BOOL, MESSAGE_ONE_OF},
};
static const struct envoy_message envoy_query_parameter_matcher = {
    "envoy.api.v2.route.QueryParameterMatcher", query_parameter_matcher_fields,
    COUNT_OF(query_parameter_matcher_fields)};

static const struct envoy_message envoy_route_match_grpc_route_match_options = {
    "envoy.api.v2.route.RouteMatch.GrpcRouteMatchOptions", NULL, 0};

static const struct envoy_field route_match_tls_context_match_options_fields[] = {
    {"presented", 1, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"validated", 2, MESSAGE_BOOL, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_route_match_tls_context_match_options = {
    "envoy.api.v2.route.RouteMatch.TlsContextMatchOptions",
    route_match_tls_context_match_options_fields,
    COUNT_OF(route_match_tls_context_match_options_fields)};

static const struct envoy_field route_match_fields[] = {
    {"prefix", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"path", 2, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"regex", 3, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"case_sensitive", 4, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"headers", 6, MESSAGE_OF, MESSAGE_MANY, &envoy_header_matcher},
    {"query_parameters", 7, MESSAGE_OF, MESSAGE_MANY, &envoy_query_parameter_matcher},
    {"grpc", 8, MESSAGE_OF, 0, &envoy_route_match_grpc_route_match_options},
    {"runtime_fraction", 9, MESSAGE_OF, 0, &envoy_runtime_fractional_percent},
    {"safe_regex", 10, MESSAGE_OF, 0, &envoy_regex_matcher},
    {"tls_context", 11, MESSAGE_OF, 0, &envoy_route_match_tls_context_match_options},
};
static const struct envoy_message envoy_route_match = {
    "envoy.api.v2.route.RouteMatch", route_match_fields, COUNT_OF(route_match_fields)};

static const struct envoy_field route_weighted_cluster_cluster_weight_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"weight", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"metadata_match", 3, MESSAGE_OF, 0, &envoy_metadata},
    {"request_headers_to_add", 4, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"response_headers_to_add", 5, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"response_headers_to_remove", 6, MESSAGE_STRING, MESSAGE_MANY},
    {"per_filter_config", 8, MESSAGE_STRUCT, MESSAGE_MAP},
    {"request_headers_to_remove", 9, MESSAGE_STRING, MESSAGE_MANY},
    {"typed_per_filter_config", 10, MESSAGE_ANY, MESSAGE_MAP},
};
static const struct envoy_message envoy_route_weighted_cluster_cluster_weight = {
    "envoy.api.v2.route.WeightedCluster.ClusterWeight",
    route_weighted_cluster_cluster_weight_fields,
    COUNT_OF(route_weighted_cluster_cluster_weight_fields)};

static const struct envoy_field weighted_cluster_fields[] = {
    {"clusters", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_route_weighted_cluster_cluster_weight},
    {"runtime_key_prefix", 2, MESSAGE_STRING},
    {"total_weight", 3, MESSAGE_UINT, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_weighted_cluster = {"envoy.api.v2.route.WeightedCluster",
                                                            weighted_cluster_fields,
                                                            COUNT_OF(weighted_cluster_fields)};

static const struct envoy_field retry_policy_retry_priority_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_retry_policy_retry_priority = {
    "envoy.api.v2.route.RetryPolicy.RetryPriority", retry_policy_retry_priority_fields,
    COUNT_OF(retry_policy_retry_priority_fields)};

static const struct envoy_field retry_policy_retry_host_predicate_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_retry_policy_retry_host_predicate = {
    "envoy.api.v2.route.RetryPolicy.RetryHostPredicate", retry_policy_retry_host_predicate_fields,
    COUNT_OF(retry_policy_retry_host_predicate_fields)};

static const struct envoy_field retry_policy_retry_back_off_fields[] = {
    {"base_interval", 1, MESSAGE_DURATION},
    {"max_interval", 2, MESSAGE_DURATION},
};
static const struct envoy_message envoy_retry_policy_retry_back_off = {
    "envoy.api.v2.route.RetryPolicy.RetryBackOff", retry_policy_retry_back_off_fields,
    COUNT_OF(retry_policy_retry_back_off_fields)};

static const struct envoy_field retry_policy_fields[] = {
    {"retry_on", 1, MESSAGE_STRING},
    {"num_retries", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"per_try_timeout", 3, MESSAGE_DURATION},
    {"retry_priority", 4, MESSAGE_OF, 0, &envoy_retry_policy_retry_priority},
    {"retry_host_predicate", 5, MESSAGE_OF, MESSAGE_MANY, &envoy_retry_policy_retry_host_predicate},
    {"host_selection_retry_max_attempts", 6, MESSAGE_INT},
    {"retriable_status_codes", 7, MESSAGE_UINT, MESSAGE_MANY},
    {"retry_back_off", 8, MESSAGE_OF, 0, &envoy_retry_policy_retry_back_off},
    {"retriable_headers", 9, MESSAGE_OF, MESSAGE_MANY, &envoy_header_matcher},
    {"retriable_request_headers", 10, MESSAGE_OF, MESSAGE_MANY, &envoy_header_matcher},
};
static const struct envoy_message envoy_retry_policy = {
    "envoy.api.v2.route.RetryPolicy", retry_policy_fields, COUNT_OF(retry_policy_fields)};

static const struct envoy_field route_action_request_mirror_policy_fields[] = {
    {"cluster", 1, MESSAGE_STRING},
    {"runtime_key", 2, MESSAGE_STRING},
    {"runtime_fraction", 3, MESSAGE_OF, 0, &envoy_runtime_fractional_percent},
    {"trace_sampled", 4, MESSAGE_BOOL, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_route_action_request_mirror_policy = {
    "envoy.api.v2.route.RouteAction.RequestMirrorPolicy", route_action_request_mirror_policy_fields,
    COUNT_OF(route_action_request_mirror_policy_fields)};

static const struct envoy_message envoy_action_source_cluster = {
    "envoy.api.v2.route.RateLimit.Action.SourceCluster", NULL, 0};

static const struct envoy_message envoy_action_destination_cluster = {
    "envoy.api.v2.route.RateLimit.Action.DestinationCluster", NULL, 0};

static const struct envoy_field action_request_headers_fields[] = {
    {"header_name", 1, MESSAGE_STRING},
    {"descriptor_key", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_action_request_headers = {
    "envoy.api.v2.route.RateLimit.Action.RequestHeaders", action_request_headers_fields,
    COUNT_OF(action_request_headers_fields)};

static const struct envoy_message envoy_action_remote_address = {
    "envoy.api.v2.route.RateLimit.Action.RemoteAddress", NULL, 0};

static const struct envoy_field action_generic_key_fields[] = {
    {"descriptor_value", 1, MESSAGE_STRING},
};
static const struct envoy_message envoy_action_generic_key = {
    "envoy.api.v2.route.RateLimit.Action.GenericKey", action_generic_key_fields,
    COUNT_OF(action_generic_key_fields)};

static const struct envoy_field action_header_value_match_fields[] = {
    {"descriptor_value", 1, MESSAGE_STRING},
    {"expect_match", 2, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"headers", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_header_matcher},
};
static const struct envoy_message envoy_action_header_value_match = {
    "envoy.api.v2.route.RateLimit.Action.HeaderValueMatch", action_header_value_match_fields,
    COUNT_OF(action_header_value_match_fields)};

static const struct envoy_field rate_limit_action_fields[] = {
    {"source_cluster", 1, MESSAGE_OF, 0, &envoy_action_source_cluster},
    {"destination_cluster", 2, MESSAGE_OF, 0, &envoy_action_destination_cluster},
    {"request_headers", 3, MESSAGE_OF, 0, &envoy_action_request_headers},
    {"remote_address", 4, MESSAGE_OF, 0, &envoy_action_remote_address},
    {"generic_key", 5, MESSAGE_OF, 0, &envoy_action_generic_key},
    {"header_value_match", 6, MESSAGE_OF, 0, &envoy_action_header_value_match},
};
static const struct envoy_message envoy_rate_limit_action = {"envoy.api.v2.route.RateLimit.Action",
                                                             rate_limit_action_fields,
                                                             COUNT_OF(rate_limit_action_fields)};

static const struct envoy_field rate_limit_fields[] = {
    {"stage", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"disable_key", 2, MESSAGE_STRING},
    {"actions", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_rate_limit_action},
};
static const struct envoy_message envoy_rate_limit = {
    "envoy.api.v2.route.RateLimit", rate_limit_fields, COUNT_OF(rate_limit_fields)};

static const struct envoy_field hash_policy_header_fields[] = {
    {"header_name", 1, MESSAGE_STRING},
};
static const struct envoy_message envoy_hash_policy_header = {
    "envoy.api.v2.route.RouteAction.HashPolicy.Header", hash_policy_header_fields,
    COUNT_OF(hash_policy_header_fields)};

static const struct envoy_field hash_policy_cookie_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"ttl", 2, MESSAGE_DURATION},
    {"path", 3, MESSAGE_STRING},
};
static const struct envoy_message envoy_hash_policy_cookie = {
    "envoy.api.v2.route.RouteAction.HashPolicy.Cookie", hash_policy_cookie_fields,
    COUNT_OF(hash_policy_cookie_fields)};

static const struct envoy_field hash_policy_connection_properties_fields[] = {
    {"source_ip", 1, MESSAGE_BOOL},
};
static const struct envoy_message envoy_hash_policy_connection_properties = {
    "envoy.api.v2.route.RouteAction.HashPolicy.ConnectionProperties",
    hash_policy_connection_properties_fields, COUNT_OF(hash_policy_connection_properties_fields)};

static const struct envoy_field hash_policy_query_parameter_fields[] = {
    {"name", 1, MESSAGE_STRING},
};
static const struct envoy_message envoy_hash_policy_query_parameter = {
    "envoy.api.v2.route.RouteAction.HashPolicy.QueryParameter", hash_policy_query_parameter_fields,
    COUNT_OF(hash_policy_query_parameter_fields)};

static const struct envoy_field hash_policy_filter_state_fields[] = {
    {"key", 1, MESSAGE_STRING},
};
static const struct envoy_message envoy_hash_policy_filter_state = {
    "envoy.api.v2.route.RouteAction.HashPolicy.FilterState", hash_policy_filter_state_fields,
    COUNT_OF(hash_policy_filter_state_fields)};

static const struct envoy_field route_action_hash_policy_fields[] = {
    {"header", 1, MESSAGE_OF, 0, &envoy_hash_policy_header},
    {"cookie", 2, MESSAGE_OF, 0, &envoy_hash_policy_cookie},
    {"connection_properties", 3, MESSAGE_OF, 0, &envoy_hash_policy_connection_properties},
    {"terminal", 4, MESSAGE_BOOL},
    {"query_parameter", 5, MESSAGE_OF, 0, &envoy_hash_policy_query_parameter},
    {"filter_state", 6, MESSAGE_OF, 0, &envoy_hash_policy_filter_state},
};
static const struct envoy_message envoy_route_action_hash_policy = {
    "envoy.api.v2.route.RouteAction.HashPolicy", route_action_hash_policy_fields,
    COUNT_OF(route_action_hash_policy_fields)};

static const struct envoy_field cors_policy_fields[] = {
    {"allow_origin", 1, MESSAGE_STRING, MESSAGE_MANY},
    {"allow_methods", 2, MESSAGE_STRING},
    {"allow_headers", 3, MESSAGE_STRING},
    {"expose_headers", 4, MESSAGE_STRING},
    {"max_age", 5, MESSAGE_STRING},
    {"allow_credentials", 6, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"enabled", 7, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"allow_origin_regex", 8, MESSAGE_STRING, MESSAGE_MANY},
    {"filter_enabled", 9, MESSAGE_OF, 0, &envoy_runtime_fractional_percent},
    {"shadow_enabled", 10, MESSAGE_OF, 0, &envoy_runtime_fractional_percent},
    {"allow_origin_string_match", 11, MESSAGE_OF, MESSAGE_MANY, &envoy_string_matcher},
};
static const struct envoy_message envoy_cors_policy = {
    "envoy.api.v2.route.CorsPolicy", cors_policy_fields, COUNT_OF(cors_policy_fields)};

static const struct envoy_field route_action_upgrade_config_fields[] = {
    {"upgrade_type", 1, MESSAGE_STRING},
    {"enabled", 2, MESSAGE_BOOL, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_route_action_upgrade_config = {
    "envoy.api.v2.route.RouteAction.UpgradeConfig", route_action_upgrade_config_fields,
    COUNT_OF(route_action_upgrade_config_fields)};

static const struct envoy_field hedge_policy_fields[] = {
    {"initial_requests", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"additional_request_chance", 2, MESSAGE_OF, 0, &envoy_fractional_percent},
    {"hedge_on_per_try_timeout", 3, MESSAGE_BOOL},
};
static const struct envoy_message envoy_hedge_policy = {
    "envoy.api.v2.route.HedgePolicy", hedge_policy_fields, COUNT_OF(hedge_policy_fields)};

static const struct envoy_field route_action_fields[] = {
    {"cluster", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"cluster_header", 2, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"weighted_clusters", 3, MESSAGE_OF, 0, &envoy_weighted_cluster},
    {"metadata_match", 4, MESSAGE_OF, 0, &envoy_metadata},
    {"prefix_rewrite", 5, MESSAGE_STRING},
    {"host_rewrite", 6, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"auto_host_rewrite", 7, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"timeout", 8, MESSAGE_DURATION},
    {"retry_policy", 9, MESSAGE_OF, 0, &envoy_retry_policy},
    {"request_mirror_policy", 10, MESSAGE_OF, 0, &envoy_route_action_request_mirror_policy},
    {"priority", 11, MESSAGE_ENUM, 0, .names = &routing_priority},
    {"rate_limits", 13, MESSAGE_OF, MESSAGE_MANY, &envoy_rate_limit},
    {"include_vh_rate_limits", 14, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"hash_policy", 15, MESSAGE_OF, MESSAGE_MANY, &envoy_route_action_hash_policy},
    {"cors", 17, MESSAGE_OF, 0, &envoy_cors_policy},
    {"cluster_not_found_response_code", 20, MESSAGE_ENUM, 0,
     .names = &cluster_not_found_response_code},
    {"max_grpc_timeout", 23, MESSAGE_DURATION},
    {"idle_timeout", 24, MESSAGE_DURATION},
    {"upgrade_configs", 25, MESSAGE_OF, MESSAGE_MANY, &envoy_route_action_upgrade_config},
    {"internal_redirect_action", 26, MESSAGE_ENUM, 0, .names = &internal_redirect_action},
    {"hedge_policy", 27, MESSAGE_OF, 0, &envoy_hedge_policy},
    {"grpc_timeout_offset", 28, MESSAGE_DURATION},
    {"auto_host_rewrite_header", 29, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"request_mirror_policies", 30, MESSAGE_OF, MESSAGE_MANY,
     &envoy_route_action_request_mirror_policy},
    {"max_internal_redirects", 31, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"regex_rewrite", 32, MESSAGE_OF, 0, &envoy_regex_match_and_substitute},
    {"retry_policy_typed_config", 33, MESSAGE_ANY},
};
static const struct envoy_message envoy_route_action = {
    "envoy.api.v2.route.RouteAction", route_action_fields, COUNT_OF(route_action_fields)};

static const struct envoy_field redirect_action_fields[] = {
    {"host_redirect", 1, MESSAGE_STRING},
    {"path_redirect", 2, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"response_code", 3, MESSAGE_ENUM, 0, .names = &redirect_response_code},
    {"https_redirect", 4, MESSAGE_BOOL, MESSAGE_ONE_OF},
    {"prefix_rewrite", 5, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"strip_query", 6, MESSAGE_BOOL},
    {"scheme_redirect", 7, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"port_redirect", 8, MESSAGE_UINT},
};
static const struct envoy_message envoy_redirect_action = {
    "envoy.api.v2.route.RedirectAction", redirect_action_fields, COUNT_OF(redirect_action_fields)};

static const struct envoy_field direct_response_action_fields[] = {
    {"status", 1, MESSAGE_UINT},
    {"body", 2, MESSAGE_OF, 0, &envoy_data_source},
};
static const struct envoy_message envoy_direct_response_action = {
    "envoy.api.v2.route.DirectResponseAction", direct_response_action_fields,
    COUNT_OF(direct_response_action_fields)};

static const struct envoy_field filter_action_fields[] = {
    {"action", 1, MESSAGE_ANY},
};
static const struct envoy_message envoy_filter_action = {
    "envoy.api.v2.route.FilterAction", filter_action_fields, COUNT_OF(filter_action_fields)};

static const struct envoy_field decorator_fields[] = {
    {"operation", 1, MESSAGE_STRING},
    {"propagate", 2, MESSAGE_BOOL, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_decorator = {"envoy.api.v2.route.Decorator",
                                                     decorator_fields, COUNT_OF(decorator_fields)};

static const struct envoy_field tracing_fields[] = {
    {"client_sampling", 1, MESSAGE_OF, 0, &envoy_fractional_percent},
    {"random_sampling", 2, MESSAGE_OF, 0, &envoy_fractional_percent},
    {"overall_sampling", 3, MESSAGE_OF, 0, &envoy_fractional_percent},
    {"custom_tags", 4, MESSAGE_OF, MESSAGE_MANY, &envoy_custom_tag},
};
static const struct envoy_message envoy_tracing = {"envoy.api.v2.route.Tracing", tracing_fields,
                                                   COUNT_OF(tracing_fields)};

static const struct envoy_field route_fields[] = {
    {"match", 1, MESSAGE_OF, 0, &envoy_route_match},
    {"route", 2, MESSAGE_OF, 0, &envoy_route_action},
    {"redirect", 3, MESSAGE_OF, 0, &envoy_redirect_action},
    {"metadata", 4, MESSAGE_OF, 0, &envoy_metadata},
    {"decorator", 5, MESSAGE_OF, 0, &envoy_decorator},
    {"direct_response", 7, MESSAGE_OF, 0, &envoy_direct_response_action},
    {"per_filter_config", 8, MESSAGE_STRUCT, MESSAGE_MAP},
    {"request_headers_to_add", 9, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"response_headers_to_add", 10, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"response_headers_to_remove", 11, MESSAGE_STRING, MESSAGE_MANY},
    {"request_headers_to_remove", 12, MESSAGE_STRING, MESSAGE_MANY},
    {"typed_per_filter_config", 13, MESSAGE_ANY, MESSAGE_MAP},
    {"name", 14, MESSAGE_STRING},
    {"tracing", 15, MESSAGE_OF, 0, &envoy_tracing},
    {"per_request_buffer_limit_bytes", 16, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"filter_action", 17, MESSAGE_OF, 0, &envoy_filter_action},
};
static const struct envoy_message envoy_route = {"envoy.api.v2.route.Route", route_fields,
                                                 COUNT_OF(route_fields)};

static const struct envoy_field virtual_cluster_fields[] = {
    {"pattern", 1, MESSAGE_STRING},
    {"name", 2, MESSAGE_STRING},
    {"method", 3, MESSAGE_ENUM, 0, .names = &request_method},
    {"headers", 4, MESSAGE_OF, MESSAGE_MANY, &envoy_header_matcher},
};
static const struct envoy_message envoy_virtual_cluster = {
    "envoy.api.v2.route.VirtualCluster", virtual_cluster_fields, COUNT_OF(virtual_cluster_fields)};

static const struct envoy_field virtual_host_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"domains", 2, MESSAGE_STRING, MESSAGE_MANY},
    {"routes", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_route},
    {"require_tls", 4, MESSAGE_ENUM, 0, .names = &tls_requirement_type},
    {"virtual_clusters", 5, MESSAGE_OF, MESSAGE_MANY, &envoy_virtual_cluster},
    {"rate_limits", 6, MESSAGE_OF, MESSAGE_MANY, &envoy_rate_limit},
    {"request_headers_to_add", 7, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"cors", 8, MESSAGE_OF, 0, &envoy_cors_policy},
    {"response_headers_to_add", 10, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"response_headers_to_remove", 11, MESSAGE_STRING, MESSAGE_MANY},
    {"per_filter_config", 12, MESSAGE_STRUCT, MESSAGE_MAP},
    {"request_headers_to_remove", 13, MESSAGE_STRING, MESSAGE_MANY},
    {"include_request_attempt_count", 14, MESSAGE_BOOL},
    {"typed_per_filter_config", 15, MESSAGE_ANY, MESSAGE_MAP},
    {"retry_policy", 16, MESSAGE_OF, 0, &envoy_retry_policy},
    {"hedge_policy", 17, MESSAGE_OF, 0, &envoy_hedge_policy},
    {"per_request_buffer_limit_bytes", 18, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"include_attempt_count_in_response", 19, MESSAGE_BOOL},
    {"retry_policy_typed_config", 20, MESSAGE_ANY},
};
static const struct envoy_message envoy_virtual_host = {
    "envoy.api.v2.route.VirtualHost", virtual_host_fields, COUNT_OF(virtual_host_fields)};

static const struct envoy_field vhds_fields[] = {
    {"config_source", 1, MESSAGE_OF, 0, &envoy_config_source},
};
static const struct envoy_message envoy_vhds = {"envoy.api.v2.Vhds", vhds_fields,
                                                COUNT_OF(vhds_fields)};

static const struct envoy_field route_configuration_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"virtual_hosts", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_virtual_host},
    {"internal_only_headers", 3, MESSAGE_STRING, MESSAGE_MANY},
    {"response_headers_to_add", 4, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"response_headers_to_remove", 5, MESSAGE_STRING, MESSAGE_MANY},
    {"request_headers_to_add", 6, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"validate_clusters", 7, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"request_headers_to_remove", 8, MESSAGE_STRING, MESSAGE_MANY},
    {"vhds", 9, MESSAGE_OF, 0, &envoy_vhds},
    {"most_specific_header_mutations_wins", 10, MESSAGE_BOOL},
};
const struct envoy_message envoy_route_configuration = {"envoy.api.v2.RouteConfiguration",
                                                        route_configuration_fields,
                                                        COUNT_OF(route_configuration_fields)};

static const struct envoy_field key_fragment_fields[] = {
    {"string_key", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
};
static const struct envoy_message envoy_key_fragment = {
    "envoy.api.v2.ScopedRouteConfiguration.Key.Fragment", key_fragment_fields,
    COUNT_OF(key_fragment_fields)};

static const struct envoy_field scoped_route_configuration_key_fields[] = {
    {"fragments", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_key_fragment},
};
static const struct envoy_message envoy_scoped_route_configuration_key = {
    "envoy.api.v2.ScopedRouteConfiguration.Key", scoped_route_configuration_key_fields,
    COUNT_OF(scoped_route_configuration_key_fields)};

static const struct envoy_field scoped_route_configuration_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"route_configuration_name", 2, MESSAGE_STRING},
    {"key", 3, MESSAGE_OF, 0, &envoy_scoped_route_configuration_key},
};
const struct envoy_message envoy_scoped_route_configuration = {
    "envoy.api.v2.ScopedRouteConfiguration", scoped_route_configuration_fields,
    COUNT_OF(scoped_route_configuration_fields)};
