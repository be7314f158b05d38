/* One way to call: an endpoint is one function from request struct to reply struct, and HTTP, DNS,
 * anti-entropy and other agents all reach it through call_start. Here it is decided whether
 * the call runs on this thread against a snapshot of the store, goes to the core as a log entry, or
 * is forwarded; whether it waits (blocking queries, rpc.md 7.4); and when it is answered.
 *
 * Threads: a call belongs to the thread (loop) that started it; `done` runs there. Nothing of a
 * call is touched by another thread while it is under way, except what the core needs of a write.
 *
 * Blocking costs one record: calls of one thread that ask the same question (endpoint and encoded
 * request) wait together, are evaluated once when what they read was touched, and share one answer,
 * whose encoded form (JSON, DNS) is made once and kept in the answer.
 */
#ifndef PRAETOR_SERVER_CALL_H
#define PRAETOR_SERVER_CALL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "net/loop.h"
#include "schema/requests.h"
#include "server/authorize.h"

struct server;
struct server_thread;
struct question;
struct call_list;
struct forward;
struct call;
struct answer;
struct store_read;   /* store/store.h: a snapshot and the watch set that collects what is read */
struct store_result; /* store/store.h: what applying one entry gave */

enum endpoint_kind {
    ENDPOINT_READ,     /* routed to the leader unless stale; evaluated once (rpc.md 6, kind R) */
    ENDPOINT_BLOCKING, /* the same, and may wait (RB) */
    ENDPOINT_WRITE,    /* becomes a log entry on the leader (W) */
    ENDPOINT_LOCAL,    /* answered by whoever got it (L): `read` without a snapshot, or `core` */
    ENDPOINT_CORE,     /* routed as READ; `core` runs on the core thread, without a log entry */
};

/* What a function of an endpoint gets to work with. */
struct call_context {
    struct server *server;
    struct store_read *store; /* reads: a snapshot, already open; others: NULL */
    struct arena *arena;      /* of the answer */
    struct query_meta *meta;  /* reads set meta->index; the rest is filled by call.c */
    void *reply;              /* prepare: may put into it what admit and finish go on with */
    /* What the caller's token may do; NULL: everything, as access control is off. permit.h asks. */
    const struct authorizer *may;
    /* The caller's token, links named; NULL: he has none that is known here (authorize.h). */
    const struct acl_token *token;
    void *found; /* prepare: what inquire has found out */
    /* prepare may set it: all of this is for another datacenter, and goes there instead. */
    struct str elsewhere;
    int64_t now_wall;
    /* Reads set it when the reported index, too, changes only if something in the watch set is
     * touched: such an answer may be given again as long as nothing was. (An index that is a whole
     * table's while the watch is on one record must be read anew each time.) */
    bool exact;
    /* Reads of kind READ with token -1, which find out themselves whose rights they want: they set
     * `as` to that token's secret (never "") and return. They are run again, with `secret` and
     * `may` of that token, once it is known what it may do. */
    struct str as;
    struct str secret; /* whose rights `may` are; absent: nobody was asked for his */
    /* Reads set it when they answer without having looked: with zero meta, and also to who waits.
     */
    bool unlooked;
};

struct endpoint {
    const char *name; /* "KVS.Get": on the wire */
    enum endpoint_kind kind;
    const struct shape *request;
    const struct type *request_type; /* request NULL: a text that stands for the request */
    const struct shape *reply;       /* NULL: the reply is no struct, see reply_type */
    const struct type *reply_type;   /* NULL: the struct `reply` */
    size_t reply_size;               /* 0: reply->size */
    const char *metric;              /* how long it took is sampled under this name; may be NULL */
    const char *metric_too;          /* and under this one; may be NULL */
    /* Optional: counts a query that was answered without an error. */
    void (*observe)(const void *request, const void *reply);
    ptrdiff_t datacenter; /* offset of `struct str datacenter` in the request, -1: none */
    ptrdiff_t options;    /* offset of query_options (reads), -1: none */
    ptrdiff_t meta;       /* offset of query_meta in the reply, -1: none */
    ptrdiff_t token;      /* offset of the token's secret in the request, -1: it is not looked at
                             (nobody is refused, also with one that is unknown: acl.md 9) */
    bool insecure;        /* served on the restricted port, and forwarded to it (rpc.md 6.17) */
    bool leaderless;      /* the reply's meta says nothing of the leader (rpc.md 7.3) */
    /* READ, BLOCKING: that the token is unknown is told only where its rights are asked for. */
    bool token_last;
    /* Optional: whether this request's token is not looked at either. */
    bool (*tokenless)(const void *request);

    /* Optional: whose fields the request's filter expression names. One that is no expression is
     * then refused before the token is looked at; elsewhere by the read. */
    const struct shape *filtered;

    /* Optional: what is refused before the call is routed (rpc.md 6). */
    bool (*check)(const void *request, struct error *e);
    /* Optional, after that, on each server that the call comes through: what is refused there, and
     * for which datacenter it is (in the request, which may be changed). */
    bool (*place)(const struct call *c, struct str *datacenter, struct error *e);

    /* READ, BLOCKING, LOCAL: on the calling thread. Must be a pure function of snapshot and
     * request; may run several times for one call. */
    bool (*read)(struct call_context *c, const void *request, void *reply, struct error *e);

    /* READ, optional: an answer that was read here may not be the last word. True: the call goes on
     * and will end with call_followed(c, answer), on this thread, perhaps before follow returns;
     * its state is CALL_FOLLOWED until then, set by follow. `answer` is only looked at. unfollow:
     * it was cancelled meanwhile. `following` of the call is theirs. */
    bool (*follow)(struct call *c, struct answer *answer);
    void (*unfollow)(struct call *c);

    /* WRITE, optional, on the calling thread before prepare, for what takes its time: other
     * machines are asked. False: refused. True: it goes on and will end with call_inquired, on this
     * thread, later; the call is CALL_INQUIRING until then. What was found is c->following, which
     * inquire_end frees: after prepare, or when the call was cancelled meanwhile. */
    bool (*inquire)(struct call *c, struct error *e);
    void (*inquire_end)(struct call *c);

    /* WRITE, first step, on the calling thread (context->store only with prepare_reads): validate,
     * fill in defaults and IDs (the request may be changed), and append the log entry (type byte
     * and body) to `entry`. */
    bool (*prepare)(struct call_context *c, void *request, struct buf *entry, struct error *e);
    bool prepare_reads; /* prepare wants a snapshot */
    /* WRITE, optional, on the core just before the entry is proposed, for what only the leader's
     * memory knows (lock delay). Returning false without an error: answer at once with *reply as it
     * stands, no entry. */
    bool (*admit)(struct call_context *c, const void *request, void *reply, struct error *e);
    /* WRITE, last step, on the core: turns the applied result into the reply. Strings go into the
     * arena. */
    bool (*finish)(struct call_context *c, const void *request, const struct store_result *result,
                   void *reply, struct error *e);
    /* CORE, LOCAL: on the core thread, without a snapshot. */
    bool (*core)(struct call_context *c, void *request, void *reply, struct error *e);
    /* CORE, LOCAL, instead of `core`, for what takes its time (a membership change, a question to
     * all members): on the core thread; fills in c->answer (its reply, or its error), and ends, now
     * or later, with call_send_back(c). */
    void (*begin)(struct call *c);
};

/* A reply with all that it needs, shared by those who asked the same. Reference-counted, but only
 * within one thread; never changed after done() except for `encoded` and, each time that it is
 * given out, what `meta` and the reply's copy of it say of the leader. */
struct answer {
    unsigned references;
    struct arena arena;
    struct error error;     /* kind ERROR_NONE: reply is valid */
    void *reply;            /* endpoint->reply */
    struct query_meta meta; /* as in the reply */
    uint64_t version;       /* the store's version that it was read from */
    bool exact;             /* call_context.exact */
    bool remote;            /* it came from another server, and what meta says is that one's */
    bool unlooked;          /* call_context.unlooked */
    struct str as;          /* call_context.as: this is no answer yet */
    /* For the consumer: forms made once from this answer and freed with it (NULL until then). HTTP
     * uses 0 compact JSON, 1 pretty JSON; the consumer must only keep here what depends on nothing
     * but the question and the reply. */
    struct buf *encoded[4];
    size_t counted;        /* by answer_encoded */
    struct answer *before; /* of an earlier try of a write: its request may point into it */
};
struct answer *answer_hold(struct answer *a);
void answer_release(struct answer *a);
/* All answers with encoded forms live within one budget, a quarter of the machine's memory: they
 * are on their way to clients that may read slowly, or never. False: it is used up. Any thread. */
bool answer_may_encode(void);
/* After a form was added to `encoded`. */
void answer_encoded(struct answer *a);

typedef void call_done(struct call *c);

/* The caller fills in the first part and keeps the struct, and the request in `arena`, alive until
 * done() or call_cancel. */
struct call {
    const struct endpoint *endpoint;
    struct arena *arena; /* the caller's: holds request */
    void *request;       /* endpoint->request; prepare may change it */
    call_done *done;
    void *owner;
    /* A variant of the question that changes what the consumer makes of the answer (passing filter,
     * raw...): answers with different variants do not share `encoded`. */
    uint32_t variant;
    /* It came in over the RPC port: an empty datacenter is not the own one (rpc.md 12.7), and the
     * limit on calls of this agent's own (limits.rpc_rate) does not count it. */
    bool remote;

    struct answer *answer; /* set before done(); held for the caller, who releases it */

    /* Used by call.c only; zero before the first call_start. A call that is done may be started
     * anew. */
    struct server *server;
    struct server_thread *home;
    struct message message;
    struct question *question;    /* what it waits with, or NULL */
    struct call_list *list;       /* which list it is in, or NULL */
    struct call *next, *previous; /* in that list */
    int64_t started;              /* monotonic; only with endpoint->metric */
    int64_t deadline;             /* monotonic; 0: none */
    uint32_t deadline_slot;       /* place in the thread's heap, from 1; 0: not in it */
    uint8_t state;                /* enum call_state, in thread.h */
    bool expired;
    bool again;              /* the core did not run it: it is routed anew */
    struct answer *before;   /* of the tries before: the request may point into them */
    int64_t held_since;      /* monotonic: its first failure; 0: none yet */
    struct forward *forward; /* forward.c's, from the first try elsewhere to the end */
    void *following;         /* endpoint->follow's, or inquire's */
    bool followed;
    struct buf entry; /* writes: the log entry */
    struct authorize authorize;
    struct authorization *who;  /* while it runs here: whose call it is; NULL: nobody asks */
    void (*freed)(void *owner); /* cancelled while the core has it */
};

/* Starts a call on the current loop's thread. done() may run before call_start returns, if the
 * answer is at hand. Errors (validation, no leader, queue full) come in answer->error. */
void call_start(struct server *server, struct call *c);
/* The same, to one server's RPC port ("ip:port", copied) and nowhere else, without retries: what
 * autopilot and rebalancing ask of each server. Errors have the prefixes of rpc.md 7.5. */
void call_start_at(struct server *server, struct call *c, struct str address);
/* The same, to a server of whatever datacenter. */
struct peer;
void call_start_at_peer(struct server *server, struct call *c, const struct peer *peer);
/* The caller is gone: done() will not run; what cannot be stopped ends by itself. The call struct
 * may be freed only after `freed(owner)` ran (at once when nothing is under way). */
void call_cancel(struct call *c, void (*freed)(void *owner));

/* All endpoints, by name; NULL when there is none. */
const struct endpoint *endpoint_find(struct str name);
/* The i-th of them; NULL: there are no more. */
const struct endpoint *endpoint_at(size_t i);

#endif
