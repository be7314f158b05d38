/* auto_encrypt.tls (tls.md 13): what is asked by AutoEncrypt.Sign, and what comes back. */
#include "agent/auto_agent.h"

#include "codec/msgpack.h"

static void hosts(const struct config *c, struct list out[2]) {
    out[0] = c->start_join_addrs_lan;
    out[1] = c->retry_join_lan;
}

static void names(const struct config *c, struct list *dns, struct list *ips) {
    *dns = c->auto_encrypt_dns_san;
    *ips = c->auto_encrypt_ip_san;
}

static bool body(struct auto_agent *a, struct str csr, struct str token, struct buf *out,
                 struct error *e) {
    struct ca_sign_request request = {
        .csr = csr, .datacenter = auto_agent_config(a)->datacenter, .write.token = token};
    (void)e;
    schema_encode(out, &ca_sign_request_shape, &request);
    return true;
}

static bool take(struct auto_agent *a, struct str reply, struct auto_material *out,
                 struct arena *arena, struct error *e) {
    struct auto_encrypt_reply in;
    (void)a;
    if (!schema_decode_bytes(reply, &auto_encrypt_reply_shape, &in, arena, e))
        return false;
    *out = (struct auto_material){.roots = in.connect_ca_roots,
                                  .manual = in.manual_ca_roots,
                                  .cert = in.issued_cert,
                                  .verify_server_hostname = in.verify_server_hostname};
    return true;
}

const struct auto_mode auto_encrypt_mode = {
    .method = "AutoEncrypt.Sign",
    .none = "no auto-encrypt server addresses available for use",
    .failed = "No servers successfully responded to the auto-encrypt request",
    .hosts = hosts,
    .body = body,
    .take = take,
    .names = names,
};
