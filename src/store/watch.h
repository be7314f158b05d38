/* What readers depend on and what writers touched. A read collects watch keys in a watch set; a
 * commit publishes the keys that it touched as one immutable, reference-counted list, which the
 * core sends to every thread; each thread keeps its own registry of waiting questions and finds
 * those that match. No locks: a registry belongs to one thread.
 *
 * Matching may wake too often, never too seldom (fsm.md 6.3): whenever anything changes that an
 * answer shows, its watch set is touched, also where no index tells of it. The index that goes with
 * an answer may grow without that only where it is that of a table which is not watched
 * (fsm.md 6.1: single records and lists of one node, state or session; what was not found).
 */
#ifndef PRAETOR_STORE_WATCH_H
#define PRAETOR_STORE_WATCH_H

#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"

enum watch_table {             /* what a name is a name of; l(x) is lower case */
                   WATCH_ALL,  /* the whole state was replaced (restore); matches every watcher */
                   WATCH_KEY,  /* KV key, exact; watching: also "this prefix" with .prefix */
                   WATCH_NODE, /* l(node): its record and its services */
                   WATCH_SERVICE, /* l(name), the index service.<name>: instances, their nodes and
                                     checks */
                   WATCH_CONNECT, /* l(destination): which instances are its proxies or natives */
                   WATCH_EXTINCTION,     /* service_last_extinction; name empty */
                   WATCH_TABLE,          /* a whole table by its index entry: "nodes", "services",
                                            "service_kind.typical"… */
                   WATCH_NODE_CHECKS,    /* l(node) */
                   WATCH_SERVICE_CHECKS, /* l(service name) */
                   WATCH_STATE_CHECKS,   /* status, exact */
                   WATCH_NODE_SESSIONS,  /* l(node) */
                   WATCH_RECORD, /* one record: "<index entry of the table>" NUL "<key>", see
                                    watch_set_add_record */
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
/* table: its index entry ("sessions"); key: as the owner of the table writes it, bytes. */
void watch_set_add_record(struct watch_set *w, const char *table, struct str key);

/* What a commit touched. */
struct watch_touched;
/* For the writer: a new list with one reference, and adding to it (repeats are dropped). A touched
 * prefix stands for every key that starts with it. After the first watch_touched_hold nothing more
 * may be added. */
struct watch_touched *watch_touched_new(void);
void watch_touched_add(struct watch_touched *t, enum watch_table table, struct str name);
void watch_touched_add_prefix(struct watch_touched *t, struct str prefix);
void watch_touched_set_version(struct watch_touched *t, uint64_t version);
size_t watch_touched_count(const struct watch_touched *t);
/* Forgets all but the first `count`: what an entry touched that was undone. */
void watch_touched_truncate(struct watch_touched *t, size_t count);
/* For tests and logs; false past the end. */
bool watch_touched_at(const struct watch_touched *t, size_t i, struct watch_key *key);
struct watch_touched *watch_touched_hold(struct watch_touched *t); /* atomic count */
void watch_touched_release(struct watch_touched *t);
uint64_t watch_touched_version(const struct watch_touched *t);

/* One thread's waiting questions. */
struct watch_registry;
/* Embedded in whatever waits, zeroed at first. `wake` runs once, when the watcher is unregistered
 * already; it must register again to wait on, and may unregister or free others. `restored` says
 * that the whole state was replaced: answer at once. */
struct watcher {
    void (*wake)(struct watcher *w, bool restored);
    struct watch_registry *registry; /* NULL: not waiting */
    void *links;                     /* the registry's own */
    uint32_t link_count;
    bool due; /* found by watch_publish, wake has not run yet */
    struct watcher *next, **back;
};
struct watch_registry *watch_registry_new(void);
void watch_registry_free(struct watch_registry *r);
/* The set is not kept. A watcher with an empty set is woken by restores only. */
void watch_register(struct watch_registry *r, struct watcher *w, const struct watch_set *set);
void watch_unregister(struct watcher *w); /* not waiting: no-op */
/* Wakes those that match. Returns how many. */
size_t watch_publish(struct watch_registry *r, const struct watch_touched *t);
size_t watch_registry_count(const struct watch_registry *r);

#endif
