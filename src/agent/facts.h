/* What is followed for the proxies of this agent, each question once, however many of them ask it
 * equally; and the answers, as facts: copies that never change, which snapshots on other threads
 * share. Questions and watches live on the core; a fact may be released on any thread.
 */
#ifndef PRAETOR_AGENT_FACTS_H
#define PRAETOR_AGENT_FACTS_H

#include <stdatomic.h>

#include "agent/follow.h"

struct fact {
    atomic_uint references;
    struct arena arena;
    const void *reply; /* the endpoint's reply, with a clear meta; an issued_cert with its key */
    struct str bytes;  /* encoded: two facts are the same when these are */
};
/* NULL is allowed. */
const struct fact *fact_hold(const struct fact *f);
void fact_release(const struct fact *f);
/* Of any struct. */
const struct fact *fact_of(const struct shape *shape, const void *object);

/* The one or the other; equal ones are asked together. */
struct fact_question {
    const struct endpoint *endpoint; /* NULL: a leaf */
    const void *request;             /* without index and waiting time */
    int64_t period;                  /* 0: blocking */
    const struct leaf_wish *leaf;
};

struct facts;
struct facts *facts_new(struct server *server);
/* When no watch is left: `stopped` runs when nothing is under way any more. */
void facts_stop(struct facts *all, void (*stopped)(void *arg), void *arg);
void facts_free(struct facts *all);

struct fact_source;
struct fact_watch {
    /* There is another fact, or asking has begun to fail. It must not begin or end watches. Of what
     * is there already when the watch begins it is not told. */
    void (*fn)(struct fact_watch *w);
    struct fact_source *source; /* NULL: it is not watching */
    struct fact_watch *next, *previous;
};
void fact_watch_begin(struct facts *all, struct fact_watch *w, const struct fact_question *q);
void fact_watch_end(struct fact_watch *w);
/* NULL: it is not known yet. Held by the source only. */
const struct fact *fact_watch_now(const struct fact_watch *w);
/* Whether the last answer was an error. */
bool fact_watch_failed(const struct fact_watch *w);
/* Whether that is what is watched. */
bool fact_watch_asks(const struct fact_watch *w, const struct fact_question *q);

#endif
