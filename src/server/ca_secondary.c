/* The authority of a secondary datacenter (connect.md 3.8): the primary's root, and an intermediate
 * of its own that the primary has signed. On the CA's thread. See ca_room.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/agent_tokens.h"
#include "server/ca_certificate.h"
#include "server/ca_room.h"
#include "server/endpoints.h"
#include "server/server_room.h"

#define FIRST_MINUTE MINUTE /* certificates begin a minute before they are made */

static struct ca_root *active_of(const struct indexed_ca_roots *roots) {
    for (uint32_t i = 0; i < roots->roots.len; i++) {
        struct ca_root *root = LIST_AT(roots->roots, struct ca_root *, i);
        if (root != NULL && root->active) {
            return root;
        }
    }
    return NULL;
}

/* Half of its life is over. */
static bool is_old(const struct ca_certificate_info *info) {
    int64_t from = timestamp_to_unix_ns(info->not_before) + FIRST_MINUTE;
    int64_t until = timestamp_to_unix_ns(info->not_after);
    return time_now_wall() > from + (until - from) / 2;
}

static bool needs_intermediate(const struct ca_provider *p, const struct ca_state *state,
                               const struct ca_root *root, struct arena *arena) {
    struct ca_certificate_info info;
    struct error ignored = ERROR_IN(arena);
    return p->state.intermediate_cert.len == 0 ||
           !str_eq(str_trim(p->state.root_cert), str_trim(root->root_cert)) ||
           !ca_certificate_read(p->state.intermediate_cert, &info, arena, &ignored) ||
           is_old(&info) ||
           (state->active != NULL && !str_eq(info.subject_key_id, state->active->signing_key_id));
}

/* The primary signs, if we may ask it. */
static bool fetch_intermediate(struct ca *ca, struct ca_provider *p, const struct ca_root *root,
                               struct arena *arena, struct error *e) {
    struct server *s = ca_server(ca);
    struct ca_sign_request request = {.csr = ca_provider_request(ca, p, arena, e),
                                      .datacenter = s->options.acl.primary_datacenter,
                                      .write.token =
                                          agent_token(s->tokens, AGENT_TOKEN_REPLICATION, arena)};
    if (request.csr.data == NULL) {
        return false;
    }
    struct answer *a = ca_call(ca, &endpoint_connect_ca_sign_intermediate, &request, arena);
    struct str pem = STR_NONE;
    if (a == NULL) {
        error_set(e, ERROR_NO_LEADER, "server is shutting down");
    } else if (error_is_set(&a->error)) {
        error_copy(e, &a->error);
        log_at(LOG_WARN, CA_LOGGER,
               "Primary datacenter refused to sign our intermediate CA "
               "certificate",
               LOG_S("error", e->text));
    } else {
        pem = str_copy(arena, *(const struct str *)a->reply);
    }
    if (a != NULL) {
        answer_release(a);
    }
    return pem.data != NULL && ca_provider_set_intermediate(ca, p, pem, root->root_cert, e);
}

/* The primary's record, with what is ours. */
static struct ca_root *own_record(const struct ca_provider *p, const struct ca_root *root,
                                  struct arena *arena, struct error *e) {
    struct ca_certificate_info info;
    struct ca_root *record = ARENA_NEW(arena, struct ca_root);
    const struct list *theirs = &root->intermediate_certs;
    if (!ca_certificate_read(p->state.intermediate_cert, &info, arena, e)) {
        return NULL;
    }
    *record = *root;
    record->signing_key_id = info.subject_key_id;
    record->intermediate_certs = LIST_NEW(arena, struct str, theirs->len + 1);
    for (uint32_t i = 0; i < theirs->len; i++) {
        LIST_AT(record->intermediate_certs, struct str, i) = LIST_AT(*theirs, struct str, i);
    }
    LIST_AT(record->intermediate_certs, struct str, theirs->len) = p->state.intermediate_cert;
    return record;
}

static bool set_roots(struct ca *ca, const struct ca_state *state, struct ca_configuration *config,
                      struct ca_root *record, struct arena *arena, struct error *e) {
    struct ca_outcome outcome;
    config->cluster_id = record->external_trust_domain;
    config->modify_index = state->config->modify_index;
    struct ca_request request = {.op = STR("set-roots-config"),
                                 .index = state->roots_index,
                                 .roots = ca_rotated(&state->roots, record, arena),
                                 .config = config};
    if (!ca_change(ca, &request, &outcome, e)) {
        return false;
    }
    return !outcome.refused ||
           error_set(e, ERROR_INTERNAL, "could not atomically update roots and config");
}

/* Whether the store has it already. */
static bool is_stored(const struct ca_state *state, const struct ca_root *record) {
    return state->active != NULL && str_eq(state->active->id, record->id) &&
           str_eq(state->active->signing_key_id, record->signing_key_id);
}

/* The provider's state, with an intermediate under the primary's root. */
static struct ca_root *prepare(struct ca *ca, const struct ca_state *state,
                               const struct value *config, const struct ca_root *root,
                               struct arena *arena, struct error *e) {
    struct ca_provider p;
    if (!ca_provider_configure(ca, root->external_trust_domain, config, &p, arena, e)) {
        error_prefix(e, "error configuring provider: ");
        return NULL;
    }
    if (needs_intermediate(&p, state, root, arena) && !fetch_intermediate(ca, &p, root, arena, e)) {
        return NULL;
    }
    return own_record(&p, root, arena, e);
}

bool ca_follow(struct ca *ca, struct ca_configuration *config, struct arena *arena,
               struct error *e) {
    struct ca_state state;
    struct indexed_ca_roots primary;
    if (!ca_first_config(ca, &state, arena, e)) {
        return false;
    }
    const struct ca_root *root = ca_primary_roots(ca, &primary, arena) ? active_of(&primary) : NULL;
    if (root == NULL) {
        return error_set(e, ERROR_INTERNAL, "the primary datacenter has no CA yet");
    }
    const struct ca_configuration *wanted = config != NULL ? config : state.config;
    struct ca_root *record = prepare(ca, &state, wanted->config, root, arena, e);
    /* What was written for the first time has an index now. */
    if (record == NULL || !ca_read(ca, &state, arena, e)) {
        return false;
    }
    if (config == NULL && is_stored(&state, record)) {
        return true;
    }
    struct ca_configuration next = config != NULL ? *config : *state.config;
    bool first = state.active == NULL;
    if (!set_roots(ca, &state, &next, record, arena, e)) {
        return false;
    }
    if (first) {
        log_at(LOG_INFO, CA_LOGGER, "initialized secondary datacenter CA with provider",
               LOG_C("provider", "consul"));
    } else {
        log_at(LOG_INFO, CA_LOGGER, "updated root certificates from primary datacenter");
    }
    return true;
}
