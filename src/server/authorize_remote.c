/* See authorize_remote.h. Nobody is asked yet: without the tokens' own store nothing is allowed. */
#include "server/authorize_remote.h"

#include "base/mem.h"

struct remote_tokens {
    struct server_thread *thread;
};

struct remote_tokens *remote_tokens_new(struct server_thread *t) {
    struct remote_tokens *r = MEM_NEW(struct remote_tokens);
    r->thread = t;
    return r;
}

void remote_tokens_close(struct remote_tokens *r) {
    (void)r;
}

void remote_tokens_free(struct remote_tokens *r) {
    mem_free(r);
}

bool remote_tokens_start(struct remote_tokens *r, struct authorize *a) {
    (void)r;
    error_set(&a->error, ERROR_DENIED, "ACL not found");
    return true;
}

void remote_tokens_cancel(struct remote_tokens *r, struct authorize *a) {
    (void)r;
    (void)a;
}

struct authorization *remote_tokens_known(struct remote_tokens *r, struct str secret) {
    (void)r;
    (void)secret;
    return NULL;
}
