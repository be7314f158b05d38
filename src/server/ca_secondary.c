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

static struct ca_root *active_of(const struct indexed_ca_roots *roots) {
    for (uint32_t i = 0; i < roots->roots.len; i++) {
        struct ca_root *root = LIST_AT(roots->roots, struct ca_root *, i);
        if (root != NULL && root->active) {
            return root;
        }
    }
    return NULL;
}

/* Of a provider that knows no root the intermediate tells it. */
static bool is_below(const struct ca_provider *p, const struct ca_root *root, struct arena *arena) {
    struct error ignored = ERROR_IN(arena);
    return p->root.len > 0 ? str_eq(str_trim(p->root), str_trim(root->root_cert))
                           : ca_certificate_is_signed(p->intermediate, root->root_cert, &ignored);
}

static bool needs_intermediate(const struct ca_provider *p, const struct ca_state *state,
                               const struct ca_root *root, struct arena *arena) {
    struct ca_certificate_info info;
    struct error ignored = ERROR_IN(arena);
    return p->intermediate.len == 0 || !is_below(p, root, arena) ||
           !ca_certificate_read(p->intermediate, &info, arena, &ignored) ||
           ca_is_old(p->intermediate, arena) ||
           (state->active != NULL && !str_eq(info.subject_key_id, state->active->signing_key_id));
}

/* The primary signs, if we may ask it. */
static bool fetch_intermediate(struct ca *ca, struct ca_provider *p, const struct ca_root *root,
                               struct arena *arena, struct error *e) {
    struct server *s = ca_server(ca);
    struct ca_sign_request request = {.csr = p->kind->request(ca, p, arena, e),
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
    if (pem.data == NULL) {
        return false;
    }
    return p->kind->set_intermediate(ca, p, pem, root->root_cert, arena, e) ||
           error_prefix(e, "Failed to set the intermediate certificate with the CA provider: ");
}

/* The primary's record, with our intermediate in place of its own, if it has one. */
static struct ca_root *own_record(const struct ca_provider *p, const struct ca_root *root,
                                  struct arena *arena, struct error *e) {
    struct ca_root *record = ARENA_NEW(arena, struct ca_root);
    *record = *root;
    return ca_record_intermediate(record, p->intermediate, arena, e) ? record : NULL;
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

/* The provider's intermediate under the primary's root, and the record with it. */
static struct ca_root *prepare(struct ca *ca, const struct ca_state *state, struct ca_provider *p,
                               const struct ca_root *root, struct arena *arena, struct error *e) {
    if (p->kind->find_intermediate != NULL && !p->kind->find_intermediate(ca, p, arena, e)) {
        return NULL;
    }
    if (needs_intermediate(p, state, root, arena) && !fetch_intermediate(ca, p, root, arena, e)) {
        return NULL;
    }
    return own_record(p, root, arena, e);
}

/* A new configuration that failed leaves nothing behind. */
static bool give_up(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e) {
    if (p->created) {
        ca_provider_forget(ca, p, NULL, arena);
    }
    return error_prefix(e, "Error updating secondary datacenter CA config: ");
}

/* What a provider keeps goes when another one is used. */
static void replace_provider(struct ca *ca, const struct ca_state *before, struct ca_provider *p,
                             struct arena *arena) {
    struct error ignored = ERROR_IN(arena);
    struct ca_provider old;
    if (before->active != NULL && !str_is(before->config->provider, p->kind->name) &&
        ca_provider_find(ca, before, &old, arena, &ignored)) {
        ca_provider_forget(ca, &old, p, arena);
    }
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
    struct ca_configuration wanted = config != NULL ? *config : *state.config;
    wanted.cluster_id = root->external_trust_domain;
    struct ca_provider p;
    if (!ca_provider_configure(ca, &wanted, &p, arena, e)) {
        return false;
    }
    struct ca_root *record = prepare(ca, &state, &p, root, arena, e);
    /* What was written for the first time has an index now. */
    if (record == NULL || !ca_read(ca, &state, arena, e)) {
        return config != NULL && give_up(ca, &p, arena, e);
    }
    ca_use(ca, &p);
    if (config == NULL && is_stored(&state, record)) {
        return true;
    }
    struct ca_configuration next = config != NULL ? *config : *state.config;
    next.state = p.state_shown;
    bool first = state.active == NULL;
    if (!set_roots(ca, &state, &next, record, arena, e)) {
        return false;
    }
    if (config != NULL) {
        replace_provider(ca, &state, &p, arena);
    }
    if (first) {
        log_at(LOG_INFO, CA_LOGGER, "initialized secondary datacenter CA with provider",
               LOG_C("provider", p.kind->name));
    } else {
        log_at(LOG_INFO, CA_LOGGER, "updated root certificates from primary datacenter");
    }
    return true;
}
