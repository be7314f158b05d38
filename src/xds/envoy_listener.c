/* Envoy's messages: listeners (envoy.api.v2.listener). The names and numbers
 * of the published API, version 2; see message.h. One line a field, by number.
 */
#include "xds/envoy.h"

#include "base/mem.h"

static const struct envoy_enum_value connection_source_type_values[] = {
    {"ANY", 0},
    {"LOCAL", 1},
    {"EXTERNAL", 2},
    {NULL, 0},
};
static const struct envoy_enum connection_source_type = {
    "envoy.api.v2.listener.FilterChainMatch_ConnectionSourceType", connection_source_type_values};
static const struct envoy_enum_value drain_type_values[] = {
    {"DEFAULT", 0},
    {"MODIFY_ONLY", 1},
    {NULL, 0},
};
static const struct envoy_enum drain_type = {"envoy.api.v2.Listener_DrainType", drain_type_values};
static const struct envoy_enum_value traffic_direction_values[] = {
    {"UNSPECIFIED", 0},
    {"INBOUND", 1},
    {"OUTBOUND", 2},
    {NULL, 0},
};
static const struct envoy_enum traffic_direction = {"envoy.api.v2.core.TrafficDirection",
                                                    traffic_direction_values};
static const struct envoy_message envoy_listener_filter_chain_match_predicate; /* of itself */
static const struct envoy_field filter_chain_match_fields[] = {
    {"prefix_ranges", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_cidr_range},
    {"address_suffix", 4, MESSAGE_STRING},
    {"suffix_len", 5, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"source_prefix_ranges", 6, MESSAGE_OF, MESSAGE_MANY, &envoy_cidr_range},
    {"source_ports", 7, MESSAGE_UINT, MESSAGE_MANY},
    {"destination_port", 8, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"transport_protocol", 9, MESSAGE_STRING},
    {"application_protocols", 10, MESSAGE_STRING, MESSAGE_MANY},
    {"server_names", 11, MESSAGE_STRING, MESSAGE_MANY},
    {"source_type", 12, MESSAGE_ENUM, 0, .names = &connection_source_type},
};
static const struct envoy_message envoy_filter_chain_match = {
    "envoy.api.v2.listener.FilterChainMatch", filter_chain_match_fields,
    COUNT_OF(filter_chain_match_fields)};

static const struct envoy_field listener_filter_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 4, MESSAGE_ANY},
};
static const struct envoy_message envoy_listener_filter = {
    "envoy.api.v2.listener.Filter", listener_filter_fields, COUNT_OF(listener_filter_fields)};

static const struct envoy_field filter_chain_fields[] = {
    {"filter_chain_match", 1, MESSAGE_OF, 0, &envoy_filter_chain_match},
    {"tls_context", 2, MESSAGE_OF, 0, &envoy_downstream_tls_context},
    {"filters", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_listener_filter},
    {"use_proxy_proto", 4, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"metadata", 5, MESSAGE_OF, 0, &envoy_metadata},
    {"transport_socket", 6, MESSAGE_OF, 0, &envoy_transport_socket},
    {"name", 7, MESSAGE_STRING},
};
static const struct envoy_message envoy_filter_chain = {
    "envoy.api.v2.listener.FilterChain", filter_chain_fields, COUNT_OF(filter_chain_fields)};

static const struct envoy_field listener_deprecated_v1_fields[] = {
    {"bind_to_port", 1, MESSAGE_BOOL, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_listener_deprecated_v1 = {
    "envoy.api.v2.Listener.DeprecatedV1", listener_deprecated_v1_fields,
    COUNT_OF(listener_deprecated_v1_fields)};

static const struct envoy_field listener_filter_chain_match_predicate_match_set_fields[] = {
    {"rules", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_listener_filter_chain_match_predicate},
};
static const struct envoy_message envoy_listener_filter_chain_match_predicate_match_set = {
    "envoy.api.v2.listener.ListenerFilterChainMatchPredicate.MatchSet",
    listener_filter_chain_match_predicate_match_set_fields,
    COUNT_OF(listener_filter_chain_match_predicate_match_set_fields)};

static const struct envoy_field listener_filter_chain_match_predicate_fields[] = {
    {"or_match", 1, MESSAGE_OF, 0, &envoy_listener_filter_chain_match_predicate_match_set},
    {"and_match", 2, MESSAGE_OF, 0, &envoy_listener_filter_chain_match_predicate_match_set},
    {"not_match", 3, MESSAGE_OF, 0, &envoy_listener_filter_chain_match_predicate},
    {"any_match", 4, MESSAGE_BOOL, MESSAGE_ONE_OF},
    {"destination_port_range", 5, MESSAGE_OF, 0, &envoy_int32_range},
};
static const struct envoy_message envoy_listener_filter_chain_match_predicate = {
    "envoy.api.v2.listener.ListenerFilterChainMatchPredicate",
    listener_filter_chain_match_predicate_fields,
    COUNT_OF(listener_filter_chain_match_predicate_fields)};

static const struct envoy_field listener_listener_filter_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
    {"filter_disabled", 4, MESSAGE_OF, 0, &envoy_listener_filter_chain_match_predicate},
};
static const struct envoy_message envoy_listener_listener_filter = {
    "envoy.api.v2.listener.ListenerFilter", listener_listener_filter_fields,
    COUNT_OF(listener_listener_filter_fields)};

static const struct envoy_field udp_listener_config_fields[] = {
    {"udp_listener_name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_udp_listener_config = {
    "envoy.api.v2.listener.UdpListenerConfig", udp_listener_config_fields,
    COUNT_OF(udp_listener_config_fields)};

static const struct envoy_field api_listener_fields[] = {
    {"api_listener", 1, MESSAGE_ANY},
};
static const struct envoy_message envoy_api_listener = {
    "envoy.config.listener.v2.ApiListener", api_listener_fields, COUNT_OF(api_listener_fields)};

static const struct envoy_message envoy_connection_balance_config_exact_balance = {
    "envoy.api.v2.Listener.ConnectionBalanceConfig.ExactBalance", NULL, 0};

static const struct envoy_field listener_connection_balance_config_fields[] = {
    {"exact_balance", 1, MESSAGE_OF, 0, &envoy_connection_balance_config_exact_balance},
};
static const struct envoy_message envoy_listener_connection_balance_config = {
    "envoy.api.v2.Listener.ConnectionBalanceConfig", listener_connection_balance_config_fields,
    COUNT_OF(listener_connection_balance_config_fields)};

static const struct envoy_field listener_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"address", 2, MESSAGE_OF, 0, &envoy_address},
    {"filter_chains", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_filter_chain},
    {"use_original_dst", 4, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"per_connection_buffer_limit_bytes", 5, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"metadata", 6, MESSAGE_OF, 0, &envoy_metadata},
    {"deprecated_v1", 7, MESSAGE_OF, 0, &envoy_listener_deprecated_v1},
    {"drain_type", 8, MESSAGE_ENUM, 0, .names = &drain_type},
    {"listener_filters", 9, MESSAGE_OF, MESSAGE_MANY, &envoy_listener_listener_filter},
    {"transparent", 10, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"freebind", 11, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"tcp_fast_open_queue_length", 12, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"socket_options", 13, MESSAGE_OF, MESSAGE_MANY, &envoy_socket_option},
    {"listener_filters_timeout", 15, MESSAGE_DURATION},
    {"traffic_direction", 16, MESSAGE_ENUM, 0, .names = &traffic_direction},
    {"continue_on_listener_filters_timeout", 17, MESSAGE_BOOL},
    {"udp_listener_config", 18, MESSAGE_OF, 0, &envoy_udp_listener_config},
    {"api_listener", 19, MESSAGE_OF, 0, &envoy_api_listener},
    {"connection_balance_config", 20, MESSAGE_OF, 0, &envoy_listener_connection_balance_config},
    {"reuse_port", 21, MESSAGE_BOOL},
    {"access_log", 22, MESSAGE_OF, MESSAGE_MANY, &envoy_access_log},
};
const struct envoy_message envoy_listener = {"envoy.api.v2.Listener", listener_fields,
                                             COUNT_OF(listener_fields)};
