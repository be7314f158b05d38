/* What is common to all providers: which there are, the records of their roots, and what is done
 * with the leaves that they sign. On the CA's thread. See ca_room.h.
 */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/ca_certificate.h"
#include "server/ca_room.h"
#include "server/server_room.h"

#define FIRST_MINUTE MINUTE /* certificates begin a minute before they are made */

/* ---- which ---- */

const struct ca_provider_kind *ca_provider_kind(struct str name, struct error *e) {
    static const struct ca_provider_kind *const kinds[] = {&ca_provider_consul, &ca_provider_vault,
                                                           &ca_provider_pca};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (str_is(name, kinds[i]->name)) {
            return kinds[i];
        }
    }
    error_set(e, ERROR_INTERNAL, "could not initialize provider: unknown CA provider " STR_FMT,
              STR_ARG(str_quote(e->arena, name)));
    return NULL;
}

static bool begin(const struct ca_configuration *config, struct ca_provider *out,
                  struct arena *arena, struct error *e) {
    *out = (struct ca_provider){.kind = ca_provider_kind(config->provider, e),
                                .cluster_id = config->cluster_id,
                                .state_shown = config->state,
                                .root = STR(""),
                                .intermediate = STR("")};
    return out->kind != NULL &&
           ca_config_read(config->provider, config->config, &out->settings, arena, e);
}

bool ca_provider_configure(struct ca *ca, const struct ca_configuration *config,
                           struct ca_provider *out, struct arena *arena, struct error *e) {
    if (ca_provider_kind(config->provider, e) == NULL) {
        return false;
    }
    return (begin(config, out, arena, e) &&
            ca_config_check(config->provider, &out->settings, arena, e) &&
            out->kind->configure(ca, out, arena, e)) ||
           error_prefix(e, "error configuring provider: ");
}

bool ca_provider_find(struct ca *ca, const struct ca_state *state, struct ca_provider *out,
                      struct arena *arena, struct error *e) {
    if (state->config == NULL || state->active == NULL) {
        return error_set(e, ERROR_INTERNAL, "internal error: CA root is nil");
    }
    return begin(state->config, out, arena, e) && out->kind->find(ca, state, out, arena, e);
}

void ca_provider_forget(struct ca *ca, struct ca_provider *p, const struct ca_provider *next,
                        struct arena *arena) {
    struct error e = ERROR_IN(arena);
    if (!p->kind->forget(ca, p, next, arena, &e)) {
        log_at(LOG_WARN, CA_LOGGER, "failed to clean up old provider",
               LOG_C("provider", p->kind->name), LOG_S("error", e.text));
    }
}

bool ca_provider_renew(struct ca *ca, int64_t *lease) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct ca_state state;
    struct ca_provider p;
    bool ok = ca_read(ca, &state, &arena, &e) && ca_provider_find(ca, &state, &p, &arena, &e);
    if (ok && p.kind->renew != NULL) {
        p.lease = *lease;
        ok = p.kind->renew(ca, &p, &arena, &e);
        *lease = p.lease;
    }
    if (!ok && !atomic_load(ca_stopping(ca))) {
        log_at(LOG_ERROR, CA_LOGGER, "failed to renew the lease of the CA provider",
               LOG_S("error", e.text));
    }
    arena_free(&arena);
    return ok;
}

bool ca_next_serial(struct ca *ca, uint64_t *serial, struct error *e) {
    struct ca_request request = {.op = STR("increment-provider-serial")};
    struct ca_outcome outcome;
    if (!ca_change(ca, &request, &outcome, e)) {
        return false;
    }
    *serial = outcome.number;
    return true;
}

/* ---- records of roots ---- */

struct ca_root *ca_provider_root(const struct ca_provider *p, struct arena *arena,
                                 struct error *e) {
    struct ca_certificate_info info;
    struct ca_root *root = ARENA_NEW(arena, struct ca_root);
    if (!ca_certificate_read(p->root, &info, arena, e)) {
        error_prefix(e, "error parsing root fingerprint: ");
        return NULL;
    }
    *root = (struct ca_root){.active = true,
                             .external_trust_domain = p->cluster_id,
                             .id = info.fingerprint,
                             .name = str_from(p->kind->root_name),
                             .not_after = info.not_after,
                             .not_before = info.not_before,
                             .private_key_bits = info.key_bits,
                             .private_key_type = info.key_type,
                             .root_cert = p->root,
                             .serial_number = info.serial_number,
                             .signing_key_id = info.subject_key_id};
    return root;
}

static bool has_key(struct str pem, struct str key_id, struct arena *arena) {
    struct ca_certificate_info info;
    struct error ignored = ERROR_IN(arena);
    return ca_certificate_read(pem, &info, arena, &ignored) && str_eq(info.subject_key_id, key_id);
}

struct str ca_record_signer(const struct ca_root *root, struct arena *arena) {
    for (uint32_t i = 0; i < root->intermediate_certs.len; i++) {
        struct str pem = LIST_AT(root->intermediate_certs, struct str, i);
        if (has_key(pem, root->signing_key_id, arena) &&
            !has_key(root->root_cert, root->signing_key_id, arena)) {
            return pem;
        }
    }
    return STR("");
}

bool ca_record_intermediate(struct ca_root *root, struct str intermediate, struct arena *arena,
                            struct error *e) {
    const struct list old = root->intermediate_certs;
    struct str before = ca_record_signer(root, arena);
    struct ca_certificate_info info;
    if (!ca_certificate_read(intermediate.len > 0 ? intermediate : root->root_cert, &info, arena,
                             e)) {
        return false;
    }
    root->signing_key_id = info.subject_key_id;
    if (intermediate.len == 0 && old.len == 0) {
        return true;
    }
    struct list all = LIST_NEW(arena, struct str, old.len + 1);
    all.len = 0;
    for (uint32_t i = 0; i < old.len; i++) {
        struct str pem = LIST_AT(old, struct str, i);
        if (before.len == 0 || !str_eq(pem, before)) {
            LIST_AT(all, struct str, all.len++) = pem;
        }
    }
    if (intermediate.len > 0) {
        LIST_AT(all, struct str, all.len++) = intermediate;
    }
    root->intermediate_certs = all;
    return true;
}

bool ca_is_old(struct str pem, struct arena *arena) {
    struct ca_certificate_info info;
    struct error ignored = ERROR_IN(arena);
    if (!ca_certificate_read(pem, &info, arena, &ignored)) {
        return true;
    }
    int64_t from = timestamp_to_unix_ns(info.not_before) + FIRST_MINUTE;
    int64_t until = timestamp_to_unix_ns(info.not_after);
    return time_now_wall() > from + (until - from) / 2;
}

/* ---- signing ---- */

static bool current(struct ca *ca, struct ca_state *state, struct ca_provider *p,
                    struct arena *arena, struct error *e) {
    return ca_read(ca, state, arena, e) && ca_provider_find(ca, state, p, arena, e);
}

/* Unless it is there already. */
static void add_pem(struct buf *out, struct str pem) {
    pem = str_trim(pem);
    if (str_find(buf_str(out), pem, 0) < 0) {
        buf_add_str(out, pem);
        buf_add_char(out, '\n');
    }
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
    if (!current(ca, &state, &p, arena, e)) {
        return false;
    }
    struct str pem = p.kind->sign_leaf(ca, &p, wish, arena, e);
    if (pem.data == NULL || !describe(pem, wish, out, arena, e)) {
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
    *pem = p.kind->sign_intermediate(ca, &p, csr, arena, e);
    return pem->data != NULL;
}
