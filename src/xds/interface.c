/* The gRPC port as the agent sees it: opened when it is configured, and with TLS when HTTPS has it
 * (connect.md 6.1, tls.md 7).
 */
#include "base/mem.h"
#include "net/tls.h"
#include "server/secure.h"
#include "xds/services.h"
#include "xds/xds.h"

struct interface {
    struct xds_services services;
    struct grpc *grpc; /* NULL: the port is not configured */
};

static bool has_certificate(struct secure *secure) {
    struct tls_config *config = secure_config(secure);
    bool has = config != NULL && tls_config_has_certificate(config);
    tls_config_release(config);
    return has;
}

static void *interface_start(struct agent *agent, struct error *e) {
    static const struct grpc_method *const methods[] = {
        &xds_method_stream, &xds_method_delta, &xds_method_check, &xds_method_check_alpha, NULL};
    struct server *server = agent_server(agent);
    const struct config *config = agent_config(agent);
    struct interface *self = MEM_NEW(struct interface);
    struct loop *loops[64];
    unsigned count = server_io_count(server) < COUNT_OF(loops) ? server_io_count(server)
                                                               : (unsigned)COUNT_OF(loops);
    self->services = (struct xds_services){server, agent_proxies(agent)};
    if (config->grpc_addrs.len == 0 || self->services.proxies == NULL)
        return self;
    for (unsigned i = 0; i < count; i++)
        loops[i] = server_io(server, i);
    bool secure = config->https_port > 0 && has_certificate(server_secure(server));
    struct grpc_options options = {.addresses = &config->grpc_addrs,
                                   .config = config,
                                   .secure = secure ? server_secure(server) : NULL,
                                   .loops = loops,
                                   .loop_count = count,
                                   .methods = methods,
                                   .owner = &self->services};
    self->grpc = grpc_start(&options, e);
    if (self->grpc == NULL) {
        mem_free(self);
        return NULL;
    }
    return self;
}

/* Renewed certificates are server/secure.h's; nothing else of it changes. */
static bool interface_reload(void *owner, const struct config *config, struct error *e) {
    (void)owner, (void)config, (void)e;
    return true;
}

static void interface_stop(void *owner) {
    struct interface *self = owner;
    if (self->grpc != NULL)
        grpc_stop(self->grpc);
    mem_free(self);
}

const struct agent_interface xds_interface = {
    .name = "gRPC",
    .start = interface_start,
    .reload = interface_reload,
    .stop = interface_stop,
};
