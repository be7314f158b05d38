/* The built-in provider: its key and root are in a record of the store, which is found by a digest
 * of what the configuration says of them (connect.md 3.4). On the CA's thread. See ca_room.h.
 */
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/tls.h"
#include "server/ca_certificate.h"
#include "server/ca_room.h"
#include "server/server_room.h"

#define LOGGER "connect.ca.consul"

/* ---- the record ---- */

static struct str digest(struct str text, struct arena *arena) {
    uint8_t sum[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text.data, text.len, sum);
    return ca_hex(sum, sizeof(sum), arena);
}

static bool find_state(struct ca *ca, struct str id, struct ca_consul_provider_state **out,
                       struct arena *arena, struct error *e) {
    struct store_read read;
    if (!store_read_begin(ca_server(ca)->store, &read, arena, NULL, e)) {
        return false;
    }
    ca_provider_state_get(&read, id, out);
    store_read_end(&read);
    return true;
}

static bool set_state(struct ca *ca, struct ca_consul_provider_state *state, struct error *e) {
    struct ca_request r = {.op = STR("set-provider-state"), .provider_state = state};
    return ca_change(ca, &r, NULL, e);
}

static bool forget_state(struct ca *ca, struct str state_id, struct error *e) {
    struct ca_consul_provider_state state = {.id = state_id};
    struct ca_request r = {.op = STR("delete-provider-state"), .provider_state = &state};
    return ca_change(ca, &r, NULL, e);
}

/* Under the id that older versions gave it it is found too, and renamed. */
static bool load_state(struct ca *ca, struct ca_provider *p, struct str id, struct str old_id,
                       struct arena *arena, struct error *e) {
    struct ca_consul_provider_state *found = NULL;
    if (!find_state(ca, id, &found, arena, e)) {
        return false;
    }
    if (found != NULL) {
        p->state = *found;
        return true;
    }
    if (!find_state(ca, old_id, &found, arena, e)) {
        return false;
    }
    p->state = found != NULL ? *found : (struct ca_consul_provider_state){0};
    p->state.id = id;
    p->created = found == NULL;
    return set_state(ca, &p->state, e) && (found == NULL || forget_state(ca, old_id, e));
}

static struct str old_id_of(const struct ca_settings *s, struct arena *arena) {
    return str_format(arena, STR_FMT "," STR_FMT, STR_ARG(s->private_key), STR_ARG(s->root_cert));
}

static struct str id_of(struct ca *ca, const struct ca_settings *s, struct arena *arena) {
    struct str old_id = old_id_of(s, arena);
    return digest(
        str_format(arena, STR_FMT ",%s", STR_ARG(old_id), ca_is_primary(ca) ? "true" : "false"),
        arena);
}

static void show_state(struct ca_provider *p) {
    p->root = p->state.root_cert;
    p->intermediate = p->state.intermediate_cert;
}

static bool configure(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e) {
    struct str id = id_of(ca, &p->settings, arena), old_id = old_id_of(&p->settings, arena);
    if (!load_state(ca, p, id, old_id, arena, e)) {
        return false;
    }
    show_state(p);
    log_at(LOG_DEBUG, LOGGER, "consul CA provider configured", LOG_S("id", id),
           LOG_C("is_primary", ca_is_primary(ca) ? "true" : "false"));
    return true;
}

static bool find(struct ca *ca, const struct ca_state *state, struct ca_provider *p,
                 struct arena *arena, struct error *e) {
    struct ca_consul_provider_state *found = NULL;
    (void)state;
    if (!find_state(ca, id_of(ca, &p->settings, arena), &found, arena, e)) {
        return false;
    }
    if (found == NULL || found->root_cert.len == 0) {
        return error_set(e, ERROR_INTERNAL, "internal error: CA provider is nil");
    }
    p->state = *found;
    show_state(p);
    return true;
}

static bool forget(struct ca *ca, struct ca_provider *p, const struct ca_provider *next,
                   struct arena *arena, struct error *e) {
    (void)arena;
    /* The state of the one that is used stays. */
    return (next != NULL && next->kind == p->kind && str_eq(next->state.id, p->state.id)) ||
           forget_state(ca, p->state.id, e);
}

/* ---- its root ---- */

static EVP_PKEY *root_key(const struct ca_provider *p, struct error *e) {
    const struct ca_settings *s = &p->settings;
    if (p->state.private_key.len > 0) {
        return ca_key_read(p->state.private_key, e);
    }
    return s->private_key.len > 0 ? ca_key_read(s->private_key, e)
                                  : ca_key_new(s->key_type, s->key_bits, e);
}

static struct str make_root(struct ca *ca, const struct ca_provider *p, EVP_PKEY *key,
                            struct arena *arena, struct error *e) {
    struct ca_certificate_request r = {.kind = CA_ROOT, .key = key, .now = time_now_wall()};
    struct spiffe_id id = {.kind = SPIFFE_SIGNING, .host = ca_trust_domain(p->cluster_id, arena)};
    if (p->settings.root_cert.len > 0) {
        return p->settings.root_cert;
    }
    if (!ca_next_serial(ca, &r.serial, e)) {
        return STR_NONE;
    }
    r.common_name = ca_common_name(true, STR("consul"), p->cluster_id, arena);
    r.names.uris = LIST_NEW(arena, struct str, 1);
    LIST_AT(r.names.uris, struct str, 0) = spiffe_format(&id, arena);
    return ca_certificate_new(&r, arena, e);
}

/* The peer shows the text, whatever it is; here only what has nothing of a key. */
static bool tell_bad_key(const struct ca_settings *s, struct arena *arena, struct error *e) {
    if (s->private_key.len == 0)
        return error_prefix(e, "error generating private key: ");
    bool secret = str_find(s->private_key, STR("PRIVATE KEY"), 0) >= 0;
    struct str shown = secret ? STR("") : str_quote(arena, s->private_key);
    return error_prefix(e, "error generating CA: error parsing private key%s" STR_FMT ": ",
                        secret ? "" : " ", STR_ARG(shown));
}

static bool generate_root(struct ca *ca, struct ca_provider *p, struct arena *arena,
                          struct error *e) {
    if (p->state.private_key.len > 0 && p->state.root_cert.len > 0) {
        return true;
    }
    EVP_PKEY *key = root_key(p, e);
    if (key == NULL) {
        return tell_bad_key(&p->settings, arena, e);
    }
    struct str root = make_root(ca, p, key, arena, e);
    if (root.data != NULL) {
        p->state.private_key = p->state.private_key.len > 0      ? p->state.private_key
                               : p->settings.private_key.len > 0 ? p->settings.private_key
                                                                 : ca_key_pem(key, arena);
        p->state.root_cert = root;
    } else {
        error_prefix(e, "error generating CA: ");
    }
    EVP_PKEY_free(key);
    show_state(p);
    return root.data != NULL && set_state(ca, &p->state, e);
}

static struct str cross_sign(struct ca *ca, struct ca_provider *p, struct str root,
                             struct arena *arena, struct error *e) {
    uint64_t serial;
    EVP_PKEY *key = ca_key_read(p->state.private_key, e);
    struct str pem = STR_NONE;
    if (key != NULL && ca_next_serial(ca, &serial, e)) {
        pem = ca_certificate_cross_sign(root, p->state.root_cert, key, serial, time_now_wall(),
                                        arena, e);
    }
    EVP_PKEY_free(key);
    return pem;
}

/* ---- a secondary's intermediate ---- */

static struct str request(struct ca *ca, struct ca_provider *p, struct arena *arena,
                          struct error *e) {
    struct spiffe_id id = {.kind = SPIFFE_SIGNING, .host = ca_trust_domain(p->cluster_id, arena)};
    struct ca_names names = {.uris = LIST_NEW(arena, struct str, 1)};
    EVP_PKEY *key = ca_key_new(p->settings.key_type, p->settings.key_bits, e);
    if (key == NULL) {
        return STR_NONE;
    }
    LIST_AT(names.uris, struct str, 0) = spiffe_format(&id, arena);
    struct str csr = ca_csr_new(key, ca_common_name(false, STR("consul"), p->cluster_id, arena),
                                &names, true, arena);
    p->state.private_key = ca_key_pem(key, arena);
    EVP_PKEY_free(key);
    return set_state(ca, &p->state, e) ? csr : STR_NONE;
}

/* It must be ours, an authority, and the root's. */
static bool set_intermediate(struct ca *ca, struct ca_provider *p, struct str pem, struct str root,
                             struct arena *arena, struct error *e) {
    (void)arena;
    struct tls_options o = {.certificate = pem, .key = p->state.private_key};
    struct tls_config *pair = tls_config_new(&o, e);
    tls_config_release(pair);
    if (pair == NULL || !ca_certificate_is_signed(pem, root, e)) {
        return false;
    }
    p->state.intermediate_cert = pem;
    p->state.root_cert = root;
    show_state(p);
    return set_state(ca, &p->state, e);
}

/* ---- signing ---- */

static struct str issue(struct ca *ca, const struct ca_provider *p,
                        struct ca_certificate_request *r, struct arena *arena, struct error *e) {
    struct str pem = STR_NONE;
    r->issuer = p->intermediate.len > 0 ? p->intermediate : p->root;
    r->now = time_now_wall();
    r->signer = ca_key_read(p->state.private_key, e);
    if (r->signer != NULL && ca_next_serial(ca, &r->serial, e)) {
        pem = ca_certificate_new(r, arena, e);
    }
    EVP_PKEY_free(r->signer);
    return pem;
}

static struct str sign_leaf(struct ca *ca, struct ca_provider *p, const struct ca_leaf_wish *wish,
                            struct arena *arena, struct error *e) {
    struct ca_certificate_request r = {.kind = CA_LEAF,
                                       .common_name = spiffe_common_name(wish->id, arena),
                                       .names = wish->names,
                                       .key = wish->csr->key,
                                       .ttl = p->settings.leaf_ttl};
    return issue(ca, p, &r, arena, e);
}

static struct str sign_intermediate(struct ca *ca, struct ca_provider *p, const struct ca_csr *csr,
                                    struct arena *arena, struct error *e) {
    struct ca_certificate_request r = {.kind = CA_INTERMEDIATE,
                                       .common_name = csr->common_name,
                                       .names = {.uris = csr->names.uris},
                                       .key = csr->key,
                                       .ttl = p->settings.intermediate_ttl};
    return issue(ca, p, &r, arena, e);
}

const struct ca_provider_kind ca_provider_consul = {
    .name = "consul",
    .root_name = "Consul CA Root Cert",
    .configure = configure,
    .find = find,
    .generate_root = generate_root,
    .cross_sign = cross_sign,
    .request = request,
    .set_intermediate = set_intermediate,
    .sign_leaf = sign_leaf,
    .sign_intermediate = sign_intermediate,
    .forget = forget,
};
