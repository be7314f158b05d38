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

bool ca_next_serial(struct ca *ca, uint64_t *serial, struct error *e) {
    struct ca_request request = {.op = STR("increment-provider-serial")};
    struct ca_outcome outcome;
    if (!ca_change(ca, &request, &outcome, e)) {
        return false;
    }
    *serial = outcome.number;
    return true;
}

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
    struct ca_request request = {.op = STR("set-provider-state"), .provider_state = state};
    return ca_change(ca, &request, NULL, e);
}

bool ca_provider_forget(struct ca *ca, struct str state_id, struct error *e) {
    struct ca_consul_provider_state state = {.id = state_id};
    struct ca_request request = {.op = STR("delete-provider-state"), .provider_state = &state};
    return ca_change(ca, &request, NULL, e);
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
    return set_state(ca, &p->state, e) && (found == NULL || ca_provider_forget(ca, old_id, e));
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

bool ca_provider_configure(struct ca *ca, struct str cluster_id, const struct value *config,
                           struct ca_provider *out, struct arena *arena, struct error *e) {
    *out = (struct ca_provider){.cluster_id = cluster_id};
    if (!ca_config_read(config, &out->settings, arena, e) ||
        !ca_config_check(STR("consul"), &out->settings, arena, e)) {
        return false;
    }
    struct str id = id_of(ca, &out->settings, arena), old_id = old_id_of(&out->settings, arena);
    if (!load_state(ca, out, id, old_id, arena, e)) {
        return false;
    }
    log_at(LOG_DEBUG, LOGGER, "consul CA provider configured", LOG_S("id", id),
           LOG_C("is_primary", ca_is_primary(ca) ? "true" : "false"));
    return true;
}

bool ca_provider_find(struct ca *ca, const struct ca_state *state, struct ca_provider *out,
                      struct arena *arena, struct error *e) {
    struct ca_consul_provider_state *found = NULL;
    if (state->config == NULL || state->active == NULL) {
        return error_set(e, ERROR_INTERNAL, "internal error: CA root is nil");
    }
    *out = (struct ca_provider){.cluster_id = state->config->cluster_id};
    if (!ca_config_read(state->config->config, &out->settings, arena, e) ||
        !find_state(ca, id_of(ca, &out->settings, arena), &found, arena, e)) {
        return false;
    }
    if (found == NULL || found->root_cert.len == 0) {
        return error_set(e, ERROR_INTERNAL, "internal error: CA provider is nil");
    }
    out->state = *found;
    return true;
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

bool ca_provider_generate_root(struct ca *ca, struct ca_provider *p, struct arena *arena,
                               struct error *e) {
    if (p->state.private_key.len > 0 && p->state.root_cert.len > 0) {
        return true;
    }
    EVP_PKEY *key = root_key(p, e);
    if (key == NULL) {
        return error_prefix(e, "error generating private key: ");
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
    return root.data != NULL && set_state(ca, &p->state, e);
}

struct ca_root *ca_provider_root(const struct ca_provider *p, struct arena *arena,
                                 struct error *e) {
    struct ca_certificate_info info;
    struct ca_root *root = ARENA_NEW(arena, struct ca_root);
    if (!ca_certificate_read(p->state.root_cert, &info, arena, e)) {
        error_prefix(e, "error parsing root fingerprint: ");
        return NULL;
    }
    *root = (struct ca_root){.active = true,
                             .external_trust_domain = p->cluster_id,
                             .id = info.fingerprint,
                             .name = STR("Consul CA Root Cert"),
                             .not_after = info.not_after,
                             .not_before = info.not_before,
                             .private_key_bits = info.key_bits,
                             .private_key_type = info.key_type,
                             .root_cert = p->state.root_cert,
                             .serial_number = info.serial_number,
                             .signing_key_id = info.subject_key_id};
    return root;
}

struct str ca_provider_cross_sign(struct ca *ca, const struct ca_provider *p, struct str root,
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

struct str ca_provider_request(struct ca *ca, struct ca_provider *p, struct arena *arena,
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
bool ca_provider_set_intermediate(struct ca *ca, struct ca_provider *p, struct str pem,
                                  struct str root, struct error *e) {
    struct tls_options o = {.certificate = pem, .key = p->state.private_key};
    struct tls_config *pair = tls_config_new(&o, e);
    tls_config_release(pair);
    if (pair == NULL || !ca_certificate_is_signed(pem, root, e)) {
        return false;
    }
    p->state.intermediate_cert = pem;
    p->state.root_cert = root;
    return set_state(ca, &p->state, e);
}

/* ---- signing ---- */

static bool current(struct ca *ca, struct ca_state *state, struct ca_provider *p,
                    struct arena *arena, struct error *e) {
    return ca_read(ca, state, arena, e) && ca_provider_find(ca, state, p, arena, e);
}

static bool issue(struct ca *ca, const struct ca_provider *p, struct ca_certificate_request *r,
                  struct str *pem, struct arena *arena, struct error *e) {
    r->issuer =
        p->state.intermediate_cert.len > 0 ? p->state.intermediate_cert : p->state.root_cert;
    r->now = time_now_wall();
    r->signer = ca_key_read(p->state.private_key, e);
    *pem = STR_NONE;
    if (r->signer != NULL && ca_next_serial(ca, &r->serial, e)) {
        *pem = ca_certificate_new(r, arena, e);
    }
    EVP_PKEY_free(r->signer);
    return pem->data != NULL;
}

static void add_pem(struct buf *out, struct str pem) {
    buf_add_str(out, str_trim(pem));
    buf_add_char(out, '\n');
}

/* The leaf, then what leads to roots that were trusted before. */
static struct str with_intermediates(struct str leaf, const struct ca_root *root,
                                     struct arena *arena) {
    struct buf out = BUF_INIT;
    add_pem(&out, leaf);
    for (uint32_t i = 0; i < root->intermediate_certs.len; i++) {
        add_pem(&out, LIST_AT(root->intermediate_certs, struct str, i));
    }
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

static bool describe(struct str leaf, const struct ca_leaf_wish *wish, struct issued_cert *out,
                     struct arena *arena, struct error *e) {
    struct ca_certificate_info info;
    bool service = wish->id->kind == SPIFFE_SERVICE;
    if (!ca_certificate_read(leaf, &info, arena, e)) {
        return false;
    }
    struct str uri = LIST_AT(wish->names.uris, struct str, 0);
    *out = (struct issued_cert){.agent = service ? STR("") : wish->id->name,
                                .agent_uri = service ? STR("") : uri,
                                .serial_number = info.serial,
                                .service = service ? wish->id->name : STR(""),
                                .service_uri = service ? uri : STR(""),
                                .valid_after = info.not_before,
                                .valid_before = info.not_after};
    return true;
}

bool ca_sign_leaf(struct ca *ca, const struct ca_leaf_wish *wish, struct issued_cert *out,
                  struct arena *arena, struct error *e) {
    struct ca_state state;
    struct ca_provider p;
    struct str pem;
    if (!current(ca, &state, &p, arena, e)) {
        return false;
    }
    struct ca_certificate_request r = {.kind = CA_LEAF,
                                       .common_name = spiffe_common_name(wish->id, arena),
                                       .names = wish->names,
                                       .key = wish->csr->key,
                                       .ttl = p.settings.leaf_ttl};
    if (!issue(ca, &p, &r, &pem, arena, e) || !describe(pem, wish, out, arena, e)) {
        return false;
    }
    out->cert_pem = with_intermediates(pem, state.active, arena);
    /* Its index is the certificate's. */
    struct ca_leaf_request entry = {.datacenter = ca_server(ca)->options.datacenter,
                                    .op = STR("increment-index")};
    struct ca_outcome outcome;
    if (!ca_propose(ca, ENTRY_CONNECT_CA_LEAF, &ca_leaf_request_shape, &entry, &outcome, e)) {
        return false;
    }
    out->create_index = out->modify_index = outcome.index;
    return true;
}

bool ca_sign_intermediate(struct ca *ca, const struct ca_csr *csr, struct str *pem,
                          struct arena *arena, struct error *e) {
    struct ca_state state;
    struct ca_provider p;
    if (!current(ca, &state, &p, arena, e)) {
        return false;
    }
    struct ca_certificate_request r = {.kind = CA_INTERMEDIATE,
                                       .common_name = csr->common_name,
                                       .names = {.uris = csr->names.uris},
                                       .key = csr->key,
                                       .ttl = p.settings.intermediate_ttl};
    return issue(ca, &p, &r, pem, arena, e);
}
