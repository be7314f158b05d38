/* The configuration that Envoy starts with (connect.md 6.9, cli.md 2.8): from what the command
 * knows and from the keys of the proxy's registration to JSON. Pure, but for the environment, which
 * a metrics address may name.
 */
#ifndef PRAETOR_CLI_ENVOY_BOOTSTRAP_H
#define PRAETOR_CLI_ENVOY_BOOTSTRAP_H

#include "cli/command.h"
#include "codec/value.h"

/* What templates may ask for, by these names in the peer's spelling. Strings are never absent. */
struct envoy_args {
    struct str proxy_cluster, proxy_id;
    struct str agent_address, agent_port; /* of gRPC; or */
    struct str agent_socket;
    bool agent_tls;
    struct str agent_ca_pem; /* newlines as \n */
    struct str admin_access_log_path, admin_bind_address, admin_bind_port;
    struct str local_agent_cluster_name;
    struct str token;
    struct str static_clusters_json, static_listeners_json, stats_sinks_json, stats_config_json,
        stats_flush_interval, tracing_config_json;
    struct str name_space;
    struct str envoy_version;
};

/* The keys of Proxy.Config that alter it; others are skipped. */
struct envoy_config {
    struct str ready_bind_address; /* no key: of an ingress gateway */
    struct str statsd_url, dogstatsd_url;
    struct str prometheus_bind_address, stats_bind_address;
    struct str stats_flush_interval;
    struct str tracing_json, stats_config_json, extra_stats_sinks_json;
    struct str extra_static_clusters_json, extra_static_listeners_json;
    struct str bootstrap_template;
    struct str *stats_tags;
    size_t stats_tag_count;
};

/* Weakly typed, as the peer reads it. NULL or null: nothing is set. */
bool envoy_config_read(const struct value *config, struct envoy_config *out, struct arena *arena,
                       struct error *e);
/* The JSON, laid out. Fills in those of the args that come from the configuration. */
bool envoy_bootstrap(const struct envoy_config *config, struct envoy_args *args,
                     const struct cli_hooks *hooks, struct buf *out, struct arena *arena,
                     struct error *e);

/* envoy_template.c: the template without a bootstrap_template, filled in. */
void envoy_template_write(const struct envoy_args *args, struct buf *out);
/* envoy_stats.c: stats_sinks, stats_config, and the listeners that lead to the admin port. */
bool envoy_add_stats(const struct envoy_config *config, struct envoy_args *args,
                     struct arena *arena, struct error *e);
bool envoy_add_listeners(const struct envoy_config *config, struct envoy_args *args,
                         struct arena *arena, struct error *e);

/* "host:port" or "[v6]:port", views. The error is the peer's: "address x: missing port in address".
 */
bool envoy_split_address(struct str address, struct str *host, struct str *port, struct error *e);

#endif
