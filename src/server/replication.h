/* A leader of a secondary datacenter keeps some of the primary's state in its own. What all such
 * replications share is here: the life with the leadership, a round at a time on the core, the
 * questions to the primary, the log entries one after the other, the wait after a failure. What is
 * asked and compared is its user's (acl_replication.c, config_replication.c,
 * intention_replication.c, federation_replication.c), who has it embedded. federation_sync.c lives
 * so too, in each datacenter, to tell the primary something. On the core.
 */
#ifndef PRAETOR_SERVER_REPLICATION_H
#define PRAETOR_SERVER_REPLICATION_H

#include "net/loop.h"
#include "schema/requests.h"
#include "server/call.h"
#include "server/raft_driver.h"

#define REPLICATION_QUESTIONS 2 /* most that a round asks */

struct server;
struct replication;
typedef void replication_step(struct replication *r);
typedef void replication_answered(struct replication *r, const struct answer *a);
typedef void replication_applied(struct replication *r, const struct raft_outcome *outcome);

struct replication_plan {
    int64_t period;                      /* of the rounds (replica_rate) */
    int64_t backoff_first, backoff_most; /* after failures; 0: none */
    replication_step *begun;             /* the leadership has come: may log; or NULL */
    replication_step *round;             /* asks, compares, proposes; then it fails or succeeds */
    void (*log_failure)(const struct replication *r, struct str why);
};

/* One round a period, of which five may have been saved up. */
struct replica_rate {
    int64_t at; /* monotonic: when the bucket will be full again */
};

struct replication {
    struct server *server;
    const struct replication_plan *plan;
    const char *routine; /* as the log names it */
    struct loop_timer timer;
    replication_step *next; /* what the timer goes on with */
    bool on, calling, closed;
    unsigned generation; /* what belongs to an earlier life is ignored */
    unsigned failures;   /* in a row */
    /* Of the primary's state: up to where it is here, 0: nothing is known; what the round got. */
    uint64_t last_index, remote_index;
    struct replica_rate rate, entry_rate;
    int64_t asked; /* monotonic: when the last question was */

    struct arena arena; /* of the round */
    struct call call;
    replication_answered *answered;
    struct answer *answers[REPLICATION_QUESTIONS]; /* of the round */
    unsigned questions;
};

/* routine and plan stay the caller's. */
void replication_init(struct replication *r, struct server *s, const struct replication_plan *plan,
                      const char *routine);
/* This server leads, or no longer. Begun, it starts from nothing. */
void replication_enable(struct replication *r, bool leading);
/* The end, once or more often; its memory has to outlive the loop's turn. */
void replication_close(struct replication *r);

/* ---- within a round ---- */

struct str replication_primary(const struct replication *r);
/* Whether this server is in another datacenter than the primary; false where none is named. */
bool replication_is_wanted(const struct server *s);
/* With the replication token, from last_index on. */
struct query_options replication_options(struct replication *r);
/* Asks the primary. The request lives until the answer has come, which is kept until the round
 * ends; its error is the user's to look at. */
void replication_ask(struct replication *r, const struct endpoint *endpoint, void *request,
                     replication_answered *answered);
/* Takes the entry's bytes. `applied` is not called once the leadership has gone. */
void replication_propose(struct replication *r, struct buf entry, replication_applied *applied);
/* What an entry came to; the absent string: all went well. */
struct str replication_problem(const struct raft_outcome *outcome);
/* Goes on with `propose` in its turn: a hundred entries a second, of which five may be saved up. */
void replication_next_entry(struct replication *r, replication_step *propose);
/* What is known of the primary is dropped when remote_index is lower than last_index: that is
 * another state. Logs it. */
void replication_check_index(struct replication *r, const char *logger);
/* Goes on with `next` after a while. */
void replication_wait(struct replication *r, int64_t wait, replication_step *next);

/* ---- the end of a round ---- */

/* Up to remote_index all is here. */
void replication_succeeded(struct replication *r);
/* Logged (`why` may be the round's) unless absent; the next round begins from nothing. */
void replication_failed(struct replication *r, struct str why);
/* The next round, as early as its turn and `wait` allow. */
void replication_again(struct replication *r, int64_t wait);
/* Nothing to do for now: goes on with `next` after a while, which is no round's turn. */
void replication_rest(struct replication *r, int64_t wait, replication_step *next);

/* ---- time; pure ---- */

/* How long to wait after the n-th failure in a row: `first`, doubled until it is at least `most`.
 */
int64_t replica_backoff(unsigned failures, int64_t first, int64_t most);
/* How long until the next round may begin, which is then counted. */
int64_t replica_rate_take(struct replica_rate *r, int64_t period, int64_t now);

#endif
