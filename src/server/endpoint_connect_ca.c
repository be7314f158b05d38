/* ConnectCA (rpc.md 6.13, connect.md 3). What takes its time is the authority's own thread's
 * (ca.h); here is what is asked of requests before.
 */
#include "server/endpoint_connect_ca.h"

#include "base/mem.h"
#include "base/random.h"
#include "server/ca_config.h"
#include "server/permit.h"
#include "store/connect.h"

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

bool ca_place(const struct call *c, struct str *datacenter, struct error *e) {
    (void)datacenter;
    return ca_check_enabled(c->server, e);
}

/* ---- roots ---- */

static struct ca_root *shown(const struct ca_root *root, struct arena *arena) {
    struct ca_root *copy = ARENA_NEW(arena, struct ca_root);
    *copy = *root;
    copy->signing_cert = copy->signing_key = STR("");
    copy->rotated_out_at = (struct timestamp){.offset = -1, .present = true};
    return copy;
}

void ca_roots_read(struct store_read *r, struct indexed_ca_roots *out) {
    struct ca_configuration *config = NULL;
    uint64_t config_index = ca_config_get(r, &config);
    out->meta.index = ca_root_list(r, &out->roots);
    if (config_index > out->meta.index) {
        out->meta.index = config_index;
    }
    out->active_root_id = out->trust_domain = STR("");
    if (config != NULL) {
        out->trust_domain = ca_trust_domain(config->cluster_id, r->arena);
    }
    out->roots.present = true;
    for (uint32_t i = 0; i < out->roots.len; i++) {
        struct ca_root *root = shown(LIST_AT(out->roots, struct ca_root *, i), r->arena);
        LIST_AT(out->roots, struct ca_root *, i) = root;
        if (root->active) {
            out->active_root_id = root->id;
        }
    }
}

bool ca_roots_now(struct server *s, struct indexed_ca_roots *out, struct arena *arena,
                  struct error *e) {
    struct store_read read;
    *out = (struct indexed_ca_roots){.meta.consistency_level = STR("")};
    if (!store_read_begin(s->store, &read, arena, NULL, e)) {
        return false;
    }
    ca_roots_read(&read, out);
    store_read_end(&read);
    return true;
}

static bool roots_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    struct indexed_ca_roots *out = reply;
    (void)request;
    if (!ca_check_enabled(c->server, e)) {
        return false;
    }
    ca_roots_read(c->store, out);
    c->meta->index = out->meta.index;
    c->exact = true;
    return true;
}

const struct endpoint endpoint_connect_ca_roots = {
    .name = "ConnectCA.Roots",
    .kind = ENDPOINT_BLOCKING,
    .request = &dc_request_shape,
    ENDPOINT_REPLY(indexed_ca_roots),
    .datacenter = offsetof(struct dc_request, datacenter),
    .options = offsetof(struct dc_request, options),
    .meta = offsetof(struct indexed_ca_roots, meta),
    .token = -1,
    .leaderless = true,
    .read = roots_read,
};

/* ---- the configuration ---- */

static bool configuration_read(struct call_context *c, const void *request, void *reply,
                               struct error *e) {
    struct ca_configuration *config = NULL;
    (void)request;
    if (!permit_operator(c, ACL_WRITE, e)) {
        return false;
    }
    ca_config_get(c->store, &config);
    *(struct ca_configuration *)reply =
        config != NULL ? *config : (struct ca_configuration){.provider = STR("")};
    return true;
}

const struct endpoint endpoint_connect_ca_configuration_get = {
    .name = "ConnectCA.ConfigurationGet",
    .kind = ENDPOINT_READ,
    .request = &dc_request_shape,
    ENDPOINT_REPLY(ca_configuration),
    .datacenter = offsetof(struct dc_request, datacenter),
    .options = offsetof(struct dc_request, options),
    .meta = -1,
    .token = offsetof(struct dc_request, options.token),
    .place = ca_place,
    .read = configuration_read,
};

struct configure_work {
    struct ca_work work;
    struct call *call;
};

static void configure(struct ca *ca, struct ca_work *w, const struct error *e) {
    struct call *c = CONTAINER_OF(w, struct configure_work, work)->call;
    struct answer *a = c->answer;
    const struct ca_request *r = c->request;
    if (error_is_set(e)) {
        error_copy(&a->error, e);
    } else {
        ca_configure(ca, r->config, &a->arena, &a->error);
    }
    call_send_back(c);
}

static void configuration_set(struct call *c) {
    struct answer *a = c->answer;
    const struct ca_request *r = c->request;
    if (!authorizer_may_operator(authorization_may(c->who), ACL_WRITE)) {
        permit_deny(&a->error);
    } else if (r->config == NULL) {
        REFUSE(&a->error, "no configuration given");
    } else {
        struct configure_work *w = ARENA_NEW(&a->arena, struct configure_work);
        w->call = c;
        w->work.run = configure;
        ca_do(c->server->ca, &w->work);
        return;
    }
    call_send_back(c);
}

static const struct type nothing_type = {KIND_ANY, NULL, NULL};

const struct endpoint endpoint_connect_ca_configuration_set = {
    .name = "ConnectCA.ConfigurationSet",
    .kind = ENDPOINT_CORE,
    .request = &ca_request_shape,
    ENDPOINT_REPLY_TYPE(nothing_type, struct value *),
    .datacenter = offsetof(struct ca_request, datacenter),
    .options = -1,
    .meta = -1,
    .token = offsetof(struct ca_request, write.token),
    .place = ca_place,
    .begin = configuration_set,
};

/* ---- leaves ---- */

static void signed_now(struct ca *ca, struct ca_work *work, const struct error *e) {
    struct sign_work *w = CONTAINER_OF(work, struct sign_work, work);
    struct call *c = w->call;
    struct answer *a = c->answer;
    struct issued_cert cert;
    if (error_is_set(e)) {
        error_copy(&a->error, e);
    } else if (ca_sign_leaf(ca, &w->wish, &cert, &a->arena, &a->error)) {
        w->finish(w, &cert, &a->error);
    }
    ca_csr_free(&w->csr);
    call_send_back(c);
}

/* The first URI says whose it will be. */
static bool read_identity(struct sign_work *w, struct str csr, bool agents_only, struct str node,
                          struct arena *arena, struct error *e) {
    if (!ca_csr_read(csr, &w->csr, arena, e)) {
        return false;
    }
    const struct list *uris = &w->csr.names.uris;
    if (uris->len == 0) {
        return REFUSE(e, "SPIFFE ID in CSR must be a service or agent ID");
    }
    if (!spiffe_parse(LIST_AT(*uris, struct str, 0), &w->id, arena, e)) {
        return false;
    }
    if (w->id.kind == SPIFFE_SIGNING || (agents_only && w->id.kind != SPIFFE_AGENT)) {
        return REFUSE(e, agents_only ? "SPIFFE ID is not an Agent ID"
                                     : "SPIFFE ID in CSR must be a service or agent ID");
    }
    return node.len == 0 || str_eq(w->id.name, node) ||
           REFUSE(e,
                  "Spiffe ID agent name (" STR_FMT
                  ") of the certificate signing request is not for the correct node (" STR_FMT ")",
                  STR_ARG(w->id.name), STR_ARG(node));
}

/* agents_only: whoever asks has been found good already, or names the node as his. */
static bool check_permission(const struct sign_work *w, struct error *e) {
    const struct authorizer *may = authorization_may(w->call->who);
    enum acl_resource resource = w->id.kind == SPIFFE_SERVICE ? ACL_SERVICE : ACL_NODE;
    return authorizer_may(may, resource, ACL_WRITE, w->id.name) || permit_deny(e);
}

/* Where an agent does not know the trust domain yet it is given ours. */
static bool check_domain(struct sign_work *w, const struct indexed_ca_roots *roots,
                         struct arena *arena, struct error *e) {
    struct str own = w->call->server->options.datacenter;
    if (w->id.kind == SPIFFE_SERVICE && !str_eq(w->id.datacenter, own)) {
        return REFUSE(e,
                      "SPIFFE ID in CSR from a different datacenter: " STR_FMT ", we are " STR_FMT,
                      STR_ARG(w->id.datacenter), STR_ARG(own));
    }
    if (roots->active_root_id.len == 0) {
        return REFUSE(e, "internal error: CA root is nil");
    }
    if (w->id.kind == SPIFFE_SERVICE && !str_eq_fold(w->id.host, roots->trust_domain)) {
        return REFUSE(
            e, "SPIFFE ID in CSR from a different trust domain: " STR_FMT ", we are " STR_FMT,
            STR_ARG(w->id.host), STR_ARG(roots->trust_domain));
    }
    w->wish = (struct ca_leaf_wish){.csr = &w->csr, .id = &w->id, .names = w->csr.names};
    if (w->id.kind == SPIFFE_AGENT && !str_eq_fold(w->id.host, roots->trust_domain)) {
        w->id.host = roots->trust_domain;
        LIST_AT(w->wish.names.uris, struct str, 0) = spiffe_format(&w->id, arena);
    }
    return true;
}

static bool admit(struct sign_work *w, struct arena *arena, struct error *e) {
    struct server *s = w->call->server;
    struct ca_configuration *config = NULL;
    struct ca_settings settings;
    struct store_read read;
    if (!store_read_begin(s->store, &read, arena, NULL, e)) {
        return false;
    }
    ca_config_get(&read, &config);
    store_read_end(&read);
    return ca_config_read(config != NULL ? config->provider : STR(""),
                          config != NULL ? config->config : NULL, &settings, arena, e) &&
           ca_admit(s->ca, &settings, &w->work, e);
}

void sign_start(struct call *c, struct str csr, bool agents_only, struct str node,
                bool (*finish)(struct sign_work *w, const struct issued_cert *cert,
                               struct error *e),
                void *owner) {
    struct answer *a = c->answer;
    struct sign_work *w = ARENA_NEW(&a->arena, struct sign_work);
    struct indexed_ca_roots roots;
    w->call = c;
    w->finish = finish;
    w->owner = owner;
    w->work.run = signed_now;
    if (read_identity(w, csr, agents_only, node, &a->arena, &a->error) &&
        (node.len > 0 || check_permission(w, &a->error)) &&
        ca_roots_now(c->server, &roots, &a->arena, &a->error) &&
        check_domain(w, &roots, &a->arena, &a->error) && admit(w, &a->arena, &a->error)) {
        ca_do(c->server->ca, &w->work);
        return;
    }
    ca_csr_free(&w->csr);
    call_send_back(c);
}

static bool leaf_signed(struct sign_work *w, const struct issued_cert *cert, struct error *e) {
    (void)e;
    *(struct issued_cert *)w->call->answer->reply = *cert;
    return true;
}

static void sign_begin(struct call *c) {
    const struct ca_sign_request *r = c->request;
    sign_start(c, r->csr, false, STR(""), leaf_signed, NULL);
}

#define SIGNS(wire)                                                                                \
    .name = (wire), .kind = ENDPOINT_CORE, .request = &ca_sign_request_shape,                      \
    .datacenter = offsetof(struct ca_sign_request, datacenter), .options = -1, .meta = -1,         \
    .token = offsetof(struct ca_sign_request, write.token), .place = ca_place

const struct endpoint endpoint_connect_ca_sign = {
    SIGNS("ConnectCA.Sign"),
    ENDPOINT_REPLY(issued_cert),
    .begin = sign_begin,
};

/* ---- intermediates for other datacenters ---- */

static void intermediate_signed(struct ca *ca, struct ca_work *work, const struct error *e) {
    struct sign_work *w = CONTAINER_OF(work, struct sign_work, work);
    struct answer *a = w->call->answer;
    if (error_is_set(e)) {
        error_copy(&a->error, e);
    } else {
        ca_sign_intermediate(ca, &w->csr, a->reply, &a->arena, &a->error);
    }
    ca_csr_free(&w->csr);
    call_send_back(w->call);
}

static bool check_intermediate(struct sign_work *w, struct str csr, struct arena *arena,
                               struct error *e) {
    struct indexed_ca_roots roots;
    const struct server_options *o = &w->call->server->options;
    if (!str_eq(o->datacenter, o->acl.primary_datacenter)) {
        return REFUSE(e, "not the primary datacenter");
    }
    if (!authorizer_may_operator(authorization_may(w->call->who), ACL_WRITE)) {
        return permit_deny(e);
    }
    if (!ca_csr_read(csr, &w->csr, arena, e) || !ca_roots_now(w->call->server, &roots, arena, e)) {
        return false;
    }
    const struct list *uris = &w->csr.names.uris;
    struct str ours = str_format(arena, "spiffe://" STR_FMT, STR_ARG(roots.trust_domain));
    if (uris->len > 1) {
        return REFUSE(e, "incoming CSR has unexpected number of URIs: %u", uris->len);
    }
    return uris->len == 0 || str_eq_fold(LIST_AT(*uris, struct str, 0), ours) ||
           REFUSE(e, "incoming CSR domain " STR_FMT " is not valid for our domain " STR_FMT,
                  STR_ARG(str_quote(arena, LIST_AT(*uris, struct str, 0))),
                  STR_ARG(str_quote(arena, ours)));
}

static void sign_intermediate_begin(struct call *c) {
    const struct ca_sign_request *r = c->request;
    struct answer *a = c->answer;
    struct sign_work *w = ARENA_NEW(&a->arena, struct sign_work);
    w->call = c;
    w->work.run = intermediate_signed;
    if (check_intermediate(w, r->csr, &a->arena, &a->error)) {
        ca_do(c->server->ca, &w->work);
        return;
    }
    ca_csr_free(&w->csr);
    call_send_back(c);
}

const struct endpoint endpoint_connect_ca_sign_intermediate = {
    SIGNS("ConnectCA.SignIntermediate"),
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .begin = sign_intermediate_begin,
};
