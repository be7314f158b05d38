/* See secure.h. */
#include "server/secure.h"

#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"

/* What native connections may speak, in ALPN's wire form. */
#define NATIVE_PROTOCOLS                                                                           \
    "\x11" SECURE_NATIVE_SINGLE "\x0b" SECURE_NATIVE_RAFT "\x10" SECURE_NATIVE_MULTIPLEX           \
    "\x13" SECURE_NATIVE_SNAPSHOT "\x11" SECURE_NATIVE_GOSSIP_AREA                                 \
    "\x18" SECURE_NATIVE_GOSSIP_PACKETS "\x18" SECURE_NATIVE_GOSSIP_STREAM
#define HTTPS_PROTOCOLS                                                                            \
    "\x02"                                                                                         \
    "h2"                                                                                           \
    "\x08"                                                                                         \
    "http/1.1"

#define GRPC_PROTOCOLS                                                                             \
    "\x02"                                                                                         \
    "h2"

struct secure {
    pthread_mutex_t mutex;
    struct tls_config *config;       /* of the files */
    struct tls_config *serve, *dial; /* with what came from servers */
    struct secure_settings settings; /* strings in the arena */
    struct arena arena;
    struct secure_auto automatic; /* in its arena */
    struct arena automatic_arena;
};

/* ---- what is made of files and of what came ---- */

/* The configured one with more authorities, and the automatic pair instead of its own: where
 * `replaces`, or where it has none. */
static struct tls_config *combine(struct tls_config *base, const struct secure_auto *automatic,
                                  bool replaces, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct tls_options o = *tls_config_options(base);
    size_t count = o.authorities.len + automatic->authority_count;
    bool pair = automatic->certificate.len > 0 && (replaces || o.certificate.data == NULL);
    struct tls_config *made;
    if (automatic->authority_count == 0 && !pair) {
        return tls_config_hold(base);
    }
    struct str *all = ARENA_ARRAY(&arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++) {
        all[i] = i < o.authorities.len ? o.authorities.texts[i]
                                       : automatic->authorities[i - o.authorities.len];
    }
    o.authorities = (struct tls_pems){all, count};
    if (pair) {
        o.certificate = automatic->certificate;
        o.key = automatic->key;
    }
    made = tls_config_new(&o, e);
    arena_free(&arena);
    return made;
}

/* Under the mutex. False: neither has changed. */
static bool rebuild(struct secure *s, struct tls_config *base, const struct secure_auto *automatic,
                    struct error *e) {
    struct tls_config *serve = combine(base, automatic, false, e);
    struct tls_config *dial = serve != NULL ? combine(base, automatic, true, e) : NULL;
    if (dial == NULL) {
        tls_config_release(serve);
        return false;
    }
    tls_config_release(s->serve);
    tls_config_release(s->dial);
    s->serve = serve;
    s->dial = dial;
    return true;
}

static void copy_automatic(struct secure_auto *to, const struct secure_auto *from,
                           struct arena *arena) {
    struct str *authorities = ARENA_ARRAY(arena, struct str, from->authority_count + 1);
    for (size_t i = 0; i < from->authority_count; i++) {
        authorities[i] = str_copy(arena, from->authorities[i]);
    }
    *to = *from;
    to->authorities = authorities;
    to->certificate = str_copy(arena, from->certificate);
    to->key = str_copy(arena, from->key);
}

bool secure_set_auto(struct secure *s, const struct secure_auto *automatic, struct error *e) {
    struct arena arena = ARENA_INIT, old;
    struct secure_auto copy;
    copy_automatic(&copy, automatic, &arena);
    pthread_mutex_lock(&s->mutex);
    bool ok = rebuild(s, s->config, &copy, e);
    old = ok ? s->automatic_arena : arena;
    if (ok) {
        s->automatic = copy;
        s->automatic_arena = arena;
    }
    pthread_mutex_unlock(&s->mutex);
    arena_free(&old);
    return ok;
}

struct secure *secure_new(void) {
    struct secure *s = MEM_NEW(struct secure);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    pthread_mutex_init(&s->mutex, NULL);
    s->arena = ARENA_INIT;
    s->settings.domain = STR("consul");
    s->config = tls_config_new(&(struct tls_options){.least = TLS_1_2}, &e);
    ASSERT(s->config != NULL);
    s->serve = tls_config_hold(s->config);
    s->dial = tls_config_hold(s->config);
    arena_free(&arena);
    return s;
}

void secure_free(struct secure *s) {
    if (s == NULL) {
        return;
    }
    tls_config_release(s->config);
    tls_config_release(s->serve);
    tls_config_release(s->dial);
    pthread_mutex_destroy(&s->mutex);
    arena_free(&s->arena);
    arena_free(&s->automatic_arena);
    mem_free(s);
}

void secure_set(struct secure *s, const struct secure_settings *settings) {
    pthread_mutex_lock(&s->mutex);
    struct tls_config *old = s->config;
    struct arena old_arena = s->arena;
    s->arena = ARENA_INIT;
    s->settings = *settings;
    s->settings.domain = str_copy(&s->arena, settings->domain);
    if (settings->config != NULL) {
        struct arena scratch = ARENA_INIT;
        struct error e = ERROR_IN(&scratch);
        s->config = tls_config_hold(settings->config);
        /* What came from servers was usable before, beside other files: it still is. */
        bool rebuilt = rebuild(s, s->config, &s->automatic, &e);
        ASSERT(rebuilt);
        arena_free(&scratch);
    } else {
        old = NULL;
    }
    pthread_mutex_unlock(&s->mutex);
    tls_config_release(old);
    arena_free(&old_arena);
}

struct tls_session *secure_accept(struct secure *s, enum secure_port port) {
    pthread_mutex_lock(&s->mutex);
    bool verify = port == SECURE_RPC_NATIVE ||
                  (port == SECURE_RPC && s->settings.verify_incoming_rpc) ||
                  (port == SECURE_HTTPS && s->settings.verify_incoming_https);
    struct tls_config *config = tls_config_hold(s->serve);
    pthread_mutex_unlock(&s->mutex); /* making a session takes its time: not in line */
    struct tls_session *session =
        tls_session_new(config, verify ? TLS_SERVER_VERIFY : TLS_SERVER, STR_NONE);
    tls_config_release(config);
    if (port == SECURE_RPC_NATIVE) {
        tls_offer(session, STR(NATIVE_PROTOCOLS));
    } else if (port == SECURE_HTTPS) {
        tls_offer(session, STR(HTTPS_PROTOCOLS));
    } else if (port == SECURE_GRPC) {
        tls_offer(session, STR(GRPC_PROTOCOLS));
    }
    return session;
}

struct tls_config *secure_config(struct secure *s) {
    pthread_mutex_lock(&s->mutex);
    struct tls_config *config = tls_config_hold(s->dial);
    pthread_mutex_unlock(&s->mutex);
    return config;
}

bool secure_refuses_clear(struct secure *s) {
    pthread_mutex_lock(&s->mutex);
    bool refuses = s->settings.verify_incoming_rpc;
    pthread_mutex_unlock(&s->mutex);
    return refuses;
}

/* Native connections are verified both ways. */
static bool is_mutual(const struct tls_config *c) {
    return tls_config_has_certificate(c) && tls_config_has_authorities(c);
}

bool secure_is_native(struct secure *s) {
    pthread_mutex_lock(&s->mutex);
    bool native = is_mutual(s->serve);
    pthread_mutex_unlock(&s->mutex);
    return native;
}

/* The name that a server of the datacenter must have; "": any. Under the mutex. */
static struct str server_name(const struct secure *s, struct str datacenter, char out[512]) {
    out[0] = '\0';
    if (s->settings.verify_server_hostname || s->automatic.verify_server_hostname) {
        snprintf(out, 512, "server." STR_FMT "." STR_FMT, STR_ARG(datacenter),
                 STR_ARG(s->settings.domain));
    }
    return str_from(out);
}

struct tls_session *secure_dial(struct secure *s, struct str datacenter) {
    struct tls_session *session = NULL;
    char text[512];
    pthread_mutex_lock(&s->mutex);
    struct str name = server_name(s, datacenter, text);
    if (s->settings.verify_outgoing || s->automatic.dials || name.len > 0) {
        session = tls_session_new(s->dial, TLS_CLIENT, name);
    }
    pthread_mutex_unlock(&s->mutex);
    return session;
}

/* The name is what the gateway forwards by, too. */
static struct tls_session *native_session(const struct secure *s, struct str node,
                                          struct str datacenter) {
    char name[1024];
    bool any = node.len == 0 || str_is(node, "*");
    snprintf(name, sizeof name, STR_FMT "%sserver." STR_FMT "." STR_FMT,
             STR_ARG(any ? STR("") : node), any ? "" : ".", STR_ARG(datacenter),
             STR_ARG(s->settings.domain));
    return tls_session_new(s->dial, TLS_CLIENT, str_from(name));
}

struct tls_session *secure_dial_native(struct secure *s, struct str node, struct str datacenter,
                                       struct str protocol) {
    struct tls_session *session = NULL;
    pthread_mutex_lock(&s->mutex);
    if (is_mutual(s->dial)) {
        session = native_session(s, node, datacenter);
    }
    pthread_mutex_unlock(&s->mutex);
    if (session != NULL) {
        struct buf wire = BUF_INIT;
        buf_add_char(&wire, (char)protocol.len);
        buf_add_str(&wire, protocol);
        tls_propose(session, buf_str(&wire));
        buf_free(&wire);
    }
    return session;
}

struct tls_session *secure_dial_insecure(struct secure *s, struct str datacenter) {
    char text[512];
    pthread_mutex_lock(&s->mutex);
    struct str name = server_name(s, datacenter, text);
    bool blind = !tls_config_has_authorities(s->dial);
    struct tls_session *session =
        tls_session_new(s->dial, blind ? TLS_CLIENT_BLIND : TLS_CLIENT, name);
    pthread_mutex_unlock(&s->mutex);
    return session;
}

bool secure_manual(struct secure *s, struct str **authorities, size_t *count, struct arena *arena) {
    pthread_mutex_lock(&s->mutex);
    const struct tls_pems *all = &tls_config_options(s->config)->authorities;
    *authorities = ARENA_ARRAY(arena, struct str, all->len + 1);
    *count = all->len;
    for (size_t i = 0; i < all->len; i++) {
        (*authorities)[i] = str_copy(arena, all->texts[i]);
    }
    bool names = s->settings.verify_server_hostname;
    pthread_mutex_unlock(&s->mutex);
    return names;
}
