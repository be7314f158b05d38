/* Threads with an event loop each: one core, several for I/O. A loop owns everything that lives on
 * its thread; other threads talk to it only through messages in its bounded inbox. This is the only
 * place where threads are started and libuv loops are run (the disk thread of raft's driver apart).
 */
#ifndef PRAETOR_NET_LOOP_H
#define PRAETOR_NET_LOOP_H

#include <stdatomic.h>
#include <uv.h>

#include "base/error.h"
#include "base/queue.h"

/* Intrusive: embed it in what is sent; run() gets it back on the receiving thread, which then owns
 * it. Set run before posting; item is the queue's. */
struct message {
    struct queue_item item;
    void (*run)(struct message *);
};

#define LOOP_UNWOKEN_MAX 8

struct loop {
    uv_loop_t uv;
    uv_poll_t wake; /* of wake_fd, an eventfd */
    uv_thread_t thread;
    struct queue inbox;          /* bounded: loop_post */
    struct queue replies;        /* loop_post_reply; bounded by the requests under way */
    char name[16];               /* thread name: "core", "io-0" */
    void *owner;                 /* what the room above keeps for this thread */
    struct stream_loop *streams; /* net/stream.c's own: shared buffers, the list of streams */
    int wake_fd;
    atomic_bool woken; /* wake_fd has been written to, and the loop has not looked yet */
    bool started;
    atomic_bool stopping;
    /* Loops to which this one has posted in this round, and which it wakes at the round's end. */
    struct loop *unwoken[LOOP_UNWOKEN_MAX];
    unsigned unwoken_count;
    bool gathers;   /* false on a thread that may wait for others in the middle of a round */
    uint64_t looks; /* how often it has looked at what has come in */
    uv_prepare_t prepare;
    uv_check_t check;
};

/* inbox_limit: messages waiting at most. name: at most 15 bytes. */
bool loop_init(struct loop *l, const char *name, size_t inbox_limit, struct error *e);
/* Runs the loop on a new thread (with all signals blocked), or (loop_run_here) on the calling one
 * until loop_stop. */
bool loop_start(struct loop *l, struct error *e);
void loop_run_here(struct loop *l);
/* From any thread: ends the loop after the messages that are in its inbox; loop_join waits. From
 * then on loop_post refuses. */
void loop_stop(struct loop *l);
void loop_join(struct loop *l);
/* After loop_join. Runs the answers that came too late on the calling thread, then the callbacks of
 * handles that are being closed. Whoever opened a handle on the loop must have closed it. */
void loop_free(struct loop *l);

/* From any thread. False when the inbox is full: the caller answers its caller with an error.
 * Posted on a thread of loop_start, messages may wait for the end of the round of the poster's own
 * loop, so that a round wakes another loop once: such a thread must not block until its message has
 * been seen. */
bool loop_post(struct loop *l, struct message *m);
/* For answers to requests that were admitted by loop_post: never refused, since the number of
 * requests under way is already bounded. */
void loop_post_reply(struct loop *l, struct message *m);
/* The loop that runs the calling thread, or NULL. */
struct loop *loop_current(void);
bool loop_is_current(const struct loop *l);

/* A one-shot timer on the current loop. fn runs on the loop's thread. Resolution: 1 ms, never
 * early. When the process has stood still (a machine that was suspended, or gave it no time), what
 * has come in meanwhile runs before fn: nobody is given up for a silence that was our own. */
struct loop_timer {
    uv_timer_t uv;
    void (*fn)(struct loop_timer *);
    void *owner;
    void (*closed)(struct loop_timer *);
    uint64_t due;   /* ms of the loop's clock */
    uint64_t looks; /* of the loop, before which fn does not run; 0: it was not late */
};
void loop_timer_init(struct loop *l, struct loop_timer *t, void (*fn)(struct loop_timer *),
                     void *owner);
void loop_timer_set(struct loop_timer *t, int64_t ns); /* from now; replaces the earlier setting */
void loop_timer_stop(struct loop_timer *t);
/* closed (may be NULL) runs when the memory may be freed. */
void loop_timer_close(struct loop_timer *t, void (*closed)(struct loop_timer *));

#endif
