/* A question that is asked again and again, so that somebody here knows what the servers say now
 * (agent.md 5.4): a blocking query, or one that is repeated every so often. What goes wrong is
 * tried again, more and more seldom; after that nothing is taken for known, and the next answer
 * comes at once. And the same for a leaf certificate. On the core.
 */
#ifndef PRAETOR_AGENT_FOLLOW_H
#define PRAETOR_AGENT_FOLLOW_H

#include "server/leaf.h"
#include "server/server.h"

struct follow;
struct follow_options {
    struct server *server;
    const struct endpoint *endpoint;
    int64_t period; /* ns: it is repeated so often; 0: it blocks */
    uint64_t index; /* what is known already; 0: nothing */
    /* Fills in the request, which is clear; before each time that it is asked. Index and waiting
     * time are set here. False: there is nothing to ask, until follow_again. */
    bool (*question)(void *owner, void *request, struct arena *arena);
    /* These may end it. */
    void (*came)(void *owner, const struct answer *answer);
    void (*failed)(void *owner, const struct error *e);
    void *owner;
};
/* The first question is asked later, on this loop. */
struct follow *follow_begin(const struct follow_options *options);
/* There is another question: what is under way is dropped. */
void follow_again(struct follow *f);
/* Nothing is called any more, but `closed` when nothing of it is left. NULL is allowed as f: then
 * nothing is called. */
void follow_end(struct follow *f, void (*closed)(void *arg), void *arg);

struct leaf_follow;
struct leaf_follow_options {
    struct server *server;
    const struct leaf_wish *wish; /* copied */
    /* Not again for the same certificate. These may end it. */
    void (*came)(void *owner, const struct issued_cert *cert);
    void (*failed)(void *owner, const struct error *e);
    void *owner;
};
struct leaf_follow *leaf_follow_begin(const struct leaf_follow_options *options);
void leaf_follow_end(struct leaf_follow *f, void (*closed)(void *arg), void *arg);

/* How long to wait after so many failures in a row, at least one (agent.md 5.4): a second, then
 * powers of two and as much again by chance, at most a minute. */
int64_t follow_pause(unsigned failures, uint64_t random);

#endif
