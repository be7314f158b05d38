/* AutoEncrypt (rpc.md 6.17, tls.md 13): a client agent gets its certificate, and whom to believe.
 */
#include "server/endpoint_connect_ca.h"
#include "server/secure.h"

static bool place(const struct call *c, struct str *datacenter, struct error *e) {
    const struct server_options *o = &c->server->options;
    if (!ca_check_enabled(c->server, e)) {
        return false;
    }
    if (!o->ca.allow_tls) {
        return error_set(e, ERROR_INTERNAL,
                         "AutoEncrypt.AllowTLS must be enabled in order to use this endpoint");
    }
    return datacenter->len == 0 || str_eq(*datacenter, o->datacenter) ||
           error_set(e, ERROR_INTERNAL, "insecure dialing prohibited between datacenters");
}

static bool leaf_signed(struct sign_work *w, const struct issued_cert *cert, struct error *e) {
    struct call *c = w->call;
    struct arena *arena = &c->answer->arena;
    struct auto_encrypt_reply *out = c->answer->reply;
    struct str *manual;
    size_t count;
    out->issued_cert = *cert;
    out->gossip_key = STR("");
    out->verify_server_hostname = secure_manual(c->server->secure, &manual, &count, arena);
    out->manual_ca_roots = (struct list){manual, (uint32_t)count, true};
    return ca_roots_now(c->server, &out->connect_ca_roots, arena, e);
}

static void sign_begin(struct call *c) {
    const struct ca_sign_request *r = c->request;
    sign_start(c, r->csr, true, STR(""), leaf_signed, NULL);
}

const struct endpoint endpoint_auto_encrypt_sign = {
    .name = "AutoEncrypt.Sign",
    .kind = ENDPOINT_CORE,
    .request = &ca_sign_request_shape,
    ENDPOINT_REPLY(auto_encrypt_reply),
    .datacenter = offsetof(struct ca_sign_request, datacenter),
    .options = -1,
    .meta = -1,
    .token = offsetof(struct ca_sign_request, write.token),
    .insecure = true,
    .place = place,
    .begin = sign_begin,
};
