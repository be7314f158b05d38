/* Who the built-in proxy is and whom it believes: the agent's roots and the service's certificate,
 * watched. Connections keep the identity with which they began; new ones get the newest. See
 * proxy.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/proxy.h"
#include "codec/trust.h"

#define ROOTS_MAX 64

static struct tls_config *make_tls(const struct proxy *p, struct error *e) {
    static const struct str suites[] = {
        STR_INIT("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        STR_INIT("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        STR_INIT("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        STR_INIT("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        STR_INIT("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"),
        STR_INIT("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"),
    };
    const struct tls_options options = {
        .authorities = {p->roots, p->root_count},
        .certificate = p->certificate,
        .key = p->key,
        .least = TLS_1_2,
        .suites = suites,
        .suite_count = COUNT_OF(suites),
    };
    return tls_config_new(&options, e);
}

/* The name of the root's subject. */
static struct str root_name(struct str pem, struct arena *arena) {
    char name[256] = "";
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *x = trust_next(bio);
    if (x != NULL)
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof name);
    X509_free(x);
    BIO_free(bio);
    return str_copy(arena, str_from(name));
}

static void log_identity(const struct proxy *p) {
    struct arena scratch = ARENA_INIT;
    struct str *names = ARENA_ARRAY(&scratch, struct str, p->root_count + 1);
    for (size_t i = 0; i < p->root_count; i++)
        names[i] = root_name(p->roots[i], &scratch);
    log_at(LOG_INFO, "proxy", "Parsed TLS identity", LOG_S("uri", p->uri),
           LOG_L("roots", names, p->root_count));
    arena_free(&scratch);
}

/* Once both are known, and whenever one has changed. */
static bool refresh(struct proxy *p, struct error *e) {
    if (p->root_count == 0 || p->certificate.data == NULL)
        return true;
    struct tls_config *made = make_tls(p, e);
    if (made == NULL)
        return false;
    bool first = p->tls == NULL;
    tls_config_release(p->tls);
    p->tls = made;
    if (first)
        log_at(LOG_INFO, "proxy", "Proxy loaded config and ready to serve");
    log_identity(p);
    proxy_listen(p);
    return true;
}

static bool roots_changed(void *owner, const struct value *now, struct arena *arena,
                          struct error *e) {
    struct proxy *p = owner;
    const struct value *roots = value_get(now, "Roots");
    size_t count = roots != NULL ? value_len(roots) : 0;
    (void)arena;
    if (count == 0)
        return error_set(e, ERROR_NOT_FOUND, "no roots");
    if (count > ROOTS_MAX)
        return error_set(e, ERROR_TOO_LARGE, "more than %d roots", ROOTS_MAX);
    arena_free(&p->roots_arena);
    p->roots = ARENA_ARRAY(&p->roots_arena, struct str, count);
    p->root_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct str pem = value_str(&roots->list.items[i], "RootCert");
        if (pem.len > 0)
            p->roots[p->root_count++] = str_copy(&p->roots_arena, pem);
    }
    return refresh(p, e);
}

static void forget_leaf(struct proxy *p) {
    if (p->key.len > 0)
        explicit_bzero((char *)(uintptr_t)p->key.data, p->key.len);
    arena_free(&p->leaf_arena);
    p->certificate = p->key = p->uri = STR_NONE;
}

static bool leaf_changed(void *owner, const struct value *now, struct arena *arena,
                         struct error *e) {
    struct proxy *p = owner;
    struct str certificate = value_str(now, "CertPEM"), key = value_str(now, "PrivateKeyPEM");
    (void)arena;
    if (certificate.len == 0 || key.len == 0)
        return error_set(e, ERROR_NOT_FOUND, "no certificate");
    forget_leaf(p);
    p->certificate = str_copy(&p->leaf_arena, certificate);
    p->key = str_copy(&p->leaf_arena, key);
    p->uri = str_copy(&p->leaf_arena, value_str(now, "ServiceURI"));
    return refresh(p, e);
}

void proxy_identity_watch(struct proxy *p, struct str service) {
    struct arena scratch = ARENA_INIT;
    struct str path = str_format(&scratch, "/v1/agent/connect/ca/leaf/" STR_FMT, STR_ARG(service));
    struct agent_watch_plan roots = {.kind = "connect_roots",
                                     .log = "proxy.connect.watch",
                                     .whose = "service",
                                     .service = service,
                                     .path = STR("/v1/agent/connect/ca/roots"),
                                     .changed = roots_changed,
                                     .owner = p};
    struct agent_watch_plan leaf = {.kind = "connect_leaf",
                                    .log = "proxy.connect.watch",
                                    .whose = "service",
                                    .service = service,
                                    .path = path,
                                    .changed = leaf_changed,
                                    .owner = p};
    proxy_identity_stop(p);
    p->roots_watch = agent_watch_start(p->agent, &roots);
    p->leaf_watch = agent_watch_start(p->agent, &leaf);
    arena_free(&scratch);
}

/* The identity is forgotten too: nobody is served as somebody else. */
void proxy_identity_stop(struct proxy *p) {
    agent_watch_stop(p->roots_watch);
    agent_watch_stop(p->leaf_watch);
    p->roots_watch = p->leaf_watch = NULL;
    forget_leaf(p);
    arena_free(&p->roots_arena);
    p->roots = NULL;
    p->root_count = 0;
    tls_config_release(p->tls);
    p->tls = NULL;
}
