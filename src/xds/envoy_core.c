/* Envoy's messages: what is used everywhere (envoy.api.v2.core). The names and numbers
 * of the published API, version 2; see message.h. One line a field, by number.
 */
#include "xds/envoy.h"

#include "base/mem.h"

static const struct envoy_enum_value protocol_values[] = {
    {"TCP", 0},
    {"UDP", 1},
    {NULL, 0},
};
static const struct envoy_enum protocol = {"envoy.api.v2.core.SocketAddress_Protocol",
                                           protocol_values};
static const struct envoy_enum_value api_type_values[] = {
    {"UNSUPPORTED_REST_LEGACY", 0}, {"REST", 1}, {"GRPC", 2}, {"DELTA_GRPC", 3}, {NULL, 0},
};
static const struct envoy_enum api_type = {"envoy.api.v2.core.ApiConfigSource_ApiType",
                                           api_type_values};
static const struct envoy_enum_value api_version_values[] = {
    {"AUTO", 0},
    {"V2", 1},
    {"V3", 2},
    {NULL, 0},
};
static const struct envoy_enum api_version = {"envoy.api.v2.core.ApiVersion", api_version_values};
static const struct envoy_enum_value socket_state_values[] = {
    {"STATE_PREBIND", 0},
    {"STATE_BOUND", 1},
    {"STATE_LISTENING", 2},
    {NULL, 0},
};
static const struct envoy_enum socket_state = {"envoy.api.v2.core.SocketOption_SocketState",
                                               socket_state_values};
static const struct envoy_enum_value codec_client_type_values[] = {
    {"HTTP1", 0},
    {"HTTP2", 1},
    {"HTTP3", 2},
    {NULL, 0},
};
static const struct envoy_enum codec_client_type = {"envoy.type.CodecClientType",
                                                    codec_client_type_values};
static const struct envoy_enum_value headers_with_underscores_action_values[] = {
    {"ALLOW", 0},
    {"REJECT_REQUEST", 1},
    {"DROP_HEADER", 2},
    {NULL, 0},
};
static const struct envoy_enum headers_with_underscores_action = {
    "envoy.api.v2.core.HttpProtocolOptions_HeadersWithUnderscoresAction",
    headers_with_underscores_action_values};
const struct envoy_message envoy_empty = {"google.protobuf.Empty", NULL, 0};

static const struct envoy_field socket_address_fields[] = {
    {"protocol", 1, MESSAGE_ENUM, 0, .names = &protocol},
    {"address", 2, MESSAGE_STRING},
    {"port_value", 3, MESSAGE_UINT, MESSAGE_ONE_OF},
    {"named_port", 4, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"resolver_name", 5, MESSAGE_STRING},
    {"ipv4_compat", 6, MESSAGE_BOOL},
};
static const struct envoy_message envoy_socket_address = {
    "envoy.api.v2.core.SocketAddress", socket_address_fields, COUNT_OF(socket_address_fields)};

static const struct envoy_field pipe_fields[] = {
    {"path", 1, MESSAGE_STRING},
    {"mode", 2, MESSAGE_UINT},
};
static const struct envoy_message envoy_pipe = {"envoy.api.v2.core.Pipe", pipe_fields,
                                                COUNT_OF(pipe_fields)};

static const struct envoy_field address_fields[] = {
    {"socket_address", 1, MESSAGE_OF, 0, &envoy_socket_address},
    {"pipe", 2, MESSAGE_OF, 0, &envoy_pipe},
};
const struct envoy_message envoy_address = {"envoy.api.v2.core.Address", address_fields,
                                            COUNT_OF(address_fields)};

static const struct envoy_message envoy_aggregated_config_source = {
    "envoy.api.v2.core.AggregatedConfigSource", NULL, 0};

static const struct envoy_field grpc_service_envoy_grpc_fields[] = {
    {"cluster_name", 1, MESSAGE_STRING},
};
static const struct envoy_message envoy_grpc_service_envoy_grpc = {
    "envoy.api.v2.core.GrpcService.EnvoyGrpc", grpc_service_envoy_grpc_fields,
    COUNT_OF(grpc_service_envoy_grpc_fields)};

static const struct envoy_field data_source_fields[] = {
    {"filename", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"inline_bytes", 2, MESSAGE_BYTES, MESSAGE_ONE_OF},
    {"inline_string", 3, MESSAGE_STRING, MESSAGE_ONE_OF},
};
const struct envoy_message envoy_data_source = {"envoy.api.v2.core.DataSource", data_source_fields,
                                                COUNT_OF(data_source_fields)};

static const struct envoy_field google_grpc_ssl_credentials_fields[] = {
    {"root_certs", 1, MESSAGE_OF, 0, &envoy_data_source},
    {"private_key", 2, MESSAGE_OF, 0, &envoy_data_source},
    {"cert_chain", 3, MESSAGE_OF, 0, &envoy_data_source},
};
static const struct envoy_message envoy_google_grpc_ssl_credentials = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc.SslCredentials", google_grpc_ssl_credentials_fields,
    COUNT_OF(google_grpc_ssl_credentials_fields)};

static const struct envoy_message envoy_google_grpc_google_local_credentials = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc.GoogleLocalCredentials", NULL, 0};

static const struct envoy_field google_grpc_channel_credentials_fields[] = {
    {"ssl_credentials", 1, MESSAGE_OF, 0, &envoy_google_grpc_ssl_credentials},
    {"google_default", 2, MESSAGE_OF, 0, &envoy_empty},
    {"local_credentials", 3, MESSAGE_OF, 0, &envoy_google_grpc_google_local_credentials},
};
static const struct envoy_message envoy_google_grpc_channel_credentials = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc.ChannelCredentials",
    google_grpc_channel_credentials_fields, COUNT_OF(google_grpc_channel_credentials_fields)};

static const struct envoy_field call_credentials_service_account_jwt_access_credentials_fields[] = {
    {"json_key", 1, MESSAGE_STRING},
    {"token_lifetime_seconds", 2, MESSAGE_UINT},
};
static const struct envoy_message envoy_call_credentials_service_account_jwt_access_credentials = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc.CallCredentials.ServiceAccountJWTAccessCredentials",
    call_credentials_service_account_jwt_access_credentials_fields,
    COUNT_OF(call_credentials_service_account_jwt_access_credentials_fields)};

static const struct envoy_field call_credentials_google_iam_credentials_fields[] = {
    {"authorization_token", 1, MESSAGE_STRING},
    {"authority_selector", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_call_credentials_google_iam_credentials = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc.CallCredentials.GoogleIAMCredentials",
    call_credentials_google_iam_credentials_fields,
    COUNT_OF(call_credentials_google_iam_credentials_fields)};

static const struct envoy_field call_credentials_metadata_credentials_from_plugin_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_call_credentials_metadata_credentials_from_plugin = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc.CallCredentials.MetadataCredentialsFromPlugin",
    call_credentials_metadata_credentials_from_plugin_fields,
    COUNT_OF(call_credentials_metadata_credentials_from_plugin_fields)};

static const struct envoy_field call_credentials_sts_service_fields[] = {
    {"token_exchange_service_uri", 1, MESSAGE_STRING},
    {"resource", 2, MESSAGE_STRING},
    {"audience", 3, MESSAGE_STRING},
    {"scope", 4, MESSAGE_STRING},
    {"requested_token_type", 5, MESSAGE_STRING},
    {"subject_token_path", 6, MESSAGE_STRING},
    {"subject_token_type", 7, MESSAGE_STRING},
    {"actor_token_path", 8, MESSAGE_STRING},
    {"actor_token_type", 9, MESSAGE_STRING},
};
static const struct envoy_message envoy_call_credentials_sts_service = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc.CallCredentials.StsService",
    call_credentials_sts_service_fields, COUNT_OF(call_credentials_sts_service_fields)};

static const struct envoy_field google_grpc_call_credentials_fields[] = {
    {"access_token", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"google_compute_engine", 2, MESSAGE_OF, 0, &envoy_empty},
    {"google_refresh_token", 3, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"service_account_jwt_access", 4, MESSAGE_OF, 0,
     &envoy_call_credentials_service_account_jwt_access_credentials},
    {"google_iam", 5, MESSAGE_OF, 0, &envoy_call_credentials_google_iam_credentials},
    {"from_plugin", 6, MESSAGE_OF, 0, &envoy_call_credentials_metadata_credentials_from_plugin},
    {"sts_service", 7, MESSAGE_OF, 0, &envoy_call_credentials_sts_service},
};
static const struct envoy_message envoy_google_grpc_call_credentials = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc.CallCredentials", google_grpc_call_credentials_fields,
    COUNT_OF(google_grpc_call_credentials_fields)};

static const struct envoy_field grpc_service_google_grpc_fields[] = {
    {"target_uri", 1, MESSAGE_STRING},
    {"channel_credentials", 2, MESSAGE_OF, 0, &envoy_google_grpc_channel_credentials},
    {"call_credentials", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_google_grpc_call_credentials},
    {"stat_prefix", 4, MESSAGE_STRING},
    {"credentials_factory_name", 5, MESSAGE_STRING},
    {"config", 6, MESSAGE_STRUCT},
};
static const struct envoy_message envoy_grpc_service_google_grpc = {
    "envoy.api.v2.core.GrpcService.GoogleGrpc", grpc_service_google_grpc_fields,
    COUNT_OF(grpc_service_google_grpc_fields)};

static const struct envoy_field header_value_fields[] = {
    {"key", 1, MESSAGE_STRING},
    {"value", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_header_value = {
    "envoy.api.v2.core.HeaderValue", header_value_fields, COUNT_OF(header_value_fields)};

static const struct envoy_field grpc_service_fields[] = {
    {"envoy_grpc", 1, MESSAGE_OF, 0, &envoy_grpc_service_envoy_grpc},
    {"google_grpc", 2, MESSAGE_OF, 0, &envoy_grpc_service_google_grpc},
    {"timeout", 3, MESSAGE_DURATION},
    {"initial_metadata", 5, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value},
};
const struct envoy_message envoy_grpc_service = {
    "envoy.api.v2.core.GrpcService", grpc_service_fields, COUNT_OF(grpc_service_fields)};

static const struct envoy_field rate_limit_settings_fields[] = {
    {"max_tokens", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"fill_rate", 2, MESSAGE_DOUBLE, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_rate_limit_settings = {
    "envoy.api.v2.core.RateLimitSettings", rate_limit_settings_fields,
    COUNT_OF(rate_limit_settings_fields)};

static const struct envoy_field api_config_source_fields[] = {
    {"api_type", 1, MESSAGE_ENUM, 0, .names = &api_type},
    {"cluster_names", 2, MESSAGE_STRING, MESSAGE_MANY},
    {"refresh_delay", 3, MESSAGE_DURATION},
    {"grpc_services", 4, MESSAGE_OF, MESSAGE_MANY, &envoy_grpc_service},
    {"request_timeout", 5, MESSAGE_DURATION},
    {"rate_limit_settings", 6, MESSAGE_OF, 0, &envoy_rate_limit_settings},
    {"set_node_on_first_message_only", 7, MESSAGE_BOOL},
    {"transport_api_version", 8, MESSAGE_ENUM, 0, .names = &api_version},
};
static const struct envoy_message envoy_api_config_source = {"envoy.api.v2.core.ApiConfigSource",
                                                             api_config_source_fields,
                                                             COUNT_OF(api_config_source_fields)};

static const struct envoy_field socket_option_fields[] = {
    {"description", 1, MESSAGE_STRING},
    {"level", 2, MESSAGE_INT},
    {"name", 3, MESSAGE_INT},
    {"int_value", 4, MESSAGE_INT, MESSAGE_ONE_OF},
    {"buf_value", 5, MESSAGE_BYTES, MESSAGE_ONE_OF},
    {"state", 6, MESSAGE_ENUM, 0, .names = &socket_state},
};
const struct envoy_message envoy_socket_option = {
    "envoy.api.v2.core.SocketOption", socket_option_fields, COUNT_OF(socket_option_fields)};

static const struct envoy_field bind_config_fields[] = {
    {"source_address", 1, MESSAGE_OF, 0, &envoy_socket_address},
    {"freebind", 2, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"socket_options", 3, MESSAGE_OF, MESSAGE_MANY, &envoy_socket_option},
};
const struct envoy_message envoy_bind_config = {"envoy.api.v2.core.BindConfig", bind_config_fields,
                                                COUNT_OF(bind_config_fields)};

static const struct envoy_field cidr_range_fields[] = {
    {"address_prefix", 1, MESSAGE_STRING},
    {"prefix_len", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
};
const struct envoy_message envoy_cidr_range = {"envoy.api.v2.core.CidrRange", cidr_range_fields,
                                               COUNT_OF(cidr_range_fields)};

static const struct envoy_field self_config_source_fields[] = {
    {"transport_api_version", 1, MESSAGE_ENUM, 0, .names = &api_version},
};
static const struct envoy_message envoy_self_config_source = {"envoy.api.v2.core.SelfConfigSource",
                                                              self_config_source_fields,
                                                              COUNT_OF(self_config_source_fields)};

static const struct envoy_field config_source_fields[] = {
    {"path", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"api_config_source", 2, MESSAGE_OF, 0, &envoy_api_config_source},
    {"ads", 3, MESSAGE_OF, 0, &envoy_aggregated_config_source},
    {"initial_fetch_timeout", 4, MESSAGE_DURATION},
    {"self", 5, MESSAGE_OF, 0, &envoy_self_config_source},
    {"resource_api_version", 6, MESSAGE_ENUM, 0, .names = &api_version},
};
const struct envoy_message envoy_config_source = {
    "envoy.api.v2.core.ConfigSource", config_source_fields, COUNT_OF(config_source_fields)};

static const struct envoy_field event_service_config_fields[] = {
    {"grpc_service", 1, MESSAGE_OF, 0, &envoy_grpc_service},
};
static const struct envoy_message envoy_event_service_config = {
    "envoy.api.v2.core.EventServiceConfig", event_service_config_fields,
    COUNT_OF(event_service_config_fields)};

static const struct envoy_field header_value_option_fields[] = {
    {"header", 1, MESSAGE_OF, 0, &envoy_header_value},
    {"append", 2, MESSAGE_BOOL, MESSAGE_WRAPPED},
};
const struct envoy_message envoy_header_value_option = {"envoy.api.v2.core.HeaderValueOption",
                                                        header_value_option_fields,
                                                        COUNT_OF(header_value_option_fields)};

static const struct envoy_field health_check_payload_fields[] = {
    {"text", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"binary", 2, MESSAGE_BYTES, MESSAGE_ONE_OF},
};
static const struct envoy_message envoy_health_check_payload = {
    "envoy.api.v2.core.HealthCheck.Payload", health_check_payload_fields,
    COUNT_OF(health_check_payload_fields)};

static const struct envoy_field health_check_http_health_check_fields[] = {
    {"host", 1, MESSAGE_STRING},
    {"path", 2, MESSAGE_STRING},
    {"send", 3, MESSAGE_OF, 0, &envoy_health_check_payload},
    {"receive", 4, MESSAGE_OF, 0, &envoy_health_check_payload},
    {"service_name", 5, MESSAGE_STRING},
    {"request_headers_to_add", 6, MESSAGE_OF, MESSAGE_MANY, &envoy_header_value_option},
    {"use_http2", 7, MESSAGE_BOOL},
    {"request_headers_to_remove", 8, MESSAGE_STRING, MESSAGE_MANY},
    {"expected_statuses", 9, MESSAGE_OF, MESSAGE_MANY, &envoy_int64_range},
    {"codec_client_type", 10, MESSAGE_ENUM, 0, .names = &codec_client_type},
    {"service_name_matcher", 11, MESSAGE_OF, 0, &envoy_string_matcher},
};
static const struct envoy_message envoy_health_check_http_health_check = {
    "envoy.api.v2.core.HealthCheck.HttpHealthCheck", health_check_http_health_check_fields,
    COUNT_OF(health_check_http_health_check_fields)};

static const struct envoy_field health_check_tcp_health_check_fields[] = {
    {"send", 1, MESSAGE_OF, 0, &envoy_health_check_payload},
    {"receive", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_health_check_payload},
};
static const struct envoy_message envoy_health_check_tcp_health_check = {
    "envoy.api.v2.core.HealthCheck.TcpHealthCheck", health_check_tcp_health_check_fields,
    COUNT_OF(health_check_tcp_health_check_fields)};

static const struct envoy_field health_check_grpc_health_check_fields[] = {
    {"service_name", 1, MESSAGE_STRING},
    {"authority", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_health_check_grpc_health_check = {
    "envoy.api.v2.core.HealthCheck.GrpcHealthCheck", health_check_grpc_health_check_fields,
    COUNT_OF(health_check_grpc_health_check_fields)};

static const struct envoy_field health_check_custom_health_check_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_health_check_custom_health_check = {
    "envoy.api.v2.core.HealthCheck.CustomHealthCheck", health_check_custom_health_check_fields,
    COUNT_OF(health_check_custom_health_check_fields)};

static const struct envoy_field health_check_tls_options_fields[] = {
    {"alpn_protocols", 1, MESSAGE_STRING, MESSAGE_MANY},
};
static const struct envoy_message envoy_health_check_tls_options = {
    "envoy.api.v2.core.HealthCheck.TlsOptions", health_check_tls_options_fields,
    COUNT_OF(health_check_tls_options_fields)};

static const struct envoy_field health_check_fields[] = {
    {"timeout", 1, MESSAGE_DURATION},
    {"interval", 2, MESSAGE_DURATION},
    {"interval_jitter", 3, MESSAGE_DURATION},
    {"unhealthy_threshold", 4, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"healthy_threshold", 5, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"alt_port", 6, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"reuse_connection", 7, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"http_health_check", 8, MESSAGE_OF, 0, &envoy_health_check_http_health_check},
    {"tcp_health_check", 9, MESSAGE_OF, 0, &envoy_health_check_tcp_health_check},
    {"grpc_health_check", 11, MESSAGE_OF, 0, &envoy_health_check_grpc_health_check},
    {"no_traffic_interval", 12, MESSAGE_DURATION},
    {"custom_health_check", 13, MESSAGE_OF, 0, &envoy_health_check_custom_health_check},
    {"unhealthy_interval", 14, MESSAGE_DURATION},
    {"unhealthy_edge_interval", 15, MESSAGE_DURATION},
    {"healthy_edge_interval", 16, MESSAGE_DURATION},
    {"event_log_path", 17, MESSAGE_STRING},
    {"interval_jitter_percent", 18, MESSAGE_UINT},
    {"always_log_health_check_failures", 19, MESSAGE_BOOL},
    {"initial_jitter", 20, MESSAGE_DURATION},
    {"tls_options", 21, MESSAGE_OF, 0, &envoy_health_check_tls_options},
    {"event_service", 22, MESSAGE_OF, 0, &envoy_event_service_config},
};
const struct envoy_message envoy_health_check = {
    "envoy.api.v2.core.HealthCheck", health_check_fields, COUNT_OF(health_check_fields)};

static const struct envoy_message envoy_header_key_format_proper_case_words = {
    "envoy.api.v2.core.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords", NULL, 0};

static const struct envoy_field http1_protocol_options_header_key_format_fields[] = {
    {"proper_case_words", 1, MESSAGE_OF, 0, &envoy_header_key_format_proper_case_words},
};
static const struct envoy_message envoy_http1_protocol_options_header_key_format = {
    "envoy.api.v2.core.Http1ProtocolOptions.HeaderKeyFormat",
    http1_protocol_options_header_key_format_fields,
    COUNT_OF(http1_protocol_options_header_key_format_fields)};

static const struct envoy_field http1_protocol_options_fields[] = {
    {"allow_absolute_url", 1, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"accept_http_10", 2, MESSAGE_BOOL},
    {"default_host_for_http_10", 3, MESSAGE_STRING},
    {"header_key_format", 4, MESSAGE_OF, 0, &envoy_http1_protocol_options_header_key_format},
    {"enable_trailers", 5, MESSAGE_BOOL},
};
const struct envoy_message envoy_http1_protocol_options = {"envoy.api.v2.core.Http1ProtocolOptions",
                                                           http1_protocol_options_fields,
                                                           COUNT_OF(http1_protocol_options_fields)};

static const struct envoy_field http2_protocol_options_settings_parameter_fields[] = {
    {"identifier", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"value", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_http2_protocol_options_settings_parameter = {
    "envoy.api.v2.core.Http2ProtocolOptions.SettingsParameter",
    http2_protocol_options_settings_parameter_fields,
    COUNT_OF(http2_protocol_options_settings_parameter_fields)};

static const struct envoy_field http2_protocol_options_fields[] = {
    {"hpack_table_size", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_concurrent_streams", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"initial_stream_window_size", 3, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"initial_connection_window_size", 4, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"allow_connect", 5, MESSAGE_BOOL},
    {"allow_metadata", 6, MESSAGE_BOOL},
    {"max_outbound_frames", 7, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_outbound_control_frames", 8, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_consecutive_inbound_frames_with_empty_payload", 9, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_inbound_priority_frames_per_stream", 10, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_inbound_window_update_frames_per_data_frame_sent", 11, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"stream_error_on_invalid_http_messaging", 12, MESSAGE_BOOL},
    {"custom_settings_parameters", 13, MESSAGE_OF, MESSAGE_MANY,
     &envoy_http2_protocol_options_settings_parameter},
};
const struct envoy_message envoy_http2_protocol_options = {"envoy.api.v2.core.Http2ProtocolOptions",
                                                           http2_protocol_options_fields,
                                                           COUNT_OF(http2_protocol_options_fields)};

static const struct envoy_field http_protocol_options_fields[] = {
    {"idle_timeout", 1, MESSAGE_DURATION},
    {"max_headers_count", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"max_connection_duration", 3, MESSAGE_DURATION},
    {"max_stream_duration", 4, MESSAGE_DURATION},
    {"headers_with_underscores_action", 5, MESSAGE_ENUM, 0,
     .names = &headers_with_underscores_action},
};
const struct envoy_message envoy_http_protocol_options = {"envoy.api.v2.core.HttpProtocolOptions",
                                                          http_protocol_options_fields,
                                                          COUNT_OF(http_protocol_options_fields)};

static const struct envoy_field locality_fields[] = {
    {"region", 1, MESSAGE_STRING},
    {"zone", 2, MESSAGE_STRING},
    {"sub_zone", 3, MESSAGE_STRING},
};
const struct envoy_message envoy_locality = {"envoy.api.v2.core.Locality", locality_fields,
                                             COUNT_OF(locality_fields)};

static const struct envoy_field metadata_fields[] = {
    {"filter_metadata", 1, MESSAGE_STRUCT, MESSAGE_MAP},
};
const struct envoy_message envoy_metadata = {"envoy.api.v2.core.Metadata", metadata_fields,
                                             COUNT_OF(metadata_fields)};

static const struct envoy_field runtime_fractional_percent_fields[] = {
    {"default_value", 1, MESSAGE_OF, 0, &envoy_fractional_percent},
    {"runtime_key", 2, MESSAGE_STRING},
};
const struct envoy_message envoy_runtime_fractional_percent = {
    "envoy.api.v2.core.RuntimeFractionalPercent", runtime_fractional_percent_fields,
    COUNT_OF(runtime_fractional_percent_fields)};

static const struct envoy_field runtime_u_int32_fields[] = {
    {"default_value", 2, MESSAGE_UINT},
    {"runtime_key", 3, MESSAGE_STRING},
};
const struct envoy_message envoy_runtime_u_int32 = {
    "envoy.api.v2.core.RuntimeUInt32", runtime_u_int32_fields, COUNT_OF(runtime_u_int32_fields)};

static const struct envoy_field tcp_keepalive_fields[] = {
    {"keepalive_probes", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"keepalive_time", 2, MESSAGE_UINT, MESSAGE_WRAPPED},
    {"keepalive_interval", 3, MESSAGE_UINT, MESSAGE_WRAPPED},
};
const struct envoy_message envoy_tcp_keepalive = {
    "envoy.api.v2.core.TcpKeepalive", tcp_keepalive_fields, COUNT_OF(tcp_keepalive_fields)};

static const struct envoy_field transport_socket_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
const struct envoy_message envoy_transport_socket = {"envoy.api.v2.core.TransportSocket",
                                                     transport_socket_fields,
                                                     COUNT_OF(transport_socket_fields)};

static const struct envoy_field upstream_http_protocol_options_fields[] = {
    {"auto_sni", 1, MESSAGE_BOOL},
    {"auto_san_validation", 2, MESSAGE_BOOL},
};
const struct envoy_message envoy_upstream_http_protocol_options = {
    "envoy.api.v2.core.UpstreamHttpProtocolOptions", upstream_http_protocol_options_fields,
    COUNT_OF(upstream_http_protocol_options_fields)};
