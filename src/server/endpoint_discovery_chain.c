/* DiscoveryChain (rpc.md 6.15, connect.md 5): how the proxies of the mesh reach a service.
 */
#include "schema/chain.h"
#include "server/ca_name.h"
#include "server/endpoint.h"
#include "server/endpoint_connect_ca.h"
#include "server/permit.h"
#include "store/chain.h"
#include "store/connect.h"

#define NAMESPACE "default"

static bool get_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct discovery_chain_request *r = request;
    struct discovery_chain_response *out = reply;
    struct ca_configuration *config = NULL;
    struct str own = server_options(c->server)->datacenter;
    if (r->name.len == 0)
        return error_set(e, ERROR_INTERNAL, "Must provide service name");
    if (!permit(c, ACL_SERVICE, ACL_READ, r->name, e))
        return false;
    ca_config_get(c->store, &config);
    if (config == NULL)
        return error_set(e, ERROR_INTERNAL, "no cluster ca config setup");
    struct chain_question question = {
        .service = r->name,
        .datacenter = r->evaluate_in_datacenter.len > 0 ? r->evaluate_in_datacenter : own,
        .namespace = r->evaluate_in_namespace.len > 0 ? r->evaluate_in_namespace : STR(NAMESPACE),
        .use_datacenter = own,
        .trust_domain = ca_trust_domain(config->cluster_id, c->arena),
        .override_protocol = r->override_protocol,
        .override_connect_timeout = r->override_connect_timeout,
        .override_mesh_gateway = r->override_mesh_gateway.mode,
    };
    return discovery_chain_get(c->store, &question, &out->chain, &c->meta->index, e);
}

const struct endpoint endpoint_discovery_chain_get = {
    ENDPOINT_READS("DiscoveryChain.Get", ENDPOINT_BLOCKING, discovery_chain_request,
                   discovery_chain_response),
    .metric = "discovery_chain.get",
    .place = ca_place,
    .read = get_read,
};
