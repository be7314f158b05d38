/* What readers depend on and what writers touched. A read collects watch keys in a watch set; a commit
 * publishes the keys that it touched as one immutable, reference-counted list, which the core sends to
 * every thread; each thread keeps its own registry of waiting questions and finds those that match.
 * No locks: a registry belongs to one thread.
 *
 * Matching may wake too often, never too seldom (fsm.md 6.3).
 */
#ifndef PRAETOR_STORE_WATCH_H
#define PRAETOR_STORE_WATCH_H

#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"

enum watch_table { /* what a name is a name of */
    WATCH_ALL,      /* the whole state was replaced (restore) */
    WATCH_KEY,      /* KV key, exact; watching: also "this prefix" with .prefix */
    WATCH_NODE,     /* everything of a node: l(name) */
    WATCH_SERVICE,  /* the index service.<l(name)>: instances, their nodes and checks */
    WATCH_EXTINCTION, /* service_last_extinction and "no such service" reads */
    WATCH_TABLE,    /* a whole table by its index name: "nodes", "services", "sessions"… */
    WATCH_TABLE_COUNT,
};

struct watch_key {
    enum watch_table table;
    bool prefix; /* WATCH_KEY only: every key that starts with name */
    struct str name;
};

/* What one evaluation of a question read. Names are copied into the set's arena. */
struct watch_set {
    struct arena *arena;
    struct watch_key *keys;
    uint32_t len, cap;
};
void watch_set_init(struct watch_set *w, struct arena *arena);
/* Ignores NULL sets and repeats. */
void watch_set_add(struct watch_set *w, enum watch_table table, struct str name);
void watch_set_add_prefix(struct watch_set *w, struct str prefix);

/* What a commit touched. */
struct watch_touched;
struct watch_touched *watch_touched_hold(struct watch_touched *t); /* atomic count */
void watch_touched_release(struct watch_touched *t);
uint64_t watch_touched_version(const struct watch_touched *t);

/* One thread's waiting questions. */
struct watch_registry;
/* Embedded in whatever waits. `wake` runs once; it must register again to wait on. `restored` says that
 * the whole state was replaced: answer at once. */
struct watcher {
    void (*wake)(struct watcher *w, bool restored);
    struct watch_registry *registry; /* NULL: not waiting */
    void *links;                     /* the registry's own */
    uint32_t link_count;
};
struct watch_registry *watch_registry_new(void);
void watch_registry_free(struct watch_registry *r);
void watch_register(struct watch_registry *r, struct watcher *w, const struct watch_set *set);
void watch_unregister(struct watcher *w);
/* Wakes those that match. Returns how many. */
size_t watch_publish(struct watch_registry *r, const struct watch_touched *t);
size_t watch_registry_count(const struct watch_registry *r);

#endif
