/* See agent_tokens.h. */
#include "server/agent_tokens.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

struct agent_tokens {
    pthread_mutex_t mutex;
    struct {
        char *bytes;
        size_t len;
    } secrets[AGENT_TOKEN_KINDS];
    atomic_bool some[AGENT_TOKEN_KINDS]; /* every request asks, and mostly there is none */
};

struct agent_tokens *agent_tokens_new(void) {
    struct agent_tokens *t = MEM_NEW(struct agent_tokens);
    pthread_mutex_init(&t->mutex, NULL);
    return t;
}

static void secret_forget(struct agent_tokens *t, enum agent_token_kind kind) {
    if (t->secrets[kind].bytes != NULL) {
        explicit_bzero(t->secrets[kind].bytes, t->secrets[kind].len);
        mem_free(t->secrets[kind].bytes);
    }
    t->secrets[kind].bytes = NULL;
    t->secrets[kind].len = 0;
}

void agent_tokens_free(struct agent_tokens *t) {
    if (t == NULL) {
        return;
    }
    for (int kind = 0; kind < AGENT_TOKEN_KINDS; kind++) {
        secret_forget(t, (enum agent_token_kind)kind);
    }
    pthread_mutex_destroy(&t->mutex);
    mem_free(t);
}

static bool secret_is(const struct agent_tokens *t, enum agent_token_kind kind, struct str secret) {
    return str_eq_secret(str_of(t->secrets[kind].bytes, t->secrets[kind].len), secret);
}

struct str agent_token(struct agent_tokens *t, enum agent_token_kind kind, struct arena *arena) {
    if (!agent_token_is_set(t, kind)) {
        return STR("");
    }
    pthread_mutex_lock(&t->mutex);
    struct str copy = t->secrets[kind].len == 0
                          ? STR("")
                          : str_copy(arena, str_of(t->secrets[kind].bytes, t->secrets[kind].len));
    pthread_mutex_unlock(&t->mutex);
    return copy;
}

bool agent_token_is_set(struct agent_tokens *t, enum agent_token_kind kind) {
    return atomic_load_explicit(&t->some[kind], memory_order_acquire);
}

struct str agent_token_own(struct agent_tokens *t, struct arena *arena) {
    struct str own = agent_token(t, AGENT_TOKEN_AGENT, arena);
    return own.len > 0 ? own : agent_token(t, AGENT_TOKEN_DEFAULT, arena);
}

bool agent_token_set(struct agent_tokens *t, enum agent_token_kind kind, struct str secret) {
    pthread_mutex_lock(&t->mutex);
    bool changed = !secret_is(t, kind, secret);
    if (changed) {
        secret_forget(t, kind);
    }
    if (changed && secret.len > 0) {
        t->secrets[kind].bytes = mem_zalloc(1, secret.len);
        t->secrets[kind].len = secret.len;
        memcpy(t->secrets[kind].bytes, secret.data, secret.len);
    }
    atomic_store_explicit(&t->some[kind], secret.len > 0, memory_order_release);
    pthread_mutex_unlock(&t->mutex);
    return changed;
}

bool agent_token_is_master(struct agent_tokens *t, struct str secret) {
    pthread_mutex_lock(&t->mutex);
    bool is = secret.len > 0 && secret_is(t, AGENT_TOKEN_AGENT_MASTER, secret);
    pthread_mutex_unlock(&t->mutex);
    return is;
}
