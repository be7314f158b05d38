/* What an Any may hold (message.h): resources, and the typed configuration of what users' listeners
 * and clusters are most often made of.
 */
#include "base/mem.h"
#include "xds/envoy.h"

const struct envoy_message *message_named(struct str name) {
    static const struct envoy_message *const all[] = {
        &envoy_cluster,
        &envoy_listener,
        &envoy_cluster_load_assignment,
        &envoy_route_configuration,
        &envoy_tcp_proxy,
        &envoy_http_connection_manager,
        &envoy_ext_authz,
        &envoy_sni_cluster,
        &envoy_router,
        &envoy_file_access_log,
        &envoy_upstream_tls_context,
        &envoy_downstream_tls_context,
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (str_is(name, all[i]->name))
            return all[i];
    return NULL;
}
