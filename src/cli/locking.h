/* Locks and semaphores made of sessions and keys, as the peer's clients make them (cli.md 2.20), so
 * that both kinds of clients can contend for one. For `lock`.
 */
#ifndef PRAETOR_CLI_LOCKING_H
#define PRAETOR_CLI_LOCKING_H

#include "cli/client.h"

enum locking_result { LOCKING_OK, LOCKING_NOT, LOCKING_FAILED };

struct locking {
    /* Set by the user, the rest zero. */
    struct cli *cli;
    struct client *client;
    struct str prefix;
    struct str session_name;
    uint64_t limit;        /* 1: a lock; more: a semaphore */
    int64_t timeout;       /* ns for acquiring; 0: none */
    int64_t monitor_retry; /* errors that monitoring puts up with in a row */

    struct str session;   /* ID; empty when there is none */
    struct str key;       /* "prefix/.lock" */
    struct str contender; /* a semaphore's "prefix/session" */
    bool lost;            /* while held: somebody took it away */

    struct call renewal;
    struct arena renewal_arena;
    struct call watch; /* the monitor's question under way */
    struct arena watch_arena;
    bool watching;
    uint64_t watch_index;
    int64_t failures;
    int64_t retry_at; /* monotonic; 0: no retry is due */
};

/* "prefix/.lock", the key that both kinds of locks have. */
struct str locking_key(struct arena *arena, struct str prefix);
/* NOT: the time was over or a signal came. FAILED: error set. Afterwards the session is renewed,
 * and the lock monitored, during client_poll. */
enum locking_result locking_acquire(struct locking *l, struct error *e);
/* After each poll: reads what the monitor learnt and sets `lost`. */
void locking_step(struct locking *l);
/* How long a poll may last until a retry is due; < 0: no limit. */
int64_t locking_patience(const struct locking *l);
/* Gives it up. False: the caller may say so and go on. */
bool locking_release(struct locking *l, struct error *e);
/* Deletes what nobody uses any more. NOT: somebody does. */
enum locking_result locking_clean_up(struct locking *l, struct error *e);
/* Frees memory; ends calls under way. The session is gone by then (locking_release). */
void locking_end(struct locking *l);

#endif
