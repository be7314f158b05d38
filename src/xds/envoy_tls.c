/* Envoy's messages: TLS (envoy.api.v2.auth) and small types (envoy.type). The names and numbers
 * of the published API, version 2; see message.h. One line a field, by number.
 */
#include "xds/envoy.h"

#include "base/mem.h"

static const struct envoy_enum_value trust_chain_verification_values[] = {
    {"VERIFY_TRUST_CHAIN", 0},
    {"ACCEPT_UNTRUSTED", 1},
    {NULL, 0},
};
static const struct envoy_enum trust_chain_verification = {
    "envoy.api.v2.auth.CertificateValidationContext_TrustChainVerification",
    trust_chain_verification_values};
static const struct envoy_enum_value tls_protocol_values[] = {
    {"TLS_AUTO", 0}, {"TLSv1_0", 1}, {"TLSv1_1", 2}, {"TLSv1_2", 3}, {"TLSv1_3", 4}, {NULL, 0},
};
static const struct envoy_enum tls_protocol = {"envoy.api.v2.auth.TlsParameters_TlsProtocol",
                                               tls_protocol_values};
static const struct envoy_enum_value denominator_type_values[] = {
    {"HUNDRED", 0},
    {"TEN_THOUSAND", 1},
    {"MILLION", 2},
    {NULL, 0},
};
static const struct envoy_enum denominator_type = {"envoy.type.FractionalPercent_DenominatorType",
                                                   denominator_type_values};
static const struct envoy_field regex_matcher_google_re2_fields[] = {
    {"max_program_size", 1, MESSAGE_UINT, MESSAGE_WRAPPED},
};
static const struct envoy_message envoy_regex_matcher_google_re2 = {
    "envoy.type.matcher.RegexMatcher.GoogleRE2", regex_matcher_google_re2_fields,
    COUNT_OF(regex_matcher_google_re2_fields)};

static const struct envoy_field regex_matcher_fields[] = {
    {"google_re2", 1, MESSAGE_OF, 0, &envoy_regex_matcher_google_re2},
    {"regex", 2, MESSAGE_STRING},
};
const struct envoy_message envoy_regex_matcher = {
    "envoy.type.matcher.RegexMatcher", regex_matcher_fields, COUNT_OF(regex_matcher_fields)};

static const struct envoy_field string_matcher_fields[] = {
    {"exact", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"prefix", 2, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"suffix", 3, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"regex", 4, MESSAGE_STRING, MESSAGE_ONE_OF},
    {"safe_regex", 5, MESSAGE_OF, 0, &envoy_regex_matcher},
    {"ignore_case", 6, MESSAGE_BOOL},
};
const struct envoy_message envoy_string_matcher = {
    "envoy.type.matcher.StringMatcher", string_matcher_fields, COUNT_OF(string_matcher_fields)};

static const struct envoy_field certificate_validation_context_fields[] = {
    {"trusted_ca", 1, MESSAGE_OF, 0, &envoy_data_source},
    {"verify_certificate_hash", 2, MESSAGE_STRING, MESSAGE_MANY},
    {"verify_certificate_spki", 3, MESSAGE_STRING, MESSAGE_MANY},
    {"verify_subject_alt_name", 4, MESSAGE_STRING, MESSAGE_MANY},
    {"require_ocsp_staple", 5, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"require_signed_certificate_timestamp", 6, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"crl", 7, MESSAGE_OF, 0, &envoy_data_source},
    {"allow_expired_certificate", 8, MESSAGE_BOOL},
    {"match_subject_alt_names", 9, MESSAGE_OF, MESSAGE_MANY, &envoy_string_matcher},
    {"trust_chain_verification", 10, MESSAGE_ENUM, 0, .names = &trust_chain_verification},
};
static const struct envoy_message envoy_certificate_validation_context = {
    "envoy.api.v2.auth.CertificateValidationContext", certificate_validation_context_fields,
    COUNT_OF(certificate_validation_context_fields)};

static const struct envoy_field tls_parameters_fields[] = {
    {"tls_minimum_protocol_version", 1, MESSAGE_ENUM, 0, .names = &tls_protocol},
    {"tls_maximum_protocol_version", 2, MESSAGE_ENUM, 0, .names = &tls_protocol},
    {"cipher_suites", 3, MESSAGE_STRING, MESSAGE_MANY},
    {"ecdh_curves", 4, MESSAGE_STRING, MESSAGE_MANY},
};
static const struct envoy_message envoy_tls_parameters = {
    "envoy.api.v2.auth.TlsParameters", tls_parameters_fields, COUNT_OF(tls_parameters_fields)};

static const struct envoy_field private_key_provider_fields[] = {
    {"provider_name", 1, MESSAGE_STRING},
    {"config", 2, MESSAGE_STRUCT},
    {"typed_config", 3, MESSAGE_ANY},
};
static const struct envoy_message envoy_private_key_provider = {
    "envoy.api.v2.auth.PrivateKeyProvider", private_key_provider_fields,
    COUNT_OF(private_key_provider_fields)};

static const struct envoy_field tls_certificate_fields[] = {
    {"certificate_chain", 1, MESSAGE_OF, 0, &envoy_data_source},
    {"private_key", 2, MESSAGE_OF, 0, &envoy_data_source},
    {"password", 3, MESSAGE_OF, 0, &envoy_data_source},
    {"ocsp_staple", 4, MESSAGE_OF, 0, &envoy_data_source},
    {"signed_certificate_timestamp", 5, MESSAGE_OF, MESSAGE_MANY, &envoy_data_source},
    {"private_key_provider", 6, MESSAGE_OF, 0, &envoy_private_key_provider},
};
static const struct envoy_message envoy_tls_certificate = {
    "envoy.api.v2.auth.TlsCertificate", tls_certificate_fields, COUNT_OF(tls_certificate_fields)};

static const struct envoy_field sds_secret_config_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"sds_config", 2, MESSAGE_OF, 0, &envoy_config_source},
};
static const struct envoy_message envoy_sds_secret_config = {"envoy.api.v2.auth.SdsSecretConfig",
                                                             sds_secret_config_fields,
                                                             COUNT_OF(sds_secret_config_fields)};

static const struct envoy_field
    common_tls_context_combined_certificate_validation_context_fields[] = {
        {"default_validation_context", 1, MESSAGE_OF, 0, &envoy_certificate_validation_context},
        {"validation_context_sds_secret_config", 2, MESSAGE_OF, 0, &envoy_sds_secret_config},
};
static const struct envoy_message envoy_common_tls_context_combined_certificate_validation_context =
    {"envoy.api.v2.auth.CommonTlsContext.CombinedCertificateValidationContext",
     common_tls_context_combined_certificate_validation_context_fields,
     COUNT_OF(common_tls_context_combined_certificate_validation_context_fields)};

static const struct envoy_field common_tls_context_fields[] = {
    {"tls_params", 1, MESSAGE_OF, 0, &envoy_tls_parameters},
    {"tls_certificates", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_tls_certificate},
    {"validation_context", 3, MESSAGE_OF, 0, &envoy_certificate_validation_context},
    {"alpn_protocols", 4, MESSAGE_STRING, MESSAGE_MANY},
    {"tls_certificate_sds_secret_configs", 6, MESSAGE_OF, MESSAGE_MANY, &envoy_sds_secret_config},
    {"validation_context_sds_secret_config", 7, MESSAGE_OF, 0, &envoy_sds_secret_config},
    {"combined_validation_context", 8, MESSAGE_OF, 0,
     &envoy_common_tls_context_combined_certificate_validation_context},
};
static const struct envoy_message envoy_common_tls_context = {"envoy.api.v2.auth.CommonTlsContext",
                                                              common_tls_context_fields,
                                                              COUNT_OF(common_tls_context_fields)};

static const struct envoy_field tls_session_ticket_keys_fields[] = {
    {"keys", 1, MESSAGE_OF, MESSAGE_MANY, &envoy_data_source},
};
static const struct envoy_message envoy_tls_session_ticket_keys = {
    "envoy.api.v2.auth.TlsSessionTicketKeys", tls_session_ticket_keys_fields,
    COUNT_OF(tls_session_ticket_keys_fields)};

static const struct envoy_field downstream_tls_context_fields[] = {
    {"common_tls_context", 1, MESSAGE_OF, 0, &envoy_common_tls_context},
    {"require_client_certificate", 2, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"require_sni", 3, MESSAGE_BOOL, MESSAGE_WRAPPED},
    {"session_ticket_keys", 4, MESSAGE_OF, 0, &envoy_tls_session_ticket_keys},
    {"session_ticket_keys_sds_secret_config", 5, MESSAGE_OF, 0, &envoy_sds_secret_config},
    {"session_timeout", 6, MESSAGE_DURATION},
    {"disable_stateless_session_resumption", 7, MESSAGE_BOOL, MESSAGE_ONE_OF},
};
const struct envoy_message envoy_downstream_tls_context = {"envoy.api.v2.auth.DownstreamTlsContext",
                                                           downstream_tls_context_fields,
                                                           COUNT_OF(downstream_tls_context_fields)};

static const struct envoy_field upstream_tls_context_fields[] = {
    {"common_tls_context", 1, MESSAGE_OF, 0, &envoy_common_tls_context},
    {"sni", 2, MESSAGE_STRING},
    {"allow_renegotiation", 3, MESSAGE_BOOL},
    {"max_session_keys", 4, MESSAGE_UINT, MESSAGE_WRAPPED},
};
const struct envoy_message envoy_upstream_tls_context = {"envoy.api.v2.auth.UpstreamTlsContext",
                                                         upstream_tls_context_fields,
                                                         COUNT_OF(upstream_tls_context_fields)};

static const struct envoy_field fractional_percent_fields[] = {
    {"numerator", 1, MESSAGE_UINT},
    {"denominator", 2, MESSAGE_ENUM, 0, .names = &denominator_type},
};
const struct envoy_message envoy_fractional_percent = {
    "envoy.type.FractionalPercent", fractional_percent_fields, COUNT_OF(fractional_percent_fields)};

static const struct envoy_message envoy_hash_policy_source_ip = {"envoy.type.HashPolicy.SourceIp",
                                                                 NULL, 0};

static const struct envoy_field hash_policy_fields[] = {
    {"source_ip", 1, MESSAGE_OF, 0, &envoy_hash_policy_source_ip},
};
const struct envoy_message envoy_hash_policy = {"envoy.type.HashPolicy", hash_policy_fields,
                                                COUNT_OF(hash_policy_fields)};

static const struct envoy_field int32_range_fields[] = {
    {"start", 1, MESSAGE_INT},
    {"end", 2, MESSAGE_INT},
};
const struct envoy_message envoy_int32_range = {"envoy.type.Int32Range", int32_range_fields,
                                                COUNT_OF(int32_range_fields)};

static const struct envoy_field int64_range_fields[] = {
    {"start", 1, MESSAGE_INT},
    {"end", 2, MESSAGE_INT},
};
const struct envoy_message envoy_int64_range = {"envoy.type.Int64Range", int64_range_fields,
                                                COUNT_OF(int64_range_fields)};

static const struct envoy_field percent_fields[] = {
    {"value", 1, MESSAGE_DOUBLE},
};
const struct envoy_message envoy_percent = {"envoy.type.Percent", percent_fields,
                                            COUNT_OF(percent_fields)};

static const struct envoy_field regex_match_and_substitute_fields[] = {
    {"pattern", 1, MESSAGE_OF, 0, &envoy_regex_matcher},
    {"substitution", 2, MESSAGE_STRING},
};
const struct envoy_message envoy_regex_match_and_substitute = {
    "envoy.type.matcher.RegexMatchAndSubstitute", regex_match_and_substitute_fields,
    COUNT_OF(regex_match_and_substitute_fields)};

static const struct envoy_field metadata_key_path_segment_fields[] = {
    {"key", 1, MESSAGE_STRING, MESSAGE_ONE_OF},
};
static const struct envoy_message envoy_metadata_key_path_segment = {
    "envoy.type.metadata.v2.MetadataKey.PathSegment", metadata_key_path_segment_fields,
    COUNT_OF(metadata_key_path_segment_fields)};

static const struct envoy_field metadata_key_fields[] = {
    {"key", 1, MESSAGE_STRING},
    {"path", 2, MESSAGE_OF, MESSAGE_MANY, &envoy_metadata_key_path_segment},
};
static const struct envoy_message envoy_metadata_key = {
    "envoy.type.metadata.v2.MetadataKey", metadata_key_fields, COUNT_OF(metadata_key_fields)};

static const struct envoy_message envoy_metadata_kind_request = {
    "envoy.type.metadata.v2.MetadataKind.Request", NULL, 0};

static const struct envoy_message envoy_metadata_kind_route = {
    "envoy.type.metadata.v2.MetadataKind.Route", NULL, 0};

static const struct envoy_message envoy_metadata_kind_cluster = {
    "envoy.type.metadata.v2.MetadataKind.Cluster", NULL, 0};

static const struct envoy_message envoy_metadata_kind_host = {
    "envoy.type.metadata.v2.MetadataKind.Host", NULL, 0};

static const struct envoy_field metadata_kind_fields[] = {
    {"request", 1, MESSAGE_OF, 0, &envoy_metadata_kind_request},
    {"route", 2, MESSAGE_OF, 0, &envoy_metadata_kind_route},
    {"cluster", 3, MESSAGE_OF, 0, &envoy_metadata_kind_cluster},
    {"host", 4, MESSAGE_OF, 0, &envoy_metadata_kind_host},
};
static const struct envoy_message envoy_metadata_kind = {
    "envoy.type.metadata.v2.MetadataKind", metadata_kind_fields, COUNT_OF(metadata_kind_fields)};

static const struct envoy_field custom_tag_literal_fields[] = {
    {"value", 1, MESSAGE_STRING},
};
static const struct envoy_message envoy_custom_tag_literal = {
    "envoy.type.tracing.v2.CustomTag.Literal", custom_tag_literal_fields,
    COUNT_OF(custom_tag_literal_fields)};

static const struct envoy_field custom_tag_environment_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"default_value", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_custom_tag_environment = {
    "envoy.type.tracing.v2.CustomTag.Environment", custom_tag_environment_fields,
    COUNT_OF(custom_tag_environment_fields)};

static const struct envoy_field custom_tag_header_fields[] = {
    {"name", 1, MESSAGE_STRING},
    {"default_value", 2, MESSAGE_STRING},
};
static const struct envoy_message envoy_custom_tag_header = {
    "envoy.type.tracing.v2.CustomTag.Header", custom_tag_header_fields,
    COUNT_OF(custom_tag_header_fields)};

static const struct envoy_field custom_tag_metadata_fields[] = {
    {"kind", 1, MESSAGE_OF, 0, &envoy_metadata_kind},
    {"metadata_key", 2, MESSAGE_OF, 0, &envoy_metadata_key},
    {"default_value", 3, MESSAGE_STRING},
};
static const struct envoy_message envoy_custom_tag_metadata = {
    "envoy.type.tracing.v2.CustomTag.Metadata", custom_tag_metadata_fields,
    COUNT_OF(custom_tag_metadata_fields)};

static const struct envoy_field custom_tag_fields[] = {
    {"tag", 1, MESSAGE_STRING},
    {"literal", 2, MESSAGE_OF, 0, &envoy_custom_tag_literal},
    {"environment", 3, MESSAGE_OF, 0, &envoy_custom_tag_environment},
    {"request_header", 4, MESSAGE_OF, 0, &envoy_custom_tag_header},
    {"metadata", 5, MESSAGE_OF, 0, &envoy_custom_tag_metadata},
};
const struct envoy_message envoy_custom_tag = {"envoy.type.tracing.v2.CustomTag", custom_tag_fields,
                                               COUNT_OF(custom_tag_fields)};
