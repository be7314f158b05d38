/* See tls_load.h. */
#include "agent/tls_load.h"

#include "base/mem.h"
#include "net/files.h"

static bool fail(struct error *e, const char *text) {
    return error_set(e, ERROR_INTERNAL, "%s", text);
}

/* ---- authorities ---- */

static bool authority_files(const struct config_tls *t, struct str **names, size_t *count,
                            struct arena *arena, struct error *e) {
    *names = ARENA_ARRAY(arena, struct str, 1);
    (*names)[0] = t->ca_file;
    *count = t->ca_file.len > 0 ? 1 : 0;
    if (t->ca_file.len > 0 || t->ca_path.len == 0)
        return true;
    return files_below(t->ca_path, names, count, arena, e) &&
           (*count > 0 || fail(e, "Error loading from CAPath: no CAs found"));
}

static bool read_authorities(const struct config_tls *t, struct tls_pems *out, struct arena *arena,
                             struct error *e) {
    struct str *names;
    size_t count;
    if (!authority_files(t, &names, &count, arena, e))
        return false;
    struct str *texts = ARENA_ARRAY(arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!file_text(names[i], &texts[i], arena, e))
            return error_prefix(e, "Error loading from " STR_FMT ": ", STR_ARG(names[i]));
    }
    *out = (struct tls_pems){texts, count};
    return true;
}

/* ---- the rest ---- */

static bool read_pair(const struct config_tls *t, struct tls_options *o, struct arena *arena,
                      struct error *e) {
    if (t->cert_file.len == 0 || t->key_file.len == 0)
        return true; /* one alone counts for nothing */
    return (file_text(t->cert_file, &o->certificate, arena, e) &&
            file_text(t->key_file, &o->key, arena, e)) ||
           error_prefix(e, "Failed to load cert/key pair: ");
}

static bool read_version(struct str text, enum tls_version *least, struct error *e) {
    static const char *const names[] = {
        [TLS_1_0] = "tls10", [TLS_1_1] = "tls11", [TLS_1_2] = "tls12", [TLS_1_3] = "tls13"};
    *least = TLS_1_0; /* of the empty text (tls.md 9) */
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_is(text, names[i])) {
            *least = (enum tls_version)i;
            return true;
        }
    }
    return text.len == 0 ||
           error_set(e, ERROR_INTERNAL,
                     "TLSMinVersion: value " STR_FMT
                     " not supported, please specify one of [tls10, tls11, tls12, tls13]",
                     STR_ARG(text));
}

/* What the rules ask for must be there (tls.md 11, in this order). */
static bool check_rules(const struct config *c, const struct tls_config *loaded, struct error *e) {
    const struct config_tls *t = &c->tls;
    bool anchors = tls_config_has_authorities(loaded);
    if (!anchors && (t->verify_outgoing || t->verify_server_hostname))
        return fail(e, "VerifyOutgoing set, and no CA certificate provided!");
    if (!t->verify_incoming && !t->verify_incoming_rpc && !t->verify_incoming_https)
        return true;
    if (!anchors)
        return fail(e, "VerifyIncoming set but no CA certificates were provided");
    if (!tls_config_has_certificate(loaded) && !c->auto_encrypt_tls && !c->auto_config.enabled)
        return fail(
            e, "VerifyIncoming requires either a Cert and Key pair in the configuration file, or "
               "auto_encrypt/auto_config be enabled");
    return true;
}

static struct str without_dot(struct str domain) {
    return domain.len > 0 && domain.data[domain.len - 1] == '.' ? str_sub(domain, 0, domain.len - 1)
                                                                : domain;
}

static struct tls_config *load(const struct config *c, struct arena *arena, struct error *e) {
    const struct config_tls *t = &c->tls;
    struct tls_options o = {.suites = t->cipher_suites.items,
                            .suite_count = t->cipher_suites.len,
                            .prefer_server_suites = t->prefer_server_cipher_suites};
    if (!read_pair(t, &o, arena, e) || !read_authorities(t, &o.authorities, arena, e) ||
        !read_version(t->min_version, &o.least, e))
        return NULL;
    struct tls_config *loaded = tls_config_new(&o, e);
    if (loaded == NULL && !str_has_prefix(e->text, STR("Couldn't parse PEM")))
        error_prefix(e, "Failed to load cert/key pair: ");
    return loaded;
}

bool tls_load(const struct config *c, struct secure_settings *out, struct error *e) {
    const struct config_tls *t = &c->tls;
    struct arena arena = ARENA_INIT;
    struct tls_config *loaded = load(c, &arena, e);
    bool ok = loaded != NULL && check_rules(c, loaded, e);
    arena_free(&arena);
    if (!ok) {
        tls_config_release(loaded);
        return false;
    }
    *out = (struct secure_settings){
        .config = loaded,
        .verify_incoming_rpc = t->verify_incoming || t->verify_incoming_rpc,
        .verify_incoming_https = t->verify_incoming || t->verify_incoming_https,
        .verify_outgoing = t->verify_outgoing,
        .verify_server_hostname = t->verify_server_hostname,
        .domain = without_dot(c->dns.domain),
    };
    return true;
}
