/* The DNS interface as the agent sees it: options from its configuration. */
#include "dns/dns.h"

static void *interface_start(struct agent *agent, struct error *e) {
    const struct config *config = agent_config(agent);
    struct dns_options options = {
        .addresses = config->dns_addrs.items,
        .address_count = config->dns_port > 0 ? config->dns_addrs.len : 0,
        .node_name = config->node_name,
        .datacenter = config->datacenter,
        .translate_wan_addrs = config->translate_wan_addrs,
        .settings = &config->dns,
    };
    return dns_start(&options, agent_server(agent), e);
}

static bool interface_reload(void *self, const struct config *config, struct error *e) {
    return dns_reload(self, &config->dns, e) || error_prefix(e, "Failed reloading dns config : ");
}

static void interface_stop(void *self) {
    dns_stop(self);
}

const struct agent_interface dns_interface = {
    .name = "DNS",
    .start = interface_start,
    .reload = interface_reload,
    .stop = interface_stop,
};
