/* The bootstrap that is made unless the registration has a template of its own. See
 * envoy_bootstrap.h. Values go in as they are: what is no JSON then is told of when it is laid out.
 */
#include "cli/envoy_bootstrap.h"

#define DEPRECATED "          \"envoy.deprecated_features:envoy."

static void add_admin(const struct envoy_args *a, struct buf *out) {
    buf_add_format(out,
                   "{\n"
                   "  \"admin\": {\n"
                   "    \"access_log_path\": \"" STR_FMT "\",\n"
                   "    \"address\": {\n"
                   "      \"socket_address\": {\n"
                   "        \"address\": \"" STR_FMT "\",\n"
                   "        \"port_value\": " STR_FMT "\n"
                   "      }\n"
                   "    }\n"
                   "  },\n",
                   STR_ARG(a->admin_access_log_path), STR_ARG(a->admin_bind_address),
                   STR_ARG(a->admin_bind_port));
}

static void add_node(const struct envoy_args *a, struct buf *out) {
    struct str name_space = a->name_space.len > 0 ? a->name_space : STR("default");
    buf_add_format(out,
                   "  \"node\": {\n"
                   "    \"cluster\": \"" STR_FMT "\",\n"
                   "    \"id\": \"" STR_FMT "\",\n"
                   "    \"metadata\": {\n"
                   "      \"namespace\": \"" STR_FMT "\",\n"
                   "      \"envoy_version\": \"" STR_FMT "\"\n"
                   "    }\n"
                   "  },\n",
                   STR_ARG(a->proxy_cluster), STR_ARG(a->proxy_id), STR_ARG(name_space),
                   STR_ARG(a->envoy_version));
}

static void add_agent_cluster(const struct envoy_args *a, struct buf *out) {
    buf_add_format(out,
                   "      {\n"
                   "        \"name\": \"" STR_FMT "\",\n"
                   "        \"connect_timeout\": \"1s\",\n"
                   "        \"type\": \"STATIC\",\n",
                   STR_ARG(a->local_agent_cluster_name));
    if (a->agent_tls) {
        buf_add_text(out, "        \"tls_context\": {\n"
                          "          \"common_tls_context\": {\n"
                          "            \"validation_context\": {\n"
                          "              \"trusted_ca\": {\n"
                          "                \"inline_string\": \"");
        buf_add_str(out, a->agent_ca_pem);
        buf_add_text(out, "\"\n"
                          "              }\n"
                          "            }\n"
                          "          }\n"
                          "        },\n");
    }
    buf_add_text(out, "        \"http2_protocol_options\": {},\n"
                      "        \"hosts\": [\n"
                      "          {\n");
    if (a->agent_socket.len > 0)
        buf_add_format(out,
                       "            \"pipe\": {\n"
                       "              \"path\": \"" STR_FMT "\"\n"
                       "            }\n",
                       STR_ARG(a->agent_socket));
    else
        buf_add_format(out,
                       "            \"socket_address\": {\n"
                       "              \"address\": \"" STR_FMT "\",\n"
                       "              \"port_value\": " STR_FMT "\n"
                       "            }\n",
                       STR_ARG(a->agent_address), STR_ARG(a->agent_port));
    buf_add_text(out, "          }\n"
                      "        ]\n"
                      "      }\n");
}

static void add_static(const struct envoy_args *a, struct buf *out) {
    buf_add_text(out, "  \"static_resources\": {\n"
                      "    \"clusters\": [\n");
    add_agent_cluster(a, out);
    if (a->static_clusters_json.len > 0) {
        buf_add_text(out, "      ,\n");
        buf_add_str(out, a->static_clusters_json);
    }
    buf_add_text(out, "    ]\n");
    if (a->static_listeners_json.len > 0) {
        buf_add_text(out, "    ,\n"
                          "    \"listeners\": [\n");
        buf_add_str(out, a->static_listeners_json);
        buf_add_text(out, "    ]\n");
    }
    buf_add_text(out, "  },\n");
}

static void add_whole(struct buf *out, const char *before, struct str json, const char *after) {
    if (json.len == 0)
        return;
    buf_add_text(out, before);
    buf_add_str(out, json);
    buf_add_text(out, after);
}

static void add_dynamic(const struct envoy_args *a, struct buf *out) {
    buf_add_format(out,
                   "  \"dynamic_resources\": {\n"
                   "    \"lds_config\": { \"ads\": {} },\n"
                   "    \"cds_config\": { \"ads\": {} },\n"
                   "    \"ads_config\": {\n"
                   "      \"api_type\": \"GRPC\",\n"
                   "      \"grpc_services\": {\n"
                   "        \"initial_metadata\": [\n"
                   "          {\n"
                   "            \"key\": \"x-consul-token\",\n"
                   "            \"value\": \"" STR_FMT "\"\n"
                   "          }\n"
                   "        ],\n"
                   "        \"envoy_grpc\": {\n"
                   "          \"cluster_name\": \"" STR_FMT "\"\n"
                   "        }\n"
                   "      }\n"
                   "    }\n"
                   "  }\n",
                   STR_ARG(a->token), STR_ARG(a->local_agent_cluster_name));
}

/* What newer versions have turned off and Consul's configuration needs. */
static void add_runtime(struct buf *out) {
    buf_add_text(out, "  ,\n"
                      "  \"layered_runtime\": {\n"
                      "    \"layers\": [\n"
                      "      {\n"
                      "        \"name\": \"static_layer\",\n"
                      "        \"static_layer\": {\n" //
                 DEPRECATED "api.v2.Cluster.tls_context\": true,\n" DEPRECATED
                      "config.trace.v2.ZipkinConfig.HTTP_JSON_V1\": true,\n" DEPRECATED
                      "config.filter.network.http_connection_manager.v2."
                      "HttpConnectionManager.Tracing.operation_name\": true\n"
                      "        }\n"
                      "      }\n"
                      "    ]\n"
                      "  }\n");
}

void envoy_template_write(const struct envoy_args *a, struct buf *out) {
    add_admin(a, out);
    add_node(a, out);
    add_static(a, out);
    add_whole(out, "  \"stats_sinks\": [\n", a->stats_sinks_json, "  ],\n");
    add_whole(out, "  \"stats_config\": ", a->stats_config_json, ",\n");
    add_whole(out, "  \"stats_flush_interval\": \"", a->stats_flush_interval, "\",\n");
    add_whole(out, "  \"tracing\": ", a->tracing_config_json, ",\n");
    add_dynamic(a, out);
    if (!str_is(a->envoy_version, "1.10.0")) /* which knows none */
        add_runtime(out);
    buf_add_text(out, "}\n");
}
