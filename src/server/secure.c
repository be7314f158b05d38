/* See secure.h. */
#include "server/secure.h"

#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"

/* What native connections may speak (rpc.md 1). */
#define NATIVE_PROTOCOLS                                                                           \
    "\x11"                                                                                         \
    "consul/rpc-single"                                                                            \
    "\x0b"                                                                                         \
    "consul/raft"                                                                                  \
    "\x10"                                                                                         \
    "consul/rpc-multi"                                                                             \
    "\x13"                                                                                         \
    "consul/rpc-snapshot"
#define HTTPS_PROTOCOLS                                                                            \
    "\x02"                                                                                         \
    "h2"                                                                                           \
    "\x08"                                                                                         \
    "http/1.1"

struct secure {
    pthread_mutex_t mutex;
    struct tls_config *config;
    struct secure_settings settings; /* strings in the arena */
    struct arena arena;
};

struct secure *secure_new(void) {
    struct secure *s = MEM_NEW(struct secure);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    pthread_mutex_init(&s->mutex, NULL);
    s->arena = ARENA_INIT;
    s->settings.domain = STR("consul");
    s->config = tls_config_new(&(struct tls_options){.least = TLS_1_2}, &e);
    ASSERT(s->config != NULL);
    arena_free(&arena);
    return s;
}

void secure_free(struct secure *s) {
    if (s == NULL) {
        return;
    }
    tls_config_release(s->config);
    pthread_mutex_destroy(&s->mutex);
    arena_free(&s->arena);
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
        s->config = tls_config_hold(settings->config);
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
    struct tls_session *session =
        tls_session_new(s->config, verify ? TLS_SERVER_VERIFY : TLS_SERVER, STR_NONE);
    pthread_mutex_unlock(&s->mutex);
    if (port == SECURE_RPC_NATIVE) {
        tls_offer(session, STR(NATIVE_PROTOCOLS));
    } else if (port == SECURE_HTTPS) {
        tls_offer(session, STR(HTTPS_PROTOCOLS));
    }
    return session;
}

struct tls_config *secure_config(struct secure *s) {
    pthread_mutex_lock(&s->mutex);
    struct tls_config *config = tls_config_hold(s->config);
    pthread_mutex_unlock(&s->mutex);
    return config;
}

bool secure_refuses_clear(struct secure *s) {
    pthread_mutex_lock(&s->mutex);
    bool refuses = s->settings.verify_incoming_rpc;
    pthread_mutex_unlock(&s->mutex);
    return refuses;
}

bool secure_is_native(struct secure *s) {
    pthread_mutex_lock(&s->mutex);
    bool native = tls_config_has_certificate(s->config) && tls_config_has_authorities(s->config);
    pthread_mutex_unlock(&s->mutex);
    return native;
}

struct tls_session *secure_dial(struct secure *s, struct str datacenter) {
    struct tls_session *session = NULL;
    char name[512] = "";
    pthread_mutex_lock(&s->mutex);
    const struct secure_settings *now = &s->settings;
    if (now->verify_server_hostname) {
        snprintf(name, sizeof(name), "server." STR_FMT "." STR_FMT, STR_ARG(datacenter),
                 STR_ARG(now->domain));
    }
    if (now->verify_outgoing || now->verify_server_hostname) {
        session = tls_session_new(s->config, TLS_CLIENT, str_from(name));
    }
    pthread_mutex_unlock(&s->mutex);
    return session;
}
