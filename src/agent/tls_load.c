/* See tls_load.h. */
#include "agent/tls_load.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/discover_http.h"
#include "base/mem.h"

#define FILES_MOST 4096 /* below ca_path */

static bool fail(struct error *e, const char *text) {
    return error_set(e, ERROR_INTERNAL, "%s", text);
}

/* ---- authorities ---- */

struct authorities {
    struct arena *arena;
    struct str *texts;
    struct str *names;
    size_t len, cap;
};

static void add_name(struct authorities *a, struct str name) {
    if (a->len == a->cap) {
        a->cap = a->cap == 0 ? 16 : a->cap * 2;
        a->names = mem_resize(a->names, a->cap, sizeof(*a->names));
    }
    a->names[a->len++] = name;
}

static int by_name(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* ftw has no argument for its caller. */
static _Thread_local struct authorities *walked;

static int walk(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info;
    (void)where;
    if (kind == FTW_F && walked->len < FILES_MOST)
        add_name(walked, str_copy(walked->arena, str_from(path)));
    return 0;
}

/* Every file below, in lexical order. */
static bool names_below(struct authorities *a, struct str directory, struct error *e) {
    const char *path = str_terminated(a->arena, directory);
    struct stat info;
    if (lstat(path, &info) != 0)
        return error_set(e, ERROR_INTERNAL, "lstat %s: no such file or directory", path);
    walked = a;
    nftw(path, walk, 16, FTW_PHYS);
    walked = NULL;
    if (a->len == 0)
        return fail(e, "Error loading from CAPath: no CAs found");
    qsort(a->names, a->len, sizeof(*a->names), by_name);
    return true;
}

static bool read_authorities(struct authorities *a, const struct config_tls *t, struct error *e) {
    if (t->ca_file.len > 0)
        add_name(a, t->ca_file);
    else if (t->ca_path.len > 0 && !names_below(a, t->ca_path, e))
        return false;
    a->texts = ARENA_ARRAY(a->arena, struct str, a->len + 1);
    for (size_t i = 0; i < a->len; i++) {
        if (!discover_read_file(a->names[i], &a->texts[i], a->arena, e))
            return error_prefix(e, "Error loading from " STR_FMT ": ", STR_ARG(a->names[i]));
    }
    return true;
}

/* ---- the rest ---- */

static bool read_pair(const struct config_tls *t, struct tls_options *o, struct arena *arena,
                      struct error *e) {
    if (t->cert_file.len == 0 || t->key_file.len == 0)
        return true; /* one alone counts for nothing */
    return (discover_read_file(t->cert_file, &o->certificate, arena, e) &&
            discover_read_file(t->key_file, &o->key, arena, e)) ||
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

static struct tls_config *load(const struct config *c, struct arena *arena,
                               struct authorities *authorities, struct error *e) {
    const struct config_tls *t = &c->tls;
    struct tls_options o = {.suites = t->cipher_suites.items,
                            .suite_count = t->cipher_suites.len,
                            .prefer_server_suites = t->prefer_server_cipher_suites};
    if (!read_pair(t, &o, arena, e) || !read_authorities(authorities, t, e) ||
        !read_version(t->min_version, &o.least, e))
        return NULL;
    o.authorities = (struct tls_pems){authorities->texts, authorities->len};
    struct tls_config *loaded = tls_config_new(&o, e);
    if (loaded == NULL && !str_has_prefix(e->text, STR("Couldn't parse PEM")))
        error_prefix(e, "Failed to load cert/key pair: ");
    return loaded;
}

bool tls_load(const struct config *c, struct secure_settings *out, struct error *e) {
    const struct config_tls *t = &c->tls;
    struct arena arena = ARENA_INIT;
    struct authorities authorities = {.arena = &arena};
    struct tls_config *loaded = load(c, &arena, &authorities, e);
    bool ok = loaded != NULL && check_rules(c, loaded, e);
    mem_free(authorities.names);
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
