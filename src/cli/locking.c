/* Locks and semaphores: see locking.h. A lock is a key held by a session. A semaphore is a key with
 * the list of its holders, changed by compare-and-set, and one key for each contender, which
 * disappears with the contender's session. Flags mark the keys, so that nobody takes one for the
 * other.
 */
#include "cli/locking.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/kv.h"
#include "codec/json.h"
#include "codec/url.h"

#define LOCK_FLAGS "3304740253564472344"
#define LOCK_FLAGS_NUMBER UINT64_C(0x2ddccbc058a50c18)
#define SEMAPHORE_FLAGS "16210313421097356768"
#define SEMAPHORE_FLAGS_NUMBER UINT64_C(0xe0f69a2baa414de0)
#define SESSION_TTL "15s"
#define RENEW_EVERY (7500 * MILLISECOND)
#define WAIT_MAX (15 * SECOND)
#define LOCK_DELAY_PAUSE (5 * SECOND)
#define MONITOR_PAUSE SECOND

/* "prefix/name" without empty parts: "a/" and "a" are one place, so that all agree on its key. */
static struct str key_below(struct arena *arena, struct str prefix, struct str name) {
    struct str path = url_clean_path(
        str_format(arena, "/" STR_FMT "/" STR_FMT, STR_ARG(prefix), STR_ARG(name)), arena);
    return str_has_prefix(prefix, STR("/")) ? path : str_sub(path, 1, path.len);
}

struct str locking_key(struct arena *arena, struct str prefix) {
    return key_below(arena, prefix, STR(".lock"));
}

static bool is_semaphore(const struct locking *l) {
    return l->limit > 1;
}

static bool interrupted(void) {
    return client_signal() != 0;
}

/* Waits, while calls under way go on. */
static void pause_for(struct locking *l, int64_t ns) {
    int64_t until = time_now_monotonic() + ns;
    while (!interrupted() && time_now_monotonic() < until) {
        client_poll(l->client, -1, until - time_now_monotonic());
        client_wake_drain();
    }
}

/* ---- the session ---- */

static void renew(void *owner) {
    struct locking *l = owner;
    client_set_timer(l->client, time_now_monotonic() + RENEW_EVERY, renew, l);
    if (l->renewal.state != NULL) /* still on its way */
        return;
    arena_free(&l->renewal_arena);
    call_init(&l->renewal, "PUT",
              str_format(&l->renewal_arena, "/v1/session/renew/" STR_FMT, STR_ARG(l->session)));
    client_start(l->client, &l->renewal, &l->renewal_arena);
}

static bool create_session(struct locking *l, struct error *e) {
    struct arena *arena = l->cli->arena;
    struct buf body = BUF_INIT;
    struct json_writer w;
    struct value answer;
    struct call call;
    json_begin(&w, &body, false);
    json_open_object(&w);
    if (is_semaphore(l)) {
        json_key(&w, STR("Behavior"));
        json_str(&w, STR("delete"));
    }
    json_key(&w, STR("Name"));
    json_str(&w, l->session_name);
    json_key(&w, STR("TTL"));
    json_str(&w, STR(SESSION_TTL));
    json_close_object(&w);
    call_init(&call, "PUT", STR("/v1/session/create"));
    call.body = buf_str(&body);
    bool ok = client_json(l->client, &call, &answer, arena, e);
    buf_free(&body);
    if (!ok)
        return error_prefix(e, "failed to create session: ");
    l->session = str_copy(arena, value_str(&answer, "ID"));
    client_set_timer(l->client, time_now_monotonic() + RENEW_EVERY, renew, l);
    return true;
}

static void destroy_session(struct locking *l) {
    struct arena arena = ARENA_INIT;
    struct error ignored = ERROR_IN(&arena);
    struct call call;
    client_set_timer(l->client, 0, NULL, NULL);
    client_cancel(l->client, &l->renewal);
    if (l->session.len == 0)
        return;
    call_init(&call, "PUT",
              str_format(&arena, "/v1/session/destroy/" STR_FMT, STR_ARG(l->session)));
    client_expect(l->client, &call, &arena, &ignored); /* if not, its TTL ends it */
    l->session = STR("");
    arena_free(&arena);
}

/* ---- what both do ---- */

struct snapshot {
    struct kv_pair *pairs;
    size_t count;
    uint64_t index;
};

/* Reads a key or, for a semaphore, all below the prefix; waits for a change of `index` when > 0. */
static bool read_keys(struct locking *l, uint64_t index, int64_t wait, struct snapshot *to,
                      struct arena *arena, struct error *e) {
    struct call call;
    call_init(&call, "GET", kv_path(arena, is_semaphore(l) ? l->prefix : l->key));
    if (is_semaphore(l))
        call_param(&call, "recurse", STR(""));
    if (index > 0)
        call_param(&call, "index", str_format(arena, "%llu", (unsigned long long)index));
    if (wait > 0)
        call_param(&call, "wait", str_format(arena, "%lldms", (long long)(wait / MILLISECOND)));
    bool ok = kv_read_call(l->client, &call, &to->pairs, &to->count, arena, e);
    to->index = call.index;
    return ok;
}

static const struct kv_pair *find_key(const struct snapshot *s, struct str key) {
    for (size_t i = 0; i < s->count; i++) {
        if (str_eq(s->pairs[i].key, key))
            return &s->pairs[i];
    }
    return NULL;
}

static bool put(struct locking *l, struct str key, const char *how, struct str value,
                struct str body, bool *done, struct arena *arena, struct error *e) {
    struct call call;
    if (!kv_key_check(key, e))
        return false;
    call_init(&call, "PUT", kv_path(arena, key));
    call_param(&call, how, value);
    call_param(&call, "flags", is_semaphore(l) ? STR(SEMAPHORE_FLAGS) : STR(LOCK_FLAGS));
    call.body = body;
    return kv_change(l->client, &call, done, arena, e);
}

static bool delete_cas(struct locking *l, struct str key, uint64_t index, bool *done,
                       struct arena *arena, struct error *e) {
    struct call call;
    call_init(&call, "DELETE", kv_path(arena, key));
    call_param(&call, "cas", str_format(arena, "%llu", (unsigned long long)index));
    return kv_change(l->client, &call, done, arena, e);
}

/* ---- a lock's steps ---- */

/* One attempt. OK: held; NOT: by another (or soon after another, *delayed). */
static enum locking_result try_lock(struct locking *l, const struct snapshot *s, bool *delayed,
                                    struct arena *arena, struct error *e) {
    const struct kv_pair *pair = s->count > 0 ? &s->pairs[0] : NULL;
    bool done = false;
    *delayed = false;
    if (pair != NULL && pair->flags != LOCK_FLAGS_NUMBER) {
        error_set(e, ERROR_BAD_REQUEST, "Existing key does not match lock use");
        return LOCKING_FAILED;
    }
    if (pair != NULL && pair->session.len > 0)
        return str_eq(pair->session, l->session) ? LOCKING_OK : LOCKING_NOT;
    if (!put(l, l->key, "acquire", l->session, STR(""), &done, arena, e)) {
        error_prefix(e, "failed to acquire lock: ");
        return LOCKING_FAILED;
    }
    *delayed = !done; /* free, but not to be had: a lock-delay is running */
    return done ? LOCKING_OK : LOCKING_NOT;
}

/* ---- a semaphore's steps ---- */

struct holders {
    uint64_t limit;
    struct str *sessions;
    size_t count;
};

/* The record under the prefix's ".lock"; one that is not there has the local limit and no holders.
 */
static bool decode_holders(struct locking *l, const struct kv_pair *record, struct holders *to,
                           struct arena *arena, struct error *e) {
    struct value v;
    *to = (struct holders){.limit = l->limit};
    if (record == NULL)
        return true;
    if (!json_parse(record->value, &v, NULL, arena, e))
        return error_prefix(e, "lock decoding failed: ");
    to->limit = value_u64(&v, "Limit");
    const struct value *map = value_get(&v, "Holders");
    size_t count = map != NULL && map->kind == VALUE_MAP ? map->map.len : 0;
    to->sessions = ARENA_ARRAY(arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++)
        to->sessions[to->count++] = map->map.pairs[i].key;
    return true;
}

/* The same of a record that may be somebody else's: what a holder itself wrote need not be asked.
 */
static bool read_holders(struct locking *l, const struct kv_pair *record, struct holders *to,
                         struct arena *arena, struct error *e) {
    if (record != NULL && record->flags != SEMAPHORE_FLAGS_NUMBER)
        return error_set(e, ERROR_BAD_REQUEST, "Existing key does not match semaphore use");
    return decode_holders(l, record, to, arena, e);
}

/* Drops holders whose session is gone (then their contender's key has none), and *without. */
static void prune_holders(struct locking *l, struct holders *h, const struct snapshot *s,
                          struct arena *arena) {
    size_t kept = 0;
    for (size_t i = 0; i < h->count; i++) {
        struct str key = key_below(arena, l->prefix, h->sessions[i]);
        const struct kv_pair *contender = find_key(s, key);
        if (contender != NULL && contender->session.len > 0)
            h->sessions[kept++] = h->sessions[i];
    }
    h->count = kept;
}

static bool holds(const struct holders *h, struct str session) {
    for (size_t i = 0; i < h->count; i++) {
        if (str_eq(h->sessions[i], session))
            return true;
    }
    return false;
}

static int compare_sessions(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted, as all clients write it. */
static struct str holders_text(const struct holders *h, struct arena *arena) {
    if (h->count > 0)
        qsort(h->sessions, h->count, sizeof *h->sessions, compare_sessions);
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    json_open_object(&w);
    json_key(&w, STR("Limit"));
    json_u64(&w, h->limit);
    json_key(&w, STR("Holders"));
    json_open_object(&w);
    for (size_t i = 0; i < h->count; i++) {
        json_key(&w, h->sessions[i]);
        json_bool(&w, true);
    }
    json_close_object(&w);
    json_close_object(&w);
    struct str out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

static bool put_holders(struct locking *l, const struct holders *h, uint64_t index, bool *done,
                        struct arena *arena, struct error *e) {
    return put(l, l->key, "cas", str_format(arena, "%llu", (unsigned long long)index),
               holders_text(h, arena), done, arena, e);
}

static enum locking_result try_semaphore(struct locking *l, const struct snapshot *s, bool *again,
                                         struct arena *arena, struct error *e) {
    const struct kv_pair *record = find_key(s, l->key);
    struct holders holders;
    bool done = false;
    *again = false;
    if (!read_holders(l, record, &holders, arena, e))
        return LOCKING_FAILED;
    if (holders.limit != l->limit) {
        error_set(e, ERROR_BAD_REQUEST, "semaphore limit conflict (lock: %llu, local: %llu)",
                  (unsigned long long)holders.limit, (unsigned long long)l->limit);
        return LOCKING_FAILED;
    }
    prune_holders(l, &holders, s, arena);
    if (holders.count >= holders.limit)
        return LOCKING_NOT;
    struct str *more = ARENA_ARRAY(arena, struct str, holders.count + 1);
    if (holders.count > 0)
        memcpy(more, holders.sessions, holders.count * sizeof *more);
    more[holders.count] = l->session;
    holders.sessions = more;
    holders.count++;
    if (!put_holders(l, &holders, record != NULL ? record->modify_index : 0, &done, arena, e)) {
        error_prefix(e, "failed to update lock: ");
        return LOCKING_FAILED;
    }
    *again = !done; /* somebody was quicker: read again at once */
    return done ? LOCKING_OK : LOCKING_NOT;
}

static bool make_contender(struct locking *l, struct error *e) {
    struct arena *arena = l->cli->arena;
    bool done = false;
    l->contender = key_below(arena, l->prefix, l->session);
    bool ok = put(l, l->contender, "acquire", l->session, STR(""), &done, arena, e);
    if (ok && !done) /* refused without a reason: as the peer has it */
        ok = error_set(e, ERROR_INTERNAL, "<nil>");
    return ok || error_prefix(e, "failed to make contender entry: ");
}

/* ---- acquiring ---- */

static void start_watch(struct locking *l);

static enum locking_result acquire_loop(struct locking *l, struct error *e) {
    int64_t until = l->timeout > 0 ? time_now_monotonic() + l->timeout : 0;
    uint64_t index = 0;
    for (;;) {
        int64_t wait = WAIT_MAX;
        if (until > 0) {
            wait = until - time_now_monotonic();
            if (wait <= 0)
                return LOCKING_NOT;
        }
        struct arena arena = ARENA_INIT;
        struct snapshot s = {NULL, 0, 0};
        struct error why = ERROR_IN(&arena);
        bool odd = false;
        enum locking_result result = LOCKING_FAILED;
        if (!read_keys(l, index, wait > MILLISECOND ? wait : MILLISECOND, &s, &arena, &why))
            error_prefix(&why,
                         is_semaphore(l) ? "failed to read prefix: " : "failed to read lock: ");
        else if (is_semaphore(l))
            result = try_semaphore(l, &s, &odd, &arena, &why);
        else
            result = try_lock(l, &s, &odd, &arena, &why);
        if (result == LOCKING_FAILED && !interrupted())
            error_copy(e, &why);
        index = odd ? 0 : s.index;
        arena_free(&arena);
        if (interrupted())
            return LOCKING_NOT;
        if (result != LOCKING_NOT)
            return result;
        if (odd && !is_semaphore(l))
            pause_for(l, LOCK_DELAY_PAUSE);
    }
}

enum locking_result locking_acquire(struct locking *l, struct error *e) {
    l->key = locking_key(l->cli->arena, l->prefix);
    if (!create_session(l, e) || (is_semaphore(l) && !make_contender(l, e)))
        return interrupted() ? LOCKING_NOT : LOCKING_FAILED;
    enum locking_result result = acquire_loop(l, e);
    if (result == LOCKING_OK)
        start_watch(l);
    return result;
}

/* ---- monitoring ---- */

static void start_watch(struct locking *l) {
    arena_free(&l->watch_arena);
    call_init(&l->watch, "GET", kv_path(&l->watch_arena, is_semaphore(l) ? l->prefix : l->key));
    if (is_semaphore(l))
        call_param(&l->watch, "recurse", STR(""));
    call_param(&l->watch, "consistent", STR(""));
    if (l->watch_index > 0)
        call_param(&l->watch, "index",
                   str_format(&l->watch_arena, "%llu", (unsigned long long)l->watch_index));
    l->watching = true;
    l->retry_at = 0;
    client_start(l->client, &l->watch, &l->watch_arena);
}

static bool still_held(struct locking *l, const struct snapshot *s, struct arena *arena) {
    struct error ignored = ERROR_IN(arena);
    const struct kv_pair *record = find_key(s, l->key);
    struct holders holders;
    if (!is_semaphore(l))
        return record != NULL && str_eq(record->session, l->session);
    if (!read_holders(l, record, &holders, arena, &ignored))
        return false;
    prune_holders(l, &holders, s, arena);
    return holds(&holders, l->session);
}

void locking_step(struct locking *l) {
    if (l->lost)
        return;
    if (!l->watching) {
        if (time_now_monotonic() >= l->retry_at)
            start_watch(l);
        return;
    }
    if (!l->watch.done)
        return;
    l->watching = false;
    bool server_failed = l->watch.failed || (l->watch.status >= 500 && l->watch.status < 600);
    if (server_failed && l->failures < l->monitor_retry) {
        l->failures++;
        l->watch_index = 0;
        l->retry_at = time_now_monotonic() + MONITOR_PAUSE;
        return;
    }
    struct error ignored = ERROR_IN(&l->watch_arena);
    struct snapshot s = {NULL, 0, l->watch.index};
    if (!kv_read_answer(&l->watch, &s.pairs, &s.count, &l->watch_arena, &ignored) ||
        !still_held(l, &s, &l->watch_arena)) {
        l->lost = true;
        return;
    }
    l->failures = 0;
    l->watch_index = s.index;
    start_watch(l);
}

int64_t locking_patience(const struct locking *l) {
    if (l->lost || l->watching || l->retry_at == 0)
        return -1;
    int64_t left = l->retry_at - time_now_monotonic();
    return left > 0 ? left : 0;
}

/* ---- giving up ---- */

static bool release_lock(struct locking *l, struct arena *arena, struct error *e) {
    bool done = false;
    if (!put(l, l->key, "release", l->session, STR(""), &done, arena, e))
        return error_prefix(e, "failed to release lock: ");
    return true;
}

/* Takes this session off the record; tried again while others change it. */
static bool release_semaphore(struct locking *l, struct arena *arena, struct error *e) {
    for (bool done = false; !done;) {
        struct kv_pair *pair = NULL;
        struct holders holders;
        size_t count = 0, kept = 0;
        if (!kv_read(l->client, l->key, false, false, &pair, &count, arena, e) ||
            !decode_holders(l, count > 0 ? pair : NULL, &holders, arena, e))
            return false;
        if (count == 0 || !holds(&holders, l->session))
            break;
        for (size_t i = 0; i < holders.count; i++) {
            if (!str_eq(holders.sessions[i], l->session))
                holders.sessions[kept++] = holders.sessions[i];
        }
        holders.count = kept;
        if (!put_holders(l, &holders, pair->modify_index, &done, arena, e))
            return error_prefix(e, "failed to update lock: ");
    }
    struct call call;
    call_init(&call, "DELETE", kv_path(arena, l->contender));
    return client_expect(l->client, &call, arena, e);
}

bool locking_release(struct locking *l, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct error why = ERROR_IN(&arena);
    client_cancel(l->client, &l->watch);
    l->watching = false;
    bool ok = is_semaphore(l) ? release_semaphore(l, &arena, &why) : release_lock(l, &arena, &why);
    destroy_session(l);
    if (!ok)
        error_copy(e, &why);
    arena_free(&arena);
    return ok;
}

enum locking_result locking_clean_up(struct locking *l, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct error why = ERROR_IN(&arena);
    struct snapshot s = {NULL, 0, 0};
    struct holders holders = {0, NULL, 0};
    enum locking_result result = LOCKING_OK;
    bool done = true;
    bool ok = read_keys(l, 0, 0, &s, &arena, &why);
    const struct kv_pair *record = ok ? find_key(&s, l->key) : NULL;
    if (ok && record != NULL && is_semaphore(l)) {
        ok = read_holders(l, record, &holders, &arena, &why);
        prune_holders(l, &holders, &s, &arena);
    } else if (ok && record != NULL && record->flags != LOCK_FLAGS_NUMBER) {
        ok = error_set(&why, ERROR_BAD_REQUEST, "Existing key does not match lock use");
    }
    if (ok && record != NULL && (record->session.len > 0 || holders.count > 0))
        result = LOCKING_NOT;
    else if (ok && record != NULL)
        ok = delete_cas(l, l->key, record->modify_index, &done, &arena, &why);
    if (!ok) {
        error_copy(e, &why);
        result = LOCKING_FAILED;
    } else if (!done) {
        result = LOCKING_NOT;
    }
    arena_free(&arena);
    return result;
}

void locking_end(struct locking *l) {
    client_signal_clear();
    client_cancel(l->client, &l->watch);
    destroy_session(l);
    arena_free(&l->watch_arena);
    arena_free(&l->renewal_arena);
}
