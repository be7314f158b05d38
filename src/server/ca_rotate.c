/* What changes the authority itself: its beginning, a new configuration and with it perhaps a new
 * root, and the end of old roots (connect.md 3.5 to 3.7). On the CA's thread. See ca_room.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/uuid.h"
#include "server/ca_room.h"
#include "server/server_room.h"

/* With an index it is a comparison, whose failing is no error. */
static bool config_set(struct ca *ca, struct ca_configuration *config, struct error *e) {
    struct ca_request request = {.op = STR("set-config"), .config = config};
    return ca_change(ca, &request, NULL, e);
}

static struct list one_root(struct ca_root *root, struct arena *arena) {
    struct list roots = LIST_NEW(arena, struct ca_root *, 1);
    LIST_AT(roots, struct ca_root *, 0) = root;
    return roots;
}

/* ---- the beginning ---- */

static void put_text(struct value *map, const char *key, const char *text, struct arena *arena) {
    if (value_get(map, key) == NULL) {
        value_put(map, str_from(key), value_from_str(str_from(text)), arena);
    }
}

/* What the agent's files say, on defaults. */
static bool first_config(struct ca *ca, struct ca_configuration **out, struct arena *arena,
                         struct error *e) {
    const struct ca_options *o = &ca_server(ca)->options.ca;
    struct ca_configuration *config = ARENA_NEW(arena, struct ca_configuration);
    struct value *map;
    char id[37];
    if (o->config != NULL && o->config->kind == VALUE_MAP) {
        map = value_copy(o->config, arena);
    } else {
        map = ARENA_NEW(arena, struct value);
        *map = value_map();
    }
    const struct value *cluster = value_get(map, "cluster_id");
    uuid_random(id);
    config->cluster_id =
        cluster != NULL && cluster->kind == VALUE_STRING ? cluster->string : str_from(id);
    config->cluster_id = str_copy(arena, config->cluster_id);
    put_text(map, "IntermediateCertTTL", "8760h", arena);
    put_text(map, "LeafCertTTL", "72h", arena);
    put_text(map, "RotationPeriod", "2160h", arena);
    config->provider = o->provider.len > 0 ? o->provider : STR("consul");
    config->config = map;
    *out = config;
    return config_set(ca, config, e);
}

/* Of versions that knew no such lifetime. */
static bool complete_config(struct ca *ca, struct ca_configuration *config, struct arena *arena,
                            struct error *e) {
    if (config->config != NULL && value_get(config->config, "IntermediateCertTTL") != NULL) {
        return true;
    }
    struct value *map = ARENA_NEW(arena, struct value);
    *map = config->config != NULL ? *value_copy(config->config, arena) : value_map();
    put_text(map, "IntermediateCertTTL", "8760h0m0s", arena);
    config->config = map;
    config->modify_index = 0;
    return config_set(ca, config, e);
}

static bool roots_set(struct ca *ca, const struct ca_state *state, struct list roots,
                      struct error *e) {
    struct ca_request request = {
        .op = STR("set-roots"), .index = state->roots_index, .roots = roots};
    return ca_change(ca, &request, NULL, e);
}

/* The same roots, but that this one, of the active one's ID, takes its place. */
static struct list roots_with(const struct ca_state *state, struct ca_root *root,
                              struct arena *arena) {
    struct list roots = LIST_NEW(arena, struct ca_root *, state->roots.len);
    for (uint32_t i = 0; i < roots.len; i++) {
        struct ca_root *old = LIST_AT(state->roots, struct ca_root *, i);
        LIST_AT(roots, struct ca_root *, i) = str_eq(old->id, root->id) ? root : old;
    }
    return roots;
}

/* Who signs leaves under the active root may be another than its record says: that is so in what
 * the peer wrote, which names the root's own key. The record as it should be; the same: it is. */
static struct ca_root *right_record(const struct ca_state *state, const struct ca_provider *p,
                                    struct arena *arena, struct error *e) {
    struct ca_root *root = ARENA_NEW(arena, struct ca_root);
    *root = *state->active;
    if (p->kind->generate_intermediate == NULL) {
        return state->active;
    }
    if (!ca_record_intermediate(root, p->intermediate, arena, e)) {
        return NULL;
    }
    return str_eq(root->signing_key_id, state->active->signing_key_id) ? state->active : root;
}

static bool signer_set(struct ca *ca, const struct ca_state *state, const struct ca_provider *p,
                       struct arena *arena, struct error *e) {
    struct ca_root *root = right_record(state, p, arena, e);
    return root != NULL &&
           (root == state->active || roots_set(ca, state, roots_with(state, root, arena), e));
}

static bool generate_intermediate(struct ca *ca, struct ca_provider *p, struct arena *arena,
                                  struct error *e) {
    return p->kind->generate_intermediate == NULL ||
           p->kind->generate_intermediate(ca, p, arena, e);
}

static bool first_root(struct ca *ca, const struct ca_state *state, struct ca_provider *p,
                       struct arena *arena, struct error *e) {
    struct ca_root *root = ca_provider_root(p, arena, e);
    if (root == NULL) {
        return false;
    }
    if (state->active != NULL && !str_eq(state->active->id, root->id)) {
        return error_set(e, ERROR_INTERNAL,
                         "stored CA root " STR_FMT " is not the active root (" STR_FMT ")",
                         STR_ARG(str_quote(arena, root->id)), STR_ARG(state->active->id));
    }
    if (!generate_intermediate(ca, p, arena, e)) {
        return error_prefix(e, "error generating intermediate cert: ");
    }
    if (state->active != NULL) {
        return signer_set(ca, state, p, arena, e);
    }
    return ca_record_intermediate(root, p->intermediate, arena, e) &&
           roots_set(ca, state, one_root(root, arena), e);
}

bool ca_first_config(struct ca *ca, struct ca_state *state, struct arena *arena, struct error *e) {
    return ca_read(ca, state, arena, e) &&
           (state->config == NULL ? first_config(ca, &state->config, arena, e)
                                  : complete_config(ca, state->config, arena, e)) &&
           ca_provider_kind(state->config->provider, e) != NULL;
}

bool ca_state_keep(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e) {
    struct ca_state state;
    if (!ca_read(ca, &state, arena, e)) {
        return false;
    }
    if (state.config == NULL || !str_is(state.config->provider, p->kind->name)) {
        return true;
    }
    p->created = false;
    if (str_map_equal(&state.config->state, &p->state_shown)) {
        return true;
    }
    state.config->state = p->state_shown;
    state.config->modify_index = 0;
    return config_set(ca, state.config, e);
}

bool ca_initialise(struct ca *ca, struct arena *arena, struct error *e) {
    struct ca_state state;
    struct ca_provider p;
    if (!ca_first_config(ca, &state, arena, e)) {
        return false;
    }
    if (!ca_provider_configure(ca, state.config, &p, arena, e)) {
        return false;
    }
    if (!p.kind->generate_root(ca, &p, arena, e)) {
        return error_prefix(e, "error generating CA root certificate: ");
    }
    if (!ca_state_keep(ca, &p, arena, e)) {
        return false;
    }
    if (!first_root(ca, &state, &p, arena, e)) {
        return false;
    }
    ca_use(ca, &p);
    log_at(LOG_INFO, CA_LOGGER, "initialized primary datacenter CA with provider",
           LOG_C("provider", p.kind->name));
    return true;
}

/* ---- a new configuration ---- */

struct list ca_rotated(const struct list *old, struct ca_root *root, struct arena *arena) {
    struct list roots = LIST_NEW(arena, struct ca_root *, old->len + 1);
    roots.len = 0;
    for (uint32_t i = 0; i < old->len; i++) {
        struct ca_root *copy = ARENA_NEW(arena, struct ca_root);
        *copy = *LIST_AT(*old, struct ca_root *, i);
        if (copy->active) {
            copy->rotated_out_at = timestamp_from_unix_ns(time_now_wall());
        }
        copy->active = false;
        if (!str_eq(copy->id, root->id)) {
            LIST_AT(roots, struct ca_root *, roots.len++) = copy;
        }
    }
    LIST_AT(roots, struct ca_root *, roots.len++) = root;
    return roots;
}

/* Who trusts the old root follows the new one. */
static bool cross_sign(struct ca *ca, const struct ca_state *state,
                       const struct ca_configuration *wanted, struct ca_root *root,
                       struct ca_provider *old, struct arena *arena, struct error *e) {
    if (!ca_provider_find(ca, state, old, arena, e)) {
        return false;
    }
    if (old->settings.disable_cross_signing) {
        return wanted->force_without_cross_signing ||
               error_set(
                   e, ERROR_INTERNAL,
                   "The current CA Provider does not support cross-signing. You can try again "
                   "with ForceWithoutCrossSigningSet but this may cause disruption - see "
                   "documentation for more.");
    }
    struct str pem = old->kind->cross_sign(ca, old, root->root_cert, arena, e);
    if (pem.data == NULL) {
        return false;
    }
    root->intermediate_certs = LIST_NEW(arena, struct str, 1);
    LIST_AT(root->intermediate_certs, struct str, 0) = pem;
    return true;
}

static bool set_both(struct ca *ca, const struct ca_state *state, struct ca_configuration *config,
                     struct list roots, struct error *e) {
    struct ca_outcome outcome;
    config->modify_index = state->config->modify_index;
    struct ca_request request = {.op = STR("set-roots-config"),
                                 .index = state->roots_index,
                                 .roots = roots,
                                 .config = config};
    return ca_change(ca, &request, &outcome, e) &&
           (!outcome.refused ||
            error_set(e, ERROR_INTERNAL, "could not atomically update roots and config"));
}

static bool replace_root(struct ca *ca, const struct ca_state *state,
                         struct ca_configuration *config, struct ca_root *root,
                         struct ca_provider *p, struct arena *arena, struct error *e) {
    struct ca_provider old;
    if (!cross_sign(ca, state, config, root, &old, arena, e) ||
        !generate_intermediate(ca, p, arena, e) ||
        !ca_record_intermediate(root, p->intermediate, arena, e) ||
        !set_both(ca, state, config, ca_rotated(&state->roots, root, arena), e)) {
        return false;
    }
    ca_provider_forget(ca, &old, p, arena);
    log_at(LOG_INFO, CA_LOGGER, "CA rotated to new root under provider",
           LOG_C("provider", p->kind->name));
    return true;
}

/* Under the same root: the place of its intermediate may be a new one. */
static bool keep_root(struct ca *ca, const struct ca_state *state, struct ca_configuration *config,
                      struct ca_provider *p, struct arena *arena, struct error *e) {
    if (!generate_intermediate(ca, p, arena, e)) {
        return false;
    }
    struct ca_root *root = right_record(state, p, arena, e);
    if (root == NULL ||
        !(root == state->active ? config_set(ca, config, e)
                                : set_both(ca, state, config, roots_with(state, root, arena), e))) {
        return false;
    }
    log_at(LOG_INFO, CA_LOGGER, "CA provider config updated");
    return true;
}

/* With the new provider's state begun: what it made alone goes if this fails. */
static bool apply_config(struct ca *ca, const struct ca_state *state,
                         struct ca_configuration *config, struct ca_provider *p,
                         struct arena *arena, struct error *e) {
    if (!p->kind->generate_root(ca, p, arena, e)) {
        return error_prefix(e, "error generating CA root certificate: ");
    }
    struct ca_root *root = ca_provider_root(p, arena, e);
    if (root == NULL) {
        return false;
    }
    config->state = p->state_shown;
    return state->active == NULL || !str_eq(root->id, state->active->id)
               ? replace_root(ca, state, config, root, p, arena, e)
               : keep_root(ca, state, config, p, arena, e);
}

static bool begin_config(struct ca *ca, const struct ca_state *state,
                         struct ca_configuration *config, struct arena *arena, struct error *e) {
    struct ca_provider p;
    if (ca_provider_kind(config->provider, e) == NULL) {
        return false;
    }
    if (!ca_is_primary(ca)) {
        return ca_follow(ca, config, arena, e);
    }
    if (!ca_provider_configure(ca, config, &p, arena, e)) {
        return false;
    }
    if (apply_config(ca, state, config, &p, arena, e)) {
        ca_use(ca, &p);
        return true;
    }
    if (p.created) {
        ca_provider_forget(ca, &p, NULL, arena);
    }
    return false;
}

bool ca_configure(struct ca *ca, const struct ca_configuration *wanted, struct arena *arena,
                  struct error *e) {
    struct ca_state state;
    struct ca_configuration config = *wanted;
    if (!ca_read(ca, &state, arena, e)) {
        return false;
    }
    if (state.config == NULL) {
        return error_set(e, ERROR_INTERNAL, "internal error: CA provider is nil");
    }
    if (config.state.len > 0 && !str_map_equal(&config.state, &state.config->state)) {
        return error_set(e, ERROR_BAD_REQUEST,
                         "Bad request: Provider State is read-only. It must be omitted or "
                         "identical to the current value");
    }
    bool same = str_eq(config.provider, state.config->provider);
    if (same && value_equal(config.config, state.config->config)) {
        return true;
    }
    config.cluster_id = state.config->cluster_id;
    config.state = same ? state.config->state : LIST_NIL;
    return begin_config(ca, &state, &config, arena, e);
}

/* ---- old roots ---- */

static bool is_over(const struct ca_root *root, int64_t keep) {
    return !root->active && timestamp_to_unix_ns(root->rotated_out_at) != INT64_MIN &&
           timestamp_to_unix_ns(root->rotated_out_at) + keep < time_now_wall();
}

bool ca_prune(struct ca *ca, struct arena *arena, struct error *e) {
    struct ca_state state;
    struct ca_settings settings;
    if (!ca_read(ca, &state, arena, e)) {
        return false;
    }
    if (state.config == NULL || state.active == NULL) {
        return true;
    }
    if (!ca_config_read(state.config->provider, state.config->config, &settings, arena, e)) {
        return false;
    }
    struct list kept = LIST_NEW(arena, struct ca_root *, state.roots.len);
    kept.len = 0;
    for (uint32_t i = 0; i < state.roots.len; i++) {
        struct ca_root *root = LIST_AT(state.roots, struct ca_root *, i);
        if (is_over(root, 2 * settings.leaf_ttl)) {
            log_at(LOG_INFO, CA_LOGGER, "pruning old unused root CA", LOG_S("id", root->id));
        } else {
            LIST_AT(kept, struct ca_root *, kept.len++) = root;
        }
    }
    if (kept.len == state.roots.len) {
        return true;
    }
    return roots_set(ca, &state, kept, e);
}

/* ---- a new intermediate ---- */

bool ca_renew_intermediate(struct ca *ca, struct arena *arena, struct error *e) {
    struct ca_state state;
    struct ca_provider p;
    if (!ca_read(ca, &state, arena, e)) {
        return false;
    }
    if (state.active == NULL) {
        return true;
    }
    struct str signer = ca_record_signer(state.active, arena);
    if (signer.len == 0 || !ca_is_old(signer, arena)) {
        return true;
    }
    return ca_provider_find(ca, &state, &p, arena, e) && generate_intermediate(ca, &p, arena, e) &&
           signer_set(ca, &state, &p, arena, e);
}
