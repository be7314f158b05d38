/* The provider vault (connect.md 3.11): keys are in Vault's PKI secrets engines, one for the root
 * and one for the intermediate that signs leaves, and never leave it; nothing of them is in the
 * store but the certificates. On the CA's thread, which waits for Vault. See ca_room.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/ca_certificate.h"
#include "server/ca_room.h"
#include "server/ca_vault.h"
#include "server/ca_vault_client.h"

#define LOGGER "connect.ca.vault"
#define ROLE "leaf-cert"
#define ROOT_TTL STR("8760h") /* most that the root's engine gives */

static struct str fail(struct error *e, const char *text) {
    error_set(e, ERROR_INTERNAL, "%s", text);
    return STR_NONE;
}

/* One work with Vault. */
struct vault_session {
    struct ca *ca;
    struct ca_provider *p;
    struct vault_client client;
    struct str root, intermediate; /* mounts */
    struct arena *arena;
};

static bool begin(struct vault_session *s, struct ca *ca, struct ca_provider *p,
                  struct arena *arena, struct error *e) {
    const struct ca_vault_settings *settings = &p->settings.vault;
    *s = (struct vault_session){.ca = ca,
                                .p = p,
                                .root = vault_mount(settings->root_path),
                                .intermediate = vault_mount(settings->intermediate_path),
                                .arena = arena};
    return vault_open(&s->client, settings, ca_stopping(ca), arena, e);
}

static void end(struct vault_session *s) {
    vault_close(&s->client);
}

static bool ask(struct vault_session *s, const char *method, struct str path, struct str body,
                struct value *secret, struct error *e) {
    struct value unused;
    return vault_ask(&s->client, method, path, body, secret != NULL ? secret : &unused, e);
}

static struct str below(struct vault_session *s, struct str mount, const char *name) {
    return str_format(s->arena, STR_FMT "/%s", STR_ARG(mount), name);
}

static struct str mount_path(struct vault_session *s, struct str mount) {
    return str_format(s->arena, "sys/mounts/" STR_FMT, STR_ARG(mount));
}

/* An engine's certificate: "" when it has none; *mounted false: there is no such engine. */
static bool engine_certificate(struct vault_session *s, struct str mount, struct str *pem,
                               bool *mounted, struct error *e) {
    struct vault_reply r;
    *pem = STR("");
    if (!vault_exchange(&s->client, "GET", below(s, mount, "ca/pem"), STR_NONE, &r, e)) {
        return false;
    }
    *mounted = r.status != 404;
    if (!*mounted) {
        return true;
    }
    *pem = r.status == 204 ? STR("") : r.body;
    return vault_check(r.method, r.url, r.status, r.body, e);
}

static bool need_certificate(struct vault_session *s, struct str mount, struct str *pem,
                             struct error *e) {
    bool mounted;
    return engine_certificate(s, mount, pem, &mounted, e) &&
           (mounted || error_set(e, ERROR_INTERNAL, "backend not mounted"));
}

/* What a new key is asked for with. */
static struct str key_body(struct vault_session *s) {
    struct ca_provider *p = s->p;
    struct spiffe_id id = {.kind = SPIFFE_SIGNING,
                           .host = ca_trust_domain(p->cluster_id, s->arena)};
    struct str name = ca_common_name(ca_is_primary(s->ca), STR("vault"), p->cluster_id, s->arena);
    return vault_generate_body(name, p->settings.key_type, p->settings.key_bits,
                               spiffe_format(&id, s->arena), s->arena);
}

/* ---- the intermediate ---- */

static bool mount_intermediate(struct vault_session *s, struct error *e) {
    struct value mounts;
    struct str ttl = duration_format(s->arena, s->p->settings.intermediate_ttl);
    if (!ask(s, "GET", STR("sys/mounts"), STR_NONE, &mounts, e)) {
        return false;
    }
    const struct value *all = vault_data(&mounts);
    if (all == NULL) {
        return error_set(e, ERROR_INTERNAL, "data from server response is empty");
    }
    if (value_find(all, str_format(s->arena, STR_FMT "/", STR_ARG(s->intermediate))) != NULL) {
        return true;
    }
    s->p->created =
        ask(s, "POST", mount_path(s, s->intermediate),
            vault_mount_body("intermediate CA backend for Consul Connect", ttl, s->arena), NULL, e);
    return s->p->created;
}

static bool prepare(struct vault_session *s, struct error *e) {
    struct value role;
    struct str path = below(s, s->intermediate, "roles/" ROLE);
    if (s->p->prepared) {
        return true;
    }
    if (!mount_intermediate(s, e) || !ask(s, "GET", path, STR_NONE, &role, e)) {
        return false;
    }
    s->p->prepared =
        role.kind == VALUE_MAP ||
        ask(s, "PUT", path, vault_role_body(s->p->settings.leaf_ttl, s->arena), NULL, e);
    return s->p->prepared;
}

static struct str new_request(struct vault_session *s, struct error *e) {
    struct value secret;
    if (!ask(s, "PUT", below(s, s->intermediate, "intermediate/generate/internal"), key_body(s),
             &secret, e)) {
        return STR_NONE;
    }
    if (vault_data(&secret) == NULL) {
        return fail(e, "got empty value when generating intermediate CSR");
    }
    struct str csr = vault_text(vault_data(&secret), "csr");
    if (csr.data == NULL) {
        return fail(e, "csr result is not a string");
    }
    return csr.len > 0 ? csr : fail(e, "got empty value when generating intermediate CSR");
}

static struct str signed_by_root(struct vault_session *s, struct str csr, bool other_datacenter,
                                 struct error *e) {
    struct value secret;
    if (!ask(s, "PUT", below(s, s->root, "root/sign-intermediate"),
             vault_intermediate_body(csr, s->p->settings.intermediate_ttl, other_datacenter,
                                     s->arena),
             &secret, e)) {
        return STR_NONE;
    }
    struct str pem = vault_text(vault_data(&secret), "certificate");
    return pem.len > 0 ? pem : fail(e, "got empty value when generating intermediate certificate");
}

/* Gives the engine the certificate for its new key; it is asked what it has then. */
static bool store_intermediate(struct vault_session *s, struct str pem, struct error *e) {
    struct ca_certificate_info info;
    return ask(s, "PUT", below(s, s->intermediate, "intermediate/set-signed"),
               vault_certificate_body(pem, s->arena), NULL, e) &&
           need_certificate(s, s->intermediate, &s->p->intermediate, e) &&
           (ca_certificate_read(s->p->intermediate, &info, s->arena, e) ||
            error_prefix(e, "error parsing intermediate cert: "));
}

/* One that is there already signs on: the peer makes another whenever a server begins to lead. */
static bool is_good(struct vault_session *s, struct str pem) {
    struct error ignored = ERROR_IN(s->arena);
    struct spiffe_id id = {.kind = SPIFFE_SIGNING,
                           .host = ca_trust_domain(s->p->cluster_id, s->arena)};
    struct ca_certificate_info info;
    return pem.len > 0 && ca_certificate_read(pem, &info, s->arena, &ignored) &&
           info.names.uris.len == 1 &&
           str_eq_fold(LIST_AT(info.names.uris, struct str, 0), spiffe_format(&id, s->arena)) &&
           ca_certificate_is_signed(pem, s->p->root, &ignored) && !ca_is_old(pem, s->arena);
}

static bool make_intermediate(struct vault_session *s, struct error *e) {
    struct str pem = STR("");
    if (!prepare(s, e) || (!s->p->created && !need_certificate(s, s->intermediate, &pem, e))) {
        return false;
    }
    if (is_good(s, pem)) {
        s->p->intermediate = pem;
        return true;
    }
    struct str csr = new_request(s, e);
    pem = csr.data != NULL ? signed_by_root(s, csr, false, e) : STR_NONE;
    return pem.data != NULL && store_intermediate(s, pem, e);
}

static bool generate_intermediate(struct ca *ca, struct ca_provider *p, struct arena *arena,
                                  struct error *e) {
    struct vault_session s;
    if (!begin(&s, ca, p, arena, e)) {
        return false;
    }
    bool ok = make_intermediate(&s, e);
    end(&s);
    return ok;
}

static struct str request(struct ca *ca, struct ca_provider *p, struct arena *arena,
                          struct error *e) {
    struct vault_session s;
    if (!begin(&s, ca, p, arena, e)) {
        return STR_NONE;
    }
    struct str csr = new_request(&s, e);
    end(&s);
    return csr;
}

static bool set_intermediate(struct ca *ca, struct ca_provider *p, struct str pem, struct str root,
                             struct arena *arena, struct error *e) {
    struct vault_session s;
    if (!ca_certificate_is_signed(pem, root, e) || !begin(&s, ca, p, arena, e)) {
        return false;
    }
    struct str both = str_format(arena, STR_FMT "\n" STR_FMT, STR_ARG(pem), STR_ARG(root));
    bool ok = store_intermediate(&s, both, e);
    end(&s);
    return ok;
}

/* ---- the beginning ---- */

static bool look_up(struct vault_session *s, struct error *e) {
    struct vault_reply r;
    struct value secret;
    return vault_exchange(&s->client, "GET", STR("auth/token/lookup-self"), STR_NONE, &r, e) &&
           vault_check(r.method, r.url, r.status, r.body, e) &&
           vault_secret(r.status, r.body, &secret, s->arena, e) &&
           vault_token_lease(&secret, &s->p->lease, e);
}

static bool configure(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e) {
    struct vault_session s;
    if (!begin(&s, ca, p, arena, e)) {
        return false;
    }
    bool ok = look_up(&s, e);
    end(&s);
    return ok;
}

static bool find_intermediate(struct ca *ca, struct ca_provider *p, struct arena *arena,
                              struct error *e) {
    struct vault_session s;
    if (!begin(&s, ca, p, arena, e)) {
        return false;
    }
    bool ok = prepare(&s, e) && need_certificate(&s, s.intermediate, &p->intermediate, e);
    end(&s);
    return ok;
}

static bool find(struct ca *ca, const struct ca_state *state, struct ca_provider *p,
                 struct arena *arena, struct error *e) {
    (void)ca;
    (void)e;
    p->root = state->active->root_cert;
    p->intermediate = ca_record_signer(state->active, arena);
    return true;
}

static bool make_root(struct vault_session *s, struct error *e) {
    bool mounted;
    if (!engine_certificate(s, s->root, &s->p->root, &mounted, e)) {
        return false;
    }
    if (mounted && s->p->root.len > 0) {
        return true;
    }
    return (mounted ||
            ask(s, "POST", mount_path(s, s->root),
                vault_mount_body("root CA backend for Consul Connect", ROOT_TTL, s->arena), NULL,
                e)) &&
           ask(s, "PUT", below(s, s->root, "root/generate/internal"), key_body(s), NULL, e) &&
           need_certificate(s, s->root, &s->p->root, e);
}

static bool generate_root(struct ca *ca, struct ca_provider *p, struct arena *arena,
                          struct error *e) {
    struct vault_session s;
    if (!begin(&s, ca, p, arena, e)) {
        return false;
    }
    bool ok = make_root(&s, e);
    end(&s);
    return ok;
}

/* ---- signing ---- */

static struct str ask_leaf(struct vault_session *s, struct str csr, struct error *e) {
    struct value secret;
    if (!ask(s, "PUT", below(s, s->intermediate, "sign/" ROLE),
             vault_leaf_body(csr, s->p->settings.leaf_ttl, s->arena), &secret, e)) {
        error_prefix(e, "error issuing cert: ");
        return STR_NONE;
    }
    const struct value *data = vault_data(&secret);
    struct str pem = vault_text(data, "certificate"), issuer = vault_text(data, "issuing_ca");
    if (data == NULL || (pem.data != NULL && pem.len == 0)) {
        return fail(e, "certificate info returned from Vault was blank");
    }
    if (pem.data == NULL) {
        return fail(e, "certificate was not a string");
    }
    if (issuer.data == NULL) {
        return fail(e, "issuing_ca was not a string");
    }
    return str_format(s->arena, STR_FMT "\n" STR_FMT, STR_ARG(str_trim(pem)),
                      STR_ARG(str_trim(issuer)));
}

static struct str sign_leaf(struct ca *ca, struct ca_provider *p, const struct ca_leaf_wish *wish,
                            struct arena *arena, struct error *e) {
    struct vault_session s;
    if (!begin(&s, ca, p, arena, e)) {
        return STR_NONE;
    }
    struct str pem = ask_leaf(&s, wish->csr->pem, e);
    end(&s);
    return pem;
}

static struct str sign_intermediate(struct ca *ca, struct ca_provider *p, const struct ca_csr *csr,
                                    struct arena *arena, struct error *e) {
    struct vault_session s;
    if (!begin(&s, ca, p, arena, e)) {
        return STR_NONE;
    }
    struct str pem = signed_by_root(&s, csr->pem, true, e);
    end(&s);
    return pem;
}

static struct str ask_cross(struct vault_session *s, struct str root, struct error *e) {
    struct value secret;
    struct ca_certificate_info info;
    struct str own;
    if (!need_certificate(s, s->root, &own, e) || !ca_certificate_read(own, &info, s->arena, e)) {
        return STR_NONE;
    }
    if (timestamp_to_unix_ns(info.not_after) < time_now_wall()) {
        return fail(e, "root certificate is expired");
    }
    if (!ask(s, "PUT", below(s, s->root, "root/sign-self-issued"),
             vault_certificate_body(root, s->arena), &secret, e)) {
        error_prefix(e, "error having Vault cross-sign cert: ");
        return STR_NONE;
    }
    if (vault_data(&secret) == NULL) {
        return fail(e, "certificate info returned from Vault was blank");
    }
    struct str pem = vault_text(vault_data(&secret), "certificate");
    if (pem.data == NULL) {
        return fail(e, "certificate was not a string");
    }
    return ca_certificate_read(pem, &info, s->arena, e) ? pem : STR_NONE;
}

static struct str cross_sign(struct ca *ca, struct ca_provider *p, struct str root,
                             struct arena *arena, struct error *e) {
    struct vault_session s;
    if (!begin(&s, ca, p, arena, e)) {
        return STR_NONE;
    }
    struct str pem = ask_cross(&s, root, e);
    end(&s);
    return pem;
}

/* ---- the end, and the token ---- */

static bool shares_engine(const struct ca_provider *p, const struct ca_provider *next) {
    const struct ca_vault_settings *a = &p->settings.vault, *b = &next->settings.vault;
    return next->kind == p->kind && str_eq(a->address, b->address) &&
           str_eq(vault_mount(a->intermediate_path), vault_mount(b->intermediate_path));
}

static bool forget(struct ca *ca, struct ca_provider *p, const struct ca_provider *next,
                   struct arena *arena, struct error *e) {
    struct vault_session s;
    if (next != NULL && shares_engine(p, next)) {
        return true;
    }
    if (!begin(&s, ca, p, arena, e)) {
        return false;
    }
    bool ok = ask(&s, "DELETE", mount_path(&s, s.intermediate), STR_NONE, NULL, e);
    end(&s);
    return ok;
}

static bool renew(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e) {
    struct vault_session s;
    struct value secret;
    if (!begin(&s, ca, p, arena, e)) {
        return false;
    }
    bool ok =
        ask(&s, "PUT", STR("auth/token/renew-self"), vault_renew_body(p->lease, arena), &secret, e);
    end(&s);
    if (!ok) {
        return false;
    }
    int64_t lease = vault_renewed_lease(&secret);
    p->lease = lease > 0 ? lease : p->lease;
    log_at(LOG_INFO, LOGGER, "Successfully renewed token for Vault provider");
    return true;
}

const struct ca_provider_kind ca_provider_vault = {
    .name = "vault",
    .root_name = "Vault CA Root Cert",
    .configure = configure,
    .find = find,
    .generate_root = generate_root,
    .generate_intermediate = generate_intermediate,
    .cross_sign = cross_sign,
    .find_intermediate = find_intermediate,
    .request = request,
    .set_intermediate = set_intermediate,
    .sign_leaf = sign_leaf,
    .sign_intermediate = sign_intermediate,
    .forget = forget,
    .renew = renew,
};
