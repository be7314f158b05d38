/* Look-ups of names. See resolve.h. */
#include "net/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

struct resolve {
    struct message message; /* back to the loop */
    struct loop *loop;
    resolve_done *done;
    void *owner;
    pthread_mutex_t mutex; /* guards cancelled; held by the thread while it posts the message */
    bool cancelled;
    struct arena arena;
    char *name;
    struct resolved_address addresses[RESOLVE_ADDRESSES];
    size_t count;
    int code; /* getaddrinfo's; 0: fine */
};

#define REFUSED (-10000) /* in `code`: too many */

static _Atomic int running;

static void resolve_free(struct resolve *r) {
    pthread_mutex_destroy(&r->mutex);
    struct arena arena = r->arena;
    arena_free(&arena);
    mem_free(r);
}

static void tell(struct resolve *r) {
    struct error e = ERROR_IN(&r->arena);
    if (r->code == REFUSED)
        error_set(&e, ERROR_IO, "lookup %s: too many look-ups at a time", r->name);
    else if (r->code == EAI_AGAIN)
        error_set(&e, ERROR_IO, "lookup %s: Temporary failure in name resolution", r->name);
    else if (r->count == 0)
        error_set(&e, ERROR_IO, "lookup %s: no such host", r->name);
    r->done(r->owner, r->addresses, r->count, &e);
}

static void back(struct message *m) {
    struct resolve *r = CONTAINER_OF(m, struct resolve, message);
    pthread_mutex_lock(&r->mutex); /* the thread has let go of it */
    bool cancelled = r->cancelled;
    pthread_mutex_unlock(&r->mutex);
    if (!cancelled)
        tell(r);
    resolve_free(r);
}

static bool known(const struct resolve *r, const struct resolved_address *a) {
    for (size_t i = 0; i < r->count; i++) {
        if (r->addresses[i].len == a->len && memcmp(r->addresses[i].ip, a->ip, a->len) == 0)
            return true;
    }
    return false;
}

static void take(struct resolve *r, const struct addrinfo *info) {
    struct resolved_address a = {.len = 0};
    if (info->ai_family == AF_INET) {
        a.len = 4;
        memcpy(a.ip, &((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr, 4);
    } else if (info->ai_family == AF_INET6) {
        a.len = 16;
        memcpy(a.ip, &((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_addr, 16);
    }
    if (a.len > 0 && r->count < RESOLVE_ADDRESSES && !known(r, &a))
        r->addresses[r->count++] = a;
}

static void *look_up(void *arg) {
    struct resolve *r = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    r->code = getaddrinfo(r->name, NULL, &hints, &found);
    for (struct addrinfo *i = found; r->code == 0 && i != NULL; i = i->ai_next)
        take(r, i);
    if (found != NULL)
        freeaddrinfo(found);
    atomic_fetch_sub(&running, 1);
    pthread_mutex_lock(&r->mutex);
    bool cancelled = r->cancelled;
    if (!cancelled)
        loop_post_reply(r->loop, &r->message);
    pthread_mutex_unlock(&r->mutex);
    if (cancelled)
        resolve_free(r);
    return NULL;
}

static bool thread_start(struct resolve *r) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int code = pthread_create(&thread, &attributes, look_up, r);
    pthread_attr_destroy(&attributes);
    return code == 0;
}

struct resolve *resolve_start(struct loop *l, struct str name, resolve_done *done, void *owner) {
    struct resolve *r = MEM_NEW(struct resolve);
    r->arena = ARENA_INIT;
    r->loop = l;
    r->done = done;
    r->owner = owner;
    r->message.run = back;
    r->name = str_terminated(&r->arena, name);
    pthread_mutex_init(&r->mutex, NULL);
    if (atomic_fetch_add(&running, 1) < RESOLVE_MAX && thread_start(r))
        return r;
    atomic_fetch_sub(&running, 1);
    r->code = REFUSED;
    loop_post_reply(l, &r->message);
    return r;
}

void resolve_cancel(struct resolve *r) {
    pthread_mutex_lock(&r->mutex);
    r->cancelled = true; /* whoever comes last frees it: the thread, or the message */
    pthread_mutex_unlock(&r->mutex);
}

/* ---- addresses ---- */

bool resolve_is_literal(struct str host) {
    char text[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1;
}

struct str resolved_address_text(const struct resolved_address *a, char out[46]) {
    const char *text = inet_ntop(a->len == 4 ? AF_INET : AF_INET6, a->ip, out, 46);
    return str_from(text);
}
