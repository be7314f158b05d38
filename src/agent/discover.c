/* Discovery entries: their text, the choice of the provider, and its thread. See discover.h. */
#include "agent/discover.h"

#include <stdio.h>

#include "agent/discover_provider.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

extern const struct discover_provider discover_aws, discover_azure, discover_digitalocean,
    discover_gce, discover_k8s, discover_mdns;
const struct discover_provider *const discover_providers[] = {
    &discover_aws, &discover_azure, &discover_digitalocean,
    &discover_gce, &discover_k8s,   &discover_mdns,
    NULL};

const char *discover_names(void) {
    static char names[256];
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    size_t len = 0;
    names[0] = 0;
    for (size_t i = 0; discover_providers[i] != NULL && len < sizeof(names); i++)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i > 0 ? " " : "",
                                discover_providers[i]->name);
    pthread_mutex_unlock(&mutex);
    return names;
}

bool discover_wanted(struct str entry) {
    return str_find(entry, STR("provider="), 0) >= 0;
}

/* ---- the text ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A quoted text with escapes, at text[*at] == '"'. */
static bool read_quoted(struct str text, size_t *at, struct buf *out, struct str key,
                        struct error *e) {
    for (size_t i = *at + 1; i < text.len; i++) {
        char c = text.data[i];
        if (c == '"') {
            *at = i + 1;
            return true;
        }
        if (c == '\\') {
            if (++i == text.len)
                return error_set(e, ERROR_INTERNAL,
                                 "discover: " STR_FMT ": unterminated escape sequence",
                                 STR_ARG(key));
            c = text.data[i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        buf_add_char(out, c);
    }
    return error_set(e, ERROR_INTERNAL, "discover: " STR_FMT ": unbalanced quotes", STR_ARG(key));
}

static bool read_word(struct str text, size_t *at, struct buf *out, struct str key, bool is_key,
                      struct error *e) {
    if (*at < text.len && text.data[*at] == '"')
        return read_quoted(text, at, out, key, e);
    size_t start = *at;
    while (*at < text.len && !is_blank(text.data[*at]) && text.data[*at] != '=')
        buf_add_char(out, text.data[(*at)++]);
    if (!is_key && *at < text.len && text.data[*at] == '=')
        return error_set(e, ERROR_INTERNAL,
                         "discover: " STR_FMT
                         ": - equals in key's value, enclosing double-quote needed " STR_FMT
                         "=\"value-with-=-symbol\"",
                         STR_ARG(key), STR_ARG(key));
    return is_key || *at > start ||
           error_set(e, ERROR_INTERNAL, "discover: " STR_FMT ": missing value", STR_ARG(key));
}

static bool add_pair(struct discover_keys *out, struct str key, struct str value, struct error *e) {
    for (size_t i = 0; i < out->len; i++) {
        if (str_eq(out->pairs[i].key, key))
            return error_set(e, ERROR_INTERNAL, "discover: " STR_FMT ": duplicate key",
                             STR_ARG(key));
    }
    if (out->len == DISCOVER_KEYS_MAX)
        return error_set(e, ERROR_INTERNAL, "discover: too many keys");
    out->pairs[out->len++] = (struct str_pair){key, value};
    return true;
}

static bool read_pair(struct str text, size_t *at, struct discover_keys *out, struct arena *arena,
                      struct error *e) {
    struct buf word = BUF_INIT;
    struct str key = STR("");
    bool ok = read_word(text, at, &word, key, true, e);
    if (ok) {
        key = word.len > 0 ? str_copy(arena, buf_str(&word)) : STR("");
        ok = (*at < text.len && text.data[*at] == '=') ||
             error_set(e, ERROR_INTERNAL, "discover: " STR_FMT ": missing '='", STR_ARG(key));
    }
    if (ok) {
        (*at)++;
        buf_clear(&word);
        ok = read_word(text, at, &word, key, false, e);
    }
    if (ok)
        ok = add_pair(out, key, word.len > 0 ? str_copy(arena, buf_str(&word)) : STR(""), e);
    buf_free(&word);
    return ok;
}

bool discover_parse(struct str entry, struct discover_keys *out, struct arena *arena,
                    struct error *e) {
    size_t at = 0;
    out->len = 0;
    for (;;) {
        while (at < entry.len && is_blank(entry.data[at]))
            at++;
        if (at == entry.len)
            return true;
        if (!read_pair(entry, &at, out, arena, e))
            return false;
    }
}

struct str discover_key(const struct discover_keys *keys, const char *name) {
    for (size_t i = 0; i < keys->len; i++) {
        if (str_is(keys->pairs[i].key, name))
            return keys->pairs[i].value;
    }
    return STR_NONE;
}

/* ---- the thread ---- */

struct discover {
    struct message message;
    struct loop *loop;
    discover_done *done;
    void *owner;
    pthread_mutex_t mutex; /* guards cancelled; held while the message is posted */
    bool cancelled;
    struct arena arena;
    struct str entry;
    struct list addresses;
    struct error error;
};

static void discover_free(struct discover *d) {
    pthread_mutex_destroy(&d->mutex);
    struct arena arena = d->arena;
    arena_free(&arena);
    mem_free(d);
}

static void back(struct message *m) {
    struct discover *d = CONTAINER_OF(m, struct discover, message);
    pthread_mutex_lock(&d->mutex);
    bool cancelled = d->cancelled;
    pthread_mutex_unlock(&d->mutex);
    if (!cancelled)
        d->done(d->owner, d->addresses.items, d->addresses.len,
                error_is_set(&d->error) ? d->error.text : STR(""));
    discover_free(d);
}

static void find(struct discover *d) {
    struct discover_keys keys;
    if (!discover_parse(d->entry, &keys, &d->arena, &d->error))
        return;
    struct str provider = discover_key(&keys, "provider");
    if (provider.len == 0) {
        error_set(&d->error, ERROR_INTERNAL, "discover: no provider");
        return;
    }
    for (size_t i = 0; discover_providers[i] != NULL; i++) {
        if (str_is(provider, discover_providers[i]->name)) {
            struct str text = str_format(&d->arena, "discover: Using provider " STR_FMT,
                                         STR_ARG(str_quote(&d->arena, provider)));
            log_at(LOG_DEBUG, "agent", text.data);
            if (!discover_providers[i]->find(&keys, &d->arena, &d->addresses, &d->error))
                d->addresses.len = 0;
            return;
        }
    }
    error_set(&d->error, ERROR_INTERNAL, "discover: unknown provider " STR_FMT, STR_ARG(provider));
}

static void *run(void *arg) {
    struct discover *d = arg;
    find(d);
    pthread_mutex_lock(&d->mutex);
    bool cancelled = d->cancelled;
    if (!cancelled)
        loop_post_reply(d->loop, &d->message);
    pthread_mutex_unlock(&d->mutex);
    if (cancelled)
        discover_free(d);
    return NULL;
}

struct discover *discover_start(struct loop *l, struct str entry, discover_done *done,
                                void *owner) {
    struct discover *d = MEM_NEW(struct discover);
    pthread_attr_t attributes;
    pthread_t thread;
    d->arena = ARENA_INIT;
    d->loop = l;
    d->done = done;
    d->owner = owner;
    d->message.run = back;
    d->entry = str_copy(&d->arena, entry);
    d->error = ERROR_IN(&d->arena);
    pthread_mutex_init(&d->mutex, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, run, d) != 0) {
        error_set(&d->error, ERROR_INTERNAL, "discover: no thread can be started");
        loop_post_reply(l, &d->message);
    }
    pthread_attr_destroy(&attributes);
    return d;
}

void discover_cancel(struct discover *d) {
    pthread_mutex_lock(&d->mutex);
    d->cancelled = true; /* whoever comes last frees it: the thread, or the message */
    pthread_mutex_unlock(&d->mutex);
}
