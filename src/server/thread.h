/* What a loop's thread keeps for calls: the questions that it answers or that wait, the registry
 * which says what a commit concerns, and the calls' deadlines. Private to server/: call.c runs the
 * calls, question.c evaluates and keeps answers, thread.c takes what other threads send.
 *
 * Everything here belongs to one thread, except `inbox`, where the core leaves what commits
 * touched.
 */
#ifndef PRAETOR_SERVER_THREAD_H
#define PRAETOR_SERVER_THREAD_H

#include <pthread.h>

#include "base/map.h"
#include "base/time.h"
#include "server/authorize.h"
#include "server/call.h"
#include "server/rpc_pool.h"
#include "store/store.h"

/* Answers kept for the next who asks the same: bytes at most, a thread; one answer at most half of
 * that. What nobody asked for in a while goes, so that a server at rest is small. */
#define THREAD_CACHE_BYTES ((size_t)32 << 20)
#define THREAD_CACHE_UNUSED (10 * SECOND)
/* Commits that may wait for a thread; beyond, it is told that everything changed. */
#define THREAD_TOUCHED_MAX 256
/* The same for what is kept only because somebody waits (question.last). */
#define THREAD_LAST_BYTES ((size_t)4 << 20)
/* Questions evaluated on one snapshot before their callers are told. */
#define THREAD_BATCH 64
#define THREAD_DOOR_SLOTS 2048

enum call_state {
    CALL_IDLE,
    CALL_PARKED,     /* in its question's list: waits for an evaluation, a change or its deadline */
    CALL_HELD,       /* waits for a leader, or to be tried again */
    CALL_READY,      /* has its answer; done() comes next */
    CALL_SENT,       /* the core has it */
    CALL_FORWARDED,  /* another server has it */
    CALL_FOLLOWED,   /* endpoint->follow goes on with it */
    CALL_AUTHORIZED, /* it waits until it is known what its token may do */
    CALL_INQUIRING,  /* endpoint->inquire goes on with it */
};

struct call_list {
    struct call *first, *last;
};
void call_list_add(struct call_list *list, struct call *c);
void call_list_remove(struct call *c); /* from the list it is in, if any */

/* One question that somebody waits for or whose answer is kept. */
struct question {
    struct watcher watcher; /* registered: the last evaluation still stands */
    struct server_thread *thread;
    const struct endpoint *endpoint;
    struct call_list calls;
    struct answer *answer; /* kept, or NULL */
    struct answer *last; /* what those who wait were not told, or NULL: a restore answers with it */
    uint64_t index;      /* of the last evaluation */
    bool exact;          /* its index stands as long as the question does */
    const struct authorizer *may;   /* of the last evaluation, held */
    struct question *newer, *older; /* kept ones, by use */
    struct question *next_dirty, *next_verify;
    int64_t used_at;  /* monotonic, coarse: when its kept answer was last given out */
    size_t bytes;     /* counted in cache_bytes */
    size_t last_size; /* counted in last_bytes */
    bool dirty;       /* in the dirty list: what it read was touched, or a deadline passed */
    bool restored;    /* the whole state was replaced: everybody is answered */
    bool verifying;
    uint32_t key_len;
    char key[];
};

struct question_chain {
    struct question *first, *last;
};

struct server_thread {
    struct server *server;
    struct store *store; /* NULL: a client agent's */
    struct loop *loop;
    struct rpc_pool *pool; /* connections to other servers */

    struct watch_registry *registry;
    uint64_t processed;   /* the store's version up to which commits were looked at */
    struct map questions; /* by key */
    struct question_chain dirty;
    struct question *newest, *oldest; /* kept answers */
    size_t cache_bytes;
    size_t last_bytes; /* of all question.last */
    uint32_t
        door[THREAD_DOOR_SLOTS]; /* hashes of questions asked before: the second time is kept */
    struct buf key;              /* scratch */
    struct arena watch_arena;    /* scratch of one evaluation */

    struct call **heap; /* by deadline, from slot 1 */
    uint32_t heap_len, heap_cap;
    struct loop_timer timer;
    int64_t timer_at;        /* 0: not set */
    struct loop_timer sweep; /* of kept answers; runs while there are any */
    bool sweeping;

    struct call_list held;
    struct question_chain verify_waiting; /* for the next round of leadership verification */
    struct question_chain verify_running;
    bool verify_sent;
    struct message verify_message;
    void (*verify_done)(struct message *m); /* what the core sends it back with */
    bool verify_ok;
    struct error verify_error; /* texts in verify_arena */
    struct arena verify_arena;
    int64_t verify_started;
    struct server_thread *verify_next; /* in the core's list of waiting verifications */

    struct authorizations *authorizations;
    struct leaves *leaves;     /* leaf.c's: of the first thread, once asked */
    struct agent_cache *cache; /* agent_cache.c's: of a client agent's first thread, once asked */

    uint64_t jitter; /* prng state for the spread of timeouts */
    bool closing;

    struct {
        pthread_mutex_t mutex;
        struct watch_touched *touched[THREAD_TOUCHED_MAX];
        uint32_t len;
        bool overflow;
        bool leader_news;
        bool posted;      /* wake_message is in the loop's queue */
        uint64_t version; /* of the last list */
    } inbox;
    struct message wake_message;
};

/* thread.c */
struct server_thread *thread_new(struct server *server, struct store *store, struct loop *loop);
/* On the thread itself: answers all that wait with an error. */
void thread_close(struct server_thread *t);
/* For a loop that never ran. */
void thread_abandon(struct server_thread *t);
void thread_free(struct server_thread *t); /* after the loop has ended */
/* From the core, after each commit (touched NULL: it changed nothing that is watched) and when
 * leadership changes. The core does the former before anybody is told that the commit happened. */
void thread_send_touched(struct server_thread *t, uint64_t version, struct watch_touched *touched);
void thread_send_leader_news(struct server_thread *t);
/* Has the thread look at its dirty questions soon. */
void thread_wake_self(struct server_thread *t);
/* Looks at the commits that wait; questions that they concern become dirty. */
void thread_drain(struct server_thread *t);
/* True: what is registered and not dirty is as new as the store. */
bool thread_is_current(struct server_thread *t);
void thread_deadline_set(struct server_thread *t, struct call *c, int64_t deadline);
void thread_deadline_clear(struct server_thread *t, struct call *c);
/* The context of the calling thread; NULL when it is none of the server's. */
struct server_thread *thread_current(void);

/* question.c */
void question_key(struct buf *out, const struct call *c);
struct question *question_find(struct server_thread *t, struct str key);
struct question *question_get(struct server_thread *t, const struct endpoint *endpoint,
                              struct str key);
void question_park(struct question *q, struct call *c);
/* Frees it when nobody waits and nothing is kept. */
void question_release(struct question *q);
void question_mark_dirty(struct question *q);
void question_mark_all_dirty(struct server_thread *t);
void question_evaluate_dirty(struct server_thread *t);
/* Evaluates now, for a call that is not parked; parked ones get what concerns them through the
 * dirty list. keep: the answer may be kept. The answer is held for the caller. */
struct answer *question_ask(struct question *q, const void *request,
                            const struct authorization *who, bool keep);
/* Whether the last evaluation still stands for who may do that, for a thread that is current. */
bool question_stands(const struct question *q, const struct authorizer *may);
/* While calls are parked: what they would have been told. NULL: forget it. */
void question_set_last(struct question *q, struct answer *a);
void question_used(struct question *q);
/* Drops the kept answers that nobody asked for lately. */
void question_sweep(struct server_thread *t);
/* True the second time that somebody asks it, roughly. */
bool question_asked_before(struct server_thread *t, struct str key);
/* Answers all that wait with an error. */
void question_forget_all(struct server_thread *t, struct str text);
/* Asks the core whether it still leads, then evaluates for all that are parked. */
void question_verify(struct question *q);

/* answer.c */
struct answer *answer_new(const struct endpoint *endpoint);

/* call.c */
/* What an endpoint's inquire ends with. e: NULL or unset, prepare comes next; or what it refuses
 * with. */
void call_inquired(struct call *c, const struct error *e);
/* Evaluates an endpoint's read. watch may be NULL. */
struct answer *call_evaluate(struct server_thread *t, const struct endpoint *endpoint,
                             const void *request, const struct authorization *who,
                             struct store_read *read);
void call_deliver(struct call *c, struct answer *answer); /* takes over the hold */
void call_deliver_error(struct call *c, enum error_kind kind, struct str text);
/* The end of endpoint->follow; takes over the hold. */
void call_followed(struct call *c, struct answer *answer);
void call_send_back(struct call *c);                    /* from the core: c->answer is complete */
void call_run(struct server_thread *t, struct call *c); /* here */
struct query_options *call_options(const struct endpoint *endpoint, const void *request);

/* forward.c */
/* Runs the call here, sends it to another server, or holds it until it can be. */
void call_route(struct server_thread *t, struct call *c);
void call_route_at(struct server_thread *t, struct call *c, const struct peer *peer,
                   struct str address);
/* Tries all held calls: there is a new leader, or there are new servers. */
void call_held_retry(struct server_thread *t);
void call_hold_expired(struct server_thread *t, struct call *c);
/* Forgets what is under way elsewhere. */
void forward_end(struct call *c);

#endif
