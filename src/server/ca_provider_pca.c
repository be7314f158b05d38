/* The provider aws-pca (connect.md 3.12): an authority of Amazon's private CA holds the key, and
 * makes what is asked for, in a while. Which one it is stands in the State of the configuration. On
 * the CA's thread, which waits. See ca_room.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/ca_certificate.h"
#include "server/ca_pca_client.h"
#include "server/ca_room.h"
#include "server/server_room.h"

#define LOGGER "connect.ca.aws"
#define CA_ARN STR("CA_ARN")
#define ARN_LEAST 5
#define ROOT_DAYS 1825
#define AUTHORITY_TIME (2 * MINUTE)    /* that a new authority may take */
#define CERTIFICATE_TIME (45 * SECOND) /* and a certificate */

/* One work with Amazon. */
struct pca_session {
    struct ca *ca;
    struct ca_provider *p;
    struct pca_client client;
    struct pca_fault fault; /* of the last request that was refused */
    struct arena *arena;
};

static bool begin(struct pca_session *s, struct ca *ca, struct ca_provider *p, struct arena *arena,
                  struct error *e) {
    *s = (struct pca_session){.ca = ca, .p = p, .arena = arena};
    return pca_open(&s->client, ca_stopping(ca), arena, e);
}

static bool ask(struct pca_session *s, const char *action, struct str body, struct value *answer,
                struct error *e) {
    return pca_ask(&s->client, action, body, answer, &s->fault, e);
}

/* Before the nth look at what is being made. */
static bool wait_for(struct pca_session *s, unsigned n, struct error *e) {
    static const int64_t steps[] = {100 * MILLISECOND, 200 * MILLISECOND, 500 * MILLISECOND, SECOND,
                                    3 * SECOND,        5 * SECOND};
    return pca_pause(&s->client, steps[n < COUNT_OF(steps) ? n : COUNT_OF(steps) - 1], e);
}

static bool took_too_long(struct pca_session *s, int64_t since, const char *what, struct str arn,
                          struct error *e) {
    struct str time = duration_format(s->arena, time_now_monotonic() - since);
    return error_set(e, ERROR_INTERNAL, "timeout after " STR_FMT " waiting for %s " STR_FMT,
                     STR_ARG(time), what, STR_ARG(arn));
}

static struct str need_text(const struct value *answer, const char *key, struct error *e) {
    struct str text = pca_text(answer, key);
    if (text.len == 0) {
        error_set(e, ERROR_INTERNAL, "answer of the private CA without %s", key);
    }
    return text.len > 0 ? text : STR_NONE;
}

/* ---- the authority ---- */

static struct str state_arn(const struct ca_provider *p) {
    const struct str *arn = str_map_get(&p->state_shown, CA_ARN);
    return arn != NULL ? *arn : STR("");
}

/* The one that is used from now on. */
static void use(struct pca_session *s, struct str arn) {
    struct list state = LIST_NEW(s->arena, struct str_pair, 1);
    LIST_AT(state, struct str_pair, 0) = (struct str_pair){CA_ARN, str_copy(s->arena, arn)};
    s->p->state_shown = state;
}

static bool describe(struct pca_session *s, struct str arn, struct value *answer, struct error *e) {
    if (arn.len < ARN_LEAST) {
        return error_set(e, ERROR_INTERNAL,
                         "InvalidParameter: 1 validation error(s) found.\n- minimum field size of "
                         "%d, DescribeCertificateAuthorityInput.CertificateAuthorityArn.\n",
                         ARN_LEAST);
    }
    return ask(s, "DescribeCertificateAuthority", pca_arn_body(arn, s->arena), answer, e);
}

static bool wait_authority(struct pca_session *s, struct str arn, struct value *answer,
                           struct error *e) {
    int64_t since = time_now_monotonic();
    for (unsigned i = 0;; i++) {
        if (!wait_for(s, i, e) || !describe(s, arn, answer, e)) {
            return false;
        }
        struct str status = pca_status(answer);
        if (str_is(status, "PENDING_CERTIFICATE")) {
            return true;
        }
        if (!str_is(status, "CREATING")) {
            return error_set(e, ERROR_INTERNAL, "the new PCA is not ready: status is " STR_FMT,
                             STR_ARG(status));
        }
        if (time_now_monotonic() - since > AUTHORITY_TIME) {
            return took_too_long(s, since, "Private CA", arn, e);
        }
    }
}

/* Whatever comes of it then, it is known which one was made: they are not cheap. */
static bool create(struct pca_session *s, struct value *answer, struct error *e) {
    struct ca_provider *p = s->p;
    bool primary = ca_is_primary(s->ca);
    struct pca_wish wish = {.is_root = primary,
                            .common_name =
                                ca_common_name(primary, STR("aws"), p->cluster_id, s->arena),
                            .key_type = p->settings.key_type,
                            .key_bits = p->settings.key_bits,
                            .cluster_id = p->cluster_id,
                            .datacenter = ca_server(s->ca)->options.datacenter};
    log_at(LOG_DEBUG, LOGGER, "creating new PCA", LOG_S("common_name", wish.common_name));
    if (!ask(s, "CreateCertificateAuthority", pca_create_body(&wish, s->arena), answer, e)) {
        return false;
    }
    struct str arn = need_text(answer, "CertificateAuthorityArn", e);
    if (arn.data == NULL) {
        return false;
    }
    use(s, arn);
    p->created = true;
    if (!ca_state_keep(s->ca, p, s->arena, e)) {
        return false;
    }
    if (!wait_authority(s, arn, answer, e)) {
        return error_prefix(e, "error waiting for PCA to be created: ");
    }
    log_at(LOG_DEBUG, LOGGER, "new PCA is ready to accept a certificate", LOG_S("pca", arn));
    return true;
}

/* *answer: what is said of it; it has a certificate or waits for one. */
static bool find_authority(struct pca_session *s, struct value *answer, struct error *e) {
    struct str arn = s->p->settings.pca.existing_arn;
    arn = arn.len > 0 ? arn : state_arn(s->p);
    if (arn.len == 0) {
        return create(s, answer, e);
    }
    if (!describe(s, arn, answer, e)) {
        return false;
    }
    struct str status = pca_status(answer);
    if (str_is(status, "CREATING") && str_eq(arn, state_arn(s->p))) { /* ours, of a while ago */
        if (!wait_authority(s, arn, answer, e)) {
            return error_prefix(e, "error waiting for PCA to be created: ");
        }
    } else if (!str_is(status, "ACTIVE") && !str_is(status, "PENDING_CERTIFICATE")) {
        return error_set(e, ERROR_INTERNAL, "the configured PCA is not active: status is " STR_FMT,
                         STR_ARG(status));
    }
    use(s, arn);
    return true;
}

static struct str own_certificate(struct pca_session *s, struct error *e) {
    struct value answer;
    return ask(s, "GetCertificateAuthorityCertificate", pca_arn_body(state_arn(s->p), s->arena),
               &answer, e)
               ? need_text(&answer, "Certificate", e)
               : STR_NONE;
}

static struct str own_request(struct pca_session *s, struct error *e) {
    struct value answer;
    log_at(LOG_DEBUG, LOGGER, "retrieving CSR for PCA", LOG_S("pca", state_arn(s->p)));
    return ask(s, "GetCertificateAuthorityCsr", pca_arn_body(state_arn(s->p), s->arena), &answer, e)
               ? need_text(&answer, "Csr", e)
               : STR_NONE;
}

static bool give_certificate(struct pca_session *s, struct str pem, struct str chain,
                             struct error *e) {
    struct value answer;
    log_at(LOG_DEBUG, LOGGER, "uploading certificate for ARN", LOG_S("arn", state_arn(s->p)));
    return ask(s, "ImportCertificateAuthorityCertificate",
               pca_import_body(state_arn(s->p), pem, chain, s->arena), &answer, e);
}

/* ---- certificates ---- */

static struct str wait_certificate(struct pca_session *s, struct str arn, struct error *e) {
    int64_t since = time_now_monotonic();
    struct value answer;
    for (unsigned i = 0;; i++) {
        if (!wait_for(s, i, e)) {
            return STR_NONE;
        }
        bool there =
            ask(s, "GetCertificate", pca_get_body(state_arn(s->p), arn, s->arena), &answer, e);
        struct str pem = there ? pca_text(&answer, "Certificate") : STR_NONE;
        if (pem.len > 0) {
            return pem;
        }
        if (!there && !str_is(s->fault.kind, "RequestInProgressException")) {
            error_prefix(e, "error retrieving certificate from PCA: ");
            return STR_NONE;
        }
        error_clear(e);
        if (time_now_monotonic() - since > CERTIFICATE_TIME) {
            took_too_long(s, since, "certificate", arn, e);
            return STR_NONE;
        }
    }
}

static struct str issue(struct pca_session *s, struct str csr, const char *template, int64_t days,
                        struct str algorithm, struct error *e) {
    struct value answer;
    struct str body = pca_issue_body(state_arn(s->p), csr, template, days, algorithm, s->arena);
    if (!ask(s, "IssueCertificate", body, &answer, e)) {
        if (str_is(s->fault.kind, "LimitExceededException")) {
            error_set(e, ERROR_INTERNAL, CA_RATE_LIMITED);
        } else {
            error_prefix(e, "error issuing certificate from PCA: ");
        }
        return STR_NONE;
    }
    struct str arn = need_text(&answer, "CertificateArn", e);
    return arn.data != NULL ? wait_certificate(s, arn, e) : STR_NONE;
}

/* It signs by its own key's algorithm, whatever the configuration says of new ones. */
static struct str issue_below(struct ca *ca, struct ca_provider *p, struct str csr,
                              const char *template, int64_t ttl, struct arena *arena,
                              struct error *e) {
    struct pca_session s;
    struct ca_certificate_info info;
    struct str signer = p->intermediate.len > 0 ? p->intermediate : p->root;
    if (!ca_certificate_read(signer, &info, arena, e) || !begin(&s, ca, p, arena, e)) {
        return STR_NONE;
    }
    return issue(&s, csr, template, pca_days(ttl), pca_algorithm(info.key_type), e);
}

static struct str sign_leaf(struct ca *ca, struct ca_provider *p, const struct ca_leaf_wish *wish,
                            struct arena *arena, struct error *e) {
    log_at(LOG_DEBUG, LOGGER, "signing csr for requester",
           LOG_S("requester", wish->csr->common_name));
    return issue_below(ca, p, wish->csr->pem, "EndEntityCertificate", p->settings.leaf_ttl, arena,
                       e);
}

static struct str sign_intermediate(struct ca *ca, struct ca_provider *p, const struct ca_csr *csr,
                                    struct arena *arena, struct error *e) {
    return issue_below(ca, p, csr->pem, "SubordinateCACertificate_PathLen0",
                       p->settings.intermediate_ttl, arena, e);
}

/* ---- the beginning ---- */

/* Nothing is asked before something is needed. */
static bool configure(struct ca *ca, struct ca_provider *p, struct arena *arena, struct error *e) {
    (void)ca, (void)p, (void)arena, (void)e;
    return true;
}

static bool find(struct ca *ca, const struct ca_state *state, struct ca_provider *p,
                 struct arena *arena, struct error *e) {
    (void)e;
    p->root = state->active->root_cert;
    p->intermediate = ca_is_primary(ca) ? STR("") : ca_record_signer(state->active, arena);
    return true;
}

static struct str make_root(struct pca_session *s, const struct value *authority, struct error *e) {
    struct str algorithm = pca_signs_with(authority);
    struct str csr = own_request(s, e);
    if (csr.data == NULL) {
        return STR_NONE;
    }
    algorithm = algorithm.len > 0 ? algorithm : pca_algorithm(s->p->settings.key_type);
    struct str pem = issue(s, csr, "RootCACertificate", ROOT_DAYS, algorithm, e);
    return pem.data != NULL && give_certificate(s, pem, STR(""), e) ? pem : STR_NONE;
}

static bool generate_root(struct ca *ca, struct ca_provider *p, struct arena *arena,
                          struct error *e) {
    struct pca_session s;
    struct value authority;
    if (!begin(&s, ca, p, arena, e) || !find_authority(&s, &authority, e)) {
        return false;
    }
    struct str pem = str_is(pca_status(&authority), "ACTIVE") ? own_certificate(&s, e)
                                                              : make_root(&s, &authority, e);
    p->root = pem.data != NULL ? pem : STR("");
    return pem.data != NULL;
}

/* ---- a secondary's intermediate ---- */

static bool find_intermediate(struct ca *ca, struct ca_provider *p, struct arena *arena,
                              struct error *e) {
    struct pca_session s;
    struct value authority;
    if (!begin(&s, ca, p, arena, e) || !find_authority(&s, &authority, e)) {
        return false;
    }
    if (!str_is(pca_status(&authority), "ACTIVE")) {
        return true;
    }
    struct str pem = own_certificate(&s, e);
    p->intermediate = pem.data != NULL ? pem : STR("");
    return pem.data != NULL;
}

static struct str request(struct ca *ca, struct ca_provider *p, struct arena *arena,
                          struct error *e) {
    struct pca_session s;
    return begin(&s, ca, p, arena, e) ? own_request(&s, e) : STR_NONE;
}

static bool set_intermediate(struct ca *ca, struct ca_provider *p, struct str pem, struct str root,
                             struct arena *arena, struct error *e) {
    struct pca_session s;
    if (!ca_certificate_is_signed(pem, root, e) || !begin(&s, ca, p, arena, e) ||
        !give_certificate(&s, pem, root, e)) {
        return false;
    }
    p->intermediate = pem;
    return true;
}

/* ---- the end ---- */

static bool drop(struct pca_session *s, struct str arn, struct error *e) {
    struct value answer;
    log_at(LOG_INFO, LOGGER, "disabling PCA", LOG_S("pca", arn));
    if (!ask(s, "UpdateCertificateAuthority", pca_disable_body(arn, s->arena), &answer, e)) {
        log_at(LOG_ERROR, LOGGER, "failed to disable PCA", LOG_S("pca", arn),
               LOG_S("error", e->text));
    }
    log_at(LOG_INFO, LOGGER, "deleting PCA", LOG_S("pca", arn));
    return ask(s, "DeleteCertificateAuthority", pca_delete_body(arn, s->arena), &answer, e) ||
           error_prefix(e, "failed to delete PCA: ");
}

/* When that is wanted; and what a configuration made that came to nothing. */
static bool forget(struct ca *ca, struct ca_provider *p, const struct ca_provider *next,
                   struct arena *arena, struct error *e) {
    struct pca_session s;
    struct str arn = state_arn(p);
    bool failed = next == NULL && p->created;
    bool goes_on = next != NULL && next->kind == p->kind && str_eq(state_arn(next), arn);
    if (arn.len == 0 || goes_on || (!failed && !p->settings.pca.delete_on_exit)) {
        return true;
    }
    return begin(&s, ca, p, arena, e) && drop(&s, arn, e);
}

const struct ca_provider_kind ca_provider_pca = {
    .name = "aws-pca",
    .root_name = "Aws-Pca CA Root Cert",
    .configure = configure,
    .find = find,
    .generate_root = generate_root,
    .find_intermediate = find_intermediate,
    .request = request,
    .set_intermediate = set_intermediate,
    .sign_leaf = sign_leaf,
    .sign_intermediate = sign_intermediate,
    .forget = forget,
};
