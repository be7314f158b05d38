/* The threads that checks and logins run on, and what is kept of providers from one login to the
 * next. A thread lives as long as there is work; none waits for any. See auth_method.h.
 */
#include "server/auth_method.h"

#include <pthread.h>

#include <openssl/crypto.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/signals.h"
#include "server/auth_jwt.h"
#include "server/auth_kubernetes.h"

#define PROVIDERS_MAX 1024 /* kept; then all are forgotten */

struct auth_methods {
    pthread_mutex_t mutex; /* guards all */
    pthread_cond_t ended;  /* a thread has */
    struct auth_work *first, *last;
    unsigned waiting, threads;
    struct auth_work *running; /* by `next` */
    bool closing;
    struct map providers; /* struct jwt_provider, by the method's name */
};

bool auth_method_type_known(struct str type) {
    return str_is(type, "jwt") || str_is(type, "kubernetes");
}

/* ---- providers ---- */

static void forget_providers(struct auth_methods *a) {
    size_t at = 0;
    void *provider;
    while (map_next(&a->providers, &at, NULL, &provider))
        jwt_provider_release(provider);
    map_free(&a->providers);
    a->providers = MAP_INIT;
}

static void keep_provider(struct auth_methods *a, struct str name, struct jwt_provider *p) {
    if (a->providers.count >= PROVIDERS_MAX)
        forget_providers(a);
    jwt_provider_release(map_put(&a->providers, name, jwt_provider_hold(p)));
}

/* The one for the method as it is now: with another configuration it is another provider. */
static struct jwt_provider *provider_of(struct auth_methods *a, const struct acl_auth_method *m) {
    pthread_mutex_lock(&a->mutex);
    struct jwt_provider *p = map_get(&a->providers, m->name);
    if (p != NULL && value_equal(p->config, m->config)) {
        jwt_provider_hold(p);
    } else {
        p = jwt_provider_new(m);
        keep_provider(a, m->name, p);
    }
    pthread_mutex_unlock(&a->mutex);
    return p;
}

/* ---- one work, on a thread ---- */

/* A check starts from nothing, and what it found is what the logins to come begin with. */
static void run_check(struct auth_work *w, struct error *e) {
    if (str_is(w->method->type, "jwt")) {
        struct jwt_provider *p = jwt_provider_new(w->method);
        if (auth_jwt_check(w, p, e)) {
            pthread_mutex_lock(&w->methods->mutex);
            keep_provider(w->methods, w->method->name, p);
            pthread_mutex_unlock(&w->methods->mutex);
        }
        jwt_provider_release(p);
    } else if (str_is(w->method->type, "kubernetes")) {
        auth_kubernetes_check(w, e);
    } else {
        error_set(e, ERROR_INTERNAL, "Type should be one of: [jwt kubernetes]");
    }
    if (error_is_set(e))
        error_prefix(e, "Invalid Auth Method: ");
}

static void run_verify(struct auth_work *w, struct error *e) {
    if (w->bearer.len > AUTH_BEARER_MAX) {
        error_set(e, ERROR_INTERNAL, "bearer token of more than %zu bytes", AUTH_BEARER_MAX);
    } else if (str_is(w->method->type, "jwt")) {
        struct jwt_provider *p = provider_of(w->methods, w->method);
        auth_jwt_verify(w, p, e);
        jwt_provider_release(p);
    } else if (str_is(w->method->type, "kubernetes")) {
        auth_kubernetes_verify(w, e);
    } else {
        error_set(e, ERROR_INTERNAL, "no auth method validator found for auth method type " STR_FMT,
                  STR_ARG(str_quote(&w->arena, w->method->type)));
    }
}

static void run(struct auth_work *w) {
    if (w->verifies)
        run_verify(w, &w->error);
    else
        run_check(w, &w->error);
    if (error_is_set(&w->error))
        w->error.kind = ERROR_INTERNAL;
}

/* On the loop that wants it. */
static void arrived(struct message *message) {
    struct auth_work *w = CONTAINER_OF(message, struct auth_work, message);
    if (w->cancelled)
        auth_work_free(w);
    else
        w->done(w);
}

static void send_home(struct auth_work *w) {
    w->message.run = arrived;
    loop_post_reply(w->home, &w->message);
}

/* ---- threads ---- */

static struct auth_work *take(struct auth_methods *a) {
    struct auth_work *w = a->first;
    if (w == NULL)
        return NULL;
    a->first = w->next;
    a->last = a->first != NULL ? a->last : NULL;
    a->waiting--;
    w->next = a->running;
    a->running = w;
    return w;
}

static void untake(struct auth_methods *a, struct auth_work *w) {
    struct auth_work **at = &a->running;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

static void *thread_main(void *owner) {
    struct auth_methods *a = owner;
    pthread_setname_np(pthread_self(), "auth");
    pthread_mutex_lock(&a->mutex);
    for (struct auth_work *w; (w = take(a)) != NULL;) {
        pthread_mutex_unlock(&a->mutex);
        if (!atomic_load(&w->stop)) /* it may have waited for long */
            run(w);
        else
            error_set(&w->error, ERROR_INTERNAL, "context canceled");
        pthread_mutex_lock(&a->mutex);
        untake(a, w);
        send_home(w);
    }
    OPENSSL_thread_stop(); /* what it keeps for the thread; nobody waits for the thread itself */
    a->threads--;
    pthread_cond_broadcast(&a->ended);
    pthread_mutex_unlock(&a->mutex);
    return NULL;
}

static bool start_thread(struct auth_methods *a) {
    pthread_t thread;
    sigset_t before;
    signals_block(&before);
    int code = pthread_create(&thread, NULL, thread_main, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return false;
    pthread_detach(thread);
    a->threads++;
    return true;
}

static bool admit(struct auth_methods *a, struct auth_work *w) {
    if (a->closing)
        return error_set(&w->error, ERROR_INTERNAL, "the server is stopping");
    if (a->waiting >= AUTH_WAITING_MAX)
        return error_set(&w->error, ERROR_INTERNAL, "too many logins at a time");
    if (a->threads < AUTH_THREADS && !start_thread(a) && a->threads == 0)
        return error_set(&w->error, ERROR_INTERNAL, "cannot start a thread");
    if (a->last != NULL)
        a->last->next = w;
    else
        a->first = w;
    a->last = w;
    a->waiting++;
    return true;
}

static struct auth_work *begin(struct auth_methods *a, const struct acl_auth_method *m,
                               auth_done *done, void *owner) {
    struct auth_work *w = MEM_NEW(struct auth_work);
    struct acl_auth_method *copy = ARENA_NEW(&w->arena, struct acl_auth_method);
    schema_copy(&acl_auth_method_shape, copy, m, &w->arena);
    w->error = ERROR_IN(&w->arena);
    w->method = copy;
    w->methods = a;
    w->home = loop_current();
    w->done = done;
    w->owner = owner;
    w->deadline = time_now_monotonic() + AUTH_WORK_TIME;
    ASSERT(w->home != NULL);
    return w;
}

static struct auth_work *submit(struct auth_methods *a, struct auth_work *w) {
    pthread_mutex_lock(&a->mutex);
    bool admitted = admit(a, w);
    pthread_mutex_unlock(&a->mutex);
    if (!admitted)
        send_home(w);
    return w;
}

struct auth_work *auth_method_check(struct auth_methods *a, const struct acl_auth_method *m,
                                    auth_done *done, void *owner) {
    return submit(a, begin(a, m, done, owner));
}

struct auth_work *auth_login_verify(struct auth_methods *a, const struct acl_auth_method *m,
                                    struct str bearer, auth_done *done, void *owner) {
    struct auth_work *w = begin(a, m, done, owner);
    w->bearer = str_copy(&w->arena, bearer);
    w->verifies = true;
    return submit(a, w);
}

void auth_work_cancel(struct auth_work *w) {
    w->cancelled = true;
    atomic_store(&w->stop, true);
}

void auth_work_free(struct auth_work *w) {
    struct arena arena = w->arena;
    mem_free(w);
    arena_free(&arena);
}

/* ---- beginning and end ---- */

struct auth_methods *auth_methods_new(void) {
    struct auth_methods *a = MEM_NEW(struct auth_methods);
    pthread_mutex_init(&a->mutex, NULL);
    pthread_cond_init(&a->ended, NULL);
    return a;
}

void auth_methods_stop(struct auth_methods *a) {
    pthread_mutex_lock(&a->mutex);
    a->closing = true;
    for (struct auth_work *w = a->first, *next; w != NULL; w = next) {
        next = w->next;
        error_set(&w->error, ERROR_INTERNAL, "the server is stopping");
        send_home(w);
    }
    a->first = a->last = NULL;
    a->waiting = 0;
    for (struct auth_work *w = a->running; w != NULL; w = w->next)
        atomic_store(&w->stop, true);
    while (a->threads > 0)
        pthread_cond_wait(&a->ended, &a->mutex);
    pthread_mutex_unlock(&a->mutex);
}

void auth_methods_free(struct auth_methods *a) {
    if (a == NULL)
        return;
    auth_methods_stop(a);
    forget_providers(a);
    pthread_cond_destroy(&a->ended);
    pthread_mutex_destroy(&a->mutex);
    mem_free(a);
}
