/* The peer's method names, a service a row. */
#include "server/rpc_methods.h"

#include "base/mem.h"

#define NOT_BUILT "this method is not supported yet by this version of Praetor"
#define NO_CONNECT "Connect must be enabled in order to use this endpoint"

struct service {
    const char *name;
    const char *missing;
    const char *methods; /* one blank between, none around */
};

static const struct service services[] = {
    {"ACL", NOT_BUILT,
     "Apply AuthMethodDelete AuthMethodList AuthMethodRead AuthMethodSet Authorize "
     "BindingRuleDelete BindingRuleList BindingRuleRead BindingRuleSet Bootstrap BootstrapTokens "
     "Get GetPolicy List Login Logout PolicyBatchRead PolicyDelete PolicyList PolicyRead "
     "PolicyResolve PolicySet ReplicationStatus RoleBatchRead RoleDelete RoleList RoleRead "
     "RoleResolve RoleSet TokenBatchRead TokenClone TokenDelete TokenList TokenRead TokenSet"},
    {"Catalog", NOT_BUILT,
     "Deregister GatewayServices ListDatacenters ListNodes ListServices NodeServiceList "
     "NodeServices Register ServiceList ServiceNodes"},
    {"ConfigEntry", NOT_BUILT, "Apply Delete Get List ListAll ResolveServiceConfig"},
    {"ConnectCA", NO_CONNECT, "ConfigurationGet ConfigurationSet Roots Sign SignIntermediate"},
    {"Coordinate", NOT_BUILT, "ListDatacenters ListNodes Node Update"},
    {"DiscoveryChain", NOT_BUILT, "Get"},
    {"FederationState", NOT_BUILT, "Apply Get List ListMeshGateways"},
    {"Health", NOT_BUILT, "ChecksInState NodeChecks ServiceChecks ServiceNodes"},
    {"Intention", NOT_BUILT, "Apply Check Get List Match"},
    {"Internal", NOT_BUILT,
     "EventFire GatewayServiceDump KeyringOperation NodeDump NodeInfo ServiceDump"},
    {"KVS", NOT_BUILT, "Apply Get List ListKeys"},
    {"Operator", NOT_BUILT,
     "AutopilotGetConfiguration AutopilotSetConfiguration RaftGetConfiguration "
     "RaftRemovePeerByAddress RaftRemovePeerByID ServerHealth"},
    {"PreparedQuery", NOT_BUILT, "Apply Execute ExecuteRemote Explain Get List"},
    {"Session", NOT_BUILT, "Apply Get List NodeSessions Renew"},
    {"Status", NOT_BUILT, "Leader Peers Ping RaftStats"},
    {"Txn", NOT_BUILT, "Apply Read"},
};

static const struct service *find(struct str name) {
    for (size_t i = 0; i < COUNT_OF(services); i++) {
        if (str_is(name, services[i].name)) {
            return &services[i];
        }
    }
    return NULL;
}

bool rpc_service_known(struct str service, bool insecure) {
    if (insecure) {
        return str_is(service, "AutoEncrypt") || str_is(service, "AutoConfig");
    }
    return find(service) != NULL;
}

const char *rpc_method_missing(struct str method) {
    const struct service *service = find(str_cut(&method, '.'));
    if (service == NULL) {
        return NULL;
    }
    struct str rest = str_from(service->methods);
    while (rest.len > 0) {
        if (str_eq(str_cut(&rest, ' '), method)) {
            return service->missing;
        }
    }
    return NULL;
}
